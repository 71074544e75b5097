"""Categories: integers from 0 with given probabilities."""

from __future__ import annotations

import math

import tenfold as torch

from . import constraints
from .distribution import Distribution
from .utils import ONE, ProbsOrLogits, Size

__all__ = ["Categorical"]


class Categorical(ProbsOrLogits, Distribution):
    """Integers from 0 to K - 1 with given probabilities.

    Args: probs: shape (*batch_shape, K), not negative, normalised along the last dim; or logits: log probabilities, from
        which their logsumexp is subtracted.
    Raises: ValueError unless one of the two is given, or if it has no dim."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _is_binary = False
    _expands = {"probs": 1, "logits": 1}

    def __init__(self, probs=None, logits=None, validate_args: bool | None = None) -> None:
        given = self._take(probs, logits)
        parameter = probs if given == "probs" else logits
        if parameter.dim() < 1:
            raise ValueError(f"`{given}` parameter must be at least one-dimensional: Categorical got a 0-d tensor")
        if given == "probs":
            self.probs = probs / probs.sum(-1, keepdim=True)
        else:
            self.logits = logits - logits.logsumexp(dim=-1, keepdim=True)
        super().__init__(parameter.shape[:-1], validate_args=validate_args)

    @property
    def _num_events(self) -> int:
        return self._param.shape[-1]

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        """The integers from 0 to K - 1."""
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self):
        return self._constant(math.nan, self._param)

    @property
    def mode(self):
        return self.probs.argmax(dim=-1)

    @property
    def variance(self):
        return self._constant(math.nan, self._param)

    def sample(self, sample_shape=ONE):
        sample_shape = Size(sample_shape)
        rows = self.probs.reshape(-1, self._num_events)
        drawn = torch.multinomial(rows, sample_shape.numel(), True).T
        return drawn.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        index, log_pmf = torch.broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return log_pmf.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self):
        logits = self.logits.clamp(min=torch.finfo(self.logits.dtype).min)  # 0 * -inf would be NaN
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True):
        return self._over_batch(torch.arange(self._num_events, device=self._param.device), expand)
