"""The generalized Pareto distribution."""

from __future__ import annotations

import math

import tenfold as torch

from . import constraints
from .distribution import Distribution
from .utils import ONE, broadcast_all, uniform_numbers

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """The generalized Pareto distribution, of excesses over a threshold.

    P(X > x) = (1 + concentration * (x - loc) / scale) ** (-1 / concentration); exponential where concentration is 0.

    Args: loc: the least value; scale: positive; concentration: the shape, of any sign."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True
    _expands = {"loc": 0, "scale": 0, "concentration": 0}

    def __init__(self, loc, scale, concentration, validate_args=None):
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self):
        """From loc on; up to loc - scale / concentration where concentration is negative."""
        end = self.loc - self.scale / self.concentration
        return constraints.interval(self.loc, torch.where(self.concentration < 0, end, math.inf))

    def _shape(self):
        """Where concentration is (close to) 0, and concentration with 1 in these places."""
        is_zero = torch.isclose(self.concentration, torch.zeros_like(self.concentration))
        return is_zero, torch.where(is_zero, torch.ones_like(self.concentration), self.concentration)

    def _z(self, x):
        return (x - self.loc) / self.scale

    @property
    def mean(self):
        """NaN where concentration >= 1."""
        is_finite = self.concentration < 1
        shape = torch.where(is_finite, self.concentration, 0.5)
        return torch.where(is_finite, self.loc + self.scale / (1 - shape), math.nan)

    @property
    def mode(self):
        return self.loc

    @property
    def variance(self):
        """NaN where concentration >= 1 / 2."""
        is_finite = self.concentration < 0.5
        shape = torch.where(is_finite, self.concentration, 0.25)
        return torch.where(is_finite, self.scale**2 / ((1 - shape) ** 2 * (1 - 2 * shape)), math.nan)

    def rsample(self, sample_shape=ONE):
        return self.icdf(uniform_numbers(self._extended_shape(sample_shape), self.loc))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        z = self._z(value)
        is_zero, shape = self._shape()
        factor = 1 / shape + torch.ones_like(z)
        power = torch.where(factor == 0, factor * z, factor * torch.log1p(shape * z))
        return torch.where(is_zero, -z, -power) - self.scale.log()

    def log_survival_function(self, value):
        """log P(X > value)."""
        if self._validate_args:
            self._validate_sample(value)
        z = self._z(value)
        is_zero, shape = self._shape()
        return torch.where(is_zero, -z, -torch.log1p(shape * z) / shape)

    def log_cdf(self, value):
        """log P(X <= value)."""
        return torch.log1p(-torch.exp(self.log_survival_function(value)))

    def cdf(self, value):
        return torch.exp(self.log_cdf(value))

    def icdf(self, value):
        is_zero, shape = self._shape()
        log_survival = torch.log1p(-value)
        exponential = self.loc - self.scale * log_survival
        return torch.where(is_zero, exponential, self.loc + self.scale / shape * torch.expm1(-shape * log_survival))

    def entropy(self):
        return (torch.log(self.scale) + self.concentration + 1).expand(self._batch_shape)
