"""Mixtures of distributions of one family."""

from __future__ import annotations

import tenfold as torch

from . import constraints
from .categorical import Categorical
from .distribution import Distribution
from .utils import ONE, Size

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A mixture: a component is chosen at random, and a value drawn from it.

    Args: mixture_distribution: Categorical, of batch shape (*batch_shape) or one that broadcasts, with K categories;
        component_distribution: a distribution whose batch shape is (*batch_shape, K).
    Raises: ValueError for other types or shapes."""

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = False
    _expands = {}

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                "The Mixture distribution needs to be an instance of torch.distributions.Categorical, not "
                f"{type(mixture_distribution).__name__}"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "The Component distribution needs to be an instance of torch.distributions.Distribution, not "
                f"{type(component_distribution).__name__}"
            )
        own = mixture_distribution.batch_shape
        shape = component_distribution.batch_shape
        for size, expected in zip(reversed(own), reversed(shape[:-1])):
            if size != 1 and expected != 1 and size != expected:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({own}) is not compatible with "
                    f"`component_distribution.batch_shape`({shape[:-1]})"
                )
        count = mixture_distribution._num_events
        if count != shape[-1]:
            raise ValueError(
                f"`mixture_distribution component` ({count}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({shape[-1]})"
            )
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        self._num_component = count
        super().__init__(shape[:-1], component_distribution.event_shape, validate_args)

    def _copy_to(self, new, batch_shape: Size) -> None:
        new._component_distribution = self._component_distribution.expand(batch_shape + (self._num_component,))
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        new._num_component = self._num_component

    @constraints.dependent_property
    def support(self):
        """That of the components."""
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Categorical:
        """The distribution of the component."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The distributions of a value, for each component."""
        return self._component_distribution

    def _weights(self):
        """The probabilities of the components, with the dims of an event."""
        probs = self.mixture_distribution.probs
        return probs.reshape(probs.shape + (1,) * len(self._event_shape))

    def _averaged(self, of_components):
        """The expectation over components of a quantity of shape (*batch_shape, K, *event_shape)."""
        return torch.sum(self._weights() * of_components, dim=-1 - len(self._event_shape))

    @property
    def mean(self):
        return self._averaged(self.component_distribution.mean)

    @property
    def variance(self):
        """The mean of the variances plus the variance of the means."""
        centre = self.mean.unsqueeze(-1 - len(self._event_shape))
        within = self._averaged(self.component_distribution.variance)
        return within + self._averaged((self.component_distribution.mean - centre).pow(2.0))

    def _for_components(self, x):
        return x.unsqueeze(-1 - len(self._event_shape))

    def cdf(self, x):
        return torch.sum(
            self.component_distribution.cdf(self._for_components(x)) * self.mixture_distribution.probs, dim=-1
        )

    def log_prob(self, x):
        if self._validate_args:
            self._validate_sample(x)
        of_components = self.component_distribution.log_prob(self._for_components(x))
        return torch.logsumexp(of_components + torch.log_softmax(self.mixture_distribution.logits, dim=-1), dim=-1)

    def sample(self, sample_shape=ONE):
        with torch.no_grad():
            component = self.mixture_distribution.sample(sample_shape)
            values = self.component_distribution.sample(sample_shape)
            dim = len(sample_shape) + len(self.batch_shape)
            index = component.reshape(component.shape + (1,) * (len(self._event_shape) + 1))
            index = index.expand(values.shape[:dim] + (1,) + values.shape[dim + 1 :])
            return torch.gather(values, dim, index).squeeze(dim)

    def __repr__(self):
        return f"{type(self).__name__}(\n  {self.mixture_distribution},\n  {self.component_distribution})"
