"""Elementary functions of vectors, as LLVM IR: `@vm_exp_f32` and its kin.

In: a function's name, a dtype ('f32', 'f64') and the number of lanes. Out: the text of an internal, always inlined
function of one vector (`pow`: of two), the `declare` lines of the intrinsics that it calls, and the names of the other
`vm_` functions that it calls. There are no fast-math flags, no calls into a C library and no tables by machine, so
that the bits are the same everywhere and do not depend on what was fused.

float32 has its own code for what is used most (exp, exp2, log, log1p, tanh, sigmoid, erf); the others are computed in
float64 with short polynomials ('short' in the files beside this one) and rounded. Polynomials are ours: Remez'
exchange in 45 digits, the coefficients rounded one after the other and the rest fitted anew. Cody and Waite 1980,
Software Manual for the Elementary Functions, is the source of the reductions unless a function names another; Muller
2016, Elementary Functions, chapters 9 to 11, explains them.

Largest error seen, in units of the last place of the exact value (2026-11-24; zeros, denormals, infinities and nan
included). float32: each 5th to 31st bit pattern of all 2**32, sigmoid all between 0.05 and 104 (on both sides of 0),
pow 9 million pairs. float64: 6 million values of all exponents (12 million more for sigmoid, tanh, sinh and atan where
they are worst), 50,000 for erf and erfc, 8 million pairs for pow, and 8,000 angles next to multiples of pi/2 up to
2**1023.

            exp   exp2  expm1  log   log2  log10 log1p sigmoid tanh  sinh  cosh
  float32   1.01  1.03  0.51   0.94  0.51  0.51  1.53  1.97    1.33  0.51  0.51
  float64   0.98  0.87  1.29   0.80  0.63  0.64  0.83  0.88    1.34  1.64  1.43

            erf   erfc  sin   cos   tan   atan  asin  acos  pow
  float32   1.02  0.51  0.51  0.51  0.51  0.51  0.51  0.51  0.51
  float64   0.94  1.04  0.83  0.82  0.93  1.90  1.01  0.77  0.99

A module holds, once each, the `declarations` and `definition`s of what it calls and of what those `needs`. A processor
without fma (plain x86-64) calls the C library's for each element: right, and slow.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import vector_error as error
from . import vector_exponential as exponential
from . import vector_trigonometry as trigonometry
from .vector_exponential import DOUBLE, SHORT, SINGLE
from .vector_values import Body, Value


def _in_double(build: Callable[..., Value]) -> Callable[..., Value]:
    """A float32 function by its float64 formula with short polynomials."""

    def build_32(*arguments: Any) -> Value:
        return build(*(x.convert("fpext", "f64") for x in arguments[:-1]), SHORT).convert("fptrunc", "f32")

    return build_32


@dataclass(frozen=True)
class Function:
    """How a function is built for each dtype; each builder takes the arguments and a Precision."""

    single: Callable[..., Value]
    double: Callable[..., Value]
    arguments: int = 1
    needs: tuple[str, ...] = ()


_TURNS = ("huge_angle",)

FUNCTIONS: dict[str, Function] = {
    "exp": Function(exponential.exp, exponential.exp),
    "exp2": Function(exponential.exp2, exponential.exp2),
    "expm1": Function(_in_double(exponential.expm1), exponential.expm1),
    "log": Function(exponential.log_32, exponential.log),
    "log2": Function(_in_double(exponential.log2), exponential.log2),
    "log10": Function(_in_double(exponential.log10), exponential.log10),
    "log1p": Function(exponential.log1p_32, exponential.log1p),
    "sigmoid": Function(exponential.sigmoid_32, exponential.sigmoid),
    "tanh": Function(exponential.tanh, exponential.tanh),
    "sinh": Function(_in_double(exponential.sinh), exponential.sinh),
    "cosh": Function(_in_double(exponential.cosh), exponential.cosh),
    "pow": Function(_in_double(exponential.power), exponential.power, arguments=2),
    "erf": Function(error.erf_32, error.erf),
    "erfc": Function(_in_double(error.erfc), error.erfc),
    "sin": Function(_in_double(trigonometry.sin), trigonometry.sin, needs=_TURNS),
    "cos": Function(_in_double(trigonometry.cos), trigonometry.cos, needs=_TURNS),
    "tan": Function(_in_double(trigonometry.tan), trigonometry.tan, needs=_TURNS),
    "atan": Function(_in_double(trigonometry.atan), trigonometry.atan),
    "asin": Function(_in_double(trigonometry.asin), trigonometry.asin),
    "acos": Function(_in_double(trigonometry.acos), trigonometry.acos),
}


@functools.cache
def _built(name: str, dtype: str, lanes: int) -> tuple[str, tuple[str, ...]]:
    if name == "huge_angle":
        return trigonometry.huge_angle(dtype, lanes)
    function = FUNCTIONS[name]
    body = Body(lanes)
    arguments = [Value(body, f"%{letter}", dtype) for letter in "xy"[: function.arguments]]
    build, precision = (function.single, SINGLE) if dtype == "f32" else (function.double, DOUBLE)
    result = build(*arguments, precision)
    vector = body.type(dtype)
    parameters = ", ".join(f"{vector} {argument.text}" for argument in arguments)
    head = f"define internal {vector} @vm_{name}_{dtype}({parameters}) alwaysinline {{\nentry:\n"
    return head + "\n".join(body.lines) + f"\n  ret {vector} {result.text}\n}}\n", tuple(sorted(body.declarations))


def definition(name: str, dtype: str, lanes: int = 16) -> str:
    """The IR text of `@vm_NAME_DTYPE`."""
    return _built(name, dtype, lanes)[0]


def declarations(name: str, dtype: str, lanes: int = 16) -> tuple[str, ...]:
    """The `declare` lines of the intrinsics that the definition calls; a module wants each line once."""
    return _built(name, dtype, lanes)[1]


def needs(name: str, dtype: str) -> tuple[str, ...]:
    """The other `vm_` functions, of the same dtype, that the definition calls."""
    del dtype
    return FUNCTIONS[name].needs if name in FUNCTIONS else ()
