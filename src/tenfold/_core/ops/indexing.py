"""`x[...]`, reading and writing, and the operations that gather and scatter.

An index is split in two: what ints, slices, None and `...` say is a view (walk.view: the offset is data); what tensors,
lists and masks say is one gather of that view. Bool masks are turned into positions, which reads their values."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.shapes import Layout, broadcast_shapes, dim_index, layout, result_strides, size
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of, tls
from ..trace.walk import check_writable
from ..trace.walk import view as new_view
from .creation import filled, from_array, tensor
from .declare import function, inplace_variant, overwrite, primitive, promoted, store_out
from .shape import clone, select, slice_dim

# --- basic: a view ---------------------------------------------------------------------------------------------------------


def slice_of(t: Tensor, d: int, s: slice) -> Tensor:
    """A view of a slice of dim d."""
    n = layout_of(t).shape[d]
    if s.step is None and s.start is None and s.stop is None:
        return t
    step = 1 if s.step is None else _int(s.step)
    if step <= 0:
        raise ValueError("step must be greater than zero")
    start = 0 if s.start is None else _int(s.start)
    stop = n if s.stop is None else _int(s.stop)
    start = max(0, start + n) if start < 0 else min(start, n)
    stop = max(0, stop + n) if stop < 0 else min(stop, n)
    count = max(0, -(-(stop - start) // step))
    return slice_dim(t, d, start, count, step)


def _int(x) -> int:
    if isinstance(x, Tensor):
        if layout_of(x).numel != 1 or layout_of(x).dtype.category > 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(x.item())
    try:
        return operator.index(x)
    except TypeError:
        raise TypeError("slice indices must be integers or None or have an __index__ method") from None


def pick(t: Tensor, d: int, i: int) -> Tensor:
    """A view without dim d, at place i of it."""
    lay = layout_of(t)
    n = lay.shape[d]
    if not -n <= i < n:
        raise IndexError(f"index {i} is out of bounds for dimension {d} with size {n}")
    return select(t, d, i)


def split_index(t: Tensor, index) -> tuple[Tensor, list[Tensor | None]]:
    """The view that the basic part of an index takes, and a tensor (or None) for each of its dims."""
    items = list(index) if isinstance(index, tuple) else [index]
    items = [_as_tensor(x) for x in items]
    used = sum(_dims_of(x) for x in items)
    ndim = layout_of(t).ndim
    if used > ndim:
        raise IndexError(f"too many indices for tensor of dimension {ndim}")
    if Ellipsis in [x for x in items if not isinstance(x, Tensor)]:
        at = next(i for i, x in enumerate(items) if x is Ellipsis)
        if any(x is Ellipsis for x in items[at + 1 :]):
            raise IndexError("an index can only have a single ellipsis ('...')")
        items[at : at + 1] = [slice(None)] * (ndim - used)
    advanced: list[Tensor | None] = []
    d = 0
    for x in items:
        if x is None:
            t = t.unsqueeze(d)
            advanced.append(None)
            d += 1
        elif isinstance(x, bool):
            t = t.unsqueeze(d)
            advanced.append(from_array(np.arange(1 if x else 0), dtypes.int64))
            d += 1
        elif isinstance(x, slice):
            t = slice_of(t, d, x)
            advanced.append(None)
            d += 1
        elif isinstance(x, Tensor):
            lay = layout_of(x)
            if lay.dtype in (dtypes.bool_, dtypes.uint8):
                places = mask_places(x, t, d)
                advanced += places
                d += len(places)
            elif lay.dtype.category == 1:
                advanced.append(x)
                d += 1
            else:
                raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, not {lay.dtype}")
        else:
            t = pick(t, d, x)
    return t, advanced


def _as_tensor(x) -> Any:
    """An index item as an int, bool, slice, None, ... or tensor."""
    if x is None or x is Ellipsis or isinstance(x, (bool, slice)):
        return x
    if type(x) is int:
        return x
    if isinstance(x, Tensor):
        lay = layout_of(x)
        if lay.ndim == 0 and lay.dtype.category == 1 and lay.dtype is not dtypes.uint8 and _realised(x):
            return int(x.item())
        return x
    if isinstance(x, (list, tuple, range)):
        x = list(x)
        if not x:
            return tensor(x, dtype=dtypes.int64)
        if any(isinstance(y, Tensor) for y in x):
            x = [y.tolist() if isinstance(y, Tensor) else y for y in x]
        return tensor(x)
    if isinstance(x, np.ndarray):
        return tensor(x)
    if isinstance(x, np.bool_):
        return bool(x)
    if hasattr(x, "__index__"):
        return operator.index(x)
    raise TypeError(f"only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {type(x).__name__})")


def _realised(t: Tensor) -> bool:
    st = t._st
    return st is not None and st.mem is not None and st.val is st.was


def _dims_of(x) -> int:
    """How many dims of the tensor an index item takes."""
    if x is None or x is Ellipsis or isinstance(x, bool):
        return 0
    if isinstance(x, Tensor) and layout_of(x).dtype in (dtypes.bool_, dtypes.uint8):
        return layout_of(x).ndim
    return 1


def mask_places(mask: Tensor, t: Tensor, d: int) -> list[Tensor]:
    """The positions where a mask is true, a tensor for each of its dims."""
    shape, have = layout_of(mask).shape, layout_of(t).shape[d : d + layout_of(mask).ndim]
    for k, (m, n) in enumerate(zip(shape, have)):
        if m != n:
            raise IndexError(
                f"The shape of the mask {list(shape)} at index {k} does not match the shape of the indexed tensor {list(layout_of(t).shape)} at index {d + k}"
            )
    found = np.nonzero(array_of(mask)) if shape else (np.zeros(int(bool(mask.item())), np.int64),)
    return [from_array(f.astype(np.int64), dtypes.int64) for f in found]


# --- advanced: one gather ------------------------------------------------------------------------------------------------------


def result_shape(shape, dims: tuple[int, ...], indices: list[Layout]):
    """The shape of x[indices at dims], and where in it the indices' dims stand."""
    where = broadcast_shapes(*[l.shape for l in indices])
    adjacent = dims == tuple(range(dims[0], dims[0] + len(dims)))
    front = dims[0] if adjacent else 0
    rest = [n for d, n in enumerate(shape) if d not in dims]
    return size((*rest[:front], *where, *rest[front:])), front


def _index_rule(input: Layout, dims, indices) -> Layout:
    try:
        shape, _ = result_shape(input.shape, dims, indices)
    except RuntimeError:
        shapes = ", ".join(str(list(l.shape)) for l in indices)
        raise IndexError(f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}") from None
    return layout(shape, None, input.dtype, input.device)


def key_of(shape, dims: tuple[int, ...], indices) -> tuple:
    """A NumPy index, after checking that every place exists."""
    key: list = [slice(None)] * len(shape)
    for d, i in zip(dims, indices):
        n = shape[d]
        if i.size and (i.min() < -n or i.max() >= n):
            bad = int(i[(i < -n) | (i >= n)].reshape(-1)[0])
            raise IndexError(f"index {bad} is out of bounds for dimension {d} with size {n}")
        key[d] = i
    return tuple(key)


def _index_gradient(g, out, input, dims, indices):
    zeros = filled(input.shape, 0, g.dtype, "cpu")
    return (_index_put(zeros, dims, list(indices), g, True), *[None for _ in indices])


@primitive(rule=_index_rule, gradient=_index_gradient, raw=True, name="index")
def _index(input, dims, indices):
    return np.ascontiguousarray(input[key_of(input.shape, dims, indices)])


def _put_rule(input: Layout, dims, indices, value: Layout, accumulate: bool) -> Layout:
    shape, _ = result_shape(input.shape, dims, indices)
    if broadcast_shapes(shape, value.shape) != shape:
        raise RuntimeError(f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to indexing result of shape {list(shape)}")
    return layout(input.shape, input.strides if input.dense and not input.contig else None, input.dtype, input.device)


def _put_gradient(g, out, input, dims, indices, value, accumulate):
    by_value = _index(g, dims, list(indices))
    if accumulate:
        return (g, *[None for _ in indices], by_value)
    return (_index_put(g, dims, list(indices), filled(size(()), 0, g.dtype, "cpu"), False), *[None for _ in indices], by_value)


@primitive(rule=_put_rule, gradient=_put_gradient, name="index_put", where="")
def _index_put(input, dims, indices, value, accumulate):
    out = np.array(input)
    key = key_of(input.shape, dims, indices)
    if accumulate:
        np.add.at(out, key, value.astype(out.dtype))
    else:
        out[key] = value
    return out


def check_now(shape, dims, indices) -> None:
    """Indices whose memory is there are checked at the call, so that the error is raised at the user's line."""
    for d, i in zip(dims, indices):
        if _realised(i) and layout_of(i).numel:
            n = shape[d]
            a = array_of(i)
            if a.min() < -n or a.max() >= n:
                bad = int(a[(a < -n) | (a >= n)].reshape(-1)[0])
                raise IndexError(f"index {bad} is out of bounds for dimension {d} with size {n}")


def gather_at(t: Tensor, advanced: list[Tensor | None]) -> Tensor:
    dims = tuple([d for d, i in enumerate(advanced) if i is not None])
    indices = [i for i in advanced if i is not None]
    misses = tls.walk.misses
    out = _index(t, dims, indices)
    if tls.walk.misses != misses:
        check_now(layout_of(t).shape, dims, indices)
    return out


# --- the public names ------------------------------------------------------------------------------------------------------------


@function(where="Tensor")
def __getitem__(self, index):
    kind = type(index)
    if kind is int:
        if not layout_of(self).ndim:
            raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number")
        return pick(self, 0, index)
    if kind is slice and layout_of(self).ndim:
        r = slice_of(self, 0, index)
        return new_view(self, layout_of(self), 0, "Alias") if r is self else r
    t, advanced = split_index(self, index)
    if any(a is not None for a in advanced):
        return gather_at(t, advanced)
    return new_view(self, layout_of(self), 0, "Alias") if t is self else t


def _is_single(value) -> bool:
    return isinstance(value, (bool, int, float)) or isinstance(value, Tensor) and not layout_of(value).ndim


def fits(mask: Tensor, t: Tensor) -> bool:
    """Whether a mask has the shape of a tensor's first dims."""
    n = layout_of(mask).ndim
    return n > 0 and layout_of(mask).shape == layout_of(t).shape[:n]


def write_masked(t: Tensor, mask: Tensor, value) -> None:
    """t[mask] = value for one value: no place has to be known, so that the mask is not read."""
    check_writable(t, tls.walk)
    lay = layout_of(t)
    if isinstance(value, Tensor):
        value = value.to(lay.dtype)
    else:
        value = filled(size(()), value, lay.dtype, lay.device)
    rest = lay.ndim - layout_of(mask).ndim
    if rest:
        mask = mask.reshape((*layout_of(mask).shape, *(1,) * rest))
    overwrite(t, _where(mask, value, t))


@function(where="Tensor")
def __setitem__(self, index, value):
    if isinstance(index, Tensor) and layout_of(index).dtype is dtypes.bool_ and _is_single(value) and fits(index, self):
        write_masked(self, index, value)
        return
    t, advanced = split_index(self, index)
    check_writable(t, tls.walk)
    d = layout_of(self).dtype
    given = isinstance(value, Tensor)
    if not given:
        value = filled(size(()), value, d, layout_of(self).device) if isinstance(value, (bool, int, float, complex)) else tensor(value, dtype=d)
    if any(a is not None for a in advanced):
        dims = tuple([k for k, i in enumerate(advanced) if i is not None])
        indices = [i for i in advanced if i is not None]
        have = layout_of(value).dtype
        if given and have is not d and layout_of(value).ndim:
            raise RuntimeError(f"Index put requires the source and destination dtypes match, got {d} for the destination and {have} for the source.")
        check_now(layout_of(t).shape, dims, indices)
        overwrite(t, _index_put(t, dims, indices, value.to(d), False))
        return
    shape = layout_of(t).shape
    have = layout_of(value).shape
    while len(have) > len(shape) and have[0] == 1:
        value = value.squeeze(0)
        have = layout_of(value).shape
    if have != shape:
        try:
            value = value.expand(shape)
        except RuntimeError:
            bad = next((k for k in range(-1, -len(have) - 1, -1) if len(have) > len(shape) or have[k] not in (1, shape[k])), 0)
            raise RuntimeError(
                f"The expanded size of the tensor ({shape[bad] if shape and -bad <= len(shape) else 1}) must match the existing size ({have[bad]}) at non-singleton dimension {max(len(shape) + bad, 0)}.  Target sizes: {list(shape)}.  Tensor sizes: {list(have)}"
            ) from None
    t.copy_(value)


@function(where="Tensor")
def __iter__(self):
    lay = layout_of(self)
    if not lay.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter([select(self, 0, i) for i in range(lay.shape[0])])


@function(where="Tensor")
def __contains__(self, element):
    if isinstance(element, (Tensor, bool, int, float, complex)):
        return bool((self == element).any().item())
    raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")


# --- choosing by a condition -------------------------------------------------------------------------------------------------


def _where_rule(condition: Layout, input: Layout, other: Layout) -> Layout:
    if condition.dtype not in (dtypes.bool_, dtypes.uint8):
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition.dtype}")
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


def _masked_fill_rule(input: Layout, mask: Layout, value) -> Layout:
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if value.number is None and value.ndim:
        raise RuntimeError(f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s).")
    if value.dtype.category > input.dtype.category:
        raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow")
    shape = broadcast_shapes(input.shape, mask.shape)
    return layout(shape, result_strides(shape, [input, mask]), input.dtype, input.device)


def _masked_fill_gradient(g, out, input, mask, value):
    by_value = _where(mask, g, filled(size(()), 0, g.dtype, "cpu"))
    return _masked_fill(g, mask, 0), None, by_value


@primitive(rule=_masked_fill_rule, gradient=_masked_fill_gradient, data=("value",), inplace=True, where="torch Tensor", name="masked_fill")
def _masked_fill(input, mask, value):
    """input with value (a number or a 0-d tensor) where mask is true."""
    return np.where(mask, np.asarray(value).astype(input.dtype), input)


# --- along a dim ---------------------------------------------------------------------------------------------------------------


def _check_index(name: str, index: Layout) -> None:
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int64 for index, got {index.dtype}")


def bounded(index: np.ndarray, n: int, dim: int) -> np.ndarray:
    """The index, after checking that every place exists along a dim of size n."""
    if index.size and (index.min() < 0 or index.max() >= n):
        bad = (index < 0) | (index >= n)
        at = [int(k) for k in np.argwhere(bad)[0]]
        raise RuntimeError(f"index {int(index[tuple(at)])} is out of bounds for dimension {dim} with size {n} (at position {at} of the index)")
    return index


def _gather_rule(input: Layout, dim: int, index: Layout) -> Layout:
    _check_index("gather", index)
    if index.numel and max(index.ndim, 1) != max(input.ndim, 1):
        raise RuntimeError(f"Index tensor must have the same number of dimensions as input tensor: gather got {index.ndim} and {input.ndim}")
    for d, (m, n) in enumerate(zip(index.shape, input.shape)):
        if d != dim and m > n:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(index.shape)} to be no larger than self {list(input.shape)} apart from dimension {dim}"
            )
    return layout(index.shape, None, input.dtype, input.device)


def places(index: np.ndarray, dim: int) -> tuple:
    """A NumPy index that puts `index` at a dim and counts along the others."""
    key = list(np.ogrid[tuple(slice(0, n) for n in index.shape)])
    key[dim] = index
    return tuple(key)


def _gather_gradient(g, out, input, dim, index):
    return _scatter(filled(input.shape, 0, g.dtype, "cpu"), dim, index, g, "add"), None


@primitive(rule=_gather_rule, gradient=_gather_gradient, raw=True, name="gather", where="")
def _gather(input, dim, index):
    if index.ndim == 0 or input.ndim == 0:
        bounded(index, input.size if input.ndim else 1, dim)
        return np.reshape(np.reshape(input, -1)[np.reshape(index, -1)], index.shape)
    bounded(index, input.shape[dim], dim)
    return input[places(index, dim)]


@function
def gather(input, dim, index, *, sparse_grad=False, out=None):
    """Elements of input at `index` along a dim: out[i][j] = input[index[i][j]][j] for dim 0."""
    r = _gather(input, dim_index(dim, layout_of(input).ndim), index)
    return r if out is None else store_out(out, r, "gather")


def _scatter_rule(input: Layout, dim: int, index: Layout, src: Layout, how) -> Layout:
    _check_index("scatter", index)
    if input.dtype is not src.dtype and not src.number:
        raise RuntimeError(f"scatter(): Expected self.dtype to be equal to src.dtype, got {input.dtype} and {src.dtype}")
    if index.numel:
        if max(index.ndim, 1) != max(input.ndim, 1) or not src.number and max(src.ndim, 1) != max(index.ndim, 1):
            raise RuntimeError("Index tensor must have the same number of dimensions as self tensor and src tensor")
        for d, m in enumerate(index.shape):
            if d != dim and m > input.shape[d] or not src.number and m > src.shape[d]:
                raise RuntimeError(
                    f"Expected index {list(index.shape)} to be no larger than self {list(input.shape)} apart from dimension {dim} and to be no larger than src {list(src.shape) if not src.number else []}"
                )
    return layout(input.shape, input.strides if input.dense and not input.contig else None, input.dtype, input.device)


def _scatter_gradient(g, out, input, dim, index, src, how):
    if how == "add":
        return g, None, _gather(g, dim, index)
    if how == "set":
        return _scatter(g, dim, index, 0, "set"), None, _gather(g, dim, index)
    by_input = g * src if not isinstance(src, Tensor) else g * _scatter(filled(input.shape, 1, g.dtype, "cpu"), dim, index, src, "multiply")
    return by_input, None, _gather(g * input, dim, index)


@primitive(rule=_scatter_rule, gradient=_scatter_gradient, data=("src",), name="scatter", where="")
def _scatter(input, dim, index, src, how):
    out = np.array(input)
    if index.size == 0:
        return out
    flat = out.reshape(1) if out.ndim == 0 else out
    index = index.reshape(1) if index.ndim == 0 else index
    bounded(index, flat.shape[dim], dim)
    if isinstance(src, np.ndarray) or isinstance(src, np.generic):
        values = np.asarray(src).reshape(-1)[:1] if np.ndim(src) == 0 else src[tuple(slice(0, n) for n in index.shape)]
    else:
        values = np.asarray(src).astype(out.dtype)
    key = places(index, dim)
    if how == "set":
        flat[key] = values
    elif how == "add":
        np.add.at(flat, key, values)
    else:
        np.multiply.at(flat, key, values)
    return out


def _scatter_public(name: str, how: str | None, doc: str):
    def scatter(input, dim, index, src=None, *, value=None, reduce=None, out=None):
        kind = how or {None: "set", "add": "add", "multiply": "multiply"}.get(reduce, reduce)
        if kind not in ("set", "add", "multiply"):
            raise RuntimeError(f"reduce argument must be either add or multiply, got {reduce!r}")
        r = _scatter(input, dim_index(dim, layout_of(input).ndim), index, src if src is not None else value, kind)
        return r if out is None else store_out(out, r, name)

    scatter.__name__ = scatter.__qualname__ = name
    scatter.__doc__ = doc
    function(scatter, name=name)
    function(inplace_variant(scatter, name), where="Tensor", name=name + "_")
    return scatter


scatter = _scatter_public("scatter", None, "input with src (a tensor or a number) written at `index` along a dim: out[index[i][j]][j] = src[i][j] for dim 0.")
scatter_add = _scatter_public("scatter_add", "add", "input with src added at `index` along a dim: out[index[i][j]][j] += src[i][j] for dim 0.")


@function
def index_select(input, dim, index, *, out=None):
    """The slices of input at the places in `index` (1-D) along a dim."""
    lay = layout_of(index)
    if lay.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if lay.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"index_select(): Expected dtype int32 or int64 for index, got {lay.dtype}")
    d = dim_index(dim, layout_of(input).ndim)
    if not layout_of(input).ndim:
        r = clone(input)
    else:
        r = gather_at(input, [None] * d + [index.reshape(-1)])
    return r if out is None else store_out(out, r, "index_select")


@function
def nonzero(input, *, as_tuple=False, out=None):
    """Where input is not zero: (number, dims) of int64, or a tuple with a tensor for each dim."""
    found = np.nonzero(np.atleast_1d(array_of(input)))
    if as_tuple:
        return tuple([from_array(f.astype(np.int64), dtypes.int64) for f in found])
    ndim = layout_of(input).ndim
    rows = np.stack(found, 1).astype(np.int64) if ndim else np.empty((len(found[0]), 0), np.int64)
    r = from_array(np.ascontiguousarray(rows), dtypes.int64)
    return r if out is None else store_out(out, r, "nonzero")


@function
def masked_select(input, mask, *, out=None):
    """The elements of input where mask is true, as a vector."""
    if layout_of(mask).dtype is not dtypes.bool_:
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, got {layout_of(mask).dtype}")
    shape = broadcast_shapes(layout_of(input).shape, layout_of(mask).shape)
    r = input.expand(shape)[mask.expand(shape)] if shape else input.reshape(1)[mask.reshape(1)]
    return r if out is None else store_out(out, r, "masked_select")
