"""Comparison, logic and bits, element by element."""

from __future__ import annotations

import numpy as np

from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from .declare import elementwise, function, publish, scalar_name
from .elementwise import _number_or_tensor, _tensor, inplace_operator, operator_, swapped, zero_where

# --- comparison ----------------------------------------------------------------------------------------------


def _compare(name: str, fn, doc: str, aliases=(), dtypes="bool int float"):
    def compare(input, other):
        return fn(input, other)

    compare.__doc__ = doc
    return elementwise(kind="bool", name=name, differentiable=False, aliases=aliases, dtypes=dtypes)(compare)


eq = _compare("eq", np.equal, "Where input == other, as bool.", dtypes=None)
ne = _compare("ne", np.not_equal, "Where input != other, as bool.", ("not_equal",), dtypes=None)
lt = _compare("lt", np.less, "Where input < other, as bool.", ("less",))
le = _compare("le", np.less_equal, "Where input <= other, as bool.", ("less_equal",))
gt = _compare("gt", np.greater, "Where input > other, as bool.", ("greater",))
ge = _compare("ge", np.greater_equal, "Where input >= other, as bool.", ("greater_equal",))

for _name, _fn in (("__lt__", lt), ("__le__", le), ("__gt__", gt), ("__ge__", ge)):
    operator_(_name, _fn)


def _equality(fn):
    def call(self, other):
        if _number_or_tensor(other):
            return fn(self, other)
        if isinstance(other, np.ndarray):
            return fn(self, _tensor(other))
        return NotImplemented

    return call


publish(_equality(eq), "__eq__", "Tensor")
publish(_equality(ne), "__ne__", "Tensor")


def _same_dtype(input, other, name: str) -> None:
    a, b = layout_of(input).dtype, layout_of(other).dtype
    if a is not b:
        raise RuntimeError(f"{name}: {scalar_name(a)} did not match {scalar_name(b)}; convert one with .to(...)")


@elementwise(kind="bool", where="", name="isclose", numbers="", differentiable=False)
def _isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    close = np.equal(input, other)
    if equal_nan:
        close = close | (np.isnan(input) & np.isnan(other))
    if input.dtype.kind == "b":
        return close
    if input.dtype.kind in "iu":
        input, other = input.astype("f8"), other.astype("f8")
    apart = np.absolute(input - other)
    return close | (np.isfinite(apart) & (apart <= atol + np.absolute(rtol * other)))


@function
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Where |input - other| <= atol + rtol * |other|, as bool; equal infinities are close.

    Args:
        equal_nan: whether NaN is close to NaN. Default False.
    Raises: RuntimeError for different dtypes and for negative tolerances."""
    for name, t in (("input", input), ("other", other)):
        if not isinstance(t, Tensor):
            raise TypeError(f"isclose(): argument '{name}' must be Tensor, not {type(t).__name__}")
    _same_dtype(input, other, "isclose")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"isclose: rtol and atol must be at least zero, they are {rtol} and {atol}")
    return _isclose(input, other, rtol, atol, equal_nan)


@function
def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False) -> bool:
    """Whether all elements are close (see isclose)."""
    return bool(array_of(isclose(input, other, rtol, atol, equal_nan)).all())


@function
def equal(input, other) -> bool:
    """Whether shape and all elements are the same."""
    for name, t in (("input", input), ("other", other)):
        if not isinstance(t, Tensor):
            raise TypeError(f"equal(): argument '{name}' must be Tensor, not {type(t).__name__}")
    if layout_of(input).shape != layout_of(other).shape:
        return False
    return bool(array_of(eq(input, other)).all())


# --- what a value is -----------------------------------------------------------------------------------------


def _test(name: str, fn, doc: str, dtypes=None, out: bool = False, where: str = "torch Tensor"):
    def test(input):
        return fn(input)

    test.__doc__ = doc
    return elementwise(
        kind="bool", differentiable=False, inplace=False, out=out, name=name, dtypes=dtypes, where=where
    )(test)


isnan = _test("isnan", np.isnan, "Where input is NaN.")
isinf = _test("isinf", np.isinf, "Where input is infinite.")
isfinite = _test("isfinite", np.isfinite, "Where input is neither infinite nor NaN.")
isreal = _test("isreal", np.isreal, "Where input has no imaginary part.")
isposinf = _test(
    "isposinf", lambda x: np.isinf(x) & (x > 0), "Where input is positive infinity.", "bool int float", out=True
)
isneginf = _test(
    "isneginf", lambda x: np.isinf(x) & (x < 0), "Where input is negative infinity.", "bool int float", out=True
)
signbit = _test(
    "signbit",
    lambda x: np.signbit(x) if x.dtype.kind == "f" else np.less(x, 0),
    "Where input is negative, minus zero included.",
    "bool int float",
    out=True,
)


@function
def is_nonzero(input) -> bool:
    """Whether the only element is not zero. Raises RuntimeError where there are more, or none."""
    return bool(input)


# --- logic ---------------------------------------------------------------------------------------------------


@elementwise(kind="bool", differentiable=False)
def logical_not(input):
    """Where input is zero (or False)."""
    return np.logical_not(input)


def _logic(name: str, fn, doc: str):
    def logic(input, other):
        return fn(input, other)

    logic.__doc__ = doc
    return elementwise(kind="bool", name=name, differentiable=False, numbers="")(logic)


logical_and = _logic("logical_and", np.logical_and, "Where both are true.")
logical_or = _logic("logical_or", np.logical_or, "Where one or both are true.")
logical_xor = _logic("logical_xor", np.logical_xor, "Where just one is true.")


# --- bits ----------------------------------------------------------------------------------------------------


def _bits(name: str, fn, doc: str, dtypes="bool int"):
    def bits(input, other):
        return fn(input, other)

    bits.__doc__ = doc
    return elementwise(name=name, dtypes=dtypes, differentiable=False, numbers="input other")(bits)


def _shift_left(x, by):
    width = x.dtype.itemsize * 8
    outside = (by < 0) | (by >= width)
    return np.where(outside, x.dtype.type(0), np.left_shift(x, np.where(outside, 0, by).astype(x.dtype)))


def _shift_right(x, by):
    width = x.dtype.itemsize * 8
    last = width - 1 if x.dtype.kind == "i" else width
    outside = (by < 0) | (by >= width)
    far = np.right_shift(x, x.dtype.type(width - 1)) if x.dtype.kind == "i" else x.dtype.type(0)
    return np.where(outside, far, np.right_shift(x, np.where(outside, min(last, width - 1), by).astype(x.dtype)))


bitwise_and = _bits("bitwise_and", np.bitwise_and, "Bitwise and; logical and of bools.")
bitwise_or = _bits("bitwise_or", np.bitwise_or, "Bitwise or; logical or of bools.")
bitwise_xor = _bits("bitwise_xor", np.bitwise_xor, "Bitwise exclusive or.")
bitwise_left_shift = _bits("bitwise_left_shift", _shift_left, "input * 2 ** other, in whole bits.", "int")
bitwise_right_shift = _bits(
    "bitwise_right_shift", _shift_right, "input / 2 ** other rounded down: shifts with the sign.", "int"
)


@elementwise(dtypes="bool int", differentiable=False)
def bitwise_not(input):
    """Bitwise complement; logical not of bools."""
    return np.invert(input)


def _invert(self):
    if layout_of(self).dtype.category > 1:
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors, not on "
            f"{layout_of(self).dtype}"
        )
    return bitwise_not(self)


publish(_invert, "__invert__", "Tensor")
for _name, _fn in (("and", bitwise_and), ("or", bitwise_or), ("xor", bitwise_xor)):
    operator_(f"__{_name}__", _fn, f"__r{_name}__", swapped(_fn))
    inplace_operator(f"__i{_name}__", _fn, f"bitwise_{_name}")
for _name, _fn in (("lshift", bitwise_left_shift), ("rshift", bitwise_right_shift)):
    operator_(f"__{_name}__", _fn, f"__r{_name}__", swapped(_fn))
    inplace_operator(f"__i{_name}__", _fn, f"bitwise_{'left' if _name == 'lshift' else 'right'}_shift")


# --- the greater and the lesser of two -----------------------------------------------------------------------


def _bound(loses):
    """Gradient of the greater or lesser of two: shared in halves where they are equal."""

    def gradient(g, out, input, other):
        shared = g - g * 0.5 * eq(input, other)
        return zero_where(shared, loses(input, other)), zero_where(shared, loses(other, input))

    return gradient


def _extreme(name: str, fn, doc: str, gradient):
    def extreme(input, other):
        return fn(input, other)

    extreme.__doc__ = doc
    return elementwise(gradient=gradient, inplace=False, numbers="", name=name, dtypes="bool int float")(extreme)


maximum = _extreme("maximum", np.maximum, "The greater of two, element by element; NaN where one is NaN.", _bound(lt))
minimum = _extreme("minimum", np.minimum, "The lesser of two, element by element; NaN where one is NaN.", _bound(gt))


def _one_side(wins):
    """Gradient that goes to input where it wins or other is NaN, and to other elsewhere."""

    def gradient(g, out, input, other):
        mine = logical_or(wins(input, other), isnan(other))
        return zero_where(g, logical_not(mine)), zero_where(g, mine)

    return gradient


fmax = _extreme(
    "fmax", np.fmax, "The greater of two, element by element; a NaN counts only against another.", _one_side(ge)
)
fmin = _extreme(
    "fmin", np.fmin, "The lesser of two, element by element; a NaN counts only against another.", _one_side(le)
)


def _same_values(lays) -> None:
    if lays[0].dtype is not lays[1].dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes: convert one first.")


def _no_complex_step(lays) -> None:
    _same_values(lays)
    if lays[0].dtype.is_complex:
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")


@elementwise(numbers="", check=_no_complex_step, grad_name="NotImplemented")
def heaviside(input, values):
    """0 where input is negative, `values` where it is 0, and 1 where it is positive."""
    if input.dtype.kind == "b":
        return np.where(input, True, values)
    return np.where(input == 0, values, (input > 0).astype(input.dtype))
