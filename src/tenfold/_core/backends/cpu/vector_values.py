"""Arithmetic on vectors that writes itself down as LLVM IR.

In: a number of lanes. Out: the lines of a function's body, and the intrinsics that they call. A `Value` has Python's
operators, so that a formula in `vector_math` reads as one. Nothing is folded or reordered: each operator is one
instruction, without fast-math flags, and a fused multiply-add is written `fma`.
"""

from __future__ import annotations

import struct
from typing import Any

ELEMENTS = {"f32": "float", "f64": "double", "i32": "i32", "i64": "i64", "i1": "i1"}
INTEGER_OF = {"f32": "i32", "f64": "i64"}


def literal(number: float, kind: str) -> str:
    """A number as IR text; a float32 is rounded first and then written as the double of the same value."""
    if not kind.startswith("f"):
        return str(number) if kind != "i1" else str(bool(number)).lower()
    if kind == "f32":
        number = struct.unpack("f", struct.pack("f", number))[0]
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


class Body:
    """The instructions of a function on vectors of `lanes` elements."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self._count = 0

    def type(self, kind: str) -> str:
        return f"<{self.lanes} x {ELEMENTS[kind]}>"

    def name(self) -> str:
        self._count += 1
        return f"%v{self._count}"

    def write(self, text: str, kind: str) -> Value:
        result = Value(self, self.name(), kind)
        self.lines.append(f"  {result.text} = {text}")
        return result

    def constant(self, number: float, kind: str) -> Value:
        return Value(self, f"splat ({ELEMENTS[kind]} {literal(number, kind)})", kind)

    def call(self, intrinsic: str, *arguments: Value) -> Value:
        kind = arguments[0].kind
        vector = self.type(kind)
        name = f"@llvm.{intrinsic}.v{self.lanes}{kind}"
        self.declarations.add(f"declare {vector} {name}({', '.join([vector] * len(arguments))})")
        return self.write(f"call {vector} {name}({', '.join(f'{vector} {a.text}' for a in arguments)})", kind)


class Value:
    """A vector: the text that names it, and its kind (f32, f64, i32, i64, i1)."""

    __slots__ = ("body", "kind", "text")

    def __init__(self, body: Body, text: str, kind: str) -> None:
        self.body = body
        self.text = text
        self.kind = kind

    def like(self, other: Any) -> Value:
        """`other` as a value of this kind; a number becomes a constant."""
        return other if isinstance(other, Value) else self.body.constant(other, self.kind)

    def _operate(self, name: str, left: Value, right: Value) -> Value:
        floating = self.kind.startswith("f")
        text = f"{'f' if floating else ''}{name} {self.body.type(self.kind)} {left.text}, {right.text}"
        return self.body.write(text, self.kind)

    def _compare(self, predicate: str, other: Any) -> Value:
        """Ordered for floats (false for NaN), signed for integers."""
        word = f"fcmp {predicate if predicate == 'uno' else 'o' + predicate}"
        if not self.kind.startswith("f"):
            word = f"icmp {predicate if predicate in ('eq', 'ne', 'ult') else 's' + predicate}"
        return self.body.write(f"{word} {self.body.type(self.kind)} {self.text}, {self.like(other).text}", "i1")

    def __add__(self, other: Any) -> Value:
        return self._operate("add", self, self.like(other))

    def __radd__(self, other: Any) -> Value:
        return self._operate("add", self.like(other), self)

    def __sub__(self, other: Any) -> Value:
        return self._operate("sub", self, self.like(other))

    def __rsub__(self, other: Any) -> Value:
        return self._operate("sub", self.like(other), self)

    def __mul__(self, other: Any) -> Value:
        return self._operate("mul", self, self.like(other))

    def __rmul__(self, other: Any) -> Value:
        return self._operate("mul", self.like(other), self)

    def __truediv__(self, other: Any) -> Value:
        return self._operate("div", self, self.like(other))

    def __rtruediv__(self, other: Any) -> Value:
        return self._operate("div", self.like(other), self)

    def __neg__(self) -> Value:
        return self.body.write(f"fneg {self.body.type(self.kind)} {self.text}", self.kind)

    def __and__(self, other: Any) -> Value:
        return self._operate("and", self, self.like(other))

    def __or__(self, other: Any) -> Value:
        return self._operate("or", self, self.like(other))

    def __xor__(self, other: Any) -> Value:
        return self._operate("xor", self, self.like(other))

    def __invert__(self) -> Value:
        return self._operate("xor", self, self.like(-1 if self.kind != "i1" else 1))

    def __lshift__(self, places: int) -> Value:
        return self._operate("shl", self, self.like(places))

    def __rshift__(self, places: int) -> Value:
        """Zeros come in from above: AVX2 has no other shift of 64-bit integers."""
        return self._operate("lshr", self, self.like(places))

    def signed_shift(self, places: int) -> Value:
        return self._operate("ashr", self, self.like(places))

    def __lt__(self, other: Any) -> Value:
        return self._compare("lt", other)

    def __gt__(self, other: Any) -> Value:
        return self._compare("gt", other)

    def __le__(self, other: Any) -> Value:
        return self._compare("le", other)

    def __ge__(self, other: Any) -> Value:
        return self._compare("ge", other)

    def equals(self, other: Any) -> Value:
        return self._compare("eq", other)

    def differs(self, other: Any) -> Value:
        return self._compare("ne", other)

    def below_unsigned(self, other: int) -> Value:
        return self._compare("ult", other)

    def unordered(self, other: Any) -> Value:
        return self._compare("uno", other)

    def bits(self) -> Value:
        return self.as_kind(INTEGER_OF[self.kind])

    def as_kind(self, kind: str) -> Value:
        """The same bits, read as another kind."""
        return self.body.write(
            f"bitcast {self.body.type(self.kind)} {self.text} to {self.body.type(kind)}",
            kind,
        )

    def convert(self, instruction: str, kind: str) -> Value:
        return self.body.write(
            f"{instruction} {self.body.type(self.kind)} {self.text} to {self.body.type(kind)}",
            kind,
        )


def fma(x: Value, y: Any, z: Any) -> Value:
    """x * y + z, rounded once."""
    return x.body.call("fma", x, x.like(y), x.like(z))


def select(condition: Value, chosen: Any, other: Any) -> Value:
    """`chosen` where the condition holds, `other` elsewhere; one of the two is a value."""
    model = chosen if isinstance(chosen, Value) else other
    chosen, other = model.like(chosen), model.like(other)
    body, vector = model.body, model.body.type(model.kind)
    return body.write(
        f"select {body.type('i1')} {condition.text}, {vector} {chosen.text}, {vector} {other.text}",
        model.kind,
    )


def at_most(x: Value, bound: float) -> Value:
    """x, or the bound where x is above it; NaN stays. (One instruction on x86: minps returns its second operand.)"""
    return select(x.like(bound) < x, bound, x)


def at_least(x: Value, bound: float) -> Value:
    return select(x.like(bound) > x, bound, x)


def magnitude(x: Value) -> Value:
    return x.body.call("fabs", x)


def with_sign_of(x: Value, sign: Value) -> Value:
    return x.body.call("copysign", x, sign)


def polynomial(x: Value, coefficients: tuple[float, ...]) -> Value:
    """By Horner's rule, the highest power first."""
    result: Any = coefficients[0]
    for coefficient in coefficients[1:]:
        result = fma(x.like(result), x, coefficient)
    return result
