"""Windows that slide over the last dims of arrays: what convolutions, pooling, fold and unfold share. Plain NumPy, and
the reading of arguments such as `stride=2` or `stride=(2, 1)`."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..ir.arrays import Symbolic, full

Pair = tuple[int, int]
CHUNK_BYTES = (
    16 << 20
)  # columns of windows are made for so many bytes at a time, so that they stay in the cache or near it


def per_dim(name: str, argument: str, value, n: int) -> tuple[int, ...]:
    """An int for each of n dims, from one int or a sequence of n (or of one)."""
    items = value if isinstance(value, (tuple, list)) else (value,)
    try:
        out = tuple([operator.index(v) for v in items])
    except TypeError:
        bad = next(v for v in items if not hasattr(v, "__index__"))
        raise TypeError(
            f"{name}(): argument '{argument}' must be tuple of ints, not {type(bad).__name__} ({value!r}); give an"
            f" int or {n} of them"
        ) from None
    if len(out) == 1:
        return out * n
    if len(out) != n:
        raise RuntimeError(
            f"expected {argument} to be a single integer value or a list of {n} values to match the convolution"
            f" dimensions, but got"
            f" {argument}={list(out)} ({name})"
        )
    return out


def reach(kernel: int, dilation: int) -> int:
    """How many places a window spans."""
    return dilation * (kernel - 1) + 1


def pad_last(x: np.ndarray, pads: Sequence[Pair], value=0) -> np.ndarray:
    """x with `pads[i]` = (before, after) places of `value` around each of the last dims; x itself where all are 0."""
    if not any(a or b for a, b in pads):
        return x
    lead = x.ndim - len(pads)
    shape = (*x.shape[:lead], *[n + a + b for n, (a, b) in zip(x.shape[lead:], pads)])
    out = full(shape, value, x.dtype, x)
    out[(..., *[slice(a, a + n) for n, (a, _) in zip(x.shape[lead:], pads)])] = x
    return out


def windows(x: np.ndarray, kernel, stride, dilation, count) -> np.ndarray:
    """A view (*, kernel..., count...): the windows over the last dims of x, none of which may reach outside."""
    n = len(kernel)
    lead = x.ndim - n
    if 0 in count or 0 in x.shape:
        return np.zeros((*x.shape[:lead], *kernel, *count), x.dtype)
    if isinstance(x, Symbolic):
        return x.windows(kernel, stride, dilation, count)  # type: ignore[attr-defined]
    steps = x.strides[lead:]
    inner = [s * d for s, d in zip(steps, dilation)]
    outer = [s * t for s, t in zip(steps, stride)]
    shape = (*x.shape[:lead], *kernel, *count)
    return as_strided(x, shape, (*x.strides[:lead], *inner, *outer), writeable=False)


def add_windows(out: np.ndarray, columns: np.ndarray, kernel, stride, dilation, count) -> None:
    """Adds the windows (*, kernel..., count...) to the places that they were read from."""
    n = len(kernel)
    place = (slice(None),) * (columns.ndim - 2 * n)
    for k in itertools.product(*[range(m) for m in kernel]):
        at = tuple([slice(i * d, i * d + s * (c - 1) + 1, s) for i, d, s, c in zip(k, dilation, stride, count)])
        out[(..., *at)] += columns[(*place, *k)]


def chunks(n: int, nbytes: int) -> Iterator[slice]:
    """The first dim in parts of about CHUNK_BYTES, where one element of it takes nbytes."""
    step = max(1, CHUNK_BYTES // max(nbytes, 1))
    for lo in range(0, n, step):
        yield slice(lo, min(lo + step, n))


def volume(sizes) -> int:
    return math.prod(sizes)
