"""Element-wise functions that must round as the C library does, not as NumPy's own vector code.

NumPy's float64 logarithm, for one, differs from the C library's by a last bit in one of some hundred values.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

_SPLIT = float(2**27 + 1)
# A larger factor would overflow when it is split in two.
_LARGEST_SPLIT = 2.0**900
_DOWN = 2.0**-200


def _elementwise(function: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    def apply(x: np.ndarray) -> np.ndarray:
        values = np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size)
        return values.reshape(x.shape)

    return apply


def _exp_or_inf(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


log = _elementwise(math.log)
log1p = _elementwise(math.log1p)
cos = _elementwise(math.cos)
sin = _elementwise(math.sin)
tan = _elementwise(math.tan)
exp = _elementwise(_exp_or_inf)


def fma(factor: np.ndarray, other: float, addend: float) -> np.ndarray:
    """factor * other + addend in float64, rounded as if once (Dekker 1971: exact product and sum in two parts)."""
    if _LARGEST_SPLIT < abs(other) < math.inf:
        return fma(factor, other * _DOWN, addend * _DOWN) / _DOWN
    product = factor * other
    if addend == 0.0 or other == 1.0 or not np.all(np.isfinite(product)):
        return product + addend
    low = _product_error(factor, other, product)
    total = product + addend
    virtual = total - product
    error = (product - (total - virtual)) + (addend - virtual)
    return total + (error + low)


def _product_error(x: np.ndarray, y: float, product: np.ndarray) -> np.ndarray:
    x_high, x_low = _halves(x)
    y_high, y_low = _halves(np.array(y))
    return ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low


def _halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaled = x * _SPLIT
    high = scaled - (scaled - x)
    return high, x - high
