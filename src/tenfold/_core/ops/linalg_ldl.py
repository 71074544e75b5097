"""Factors of symmetric and Hermitian matrices that need not be definite: A = P L D L^H P^H.

L has ones on its diagonal, D blocks of size 1 and 2. Source: J. Bunch and L. Kaufman, "Some stable methods for
calculating inertia and solving symmetric linear systems" (1977); the factors are packed as LAPACK's sytrf does."""

from __future__ import annotations

import numpy as np

from ..ir.dtypes import int32
from ..ir.shapes import Layout, broadcast_shapes, layout, size
from . import return_types
from .autocast import raised
from .declare import not_implemented, operation, primitive, scalar_name
from .linalg_solve import columns, need_matrix, need_square

GROWTH = (1 + 17**0.5) / 8  # a pivot of size 1 is taken where it is at least so much of the greatest element


def _size(x: np.ndarray) -> np.ndarray:
    return np.abs(x.real) + np.abs(x.imag) if x.dtype.kind == "c" else np.abs(x)


def _turned(x: np.ndarray, hermitian: bool) -> np.ndarray:
    return np.conj(x.T) if hermitian else x.T


def _pivot(S: np.ndarray, k: int) -> tuple[int, int]:
    """(size of the next block of D, the row and column to exchange with its last), S being what is left from k on."""
    below = _size(S[k + 1 :, k])
    if not below.size:
        return 1, k
    far = k + 1 + int(below.argmax())
    here, greatest = _size(S[k, k]), _size(S[far, k])
    if here >= GROWTH * greatest:
        return 1, k
    row = _size(S[far, k:])
    row[far - k] = 0
    if here * row.max() >= GROWTH * greatest * greatest:
        return 1, k
    return (1 if _size(S[far, far]) >= GROWTH * row.max() else 2), far


def _factored(A: np.ndarray, hermitian: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """L and D in one matrix, the exchanges counted from 1 (negative, and twice, for blocks of 2), and where D is 0."""
    n = len(A)
    S = np.tril(A) + _turned(np.tril(A, -1), hermitian)
    if hermitian:
        np.fill_diagonal(S, S.diagonal().real)
    LD, pivots, zero = np.zeros_like(S), np.zeros(n, np.int32), 0
    k = 0
    while k < n:
        step, p = _pivot(S, k)
        last = k + step - 1
        S[[last, p], k:] = S[[p, last], k:]
        S[k:, [last, p]] = S[k:, [p, last]]
        end = k + step
        D, B = S[k:end, k:end], S[end:, k:end]
        if not D.any():
            zero = zero or k + 1
        else:
            L = B / D if step == 1 else np.linalg.solve(D.T, B.T).T
            S[end:, end:] -= L @ _turned(B, hermitian)
            LD[end:, k:end] = L
        LD[k:end, k:end] = np.tril(D)
        pivots[k:end] = p + 1 if step == 1 else -(p + 1)
        k = end
    return LD, pivots, zero


def _factor_rule(A: Layout, hermitian, check):
    batch = size(A.shape[:-2])
    return (
        columns(A.shape, A.dtype, A.device),
        layout(size(A.shape[:-1]), None, int32, A.device),
        layout(batch, None, int32, A.device),
    )


@primitive(rule=_factor_rule, where="", name="_ldl", differentiable=False)
def _ldl(A, hermitian, check):
    """Each matrix's factors, exchanges, and the first block of D that is zero, counted from 1 (0: none)."""
    LD, pivots, zero = np.zeros_like(A), np.zeros(A.shape[:-1], np.int32), np.zeros(A.shape[:-2], np.int32)
    for at in np.ndindex(A.shape[:-2]):
        LD[at], pivots[at], zero[at] = _factored(A[at], hermitian)
    if check and zero.any():
        at = tuple(int(i) for i in np.argwhere(zero)[0])
        where = f" of matrix {list(at)}" if at else ""
        raise RuntimeError(f"torch.linalg.ldl_factor: D is zero at {zero[at] - 1}{where}, so the matrix is singular")
    return LD, pivots, zero


def _checked(name: str, A, hermitian: bool, check: bool):
    (A,) = raised(A)
    need_square(name, A, True)
    if A.dtype.half and A.numel():
        raise not_implemented("ldl_factor_kernel_cpu", A.dtype)
    return _ldl(A, bool(hermitian) and A.dtype.is_complex, bool(check))


@operation(where="linalg", out=True)
def ldl_factor(A, *, hermitian=False):
    """L and D of A = L D L^T with its exchanges, packed for `ldl_solve`: a named tuple (LD, pivots).

    Args: A: (*, N, N), of which the lower triangle is read; hermitian: whether a complex A is Hermitian (L D L^H).
    Raises: RuntimeError where A is singular. It has no gradient."""
    return return_types.linalg_ldl_factor(*_checked("torch.linalg.ldl_factor", A, hermitian, True)[:2])


@operation(where="linalg", out=True)
def ldl_factor_ex(A, *, hermitian=False, check_errors=False):
    """As `ldl_factor`, with the first zero of D counted from 1, or 0, for each matrix: (LD, pivots, info)."""
    return return_types.linalg_ldl_factor_ex(*_checked("torch.linalg.ldl_factor_ex", A, hermitian, check_errors))


# --- equations ------------------------------------------------------------------------------------------------


def _blocks(pivots: np.ndarray) -> list[tuple[int, int, int]]:
    """(start, end, exchanged row) of each block of D."""
    n, out, k = len(pivots), [], 0
    while k < n:
        end = k + (1 if pivots[k] > 0 else 2)
        p = abs(int(pivots[k])) - 1
        if not 0 <= p < n or end > n:
            raise RuntimeError(
                f"torch.linalg.ldl_solve: pivots[{k}] is {int(pivots[k])}, which names no row of {n}: give the pivots"
                " that ldl_factor returned"
            )
        out.append((k, end, p))
        k = end
    return out


def _solved(LD: np.ndarray, pivots: np.ndarray, X: np.ndarray, hermitian: bool) -> None:
    """X becomes the solution, block by block down and up again."""
    blocks = _blocks(pivots)
    for k, end, p in blocks:
        X[[end - 1, p]] = X[[p, end - 1]]
        X[end:] -= LD[end:, k:end] @ X[k:end]
        D = LD[k:end, k:end]
        D = D + _turned(np.tril(D, -1), hermitian)
        X[k:end] = X[k:end] / D if end == k + 1 else np.linalg.solve(D, X[k:end])
    for k, end, p in reversed(blocks):
        X[k:end] -= _turned(LD[end:, k:end], hermitian) @ X[end:]
        X[[end - 1, p]] = X[[p, end - 1]]


def _solve_rule(LD: Layout, pivots: Layout, B: Layout, hermitian) -> Layout:
    return columns((*broadcast_shapes(LD.shape[:-2], B.shape[:-2]), *B.shape[-2:]), B.dtype, B.device)


@primitive(rule=_solve_rule, where="", name="_ldl_solve", differentiable=False)
def _ldl_solve(LD, pivots, B, hermitian):
    batch = np.broadcast_shapes(LD.shape[:-2], B.shape[:-2])
    X = np.array(np.broadcast_to(B, (*batch, *B.shape[-2:])))
    LD = np.broadcast_to(LD, (*batch, *LD.shape[-2:]))
    pivots = np.broadcast_to(pivots, (*batch, pivots.shape[-1]))
    for at in np.ndindex(*batch):
        _solved(LD[at], pivots[at], X[at], hermitian)
    return X


@operation(where="linalg", out=True)
def ldl_solve(LD, pivots, B, *, hermitian=False):
    """X such that A X = B, where A is given by `ldl_factor`.

    Args: LD: (*, N, N); pivots: (*, N), integers; B: (*, N, K); hermitian: as in `ldl_factor`."""
    name = "torch.linalg.ldl_solve"
    need_square(name, LD, what="LD")
    if B.dim() < 2:
        raise IndexError(f"{name}: B is a matrix or a batch of them, but has shape {list(B.shape)}")
    need_matrix(name, B, what="B")
    if B.shape[-2] != LD.shape[-1]:
        n, (rows, k) = LD.shape[-1], B.shape[-2:]
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {n} by {n} but each b matrix is {rows} by {k}"
        )
    if B.dtype is not LD.dtype:
        raise RuntimeError(
            f"Expected b and A to have the same dtype, but found b of type {scalar_name(B.dtype)} and A of type"
            f" {scalar_name(LD.dtype)} instead ({name})"
        )
    if pivots.dtype.category != int32.category:
        raise RuntimeError(f"{name}: Expected pivots to be integers. Got {scalar_name(pivots.dtype)}")
    if tuple(pivots.shape) != tuple(LD.shape[:-1]):
        raise RuntimeError(
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape"
            f" {list(pivots.shape)} instead of {list(LD.shape[:-1])}"
        )
    return _ldl_solve(LD, pivots, B, bool(hermitian) and LD.dtype.is_complex)
