"""Categories as vectors with a single 1."""

from __future__ import annotations

import tenfold as torch

from . import constraints
from .categorical import Categorical
from .distribution import Distribution
from .utils import ONE

__all__ = ["OneHotCategorical", "OneHotCategoricalStraightThrough"]


class OneHotCategorical(Distribution):
    """Vectors of K numbers with a single 1, in the place of a category.

    Args: probs: shape (*batch_shape, K), normalised along the last dim; or logits: log probabilities.
    Raises: ValueError unless one of the two is given."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.one_hot
    has_enumerate_support = True
    _expands = {"_categorical": 0}

    def __init__(self, probs=None, logits=None, validate_args: bool | None = None) -> None:
        self._categorical = Categorical(probs, logits)
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @property
    def _param(self):
        return self._categorical._param

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
        return self.probs

    @property
    def mode(self):
        return self._one_hot(self.probs.argmax(dim=-1))

    @property
    def variance(self):
        return self.probs * (1 - self.probs)

    def _one_hot(self, index):
        return torch.nn.functional.one_hot(index, num_classes=self._event_shape[0]).to(self.probs)

    def sample(self, sample_shape=ONE):
        return self._one_hot(self._categorical.sample(sample_shape)).detach()

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        return self._categorical.log_prob(value.max(-1)[1])

    def entropy(self):
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True):
        n = self.event_shape[0]
        values = torch.eye(n, dtype=self._param.dtype, device=self._param.device)
        values = values.view((n,) + (1,) * len(self.batch_shape) + (n,))
        return values.expand((n,) + self.batch_shape + (n,)) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """OneHotCategorical whose samples pass gradients on to the probabilities as if they were these.

    Source: Bengio, Leonard and Courville 2013, Estimating or propagating gradients through stochastic neurons."""

    has_rsample = True

    def rsample(self, sample_shape=ONE):
        samples = self.sample(sample_shape)
        return samples + (self.probs - self.probs.detach())
