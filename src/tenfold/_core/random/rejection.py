"""Distributions drawn by trial: each element takes as many words as its trials need, so elements go one by one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tenfold._core.random.arguments import DType, find_dtype, find_floating, find_full_precision, round_to
from tenfold._core.random.engine import Engine
from tenfold._core.random.normal import next_normal

_TINY = {"float32": 2.0**-126, "float64": 2.0**-1022}
_BELOW_ONE = {"float32": 1.0 - 2.0**-24, "float64": 1.0 - 2.0**-53}

# PyTorch subtracts a third in single precision, in every dtype.
_THIRD = float(np.float32(1.0 / 3.0))

# ln(k!) minus Stirling's leading terms, for k from 0 to 9.
_STIRLING_TAIL = tuple(
    math.lgamma(k + 1.0) - (k + 0.5) * math.log(k + 1.0) + (k + 1.0) - 0.5 * math.log(2.0 * math.pi) for k in range(10)
)


def poisson(engine: Engine, rate: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """Counts with the given means.

    Args:
        rate: shape (*), not negative.
        dtype: that of `rate` and of the result.
    Source: Hoermann 1993, "The transformed rejection method for generating Poisson random variables" (from a rate of
    10 on); below it products of uniform numbers, Knuth 1969.
    """
    kind = find_floating(dtype, "poisson_cpu")
    if not np.all(rate >= 0):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    return _each(lambda mean: _poisson(engine, mean), (rate,), rate.shape, kind)


def _each(
    draw: Callable[..., float], parameters: tuple[np.ndarray, ...], shape: tuple[int, ...], kind: DType
) -> np.ndarray:
    columns = (np.asarray(parameter, np.float64).ravel().tolist() for parameter in parameters)
    values = np.fromiter(map(draw, *columns), np.float64)
    return round_to(values, kind).reshape(shape)


def _narrowing(kind: DType) -> Callable[[float], float]:
    return float if kind.name == "float64" else _single


def _single(x: float) -> float:
    return float(np.float32(x))


def _poisson(engine: Engine, mean: float) -> float:
    if mean >= 10.0:
        return _poisson_transformed(engine, mean)
    if mean == 0.0:
        return 0.0
    bound = math.exp(-mean)
    product = engine.next_uniform()
    count = 0
    while product > bound:
        count += 1
        product *= engine.next_uniform()
    return float(count)


def _poisson_transformed(engine: Engine, mean: float) -> float:
    root = math.sqrt(mean)
    log_mean = math.log(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_accept = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u = engine.next_uniform() - 0.5
        v = engine.next_uniform()
        distance = 0.5 - abs(u)
        k = _floor_to_int64((2.0 * a / distance + b) * u + mean + 0.43)
        if distance >= 0.07 and v <= v_accept:
            return k
        if k < 0 or (distance < 0.013 and v > distance):
            continue
        left = _log(v) + math.log(inverse_alpha) - math.log(a / (distance * distance) + b)
        if left <= -mean + k * log_mean - math.lgamma(k + 1.0):
            return k


def binomial(engine: Engine, count: np.ndarray, prob: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """Numbers of successes in `count` trials of probability `prob` each, the two broadcast to one shape.

    Source: Hoermann 1993, "The generation of binomial random variates" (BTRS), where ten successes or more are
    expected; else sums of geometric numbers, Devroye 1986.
    """
    asked = find_dtype(dtype, "binomial_cpu")
    if not asked.is_floating:
        raise ValueError(f"binomial only supports floating-point dtypes for count, got: {asked.label}")
    kind = find_full_precision(dtype, "binomial_cpu")
    counts, probs = np.broadcast_arrays(count, prob)
    narrow = _narrowing(kind)
    return _each(lambda n, p: _binomial(engine, n, p, narrow), (counts, probs), counts.shape, kind)


def _binomial(engine: Engine, count: float, prob: float, narrow: Callable[[float], float]) -> float:
    if count <= 0.0 or prob <= 0.0:
        return 0.0
    if prob >= 1.0:
        return count
    if prob <= 0.5:
        return _successes(engine, count, prob, narrow)
    if prob > 0.5:
        return count - _successes(engine, count, narrow(1.0 - prob), narrow)
    return math.nan


def _successes(engine: Engine, count: float, prob: float, narrow: Callable[[float], float]) -> float:
    if count * prob >= 10.0:
        return _binomial_transformed(engine, count, prob)
    log_failure = math.log1p(-prob)
    trials = 0.0
    successes = 0
    while True:
        trials += math.ceil(_log(engine.next_uniform()) / log_failure)
        if trials > count:
            return float(successes)
        successes += 1


def _binomial_transformed(engine: Engine, count: float, prob: float) -> float:
    deviation = math.sqrt(count * prob * (1.0 - prob))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * prob
    c = count * prob + 0.5
    v_accept = 0.92 - 4.2 / b
    odds = prob / (1.0 - prob)
    alpha = (2.83 + 5.1 / b) * deviation
    mode = math.floor((count + 1.0) * prob)
    while True:
        u = engine.next_uniform() - 0.5
        v = engine.next_uniform()
        distance = 0.5 - abs(u)
        k = math.floor((2.0 * a / distance + b) * u + c)
        if k < 0 or k > count:
            continue
        if distance >= 0.07 and v <= v_accept:
            return float(k)
        left = _log(v * alpha / (a / (distance * distance) + b))
        right = (
            (mode + 0.5) * math.log((mode + 1.0) / (odds * (count - mode + 1.0)))
            + (count + 1.0) * math.log((count - mode + 1.0) / (count - k + 1.0))
            + (k + 0.5) * math.log(odds * (count - k + 1.0) / (k + 1.0))
            + _stirling_tail(mode)
            + _stirling_tail(count - mode)
            - _stirling_tail(k)
            - _stirling_tail(count - k)
        )
        if left <= right:
            return float(k)


def _stirling_tail(k: float) -> float:
    if k <= 9:
        return _STIRLING_TAIL[int(k)]
    square = (k + 1.0) * (k + 1.0)
    return (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / square) / square) / (k + 1.0)


def standard_gamma(engine: Engine, alpha: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """Gamma numbers of scale 1 and the given shapes of the distribution; never zero: the least is the smallest normal.

    Source: Marsaglia and Tsang 2000, "A simple method for generating gamma variables".
    """
    kind = find_full_precision(dtype, "gamma_cpu")
    least = _TINY[kind.name]
    narrow = _narrowing(kind)
    draws = _each(lambda shape: _gamma(engine, shape, narrow), (alpha,), alpha.shape, kind)
    return np.where(draws > least, draws, draws.dtype.type(least))


def dirichlet(engine: Engine, alpha: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """Points of the simplex: gamma numbers over their sum along the last dim, never quite 0 or 1.

    Args:
        alpha: concentrations, shape (*, K).
        dtype: that of `alpha` and of the result.
    """
    kind = find_full_precision(dtype, "dirichlet")
    double = find_floating("float64", "dirichlet")
    draws = _each(lambda shape: _gamma(engine, shape, float), (alpha,), alpha.shape, double)
    total = draws.sum(axis=-1, keepdims=True) if alpha.ndim else draws
    with np.errstate(invalid="ignore", divide="ignore"):
        points = round_to(draws / total, kind)
    least = points.dtype.type(_TINY[kind.name])
    most = points.dtype.type(_BELOW_ONE[kind.name])
    points = np.where(points > least, points, least)
    return np.where(points < most, points, most)


def _gamma(engine: Engine, alpha: float, narrow: Callable[[float], float]) -> float:
    """One gamma number; `narrow` rounds what PyTorch keeps in the dtype of `alpha`, the rest is float64."""
    scale = 1.0
    if alpha < 1.0:
        if alpha == 0.0:
            return 0.0
        scale = _power(1.0 - engine.next_uniform(), narrow(1.0 / alpha))
        alpha = narrow(alpha + 1.0)
    d = narrow(alpha - _THIRD)
    c = 1.0 / math.sqrt(9.0 * d) if d > 0.0 else math.nan
    while True:
        x = next_normal(engine)
        y = 1.0 + c * x
        if y <= 0.0:
            continue
        v = y * y * y
        u = 1.0 - engine.next_uniform()
        square = x * x
        if u < 1.0 - 0.0331 * square * square:
            return scale * d * v
        if math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
            return scale * d * v


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf


def _log(x: float) -> float:
    return math.log(x) if x > 0.0 else -math.inf


def _floor_to_int64(x: float) -> float:
    """Floor, and the least int64 for what has no place there: what the conversion gives on x86 and PyTorch returns."""
    return float(math.floor(x)) if abs(x) < 2.0**63 else -(2.0**63)
