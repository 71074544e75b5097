"""Random numbers by machine code, from the Mersenne twister's state where NumPy keeps it: the words of the stream, and from
them coin flips, uniform and normal numbers, bit for bit those of the functions in `_core/random/`.

Source: Matsumoto and Nishimura 1998, "Mersenne Twister"; Box and Muller 1958; S. Moshier's Cephes library for the float32
logarithm, sine and cosine."""

from __future__ import annotations

import ctypes
import functools
import math
import struct

import numpy as np

from ...random.engine import Engine, exposed
from . import jit
from .native_text import ELEMENTS, Function, Number
from .tiles import lane_mask, splat

LANES = 16
STATE = 624  # words of the twister's state; the position in it follows
BETWEEN = 397  # a new word is made of its old one, the next, and that at this distance
CHUNK = 1024  # words at a time
BLOCK = 16  # normal numbers are made in blocks: eight radii, eight angles
WORD, WIDE, SOME = f"<{LANES} x i32>", f"<{LANES} x i64>", f"<{LANES} x i1>"
EIGHT = "<8 x float>"


# --- words ------------------------------------------------------------------------------------------------------------


def _turn() -> str:
    """All words of the state made anew."""
    f = Function("internal void @turn(ptr %state)")

    def renewed(k: Number, following: str, kind: str, other: str) -> str:
        """A word from its old one, the next old one, and another."""

        def number(x: int) -> str:
            return str(x) if kind == "i32" else f"splat (i32 {x})"

        old = f.load(kind, f.at("%state", "i32", k), 4)
        y = f.op(f"or {kind} {f.op(f'and {kind} {old}, {number(0x80000000)}')}, {following}")
        odd = f.op(f"sub {kind} {0 if kind == 'i32' else 'zeroinitializer'}, {f.op(f'and {kind} {y}, {number(1)}')}")
        made = f.op(f"xor {kind} {other}, {f.op(f'lshr {kind} {y}, {number(1)}')}")
        return f.op(f"xor {kind} {made}, {f.op(f'and {kind} {odd}, {number(0x9908B0DF)}')}")

    def some(start: int, end: int, away: int, kind: str, step: int) -> None:
        low = str(0x7FFFFFFF) if kind == "i32" else f"splat (i32 {0x7FFFFFFF})"
        with f.loop(start, end, step) as k:
            following = f.op(f"and {kind} {f.load(kind, f.at('%state', 'i32', k, 1), 4)}, {low}")
            other = f.load(kind, f.at("%state", "i32", k, away), 4)
            f.store(kind, renewed(k, following, kind, other), f.at("%state", "i32", k), 4)

    first, last = STATE - BETWEEN, STATE - 1
    whole = first // LANES * LANES
    some(0, whole, BETWEEN, WORD, LANES)
    some(whole, first, BETWEEN, "i32", 1)
    whole = first + (last - first) // LANES * LANES
    some(first, whole, -first, WORD, LANES)
    some(whole, last, -first, "i32", 1)
    following = f.op(f"and i32 {f.load('i32', '%state')}, {0x7FFFFFFF}")
    other = f.load("i32", f.at("%state", "i32", BETWEEN - 1))
    f.store("i32", renewed(last, following, "i32", other), f.at("%state", "i32", last))
    return f.text()


def _words() -> str:
    """The next words of the stream; room for 15 more is written to."""
    f = Function("internal void @words(ptr %state, ptr %to, i64 %count)")
    position = f.at("%state", "i32", STATE)
    with f.walk(0, "%count") as done:
        at = f.op(f"sext i32 {f.load('i32', position)} to i64")
        over = f.compare("sge", at, STATE)
        with f.when(over):
            f.do("call void @turn(ptr %state)")
        at = f.choose(over, 0, at)
        done.step = f.min(f.sub(STATE, at), f.sub("%count", done.index))
        with f.loop(0, done.step, LANES) as i:
            mask = lane_mask(f, LANES, f.sub(done.step, i))
            source = f.at("%state", "i32", at, i)
            y = f.op(
                f"call {WORD} @llvm.masked.load.v{LANES}i32.p0(ptr {source}, i32 4, {SOME} {mask}, {WORD} zeroinitializer)"
            )
            for word, by, kept in (
                ("lshr", 11, 0xFFFFFFFF),
                ("shl", 7, 0x9D2C5680),
                ("shl", 15, 0xEFC60000),
                ("lshr", 18, 0xFFFFFFFF),
            ):
                part = f.op(f"{word} {WORD} {y}, splat (i32 {by})")
                y = f.op(f"xor {WORD} {y}, {f.op(f'and {WORD} {part}, splat (i32 {kept})')}")
            f.store(WORD, y, f.at("%to", "i32", done.index, i), 4)
        f.store("i32", f.op(f"trunc i64 {f.add(at, done.step)} to i32"), position)
    return f.text()


# --- numbers made of words ----------------------------------------------------------------------------------------------


def _constant(value: float, kind: str = "float") -> str:
    if kind == "float":
        value = struct.unpack("f", struct.pack("f", value))[0]
    return f"0x{struct.unpack('Q', struct.pack('d', value))[0]:016X}"


def _each_chunk(f: Function, elements: int, body) -> None:
    """body(i, j, number): so many elements at a time, of which there are `number` from `%to`'s i-th on; the words for them
    lie in %words."""
    words = f.slot(f"[{CHUNK + LANES} x i32]", 64)
    per = CHUNK // elements
    with f.loop(0, "%count", elements) as i:
        number = f.min(f.sub("%count", i), elements)
        f.do(f"call void @words(ptr %state, ptr {words}, i64 {f.mul(number, per)})")
        with f.loop(0, number, LANES) as j:
            body(words, f.add(i, j), j, lane_mask(f, LANES, f.sub(number, j)))


def _put(f: Function, kind: str, value: str, at: Number, mask: str) -> None:
    v, s = f"<{LANES} x {kind}>", "f32" if kind == "float" else "f64"
    f.do(f"call void @llvm.masked.store.v{LANES}{s}.p0({v} {value}, ptr {f.at('%to', kind, at)}, i32 4, {SOME} {mask})")


def _pair(f: Function, words: str, j: Number) -> tuple[str, str]:
    """The first and the second words of 16 pairs."""
    a, b = [f.load(WORD, f.at(words, "i32", f.mul(2, j), k), 4) for k in (0, LANES)]
    both = []
    for k in (0, 1):
        order = ", ".join(f"i32 {2 * i + k}" for i in range(LANES))
        both.append(f.op(f"shufflevector {WORD} {a}, {WORD} {b}, {WORD} <{order}>"))
    return both[0], both[1]


def _bernoulli(d: str) -> str:
    """One where the low 53 bits of a pair of words are below %bound, else zero."""
    kind = ELEMENTS[d]
    f = Function(f"void @bernoulli_{d}(ptr %state, ptr %to, i64 %count, i64 %bound)")
    high = splat(f, WORD, f.op(f"trunc i64 {f.op('lshr i64 %bound, 32')} to i32"), "i32")
    low = splat(f, WORD, f.op("trunc i64 %bound to i32"), "i32")

    def body(words: str, at: Number, j: Number, mask: str) -> None:
        first, second = _pair(f, words, j)
        first = f.op(f"and {WORD} {first}, splat (i32 {0x1FFFFF})")
        less = f.op(f"icmp ult {WORD} {first}, {high}")
        equal = f.op(f"icmp eq {WORD} {first}, {high}")
        rest = f.op(f"and {SOME} {equal}, {f.op(f'icmp ult {WORD} {second}, {low}')}")
        value = f.op(f"uitofp {SOME} {f.op(f'or {SOME} {less}, {rest}')} to <{LANES} x {kind}>")
        _put(f, kind, value, at, mask)

    _each_chunk(f, CHUNK // 2, body)
    return f.text()


def _fraction(f: Function, words: str) -> str:
    """16 numbers from 0 to 1 of the low 24 bits of words."""
    v = f"<{LANES} x float>"
    bits = f.op(f"and {WORD} {words}, splat (i32 {0xFFFFFF})")
    return f.op(f"fmul {v} {f.op(f'sitofp {WORD} {bits} to {v}')}, splat (float {_constant(2.0**-24)})")


def _uniform() -> str:
    """%low + fraction * %range, rounded once; %high, which is excluded, becomes %low. `%unit`: the fractions themselves."""
    f = Function(
        "void @uniform_f32(ptr %state, ptr %to, i64 %count, double %low, double %range, float %high, float %first, i1 %unit)"
    )
    v, w = f"<{LANES} x float>", f"<{LANES} x double>"
    low, range_ = splat(f, w, "%low", "double"), splat(f, w, "%range", "double")
    high, first = splat(f, v, "%high", "float"), splat(f, v, "%first", "float")

    def body(words: str, at: Number, j: Number, mask: str) -> None:
        x = _fraction(f, f.load(WORD, f.at(words, "i32", j), 4))
        scaled = f.op(f"fmul {w} {f.op(f'fpext {v} {x} to {w}')}, {range_}")
        y = f.op(f"fptrunc {w} {f.op(f'fadd {w} {scaled}, {low}')} to {v}")
        y = f.op(f"select {SOME} {f.op(f'fcmp oeq {v} {y}, {high}')}, {v} {first}, {v} {y}")
        _put(f, "float", f.op(f"select i1 %unit, {v} {x}, {v} {y}"), at, mask)

    _each_chunk(f, CHUNK, body)
    return f.text()


# --- normal numbers -------------------------------------------------------------------------------------------------------

_LOG = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
    *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
_SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_QUARTER_PI = (0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)


class _Eight:
    """Eight float32 numbers at a time."""

    def __init__(self, f: Function):
        self.f = f

    def op(self, word: str, a: str, b: str | float) -> str:
        b = f"splat (float {_constant(b)})" if isinstance(b, float) else b
        return self.f.op(f"{word} {EIGHT} {a}, {b}")

    def fma(self, a: str, b: str | float, c: str | float) -> str:
        b, c = [f"splat (float {_constant(x)})" if isinstance(x, float) else x for x in (b, c)]
        return self.f.op(f"call {EIGHT} @llvm.fma.v8f32({EIGHT} {a}, {EIGHT} {b}, {EIGHT} {c})")

    def polynomial(self, x: str, coefficients: tuple[float, ...]) -> str:
        y = f"splat (float {_constant(coefficients[0])})"
        for c in coefficients[1:]:
            y = self.fma(x, y, c)
        return y

    def log(self, x: str) -> str:
        """Of normal numbers above 0: log(1 + m) of the mantissa, and the exponent's share in two parts."""
        f, t = self.f, "<8 x i32>"
        bits = f.op(f"bitcast {EIGHT} {x} to {t}")
        exponent = f.op(f"sub {t} {f.op(f'ashr {t} {bits}, splat (i32 23)')}, splat (i32 126)")
        exponent = f.op(f"sitofp {t} {exponent} to {EIGHT}")
        mantissa = f.op(f"or {t} {f.op(f'and {t} {bits}, splat (i32 {0x7FFFFF})')}, splat (i32 {0x3F000000})")
        mantissa = f.op(f"bitcast {t} {mantissa} to {EIGHT}")
        low = f.op(f"fcmp olt {EIGHT} {mantissa}, splat (float {_constant(math.sqrt(0.5))})")
        exponent = self.op("fsub", exponent, f.op(f"uitofp <8 x i1> {low} to {EIGHT}"))
        more = f.op(f"select <8 x i1> {low}, {EIGHT} {mantissa}, {EIGHT} zeroinitializer")
        m = self.op("fadd", self.op("fsub", mantissa, 1.0), more)
        square = self.op("fmul", m, m)
        y = self.op("fmul", self.polynomial(m, _LOG), m)
        y = self.fma(y, square, self.op("fmul", exponent, -2.12194440e-4))
        y = self.fma(square, -0.5, y)
        return self.fma(exponent, 0.693359375, self.op("fadd", m, y))

    def sine_and_cosine(self, x: str) -> tuple[str, str]:
        """Of angles from 0 to a turn: polynomials between the odd eighths of a turn."""
        f, t = self.f, "<8 x i32>"
        octant = f.op(f"fptosi {EIGHT} {self.op('fmul', x, 1.27323954473516)} to {t}")
        octant = f.op(f"and {t} {f.op(f'add {t} {octant}, splat (i32 1)')}, splat (i32 -2)")
        count = f.op(f"sitofp {t} {octant} to {EIGHT}")
        for part in _QUARTER_PI:
            x = self.fma(count, -part, x)
        square = self.op("fmul", x, x)
        even = self.op("fmul", self.polynomial(square, _COSINE), square)
        even = self.op("fadd", self.fma(even, square, self.op("fmul", square, -0.5)), 1.0)
        odd = self.op("fmul", self.polynomial(square, _SINE), square)
        odd = self.fma(odd, x, x)
        swap = f.op(f"icmp ne {t} {f.op(f'and {t} {octant}, splat (i32 2)')}, zeroinitializer")
        found = []
        for a, b, turn in ((even, odd, 0), (odd, even, 2)):
            y = f.op(f"select <8 x i1> {swap}, {EIGHT} {a}, {EIGHT} {b}")
            at = f.op(f"add {t} {octant}, splat (i32 {turn})")
            sign = f.op(f"shl {t} {f.op(f'and {t} {at}, splat (i32 4)')}, splat (i32 29)")
            turned = f.op(f"xor {t} {f.op(f'bitcast {EIGHT} {y} to {t}')}, {sign}")
            found.append(f.op(f"bitcast {t} {turned} to {EIGHT}"))
        return found[0], found[1]


def _normal() -> str:
    """Of whole blocks of uniform numbers; where some are left over, the last 16 are drawn once more."""
    blocks = Function("internal void @blocks(ptr %words, ptr %to, i64 %count, float %mean, float %std)")
    f, eight = blocks, _Eight(blocks)
    mean, std = splat(f, EIGHT, "%mean", "float"), splat(f, EIGHT, "%std", "float")
    with f.loop(0, "%count", BLOCK) as i:
        x = _fraction(f, f.load(WORD, f.at("%words", "i32", i), 4))
        halves = []
        for k in (0, 8):
            order = ", ".join(f"i32 {k + n}" for n in range(8))
            halves.append(f.op(f"shufflevector <{LANES} x float> {x}, <{LANES} x float> poison, <8 x i32> <{order}>"))
        u = f.op(f"fsub {EIGHT} splat (float {_constant(1.0)}), {halves[0]}")
        squared = eight.op("fmul", eight.log(u), -2.0)
        radius = f.op(f"call {EIGHT} @llvm.sqrt.v8f32({EIGHT} {squared})")
        sine, cosine = eight.sine_and_cosine(eight.op("fmul", halves[1], 2.0 * math.pi))
        for k, y in ((0, cosine), (8, sine)):
            value = eight.fma(eight.op("fmul", radius, y), std, mean)
            f.store(EIGHT, value, f.at("%to", "float", i, k), 4)
    f = Function("void @normal_f32(ptr %state, ptr %to, i64 %count, float %mean, float %std)")
    words = f.slot(f"[{CHUNK + LANES} x i32]", 64)

    def draw(i: Number, number: Number) -> None:
        f.do(f"call void @words(ptr %state, ptr {words}, i64 {number})")
        whole = f.op(f"and i64 {number}, {-BLOCK}")
        f.do(f"call void @blocks(ptr {words}, ptr {f.at('%to', 'float', i)}, i64 {whole}, float %mean, float %std)")

    with f.loop(0, "%count", CHUNK) as i:
        draw(i, f.min(f.sub("%count", i), CHUNK))
    with f.when(f.compare("ne", f.op(f"and i64 %count, {BLOCK - 1}"), 0)):
        draw(f.sub("%count", BLOCK), BLOCK)
    return blocks.text() + f.text()


def module() -> str:
    declared = [
        f"declare {WORD} @llvm.masked.load.v{LANES}i32.p0(ptr, i32, {SOME}, {WORD})",
        f"declare void @llvm.masked.store.v{LANES}f32.p0(<{LANES} x float>, ptr, i32, {SOME})",
        f"declare void @llvm.masked.store.v{LANES}f64.p0(<{LANES} x double>, ptr, i32, {SOME})",
        f"declare {EIGHT} @llvm.fma.v8f32({EIGHT}, {EIGHT}, {EIGHT})",
        f"declare {EIGHT} @llvm.sqrt.v8f32({EIGHT})",
        *[f"declare i64 @llvm.{x}.i64(i64, i64)" for x in ("smin", "smax")],
    ]
    return "\n".join([*declared, _turn(), _words(), _bernoulli("f32"), _bernoulli("f64"), _uniform(), _normal()])


# --- from Python ------------------------------------------------------------------------------------------------------------


@functools.cache
def _functions() -> dict:
    whole, single, double = ctypes.c_int64, ctypes.c_float, ctypes.c_double
    kinds = {
        "bernoulli_f32": (whole,),
        "bernoulli_f64": (whole,),
        "uniform_f32": (double, double, single, single, ctypes.c_bool),
        "normal_f32": (single, single),
    }
    found = jit.functions(module(), list(kinds))
    first = (ctypes.c_void_p, ctypes.c_void_p, whole)
    return {name: ctypes.PYFUNCTYPE(None, *first, *more)(found[name]) for name, more in kinds.items()}


def _bernoulli_of(f, dtype):
    def draw(engine: Engine, count: int, p: float, _: float) -> np.ndarray | None:
        if not 0.0 <= p <= 1.0:
            return None
        out = np.empty(count, dtype)
        f(engine.advancing(), out.ctypes.data, count, math.ceil(p * 2.0**53))
        return out

    return draw


def _uniform_of(f, dtype):
    most = float(np.finfo(dtype).max)

    def draw(engine: Engine, count: int, low: float, high: float) -> np.ndarray | None:
        if not (-most <= low <= high <= most and high - low <= most):
            return None
        out = np.empty(count, dtype)
        first, last = np.float32(low), np.float32(high)
        f(engine.advancing(), out.ctypes.data, count, first, last - first, last, first, (low, high) == (0.0, 1.0))
        return out

    return draw


def _normal_of(f, dtype):
    def draw(engine: Engine, count: int, mean: float, std: float) -> np.ndarray | None:
        if not std >= 0.0 or count < BLOCK:
            return None
        out = np.empty(count, dtype)
        with np.errstate(over="ignore"):
            f(engine.advancing(), out.ctypes.data, count, np.float32(mean), np.float32(std))
        return out

    return draw


KINDS = {
    ("bernoulli", "float32"): (_bernoulli_of, "bernoulli_f32"),
    ("bernoulli", "float64"): (_bernoulli_of, "bernoulli_f64"),
    ("uniform", "float32"): (_uniform_of, "uniform_f32"),
    ("normal", "float32"): (_normal_of, "normal_f32"),
}


def of(kind: str, dtype: str):
    """draw(engine, count, a, b), the numbers in one dim, or None where the functions in `_core/random/` shall say what is
    wrong or draw themselves; None where there is none of a kind, or NumPy keeps its state in another way than is known."""
    found = KINDS.get((kind, dtype))
    if found is None or not jit.available() or not exposed():
        return None
    make, name = found
    return make(_functions()[name], np.dtype(dtype))
