"""Relaxed Bernoulli numbers: between 0 and 1, differentiable in the probability."""

from __future__ import annotations

from . import constraints
from .distribution import Distribution
from .transformed_distribution import TransformedDistribution
from .transforms import SigmoidTransform
from .utils import ONE, ProbsOrLogits, Size, broadcast_all, clamp_probs, uniform_numbers

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


class LogitRelaxedBernoulli(ProbsOrLogits, Distribution):
    """Log odds of relaxed Bernoulli numbers: (logits + logistic noise) / temperature.

    Args: temperature: positive; probs: in [0, 1]; or logits: log(probs / (1 - probs)).
    Raises: ValueError unless one of probs and logits is given.
    Source: Maddison, Mnih and Teh 2017, The Concrete distribution."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real
    _expands = {"probs": 0, "logits": 0}

    def __init__(self, temperature, probs=None, logits=None, validate_args: bool | None = None) -> None:
        self.temperature = temperature
        if self._take(probs, logits) == "probs":
            (self.probs,) = broadcast_all(probs)
        else:
            (self.logits,) = broadcast_all(logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    def _copy_to(self, new, batch_shape: Size) -> None:
        new.temperature = self.temperature

    def rsample(self, sample_shape=ONE):
        shape = self._extended_shape(sample_shape)
        probs = clamp_probs(self.probs.expand(shape))
        noise = clamp_probs(uniform_numbers(shape, probs))
        log_odds = noise.log() - (-noise).log1p() + probs.log() - (-probs).log1p()
        return log_odds / self.temperature

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        difference = logits - value.mul(self.temperature)
        return self.temperature.log() + difference - 2 * difference.exp().log1p()


class RelaxedBernoulli(TransformedDistribution):
    """Numbers in (0, 1) that are close to 0 or 1 at a low temperature, differentiable in the probability of 1.

    Args: temperature: positive; probs: in [0, 1]; or logits: log(probs / (1 - probs)).
    Raises: ValueError unless one of probs and logits is given.
    Source: Jang, Gu and Poole 2017, Categorical reparameterization with Gumbel-softmax; Maddison, Mnih and Teh 2017."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _expands = {}

    def __init__(self, temperature, probs=None, logits=None, validate_args: bool | None = None) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)

    @property
    def temperature(self):
        """How far values are from 0 and 1."""
        return self.base_dist.temperature

    @property
    def logits(self):
        """The log odds of 1."""
        return self.base_dist.logits

    @property
    def probs(self):
        """The probability of 1."""
        return self.base_dist.probs
