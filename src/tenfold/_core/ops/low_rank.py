"""Singular values of matrices of low rank, and principal components, from random samples of their range.

Source: N. Halko, P.-G. Martinsson and J. Tropp, "Finding structure with randomness" (2011), algorithms 4.4 and 5.1."""

from __future__ import annotations

from .declare import function
from .linalg_decompose import qr_of, svd_of
from .matmul import adjoint, matmul
from .random import randn


def _basis(A, q: int, niter: int):
    """Orthonormal columns (*, M, q) that nearly span the range of A, by `niter` rounds of subspace iteration."""
    Q = qr_of(matmul(A, randn(A.shape[-1], q, dtype=A.dtype, device=A.device)), "reduced")[0]
    for _ in range(niter):
        Q = qr_of(matmul(adjoint(A), Q), "reduced")[0]
        Q = qr_of(matmul(A, Q), "reduced")[0]
    return Q


@function(where="torch")
def svd_lowrank(A, q=6, niter=2, M=None):
    """U, S and V of A = U diag(S) V^H, nearly, where A (less M) is of a rank of about q or less.

    Args: A: (*, M, N); q: how many columns; niter: rounds of subspace iteration; M: a mean, subtracted first.
    Returns: U (*, M, q), S (*, q), V (*, N, q). It draws random numbers."""
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    A = A if M is None else A - M
    wide = A.shape[-2] < A.shape[-1]
    A = adjoint(A) if wide else A
    Q = _basis(A, q, niter)
    U, S, Vh = svd_of(matmul(adjoint(Q), A), False)
    U, V = matmul(Q, U), adjoint(Vh)
    return (V, S, U) if wide else (U, S, V)


@function(where="torch")
def pca_lowrank(A, q=None, center=True, niter=2):
    """Principal components of M samples of N features: U, S, V of A with the mean of each column taken away.

    Args: A: (*, M, N); q: how many. Default min(6, M, N); center: whether to take the mean away; niter: as in
    `svd_lowrank`.
    Returns: U (*, M, q), S (*, q) and V (*, N, q), whose columns are the directions; it draws random numbers.
    Raises: ValueError for a q outside 0..min(M, N) or a negative niter."""
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)} (pca_lowrank)"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer (pca_lowrank)")
    return svd_lowrank(A - A.mean(-2, True) if center else A, q, niter)
