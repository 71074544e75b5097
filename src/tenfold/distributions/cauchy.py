"""Cauchy's distribution."""

from __future__ import annotations

import math

import tenfold as torch

from . import constraints
from .distribution import Distribution
from .utils import ONE, broadcast_all

__all__ = ["Cauchy"]


class Cauchy(Distribution):
    """Cauchy's distribution: that of the quotient of two normal numbers. It has no mean and no variance.

    Args: loc: the median; scale: half the width at half the maximum, positive."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _expands = {"loc": 0, "scale": 0}

    def __init__(self, loc, scale, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self):
        return self._constant(math.nan, self.loc)

    @property
    def mode(self):
        return self.loc

    @property
    def variance(self):
        return self._constant(math.inf, self.loc)

    def rsample(self, sample_shape=ONE):
        shape = self._extended_shape(sample_shape)
        return self.loc + torch.empty(shape, dtype=self.loc.dtype, device=self.loc.device).cauchy_() * self.scale

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        return -math.log(math.pi) - self.scale.log() - ((value - self.loc) / self.scale).pow(2).log1p()

    def cdf(self, value):
        if self._validate_args:
            self._validate_sample(value)
        return torch.atan((value - self.loc) / self.scale) / math.pi + 0.5

    def icdf(self, value):
        return torch.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self):
        return math.log(4 * math.pi) + self.scale.log()
