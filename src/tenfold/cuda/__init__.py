"""Asking for a GPU: there is no GPU backend yet, and these functions say so."""

from .._core.ops.devices import device as _device
from .._core.ops.devices import no_device as _no_device
from .queries import (
    caching_allocator_alloc,
    caching_allocator_delete,
    caching_allocator_enable,
    change_current_allocator,
    check_error,
    clock_rate,
    cudart,
    current_blas_handle,
    current_solver_handle,
    device_memory_used,
    get_allocator_backend,
    get_per_process_memory_fraction,
    get_stream_from_external,
    get_sync_debug_mode,
    graph_pool_handle,
    host_memory_stats,
    host_memory_stats_as_nested_dict,
    list_gpu_processes,
    make_graphed_callables,
    max_memory_cached,
    memory_cached,
    memory_snapshot,
    memory_stats,
    memory_stats_as_nested_dict,
    memory_usage,
    power_draw,
    reset_accumulated_host_memory_stats,
    reset_accumulated_memory_stats,
    reset_max_memory_cached,
    reset_peak_host_memory_stats,
    set_per_process_memory_fraction,
    set_sync_debug_mode,
    temperature,
    use_mem_pool,
    utilization,
)


def is_available() -> bool:
    """False: tenfold has no GPU backend yet."""
    return False


def device_count() -> int:
    """0."""
    return 0


def is_initialized() -> bool:
    """False."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no GPU."""
    return False


def manual_seed(seed: int) -> None:
    """Does nothing: there is no GPU to seed."""


def manual_seed_all(seed: int) -> None:
    """Does nothing: there is no GPU to seed."""


def seed() -> None:
    """Does nothing: there is no GPU to seed."""


def seed_all() -> None:
    """Does nothing: there is no GPU to seed."""


def empty_cache() -> None:
    """Does nothing: there is no GPU memory."""


def synchronize(device=None) -> None:
    """There is no GPU to wait for: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def current_device() -> int:
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def set_device(device) -> None:
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def get_device_name(device=None) -> str:
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def get_device_properties(device=None):
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def memory_allocated(device=None) -> int:
    """0 bytes."""
    return 0


def max_memory_allocated(device=None) -> int:
    """0 bytes."""
    return 0


def memory_reserved(device=None) -> int:
    """0 bytes."""
    return 0


def init() -> None:
    """There is nothing to initialise: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def get_device_capability(device=None) -> tuple[int, int]:
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def mem_get_info(device=None) -> tuple[int, int]:
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def can_device_access_peer(device, peer_device) -> bool:
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def memory_summary(device=None, abbreviated: bool = False) -> str:
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def ipc_collect() -> None:
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def max_memory_reserved(device=None) -> int:
    """0 bytes."""
    return 0


def reset_peak_memory_stats(device=None) -> None:
    """Does nothing: there is no GPU memory."""


def reset_max_memory_allocated(device=None) -> None:
    """Does nothing: there is no GPU memory."""


def get_arch_list() -> list[str]:
    """No GPU architectures."""
    return []


def get_rng_state_all() -> list:
    """No GPU has a generator."""
    return []


def set_rng_state_all(new_states) -> None:
    """Does nothing for no states; raises as PyTorch without CUDA for any."""
    if list(new_states):
        raise _no_device(_device("cuda"))


class device:
    """Chooses a GPU for a block; without any it only raises where one is asked for by a number that is not negative."""

    def __init__(self, device):
        self.idx = _device(device).index if isinstance(device, str) else device

    def __enter__(self):
        if self.idx is not None and self.idx >= 0:
            raise _no_device(_device("cuda"))

    def __exit__(self, *error) -> bool:
        return False


class _TypeMeta(type):
    """Types of tensors on a GPU: no tensor is one, and none can be made."""

    def __instancecheck__(cls, t) -> bool:
        return False

    def __call__(cls, *args, **kwargs):
        raise TypeError(
            f"type torch.cuda.{cls.__name__} not available. Torch not compiled with CUDA enabled:"
            " tenfold has no GPU backend yet"
        )


for _name in "Float Double Half BFloat16 Byte Char Short Int Long Bool".split():
    globals()[f"{_name}Tensor"] = _TypeMeta(f"{_name}Tensor", (), {"__module__": "torch.cuda"})


class Stream:
    """There is no GPU to have streams: making one raises as PyTorch without CUDA."""

    def __init__(self, device=None, priority: int = 0, **more):
        raise _no_device(_device("cuda"))


class Event:
    """There is no GPU to have events: making one raises as PyTorch without CUDA."""

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False, external: bool = False
    ):
        raise RuntimeError(f"Tried to instantiate an Event: {_no_device(_device('cuda'))}")


def current_stream(device=None) -> Stream:
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def default_stream(device=None) -> Stream:
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def get_rng_state(device="cuda"):
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def set_rng_state(new_state, device="cuda") -> None:
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def initial_seed() -> int:
    """There is none: raises as PyTorch without CUDA."""
    raise _no_device(_device("cuda"))


def is_tf32_supported() -> bool:
    """False: there is no GPU."""
    return False


def get_gencode_flags() -> str:
    """No GPU architectures, no flags."""
    return ""


def is_current_stream_capturing() -> bool:
    """False: there are no streams."""
    return False


class StreamContext:
    """A block on a stream: without a GPU there is only `None`, and nothing is different."""

    def __init__(self, stream):
        self.stream = stream

    def __enter__(self):
        if self.stream is not None:
            raise _no_device(_device("cuda"))

    def __exit__(self, *error) -> None:
        pass


def stream(stream) -> StreamContext:
    """A block on a stream; `None` changes nothing."""
    return StreamContext(stream)


def set_stream(stream) -> None:
    """Does nothing for None; raises as PyTorch without CUDA for a stream."""
    if stream is not None:
        raise _no_device(_device("cuda"))


class device_of(device):
    """A block on the GPU of a tensor: a tensor on the CPU changes nothing."""

    def __init__(self, obj):
        super().__init__(obj.device.index if getattr(obj, "is_cuda", False) else -1)


class CUDAGraph:
    """There is no GPU: making one raises RuntimeError."""

    def __init__(self, keep_graph: bool = False):
        raise RuntimeError(f"Tried to instantiate a CUDAGraph: {_no_device(_device('cuda'))}")


class ExternalStream(Stream):
    """There is no GPU to have streams: making one raises as PyTorch without CUDA."""

    def __init__(self, stream_ptr, device=None, **kwargs):
        super().__init__(device)


class CudaError(RuntimeError):
    """An error that a GPU's driver reports."""

    def __init__(self, code: int):
        super().__init__(f"CUDA error {code}")


has_half = True
has_magma = False
default_generators = ()


def __getattr__(name: str):
    if name == "amp":  # waits for its first use
        from importlib import import_module

        return import_module(f"{__name__}.amp")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'", name=name)
