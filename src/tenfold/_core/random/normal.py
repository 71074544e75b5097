"""Normal and log-normal numbers: one at a time below 16 elements, in blocks of 16 from there."""

from __future__ import annotations

import math

import numpy as np

from tenfold._core.random import libm
from tenfold._core.random.arguments import DType, Shape, as_shape, find_floating, number_of_elements, round_to, show
from tenfold._core.random.box_muller import BLOCK, normal_blocks32, normal_blocks64
from tenfold._core.random.engine import Engine
from tenfold._core.random.uniform import fractions32, fractions64


@np.errstate(over="ignore", invalid="ignore")
def normal(
    engine: Engine,
    shape: Shape,
    dtype: str = "float32",
    mean: float = 0.0,
    std: float = 1.0,
    in_blocks: bool = True,
) -> np.ndarray:
    """Independent normal numbers.

    Args:
        in_blocks: whether from 16 elements on they are made in blocks, as PyTorch fills contiguous memory; else one
            after the other. Default True.
        dtype: a floating dtype, or a complex one, whose parts each have half of the variance.
    Raises:
        RuntimeError: `std` is negative or NaN.
    Source: Box and Muller 1958.
    """
    if not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {show(std)}")
    sizes = as_shape(shape)
    if dtype in ("complex64", "complex128"):
        part = "float32" if dtype == "complex64" else "float64"
        return normal(engine, (*sizes, 2), part, mean, std / math.sqrt(2.0), in_blocks).view(dtype).reshape(sizes)
    kind = find_floating(dtype, "normal_kernel_cpu")
    count = number_of_elements(sizes)
    if count < BLOCK or not in_blocks:
        values = round_to(libm.fma(standard_normals(engine, count), float(std), float(mean)), kind)
    else:
        values = _blocks(engine, count, kind, float(mean), float(std))
    return values.reshape(sizes)


@np.errstate(over="ignore", invalid="ignore")
def normal_like(
    engine: Engine, mean: float | np.ndarray, std: float | np.ndarray, dtype: str = "float32"
) -> np.ndarray:
    """Normal numbers with a mean or a standard deviation (or both) for each element, broadcast to one shape.

    Args:
        mean, std: a number or an array; the result is computed as ``draw * std + mean``.
        dtype: that of the result.
    Raises:
        RuntimeError: an element of `std` is negative or NaN.
    """
    if isinstance(std, np.ndarray):
        if not np.all(std >= 0.0):
            raise RuntimeError("normal expects all elements of std >= 0.0")
    elif not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {show(std)}")
    kind = find_floating(dtype, "normal_kernel_cpu")
    sizes = np.broadcast_shapes(np.shape(mean), np.shape(std))
    if isinstance(std, np.ndarray):
        draw = normal(engine, sizes, dtype)
        draw = round_to(draw * std.astype(draw.dtype, copy=False), kind)
    else:
        draw = normal(engine, sizes, dtype, 0.0, std)
    return round_to(draw + round_to(np.asarray(mean, np.float64), kind), kind)


@np.errstate(over="ignore", invalid="ignore")
def log_normal(engine: Engine, shape: Shape, dtype: str = "float32", mean: float = 1.0, std: float = 2.0) -> np.ndarray:
    """Numbers whose logarithm is normal with the given mean and standard deviation."""
    if not std > 0.0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={show(std)}")
    kind = find_floating(dtype, "log_normal_cpu")
    sizes = as_shape(shape)
    is_exact = kind.name == "float64"
    draws = standard_normals(engine, number_of_elements(sizes), is_exact)
    exponents = libm.fma(draws, float(std), float(mean))
    with np.errstate(over="ignore"):
        values = libm.exp(exponents) if is_exact else np.exp(exponents)
    return round_to(values, kind).reshape(sizes)


def standard_normals(engine: Engine, count: int, is_exact: bool = True) -> np.ndarray:
    """`count` float64 normal numbers made in pairs; the second of a pair waits in the engine for the next draw.

    Where `is_exact` is false NumPy's functions may leave the last bit different from PyTorch's.
    """
    result = np.empty(count, np.float64)
    filled = 0
    engine.remember()
    if count and engine.spare_double is not None:
        result[0] = engine.spare_double
        engine.spare_double = None
        filled = 1
    missing = count - filled
    uniforms = fractions64(engine, missing - missing % 2).reshape(-1, 2)
    log1p, cos, sin = (libm.log1p, libm.cos, libm.sin) if is_exact else (np.log1p, np.cos, np.sin)
    angle = 2.0 * math.pi * uniforms[:, 0]
    radius = np.sqrt(-2.0 * log1p(-uniforms[:, 1]))
    stop = filled + len(angle) * 2
    result[filled:stop:2] = radius * cos(angle)
    result[filled + 1 : stop : 2] = radius * sin(angle)
    if missing % 2:
        result[-1] = next_normal(engine)
    return result


def next_normal(engine: Engine) -> float:
    """One float64 normal number, for the methods that need an unknown number of them."""
    engine.remember()
    spare = engine.spare_double
    if spare is not None:
        engine.spare_double = None
        return spare
    angle = 2.0 * math.pi * engine.next_uniform()
    radius = math.sqrt(-2.0 * math.log1p(-engine.next_uniform()))
    engine.spare_double = radius * math.sin(angle)
    return radius * math.cos(angle)


def _blocks(engine: Engine, count: int, kind: DType, mean: float, std: float) -> np.ndarray:
    """From 16 elements on: whole blocks, and when some are left over the last 16 elements drawn once more.

    float32 and float64 draw a uniform number for the left-over elements too before they overwrite them;
    the half types do not.
    """
    fractions, transform = (fractions64, normal_blocks64) if kind.name == "float64" else (fractions32, normal_blocks32)
    whole = count - count % BLOCK
    result = np.empty(count, kind.array)
    if kind.is_half:
        result[:whole] = fractions(engine, whole)
    else:
        result[...] = fractions(engine, count)
    transform(result[:whole], mean, std)
    if whole != count:
        result[-BLOCK:] = transform(fractions(engine, BLOCK), mean, std)
    return round_to(result, kind)
