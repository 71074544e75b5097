"""`autocast`: a block in which products and convolutions are computed in a lower precision, without a change to the model."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import tenfold as torch

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

_LOW = (torch.bfloat16, torch.float16)


def is_autocast_available(device_type: str) -> bool:
    """Whether there is autocast for devices of that type in PyTorch, be there such a device or not."""
    kind = torch.device(device_type).type
    try:
        torch.get_autocast_dtype(kind)
    except RuntimeError:
        return False
    return True


class autocast:
    """Products and convolutions of the block are computed in a lower precision, losses in float32. A context or a decorator.

    Wrap forward and loss in it; call `backward()` outside, where each gradient has the dtype of what it belongs to.
    Parameters stay float32. In-place and `out=` calls are not affected, nor float64.

    Args:
        device_type: "cpu". For a device that is not there autocast is off, with a warning for "cuda".
        dtype: the lower precision, torch.bfloat16 or torch.float16. Default: bfloat16 on the CPU, float16 on GPUs.
        enabled: False makes the block run without autocast, whatever is around it. Default True.
        cache_enabled: accepted; converted weights are not kept. Default: as set before.
    Raises: ValueError where device_type is not a str; RuntimeError for a type of device without autocast.
    Source: Micikevicius et al. 2018, Mixed precision training; PyTorch's lists of operations on the CPU.
    Example: with torch.autocast("cpu"): loss = loss_of(model(x), y)
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = device_type
        self.fast_dtype = torch.get_autocast_dtype(device_type) if dtype is None else dtype
        self._cache_enabled = torch.is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        self._enabled = enabled and self._is_possible()
        self._before: list[tuple] = []

    def _is_possible(self) -> bool:
        if self.device == "cuda":
            warnings.warn(
                "CUDA is not available: autocast is disabled. Use autocast('cpu').", UserWarning, stacklevel=3
            )
            return False
        if self.device == "cpu" and self.fast_dtype not in _LOW:
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast: CPU autocast casts to "
                f"torch.bfloat16 or torch.float16, not to {self.fast_dtype}.",
                UserWarning,
                stacklevel=3,
            )
            return False
        return True

    def __enter__(self) -> autocast:
        kind = self.device
        self._before.append(
            (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind), torch.is_autocast_cache_enabled())
        )
        torch.set_autocast_enabled(kind, self._enabled)
        torch.set_autocast_dtype(kind, self.fast_dtype)
        torch.set_autocast_cache_enabled(self._cache_enabled)
        torch.autocast_increment_nesting()
        return self

    def __exit__(self, *error: object) -> None:
        enabled, dtype, cache = self._before.pop()
        torch.autocast_decrement_nesting()
        torch.set_autocast_enabled(self.device, enabled)
        torch.set_autocast_dtype(self.device, dtype)
        torch.set_autocast_cache_enabled(cache)

    def __call__(self, func: Callable) -> Callable:
        @functools.wraps(func)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return decorated


def _check_type(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


def _cast(value: Any, dtype: Any) -> Any:
    """Floating tensors in nested lists, tuples and dicts, converted; float64 stays."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype) if value.is_floating_point() and value.dtype is not torch.float64 else value
    if isinstance(value, dict):
        return {_cast(key, dtype): _cast(item, dtype) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_cast(item, dtype) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def custom_fwd(fwd: Callable | None = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """Decorates the `forward` of an autograd.Function, so that its `backward` (see `custom_bwd`) runs in the same autocast.

    Args:
        device_type: "cpu".
        cast_inputs: under autocast, floating tensors among the arguments are converted to this dtype, and forward and
            backward run without autocast. Default None: they run as what is around the call.
    """
    _check_type(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype = torch.get_autocast_dtype(device_type)
        ctx._autocast = torch.is_autocast_enabled(device_type)
        if cast_inputs is None or not ctx._autocast:
            ctx._autocast = ctx._autocast and cast_inputs is None
            return fwd(ctx, *args, **kwargs)
        ctx._autocast = False
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_cast(args, cast_inputs), **_cast(kwargs, cast_inputs))

    return decorated


def custom_bwd(bwd: Callable | None = None, *, device_type: str) -> Any:
    """Decorates the `backward` of an autograd.Function whose `forward` has `custom_fwd`: it runs in forward's autocast."""
    _check_type(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        ctx = args[0]
        with autocast(device_type, enabled=ctx._autocast, dtype=ctx._dtype):
            return bwd(*args, **kwargs)

    return decorated
