"""Tensors repeated, turned round, and cut to triangles."""

from __future__ import annotations

import numpy as np

from ..errors import shape_text
from ..ir import dtypes
from ..ir.shapes import Layout, dim_index, layout
from ..trace.handle import Tensor, layout_of
from .creation import chosen, from_array
from .declare import function, operation, primitive, scalar_name
from .devices import device_name
from .gathering import index_select
from .shape import clone, ints, reshape, transpose

# --- repeated ---------------------------------------------------------------------------------------------------------


@function(where="Tensor")
def repeat(self, *repeats, **more):
    """A copy that repeats the tensor so many times along each dim (new dims in front)."""
    times = ints((more["repeats"],) if "repeats" in more else repeats, "repeat", "repeats")
    return _repeat(self, times)


@operation(where="", name="repeat", grad_name="Repeat")
def _repeat(input, times):
    n = input.dim()
    if len(times) < n:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: "
            f"repeat got {list(times)} for shape {list(input.shape)}"
        )
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


@function
def tile(input, *dims, **more):
    """A copy that repeats the tensor so many times along each dim; dims that are not named are not repeated."""
    times = ints((more["dims"],) if "dims" in more else dims, "tile", "dims")
    return _repeat(input, (1,) * (layout_of(input).ndim - len(times)) + times)


@function
def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Each place of a dim repeated `repeats` times (an int, or a tensor with a number for each place).

    Without dim, of input as a vector. With a tensor of counts alone: place i counts[i] times."""
    if repeats is None:
        return _places_of(input)
    if dim is None:
        input = reshape(input, (layout_of(input).numel,))
        dim = 0
    lay = layout_of(input)
    d = dim_index(dim, lay.ndim)
    n = lay.shape[d] if lay.ndim else 1
    if not isinstance(repeats, Tensor):
        if repeats < 0:
            raise RuntimeError(f"Repeats must be non-negative, got {repeats}")
        return index_select(input, d, from_array(np.repeat(np.arange(n), int(repeats)), dtypes.int64))
    have = layout_of(repeats)
    if have.ndim > 1:
        raise RuntimeError(f"repeats must be 0-dim or 1-dim tensor, this has shape {list(have.shape)}")
    if have.numel == 1 and n != 1:
        repeats = repeats.reshape(1).expand(n)
    elif have.numel != n:
        raise RuntimeError(
            f"repeats must have the same size as input along dim, but got repeats.size(0) = {have.numel} and input.size({d}) = {n}"
        )
    places = _places_of(repeats.reshape(-1))
    if output_size is not None and layout_of(places).numel != output_size:
        raise RuntimeError(
            f"allocated size does not match required size: output_size is {output_size}, repeats sum to {layout_of(places).numel}"
        )
    return index_select(input, d, places)


def _places_of(repeats: Tensor) -> Tensor:
    lay = layout_of(repeats)
    if lay.ndim != 1:
        raise RuntimeError(f"repeat_interleave only accept 1D vector as repeat, this has shape {list(lay.shape)}")
    if lay.dtype not in (dtypes.int64, dtypes.int32):
        raise NotImplementedError(
            f"\"repeat_interleave_cpu\" not implemented for '{scalar_name(lay.dtype)}': give counts of int64"
        )
    counts = np.array(repeats.tolist(), np.int64)
    if counts.size and counts.min() < 0:
        raise RuntimeError(f"repeats can not be negative, got {int(counts.min())}")
    return from_array(np.repeat(np.arange(counts.size), counts), lay.dtype).to(dtypes.int64)


# --- turned round -----------------------------------------------------------------------------------------------------


def _same_strides(input: Layout, dims) -> Layout:
    return layout(input.shape, input.strides if input.dense and not input.contig else None, input.dtype, input.device)


@primitive(rule=_same_strides, gradient=lambda g, out, input, dims: _flip(g, dims), raw=True, name="flip", where="")
def _flip(input, dims):
    return np.flip(input, dims)


@function
def flip(input, *dims, **more):
    """A copy with the order of the dims given reversed."""
    wanted = ints((more["dims"],) if "dims" in more else dims, "flip", "dims")
    n = layout_of(input).ndim
    d = tuple([dim_index(k, n) for k in wanted])
    if len(set(d)) != len(d):
        twice = next(k for k in d if d.count(k) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return _flip(input, d if n else ())


@function
def fliplr(input):
    """A copy with dim 1 reversed."""
    if layout_of(input).ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return _flip(input, (1,))


@function
def flipud(input):
    """A copy with dim 0 reversed."""
    if layout_of(input).ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return _flip(input, (0,))


def _roll_rule(input: Layout, shifts, dims) -> Layout:
    return layout(input.shape, None, input.dtype, input.device)


def _roll_gradient(g, out, input, shifts, dims):
    return _roll(g, tuple([-s for s in shifts]), dims)


@primitive(rule=_roll_rule, gradient=_roll_gradient, raw=True, name="roll", where="")
def _roll(input, shifts, dims):
    if not dims:
        return np.roll(input, shifts[0])
    return np.roll(input, shifts, dims)


@function
def roll(input, shifts, dims=None):
    """A copy moved round by `shifts` along dims (or as a vector); what leaves at the end comes in at the start."""
    moves = ints((shifts if isinstance(shifts, (list, tuple)) else [shifts],), "roll", "shifts")
    if not moves:
        raise RuntimeError("`shifts` required")
    if dims is None or dims == () or dims == []:
        if len(moves) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(moves)}, dims:0")
        return _roll(input, moves, ())
    along = ints((dims if isinstance(dims, (list, tuple)) else [dims],), "roll", "dims")
    if len(along) != len(moves):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(along)}")
    lay = layout_of(input)
    if not lay.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return _roll(input, moves, tuple([dim_index(d, lay.ndim) for d in along]))


@function
def rot90(input, k=1, dims=(0, 1)):
    """A copy turned by 90 degrees k times in the plane of two dims, from the first towards the second."""
    n = layout_of(input).ndim
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if n < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {n}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == n:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    a, b = dim_index(dims[0], n), dim_index(dims[1], n)
    turns = k % 4
    if turns == 0:
        return clone(input, memory_format="contiguous")
    if turns == 2:
        return _flip(input, (a, b))
    return transpose(_flip(input, (b if turns == 1 else a,)), a, b)


# --- triangles --------------------------------------------------------------------------------------------------------


def _triangle(name: str, fn, doc: str):
    def rule(input, diagonal):
        if input.ndim < 2:
            raise RuntimeError(
                f"{name}: input tensor must have at least 2 dimensions, this has shape {shape_text(input.shape)}"
            )
        return layout(input.shape, None, input.dtype, input.device)

    def triangle(input, diagonal=0):
        return fn(input, diagonal)

    triangle.__doc__ = doc
    triangle.__name__ = name
    op = primitive(
        rule=rule, gradient=lambda g, out, input, diagonal: op(g, diagonal), raw=True, name=name, where="torch Tensor", inplace=True,
        out=True,
    )(triangle)  # fmt: skip
    return op


tril = _triangle("tril", np.tril, "The elements on and below a diagonal of matrices, the others zero.")
triu = _triangle("triu", np.triu, "The elements on and above a diagonal of matrices, the others zero.")


def _triangle_indices(name: str, find, doc: str):
    def f(row, col, offset=0, *, dtype=dtypes.int64, layout=None, device="cpu", pin_memory=False):
        for what, n in (("row", row), ("col", col)):
            if n < 0:
                raise RuntimeError(f"{what} must be non-negative, got {n}")
        d = dtypes.int64 if dtype is None else chosen(name, dtype)
        if d not in (dtypes.int64, dtypes.int32):
            raise NotImplementedError(f"\"{name}\" not implemented for '{scalar_name(d)}': an index is int64 or int32")
        found = np.stack(find(row, offset, col)).astype(d.np)
        return from_array(found, d, device_name(device))

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    return function(f, where="torch")


tril_indices = _triangle_indices(
    "tril_indices", np.tril_indices, "Rows and columns (2, number) of the places on and below a diagonal."
)
triu_indices = _triangle_indices(
    "triu_indices", np.triu_indices, "Rows and columns (2, number) of the places on and above a diagonal."
)
