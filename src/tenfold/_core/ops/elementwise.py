"""Arithmetic, element by element; Python's operators.

Next to this file: comparison.py (comparison, logic, bits), power.py (powers, exponentials, logarithms), mathematics.py
(rounding, trigonometry, bounds), activation.py and special.py."""

from __future__ import annotations

import numpy as np

from ..ir.arrays import Symbolic, required
from ..ir.dtypes import bool_
from ..ir.shapes import Layout, layout
from ..ir.special import CAST
from ..trace.handle import Tensor, layout_of
from .declare import (
    describe,
    elementwise,
    function,
    inplace_variant,
    pointwise_layout,
    primitive,
    promoted,
    publish,
    store_out,
)

# --- arithmetic ----------------------------------------------------------------------------------------------


@elementwise(gradient=lambda g, out, input, other: (g, g), name="add", where="", grad_name="Add", numbers="input other")
def _add(input, other):
    return np.add(input, other)


def _refuse_bool(lays) -> None:
    if any(l.dtype is bool_ for l in lays):
        both = "two bool tensors is" if all(l.dtype is bool_ for l in lays) else "a bool tensor is"
        raise RuntimeError(
            f"Subtraction, the `-` operator, with {both} not supported. Use `^`, logical_xor() or logical_not() "
            "for masks."
        )


@elementwise(
    gradient=lambda g, out, input, other: (g, -g),
    name="sub",
    where="",
    grad_name="Sub",
    numbers="input other",
    check=_refuse_bool,
)
def _sub(input, other):
    return np.subtract(input, other)


@elementwise(
    gradient=lambda g, out, input, other: (-g, g), name="rsub", where="", grad_name="RsubBackward1", check=_refuse_bool
)
def _rsub(input, other):
    return np.subtract(other, input)


@elementwise(
    gradient=lambda g, out, input, other: (g * conj(other), g * conj(input)),
    name="mul",
    where="",
    numbers="input other",
)
def _mul(input, other):
    return np.multiply(input, other)


def _divided(g, out, input, other):
    return g / conj(other), -g * conj(out / other)


@elementwise(kind="float", gradient=_divided, name="div", where="", grad_name="Div", numbers="input other")
def _true_divide(input, other):
    return np.true_divide(input, other)


def _rdiv_gradient(g, out, input, other):
    return -g * conj(out / input), g / conj(input)


@elementwise(kind="float", gradient=_rdiv_gradient, name="rdiv", where="", grad_name="Mul")
def _reciprocal_times(input, other):
    return np.reciprocal(input) * other


def _not_bool_negated(lays) -> None:
    if lays[0].dtype is bool_:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. To invert a mask, use `~` or logical_not()."
        )


@elementwise(gradient=lambda g, out, input: -g, aliases=("negative",), check=_not_bool_negated)
def neg(input):
    """Negation. Raises RuntimeError for bool."""
    return np.negative(input)


def conj(x):
    """The complex conjugate inside gradients; real tensors (and numbers) are returned as they are."""
    return _conj(x) if isinstance(x, Tensor) and layout_of(x).dtype.is_complex else x


@elementwise(gradient=lambda g, out, input: conj(g), name="_conj_physical", where="", grad_name="Conj")
def _conj(input):
    return np.conjugate(input)


@elementwise(kind="float", gradient=lambda g, out, input: -g * conj(out * out))
def reciprocal(input):
    """1 / input."""
    return np.reciprocal(input)


_BITS = {np.dtype("f4"): (np.uint32, np.uint32(1)), np.dtype("f8"): (np.uint64, np.uint64(1))}


def zeroed(x, mask):
    """x where the bool array mask is false, 0 where it is true. Done on bits, which is many times faster than
    np.where on a
    mask without pattern."""
    found = _BITS.get(x.dtype)
    if found is None or not x.ndim or not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        return np.where(mask, x.dtype.type(0), x)
    word, one = found
    return (x.view(word) & (mask.astype(word) - one)).view(x.dtype)


def chosen(mask, x, y):
    """np.where(mask, x, y) of two arrays of one dtype, done on bits."""
    found = _BITS.get(x.dtype)
    if found is None or x.dtype != y.dtype or not x.ndim or not y.ndim or isinstance(mask, Symbolic):
        return np.where(mask, x, y)
    word, one = found
    a, b = x.view(word), y.view(word)
    return (a ^ ((a ^ b) & (mask.astype(word) - one))).view(x.dtype)


def _zero_where_rule(input, mask):
    lays = [input, mask] if isinstance(mask, Layout) else [input]
    out = pointwise_layout(lays, input.dtype)
    return out if out.dtype is input.dtype else layout(out.shape, out.strides, input.dtype, out.device)


@primitive(
    rule=_zero_where_rule,
    gradient=lambda g, out, input, mask: (zero_where(g, mask), None),
    name="zero_where",
    where="",
    data=("input", "mask"),
)
def zero_where(input, mask):
    """input, but 0 where mask (bools, or True) is true, whatever input is there: gradients drop NaN and infinities
    so."""
    if not isinstance(input, np.ndarray):
        return np.where(np.not_equal(mask, 0), 0, input)
    return zeroed(input, mask if isinstance(mask, np.ndarray) and mask.dtype == np.bool_ else np.not_equal(mask, 0))


# --- division with a whole quotient --------------------------------------------------------------------------


def _refuse_zero(divisor) -> None:
    if divisor.dtype.kind in "iu" and not required(divisor != 0):
        raise RuntimeError(
            "ZeroDivisionError: integer division or modulo by zero; divide floats, or mask the zeros first"
        )


def _no_gradient(g, out, input, other):
    return None, None


@elementwise(
    name="div_floor",
    where="",
    dtypes="int float",
    gradient=_no_gradient,
    grad_name="DivBackward2",
    numbers="input other",
)
def _div_floor(input, other):
    _refuse_zero(other)
    return np.floor_divide(input, other)


@elementwise(
    name="div_trunc",
    where="",
    dtypes="int float",
    gradient=_no_gradient,
    grad_name="DivBackward2",
    numbers="input other",
)
def _div_trunc(input, other):
    _refuse_zero(other)
    if input.dtype.kind == "f":
        return np.trunc(np.true_divide(input, other))
    return np.floor_divide(input - np.fmod(input, other), other)


@elementwise(dtypes="int float", name="floor_divide", where="", grad_name="NotImplemented", numbers="input other")
def _floor_divide(input, other):
    _refuse_zero(other)
    return np.floor_divide(input, other)


def _remainder_gradient(g, out, input, other):
    return g, -g * _div_floor(input, other)


@elementwise(dtypes="int float", gradient=_remainder_gradient, numbers="input other")
def remainder(input, other):
    """input - other * floor(input / other): Python's `%`, with the sign of other."""
    _refuse_zero(other)
    return np.remainder(input, other)


def _fmod_gradient(g, out, input, other):
    return g, -g * _div_trunc(input, other)


@elementwise(dtypes="int float", gradient=_fmod_gradient)
def fmod(input, other):
    """input - other * trunc(input / other): C's remainder, with the sign of input."""
    _refuse_zero(other)
    return np.fmod(input, other)


# --- the public names with their options ---------------------------------------------------------------------


def _tensor(x):
    from .creation import tensor

    return tensor(x)


def _public(call, name: str, doc: str, aliases=()):
    """A function of two operands with `out=` and an in-place variant."""
    call.__doc__ = doc
    describe(call, call, name, False)
    publish(call, name, "torch Tensor", aliases)
    inplace = inplace_variant(call, name)
    describe(inplace, call, name + "_", False)
    publish(inplace, name + "_", "Tensor", [a + "_" for a in aliases])
    return call


def _plain(fn, name: str, doc: str, aliases=()):
    """fn(input, other), where one or both may be numbers."""

    def call(input, other, *, out=None):
        if not isinstance(input, Tensor) and not isinstance(other, Tensor):
            input = _number_tensor(name, input)
        r = fn(input, other)
        return r if out is None else store_out(out, r, name)

    return _public(call, name, doc, aliases)


def _number_tensor(name: str, x):
    if not _is_number(x):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    return _tensor(x)


def _scaled(fn, name: str, doc: str, aliases=()):
    """add and sub: fn(input, alpha * other)."""

    def call(input, other, *, alpha=1, out=None):
        if not isinstance(input, Tensor) and not isinstance(other, Tensor):
            input = _number_tensor(name, input)
        if type(alpha) is not int or alpha != 1:
            _check_alpha(name, input, other, alpha)
            other = _times_alpha(input, other, alpha)
        r = fn(input, other)
        return r if out is None else store_out(out, r, name)

    return _public(call, name, doc, aliases)


def _times_alpha(input, other, alpha):
    """alpha * other in the dtype of the sum, which alpha has no part in."""
    if not isinstance(other, Tensor):
        return other * alpha
    if layout_of(other).dtype is bool_ and isinstance(input, Tensor):
        d = promoted([layout_of(input), layout_of(other)])
        if d is bool_:
            return other if alpha else other.logical_not().logical_and(other)
        other = CAST.call(other, d)
    return _mul(other, alpha)


def _check_alpha(name, input, other, alpha) -> None:
    if isinstance(alpha, Tensor):
        return
    d = [layout_of(t).dtype for t in (input, other) if isinstance(t, Tensor)]
    if name in ("sub", "rsub") and (bool_ in d or isinstance(other, bool)):
        _sub(input, other)  # raises: a scaled bool tensor would be one of integers
    if isinstance(alpha, bool) and any(x is not bool_ for x in d):
        raise RuntimeError(
            f"{name}: Boolean alpha only supported for Boolean results, not for {', '.join(map(str, d))}."
        )
    if isinstance(alpha, float) and all(x.category < 2 for x in d) and not isinstance(other, float):
        raise RuntimeError(
            f"{name}: For integral input tensors, argument alpha must not be a floating point number (it is {alpha})."
        )


add = _scaled(_add, "add", "Sum: input + alpha * other.")
sub = _scaled(_sub, "sub", "Difference: input - alpha * other.", ("subtract",))
mul = _plain(_mul, "mul", "Product: input * other.", ("multiply",))
floor_divide = _plain(_floor_divide, "floor_divide", "Quotient rounded down, as Python's `//`.")
true_divide = _plain(_true_divide, "true_divide", "Quotient: input / other; integers are divided as floats.")


@function(where="torch")
def rsub(input, other, *, alpha=1):
    """other - alpha * input."""
    if type(alpha) is not int or alpha != 1:
        _check_alpha("rsub", input, other, alpha)
        input = _mul(input, alpha)
    return _rsub(input, other)


@elementwise(name="truncated", where="", grad_name="DivBackward2", gradient=lambda g, out, input: None)
def _truncated(input):
    return np.trunc(input)


_ROUNDED = {"floor": _div_floor, "trunc": _div_trunc}


def _div(input, other, *, rounding_mode=None, out=None):
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        input = _number_tensor("div", input)
    if rounding_mode is None:
        r = _true_divide(input, other)
    elif rounding_mode in _ROUNDED:
        r = _ROUNDED[rounding_mode](input, other)
        if rounding_mode == "trunc" and layout_of(r).dtype.half:  # the quotient is rounded to the dtype first
            r = _truncated(_true_divide(input, other))
    else:
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}"
        )
    return r if out is None else store_out(out, r, "div")


div = _public(
    _div,
    "div",
    """Quotient: input / other; integers are divided as floats.

    Args: rounding_mode: None, "trunc" (towards zero) or "floor"; with one, integers stay integers.""",
    ("divide",),
)


@function
def positive(input):
    """input itself. Raises RuntimeError for bool."""
    if layout_of(input).dtype is bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported; convert it with .int() first.")
    return input


# --- absolute values and signs -------------------------------------------------------------------------------


def _abs_gradient(g, out, input):
    return g * sgn(input)


@elementwise(kind="real", dtypes="int float complex", gradient=_abs_gradient, aliases=("absolute",), inplace=False)
def abs(input):
    """The absolute value; of complex numbers the modulus, a real tensor."""
    return np.absolute(input)


def _abs_(input):
    """The absolute value, in place. Raises RuntimeError for complex tensors, whose modulus is real."""
    if layout_of(input).dtype.is_complex:
        raise RuntimeError("In-place abs is not supported for complex tensors: the result is real, use abs()")
    return _abs_real_(input)


_abs_real_ = inplace_variant(abs, "abs")
publish(_abs_, "abs_", "torch Tensor", ("absolute_",))


@elementwise(dtypes="bool int float", gradient=lambda g, out, input: zero_where(g, True))
def sign(input):
    """-1, 0 or 1 as input is negative, zero or positive."""
    if input.dtype == np.bool_:
        return input
    return (input > 0).astype(input.dtype) - (input < 0).astype(input.dtype)


def _sgn_gradient(g, out, input):
    if not layout_of(input).dtype.is_complex:
        return zero_where(g, True)
    size = abs(input)
    along = _real_part(g * conj(out))
    return zero_where((g - out * along) / size, size == 0)


@elementwise(gradient=_sgn_gradient)
def sgn(input):
    """sign(input); of complex numbers input / |input|, and 0 at 0."""
    if input.dtype.kind == "c":
        size = np.absolute(input)
        return np.where(size == 0, 0, input / np.where(size == 0, 1, size))
    return sign.operation.fn(input)


@elementwise(kind="real", gradient=lambda g, out, input: g, name="real_part", where="", grad_name="Real")
def _real_part(input):
    return np.real(input)


# --- operators -----------------------------------------------------------------------------------------------


def _is_number(x) -> bool:
    return isinstance(x, (bool, int, float, complex, np.number, np.bool_))


def _number_or_tensor(x) -> bool:
    return isinstance(x, Tensor) or _is_number(x)


_COMMON = {float, int, Tensor}


def operator_(name: str, fn, reflected: str | None = None, rfn=None):
    """Python's operator: NotImplemented for what is neither tensor nor number, so that Python (or NumPy) answers."""

    def call(self, other):
        if type(other) in _COMMON or _number_or_tensor(other):
            return fn(self, other)
        return NotImplemented

    publish(call, name, "Tensor")
    if reflected:
        r = rfn or (lambda a, b: fn(a, b))

        def rcall(self, other):
            if type(other) in _COMMON or _number_or_tensor(other):
                return r(self, other)
            return NotImplemented

        publish(rcall, reflected, "Tensor")


def inplace_operator(name: str, fn, label: str) -> None:
    method = inplace_variant(fn, label)

    def call(self, other):
        if not _number_or_tensor(other):
            return NotImplemented
        return method(self, other)

    publish(call, name, "Tensor")


def swapped(fn):
    """fn with its two operands the other way round."""
    return lambda self, other: fn(other, self)


operator_("__add__", _add, "__radd__")
operator_("__sub__", _sub, "__rsub__", _rsub)
operator_("__mul__", _mul, "__rmul__")
operator_("__truediv__", _true_divide, "__rtruediv__", _reciprocal_times)
operator_("__div__", _true_divide, "__rdiv__", _reciprocal_times)
operator_("__floordiv__", _floor_divide, "__rfloordiv__", swapped(_floor_divide))
operator_("__mod__", remainder.operation.call, "__rmod__", swapped(remainder.operation.call))
publish(neg, "__neg__", "Tensor")
publish(positive, "__pos__", "Tensor")
publish(abs, "__abs__", "Tensor")
inplace_operator("__iadd__", _add, "add")
inplace_operator("__isub__", _sub, "sub")
inplace_operator("__imul__", _mul, "mul")
inplace_operator("__itruediv__", _true_divide, "div")
inplace_operator("__idiv__", _true_divide, "div")
inplace_operator("__ifloordiv__", _floor_divide, "floor_divide")
inplace_operator("__imod__", remainder.operation.call, "remainder")
