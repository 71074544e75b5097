"""Kullback-Leibler divergences KL(p || q) = E_p[log p(x) - log q(x)], found by the types of p and q."""

from __future__ import annotations

import math
import warnings

import tenfold as torch

from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .continuous_bernoulli import ContinuousBernoulli
from .dirichlet import Dirichlet
from .distribution import Distribution
from .exp_family import ExponentialFamily
from .exponential import Exponential
from .gamma import Gamma
from .geometric import Geometric
from .gumbel import Gumbel
from .half_normal import HalfNormal
from .independent import Independent
from .laplace import Laplace
from .lowrank_multivariate_normal import LowRankMultivariateNormal
from .multivariate_normal import MultivariateNormal, half_log_det, squared_mahalanobis
from .normal import Normal
from .one_hot_categorical import OneHotCategorical
from .pareto import Pareto
from .poisson import Poisson
from .transformed_distribution import TransformedDistribution
from .uniform import Uniform
from .utils import euler_constant, sum_rightmost

__all__ = ["register_kl", "kl_divergence"]

_registered: dict[tuple[type, type], object] = {}
_found: dict[tuple[type, type], object] = {}  # what was chosen for types of objects


def register_kl(type_p, type_q):
    """A decorator: the function f(p, q) gives KL(p || q) for these classes and their subclasses.

    Where several functions fit, that of the closest class of p is taken, and among those of the closest class of q.
    Raises: TypeError if an argument is no class."""
    for given in (type_p, type_q):
        if not isinstance(given, type):
            raise TypeError(f"register_kl takes two Distribution classes, {given!r} is none")

    def register(function):
        _registered[type_p, type_q] = function
        _found.clear()
        return function

    return register


def kl_divergence(p: Distribution, q: Distribution) -> torch.Tensor:
    """KL(p || q), of shape batch_shape.

    Raises: NotImplementedError if no function was registered for the types of p and q."""
    types = type(p), type(q)
    if types not in _found:
        _found[types] = _find(*types)
    function = _found[types]
    if function is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {types[0].__name__} and q type {types[1].__name__}: "
            "give one with register_kl"
        )
    return function(p, q)


def _find(type_p: type, type_q: type):
    """The function for the closest classes, or None; a warning if p and q each prefer another."""
    order_p, order_q = type_p.__mro__, type_q.__mro__
    fitting = [pair for pair in _registered if pair[0] in order_p and pair[1] in order_q]
    if not fitting:
        return None
    by_p = min(fitting, key=lambda pair: (order_p.index(pair[0]), order_q.index(pair[1])))
    by_q = min(fitting, key=lambda pair: (order_q.index(pair[1]), order_p.index(pair[0])))
    if _registered[by_p] is not _registered[by_q]:
        names = [f"kl_divergence({a.__name__}, {b.__name__})" for a, b in (by_p, by_q)]
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}): {names[0]} is used, and {names[1]} would "
            "fit as well; register one for both",
            RuntimeWarning,
            stacklevel=3,
        )
    return _registered[by_p]


# --- cross entropies: -E_p[log q(x)] needs but a few expectations of p ------------------------------------------------


def _mean_log(p):
    """E_p[log x]."""
    if isinstance(p, Beta):
        return torch.digamma(p.concentration1) - torch.digamma(p.concentration1 + p.concentration0)
    if isinstance(p, Gamma):
        return torch.digamma(p.concentration) - p.rate.log()
    if isinstance(p, Exponential):
        return -euler_constant - p.rate.log()
    if isinstance(p, Pareto):
        return p.scale.log() + p.alpha.reciprocal()
    return _mean_log_uniform(p.low, p.high)


def _mean_log_uniform(low, high):
    return (torch.xlogy(high, high) - torch.xlogy(low, low)) / (high - low) - 1


def _mean_log_of_rest(p):
    """E_p[log(1 - x)]."""
    if isinstance(p, Beta):
        return torch.digamma(p.concentration0) - torch.digamma(p.concentration1 + p.concentration0)
    return _mean_log_uniform(1 - p.high, 1 - p.low)


def _log_mean_exp(p, t):
    """log E_p[exp(-t x)], for t > 0."""
    if isinstance(p, Normal):
        return -t * p.loc + 0.5 * (t * p.scale).pow(2)
    if isinstance(p, Exponential):
        return -torch.log1p(t / p.rate)
    if isinstance(p, Gamma):
        return -p.concentration * torch.log1p(t / p.rate)
    if isinstance(p, Gumbel):
        return -t * p.loc + torch.lgamma(1 + t * p.scale)
    return -t * p.low + torch.log(-torch.expm1(t * (p.low - p.high)) / (t * (p.high - p.low)))


def _to_normal(p, q):
    """The second moment around q's mean."""
    square = p.variance + (p.mean - q.loc).pow(2)
    return 0.5 * math.log(2 * math.pi) + q.scale.log() + square / (2 * q.variance)


def _to_exponential(p, q):
    return q.rate * p.mean - q.rate.log()


def _to_gamma(p, q):
    constant = torch.lgamma(q.concentration) - q.concentration * q.rate.log()
    return constant + (1 - q.concentration) * _mean_log(p) + q.rate * p.mean


def _to_beta(p, q):
    a, b = q.concentration1, q.concentration0
    constant = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
    return constant + (1 - a) * _mean_log(p) + (1 - b) * _mean_log_of_rest(p)


def _to_continuous_bernoulli(p, q):
    return -p.mean * q.logits - torch.log1p(-q.probs) - q._log_norm()


def _to_gumbel(p, q):
    t = q.scale.reciprocal()
    return q.scale.log() + t * (p.mean - q.loc) + torch.exp(t * q.loc + _log_mean_exp(p, t))


def _to_laplace(p, q):
    """The mean distance of a normal number from q's centre."""
    offset = p.loc - q.loc
    z = offset / (p.scale * math.sqrt(2))
    distance = p.scale * math.sqrt(2 / math.pi) * torch.exp(-z.pow(2)) + offset * torch.erf(z)
    return torch.log(2 * q.scale) + distance / q.scale


def _to_uniform(p, q):
    return torch.log(q.high - q.low)


def _to_pareto(p, q):
    return (q.alpha + 1) * _mean_log(p) - q.alpha.log() - q.alpha * q.scale.log()


def _ends(p):
    """The ends of the support of a distribution of numbers, tensors or numbers."""
    if isinstance(p, Uniform):
        return p.low, p.high
    if isinstance(p, Pareto):
        return p.scale, math.inf
    if isinstance(p, (Beta, ContinuousBernoulli)):
        return 0.0, 1.0
    return (0.0, math.inf) if isinstance(p, (Exponential, Gamma)) else (-math.inf, math.inf)


def _divergence(cross_entropy):
    """-entropy(p) plus the cross entropy; infinite where p has values that q has not."""

    def divergence(p, q):
        result = cross_entropy(p, q) - p.entropy()
        (p_low, p_high), (q_low, q_high) = _ends(p), _ends(q)
        is_outside = (p_low < q_low) | (p_high > q_high)
        return torch.where(is_outside, math.inf, result) if isinstance(is_outside, torch.Tensor) else result

    return divergence


def _infinite(p, q):
    """p always has values that q has not."""
    return torch.full(p.batch_shape, math.inf, dtype=p.mean.dtype, device=p.mean.device)


# For each class of q: the cross entropy, the classes of p that have the expectations for it, and those of p that are
# never inside its support.
_OF_THE_LINE = (Gumbel, Laplace, Normal)
_OF_THE_HALF_LINE = (Exponential, Gamma)
_PAIRS = {
    Beta: (_to_beta, (Uniform,), (*_OF_THE_LINE, *_OF_THE_HALF_LINE, Pareto)),
    ContinuousBernoulli: (
        _to_continuous_bernoulli,
        (Beta, ContinuousBernoulli, Uniform),
        (*_OF_THE_LINE, *_OF_THE_HALF_LINE, Pareto),
    ),
    Exponential: (_to_exponential, (Beta, ContinuousBernoulli, Gamma, Pareto, Uniform), _OF_THE_LINE),
    Gamma: (_to_gamma, (Beta, Exponential, Pareto, Uniform), _OF_THE_LINE),
    Gumbel: (_to_gumbel, (Exponential, Gamma, Gumbel, Normal, Uniform), ()),
    Laplace: (_to_laplace, (Normal,), ()),
    Normal: (_to_normal, (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform), ()),
    Pareto: (_to_pareto, (Uniform,), (*_OF_THE_LINE, *_OF_THE_HALF_LINE, Beta, ContinuousBernoulli)),
    Uniform: (
        _to_uniform,
        (Beta, ContinuousBernoulli, Uniform),
        (*_OF_THE_LINE, *_OF_THE_HALF_LINE, Pareto),
    ),
}
for _q, (_cross_entropy, _finite, _outside) in _PAIRS.items():
    for _p in _finite:
        register_kl(_p, _q)(_divergence(_cross_entropy))
    for _p in _outside:
        register_kl(_p, _q)(_infinite)
register_kl(Poisson, Bernoulli)(_infinite)
register_kl(Poisson, Binomial)(_infinite)


# --- two of a kind: formulas without a difference of large numbers ----------------------------------------------------


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p, q):
    softplus = torch.nn.functional.softplus
    of_1 = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    of_1 = of_1.masked_fill(q.probs == 0, math.inf).masked_fill(p.probs == 0, 0)
    of_0 = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    of_0 = of_0.masked_fill(q.probs == 1, math.inf).masked_fill(p.probs == 1, 0)
    return of_1 + of_0


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p, q):
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, Beta)
def _beta(p, q):
    return kl_divergence(p._dirichlet, q._dirichlet)


@register_kl(Binomial, Binomial)
def _binomial(p, q):
    """That of all trials; infinite where p has more of them than q."""
    if (p.total_count < q.total_count).any():
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    return (p.total_count * _bernoulli(p, q)).masked_fill(p.total_count > q.total_count, math.inf)


@register_kl(Categorical, Categorical)
def _categorical(p, q):
    terms = p.probs * (p.logits - q.logits)
    return terms.masked_fill(q.probs == 0, math.inf).masked_fill(p.probs == 0, 0).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_categorical(p, q):
    return kl_divergence(p._categorical, q._categorical)


@register_kl(Cauchy, Cauchy)
def _cauchy(p, q):
    """Source: Chyzak and Nielsen 2019, A closed-form formula for the Kullback-Leibler divergence between Cauchys."""
    square = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return square.log() - (4 * p.scale * q.scale).log()


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p, q):
    a, b = p.concentration, q.concentration
    total_a, total_b = a.sum(-1), b.sum(-1)
    normalizers = total_a.lgamma() - total_b.lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    return normalizers + ((a - b) * (a.digamma() - total_a.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p, q):
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p, q):
    """The Bregman divergence of the log normaliser. Source: Nielsen and Nock 2010."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot be computed using Bregman "
            f"divergences: p is {type(p).__name__}, q is {type(q).__name__}; give a function with register_kl"
        )
    parameters, normalizer, slopes = p._normalizer_and_slopes()
    others = q._natural_params
    result = q._log_normalizer(*others) - normalizer
    batch_ndims = max(len(p.batch_shape), len(q.batch_shape))
    for parameter, other, slope in zip(parameters, others, slopes):
        term = (other - parameter) * slope
        result = result - sum_rightmost(term, term.dim() - batch_ndims)
    return result


@register_kl(Gamma, Gamma)
def _gamma(p, q):
    a, b = p.concentration, q.concentration
    normalizers = b * (p.rate / q.rate).log() + b.lgamma() - a.lgamma()
    return normalizers + (a - b) * a.digamma() + (q.rate - p.rate) * (a / p.rate)


@register_kl(Geometric, Geometric)
def _geometric(p, q):
    return -p.entropy() - torch.log1p(-q.probs) / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p, q):
    return _normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace(p, q):
    ratio = p.scale / q.scale
    distance = (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * torch.exp(-distance / p.scale) - 1


@register_kl(Normal, Normal)
def _normal(p, q):
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(Pareto, Pareto)
def _pareto(p, q):
    scales, shapes = p.scale / q.scale, q.alpha / p.alpha
    result = q.alpha * scales.log() - shapes.log() + shapes - 1
    return torch.where(p.scale < q.scale, math.inf, result)


@register_kl(Poisson, Poisson)
def _poisson(p, q):
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


# --- vectors ----------------------------------------------------------------------------------------------------------


def _check_event_shapes(p, q) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"KL-divergence between {type(p).__name__} and {type(q).__name__} with different event shapes cannot be "
            f"computed: {p.event_shape} and {q.event_shape}"
        )


def _trace_of_product(factor_q, *factors_p):
    """trace(inverse(L @ L.T) @ sum of W @ W.T), L being factor_q."""
    total = 0
    for factor in factors_p:
        total = total + torch.linalg.solve_triangular(factor_q, factor, upper=False).pow(2).sum((-2, -1))
    return total


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p, q):
    _check_event_shapes(p, q)
    p_tril, q_tril = p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril
    trace = _trace_of_product(q_tril, p_tril)
    distance = squared_mahalanobis(q_tril, q.loc - p.loc)
    return half_log_det(q_tril) - half_log_det(p_tril) + 0.5 * (trace + distance - p.event_shape[0])


def _low_rank_factors(p):
    """Factors of the covariance of a low rank normal distribution: W and the root of D."""
    return p._unbroadcasted_cov_factor, torch.diag_embed(p._unbroadcasted_cov_diag.sqrt())


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _low_rank_to_multivariate_normal(p, q):
    _check_event_shapes(p, q)
    q_tril = q._unbroadcasted_scale_tril
    trace = _trace_of_product(q_tril, *_low_rank_factors(p))
    distance = squared_mahalanobis(q_tril, q.loc - p.loc)
    return half_log_det(q_tril) + 0.5 * (trace + distance - p._log_det() - p.event_shape[0])


def _to_low_rank(p_factors, p_log_det, p, q):
    """trace(inverse(D + W W.T) @ A @ A.T) by Woodbury's identity, for each factor A of p's covariance."""
    _check_event_shapes(p, q)
    over_diag = q._factor_over_diag()
    root = q._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
    trace = 0
    for factor in p_factors:
        whole = (factor / root).pow(2).sum((-2, -1))
        trace = trace + whole - _trace_of_product(q._capacitance_tril, over_diag @ factor)
    distance = q._squared_mahalanobis(q.loc - p.loc)
    return 0.5 * (q._log_det() - p_log_det + trace + distance - p.event_shape[0])


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _multivariate_normal_to_low_rank(p, q):
    p_tril = p._unbroadcasted_scale_tril
    return _to_low_rank([p_tril], 2 * half_log_det(p_tril), p, q)


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _low_rank(p, q):
    return _to_low_rank(_low_rank_factors(p), p._log_det(), p, q)


# --- made of distributions --------------------------------------------------------------------------------------------


@register_kl(Independent, Independent)
def _independent(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError(
            f"KL between Independent with {p.reinterpreted_batch_ndims} and with {q.reinterpreted_batch_ndims} "
            "reinterpreted_batch_ndims is not implemented"
        )
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p, q):
    """That of the base distributions, since the same transforms leave it as it is."""
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError(
            f"KL between {type(p).__name__} and {type(q).__name__} needs equal transforms and event shapes; give a "
            "function with register_kl"
        )
    return kl_divergence(p.base_dist, q.base_dist)
