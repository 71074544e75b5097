"""Along a dim: elements at an index gathered, and scattered.

A gather reads out[i][j] = input[index[i][j]][j] (for dim 0); a scatter writes there. Each is the other's gradient."""

from __future__ import annotations

import numpy as np

from ..ir import dtypes
from ..ir.arrays import Symbolic, as_array, full, required, writable
from ..ir.shapes import Layout, broadcast_shapes, dim_index, layout, size
from ..trace.handle import Tensor, layout_of
from .checks import known_values
from .creation import filled
from .declare import describe, function, inplace_variant, primitive, store_out
from .elementwise import remainder
from .indexing import _index, add_at, check_apart, inside, store_exactly
from .shape import dim_or_axis, expand, reshape

# --- what is checked --------------------------------------------------------------------------------------------------


def check_index(name: str, index: Layout) -> None:
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int64 for index, got {index.dtype}: convert it with .long()")


def bounded(index: np.ndarray, n: int, dim: int, error=RuntimeError, lead="") -> np.ndarray:
    """The index, after checking that every place exists along a dim of size n."""
    if isinstance(index, Symbolic):
        required((index >= 0) & (index < n))
    elif not inside(index, n):
        at = [int(k) for k in np.argwhere((index < 0) | (index >= n))[0]]
        bad = int(index[tuple(at)])
        raise error(
            f"{lead}index {bad} is out of bounds for dimension {dim} with size {n} (at position {at} of the index)"
        )
    return index


def _bounds_now(op, error=RuntimeError, lead=""):
    """Checks an index whose memory is there at the call, so that the error is raised at the user's line."""

    def early(arguments: list) -> None:
        input, dim, index = arguments[:3]
        values = known_values(index)
        if values is not None and isinstance(dim, int):
            shape = layout_of(input).shape
            bounded(values, shape[dim] if shape else 1, dim, error, lead)

    op.operation.early = early


def places(index: np.ndarray, dim: int) -> tuple:
    """A NumPy index that puts `index` at a dim and counts along the others."""
    key = list(np.ogrid[tuple(slice(0, n) for n in index.shape)])
    key[dim] = index
    return tuple(key)


# --- gather -----------------------------------------------------------------------------------------------------------


def _gather_rule(input: Layout, dim: int, index: Layout) -> Layout:
    check_index("gather", index)
    if index.numel and max(index.ndim, 1) != max(input.ndim, 1):
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as input tensor: "
            f"gather got {index.ndim} (shape {list(index.shape)}) and {input.ndim} (shape {list(input.shape)})"
        )
    for d, (m, n) in enumerate(zip(index.shape, input.shape)):
        if d != dim and m > n:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(index.shape)} to be no larger than "
                f"self {list(input.shape)} apart from dimension {dim}"
            )
    return layout(index.shape, None, input.dtype, input.device)


def _gather_gradient(g, out, input, dim, index):
    return _scatter(filled(input.shape, 0, g.dtype, "cpu"), dim, index, g, "sum", True), None


@primitive(rule=_gather_rule, gradient=_gather_gradient, raw=True, name="gather", where="")
def _gather(input, dim, index):
    if index.ndim == 0 or input.ndim == 0:
        bounded(index, input.size if input.ndim else 1, dim)
        return np.reshape(np.reshape(input, -1)[np.reshape(index, -1)], index.shape)
    bounded(index, input.shape[dim], dim)
    return input[places(index, dim)]


_bounds_now(_gather)


@function
@dim_or_axis
def gather(input, dim, index, *, sparse_grad=False, out=None):
    """Elements of input at `index` along a dim: out[i][j] = input[index[i][j]][j] for dim 0.

    Args: index: int64, of input's number of dims; no dim but `dim` longer than input's."""
    check_apart(out, input, index)
    r = _gather(input, dim_index(dim, layout_of(input).ndim), index)
    return r if out is None else store_exactly(out, r, "gather")


@function
def take_along_dim(input, indices, dim=None, *, out=None):
    """gather after broadcasting input and indices in the other dims; without dim, from input as a vector."""
    have = layout_of(indices)
    if have.dtype is not dtypes.int64:
        raise RuntimeError(f"torch.take_along_dim(): dtype of indices should be Long but got {have.dtype}")
    if dim is None:
        r = gather(reshape(input, (-1,)), 0, reshape(indices, (-1,)))
        return r if out is None else store_out(out, r, "take_along_dim")
    lay = layout_of(input)
    if lay.ndim != have.ndim:
        raise RuntimeError(
            f"torch.take_along_dim(): input and indices should have the same number of dimensions, but got {lay.ndim} dimensions for input, "
            f"and {have.ndim} dimensions for indices"
        )
    d = dim_index(dim, lay.ndim)
    wanted = (
        list(broadcast_shapes([*lay.shape[:d], 1, *lay.shape[d + 1 :]], [*have.shape[:d], 1, *have.shape[d + 1 :]]))
        if lay.ndim
        else []
    )
    if lay.ndim:
        input = expand(input, [*wanted[:d], lay.shape[d], *wanted[d + 1 :]])
        indices = expand(indices, [*wanted[:d], have.shape[d], *wanted[d + 1 :]])
    n = lay.shape[d] if lay.ndim else 1
    r = _gather(input, d, remainder(indices, n) if n else indices)
    return r if out is None else store_out(out, r, "take_along_dim")


@function
def take(input, index, *, out=None):
    """Elements of input, read as a vector, at `index`, in the shape of index."""
    check_long("take", index)
    lay = layout_of(input)
    if not lay.numel and layout_of(index).numel:
        raise IndexError("take(): tried to take from an empty tensor")
    check_apart(out, input, index)
    r = _index(reshape(input, (lay.numel,)), (0,), [index])
    return r if out is None else store_exactly(out, r, "take")


def check_long(name: str, index) -> None:
    if not isinstance(index, Tensor):
        raise TypeError(f"{name}(): argument 'index' must be Tensor, not {type(index).__name__}")
    if layout_of(index).dtype is not dtypes.int64:
        raise RuntimeError(f"{name}(): Expected a long tensor for index, but got {layout_of(index).dtype}")


# --- rows -------------------------------------------------------------------------------------------------------------


def _rows_rule(input: Layout, dim: int, index: Layout) -> Layout:
    shape = list(input.shape)
    if shape:
        shape[dim] = index.numel
    return layout(size(shape), None, input.dtype, input.device)


def _rows_gradient(g, out, input, dim, index):
    from .index_writes import _write_rows

    return _write_rows(filled(input.shape, 0, g.dtype, "cpu"), dim, index, g, "sum", True), None


@primitive(rule=_rows_rule, gradient=_rows_gradient, raw=True, name="index_select", where="")
def rows(input, dim, index):
    index = index.reshape(-1)
    bounded(index, input.shape[dim] if input.ndim else 1, dim, IndexError, "index out of range in self: ")
    return np.take(input, index, dim) if input.ndim else input


_bounds_now(rows, IndexError, "index out of range in self: ")


@function
@dim_or_axis
def index_select(input, dim, index, *, out=None):
    """The slices of input at the places in `index` (a vector) along a dim."""
    lay = layout_of(index)
    if lay.ndim > 1:
        raise IndexError(f"index_select(): Index is supposed to be a vector, this has shape {list(lay.shape)}")
    if lay.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"index_select(): Expected dtype int32 or int64 for index, got {lay.dtype}")
    have = layout_of(input)
    d = dim_index(dim, have.ndim)
    if not have.ndim and lay.numel != 1:
        raise RuntimeError(f"index_select(): Index to scalar can have only 1 value, got {lay.numel} value(s)")
    check_apart(out, input, index)
    r = rows(input, d, index)
    return r if out is None else store_exactly(out, r, "index_select")


# --- scatter ----------------------------------------------------------------------------------------------------------

UFUNCS = {"sum": np.add, "mean": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def neutral(how: str, d: np.dtype):
    """What changes nothing under a reduction."""
    if how in ("sum", "mean"):
        return d.type(0)
    if how == "prod":
        return d.type(1)
    if d.kind == "b":
        return d.type(how == "amin")
    limits = (np.finfo(d).min, np.finfo(d).max) if d.kind == "f" else (np.iinfo(d).min, np.iinfo(d).max)
    if d.kind == "f":
        limits = (-np.inf, np.inf)
    return d.type(limits[0 if how == "amax" else 1])


def combine(out: np.ndarray, key: tuple, values, how: str, include_self: bool) -> None:
    """Writes values at a NumPy index of out: in place of what is there, or reduced with it and with each other."""
    if how == "set":
        out[key] = values
        return
    if not include_self:
        out[key] = neutral(how, out.dtype)
    if UFUNCS[how] is np.add:
        add_at(out, key, values)
    else:
        UFUNCS[how].at(out, key, values)
    if how == "mean":
        count = full(out.shape, int(include_self), np.int64, out)
        np.add.at(count, key, 1)
        count[count == 0] = 1
        if out.dtype.kind in "iu":
            np.floor_divide(out, count.astype(out.dtype), out=out)
        else:
            np.divide(out, count.astype(out.real.dtype), out=out)


def reduction_gradient(g, out, input, src, how: str, include_self: bool, put, get):
    """The gradients of input and src. put(x, values, how, include_self) writes as the operation does, get(x) reads there."""
    if how == "sum":
        by_input, by_src = g, get(g)
    elif how == "mean":
        count = put(_constant(input, int(include_self), g), _constant(src, 1, g), "sum", True).clamp(min=1)
        by_input = g / count
        by_src = get(by_input)
    elif how == "prod":
        by_input, by_src = _product_gradient(g, out, input, src, include_self, put, get)
    else:
        value = get(out)
        here, there = (input == out).to(g.dtype), (src == value).to(g.dtype)
        if not include_self:
            here = put(here, _constant(src, 0, g), "set", True)
        share = g / put(here, there, "sum", True).clamp(min=1)
        by_input = here * share
        by_src = there * get(share)
    if not include_self:
        by_input = put(by_input, _constant(src, 0, g), "set", True)
    return by_input, by_src


def _constant(like, value, g):
    return filled(like.shape, value, g.dtype, "cpu")


def _product_gradient(g, out, input, src, include_self, put, get):
    """Products without the factor itself, by division; a single zero among the factors is left out, not divided by."""
    plain = input.masked_fill(input == 0, 1)
    by_input = g * put(plain, src, "prod", include_self) / plain
    zero = src == 0
    zeros = get(put(_constant(input, 0, g), zero.to(g.dtype), "sum", True))
    alone = zero & (zeros == 1)
    without = put(input, src.masked_fill(alone, 1), "prod", include_self)
    divided = get(g * out) / src.masked_fill(zero, 1)
    return by_input, get(g * without) * alone.to(g.dtype) + divided * (~alone).to(g.dtype)


def _scatter_rule(input: Layout, dim: int, index: Layout, src: Layout, how, include_self) -> Layout:
    check_index("scatter", index)
    if input.dtype is not src.dtype and not src.number:
        raise RuntimeError(
            f"scatter(): Expected self.dtype to be equal to src.dtype, got {input.dtype} and {src.dtype}"
        )
    if how in ("amax", "amin") and input.dtype.is_complex:
        raise RuntimeError(f"scatter(): {how} is not defined for complex numbers ({input.dtype}), which have no order")
    if index.numel:
        if max(index.ndim, 1) != max(input.ndim, 1) or not src.number and max(src.ndim, 1) != max(index.ndim, 1):
            raise RuntimeError(
                "Index tensor must have the same number of dimensions as self tensor and src tensor: "
                f"scatter got shapes {list(index.shape)}, {list(input.shape)} and {list(src.shape)}"
            )
        for d, m in enumerate(index.shape):
            if input.ndim and d != dim and m > input.shape[d] or not src.number and src.ndim and m > src.shape[d]:
                raise RuntimeError(
                    f"Expected index {list(index.shape)} to be no larger than self {list(input.shape)} apart from dimension {dim} "
                    f"and to be no larger than src {list(src.shape)}"
                )
    return layout(input.shape, input.strides if input.dense and not input.contig else None, input.dtype, input.device)


def _scatter_gradient(g, out, input, dim, index, src, how, include_self):
    def put(x, values, how, include_self):
        return _scatter(x, dim, index, values, how, include_self)

    def get(x):
        return _gather(x, dim, index)

    if how == "set":
        return _scatter(g, dim, index, 0, "set", True), None, get(g)
    number = layout_of(src).number
    if number:
        return (g * put(filled(input.shape, 1, g.dtype, "cpu"), src, how, True) if how == "prod" else g), None, None
    used = src
    if src.shape != index.shape:
        used = src[tuple([slice(0, n) for n in index.shape])]
    by_input, by_src = reduction_gradient(g, out, input, used, how, include_self, put, get)
    if used is not src:
        for d, n in enumerate(src.shape):
            if by_src.shape[d] != n:
                by_src = _padded(by_src, d, n)
    return by_input, None, by_src


def _padded(x, d: int, n: int):
    """x with zeros at the end of dim d, up to size n."""
    from .joining import cat

    rest = filled(size([n - m if k == d else m for k, m in enumerate(x.shape)]), 0, x.dtype, "cpu")
    return cat([x, rest], d)


@primitive(rule=_scatter_rule, gradient=_scatter_gradient, data=("src",), name="scatter", where="")
def _scatter(input, dim, index, src, how, include_self):
    out = writable(input)
    if index.size == 0:
        return out
    flat = out.reshape(1) if out.ndim == 0 else out
    index = index.reshape(1) if index.ndim == 0 else index
    bounded(index, flat.shape[dim], dim)
    values = as_array(src)
    if values.ndim or isinstance(src, np.ndarray):
        values = (values if values.ndim else values.reshape(1))[tuple(slice(0, n) for n in index.shape)]
    combine(flat, places(index, dim), values.astype(out.dtype), how, include_self)
    return out


_bounds_now(_scatter)


def _into(input, dim, index, src, how: str, include_self: bool):
    return _scatter(input, dim_index(dim, layout_of(input).ndim), index, src, how, include_self)


def _publish(f, name: str, doc: str):
    """The function, its `out=` and its in-place variant."""

    def public(*args, out=None, **kwargs):
        r = f(*args, **kwargs)
        return r if out is None else store_out(out, r, name)

    f.__doc__ = doc
    describe(public, f, name, True)
    function(public, name=name)
    in_place = inplace_variant(f, name)
    describe(in_place, f, name + "_", False)
    function(in_place, where="Tensor", name=name + "_")
    return public


def _scatter_any(input, dim, index, src=None, *, value=None, reduce=None):
    how = {None: "set", "add": "sum", "multiply": "prod"}.get(reduce)
    if how is None:
        raise RuntimeError(f"reduce argument must be either add or multiply, got {reduce!r}")
    if src is None and value is None:
        raise TypeError(
            "scatter() received an invalid combination of arguments: give `src` (a tensor) or `value` (a number)"
        )
    return _into(input, dim, index, value if src is None else src, how, True)


def _scatter_add_any(input, dim, index, src):
    return _into(input, dim, index, src, "sum", True)


def _scatter_reduce_any(input, dim, index, src, reduce, *, include_self=True):
    if reduce not in UFUNCS:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    return _into(input, dim, index, src, reduce, include_self)


scatter = _publish(
    _scatter_any,
    "scatter",
    "input with src (a tensor or a number) written at `index` along a dim: out[index[i][j]][j] = src[i][j] for dim 0.",
)
scatter_add = _publish(
    _scatter_add_any,
    "scatter_add",
    "input with src added at `index` along a dim: out[index[i][j]][j] += src[i][j] for dim 0.",
)
scatter_reduce = _publish(
    _scatter_reduce_any,
    "scatter_reduce",
    "input with src reduced into the places `index` along a dim, by sum, prod, mean, amax or amin; with what input holds there, or without.",
)
