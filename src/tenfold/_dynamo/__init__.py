"""`torch._dynamo`: the names of it that programs use; what they mean is in tenfold/compiler."""

from ..compiler import (
    OptimizedModule,
    allow_in_graph,
    assume_constant_result,
    disable,
    is_compiling,
    list_backends,
    nested_compile_region,
    reset,
    set_stance,
    substitute_in_graph,
)
from ..compiler.compiling import compile as _compile
from . import config, exc

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "assume_constant_result",
    "config",
    "disable",
    "exc",
    "graph_break",
    "is_compiling",
    "list_backends",
    "mark_dynamic",
    "mark_static",
    "mark_static_address",
    "maybe_mark_dynamic",
    "nested_compile_region",
    "optimize",
    "reset",
    "run",
    "set_stance",
    "substitute_in_graph",
]


def optimize(
    backend="inductor", *, nopython: bool = False, dynamic: bool | None = None, disable: bool = False, **options
):
    """A decorator: `torch.compile` with `nopython` for `fullgraph`."""
    return lambda f: _compile(f, backend=backend, fullgraph=nopython, dynamic=dynamic, disable=disable)


@disable
def graph_break(msg: str = "") -> None:
    """What calls it is not replayed."""


@disable
def run(fn=None):
    """Returns the function as it is."""
    return fn


def mark_dynamic(t, index=None, **bounds) -> None:
    """Accepted: sizes are data of a kernel; a new size is a new kind of call."""


maybe_mark_dynamic = mark_static = mark_static_address = mark_dynamic
