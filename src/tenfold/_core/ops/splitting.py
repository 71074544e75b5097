"""Tensors taken apart: tuples of views."""

from __future__ import annotations

from ..errors import shape_text
from ..ir.dtypes import int64
from ..ir.shapes import dim_index
from ..trace.handle import Tensor, layout_of, translated
from .declare import function, publish
from .shape import dim_or_axis, ints, slice_dim


@function
@dim_or_axis
def unbind(input, dim=0):
    """A tuple of views without a dim, one for each place of it."""
    lay = layout_of(input)
    if not lay.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    d = dim_index(dim, lay.ndim)
    return tuple([input.select(d, i) for i in range(lay.shape[d])])


@translated
def pieces(t: Tensor, d: int, sizes) -> tuple:
    """Views of so many places of dim d, one after the other."""
    out = []
    at = 0
    for m in sizes:
        out.append(slice_dim(t, d, at, m, 1))
        at += m
    return tuple(out)


@function(where="torch")
def split(tensor, split_size_or_sections, dim=0):
    """A tuple of views: pieces of that size along a dim (the last may be smaller), or of the sizes in a list."""
    wanted = split_size_or_sections
    lay = layout_of(tensor)
    if isinstance(wanted, (list, tuple)):
        return split_with_sizes(tensor, wanted, dim)
    if not lay.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if not hasattr(wanted, "__index__"):
        raise TypeError(f"split(): argument 'split_size' must be int or tuple of ints, not {type(wanted).__name__}")
    d = dim_index(dim, lay.ndim)
    n = lay.shape[d]
    k = int(wanted)
    if k < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={k}")
    if k == 0 and n:
        raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}")
    return pieces(tensor, d, [min(k, n - i) for i in range(0, n, k)] if n else [0])


@function(where="Tensor", name="split")
def _split(self, split_size, dim=0):
    """As `torch.split`."""
    return split(self, split_size, dim)


@function
def split_with_sizes(input, split_sizes, dim=0):
    """A tuple of views of the sizes given, which sum to the size of the dim."""
    lay = layout_of(input)
    if not lay.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = dim_index(dim, lay.ndim)
    sizes = ints((split_sizes,), "split_with_sizes", "split_sizes")
    n = lay.shape[d]
    if any(k < 0 for k in sizes):
        raise RuntimeError(
            f"split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={list(sizes)}"
        )
    if sum(sizes) != n:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {d}), but got split_sizes={list(sizes)}"
        )
    return pieces(input, d, sizes)


@function(where="torch Tensor")
def unsafe_split(tensor, split_size, dim=0):
    """As `split`, with one size."""
    return split(tensor, split_size, dim)


publish(split_with_sizes, "unsafe_split_with_sizes", "torch Tensor")


@function(aliases=("unsafe_chunk",))
@dim_or_axis
def chunk(input, chunks, dim=0):
    """A tuple of about `chunks` views of equal size along a dim (the last may be smaller, or some missing)."""
    lay = layout_of(input)
    if not lay.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    d = dim_index(dim, lay.ndim)
    n = lay.shape[d]
    if n == 0:
        return pieces(input, d, [0] * chunks)
    return split(input, -(-n // chunks), d)


@function
def tensor_split(input, indices_or_sections=None, dim=0, *, indices=None, sections=None):
    """A tuple of views: so many pieces of nearly equal size, or cut before the places in a sequence or 1-D tensor."""
    wanted = next((x for x in (indices_or_sections, indices, sections) if x is not None), None)
    lay = layout_of(input)
    if not lay.ndim:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = dim_index(dim, lay.ndim)
    n = lay.shape[d]
    if isinstance(wanted, Tensor):
        cuts = layout_of(wanted)
        if cuts.dtype is not int64:
            raise RuntimeError(
                f"tensor_split expected tensor_indices_or_sections to have dtype of long, but got {cuts.dtype}"
            )
        if cuts.ndim > 1:
            raise RuntimeError(
                f"tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but got a tensor with {cuts.ndim} dims"
            )
        wanted = wanted.tolist()
    if isinstance(wanted, (tuple, list)):
        return _cut_before(input, d, ints((wanted,), "tensor_split", "indices"))
    if not hasattr(wanted, "__index__"):
        raise TypeError(
            f"tensor_split(): argument 'indices_or_sections' must be int, tuple of ints or Tensor, not {type(wanted).__name__}"
        )
    k = int(wanted)
    if k <= 0:
        raise RuntimeError(f"number of sections must be larger than 0, got {k}")
    return pieces(input, d, [n // k + (i < n % k) for i in range(k)])


def _cut_before(input: Tensor, d: int, cuts: tuple) -> tuple:
    n = layout_of(input).shape[d]
    out = []
    start = 0
    for stop in (*cuts, n):
        first = max(0, min(start + n if start < 0 else start, n))
        last = max(0, min(stop + n if stop < 0 else stop, n))
        out.append(slice_dim(input, d, first, max(0, last - first), 1))
        start = stop
    return tuple(out)


def _split_along(name: str, least: int, dim, doc: str):
    """hsplit, vsplit, dsplit: tensor_split along a fixed dim."""

    def f(input, indices_or_sections=None, *, indices=None, sections=None):
        wanted = next((x for x in (indices_or_sections, indices, sections) if x is not None), None)
        lay = layout_of(input)
        if lay.ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension{'s' if least > 1 else ''}, but got a tensor with {lay.ndim} dimensions!"
            )
        d = min(dim, lay.ndim - 1)
        if hasattr(wanted, "__index__") and not isinstance(wanted, Tensor):
            if wanted == 0 or lay.shape[d] % wanted:
                raise RuntimeError(
                    f"torch.{name} attempted to split along dimension {d}, but the size of the dimension {lay.shape[d]} is not divisible by the split_size {wanted}! (shape {shape_text(lay.shape)})"
                )
        return tensor_split(input, wanted, d)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    return function(f)


hsplit = _split_along(
    "hsplit", 1, 1, "A tuple of views along dim 1 (dim 0 of a vector): equal pieces, or cut before the places given."
)
vsplit = _split_along("vsplit", 2, 0, "A tuple of views along dim 0: equal pieces, or cut before the places given.")
dsplit = _split_along("dsplit", 3, 2, "A tuple of views along dim 2: equal pieces, or cut before the places given.")
