"""The multivariate normal distribution whose covariance has low rank but for its diagonal."""

from __future__ import annotations

import math

import tenfold as torch

from . import constraints
from .distribution import Distribution
from .multivariate_normal import half_log_det, squared_mahalanobis
from .utils import ONE, Size, lazy_property, standard_normal

__all__ = ["LowRankMultivariateNormal"]


class LowRankMultivariateNormal(Distribution):
    """The normal distribution of vectors with covariance cov_factor @ cov_factor.T + diag(cov_diag).

    Args: loc: the mean, (*batch_shape, n); cov_factor: (*batch_shape, n, r) with small r; cov_diag: (*batch_shape, n),
        positive.
    Raises: ValueError if shapes do not fit.

    Everything is computed with the r x r capacitance matrix I + W.T @ inverse(D) @ W (Woodbury's identity, and the lemma
    of the determinant)."""

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    _expands = {
        "loc": 1,
        "cov_factor": 2,
        "cov_diag": 1,
        "covariance_matrix": 2,
        "scale_tril": 2,
        "precision_matrix": 2,
    }

    def __init__(self, loc, cov_factor, cov_diag, validate_args: bool | None = None) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional: LowRankMultivariateNormal got a 0-d tensor")
        n = loc.shape[-1]
        if cov_factor.dim() < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, with optional leading batch dimensions: its shape is "
                f"{tuple(cov_factor.shape)}"
            )
        if cov_factor.shape[-2] != n:
            raise ValueError(
                f"cov_factor must be a batch of matrices with shape {n} x m: it is {tuple(cov_factor.shape)}"
            )
        if cov_diag.shape[-1:] != (n,):
            raise ValueError(f"cov_diag must be a batch of vectors with shape {(n,)}: it is {tuple(cov_diag.shape)}")
        try:
            batch_shape = torch.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        except RuntimeError as e:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, cov_diag {cov_diag.shape}"
            ) from e
        batch_shape = Size(batch_shape)
        self.loc = loc.expand(batch_shape + (n,))
        self.cov_factor = cov_factor.expand(batch_shape + cov_factor.shape[-2:])
        self.cov_diag = cov_diag.expand(batch_shape + (n,))
        self._unbroadcasted_cov_factor = cov_factor
        self._unbroadcasted_cov_diag = cov_diag
        over_diag = self._factor_over_diag()
        capacitance = over_diag @ cov_factor + torch.eye(cov_factor.shape[-1], dtype=loc.dtype, device=loc.device)
        self._capacitance_tril = torch.linalg.cholesky(capacitance)
        super().__init__(batch_shape, self.loc.shape[-1:], validate_args=validate_args)

    def _copy_to(self, new, batch_shape: Size) -> None:
        new._unbroadcasted_cov_factor = self._unbroadcasted_cov_factor
        new._unbroadcasted_cov_diag = self._unbroadcasted_cov_diag
        new._capacitance_tril = self._capacitance_tril

    def _factor_over_diag(self):
        """W.T @ inverse(D), (..., r, n)."""
        return self._unbroadcasted_cov_factor.mT / self._unbroadcasted_cov_diag.unsqueeze(-2)

    @property
    def mean(self):
        return self.loc

    @property
    def mode(self):
        return self.loc

    def _over_batch_and_event(self, tensor, event_dims: int):
        return tensor.expand(self._batch_shape + self._event_shape * event_dims)

    @lazy_property
    def variance(self):
        square = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return self._over_batch_and_event(square, 1)

    @lazy_property
    def scale_tril(self):
        """The Cholesky factor of the covariance: sqrt(D) times that of I + inverse(sqrt(D)) W W.T inverse(sqrt(D))."""
        root = self._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
        scaled = self._unbroadcasted_cov_factor / root
        identity = torch.eye(self._event_shape[0], dtype=root.dtype, device=root.device)
        return self._over_batch_and_event(root * torch.linalg.cholesky(scaled @ scaled.mT + identity), 2)

    @lazy_property
    def covariance_matrix(self):
        """The covariance."""
        factor = self._unbroadcasted_cov_factor
        return self._over_batch_and_event(factor @ factor.mT + torch.diag_embed(self._unbroadcasted_cov_diag), 2)

    @lazy_property
    def precision_matrix(self):
        """The inverse of the covariance."""
        a = torch.linalg.solve_triangular(self._capacitance_tril, self._factor_over_diag(), upper=False)
        return self._over_batch_and_event(torch.diag_embed(self._unbroadcasted_cov_diag.reciprocal()) - a.mT @ a, 2)

    def rsample(self, sample_shape=ONE):
        shape = self._extended_shape(sample_shape)
        eps_factor = standard_normal(shape[:-1] + self.cov_factor.shape[-1:], self.loc)
        eps_diag = standard_normal(shape, self.loc)
        along = (self._unbroadcasted_cov_factor @ eps_factor.unsqueeze(-1)).squeeze(-1)
        return self.loc + along + self._unbroadcasted_cov_diag.sqrt() * eps_diag

    def _log_det(self):
        return 2 * half_log_det(self._capacitance_tril) + self._unbroadcasted_cov_diag.log().sum(-1)

    def _squared_mahalanobis(self, difference):
        along = (self._factor_over_diag() @ difference.unsqueeze(-1)).squeeze(-1)
        whole = (difference.pow(2) / self._unbroadcasted_cov_diag).sum(-1)
        return whole - squared_mahalanobis(self._capacitance_tril, along)

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        constant = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + self._log_det() + self._squared_mahalanobis(value - self.loc))

    def entropy(self):
        constant = self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        return (0.5 * (constant + self._log_det())).expand(self._batch_shape)
