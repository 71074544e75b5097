"""What programs ask of a GPU beside its presence: its memory, its load, its streams. There is none."""

import warnings
from collections import OrderedDict

from .._core.ops.devices import device as _device
from .._core.ops.devices import no_device


def _none() -> Exception:
    return no_device(_device("cuda"))


def memory_stats(device=None) -> dict:
    """No statistics: there is no GPU memory."""
    return OrderedDict()


def memory_stats_as_nested_dict(device=None) -> dict:
    """No statistics: there is no GPU memory."""
    return {}


def host_memory_stats() -> dict:
    """No statistics: no memory is pinned."""
    return OrderedDict()


def host_memory_stats_as_nested_dict() -> dict:
    """No statistics: no memory is pinned."""
    return {}


def memory_snapshot(mempool_id=None, include_traces=True) -> list:
    """Nothing: there is no GPU memory."""
    return []


def memory_cached(device=None) -> int:
    """0 bytes. The older name of `memory_reserved`."""
    warnings.warn("`torch.cuda.memory_cached` has been renamed to `memory_reserved`", FutureWarning, stacklevel=2)
    return 0


def max_memory_cached(device=None) -> int:
    """0 bytes. The older name of `max_memory_reserved`."""
    warnings.warn(
        "`torch.cuda.max_memory_cached` has been renamed to `max_memory_reserved`", FutureWarning, stacklevel=2
    )
    return 0


def reset_accumulated_memory_stats(device=None) -> None:
    """Does nothing: there is no GPU memory."""


def reset_accumulated_host_memory_stats() -> None:
    """Does nothing: there is no GPU memory."""


def reset_peak_host_memory_stats() -> None:
    """Does nothing: there is no GPU memory."""


def reset_max_memory_cached(device=None) -> None:
    """Does nothing: there is no GPU memory."""


def list_gpu_processes(device=None) -> str:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def set_per_process_memory_fraction(fraction, device=None) -> None:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def get_per_process_memory_fraction(device=None) -> float:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def caching_allocator_alloc(size, device=None, stream=None) -> int:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def caching_allocator_delete(mem_ptr) -> None:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def caching_allocator_enable(value: bool = True) -> None:
    """Does nothing: there is no GPU memory."""


def get_allocator_backend() -> str:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def change_current_allocator(allocator) -> None:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def use_mem_pool(pool, device=None):
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def utilization(device=None) -> int:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def memory_usage(device=None) -> int:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def device_memory_used(device=None) -> int:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def temperature(device=None) -> int:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def power_draw(device=None) -> int:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def clock_rate(device=None) -> int:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def get_sync_debug_mode() -> int:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def set_sync_debug_mode(debug_mode) -> None:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def current_blas_handle() -> int:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def current_solver_handle() -> int:
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def cudart():
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def graph_pool_handle():
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def get_stream_from_external(data_ptr, device=None):
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def make_graphed_callables(callables, sample_args, num_warmup_iters=3, allow_unused_input=False, pool=None):
    """There is no GPU: raises as PyTorch without CUDA."""
    raise _none()


def check_error(res: int) -> None:
    """RuntimeError for a result that is not 0."""
    if res != 0:
        raise RuntimeError(f"CUDA error {res}: there is no GPU")
