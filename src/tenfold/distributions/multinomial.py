"""The multinomial distribution."""

from __future__ import annotations

import math

import tenfold as torch

from . import constraints
from .binomial import Binomial
from .categorical import Categorical
from .distribution import Distribution
from .utils import ONE, Size, broadcast_all

__all__ = ["Multinomial"]


class Multinomial(Distribution):
    """Counts of categories in total_count independent choices.

    Args: total_count: choices, an int. Default 1; probs: shape (*batch_shape, K), normalised; or logits: log probabilities.
    Raises: NotImplementedError if total_count is no int; ValueError unless one of probs and logits is given."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    total_count: int
    _expands = {"_categorical": 0}

    def __init__(self, total_count: int = 1, probs=None, logits=None, validate_args: bool | None = None) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError(
                f"inhomogeneous total_count is not supported: Multinomial takes one int, not {type(total_count).__name__}"
            )
        self.total_count = total_count
        self._categorical = Categorical(probs=probs, logits=logits)
        self._binomial = Binomial(total_count=total_count, probs=self.probs)
        shape = self._categorical._param.shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def _copy_to(self, new, batch_shape: Size) -> None:
        new.total_count = self.total_count
        new._binomial = self._binomial.expand(batch_shape + self.event_shape)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self):
        """Vectors of counts."""
        return constraints.multinomial(self.total_count)

    @property
    def probs(self):
        """The probabilities of the categories."""
        return self._categorical.probs

    @property
    def logits(self):
        """Their logarithms."""
        return self._categorical.logits

    @property
    def param_shape(self):
        """The shape of the parameter."""
        return self._categorical.param_shape

    @property
    def mean(self):
        return self.probs * self.total_count

    @property
    def variance(self):
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape=ONE):
        chosen = self._categorical.sample(Size((self.total_count,)) + Size(sample_shape))
        chosen = chosen.movedim(0, -1)
        counts = chosen.new_zeros(self._extended_shape(sample_shape))
        counts.scatter_add_(-1, chosen, torch.ones_like(chosen))
        return counts.type_as(self.probs)

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        logits = logits.masked_fill((value == 0) & (logits == -math.inf), 0)  # 0 * -inf would be NaN
        ways = torch.lgamma(value.sum(-1) + 1) - torch.lgamma(value + 1).sum(-1)
        return ways + (logits * value).sum(-1)

    def entropy(self):
        n = torch.tensor(self.total_count)
        counts = self._binomial.enumerate_support(expand=False)[1:]
        log_factorials = torch.exp(self._binomial.log_prob(counts)) * torch.lgamma(counts + 1)
        return n * self._categorical.entropy() - torch.lgamma(n + 1) + log_factorials.sum([0, -1])
