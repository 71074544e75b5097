"""Order: sorting, the k greatest, places in sorted sequences."""

from __future__ import annotations

import operator

import numpy as np

from ..ir.dtypes import bool_, int32, int64, promote
from ..ir.shapes import Layout, layout, result_strides, size
from ..trace.handle import Tensor, layout_of
from . import return_types
from .creation import tensor
from .declare import function, operation, primitive, scalar_name
from .extremes import scattered
from .reduction import one_dim, stored
from .tie_order import BUDGET, SMALL, sort_order, top_order

# --- sort -----------------------------------------------------------------------------------------------------


def order_of(x: np.ndarray, dim: int, descending: bool) -> np.ndarray:
    """The stable order along dim; NaN counts as greater than all else."""
    if not descending:
        return np.argsort(x, dim, kind="stable")
    backwards = np.argsort(np.flip(x, dim), dim, kind="stable")
    return x.shape[dim] - 1 - np.flip(backwards, dim)


def _like(input: Layout, d) -> Layout:
    """The same order of dims in memory."""
    if input.contig:
        return layout(input.shape, None, d, input.device)
    strides = input.strides if input.dense else result_strides(input.shape, [input])
    return layout(input.shape, strides, d, input.device)


def _sort_rule(input: Layout, dim, descending, stable):
    if input.dtype.is_complex:
        raise RuntimeError("sort(): complex tensors have no order; sort by .abs() or .real")
    return _like(input, input.dtype), _like(input, int64)


def picked(g, out, input, dim: int):
    """The cotangent of values that were moved along dim from the indices given as second result."""
    if g[0] is None:
        return None
    return scattered(g[0], dim, out[1], input.shape)


@primitive(
    rule=_sort_rule, where="", name="_sort", grad_name="Sort",
    gradient=lambda g, out, input, dim, descending, stable: picked(g, out, input, dim),
)  # fmt: skip
def sort_along(input, dim, descending, stable):
    x = np.asarray(input)
    if not x.ndim:
        return x, np.zeros((), np.int64)
    places = order_of(x, dim, descending)
    if not stable:
        places = sort_order(x, places, dim)
    return np.take_along_axis(x, places, dim), places


def _native_order(lay: Layout):
    """What sorts rows of that dtype by machine code, or None."""
    if lay.dtype.half:
        return None
    from ..backends.cpu import sort_rows

    return sort_rows.of(lay.dtype.np)


def _lines(x: np.ndarray, dim: int) -> np.ndarray:
    moved = np.moveaxis(x, dim, -1)
    return np.ascontiguousarray(moved).reshape(-1, x.shape[dim])


def _sort_native(spec):
    """Machine code sorts the rows; those with ties are arranged anew as `sort_order` does."""
    _, dim, descending, stable = spec.static
    lay = spec.lays[0]
    order = _native_order(lay) if lay.numel >= NATIVE_FROM and lay.ndim else None
    if order is None:
        return None

    def run(x):
        rows = _lines(x, dim)
        values, places, tied = order.sort(rows, descending)
        if not stable and rows.shape[1] > SMALL:
            ties = np.flatnonzero(tied)
            if len(ties):
                places[ties] = again = sort_order(rows[ties], places[ties], 1)
                values[ties] = np.take_along_axis(rows[ties], again, 1)
        shape = np.moveaxis(x, dim, -1).shape
        return np.moveaxis(values.reshape(shape), -1, dim), np.moveaxis(places.reshape(shape), -1, dim)

    return run


sort_along.operation.native = _sort_native
NATIVE_FROM = 512  # elements from which that pays


def _flag(name: str, what: str, x) -> bool:
    if not isinstance(x, (bool, np.bool_)) and x is not None:
        raise TypeError(f"{name}(): argument '{what}' must be bool, not {type(x).__name__}")
    return bool(x)


@operation(out=True, grad_name="Sort")
def sort(input, dim=-1, descending=False, stable=False):
    """The elements in order along dim, and where they were: a named tuple (values, indices).

    Args: dim: default -1; descending: greatest first, default False; stable: equal elements keep their order.
    NaN counts as greater than all else."""
    order = _flag("sort", "descending", descending), _flag("sort", "stable", stable)
    return return_types.sort(*sort_along(input, one_dim(dim, input.dim()), *order))


@operation
def argsort(input, dim=-1, descending=False, stable=False):
    """The positions that would sort the elements along dim; int64.

    Args: as in `sort`."""
    order = _flag("argsort", "descending", descending), _flag("argsort", "stable", stable)
    return sort_along(input, one_dim(dim, input.dim()), *order)[1]


@operation(out=True)
def msort(input):
    """The elements in ascending order along the first dim."""
    return sort_along(input, 0, False, False)[0]


# --- the k greatest or least ----------------------------------------------------------------------------------


def _topk_rule(input: Layout, k, dim, largest):
    shape = list(input.shape)
    if shape:
        shape[dim] = k
    shape = size(shape)
    return layout(shape, None, input.dtype, input.device), layout(shape, None, int64, input.device)


@primitive(
    rule=_topk_rule, where="", name="_topk", grad_name="Topk",
    gradient=lambda g, out, input, k, dim, largest: picked(g, out, input, dim),
)  # fmt: skip
def _topk(input, k, dim, largest):
    x = np.asarray(input)
    if not x.ndim:
        return x, np.zeros((), np.int64)
    n = x.shape[dim]
    if n >= 64 and 0 < k <= n // 4 and x.size > BUDGET:
        return _topk_of_many(x, k, dim, largest)
    order = top_order(x, order_of(x, dim, largest), k, dim)
    places = np.take(order, np.arange(k), dim)
    return np.take_along_axis(x, places, dim), places


def _topk_of_many(x, k, dim, largest):
    """A partition first, so that only k elements are sorted."""
    n = x.shape[dim]
    parted = np.argpartition(x, n - k if largest else k - 1, dim)
    kept = np.take(parted, np.arange(n - k, n) if largest else np.arange(k), dim)
    kept = np.sort(kept, dim)
    values = np.take_along_axis(x, kept, dim)
    order = order_of(values, dim, largest)
    return np.take_along_axis(values, order, dim), np.take_along_axis(kept, order, dim)


def _topk_native(spec):
    """The same for the first k, where they are sorted apart; ties at the border are left to NumPy."""
    _, k, dim, largest = spec.static
    lay = spec.lays[0]
    n = lay.shape[dim] if lay.ndim else 0
    many = n >= 64 and 0 < k <= n // 4 and lay.numel > BUDGET
    order = _native_order(lay) if many else None
    if order is None:
        return None

    def run(x):
        values, places, unclear = order.top(_lines(x, dim), k, largest)
        if unclear:
            return spec.exe(x)
        shape = (*np.moveaxis(x, dim, -1).shape[:-1], k)
        return np.moveaxis(values.reshape(shape), -1, dim), np.moveaxis(places.reshape(shape), -1, dim)

    return run


_topk.operation.native = _topk_native


@operation(out=True)
def topk(input, k, dim=-1, largest=True, sorted=True):
    """The k greatest elements along dim in descending order (or the least, ascending), and where they were.

    Args: dim: default -1; largest: default True; sorted: accepted, the result always is.
    Returns: a named tuple (values, indices). Raises: RuntimeError where dim has fewer than k elements."""
    d = one_dim(dim, input.dim())
    n = input.shape[d] if input.dim() else 1
    if not 0 <= k <= n:
        raise RuntimeError(f"selected index k out of range: topk(): k is {k}, dim {d} has {n} elements")
    if input.dtype is bool_ or input.dtype.is_complex:
        raise RuntimeError(f"topk does not support {input.dtype} dtypes on CPU")
    return return_types.topk(*_topk(input, operator.index(k), d, bool(largest)))


# --- places in a sorted sequence ------------------------------------------------------------------------------


def _places_rule(sequence: Layout, input: Layout, right, d, sorter=None) -> Layout:
    return layout(input.shape, None, d, input.device)


@primitive(rule=_places_rule, differentiable=False, where="", name="_searchsorted")
def _places(sequence, input, right, d, sorter=None):
    if sorter is not None:
        sequence = np.take_along_axis(sequence, sorter, -1)
    common = np.result_type(sequence, input)
    sequence, wanted = sequence.astype(common), input.astype(common)
    side = "right" if right else "left"
    if sequence.ndim == 1:
        return np.searchsorted(sequence, wanted, side)
    return _bisect(sequence, wanted, right)


def _bisect(sequence: np.ndarray, wanted: np.ndarray, right: bool) -> np.ndarray:
    """Each row of `wanted` in the same row of `sequence`, all at once."""
    n = sequence.shape[-1]
    low = np.zeros(wanted.shape, np.int64)
    high = np.full(wanted.shape, n, np.int64)
    for _ in range(n.bit_length()):
        middle = (low + high) // 2
        there = np.take_along_axis(sequence, np.minimum(middle, n - 1), -1)
        beyond = (there <= wanted) if right else (there < wanted)
        beyond |= np.isnan(wanted) & ~np.isnan(there) if wanted.dtype.kind == "f" else False
        active = low < high
        low = np.where(active & beyond, middle + 1, low)
        high = np.where(active & ~beyond, middle, high)
    return low


def _to_right(name: str, right: bool, side) -> bool:
    if side is None:
        return bool(right)
    if side not in ("left", "right"):
        raise RuntimeError(f"torch.{name}(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError(
            f"torch.{name}(): side and right can't be set to opposites, got side of left while right was True"
        )
    return side == "right"


@function(where="torch")
def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, out=None, sorter=None):
    """Where each element would be put in a sorted sequence so that it stays sorted.

    Args:
        sorted_sequence: (N), or (*, N) with the leading dims of input. Sorted along the last dim, or by `sorter`.
        input: a tensor, or a number where the sequence has one dim.
        right, side: before equal elements (default) or after them (right=True, side="right").
        out_int32: int32 instead of int64.
        sorter: the positions that sort the sequence. Default None.
    Raises: RuntimeError where the leading dims differ."""
    right = _to_right("searchsorted", right, side)
    lay = layout_of(sorted_sequence)
    number = not isinstance(input, Tensor)
    shape = () if number else layout_of(input).shape
    if lay.ndim != 1 and (number or not shape):
        raise RuntimeError(
            "torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got"
            f" boundaries tensor dim({lay.ndim}) and input value's dim(0) numel(1)"
        )
    if lay.ndim != 1 and (lay.ndim != len(shape) or lay.shape[:-1] != shape[:-1]):
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries"
            " tensor and input value tensor must match, but we got boundaries tensor"
            f" {list(lay.shape)} and input value tensor {list(shape)}"
        )
    if sorter is not None:
        _check_sorter(lay, layout_of(sorter))
    if number:
        input = tensor(input, dtype=lay.dtype if not isinstance(input, float) else None)
    d = int32 if out_int32 else int64
    return stored("searchsorted", _places(sorted_sequence, input, right, d, sorter), out)


def _check_sorter(sequence: Layout, sorter: Layout) -> None:
    if sorter.dtype is not int64:
        raise RuntimeError(
            f"torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {scalar_name(sorter.dtype)}"
        )
    if sorter.shape != sequence.shape:
        raise RuntimeError(
            "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor"
            f" {list(sequence.shape)} and got sorter tensor {list(sorter.shape)}"
        )


@function(where="torch")
def bucketize(input, boundaries, *, out_int32=False, right=False, out=None):
    """The bucket between sorted boundaries (N) that each element of input falls in: `searchsorted` the other way.

    Args: right: whether a bucket takes in its right boundary (False, the default) or its left."""
    lay = layout_of(boundaries)
    if lay.ndim != 1:
        raise RuntimeError(f"bucketize(): boundaries tensor must be 1 dimension, but got dim({lay.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


# --- membership -----------------------------------------------------------------------------------------------


def _isin_rule(elements: Layout, test_elements: Layout, invert) -> Layout:
    for lay in (elements, test_elements):
        if lay.dtype.is_complex:
            raise RuntimeError(f"Unsupported input type encountered for isin(): {scalar_name(lay.dtype)}")
    strides = elements.strides if elements.dense and not elements.contig else None
    return layout(elements.shape, strides, bool_, elements.device)


@primitive(rule=_isin_rule, differentiable=False, where="", name="_isin")
def _isin(elements, test_elements, invert):
    return np.isin(elements, test_elements, invert=invert)


def _beside(number, tensor_beside):
    """A number as a tensor: a whole one has the dtype of whole numbers that it stands beside."""
    made = tensor(number)
    if isinstance(tensor_beside, Tensor) and type(number) is int and layout_of(tensor_beside).dtype.category == 1:
        return made.to(layout_of(tensor_beside).dtype)
    return made


@function(where="torch")
def isin(elements, test_elements, *, assume_unique=False, invert=False, out=None):
    """Whether each element is among test_elements, as bool; one of the two may be a number.

    Args: invert: whether it is not. Default False."""
    if not isinstance(elements, Tensor):
        elements = _beside(elements, test_elements)
    if not isinstance(test_elements, Tensor):
        test_elements = _beside(test_elements, elements)
    promote(layout_of(elements).dtype, layout_of(test_elements).dtype)
    return stored("isin", _isin(elements, test_elements, bool(invert)), out)
