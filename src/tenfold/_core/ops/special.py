"""Special functions: error functions, gamma functions, Bessel functions. Their values come from special_values.py."""

from __future__ import annotations

import math

import numpy as np

from ..ir.dtypes import decode, encode, float32, get_default_dtype
from ..trace.handle import Tensor, layout_of
from . import special_values as values
from .comparison import eq, logical_and
from .declare import elementwise, function, inplace_variant, not_implemented, operation, publish, store_out
from .elementwise import sign, zero_where
from .mathematics import clamp, sinc
from .power import exp, exp2, expm1, log, log1p, xlogy
from .random_gradients import standard_gamma_grad
from .reduction import logsumexp

TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
BOTH = "torch Tensor special"


def _of_one(
    name: str, fn, doc: str, gradient=None, where: str = BOTH, aliases=(), special_name: str | None = None, **options
):
    """A real function of one operand; integers are computed in the default dtype."""

    def of(input):
        return fn(input)

    of.__doc__ = doc
    options.setdefault("differentiable", gradient is not None)
    op = elementwise(
        kind="float", name=name, gradient=gradient, where=where, aliases=aliases, dtypes="bool int float",
        inplace="Tensor" in where.split(), **options,
    )(of)  # fmt: skip
    if special_name:
        publish(op, special_name, "special")
    return op


# --- error functions -----------------------------------------------------------------------------------------


erf = _of_one("erf", values.erf_values, "The error function.", lambda g, out, x: g * exp(-x * x) * TWO_OVER_ROOT_PI)
erfc = _of_one(
    "erfc",
    values.erfc_values,
    "1 - erf(input), exact where that is small.",
    lambda g, out, x: g * exp(-x * x) * -TWO_OVER_ROOT_PI,
)
erfinv = _of_one(
    "erfinv", values.erfinv_values, "The inverse of erf.", lambda g, out, x: g * exp(out * out) * (1 / TWO_OVER_ROOT_PI)
)
erfcx = _of_one(
    "erfcx",
    values.erfcx_values,
    "exp(input ** 2) * erfc(input), without overflow.",
    lambda g, out, x: g * (2 * x * out - TWO_OVER_ROOT_PI),
    "special",
    grad_name="SpecialErfcx",
)


def _normal_density(x):
    return exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


@operation(where="special", out=True, gradient=lambda g, out, input: g * _normal_density(input), grad_name="Mul")
def ndtr(input):
    """The distribution function of the normal distribution."""
    return (1 + erf(input * math.sqrt(0.5))) * 0.5


ndtri = _of_one(
    "ndtri",
    values.ndtri_values,
    "The inverse of ndtr.",
    lambda g, out, x: g / _normal_density(out),
    "special",
    grad_name="SpecialNdtri",
)
log_ndtr = _of_one(
    "log_ndtr", values.log_ndtr_values, "log(ndtr(input)), also where ndtr underflows.",
    lambda g, out, x: g / (erfcx(x * -math.sqrt(0.5)) * math.sqrt(math.pi / 2)), "special", grad_name="SpecialLogNdtr",
)  # fmt: skip


def _entr_values(x):
    return np.where(
        x > 0, -x * np.log(np.where(x > 0, x, 1)), np.where(x == 0, x * 0, np.where(np.isnan(x), x, -np.inf))
    )


entr = _of_one(
    "entr",
    _entr_values,
    "-input * log(input): 0 at 0, minus infinity below.",
    lambda g, out, x: g * (-log(x) - 1),
    "special",
    grad_name="SpecialEntr",
)


def _logit_bounds(eps: float, d) -> tuple[float, float]:
    """eps and 1 - eps as the dtype rounds them."""
    if not d.half:
        return eps, 1 - eps
    low = float(decode(encode(np.float32(eps), d), d))
    return low, float(decode(encode(np.float32(1 - low), d), d))


def _logit_gradient(g, out, input, eps):
    if eps is None or eps < 0:
        slope = 1 / (input * (1 - input))
        return g * slope + zero_where(slope * 0 + math.nan, logical_and(input >= 0, input <= 1))
    low, high = _logit_bounds(eps, layout_of(input).dtype)
    inside = logical_and(input >= low, input <= high)
    return zero_where(g / (input * (1 - input)), eq(inside, False))


@operation(gradient=_logit_gradient, where=BOTH, inplace=True, out=True)
def logit(input, eps=None):
    """log(input / (1 - input)), the inverse of sigmoid.

    Args: eps: input is first cut to [eps, 1 - eps]. Default None: NaN outside [0, 1]."""
    d = layout_of(input).dtype
    if d.is_complex:
        raise not_implemented("logit", d)
    x = input.to(get_default_dtype()) if d.category < 2 else input
    if eps is not None and eps >= 0:
        x = clamp(x, *_logit_bounds(eps, layout_of(x).dtype))
    return log(x / (1 - x))


# --- gamma functions -----------------------------------------------------------------------------------------

digamma = _of_one(
    "digamma", values.digamma_values, "The derivative of log gamma.", lambda g, out, x: g * polygamma(1, x)
)
lgamma = _of_one(
    "lgamma",
    values.lgamma_values,
    "log |gamma(input)|.",
    lambda g, out, x: g * digamma(x),
    "torch Tensor",
    special_name="gammaln",
)
publish(digamma, "psi", "special")


def _polygamma_values(input, n=1):
    return values.polygamma_values(input, n)


_polygamma = elementwise(
    kind="float",
    dtypes="bool int float",
    gradient=lambda g, out, x, n: g * polygamma(n + 1, x),
    data=(),
    where="",
    name="polygamma",
    inplace=False,
    out=False,
)(_polygamma_values)


def polygamma_of(n, input):
    if isinstance(n, Tensor):
        n, input = input, n
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n, here {n}.")
    return digamma(input) if n == 0 else _polygamma(input, int(n))


@function(where="torch special")
def polygamma(n, input, *, out=None):
    """The n-th derivative of digamma at input, n >= 0."""
    r = polygamma_of(n, input)
    return r if out is None else store_out(out, r, "polygamma")


@function(where="Tensor", name="polygamma")
def polygamma_method(self, n):
    """The n-th derivative of digamma, n >= 0."""
    return polygamma_of(n, self)


publish(inplace_variant(polygamma_method, "polygamma"), "polygamma_", "Tensor")


@function
def mvlgamma(input, p, *, out=None):
    """The logarithm of the multivariate gamma function of dimension p, for input > (p - 1) / 2."""
    if p < 1:
        raise RuntimeError(f"p has to be greater than or equal to 1, it is {p}")
    if layout_of(input).dtype.category < 2:
        input = input.to(get_default_dtype())
    terms = [lgamma(input - 0.5 * j) if j else lgamma(input) for j in range(p - 1, -1, -1)]
    d = layout_of(terms[0]).dtype
    total = terms[0].to(float32) if d.half else terms[0]  # a sum of half numbers is kept in float32
    for term in terms[1:]:
        total = total + term
    r = (total.to(d) + 0.25 * p * (p - 1) * math.log(math.pi)).contiguous()
    return r if out is None else store_out(out, r, "mvlgamma")


publish(mvlgamma, "multigammaln", "special")
publish(inplace_variant(mvlgamma, "mvlgamma"), "mvlgamma_", "Tensor")


def _zeta_gradient(g, out, input, other):
    return "zeta", g * -input * zeta(input + 1.0, other)


@elementwise(
    kind="float",
    dtypes="bool int float",
    gradient=_zeta_gradient,
    numbers="input other",
    where="special",
    inplace=False,
    grad_name="SpecialZeta",
)
def zeta(input, other):
    """Hurwitz's zeta function: the sum of (other + k) ** -input over k = 0, 1, 2 ..."""
    return values.zeta_values(np.asarray(input), np.asarray(other))


def _igamma_gradient(g, out, input, other):
    density = g * exp((input - 1) * log(other) - other - lgamma(input))
    return zero_where(-density * standard_gamma_grad(input, other), eq(other, 0)), density


@elementwise(dtypes="float", gradient=_igamma_gradient, numbers="")
def igamma(input, other):
    """The regularised lower incomplete gamma function P(input, other)."""
    return values.igamma_values(input, other)


@elementwise(dtypes="float", gradient=lambda g, out, a, x: _igamma_gradient(-g, out, a, x), numbers="")
def igammac(input, other):
    """The regularised upper incomplete gamma function Q(input, other)."""
    return values.igammac_values(input, other)


publish(igamma, "gammainc", "special")
publish(igammac, "gammaincc", "special")

# --- Bessel functions ----------------------------------------------------------------------------------------

i0 = _of_one(
    "i0", values.i0_values, "The modified Bessel function of the first kind of order 0.", lambda g, out, x: g * i1(x)
)
i0e = _of_one(
    "i0e",
    values.i0e_values,
    "exp(-|input|) * i0(input).",
    lambda g, out, x: g * (i1e(x) - sign(x) * out),
    "special",
    grad_name="SpecialI0E",
)


def _i1_gradient(g, out, x):
    at_zero = zero_where(out * 0 + 0.5, eq(eq(x, 0), False))
    return g * (at_zero + zero_where(i0(x) - out / x, eq(x, 0)))


def _i1e_gradient(g, out, x):
    at_zero = zero_where(out * 0 + 0.5, eq(eq(x, 0), False))
    return g * (at_zero + zero_where(i0e(x) - out * (sign(x) + 1 / x), eq(x, 0)))


i1 = _of_one(
    "i1",
    values.i1_values,
    "The modified Bessel function of the first kind of order 1.",
    _i1_gradient,
    "special",
    grad_name="SpecialI1",
)
i1e = _of_one("i1e", values.i1e_values, "exp(-|input|) * i1(input).", _i1e_gradient, "special", grad_name="SpecialI1E")


for _name, _fn, _doc in (
    ("bessel_j0", values.j0_values, "The Bessel function of the first kind of order 0."),
    ("bessel_j1", values.j1_values, "The Bessel function of the first kind of order 1."),
    ("bessel_y0", values.y0_values, "The Bessel function of the second kind of order 0."),
    ("bessel_y1", values.y1_values, "The Bessel function of the second kind of order 1."),
    ("modified_bessel_i0", values.i0_values, "The modified Bessel function of the first kind of order 0."),
    ("modified_bessel_i1", values.i1_values, "The modified Bessel function of the first kind of order 1."),
    ("modified_bessel_k0", values.k0_values, "The modified Bessel function of the second kind of order 0."),
    ("modified_bessel_k1", values.k1_values, "The modified Bessel function of the second kind of order 1."),
    ("scaled_modified_bessel_k0", values.k0e_values, "exp(input) times modified_bessel_k0."),
    ("scaled_modified_bessel_k1", values.k1e_values, "exp(input) times modified_bessel_k1."),
    ("spherical_bessel_j0", values.spherical_j0_values, "The spherical Bessel function of the first kind of order 0."),
    ("airy_ai", values.airy_ai_values, "Airy's function Ai."),
):
    _of_one(_name, _fn, _doc, where="special")

for _name, _f in (
    ("exp2", exp2),
    ("expm1", expm1),
    ("log1p", log1p),
    ("xlogy", xlogy),
    ("sinc", sinc),
    ("logsumexp", logsumexp),
):
    publish(_f, _name, "special")
