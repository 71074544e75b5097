"""Pairs of uniform numbers to pairs of standard normal ones (Box and Muller 1958), rounded as PyTorch rounds them.

Blocks of 16 numbers: the first eight give radii, the last eight angles. In float32 PyTorch evaluates the single
precision logarithm, sine and cosine of the Cephes library (S. Moshier) eight lanes at a time with fused
multiply-adds. NumPy has no fused multiply-add, so each one is computed in float64, where the product of two float32
numbers is exact, and rounded once. In float64 PyTorch calls the C library, and so does `libm`.
"""

from __future__ import annotations

import math

import numpy as np

from tenfold._core.random import libm

BLOCK = 16
_HALF_BLOCK = 8
# Pairs worked on at a time: small enough that all temporaries stay in the second-level cache.
_CHUNK_BLOCKS = 1024

_f32 = np.float32
_TWO_PI32 = _f32(2.0 * math.pi)

# Cephes logf: log(1 + m) = m - m**2 / 2 + m**3 * P(m); the exponent's share of ln 2 in two parts.
_LOG_P = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_LN2_LOW = _f32(-2.12194440e-4)
_LN2_HIGH = _f32(0.693359375)
_SQRT_HALF = _f32(0.707106781186547524)

# Cephes sinf and cosf: polynomials in the square on [-pi/4, pi/4]; pi/4 in three parts.
_FOUR_OVER_PI = _f32(1.27323954473516)
_QUARTER_PI_PARTS = (0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)
_SIN_P = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS_P = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)


def normal_blocks32(uniform: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Replace a float32 array of whole blocks of 16 uniforms in [0, 1) by normal numbers, in place, and return it."""
    blocks = uniform.reshape(-1, 2, _HALF_BLOCK)
    mean64 = float(_f32(mean))
    std64 = float(_f32(std))
    for start in range(0, len(blocks), _CHUNK_BLOCKS):
        chunk = blocks[start : start + _CHUNK_BLOCKS]
        radius = np.sqrt(_f32(-2.0) * _log32(_f32(1.0) - chunk[:, 0]))
        sine, cosine = _sin_cos32(_TWO_PI32 * chunk[:, 1])
        chunk[:, 0] = _fma(radius * cosine, std64, mean64)
        chunk[:, 1] = _fma(radius * sine, std64, mean64)
    return uniform


def normal_blocks64(uniform: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Replace a float64 array of whole blocks of 16 uniforms in [0, 1) by normal numbers, in place, and return it."""
    blocks = uniform.reshape(-1, 2, _HALF_BLOCK)
    radius = np.sqrt(-2.0 * libm.log(1.0 - blocks[:, 0]))
    angle = 2.0 * math.pi * blocks[:, 1]
    blocks[:, 0] = libm.fma(radius * libm.cos(angle), std, mean)
    blocks[:, 1] = libm.fma(radius * libm.sin(angle), std, mean)
    return uniform


def _fma(factor: np.ndarray, other: np.ndarray | float, addend: np.ndarray | float) -> np.ndarray:
    """factor * other + addend with one rounding to float32."""
    wide = factor.astype(np.float64)
    wide *= other
    wide += addend
    return wide.astype(_f32)


def _polynomial(x: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """Horner's rule in float32 fused steps."""
    wide = x.astype(np.float64)
    narrow = np.empty(x.shape, _f32)
    scratch = wide * float(_f32(coefficients[0]))
    for coefficient in coefficients[1:-1]:
        scratch += float(_f32(coefficient))
        narrow[...] = scratch
        scratch[...] = narrow
        scratch *= wide
    scratch += float(_f32(coefficients[-1]))
    narrow[...] = scratch
    return narrow


def _log32(x: np.ndarray) -> np.ndarray:
    bits = x.view(np.int32) if x.flags.c_contiguous else np.ascontiguousarray(x).view(np.int32)
    exponent = ((bits >> 23) - 126).astype(_f32)
    mantissa = ((bits & 0x7FFFFF) | 0x3F000000).view(_f32)
    low = mantissa < _SQRT_HALF
    exponent -= low
    # Below the square root of a half the mantissa is doubled, so that m lies around zero.
    m = mantissa - _f32(1.0) + np.where(low, mantissa, _f32(0.0))
    square = m * m
    y = _polynomial(m, _LOG_P) * m
    y = _fma(y, square, exponent * _LN2_LOW)
    y = _fma(square, -0.5, y)
    return _fma(exponent, float(_LN2_HIGH), m + y)


def _sin_cos32(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of a float32 array of angles in [0, 2 pi]."""
    octant = (x * _FOUR_OVER_PI).astype(np.int32)
    octant += 1
    octant &= ~1
    count = octant.astype(np.float64)
    reduced = x
    for part in _QUARTER_PI_PARTS:
        reduced = _fma(count, -float(_f32(part)), reduced)
    square = reduced * reduced
    even = _polynomial(square, _COS_P) * square
    even = _fma(even, square, square * _f32(-0.5)) + _f32(1.0)
    odd = _polynomial(square, _SIN_P) * square
    odd = _fma(odd, reduced, reduced)
    swap = (octant & 2) != 0
    sine = np.where(swap, even, odd)
    cosine = np.where(swap, odd, even)
    _flip_sign(sine, octant)
    _flip_sign(cosine, octant + 2)
    return sine, cosine


def _flip_sign(x: np.ndarray, octant: np.ndarray) -> None:
    """Negate in place where bit 2 of the octant is set."""
    bits = x.view(np.int32)
    bits ^= (octant & 4) << 29
