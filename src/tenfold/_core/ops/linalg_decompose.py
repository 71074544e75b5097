"""Decompositions of matrices: Cholesky, QR, singular values, eigenvalues, LU.

Source of the gradients: M. Giles (2008), as in linalg_solve; of QR: S. Walter and L. Lehmann (2010)."""

from __future__ import annotations

import numpy as np

from ..ir.dtypes import int32
from ..ir.shapes import Layout, layout, size
from . import return_types
from .declare import PUBLIC, operation, primitive
from .elementwise import conj
from .linalg_solve import (
    LinAlgError,
    columns,
    guarded,
    in_columns,
    need_matrix,
    need_square,
    solution_of,
    triangular_of,
)
from .matmul import adjoint, matmul

# --- shared ---------------------------------------------------------------------------------------------------


def diagonal_matrix(x):
    """Matrices with x (*, N) on the diagonal."""
    return x.diag_embed()


def _total(*parts):
    """The sum of the parts that are there, or None."""
    out = None
    for p in parts:
        if p is not None:
            out = p if out is None else out + p
    return out


def _skew(x):
    return x - adjoint(x)


def _real(x):
    return x.real if x.dtype.is_complex else x


# --- Cholesky -------------------------------------------------------------------------------------------------


def _cholesky_gradient(g, out, A, upper, in_part=False):
    """0.5 L^-H P L^-1 with P the lower triangle of L^H g, mirrored at the diagonal."""
    P = matmul(adjoint(out), g)
    P = P.tril() + adjoint(P.tril(-1))
    half = triangular_of(adjoint(out), P, True, False)
    return adjoint(triangular_of(adjoint(out), adjoint(half), True, False)) / 2


@primitive(
    rule=lambda A, upper, in_part=False: columns(A.shape, A.dtype, A.device), gradient=_cholesky_gradient, where="",
    name="_cholesky", grad_name="LinalgCholeskyEx",
)  # fmt: skip
def cholesky_of(A, upper, in_part=False):
    """The lower factor, of what one triangle of A says. With in_part=True, of a matrix that is not positive definite the
    columns before the first pivot that is not positive, and A from there on."""
    if not A.size:
        return A
    hermitian = _mirrored(A, upper)
    whole = _factor(hermitian)
    if whole is not None:
        return whole
    factors, orders = zip(*[_factor_in_part(a) for a in hermitian.reshape(-1, *A.shape[-2:])])
    if any(orders) and not in_part:
        raise LinAlgError(_minor_text(orders, A.ndim > 2))
    return np.stack(factors).reshape(A.shape)


@primitive(
    rule=lambda A, upper: layout(A.shape[:-2], None, int32, A.device), where="", name="_cholesky_info",
    differentiable=False,
)  # fmt: skip
def cholesky_info(A, upper):
    """0 for each positive definite matrix, else the order of the first leading minor that is not positive."""
    matrices = _mirrored(A, upper).reshape(-1, *A.shape[-2:]) if A.size else []
    info = [_factor_in_part(a)[1] for a in matrices] or np.zeros(A.shape[:-2])
    return np.array(info, np.int32).reshape(A.shape[:-2])


def _factor(A: np.ndarray) -> np.ndarray | None:
    """The lower factors, or None where a matrix has none."""
    try:
        L = np.linalg.cholesky(A)
    except np.linalg.LinAlgError:
        return None
    return L if np.isfinite(np.diagonal(L, axis1=-2, axis2=-1)).all() else None


def _mirrored(A: np.ndarray, upper: bool) -> np.ndarray:
    """The Hermitian matrices that one triangle of A says."""
    A = np.conj(np.swapaxes(A, -2, -1)) if upper else A
    return np.tril(A) + np.conj(np.swapaxes(np.tril(A, -1), -2, -1))


def _factor_in_part(a: np.ndarray) -> tuple[np.ndarray, int]:
    """The lower factor of one matrix, up to its first pivot that is not positive, and the order of that one or 0."""
    whole = _factor(a)
    if whole is not None:
        return whole, 0
    L = np.tril(a)
    with np.errstate(invalid="ignore", over="ignore"):
        for k in range(len(L)):
            pivot = (L[k, k] - np.vdot(L[k, :k], L[k, :k])).real
            if not pivot > 0:
                L[k, k] = pivot
                return L, k + 1
            L[k, k] = np.sqrt(pivot)
            L[k + 1 :, k] = (L[k + 1 :, k] - L[k + 1 :, :k] @ np.conj(L[k, :k])) / L[k, k]
    return L, 0


def _minor_text(orders: tuple[int, ...], is_batch: bool) -> str:
    """Which leading minor of which matrix is not positive definite."""
    b = next(i for i, order in enumerate(orders) if order)
    where = f" (Batch element {b})" if is_batch else ""
    return (
        f"linalg.cholesky:{where} The factorization could not be completed because the input is not"
        f" positive-definite (the leading minor of order {orders[b]} is not positive-definite)."
    )


def _cholesky(name: str, A, upper: bool, in_part: bool = False):
    need_square(name, A)
    L = cholesky_of(A, upper, in_part)
    return in_columns(adjoint(L)) if upper else L


@operation(where="linalg", out=True, grad_name="LinalgCholeskyEx")
def cholesky(A, *, upper=False):
    """The lower triangular L with A = L L^H, of positive definite matrices (*, N, N); with upper=True, L^H.

    Raises: LinAlgError where a matrix is not positive definite."""
    return _cholesky("linalg.cholesky", A, upper)


@operation(name="cholesky", out=True, grad_name="Cholesky")
def torch_cholesky(input, upper=False):
    """The Cholesky factor of positive definite matrices: linalg.cholesky."""
    return _cholesky("cholesky", input, upper)


# --- QR -------------------------------------------------------------------------------------------------------


def _qr_rule(A: Layout, mode) -> tuple[Layout, Layout]:
    *batch, m, n = A.shape
    k = m if mode == "complete" else min(m, n)
    q = layout(size((0,)), None, A.dtype, A.device) if mode == "r" else columns((*batch, m, k), A.dtype, A.device)
    return q, columns((*batch, k, n), A.dtype, A.device)


def _qr_gradient(g, out, A, mode):
    by_Q, by_R = g
    Q, R = out
    *_, m, n = A.shape
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r': use mode='reduced'"
        )
    if mode == "complete" and m > n:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
    if m >= n:
        return _tall_qr_gradient(by_Q, by_R, Q, R)
    # A = [X | Y], R = [U | V]: V = Q^H Y
    Y, U = A.narrow(-1, m, n - m), R.narrow(-1, 0, m)
    by_U = by_V = None
    if by_R is not None:
        by_U, by_V = by_R.narrow(-1, 0, m), by_R.narrow(-1, m, n - m)
        by_Q = _total(by_Q, matmul(Y, adjoint(by_V)))
    by_X = _tall_qr_gradient(by_Q, by_U, Q, U)
    by_Y = matmul(Q, by_V) if by_V is not None else Y * 0
    return PUBLIC["torch"]["cat"]([by_X, by_Y], -1)


def _tall_qr_gradient(by_Q, by_R, Q, R):
    """(g_Q + Q copyltu(M)) R^-H with M = R g_R^H - g_Q^H Q."""
    M = _total(None if by_R is None else matmul(R, adjoint(by_R)), None if by_Q is None else -matmul(adjoint(by_Q), Q))
    low = M.tril(-1)
    symmetric = low + adjoint(low) + diagonal_matrix(_real(M.diagonal(0, -2, -1))).to(M.dtype)
    total = _total(by_Q, matmul(Q, symmetric))
    return adjoint(triangular_of(R, adjoint(total), True, False))


@primitive(rule=_qr_rule, gradient=_qr_gradient, where="", name="_qr", grad_name="LinalgQr")
def qr_of(A, mode):
    if mode == "r":
        return np.zeros(0, A.dtype), guarded("linalg.qr", lambda a: np.linalg.qr(a, "r"), A)
    return tuple(guarded("linalg.qr", lambda a: np.linalg.qr(a, mode), A))


@operation(where="linalg", out=True)
def qr(A, mode="reduced"):
    """A = Q R with orthonormal columns in Q and R upper triangular: a named tuple (Q, R).

    Args: A: (*, M, N); mode: "reduced" (Q has min(M, N) columns, the default), "complete" (M), "r" (no Q)."""
    need_matrix("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    return return_types.linalg_qr(*qr_of(A, mode))


@operation(name="qr", out=True)
def torch_qr(input, some=True):
    """A = Q R: a named tuple (Q, R); some=True is the reduced form."""
    need_matrix("linalg.qr", input)
    return return_types.qr(*qr_of(input, "reduced" if some else "complete"))


# --- singular values ------------------------------------------------------------------------------------------


def _svd_rule(A: Layout, full) -> tuple[Layout, Layout, Layout]:
    *batch, m, n = A.shape
    k = min(m, n)
    return (
        columns((*batch, m, m if full else k), A.dtype, A.device),
        layout(size((*batch, k)), None, A.dtype.to_real(), A.device),
        columns((*batch, n if full else k, n), A.dtype, A.device),
    )


def _svd_gradient(g, out, A, full):
    by_U, by_S, by_Vh = g
    U, S, Vh = out
    k = S.shape[-1]
    m, n = A.shape[-2:]
    U, Vh = U.narrow(-1, 0, k), Vh.narrow(-2, 0, k)
    if by_U is None and by_Vh is None:
        return None if by_S is None else matmul(U * by_S.unsqueeze(-2), Vh)
    if full and m != n:
        by_U = None if by_U is None else by_U.narrow(-1, 0, k)
        by_Vh = None if by_Vh is None else by_Vh.narrow(-2, 0, k)
    squares = S * S
    gap = squares.unsqueeze(-2) - squares.unsqueeze(-1)
    gap = gap + diagonal_matrix(S * 0 + 1)
    inner = None
    if by_U is not None:
        turn = _skew(matmul(adjoint(U), by_U))
        inner = turn / gap * S.unsqueeze(-2)
        if A.dtype.is_complex:  # the phase, which only U was told of
            inner = inner + diagonal_matrix(turn.diagonal(0, -2, -1) / (2 * S) - turn.diagonal(0, -2, -1) * S)
    if by_Vh is not None:
        turn = _skew(matmul(Vh, adjoint(by_Vh)))
        part = S.unsqueeze(-1) * (turn / gap)
        if A.dtype.is_complex:
            part = part - diagonal_matrix(turn.diagonal(0, -2, -1) * S)
        inner = _total(inner, part)
    if by_S is not None:
        inner = _total(inner, diagonal_matrix(by_S).to(A.dtype))
    by_A = matmul(matmul(U, inner), Vh)
    if by_U is not None and m > k:
        outside = by_U - matmul(U, matmul(adjoint(U), by_U))
        by_A = by_A + matmul(outside / S.unsqueeze(-2), Vh)
    if by_Vh is not None and n > k:
        outside = by_Vh - matmul(matmul(by_Vh, adjoint(Vh)), Vh)
        by_A = by_A + matmul(U / S.unsqueeze(-2), outside)
    return by_A


@primitive(rule=_svd_rule, gradient=_svd_gradient, where="", name="_svd", grad_name="LinalgSvd")
def svd_of(A, full):
    return tuple(guarded("linalg.svd", lambda a: np.linalg.svd(a, full), A))


@operation(where="linalg", out=True)
def svd(A, full_matrices=True, *, driver=None):
    """A = U diag(S) Vh, S descending: a named tuple (U, S, Vh).

    Args: A: (*, M, N); full_matrices: whether U and Vh are square. Default True; driver: has no effect on the CPU."""
    need_matrix("linalg.svd", A)
    return return_types.linalg_svd(*svd_of(A, full_matrices))


@operation(where="linalg", out=True, grad_name="LinalgSvd")
def svdvals(A, *, driver=None):
    """The singular values of matrices (*, M, N), descending: (*, min(M, N))."""
    need_matrix("linalg.svdvals", A)
    return svd_of(A, False)[1]


@operation(name="svd", out=True)
def torch_svd(input, some=True, compute_uv=True):
    """input = U diag(S) V^H, S descending: a named tuple (U, S, V).

    Args: some: the reduced form, default True; compute_uv: otherwise U and V are zeros."""
    need_matrix("linalg.svd", input)
    if not compute_uv:
        m, n = input.shape[-2:]
        batch = input.shape[:-2]
        zeros = input.new_zeros
        return return_types.svd(zeros((*batch, m, m)), svd_of(input, False)[1], zeros((*batch, n, n)))
    U, S, Vh = svd_of(input, not some)
    return return_types.svd(U, S, adjoint(Vh).clone())


# --- eigenvalues ----------------------------------------------------------------------------------------------


def _eigh_rule(A: Layout, lower) -> tuple[Layout, Layout]:
    return layout(size(A.shape[:-1]), None, A.dtype.to_real(), A.device), columns(A.shape, A.dtype, A.device)


def _eigh_gradient(g, out, A, lower):
    by_L, by_V = g
    L, V = out
    if by_V is None:
        return None if by_L is None else matmul(V * by_L.unsqueeze(-2), adjoint(V))
    gap = L.unsqueeze(-2) - L.unsqueeze(-1) + diagonal_matrix(L * 0 + 1)
    turn = _skew(matmul(adjoint(V), by_V)) / 2
    inner = (turn - diagonal_matrix(turn.diagonal(0, -2, -1))) / gap
    if by_L is not None:
        inner = inner + diagonal_matrix(by_L).to(inner.dtype)
    return matmul(matmul(V, inner), adjoint(V))


@primitive(rule=_eigh_rule, gradient=_eigh_gradient, where="", name="_eigh", grad_name="LinalgEigh")
def eigh_of(A, lower):
    return tuple(guarded("linalg.eigh", lambda a: np.linalg.eigh(a, "L" if lower else "U"), A))


def _triangle(UPLO) -> bool:
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper() == "L"


@operation(where="linalg", out=True)
def eigh(A, UPLO="L"):
    """Eigenvalues, ascending, and orthonormal eigenvectors of Hermitian matrices: (eigenvalues, eigenvectors).

    Args: A: (*, N, N); UPLO: which triangle of it is read, "L" or "U". Default "L"."""
    need_square("linalg.eigh", A)
    return return_types.linalg_eigh(*eigh_of(A, _triangle(UPLO)))


@operation(where="linalg", out=True, grad_name="LinalgEigh")
def eigvalsh(A, UPLO="L"):
    """Eigenvalues of Hermitian matrices, ascending: (*, N, N) to (*, N)."""
    need_square("linalg.eigvalsh", A)
    return eigh_of(A, _triangle(UPLO))[0]


def _eig_rule(A: Layout) -> tuple[Layout, Layout]:
    d = A.dtype.to_complex()
    return layout(size(A.shape[:-1]), None, d, A.device), columns(A.shape, d, A.device)


def _eig_gradient(g, out, A):
    by_L, by_V = g
    L, V = out
    inner = None
    if by_V is not None:
        turn = matmul(adjoint(V), by_V)
        length = diagonal_matrix(_real(turn.diagonal(0, -2, -1))).to(turn.dtype)
        gap = conj(L.unsqueeze(-2) - L.unsqueeze(-1)) + diagonal_matrix(L * 0 + 1)
        inner = (turn - matmul(matmul(adjoint(V), V), length)) / gap
        inner = inner - diagonal_matrix(inner.diagonal(0, -2, -1))
    if by_L is not None:
        inner = _total(inner, diagonal_matrix(by_L))
    if inner is None:
        return None
    return solution_of(adjoint(V), matmul(inner, adjoint(V)))


@primitive(rule=_eig_rule, gradient=_eig_gradient, where="", name="_eig", grad_name="LinalgEig")
def eig_of(A):
    if A.size and not np.isfinite(A).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    return tuple(guarded("linalg.eig", np.linalg.eig, A))


@operation(where="linalg", out=True)
def eig(A):
    """Eigenvalues and eigenvectors of square matrices (*, N, N), complex: a named tuple (eigenvalues, eigenvectors)."""
    need_square("linalg.eig", A)
    return return_types.linalg_eig(*eig_of(A))


@operation(where="linalg", out=True, grad_name="LinalgEig")
def eigvals(A):
    """Eigenvalues of square matrices (*, N, N), complex: (*, N)."""
    need_square("linalg.eigvals", A)
    return eig_of(A)[0]


# --- LU -------------------------------------------------------------------------------------------------------


def _lu_rule(A: Layout, pivot) -> tuple[Layout, Layout, Layout]:
    *batch, m, n = A.shape
    k = min(m, n)
    return (
        columns(A.shape, A.dtype, A.device),
        layout(size((*batch, k)), None, int32, A.device),
        layout(size((*batch, m, m)), None, A.dtype, A.device),
    )


def _lu_gradient(g, out, A, pivot):
    """P L^-H (tril(L^H g_L, -1) + triu(g_U U^H)) U^-H for square matrices; what sticks out on one side is
    A_2 = P L U_2 or A_2 = L_2 U, a solution with the square part."""
    if g[0] is None:
        return None
    LU, _, P = out
    m, n = A.shape[-2:]
    k = min(m, n)
    square, by = LU.narrow(-2, 0, k).narrow(-1, 0, k), g[0].narrow(-2, 0, k).narrow(-1, 0, k)
    U = square.triu()
    low, high = matmul(adjoint(square.tril(-1)), by.tril(-1)) + by.tril(-1), matmul(by.triu(), adjoint(U))
    rest = None
    if n > k:
        by_U, U2 = g[0].narrow(-1, k, n - k), LU.narrow(-1, k, n - k)
        low = low - matmul(by_U, adjoint(U2))
        rest = triangular_of(adjoint(square), by_U, True, True)
    elif m > k:
        by_L, L2 = g[0].narrow(-2, k, m - k), LU.narrow(-2, k, m - k)
        high = high - matmul(adjoint(L2), by_L)
        rest = adjoint(triangular_of(U, adjoint(by_L), True, False))
    left = triangular_of(adjoint(square), low.tril(-1) + high.triu(), True, True)
    total = adjoint(triangular_of(U, adjoint(left), True, False))
    if rest is not None:
        total = PUBLIC["torch"]["cat"]([total, rest], -1 if n > k else -2)
    return matmul(P, total)


def _size(x: np.ndarray) -> np.ndarray:
    """What LAPACK chooses pivots by: |re| + |im|."""
    return np.abs(x.real) + np.abs(x.imag) if np.iscomplexobj(x) else np.abs(x)


@primitive(rule=_lu_rule, gradient=_lu_gradient, where="", name="_lu", grad_name="LinalgLuFactorEx")
def lu_of(A, pivot):
    """Both factors in one matrix, the rows exchanged at each step (counted from 1), and the permutation matrix."""
    LU = np.array(A).reshape(-1, *A.shape[-2:])
    b, m, n = LU.shape
    k = min(m, n)
    each = np.arange(b)
    order = np.broadcast_to(np.arange(m), (b, m)).copy()
    pivots = np.broadcast_to(np.arange(1, k + 1, dtype=np.int32), (b, k)).copy()
    for j in range(k):
        if pivot:
            p = j + np.argmax(_size(LU[:, j:, j]), -1)
            pivots[:, j] = p + 1
            LU[each, j], LU[each, p] = LU[each, p].copy(), LU[each, j].copy()
            order[each, j], order[each, p] = order[each, p].copy(), order[each, j].copy()
        head = LU[:, j, j, None]
        LU[:, j + 1 :, j] = np.where(head == 0, LU[:, j + 1 :, j], LU[:, j + 1 :, j] / np.where(head == 0, 1, head))
        LU[:, j + 1 :, j + 1 :] -= LU[:, j + 1 :, j, None] * LU[:, None, j, j + 1 :]
    P = np.zeros((b, m, m), LU.dtype)
    P[each[:, None], order, np.arange(m)] = 1
    batch = A.shape[:-2]
    return LU.reshape(A.shape), pivots.reshape(*batch, k), P.reshape(*batch, m, m)


def unpacked(LU):
    """The factors L (M, K) and U (K, N) that share one matrix."""
    m, n = LU.shape[-2:]
    k = min(m, n)
    L = LU.narrow(-1, 0, k).tril(-1)
    ones = LU.new_ones((k,)).diag_embed()
    if m > k:
        ones = PUBLIC["torch"]["cat"]([ones, LU.new_zeros((m - k, k))], 0)
    return L + ones, LU.narrow(-2, 0, k).triu()


@operation(where="linalg", out=True)
def lu_factor(A, *, pivot=True):
    """L U of A with rows exchanged, both in one matrix, and the exchanges: a named tuple (LU, pivots)."""
    need_matrix("linalg.lu_factor", A)
    return return_types.linalg_lu_factor(*lu_of(A, pivot)[:2])


@operation(where="linalg", out=True)
def lu(A, *, pivot=True):
    """A = P L U with a permutation matrix P: a named tuple (P, L, U). Args: A: (*, M, N)."""
    need_matrix("linalg.lu", A)
    LU, pivots, _ = lu_of(A, pivot)
    return return_types.linalg_lu(permutation_of(pivots, A.shape[-2], A.dtype), *unpacked(LU))


@primitive(
    rule=lambda pivots, m, d: layout(size((*pivots.shape[:-1], m, m)), None, d, pivots.device), where="",
    name="_permutation", differentiable=False,
)  # fmt: skip
def permutation_of(pivots, m, d):
    """The permutation matrix of row exchanges counted from 1."""
    p = pivots.reshape(-1, pivots.shape[-1])
    order = np.broadcast_to(np.arange(m), (len(p), m)).copy()
    each = np.arange(len(p))
    for j in range(p.shape[-1]):
        other = p[:, j] - 1
        order[each, j], order[each, other] = order[each, other].copy(), order[each, j].copy()
    P = np.zeros((len(p), m, m), d.np)
    P[each[:, None], order, np.arange(m)] = 1
    return P.reshape(*pivots.shape[:-1], m, m)


@operation(where="torch", out=True)
def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True):
    """The factors of `lu_factor` one by one: a named tuple (P, L, U); those not asked for are empty."""
    m = LU_data.shape[-2]
    nothing = LU_data.new_zeros((0,))
    P = permutation_of(LU_pivots, m, LU_data.dtype) if unpack_pivots else nothing
    L, U = unpacked(LU_data) if unpack_data else (nothing.clone(), nothing.clone())
    return return_types.lu_unpack(P, L, U)


@operation(where="linalg", out=True)
def lu_solve(LU, pivots, B, *, left=True, adjoint=False):
    """X such that A X = B, where A is given by `lu_factor` (X A = B where not left; A^H where adjoint)."""
    need_square("torch.linalg.lu_solve", LU, False, "LU")
    L, U = unpacked(LU)
    A = matmul(matmul(permutation_of(pivots, LU.shape[-1], LU.dtype), L), U)
    A = conj(A.transpose(-2, -1)) if adjoint else A
    if left:
        return solution_of(A, B)
    return solution_of(A.transpose(-2, -1), B.transpose(-2, -1)).transpose(-2, -1).clone()
