"""Views of copies: written into (`*_scatter`), copied (`*_copy`); matrices from diagonals."""

from __future__ import annotations

import operator

import numpy as np

from ..ir.dtypes import get_default_dtype, promote
from ..ir.shapes import Layout, dim_index, layout, size
from ..ir.special import convert
from ..trace.handle import Tensor, layout_of
from . import shape as shapes
from . import splitting, views
from .creation import filled
from .declare import function, operation, primitive, publish, store_out
from .shape import as_strided, clone, ints, narrow, reshape, select

# --- writing into a view of a copy ------------------------------------------------------------------------------------


def _apart(lay: Layout) -> bool:
    """Whether no two elements can lie at the same place."""
    reach = 0
    for step, n in sorted((s, n) for n, s in zip(lay.shape, lay.strides) if n > 1):
        if step <= reach:
            return False
        reach += step * (n - 1)
    return True


def _like_rule(input: Layout) -> Layout:
    return layout(input.shape, input.strides if _apart(input) and not input.contig else None, input.dtype, input.device)


@primitive(
    rule=_like_rule, raw=True, gradient=lambda g, out, input: g, name="clone_strided", where="", grad_name="Clone"
)
def _copy_with_strides(input):
    return input.copy()


def _written(input: Tensor, src: Tensor, view_of) -> Tensor:
    """A copy of input with src written where view_of(copy) reads."""
    out = _copy_with_strides(input)
    view_of(out).copy_(src)
    return out


def _check_source(src, want, name: str) -> None:
    if not isinstance(src, Tensor):
        raise TypeError(f"{name}(): argument 'src' must be Tensor, not {type(src).__name__}")
    have = layout_of(src).shape
    if have != want:
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = {list(have)}, slice size = {list(want)} ({name})"
        )


@operation(name="select_scatter", where="", grad_name="SelectScatter")
def _select_scatter(input, src, dim, index):
    return _written(input, src, lambda x: select(x, dim, index))


@function
def select_scatter(input, src, dim, index):
    """A copy of input with src at one place of a dim."""
    _check_source(src, layout_of(select(input, dim, index)).shape, "select_scatter")
    return _select_scatter(input, src, dim, operator.index(index))


def _bounds(n: int, start, end, step) -> tuple[int, int]:
    """First place and number of places of a slice of a dim of size n."""
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    first = 0 if start is None else start
    last = n if end is None else end
    first = max(0, min(first + n if first < 0 else first, n))
    last = max(first, min(last + n if last < 0 else last, n))
    return first, -(-(last - first) // step)


@operation(name="slice_scatter", where="", grad_name="SliceScatter")
def _slice_scatter(input, src, d, first, count, step):
    return _written(input, src, lambda x: shapes.slice_dim(x, d, first, count, step))


@function
def slice_scatter(input, src, dim=0, start=None, end=None, step=1, *, out=None):
    """A copy of input with src in a slice of a dim."""
    lay = layout_of(input)
    d = dim_index(dim, lay.ndim)
    first, count = _bounds(lay.shape[d], start, end, step)
    _check_source(src, layout_of(shapes.slice_dim(input, d, first, count, step)).shape, "slice_scatter")
    r = _slice_scatter(input, src, d, first, count, step)
    return r if out is None else store_out(out, r, "slice_scatter")


@operation(name="diagonal_scatter", where="", grad_name="DiagonalScatter")
def _diagonal_scatter(input, src, offset, dim1, dim2):
    return _written(input, src, lambda x: views.diagonal(x, offset, dim1, dim2))


@function
def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    """A copy of input with src on a diagonal."""
    _check_source(src, layout_of(views.diagonal(input, offset, dim1, dim2)).shape, "diagonal_scatter")
    return _diagonal_scatter(input, src, offset, dim1, dim2)


@operation(name="as_strided_scatter", where="", grad_name="AsStridedScatter")
def _as_strided_scatter(input, src, shape, stride, offset):
    return _written(input, src, lambda x: as_strided(x, shape, stride, offset))


@function
def as_strided_scatter(input, src, size, stride, storage_offset=None):
    """A copy of input with src where as_strided(size, stride, storage_offset) would read."""
    shape, strides = ints((size,), "as_strided_scatter"), ints((stride,), "as_strided_scatter", "stride")
    _check_source(src, shape, "as_strided_scatter")
    return _as_strided_scatter(input, src, shape, strides, storage_offset or 0)


# --- matrices from diagonals ------------------------------------------------------------------------------------------


@operation(name="diag_embed", where="", grad_name="DiagEmbed")
def _diag_embed(input, offset, a, b):
    n = input.shape[-1] + abs(offset)
    rest = list(input.shape[:-1])
    for d in sorted((a, b)):
        rest.insert(d, n)
    return _diagonal_scatter(filled(size(rest), 0, input.dtype, input.device.type), input, offset, a, b)


@function
def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Square matrices, in two new dims, with the last dim of input on a diagonal and zeros elsewhere."""
    n = layout_of(input).ndim + 1
    a, b = dim_index(dim1, n), dim_index(dim2, n)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return _diag_embed(input, operator.index(offset), a, b)


@function
def diag(input, diagonal=0, *, out=None):
    """A matrix with the vector `input` on a diagonal; of a matrix, that diagonal as a vector."""
    n = layout_of(input).ndim
    if n not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {n}D")
    r = diag_embed(input, diagonal) if n == 1 else clone(views.diagonal(input, diagonal), memory_format="contiguous")
    return r if out is None else store_out(out, r, "diag")


@function
def diagflat(input, offset=0):
    """A matrix with all elements of input on a diagonal."""
    return diag_embed(reshape(input, (layout_of(input).numel,)), offset)


def _block_diag_rule(blocks) -> Layout:
    d = blocks[0].dtype
    rows = columns = 0
    for i, l in enumerate(blocks):
        if l.ndim > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {l.ndim} dimensions"
            )
        m, n = _block_shape(l.shape)
        rows += m
        columns += n
        d = promote(d, l.dtype)
    return layout(size((rows, columns)), None, d, blocks[0].device)


def _block_shape(shape) -> tuple[int, int]:
    return (1, 1) if len(shape) == 0 else (1, shape[0]) if len(shape) == 1 else (shape[0], shape[1])


def _block_diag_gradient(g, out, blocks):
    grads = []
    i = j = 0
    for x in blocks:
        m, n = _block_shape(x.shape)
        grads.append(reshape(narrow(narrow(g, 0, i, m), 1, j, n), x.shape))
        i += m
        j += n
    return tuple(grads)


@primitive(rule=_block_diag_rule, gradient=_block_diag_gradient, name="block_diag", where="")
def _block_diag(blocks):
    blocks = [x.reshape(_block_shape(x.shape)) for x in blocks]
    d = np.result_type(*blocks)
    out = np.zeros((sum(x.shape[0] for x in blocks), sum(x.shape[1] for x in blocks)), d)
    i = j = 0
    for x in blocks:
        m, n = x.shape
        out[i : i + m, j : j + n] = convert(x, d)
        i += m
        j += n
    return out


@function(where="torch")
def block_diag(*tensors):
    """A matrix with the matrices given along its diagonal, zeros elsewhere; a vector counts as a row."""
    items = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else list(tensors)
    if not items:
        return filled(size((1, 0)), 0, get_default_dtype(), "cpu")
    for i, x in enumerate(items):
        if not isinstance(x, Tensor):
            raise TypeError(f"block_diag(): expected Tensor as element {i}, but got {type(x).__name__}")
    return _block_diag(items)


# --- copies of what a view reads --------------------------------------------------------------------------------------


@function
def narrow_copy(input, dim, start, length, *, out=None):
    """A copy of `length` places of a dim, from `start`."""
    n = layout_of(input).ndim
    if not isinstance(dim, int) or not -n <= dim < n:
        raise RuntimeError(f"narrow_copy(): dim {dim} is none of the {n} dims of the tensor")
    r = clone(narrow(input, dim, start, length), memory_format="contiguous")
    return r if out is None else store_out(out, r, "narrow_copy")


def slice_view(input, dim=0, start=None, end=None, step=1):
    """A view of a slice of a dim."""
    lay = layout_of(input)
    if not lay.ndim:
        raise RuntimeError("slice() cannot be applied to a 0-dim tensor.")
    d = dim_index(dim, lay.ndim)
    first, count = _bounds(lay.shape[d], start, end, step)
    return shapes.slice_dim(input, d, first, count, step)


def _copying(view_of, name: str):
    """The function that copies what a view reads, in order."""

    def f(input, *args, out=None, **kwargs):
        found = view_of(input, *args, **kwargs)
        if isinstance(found, tuple):
            r = tuple([clone(x, memory_format="contiguous") for x in found])
            if out is None:
                return r
            store_out(out, r, name)
            return None
        r = clone(found, memory_format="contiguous")
        return r if out is None else store_out(out, r, name)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"A copy, in memory of its own, of what {name.removesuffix('_copy')} reads."
    publish(f, name, "torch")


for _name, _view in (
    ("alias_copy", lambda input: input), ("as_strided_copy", as_strided), ("detach_copy", shapes.detach), ("diagonal_copy", views.diagonal),
    ("expand_copy", shapes.expand), ("permute_copy", shapes.permute), ("select_copy", select), ("slice_copy", slice_view),
    ("split_copy", splitting.split), ("split_with_sizes_copy", splitting.split_with_sizes), ("squeeze_copy", shapes.squeeze), ("t_copy", shapes.t),
    ("transpose_copy", shapes.transpose), ("unbind_copy", splitting.unbind), ("unfold_copy", views.unfold), ("unsqueeze_copy", shapes.unsqueeze),
    ("view_as_complex_copy", views.view_as_complex), ("view_as_real_copy", views.view_as_real), ("view_copy", shapes.view),
):  # fmt: skip
    _copying(_view, _name)


# --- a diagonal filled in place ---------------------------------------------------------------------------------------


@function(where="Tensor")
def fill_diagonal_(self, fill_value, wrap=False):
    """Writes fill_value on the main diagonal, in place; with wrap, a tall matrix gets further diagonals below it."""
    lay = layout_of(self)
    if lay.ndim < 2:
        raise RuntimeError(f"dimensions must larger than 1: fill_diagonal_ got shape {list(lay.shape)}")
    if lay.ndim > 2 and len(set(lay.shape)) > 1:
        raise RuntimeError(
            f"all dimensions of input must be of equal length: fill_diagonal_ got shape {list(lay.shape)}"
        )
    count = min(lay.shape)
    if not count:
        return self
    step = sum(lay.strides)
    as_strided(self, (count,), (step,)).fill_(fill_value)
    rows, columns = lay.shape[0], lay.shape[1]
    if wrap and lay.ndim == 2 and rows > columns + 1:
        more = -(-lay.numel // (columns + 1)) - count
        start = self.storage_offset() + lay.strides[0] * (columns + 1)
        as_strided(self, (more,), (step,), start).fill_(fill_value)
    return self
