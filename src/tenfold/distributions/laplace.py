"""Laplace's distribution."""

from __future__ import annotations

import tenfold as torch

from . import constraints
from .distribution import Distribution
from .utils import ONE, broadcast_all

__all__ = ["Laplace"]


class Laplace(Distribution):
    """Laplace's distribution: density exp(-|x - loc| / scale) / (2 scale).

    Args: loc: the mean; scale: positive. Numbers or tensors, broadcast to batch_shape."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _expands = {"loc": 0, "scale": 0}

    def __init__(self, loc, scale, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self):
        return self.loc

    @property
    def mode(self):
        return self.loc

    @property
    def variance(self):
        return 2 * self.scale.pow(2)

    @property
    def stddev(self):
        return (2**0.5) * self.scale

    def rsample(self, sample_shape=ONE):
        shape = self._extended_shape(sample_shape)
        low = torch.finfo(self.loc.dtype).eps - 1
        u = torch.empty(shape, dtype=self.loc.dtype, device=self.loc.device).uniform_(low, 1)
        return self.loc - self.scale * u.sign() * torch.log1p(-u.abs())

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        return -torch.log(2 * self.scale) - torch.abs(value - self.loc) / self.scale

    def cdf(self, value):
        if self._validate_args:
            self._validate_sample(value)
        distance = value - self.loc
        return 0.5 - 0.5 * distance.sign() * torch.expm1(-distance.abs() / self.scale)

    def icdf(self, value):
        centred = value - 0.5
        return self.loc - self.scale * centred.sign() * torch.log1p(-2 * centred.abs())

    def entropy(self):
        return 1 + torch.log(2 * self.scale)
