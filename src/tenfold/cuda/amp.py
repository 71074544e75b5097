"""Older names of what `torch.amp` has, for the device type "cuda"."""

import warnings

import tenfold as torch
from tenfold import amp

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


def warn(name: str) -> None:
    warnings.warn(
        f"`torch.cuda.amp.{name}(args...)` is deprecated. Please use `torch.amp.{name}('cuda', args...)` instead.",
        FutureWarning,
        stacklevel=3,
    )


class autocast(amp.autocast):
    """Deprecated: use `torch.amp.autocast("cuda", ...)`."""

    def __init__(self, enabled: bool = True, dtype=torch.float16, cache_enabled: bool = True) -> None:
        warn("autocast")
        super().__init__("cuda", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """Deprecated: use `torch.amp.GradScaler("cuda", ...)`."""

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        warn("GradScaler")
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


def custom_fwd(fwd=None, *, cast_inputs=None):
    """Deprecated: use `torch.amp.custom_fwd(..., device_type="cuda")`."""
    warn("custom_fwd")
    return amp.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


def custom_bwd(bwd):
    """Deprecated: use `torch.amp.custom_bwd(..., device_type="cuda")`."""
    warn("custom_bwd")
    return amp.custom_bwd(bwd, device_type="cuda")
