"""Uniform numbers: the fractions that the other distributions start from, and `uniform` itself."""

from __future__ import annotations

import numpy as np

from tenfold._core.random import libm
from tenfold._core.random.arguments import (
    DType,
    Shape,
    as_shape,
    find_floating,
    number_of_elements,
    round_to,
    show,
)
from tenfold._core.random.engine import Engine

# Words made at a time: their temporaries stay in the second-level cache.
_CHUNK = 1 << 15
_MASK24 = np.uint32(2**24 - 1)
_MASK53 = np.uint64(2**53 - 1)


def fractions32(engine: Engine, count: int) -> np.ndarray:
    """`count` float32 numbers in [0, 1), each the low 24 bits of one word."""
    result = np.empty(count, np.float32)
    for start in range(0, count, _CHUNK):
        part = result[start : start + _CHUNK]
        words = engine.random32(len(part))
        words &= _MASK24
        part[...] = words.view(np.int32)
        part *= np.float32(2.0**-24)
    return result


def fractions64(engine: Engine, count: int) -> np.ndarray:
    """`count` float64 numbers in [0, 1), each the low 53 bits of two words."""
    if count <= _CHUNK:
        pairs = engine.random64(count)
        pairs &= _MASK53
        return pairs.view(np.int64) * 2.0**-53
    result = np.empty(count, np.float64)
    for start in range(0, count, _CHUNK):
        part = result[start : start + _CHUNK]
        pairs = engine.random64(len(part))
        pairs &= _MASK53
        part[...] = pairs.view(np.int64)
        part *= 2.0**-53
    return result


def uniform(engine: Engine, shape: Shape, dtype: str = "float32", low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Independent numbers, uniform from `low` (included) to `high` (excluded up to rounding).

    Args:
        dtype: a floating dtype, or a complex one, whose real and imaginary parts are drawn in turn.
    Raises:
        RuntimeError: a bound or their distance is outside the dtype, or `low` is greater than `high`.
    """
    sizes = as_shape(shape)
    if dtype in ("complex64", "complex128"):
        part = "float32" if dtype == "complex64" else "float64"
        return uniform(engine, (*sizes, 2), part, low, high).view(dtype).reshape(sizes)
    kind = find_floating(dtype, "check_uniform_bounds")
    _check_bounds(kind, low, high)
    return _draw(engine, number_of_elements(sizes), kind, low, high).reshape(sizes)


def _check_bounds(kind: DType, low: float, high: float) -> None:
    for name, bound in (("from", low), ("to", high)):
        if not kind.lowest <= bound <= kind.highest:
            raise RuntimeError(f"{name} is out of bounds for {kind.c_name}: uniform_ got {name}={show(bound)}")
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={show(low)} > to={show(high)}"
        )
    if high - low > kind.highest:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{kind.label}>::max(), but found to={show(high)} "
            f"and from={show(low)} which result in to-from to exceed the limit"
        )


def _draw(engine: Engine, count: int, kind: DType, low: float, high: float) -> np.ndarray:
    is_unit = (low, high) == (0.0, 1.0)
    if kind.name == "float64":
        fractions = fractions64(engine, count)
        values = fractions if is_unit else libm.fma(fractions, high - low, low)
    else:
        fractions = fractions32(engine, count)
        values = round_to(fractions if is_unit else _scale32(fractions, low, high), kind)
    if is_unit and not kind.is_half:
        return values
    # What was rounded up to the bound that is excluded goes to the other bound.
    first, last = (round_to(np.array(bound, np.float64), kind) for bound in (low, high))
    values[values == last] = first
    return values


def _scale32(fractions: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scaled with one rounding to float32, between the bounds rounded to float32."""
    wide = fractions.astype(np.float64)
    wide *= float(np.float32(high) - np.float32(low))
    wide += float(np.float32(low))
    return wide.astype(np.float32)
