"""exp of float32 as PyTorch's vector code computes it, to the last bit, with Sleef.

NumPy's float32 exp differs from it in every third value. This one takes some twenty times as long, so it is for few
numbers, whose rounding later steps magnify. What PyTorch computes one by one, with the C library, is in random/libm.py.

Source: Shibata and Petrogalli, "SLEEF: a portable vectorized library of C standard mathematical functions", 2020.
"""

from __future__ import annotations

import math

import numpy as np

from ..ir.arrays import compiled_as
from .ordered import fma

_F4 = np.float32
_PER_LN2 = _F4(1 / math.log(2))
_LN2 = _F4(0.693145751953125), _F4(1.428606765330187e-06)  # in two parts, the first with zeros at its end
_POLYNOMIAL = [_F4(c) for c in (0.00019852762, 0.0013930436, 0.008333361, 0.041666485, 0.16666667, 0.5)]


@compiled_as("exp")
def exp(x: np.ndarray) -> np.ndarray:
    """exp of float32, by a polynomial around the nearest multiple of log(2)."""
    n = np.rint(x * _PER_LN2)
    r = fma(n, -_LN2[1], fma(n, -_LN2[0], x))
    p = _POLYNOMIAL[0]
    for c in _POLYNOMIAL[1:]:
        p = fma(r, p, c)
    out = np.ldexp(fma(r * r, p, r) + 1, np.clip(np.nan_to_num(n), -300, 300).astype(np.int32))
    return np.where(x < -104, _F4(0), np.where(x > 104, _F4(np.inf), np.where(np.isnan(x), x, out)))
