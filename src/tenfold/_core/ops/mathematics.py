"""Rounding, trigonometry, bounds, interpolation and complex numbers, element by element."""

from __future__ import annotations

import math

import numpy as np

from ..ir.dtypes import bfloat16, decode, encode, float16, int32
from ..ir.shapes import broadcast_shapes, layout, result_strides
from ..trace.handle import Tensor, layout_of
from .comparison import eq, isfinite, logical_and, logical_not
from .declare import (
    elementwise,
    function,
    inplace_variant,
    not_implemented,
    primitive,
    promoted,
    publish,
    scalar_name,
    store_out,
)
from .elementwise import conj, mul, zero_where
from .power import pow, rsqrt
from .return_types import frexp as frexp_result

# --- rounding ------------------------------------------------------------------------------------------------


def _flat(g, out, input, *static):
    """The gradient of a staircase."""
    return zero_where(g, True)


def _rounding(name: str, fn, doc: str, aliases=(), where="torch Tensor"):
    def rounded(input):
        return fn(input) if input.dtype.kind == "f" else input

    rounded.__doc__ = doc
    return elementwise(name=name, gradient=_flat, aliases=aliases, dtypes="int float", where=where)(rounded)


ceil = _rounding("ceil", np.ceil, "The smallest whole number that is not less.")
floor = _rounding("floor", np.floor, "The largest whole number that is not greater.")
trunc = _rounding("trunc", np.trunc, "The whole part: rounds towards zero.", ("fix",))


@elementwise(gradient=lambda g, out, input: g, dtypes="float")
def frac(input):
    """input - trunc(input)."""
    return input - np.trunc(input)


@elementwise(gradient=_flat, dtypes="int float")
def round(input, decimals=0):
    """The nearest number with that many decimals (negative: tens, hundreds ...), halves to even."""
    if input.dtype.kind != "f":
        if decimals:
            raise RuntimeError(
                f"round: decimals={decimals} takes floating tensors, not integers; convert with .float() first"
            )
        return input
    if decimals == 0:
        return np.rint(input)
    scale = input.dtype.type(10.0 ** math.fabs(decimals))
    return np.rint(input * scale) / scale if decimals > 0 else np.rint(input / scale) * scale


@function(where="special", name="round")
def special_round(input, *, decimals=0, out=None):
    """round of floating tensors."""
    if layout_of(input).dtype.category < 2:
        raise NotImplementedError(
            f"special.round takes floating tensors, not {layout_of(input).dtype}; use torch.round"
        )
    return round(input, decimals=decimals, out=out)


# --- trigonometry --------------------------------------------------------------------------------------------


def _function(name: str, fn, doc: str, slope, aliases=(), **options):
    """A function of one operand with the derivative slope(input, out)."""

    def of(input):
        return fn(input)

    of.__doc__ = doc

    def gradient(g, out, input):
        return g * conj(slope(input, out))

    return elementwise(kind="float", name=name, gradient=gradient, aliases=aliases, **options)(of)


sin = _function("sin", np.sin, "Sine.", lambda x, out: cos(x))
cos = _function("cos", np.cos, "Cosine.", lambda x, out: -sin(x))
tan = _function("tan", np.tan, "Tangent.", lambda x, out: 1 + out * out)
asin = _function("asin", np.arcsin, "Inverse sine; NaN outside [-1, 1].", lambda x, out: rsqrt(1 - x * x), ("arcsin",))
acos = _function(
    "acos", np.arccos, "Inverse cosine; NaN outside [-1, 1].", lambda x, out: -rsqrt(1 - x * x), ("arccos",)
)
atan = _function("atan", np.arctan, "Inverse tangent.", lambda x, out: 1 / (x * x + 1), ("arctan",))
sinh = _function("sinh", np.sinh, "Hyperbolic sine.", lambda x, out: cosh(x))
cosh = _function("cosh", np.cosh, "Hyperbolic cosine.", lambda x, out: sinh(x))
tanh = _function("tanh", np.tanh, "Hyperbolic tangent.", lambda x, out: 1 - out * out)
asinh = _function("asinh", np.arcsinh, "Inverse hyperbolic sine.", lambda x, out: rsqrt(x * x + 1), ("arcsinh",))
acosh = _function(
    "acosh", np.arccosh, "Inverse hyperbolic cosine; NaN below 1.", lambda x, out: rsqrt(x * x - 1), ("arccosh",)
)
atanh = _function(
    "atanh",
    np.arctanh,
    "Inverse hyperbolic tangent; NaN outside [-1, 1].",
    lambda x, out: 1 / (1 - x * x),
    ("arctanh",),
)


def _sinc_gradient(g, out, input):
    angle = input * math.pi
    return zero_where(g * conj((cos(angle) * angle - sin(angle)) / (angle * input)), eq(input, 0))


@elementwise(kind="float", gradient=_sinc_gradient, where="torch Tensor special")
def sinc(input):
    """sin(pi input) / (pi input), and 1 at 0."""
    angle = np.where(input == 0, input.dtype.type(1), input * input.dtype.type(np.pi))
    return np.where(input == 0, input.dtype.type(1), np.sin(angle) / angle)


@elementwise(
    kind="float", dtypes="bool int float", gradient=lambda g, out, input: g * (math.pi / 180), grad_name="Deg2Rad"
)
def deg2rad(input):
    """Degrees as radians."""
    return input * input.dtype.type(math.pi / 180)


@elementwise(
    kind="float", dtypes="bool int float", gradient=lambda g, out, input: g * (180 / math.pi), grad_name="Rad2Deg"
)
def rad2deg(input):
    """Radians as degrees."""
    return input * input.dtype.type(180 / math.pi)


def _atan2_gradient(g, out, input, other):
    size = input * input + other * other
    return zero_where(g * other / size, eq(size, 0)), zero_where(g * -input / size, eq(size, 0))


@elementwise(kind="float", dtypes="bool int float", gradient=_atan2_gradient, numbers="", aliases=("arctan2",))
def atan2(input, other):
    """The angle of the point (other, input), in [-pi, pi]."""
    return np.arctan2(input, other)


@elementwise(dtypes="float", gradient=lambda g, out, input, other: (g * (input / out), g * (other / out)), numbers="")
def hypot(input, other):
    """sqrt(input ** 2 + other ** 2) without overflow."""
    return np.hypot(input, other)


# --- bounds --------------------------------------------------------------------------------------------------


def _clamp_gradient(g, out, input, min, max):
    """g goes to input inside the bounds, and to a bound where that is the result."""
    inside = None
    if min is not None:
        inside = input >= min
    if max is not None:
        below = input <= max
        inside = below if inside is None else logical_and(inside, below)
    given = [zero_where(g, logical_not(inside))]
    if min is not None:
        at_min = input < min if max is None else logical_and(input < min, min < max)
        given.append(zero_where(g, logical_not(at_min)))
    if max is not None:
        at_max = input > max if min is None else (input > max) | (max < min)
        given.append(zero_where(g, logical_not(at_max)))
    return tuple(given)


def _bounded(input, min, max):
    if min is not None:
        input = np.maximum(input, min)
    return input if max is None else np.minimum(input, max)


def _not_complex(lays) -> None:
    if promoted(lays).is_complex:
        raise RuntimeError("clamp is not supported for complex types: complex numbers have no order")


def _clamp_named(grad_name: str):
    options = {
        "dtypes": "int float",
        "gradient": _clamp_gradient,
        "data": ("min", "max"),
        "where": "",
        "check": _not_complex,
    }
    return elementwise(name="clamp", grad_name=grad_name, **options)(
        lambda input, min=None, max=None: _bounded(input, min, max)
    )


_clamp_to_tensors, _clamp_to_numbers = _clamp_named("ClampBackward0"), _clamp_named("ClampBackward1")


def _clamped(input, min=None, max=None):
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if type(min) is float and math.isnan(min) or type(max) is float and math.isnan(max):
        min = max = math.nan
    return (_clamp_to_tensors if isinstance(min, Tensor) or isinstance(max, Tensor) else _clamp_to_numbers)(
        input, min, max
    )


@function(aliases=("clip",))
def clamp(input, min=None, max=None, *, out=None):
    """input, but not less than `min` and not greater than `max` (numbers or tensors; at least one).

    Where min > max the result is max."""
    r = _clamped(input, min, max)
    return r if out is None else store_out(out, r, "clamp")


publish(inplace_variant(_clamped, "clamp"), "clamp_", "torch Tensor", ("clip_",))


def _one_bound_gradient(keeps):
    def gradient(g, out, input, bound):
        kept = keeps(input, bound)
        return zero_where(g, logical_not(kept)), zero_where(g, kept)

    return gradient


@elementwise(gradient=_one_bound_gradient(lambda x, b: x >= b), numbers="min", check=_not_complex)
def clamp_min(input, min):
    """input, but not less than `min` (a number or a tensor)."""
    return np.maximum(input, min)


@elementwise(gradient=_one_bound_gradient(lambda x, b: x <= b), numbers="max", check=_not_complex)
def clamp_max(input, max):
    """input, but not greater than `max` (a number or a tensor)."""
    return np.minimum(input, max)


def _finite_gradient(g, out, input, nan, posinf, neginf):
    return zero_where(g, logical_not(isfinite(input)))


@elementwise(gradient=_finite_gradient, data=())
def nan_to_num(input, nan=0.0, posinf=None, neginf=None):
    """input with NaN and infinities replaced.

    Args:
        nan: for NaN. Default 0.
        posinf, neginf: for the infinities. Default: the greatest and least number of the dtype."""
    if input.dtype.kind not in "fc":
        return input
    return np.nan_to_num(input, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf)


# --- combinations --------------------------------------------------------------------------------------------


def _one_dtype(name: str, *operands) -> None:
    d = operands[0].dtype
    for l in operands[1:]:
        if not l.number and l.dtype is not d:
            raise RuntimeError(
                f"{name}: expected dtype {scalar_name(d)} for all tensors but got dtype {scalar_name(l.dtype)}"
            )


def _lerp_check(lays) -> None:
    if lays[0].dtype.category < 2:
        raise not_implemented("lerp", lays[0].dtype)
    _one_dtype("lerp", *lays)


def _lerp_gradient(g, out, input, end, weight):
    w = conj(weight)
    return g * (1 - w), g * w, (None if layout_of(weight).number else g * conj(end - input))


@elementwise(dtypes="float complex", gradient=_lerp_gradient, numbers="weight", check=_lerp_check)
def lerp(input, end, weight):
    """input + weight * (end - input): `input` at weight 0, `end` at weight 1."""
    apart = end - input
    return np.where(np.absolute(weight) < 0.5, input + weight * apart, end - apart * (1 - weight))


def _addcmul_gradient(g, out, input, tensor1, tensor2, value):
    return g, g * conj(tensor2 * value), g * conj(tensor1 * value), None


def _whole_value(name):
    def check(lays):
        if promoted(lays[:3]).category < 2 and lays[3].dtype.category > 1:
            raise RuntimeError(
                f"{name}: value cannot be a floating point number for integer tensors; convert them with .float() first"
            )

    return check


@elementwise(
    dtypes="int float complex",
    gradient=_addcmul_gradient,
    data=("value",),
    numbers="value",
    check=_whole_value("addcmul"),
    where="",
    name="addcmul",
)
def _addcmul(input, tensor1, tensor2, value=1):
    return input + value * tensor1 * tensor2


def _addcdiv_gradient(g, out, input, tensor1, tensor2, value):
    return g, g * conj(value / tensor2), -g * conj(value * tensor1 / (tensor2 * tensor2)), None


def _no_integers(lays) -> None:
    if promoted(lays[1:3]).category < 2:
        raise RuntimeError(
            "addcdiv: Integer division with addcdiv is not supported; convert tensor1 or tensor2 with .float() first"
        )


@elementwise(
    dtypes="int float complex",
    gradient=_addcdiv_gradient,
    data=("value",),
    numbers="value",
    check=_no_integers,
    where="",
    name="addcdiv",
)
def _addcdiv(input, tensor1, tensor2, value=1):
    return input + value * tensor1 / tensor2


def _three(op, name: str, doc: str):
    """fn(input, tensor1, tensor2, *, value=1), with its in-place variant."""

    def fn(input, tensor1, tensor2, *, value=1):
        return op(input, tensor1, tensor2, value)

    def call(input, tensor1, tensor2, *, value=1, out=None):
        r = op(input, tensor1, tensor2, value)
        return r if out is None else store_out(out, r, name)

    call.__doc__ = doc
    call.__name__ = call.__qualname__ = name
    function(call)
    publish(inplace_variant(fn, name), name + "_", "Tensor")
    return call


addcmul = _three(_addcmul, "addcmul", "input + value * tensor1 * tensor2.")
addcdiv = _three(_addcdiv, "addcdiv", "input + value * tensor1 / tensor2.")


def _copysign_gradient(g, out, input, other):
    return zero_where(g * (out / input), eq(input, 0)), None


@elementwise(kind="float", dtypes="bool int float", gradient=_copysign_gradient)
def copysign(input, other):
    """|input| with the sign of other."""
    return np.copysign(input, other)


@function
def ldexp(input, other, *, out=None):
    """input * 2 ** other."""
    for position, (name, t) in enumerate((("input", input), ("other", other)), 1):
        if not isinstance(t, Tensor):
            raise TypeError(f"ldexp(): argument '{name}' (position {position}) must be Tensor, not {type(t).__name__}")
    r = mul(input, pow(2.0, other))
    return r if out is None else store_out(out, r, "ldexp")


publish(inplace_variant(ldexp, "ldexp"), "ldexp_", "torch Tensor")


def _frexp_rule(input):
    d = input.dtype
    if not d.is_floating_point:
        raise RuntimeError(f"torch.frexp() only supports floating-point dtypes, not {d}")
    strides = result_strides(input.shape, [input])
    return layout(input.shape, strides, d, input.device), layout(input.shape, strides, int32, input.device)


def _frexp_gradient(g, out, input):
    return None if g[0] is None else g[0] / pow(2.0, out[1])


@primitive(rule=_frexp_rule, gradient=_frexp_gradient, where="", name="frexp")
def _frexp(input):
    return np.frexp(input)


@function
def frexp(input, *, out=None):
    """(mantissa, exponent) with input = mantissa * 2 ** exponent and 0.5 <= |mantissa| < 1; the exponents are int32."""
    r = frexp_result(_frexp(input))
    return r if out is None else store_out(out, r, "frexp")


@elementwise(dtypes="int", differentiable=False, numbers="")
def gcd(input, other):
    """Greatest common divisor; gcd(0, 0) is 0."""
    return np.gcd(input, other)


@elementwise(dtypes="int", differentiable=False, numbers="")
def lcm(input, other):
    """Least common multiple; 0 where one is 0."""
    return np.abs(np.lcm(input, other))


def _nextafter_kernel(spec):
    """The half types have their own neighbours; those of bfloat16 are found in its bits."""
    if spec.outs[0].dtype is float16:
        return lambda a, b: np.nextafter(a.astype(np.float16), b.astype(np.float16))
    if spec.outs[0].dtype is not bfloat16:
        return np.nextafter

    def run(a, b):
        a, b = np.broadcast_arrays(a, b)
        bits = encode(a, bfloat16).astype(np.int32)
        away = np.where((b > a) == (a > 0), 1, -1)
        moved = np.where(a == 0, np.where(b > 0, 1, 0x8001), bits + away).astype(np.uint16)
        return np.where(np.isnan(a) | np.isnan(b), np.float32(np.nan), np.where(a == b, b, decode(moved, bfloat16)))

    return run


def _nextafter_rule(input, other):
    _one_dtype("nextafter", input, other)
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"\"nextafter_cpu\" not implemented for '{scalar_name(input.dtype)}'")
    shape = broadcast_shapes(input.shape, other.shape)
    return layout(shape, result_strides(shape, [input, other]), input.dtype, input.device)


def _nextafter_gradient(g, out, input, other):
    return zero_where(g, eq(input, other)), None


@primitive(
    gradient=_nextafter_gradient,
    rule=_nextafter_rule,
    kernel=_nextafter_kernel,
    inplace=True,
    out=True,
    where="torch Tensor",
)
def nextafter(input, other):
    """The next number of the dtype after input, towards other."""
    return np.nextafter(input, other)


nextafter.operation.takes = [(0, "input", False), (1, "other", False)]
