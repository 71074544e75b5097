"""Tensors put together: one after the other, as entries of a new dim, and in all combinations."""

from __future__ import annotations

import itertools
import warnings

import numpy as np

from ..errors import shape_text
from ..ir.dtypes import decode, encode, int64, promote
from ..ir.shapes import Layout, dim_index, layout, size
from ..ir.special import convert
from ..trace.handle import Tensor, layout_of
from .creation import from_array
from .declare import function, primitive, store_out
from .gathering import index_select
from .shape import dim_or_axis, expand, reshape, slice_dim
from .views import atleast_1d, atleast_2d, atleast_3d

# --- together ---------------------------------------------------------------------------------------------------------


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
        raise RuntimeError(
            "zero-dimensional tensor (at position 0) cannot be concatenated: give it a dim with unsqueeze, or use stack"
        )
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
            grads.append(g.new_zeros(0))
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
    first = next((t for t in items if layout_of(t).ndim != 1 or layout_of(t).shape != (0,)), None)
    if first is not None and layout_of(first).ndim:
        dim = dim_index(dim, layout_of(first).ndim)
    r = _cat(items, dim)
    return r if out is None else store_out(out, r, "cat")


def _sequence(tensors, name: str) -> list[Tensor]:
    if isinstance(tensors, Tensor) or not isinstance(tensors, (list, tuple)):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(tensors).__name__}"
        )
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
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {shape_text(first.shape)} at entry 0 and {shape_text(l.shape)} at entry {i}"
            )
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
@dim_or_axis
def stack(tensors, dim=0, *, out=None):
    """Tensors of one shape as the entries of a new dim."""
    items = _sequence(tensors, "stack")
    r = _stack(items, dim_index(dim, layout_of(items[0]).ndim + 1))
    return r if out is None else store_out(out, r, "stack")


# --- side by side -----------------------------------------------------------------------------------------------------


def _joined(tensors, at_least, dim, name: str, out):
    items = [at_least(t) for t in _sequence(tensors, name)]
    return cat(items, dim(items[0]) if callable(dim) else dim, out=out)


@function(where="torch")
def hstack(tensors, *, out=None):
    """Tensors one after the other along dim 1 (vectors along dim 0)."""
    return _joined(tensors, atleast_1d, lambda first: 0 if layout_of(first).ndim == 1 else 1, "hstack", out)


@function(where="torch", aliases=("row_stack",))
def vstack(tensors, *, out=None):
    """Tensors one below the other; a vector counts as a row."""
    return _joined(tensors, atleast_2d, 0, "vstack", out)


@function(where="torch")
def dstack(tensors, *, out=None):
    """Tensors one after the other along dim 2, which is added where it is missing."""
    return _joined(tensors, atleast_3d, 2, "dstack", out)


def _as_columns(t):
    lay = layout_of(t)
    return reshape(t, (lay.numel, 1)) if lay.ndim <= 1 else t


@function(where="torch")
def column_stack(tensors, *, out=None):
    """Tensors side by side as columns; a vector counts as one column."""
    return _joined(tensors, _as_columns, 1, "column_stack", out)


# --- all combinations -------------------------------------------------------------------------------------------------


@function(where="torch")
def meshgrid(*tensors, indexing=None):
    """For vectors, their grid: a view for each of shape (sizes of all), that varies along its own dim only.

    Args: indexing: "ij", or "xy", where the first two dims are exchanged. Default "ij" (with a warning)."""
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    if not items:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing is None:
        warnings.warn(
            'meshgrid: give indexing="ij" or indexing="xy"; "ij" is taken where none is given.',
            UserWarning,
            stacklevel=2,
        )
    elif indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    lays = [layout_of(t) for t in items]
    for lay in lays:
        if lay.ndim > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got shape {list(lay.shape)}"
            )
        if lay.dtype is not lays[0].dtype:
            raise RuntimeError(
                f"meshgrid expects all tensors to have the same dtype, not {lays[0].dtype} and {lay.dtype}"
            )
    swapped = indexing == "xy" and len(items) >= 2
    order = [1, 0, *range(2, len(items))] if swapped else list(range(len(items)))
    shape = [lays[k].numel for k in order]
    grids = []
    for k, t in enumerate(items):
        own = order.index(k)
        grid = expand(reshape(t, [-1 if d == own else 1 for d in range(len(items))]), shape)
        grids.append(grid)
    return tuple(grids)


@function(where="torch")
def cartesian_prod(*tensors):
    """All combinations of the elements of vectors, a row for each (of one vector, itself)."""
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    if not items:
        raise RuntimeError("meshgrid expects a non-empty TensorList: cartesian_prod takes one vector at least")
    for t in items:
        if layout_of(t).ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(layout_of(t).shape)}")
    if len(items) == 1:
        return items[0]
    return stack([reshape(g, (-1,)) for g in meshgrid(*items, indexing="ij")], 1)


@function
def combinations(input, r=2, with_replacement=False):
    """All combinations of r elements of a vector, a row for each, in the order of the vector."""
    lay = layout_of(input)
    if lay.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(lay.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return slice_dim(input, 0, 0, 0, 1).clone()
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(lay.numel), r)), np.int64).reshape(-1, r)
    return reshape(index_select(input, 0, from_array(rows.reshape(-1), int64)), rows.shape)
