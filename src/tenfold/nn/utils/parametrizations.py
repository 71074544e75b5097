"""Ready-made parametrizations: orthogonal matrices, weight normalisation, spectral normalisation."""

from __future__ import annotations

from enum import Enum, auto

import tenfold
from tenfold import Tensor
from tenfold.nn import functional as F
from tenfold.nn.module import Module
from tenfold.nn.utils import parametrize
from tenfold.nn.utils.weight_norm import norm_except_dim, with_norm

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


# --- orthogonal ------------------------------------------------------------------------------------------------


def _is_orthogonal(Q: Tensor, eps: float | None = None) -> bool:
    """Are the columns orthonormal, up to rounding? Reads the values."""
    n = Q.size(-1)
    if eps is None:
        eps = 10.0 * n * tenfold.finfo(Q.dtype).eps
    difference = Q.mH @ Q - tenfold.eye(n, dtype=Q.dtype, device=Q.device)
    return bool((difference.abs() < eps).all())


def _make_orthogonal(A: Tensor) -> Tensor:
    """Orthonormal columns that span what A's span: Q of a QR decomposition whose R has a positive diagonal."""
    Q, R = tenfold.linalg.qr(A)
    return Q * R.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


class _OrthMaps(Enum):
    matrix_exp = auto()
    cayley = auto()
    householder = auto()


class _Orthogonal(Module):
    """From any matrix to one with orthonormal columns (or rows, if it has fewer rows than columns)."""

    base: Tensor

    def __init__(self, weight, orthogonal_map: _OrthMaps, *, use_trivialization=True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == _OrthMaps.householder:
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        """(*, n, k) -> (*, n, k), orthonormal."""
        n, k = X.size(-2), X.size(-1)
        transposed = n < k
        if transposed:
            X = X.mT
            n, k = k, n
        if self.orthogonal_map == _OrthMaps.householder:
            A = X.tril(diagonal=-1)
            tau = 2.0 / (1.0 + (A * A).sum(dim=-2))
            Q = tenfold.linalg.householder_product(A, tau)
            # The diagonal, 1 or -1, says which columns are to be turned round.
            Q = Q * X.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        else:
            Q = self._from_skew(X, n, k)
        if hasattr(self, "base"):
            Q = self.base @ Q
        return Q.mT if transposed else Q

    def _from_skew(self, X: Tensor, n: int, k: int) -> Tensor:
        """The exponential or the Cayley transform of the skew-symmetric matrix that X's lower triangle gives."""
        X = X.tril()
        if n != k:
            X = tenfold.cat([X, X.new_zeros(*X.shape[:-2], n, n - k)], dim=-1)
        A = X - X.mH
        if self.orthogonal_map == _OrthMaps.matrix_exp:
            Q = tenfold.matrix_exp(A)
        else:
            identity = tenfold.eye(n, dtype=A.dtype, device=A.device)
            Q = tenfold.linalg.solve(identity - 0.5 * A, identity + 0.5 * A)
        return Q[..., :k] if n != k else Q

    @tenfold.no_grad()
    def right_inverse(self, Q: Tensor) -> Tensor:
        """A matrix that `forward` takes to Q (made orthonormal first if it is not)."""
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}."
            )
        given = Q
        n, k = Q.size(-2), Q.size(-1)
        transposed = n < k
        if transposed:
            Q = Q.mT
            n, k = k, n
        if not hasattr(self, "base"):
            return self._householder_vectors(Q, transposed)
        if n != k:
            noise = tenfold.randn(*Q.shape[:-2], n, n - k, dtype=Q.dtype, device=Q.device)
            Q = _make_orthogonal(tenfold.cat([Q, noise], dim=-1))
        elif not _is_orthogonal(Q):
            Q = _make_orthogonal(Q)
        else:
            Q = Q.clone()
        # All of it goes into the base; what is kept is minus the identity, which the three maps take to the identity.
        self.base = Q
        kept = tenfold.zeros_like(given)
        kept.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return kept

    def _householder_vectors(self, Q: Tensor, transposed: bool) -> Tensor:
        if self.orthogonal_map != _OrthMaps.householder:
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        A, tau = tenfold.geqrf(Q)
        diagonal = A.diagonal(dim1=-2, dim2=-1)
        signs = diagonal.sign()
        diagonal.copy_(tenfold.where(tau == 0.0, -signs, signs))
        return A.mT if transposed else A


def _must_have(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keeps a matrix orthogonal, or with orthonormal rows or columns, while it is learned.

    Args:
        orthogonal_map: "matrix_exp" (default for square or complex matrices), "cayley" or "householder" (default else).
        use_trivialization: learn the difference to the value of the last assignment, kept as `base`. Default True.
    Raises: ValueError if there is no such tensor, it is no matrix, or the map is unknown.
    Source: Lezcano-Casado 2019, Trivializations for gradient-based optimization on manifolds.
    """
    weight = _must_have(module, name)
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    chosen = getattr(_OrthMaps, orthogonal_map, None)
    if not isinstance(chosen, _OrthMaps):
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    orth = _Orthogonal(weight, chosen, use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, orth, unsafe=True)
    return module


# --- weight norm -----------------------------------------------------------------------------------------------


class _WeightNorm(Module):
    """From lengths and directions to a weight."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g, weight_v):
        """`weight_v` with the lengths `weight_g`."""
        return with_norm(weight_g, weight_v, self.dim)

    def right_inverse(self, weight):
        """(lengths, the weight as direction)."""
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int = 0):
    """Learns a weight as lengths and directions: `w = g * v / |v|`, the originals being g and v.

    Args:
        dim: lengths are taken for each index of this dim; None: one length for all. Default 0.
    Source: Salimans and Kingma 2016, Weight normalization.
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(state_dict, prefix, *_):
        """The older form's keys, `name_g` and `name_v`, load too."""
        keys = [f"{prefix}{name}_g", f"{prefix}{name}_v"]
        if all(key in state_dict for key in keys):
            for i, key in enumerate(keys):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(rename)
    return module


# --- spectral norm ---------------------------------------------------------------------------------------------


class _SpectralNorm(Module):
    """Divides a weight by its greatest singular value, which power iteration follows from step to step."""

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % ndim
        self.eps = eps
        if ndim == 1:
            return  # its one singular value is its length
        self.n_power_iterations = n_power_iterations
        matrix = self._reshape_weight_to_matrix(weight)
        rows, columns = matrix.shape
        u = matrix.new_empty(rows).normal_(0, 1)
        v = matrix.new_empty(columns).normal_(0, 1)
        self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
        self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
        self._power_method(matrix, 15)

    def _reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        """The weight with `dim` first and the others as one."""
        return weight.movedim(self.dim, 0).flatten(1)

    @tenfold.no_grad()
    def _power_method(self, weight_mat: Tensor, n_power_iterations: int) -> None:
        """Brings `_u` and `_v` nearer to the singular vectors."""
        u, v = self._u, self._v
        for _ in range(n_power_iterations):
            u = F.normalize(weight_mat @ v, dim=0, eps=self.eps)
            v = F.normalize(weight_mat.mH @ u, dim=0, eps=self.eps)
        self._u.copy_(u)
        self._v.copy_(v)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with spectral norm 1; in training, after the power iterations."""
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._reshape_weight_to_matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()
        return weight / tenfold.vdot(u, matrix @ v)

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself."""
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Keeps the greatest singular value of a weight at 1.

    Args:
        n_power_iterations: at each read in training. Default 1.
        eps: least length in normalisations. Default 1e-12.
        dim: the dim that makes the matrix's rows. Default 0; 1 for transposed convolutions.
    Raises: ValueError if there is no such tensor.
    Source: Miyato et al. 2018, Spectral normalization for generative adversarial networks.
    """
    weight = _must_have(module, name)
    if dim is None:
        dim = 1 if getattr(module, "transposed", False) else 0
    norm = _SpectralNorm(weight, n_power_iterations, dim, eps)
    parametrize.register_parametrization(module, name, norm)
    return module
