"""Rows of numbers sorted by machine code: by their digits, the last first, which keeps equal elements in order.

In: rows side by side in memory. Out: the sorted rows, where each element was, and which rows have equal elements. NaN
counts as greater than all else, and -0 equals 0. The digits are bytes of the number as an unsigned integer of the same
order. Source: Knuth, The Art of Computer Programming 3, 5.2.5."""

from __future__ import annotations

import ctypes
import functools

import numpy as np

from . import jit
from .render import BYTES, Writer, module

NAMES = {"f8": "f64", "i8": "i64"}


class Sort(Writer):
    """void name(rows, sorted, places, tied, scratch, count, length, flip): `flip` is all ones for a descending order.

    Scratch: keys twice, places twice, and 256 counts for each byte of a key."""

    def __init__(self, d: str, name: str):
        super().__init__()
        self.name, self.d = name, d
        self.bits = 8 * BYTES[d]
        self.slots: list[str] = []
        self.key = f"i{self.bits}"
        size = BYTES[d]
        n, wide = "%n", self.let(f"mul i64 %n, {size}")
        four = self.let("mul i64 %n, 4")
        keys = ["%scratch", self.at("%scratch", wide)]
        first = self.at(keys[1], wide)
        self.keys, self.places = keys, [first, self.at(first, four)]
        self.counts = self.at(self.places[1], four)
        self.loop("0", "%count", lambda r: self.row(r, n, wide))

    def at(self, p: str, offset: str) -> str:
        return self.let(f"getelementptr i8, ptr {p}, i64 {offset}")

    def element(self, p: str, kind: str, i: str) -> str:
        return self.let(f"getelementptr {kind}, ptr {p}, i64 {i}")

    def load(self, p: str, kind: str, i: str) -> str:
        return self.let(f"load {kind}, ptr {self.element(p, kind, i)}, align 1")

    def store(self, value: str, p: str, kind: str, i: str) -> None:
        self.put(f"store {kind} {value}, ptr {self.element(p, kind, i)}, align 1")

    def loop(self, start: str, end: str, body) -> None:
        self.count += 1
        k = self.count
        i = f"%i{k}"
        self.slots.append(f"  {i} = alloca i64")
        self.put(f"store i64 {start}, ptr {i}")
        self.put(f"br label %test{k}")
        self.label(f"test{k}")
        now = self.let(f"load i64, ptr {i}")
        self.put(f"br i1 {self.let(f'icmp slt i64 {now}, {end}')}, label %body{k}, label %end{k}")
        self.label(f"body{k}")
        body(now)
        self.put(f"store i64 {self.let(f'add i64 {now}, 1')}, ptr {i}")
        self.put(f"br label %test{k}")
        self.label(f"end{k}")

    def ordered(self, x: str) -> str:
        """A number's bits as an unsigned integer that orders as the number does."""
        t, top = self.key, 1 << (self.bits - 1)
        if self.d[0] == "f":
            size = self.let(f"and {t} {x}, {top - 1}")
            infinite = {"f32": 0x7F800000, "f64": 0x7FF0000000000000}[self.d]
            nan = self.let(f"icmp ugt {t} {size}, {infinite}")
            zero = self.let(f"icmp eq {t} {size}, 0")
            x = self.let(f"select i1 {zero}, {t} 0, {t} {x}")
            sign = self.let(f"ashr {t} {x}, {self.bits - 1}")
            turned = self.let(f"xor {t} {x}, {self.let(f'or {t} {sign}, {top}')}")
            x = self.let(f"select i1 {nan}, {t} -1, {t} {turned}")
        else:
            x = self.let(f"xor {t} {x}, {top}")
        flip = "%flip" if self.bits == 64 else self.let(f"trunc i64 %flip to {t}")
        return self.let(f"xor {t} {x}, {flip}")

    def digit(self, key: str, p: int) -> str:
        """Where the count of a key's byte stands among all counts."""
        x = self.let(f"and {self.key} {self.let(f'lshr {self.key} {key}, {8 * p}')}, 255")
        x = x if self.bits == 64 else self.let(f"zext {self.key} {x} to i64")
        return self.let(f"add i64 {x}, {256 * p}")

    def row(self, r: str, n: str, wide: str) -> None:
        t = self.key
        passes = self.bits // 8
        source, target = [self.at(p, self.let(f"mul i64 {r}, {wide}")) for p in ("%rows", "%sorted")]
        places = self.at("%places", self.let(f"mul i64 {r}, {self.let(f'mul i64 {n}, 8')}"))
        self.loop("0", str(256 * passes), lambda i: self.store("0", self.counts, "i32", i))

        def count(i: str) -> None:
            key = self.ordered(self.load(source, t, i))
            self.store(key, self.keys[0], t, i)
            self.store(self.let(f"trunc i64 {i} to i32"), self.places[0], "i32", i)
            for p in range(passes):
                d = self.digit(key, p)
                self.store(self.let(f"add i32 {self.load(self.counts, 'i32', d)}, 1"), self.counts, "i32", d)

        self.loop("0", n, count)
        sum_ = "%sum"
        for p in range(passes):
            self.put(f"store i32 0, ptr {sum_}")

            def start(i: str) -> None:
                own = self.load(self.counts, "i32", i)
                before = self.let(f"load i32, ptr {sum_}")
                self.store(before, self.counts, "i32", i)
                self.put(f"store i32 {self.let(f'add i32 {before}, {own}')}, ptr {sum_}")

            self.loop(str(256 * p), str(256 * p + 256), start)

            def move(i: str, p=p) -> None:
                key = self.load(self.keys[p % 2], t, i)
                d = self.digit(key, p)
                to = self.load(self.counts, "i32", d)
                self.store(self.let(f"add i32 {to}, 1"), self.counts, "i32", d)
                to = self.let(f"zext i32 {to} to i64")
                self.store(key, self.keys[1 - p % 2], t, to)
                self.store(self.load(self.places[p % 2], "i32", i), self.places[1 - p % 2], "i32", to)

            self.loop("0", n, move)
        self.put("store i8 0, ptr %tie")

        def finish(i: str) -> None:
            place = self.let(f"zext i32 {self.load(self.places[0], 'i32', i)} to i64")
            self.store(place, places, "i64", i)
            self.store(self.load(source, t, place), target, t, i)
            later = self.let(f"icmp sgt i64 {i}, 0")
            step = self.let(f"zext i1 {later} to i64")
            before = self.load(self.keys[0], t, self.let(f"sub i64 {i}, {step}"))
            same = self.let(f"icmp eq {t} {self.load(self.keys[0], t, i)}, {before}")
            tie = self.let(f"zext i1 {self.let(f'and i1 {same}, {later}')} to i8")
            old = self.let("load i8, ptr %tie")
            self.put(f"store i8 {self.let(f'or i8 {old}, {tie}')}, ptr %tie")

        self.loop("0", n, finish)
        self.store(self.let("load i8, ptr %tie"), "%tied", "i8", r)

    def function_text(self) -> str:
        parameters = "ptr %rows, ptr %sorted, ptr %places, ptr %tied, ptr %scratch, i64 %count, i64 %n, i64 %flip"
        head = f"define void @{self.name}({parameters}) {{\nentry:\n  %sum = alloca i32\n  %tie = alloca i8"
        return "\n".join([head, *self.slots, *self.lines, "  ret void", "}"])


@functools.cache
def sort_function(d: str):
    """sort(rows, descending) -> (sorted rows, places, whether each row has equal elements)"""
    name = f"sort_{NAMES[d]}"
    address = jit.functions(module([Sort(NAMES[d], name)]), [name])[name]
    f = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5, *[ctypes.c_int64] * 3)(address)

    def sort(rows: np.ndarray, descending: bool):
        count, n = rows.shape
        values, places = np.empty_like(rows), np.empty(rows.shape, np.int64)
        tied = np.zeros(count, np.bool_)
        scratch = np.empty(2 * n * (rows.itemsize + 4) + 1024 * rows.itemsize, np.uint8)
        f(*[a.ctypes.data for a in (rows, values, places, tied, scratch)], count, n, -1 if descending else 0)
        return values, places, tied

    return sort
