"""sin, cos, tan and their inverses on vectors. `vector_math` is the way in."""

from __future__ import annotations

import functools
from collections.abc import Callable

from .vector_exponential import DOUBLE, Precision
from .vector_values import (
    Body,
    Value,
    at_least,
    fma,
    magnitude,
    polynomial,
    select,
    with_sign_of,
)

HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
QUARTER_PI = (HALF_PI[0] / 2, HALF_PI[1] / 2)
TWO_OVER_PI = 0.6366197723675814
# sin(r) = r + r**3 * s(r**2), cos(r) = 1 - r**2 / 2 + r**4 * c(r**2) for |r| a little over pi/4
_SIN = (
    *(1.5898042089803056e-10, -2.5050784964396804e-08, 2.7557313910205213e-06),
    *(-0.00019841269830634357, 0.008333333333323843, -0.1666666666666664),
)
_SIN_SHORT = (2.7179708027061593e-06, -0.00019839296486670347, 0.00833332925589653, -0.1666666664037565)
_COS = (
    *(-1.135733663995084e-11, 2.087567808357742e-09, -2.755731401511632e-07),
    *(2.480158728829538e-05, -0.0013888888888872186, 0.04166666666666659),
)
_COS_SHORT = (-2.720435523062617e-07, 2.479944317332589e-05, -0.001388888343545494, 0.04166666661873726)

# --- reduction of the argument ----------------------------------------------------------------------------------------

# Beyond this the product with 2/pi is not near enough to its integer.
_FAR = 2.0**42


def _reduced(x: Value, p: Precision) -> tuple[Value, Value, Value]:
    """x = q * pi/2 + r + low with |r| at most a little over pi/4; q in the last two bits of an integer.

    Up to 2**42 pi/2 in three parts; the first product is exact with fma, since x - q * pi/2 is a multiple of 2**-53 and
    below 1 (Cody and Waite 1980, chapter 8; Muller 2016, section 11.2). Where a lane is beyond that, `huge_angle` does it.
    """
    body = x.body
    rounder = 1.5 * 2.0**52
    shifted = fma(x, TWO_OVER_PI, rounder)
    n = shifted - rounder
    first = fma(n, -HALF_PI[0], x)
    if p.short:
        r, low = fma(n, -HALF_PI[1], first), x.like(0.0)
    else:
        product = n * HALF_PI[1]
        rest = fma(n, HALF_PI[2], fma(n, HALF_PI[1], -product))
        r = first - product
        low = ((first - r) - product) - rest
    quadrant = shifted.bits()
    size = magnitude(x)
    far = (size >= _FAR) & (size < float("inf"))
    mask, lanes = body.type("i1"), body.lanes
    body.declarations.add(f"declare i1 @llvm.vector.reduce.or.v{lanes}i1({mask})")
    body.lines.append(f"  %any = call i1 @llvm.vector.reduce.or.v{lanes}i1({mask} {far.text})")
    body.lines.append("  br i1 %any, label %far, label %near")
    body.lines.append("far:")
    kinds = [value.kind for value in (r, low, quadrant)]
    struct = f"{{ {', '.join(body.type(kind) for kind in kinds)} }}"
    dtype = "f32" if p.short else "f64"
    arguments = ", ".join(f"{body.type(value.kind)} {value.text}" for value in (x, r, low, quadrant))
    body.lines.append(f"  %huge = call {struct} @vm_huge_angle_{dtype}({arguments})")
    replaced = [body.write(f"extractvalue {struct} %huge, {i}", kind) for i, kind in enumerate(kinds)]
    body.lines.append("  br label %near")
    body.lines.append("near:")
    r, low, quadrant = (
        body.write(f"phi {body.type(a.kind)} [{a.text}, %entry], [{b.text}, %far]", a.kind)
        for a, b in zip((r, low, quadrant), replaced)
    )
    return r, low, quadrant


_TABLE_BITS = 1168
_TABLE_BYTES = 160


@functools.cache
def _two_over_pi() -> int:
    """2/pi * 2**1168, rounded down; pi by Machin's formula."""
    guard = 64
    one = 1 << (_TABLE_BITS + guard)

    def inverse_tangent(n: int) -> int:
        term = total = one // n
        k = 1
        while term:
            term //= n * n
            k += 2
            total += -(term // k) if k % 4 == 3 else term // k
        return total

    pi = 4 * (4 * inverse_tangent(5) - inverse_tangent(239))
    return ((2 * one << _TABLE_BITS) // pi) & ((1 << _TABLE_BITS) - 1)


def huge_angle(dtype: str, lanes: int) -> tuple[str, tuple[str, ...]]:
    """The reduction for finite lanes at or beyond 2**42, one after the other, with integers of 192 bits.

    x = m * 2**e with an integer m; of 2/pi only the 192 bits count whose product with x is neither a multiple of 4 nor
    below 2**-137. (Payne and Hanek 1983, Radian reduction for trigonometric functions, SIGNUM Newsletter 18.)
    """
    table = "".join(f"\\{byte:02X}" for byte in _two_over_pi().to_bytes(_TABLE_BYTES, "little"))
    high, low, _ = (Body(1).constant(part, "f64").text[len("splat (double ") : -1] for part in HALF_PI)
    floats, integers = f"<{lanes} x double>", f"<{lanes} x i64>"
    struct = f"{{ {floats}, {floats}, {integers} }}"
    text = f"""@vm_two_over_pi_{dtype} = internal constant [{_TABLE_BYTES} x i8] c"{table}", align 16

define internal {struct} @vm_huge_angle_{dtype}({floats} %x, {floats} %r, {floats} %low, {integers} %q) noinline cold {{
entry:
  br label %loop
loop:
  %i = phi i32 [0, %entry], [%next, %joined]
  %r0 = phi {floats} [%r, %entry], [%r2, %joined]
  %low0 = phi {floats} [%low, %entry], [%low2, %joined]
  %q0 = phi {integers} [%q, %entry], [%q2, %joined]
  %value = extractelement {floats} %x, i32 %i
  %bits = bitcast double %value to i64
  %above = lshr i64 %bits, 52
  %exponent = and i64 %above, 2047
  %unlike = sub i64 %exponent, {1023 + 42}
  %counts = icmp ult i64 %unlike, {2047 - 1023 - 42}
  br i1 %counts, label %reduce, label %joined
reduce:
  %fraction = and i64 %bits, {2**52 - 1}
  %m = or i64 %fraction, {2**52}
  ; the first bit that counts has the weight 2 after the product: place e - 1 behind the point, e = exponent - 1075
  %last = sub i64 {_TABLE_BITS - 191 + 1076}, %exponent
  %byte = lshr i64 %last, 3
  %within = and i64 %last, 7
  %at = getelementptr inbounds i8, ptr @vm_two_over_pi_{dtype}, i64 %byte
  %loaded = load i256, ptr %at, align 1
  %within256 = zext i64 %within to i256
  %aligned = lshr i256 %loaded, %within256
  %chunk = trunc i256 %aligned to i192
  %m192 = zext i64 %m to i192
  %product = mul i192 %chunk, %m192
  ; two bits of quadrant, 190 of fraction: the nearest quadrant, and what is left as a signed fraction
  %raised = add i192 %product, {2**189}
  %quarter = lshr i192 %raised, 190
  %turn = trunc i192 %quarter to i64
  %left = shl i192 %product, 2
  %negative = icmp slt i192 %left, 0
  %opposite = sub i192 0, %left
  %size = select i1 %negative, i192 %opposite, i192 %left
  %zeros = call i192 @llvm.ctlz.i192(i192 %size, i1 false)
  %short = and i192 %zeros, 127
  %normal = shl i192 %size, %short
  %top = lshr i192 %normal, 139
  %high53 = trunc i192 %top to i64
  %under = lshr i192 %normal, 86
  %under64 = trunc i192 %under to i64
  %low53 = and i64 %under64, {2**53 - 1}
  %highest = sitofp i64 %high53 to double
  %lowest = sitofp i64 %low53 to double
  %f = fmul double %highest, {Body(1).constant(2.0**-53, "f64").text[len("splat (double ") : -1]}
  %g = fmul double %lowest, {Body(1).constant(2.0**-106, "f64").text[len("splat (double ") : -1]}
  %angle = fmul double %f, {high}
  %minus = fneg double %angle
  %lost = call double @llvm.fma.f64(double %f, double {high}, double %minus)
  %second = call double @llvm.fma.f64(double %f, double {low}, double %lost)
  %rest = call double @llvm.fma.f64(double %g, double {high}, double %second)
  ; times 2**-zeros, with the signs of the fraction and of x
  %zeros64 = trunc i192 %short to i64
  %power = sub i64 1023, %zeros64
  %placed = shl i64 %power, 52
  %sign = and i64 %bits, {-(2**63)}
  %signed = or i64 %placed, %sign
  %flip = select i1 %negative, i64 {-(2**63)}, i64 0
  %scalebits = xor i64 %signed, %flip
  %scale = bitcast i64 %scalebits to double
  %r1 = fmul double %angle, %scale
  %low1 = fmul double %rest, %scale
  %backwards = icmp slt i64 %bits, 0
  %unturn = sub i64 0, %turn
  %q1 = select i1 %backwards, i64 %unturn, i64 %turn
  %rset = insertelement {floats} %r0, double %r1, i32 %i
  %lowset = insertelement {floats} %low0, double %low1, i32 %i
  %qset = insertelement {integers} %q0, i64 %q1, i32 %i
  br label %joined
joined:
  %r2 = phi {floats} [%r0, %loop], [%rset, %reduce]
  %low2 = phi {floats} [%low0, %loop], [%lowset, %reduce]
  %q2 = phi {integers} [%q0, %loop], [%qset, %reduce]
  %next = add i32 %i, 1
  %more = icmp ult i32 %next, {lanes}
  br i1 %more, label %loop, label %end
end:
  %s0 = insertvalue {struct} poison, {floats} %r2, 0
  %s1 = insertvalue {struct} %s0, {floats} %low2, 1
  %s2 = insertvalue {struct} %s1, {integers} %q2, 2
  ret {struct} %s2
}}
"""
    return text, ("declare double @llvm.fma.f64(double, double, double)", "declare i192 @llvm.ctlz.i192(i192, i1)")


# --- sin, cos, tan ----------------------------------------------------------------------------------------------------


def _sin_tail(r: Value, low: Value, z: Value, half: Value, p: Precision) -> Value:
    """sin(r + low) - r."""
    cube = z * r
    if p.short:
        return cube * polynomial(z, _SIN_SHORT)
    return fma(cube, polynomial(z, _SIN), fma(low, -half, low))


def _cos_parts(r: Value, low: Value, z: Value, half: Value, p: Precision) -> tuple[Value, Value]:
    """cos(r + low) as 1 - z/2, and what is to be added to it."""
    whole = 1.0 - half
    if p.short:
        return whole, z * z * polynomial(z, _COS_SHORT)
    tail = fma(z * z, polynomial(z, _COS), -(r * low))
    return whole, ((1.0 - whole) - half) + tail


def _sin_from(quarter_turns: int) -> Callable[[Value, Precision], Value]:
    def build(x: Value, p: Precision) -> Value:
        r, low, q = _reduced(x, p)
        z = r * r
        half = z * 0.5
        sine = r + _sin_tail(r, low, z, half, p)
        whole, tail = _cos_parts(r, low, z, half, p)
        if quarter_turns:
            q = q + quarter_turns
        result = select((q & 1).differs(0), whole + tail, sine)
        result = (result.bits() ^ ((q & 2) << 62)).as_kind("f64")
        return result if quarter_turns else select(magnitude(x) < 2.0**-27, x, result)

    return build


sin = _sin_from(0)
cos = _sin_from(1)


def tan(x: Value, p: Precision) -> Value:
    """sin / cos or -cos / sin; in float64 both are kept in two parts."""
    r, low, q = _reduced(x, p)
    z = r * r
    half = z * 0.5
    tail = _sin_tail(r, low, z, half, p)
    whole, rest = _cos_parts(r, low, z, half, p)
    sine, cosine = r + tail, whole + rest
    odd = (q & 1).differs(0)
    above, below = select(odd, cosine, sine), select(odd, sine, cosine)
    if p.short:
        result = above / below
    else:
        sine_low, cosine_low = (r - sine) + tail, (whole - cosine) + rest
        above_low, below_low = select(odd, cosine_low, sine_low), select(odd, sine_low, cosine_low)
        reciprocal = 1.0 / below
        quotient = above * reciprocal
        error = fma(-quotient, below_low, fma(-quotient, below, above) + above_low)
        result = fma(error, reciprocal, quotient)
    result = (result.bits() ^ (q << 63)).as_kind("f64")
    return select(magnitude(x) < 2.0**-27, x, result)


# --- inverses ---------------------------------------------------------------------------------------------------------

# atan(t) = t + t**3 * a(t**2) for |t| <= tan(pi/8)
_ATAN = (
    *(0.015166966346863223, -0.033446150660121646, 0.04502307323628749, -0.05218091759541036),
    *(0.05876971994785839, -0.06666221530524732, 0.07692282394040909, -0.0909090812787473),
    *(0.11111111087699817, -0.14285714285380047, 0.19999999999997603, -0.33333333333333326),
)
_ATAN_SHORT = (
    *(0.04739741648621452, -0.08474270965794113, 0.11044349694569906),
    *(-0.1428198148277886, 0.1999990303875955, -0.33333332489968437),
)
_TAN_EIGHTH = 0.41421356237309503  # tan(pi/8); 1 / it is tan(3 pi/8)


def atan(x: Value, p: Precision) -> Value:
    """atan(x), pi/4 + atan((x - 1) / (x + 1)) or pi/2 + atan(-1 / x). (Moshier, Cephes, atan.c.)"""
    size = magnitude(x)
    large, middle = size > 1 / _TAN_EIGHTH, size > _TAN_EIGHTH
    above = select(large, -1.0, select(middle, size - 1.0, size))
    below = select(large, size, select(middle, size + 1.0, 1.0))
    t = above / below
    square = t * t
    high, low = (
        select(large, size.like(whole), select(middle, size.like(part), 0.0))
        for whole, part in zip(HALF_PI[:2], QUARTER_PI)
    )
    result = high + (t + fma(square * t, polynomial(square, _ATAN_SHORT if p.short else _ATAN), low))
    return with_sign_of(result, x)


# asin(s) = s + s**3 * a(s**2) for |s| <= 1/2
_ASIN = (
    *(0.032710363710408336, -0.021016834992919547, 0.021631542775938883, 0.0037780468140814136),
    *(0.010749335154831608, 0.011406817567198267, 0.013979525996216673, 0.017351750911307154),
    *(0.022372205307357926, 0.03038194312983941, 0.044642857163953636, 0.074999999999842),
    *(0.16666666666666702,),
)
_ASIN_SHORT = (
    *(0.0375168946330205, 0.01443824627589635, 0.031807823687803126),
    *(0.04451694133457002, 0.07500504265749143, 0.16666659989611984),
)


def _asin_parts(x: Value, p: Precision) -> tuple[Value, Value, Value, Value]:
    """Whether |x| < 1/2, |x|, and s and a tail with asin(s) = s + tail, where s is |x| or sqrt((1 - |x|) / 2)."""
    size = magnitude(x)
    near = size < 0.5
    z = select(near, size * size, (1.0 - size) * 0.5)
    root = x.body.call("sqrt", z)
    s = select(near, size, root)
    tail = s * z * polynomial(z, _ASIN_SHORT if p.short else _ASIN)
    if not p.short:
        # What the root lost.
        rest = fma(-root, root, z) / (at_least(root, DOUBLE.smallest) * 2.0)
        tail = tail + select(near, 0.0, rest)
    return near, size, s, tail


def asin(x: Value, p: Precision) -> Value:
    """Beyond 1/2 by pi/2 - 2 * asin(sqrt((1 - x) / 2)). (FreeBSD, lib/msun/src/e_asin.c.)"""
    near, _, s, tail = _asin_parts(x, p)
    far = QUARTER_PI[0] - ((tail + tail - HALF_PI[1]) - (QUARTER_PI[0] - (s + s)))
    return with_sign_of(select(near, s + tail, far), x)


def acos(x: Value, p: Precision) -> Value:
    """pi/2 - asin(x) near 0, 2 * asin(sqrt((1 - x) / 2)) beyond it, and pi less that for negative arguments."""
    near, _, s, tail = _asin_parts(x, p)
    signed_tail = with_sign_of(tail, x)
    middle = HALF_PI[0] - (x - (HALF_PI[1] - signed_tail))
    left = (s + (tail - HALF_PI[1])) * -2.0 + 2 * HALF_PI[0]
    right = (s + tail) * 2.0
    return select(near, middle, select(x < 0.0, left, right))
