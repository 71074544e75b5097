"""Comparison, logic and bits, element by element."""

from __future__ import annotations

import numpy as np

from ..trace.handle import Tensor
from .declare import elementwise, publish
from .elementwise import inplace_operator, operator_


def _compare(name: str, fn, doc: str, aliases=()):
    def compare(input, other):
        return fn(input, other)

    compare.__doc__ = doc
    return elementwise(kind="bool", name=name, differentiable=False, aliases=aliases)(compare)


eq = _compare("eq", np.equal, "Where input == other, as bool.")
ne = _compare("ne", np.not_equal, "Where input != other, as bool.", ("not_equal",))
lt = _compare("lt", np.less, "Where input < other, as bool.", ("less",))
le = _compare("le", np.less_equal, "Where input <= other, as bool.", ("less_equal",))
gt = _compare("gt", np.greater, "Where input > other, as bool.", ("greater",))
ge = _compare("ge", np.greater_equal, "Where input >= other, as bool.", ("greater_equal",))

for _name, _fn in (("__lt__", lt), ("__le__", le), ("__gt__", gt), ("__ge__", ge)):
    operator_(_name, _fn)


def _equality(fn, answer: bool):
    def call(self, other):
        if isinstance(other, (Tensor, bool, int, float, complex, np.generic)):
            return fn(self, other)
        if isinstance(other, np.ndarray):
            from .creation import tensor

            return fn(self, tensor(other))
        return NotImplemented

    return call


publish(_equality(eq, False), "__eq__", "Tensor")
publish(_equality(ne, True), "__ne__", "Tensor")


@elementwise(kind="bool", differentiable=False)
def logical_not(input):
    """Where input is zero (or False)."""
    return np.logical_not(input)


def _logic(name: str, fn, doc: str):
    def logic(input, other):
        return fn(input, other)

    logic.__doc__ = doc
    return elementwise(kind="bool", name=name, differentiable=False)(logic)


logical_and = _logic("logical_and", np.logical_and, "Where both are true.")
logical_or = _logic("logical_or", np.logical_or, "Where one or both are true.")
logical_xor = _logic("logical_xor", np.logical_xor, "Where just one is true.")


def _bits(name: str, fn, doc: str, dtypes="bool int"):
    def bits(input, other):
        return fn(input, other)

    bits.__doc__ = doc
    return elementwise(name=name, dtypes=dtypes, differentiable=False)(bits)


bitwise_and = _bits("bitwise_and", np.bitwise_and, "Bitwise and; logical and of bools.")
bitwise_or = _bits("bitwise_or", np.bitwise_or, "Bitwise or; logical or of bools.")
bitwise_xor = _bits("bitwise_xor", np.bitwise_xor, "Bitwise exclusive or.")


@elementwise(dtypes="bool int", differentiable=False)
def bitwise_not(input):
    """Bitwise complement; logical not of bools."""
    return np.invert(input)


publish(bitwise_not, "__invert__", "Tensor")
operator_("__and__", bitwise_and, "__rand__")
operator_("__or__", bitwise_or, "__ror__")
operator_("__xor__", bitwise_xor, "__rxor__")
inplace_operator("__iand__", bitwise_and, "bitwise_and")
inplace_operator("__ior__", bitwise_or, "bitwise_or")
inplace_operator("__ixor__", bitwise_xor, "bitwise_xor")


def _bound(first_wins):
    """Gradient of the greater or lesser of two: it is shared where they are equal."""

    def gradient(g, out, input, other):
        mine = (input == out).to(g.dtype)
        theirs = (other == out).to(g.dtype) if isinstance(other, Tensor) else mine * 0
        share = g / (mine + theirs)
        return share * mine, share * theirs

    return gradient


@elementwise(gradient=_bound(True), inplace=False)
def maximum(input, other):
    """The greater of two, element by element; NaN where one is NaN."""
    return np.maximum(input, other)


@elementwise(gradient=_bound(False), inplace=False)
def minimum(input, other):
    """The lesser of two, element by element; NaN where one is NaN."""
    return np.minimum(input, other)


@elementwise(kind="bool", differentiable=False, inplace=False, out=False)
def isnan(input):
    """Where input is NaN."""
    return np.isnan(input)


