"""`compile`: arguments are checked as PyTorch does, and the callable comes back as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..nn import Module
from . import settings

MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")


def compile(
    model: Callable | None = None, *, fullgraph: bool = False, dynamic: bool | None = None,
    backend: str | Callable | None = None, mode: str | None = None, options: dict[str, Any] | None = None,
    name: str | None = None, disable: bool = False, recompile_limit: int | None = None,
    isolate_recompiles: bool = False, shapes_spec: Any = None,
) -> Any:  # fmt: skip
    """Returns the function as it is, and a module with `_orig_mod`: tenfold records and compiles every path that comes back,
    with or without this call, and backward and the optimizer's step with it.

    So nothing becomes faster by it, and nothing is guarded: the Python of `model` runs at every call, branches, prints and
    all. `print(torch.explain(f, ...))` shows what is compiled.

    Args:
        model: a function or module. Without it: a decorator (`@torch.compile`, `@torch.compile(mode=...)`).
        fullgraph: accepted; a read of a value in between ends a program, and never is an error.
        dynamic: accepted; sizes are data of a kernel.
        backend: one of PyTorch's names, accepted. A function of your own would need an FX graph, which tenfold does not have.
        mode, options: accepted, and not both. `mode` has to be one of PyTorch's.
        disable: accepted; a module comes back as it is.
        name, recompile_limit, isolate_recompiles, shapes_spec: accepted.
    Returns: a function: itself. A module: an `OptimizedModule`, which calls it and has its attributes.
    Raises: RuntimeError for a `mode` or `backend` that there is not, or `mode` and `options` together;
        NotImplementedError for a backend that is a function.
    Example: model = torch.compile(model)
    """
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    if mode is not None and mode not in MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(MODES)}")
    settings.check_backend(backend)
    if model is None:
        return lambda f: compile(_given(f), disable=disable)
    if not callable(model):
        raise TypeError(f"compile: a function or module is expected, not {type(model).__name__}")
    return OptimizedModule(model) if isinstance(model, Module) and not disable else model


def _given(model):
    if model is None:
        raise RuntimeError("Model can't be None")
    return model


class OptimizedModule(Module):
    """What `compile` makes of a module: calls go to `_orig_mod`, and so do attributes, read and written.

    As in PyTorch, it has the module as a child: keys of its `state_dict` begin with `_orig_mod.`."""

    def __init__(self, mod: Module):
        super().__init__()
        self.__dict__.pop("training")
        self._modules["_orig_mod"] = mod

    @property
    def training(self) -> bool:  # type: ignore[override]
        return self._orig_mod.training

    @training.setter
    def training(self, mode: bool) -> None:
        self._orig_mod.training = mode

    def forward(self, *args, **kwargs):
        return self._orig_mod(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__.get("_modules", {})
        if name == "_orig_mod":
            if name in modules:
                return modules[name]
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN or name == "_orig_mod":
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._orig_mod, name)

    def __len__(self) -> int:
        return len(self._orig_mod)  # type: ignore[arg-type]

    def __iter__(self):
        return iter(self._orig_mod)  # type: ignore[call-overload]

    def __getitem__(self, key):
        return self._orig_mod[key]  # type: ignore[index]

    def __contains__(self, key) -> bool:
        return key in self._orig_mod  # type: ignore[operator]

    def __bool__(self) -> bool:
        return True

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *dir(self._orig_mod)})

    def __reduce__(self):
        return OptimizedModule, (self._orig_mod,)


_OWN = frozenset([*Module().__dict__, "_looks_for_hooks", "_compiled_call_impl"]) - {"training"}
