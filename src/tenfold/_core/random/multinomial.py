"""Choices among categories with given weights."""

from __future__ import annotations

import numpy as np

from tenfold._core.random.arguments import DType, find_dtype, round_to
from tenfold._core.random.continuous import exponential
from tenfold._core.random.engine import Engine
from tenfold._core.random.uniform import fractions64

_LARGEST_COUNT = 2**24


def multinomial(
    engine: Engine, weights: np.ndarray, count: int, replacement: bool = False, dtype: str = "float32"
) -> np.ndarray:
    """`count` category indices for each row of weights.

    Args:
        weights: shape (C,) or (N, C), finite and not negative; a row need not sum to one.
        replacement: whether a category can be chosen more than once.
        dtype: that of the weights.
    Returns: int64 of shape (count,) or (N, count).
    Raises:
        RuntimeError: the weights are no distribution, or too few for `count`.
    """
    kind = _check(weights, count, replacement, dtype)
    rows = weights.reshape(-1, weights.shape[-1])
    if replacement and count > 1:
        chosen = _with_replacement(engine, rows, count, kind)
    else:
        chosen = _race(engine, rows, count, kind)
    return chosen.reshape(*weights.shape[:-1], count)


def _check(weights: np.ndarray, count: int, replacement: bool, dtype: str) -> DType:
    kind = find_dtype(dtype, "multinomial")
    if not kind.is_floating:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {kind.label}")
    if weights.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, but multinomial got shape {weights.shape}")
    if count <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples: multinomial got {count}")
    categories = weights.shape[-1]
    if not replacement and count > categories:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement: "
            f"multinomial got n_sample={count} and {categories} categories"
        )
    if categories > _LARGEST_COUNT:
        raise RuntimeError(f"number of categories cannot exceed 2^24: multinomial got {categories}")
    if categories == 0:
        raise RuntimeError("multinomial: cannot choose over an empty dimension, give at least one category")
    return kind


def _race(engine: Engine, rows: np.ndarray, count: int, kind: DType) -> np.ndarray:
    """Every category finishes at an exponential time over its weight; the first ones are chosen.

    Source: Efraimidis and Spirakis 2006.
    """
    if rows.size:
        most = rows.max(axis=-1)
        if not (rows.min() >= 0 and most.max() < np.inf):  # NaN is neither
            raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
        if most.min() == 0:
            raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    times = exponential(engine, rows.shape, kind.name)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        speed = round_to(rows.astype(kind.array, copy=False) / times, kind)
    if count == 1:
        return speed.argmax(axis=-1).astype(np.int64, copy=False)
    return np.ascontiguousarray(np.argsort(-speed, axis=-1, kind="stable")[:, :count])


def _with_replacement(engine: Engine, rows: np.ndarray, count: int, kind: DType) -> np.ndarray:
    """Each uniform number is looked up in the running sums of its row."""
    if np.any(~(rows >= 0)):
        raise RuntimeError("invalid multinomial distribution (encountering probability entry < 0)")
    if not np.all(np.isfinite(rows)):
        raise RuntimeError("invalid multinomial distribution (encountering probability entry = infinity or NaN)")
    sums = np.cumsum(rows, axis=-1, dtype=kind.array)
    totals = sums[:, -1:]
    if np.any(totals <= 0):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    shares = (sums / totals).astype(np.float64)
    shares[:, -1] = 1.0
    draws = fractions64(engine, len(rows) * count).reshape(len(rows), count)
    chosen = np.empty(draws.shape, np.int64)
    for row, share in enumerate(shares):
        chosen[row] = np.searchsorted(share, draws[row], side="left")
    return chosen
