"""NumPy's functions on arrays that are not there yet: FUNCTIONS, by which `np.concatenate(x)` finds what it means here."""

from __future__ import annotations

import math

import numpy as np

from ..ir.arrays import contiguous
from .symbolic import (
    FUNCTIONS,
    Array,
    Opaque,
    broadcast,
    cast,
    counting,
    filled,
    loop_dtypes,
    node_of,
    put,
    required_range,
    truth,
    write,
)


def _array(graph, x) -> Array:
    return x if isinstance(x, Array) else Array(graph, node_of(graph, x))


# --- element by element --------------------------------------------------------------------------------------------


def _where(graph, mask, *rest):
    if len(rest) != 2:
        raise Opaque("np.where with one argument")
    x, y = [node_of(graph, v) for v in rest]
    kinds = tuple([n.weak if n.weak in (int, float) else n.dtype for n in (x, y)])
    d = loop_dtypes(np.add, kinds)[-1] if np.dtype("?") not in kinds else np.result_type(x.dtype, y.dtype)
    m = truth(graph, node_of(graph, mask))
    return Array(graph, graph.map("select", (m, cast(graph, x, d), cast(graph, y, d)), d), True)


def _clip(graph, x, lo=None, hi=None, out=None, **kw):
    if out is not None:
        raise Opaque("np.clip(out=)")
    r = x if lo is None else np.maximum(x, lo)
    return r if hi is None else np.minimum(r, hi)


def _nan_to_num(graph, x, copy=True, nan=0.0, posinf=None, neginf=None):
    if x.dtype.kind != "f":
        return x.copy()
    limits = np.finfo(x.dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    d = x.dtype.type
    x = np.where(np.isnan(x), d(nan), x)
    return np.where(x == math.inf, d(high), np.where(x == -math.inf, d(low), x))


def _copyto(graph, target, x, casting="same_kind", where=True):
    value = x if where is True else np.where(where, x, target)
    write(target, broadcast(graph, node_of(graph, value), target.shape))


# --- new arrays --------------------------------------------------------------------------------------------------------


def _like(value):
    def make(graph, x, *args, dtype=None, order="K", subok=True, shape=None, device=None):
        given = args[0] if value is None else value
        if len(args) > (value is None):
            dtype = args[-1]
        d = np.dtype(dtype) if dtype is not None else x.dtype
        number = cast(graph, node_of(graph, given), d)
        if number.shape:
            raise Opaque("an array full of arrays")
        return Array(graph, broadcast(graph, number, tuple(shape if shape is not None else x.shape)), True)

    return make


def _concatenate(graph, parts, axis=0, out=None, dtype=None, casting=None):
    parts = [_array(graph, p) for p in parts]
    if out is not None or dtype is not None or axis is None or len({p.dtype for p in parts}) > 1:
        raise Opaque("np.concatenate of other dtypes")
    axis %= parts[0].ndim
    parts = [p for p in parts if p.shape[axis]] or parts[:1]
    if len(parts) == 1:
        return parts[0].copy()
    shape = list(parts[0].shape)
    shape[axis] = sum(p.shape[axis] for p in parts)
    own = contiguous(shape)
    node = graph.make("empty", None, (), tuple(shape), parts[0].dtype)
    at = 0
    for p in parts:
        node = put(graph, node, p.node, own, at * own[axis])
        at += p.shape[axis]
    return Array(graph, node, True)


def _stack(graph, parts, axis=0, out=None, dtype=None, casting=None):
    parts = [_array(graph, p) for p in parts]
    return _concatenate(graph, [np.expand_dims(p, axis % (p.ndim + 1)) for p in parts], axis % (parts[0].ndim + 1))


def _triangle(lower: bool):
    def make(graph, x, k=0):
        row, column = counting(graph, x.shape, x.ndim - 2), counting(graph, x.shape, x.ndim - 1)
        kept = column <= row + k if lower else column >= row + k
        return np.where(kept, x, x.dtype.type(0))

    return make


# --- the same elements in another order -----------------------------------------------------------------------------


def _expand_dims(graph, x, axis):
    axes = axis if isinstance(axis, tuple) else (axis,)
    n = x.ndim + len(axes)
    axes = {a % n for a in axes}
    it = iter(x.shape)
    return x.reshape(tuple(1 if d in axes else next(it) for d in range(n)))


def _moveaxis(graph, x, source, destination):
    if not isinstance(source, int) or not isinstance(destination, int):
        raise Opaque("np.moveaxis of several")
    order = [d for d in range(x.ndim) if d != source % x.ndim]
    order.insert(destination % x.ndim, source % x.ndim)
    return x.transpose(order)


def _flip(graph, x, axis=None):
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = {a % x.ndim for a in axes}
    return x[tuple(slice(None, None, -1) if d in axes else slice(None) for d in range(x.ndim))]


def _roll(graph, x, shift, axis=None):
    if axis is None:
        return _roll(graph, x.reshape(-1), shift, 0).reshape(x.shape)
    shifts = shift if isinstance(shift, (tuple, list)) else (shift,)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    for s, a in zip(shifts, axes, strict=True):
        a %= x.ndim
        s = s % x.shape[a] if x.shape[a] else 0
        if s:
            before = (slice(None),) * a
            x = _concatenate(graph, [x[(*before, slice(-s, None))], x[(*before, slice(None, -s))]], a)
    return x.copy()


# --- by number -----------------------------------------------------------------------------------------------------


def _take(graph, x, indices, axis=None, out=None, mode="raise"):
    if out is not None or mode != "raise":
        raise Opaque("np.take(out=)")
    x = _array(graph, x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    return x[(*[slice(None)] * (axis % x.ndim), indices if isinstance(indices, Array) else np.asarray(indices))]


def _along(x: Array, indices, axis: int) -> tuple:
    """An index that counts along the other axes."""
    return tuple(
        [
            indices if d == axis else np.arange(n).reshape([n if e == d else 1 for e in range(x.ndim)])
            for d, n in enumerate(x.shape)
        ]
    )


def _take_along_axis(graph, x, indices, axis=-1):
    x = _array(graph, x)
    if axis is None or x.ndim != np.ndim(indices):
        raise Opaque("np.take_along_axis of other dims")
    return x[_along(x, indices, axis % x.ndim)]


def _put_along_axis(graph, x, indices, values, axis):
    axis %= x.ndim
    if indices.shape[axis] != 1:
        x[_along(x, indices, axis)] = values
        return
    required_range(graph, node_of(graph, indices), x.shape[axis])
    here = np.equal(counting(graph, x.shape, axis), indices)
    write(x, np.where(here, values, x).node)


def _position(greatest: bool):
    """The first place of the greatest or the least; NaN is both."""

    def make(graph, x, axis=None, out=None, keepdims=False):
        if out is not None or not x.size:
            raise Opaque("np.argmax(out=)")
        n = x.ndim
        if axis is None:
            flat = make(graph, x.reshape(-1), 0)
            return flat.reshape((1,) * n) if keepdims else flat
        axis = int(axis) % n
        if x.dtype.kind == "b":
            x = x.astype(np.uint8)
        best = (np.max if greatest else np.min)(x, axis=axis, keepdims=True)
        here = x == best
        if x.dtype.kind == "f":
            here = here | np.isnan(x)
        places = np.where(here, counting(graph, x.shape, axis), np.int64(x.shape[axis]))
        return np.min(places, axis=axis, keepdims=keepdims)

    return make


def _count_nonzero(graph, x, axis=None, keepdims=False):
    return Array(graph, truth(graph, x.node)).astype(np.int64).sum(axis, keepdims=keepdims)


def _repeat(graph, x, repeats, axis=None):
    if not isinstance(repeats, int):
        raise Opaque("np.repeat of different counts")
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis %= x.ndim
    shape = (*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :])
    wide = np.broadcast_to(np.expand_dims(x, axis + 1), shape)
    return wide.reshape((*x.shape[:axis], x.shape[axis] * repeats, *x.shape[axis + 1 :]))


def _einsum(graph, how, *operands, **kw):
    if how != "...i,...i->..." or kw:
        raise Opaque("np.einsum")
    return (operands[0] * operands[1]).sum(-1)


def _fits(graph, x, shape, subok=False):
    x = _array(graph, x)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return x.repeated(shape)


FUNCTIONS |= {
    np.where: _where,
    np.clip: _clip,
    np.nan_to_num: _nan_to_num,
    np.copyto: _copyto,
    np.isneginf: lambda graph, x, out=None: x == -math.inf,
    np.isposinf: lambda graph, x, out=None: x == math.inf,
    np.isreal: lambda graph, x: Array(graph, filled(graph, True, x.shape, np.dtype("?"))),
    np.zeros_like: _like(0),
    np.ones_like: _like(1),
    np.empty_like: _like(0),
    np.full_like: _like(None),
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.tril: _triangle(True),
    np.triu: _triangle(False),
    np.sum: lambda graph, x, axis=None, dtype=None, out=None, keepdims=False: x.sum(axis, dtype=dtype, keepdims=keepdims),
    np.prod: lambda graph, x, axis=None, dtype=None, out=None, keepdims=False: x.prod(axis, dtype=dtype, keepdims=keepdims),
    np.mean: lambda graph, x, axis=None, dtype=None, out=None, keepdims=False: x.mean(axis, dtype=dtype, keepdims=keepdims),
    np.max: lambda graph, x, axis=None, out=None, keepdims=False, initial=None: x.max(axis, None, keepdims, initial),
    np.min: lambda graph, x, axis=None, out=None, keepdims=False: x.min(axis, keepdims=keepdims),
    np.all: lambda graph, x, axis=None, out=None, keepdims=False: x.all(axis, keepdims=keepdims),
    np.any: lambda graph, x, axis=None, out=None, keepdims=False: x.any(axis, keepdims=keepdims),
    np.argmax: _position(True),
    np.argmin: _position(False),
    np.count_nonzero: _count_nonzero,
    np.reshape: lambda graph, x, shape, **kw: x.reshape(shape),
    np.ravel: lambda graph, x, order="C": x.reshape(-1),
    np.transpose: lambda graph, x, axes=None: x.transpose(*(() if axes is None else (axes,))),
    np.swapaxes: lambda graph, x, a, b: x.swapaxes(a, b),
    np.moveaxis: _moveaxis,
    np.expand_dims: _expand_dims,
    np.squeeze: lambda graph, x, axis=None: x.squeeze(axis),
    np.broadcast_to: _fits,
    np.flip: _flip,
    np.einsum: _einsum,
    np.roll: _roll,
    np.repeat: _repeat,
    np.take: _take,
    np.take_along_axis: _take_along_axis,
    np.put_along_axis: _put_along_axis,
    np.ascontiguousarray: lambda graph, x, dtype=None: x if dtype is None else x.astype(dtype),
    np.iscomplexobj: lambda graph, x: False,
    np.copy: lambda graph, x, **kw: x.copy(),
    np.shape: lambda graph, x: x.shape,
    np.ndim: lambda graph, x: x.ndim,
    np.size: lambda graph, x, axis=None: x.size if axis is None else x.shape[axis],
}  # fmt: skip
for _f in (np.amax, np.amin):
    FUNCTIONS.setdefault(_f, FUNCTIONS[np.max if _f is np.amax else np.min])
