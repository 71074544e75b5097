"""Sparse tensors: which of a tensor's elements are stored, and what they are; those in coordinate form (COO).

Compressed forms are in sparse_compressed.py, what can be computed with sparse tensors in sparse_operations.py. An
operation that is not defined for them refuses them; `to_dense()` makes an ordinary tensor."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from ..autograd.function import Function
from ..errors import NotStrided
from ..ir import dtypes
from ..ir.dtypes import INT
from ..ir.shapes import Layout, dim_index, layout, size
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from .creation import tensor as make_tensor
from .declare import function, publish, scalar_name
from .embedding import add_rows, lookup
from .joining import cat
from .packed import Packed, PackedLayout

UNSUPPORTED = (
    "a sparse tensor was given to an operation that takes dense tensors only: call it on the result of to_dense(). "
    "What there is for sparse tensors: `_core/ops/sparse_operations.py`"
)


# --- what all sparse tensors have in common -----------------------------------------------------------------------


_layouts: dict[Layout, PackedLayout] = {}


def _sparse_layout(lay: Layout) -> PackedLayout:
    """The layout of a sparse tensor of that shape and dtype: one object for each."""
    found = _layouts.get(lay)
    if found is None:
        found = _layouts[lay] = PackedLayout()
        for name in Layout.__slots__:
            if name != "views":
                setattr(found, name, getattr(lay, name))
    return found


class Sparse(Packed):
    """A tensor of which only some elements are stored; gradients exist for them alone."""

    MEANINGS = {}
    UNSUPPORTED = UNSUPPORTED
    _where: str  # its layout, as error messages name it

    def __new__(cls, elements: Tensor, shape):
        have = layout_of(elements)
        return Packed.__new__(cls, elements, _sparse_layout(layout(size(shape), None, have.dtype, have.device)))

    def to_sparse_coo(self) -> SparseTensor:
        """The tensor in coordinate form."""
        raise NotImplementedError

    def to_dense(self, dtype=None, *, masked_grad=True) -> Tensor:
        """The ordinary tensor with the same elements, converted to dtype if that is given."""
        dense = self.to_sparse_coo().to_dense()
        return dense if dtype is None else dense.to(dtype)

    def _nnz(self) -> int:
        """How many places are stored."""
        return layout_of(self._elements).shape[0]

    def _values(self) -> Tensor:
        """The stored elements."""
        return self._elements

    def numpy(self, *, force: bool = False):
        """TypeError: NumPy has no sparse arrays."""
        raise TypeError(f"can't convert {self._where} layout tensor to numpy. Use Tensor.to_dense() first.")

    def is_contiguous(self, memory_format=None) -> bool:
        """False: the elements do not lie in order."""
        return False

    def reshape(self, *shape):
        """RuntimeError: there is none for sparse tensors."""
        raise RuntimeError("reshape is not implemented for sparse tensors: use .to_dense().reshape(...)")

    def alike(self, name: str, make: Callable, *args, **kwargs):
        """Only zeros can be made like a sparse tensor: none is stored."""
        if name not in ("zeros_like", "empty_like"):
            raise NotStrided(f"{name}: {UNSUPPORTED}")
        return (
            self.to_sparse_coo().detach()._emptied(make(self._elements, *args, **kwargs)).to_sparse(layout=self.layout)
        )

    def _become(self, other: Tensor):
        """The tensor itself, with the elements and places of another."""
        if type(other) is not type(self) or other.shape != self.shape:
            raise RuntimeError(f"the result {list(other.shape)} does not fit the sparse tensor {list(self.shape)}")
        if layout_of(other).dtype is not self._lay.dtype:
            other = other.to(self._lay.dtype)
        if self._asked:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        self._take(other)
        return self

    def _take(self, other: Sparse) -> None:
        self._lay = other._lay
        self.__dict__.update(other.__dict__)


# --- coordinate form ----------------------------------------------------------------------------------------------


class SparseTensor(Sparse):
    """A sparse tensor in coordinate form: elements (nnz, *dense dims) at indices (sparse dims, nnz).

    Where an index occurs twice its elements are added; `coalesce` does so, and sorts the indices."""

    _where = "Sparse"

    def __new__(cls, indices: Tensor, values: Tensor, shape, coalesced: bool = False):
        self = Sparse.__new__(cls, values, shape)
        self._places, self._coalesced = indices, coalesced
        return self

    is_sparse = property(lambda self: True, None, None, "Whether it is in coordinate form: yes.")

    def _with(self, elements: Tensor, shape=None) -> SparseTensor:
        return SparseTensor(self._places, elements, self.shape if shape is None else shape, self._coalesced)

    # --- its parts

    def _indices(self) -> Tensor:
        """Where the stored elements stand, (sparse dims, nnz), in any order."""
        return self._places

    def sparse_dim(self) -> int:
        """The number of dims that indices speak of."""
        return layout_of(self._places).shape[0]

    def dense_dim(self) -> int:
        """The number of dims of each stored element."""
        return layout_of(self._elements).ndim - 1

    def is_coalesced(self) -> bool:
        """Whether indices are known to be sorted, and each to occur once."""
        return self._coalesced

    def indices(self) -> Tensor:
        """The indices of a coalesced tensor, (sparse dims, nnz). RuntimeError for one that is not."""
        return self._coalesced_part("indices", self._places)

    def values(self) -> Tensor:
        """The elements of a coalesced tensor, (nnz, *dense dims). RuntimeError for one that is not."""
        return self._coalesced_part("values", self._elements)

    def _coalesced_part(self, name: str, part: Tensor) -> Tensor:
        if not self._coalesced:
            raise RuntimeError(f"Cannot get {name} on an uncoalesced tensor, please call .coalesce() first")
        return part

    def _flat_places(self, dims: Sequence[int] | None = None) -> Tensor:
        """Each place as one number: its position among all places of the sparse dims (or of those given)."""
        dims = range(self.sparse_dim()) if dims is None else dims
        flat = self._places.new_zeros((self._nnz(),))
        for d in dims:
            flat = flat * self.shape[d] + self._places[d]
        return flat

    # --- other forms

    def coalesce(self) -> SparseTensor:
        """The same tensor with sorted indices, each of which occurs once."""
        if self._coalesced:
            return self
        sizes = self.shape[: self.sparse_dim()]
        kept, of_each = np.unique(array_of(self._flat_places()), return_inverse=True)
        rows = summed_rows(self._elements, make_tensor(of_each.reshape(-1)), kept.size)
        return SparseTensor(places_of(kept, sizes), rows, self.shape, True)

    def to_dense(self, dtype=None, *, masked_grad=True) -> Tensor:
        """The ordinary tensor with the same elements, converted to dtype if that is given."""
        count = math.prod(self.shape[: self.sparse_dim()])
        dense = summed_rows(self._elements, self._flat_places(), count).reshape(self.shape)
        return dense if dtype is None else dense.to(dtype)

    def to_sparse_coo(self) -> SparseTensor:
        """The tensor itself."""
        return self

    def clone(self, *, memory_format=None) -> SparseTensor:
        """A copy; gradients pass through."""
        return SparseTensor(self._places.clone(), self._elements.clone(), self.shape, self._coalesced)

    def _emptied(self, elements: Tensor) -> SparseTensor:
        places = self._places.new_zeros((self.sparse_dim(), 0))
        return SparseTensor(places, elements.narrow(0, 0, 0).clone(), self.shape, True)

    def zero_(self) -> SparseTensor:
        """Forgets all elements."""
        return self._become(self._emptied(self._elements))

    def copy_(self, other, non_blocking: bool = False) -> SparseTensor:
        """Takes the elements and places of another sparse tensor."""
        if not isinstance(other, SparseTensor):
            raise RuntimeError("copy_() between dense and sparse Tensors is not implemented: use to_sparse()")
        return self._become(other.clone())

    def sparse_resize_(self, size, sparse_dim: int, dense_dim: int) -> SparseTensor:
        """Gives it another shape, with as many sparse and dense dims; where it grows there are zeros."""
        if sparse_dim + dense_dim != len(size):
            raise RuntimeError(
                f"number of dimensions must be sparse_dim ({sparse_dim}) + dense_dim ({dense_dim}), but got {len(size)}"
            )
        if self._nnz():
            parts = (self.sparse_dim(), self.dense_dim())
            if parts != (sparse_dim, dense_dim):
                raise RuntimeError(
                    f"changing the number of sparse or dense dims of a non-empty tensor is not supported: {parts}"
                )
            if any(new < old for new, old in zip(size, self.shape)):
                raise RuntimeError(
                    f"shrinking a non-empty sparse tensor is not supported: {list(self.shape)} to {list(size)}"
                )
        return self.sparse_resize_and_clear_(size, sparse_dim, dense_dim) if not self._nnz() else self._reshaped(size)

    def _reshaped(self, size) -> SparseTensor:
        self._take(self._with(self._elements, size))
        return self

    def sparse_resize_and_clear_(self, size, sparse_dim: int, dense_dim: int) -> SparseTensor:
        """Forgets all elements, and takes another shape."""
        places = self._places.new_zeros((sparse_dim, 0))
        elements = self._elements.new_zeros((0, *size[sparse_dim:]))
        self._take(SparseTensor(places, elements, size, True))
        return self

    def plus(self, other: Tensor) -> Tensor:
        """The sum with another gradient: sparse if both are."""
        if not isinstance(other, SparseTensor):
            return other + self.to_dense()
        if self.shape != other.shape or self.sparse_dim() != other.sparse_dim():
            sizes = f"{list(self.shape)} and {list(other.shape)}"
            raise RuntimeError(f"add: two sparse tensors need the same size and sparse dims, but are {sizes}")
        places = cat([self._places, other._places], 1)
        return SparseTensor(places, cat([self._elements, other._elements], 0), self.shape)

    # --- its dims

    def transpose(self, dim0: int, dim1: int) -> SparseTensor:
        """The tensor with two dims exchanged, both sparse or both dense."""
        n, m = self.dim(), self.sparse_dim()
        a, b = dim_index(dim0, n), dim_index(dim1, n)
        if (a < m) != (b < m):
            raise RuntimeError(f"transpose: dims {dim0} and {dim1} must both be sparse or both dense (sparse: {m})")
        order = list(range(n))
        order[a], order[b] = b, a
        return self.permute(order)

    def permute(self, *dims) -> SparseTensor:
        """The tensor with its dims in another order; sparse dims stay before dense ones."""
        n, m = self.dim(), self.sparse_dim()
        dims = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
        order = [dim_index(d, n) for d in dims]
        if len(order) != n:
            raise RuntimeError(
                f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired"
                f" ordering of dimensions i.e. input.dim() = {n} is not equal to len(dims) = {len(order)}"
            )
        if sorted(order) != list(range(n)):
            raise RuntimeError("permute(sparse_coo): duplicate dims are not allowed.")
        if order == list(range(n)):
            return self
        if any(d >= m for d in order[:m]):
            raise RuntimeError(
                f"permute(sparse_coo): transpositions between sparse and dense dims are not allowed: {order}"
            )
        places = self._places if order[:m] == list(range(m)) else self._places[make_tensor(order[:m])]
        elements = self._elements.permute(0, *[d - m + 1 for d in order[m:]])
        kept = self._coalesced and order[:m] == list(range(m))
        return SparseTensor(places, elements, [self.shape[d] for d in order], kept)

    def t(self) -> SparseTensor:
        """A matrix with its two dims exchanged."""
        if self.dim() > 2:
            raise RuntimeError(f"t() expects a tensor with <= 2 sparse and 0 dense dimensions, but got {self.dim()}D")
        return self.permute(*reversed(range(self.dim())))

    T = property(lambda self: self.permute(*reversed(range(self.dim()))), None, None, "The dims in reverse order.")
    mT = property(lambda self: self.transpose(-2, -1), None, None, "The last two dims exchanged.")

    def unsqueeze(self, dim: int) -> SparseTensor:
        """The tensor with a new dim of size 1."""
        n, m = self.dim(), self.sparse_dim()
        d = dim_index(dim, n + 1)
        shape = [*self.shape[:d], 1, *self.shape[d:]]
        if d > m:
            return SparseTensor(self._places, self._elements.unsqueeze(d - m + 1), shape, self._coalesced)
        parts = [self._places[:d], self._places.new_zeros((1, self._nnz())), self._places[d:]]
        return SparseTensor(cat(parts, 0), self._elements, shape, self._coalesced)

    def index_select(self, dim: int, index: Tensor) -> SparseTensor:
        """The slices at the places in `index` (a vector) along a dim."""
        m, d = self.sparse_dim(), dim_index(dim, self.dim())
        wanted = array_of(index).reshape(-1)
        n = self.shape[d]
        if wanted.size and not (-n <= wanted.min() and wanted.max() < n):
            raise IndexError(
                f"index_select(): index {wanted.tolist()} contains places out of range for tensor of size {n}"
            )
        wanted = np.where(wanted < 0, wanted + n, wanted)
        shape = [*self.shape[:d], wanted.size, *self.shape[d + 1 :]]
        if d >= m:
            elements = self._elements.index_select(d - m + 1, make_tensor(wanted))
            return SparseTensor(self._places, elements, shape, self._coalesced)
        x = self.coalesce()
        places = array_of(x._places)
        order = np.argsort(places[d], kind="stable")
        first = np.searchsorted(places[d], wanted, sorter=order)
        last = np.searchsorted(places[d], wanted, "right", order)
        to = np.repeat(np.arange(wanted.size), last - first)
        of = order[
            np.arange(to.size)
            - np.repeat(np.cumsum(last - first) - (last - first), last - first)
            + np.repeat(first, last - first)
        ]
        found = places[:, of].copy()
        found[d] = to
        return SparseTensor(make_tensor(found), x._elements.index_select(0, make_tensor(of)), shape)

    def select(self, dim: int, index: int) -> Tensor:
        """One slice along a dim: sparse, but dense where that was the only sparse dim."""
        d = dim_index(dim, self.dim())
        n = self.shape[d]
        if not -n <= index < n:
            raise IndexError(
                f"select(): index {index} out of range for tensor of size {list(self.shape)} at dimension {d}"
            )
        m = self.sparse_dim()
        if d >= m:
            shape = [*self.shape[:d], *self.shape[d + 1 :]]
            return SparseTensor(self._places, self._elements.select(d - m + 1, index), shape, self._coalesced)
        one = self.index_select(d, make_tensor([index]))
        if m == 1:
            return one._elements.sum(0)
        places = cat([one._places[:d], one._places[d + 1 :]], 0)
        return SparseTensor(places, one._elements, [*self.shape[:d], *self.shape[d + 1 :]])

    def __getitem__(self, item):
        items = item if isinstance(item, tuple) else (item,)
        out, d = self, 0
        for i in items:
            if i == slice(None):
                d += 1
            elif hasattr(i, "__index__") and not isinstance(i, (Tensor, bool)):
                out = out.select(d, i.__index__())
            else:
                raise NotStrided(
                    f"sparse tensors take ints and `:` as indices, not {i!r}: use to_dense(), or index_select()"
                )
        return out.coalesce() if isinstance(out, SparseTensor) else out

    def __reduce_ex__(self, proto):
        return sparse_coo_tensor, (self._places, self._elements.detach(), tuple(self.shape))


def places_of(flat: np.ndarray, sizes) -> Tensor:
    """Positions among all places as indices (dims, n)."""
    if not sizes:
        return make_tensor(np.zeros((0, flat.size), np.int64))
    return make_tensor(np.array(np.unravel_index(flat, sizes), np.int64).reshape(len(sizes), flat.size))


def summed_rows(values: Tensor, which: Tensor, count: int) -> Tensor:
    """Rows of which row i is the sum of those of values that `which` gives to it."""
    shape = layout_of(values).shape
    flat = values.reshape(shape[0], math.prod(shape[1:]))
    return add_rows(flat, which, count, None, False).reshape(count, *shape[1:])


def _only(name: str, kind: str):
    error = NotImplementedError if name.startswith("_") else RuntimeError

    def method(self):
        have = getattr(type(self), "_where", "Strided")
        raise error(f"{name} expected sparse {kind} tensor layout but got {have}")

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"Defined for sparse {kind} tensors; raises RuntimeError for others."
    return method


for _kind, _names in (
    ("coordinate", ("coalesce", "is_coalesced", "indices", "values", "_indices", "_values", "_nnz")),
    ("row compressed", ("crow_indices", "col_indices")),
    ("column compressed", ("ccol_indices", "row_indices")),
):
    for _name in _names:
        setattr(Tensor, _name, _only(_name, _kind))


def _only_resized(name: str):
    def method(self, size, sparse_dim, dense_dim):
        raise RuntimeError(
            f"{name} expected sparse coordinate tensor layout but got {getattr(self, '_where', 'Strided')}"
        )

    method.__name__ = method.__qualname__ = name
    method.__doc__ = "Defined for sparse coordinate tensors; raises RuntimeError for others."
    return method


for _name in ("sparse_resize_", "sparse_resize_and_clear_"):
    setattr(Tensor, _name, _only_resized(_name))


# --- making one ---------------------------------------------------------------------------------------------------


class check_sparse_tensor_invariants:
    """Whether new sparse tensors are also refused for indices in an order that their layout does not allow.

    A context manager, a decorator, or `enable()` and `disable()`. What could lead to a wrong number is always refused."""

    enabled = False

    def __init__(self, enable: bool = True):
        self._wanted, self._before = enable, []

    @staticmethod
    def is_enabled() -> bool:
        """Whether it is in force."""
        return check_sparse_tensor_invariants.enabled

    @staticmethod
    def enable() -> None:
        """Puts it in force."""
        check_sparse_tensor_invariants.enabled = True

    @staticmethod
    def disable() -> None:
        """Ends it."""
        check_sparse_tensor_invariants.enabled = False

    def __enter__(self):
        self._before.append(check_sparse_tensor_invariants.enabled)
        check_sparse_tensor_invariants.enabled = self._wanted

    def __exit__(self, *failure):
        check_sparse_tensor_invariants.enabled = self._before.pop()

    def __call__(self, f):
        @functools.wraps(f)
        def call(*args, **kwargs):
            with type(self)(self._wanted):
                return f(*args, **kwargs)

        return call


publish(check_sparse_tensor_invariants, "check_sparse_tensor_invariants", "sparse")


def checks_order(asked: bool | None) -> bool:
    return check_sparse_tensor_invariants.enabled if asked is None else bool(asked)


def made_elements(name: str, values, dtype, device, requires_grad: bool) -> Tensor:
    """The values given, as elements of a new sparse tensor."""
    if not isinstance(values, Tensor):
        values = make_tensor(values)
    if requires_grad:
        values = values.detach()
    return values if dtype is None and device is None else values.to(device=device, dtype=dtype)


def need_indices(name: str, what: str, indices, ndim: int) -> Tensor:
    """Indices as a tensor; TypeError, RuntimeError where they are no integers or have other dims."""
    indices = indices if isinstance(indices, Tensor) else make_tensor(indices)
    lay = layout_of(indices)
    if lay.dtype.category != INT and lay.numel:
        raise RuntimeError(f"{name}: {what} must be integers, but are of {scalar_name(lay.dtype)}")
    if lay.ndim != ndim:
        raise RuntimeError(f"{name}: {what} must have {ndim} dims, but have shape {list(lay.shape)}")
    return indices if lay.dtype.category == INT else indices.to(dtypes.int64)


@function(where="torch")
def sparse_coo_tensor(
    indices=None, values=None, size=None, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False,
    check_invariants=None, is_coalesced=None,
):  # fmt: skip
    """A sparse tensor from the places of its elements and their values, through which gradients flow.

    Args:
        indices: (sparse dims, nnz), integers; values: (nnz, *dense dims). Called with a shape alone it is all zero.
        size: default None, the smallest that has room for all of them.
        dtype: of the values. Default None, theirs; is_coalesced: whether indices are sorted and differ. Default False.
    Raises: RuntimeError where an index has no place in size, or shapes do not fit."""
    if values is None:
        shape = size if size is not None else indices
        if not isinstance(shape, (tuple, list)):
            raise TypeError("sparse_coo_tensor(): give indices and values, or a shape (of ints) alone")
        shape = tuple(shape)
        d = dtypes.get_default_dtype() if dtype is None else dtype
        none = make_tensor(np.zeros((len(shape), 0), np.int64))
        made = SparseTensor(none, make_tensor([], dtype=d, device=device), shape, True)
        return made.requires_grad_(requires_grad)
    values = made_elements("sparse_coo_tensor", values, dtype, device, requires_grad)
    indices = need_indices("sparse_coo_tensor", "indices", indices, 2)
    where, what = layout_of(indices), layout_of(values)
    if what.ndim < 1 or what.shape[0] != where.shape[1]:
        raise RuntimeError(f"indices and values must have same nnz, but got {where.shape[1]} and {list(what.shape)}")
    places = array_of(indices)
    needed = tuple(int(n) + 1 for n in places.max(1, initial=-1)) + tuple(what.shape[1:])
    shape = needed if size is None else tuple(size)
    _check_places(places, shape, needed)
    flat = None
    if is_coalesced and checks_order(check_invariants):
        flat = np.ravel_multi_index(tuple(places), shape[: len(places)])
    if flat is not None and (np.diff(flat) <= 0).any():
        raise RuntimeError("cannot set is_coalesced to true if indices correspond to uncoalesced COO tensor")
    made = SparseTensor(indices.to(dtypes.int64), values, shape, bool(is_coalesced))
    return made.requires_grad_() if requires_grad else made


def _check_places(places: np.ndarray, shape: tuple, needed: tuple) -> None:
    if places.size and places.min() < 0:
        raise RuntimeError(f"found negative index {int(places.min())} for a sparse tensor's indices")
    if len(shape) != len(needed) or shape[len(places) :] != needed[len(places) :]:
        raise RuntimeError(f"size {list(shape)} is inconsistent with indices and values, which need {list(needed)}")
    for d in range(len(places)):
        if needed[d] > shape[d]:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {d}, size is {shape[d]} but found index {needed[d] - 1}"
            )


# --- embedding ----------------------------------------------------------------------------------------------------


class Embedding(Function):
    """Rows of a table, whose gradient is sparse."""

    @staticmethod
    def forward(ctx, weight, indices, padding, by_count, name):
        ctx.save_for_backward(indices)
        ctx.shape, ctx.padding, ctx.by_count = layout_of(weight).shape, padding, by_count
        return lookup(weight, indices, padding, False, name)

    @staticmethod
    def backward(ctx, g):
        if ctx.by_count:
            raise RuntimeError("embedding_backward: scale_grad_by_freq not supported with sparse gradients")
        (indices,) = ctx.saved_tensors
        places = indices.detach().to(dtypes.int64).reshape(-1)
        rows = g.detach().reshape(-1, ctx.shape[1])
        if ctx.padding is not None:
            kept = make_tensor(np.flatnonzero(array_of(places) != ctx.padding))
            places, rows = places[kept], rows[kept]
        return SparseTensor(places.reshape(1, -1), rows, ctx.shape), None, None, None, None


def sparse_lookup(weight: Tensor, indices: Tensor, padding: int | None, by_count: bool, name: str) -> Tensor:
    """As embedding's lookup, with a sparse gradient."""
    return Embedding.apply(weight, indices, padding, by_count, name)
