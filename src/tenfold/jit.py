"""`torch.jit`: functions and modules come back as they are, for tenfold compiles what they call anyway. There is no
TorchScript: nothing is saved as a program, and code is not read.

What has no meaning here raises an error that names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .nn import Module

__all__ = [
    "Final",
    "annotate",
    "enable_onednn_fusion",
    "export",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "load",
    "onednn_fusion_enabled",
    "optimize_for_inference",
    "save",
    "script",
    "script_if_tracing",
    "script_method",
    "set_fusion_strategy",
    "trace",
    "trace_module",
    "unused",
    "wait",
]


def script(obj, optimize=None, _frames_up: int = 0, _rcb=None, example_inputs=None) -> Any:
    """Returns the function, class or module as it is; its Python goes on to run at every call.

    Args: those of PyTorch; only `obj` counts.
    Raises: TypeError where `obj` cannot be called.
    """
    if not callable(obj):
        raise TypeError(f"jit.script: a function, class or module is expected, not {type(obj).__name__}")
    return obj


def trace(
    func, example_inputs=None, optimize=None, check_trace: bool = True, check_inputs=None, check_tolerance: float = 1e-5,
    strict: bool = True, _force_outplace: bool = False, _module_class=None, _compilation_unit=None,
    example_kwarg_inputs: dict | None = None, _store_inputs: bool = True,
) -> Any:  # fmt: skip
    """Calls a function or module once with its example, and returns it as it is. Unlike a trace of PyTorch, a branch on a
    value is taken anew at every call.

    Args:
        func: a function or module.
        example_inputs: its arguments: a tuple, or a single tensor.
        example_kwarg_inputs: its keyword arguments.
        Others of PyTorch's: accepted.
    Raises: what `func` raises; RuntimeError without an example.
    """
    if not callable(func):
        raise TypeError(f"jit.trace: a function or module is expected, not {type(func).__name__}")
    if example_inputs is None and example_kwarg_inputs is None:
        raise RuntimeError("jit.trace: example_inputs or example_kwarg_inputs must be given")
    args = () if example_inputs is None else example_inputs
    args = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    func(*args, **(example_kwarg_inputs or {}))
    return func


def trace_module(mod: Module, inputs: dict, *args: Any, **kwargs: Any) -> Module:
    """Calls each named method of a module once with its example, and returns the module as it is."""
    if not isinstance(mod, Module):
        raise AttributeError("expected torch.nn.Module as the first argument")
    for name, example in inputs.items():
        trace(getattr(mod, name), example)
    return mod


def ignore(drop=False, **kwargs):
    """Returns the function as it is; also as `@ignore(...)`."""
    return drop if callable(drop) else lambda f: f


def _as_it_is(fn):
    """Returns the function as it is."""
    return fn


unused = export = script_method = script_if_tracing = interface = _as_it_is


def is_scripting() -> bool:
    """False: Python runs."""
    return False


def is_tracing() -> bool:
    """False: there are no traces that freeze branches."""
    return False


def annotate(the_type, the_value):
    """Returns the value."""
    return the_value


def freeze(mod: Module, preserved_attrs=None, optimize_numerics: bool = True) -> Module:
    """Returns a module in evaluation mode as it is; its parameters can still be changed."""
    if mod.training:
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode. Call .eval() first.")
    return mod


def optimize_for_inference(mod: Module, other_methods=None) -> Module:
    """Returns the module as it is."""
    return mod


class _Done:
    """A future whose value is there."""

    def __init__(self, value):
        self._value = value

    def wait(self):
        return self._value

    value = wait

    def done(self) -> bool:
        return True


def fork(func: Callable, *args: Any, **kwargs: Any) -> _Done:
    """Calls the function now; `wait` gives what it returned."""
    return _Done(func(*args, **kwargs))


def wait(future: _Done):
    """What a forked function returned."""
    return future.wait()


def set_fusion_strategy(strategy) -> list:
    """Accepted; how operations are fused is not set by hand."""
    return list(strategy)


def enable_onednn_fusion(enabled: bool) -> None:
    """Accepted."""


def onednn_fusion_enabled() -> bool:
    return False


def save(m, f, _extra_files=None) -> None:
    raise NotImplementedError(
        "jit.save: tenfold keeps no TorchScript programs. Save m.state_dict() with torch.save, and build the module from its class."
    )


def load(f, map_location=None, _extra_files=None, _restore_shapes: bool = False):
    raise NotImplementedError(
        "jit.load: tenfold runs no TorchScript programs. In PyTorch, save the module's state_dict(), and load that with torch.load."
    )


def __getattr__(name: str):
    if name in ("ScriptModule", "ScriptFunction", "RecursiveScriptModule", "CompilationUnit", "Attribute"):
        raise AttributeError(
            f"jit.{name}: tenfold has no TorchScript; script and trace return what they were given", name=name
        )
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'", name=name)
