"""Exponential families: distributions whose density is exp(<natural parameters, statistics> - log normaliser) * carrier."""

from __future__ import annotations

import tenfold as torch

from .distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """A distribution of an exponential family.

    A subclass that says what its natural parameters, its log normaliser and the mean of its log carrier measure are
    gets its entropy, and its divergence from others of the same class, from the gradient of the log normaliser.
    Source: Nielsen and Nock 2010, Entropies and cross-entropies of exponential families."""

    @property
    def _natural_params(self) -> tuple[torch.Tensor, ...]:
        raise NotImplementedError(f"{type(self)} does not say its natural parameters")

    def _log_normalizer(self, *natural_params) -> torch.Tensor:
        raise NotImplementedError(f"{type(self)} does not say its log normaliser")

    @property
    def _mean_carrier_measure(self):
        raise NotImplementedError(f"{type(self)} does not say the mean of its log carrier measure")

    def _normalizer_and_slopes(self):
        """Natural parameters (as leaves), the log normaliser there, and its gradient: the means of the statistics."""
        with torch.enable_grad():
            parameters = [p.detach().requires_grad_() for p in self._natural_params]
            normalizer = self._log_normalizer(*parameters)
            slopes = torch.autograd.grad(normalizer.sum(), parameters, create_graph=True)
        return parameters, normalizer, slopes

    def entropy(self) -> torch.Tensor:
        """The entropy, from the Bregman divergence of the log normaliser."""
        carrier = self._mean_carrier_measure
        parameters, normalizer, slopes = self._normalizer_and_slopes()
        result = normalizer - carrier
        for parameter, slope in zip(parameters, slopes):
            own = parameter * slope
            result = result - own.reshape(self._batch_shape + (-1,)).sum(-1)
        return result
