"""Choosing by a condition: where, masks, and the places where something holds."""

from __future__ import annotations

import numpy as np

from ..ir import dtypes
from ..ir.arrays import as_array
from ..ir.shapes import Layout, broadcast_shapes, layout, numel, result_strides, size
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from .creation import filled, from_array
from .declare import function, inplace_variant, primitive, promoted, store_out
from .indexing import check_apart, store_exactly

# --- choosing by a condition ------------------------------------------------------------------------------------------


def _where_rule(condition: Layout, input: Layout, other: Layout) -> Layout:
    if condition.dtype not in (dtypes.bool_, dtypes.uint8):
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition.dtype}"
        )
    d = promoted([input, other])
    lays = [condition, input, other]
    shape = broadcast_shapes(*[l.shape for l in lays])
    return layout(shape, result_strides(shape, lays), d, condition.device)


def _where_gradient(g, out, condition, input, other):
    zero = filled(size(()), 0, g.dtype, "cpu")
    return None, _where(condition, g, zero), _where(condition, zero, g)


@primitive(rule=_where_rule, gradient=_where_gradient, data=("input", "other"), name="where", where="")
def _where(condition, input, other):
    return np.where(condition.astype(bool), input, other)


@function
def where(condition, input=None, other=None, *, out=None):
    """input where condition is true, other elsewhere; with condition alone, where it is true (as nonzero(as_tuple=True)).

    Args: condition: bool; input, other: tensors or numbers. All broadcast."""
    if not isinstance(condition, Tensor):
        raise TypeError(f"where(): argument 'condition' (position 1) must be Tensor, not {type(condition).__name__}")
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    r = _where(condition, input, other)
    return r if out is None else store_out(out, r, "where")


@function(where="Tensor", name="where")
def _method_where(self, condition, other):
    return where(condition, self, other)


def _check_mask(name: str, mask) -> None:
    if not isinstance(mask, Tensor):
        raise TypeError(f"{name}(): argument 'mask' must be Tensor, not {type(mask).__name__}")
    if layout_of(mask).dtype is not dtypes.bool_:
        raise RuntimeError(f"{name}: expected BoolTensor for mask, got {layout_of(mask).dtype}")


def _masked_fill_rule(input: Layout, mask: Layout, value) -> Layout:
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if value.number is None and value.ndim:
        raise RuntimeError(
            f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s)."
        )
    if value.dtype.category > input.dtype.category and not (input.dtype is dtypes.bool_ and value.number):
        raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow")
    shape = broadcast_shapes(input.shape, mask.shape)
    return layout(shape, result_strides(shape, [input, mask]), input.dtype, input.device)


def _masked_fill_gradient(g, out, input, mask, value):
    by_value = _where(mask, g, filled(size(()), 0, g.dtype, "cpu"))
    return _masked_fill(g, mask, 0), None, by_value


@primitive(
    rule=_masked_fill_rule,
    gradient=_masked_fill_gradient,
    data=("value",),
    inplace=True,
    where="torch Tensor",
    name="masked_fill",
)
def _masked_fill(input, mask, value):
    """input with value (a number or a 0-d tensor) where mask is true."""
    return np.where(mask, as_array(value).astype(input.dtype), input)


@function
def nonzero(input, *, as_tuple=False, out=None):
    """Where input is not zero: (number, dims) of int64, or a tuple with a tensor for each dim."""
    lay = layout_of(input)
    ndim = lay.ndim
    values = array_of(input)
    found = np.nonzero(np.atleast_1d(dtypes.decode(values, lay.dtype) if lay.dtype.half else values))
    if as_tuple:
        if out is not None:
            raise TypeError("nonzero() does not support the out kwarg when as_tuple is True")
        return tuple([from_array(f.astype(np.int64), dtypes.int64) for f in found])
    count = len(found[0])
    r = from_array(np.stack(found).astype(np.int64) if ndim else np.empty((0, count), np.int64), dtypes.int64)
    r._lay = layout(
        size((count, ndim)), (1, count) if count else None, dtypes.int64
    )  # dim after dim, as they are found
    return r if out is None else store_exactly(out, r, "nonzero")


@function
def masked_select(input, mask, *, out=None):
    """The elements of input where mask is true, as a vector."""
    _check_mask("masked_select", mask)
    check_apart(out, input, mask)
    shape = broadcast_shapes(layout_of(input).shape, layout_of(mask).shape)
    r = input.expand(shape)[mask.expand(shape)] if shape else input.reshape(1)[mask.reshape(1)]
    return r if out is None else store_exactly(out, r, "masked_select")


def _masked_scatter_rule(input: Layout, mask: Layout, source: Layout) -> Layout:
    if input.dtype is not source.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got {input.dtype} and {source.dtype}"
        )
    return layout(broadcast_shapes(input.shape, mask.shape), None, input.dtype, input.device)


def _masked_scatter_gradient(g, out, input, mask, source):
    return _masked_fill(g, mask, 0), None, _masked_head(g, mask, tuple(source.shape))


@primitive(rule=_masked_scatter_rule, gradient=_masked_scatter_gradient, raw=True, name="masked_scatter", where="")
def _masked_scatter(input, mask, source):
    shape = np.broadcast_shapes(input.shape, mask.shape)
    out = np.array(np.broadcast_to(input, shape))
    where = np.broadcast_to(mask, shape)
    count = int(np.count_nonzero(where))
    if count > source.size:
        raise RuntimeError(
            f"masked_scatter: Number of elements of source < number of ones in mask ({source.size} < {count})"
        )
    out[where] = source.reshape(-1)[:count]
    return out


def _masked_head_gradient(gg, out, g, mask, shape):
    return _masked_scatter(filled(g.shape, 0, g.dtype, "cpu"), mask, gg), None


@primitive(
    rule=lambda g, mask, shape: layout(size(shape), None, g.dtype, g.device), gradient=_masked_head_gradient, raw=True,
    name="masked_scatter_source", where="",
)  # fmt: skip
def _masked_head(g, mask, shape):
    """The elements of g under a mask, first in a tensor of a shape that is zero after them."""
    out = np.zeros(numel(shape), g.dtype)
    found = g[np.broadcast_to(mask, g.shape)]
    out[: found.size] = found
    return out.reshape(shape)


def _masked_scatter_public(input, mask, source):
    """input with the elements of source, in order, at the places where mask is true."""
    _check_mask("masked_scatter", mask)
    return _masked_scatter(input, mask, source)


function(_masked_scatter_public, name="masked_scatter")
function(inplace_variant(_masked_scatter_public, "masked_scatter"), where="Tensor", name="masked_scatter_")


# --- where something is -----------------------------------------------------------------------------------------------


@function
def argwhere(input):
    """Where input is not zero: int64 of shape (number, dims)."""
    return nonzero(input)


@function
def nonzero_static(input, *, size, fill_value=-1, out=None):
    """The first `size` places where input is not zero; rows that are missing hold fill_value."""
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, got {size}")
    found = array_of(nonzero(input))[:size]
    rows = np.full((size, found.shape[1]), fill_value, np.int64)
    rows[: len(found)] = found
    r = from_array(rows, dtypes.int64)
    return r if out is None else store_out(out, r, "nonzero_static")


@function(where="torch")
def unravel_index(indices, shape):
    """Positions in a flattened tensor of that shape as a tuple with an index for each dim."""
    if layout_of(indices).dtype.category != 1:
        raise ValueError(f"expected 'indices' to be integer dtype, but got {layout_of(indices).dtype}")
    dims = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    if any(n < 0 for n in dims):
        raise ValueError(f"'shape' cannot have negative values, but got {dims}")
    steps = np.array([numel(dims[k + 1 :]) for k in range(len(dims))], np.int64)
    counted = indices.unsqueeze(-1) // from_array(np.maximum(steps, 1), dtypes.int64)
    return (counted % from_array(np.maximum(np.array(dims, np.int64), 1), dtypes.int64)).unbind(-1)
