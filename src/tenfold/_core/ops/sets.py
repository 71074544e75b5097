"""Sets and counts: distinct elements, histograms. Shapes that depend on values are found by reading them."""

from __future__ import annotations

import math
import operator

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import FLOAT, INT, decode, encode, float64, int64
from ..ir.shapes import Layout, dim_index, layout, size
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from . import return_types
from .creation import from_array
from .declare import function, not_implemented, primitive
from .reduction import stored

# --- reading and making ---------------------------------------------------------------------------------------


def read_values(t: Tensor) -> np.ndarray:
    """The elements, half types as float32."""
    d = layout_of(t).dtype
    array = array_of(t)
    return decode(array, d) if d.half else array


def made(array: np.ndarray, d) -> Tensor:
    """A tensor of values read before."""
    return from_array(np.array(encode(array, d) if d.half else array.astype(d.np), order="C"), d)


def _places(array: np.ndarray, shape=None) -> Tensor:
    array = np.asarray(array, np.int64)
    return from_array(np.array(array if shape is None else array.reshape(shape), order="C"), int64)


def _answer(found, inverse, counts, return_inverse: bool, return_counts: bool):
    out = (found,)
    if return_inverse:
        out += (inverse,)
    if return_counts:
        out += (counts,)
    return out if len(out) > 1 else found


# --- distinct elements ----------------------------------------------------------------------------------------


def _check_empty(name: str, shape, dim: int) -> None:
    """RuntimeError where there are no elements to tell apart along dim."""
    zeros = [d for d, n in enumerate(shape) if n == 0]
    if len(zeros) > 1:
        raise RuntimeError(f"Number of zero sized dimensions is more than one, so {name} cannot be applied")
    if zeros and zeros != [dim]:
        raise RuntimeError(f"There are 0 sized dimensions, and they aren't selected, so {name} cannot be applied")


def _rows(x: np.ndarray, dim: int) -> np.ndarray:
    """What lies along dim as the rows of a matrix."""
    moved = np.moveaxis(x, dim, 0)
    return moved.reshape(len(moved), -1)


def _slices(rows: np.ndarray, shape, dim: int) -> np.ndarray:
    """Rows as slices of that shape without dim, one after the other."""
    return rows.reshape(len(rows), *[n for d, n in enumerate(shape) if d != dim])


def _back(rows: np.ndarray, shape, dim: int) -> np.ndarray:
    return np.moveaxis(_slices(rows, shape, dim), 0, dim)


@function
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements in ascending order, or the distinct slices along dim. Reads the values.

    Args:
        sorted: accepted; the result always is.
        return_inverse: also where each element went. Default False.
        return_counts: also how often each occurs. Default False.
        dim: an int. Default None: the flattened tensor.
    Returns: the distinct elements, or a tuple with what was asked for."""
    lay = layout_of(input)
    x = read_values(input)
    if dim is None:
        found, inverse, counts = np.unique(x, return_inverse=True, return_counts=True, equal_nan=False)
        shape = lay.shape
    else:
        d = dim_index(dim, lay.ndim)
        _check_empty("unique", lay.shape, d)
        shape = (lay.shape[d],)
        found, inverse, counts = _distinct_rows(x, d)
    return _answer(
        made(found, lay.dtype), _places(inverse, shape), _places(counts), bool(return_inverse), bool(return_counts)
    )


def _distinct_rows(x: np.ndarray, d: int):
    rows = _rows(x, d)
    if not len(rows):
        return x, np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    starts = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(1)])
    inverse = np.empty(len(rows), np.int64)
    inverse[order] = np.cumsum(starts) - 1
    return _back(ordered[starts], x.shape, d), inverse, np.bincount(inverse)


@function
def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The elements without repetitions that follow each other, or the slices along dim. Reads the values.

    Args and result: as in `unique`."""
    lay = layout_of(input)
    x = read_values(input)
    if dim is None:
        rows, shape = x.reshape(-1, 1), lay.shape
    else:
        d = dim_index(dim, lay.ndim)
        _check_empty("unique_consecutive", lay.shape, d)
        rows, shape = _rows(x, d), (lay.shape[d],)
    starts = np.ones(len(rows), bool)
    starts[1:] = (rows[1:] != rows[:-1]).any(1)
    first = np.flatnonzero(starts)
    counts = np.diff(np.append(first, len(rows)))
    inverse = _places(np.cumsum(starts) - 1, shape)
    found = made(rows[first].reshape(-1) if dim is None else _slices(rows[first], lay.shape, d), lay.dtype)
    found = found if dim is None else found.movedim(0, d)
    return _answer(found, inverse, _places(counts), bool(return_inverse), bool(return_counts))


# --- counts ---------------------------------------------------------------------------------------------------


@function
def bincount(input, weights=None, minlength=0):
    """How often each of 0, 1, 2, ... occurs, or the sum of the weights there. Reads the values.

    Args: input: (N) non-negative integers; weights: (N). Default None; minlength: of the result. Default 0."""
    lay = layout_of(input)
    if lay.dtype.category != INT:
        raise not_implemented("bincount_cpu", lay.dtype)
    if minlength < 0:
        raise RuntimeError(f"minlength should be >= 0, bincount() got {minlength}")
    x = array_of(input)
    if lay.ndim != 1 or (x.size and x.min() < 0):
        least = f", the least of these is {x.min()}" if x.size else ""
        raise RuntimeError(
            f"bincount only supports 1-d non-negative integral inputs: got shape {list(lay.shape)}{least}"
        )
    if weights is None:
        return _places(np.bincount(x, minlength=minlength))
    if layout_of(weights).shape != lay.shape:
        raise RuntimeError(
            "weights should be 1-d and have the same length as input:"
            f" {list(layout_of(weights).shape)}, {list(lay.shape)}"
        )
    d = layout_of(weights).dtype
    d = d if d is dtypes.float32 else float64
    return made(np.bincount(x, read_values(weights), minlength), d)


def _bounds(x: np.ndarray, low: float, high: float, name: str) -> tuple[float, float]:
    """The range of a histogram: that of the values where none is given, and never empty."""
    if low == high and x.size:
        low, high = x.min(), x.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"torch.{name}: range of [{low:g}, {high:g}] is not finite")
    if low == high:
        return low - (1 if name == "histc" else 0.5), high + (1 if name == "histc" else 0.5)
    return low, high


def _histc_rule(input: Layout, bins, min, max) -> Layout:
    if input.dtype.category != FLOAT:
        raise not_implemented("histogram_cpu", input.dtype)
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    if max < min:
        raise RuntimeError(f"torch.histc: max must be larger than min, not {max} and {min}")
    return layout(size((bins,)), None, input.dtype, input.device)


@primitive(rule=_histc_rule, differentiable=False, out=True, where="torch Tensor")
def histc(input, bins=100, min=0, max=0):
    """How many elements fall in each of `bins` equal bins from min to max; others are not counted.

    Args: bins: default 100; min, max: default 0 and 0, those of the elements. Raises: RuntimeError for integers."""
    x = np.asarray(input).reshape(-1)
    low, high = _bounds(x, min, max, "histc")
    low, high = x.dtype.type(low), x.dtype.type(high)
    inside = x[(x >= low) & (x <= high)]
    place = ((inside - low) * (bins / (high - low))).astype(np.int64)
    return np.bincount(np.minimum(place, bins - 1), minlength=bins).astype(x.dtype)


def _edges(x: np.ndarray, bins: int, low_high) -> np.ndarray:
    low, high = low_high if low_high is not None else (0, 0)
    if low_high is None and not x.size:
        low, high = 0.0, 1.0
    low, high = _bounds(x, low, high, "histogram")
    return np.linspace(low, high, bins + 1).astype(x.dtype)


def _counted(x: np.ndarray, edges: list[np.ndarray], weight, density: bool) -> np.ndarray:
    """Weights of the rows of x summed in the cells of a grid."""
    place = np.zeros(len(x), np.int64)
    inside = np.ones(len(x), bool)
    for column, e in zip(x.T, edges):
        bins = len(e) - 1
        i = np.searchsorted(e, column, "right") - 1
        i = np.where(column == e[-1], bins - 1, i)
        inside &= (column >= e[0]) & (column <= e[-1])
        place = place * bins + np.clip(i, 0, bins - 1)
    shape = [len(e) - 1 for e in edges]
    weights = None if weight is None else weight.reshape(-1)[inside]
    hist = np.bincount(place[inside], weights, minlength=math.prod(shape)).reshape(shape).astype(x.dtype)
    if density:
        hist = hist / hist.sum()
        for d, e in enumerate(edges):
            hist = hist / np.diff(e).reshape([-1 if k == d else 1 for k in range(len(edges))])
    return hist


def _histogram_rule(input: Layout, bins, edges, range, weight, density):
    count = bins if edges is None else edges.shape[0] - 1
    if input.dtype.category != FLOAT:
        raise not_implemented("histogramdd", input.dtype)
    if count <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {count} for dimension 0")
    if weight is not None and weight.shape != input.shape:
        raise RuntimeError(
            "torch.histogram(): if weight tensor is provided it should have the same shape as the input tensor:"
            f" {list(weight.shape)}, {list(input.shape)}"
        )
    return layout(size((count,)), None, input.dtype), layout(size((count + 1,)), None, input.dtype)


@primitive(rule=_histogram_rule, differentiable=False, where="", name="_histogram")
def _histogram(input, bins, edges, range, weight, density):
    x = np.asarray(input).reshape(-1, 1)
    edges = _edges(x, bins, range) if edges is None else edges
    return _counted(x, [edges], weight, density), edges


def _range(name: str, range):
    if range is None:
        return None
    low, high = float(range[0]), float(range[1])
    if low > high:
        raise RuntimeError(f"torch.{name}(): min should not exceed max, but got min {low} max {high}")
    return low, high


@function
def histogram(input, bins, *, range=None, weight=None, density=False, out=None):
    """A histogram: a named tuple (hist, bin_edges).

    Args:
        bins: how many equal bins, or their edges in ascending order.
        range: (least, greatest) of equal bins. Default: those of the elements.
        weight: what each element counts, of the shape of input. Default 1.
        density: divide so that the integral is 1. Default False."""
    if isinstance(bins, Tensor):
        r = _histogram(input, 0, bins, None, weight, bool(density))
    else:
        r = _histogram(input, operator.index(bins), None, _range("histogram", range), weight, bool(density))
    return stored("histogram", return_types.histogram(*r), out)


@function(where="torch")
def histogramdd(input, bins, *, range=None, weight=None, density=False):
    """A histogram in several dims of the points in the last dim of input: a named tuple (hist, bin_edges).

    Args: bins: an int, an int for each dim, or the edges for each dim; range: 2 numbers for each dim; weight, density:
    as in `histogram`. Reads the values."""
    lay = layout_of(input)
    if lay.dtype.category != FLOAT:
        raise not_implemented("histogramdd", lay.dtype)
    n = lay.shape[-1]
    points = read_values(input).reshape(-1, n)
    each = [bins] * n if isinstance(bins, int) else list(bins)
    if len(each) != n:
        raise RuntimeError(
            "torch.histogramdd(): The size of bins must be equal to the innermost dimension of the input:"
            f" {len(each)} and {n}"
        )
    edges = []
    for d, b in enumerate(each):
        if isinstance(b, Tensor):
            edges.append(read_values(b))
        else:
            pair = None if range is None else _range("histogramdd", range[2 * d : 2 * d + 2])
            edges.append(_edges(points[:, d], b, pair))
    counts = _counted(points, edges, None if weight is None else read_values(weight), bool(density))
    return return_types.histogramdd(made(counts, lay.dtype), tuple(made(e, lay.dtype) for e in edges))
