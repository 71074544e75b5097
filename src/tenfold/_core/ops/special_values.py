"""Special functions on NumPy arrays: error functions, gamma functions, Bessel functions, Airy's function.

Computed in double precision from Chebyshev expansions (special_tables.py), asymptotic series and recurrences; results
have the dtype of the first argument.

Sources: NIST Digital Library of Mathematical Functions (dlmf.nist.gov), chapters 5 to 10 and 25; Shepherd and
Laframboise 1981, Chebyshev approximation of (1 + 2x) exp(x^2) erfc x; Giles 2010, Approximating the erfinv function."""

from __future__ import annotations

import functools
import math

import numpy as np

from ..ir.arrays import compiled_as
from . import special_tables as tables

# --- expansions ----------------------------------------------------------------------------------------------


def series(coefficients, t, low=-1.0, high=1.0):
    """The Chebyshev expansion at t, scaled from [low, high] to [-1, 1]; Clenshaw's recurrence."""
    t = t if (low, high) == (-1.0, 1.0) else (2 * t - (low + high)) / (high - low)
    twice = 2 * t
    b1 = np.zeros_like(t)
    b2 = b1
    for c in coefficients[:0:-1]:
        b1, b2 = twice * b1 - b2 + c, b1
    return t * b1 - b2 + coefficients[0]


def in_double(fn):
    """fn on float64 copies of its arrays; the result in the dtype of the first."""

    @functools.wraps(fn)
    def wrapped(x, *more):
        x = np.asarray(x)
        with np.errstate(all="ignore"):
            r = fn(
                x.astype(np.float64),
                *[m.astype(np.float64) if isinstance(m, np.ndarray | np.generic) else m for m in more],
            )
        return r.astype(x.dtype)

    return wrapped


def pieces(x, *cases):
    """fn(x) where its condition holds, computed there alone; the first that holds counts. Cases: (condition, fn)."""
    shape = np.shape(x)
    x = np.atleast_1d(x)
    out = np.full(x.shape, np.nan)
    left = ~np.isnan(x)
    for condition, fn in cases:
        here = left & np.atleast_1d(condition)
        if here.all():
            return fn(x).reshape(shape)
        if here.any():
            out[here] = fn(x[here])
            left &= ~here
    return out.reshape(shape)


# --- error functions -----------------------------------------------------------------------------------------


def _erfcx_positive(x):
    return series(tables.ERFCX, (x - 3.75) / (x + 3.75)) / (1 + 2 * x)


def _gauss(x):
    """exp(-x ** 2), with the square split so that its rounding does not count."""
    head = np.trunc(x * 16) / 16
    return np.exp(-head * head) * np.exp(-(x - head) * (x + head))


def _erf(x):
    size = np.abs(x)
    return pieces(
        x,
        (size < 1, lambda v: v * series(tables.ERF, v * v, 0, 1)),
        (size < 6, lambda v: np.copysign(1 - _gauss(np.abs(v)) * _erfcx_positive(np.abs(v)), v)),
        (size >= 6, np.sign),
    )


_erf_double = in_double(_erf)
_TOP = tuple(np.float32(c) for c in tables.ERF_SINGLE_TOP)
_BOTTOM = tuple(np.float32(c) for c in tables.ERF_SINGLE_BOTTOM)


def _erf_single(x):
    """erf in float32, as a quotient of polynomials; it is 1 from 3.95 on."""
    x = np.clip(x, np.float32(-3.95), np.float32(3.95))
    z = x * x
    top = _horner(_TOP, z)
    top *= x
    top /= _horner(_BOTTOM, z)
    return np.clip(top, np.float32(-1), np.float32(1), out=top)


def _horner(coefficients, z):
    total = z * coefficients[-1]
    for c in coefficients[-2:0:-1]:
        total += c
        total *= z
    total += coefficients[0]
    return total


@compiled_as("erf")
def erf_values(x):
    """erf of a float array."""
    return _erf_single(x) if x.dtype == np.float32 and x.ndim else _erf_double(x)


@compiled_as("erfc")
@in_double
def erfc_values(x):
    size = np.abs(x)
    return pieces(
        x,
        (size < 1, lambda v: 1 - v * series(tables.ERF, v * v, 0, 1)),
        (x >= 28, np.zeros_like),
        (x > 0, lambda v: _gauss(v) * _erfcx_positive(v)),
        (x <= -6, lambda v: np.full_like(v, 2.0)),
        (x < 0, lambda v: 2 - _gauss(v) * _erfcx_positive(-v)),
    )


@in_double
def erfcx_values(x):
    return pieces(
        x,
        (x >= 0, lambda v: np.where(np.isinf(v), 0.0, _erfcx_positive(np.minimum(v, 1e300)))),
        (x < -27, lambda v: np.full_like(v, np.inf)),
        (x < 0, lambda v: 2 * np.exp(v * v) - _erfcx_positive(-v)),
    )


_GILES_NEAR = (
    1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087, -4.39150654e-06, -3.5233877e-06,
    3.43273939e-07, 2.81022636e-08,
)  # fmt: skip
_GILES_FAR = (
    2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844, 0.00134934322,
    0.000100950558, -0.000200214257,
)  # fmt: skip


def _inverse_erfc(q):
    """y >= 0 with erfc(y) = q, for q in (0, 1]: Giles' polynomials, then Newton's method on the logarithm."""
    w = -np.log(q * (2 - q))
    near = np.polynomial.polynomial.polyval(w - 2.5, _GILES_NEAR)
    far = np.polynomial.polynomial.polyval(np.sqrt(np.minimum(w, 40.0)) - 3, _GILES_FAR)
    y = np.where(w < 5, near, far) * (1 - q)
    level = -np.log(q * math.sqrt(math.pi))
    y = np.where(q < 1e-16, np.sqrt(np.maximum(level - 0.5 * np.log(np.maximum(level, 1.0)), 1.0)), y)
    log_q = np.log(q)
    for _ in range(4):
        cx = _erfcx_positive(y)
        y = y + (np.log(cx) - y * y - log_q) * cx * (0.5 * math.sqrt(math.pi))
    return y


def _inverse_erf_small(x):
    w = -np.log((1 - x) * (1 + x))
    y = x * np.polynomial.polynomial.polyval(w - 2.5, _GILES_NEAR)
    for _ in range(2):
        y = y - (_erf(y) - x) * (0.5 * math.sqrt(math.pi)) * np.exp(y * y)
    return y


@in_double
def erfinv_values(x):
    size = np.abs(x)
    return pieces(
        x,
        (size <= 0.5, _inverse_erf_small),
        (size < 1, lambda v: np.copysign(_inverse_erfc(1 - np.abs(v)), v)),
        (size == 1, lambda v: np.copysign(np.inf, v)),
    )


@in_double
def ndtri_values(p):
    """x at which the normal distribution function is p."""
    return pieces(
        p,
        (p == 0, lambda v: np.full_like(v, -np.inf)),
        (p == 1, lambda v: np.full_like(v, np.inf)),
        ((p < 0) | (p > 1), lambda v: np.full_like(v, np.nan)),
        (p < 0.25, lambda v: -math.sqrt(2) * _inverse_erfc(2 * v)),
        (p <= 0.75, lambda v: math.sqrt(2) * _inverse_erf_small(2 * v - 1)),
        (p > 0.75, lambda v: math.sqrt(2) * _inverse_erfc(2 * (1 - v))),
    )


@in_double
def log_ndtr_values(x):
    """The logarithm of the normal distribution function, also where that underflows."""
    z = x * math.sqrt(0.5)
    return pieces(
        z,
        (np.isinf(z) & (z < 0), lambda v: v),
        (z < -1, lambda v: np.log(_erfcx_positive(-v) / 2) - v * v),
        (z >= -1, lambda v: np.log1p(-erfc_values(v) / 2)),
    )


# --- gamma functions -----------------------------------------------------------------------------------------

_BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330, 854513 /
    138, -236364091 / 2730,
)  # fmt: skip


def _lgamma_positive(x):
    """An expansion of lgamma(x) / ((x - 1) (x - 2)) on [1, 3], so that 1 and 2 give 0; Stirling's series (DLMF
    5.11.1) from
    12; the recurrence between and below them."""
    return pieces(
        x,
        (x < 1, lambda v: _lgamma_near(v + 1) - np.log(v)),
        (x < 3, _lgamma_near),
        (np.isinf(x), lambda v: v),
        (x >= 3, _lgamma_far),
    )


def _lgamma_near(x):
    return (x - 1) * (x - 2) * series(tables.LGAMMA, x, 1, 3) + 0.0


def _lgamma_far(x):
    product = np.ones_like(x)
    z = x
    for _ in range(9):
        low = z < 12
        if not low.any():
            break
        product = np.where(low, product * z, product)
        z = np.where(low, z + 1, z)
    inverse = 1 / (z * z)
    tail = np.zeros_like(z)
    for k in range(8, 0, -1):
        tail = tail * inverse + _BERNOULLI[k - 1] / (2 * k * (2 * k - 1))
    return (z - 0.5) * np.log(z) - z + 0.5 * math.log(2 * math.pi) + tail / z - np.log(product)


@in_double
def lgamma_values(x):
    """log |gamma(x)|; infinite at 0 and the negative whole numbers."""
    return pieces(
        x,
        ((x <= 0) & (x == np.floor(x)), lambda v: np.full_like(v, np.inf)),
        (x > 0, _lgamma_positive),
        (x < 0, lambda v: math.log(math.pi) - np.log(np.abs(_sin_pi(v))) - _lgamma_positive(1 - v)),
    )


def _sin_pi(x):
    return np.sin(np.pi * (x - 2 * np.round(x / 2)))


def _digamma_positive(x):
    """DLMF 5.11.2 from 12, below it by the recurrence."""
    total = np.zeros_like(x)
    z = x
    for _ in range(12):
        low = z < 12
        total = np.where(low, total - 1 / z, total)
        z = np.where(low, z + 1, z)
    inverse = 1 / (z * z)
    tail = np.zeros_like(z)
    for k in range(8, 0, -1):
        tail = (tail + _BERNOULLI[k - 1] / (2 * k)) * inverse
    return np.where(np.isinf(x), x, total + np.log(z) - 0.5 / z - tail)


@in_double
def digamma_values(x):
    """The derivative of log gamma; infinite at 0, NaN at the negative whole numbers."""
    return pieces(
        x,
        (x == 0, lambda v: np.copysign(np.inf, -v)),
        (x > 0, _digamma_positive),
        (x == np.floor(x), lambda v: np.full_like(v, np.nan)),
        (x < 0, lambda v: _digamma_positive(1 - v) - np.pi / np.tan(np.pi * (v - np.round(v)))),
    )


def _zeta(s, q):
    """sum of (q + k) ** -s over k >= 0, by the Euler-Maclaurin formula (DLMF 25.11.5)."""
    total = np.zeros(np.broadcast(s, q).shape)
    count = 12 + int(np.clip(np.ceil(-np.min(q, initial=0.0)), 0, 10_000))
    for k in range(count):
        total = total + (q + k) ** -s
    w = q + count
    total = total + w ** (1 - s) / (s - 1) + 0.5 * w**-s
    factor = s * w ** (-s - 1)
    for k, b in enumerate(_BERNOULLI, 1):
        total = total + factor * (b / math.factorial(2 * k))
        factor = factor * (s + 2 * k - 1) * (s + 2 * k) / (w * w)
    return total


@in_double
def zeta_values(s, q):
    """Hurwitz's zeta function: infinite at s = 1 and at q = 0, -1, -2 ...; NaN for s < 1."""
    s, q = np.broadcast_arrays(s, q)
    pole = (s == 1) | ((s > 1) & (q <= 0) & (q == np.floor(q)))
    outside = (s < 1) | ((q <= 0) & (s != np.floor(s)))
    safe = pole | outside | np.isnan(s) | np.isnan(q) | np.isinf(s) | np.isinf(q)
    r = _zeta(np.where(safe, 2.0, s), np.where(safe, 1.0, q))
    r = np.where(pole, np.inf, np.where(outside, np.nan, r))
    r = np.where(np.isinf(q) & (s > 1) & (q > 0), 0.0, r)
    return np.where(np.isnan(s) | np.isnan(q), np.nan, r)


@in_double
def polygamma_values(x, n):
    """The n-th derivative of digamma, n >= 1."""
    if n == 1:
        return pieces(
            x,
            (x > 0, lambda v: _zeta(2.0, v)),
            (x <= 0, lambda v: (np.pi / np.sin(np.pi * v)) ** 2 - _zeta(2.0, 1 - v)),
        )
    sign = 1.0 if n % 2 else -1.0
    return sign * math.gamma(n + 1) * zeta_values(np.full_like(x, n + 1.0), x)


def _lower_series(a, x):
    """P(a, x) by its power series (DLMF 8.11.4)."""
    term = np.ones_like(x)
    total = term
    k = a
    for _ in range(5000):
        k = k + 1
        term = term * x / k
        total = total + term
        if np.all(term <= total * 1e-17):
            break
    return np.exp(a * np.log(x) - x - _lgamma_positive(a + 1)) * total


def _upper_fraction(a, x):
    """Q(a, x) by its continued fraction (DLMF 8.9.2), with Lentz's method."""
    b = x + 1 - a
    c = np.full_like(x, 1e300)
    d = 1 / b
    h = d
    for i in range(1, 5000):
        an = -i * (i - a)
        b = b + 2
        d = 1 / np.where(an * d + b == 0, 1e-300, an * d + b)
        c = np.where(b + an / c == 0, 1e-300, b + an / c)
        step = d * c
        h = h * step
        if np.all(np.abs(step - 1) < 1e-16):
            break
    return np.exp(a * np.log(x) - x - _lgamma_positive(a)) * h


def _uniform(a, x, upper: bool):
    """P(a, x) or Q(a, x) for large a and x near to it, where series and fraction need some sqrt(a) steps (DLMF 8.12)."""
    mu = (x - a) / a
    half = np.zeros(a.shape)  # of eta squared: mu - log(1 + mu)
    for k in range(18, 1, -1):
        half = mu * half + (-1) ** k / k
    half *= mu * mu
    eta = np.copysign(np.sqrt(2 * half), mu)
    first = np.polyval((1 / 25515, -139 / 777600, 1 / 2835, 1 / 864, -2 / 135, 1 / 12, -1 / 3), eta)
    second = np.polyval((-139 / 77760, 25 / 6048, -1 / 288, -1 / 540), eta)
    rest = np.exp(-a * half) / np.sqrt(2 * np.pi * a) * (first + second / a)
    sign = 1 if upper else -1
    return 0.5 * erfc_values(sign * eta * np.sqrt(a / 2)) + sign * rest


def _incomplete_gamma(a, x, upper: bool):
    a, x = np.broadcast_arrays(a, x)
    small = x < a + 1
    usual = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    near = usual & (a > 2e4) & (np.abs(x - a) < 0.1 * a)
    low = np.zeros(a.shape)
    here = usual & small & ~near
    if here.any():
        low[here] = _lower_series(a[here], x[here])
    there = usual & ~small & ~near
    high = np.zeros(a.shape)
    if there.any():
        high[there] = _upper_fraction(a[there], x[there])
    p = np.where(small, low, 1 - high)
    q = np.where(small, 1 - low, high)
    r = q if upper else p
    if near.any():
        r[near] = _uniform(a[near], x[near], upper)
    r = np.where((x == 0) & (a > 0), 1.0 if upper else 0.0, r)
    r = np.where((a == 0) & (x > 0), 0.0 if upper else 1.0, r)
    r = np.where(np.isinf(x) & np.isfinite(a) & (a >= 0), 0.0 if upper else 1.0, r)
    r = np.where(np.isinf(a) & np.isfinite(x), 1.0 if upper else 0.0, r)
    bad = (a < 0) | (x < 0) | ((a == 0) & (x == 0)) | np.isnan(a) | np.isnan(x) | (np.isinf(a) & np.isinf(x))
    return np.where(bad, np.nan, r)


@in_double
def igamma_values(a, x):
    return _incomplete_gamma(np.atleast_1d(a), np.atleast_1d(x), False).reshape(np.broadcast(a, x).shape)


@in_double
def igammac_values(a, x):
    return _incomplete_gamma(np.atleast_1d(a), np.atleast_1d(x), True).reshape(np.broadcast(a, x).shape)


# --- Bessel functions: NaN at infinity where PyTorch says so -------------------------------------------------


def _i_scaled(order):
    near, far = (tables.I0_NEAR, tables.I0_FAR) if order == 0 else (tables.I1_NEAR, tables.I1_FAR)

    def scaled(x):
        size = np.abs(x)
        r = pieces(
            size,
            (size <= 8, lambda v: series(near, v, 0, 8) * (v if order else 1)),
            (np.isinf(size), np.zeros_like),
            (size > 8, lambda v: series(far, 1 / v, 0, 0.125) / np.sqrt(v)),
        )
        return r * np.sign(x) if order else r

    return scaled


_i0_scaled, _i1_scaled = _i_scaled(0), _i_scaled(1)


@in_double
def i0e_values(x):
    return _i0_scaled(x)


@in_double
def i1e_values(x):
    return _i1_scaled(x)


def _unscaled(scaled, x):
    """exp(|x|) times the scaled value, also where the exponential alone overflows; NaN at infinity, as PyTorch has
    it."""
    half = np.exp(np.abs(x) / 2)
    return np.where(np.isinf(x), np.nan, scaled(x) * half * half)


@in_double
def i0_values(x):
    return _unscaled(_i0_scaled, x)


@in_double
def i1_values(x):
    return _unscaled(_i1_scaled, x)


def _k_scaled(order, x):
    rest, far = (tables.K0_NEAR, tables.K0_FAR) if order == 0 else (tables.K1_NEAR, tables.K1_FAR)

    def near(v):
        r = series(rest, v * v, 0, 4)
        if order == 0:
            r = r - np.log(v / 2) * _i0_scaled(v) * np.exp(v)
        else:
            r = r * v + np.log(v / 2) * _i1_scaled(v) * np.exp(v) + 1 / v
        return r * np.exp(v)

    return pieces(
        x,
        (x == 0, lambda v: np.full_like(v, np.inf)),
        (np.isinf(x) & (x > 0), np.zeros_like),
        (x > 2, lambda v: series(far, 1 / v, 0, 0.5) / np.sqrt(v)),
        (x > 0, near),
    )


@in_double
def k0e_values(x):
    return _k_scaled(0, x)


@in_double
def k1e_values(x):
    return _k_scaled(1, x)


@in_double
def k0_values(x):
    return np.where(np.isinf(x) & (x > 0), 0.0, _k_scaled(0, x) * np.exp(-x))


@in_double
def k1_values(x):
    return np.where(np.isinf(x) & (x > 0), 0.0, _k_scaled(1, x) * np.exp(-x))


def _hankel(order, x, second: bool):
    """J (or Y) from 8 on, by Hankel's form (DLMF 10.17)."""
    p, q = (tables.P0_FAR, tables.Q0_FAR) if order == 0 else (tables.P1_FAR, tables.Q1_FAR)
    z = (8 / x) ** 2
    chi = x - (2 * order + 1) * np.pi / 4
    even, odd = series(p, z, 0, 1), series(q, z, 0, 1) / x
    wave = even * np.sin(chi) + odd * np.cos(chi) if second else even * np.cos(chi) - odd * np.sin(chi)
    return np.sqrt(2 / (np.pi * x)) * wave


def _j(order, x):
    """J for x >= 0."""
    near = tables.J0_NEAR if order == 0 else tables.J1_NEAR
    return pieces(
        x,
        (x <= 8, lambda v: series(near, v * v, 0, 64) * (v if order else 1)),
        (x > 8, lambda v: _hankel(order, v, False)),
    )


@in_double
def j0_values(x):
    return _j(0, np.abs(x))


@in_double
def j1_values(x):
    return np.where(x < 0, -1.0, 1.0) * _j(1, np.abs(x))


def _y(order, x):
    rest = tables.Y0_NEAR if order == 0 else tables.Y1_NEAR

    def near(v):
        r = (
            series(rest, v * v, 0, 64) + 2 / np.pi * np.log(v) * _j(0, v)
            if order == 0
            else series(rest, v * v, 0, 64) * v
        )
        return r if order == 0 else r + 2 / np.pi * (np.log(v) * _j(1, v) - 1 / v)

    return pieces(
        x,
        (x == 0, lambda v: np.full_like(v, -np.inf)),
        (x > 8, lambda v: _hankel(order, v, True)),
        (x > 0, near),
    )


@in_double
def y0_values(x):
    return _y(0, x)


@in_double
def y1_values(x):
    return _y(1, x)


@in_double
def spherical_j0_values(x):
    safe = np.where((x == 0) | np.isinf(x), 1.0, x)
    return np.where(x == 0, 1.0, np.where(np.isinf(x), 0.0, np.sin(safe) / safe))


def _airy_decay(x):
    zeta = 2 / 3 * x * np.sqrt(x)
    return series(tables.AI_FAR, 1 / zeta, 0, 0.29) * np.exp(-zeta) / (2 * np.sqrt(np.pi) * np.sqrt(np.sqrt(x)))


def _airy_waves(x):
    size = -x
    zeta = 2 / 3 * size * np.sqrt(size)
    u = 1 / (zeta * zeta)
    even, odd = series(tables.AI_COS, u, 0, 0.0045), series(tables.AI_SIN, u, 0, 0.0045) / zeta
    angle = zeta - np.pi / 4
    return (even * np.cos(angle) + odd * np.sin(angle)) / (np.sqrt(np.pi) * np.sqrt(np.sqrt(size)))


@in_double
def airy_ai_values(x):
    return pieces(
        x,
        (np.isinf(x), lambda v: np.full_like(v, np.nan)),  # as PyTorch has it
        (x > 3, _airy_decay),
        (x >= 0, lambda v: series(tables.AI_0_3, v, 0, 3)),
        (x >= -4, lambda v: series(tables.AI_M4_0, v, -4, 0)),
        (x >= -8, lambda v: series(tables.AI_M8_M4, v, -8, -4)),
        (x < -8, _airy_waves),
    )
