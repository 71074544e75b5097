"""Distributions that turn one float64 uniform number into one draw: exponential, Cauchy, geometric.

Where the result is narrower than float64 the last bit of a function is lost, and NumPy's own, faster ones serve.
"""

from __future__ import annotations

import math

import numpy as np

from tenfold._core.random import libm
from tenfold._core.random.arguments import Shape, as_shape, find_dtype, number_of_elements, round_to, show, unsupported
from tenfold._core.random.engine import Engine
from tenfold._core.random.uniform import fractions64


def exponential(engine: Engine, shape: Shape, dtype: str = "float32", rate: float = 1.0) -> np.ndarray:
    """Waiting times of a process with `rate` events in a unit of time."""
    kind = find_dtype(dtype, "exponential_cpu")
    if not kind.is_floating:
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution. "
            f"dtype must be a floating point but you specified {kind.label}"
        )
    if not rate > 0.0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={show(rate)}")
    sizes = as_shape(shape)
    fractions = fractions64(engine, number_of_elements(sizes))
    log1p = libm.log1p if kind.name == "float64" else np.log1p
    return round_to(-1.0 / rate * log1p(-fractions), kind).reshape(sizes)


@np.errstate(over="ignore", invalid="ignore")
def cauchy(engine: Engine, shape: Shape, dtype: str = "float32", median: float = 0.0, sigma: float = 1.0) -> np.ndarray:
    """Numbers of a Cauchy distribution with the given median and half-width at half-maximum."""
    kind = find_dtype(dtype, "cauchy_cpu")
    if not kind.is_floating:
        raise RuntimeError(
            "Cauchy distribution is a continuous probability distribution. "
            f"dtype must be a floating point but you specified {kind.c_name}"
        )
    if not sigma > 0.0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={show(sigma)}")
    sizes = as_shape(shape)
    fractions = fractions64(engine, number_of_elements(sizes))
    tan = libm.tan if kind.name == "float64" else np.tan
    tangent = tan(math.pi * (fractions - 0.5))
    return round_to(libm.fma(tangent, float(sigma), float(median)), kind).reshape(sizes)


def geometric(engine: Engine, shape: Shape, dtype: str = "float32", p: float = 0.5) -> np.ndarray:
    """Number of trials up to the first success, each with probability `p`; any real dtype but bool."""
    if not 0.0 < p < 1.0:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={show(p)}")
    kind = find_dtype(dtype, "geometric_cpu")
    if kind.name == "bool":
        raise unsupported("geometric_cpu", kind.label)
    sizes = as_shape(shape)
    fractions = fractions64(engine, number_of_elements(sizes))
    with np.errstate(divide="ignore"):
        trials = np.ceil(np.log(fractions) / math.log1p(-p)).reshape(sizes)
    if kind.is_floating:
        return round_to(trials, kind)
    with np.errstate(invalid="ignore"):
        # What does not fit becomes the least int64, and the least int32 in that dtype, as in PyTorch.
        return trials.astype(kind.array if kind.name == "int32" else np.int64).astype(kind.array)
