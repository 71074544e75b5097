"""The multivariate normal distribution."""

from __future__ import annotations

import math

import tenfold as torch

from . import constraints
from .distribution import Distribution
from .utils import ONE, Size, lazy_property, standard_normal

__all__ = ["MultivariateNormal"]


def squared_mahalanobis(scale_tril, difference):
    """difference.T @ inverse(L @ L.T) @ difference for vectors along the last dim; batch dims broadcast.

    Args: scale_tril: L, (..., n, n), lower triangular; difference: (..., n)."""
    if scale_tril.dim() == 2:  # one system for all vectors
        vectors = difference.reshape(-1, difference.shape[-1]).T
        solved = torch.linalg.solve_triangular(scale_tril, vectors, upper=False)
        return solved.pow(2).sum(0).reshape(difference.shape[:-1])
    solved = torch.linalg.solve_triangular(scale_tril, difference.unsqueeze(-1), upper=False)
    return solved.squeeze(-1).pow(2).sum(-1)


def half_log_det(scale_tril):
    """log det(L), half of that of L @ L.T."""
    return scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def precision_to_scale_tril(precision):
    """The Cholesky factor of the inverse, by way of the factor of the matrix read backwards."""
    backwards = torch.linalg.cholesky(torch.flip(precision, (-2, -1)))
    upper = torch.flip(backwards, (-2, -1)).mT
    identity = torch.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    return torch.linalg.solve_triangular(upper, identity, upper=False)


class MultivariateNormal(Distribution):
    """The normal distribution of vectors.

    Args: loc: the mean, (*batch_shape, n); and one of covariance_matrix, precision_matrix (its inverse) and scale_tril
        (its Cholesky factor), (*batch_shape, n, n). scale_tril is what is computed with.
    Raises: ValueError unless one of these is given, or if one has too few dims."""

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    _expands = {"loc": 1, "covariance_matrix": 2, "precision_matrix": 2, "scale_tril": 2}

    def __init__(
        self, loc, covariance_matrix=None, precision_matrix=None, scale_tril=None, validate_args: bool | None = None
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional: MultivariateNormal got a 0-d tensor")
        name, matrix = one_matrix(covariance_matrix, precision_matrix, scale_tril)
        batch_shape = torch.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        setattr(self, name, matrix.expand(batch_shape + (-1, -1)))
        self.loc = loc.expand(batch_shape + (-1,))
        super().__init__(Size(batch_shape), self.loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = to_scale_tril(name, matrix)

    def _copy_to(self, new, batch_shape: Size) -> None:
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril

    def _over_batch_and_event(self, matrix):
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def scale_tril(self):
        """The Cholesky factor of the covariance."""
        return self._over_batch_and_event(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self):
        """The covariance."""
        return self._over_batch_and_event(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self):
        """The inverse of the covariance."""
        return self._over_batch_and_event(torch.cholesky_inverse(self._unbroadcasted_scale_tril))

    @property
    def mean(self):
        return self.loc

    @property
    def mode(self):
        return self.loc

    @property
    def variance(self):
        return self._unbroadcasted_scale_tril.pow(2).sum(-1).expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape=ONE):
        eps = standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + (self._unbroadcasted_scale_tril @ eps.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        distance = squared_mahalanobis(self._unbroadcasted_scale_tril, value - self.loc)
        constant = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + distance) - half_log_det(self._unbroadcasted_scale_tril)

    def entropy(self):
        constant = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        return (constant + half_log_det(self._unbroadcasted_scale_tril)).expand(self._batch_shape)


def one_matrix(covariance_matrix, precision_matrix, scale_tril, error=ValueError):
    """(name, matrix) of the one that was given; `error` if none or more were, ValueError if it has less than two dims."""
    matrices = {
        "covariance_matrix": covariance_matrix,
        "precision_matrix": precision_matrix,
        "scale_tril": scale_tril,
    }
    given = [(name, m) for name, m in matrices.items() if m is not None]
    if len(given) != 1:
        raise error(
            "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified: got "
            f"{' and '.join([name for name, _ in given]) or 'none'}"
        )
    name, matrix = given[0]
    if matrix.dim() < 2:
        raise ValueError(
            f"{name} must be at least two-dimensional, with optional leading batch dimensions: its shape is "
            f"{tuple(matrix.shape)}"
        )
    return name, matrix


def to_scale_tril(name: str, matrix):
    """The Cholesky factor of the covariance, from that which `name` says the matrix is."""
    if name == "scale_tril":
        return matrix
    return torch.linalg.cholesky(matrix) if name == "covariance_matrix" else precision_to_scale_tril(matrix)
