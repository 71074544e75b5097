"""What `torch.is_autocast_enabled` and its like read and set, for each thread. On the CPU it is autocast; what is set for
other devices is kept, and has no effect while there is no such device."""

from __future__ import annotations

import threading
import warnings

from ..ir.dtypes import bfloat16, dtype, float16
from ..ops.autocast import DTYPES
from ..ops.declare import PUBLIC
from ..ops.devices import device
from ..trace.walk import set_cast

LOW = {"cpu": bfloat16, "xla": bfloat16}  # the lower precision at first; float16 for other devices
HAVE_AUTOCAST = ("cpu", "cuda", "xpu", "ipu", "hpu", "xla", "mtia", "maia", "mps", "privateuseone")


class _State(threading.local):
    def __init__(self):
        self.enabled: set[str] = set()
        self.dtypes: dict[str, dtype] = {}
        self.nesting = 0
        self.cache = True


_state = _State()


def _type_of(device_type) -> str:
    if not isinstance(device_type, str):
        raise TypeError(f"argument 'device_type' must be str, not {type(device_type).__name__}")
    return device(device_type).type


def _apply(kind: str) -> None:
    """On the CPU the setting takes effect."""
    if kind == "cpu":
        on = kind in _state.enabled and get_autocast_dtype(kind) in DTYPES
        set_cast(get_autocast_dtype(kind) if on else None)


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on in this thread, for that type of device."""
    return _type_of(device_type) in _state.enabled


def set_autocast_enabled(device_type, enabled: bool | None = None) -> None:
    """Switches autocast for a type of device; with one argument, a bool, for `cuda`."""
    if enabled is None:
        device_type, enabled = "cuda", device_type
    kind = _type_of(device_type)
    if not isinstance(enabled, bool):
        raise TypeError(f"set_autocast_enabled(): argument 'enabled' must be bool, not {type(enabled).__name__}")
    if enabled:
        _state.enabled.add(kind)
    else:
        _state.enabled.discard(kind)
    _apply(kind)


def get_autocast_dtype(device_type: str) -> dtype:
    """What autocast casts to, for that type of device."""
    kind = _type_of(device_type)
    if kind not in HAVE_AUTOCAST:
        raise RuntimeError(f"unsupported scalarType: there is no autocast for device type '{kind}'")
    return _state.dtypes.get(kind, LOW.get(kind, float16))


def set_autocast_dtype(device_type: str, dtype) -> None:
    """Sets what autocast casts to, for that type of device."""
    kind = _type_of(device_type)
    _state.dtypes[kind] = dtype
    _apply(kind)


def autocast_increment_nesting() -> int:
    """Enters one more autocast block; returns how many there are."""
    _state.nesting += 1
    return _state.nesting


def autocast_decrement_nesting() -> int:
    """Leaves an autocast block; returns how many there are."""
    _state.nesting -= 1
    return _state.nesting


def is_autocast_cache_enabled() -> bool:
    """What `set_autocast_cache_enabled` was given; True at first."""
    return _state.cache


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Whether PyTorch may keep converted weights; tenfold keeps none, for equal casts of a program are one."""
    _state.cache = bool(enabled)


def clear_autocast_cache() -> None:
    """Does nothing: there is no cache."""


for _f in (
    is_autocast_enabled, set_autocast_enabled, get_autocast_dtype, set_autocast_dtype, autocast_increment_nesting,
    autocast_decrement_nesting, is_autocast_cache_enabled, set_autocast_cache_enabled, clear_autocast_cache,
):  # fmt: skip
    PUBLIC["torch"][_f.__name__] = _f


def _deprecated(name: str, instead: str, f, *before):
    def call(*args):
        warnings.warn(
            f"torch.{name}(...) is deprecated. Please use torch.{instead} instead.", DeprecationWarning, stacklevel=2
        )
        return f(*before, *args)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Deprecated: use `torch.{instead}`."
    PUBLIC["torch"][name] = call


for _name, _kind in (("cpu", "cpu"), ("gpu", "cuda"), ("ipu", "ipu"), ("xla", "xla")):
    _deprecated(f"get_autocast_{_name}_dtype", f"get_autocast_dtype('{_kind}')", get_autocast_dtype, _kind)
    _deprecated(f"set_autocast_{_name}_dtype", f"set_autocast_dtype('{_kind}', dtype)", set_autocast_dtype, _kind)
    if _kind != "cuda":
        _deprecated(f"is_autocast_{_name}_enabled", f"is_autocast_enabled('{_kind}')", is_autocast_enabled, _kind)
        _deprecated(
            f"set_autocast_{_name}_enabled", f"set_autocast_enabled('{_kind}', enabled)", set_autocast_enabled, _kind
        )
