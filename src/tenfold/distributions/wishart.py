"""Wishart's distribution of positive definite matrices."""

from __future__ import annotations

import math
import warnings
from numbers import Number

import tenfold as torch

from . import constraints
from .chi2 import Chi2
from .exp_family import ExponentialFamily
from .multivariate_normal import half_log_det, one_matrix, to_scale_tril
from .utils import ONE, Size, lazy_property

__all__ = ["Wishart"]


def _multivariate_digamma(x, p: int):
    """The derivative of mvlgamma: the sum of digamma(x - k / 2) over k < p."""
    return torch.digamma(x.unsqueeze(-1) - torch.arange(p, dtype=x.dtype, device=x.device).div(2)).sum(-1)


class Wishart(ExponentialFamily):
    """Wishart's distribution: that of the sum of x @ x.T of df normal vectors x with mean 0.

    Args: df: degrees of freedom, real, above p - 1; and one of covariance_matrix, precision_matrix (its inverse) and
        scale_tril (its Cholesky factor) of the vectors, (*batch_shape, p, p).
    Raises: AssertionError unless one of these is given; ValueError if df is too small.
    Source: Bartlett 1933, On the theory of statistical regression; Odell and Feiveson 1966."""

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0
    _expands = {"df": 0, "covariance_matrix": 2, "precision_matrix": 2, "scale_tril": 2, "_chi2": 1}

    @property
    def arg_constraints(self):
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def __init__(
        self, df, covariance_matrix=None, precision_matrix=None, scale_tril=None, validate_args: bool | None = None
    ) -> None:
        name, matrix = one_matrix(covariance_matrix, precision_matrix, scale_tril, AssertionError)
        if isinstance(df, Number):
            df = torch.tensor(df, dtype=matrix.dtype, device=matrix.device)
        batch_shape = Size(torch.broadcast_shapes(df.shape, matrix.shape[:-2]))
        event_shape = matrix.shape[-2:]
        self.df = df.expand(batch_shape)
        if self.df.le(event_shape[-1] - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {event_shape[-1] - 1}.")
        setattr(self, name, matrix.expand(batch_shape + (-1, -1)))
        super().__init__(batch_shape, event_shape, validate_args=validate_args)
        if self.df.lt(event_shape[-1]).any():
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim: "
                f"ndim is {event_shape[-1]}"
            )
        self._unbroadcasted_scale_tril = to_scale_tril(name, matrix)
        row = torch.arange(event_shape[-1], dtype=df.dtype, device=df.device)
        self._chi2 = Chi2(self.df.unsqueeze(-1) - row)  # of the squared diagonal of Bartlett's decomposition

    def _copy_to(self, new, batch_shape: Size) -> None:
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril

    def _over_batch_and_event(self, matrix):
        return matrix.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self):
        """The Cholesky factor of the covariance of the vectors."""
        return self._over_batch_and_event(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self):
        """The covariance of the vectors."""
        return self._over_batch_and_event(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self):
        """The inverse of the covariance of the vectors."""
        return self._over_batch_and_event(torch.cholesky_inverse(self._unbroadcasted_scale_tril))

    @property
    def _df_of_matrices(self):
        return self.df.view(self._batch_shape + (1, 1))

    @property
    def mean(self):
        return self._df_of_matrices * self.covariance_matrix

    @property
    def mode(self):
        """NaN where df <= p + 1."""
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        factor = factor.masked_fill(factor <= 0, math.nan)
        return factor.view(self._batch_shape + (1, 1)) * self.covariance_matrix

    @property
    def variance(self):
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        return self._df_of_matrices * (v.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def _bartlett(self, sample_shape):
        """L @ A @ A.T @ L.T: A has roots of chi-squared numbers on its diagonal and normal numbers below."""
        p = self._event_shape[-1]
        diagonal = self._chi2.rsample(sample_shape).sqrt()
        noise = diagonal.clamp(min=torch.finfo(self.df.dtype).eps).diag_embed()
        rows, columns = torch.tril_indices(p, p, offset=-1).unbind()
        shape = tuple(sample_shape) + tuple(self._batch_shape) + (p * (p - 1) // 2,)
        noise[..., rows, columns] = torch.randn(shape, dtype=noise.dtype, device=noise.device)
        factor = self._unbroadcasted_scale_tril @ noise
        return factor @ factor.mT

    def rsample(self, sample_shape=ONE, max_try_correction=None):
        """Random matrices; singular ones are drawn again.

        Args: max_try_correction: how often. Default: 10 times.

        As in PyTorch, whose numbers these are, every matrix that is not singular at first is drawn a second time."""
        tries = 10 if max_try_correction is None else max_try_correction
        sample = self._bartlett(Size(sample_shape))
        again = self._in_batch(self.support.check(sample))
        if not again.all():
            warnings.warn("Singular sample detected: df is close to the number of rows", stacklevel=2)
        for _ in range(tries):
            if not again.any():
                break
            new = self._bartlett(again[again].shape)
            sample = sample.clone()
            sample[again] = new
            still = again.clone()
            still[again] = self._in_batch(~self.support.check(new))
            again = still
        return sample

    def _in_batch(self, flags):
        """Whether it is so for a matrix of the batch of a sample."""
        ndims = len(self._batch_shape)
        return flags.flatten(flags.dim() - ndims).any(-1) if ndims else flags

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        p = self._event_shape[-1]
        nu = self.df
        half_log = half_log_det(self._unbroadcasted_scale_tril)
        trace = torch.cholesky_solve(value, self._unbroadcasted_scale_tril).diagonal(dim1=-2, dim2=-1).sum(dim=-1)
        return (
            -nu * (p * math.log(2) / 2 + half_log)
            - torch.mvlgamma(nu / 2, p=p)
            + (nu - p - 1) / 2 * torch.linalg.slogdet(value).logabsdet
            - trace / 2
        )

    def entropy(self):
        p = self._event_shape[-1]
        nu = self.df
        half_log = half_log_det(self._unbroadcasted_scale_tril)
        return (
            (p + 1) * (p * math.log(2) / 2 + half_log)
            + torch.mvlgamma(nu / 2, p=p)
            - (nu - p - 1) / 2 * _multivariate_digamma(nu / 2, p)
            + nu * p / 2
        )

    @property
    def _natural_params(self):
        p = self._event_shape[-1]
        return -self.precision_matrix / 2, (self.df - p - 1) / 2

    def _log_normalizer(self, x, y):
        p = self._event_shape[-1]
        order = y + (p + 1) / 2
        return order * (-torch.linalg.slogdet(-2 * x).logabsdet + math.log(2) * p) + torch.mvlgamma(order, p=p)
