"""Relaxed one-hot vectors: points of the simplex, differentiable in the probabilities."""

from __future__ import annotations

import tenfold as torch

from . import constraints
from .categorical import Categorical
from .distribution import Distribution
from .transformed_distribution import TransformedDistribution
from .transforms import ExpTransform
from .utils import ONE, Size, broadcast_all, clamp_probs, uniform_numbers

__all__ = ["ExpRelaxedCategorical", "RelaxedOneHotCategorical"]


class ExpRelaxedCategorical(Distribution):
    """Logarithms of relaxed one-hot vectors: log_softmax((logits + Gumbel noise) / temperature).

    Args: temperature: positive; probs: shape (*batch_shape, K), normalised; or logits: log probabilities.
    Raises: ValueError unless one of probs and logits is given.
    Source: Maddison, Mnih and Teh 2017, The Concrete distribution, appendix C.3."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.real_vector  # a subset of it, in truth: exp of a value lies on the simplex
    has_rsample = True
    _expands = {"_categorical": 0}

    def __init__(self, temperature, probs=None, logits=None, validate_args: bool | None = None) -> None:
        self._categorical = Categorical(probs, logits)
        self.temperature = temperature
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def _copy_to(self, new, batch_shape: Size) -> None:
        new.temperature = self.temperature

    @property
    def param_shape(self):
        """The shape of the parameter."""
        return self._categorical.param_shape

    @property
    def logits(self):
        """The log probabilities of the categories."""
        return self._categorical.logits

    @property
    def probs(self):
        """The probabilities of the categories."""
        return self._categorical.probs

    def rsample(self, sample_shape=ONE):
        uniforms = clamp_probs(uniform_numbers(self._extended_shape(sample_shape), self.logits))
        gumbels = -((-(uniforms.log())).log())
        scores = (self.logits + gumbels) / self.temperature
        return scores - scores.logsumexp(dim=-1, keepdim=True)

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        k = self._categorical._num_events
        logits, value = broadcast_all(self.logits, value)
        log_scale = torch.full_like(self.temperature, float(k)).lgamma() - self.temperature.log().mul(-(k - 1))
        score = logits - value.mul(self.temperature)
        return (score - score.logsumexp(dim=-1, keepdim=True)).sum(-1) + log_scale


class RelaxedOneHotCategorical(TransformedDistribution):
    """Points of the simplex that are close to its corners at a low temperature, differentiable in the probabilities.

    Args: temperature: positive; probs: shape (*batch_shape, K), normalised; or logits: log probabilities.
    Raises: ValueError unless one of probs and logits is given.
    Source: Jang, Gu and Poole 2017, Categorical reparameterization with Gumbel-softmax; Maddison, Mnih and Teh 2017."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.simplex
    has_rsample = True
    _expands = {}

    def __init__(self, temperature, probs=None, logits=None, validate_args: bool | None = None) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    @property
    def temperature(self):
        """How far points are from the corners."""
        return self.base_dist.temperature

    @property
    def logits(self):
        """The log probabilities of the corners."""
        return self.base_dist.logits

    @property
    def probs(self):
        """The probabilities of the corners."""
        return self.base_dist.probs
