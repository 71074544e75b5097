"""exp and its kin, logarithms and powers of vectors. `vector_math` is the way in.

A builder takes values and a `Precision` and returns a value. 'short' is float64 arithmetic with polynomials that are
good for a result in float32, whose arguments are never denormal in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from .vector_values import (
    Value,
    at_least,
    at_most,
    fma,
    magnitude,
    polynomial,
    select,
    with_sign_of,
)

INFINITY = math.inf
NAN = math.nan


@dataclass(frozen=True)
class Precision:
    """What the functions need to know of a format, and how far their polynomials go."""

    kind: str
    mantissa: int  # bits of the fraction
    bias: int  # of the exponent
    smallest: float  # normal number
    ln2: float
    ln2_low: float
    log2_e: float
    exp_range: tuple[float, float]  # from here on exp is 0, and inf
    exp2_range: tuple[float, float]
    exp: tuple[float, ...]  # q in exp(r) = 1 + r + r**2 * q(r), |r| <= log(2)/2
    short: bool = False

    @property
    def rounder(self) -> float:
        """1.5 * 2**mantissa rounds to integers when it is added; 2 * bias more makes halves of an exponent (`scaled`)."""
        return 1.5 * 2.0**self.mantissa + 2 * self.bias


SINGLE = Precision(
    kind="f32",
    mantissa=23,
    bias=127,
    smallest=2.0**-126,
    ln2=0.6931472,
    ln2_low=-1.9046542e-09,
    log2_e=1.442695,
    exp_range=(-104.0, 100.0),
    exp2_range=(-152.0, 130.0),
    exp=(0.001383906, 0.008369201, 0.041668102, 0.16666517, 0.49999994),
)
DOUBLE = Precision(
    kind="f64",
    mantissa=52,
    bias=1023,
    smallest=2.0**-1022,
    ln2=0.6931471805599453,
    ln2_low=2.3190468138462996e-17,
    log2_e=1.4426950408889634,
    exp_range=(-746.0, 720.0),
    exp2_range=(-1080.0, 1030.0),
    exp=(
        *(2.0973638403294793e-09, 2.510963483687388e-08, 2.7557171621800283e-07, 2.7557242826278525e-06),
        *(2.480158735767646e-05, 0.00019841269887222569, 0.0013888888888894438, 0.008333333333321282),
        *(0.041666666666666644, 0.16666666666666677, 0.5),
    ),
)
SHORT = replace(
    DOUBLE,
    short=True,
    exp=(
        *(0.00019824171029229337, 0.001393328918554317, 0.008333419686367706, 0.04166648234238297),
        *(0.1666666629856528, 0.5),
    ),
)

# --- exponentials -----------------------------------------------------------------------------------------------------


def rounded(x: Value, factor: float, p: Precision) -> tuple[Value, Value]:
    """n = x * factor rounded to an integer: as a float, and as an integer n + 2 * bias (bits above it are of no use)."""
    shifted = fma(x, factor, p.rounder)
    return shifted - p.rounder, shifted.bits()


def scaled(x: Value, n: Value, p: Precision) -> Value:
    """x * 2**n in two factors, so that only the second rounds: right through the denormals and to infinity.

    n has 2 * bias added, so that each half is an exponent as it is stored.
    """
    half = n >> 1
    return x * (half << p.mantissa).as_kind(p.kind) * ((n - half) << p.mantissa).as_kind(p.kind)


def power_of_two(n: Value, p: Precision) -> Value:
    """2**n in the normal range; n has 2 * bias added."""
    return ((n - p.bias) << p.mantissa).as_kind(p.kind)


def exp_reduced(r: Value, p: Precision, low: Any = None) -> Value:
    """exp(r + low) for |r| <= log(2)/2 and a low below the last place of r."""
    return _exp_tail(r, p, low) + 1.0


def _exp_tail(r: Value, p: Precision, low: Any) -> Value:
    """exp(r + low) - 1."""
    square = r * r
    tail = polynomial(r, p.exp)
    return fma(square, tail, r) if low is None else fma(square, tail, low) + r


def joined(x: Value, low: Value) -> tuple[Value, Value]:
    """x + low in two parts anew, the second below the last place of the first. (Dekker 1971.)"""
    total = x + low
    return total, (x - total) + low


def exp_parts(x: Value, p: Precision) -> tuple[Value, Value]:
    """exp(x) = result * 2**n for x within `exp_range`. The first product with ln2 is exact."""
    n, bits = rounded(x, p.log2_e, p)
    r = fma(n, -p.ln2_low, fma(n, -p.ln2, x))
    return exp_reduced(r, p), bits


def exp_in_two(x: Value, low: Any, p: Precision) -> tuple[Value, Value, Value]:
    """exp(x + low) = (result + rest) * 2**n for x within `exp_range`."""
    n, bits = rounded(x, p.log2_e, p)
    r, low = joined(fma(n, -p.ln2, x), n * -p.ln2_low if low is None else fma(n, -p.ln2_low, low))
    tail = _exp_tail(r, p, low)
    result = tail + 1.0
    return result, tail - (result - 1.0), bits


def exp(x: Value, p: Precision) -> Value:
    """Where the result is 0 (what a mask has set to -inf), 1 is computed: a product that is too small takes a processor as
    long as twenty others."""
    low, high = p.exp_range
    nothing = x < low
    result, n = exp_parts(select(nothing, 0.0, at_most(x, high)), p)
    return select(nothing, 0.0, scaled(result, n, p))


def exp_normal(x: Value, p: Precision) -> Value:
    """exp(x) where neither x nor the result is extreme."""
    result, n = exp_parts(x, p)
    return result * power_of_two(n, p)


def exp2(x: Value, p: Precision) -> Value:
    low, high = p.exp2_range
    x = at_least(at_most(x, high), low)
    n, bits = rounded(x, 1.0, p)
    return scaled(exp2_reduced(x - n, None, p), bits, p)


def exp2_reduced(r: Value, low: Any, p: Precision) -> Value:
    """2**(r + low) for |r| <= 1/2, by exp of the product with log(2), which is kept in two parts in float64."""
    if low is not None:
        r, low = joined(r, low)
    product = r * p.ln2
    if p is not DOUBLE:
        return exp_reduced(product, p)
    rest = fma(r, p.ln2, -product)
    return exp_reduced(product, p, fma(r, p.ln2_low, rest if low is None else fma(low, p.ln2, rest)))


def expm1(x: Value, p: Precision) -> Value:
    """exp(x) - 1 = 2 * (h * r + (h - 1/2) + h * (exp(r) - 1 - r)) with h = 2**n / 2, in this order."""
    bounded = at_least(at_most(x, 710.0), -50.0)
    n, bits = rounded(bounded, p.log2_e, p)
    exact = fma(n, -p.ln2, bounded)
    r = fma(n, -p.ln2_low, exact)
    low = fma(n, -p.ln2_low, exact - r)
    half = power_of_two(bits - 1, p)
    tail = fma(r * r, polynomial(r, p.exp), low)
    result = fma(half, tail, fma(half, r, half - 0.5))
    return select(magnitude(x) < 2.0**-54, x, result + result)


# sinh(x) = x + x**3 * s(x**2) for |x| <= 1
_SINH = (
    *(7.760411673802369e-13, 1.6057217266460298e-10, 2.5052123471627576e-08, 2.7557319156756697e-06),
    *(0.00019841269841425096, 0.008333333333333174, 0.16666666666666669),
)
_SINH_SHORT = (2.8169508111874724e-06, 0.00019836159854993464, 0.008333350057773355, 0.16666666497565824)


def _half_exp(size: Value, p: Precision) -> Value:
    """exp(size) / 2, which is finite for a little longer than exp."""
    result, n = exp_parts(at_most(size, p.exp_range[1]), p)
    return scaled(result, n - 1, p)


def sinh(x: Value, p: Precision) -> Value:
    size = magnitude(x)
    square = size * size
    near = fma(square * size, polynomial(square, _SINH_SHORT if p.short else _SINH), size)
    half = _half_exp(size, p)
    return with_sign_of(select(size < 1.0, near, half - 0.25 / half), x)


def cosh(x: Value, p: Precision) -> Value:
    half = _half_exp(magnitude(x), p)
    return half + 0.25 / half


def sigmoid_32(x: Value, p: Precision) -> Value:
    """1 / (1 + exp(-x)), by exp(-|x|), which cannot overflow, so that small results are right down to the denormals.

    What the sum 1 + exp loses is put back after the division; 1 / (1 + exp) is the quotient or 1 - quotient.
    """
    negative = x < 0.0
    result, n = exp_parts(at_least(-magnitude(x), p.exp_range[0]), p)
    power = scaled(result, n, p)
    below = power + 1.0
    lost = power - (below - 1.0)
    quotient = select(negative, power, 1.0) / below
    reciprocal = select(negative, 1.0 - quotient, quotient)
    return fma(-(quotient * lost), reciprocal, quotient)


def sigmoid(x: Value, p: Precision) -> Value:
    """As `sigmoid_32`, with exp in two parts: all float64 cannot be tried, so the bound must hold on paper."""
    negative = x < 0.0
    result, rest, n = exp_in_two(at_least(-magnitude(x), p.exp_range[0]), None, p)
    power, power_low = scaled(result, n, p), scaled(rest, n, p)
    below = power + 1.0
    below_low = (power - (below - 1.0)) + power_low
    above, above_low = select(negative, power, 1.0), select(negative, power_low, 0.0)
    reciprocal = 1.0 / below
    quotient = above * reciprocal
    lost = fma(-quotient, below_low, fma(-quotient, below, above) + above_low)
    return fma(lost, reciprocal, quotient)


# tanh(x) = x + x**3 * t(x**2) for |x| <= 0.63
_TANH = {
    "f32": (-0.005705942, 0.020646779, -0.05374497, 0.13331558, -0.3333329),
    "f64": (
        *(5.954165462506446e-06, -2.9987967770230967e-05, 9.136222297531762e-05, -0.00023690109985593502),
        *(0.0005894123815701784, -0.0014557167132506778, 0.003592112564828403, -0.008863234166914483),
        *(0.021869488459448482, -0.05396825396571764, 0.1333333333332912, -0.3333333333333331),
    ),
}


def tanh(x: Value, p: Precision) -> Value:
    """Near 0 a polynomial, beyond it 1 - 2 / (exp(2|x|) + 1). (Cody and Waite 1980, chapter 13.)"""
    size = magnitude(x)
    square = x * x
    near = fma(square * size, polynomial(square, _TANH[p.kind]), size)
    power = exp_normal(at_most(size + size, 40.0), p)
    far = 1.0 - 2.0 / (power + 1.0)
    return with_sign_of(select(size < 0.625, near, far), x)


# --- logarithms -------------------------------------------------------------------------------------------------------

# log(1 + f) = f - f**2 / 2 + f**3 * l(f) for |f| <= 1/3
_LOG_32 = (-0.12891735, 0.13984512, -0.12184255, 0.14005855, -0.16680487, 0.20010407, -0.24999797, 0.33333215)
_TWO_THIRDS_32 = 0x3F2AAAAB  # the bits of 2/3


def _log_special(x: Value, result: Value) -> Value:
    """-inf at 0, nan below it, inf and nan as they are."""
    infinity = {"f32": 0x7F800000, "f64": 0x7FF0000000000000}[x.kind]
    special = select(x < 0.0, NAN, x)
    special = select(x.equals(0.0), -INFINITY, special)
    return select((x.bits() - 1).below_unsigned(infinity - 1), result, special)


def log_32(x: Value, p: Precision) -> Value:
    """x = m * 2**k with m in [2/3, 4/3); denormals are scaled first. One constant for log(2) does: k * its error is small."""
    tiny = x < p.smallest
    bits = select(tiny, x * 2.0**23, x).bits()
    exponent = (bits - _TWO_THIRDS_32).signed_shift(23)
    f = (bits - (exponent << 23)).as_kind("f32") - 1.0
    k = exponent.convert("sitofp", "f32") + select(tiny, x.like(-23.0), 0.0)
    square = f * f
    tail = fma(f, polynomial(f, _LOG_32), -0.5)
    return _log_special(x, fma(k, p.ln2, fma(square, tail, f)))


def log1p_32(x: Value, p: Precision) -> Value:
    """1 + x = (1 + f) * 2**k, where f = x * 2**-k + (2**-k - 1) keeps the digits of a small x."""
    total = x + 1.0
    exponent = (total.bits() - _TWO_THIRDS_32).signed_shift(23)
    # 2**(64 - k) is a normal number for every k.
    unit = ((exponent.like(127 + 64) - exponent) << 23).as_kind("f32")
    f = (x.bits() - (exponent << 23)).as_kind("f32") + fma(unit, 2.0**-64, -1.0)
    tail = fma(f, polynomial(f, _LOG_32), -0.5)
    result = fma(exponent.convert("sitofp", "f32"), p.ln2, fma(f * f, tail, f))
    return select(x.equals(0.0), x, _log_special(total, result))


# log((1 + s) / (1 - s)) = 2 * s + s**3 * l(s**2) for |s| <= 3 - 2 * sqrt(2)
_LOG = (
    *(0.14795601479372397, 0.15314089419253438, 0.1818356262716383, 0.2222219860992112),
    *(0.28571428741981014, 0.399999999994168, 0.6666666666666734),
)
_LOG_SHORT = (0.2358174586309284, 0.28537333547381005, 0.4000033472782469, 0.6666666564789445)
_ONE = 0x3FF0000000000000
_SQRT_HALF = 0x3FE6A09E667F3BCD


def _split(x: Value, p: Precision) -> tuple[Value, Value]:
    """k and m with x = m * 2**k and m in [sqrt(1/2), sqrt(2)), in float64."""
    bits = x.bits()
    if not p.short:
        tiny = x < p.smallest
        bits = select(tiny, (x * 2.0**52).bits(), bits)
    exponent = (bits + (_ONE - _SQRT_HALF)) >> 52
    m = (bits - (exponent << 52) + _ONE).as_kind("f64")
    k = (exponent | 0x4330000000000000).as_kind("f64") - (2.0**52 + p.bias)
    return k if p.short else k - select(tiny, x.like(52.0), 0.0), m


@dataclass(frozen=True)
class _Log:
    """log(1 + f) = f - (half - tail), where half is f**2 / 2. (FreeBSD, lib/msun/src/e_log.c, and k_log.h for `log2`.)"""

    f: Value
    square: Value
    half: Value
    tail: Value

    @classmethod
    def of(cls, f: Value, p: Precision) -> _Log:
        s = f / (f + 2.0)
        z = s * s
        square = f * f
        half = square * 0.5
        return cls(f, square, half, s * fma(z, polynomial(z, _LOG_SHORT if p.short else _LOG), half))

    def in_two(self) -> tuple[Value, Value]:
        high = self.f - self.half
        lost = fma(self.f, self.f, -self.square)
        return high, ((self.f - high) - self.half) + fma(lost, -0.5, self.tail)


def log(x: Value, p: Precision) -> Value:
    k, m = _split(x, p)
    parts = _Log.of(m - 1.0, p)
    tail = fma(k, p.ln2_low, parts.tail)
    return _log_special(x, fma(k, p.ln2, parts.f - (parts.half - tail)))


def log1p(x: Value, p: Precision) -> Value:
    """log of the sum 1 + x, and what the sum lost, divided by it."""
    total = x + 1.0
    grown = total - 1.0
    lost = (1.0 - (total - grown)) + (x - grown)
    k, m = _split(total, p)
    parts = _Log.of(m - 1.0, p)
    tail = parts.tail + fma(k, p.ln2_low, lost / total)
    result = _log_special(total, fma(k, p.ln2, parts.f - (parts.half - tail)))
    return select(x.equals(0.0), x, result)


_LOG2_E = (1.4426950408889634, 2.0355273740931033e-17)
_LOG10_E = (0.4342944819032518, 1.098319650216765e-17)
_LOG10_2 = (0.30102999566383914, 1.42050232272661e-13)  # the first has 42 bits: its product with k is exact


def _log_in_base(x: Value, p: Precision, factor: tuple[float, float], unit: tuple[float, float]) -> Value:
    """k * unit + log(m) * factor, the sum and both products in two parts."""
    k, m = _split(x, p)
    parts = _Log.of(m - 1.0, p)
    if p.short:
        return _log_special(x, fma(k, unit[0] + unit[1], (parts.f - (parts.half - parts.tail)) * factor[0]))
    high, low = parts.in_two()
    product = high * factor[0]
    rest = fma(high, factor[0], -product) + fma(low, factor[0], high * factor[1])
    if unit[1]:
        rest = fma(k, unit[1], rest)
    whole = k * unit[0]
    total = whole + product
    return _log_special(x, total + (((whole - total) + product) + rest))


def log2(x: Value, p: Precision) -> Value:
    return _log_in_base(x, p, _LOG2_E, (1.0, 0.0))


def log10(x: Value, p: Precision) -> Value:
    return _log_in_base(x, p, _LOG10_E, _LOG10_2)


# --- powers -----------------------------------------------------------------------------------------------------------

# log2((1 + s) / (1 - s)) = s * (c0 + c1 * s**2 + s**4 * l(s**2)), c0 and c1 in two parts
_POW_0 = (2.8853900817779268, 4.0710547481862066e-17)
_POW_1 = (0.9617966939259756, 5.0577616648125907e-17)
_POW = (
    *(0.18929334477410645, 0.19138138063029142, 0.22197813604908723, 0.262307840161302),
    *(0.3205989005135046, 0.4121985831030715, 0.577078016355591),
)


def _log2_in_two(x: Value, p: Precision) -> tuple[Value, Value]:
    """log2 to about 2**-65 of itself. (Dekker 1971 for the sums and products in two parts.)"""
    k, m = _split(x, p)
    above = m - 1.0
    below = m + 1.0
    below_low = m - (below - 1.0)
    reciprocal = 1.0 / below
    s = above * reciprocal
    s_low = fma(s, -below_low, fma(-s, below, above)) * reciprocal
    z = s * s
    z_low = fma(s + s, s_low, fma(s, s, -z))
    tail = z * polynomial(z, _POW)
    u = tail + _POW_1[0]
    u_low = ((_POW_1[0] - u) + tail) + _POW_1[1]
    v = z * u
    v_low = fma(z_low, u, fma(z, u_low, fma(z, u, -v)))
    w = v + _POW_0[0]
    w_low = ((_POW_0[0] - w) + v) + (v_low + _POW_0[1])
    product = s * w
    product_low = fma(s_low, w, fma(s, w_low, fma(s, w, -product)))
    high = k + product
    return high, ((k - high) + product) + product_low


def power(x: Value, y: Value, p: Precision) -> Value:
    """2**(y * log2|x|), with C99's special values (annex F.9.4.4)."""
    size = magnitude(x)
    bounded = at_least(at_most(y, 2.0**900), -(2.0**900))
    if p.short:
        k, m = _split(size, p)
        parts = _Log.of(m - 1.0, p)
        high, low = fma(parts.f - (parts.half - parts.tail), p.log2_e, k), None
    else:
        high, low = _log2_in_two(size, p)
    high = select(size.equals(0.0), -INFINITY, select(size.equals(INFINITY), INFINITY, high))
    product = bounded * high
    least, most = p.exp2_range
    if low is not None:
        product_low = fma(bounded, low, fma(bounded, high, -product))
        low = select(magnitude(product) < -least, product_low, 0.0)
    product = at_least(at_most(product, most), least)
    n, bits = rounded(product, 1.0, p)
    result = scaled(exp2_reduced(product - n, low, p), bits, p)
    whole = y.body.call("floor", y).equals(y)
    half = y * 0.5
    odd = y.body.call("floor", half).differs(half) & whole
    result = (result.bits() | select(odd, x.bits() & -(2**63), 0)).as_kind("f64")
    impossible = (x < 0.0) & (x > -INFINITY) & ~whole
    result = select(impossible | x.unordered(y), NAN, result)
    return select(y.equals(0.0) | x.equals(1.0), 1.0, result)
