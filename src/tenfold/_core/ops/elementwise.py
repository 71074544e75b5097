"""Arithmetic and comparison, element by element; Python's operators."""

from __future__ import annotations

import numpy as np

from ..ir.dtypes import bool_
from ..trace.handle import Tensor, layout_of
from .declare import describe, elementwise, function, inplace_variant, publish, store_out

# --- arithmetic ------------------------------------------------------------------------------------------------------------


@elementwise(gradient=lambda g, out, input, other: (g, g), name="add", where="", grad_name="Add")
def _add(input, other):
    return np.add(input, other)


@elementwise(gradient=lambda g, out, input, other: (g, -g), name="sub", where="", grad_name="Sub")
def _sub(input, other):
    return np.subtract(input, other)


@elementwise(gradient=lambda g, out, input, other: (-g, g), name="rsub", where="", grad_name="Rsub")
def _rsub(input, other):
    return np.subtract(other, input)


@elementwise(gradient=lambda g, out, input, other: (g * conj(other), g * conj(input)), aliases=("multiply",))
def mul(input, other):
    """Product: input * other."""
    return np.multiply(input, other)


def _divided(g, out, input, other):
    return g / conj(other), -g * conj(out / other)


@elementwise(kind="float", gradient=_divided, name="div", where="", grad_name="Div")
def _true_divide(input, other):
    return np.true_divide(input, other)


@elementwise(gradient=lambda g, out, input: -g, aliases=("negative",), refuse=())
def neg(input):
    """Negation. Raises RuntimeError for bool."""
    return np.negative(input)


def conj(x):
    """The complex conjugate inside gradients; real tensors (and numbers) are returned as they are."""
    return _conj(x) if isinstance(x, Tensor) and layout_of(x).dtype.is_complex else x


@elementwise(gradient=lambda g, out, input: conj(g), name="_conj_physical", where="", grad_name="Conj")
def _conj(input):
    return np.conjugate(input)


# --- the public names with their options --------------------------------------------------------------------------------------


def _scaled(fn, name: str, doc: str, aliases=()):
    """add and sub: fn(input, alpha * other)."""

    def call(input, other, *, alpha=1, out=None):
        if type(alpha) is not int or alpha != 1:
            _check_alpha(name, input, other, alpha)
            other = mul(other, alpha) if isinstance(other, Tensor) else other * alpha
        r = fn(input, other)
        return r if out is None else store_out(out, r, name)

    call.__doc__ = doc
    describe(call, call, name, False)
    publish(call, name, "torch Tensor", aliases)
    inplace = inplace_variant(call, name)
    describe(inplace, call, name + "_", False)
    publish(inplace, name + "_", "Tensor", [a + "_" for a in aliases])
    return call


def _check_alpha(name, input, other, alpha) -> None:
    d = [layout_of(t).dtype for t in (input, other) if isinstance(t, Tensor)]
    if isinstance(alpha, bool) and any(x is not bool_ for x in d):
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, float) and all(x.category < 2 for x in d) and not isinstance(other, float):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")


add = _scaled(_add, "add", "Sum: input + alpha * other.")
sub = _scaled(_sub, "sub", "Difference: input - alpha * other.", ("subtract",))


@elementwise(kind="float", gradient=lambda g, out, input: g * conj(out))
def exp(input):
    """e to the power of each element."""
    return np.exp(input)


@elementwise(kind="float", gradient=lambda g, out, input: g / conj(input))
def log(input):
    """Natural logarithm."""
    return np.log(input)


@elementwise(kind="float", gradient=lambda g, out, input: g / (2 * conj(out)))
def sqrt(input):
    """Square root."""
    return np.sqrt(input)


# --- operators ---------------------------------------------------------------------------------------------------------------


def _number_or_tensor(x) -> bool:
    return isinstance(x, (Tensor, bool, int, float, complex, np.number, np.bool_))


def operator_(name: str, fn, reflected: str | None = None, rfn=None):
    """Python's operator: NotImplemented for what is neither tensor nor number, so that Python says so."""
    scalars = {float, int, Tensor}

    def call(self, other):
        if type(other) in scalars or _number_or_tensor(other):
            return fn(self, other)
        if isinstance(other, np.ndarray):
            return fn(self, _from_array(other))
        return NotImplemented

    publish(call, name, "Tensor")
    if reflected:
        r = rfn or (lambda a, b: fn(a, b))

        def rcall(self, other):
            if type(other) in scalars or _number_or_tensor(other):
                return r(self, other)
            if isinstance(other, np.ndarray):
                return r(self, _from_array(other))
            return NotImplemented

        publish(rcall, reflected, "Tensor")


def _from_array(a):
    from .creation import tensor

    return tensor(a)


def inplace_operator(name: str, fn, label: str) -> None:
    method = inplace_variant(fn, label)

    def call(self, other):
        if not _number_or_tensor(other):
            return NotImplemented
        return method(self, other)

    publish(call, name, "Tensor")


operator_("__add__", _add, "__radd__")
operator_("__sub__", _sub, "__rsub__", _rsub)
operator_("__mul__", mul, "__rmul__")
operator_("__truediv__", _true_divide, "__rtruediv__", lambda a, b: _reciprocal_times(a, b))
publish(neg, "__neg__", "Tensor")
inplace_operator("__iadd__", _add, "add")
inplace_operator("__isub__", _sub, "sub")
inplace_operator("__imul__", mul, "mul")
inplace_operator("__itruediv__", _true_divide, "div")


def _rdiv_gradient(g, out, input, other):
    return -g * conj(out / input), g / conj(input)


@elementwise(kind="float", gradient=_rdiv_gradient, name="rdiv", where="", grad_name="Div")
def _reciprocal_times(input, other):
    return np.true_divide(other, input)


@function(aliases=("divide",))
def div(input, other, *, rounding_mode=None, out=None):
    """Quotient: input / other; integers are divided as floats.

    Args: rounding_mode: None, "trunc" (towards zero) or "floor"; with one, integers stay integers."""
    if rounding_mode is None:
        r = _true_divide(input, other)
    else:
        raise NotImplementedError(f"div: rounding_mode {rounding_mode!r} is not there yet")
    return r if out is None else store_out(out, r, "div")
