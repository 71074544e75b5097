"""The negative binomial distribution."""

from __future__ import annotations

import tenfold as torch
from tenfold.nn.functional import logsigmoid

from . import constraints
from .distribution import Distribution
from .gamma import Gamma
from .utils import ONE, ProbsOrLogits, broadcast_all, lazy_property

__all__ = ["NegativeBinomial"]


class NegativeBinomial(ProbsOrLogits, Distribution):
    """The negative binomial distribution: successes before total_count failures.

    Args: total_count: failures, not negative, real; probs: of a success, in [0, 1); or logits: log(probs / (1 - probs)).
    Raises: ValueError unless one of probs and logits is given."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    _expands = {"total_count": 0, "probs": 0, "logits": 0}

    def __init__(self, total_count, probs=None, logits=None, validate_args: bool | None = None) -> None:
        given = self._take(probs, logits)
        count, parameter = broadcast_all(total_count, probs if given == "probs" else logits)
        self.total_count = count.type_as(parameter)
        setattr(self, given, parameter)
        super().__init__(parameter.shape, validate_args=validate_args)

    @property
    def mean(self):
        return self.total_count * torch.exp(self.logits)

    @property
    def mode(self):
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self):
        return self.mean / torch.sigmoid(-self.logits)

    @lazy_property
    def _gamma(self):
        """The distribution of the rate: a negative binomial number is a Poisson number with a random rate."""
        return Gamma(concentration=self.total_count, rate=torch.exp(-self.logits), validate_args=False)

    def sample(self, sample_shape=ONE):
        with torch.no_grad():
            return torch.poisson(self._gamma.sample(sample_shape=sample_shape))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        n = self.total_count
        density = n * logsigmoid(-self.logits) + value * logsigmoid(self.logits)
        normalizer = torch.lgamma(1.0 + value) + torch.lgamma(n) - torch.lgamma(n + value)
        return density - normalizer.masked_fill(n + value == 0.0, 0.0)
