"""Norms of vectors and matrices, distances by them, and scaling to a norm."""

from __future__ import annotations

import math

from ..ir.dtypes import FLOAT
from ..ir.shapes import dim_index, dim_list
from ..trace.handle import Tensor, layout_of
from .declare import function, operation, scalar_name
from .extremes import amax_over, amin_over
from .reduction import check_dims, restored, squares, stored, sum_over, wide_of, zero_where

# --- vectors --------------------------------------------------------------------------------------------------


def _norm_gradient(g, out, x, ord, dims, keepdim, d):
    """g times the derivative; 0 where the norm is not differentiable because it is 0."""
    if ord == 0:
        return x * 0
    g, out = restored(g, dims, keepdim), restored(out, dims, keepdim)
    x = x.to(d)
    if ord == 2:
        return g * zero_where(x / out, out == 0)
    sign, size = x.sgn(), x.abs()
    if ord == 1:
        return sign * g
    if math.isinf(ord):
        largest = (size == out) | (size.isnan() & out.isnan())
        share = largest.to(g.dtype)
        return sign * (share * (g / share.sum(dims, True)))
    if ord < 1:
        return g * zero_where(sign * size.pow(ord - 1) * out.pow(1 - ord), size == 0)
    if ord < 2:
        return g * zero_where(sign * size.pow(ord - 1) / out.pow(ord - 1), out == 0)
    return g * zero_where(x * size.pow(ord - 2) / out.pow(ord - 1), out == 0)


@operation(where="", name="vector_norm", grad_name="LinalgVectorNorm", gradient=_norm_gradient)
def norm_over(x, ord, dims, keepdim, d):
    """The norm of x converted to d, accumulated in float32 for the half types."""
    real = d.to_real()
    x = x.to(wide_of(d))
    if ord == 2:
        return sum_over(squares(x), dims, keepdim, wide_of(real)).sqrt().to(real)
    size = x.abs()
    if ord == 0:
        none = zero_where(size, (size == size) | size.isnan())  # zeros that depend on x: the result requires grad
        return sum_over((x != 0).to(real) + none, dims, keepdim, real)
    if ord == 1:
        return sum_over(size, dims, keepdim, wide_of(real)).to(real)
    if math.isinf(ord):
        return (amax_over if ord > 0 else amin_over)(size, dims, keepdim).to(real)
    return sum_over(size.pow(ord), dims, keepdim, wide_of(real)).pow(1 / ord).to(real)


def _norm_dtype(name: str, have, asked):
    """The dtype to compute a norm in; RuntimeError where that is an integer or less than input has."""
    if have.category < FLOAT:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {scalar_name(have)}")
    if asked is None:
        return have
    if asked.category < FLOAT:
        raise RuntimeError(f"{name}: dtype should be floating point or complex. Got {scalar_name(asked)}")
    if asked.is_complex != have.is_complex:
        kind = "complex" if have.is_complex else "real"
        raise RuntimeError(f"{name}: dtype should be {kind} for {kind} inputs, but got {scalar_name(asked)}")
    if asked.itemsize < have.itemsize:
        raise RuntimeError(
            f"{name}: the dtype of the input ({scalar_name(have)}) should be convertible without narrowing to the"
            f" specified dtype ({scalar_name(asked)})"
        )
    return asked


def vector_norm_of(x, ord, dim, keepdim, dtype):
    check_dims("linalg.vector_norm", dim)
    lay = layout_of(x)
    if isinstance(ord, bool) or not isinstance(ord, (int, float)):
        raise TypeError(f"linalg.vector_norm(): argument 'ord' must be a number, not {type(ord).__name__}")
    d = _norm_dtype("linalg.vector_norm", lay.dtype, dtype)
    dims = dim_list(dim, lay.ndim)
    if ord < 0 or ord == math.inf:
        _need_identity(lay, ord, dim, dims)
    return norm_over(x, float(ord), dims, keepdim, d)


def _need_identity(lay, ord, dim, dims) -> None:
    empty = [d for d in dims if lay.shape[d] == 0]
    if empty:
        what = (
            f"the dimension {empty[0]}, because this dimension is empty"
            if dim is not None
            else "an empty tensor, because"
        )
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {ord:g} norm on {what}: the operation does not have an identity"
        )


@operation(where="linalg", out=True, grad_name="LinalgVectorNorm")
def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """The norm of the elements over the dims given, as of one vector.

    Args:
        ord: the sum of |x|**ord, to the power 1/ord; inf and -inf: the greatest and least |x|; 0: how many are not
            zero.
        dim: an int or a tuple; None for all; keepdim: default False; dtype: to compute in."""
    return vector_norm_of(x, ord, dim, keepdim, dtype)


# --- matrices -------------------------------------------------------------------------------------------------


def _matrix_dims(shape_len: int, dim) -> tuple[int, int]:
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        got = len(dim) if isinstance(dim, (tuple, list)) else 1
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {got}")
    a, b = dim_index(dim[0], shape_len), dim_index(dim[1], shape_len)
    if a == b:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    return a, b


def matrix_norm_of(A, ord, dim, keepdim, dtype):
    if layout_of(A).ndim < 2:
        raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    d = _norm_dtype("linalg.matrix_norm", layout_of(A).dtype, dtype)
    rows, columns = _matrix_dims(layout_of(A).ndim, dim)
    if ord == "fro":
        return norm_over(A, 2.0, (rows, columns), keepdim, d)
    known = ord == "nuc" or (not isinstance(ord, (str, bool)) and abs(ord) in (1, 2, math.inf))
    if not known:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if ord == "nuc" or abs(ord) == 2:
        return _by_singular_values(A.to(d), ord, rows, columns, keepdim)
    summed, searched = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = sum_over(A.to(d).abs(), (summed,), True, d.to_real())
    best = (amax_over if ord > 0 else amin_over)(sums, (searched,), True)
    return best if keepdim else best.squeeze((rows, columns))


def _by_singular_values(A, ord, rows: int, columns: int, keepdim: bool):
    from .linalg import svdvals

    n = A.dim()
    rest = [k for k in range(n) if k not in (rows, columns)]
    s = svdvals(A.permute(*rest, rows, columns))
    last = s.dim() - 1
    if ord == "nuc":
        out = sum_over(s, (last,), False, s.dtype)
    else:
        out = (amax_over if ord > 0 else amin_over)(s, (last,), False)
    return restored(out, (rows, columns), False) if keepdim else out


@operation(where="linalg", out=True, grad_name="LinalgMatrixNorm")
def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """A norm of matrices.

    Args:
        ord: "fro" (root of the sum of squares), "nuc" (sum of singular values), 2 and -2 (greatest and least singular
            value), 1 and -1 (of columns' sums of |x|), inf and -inf (of rows' sums). Default "fro".
        dim: the dims of the matrices. Default (-2, -1); keepdim: default False; dtype: to compute in."""
    return matrix_norm_of(A, ord, dim, keepdim, dtype)


@operation(where="linalg", name="norm", out=True, grad_name="LinalgVectorNorm")
def linalg_norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """A norm of vectors or matrices: of vectors where dim is an int or A has one dim, of matrices where dim is a pair.

    Args: ord: as in `vector_norm` or `matrix_norm`. Default None: 2, of all elements. Other arguments as there."""
    if ord is None:
        return vector_norm_of(A, 2, dim, keepdim, dtype)
    dims = (dim,) if isinstance(dim, int) else dim
    n = layout_of(A).ndim
    if dims is None and n not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {n}D.")
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    if isinstance(ord, str) or (n if dims is None else len(dims)) == 2:
        return matrix_norm_of(A, ord, (-2, -1) if dims is None else dims, keepdim, dtype)
    return vector_norm_of(A, ord, dims, keepdim, dtype)


# --- torch.norm -----------------------------------------------------------------------------------------------


@operation(where="", name="norm", grad_name="LinalgVectorNorm")
def _norm(input, p, dim, keepdim, dtype):
    if p is None or p == "fro":
        return vector_norm_of(input, 2, dim, keepdim, dtype)
    if isinstance(p, str):
        return matrix_norm_of(input, p, (-2, -1) if dim is None else dim, keepdim, dtype)
    return vector_norm_of(input, p, dim, keepdim, dtype)


@function
def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """The norm of all elements, or over the dims given.

    Args: p: as `ord` in linalg.vector_norm; "fro" is 2, "nuc" the sum of a matrix's singular values; dim: an int or a
    tuple, default None; keepdim: default False; dtype: to compute in."""
    p = p.item() if isinstance(p, Tensor) else p
    return stored("norm", _norm(input, p, dim, keepdim, dtype), out)


@operation
def dist(input, other, p=2):
    """The p-norm of input - other."""
    difference = input - other
    if difference.dtype.category < FLOAT:
        raise RuntimeError(
            "norm(): input dtype should be either floating point or complex."
            f" Got {scalar_name(difference.dtype)} instead: dist()"
        )
    return vector_norm_of(difference, p, None, False, None)


@operation(out=True, inplace=True)
def renorm(input, p, dim, maxnorm):
    """The slices along dim, those whose p-norm exceeds maxnorm scaled down to it."""
    if isinstance(p, (bool, complex)) or p <= 0:
        raise RuntimeError(f"renorm: non-positive-norm not supported: p is {p}")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm:g}")
    n = input.dim()
    if n < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {n} dimensions")
    dims = tuple(d for d in range(n) if d != dim_index(dim, n))
    norms = norm_over(input, float(p), dims, True, wide_of(input.dtype))
    over = (norms > maxnorm).to(norms.dtype)
    factor = over * (maxnorm / (norms + 1e-7)) + (1 - over)
    return (input.to(wide_of(input.dtype)) * factor).to(input.dtype)


# --- older names --------------------------------------------------------------------------------------------------


@function(where="torch")
def norm_except_dim(v, pow=2, dim=0):
    """The norm over all dims but one, which are kept with size 1; over all of them for dim -1. pow: the order. Default 2."""
    if dim == -1:
        return vector_norm(v, float(pow))
    kept = dim_index(dim, layout_of(v).ndim)
    others = [d for d in range(layout_of(v).ndim) if d != kept]
    return vector_norm(v, float(pow), others, True) if others else v.abs()


@function(where="torch")
def frobenius_norm(input, dim, keepdim=False, *, out=None):
    """The root of the sum of squares over dims. Deprecated: use `linalg.vector_norm`."""
    dims = list(dim) if isinstance(dim, (tuple, list)) else [dim]
    return stored("frobenius_norm", vector_norm(input, 2.0, dims or None, keepdim), out)


@function(where="torch")
def nuclear_norm(input, dim=(-2, -1), keepdim=False, *, out=None):
    """The sum of singular values. Deprecated: use `linalg.matrix_norm(A, "nuc")`."""
    return stored("nuclear_norm", matrix_norm(input, "nuc", tuple(dim), keepdim), out)
