"""What can be computed with sparse tensors: functions that leave zeros zero, sums, products, softmax.

An operation gets its meaning for sparse tensors by `on_sparse`; the functions of torch.sparse stand here as well. All is
computed by ordinary operations on the stored elements, so gradients flow to these, of any order."""

from __future__ import annotations

import math
from numbers import Number

import numpy as np

from ..errors import NotStrided
from ..ir.dtypes import FLOAT, int64
from ..ir.shapes import broadcast_shapes, dim_index
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from .creation import tensor as make_tensor
from .declare import OPERATIONS, PUBLIC, function, operation, publish, scalar_name
from .embedding import add_rows, lookup
from .joining import cat
from .power import _pow_of_number
from .reduction import sum_dtype
from .softmax import softmax_over
from .sparse_compressed import CompressedTensor, to_compressed, to_coordinates
from .sparse_tensor import UNSUPPORTED, Sparse, SparseTensor, places_of, summed_rows

T = PUBLIC["torch"]


on_sparse = Sparse.means


def _like(x: Sparse, result: SparseTensor) -> Sparse:
    """A result in the layout of an operand."""
    return to_compressed(x._kind, result) if isinstance(x, CompressedTensor) else result


def _refused(name: str, *given) -> NotStrided:
    kinds = " and ".join(getattr(x, "_where", type(x).__name__) for x in given)
    return NotStrided(f"{name} of {kinds}: {UNSUPPORTED}")


# --- element by element -------------------------------------------------------------------------------------------

# functions f with f(0) = 0
ZERO_AT_ZERO = (
    "abs sqrt relu sin tan sinh tanh asin asinh atan atanh sign sgn floor ceil round trunc frac expm1 log1p deg2rad"
    " rad2deg erf erfinv isnan isinf isposinf isneginf signbit nan_to_num"
)


def _on_elements(name: str) -> None:
    op = OPERATIONS[name]

    @on_sparse(name)
    def f(input, *args, **kwargs):
        x = input.coalesce() if isinstance(input, SparseTensor) else input
        return x._with(op.call(x._elements, *args, **kwargs))


for _name in ZERO_AT_ZERO.split():
    _on_elements(_name)


@on_sparse("neg")
def _neg(input):
    return input._with(-input._elements)


def _is_scalar(x) -> bool:
    return isinstance(x, (Number, np.generic)) or isinstance(x, Tensor) and not isinstance(x, Sparse) and not x.dim()


@on_sparse("pow_int")
def _pow(input, exponent):
    if not isinstance(input, Sparse) or not isinstance(exponent, Number) or exponent <= 0:
        raise _refused("pow (with an exponent > 0)", input, exponent)
    x = input.coalesce() if isinstance(input, SparseTensor) else input
    return x._with(x._elements**exponent)


Sparse.MEANINGS[_pow_of_number.operation] = _pow


@on_sparse("add")
def _add(input, other):
    if isinstance(input, Sparse) and not isinstance(other, Sparse):
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    if not isinstance(input, Sparse):
        return input + other.to_dense()
    a, b = to_coordinates(input), to_coordinates(other)
    both = a.plus(b)
    return _like(input, both.coalesce() if a.is_coalesced() and b.is_coalesced() else both)


@on_sparse("sub")
def _sub(input, other):
    return _add(input, -other)


@on_sparse("mul")
def _mul(input, other):
    if _is_scalar(other) or _is_scalar(input):
        x, factor = (input, other) if _is_scalar(other) else (other, input)
        return x._with(x._elements * factor)
    if not isinstance(input, Sparse):
        input, other = other, input
    if isinstance(other, Sparse):
        return _like(input, _both(to_coordinates(input), to_coordinates(other)))
    x = to_coordinates(input)
    shape = broadcast_shapes(x.shape, other.shape)
    if shape != x.shape:
        raise _refused(f"mul (which broadcasts {list(x.shape)} to {list(shape)})", input, other)
    return _like(input, x._with(x._elements * _taken(x, other)))


def _taken(x: SparseTensor, dense: Tensor) -> Tensor:
    """The elements of a dense tensor at the places of x."""
    m = x.sparse_dim()
    rows = dense.expand(x.shape).reshape(math.prod(x.shape[:m]), *x.shape[m:])
    return rows.index_select(0, x._flat_places())


def _both(a: SparseTensor, b: SparseTensor) -> SparseTensor:
    """The product, at the places that both have."""
    if a.shape != b.shape or a.sparse_dim() != b.sparse_dim():
        raise RuntimeError(
            f"mul: two sparse tensors need the same size and sparse dims: {list(a.shape)}, {list(b.shape)}"
        )
    kept = a.is_coalesced() and b.is_coalesced()
    a, b = a.coalesce(), b.coalesce()
    places, i, j = np.intersect1d(array_of(a._flat_places()), array_of(b._flat_places()), True, True)
    elements = a._elements.index_select(0, make_tensor(i)) * b._elements.index_select(0, make_tensor(j))
    return SparseTensor(places_of(places, a.shape[: a.sparse_dim()]), elements, a.shape, kept)


@on_sparse("div")
def _div(input, other):
    if not isinstance(input, Sparse) or not _is_scalar(other):
        raise RuntimeError("div: sparse division requires a scalar or zero-dim dense tensor as divisor")
    return input._with(input._elements / other)


# --- sums ---------------------------------------------------------------------------------------------------------


def _summed(x: SparseTensor, dims: tuple[int, ...], dtype) -> Tensor:
    """The sum over dims: sparse where sparse dims are left."""
    m = x.sparse_dim()
    dense = tuple([d - m + 1 for d in dims if d >= m])
    elements = x._elements.sum(dense, dtype=dtype) if dense else x._elements.to(dtype)
    kept = [d for d in range(m) if d not in dims]
    shape = [n for d, n in enumerate(x.shape) if d not in dims]
    if not kept:
        return elements.sum(0)
    places = x._places if len(kept) == m else x._places[make_tensor(kept)]
    return SparseTensor(places, elements, shape, x._coalesced and len(kept) == m).coalesce()


def _sum(input, dim=None, keepdim=False, *, dtype=None):
    d = sum_dtype(layout_of(input).dtype) if dtype is None else dtype
    n = input.dim()
    dims = () if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    dims = tuple([dim_index(i, n) for i in dims]) or tuple(range(n))
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"dim {dim} appears multiple times in the list of dims")
    if isinstance(input, CompressedTensor) and len(dims) < n and not keepdim:
        raise RuntimeError("reduction operations on CSR tensors with keepdim=False is unsupported")
    if len(dims) == n and not keepdim:
        return input._elements.sum(dtype=d)
    out = _summed(to_coordinates(input), dims, d)
    for i in sorted(dims) if keepdim else ():
        out = out.unsqueeze(i)
    return _like(input, out) if isinstance(out, SparseTensor) else out


on_sparse("sum")(_sum)


@function(where="sparse", name="sum")
def sparse_sum(input, dim=None, dtype=None):
    """The sum of a sparse tensor: over all dims dense, over some of them sparse where sparse dims are left.

    Args: dim: an int or a tuple. Default None, all; dtype: of the result. Default that of input."""
    if not isinstance(input, SparseTensor):
        raise RuntimeError(f"torch.sparse.sum: expected a sparse tensor in coordinate form, but got {_where(input)}")
    return _sum(input, dim, dtype=layout_of(input).dtype if dtype is None else dtype)


def _where(x) -> str:
    return getattr(x, "_where", "Strided")


@on_sparse("any")
def _any(input, dim=None, keepdim=False):
    if dim is not None:
        raise _refused("any (over a dim)", input)
    return input._elements.any()


def norm(self, p="fro", dim=None, keepdim=False, dtype=None):
    """The 2-norm of all elements."""
    if p not in ("fro", 2, None) or dim is not None:
        raise NotStrided("norm: for sparse tensors there is the 2-norm of all elements; use to_dense() for others")
    x = self.coalesce() if isinstance(self, SparseTensor) else self
    return x._elements.norm(dtype=dtype)


Sparse.norm = norm


# --- products -----------------------------------------------------------------------------------------------------


@operation(where="", name="_sparse_product", grad_name="SparseAddmm")
def _product(places, elements, dense, count):
    """Rows of a matrix (count, K): element k times row places[1, k] of `dense`, added into row places[0, k]."""
    rows = lookup(dense, places[1], None, False, "sparse.mm") * elements.unsqueeze(1)
    return add_rows(rows, places[0], count, None, False)


def _need_matrices(name: str, a, b) -> None:
    for which, x in (("the first", a), ("the second", b)):
        if x.dim() != 2 or isinstance(x, Sparse) and x.dense_dim():
            raise RuntimeError(f"{name}: Expected 2-dimensional tensors, but {which} has shape {list(x.shape)}")
    if a.shape[1] != b.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and {b.shape[0]}x{b.shape[1]}): {name}"
        )
    if layout_of(a).dtype is not layout_of(b).dtype:
        raise RuntimeError(
            f"{name}: expected both matrices to have one dtype, but got {scalar_name(layout_of(a).dtype)} and"
            f" {scalar_name(layout_of(b).dtype)}"
        )


@on_sparse("mm")
def _mm(input, mat2):
    _need_matrices("mm", input, mat2)
    if isinstance(input, Sparse) and isinstance(mat2, Sparse):
        return _like(input, _sparse_times_sparse(to_coordinates(input), to_coordinates(mat2)))
    if isinstance(input, Sparse):
        x = to_coordinates(input)
        return _product(x._places, x._elements, mat2, x.shape[0])
    x = to_coordinates(mat2).t()
    return _product(x._places, x._elements, input.t(), x.shape[0]).t().contiguous()


def _sparse_times_sparse(a: SparseTensor, b: SparseTensor) -> SparseTensor:
    """Each element (i, k) of a meets the elements (k, j) of b, which lie in one stretch."""
    a, b = a.coalesce(), b.coalesce()
    (rows, inner), (lines, columns) = array_of(a._places), array_of(b._places)
    first, last = np.searchsorted(lines, inner), np.searchsorted(lines, inner, "right")
    count = last - first
    left = np.repeat(np.arange(count.size), count)
    right = np.arange(left.size) + np.repeat(first - (np.cumsum(count) - count), count)
    size = (a.shape[0], b.shape[1])
    kept, of_each = np.unique(rows[left] * size[1] + columns[right], return_inverse=True)
    products = a._elements.index_select(0, make_tensor(left)) * b._elements.index_select(0, make_tensor(right))
    return SparseTensor(
        places_of(kept, size), summed_rows(products, make_tensor(of_each.reshape(-1)), kept.size), size, True
    )


@on_sparse("mv")
def _mv(input, vec):
    if vec.dim() != 1 or input.dim() != 2:
        raise RuntimeError(f"mv: expected a matrix and a vector, but got {list(input.shape)} and {list(vec.shape)}")
    return _mm(input, vec.unsqueeze(1)).squeeze(1)


@on_sparse("bmm")
def _bmm(input, mat2):
    if not isinstance(input, SparseTensor) or isinstance(mat2, Sparse) or input.sparse_dim() != 3:
        raise _refused("bmm", input, mat2)
    (n, rows, inner), (m, other, columns) = input.shape, mat2.shape
    if n != m or inner != other:
        raise RuntimeError(f"bmm: sizes do not fit: {list(input.shape)} and {list(mat2.shape)}")
    p = input._places
    places = T["stack"]([p[0] * rows + p[1], p[0] * inner + p[2]])
    return _product(places, input._elements, mat2.reshape(n * inner, columns), n * rows).reshape(n, rows, columns)


@on_sparse("matmul")
def _matmul(input, other):
    dims = input.dim(), other.dim()
    if dims == (2, 2):
        return _mm(input, other)
    if dims == (2, 1):
        return _mv(input, other)
    if dims == (1, 2) and not isinstance(input, Sparse):
        return _mv(other.t(), input)
    if dims == (3, 3):
        return _bmm(input, other)
    raise _refused(f"matmul of {dims[0]} and {dims[1]} dims", input, other)


@on_sparse("linear")
def _linear(input, weight, bias=None):
    rows = input if isinstance(input, Sparse) else input.reshape(-1, input.shape[-1])
    out = _mm(rows, weight.t())
    out = out if isinstance(input, Sparse) else out.reshape(*input.shape[:-1], weight.shape[0])
    return out if bias is None else out + bias


@on_sparse("addmm")
def _addmm(input, mat1, mat2, *, beta=1, alpha=1):
    product = _mm(mat1, mat2)
    if isinstance(product, Sparse) is not isinstance(input, Sparse):
        raise _refused("addmm", input, mat1, mat2)
    return product * alpha if not beta else input * beta + product * alpha


def _need_sparse(name: str, x, what: str) -> None:
    if not isinstance(x, Sparse):
        raise RuntimeError(f"{name}: expected {what} to be sparse, but it is {_where(x)}")


REDUCED = {"sum": "sum", "mean": "mean", "amax": "amax", "amin": "amin"}


@function(where="sparse")
def mm(mat1, mat2, reduce=None):
    """The product of two matrices of which one or both are sparse: dense, or sparse where both are.

    Args: mat1: (N, K); mat2: (K, M); reduce: "sum", "mean", "amax" or "amin" of the products that meet, mat1 being
    sparse and mat2 dense. Default None, the sum.
    Gradients flow to the stored elements and to the dense matrix."""
    if reduce is None:
        if not isinstance(mat1, Sparse) and not isinstance(mat2, Sparse):
            raise RuntimeError("torch.sparse.mm: expected a sparse matrix, but both are Strided: use torch.mm")
        return _mm(mat1, mat2)
    _need_sparse("torch.sparse.mm", mat1, "mat1")
    if reduce not in REDUCED:
        raise RuntimeError(f"torch.sparse.mm: reduce is one of {', '.join(REDUCED)}, not {reduce!r}")
    _need_matrices("torch.sparse.mm", mat1, mat2)
    x = to_coordinates(mat1)
    rows = mat2.index_select(0, x._places[1]) * x._elements.unsqueeze(1)
    out = rows.new_zeros((x.shape[0], mat2.shape[1]))
    return (
        out.index_reduce(0, x._places[0], rows, REDUCED[reduce], include_self=False)
        if reduce != "sum"
        else _mm(mat1, mat2)
    )


@function(where="sparse")
def addmm(mat, mat1, mat2, *, beta=1.0, alpha=1.0):
    """beta * mat + alpha * (mat1 @ mat2), mat1 sparse, the others dense; gradients flow to all."""
    _need_sparse("torch.sparse.addmm", mat1, "mat1")
    return _addmm(mat, mat1, mat2, beta=beta, alpha=alpha)


@function(where="sparse")
def sampled_addmm(input, mat1, mat2, *, beta=1.0, alpha=1.0, out=None):
    """beta * input + alpha * (mat1 @ mat2) at the places that input stores; the other products are not computed.

    Args: input: (N, M), sparse with compressed rows or columns; mat1: (N, K); mat2: (K, M). Returns: sparse as input."""
    if not isinstance(input, CompressedTensor) or input._blocks:
        raise RuntimeError(f"sampled_addmm: Expected input to have sparse csr layout, but got {_where(input)}")
    if mat1.dim() != 2 or mat2.dim() != 2 or (mat1.shape[0], mat2.shape[1]) != tuple(input.shape):
        raise RuntimeError(f"sampled_addmm: {list(mat1.shape)} @ {list(mat2.shape)} does not give {list(input.shape)}")
    _need_matrices("sampled_addmm", mat1, mat2)
    rows, columns = to_coordinates(input)._places
    products = (mat1.index_select(0, rows) * mat2.t().index_select(0, columns)).sum(1)
    r = input._with(products * alpha + input._elements * beta if beta else products * alpha)
    return r if out is None else out._become(r)


@function(where="torch")
def spmm(input, mat2):
    """torch.mm of a sparse and a dense matrix."""
    return _mm(input, mat2)


publish(spmm, "dsmm", "torch")


@function
def smm(input, mat):
    """The product of a sparse and a dense matrix as a sparse tensor."""
    _need_sparse("smm", input, "input")
    return _rows_of(input, _mm(input, mat))


@function(where="torch")
def hspmm(mat1, mat2):
    """The product of a sparse and a dense matrix with one sparse dim: the rows that are not zero are stored."""
    _need_sparse("hspmm", mat1, "mat1")
    product, rows = _mm(mat1, mat2), np.unique(array_of(to_coordinates(mat1)._places)[0])
    return SparseTensor(make_tensor(rows[None]), product.index_select(0, make_tensor(rows)), product.shape)


publish(hspmm, "hsmm", "torch")


def _rows_of(x, product: Tensor) -> SparseTensor:
    """All elements of the product's rows that x has any place in."""
    rows = np.unique(array_of(to_coordinates(x)._places)[0])
    n = product.shape[1]
    places = np.stack([np.repeat(rows, n), np.tile(np.arange(n), rows.size)])
    return SparseTensor(make_tensor(places), product.index_select(0, make_tensor(rows)).reshape(-1), product.shape)


@function
def sspaddmm(input, mat1, mat2, *, beta=1, alpha=1, out=None):
    """beta * input + alpha * (mat1 @ mat2) as a sparse tensor, input and mat1 being sparse."""
    _need_sparse("sspaddmm", input, "input")
    _need_sparse("sspaddmm", mat1, "mat1")
    r = _add(input * beta, smm(mat1, mat2) * alpha)
    return r if out is None else out._become(r)


# --- softmax ------------------------------------------------------------------------------------------------------


def _softmax(name: str, input, dim: int, dtype, logarithm: bool) -> SparseTensor:
    if not isinstance(input, SparseTensor):
        raise RuntimeError(f"torch.sparse.{name}: expected a sparse tensor in coordinate form, but got {_where(input)}")
    x = (input if dtype is None else input.to(dtype)).coalesce()
    if layout_of(x).dtype.category != FLOAT:
        raise RuntimeError(
            f"torch.sparse.{name}: expected floating point elements, but got {scalar_name(layout_of(x).dtype)}"
        )
    d, m = dim_index(dim, x.dim()), x.sparse_dim()
    if d >= m:
        elements = x._elements.log_softmax(d - m + 1) if logarithm else softmax_over(x._elements, d - m + 1)
        return x._with(elements)
    line, of_each = np.unique(array_of(x._flat_places([i for i in range(m) if i != d])), return_inverse=True)
    of_each = of_each.reshape(-1)
    values = array_of(x._elements)
    top = np.full((line.size, *values.shape[1:]), -np.inf, values.dtype)
    np.maximum.at(top, of_each, values)
    which = make_tensor(of_each)
    shifted = x._elements - make_tensor(top[of_each])
    powers = shifted.exp()
    total = summed_rows(powers, which, line.size).index_select(0, which)
    return x._with(shifted - total.log() if logarithm else powers / total)


@function(where="sparse")
def softmax(input, dim, *, dtype=None):
    """Softmax along a dim of a sparse tensor; places that are not stored count as minus infinity, and stay zero."""
    return _softmax("softmax", input, dim, dtype, False)


@function(where="sparse")
def log_softmax(input, dim, *, dtype=None):
    """The logarithm of `softmax`, at the places that are stored."""
    return _softmax("log_softmax", input, dim, dtype, True)


# --- from dense tensors, and joined -------------------------------------------------------------------------------


@function(where="Tensor")
def sparse_mask(self, mask):
    """The elements at the places that a sparse tensor stores, as a sparse tensor; gradients flow back to them."""
    _need_sparse("sparse_mask", mask, "mask")
    if self.shape != mask.shape:
        raise RuntimeError(f"sparse_mask: operands have incompatible sizes: {list(self.shape)} and {list(mask.shape)}")
    x = to_coordinates(mask)
    dense = self.to_dense() if isinstance(self, Sparse) else self
    return mask._with(_taken(x, dense))


@function(where="sparse")
def spdiags(diagonals, offsets, shape, layout=None):
    """A sparse matrix with the given diagonals: row k of `diagonals` on diagonal offsets[k], by column.

    Args: diagonals: (D, N) or (N); offsets: (D), each once; shape: of the matrix; layout: default torch.sparse_coo."""
    rows = diagonals.unsqueeze(0) if diagonals.dim() == 1 else diagonals
    where = array_of(offsets).reshape(-1)
    if where.size != rows.shape[0]:
        raise RuntimeError(
            f"spdiags(): Number of diagonals ({rows.shape[0]}) does not match the number of offsets ({where.size})"
        )
    if len(np.unique(where)) != where.size:
        raise RuntimeError("spdiags(): Offset tensor contains duplicate values")
    if len(shape) != 2:
        raise RuntimeError(f"spdiags(): Output shape must be 2d, not {list(shape)}")
    columns = np.arange(rows.shape[1])
    i, j = columns[None] - where[:, None], np.broadcast_to(columns, (where.size, columns.size))
    inside = (i >= 0) & (i < shape[0]) & (j < shape[1])
    elements = rows.reshape(-1).index_select(0, make_tensor(np.flatnonzero(inside)))
    made = SparseTensor(make_tensor(np.stack([i[inside], j[inside]])), elements, shape)
    return made if layout is None else made.to_sparse(layout=layout)


@on_sparse("cat")
def _cat(tensors, dim=0):
    if not all(isinstance(x, SparseTensor) for x in tensors):
        raise _refused("cat", *tensors)
    first = tensors[0]
    d, m = dim_index(dim, first.dim()), first.sparse_dim()
    for x in tensors:
        if x.sparse_dim() != m or [n for i, n in enumerate(x.shape) if i != d] != [
            n for i, n in enumerate(first.shape) if i != d
        ]:
            raise RuntimeError(f"cat: sizes must fit except in dim {d}: {list(first.shape)} and {list(x.shape)}")
    shape = list(first.shape)
    shape[d] = sum(x.shape[d] for x in tensors)
    places, elements, start = [], [], 0
    for x in tensors:
        moved, kept = x._places, x._elements
        if d < m:
            moved = moved + make_tensor([[start if i == d else 0] for i in range(m)], dtype=int64)
        else:
            before = [*kept.shape[: d - m + 1], start, *kept.shape[d - m + 2 :]]
            after = [*kept.shape[: d - m + 1], shape[d] - start - x.shape[d], *kept.shape[d - m + 2 :]]
            kept = cat([kept.new_zeros(before), kept, kept.new_zeros(after)], d - m + 1)
        places.append(moved)
        elements.append(kept)
        start += x.shape[d]
    return SparseTensor(cat(places, 1), cat(elements, 0), shape)


@on_sparse("stack")
def _stack(tensors, dim=0):
    return _cat([x.unsqueeze(dim) for x in tensors], dim)


# --- in place, and by name ----------------------------------------------------------------------------------------


def _in_place(name: str):
    def method(self, *args, **kwargs):
        return self._become(getattr(self, name)(*args, **kwargs))

    method.__name__ = method.__qualname__ = name + "_"
    method.__doc__ = f"{name}, in place."
    return method


for _name in ["add", "sub", "mul", "div", "neg", "pow", *ZERO_AT_ZERO.split()]:
    if hasattr(Tensor, _name) or _name in PUBLIC["Tensor"]:
        setattr(Sparse, _name + "_", _in_place(_name))
for _name, _operator in (("add", "__iadd__"), ("sub", "__isub__"), ("mul", "__imul__"), ("div", "__itruediv__")):
    setattr(Sparse, _operator, getattr(Sparse, _name + "_"))
