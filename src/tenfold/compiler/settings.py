"""Settings and marks of `torch.compiler`: accepted where they mean nothing here, refused where they would promise something."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ContextDecorator
from typing import Any

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
    raise RuntimeError(f"Invalid backend: {backend!r}, see `torch.compiler.list_backends()` for available backends.")


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


def reset() -> None:
    """Nothing to forget: what was compiled is found by what it computes."""


def is_compiling() -> bool:
    """False: your Python is run, never read."""
    return False


def is_dynamo_compiling() -> bool:
    """False, as `is_compiling`."""
    return False


def is_exporting() -> bool:
    """False: there is no export."""
    return False


def disable(fn: Callable | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Returns the function as it is, as does the decorator. `with torch.debug.eager():` computes every operation at once."""
    return fn if fn is not None else lambda f: f


def allow_in_graph(fn):
    """Returns the function (or list of functions) as it is."""
    return fn


def assume_constant_result(fn):
    """Returns the function as it is; it is called every time."""
    return fn


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


class set_stance(ContextDecorator):
    """Accepted as a call, a context or a decorator; every stance means what tenfold does anyway."""

    def __init__(self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False, force_backend=None):
        if stance not in STANCES:
            raise RuntimeError(f"set_stance: {stance!r} is not one of {', '.join(STANCES)}")
        check_backend(force_backend)

    def __enter__(self) -> set_stance:
        return self

    def __exit__(self, *error) -> None:
        pass


def save_cache_artifacts():
    raise NotImplementedError(
        "save_cache_artifacts: compiled kernels lie in the folder that TENFOLD_CACHE names (~/.cache/tenfold/kernels); copy it"
    )


def load_cache_artifacts(serialized_artifacts: bytes):
    raise NotImplementedError(
        "load_cache_artifacts: compiled kernels lie in the folder that TENFOLD_CACHE names (~/.cache/tenfold/kernels); copy it"
    )
