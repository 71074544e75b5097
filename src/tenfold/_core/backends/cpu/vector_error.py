"""The error function of vectors and its complement. `vector_math` is the way in."""

from __future__ import annotations

from .vector_exponential import (
    Precision,
    exp_in_two,
    exp_normal,
    exp_parts,
    power_of_two,
    scaled,
)
from .vector_values import (
    Value,
    at_most,
    fma,
    magnitude,
    polynomial,
    select,
    with_sign_of,
)

# erf(x) = x + x * e(x**2) for |x| <= 1
_NEAR_32 = (7.806904e-05, -0.0007997853, 0.005187162, -0.026853347, 0.11283579, -0.37612626, 0.12837917)
# erfc(x) = exp(-x - x * e(x)) for 0.92 <= x <= 4
_FAR_32 = (1.1230587e-05, -0.0003227967, 0.0036424336, -0.023762021, 0.106236845, 0.6351513, 0.12864849)


def erf_32(x: Value, p: Precision) -> Value:
    """Near 0 a polynomial, beyond it 1 - exp(-x - x * e(x)) with a polynomial for the logarithm of erfc."""
    size = magnitude(x)
    square = x * x
    near = fma(size, polynomial(square, _NEAR_32), size)
    bounded = at_most(size, 4.0)
    far = 1.0 - exp_normal(-fma(bounded, polynomial(bounded, _FAR_32), bounded), p)
    return with_sign_of(select(size < 0.95, near, far), x)


# erf(x) = x + x * e(x**2) for |x| <= 0.65
_NEAR = (
    *(-1.312326523315712e-07, 1.6139349312643565e-06, -1.4907626279179966e-05, 0.00012054722923295146),
    *(-0.0008548314239622486, 0.005223977462394418, -0.026866170633187036, 0.11283791670910669),
    *(-0.3761263890318311, 0.12837916709551256),
)
_NEAR_SHORT = (
    *(-0.0007155876703090396, 0.005159618531164357, -0.026852210533601536, 0.11283653604033674),
    *(-0.37612633877890583, 0.12837916679709957),
)
_BORDER = 0.65
# (1 + 2x) * exp(x**2) * erfc(x) in t = (x - 3) / (x + 3), for x from 0.62 to 27.5 (short: to 10.3)
_SCALED = (
    *(8.480835862219298e-08, -7.089123054155112e-08, -6.126668464083399e-07, 2.96724978084677e-07),
    *(3.477944855079362e-06, -7.016832185745225e-07, -2.0105381064649634e-05, 4.940300599586885e-06),
    *(0.0001251010964244389, -0.00010515801666576684, -0.0007798326154209344, 0.0018886901448443216),
    *(0.0025293918538404785, -0.023770514903584804, 0.06830802734179288, -0.11927366341585596),
    *(0.12964515870281687, -0.047562294353442905, -0.1356211061245816, 1.2530080582697296),
)
_SCALED_SHORT = (
    *(-0.00015847297447948595, -0.0006825524203154915, 0.001931646731461734, 0.0024997522082743353),
    *(-0.02378223411796826, 0.06831214337220647, -0.11927237601639996, 0.12964491590224714),
    *(-0.04756234313759624, -0.13562110193842275, 1.2530080585590981),
)


def _complement(size: Value, p: Precision) -> tuple[Value, Value]:
    """erfc(size) = result * 2**n beyond the border. The square in the exponent is kept in two parts, and so are the factors.

    Shepherd and Laframboise 1981, Chebyshev Approximation of (1 + 2x) exp(x**2) erfc x, Mathematics of Computation 36.
    """
    t = (size - 3.0) / (size + 3.0)
    square = size * size
    square_low = fma(size, size, -square)
    below = fma(size, 2.0, 1.0)
    if p.short:
        exponential, n = exp_parts(-square, p)
        return polynomial(t, _SCALED_SHORT) / below * fma(exponential, -square_low, exponential), n
    exponential, exponential_low, n = exp_in_two(-square, -square_low, p)
    tail = t * polynomial(t, _SCALED[:-1])
    above = tail + _SCALED[-1]
    above_low = (_SCALED[-1] - above) + tail
    below_low = 1.0 - (below - (size + size))
    reciprocal = 1.0 / below
    factor = above * reciprocal
    factor_low = (fma(-factor, below, above) + fma(-factor, below_low, above_low)) * reciprocal
    result = factor * exponential
    lost = fma(factor, exponential, -result)
    return result + fma(factor, exponential_low, fma(factor_low, exponential, lost)), n


def _near(size: Value, p: Precision) -> Value:
    return polynomial(size * size, _NEAR_SHORT if p.short else _NEAR)


def erf(x: Value, p: Precision) -> Value:
    size = magnitude(x)
    result, n = _complement(at_most(size, 6.0), p)
    far = 1.0 - result * power_of_two(n, p)
    return with_sign_of(select(size < _BORDER, fma(size, _near(size, p), size), far), x)


def erfc(x: Value, p: Precision) -> Value:
    """Near 0 as 1 - erf(x), or 1/2 - (erf(x) - 1/2) where that cancels less; for negative arguments by 2 - erfc(-x)."""
    size = magnitude(x)
    factor = _near(size, p)
    near = select(x < 0.25, 1.0 - fma(x, factor, x), 0.5 - fma(x, factor, x - 0.5))
    result, n = _complement(at_most(size, 10.3 if p.short else 27.5), p)
    far = scaled(result, n, p)
    far = select(x < 0.0, 2.0 - far, far)
    return select(size < _BORDER, near, far)
