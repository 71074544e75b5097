"""`torch.compile` and what belongs to it. Programs are compiled in any case; this replays calls: see `compile`."""

from .compiling import compile, reset
from .optimized_module import OptimizedModule
from .settings import (
    allow_in_graph,
    assume_constant_result,
    cudagraph_mark_step_begin,
    disable,
    get_default_backend,
    is_compiling,
    is_dynamo_compiling,
    is_exporting,
    list_backends,
    load_cache_artifacts,
    nested_compile_region,
    save_cache_artifacts,
    set_default_backend,
    set_stance,
    substitute_in_graph,
    wrap_numpy,
)

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "assume_constant_result",
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "get_default_backend",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
    "load_cache_artifacts",
    "nested_compile_region",
    "reset",
    "save_cache_artifacts",
    "set_default_backend",
    "set_stance",
    "substitute_in_graph",
    "wrap_numpy",
]
