"""Anomaly mode: `backward()` goes step by step, and the first gradient with a NaN is an error that names its function."""

from __future__ import annotations

import warnings

import numpy as np

from ..ir.dtypes import bfloat16, decode
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from ..trace.walk import detach


class _State:
    """For the whole process, as in PyTorch."""

    enabled = False
    check_nan = True


state = _State()


def is_anomaly_enabled() -> bool:
    """Whether `backward()` looks for NaN: see `torch.autograd.detect_anomaly`."""
    return state.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether a NaN is an error in anomaly mode."""
    return state.check_nan


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Switches anomaly mode."""
    state.enabled, state.check_nan = bool(enabled), bool(check_nan)


class set_detect_anomaly:
    """Anomaly mode on or off: at once, and as a context until its end.

    Args: mode: on or off. check_nan: a gradient with a NaN is an error. Default True.
    """

    def __init__(self, mode: bool, check_nan: bool = True):
        self.before = (state.enabled, state.check_nan)
        set_anomaly_enabled(mode, check_nan)

    def __enter__(self):
        pass

    def __exit__(self, *error):
        set_anomaly_enabled(*self.before)


class detect_anomaly(set_detect_anomaly):
    """A context in which `backward()` raises RuntimeError at the first gradient that has a NaN, and names its function.

    It goes step by step then, and is slow. Args: check_nan: default True."""

    def __init__(self, check_nan: bool = True):
        warnings.warn(
            "Anomaly Detection has been enabled. It makes backward slow: use it to find an error only.", stacklevel=2
        )
        super().__init__(True, check_nan)
        set_anomaly_enabled(*self.before)
        self.check_nan = check_nan

    def __enter__(self):
        self.before = (state.enabled, state.check_nan)
        set_anomaly_enabled(True, self.check_nan)


def check(grads, name: str) -> None:
    """RuntimeError for a gradient with a NaN; it reads the values."""
    if not state.check_nan:
        return
    for k, g in enumerate(grads):
        if not isinstance(g, Tensor) or g.is_sparse:
            continue
        d = layout_of(g).dtype
        if (d.is_floating_point or d.is_complex) and np.isnan(_values(g)).any():
            raise RuntimeError(
                f"Function '{name}' returned nan values in its {k}th output. Look at what that operation gets in forward: "
                "the square root or the logarithm of 0, and 0 / 0, have no finite gradient."
            )


def _values(g: Tensor) -> np.ndarray:
    array = array_of(detach(g))
    return decode(array, bfloat16) if layout_of(g).dtype is bfloat16 else array
