"""Powers, exponentials and logarithms."""

from __future__ import annotations

import math

import numpy as np

from ..ir.arrays import Symbolic, as_array
from ..ir.dtypes import complex128, dtype, float64
from ..ir.shapes import number
from ..trace.handle import Tensor, layout_of
from .comparison import eq, logical_and
from .declare import elementwise, function, inplace_variant, promoted, publish, store_out
from .elementwise import _is_number, conj, inplace_operator, operator_, swapped, zero_where

# --- powers --------------------------------------------------------------------------------------------------


def _power(base, exponent):
    """base ** exponent as PyTorch computes it: negative powers of integers are cut to integers, common exponents
    are exact."""
    if base.dtype.kind in "iu":
        return _integer_power(base, exponent)
    if np.ndim(exponent) == 0:
        known = base.dtype.kind == "f" and not isinstance(exponent, Symbolic)
        special = _COMMON_POWERS.get(complex(exponent)) if known else None
        if special is not None:
            return special(base)
    return np.power(base, exponent)


_COMMON_POWERS = {
    complex(0.5): np.sqrt,
    complex(1): np.positive,
    complex(2): np.square,
    complex(3): lambda x: x * x * x,
    complex(-0.5): lambda x: 1 / np.sqrt(x),
    complex(-1): np.reciprocal,
    complex(-2): lambda x: 1 / np.square(x),
}


def _integer_power(base, exponent):
    below = exponent < 0
    if not isinstance(exponent, Symbolic) and not np.any(below):
        return np.power(base, exponent)
    odd = np.where(exponent % 2 == 0, base.dtype.type(1), base)
    inverse = np.where(base == 1, base, np.where(base == -1, odd, base.dtype.type(0)))
    return np.where(below, inverse, np.power(base, np.where(below, exponent.dtype.type(0), exponent)))


def _power_gradient(g, out, input, exponent):
    """d/dinput = exponent * input ** (exponent - 1), 0 for the exponent 0; d/dexponent = out * log(input), 0 at 0
    ** positive."""
    to_base = zero_where(g * conj(exponent * _pow(input, exponent - 1)), eq(exponent, 0))
    if layout_of(exponent).number:
        return to_base, None
    positive = exponent >= 0 if not layout_of(exponent).dtype.is_complex else eq(exponent * 0, 0)
    to_exponent = zero_where(g * conj(out * log(input)), logical_and(eq(input, 0), positive))
    return to_base, to_exponent


def _pow_named(grad_name: str):
    """One operation for each kind of operands, since PyTorch calls their grad_fn differently."""
    options = {"dtypes": "int float complex", "gradient": _power_gradient, "where": "", "numbers": "input exponent"}
    return elementwise(name="pow", grad_name=grad_name, **options)(lambda input, exponent: _power(input, exponent))


_pow_of_number, _pow_of_tensors, _pow_of_base = (
    _pow_named("PowBackward0"),
    _pow_named("PowBackward1"),
    _pow_named("PowBackward2"),
)


def _pow(input, exponent):
    if not isinstance(exponent, Tensor):
        return _pow_of_number(input, exponent)
    return _pow_of_tensors(input, exponent) if isinstance(input, Tensor) else _pow_of_base(input, exponent)


def _static_power_gradient(g, out, input, exponent):
    if exponent == 0:
        return zero_where(g, True)
    if exponent == 1:
        return g
    if exponent == 2:
        return g * conj(2 * input)
    return g * conj(exponent * pow(input, exponent - 1))


@elementwise(
    dtypes="int float complex", gradient=_static_power_gradient, name="pow_int", where="", data=(), grad_name="Pow"
)
def _small_power(input, exponent=2):
    return _power(input, as_array(exponent))


SMALL = range(-8, 17)  # whole exponents that are part of the path, not data


def _raise_to(input, exponent):
    if type(exponent) is int:
        if exponent < 0 and isinstance(input, Tensor) and layout_of(input).dtype.category < 2:
            raise RuntimeError(
                f"Integers to negative integer powers are not allowed (exponent {exponent}); convert to a float "
                "dtype first."
            )
        if exponent in SMALL and layout_of(input).dtype.category:
            return _small_power(input, exponent)
    return _pow(input, exponent)


@function
def pow(input, exponent, *, out=None):
    """input ** exponent, element by element; one of the two may be a number.

    Raises: RuntimeError for integers to a negative number."""
    if not isinstance(input, Tensor) and not (_is_number(input) and isinstance(exponent, Tensor)):
        raise TypeError(f"pow(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    r = _raise_to(input, exponent) if isinstance(input, Tensor) else _pow(input, exponent)
    return r if out is None else store_out(out, r, "pow")


publish(inplace_variant(_raise_to, "pow"), "pow_", "Tensor")
operator_("__pow__", _raise_to, "__rpow__", swapped(_pow))
inplace_operator("__ipow__", _raise_to, "pow")


def _wide(*operands) -> dtype:
    d = promoted([layout_of(x) if isinstance(x, Tensor) else number(type(x)) for x in operands])
    return complex128 if d.is_complex else float64


@function
def float_power(input, exponent, *, out=None):
    """input ** exponent computed in double precision: float64, or complex128."""
    if not isinstance(input, Tensor) and not isinstance(exponent, Tensor):
        raise TypeError(
            f"float_power(): one of 'input' and 'exponent' must be Tensor, not {type(input).__name__} and "
            f"{type(exponent).__name__}"
        )
    d = _wide(input, exponent)
    if isinstance(input, Tensor):
        input = input.to(d)
    if isinstance(exponent, Tensor):
        exponent = exponent.to(d)
    elif not isinstance(exponent, complex):
        exponent = float(exponent)
    r = pow(input, exponent)
    if out is None:
        return r
    if layout_of(out).dtype is not d:
        raise RuntimeError(
            f"the output given to float_power has dtype {layout_of(out).dtype} but the operation's result "
            f"requires dtype {d}"
        )
    return store_out(out, r, "float_power")


@function(where="Tensor")
def float_power_(self, exponent):
    """self ** exponent in place; self must have the dtype that is computed in (float64 or complex128)."""
    d = _wide(self, exponent)
    if layout_of(self).dtype is not d:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {layout_of(self).dtype} but the operation's result "
            f"requires dtype {d}"
        )
    return self.pow_(exponent.to(d) if isinstance(exponent, Tensor) else exponent)


@function
def square(input, *, out=None):
    """input * input."""
    r = pow(input, 2)
    return r if out is None else store_out(out, r, "square")


publish(inplace_variant(square, "square"), "square_", "torch Tensor")


@elementwise(kind="float", gradient=lambda g, out, input: g / (2 * conj(out)))
def sqrt(input):
    """Square root."""
    return np.sqrt(input)


@elementwise(kind="float", gradient=lambda g, out, input: -0.5 * g * conj(out * out * out))
def rsqrt(input):
    """1 / sqrt(input)."""
    return np.reciprocal(np.sqrt(input))


# --- exponentials --------------------------------------------------------------------------------------------


@elementwise(kind="float", gradient=lambda g, out, input: g * conj(out))
def exp(input):
    """e to the power of each element."""
    return np.exp(input)


@elementwise(kind="float", gradient=lambda g, out, input: g * conj(out) * math.log(2), where="torch Tensor special")
def exp2(input):
    """2 to the power of each element."""
    return np.exp2(input)


@elementwise(kind="float", gradient=lambda g, out, input: g * conj(out + 1), where="torch Tensor special")
def expm1(input):
    """exp(input) - 1, exact for small input."""
    return np.expm1(input)


# --- logarithms ----------------------------------------------------------------------------------------------


@elementwise(kind="float", gradient=lambda g, out, input: g / conj(input))
def log(input):
    """Natural logarithm."""
    return np.log(input)


@elementwise(kind="float", gradient=lambda g, out, input: g / conj(input * math.log(2)))
def log2(input):
    """Logarithm to the base 2."""
    return np.log2(input)


@elementwise(kind="float", gradient=lambda g, out, input: g / conj(input * math.log(10)))
def log10(input):
    """Logarithm to the base 10."""
    return np.log10(input)


@elementwise(
    kind="float", gradient=lambda g, out, input: g / conj(input + 1), where="torch Tensor special", grad_name="Log1P"
)
def log1p(input):
    """log(1 + input), exact for small input."""
    return np.log1p(input)


def _logaddexp_gradient(g, out, input, other):
    """The shares exp(input - out) and exp(other - out) of the sum; none where the sum is infinite."""
    mine = zero_where(exp(input - out), eq(out, -math.inf))
    theirs = zero_where(exp(other - out), eq(out, -math.inf))
    return g * conj(mine), g * conj(theirs)


def _float_or_complex(lays) -> None:
    if promoted(lays).category < 2:
        raise not_implemented_for("logaddexp", lays)


def not_implemented_for(name: str, lays):
    return NotImplementedError(f'"{name}" not implemented for {promoted(lays)}: convert to a floating dtype first')


def _log_of_sum(input, other):
    if input.dtype.kind != "c":
        return np.logaddexp(input, other)
    greater = np.where(input.real >= other.real, input, other)
    lesser = np.where(input.real >= other.real, other, input)
    same = (input.real == other.real) & np.isinf(input.real) & (input.real < 0)
    return np.where(same, greater, greater + np.log1p(np.exp(lesser - greater)))


@elementwise(gradient=_logaddexp_gradient, numbers="", inplace=False, check=_float_or_complex)
def logaddexp(input, other):
    """log(exp(input) + exp(other)) without overflow."""
    return _log_of_sum(input, other)


def _logaddexp2_gradient(g, out, input, other):
    mine = zero_where(exp2(input - out), eq(out, -math.inf))
    theirs = zero_where(exp2(other - out), eq(out, -math.inf))
    return g * mine, g * theirs


@elementwise(gradient=_logaddexp2_gradient, numbers="", inplace=False, dtypes="float")
def logaddexp2(input, other):
    """log2(2 ** input + 2 ** other) without overflow."""
    return np.logaddexp2(input, other)


def _xlogy_gradient(g, out, input, other):
    """d/dinput = log(other), 0 where input is 0 and other is no positive number; d/dother = input / other."""
    return zero_where(g * log(other), logical_and(eq(input, 0), other <= 0)), g * input / other


@elementwise(
    kind="float", dtypes="bool int float", gradient=_xlogy_gradient, numbers="input other", where="torch Tensor special"
)
def xlogy(input, other):
    """input * log(other); 0 where input is 0, NaN where other is NaN."""
    r = input * np.log(other)
    return np.where((input == 0) & ~np.isnan(other), input.dtype.type(0), r)


def _xlog1py_gradient(g, out, input, other):
    return zero_where(g * log1p(other), logical_and(eq(input, 0), other <= -1)), g * input / (other + 1)


@elementwise(
    kind="float",
    dtypes="bool int float",
    gradient=_xlog1py_gradient,
    numbers="input other",
    where="special",
    inplace=False,
    grad_name="SpecialXlog1Py",
)
def xlog1py(input, other):
    """input * log(1 + other); 0 where input is 0, NaN where other is NaN."""
    r = input * np.log1p(other)
    return np.where((input == 0) & ~np.isnan(other), input.dtype.type(0), r)
