"""`x[...]`, reading and writing, and the operations that gather and scatter.

An index is split in two: what ints, slices, None and `...` say is a view (walk.view: the offset is data); what tensors,
lists and masks say is one gather of that view. Bool masks are turned into positions, which reads their values."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.arrays import Symbolic, writable, zeros
from ..ir.shapes import Layout, broadcast_shapes, contiguous_strides, fastest_first, layout, size
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of, tls, translated
from ..trace.walk import check_writable
from ..trace.walk import view as new_view
from .calling import meta_tensor
from .creation import filled, from_array, tensor
from .declare import function, overwrite, primitive, scalar_name, store_out
from .shape import select, slice_dim, view_strides

# --- basic: a view ----------------------------------------------------------------------------------------------------


@translated
def slice_bounds(s: slice, n: int) -> tuple[int, int, int]:
    """First place, number of places and step of a slice of a dim of size n."""
    step = 1 if s.step is None else _int(s.step)
    if step <= 0:
        raise ValueError("step must be greater than zero")
    start = 0 if s.start is None else _int(s.start)
    stop = n if s.stop is None else _int(s.stop)
    start = max(0, start + n) if start < 0 else min(start, n)
    stop = max(0, stop + n) if stop < 0 else min(stop, n)
    return start, max(0, -(-(stop - start) // step)), step


def slice_of(t: Tensor, d: int, s: slice) -> Tensor:
    """A view of a slice of dim d."""
    if s.step is None and s.start is None and s.stop is None:
        return t
    return slice_dim(t, d, *slice_bounds(s, layout_of(t).shape[d]))


def _int(x) -> int:
    if isinstance(x, Tensor):
        if layout_of(x).numel != 1 or layout_of(x).dtype.category > 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(x.item())
    try:
        return operator.index(x)
    except TypeError:
        raise TypeError("slice indices must be integers or None or have an __index__ method") from None


def pick(t: Tensor, d: int, i: int, named: int) -> Tensor:
    """A view without dim d (which the user knows by another number), at place i of it."""
    n = layout_of(t).shape[d]
    if not -n <= i < n:
        raise out_of_bounds(i, named, n)
    return select(t, d, i)


def out_of_bounds(i: int, d: int, n: int) -> IndexError:
    return IndexError(f"index {i} is out of bounds for dimension {d} with size {n}")


@translated
def basic_view(t: Tensor, items: tuple) -> Tensor | None:
    """The view that ints, slices, None and `...` ask for; None where there is anything else in the index.

    The offset is worked out at each call, the layout once for each pattern of kinds, lengths and steps."""
    lay = layout_of(t)
    shape, strides = lay.shape, lay.strides
    ndim = lay.ndim
    pattern: list = []
    offset = d = 0
    how = "Alias"
    for x in items:
        kind = type(x)
        if kind is int:
            if d >= ndim:
                raise IndexError(f"too many indices for tensor of dimension {ndim}")
            n = shape[d]
            if not -n <= x < n:
                raise out_of_bounds(x, d, n)
            offset += (x if x >= 0 else x + n) * strides[d]
            pattern.append("at")
            how = "Select"
            d += 1
        elif kind is slice:
            if d >= ndim:
                raise IndexError(f"too many indices for tensor of dimension {ndim}")
            if x.start is None and x.stop is None and x.step is None:
                pattern.append("all")
            else:
                start, count, step = slice_bounds(x, shape[d])
                offset += start * strides[d]
                pattern.append((count, step))
                how = "Slice"
            d += 1
        elif x is None:
            pattern.append("new")
            how = "Unsqueeze"
        elif x is Ellipsis and "all the rest" not in pattern:
            used = sum([type(y) is int or type(y) is slice for y in items])
            if used > ndim:
                raise IndexError(f"too many indices for tensor of dimension {ndim}")
            pattern.append("all the rest")
            d += ndim - used
        else:
            return None
    key = ("Index", tuple(pattern))
    found = lay.views.get(key)
    if found is None:
        found = lay.views[key] = _pattern_layout(lay, pattern)
    return new_view(t, found, offset, how)


def _pattern_layout(lay: Layout, pattern: list) -> Layout:
    """The layout of a basic view; a new dim's stride spans the dim behind it, as it was before it was cut."""
    taken = sum([p != "new" and p != "all the rest" for p in pattern])
    if "all the rest" not in pattern:
        pattern = [*pattern, "all the rest"]
    shape: list[int] = []
    strides: list[int] = []
    d = 0
    for p in pattern:
        if p == "new":
            strides.append(lay.strides[d] * lay.shape[d] if d < lay.ndim else 1)
            shape.append(1)
            continue
        for _ in range(lay.ndim - taken if p == "all the rest" else 1):
            if p != "at":
                count, step = p if isinstance(p, tuple) else (lay.shape[d], 1)
                shape.append(count)
                strides.append(lay.strides[d] * step)
            d += 1
    return layout(size(shape), tuple(strides), lay.dtype, lay.device)


def is_tuple_like(index) -> bool:
    """Whether a list is taken for a tuple of indices: where it holds slices, None, `...`, tensors or sequences."""
    if type(index) is not list or len(index) >= 32:
        return False
    return any(
        x is None or x is Ellipsis or isinstance(x, (slice, Tensor, list, tuple, range, np.ndarray)) for x in index
    )


def split_index(t: Tensor, index) -> tuple[Tensor, list[Tensor | None]]:
    """The view that the basic part of an index takes, and a tensor (or None) for each of its dims."""
    items = list(index) if isinstance(index, tuple) or is_tuple_like(index) else [index]
    items = [_as_tensor(x) for x in items]
    used = sum(_dims_of(x) for x in items)
    ndim = layout_of(t).ndim
    if used > ndim:
        raise IndexError(f"too many indices for tensor of dimension {ndim}")
    dots = [i for i, x in enumerate(items) if x is Ellipsis]
    if dots:
        for i in reversed(dots[1:]):
            if any(isinstance(x, Tensor) or x is not Ellipsis and x != slice(None) for x in items[i + 1 :]):
                raise IndexError("an index can only have a single ellipsis ('...') before other items")
            del items[i]  # a later one stands for no dim
        items[dots[0] : dots[0] + 1] = [slice(None)] * (ndim - used)
    advanced: list[Tensor | None] = []
    d = 0
    gone = 0  # dims that ints have taken away, less those that None has put in
    for x in items:
        if x is None:
            gone -= 1
            t = t.unsqueeze(d)
            advanced.append(None)
            d += 1
        elif isinstance(x, bool):
            gone -= 1
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
            elif lay.dtype in (dtypes.int64, dtypes.int32):
                advanced.append(x)
                d += 1
            else:
                raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, not {lay.dtype}")
        else:
            t = pick(t, d, x, d + gone)
            gone += 1
    return t, advanced


def _as_tensor(x) -> Any:
    """An index item as an int, bool, slice, None, ... or tensor."""
    if x is None or x is Ellipsis or isinstance(x, (bool, slice)):
        return x
    if type(x) is int:
        return x
    if isinstance(x, Tensor):
        lay = layout_of(x)
        if lay.ndim == 0 and lay.device != "meta":
            if lay.dtype in (dtypes.bool_, dtypes.uint8):
                return bool(x.item())
            w = tls.walk
            if lay.dtype.category == 1 and (_realised(x) or not w.body or w.level is not None and w.level.exact):
                return int(x.item())  # as a view needs it
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
    raise TypeError(
        f"only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {type(x).__name__})"
    )


def _realised(t: Tensor) -> bool:
    st = t._st
    return st is not None and isinstance(st.mem, np.ndarray) and st.val is st.was


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


# --- advanced: one gather ---------------------------------------------------------------------------------------------


def result_shape(shape, dims: tuple[int, ...], indices: list[Layout]):
    """The shape of x[indices at dims], and where in it the indices' dims stand."""
    where = broadcast_shapes(*[l.shape for l in indices])
    adjacent = dims == tuple(range(dims[0], dims[0] + len(dims)))
    front = dims[0] if adjacent else 0
    rest = [n for d, n in enumerate(shape) if d not in dims]
    return size((*rest[:front], *where, *rest[front:])), front


def _index_rule(input: Layout, dims, indices) -> Layout:
    try:
        shape, front = result_shape(input.shape, dims, indices)
    except RuntimeError:
        shapes = ", ".join(str(list(l.shape)) for l in indices)
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
        ) from None
    return layout(shape, _result_strides(input, shape, dims, front, indices), input.dtype, input.device)


def _result_strides(input: Layout, shape, dims, front: int, indices: list[Layout]) -> tuple[int, ...] | None:
    """The dims keep the order that they have in input's memory; those of the indices that of the indices'."""
    rest = [d for d in range(input.ndim) if d not in dims]
    wide = shape[front : len(shape) - (len(rest) - front)]  # the indices' shape, broadcast
    operands = [
        (*[input.strides[d] for d in rest[:front]], *[0] * len(wide), *[input.strides[d] for d in rest[front:]])
    ]
    among = (*[1] * front, *wide, *[1] * (len(rest) - front))
    if among == tuple(shape) and 0 in shape:
        return None
    for l in indices:
        own = _stretched(l, wide)
        strides = view_strides(own, among) or contiguous_strides(among)
        operands.append(tuple([0 if n == 1 and m != 1 else s for n, m, s in zip(among, shape, strides)]))
    order = fastest_first(shape, operands)
    if order == list(range(len(shape) - 1, -1, -1)):
        return None
    out = [0] * len(shape)
    step = 1
    for d in order:
        out[d] = step
        step *= shape[d]
    return tuple(out)


def _stretched(l: Layout, shape) -> Layout:
    """The layout of an index as a view of the shape that all indices broadcast to."""
    if l.shape == shape:
        return l
    pad = len(shape) - l.ndim
    strides = [s if n == m else 0 for n, m, s in zip(l.shape, shape[pad:], l.strides)]
    for k in range(pad - 1, -1, -1):
        strides.insert(0, 0 if shape[k] != 1 else strides[0] * shape[k + 1] if strides else 1)
    return layout(shape, tuple(strides), l.dtype, l.device)


def key_of(shape, dims: tuple[int, ...], indices) -> tuple:
    """A NumPy index, after checking that every place exists."""
    key: list = [slice(None)] * len(shape)
    for d, i in zip(dims, indices):
        n = shape[d]
        if not isinstance(i, Symbolic) and i.size and (i.min() < -n or i.max() >= n):
            bad = int(i[(i < -n) | (i >= n)].reshape(-1)[0])
            raise IndexError(f"index {bad} is out of bounds for dimension {d} with size {n}")
        key[d] = i
    return tuple(key)


def _index_gradient(g, out, input, dims, indices):
    zeros = filled(input.shape, 0, g.dtype, "cpu")
    return (_index_put(zeros, dims, list(indices), g, True), *[None for _ in indices])


@primitive(rule=_index_rule, gradient=_index_gradient, raw=True, name="index")
def _index(input, dims, indices):
    if not all(i.size for i in indices):  # nothing is read, whatever places the other indices name
        return zeros(result_shape(input.shape, dims, indices)[0], input.dtype, input)
    return input[key_of(input.shape, dims, indices)]


def _put_rule(input: Layout, dims, indices, value: Layout, accumulate: bool) -> Layout:
    shape = _index_rule(input, dims, indices).shape
    if broadcast_shapes(shape, value.shape) != shape:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to indexing result of shape {list(shape)}"
        )
    return layout(input.shape, input.strides if input.dense and not input.contig else None, input.dtype, input.device)


def _put_gradient(g, out, input, dims, indices, value, accumulate):
    by_value = _index(g, dims, list(indices))
    if accumulate:
        return (g, *[None for _ in indices], by_value)
    return (
        _index_put(g, dims, list(indices), filled(size(()), 0, g.dtype, "cpu"), False),
        *[None for _ in indices],
        by_value,
    )


@primitive(rule=_put_rule, gradient=_put_gradient, name="index_put", where="")
def _index_put(input, dims, indices, value, accumulate):
    out = writable(input)
    if not all(i.size for i in indices):
        return out
    key = key_of(input.shape, dims, indices)
    if accumulate:
        add_at(out, key, value.astype(out.dtype))
    else:
        out[key] = value
    return out


def add_at(out: np.ndarray, key: tuple, values) -> None:
    """Adds values at the places of a NumPy index, one after the other; whole rows by their elements, which is faster."""
    index = key[0]
    if (
        isinstance(index, np.ndarray)
        and not isinstance(out, Symbolic)
        and out.ndim > 1
        and out.flags.c_contiguous
        and all(type(k) is slice for k in key[1:])
    ):
        width = out[0].size
        rows = np.where(index < 0, index + len(out), index).reshape(-1, 1)
        values = np.ascontiguousarray(np.broadcast_to(values, (*index.shape, *out.shape[1:])))
        np.add.at(out.reshape(-1), (rows * width + np.arange(width)).reshape(-1), values.reshape(-1))
    else:
        np.add.at(out, key, values)


def inside(index: np.ndarray, n: int) -> bool:
    """Whether all numbers are from 0 to n - 1. Negative ones are large as unsigned numbers, so that one pass tells."""
    if index.dtype.kind != "i":
        return not index.size or bool(index.min() >= 0 and index.max() < n)
    return not index.size or int(index.view(f"u{index.itemsize}").max()) < n


def check_now(shape, dims, indices) -> None:
    """Indices whose memory is there are checked at the call, so that the error is raised at the user's line."""
    level = tls.walk.level
    if not all(layout_of(i).numel for i in indices) or level is not None and level.exact:
        return
    for d, i in zip(dims, indices):
        if _realised(i):
            n = shape[d]
            a = array_of(i)
            if inside(a, n):
                continue
            if a.min() < -n or a.max() >= n:
                bad = int(a[(a < -n) | (a >= n)].reshape(-1)[0])
                raise IndexError(f"index {bad} is out of bounds for dimension {d} with size {n}")


def _early(arguments: list) -> None:
    check_now(layout_of(arguments[0]).shape, arguments[1], arguments[2])


_index.operation.early = _early
_index_put.operation.early = _early


def beside(t: Tensor, indices: list[Tensor]) -> list[Tensor]:
    """The indices of a tensor on `meta` may have values: there, only their shapes count."""
    if layout_of(t).device != "meta":
        return indices
    lays = [layout_of(i) for i in indices]
    return [
        i if l.device == "meta" else meta_tensor(layout(l.shape, l.strides, l.dtype, "meta"))
        for i, l in zip(indices, lays)
    ]


def gather_at(t: Tensor, advanced: list[Tensor | None]) -> Tensor:
    dims = tuple([d for d, i in enumerate(advanced) if i is not None])
    indices = [i for i in advanced if i is not None]
    return _index(t, dims, beside(t, indices))


# --- the public names -------------------------------------------------------------------------------------------------


@function(where="Tensor")
def __getitem__(self, index):
    kind = type(index)
    if kind is int:
        if not layout_of(self).ndim:
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
            )
        return pick(self, 0, index, 0)
    view = basic_view(self, index if kind is tuple else (index,))
    if view is not None:
        return view
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
    from .masking import _where

    overwrite(t, _where(mask, value, t))


def _is_one_mask(index) -> bool:
    """Whether a single mask is all that is advanced in an index: one value there is a fill, which converts it."""
    items = index if isinstance(index, tuple) else (index,)
    found = [x for x in items if isinstance(x, (Tensor, np.ndarray, list, range))]
    if len(found) != 1:
        return False
    x = found[0]
    return layout_of(x).dtype in (dtypes.bool_, dtypes.uint8) if isinstance(x, Tensor) else np.asarray(x).dtype == bool


@function(where="Tensor")
def __setitem__(self, index, value):
    if isinstance(index, Tensor) and layout_of(index).dtype is dtypes.bool_ and _is_single(value) and fits(index, self):
        write_masked(self, index, value)
        return
    t = basic_view(self, index if type(index) is tuple else (index,))
    advanced: list[Tensor | None] = []
    if t is None:
        t, advanced = split_index(self, index)
    check_writable(t, tls.walk)
    d = layout_of(self).dtype
    given = isinstance(value, Tensor)
    if not given:
        value = (
            filled(size(()), value, d, layout_of(self).device)
            if isinstance(value, (bool, int, float, complex))
            else tensor(value, dtype=d)
        )
    if any(a is not None for a in advanced):
        dims = tuple([k for k, i in enumerate(advanced) if i is not None])
        indices = [i for i in advanced if i is not None]
        have = layout_of(value).dtype
        if given and have is not d and not (layout_of(value).numel == 1 and _is_one_mask(index)):
            raise RuntimeError(
                f"Index put requires the source and destination dtypes match, got {d} for the destination and {have} for the source."
            )
        overwrite(t, _index_put(t, dims, beside(t, indices), value.to(d), False))
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
            bad = next(
                (k for k in range(-1, -len(have) - 1, -1) if len(have) > len(shape) or have[k] not in (1, shape[k])), 0
            )
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


def store_exactly(out, result, name: str):
    """`store_out` for operations that convert no dtype."""
    if isinstance(out, Tensor) and layout_of(out).dtype is not layout_of(result).dtype:
        want, have = scalar_name(layout_of(result).dtype), scalar_name(layout_of(out).dtype)
        raise RuntimeError(f"{name}(): Expected out tensor to have dtype {want}, but got {have} instead")
    return store_out(out, result, name)


def check_apart(out, *inputs) -> None:
    """RuntimeError where `out` lies over memory that is still to be read."""
    if not isinstance(out, Tensor) or out._st is None:
        return
    for x in inputs:
        if x._st is out._st and x._off < out._off + out._lay.extent and out._off < x._off + x._lay.extent:
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. "
                "Please clone() the tensor before performing the operation."
            )


def advanced_indices(input: Tensor, indices) -> tuple[tuple[int, ...], list[Tensor]]:
    """The dims that index tensors (or None, or masks) one after the other stand for, and integer tensors for them."""
    dims: list[int] = []
    found: list[Tensor] = []
    d = 0
    for i in indices:
        if i is None:
            d += 1
            continue
        if not isinstance(i, Tensor):
            raise TypeError(f"index_put(): argument 'indices' must be tuple of Tensors, but found {type(i).__name__}")
        lay = layout_of(i)
        if lay.dtype.category > 1:
            raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, not {lay.dtype}")
        if d + _dims_of(i) > layout_of(input).ndim:
            raise IndexError(f"too many indices for tensor of dimension {layout_of(input).ndim}")
        here = mask_places(i, input, d) if lay.dtype in (dtypes.bool_, dtypes.uint8) else [i]
        dims += range(d, d + len(here))
        found += here
        d += len(here)
    if not found:
        raise IndexError("index_put(): at least one index must be a tensor")
    return tuple(dims), found
