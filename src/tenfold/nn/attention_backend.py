"""Which implementation of `scaled_dot_product_attention` is allowed: tenfold has one, so the choice is only remembered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum

from tenfold.backends import cuda

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(Enum):
    """Implementations of attention in PyTorch."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    def __int__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"<SDPBackend.{self.name}: {self.value}>"


_FLAGS = {
    SDPBackend.FLASH_ATTENTION: (cuda.flash_sdp_enabled, cuda.enable_flash_sdp),
    SDPBackend.EFFICIENT_ATTENTION: (cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp),
    SDPBackend.MATH: (cuda.math_sdp_enabled, cuda.enable_math_sdp),
    SDPBackend.CUDNN_ATTENTION: (cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp),
}


@contextmanager
def sdpa_kernel(backends: Sequence[SDPBackend] | SDPBackend, set_priority: bool = False) -> Iterator[None]:
    """Allows these implementations of `scaled_dot_product_attention` in a block, and no others.

    It sets the flags that `torch.backends.cuda.flash_sdp_enabled()` and its like show; what is computed is the same.

    Args:
        backends: one SDPBackend, or several.
        set_priority: prefer them in this order. Default False.
    Raises: AssertionError for what is no SDPBackend.
    """
    wanted = [backends] if isinstance(backends, SDPBackend) else backends
    if not isinstance(wanted, Sequence) or not all(isinstance(b, SDPBackend) for b in wanted):
        raise AssertionError(f"sdpa_kernel: an SDPBackend or a list of them is expected, got {backends!r}")
    before = {backend: is_on() for backend, (is_on, _) in _FLAGS.items()}
    try:
        for backend, (_, switch) in _FLAGS.items():
            switch(backend in wanted)
        yield
    finally:
        for backend, (_, switch) in _FLAGS.items():
            switch(before[backend])
