"""Element-wise functions that must round as the C library does, not as NumPy's own vector code.

NumPy's float64 logarithm, for one, differs from the C library's by a last bit in one of some hundred values.
In float32, glibc (2.27 and later) evaluates short polynomials in float64, Arm's; so do `exp32` and `log32`, which
leave it no difference. (NumPy's float64 functions, rounded, differ in one of 2000 exponentials and 140 logarithms.)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from ..ir.arrays import compiled_as

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

# 2**(r / 32) - 1 and log(1 + r), coefficients of the highest power first.
_EXP_P = (0.05550361559341535 / 32**3, 0.2402284522445722 / 32**2, 0.6931471806916203 / 32)
_LOG_P = (-0.25089342214237154, 0.333456765744066, -0.4999997485802103, 1.0)


@compiled_as("exp")
def exp32(x: np.ndarray) -> np.ndarray:
    """expf of float32 numbers below infinity."""
    rest = np.multiply(x, 32 / math.log(2), dtype=np.float64)
    np.maximum(rest, -1e4, out=rest)  # as good as -inf, and has a rest
    whole = np.rint(rest)
    rest -= whole
    out = _polynomial(_EXP_P, rest)
    out += 1
    whole /= 32
    out *= np.exp2(whole, out=whole)
    return out.astype(np.float32)


@compiled_as("log")
def log32(x: np.ndarray) -> np.ndarray:
    """logf of float32 numbers, each 0 or normal, positive and below 2**127."""
    inverses, logs = _log_pieces()
    piece = x.view(np.int32) - _FIRST
    piece >>= _PIECE_BITS
    rest = x * inverses.take(piece, mode="clip")
    rest -= 1
    out = _polynomial(_LOG_P, rest)
    out += logs.take(piece, mode="clip")
    return out.astype(np.float32)


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """The last coefficient is that of x."""
    out = coefficients[0] * x
    for c in coefficients[1:]:
        out += c
        out *= x
    return out


# An octave has 16 pieces, of as many numbers each; one has a power of two inside. The first of all has 0.
_PIECE_BITS = 19
_FIRST = 0x030000 - (1 << _PIECE_BITS)


@functools.cache
def _log_pieces() -> tuple[np.ndarray, np.ndarray]:
    """1 / c and log(c) of each piece's c: its power of two or its middle, moved in the piece after a power of two."""
    starts = _FIRST + (np.arange(4080, dtype=np.int32) << _PIECE_BITS)
    in_octave = starts & 0x7FFFFF
    c = (starts + np.where(in_octave == 0x7B0000, 0x050000, 0x040000).astype(np.int32)).view(np.float32)
    c = c.astype(np.float64)
    c[in_octave == 0x030000] /= 1.0546875 * 0.9492859795739057
    c[0] = 1.0
    logs = np.log(c)
    logs[0] = -np.inf
    return 1 / c, logs


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
