"""Inverses, determinants and systems of linear equations.

Source of the gradients: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation" (2008)."""

from __future__ import annotations

import numpy as np

from ..ir.dtypes import FLOAT, int32
from ..ir.shapes import Layout, broadcast_shapes, contiguous_strides, layout, size
from . import return_types
from .declare import operation, primitive, publish, scalar_name
from .elementwise import conj
from .matmul import adjoint, matmul

# --- shared ---------------------------------------------------------------------------------------------------


class LinAlgError(RuntimeError):
    """A matrix for which a result does not exist: singular, not positive definite, or without convergence."""


LinAlgError.__module__ = "torch.linalg"
publish(LinAlgError, "LinAlgError", "linalg")


def need_matrix(name: str, A, low: bool = False, what: str = "A") -> None:
    """RuntimeError where it is no batch of matrices of a dtype that can be computed with."""
    if len(A.shape) < 2:
        raise RuntimeError(f"{name}: The input tensor {what} must have at least 2 dimensions.")
    if A.dtype.category < FLOAT:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {scalar_name(A.dtype)}")
    if A.dtype.half and not low:
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {scalar_name(A.dtype)}")


def need_square(name: str, A, low: bool = False, what: str = "A") -> None:
    need_matrix(name, A, low, what)
    m, n = A.shape[-2:]
    if m != n:
        raise RuntimeError(f"{name}: {what} must be batches of square matrices, but they are {m} by {n} matrices")


def columns(shape, d, device: str = "cpu") -> Layout:
    """Matrices that lie column by column, as LAPACK leaves them."""
    *batch, m, n = shape
    strides = contiguous_strides((*batch, n, m))
    return layout(size(shape), (*strides[:-2], strides[-1], strides[-2]), d, device)


def guarded(name: str, compute, *arrays):
    """The result, NumPy's error as PyTorch's."""
    try:
        return compute(*arrays)
    except np.linalg.LinAlgError as e:
        raise LinAlgError(f"{name}: {e}: the computation did not succeed for one of the matrices") from None


def singular(name: str, A: np.ndarray) -> LinAlgError:
    flat = A.reshape(-1, *A.shape[-2:])
    ranks = [int(np.linalg.matrix_rank(a)) for a in flat[:64]]
    bad = next((i for i, r in enumerate(ranks) if r < A.shape[-1]), 0)
    where = f" (Batch element {bad})" if A.ndim > 2 else ""
    return LinAlgError(
        f"{name}:{where} The matrix is singular (its rank is {ranks[bad]} of {A.shape[-1]}), so there is no result"
    )


def _columns_rule(x: Layout, rows=None) -> Layout:
    if rows is None:
        return columns(x.shape, x.dtype, x.device)
    *batch, _, n = x.shape
    strides = contiguous_strides((*batch, n, rows))
    return layout(x.shape, (*strides[:-2], 1, rows), x.dtype, x.device)


@primitive(
    rule=_columns_rule, where="", name="_columns", raw=True, gradient=lambda g, out, x, rows=None: g, grad_name="Clone"
)
def in_columns(x, rows=None):
    """The same matrices, column by column in memory, each column at the head of `rows` places."""
    return x


# --- inverse --------------------------------------------------------------------------------------------------


def _inverse_gradient(g, out, A):
    inverse = adjoint(out)
    return -matmul(inverse, matmul(g, inverse))


@primitive(
    rule=lambda A: columns(A.shape, A.dtype, A.device), gradient=_inverse_gradient, where="", name="_inv",
    grad_name="LinalgInvEx",
)  # fmt: skip
def inverse_of(A):
    if not A.size:
        return A
    try:
        return np.linalg.inv(A)
    except np.linalg.LinAlgError:
        raise singular("linalg.inv", A) from None


@operation(where="linalg", out=True, grad_name="LinalgInvEx")
def inv(A):
    """The inverse of square matrices (*, N, N). Raises: LinAlgError where one is singular."""
    need_square("linalg.inv", A)
    return inverse_of(A)


@operation(grad_name="LinalgInvEx", out=True)
def inverse(input):
    """The inverse of square matrices (*, N, N): linalg.inv."""
    need_square("linalg.inv", input)
    return inverse_of(input)


@primitive(
    rule=lambda A: layout(size(A.shape[:-2]), None, int32, A.device), where="", name="_info", differentiable=False
)
def no_problem(A):
    return np.zeros(A.shape[:-2], np.int32)


# --- determinants ---------------------------------------------------------------------------------------------


def _per_matrix(A: Layout) -> Layout:
    return layout(size(A.shape[:-2]), None, A.dtype, A.device)


def _on_matrices(x):
    return x.unsqueeze(-1).unsqueeze(-1)


def _cofactor_gradient(g, out, A):
    """Of K = conj(det A) A^-H: conj(<g, X> C - C g^T X), X = A^-T, C = conj(K)."""
    X = inverse_of(A).transpose(-2, -1)
    C = conj(out)
    dot = (g * X).sum((-2, -1), True)
    return conj(dot * C - matmul(C, matmul(g.transpose(-2, -1), X)))


@primitive(
    rule=lambda A: layout(A.shape, None, A.dtype, A.device), gradient=_cofactor_gradient, where="", name="_cofactor"
)
def _cofactor(A):
    """conj(det A) A^-H, also where A is singular: by products of all singular values but one."""
    n = A.shape[-1]
    if not A.size:
        return A
    u, s, vh = np.linalg.svd(A)
    others = np.repeat(s[..., None, :], n, -2)
    others[..., np.arange(n), np.arange(n)] = 1
    phase = np.conj(np.linalg.det(u) * np.linalg.det(vh))[..., None, None]
    return phase * ((u * others.prod(-1)[..., None, :]) @ vh)


@primitive(
    rule=_per_matrix, where="", name="_det", grad_name="LinalgDet",
    gradient=lambda g, out, A: _on_matrices(g) * _cofactor(A),
)  # fmt: skip
def _det(A):
    return np.linalg.det(A)


@operation(where="linalg", out=True, grad_name="LinalgDet")
def det(A):
    """The determinant of square matrices (*, N, N)."""
    need_square("linalg.det", A)
    return _det(A)


@operation(name="det", grad_name="LinalgDet")
def torch_det(input):
    """The determinant of square matrices (*, N, N): linalg.det."""
    need_square("linalg.det", input)
    return _det(input)


def _slogdet_rule(A: Layout) -> tuple[Layout, Layout]:
    shape = size(A.shape[:-2])
    return layout(shape, None, A.dtype, A.device), layout(shape, None, A.dtype.to_real(), A.device)


def _slogdet_gradient(g, out, A):
    """(g_log + i Im(g_sign conj(sign))) A^-H; the sign of a real determinant does not move."""
    by_sign, by_log = g
    weight = by_log
    if by_sign is not None and A.dtype.is_complex:
        turn = by_sign * conj(out[0])
        turn = (turn - conj(turn)) / 2
        weight = turn if weight is None else weight + turn
    return None if weight is None else _on_matrices(weight) * adjoint(inverse_of(A))


@primitive(rule=_slogdet_rule, gradient=_slogdet_gradient, where="", name="_slogdet", grad_name="LinalgSlogdet")
def _slogdet(A):
    return tuple(np.linalg.slogdet(A))


@operation(where="linalg", out=True)
def slogdet(A):
    """Sign and logarithm of the absolute value of the determinant: a named tuple (sign, logabsdet)."""
    need_square("linalg.slogdet", A)
    return return_types.linalg_slogdet(*_slogdet(A))


@operation(name="slogdet")
def torch_slogdet(input):
    """Sign and logarithm of the absolute value of the determinant: a named tuple (sign, logabsdet)."""
    need_square("linalg.slogdet", input)
    return return_types.slogdet(*_slogdet(input))


@operation
def logdet(input):
    """Logarithm of the determinant; NaN where a real one is negative."""
    need_square("logdet", input)
    sign, logarithm = _slogdet(input)
    return sign.log() + logarithm


# --- equations ------------------------------------------------------------------------------------------------


def _solve_rule(A: Layout, B: Layout) -> Layout:
    batch = broadcast_shapes(A.shape[:-2], B.shape[:-2])
    return columns((*batch, A.shape[-1], B.shape[-1]), A.dtype, A.device)


def _solve_gradient(g, out, A, B):
    by_B = solution_of(adjoint(A), g)
    return -matmul(by_B, adjoint(out)), by_B


@primitive(rule=_solve_rule, gradient=_solve_gradient, where="", name="_solve", grad_name="LinalgSolveEx")
def solution_of(A, B):
    if not A.size or not B.size:
        batch = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
        return np.zeros((*batch, A.shape[-1], B.shape[-1]), A.dtype)
    try:
        return np.linalg.solve(A, B)
    except np.linalg.LinAlgError:
        raise singular("torch.linalg.solve: The solver failed", A) from None


def _is_vector(A, B) -> bool:
    return B.dim() == 1 or (A.dim() - 1 == B.dim() and tuple(B.shape) == tuple(A.shape[:-1]))


def solved(A, B, left: bool):
    need_square("linalg.solve", A)
    if A.dtype is not B.dtype:
        raise RuntimeError(
            f"linalg.solve: Expected A and B to have the same dtype, but found A of type {scalar_name(A.dtype)}"
            f" and B of type {scalar_name(B.dtype)} instead"
        )
    vector = _is_vector(A, B)
    if vector and not left:
        raise RuntimeError("linalg.solve: Vector broadcasting of the left hand side is not supported for left=False.")
    B = B.unsqueeze(-1) if vector else B
    rows = B.shape[-2] if left else B.shape[-1]
    if rows != A.shape[-1]:
        n, m = A.shape[-1], B.shape[-2:]
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation {equation} ({n}x{n} and {m[0]}x{m[1]})"
        )
    if not left:
        return solution_of(A.transpose(-2, -1), B.transpose(-2, -1)).transpose(-2, -1).clone()
    X = solution_of(A, B)
    if not vector:
        return X
    x = X.squeeze(-1)
    return in_columns(x) if x.dim() > 1 else x.clone()


@operation(where="linalg", out=True, grad_name="LinalgSolveEx")
def solve(A, B, *, left=True):
    """X such that A X = B (X A = B where not left).

    Args: A: (*, N, N); B: (*, N) or (*, N, K), whose batch dims broadcast. Raises: LinAlgError where A is singular."""
    return solved(A, B, left)


# --- triangular -----------------------------------------------------------------------------------------------


def _triangular_gradient(g, out, A, B, upper, unit):
    by_B = triangular_of(adjoint(A), g, not upper, unit)
    by_A = -matmul(by_B, adjoint(out))
    cut = 1 if unit else 0
    return by_A.triu(cut) if upper else by_A.tril(-cut), by_B


@primitive(
    rule=lambda A, B, upper, unit: _solve_rule(A, B), gradient=_triangular_gradient, where="", name="_solve_triangular",
    grad_name="LinalgSolveTriangular",
)  # fmt: skip
def triangular_of(A, B, upper, unit):
    """By substitution, one row at a time; a zero on the diagonal gives infinities."""
    n = A.shape[-1]
    batch = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    X = np.array(np.broadcast_to(B, (*batch, *B.shape[-2:])))
    for i in range(n - 1, -1, -1) if upper else range(n):
        known = slice(i + 1, n) if upper else slice(0, i)
        row = X[..., i, :]
        row -= (A[..., i, None, known] @ X[..., known, :])[..., 0, :]
        if not unit:
            row /= A[..., i, i, None]
    return X


@operation(where="linalg", out=True, grad_name="LinalgSolveTriangular")
def solve_triangular(A, B, *, upper, left=True, unitriangular=False):
    """X such that A X = B (X A = B where not left), A triangular: only that part of it is read.

    Args: A: (*, N, N); B: (*, N, K); upper: which triangle; unitriangular: take its diagonal to be 1."""
    need_square("linalg.solve_triangular", A)
    need_matrix("linalg.solve_triangular", B, False, "B")
    if (B.shape[-2] if left else B.shape[-1]) != A.shape[-1]:
        raise RuntimeError(
            "linalg.solve_triangular: Incompatible shapes of A and B for the equation"
            f" {'AX = B' if left else 'XA = B'} ({list(A.shape)} and {list(B.shape)})"
        )
    if left:
        return triangular_of(A, B, upper, unitriangular)
    X = triangular_of(A.transpose(-2, -1), B.transpose(-2, -1), not upper, unitriangular)
    return in_columns(X.transpose(-2, -1))


@operation(out=True)
def triangular_solve(input, A, upper=True, transpose=False, unitriangular=False):
    """X such that A X = input, A triangular: a named tuple (solution, cloned_coefficient).

    Args: upper: which triangle of A; transpose: solve with A transposed; unitriangular: take its diagonal to be 1."""
    need_square("triangular_solve", A)
    X = triangular_of(A.transpose(-2, -1) if transpose else A, input, upper is not transpose, unitriangular)
    return return_types.triangular_solve(X, in_columns(A))


def _of_factor(matrix_gradient, L, upper):
    """The gradient for L of that for A = L L^H (U^H U); as in PyTorch, for all elements, also those that are not read."""
    both = matrix_gradient + adjoint(matrix_gradient)
    return matmul(L, both) if upper else matmul(both, L)


def _cholesky_solve_gradient(g, out, input, L, upper):
    of_input = cholesky_solve(g, L, upper)
    return of_input, _of_factor(-matmul(of_input, adjoint(out)), L, upper)


def _cholesky_inverse_gradient(g, out, L, upper):
    return _of_factor(-matmul(matmul(adjoint(out), g), adjoint(out)), L, upper)


@operation(out=True, gradient=_cholesky_solve_gradient)
def cholesky_solve(input, input2, upper=False):
    """X such that A X = input, where A = L L^H (or U^H U, upper=True) is given by its Cholesky factor.

    Args: input: (*, N, K); input2: L (or U), (*, N, N)."""
    L = input2
    need_square("cholesky_solve", L)
    first, second = (adjoint(L), L) if upper else (L, adjoint(L))
    return triangular_of(second, triangular_of(first, input, False, False), True, False)


@operation(out=True, gradient=_cholesky_inverse_gradient)
def cholesky_inverse(L, upper=False):
    """The inverse of A = L L^H (or U^H U, upper=True), given by its Cholesky factor (*, N, N)."""
    need_square("cholesky_inverse", L)
    factor = L.triu() if upper else L.tril()
    return inverse_of(matmul(adjoint(factor), factor) if upper else matmul(factor, adjoint(factor)))
