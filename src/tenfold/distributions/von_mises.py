"""Von Mises' distribution of angles."""

from __future__ import annotations

import math

import tenfold as torch

from . import constraints
from .distribution import Distribution
from .utils import ONE, broadcast_all, lazy_property

__all__ = ["VonMises"]


class VonMises(Distribution):
    """Von Mises' distribution of angles: density proportional to exp(concentration * cos(x - loc)).

    Args: loc: the centre, in radians; concentration: positive.

    Samples, from [-pi, pi), are drawn in float64 whatever the dtype.
    Source: Best and Fisher 1979, Efficient simulation of the von Mises distribution."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False
    _expands = {"loc": 0, "concentration": 0}

    def __init__(self, loc, concentration, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, torch.Size(), validate_args)

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        # log I0(k) = log(exp(-k) I0(k)) + k, which does not overflow
        log_bessel = torch.special.i0e(self.concentration).log() + self.concentration
        return self.concentration * torch.cos(value - self.loc) - math.log(2 * math.pi) - log_bessel

    @lazy_property
    def _proposal_r(self):
        """The parameter of the wrapped Cauchy distribution that is drawn from; 1 / k + k where k is small."""
        k = self.concentration.double()
        tau = 1 + (1 + 4 * k**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * k)
        return torch.where(k < 1e-5, 1 / k + k, (1 + rho**2) / (2 * rho))

    def sample(self, sample_shape=ONE):
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            angles = self._accepted(shape, self.concentration.double(), self._proposal_r)
            loc = self.loc.double()
            return ((angles + math.pi + loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)

    @staticmethod
    def _accepted(shape, k, r):
        """Angles around 0: new proposals for all elements, until each had one that was accepted."""
        angles = torch.where(k.isnan(), math.nan, torch.zeros_like(k)).expand(shape)
        done = (~r.isfinite()).expand(shape)  # infinite concentration: the centre alone
        while not done.all():
            u1, u2, u3 = torch.rand((3,) + tuple(shape), dtype=k.dtype, device=k.device).unbind()
            z = torch.cos(math.pi * u1)
            f = (1 + r * z) / (r + z)
            c = k * (r - f)
            accept = ((c * (2 - c) - u2) > 0) | ((c / u2).log() + 1 - c >= 0)
            angles = torch.where(accept, (u3 - 0.5).sign() * f.acos(), angles)
            done = done | accept
        return angles

    @property
    def mean(self):
        return self.loc

    @property
    def mode(self):
        return self.loc

    @lazy_property
    def variance(self):
        """The circular variance, 1 - I1(concentration) / I0(concentration)."""
        return 1 - torch.special.i1e(self.concentration) / torch.special.i0e(self.concentration)
