"""Asking for a GPU: there is no GPU backend yet, and these functions say so."""

from ._core.ops.devices import device as _device
from ._core.ops.devices import no_device as _no_device


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
