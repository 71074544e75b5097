"""More views: shapes after another tensor's, dims moved, diagonals, windows, real and imaginary parts."""

from __future__ import annotations

import operator
import warnings

from ..errors import shape_text
from ..ir import dtypes
from ..ir.shapes import Size, dim_index, layout, numel, size
from ..ir.shapes import broadcast_shapes as broadcast
from ..trace.handle import Tensor, layout_of
from ..trace.walk import place
from ..trace.walk import view as new_view
from .autocast import raised
from .declare import function, publish, scalar_name
from .shape import expand, ints, permute, reshape, transpose, view, viewed


def shape_like(other, name: str) -> Size:
    """The shape of the other tensor, in place of a shape."""
    if not isinstance(other, Tensor):
        raise TypeError(f"{name}(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}")
    return layout_of(other).shape


# --- the shape of another tensor, or of all ---------------------------------------------------------------------------


@function(where="Tensor")
def reshape_as(self, other):
    """The elements in the shape of other: a view where memory allows, else a copy."""
    return reshape(self, shape_like(other, "reshape_as"))


@function(where="Tensor")
def view_as(self, other):
    """The same memory in the shape of other."""
    return view(self, shape_like(other, "view_as"))


@function(where="Tensor")
def expand_as(self, other):
    """A view in which dims of size 1 are repeated up to the shape of other."""
    return expand(self, shape_like(other, "expand_as"))


@function
def broadcast_to(input, size):
    """A view with dims of size 1 repeated up to a shape."""
    return expand(input, size)


@function(where="torch")
def broadcast_tensors(*tensors):
    """The tensors as views of one shape, that to which all broadcast; those of that shape as they are."""
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    if not items:
        return ()
    for i, x in enumerate(items):
        if not isinstance(x, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}")
    shape = broadcast(*[layout_of(x).shape for x in items])
    return tuple([x if layout_of(x).shape == shape else expand(x, shape) for x in items])


@function(where="torch")
def broadcast_shapes(*shapes):
    """The shape to which tensors of these shapes (tuples or ints) broadcast."""
    wanted = []
    for s in shapes:
        dims = (s,) if isinstance(s, int) else tuple(s)
        if any(n < 0 for n in dims):
            raise RuntimeError(f"Trying to create tensor with negative dimension: broadcast_shapes got {list(dims)}")
        wanted.append(dims)
    return broadcast(*wanted) if wanted else size(())


# --- dims joined, parted, added ---------------------------------------------------------------------------------------


@function
def flatten(input, start_dim=0, end_dim=-1):
    """The dims from start_dim to end_dim as one: a view where memory allows."""
    n = layout_of(input).ndim
    a, b = dim_index(start_dim, n), dim_index(end_dim, n)
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if n == 0:
        return input.reshape(1)
    if a == b:
        return input
    shape = layout_of(input).shape
    return reshape(input, (*shape[:a], numel(shape[a : b + 1]), *shape[b + 1 :]))


@function
def ravel(input):
    """All elements as one dim: a view where memory allows."""
    return reshape(input, (-1,)) if layout_of(input).numel else reshape(input, (0,))


@function
def unflatten(input, dim, sizes):
    """One dim as several, of the sizes given (one of which may be -1)."""
    lay = layout_of(input)
    d = dim_index(dim, lay.ndim)
    wanted = ints((sizes,) if isinstance(sizes, (tuple, list)) else ((sizes,),), "unflatten", "sizes")
    if not wanted:
        raise RuntimeError("unflatten: sizes must be non-empty")
    n = lay.shape[d] if lay.ndim else 1
    known = numel([k for k in wanted if k != -1])
    if list(wanted).count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    if -1 in wanted and known and n % known == 0:
        wanted = tuple([n // known if k == -1 else k for k in wanted])
    if numel(wanted) != n:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(wanted)} don't multiply up to the size of dim {d} ({n}) in the input tensor"
        )
    return view(input, (*lay.shape[:d], *wanted, *lay.shape[d + 1 :]))


def _each(tensors: tuple, f):
    """f of one tensor, or a tuple of f of each."""
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return f(tensors[0])
    items = tensors[0] if len(tensors) == 1 else tensors
    return tuple([f(x) for x in items])


def _at_least_1d(x):
    return x if layout_of(x).ndim else reshape(x, (1,))


def _at_least_2d(x):
    n = layout_of(x).ndim
    return reshape(x, (1, 1)) if n == 0 else x.unsqueeze(0) if n == 1 else x


def _at_least_3d(x):
    n = layout_of(x).ndim
    if n == 0:
        return reshape(x, (1, 1, 1))
    return x.unsqueeze(0).unsqueeze(-1) if n == 1 else x.unsqueeze(-1) if n == 2 else x


@function(where="torch")
def atleast_1d(*tensors):
    """Each tensor with one dim at least."""
    return _each(tensors, _at_least_1d)


@function(where="torch")
def atleast_2d(*tensors):
    """Each tensor with two dims at least (new ones in front)."""
    return _each(tensors, _at_least_2d)


@function(where="torch")
def atleast_3d(*tensors):
    """Each tensor with three dims at least (a vector becomes 1 x n x 1)."""
    return _each(tensors, _at_least_3d)


# --- dims moved -------------------------------------------------------------------------------------------------------


@function(aliases=("moveaxis",))
def movedim(input, source, destination):
    """A view with the dims `source` moved to the places `destination`; the others keep their order."""
    n = layout_of(input).ndim
    given = [x if isinstance(x, (tuple, list)) else (x,) for x in (source, destination)]
    if len(given[0]) != len(given[1]):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(given[0])} dims) should contain the same number of dims as destination ({list(given[1])} dims)"
        )
    froms, tos = ([dim_index(d, n) for d in x] for x in given)
    for what, dims in (("source", froms), ("destination", tos)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{what}` ({dims})")
    if n == 0:
        return new_view(input, layout_of(input), 0, "Alias")
    rest = iter([d for d in range(n) if d not in froms])
    at = dict(zip(tos, froms))
    return permute(input, [at[d] if d in at else next(rest) for d in range(n)])


@function
def adjoint(input):
    """Matrices transposed and conjugated."""
    lay = layout_of(input)
    if lay.ndim == 1:
        raise RuntimeError(
            f"tensor.adjoint() is only supported on matrices or batches of matrices. Got {lay.ndim}-D tensor."
        )
    turned = transpose(input, -2, -1) if lay.ndim else new_view(input, lay, 0, "Alias")
    return turned.conj() if lay.dtype.is_complex else turned


def _flipped(self):
    """The dims in the opposite order: a view."""
    n = layout_of(self).ndim
    if n not in (0, 2):
        warnings.warn(
            f"Tensor.T on tensors of {n} dims is deprecated: x.mT transposes matrices in a batch, x.permute(*range(x.ndim - 1, -1, -1)) turns all dims.",
            UserWarning,
            stacklevel=2,
        )
    return permute(self, tuple(range(n - 1, -1, -1)))


def _matrix_transposed(self):
    """Matrices in a batch transposed: a view."""
    n = layout_of(self).ndim
    if n < 2:
        raise RuntimeError(f"tensor.mT is only supported on matrices or batches of matrices. Got {n}-D tensor.")
    return transpose(self, -2, -1)


def _conjugate_transposed(self):
    """A matrix transposed and conjugated."""
    n = layout_of(self).ndim
    if n not in (0, 2):
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {n}-D tensor. For batches of matrices use .mH"
        )
    return adjoint(self) if n else self.conj()


def _conjugate_matrix_transposed(self):
    """Matrices in a batch transposed and conjugated."""
    n = layout_of(self).ndim
    if n < 2:
        raise RuntimeError(f"tensor.mH is only supported on matrices or batches of matrices. Got {n}-D tensor.")
    return adjoint(self)


for _name, _get in (
    ("T", _flipped),
    ("mT", _matrix_transposed),
    ("H", _conjugate_transposed),
    ("mH", _conjugate_matrix_transposed),
):
    publish(property(_get), _name, "Tensor")


# --- diagonals and windows --------------------------------------------------------------------------------------------


@function
def diagonal(input, offset=0, dim1=0, dim2=1):
    """A view of the diagonals of matrices in two dims, which become the last dim.

    Args: offset: which diagonal: above the main one where positive, below where negative."""
    k = operator.index(offset)

    def make(lay):
        if lay.ndim < 2:
            dim_index(dim1, lay.ndim)
            dim_index(dim2, lay.ndim)
        a, b = dim_index(dim1, lay.ndim), dim_index(dim2, lay.ndim)
        if a == b:
            raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
        m, n = lay.shape[a], lay.shape[b]
        count = max(0, min(m, n - k) if k >= 0 else min(m + k, n))
        rest = [d for d in range(lay.ndim) if d not in (a, b)]
        start = 0 if count == 0 else k * lay.strides[b] if k >= 0 else -k * lay.strides[a]
        shape = [*[lay.shape[d] for d in rest], count]
        return shape, [*[lay.strides[d] for d in rest], lay.strides[a] + lay.strides[b]], start

    return viewed(input, "Diagonal", (k, dim1, dim2), make)


@function(where="Tensor")
def unfold(self, dimension, size, step):
    """A view of all windows of `size` places along a dim, `step` apart; what is in a window becomes the last dim."""

    def make(lay):
        d = dim_index(dimension, lay.ndim)
        n = lay.shape[d] if lay.ndim else 1
        if size < 0:
            raise RuntimeError(f"unfold: size is {size} but must be >= 0")
        if size > n:
            raise RuntimeError(f"maximum size for tensor at dimension {d} is {n} but size is {size}")
        if step <= 0:
            raise RuntimeError(f"unfold: step is {step} but must be > 0")
        if not lay.ndim:
            return (size,), (1,), 0
        shape, strides = list(lay.shape), list(lay.strides)
        shape[d] = (n - size) // step + 1
        strides[d] *= step
        return [*shape, size], [*strides, lay.strides[d]], 0

    return viewed(self, "Unfold", (dimension, size, step), make)


# --- real and imaginary parts ----------------------------------------------------------------------------------------


def _part(input: Tensor, delta: int, how: str) -> Tensor:
    """A view of the real (delta 0) or imaginary (1) parts: every other number of the memory."""
    lay = layout_of(input)
    place(input)
    half = layout(lay.shape, tuple([2 * s for s in lay.strides]), lay.dtype.to_real(), lay.device)
    return new_view(input, half, input._off + delta, how)


@function
def real(input):
    """The real parts of a complex tensor: a view. A real tensor is returned as it is."""
    return _part(input, 0, "Select") if layout_of(input).dtype.is_complex else input


@function
def imag(input):
    """The imaginary parts of a complex tensor: a view."""
    if not layout_of(input).dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _part(input, 1, "Select")


def _set_part(get):
    def put(self, value):
        get(self).copy_(value)

    return put


for _get in (real, imag):
    publish(property(_get, _set_part(_get), None, _get.__doc__), _get.__name__, "Tensor")


@function
def view_as_real(input):
    """A complex tensor read as real numbers, with a last dim of 2 (real part, imaginary part): a view."""
    lay = layout_of(input)
    if not lay.dtype.is_complex:
        raise RuntimeError(f"view_as_real is only supported for complex tensors, this one is {lay.dtype}")
    place(input)
    pairs = layout(size((*lay.shape, 2)), (*[2 * s for s in lay.strides], 1), lay.dtype.to_real(), lay.device)
    return new_view(input, pairs, input._off, "ViewAsReal")


@function
def view_as_complex(input):
    """Real numbers with a last dim of 2 read as complex ones: a view."""
    (input,) = raised(input)
    lay = layout_of(input)
    if lay.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(
            f"view_as_complex is only supported for float and double tensors, but got a tensor of scalar type: {scalar_name(lay.dtype)}"
        )
    if not lay.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if lay.shape[-1] != 2:
        raise RuntimeError(f"Tensor must have a last dimension of size 2, this has shape {shape_text(lay.shape)}")
    if lay.strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % 2 for s in lay.strides[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    place(input)
    if input._off % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    whole = layout(size(lay.shape[:-1]), tuple([s // 2 for s in lay.strides[:-1]]), lay.dtype.to_complex(), lay.device)
    return new_view(input, whole, -(input._off // 2), "ViewAsComplex")
