"""Settings and marks of `torch.compiler`: what has no meaning here is accepted, and refused where it would promise something."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import ContextDecorator, suppress
from typing import Any

from .._core.trace.replay import COMPILED
from .errors import InvalidBackend

BACKENDS = ("cudagraphs", "inductor", "openxla", "tvm")
OTHERS = ("eager", "aot_eager", "aot_eager_decomp_partition", "aot_ts", "ts", "onnxrt", "tensorrt")
STANCES = (
    "default",
    "force_eager",
    "eager_on_recompile",
    "fail_on_recompile",
    "eager_then_compile",
    "aot_eager_then_compile",
)

_default: Any = "inductor"


def check_backend(backend) -> None:
    if backend is None or backend in BACKENDS or backend in OTHERS:
        return
    if callable(backend):
        raise NotImplementedError(
            "compile: a backend of your own gets an FX graph in PyTorch, and tenfold has none. Leave `backend` out."
        )
    raise InvalidBackend(f"Invalid backend: {backend!r}, see `torch.compiler.list_backends()` for available backends.")


def list_backends(exclude_tags: Iterable[str] = ("debug", "experimental")) -> list[str]:
    """The names that `compile` accepts; all mean the same here."""
    return sorted(BACKENDS if exclude_tags else (*BACKENDS, *OTHERS))


def get_default_backend() -> str | Callable:
    return _default


def set_default_backend(backend: str | Callable | None) -> None:
    """Keeps the name that `compile` is to use without one."""
    global _default
    check_backend(backend)
    _default = backend or "inductor"


def is_compiling() -> bool:
    """False: your Python is run, never read."""
    return False


def is_dynamo_compiling() -> bool:
    """False, as `is_compiling`."""
    return False


def is_exporting() -> bool:
    """False: there is no export."""
    return False


def _marked(fn, mark: str):
    """The function, with a mark for `compile`; what cannot be marked stays as it is."""
    with suppress(AttributeError, TypeError):
        setattr(getattr(fn, "__func__", fn), mark, True)
    return fn


def disable(fn: Callable | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Returns the function, or that of the decorator: what calls it is not replayed, and `compile` returns it as it is.
    (`with torch.debug.eager():` computes every operation at once.)"""
    return _marked(fn, "_torchdynamo_disable") if fn is not None else lambda f: _marked(f, "_torchdynamo_disable")


def allow_in_graph(fn):
    """Returns the function (or list of functions): `compile` takes it to depend on nothing but its arguments, and to change
    nothing."""
    for f in fn if isinstance(fn, (list, tuple)) else (fn,):
        _marked(f, "_tenfold_allowed")
    return fn


def assume_constant_result(fn):
    """Returns the function: `compile` takes its result to be the same at every call."""
    return _marked(fn, "_tenfold_allowed")


def nested_compile_region(fn: Callable | None = None, **options: Any) -> Any:
    """Returns the function as it is: equal kernels are compiled once anyway."""
    return fn if fn is not None else lambda f: f


def wrap_numpy(fn):
    """Returns the function as it is: NumPy runs in it as everywhere."""
    return fn


def substitute_in_graph(
    original_fn: Callable, *, can_constant_fold_through: bool = False, skip_signature_check: bool = False
):
    """A decorator that returns its function as it is: the original is called, for Python is never read."""
    return lambda f: f


def cudagraph_mark_step_begin() -> None:
    """Nothing to mark: there are no CUDA graphs."""


class _Stance(threading.local):
    """What `set_stance` says, in this thread."""

    name = "default"


stance = _Stance()


class set_stance(ContextDecorator):
    """What compiled functions do from here on in this thread, or, as a context or a decorator, until its end.

    Args:
        stance: "default"; "force_eager": call functions as they are; "eager_on_recompile": replay what is known, and
            record nothing new; "fail_on_recompile": a new kind of call raises RuntimeError. Others are as "default".
    """

    def __init__(self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False, force_backend=None):
        if stance not in STANCES:
            raise RuntimeError(f"set_stance: {stance!r} is not one of {', '.join(STANCES)}")
        check_backend(force_backend)
        self.stance = stance
        self.before = _set_stance(stance)

    def __call__(self, f):
        _set_stance(self.before)  # as a decorator it says nothing yet
        return super().__call__(f)

    def __enter__(self) -> set_stance:
        self.before = _set_stance(self.stance) if stance.name != self.stance else self.before
        return self

    def __exit__(self, *error) -> None:
        _set_stance(self.before)


def _set_stance(name: str) -> str:
    before, stance.name = stance.name, name
    for c in list(COMPILED):
        c.last = None  # so that the next call asks
    return before


def save_cache_artifacts():
    raise NotImplementedError(
        "save_cache_artifacts: compiled kernels lie in the folder that TENFOLD_CACHE names (~/.cache/tenfold/kernels); copy it"
    )


def load_cache_artifacts(serialized_artifacts: bytes):
    raise NotImplementedError(
        "load_cache_artifacts: compiled kernels lie in the folder that TENFOLD_CACHE names (~/.cache/tenfold/kernels); copy it"
    )
