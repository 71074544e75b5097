"""The binomial distribution."""

from __future__ import annotations

import tenfold as torch

from . import constraints
from .distribution import Distribution
from .utils import ONE, ProbsOrLogits, broadcast_all

__all__ = ["Binomial"]


class Binomial(ProbsOrLogits, Distribution):
    """The binomial distribution: the number of successes among total_count trials.

    Args: total_count: trials. Default 1; probs: of a success, in [0, 1]; or logits: log(probs / (1 - probs)).
    Raises: ValueError unless one of probs and logits is given."""

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True
    _expands = {"total_count": 0, "probs": 0, "logits": 0}

    def __init__(self, total_count=1, probs=None, logits=None, validate_args: bool | None = None) -> None:
        given = self._take(probs, logits)
        count, parameter = broadcast_all(total_count, probs if given == "probs" else logits)
        self.total_count = count.type_as(parameter)
        setattr(self, given, parameter)
        super().__init__(parameter.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        """The integers from 0 to total_count."""
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self):
        return self.total_count * self.probs

    @property
    def mode(self):
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self):
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape=ONE):
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            return torch.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        ways = torch.lgamma(self.total_count + 1) - torch.lgamma(value + 1) - torch.lgamma(self.total_count - value + 1)
        log_one_plus_odds = torch.logaddexp(self.logits, torch.zeros_like(self.logits))
        return ways + value * self.logits - self.total_count * log_one_plus_odds

    def _one_total(self, name: str) -> int:
        total = int(self.total_count.max())
        if not self.total_count.min() == total:
            raise NotImplementedError(
                f"Inhomogeneous total count not supported by `{name}`: the counts go up to {total}, and are not all equal"
            )
        return total

    def entropy(self):
        self._one_total("entropy")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(torch.exp(log_prob) * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True):
        total = self._one_total("enumerate_support")
        values = torch.arange(1 + total, dtype=self._param.dtype, device=self._param.device)
        return self._over_batch(values, expand)
