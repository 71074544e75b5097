"""Tensors put together, repeated, taken apart and turned round."""

from __future__ import annotations

import numpy as np

from ..errors import shape_text
from ..ir.dtypes import decode, encode, promote
from ..ir.shapes import Layout, dim_index, layout, size
from ..ir.special import convert
from ..trace.handle import Tensor, layout_of
from .declare import function, operation, primitive, store_out
from .shape import ints, slice_dim

# --- together ----------------------------------------------------------------------------------------------------------------


def _skipped(lay: Layout) -> bool:
    """A 1-D tensor without elements joins with anything, as long ago."""
    return lay.shape == (0,)


def _cat_rule(tensors, dim) -> Layout:
    lays = list(tensors)
    d = lays[0].dtype
    for l in lays[1:]:
        d = promote(d, l.dtype)
    real = [l for l in lays if not _skipped(l)]
    if not real:
        return layout(lays[0].shape, None, d, lays[0].device)
    first = real[0]
    if first.ndim == 0:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated: give it a dim with unsqueeze, or use stack")
    k = dim_index(dim, first.ndim)
    total = 0
    for i, l in enumerate(lays):
        if _skipped(l):
            continue
        if l.ndim != first.ndim:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {first.ndim} and {l.ndim}")
        for e in range(first.ndim):
            if e != k and l.shape[e] != first.shape[e]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {k}. Expected size {first.shape[e]} but got size {l.shape[e]} for tensor number {i} in the list (shapes {shape_text(first.shape)} and {shape_text(l.shape)})."
                )
        total += l.shape[k]
    shape = list(first.shape)
    shape[k] = total
    return layout(size(shape), None, d, first.device)


def _cat_gradient(g, out, tensors, dim):
    k = dim_index(dim, g.dim())
    grads = []
    at = 0
    for t in tensors:
        if t.shape == (0,):
            grads.append(None)
            continue
        n = t.shape[k]
        grads.append(slice_dim(g, k, at, n, 1))
        at += n
    return tuple(grads)


def _cat_kernel(spec):
    out = spec.outs[0]
    dim = spec.static[1]
    keep = [i for i, l in enumerate(spec.lays) if not _skipped(l)]
    target = out.dtype.np
    if all(l.dtype is out.dtype for l in spec.lays):

        def join(*arrays):
            parts = [arrays[i] for i in keep]
            return np.concatenate(parts, dim) if parts else np.empty(out.shape, target)

        return join

    def run(*arrays):
        parts = [_cast(arrays[i], spec.lays[i].dtype, out.dtype) for i in keep]
        return np.concatenate(parts, dim) if parts else np.empty(out.shape, target)

    return run


def _cast(a, source, target):
    if source.half:
        a = decode(a, source)
    return encode(a, target) if target.half else convert(a, target.np)


@primitive(rule=_cat_rule, gradient=_cat_gradient, kernel=_cat_kernel, raw=True, name="cat", where="")
def _cat(tensors, dim):
    raise NotImplementedError("computed by its kernel")


@function(where="torch", aliases=("concat", "concatenate"))
def cat(tensors, dim=0, *, out=None, axis=None):
    """Tensors one after the other along a dim; the other dims must be equal.

    Args: tensors: a sequence; dim: default 0."""
    items = _sequence(tensors, "cat")
    if axis is not None:
        dim = axis
    first = next((t for t in items if layout_of(t).shape != (0,)), None)
    if first is not None and layout_of(first).ndim:
        dim = dim_index(dim, layout_of(first).ndim)
    r = _cat(items, dim)
    return r if out is None else store_out(out, r, "cat")


def _sequence(tensors, name: str) -> list[Tensor]:
    if isinstance(tensors, Tensor) or not isinstance(tensors, (list, tuple)):
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(tensors).__name__}")
    items = list(tensors)
    if not items:
        if name == "cat":
            raise ValueError("torch.cat(): expected a non-empty list of Tensors")
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    for i, t in enumerate(items):
        if not isinstance(t, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}")
    return items


def _stack_rule(tensors, dim) -> Layout:
    lays = list(tensors)
    first = lays[0]
    d = first.dtype
    for i, l in enumerate(lays[1:], 1):
        d = promote(d, l.dtype)
        if l.shape != first.shape:
            raise RuntimeError(f"stack expects each tensor to be equal size, but got {shape_text(first.shape)} at entry 0 and {shape_text(l.shape)} at entry {i}")
    return layout(size((*first.shape[:dim], len(lays), *first.shape[dim:])), None, d, first.device)


def _stack_kernel(spec):
    dim, d = spec.static[1], spec.outs[0].dtype
    if all(l.dtype is d for l in spec.lays):
        return lambda *arrays: np.stack(arrays, dim)
    return lambda *arrays: np.stack([_cast(a, l.dtype, d) for a, l in zip(arrays, spec.lays)], dim)


@primitive(
    rule=_stack_rule, gradient=lambda g, out, tensors, dim: tuple([g.select(dim, i) for i in range(len(tensors))]), kernel=_stack_kernel, raw=True,
    name="stack", where="",
)  # fmt: skip
def _stack(tensors, dim):
    raise NotImplementedError("computed by its kernel")


@function(where="torch")
def stack(tensors, dim=0, *, out=None):
    """Tensors of one shape as the entries of a new dim."""
    items = _sequence(tensors, "stack")
    r = _stack(items, dim_index(dim, layout_of(items[0]).ndim + 1))
    return r if out is None else store_out(out, r, "stack")


# --- repeated and turned --------------------------------------------------------------------------------------------------------


@function(where="Tensor")
def repeat(self, *repeats, **more):
    """A copy that repeats the tensor so many times along each dim (new dims in front)."""
    times = ints((more["repeats"],) if "repeats" in more else repeats, "repeat", "repeats")
    return _repeat(self, times)


@operation(where="", name="repeat", grad_name="Repeat")
def _repeat(input, times):
    n = input.dim()
    if len(times) < n:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    if any(k < 0 for k in times):
        raise RuntimeError(f"Trying to create tensor with negative dimension: repeat got {list(times)}")
    shape = (1,) * (len(times) - n) + tuple(input.shape)
    x = input.reshape(shape)
    pairs = []
    wide = []
    for k, m in zip(times, shape):
        pairs += [1, m]
        wide += [k, m]
    x = x.reshape(pairs).expand(wide)
    return x.reshape([k * m for k, m in zip(times, shape)]).clone()


@primitive(rule=lambda input, dims: layout(input.shape, input.strides if input.dense and not input.contig else None, input.dtype, input.device), gradient=lambda g, out, input, dims: _flip(g, dims), raw=True, name="flip", where="")
def _flip(input, dims):
    return np.flip(input, dims)


@function
def flip(input, *dims):
    """A copy with the order of the dims given reversed."""
    wanted = ints(dims, "flip", "dims")
    n = layout_of(input).ndim
    d = tuple([dim_index(k, n) for k in wanted])
    if len(set(d)) != len(d):
        raise RuntimeError(f"dim {d[0]} appears multiple times in the list of dims")
    return _flip(input, d if n else ())


@primitive(rule=lambda input, shifts, dims: layout(input.shape, None, input.dtype, input.device), gradient=lambda g, out, input, shifts, dims: _roll(g, tuple([-s for s in shifts]), dims), raw=True, name="roll", where="")
def _roll(input, shifts, dims):
    if not dims:
        return np.roll(input, shifts[0])
    return np.roll(input, shifts, dims)


@function
def roll(input, shifts, dims=None):
    """A copy moved round by `shifts` along dims (or along the flattened tensor); what leaves at the end comes in at the start."""
    moves = ints((shifts,) if isinstance(shifts, (list, tuple)) else (shifts,), "roll", "shifts")
    if dims is None or dims == ():
        if len(moves) != 1:
            raise RuntimeError("shifts and dimensions must align. shifts: " + str(len(moves)) + ", dims:0")
        return _roll(input, moves, ())
    where = ints((dims,) if isinstance(dims, (list, tuple)) else (dims,), "roll", "dims")
    if len(where) != len(moves):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(where)}")
    return _roll(input, moves, tuple([dim_index(d, layout_of(input).ndim) for d in where]))


def _triangle(name: str, fn, doc: str):
    def rule(input, diagonal):
        if input.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions, this has shape {shape_text(input.shape)}")
        return layout(input.shape, None, input.dtype, input.device)

    def triangle(input, diagonal=0):
        return fn(input, diagonal)

    triangle.__doc__ = doc
    triangle.__name__ = name
    op = primitive(
        rule=rule, gradient=lambda g, out, input, diagonal: op(g, diagonal), raw=True, name=name, where="torch Tensor", inplace=True, out=True
    )(triangle)
    return op


tril = _triangle("tril", np.tril, "The elements on and below a diagonal of matrices, the others zero.")
triu = _triangle("triu", np.triu, "The elements on and above a diagonal of matrices, the others zero.")
