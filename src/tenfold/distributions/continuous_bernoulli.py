"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math

import tenfold as torch
from tenfold.nn.functional import binary_cross_entropy_with_logits

from . import constraints
from .exp_family import ExponentialFamily
from .utils import ONE, ProbsOrLogits, Size, broadcast_all, clamp_probs, lazy_property, logits_to_probs, uniform_numbers

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(ProbsOrLogits, ExponentialFamily):
    """The continuous Bernoulli distribution of [0, 1]: density proportional to probs ** x * (1 - probs) ** (1 - x).

    Args: probs: in [0, 1], no probability and not the mean; or logits: log(probs / (1 - probs)); lims: between them
        Taylor's series is used, since the formulas are 0 / 0 at probs = 1 / 2. Default (0.499, 0.501).
    Raises: ValueError unless one of probs and logits is given.
    Source: Loaiza-Ganem and Cunningham 2019, The continuous Bernoulli: fixing a pervasive error in variational
        autoencoders."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    _mean_carrier_measure = 0
    has_rsample = True
    _expands = {"probs": 0, "logits": 0}

    def __init__(
        self, probs=None, logits=None, lims: tuple[float, float] = (0.499, 0.501), validate_args: bool | None = None
    ) -> None:
        if self._take(probs, logits) == "probs":
            (probs,) = broadcast_all(probs)
            if validate_args is not None and not self.arg_constraints["probs"].check(probs).all():
                raise ValueError(f"The parameter probs has invalid values: {probs}; they must be in [0, 1]")
            self.probs = clamp_probs(probs)
        else:
            (self.logits,) = broadcast_all(logits)
        self._lims = lims
        super().__init__(self._param.shape, validate_args=validate_args)

    def _copy_to(self, new, batch_shape: Size) -> None:
        new._lims = self._lims

    @lazy_property
    def probs(self):
        """The parameter, cut to be inside (0, 1)."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _is_far(self):
        """Where probs is outside lims."""
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _far_probs(self):
        """probs, and a harmless number inside lims, so that no gradient is NaN."""
        return torch.where(self._is_far(), self.probs, self._lims[0] * torch.ones_like(self.probs))

    def _either(self, far, near):
        return torch.where(self._is_far(), far, near)

    def _log_norm(self):
        """log of the constant that makes the density integrate to 1: 2 artanh(1 - 2 p) / (1 - 2 p)."""
        p = self._far_probs()
        low = torch.where(p <= 0.5, p, torch.zeros_like(p))
        high = torch.where(p >= 0.5, p, torch.ones_like(p))
        distance = torch.where(p <= 0.5, torch.log1p(-2.0 * low), torch.log(2.0 * high - 1.0))  # log |1 - 2 p|
        far = torch.log(torch.abs(torch.log1p(-p) - torch.log(p))) - distance
        square = (self.probs - 0.5).pow(2)
        return self._either(far, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * square) * square)

    @property
    def mean(self):
        p = self._far_probs()
        far = p / (2.0 * p - 1.0) + 1.0 / (torch.log1p(-p) - torch.log(p))
        x = self.probs - 0.5
        return self._either(far, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x)

    @property
    def variance(self):
        p = self._far_probs()
        far = p * (p - 1.0) / (1.0 - 2.0 * p).pow(2) + 1.0 / (torch.log1p(-p) - torch.log(p)).pow(2)
        square = (self.probs - 0.5).pow(2)
        return self._either(far, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * square) * square)

    @property
    def stddev(self):
        return torch.sqrt(self.variance)

    def sample(self, sample_shape=ONE):
        with torch.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=ONE):
        return self.icdf(uniform_numbers(self._extended_shape(sample_shape), self.probs))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none") + self._log_norm()

    def cdf(self, value):
        if self._validate_args:
            self._validate_sample(value)
        p = self._far_probs()
        far = (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        inside = self._either(far, value)
        upper = torch.where(value >= 1.0, torch.ones_like(inside), inside)
        return torch.where(value <= 0.0, torch.zeros_like(inside), upper)

    def icdf(self, value):
        p = self._far_probs()
        far = (torch.log1p(-p + value * (2.0 * p - 1.0)) - torch.log1p(-p)) / (torch.log(p) - torch.log1p(-p))
        return self._either(far, value)

    def entropy(self):
        log_of_0, log_of_1 = torch.log1p(-self.probs), torch.log(self.probs)
        return self.mean * (log_of_0 - log_of_1) - self._log_norm() - log_of_0

    @property
    def _natural_params(self):
        return (torch.logit(self.probs),)

    def _log_normalizer(self, x):
        """log((exp(x) - 1) / x), and Taylor's series near 0."""
        is_far = (x <= self._lims[0] - 0.5) | (x > self._lims[1] - 0.5)
        far = torch.where(is_far, x, (self._lims[0] - 0.5) * torch.ones_like(x))
        log_norm = torch.log(torch.abs(torch.special.expm1(far))) - torch.log(torch.abs(far))
        return torch.where(is_far, log_norm, 0.5 * x + torch.pow(x, 2) / 24.0 - torch.pow(x, 4) / 2880.0)
