"""Slices written at the places of an index: index_add, index_copy, index_fill, index_reduce; put and index_put."""

from __future__ import annotations

import numpy as np

from ..ir import dtypes
from ..ir.arrays import Symbolic, as_array, required, writable
from ..ir.shapes import Layout, dim_index, layout
from ..trace.handle import Tensor, layout_of
from .autocast import widened
from .creation import filled
from .declare import describe, function, inplace_variant, primitive, store_out
from .gathering import UFUNCS, _bounds_now, _constant, bounded, check_long, combine, reduction_gradient, rows
from .indexing import _index_put, advanced_indices
from .shape import reshape

# --- slices along a dim -----------------------------------------------------------------------------------------------


def _write_rule(input: Layout, dim: int, index: Layout, source: Layout, how, include_self) -> Layout:
    return layout(input.shape, input.strides if input.dense and not input.contig else None, input.dtype, input.device)


def _write_gradient(g, out, input, dim, index, source, how, include_self):
    def put(x, values, how, include_self):
        return _write_rows(x, dim, index, values, how, include_self)

    def get(x):
        return rows(x, dim, index).reshape(source.shape)

    if how == "set":
        if source.ndim == 0:  # what several places of the index name is filled once
            taken = put(_constant(input, 0, g), _constant(source, 1, g), "set", True)
            by_source = g.masked_fill(taken == 0, 0.0).sum()
        else:
            by_source = rows(g, dim, index).reshape(source.shape)
        return put(g, filled(source.shape, 0, g.dtype, "cpu"), "set", True), None, by_source
    by_input, by_source = reduction_gradient(g, out, input, source, how, include_self, put, get)
    return by_input, None, by_source


@primitive(rule=_write_rule, gradient=_write_gradient, data=("source",), name="index_write", where="")
def _write_rows(input, dim, index, source, how, include_self):
    out = writable(input)
    flat = out.reshape(1) if out.ndim == 0 else out
    index = index.reshape(-1)
    bounded(index, flat.shape[dim], dim, IndexError, "index out of range in self: ")
    values = as_array(source).astype(out.dtype)
    if out.ndim == 0:
        values = values.reshape(-1)
    combine(flat, (*[slice(None)] * dim, index), values, how, include_self)
    return out


_bounds_now(_write_rows, IndexError, "index out of range in self: ")


def _check_rows(name: str, input, dim, index, source) -> int:
    """The dim, after checking that source has a slice of input's shape for each place of index."""
    lay, at = layout_of(input), layout_of(index)
    if not isinstance(source, Tensor):
        raise TypeError(f"{name}(): argument 'source' must be Tensor, not {type(source).__name__}")
    have = layout_of(source)
    if at.ndim > 1:
        raise IndexError(f"{name}_(): Index is supposed to be a vector, but got dim: {at.ndim}")
    if at.dtype not in (dtypes.int32, dtypes.int64):
        raise RuntimeError(f"{name}_(): Expected dtype int32/int64 for index but got: {at.dtype}")
    if lay.dtype is not have.dtype:
        raise RuntimeError(f"{name}_(): self ({lay.dtype}) and source ({have.dtype}) must have the same scalar type")
    d = dim_index(dim, lay.ndim)
    count = have.shape[d] if have.ndim > d else 1
    if count != at.numel:
        error = IndexError if name == "index_copy" else RuntimeError
        raise error(
            f"{name}_(): Number of indices ({at.numel}) should be equal to source.size(dim): ({count}), for dim: {d}"
        )
    others = [n for k, n in enumerate(lay.shape) if k != d]
    if [n for k, n in enumerate(have.shape) if k != d] != others and not (
        lay.ndim == 0 or have.ndim == 0 and not others
    ):
        error = IndexError if name == "index_copy" and lay.ndim != have.ndim else RuntimeError
        raise error(
            "source tensor shape must match self tensor shape, excluding the specified dimension. "
            f"Got self.shape = {list(lay.shape)} source.shape = {list(have.shape)} ({name})"
        )
    return d


def _index_add(input, dim, index, source, *, alpha=1):
    d = _check_rows("index_add", input, dim, index, source)
    if type(alpha) is not int or alpha != 1:
        lay = layout_of(source)
        if isinstance(alpha, float) and not (lay.dtype.is_floating_point or lay.dtype.is_complex):
            raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
        source = source * alpha
        source = source.to(lay.dtype) if layout_of(source).dtype is not lay.dtype else source
    return _write_rows(input, d, index, source, "sum", True)


def _index_copy(input, dim, index, source):
    input, source = widened(input, source)
    check_long("index_copy_", index)
    return _write_rows(input, _check_rows("index_copy", input, dim, index, source), index, source, "set", True)


def _index_reduce(input, dim, index, source, reduce, *, include_self=True):
    if reduce not in UFUNCS or reduce == "sum":
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    return _write_rows(
        input, _check_rows("index_reduce", input, dim, index, source), index, source, reduce, include_self
    )


def _index_fill(input, dim, index, value):
    lay, at = layout_of(input), layout_of(index)
    if at.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    if at.dtype is not dtypes.int64:
        raise RuntimeError(f"index_fill_(): Expected dtype int64 for index, got {at.dtype}")
    if isinstance(value, Tensor):
        if layout_of(value).ndim:
            raise RuntimeError(
                f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {layout_of(value).ndim} dimension(s)."
            )
        if layout_of(value).dtype is not lay.dtype:
            value = value.to(lay.dtype)
    elif isinstance(value, complex) and not lay.dtype.is_complex:
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not supported")
    d = dim_index(dim, lay.ndim)
    n = lay.shape[d] if lay.ndim else 1
    return _write_rows(input, d, _from_front(index, n), value, "set", True)


@primitive(
    rule=lambda index, n: index if index.contig else layout(index.shape, None, index.dtype, index.device),
    name="from_front",
    where="",
    differentiable=False,
)
def _from_front(index, n):
    if isinstance(index, Symbolic):
        required((index >= -n) & (index < n))
    elif index.size and index.max() >= n or index.size and index.min() < -n:
        bad = int(index[(index < -n) | (index >= n)].reshape(-1)[0])
        raise IndexError(f"index {bad} is out of bounds for dimension with size {n} (index_fill)")
    return np.where(index < 0, index + n, index)


def _put(input, index, source, accumulate=False):
    check_long("put_", index)
    lay, have = layout_of(input), layout_of(source)
    if lay.dtype is not have.dtype:
        raise RuntimeError(
            f"put_(): self and source expected to have the same dtype, but got self.dtype = {lay.dtype} and source.dtype = {have.dtype}"
        )
    count = layout_of(index).numel
    if count != have.numel:
        raise IndexError(
            f"put_(): Expected source and index to have the same number of elements, but got source.numel() = {have.numel}, index.numel() = {count}"
        )
    if count and not lay.numel:
        raise IndexError("put_(): tried to put elements into an empty tensor")
    places = reshape(index, (count,))
    flat = reshape(input, (lay.numel,))
    return reshape(_index_put(flat, (0,), [places], reshape(source, (count,)), bool(accumulate)), lay.shape)


def _index_put_public(input, indices, values, accumulate=False):
    if not isinstance(indices, (tuple, list)):
        raise TypeError(
            f"index_put(): argument 'indices' (position 2) must be tuple of Tensors, not {type(indices).__name__}"
        )
    if not isinstance(values, Tensor):
        raise TypeError(f"index_put(): argument 'values' (position 3) must be Tensor, not {type(values).__name__}")
    lay, have = layout_of(input), layout_of(values)
    if lay.dtype is not have.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {lay.dtype} for the destination and {have.dtype} for the source."
        )
    dims, found = advanced_indices(input, indices)
    return _index_put(input, dims, found, values, bool(accumulate))


def _publish(f, name: str, doc: str, has_out: bool, where: str = "Tensor") -> None:
    """The function (with `out=` where PyTorch has it) and its in-place variant."""
    f.__doc__ = doc

    def with_out(*args, out=None, **kwargs):
        r = f(*args, **kwargs)
        return r if out is None else store_out(out, r, name)

    public = with_out if has_out else f
    describe(public, f, name, has_out)
    function(public, name=name)
    in_place = inplace_variant(f, name)
    describe(in_place, f, name + "_", False)
    function(in_place, where=where, name=name + "_")


for _f, _name, _has_out, _where, _doc in (
    (_index_add, "index_add", True, "Tensor", "input with alpha times the slices of source added at the places `index` along a dim."),
    (_index_copy, "index_copy", True, "Tensor", "input with the slices of source at the places `index` along a dim."),
    (_index_fill, "index_fill", False, "Tensor", "input with value (a number or a 0-d tensor) in the slices `index` along a dim."),
    (_index_reduce, "index_reduce", True, "Tensor", "input with the slices of source reduced into the places `index` along a dim, by prod, mean, amax or amin."),
    (_put, "put", False, "Tensor", "input with the elements of source at the places `index` of it read as a vector; added there with accumulate."),
    (_index_put_public, "index_put", False, "torch Tensor", "input with values at input[indices]; added there with accumulate (an index that comes twice then counts twice)."),
):  # fmt: skip
    _publish(_f, _name, _doc, _has_out, _where)
