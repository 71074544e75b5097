"""Rows of numbers in order, with their places; equal elements keep their order, NaN counts as greater than all else, and
-0 equals 0.

Numbers of up to 32 bits are put into one number of 64 bits each, with their places below, which NumPy's own vector code
sorts or parts; longer ones are sorted by their digits (sort_digits.py)."""

from __future__ import annotations

import ctypes
import functools

import numpy as np

from . import jit, sort_digits
from .native_text import Function, Number
from .tiles import lane_mask, splat

LANES = 16
WIDE = f"<{LANES} x i64>"
WORD = f"<{LANES} x i32>"
SOME = f"<{LANES} x i1>"
POINTERS = f"<{LANES} x ptr>"
KINDS = {"b1": "i8", "u1": "i8", "i1": "i8", "i2": "i16", "i4": "i32", "f4": "i32"}


# --- machine code -----------------------------------------------------------------------------------------------------


def _numbers(f: Function, j: Number, count: str) -> tuple[str, str]:
    """The numbers of 16 elements from j on, and which of them there are."""
    first = splat(f, WIDE, str(j), "i64")
    lanes = ", ".join(f"i64 {i}" for i in range(LANES))
    return f.op(f"add {WIDE} {first}, <{lanes}>"), lane_mask(f, LANES, f.sub(count, j))


def _load(f: Function, kind: str, pointer: str, mask: str) -> str:
    v = f"<{LANES} x {kind}>"
    name = f"@llvm.masked.load.v{LANES}{kind}.p0"
    return f.op(f"call {v} {name}(ptr {pointer}, i32 1, {SOME} {mask}, {v} zeroinitializer)")


def _store(f: Function, kind: str, value: str, pointer: str, mask: str) -> None:
    v = f"<{LANES} x {kind}>"
    f.do(f"call void @llvm.masked.store.v{LANES}{kind}.p0({v} {value}, ptr {pointer}, i32 1, {SOME} {mask})")


def _ordered(f: Function, d: str, x: str) -> str:
    """Numbers as integers of the same order, NaN the greatest."""
    kind = KINDS[d]
    if kind != "i32":
        return f.op(f"{'sext' if d[0] == 'i' else 'zext'} <{LANES} x {kind}> {x} to {WORD}")
    if d[0] == "i":
        return x
    most = f"splat (i32 {0x7FFFFFFF})"
    size = f.op(f"and {WORD} {x}, {most}")
    nan = f.op(f"icmp ugt {WORD} {size}, splat (i32 {0x7F800000})")
    zero = f.op(f"icmp eq {WORD} {size}, zeroinitializer")
    sign = f.op(f"ashr {WORD} {x}, splat (i32 31)")
    turned = f.op(f"xor {WORD} {x}, {f.op(f'and {WORD} {sign}, {most}')}")
    turned = f.op(f"select {SOME} {zero}, {WORD} zeroinitializer, {WORD} {turned}")
    return f.op(f"select {SOME} {nan}, {WORD} {most}, {WORD} {turned}")


def _pack(d: str) -> str:
    """Each number above its place in its row; `flip` is -1 for a descending order."""
    kind = KINDS[d]
    f = Function(f"void @pack_{d}(ptr %rows, ptr %packed, i64 %count, i64 %n, i64 %flip)")
    flip = splat(f, WORD, f.op("trunc i64 %flip to i32"), "i32")
    with f.loop(0, "%count") as r, f.loop(0, "%n", LANES) as j:
        places, mask = _numbers(f, j, "%n")
        at = f.add(f.mul(r, "%n"), j)
        key = f.op(f"xor {WORD} {_ordered(f, d, _load(f, kind, f.at('%rows', kind, at), mask))}, {flip}")
        high = f.op(f"shl {WIDE} {f.op(f'zext {WORD} {key} to {WIDE}')}, splat (i64 32)")
        _store(f, "i64", f.op(f"or {WIDE} {high}, {places}"), f.at("%packed", "i64", at), mask)
    return f.text()


def _unpack(d: str) -> str:
    """From packed rows of m the places and the numbers there, of rows of n; and which rows have equal neighbours."""
    kind = KINDS[d]
    v = f"<{LANES} x {kind}>"
    gather = f"@llvm.masked.gather.v{LANES}{kind}.v{LANES}p0"
    f = Function(
        f"void @unpack_{d}(ptr %rows, ptr %packed, ptr %sorted, ptr %places, ptr %tied, i64 %count, i64 %n, i64 %m)"
    )
    with f.loop(0, "%count") as r:
        ties = f.variable(SOME, "zeroinitializer")
        source = splat(f, POINTERS, f.at("%rows", kind, f.mul(r, "%n")), "ptr")
        with f.loop(0, "%m", LANES) as j:
            numbers, mask = _numbers(f, j, "%m")
            at = f.add(f.mul(r, "%m"), j)
            packed = f.at("%packed", "i64", at)
            e = _load(f, "i64", packed, mask)
            place = f.op(f"and {WIDE} {e}, splat (i64 {0xFFFFFFFF})")
            _store(f, "i64", place, f.at("%places", "i64", at), mask)
            pointers = f.op(f"getelementptr {kind}, {POINTERS} {source}, {WIDE} {place}")
            value = f.op(f"call {v} {gather}({POINTERS} {pointers}, i32 1, {SOME} {mask}, {v} zeroinitializer)")
            _store(f, kind, value, f.at("%sorted", kind, at), mask)
            later = f.op(f"and {SOME} {mask}, {f.op(f'icmp ne {WIDE} {numbers}, zeroinitializer')}")
            before = _load(f, "i64", f.at(packed, "i64", -1), later)
            apart = f.op(f"lshr {WIDE} {f.op(f'xor {WIDE} {e}, {before}')}, splat (i64 32)")
            same = f.op(f"and {SOME} {later}, {f.op(f'icmp eq {WIDE} {apart}, zeroinitializer')}")
            f.store(SOME, f.op(f"or {SOME} {f.load(SOME, ties)}, {same}"), ties)
        tie = f.op(f"call i1 @llvm.vector.reduce.or.v{LANES}i1({SOME} {f.load(SOME, ties)})")
        f.store("i8", f.op(f"zext i1 {tie} to i8"), f.at("%tied", "i8", r))
    return f.text()


def module(d: str) -> str:
    """Both for a dtype, by NumPy's name of it."""
    lines = [f"declare i1 @llvm.vector.reduce.or.v{LANES}i1({SOME})"]
    for kind in sorted({KINDS[d], "i64"}):
        v = f"<{LANES} x {kind}>"
        lines.append(f"declare {v} @llvm.masked.load.v{LANES}{kind}.p0(ptr, i32, {SOME}, {v})")
        lines.append(f"declare void @llvm.masked.store.v{LANES}{kind}.p0({v}, ptr, i32, {SOME})")
        lines.append(f"declare {v} @llvm.masked.gather.v{LANES}{kind}.v{LANES}p0({POINTERS}, i32, {SOME}, {v})")
    return "\n".join([*lines, _pack(d), _unpack(d)])


@functools.cache
def _functions(d: str):
    found = jit.functions(module(d), [f"pack_{d}", f"unpack_{d}"])
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    pack = ctypes.CFUNCTYPE(None, *[pointer] * 2, *[number] * 3)(found[f"pack_{d}"])
    return pack, ctypes.CFUNCTYPE(None, *[pointer] * 5, *[number] * 3)(found[f"unpack_{d}"])


# --- on arrays --------------------------------------------------------------------------------------------------------


class Packed:
    """How rows of a dtype of up to 32 bits are sorted."""

    def __init__(self, d: str):
        self.pack, self.unpack = _functions(d)

    def _packed(self, rows: np.ndarray, descending: bool) -> np.ndarray:
        packed = np.empty(rows.shape, np.int64)
        self.pack(rows.ctypes.data, packed.ctypes.data, *rows.shape, -1 if descending else 0)
        return packed

    def _unpacked(self, rows: np.ndarray, packed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        values, places = np.empty(packed.shape, rows.dtype), np.empty(packed.shape, np.int64)
        tied = np.empty(len(rows), np.bool_)
        memory = [a.ctypes.data for a in (rows, packed, values, places, tied)]
        self.unpack(*memory, len(rows), rows.shape[1], packed.shape[1])
        return values, places, tied

    def sort(self, rows: np.ndarray, descending: bool):
        packed = self._packed(rows, descending)
        packed.sort(1)
        return self._unpacked(rows, packed)

    def top(self, rows: np.ndarray, k: int, descending: bool):
        packed = self._packed(rows, descending)
        packed.partition(k, 1)
        first = packed[:, : k + 1].copy()
        first[:, :k].sort(1)
        border = first[:, k - 1] >> 32 == first[:, k] >> 32
        return *self._unpacked(rows, np.ascontiguousarray(first[:, :k]))[:2], bool(border.any())


class Digits:
    """How rows of a longer dtype are sorted."""

    def __init__(self, d: str):
        self.sort = sort_digits.sort_function(d)

    def top(self, rows: np.ndarray, k: int, descending: bool):
        values, places, _ = self.sort(rows, descending)
        a, b = values[:, k - 1], values[:, k]
        border = (a == b) | (a != a) & (b != b)
        return values[:, :k], places[:, :k], bool(border.any())


@functools.cache
def of(dtype: np.dtype) -> Packed | Digits | None:
    """What sorts rows side by side in memory, fewer than 2^31 elements each; None where there is none for a dtype.

    sort(rows, descending)     sorted rows, where each element was, and which rows have equal elements
    top(rows, k, descending)   the first k of that, k below the rows' length, and whether any row's next is equal to its
                               last (then it is not said which of the two is among them)"""
    d = dtype.str[1:]
    if not jit.available() or d not in (*KINDS, *sort_digits.NAMES):
        return None
    return Packed(d) if d in KINDS else Digits(d)
