"""Sparse tensors in coordinate form (COO): where the elements that may differ from 0 stand, and what they are.

They are what an embedding with sparse=True gets as its gradient, and what optimizers make of that. An operation that is
not defined here refuses them; `to_dense()` makes an ordinary tensor."""

from __future__ import annotations

import math
from numbers import Number

import numpy as np

from ..autograd.function import Function
from ..ir import dtypes
from ..ir.dtypes import INT
from ..ir.dtypes import dtype as dtype_class
from ..ir.shapes import layout, size
from ..trace.flush import array_of
from ..trace.handle import Storage, Tensor, layout_of
from .creation import tensor as make_tensor
from .declare import PUBLIC
from .embedding import add_rows, lookup
from .joining import cat

UNSUPPORTED = (
    "a sparse tensor was given to an operation that takes dense tensors only: call it on the result of to_dense(). "
    "Defined for sparse tensors: coalesce, indices, values, to_dense, clone, detach, zero_, conversions, the sum of "
    "two, and products with numbers"
)


class SparseTensor(Tensor):
    """A tensor of which only some elements are stored: values (nnz, *dense dims) at indices (sparse dims, nnz).

    Where an index occurs twice its values are added; `coalesce` does so, and sorts the indices. Gradients are not
    recorded through sparse tensors."""

    def __new__(cls, indices: Tensor, values: Tensor, shape, coalesced: bool = False):
        self = Tensor.__new__(cls)
        memory = Storage(None, 0)
        memory.error = NotImplementedError(UNSUPPORTED)  # what resolving the handle raises
        memory.shared = True
        self._val = self._leaf = self._how = None
        self._st, self._off, self._det = memory, 0, True
        self._lay = layout(size(shape), None, layout_of(values).dtype, layout_of(values).device)
        self._places, self._elements, self._coalesced = indices, values, coalesced
        return self

    is_sparse = property(lambda self: True, None, None, "Whether it is in coordinate form: yes.")

    # --- its parts --------------------------------------------------------------------------------------------

    def _indices(self) -> Tensor:
        """Where the stored elements stand, (sparse dims, nnz), in any order."""
        return self._places

    def _values(self) -> Tensor:
        """The stored elements, (nnz, *dense dims)."""
        return self._elements

    def _nnz(self) -> int:
        """How many indices are stored."""
        return layout_of(self._places).shape[1]

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
        """The values of a coalesced tensor, (nnz, *dense dims). RuntimeError for one that is not."""
        return self._coalesced_part("values", self._elements)

    def _coalesced_part(self, name: str, part: Tensor) -> Tensor:
        if not self._coalesced:
            raise RuntimeError(f"Cannot get {name} on an uncoalesced tensor, please call .coalesce() first")
        return part

    # --- other forms ------------------------------------------------------------------------------------------

    def coalesce(self) -> SparseTensor:
        """The same tensor with sorted indices, each of which occurs once."""
        if self._coalesced:
            return self
        sizes = self.shape[: self.sparse_dim()]
        places = array_of(self._places)
        flat = np.ravel_multi_index(tuple(places), sizes) if places.size else np.zeros(places.shape[1:], np.int64)
        kept, of_each = np.unique(flat, return_inverse=True)
        indices = np.array(np.unravel_index(kept, sizes), np.int64).reshape(len(sizes), kept.size)
        rows = _summed(self._elements, make_tensor(of_each.reshape(-1)), kept.size)
        return SparseTensor(make_tensor(indices), rows, self.shape, True)

    def to_dense(self, dtype=None, *, masked_grad=True) -> Tensor:
        """The ordinary tensor with the same elements, converted to dtype if that is given."""
        n = self.sparse_dim()
        sizes = self.shape[:n]
        flat = self._places.new_zeros((self._nnz(),))
        for d in range(n):
            flat = flat * sizes[d] + self._places[d]
        dense = _summed(self._elements, flat, math.prod(sizes)).reshape(self.shape)
        return dense if dtype is None else dense.to(dtype)

    def detach(self) -> SparseTensor:
        """The tensor, on the same memory."""
        return self._with(self._elements)

    def detach_(self) -> SparseTensor:
        """The tensor itself: it has no history."""
        return self

    def clone(self, *, memory_format=None) -> SparseTensor:
        """A copy."""
        return SparseTensor(self._places.clone(), self._elements.clone(), self.shape, self._coalesced)

    def to(self, *args, **kwargs) -> SparseTensor:
        """The tensor with its values on another device or with another dtype; itself where nothing changes."""
        values = self._elements.to(*args, **kwargs)
        return self if values is self._elements else self._with(values)

    def _with(self, values: Tensor) -> SparseTensor:
        return SparseTensor(self._places, values, self.shape, self._coalesced)

    def zero_(self) -> SparseTensor:
        """Forgets all elements."""
        self._places = self._places[:, :0].clone()
        self._elements = self._elements[:0].clone()
        self._coalesced = True
        return self

    # --- arithmetic -------------------------------------------------------------------------------------------

    def plus(self, other: Tensor) -> Tensor:
        """The sum with another gradient: sparse if both are."""
        if not isinstance(other, SparseTensor):
            return other + self.to_dense()
        if self.shape != other.shape or self.sparse_dim() != other.sparse_dim():
            sizes = f"{list(self.shape)} and {list(other.shape)}"
            raise RuntimeError(f"add: two sparse tensors need the same size and sparse dims, but are {sizes}")
        places = cat([self._places, other._places], 1)
        return SparseTensor(places, cat([self._elements, other._elements], 0), self.shape)

    def __add__(self, other):
        if isinstance(other, SparseTensor):
            return self.plus(other)
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")

    def __radd__(self, other):
        if isinstance(other, Tensor):
            return self.plus(other)
        raise NotImplementedError(UNSUPPORTED)

    def __neg__(self):
        return self._with(-self._elements)

    def __mul__(self, other):
        return self._with(self._elements * number(other))

    def __rmul__(self, other):
        return self._with(self._elements * number(other))

    def __truediv__(self, other):
        return self._with(self._elements / number(other))

    def mul_(self, other):
        """Multiplies the values by a number."""
        self._elements = self._elements * number(other)
        return self

    def div_(self, other):
        """Divides the values by a number."""
        self._elements = self._elements / number(other)
        return self

    add, mul, div, neg = __add__, __mul__, __truediv__, __neg__

    # --- for Python -------------------------------------------------------------------------------------------

    def requires_grad_(self, requires_grad: bool = True) -> SparseTensor:
        """Itself. NotImplementedError where gradients are asked for."""
        if requires_grad:
            raise NotImplementedError("gradients with respect to sparse tensors are not supported; use to_dense()")
        return self

    def numpy(self, *, force: bool = False):
        """TypeError: NumPy has no sparse arrays."""
        raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")

    def __deepcopy__(self, memo):
        return memo.setdefault(id(self), self.clone())

    def __reduce_ex__(self, proto):
        return sparse_coo_tensor, (self._places, self._elements, tuple(self.shape))


def _summed(values: Tensor, which: Tensor, count: int) -> Tensor:
    """Rows of which row i is the sum of those of values that `which` gives to it."""
    shape = layout_of(values).shape
    flat = values.reshape(shape[0], math.prod(shape[1:]))
    return add_rows(flat, which, count, None, False).reshape(count, *shape[1:])


def number(x):
    """A number, or the 0-d tensor that a sparse tensor's values may be multiplied by."""
    if isinstance(x, Number) or (isinstance(x, Tensor) and not layout_of(x).ndim):
        return x
    raise NotImplementedError(UNSUPPORTED)


def _only_sparse(name: str):
    kind = NotImplementedError if name.startswith("_") else RuntimeError

    def method(self):
        raise kind(f"{name} expected sparse coordinate tensor layout but got Strided: it is defined for sparse tensors")

    method.__name__ = method.__qualname__ = name
    method.__doc__ = "Defined for sparse tensors; raises RuntimeError for dense ones."
    return method


for _name in ("coalesce", "is_coalesced", "indices", "values", "_indices", "_values", "_nnz"):
    setattr(Tensor, _name, _only_sparse(_name))


def _casting(name: str, d: dtype_class):
    def method(self, memory_format=None):
        return self.to(d)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"The tensor with values of {d}."
    return method


for _name, _d in (
    ("float", dtypes.float32),
    ("double", dtypes.float64),
    ("half", dtypes.float16),
    ("bfloat16", dtypes.bfloat16),
):
    setattr(SparseTensor, _name, _casting(_name, _d))


# --- making one ---------------------------------------------------------------------------------------------------


def sparse_coo_tensor(
    indices, values, size=None, *, dtype=None, device=None, pin_memory=False, requires_grad=False,
    check_invariants=None, is_coalesced=None,
):  # fmt: skip
    """A sparse tensor from the places of its elements and their values.

    Args:
        indices: (sparse dims, nnz), integers; values: (nnz, *dense dims).
        size: default None, the smallest that has room for all of them.
        dtype: of the values. Default None, theirs; is_coalesced: whether indices are sorted and differ. Default False.
    Raises: RuntimeError where an index has no place in size, or shapes do not fit."""
    if requires_grad:
        raise NotImplementedError("sparse_coo_tensor: gradients through sparse tensors are not supported")
    indices = indices if isinstance(indices, Tensor) else make_tensor(indices, dtype=dtypes.int64)
    values = values.detach() if isinstance(values, Tensor) else make_tensor(values)
    values = values if dtype is None else values.to(dtype)
    where, what = layout_of(indices), layout_of(values)
    if where.dtype.category != INT or where.ndim != 2:
        raise RuntimeError(f"indices must be a matrix of integers, but are of {where.dtype} with {where.ndim} dims")
    if what.ndim < 1 or what.shape[0] != where.shape[1]:
        raise RuntimeError(f"indices and values must have same nnz, but got {where.shape[1]} and {list(what.shape)}")
    places = array_of(indices)
    needed = tuple(int(n) + 1 for n in places.max(1, initial=-1)) + tuple(what.shape[1:])
    shape = needed if size is None else tuple(size)
    _check_places(places, shape, needed)
    return SparseTensor(indices.to(dtypes.int64), values, shape, bool(is_coalesced))


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


PUBLIC["torch"]["sparse_coo_tensor"] = sparse_coo_tensor


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
