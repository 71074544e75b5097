"""The rest of torch.linalg: functions of decompositions and solutions, products of vectors and matrices."""

from __future__ import annotations

import math

import numpy as np

from ..ir.dtypes import FLOAT, int64, promote
from ..ir.shapes import broadcast_shapes, dim_index, layout
from . import return_types
from .declare import PUBLIC, function, operation, primitive
from .elementwise import conj
from .linalg_decompose import _cholesky, cholesky_info, eigh_of, lu_of, lu_solve, svd_of, svdvals
from .linalg_solve import columns, in_columns, inverse_of, need_matrix, need_square, no_problem, solution_of, solved
from .matmul import adjoint, matmul
from .norms import matrix_norm_of, vector_norm_of
from .reduction import stored

__all__ = ["svdvals"]

# --- with a success code --------------------------------------------------------------------------------------


@operation(where="linalg", out=True)
def inv_ex(A, *, check_errors=False):
    """The inverse, and 0 for each matrix: a named tuple (inverse, info). Singular matrices raise LinAlgError."""
    need_square("linalg.inv_ex", A)
    return return_types.linalg_inv_ex(inverse_of(A), no_problem(A))


@operation(where="linalg", out=True)
def solve_ex(A, B, *, left=True, check_errors=False):
    """X such that A X = B, and 0 for each matrix: a named tuple (result, info). Singular matrices raise LinAlgError."""
    return return_types.linalg_solve_ex(solved(A, B, left), no_problem(A))


@operation(where="linalg", out=True)
def cholesky_ex(A, *, upper=False, check_errors=False):
    """The Cholesky factor, and for each matrix 0 or the order of its first leading minor that is not positive definite,
    where the factor ends: a named tuple (L, info). With check_errors=True, LinAlgError in place of the latter."""
    L = _cholesky("linalg.cholesky_ex", A, upper, not check_errors)
    return return_types.linalg_cholesky_ex(L, no_problem(A) if check_errors else cholesky_info(A, upper))


@operation(where="linalg", out=True)
def lu_factor_ex(A, *, pivot=True, check_errors=False):
    """As `lu_factor`, with 0 for each matrix: a named tuple (LU, pivots, info)."""
    need_matrix("torch.linalg.lu_factor_ex", A)
    LU, pivots, _ = lu_of(A, pivot)
    return return_types.linalg_lu_factor_ex(LU, pivots, no_problem(A))


@function(where="torch Tensor", name="lu")
def torch_lu(A, pivot=True, get_infos=False, out=None):
    """Both LU factors in one matrix, and the row exchanges; with get_infos also 0 for each matrix."""
    r = lu_factor_ex(A, pivot=pivot)
    r = return_types._lu_with_info(*r) if get_infos else tuple(r)[:2]
    return stored("lu", r, out)


# --- the pseudo-inverse ---------------------------------------------------------------------------------------


def _pinv_gradient(g, out, A, hermitian, atol, rtol):
    """-P^H g P^H + (I - A P) g^H P P^H + P^H P g^H (I - P A)  (Golub and Pereyra, 1973)."""
    P, h = out, adjoint(out)
    gh = adjoint(g)
    first = -matmul(h, matmul(g, h))
    near = matmul(gh, matmul(P, h))
    far = matmul(matmul(h, P), gh)
    return first + (near - matmul(A, matmul(P, near))) + (far - matmul(matmul(far, P), A))


@primitive(
    rule=lambda A, hermitian, atol, rtol: _pinv_layout(A), gradient=_pinv_gradient, where="", name="_pinv",
    grad_name="LinalgPinv",
)  # fmt: skip
def _pinv(A, hermitian, atol, rtol):
    """From the singular values above max(atol, rtol * the greatest)."""
    if not A.size:
        return np.zeros((*A.shape[:-2], A.shape[-1], A.shape[-2]), A.dtype)
    if hermitian:
        s, u = np.linalg.eigh(A)
        vh = np.conj(np.swapaxes(u, -2, -1))
    else:
        u, s, vh = np.linalg.svd(A, full_matrices=False)
    keep = np.abs(s) > _threshold(s, A.shape, atol, rtol)
    inverted = np.where(keep, 1 / np.where(keep, s, 1), 0)
    return np.conj(np.swapaxes(vh, -2, -1)) @ (inverted[..., None] * np.conj(np.swapaxes(u, -2, -1)))


def _threshold(s: np.ndarray, shape, atol, rtol):
    """The size below which singular values count as zero."""
    if rtol is None:
        rtol = max(shape[-2:]) * np.finfo(s.dtype).eps if atol is None else 0.0
    rtol = np.asarray(rtol, s.dtype)[..., None] if np.ndim(rtol) else s.dtype.type(rtol)
    atol = 0.0 if atol is None else atol
    atol = np.asarray(atol, s.dtype)[..., None] if np.ndim(atol) else s.dtype.type(atol)
    return np.maximum(atol, rtol * np.abs(s).max(-1, keepdims=True, initial=0))


def _pinv_layout(A):
    *batch, m, n = A.shape
    return layout((*batch, n, m), None, A.dtype, A.device)


@operation(where="linalg", out=True, grad_name="LinalgPinv")
def pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None):
    """The pseudo-inverse (*, N, M) of matrices (*, M, N).

    Args: atol, rtol: singular values count as zero up to max(atol, rtol * the greatest). Default of rtol: max(M, N) eps
    where atol is not given; rcond: an older name of rtol; hermitian: whether A is Hermitian."""
    need_matrix("linalg.pinv", A)
    return _pinv(A, hermitian, atol, rcond if rtol is None else rtol)


@operation(grad_name="LinalgPinv")
def pinverse(input, rcond=1e-15):
    """The pseudo-inverse of matrices: linalg.pinv."""
    need_matrix("linalg.pinv", input)
    return _pinv(input, False, None, rcond)


@primitive(
    rule=lambda s, shape, atol, rtol: layout(s.shape[:-1], None, int64, s.device), where="", name="_rank",
    differentiable=False,
)  # fmt: skip
def _rank(s, shape, atol, rtol):
    return (np.abs(s) > _threshold(s, shape, atol, rtol)).sum(-1)


@operation(where="linalg", out=True)
def matrix_rank(A, tol=None, hermitian=False, *, atol=None, rtol=None):
    """How many singular values of each matrix count as not zero; int64.

    Args: as in `pinv`; tol: an absolute threshold."""
    need_matrix("linalg.matrix_rank", A)
    s = eigh_of(A, True)[0] if hermitian else svd_of(A, False)[1]
    return _rank(s, tuple(A.shape), atol if tol is None else tol, rtol)


@operation(where="linalg", out=True)
def lstsq(A, B, rcond=None, *, driver=None):
    """X of least |A X - B|: a named tuple (solution, residuals, rank, singular_values).

    Args: A: (*, M, N); B: (*, M, K) or (*, M); driver: "gels", "gelsy" (default), "gelsd", "gelss"; rcond: as rtol."""
    need_matrix("torch.linalg.lstsq", A)
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            f"torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), not {driver}"
        )
    m, n = A.shape[-2:]
    vector = A.dim() - 1 == B.dim() and tuple(A.shape[:-1]) == tuple(B.shape)
    if not vector and B.dim() < 2 or (B.shape[-1] if vector else B.shape[-2]) != m:
        raise RuntimeError(
            "torch.linalg.lstsq: input.size(-2) should match other.size(-2):"
            f" A has shape {list(A.shape)}, B {list(B.shape)}"
        )
    B = B.unsqueeze(-1) if vector else B
    solution = in_columns(matmul(_pinv(A, False, None, rcond), B), max(m, n))
    nothing = A.reshape(-1).narrow(0, 0, 0).clone()
    s = svd_of(A, False)[1]
    rank = A.new_zeros((0,), dtype=int64) if driver == "gels" else _rank(s, tuple(A.shape), None, rcond)
    residuals = nothing.abs() if A.dtype.is_complex else nothing
    if m > n and driver not in (None, "gelsy"):
        difference = matmul(A, solution) - B
        residuals = vector_norm_of(difference, 2, -2, False, None) ** 2
    values = s.detach().clone() if driver in ("gelsd", "gelss") else A.new_zeros((0,), dtype=A.dtype.to_real())
    solution = solution.squeeze(-1).clone() if vector else solution
    return return_types.linalg_lstsq(solution, residuals, rank, values)


@operation(where="linalg", out=True)
def cond(A, p=None):
    """The condition number: the norm of A times that of its inverse. Args: p: as `ord` in matrix_norm. Default: 2."""
    need_matrix("linalg.cond", A)
    if p is None or p in (2, -2):
        s = svdvals(A)
        first, last = s.narrow(-1, 0, 1).squeeze(-1), s.narrow(-1, s.shape[-1] - 1, 1).squeeze(-1)
        return last / first if p == -2 else first / last
    need_square("linalg.cond", A)
    return matrix_norm_of(A, p, (-2, -1), False, None) * matrix_norm_of(inverse_of(A), p, (-2, -1), False, None)


# --- powers and exponentials ----------------------------------------------------------------------------------


def _power(A, n: int):
    need_square("linalg.matrix_power", A, low=True)
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"matrix_power(): argument 'n' must be int, not {type(n).__name__}")
    if n == 0:
        return A * 0 + PUBLIC["torch"]["eye"](A.shape[-1], dtype=A.dtype)
    if n < 0:
        A, n = inverse_of(A), -n
    out = None
    while n:
        if n & 1:
            out = A if out is None else matmul(out, A)
        n >>= 1
        A = matmul(A, A) if n else A
    return out


@operation(where="linalg", out=True, grad_name="LinalgMatrixPower")
def matrix_power(A, n):
    """A multiplied by itself n times, square matrices (*, N, N); with n < 0 the inverse."""
    return _power(A, n).clone()


@operation(name="matrix_power", out=True, grad_name="LinalgMatrixPower")
def torch_matrix_power(input, n):
    """input multiplied by itself n times: linalg.matrix_power."""
    return _power(input, n).clone()


def _expm_gradient(g, out, A):
    """The upper right block of exp([[A^H, g], [0, A^H]])  (Mathias, 1996)."""
    n = A.shape[-1]
    cat = PUBLIC["torch"]["cat"]
    h = adjoint(A)
    upper, lower = cat([h, g], -1), cat([h * 0, h], -1)
    return expm_of(cat([upper, lower], -2)).narrow(-2, 0, n).narrow(-1, n, n)


@primitive(
    rule=lambda A: layout(A.shape, None, A.dtype, A.device), gradient=_expm_gradient, where="", name="_expm",
    grad_name="LinalgMatrixExp",
)  # fmt: skip
def expm_of(A):
    """By a Taylor polynomial of degree 18 of A / 2^s, squared s times."""
    if not A.size:
        return A
    wide = A.astype(np.complex128 if A.dtype.kind == "c" else np.float64)
    size = np.abs(wide).sum(-2).max(-1)
    s = np.maximum(np.ceil(np.log2(np.maximum(size, 1e-300))), 0).astype(np.int64)
    x = wide / (2.0**s)[..., None, None]
    out = np.broadcast_to(np.eye(A.shape[-1]), A.shape).astype(wide.dtype)
    for k in range(18, 0, -1):
        out = np.eye(A.shape[-1]) + x @ out / k
    for k in range(int(s.max(initial=0))):
        out = np.where((s > k)[..., None, None], out @ out, out)
    return out.astype(A.dtype)


@operation(where="linalg", grad_name="LinalgMatrixExp")
def matrix_exp(A):
    """The matrix exponential of square matrices (*, N, N)."""
    need_square("linalg.matrix_exp", A, low=True)
    return expm_of(A)


@operation(name="matrix_exp", grad_name="LinalgMatrixExp")
def torch_matrix_exp(input):
    """The matrix exponential of square matrices (*, N, N)."""
    need_square("linalg.matrix_exp", input, low=True)
    return expm_of(input)


# --- products -------------------------------------------------------------------------------------------------


def _cross_rule(input, other, dim):
    shape = broadcast_shapes(input.shape, other.shape)
    return layout(shape, None, promote(input.dtype, other.dtype), input.device)


def _cross_gradient(g, out, input, other, dim):
    return conj(cross_of(other, conj(g), dim)), conj(cross_of(conj(g), input, dim))


@primitive(rule=_cross_rule, gradient=_cross_gradient, where="", name="_cross", grad_name="LinalgCross")
def cross_of(input, other, dim):
    shape = np.broadcast_shapes(input.shape, other.shape)
    a, b = (np.moveaxis(np.broadcast_to(x, shape), dim, 0) for x in (input, other))
    return np.moveaxis(
        np.stack([a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3] for i in range(3)]), 0, dim
    )


def _cross(input, other, dim):
    if input.dim() != other.dim():
        raise RuntimeError(
            f"linalg.cross: inputs must have the same number of dimensions: {input.dim()} and {other.dim()}"
        )
    d = dim_index(dim, input.dim())
    if input.shape[d] != 3 or other.shape[d] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[d]} and {other.shape[d]}"
        )
    return cross_of(input, other, d)


@operation(where="linalg", out=True, grad_name="LinalgCross")
def cross(input, other, *, dim=-1):
    """The cross product of vectors of 3 elements along dim; other dims broadcast."""
    return _cross(input, other, dim)


@operation(name="cross", out=True, grad_name="LinalgCross")
def torch_cross(input, other, dim=None):
    """The cross product along dim, which has 3 elements. Default: the first such dim."""
    if dim is None:
        dim = next((d for d, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError(f"no dimension of size 3 in input: cross() got shape {list(input.shape)}")
    return _cross(input, other, dim)


@operation(where="linalg", out=True)
def vecdot(x, y, *, dim=-1):
    """The dot product of vectors along dim, x conjugated; other dims broadcast."""
    if x.dtype is not y.dtype:
        raise RuntimeError(f"linalg.vecdot: Expected vectors of the same dtype, but got {x.dtype} and {y.dtype}")
    return (conj(x) * y).sum(dim)


@operation(where="linalg")
def vander(x, *, N=None):
    """The powers 0 to N - 1 of each element: (*, K) to (*, K, N). Args: N: default K."""
    n = N if N is not None else x.shape[-1] if x.dim() else 1
    if n <= 1:
        raise RuntimeError(f"N must be greater than 1: linalg.vander got {n}")
    x = x if x.dtype.category >= FLOAT else x.to(int64)
    x = x.unsqueeze(0) if x.dim() == 0 else x
    ones = (x * 0 + 1).unsqueeze(-1)
    return PUBLIC["torch"]["cat"]([ones, x.unsqueeze(-1).expand((*x.shape, n - 1))], -1).cumprod(-1)


def _chain_order(sizes: list[int]) -> list[list[int]]:
    """Where to split each part of a chain of matrices so that fewest multiplications are needed."""
    n = len(sizes) - 1
    cost = [[0] * n for _ in range(n)]
    split = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            costs = [cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)]
            best = min(range(len(costs)), key=costs.__getitem__)
            cost[i][j], split[i][j] = costs[best], i + best
    return split


def _multi_dot(tensors):
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    for k, t in enumerate(tensors):
        ends = k in (0, len(tensors) - 1)
        if t.dim() != 2 and not (ends and t.dim() == 1):
            wanted = "1D or 2D" if ends else "2D"
            raise RuntimeError(f"multi_dot(): tensor {k} must be {wanted} but got {t.dim()}D")
    row, column = tensors[0].dim() == 1, tensors[-1].dim() == 1
    parts = list(tensors)
    parts[0] = parts[0].unsqueeze(0) if row else parts[0]
    parts[-1] = parts[-1].unsqueeze(-1) if column else parts[-1]
    split = _chain_order([parts[0].shape[0], *[t.shape[1] for t in parts]])

    def product(i: int, j: int):
        return parts[i] if i == j else matmul(product(i, split[i][j]), product(split[i][j] + 1, j))

    out = product(0, len(parts) - 1)
    out = out.squeeze(0) if row else out
    return out.squeeze(-1).clone() if column else out.clone()


@operation(where="linalg", out=True)
def multi_dot(tensors):
    """The product of a chain of matrices, in the order of fewest multiplications; the first and last may be vectors."""
    return _multi_dot(tensors)


@function(where="torch")
def chain_matmul(*matrices, out=None):
    """The product of a chain of matrices: linalg.multi_dot."""
    return multi_dot(list(matrices), out=out)


@operation(where="linalg", out=True)
def tensorinv(A, ind=2):
    """The inverse of A as a map from its last dims to its first `ind`."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind': tensorinv() got {ind}")
    head, tail = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if math.prod(head) != math.prod(tail):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got"
            f" {math.prod(tail)} != {math.prod(head)}"
        )
    return inverse_of(A.reshape(math.prod(head), -1)).reshape((*tail, *head)).clone()


@operation(where="linalg", out=True)
def tensorsolve(A, B, dims=None):
    """X such that tensordot(A, X, X.dim()) = B. Args: dims: dims of A moved to the end first. Default None."""
    if dims is not None:
        moved = [dim_index(d, A.dim()) for d in dims]
        A = A.permute([d for d in range(A.dim()) if d not in moved] + moved)
    shape = tuple(A.shape[B.dim() :])
    n = B.numel()
    if math.prod(shape) != n:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]),"
            f" but got {math.prod(shape)} != {n}"
        )
    return solution_of(A.reshape(n, n), B.reshape(n, 1)).reshape(shape).clone()


@function(where="linalg")
def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """A view of the diagonals of matrices: torch.diagonal with the last two dims."""
    return A.diagonal(offset, dim1, dim2)


@operation(where="linalg", out=True, grad_name="LinalgHouseholderProduct")
def householder_product(input, tau):
    """The first columns of a product of Householder reflections I - tau_k v_k v_k^H, given by their vectors and tau.

    Args: input: (*, M, N), v_k below the diagonal of column k; tau: (*, K), K up to N. Returns: (*, M, N)."""
    name = "torch.linalg.householder_product"
    need_matrix(name, input, what="input")
    m, n = input.shape[-2:]
    if m < n:
        raise RuntimeError(f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]: {m} and {n}")
    if tau.dim() < 1 or n < tau.shape[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]: {n}, {list(tau.shape)}"
        )
    if tuple(tau.shape[:-1]) != tuple(input.shape[:-2]):
        raise RuntimeError(
            f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2]: {list(tau.shape)}, {list(input.shape)}"
        )
    if tau.dtype is not input.dtype:
        raise RuntimeError(f"{name}: tau dtype {tau.dtype} does not match input dtype {input.dtype}")
    unit = PUBLIC["torch"]["eye"](m, n, dtype=input.dtype)
    vectors = input.tril(-1) + unit
    out = vectors * 0 + unit
    for k in range(tau.shape[-1] - 1, -1, -1):
        v = vectors.narrow(-1, k, 1)
        out = out - tau.narrow(-1, k, 1).unsqueeze(-1) * matmul(v, matmul(adjoint(v), out))
    return in_columns(out)


@function(where="torch Tensor")
def orgqr(input, input2, *, out=None):
    """`linalg.householder_product`, its second argument (tau) under another name."""
    return householder_product(input, input2, out=out)


@primitive(
    rule=lambda input: (columns(input.shape, input.dtype), layout(_least(input.shape), None, input.dtype)), where="",
    name="_geqrf", differentiable=False,
)  # fmt: skip
def _geqrf(input):
    h, tau = np.linalg.qr(input, "raw")
    return np.swapaxes(h, -2, -1), tau


def _least(shape):
    return (*shape[:-2], min(shape[-2:]))


@operation(out=True)
def geqrf(input):
    """QR as Householder reflections, of which `householder_product` makes Q: a named tuple (a, tau)."""
    need_matrix("geqrf", input)
    return return_types.geqrf(*_geqrf(input))


@operation(out=True)
def ormqr(input, input2, input3, left=True, transpose=False):
    """A matrix multiplied by the whole Q of the Householder reflections in input and input2 (its adjoint, transpose=True).

    Args: input: (*, M, K); input2: tau, (*, K); input3: the matrix, (*, M, N), or (*, N, M) where not left."""
    tau, other = input2, input3
    need_matrix("torch.ormqr", input)
    m, k = input.shape[-2], tau.shape[-1]
    wide = input = input.narrow(-1, 0, k)
    if m > k:
        wide = PUBLIC["torch"]["cat"]([input, input.new_zeros((*input.shape[:-1], m - k))], -1)
    Q = householder_product(wide, tau)
    Q = adjoint(Q) if transpose else Q
    return in_columns(matmul(Q, other) if left else matmul(other, Q))


@function(where="torch Tensor", name="lu_solve")
def torch_lu_solve(b, LU_data, LU_pivots, *, out=None):
    """X such that A X = b, where A is given by `lu_factor`: linalg.lu_solve with the arguments in another order."""
    return stored("lu_solve", lu_solve(LU_data, LU_pivots, b), out)
