"""Kumaraswamy's distribution."""

from __future__ import annotations

import math

import tenfold as torch

from . import constraints
from .transformed_distribution import TransformedDistribution
from .transforms import AffineTransform, PowerTransform
from .uniform import Uniform
from .utils import broadcast_all, euler_constant

__all__ = ["Kumaraswamy"]


class Kumaraswamy(TransformedDistribution):
    """Kumaraswamy's distribution of [0, 1], close to the beta distribution: P(X > x) = (1 - x ** a) ** b.

    Args: concentration1, concentration0: a and b, positive."""

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True
    _expands = {"concentration1": 0, "concentration0": 0}

    def __init__(self, concentration1, concentration0, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        zeros, ones = torch.zeros_like(self.concentration0), torch.ones_like(self.concentration0)
        chain = [
            PowerTransform(exponent=self.concentration0.reciprocal()),
            AffineTransform(loc=1.0, scale=-1.0),
            PowerTransform(exponent=self.concentration1.reciprocal()),
        ]
        super().__init__(Uniform(zeros, ones, validate_args=validate_args), chain, validate_args=validate_args)

    def _moment(self, n: int):
        """The expectation of x ** n: b * B(1 + n / a, b)."""
        a, b = self.concentration1, self.concentration0
        order = 1 + n / a
        return b * torch.exp(torch.lgamma(order) + torch.lgamma(b) - torch.lgamma(order + b))

    @property
    def mean(self):
        return self._moment(1)

    @property
    def mode(self):
        """((a - 1) / (a b - 1)) ** (1 / a); NaN where a parameter is below 1: the density is infinite at an end there.

        PyTorch 2.13 gives NaN for all parameters, by a slip in the formula."""
        a, b = self.concentration1, self.concentration0
        mode = ((a - 1) / (a * b - 1)).pow(a.reciprocal())
        return mode.masked_fill((a < 1) | (b < 1), math.nan)

    @property
    def variance(self):
        return self._moment(2) - torch.pow(self.mean, 2)

    def entropy(self):
        a, b = self.concentration1, self.concentration0
        harmonic = torch.digamma(b + 1) + euler_constant  # the harmonic number of b
        return (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - torch.log(a) - torch.log(b)
