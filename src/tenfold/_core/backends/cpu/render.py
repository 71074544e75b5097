"""Kernels of the loop language as LLVM IR text.

Everything is a vector of 16 lanes, also the last few elements, which are masked; so bits depend neither on the machine
nor on where an element lies. No fast-math flags. A sum has one accumulator of 16 lanes for each 2048 elements (or 128
rows), and one for those, which keeps what rounding loses beside it; lanes are added as a tree. The kernel is `void name(ptr table, ptr row)`; see ir/loops.py for the row."""

from __future__ import annotations

import struct

from ...ir.loops import CHUNK, LANES, PART, Kernel, Statement
from . import vector_math

SCALAR = {
    "bool": "i1",
    "u8": "i8",
    "i8": "i8",
    "i16": "i16",
    "i32": "i32",
    "i64": "i64",
    "f32": "float",
    "f64": "double",
}
BYTES = {"bool": 1, "u8": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "f32": 4, "f64": 8}
SUFFIX = {"bool": "i1", "u8": "i8", "i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64", "f32": "f32", "f64": "f64"}

FLOAT_BINARY = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
INT_BINARY = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
FLOAT_COMPARE = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
INT_COMPARE = {"lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge", "eq": "eq", "ne": "ne"}
INTRINSIC = {"abs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "rint": "rint", "trunc": "trunc"}
INTRINSIC2 = {"max": "maximum", "min": "minimum", "fmax": "maxnum", "fmin": "minnum", "copysign": "copysign"}


def is_float(d: str) -> bool:
    return d[0] == "f"


def vec(d: str) -> str:
    return f"<{LANES} x {SCALAR[d]}>"


def literal(value, d: str) -> str:
    """A number as LLVM writes it."""
    if d == "bool":
        return "true" if value else "false"
    if not is_float(d):
        return str(int(value))
    if d == "f32":
        value = struct.unpack("f", struct.pack("f", value))[0]
    return f"0x{struct.unpack('Q', struct.pack('d', value))[0]:016X}"


def splat(value, d: str) -> str:
    return f"splat ({SCALAR[d]} {literal(value, d)})"


class Writer:
    """Lines of one function, and what the module needs besides."""

    def __init__(self):
        self.lines: list[str] = []
        self.count = 0
        self.declared: set[str] = set()
        self.math: dict[tuple[str, str], None] = {}

    def put(self, line: str) -> None:
        self.lines.append("  " + line)

    def let(self, text: str) -> str:
        self.count += 1
        name = f"%t{self.count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def intrinsic(self, name: str, d: str, args: list[str]) -> str:
        t = vec(d)
        self.declared.add(f"declare {t} @llvm.{name}.v{LANES}{SUFFIX[d]}({', '.join([t] * len(args))})")
        return self.let(f"call {t} @llvm.{name}.v{LANES}{SUFFIX[d]}({', '.join(f'{t} {a}' for a in args)})")

    # --- scalar operations on vectors --------------------------------------------------------------------------

    def operation(self, s: Statement, args: list[str], kinds: list[str]) -> str:
        op, d = s.op, s.dtype
        if op == "const":
            return splat(s.extra, d)
        if op == "copy":
            return args[0]
        if op == "cast":
            return self.cast(args[0], kinds[0], d)
        if op == "select":
            return self.let(f"select <{LANES} x i1> {args[0]}, {vec(d)} {args[1]}, {vec(d)} {args[2]}")
        k = kinds[0]
        t = vec(k)
        if op in FLOAT_COMPARE:
            if is_float(k):
                return self.let(f"fcmp {FLOAT_COMPARE[op]} {t} {args[0]}, {args[1]}")
            word = INT_COMPARE[op].replace("s", "u", 1) if k in ("u8", "bool") else INT_COMPARE[op]
            return self.let(f"icmp {word} {t} {args[0]}, {args[1]}")
        if op in ("isnan", "isinf", "isfinite", "signbit"):
            return self.test(op, args[0], k)
        if is_float(k):
            if op in FLOAT_BINARY:
                return self.let(f"{FLOAT_BINARY[op]} {t} {args[0]}, {args[1]}")
            if op == "neg":
                return self.let(f"fneg {t} {args[0]}")
            if op == "fmod":
                return self.let(f"frem {t} {args[0]}, {args[1]}")
            if op in INTRINSIC:
                return self.intrinsic(INTRINSIC[op], k, args)
            if op in INTRINSIC2:
                return self.intrinsic(INTRINSIC2[op], k, args)
            return self.function(op, k, args)
        if op in INT_BINARY:
            return self.let(f"{INT_BINARY[op]} {t} {args[0]}, {args[1]}")
        if op == "not":
            return self.let(f"xor {t} {args[0]}, {splat(1 if k == 'bool' else -1, k)}")
        if op == "neg":
            return self.let(f"sub {t} zeroinitializer, {args[0]}")
        if op in ("max", "min"):
            return self.intrinsic(("u" if k == "u8" else "s") + op, k, args)
        if op in ("floordiv", "mod", "fmod"):
            return self.divided(op, k, *args)
        if op == "abs":
            negative = self.let(f"sub {t} zeroinitializer, {args[0]}")
            return args[0] if k == "u8" else self.intrinsic("smax", k, [args[0], negative])
        raise NotImplementedError(f"the renderer has no {op} of {k}")

    def divided(self, op: str, d: str, x: str, y: str) -> str:
        """Quotient and remainder of integers. Divisors that a processor refuses are put aside: 0 (for which the program has
        a check) and -1."""
        t = vec(d)
        signed = d != "u8"
        one = splat(1, d)
        none = self.let(f"icmp eq {t} {y}, zeroinitializer")
        by = self.let(f"select <{LANES} x i1> {none}, {t} {one}, {t} {y}")
        if not signed:
            return self.let(f"{'udiv' if op == 'floordiv' else 'urem'} {t} {x}, {by}")
        back = self.let(f"icmp eq {t} {y}, {splat(-1, d)}")
        by = self.let(f"select <{LANES} x i1> {back}, {t} {one}, {t} {by}")
        rest = self.let(f"srem {t} {x}, {by}")
        if op == "fmod":
            return rest
        left = self.let(f"icmp ne {t} {rest}, zeroinitializer")
        other = self.let(f"icmp slt {t} {self.let(f'xor {t} {rest}, {by}')}, zeroinitializer")
        crossed = self.let(f"and <{LANES} x i1> {left}, {other}")
        if op == "mod":
            more = self.let(f"add {t} {rest}, {by}")
            return self.let(f"select <{LANES} x i1> {crossed}, {t} {more}, {t} {rest}")
        quotient = self.let(f"sdiv {t} {x}, {by}")
        less = self.let(f"sub {t} {quotient}, {one}")
        quotient = self.let(f"select <{LANES} x i1> {crossed}, {t} {less}, {t} {quotient}")
        negative = self.let(f"sub {t} zeroinitializer, {x}")
        return self.let(f"select <{LANES} x i1> {back}, {t} {negative}, {t} {quotient}")

    def test(self, op: str, x: str, d: str) -> str:
        t = vec(d)
        if op == "isnan":
            return self.let(f"fcmp uno {t} {x}, {x}")
        if op == "signbit":
            i = {"f32": "i32", "f64": "i64"}[d]
            bits = self.let(f"bitcast {t} {x} to {vec(i)}")
            return self.let(f"icmp slt {vec(i)} {bits}, zeroinitializer")
        size = self.intrinsic("fabs", d, [x])
        return self.let(f"fcmp {'oeq' if op == 'isinf' else 'one'} {t} {size}, {splat(float('inf'), d)}")

    def function(self, op: str, d: str, args: list[str]) -> str:
        if op not in vector_math.FUNCTIONS:
            raise NotImplementedError(f"the renderer has no {op}")
        self.math[op, d] = None
        t = vec(d)
        return self.let(f"call {t} @vm_{op}_{d}({', '.join(f'{t} {a}' for a in args)})")

    def cast(self, x: str, source: str, target: str) -> str:
        a, b = vec(source), vec(target)
        if source == target:
            return x
        if target == "bool":
            if is_float(source):
                return self.let(f"fcmp une {a} {x}, zeroinitializer")
            return self.let(f"icmp ne {a} {x}, zeroinitializer")
        if is_float(source) and is_float(target):
            return self.let(f"{'fpext' if target == 'f64' else 'fptrunc'} {a} {x} to {b}")
        if is_float(target):
            word = "uitofp" if source in ("bool", "u8") else "sitofp"
            return self.let(f"{word} {a} {x} to {b}")
        if is_float(source):
            return self.let(f"freeze {b} {self.let(f'fptosi {a} {x} to {b}')}")  # whatever, but a number
        have, want = BYTES[source] if source != "bool" else 0, BYTES[target]
        if have == want:
            return x
        if have > want:
            return self.let(f"trunc {a} {x} to {b}")
        return self.let(f"{'zext' if source in ('bool', 'u8') else 'sext'} {a} {x} to {b}")


class Render(Writer):
    """One kernel."""

    def __init__(self, kernel: Kernel, name: str):
        super().__init__()
        self.kernel = kernel
        self.name = name
        self.slots: list[str] = []  # allocas
        self.lost: dict[str, str] = {}  # sum -> what rounding has lost of it
        self.field = 0
        self.dtypes = [s.dtype for s in kernel.body]
        self.alike = self._alike()
        self.used = sorted({s.extra for s in kernel.body if s.op in ("load", "take")} | {a for _, a in kernel.stores})
        self._write()

    def text(self) -> str:
        """The module."""
        return module([self])

    # --- the parts ----------------------------------------------------------------------------------------------

    def _alike(self) -> list[bool]:
        """Which values are the same in all lanes."""
        out: list[bool] = []
        for s in self.kernel.body:
            here = s.op not in ("load", "take") or self.kernel.accesses[s.extra].inner == "splat"
            out.append(here and all(out[a] for a in s.args))
        return out

    def row(self) -> str:
        p = self.let(f"getelementptr i64, ptr %row, i64 {self.field}")
        self.field += 1
        return self.let(f"load i64, ptr {p}, align 8")

    def slot(self, kind: str, start: str) -> str:
        """A variable."""
        name = f"%s{len(self.slots)}"
        self.slots.append(f"  {name} = alloca {kind}")
        self.put(f"store {kind} {start}, ptr {name}")
        return name

    def _write(self) -> None:
        k = self.kernel
        n = len(k.loops)
        self.sizes = [self.row() for _ in range(n)]
        self.base: list[list[str]] = []  # pointers to the place of each access, per level of loops
        self.strides: list[list[str]] = []
        self.rows: dict[int, tuple[str, str]] = {}
        first = []
        for i, access in enumerate(k.accesses):
            entry, offset = self.row(), self.row()
            size = BYTES[access.dtype]
            self.strides.append([self.let(f"mul i64 {self.row()}, {size}") for _ in range(n)])
            if access.taken:
                self.rows[i] = (self.let(f"mul i64 {self.row()}, {size}"), self.row())
            p = self.let(f"getelementptr ptr, ptr %table, i64 {entry}")
            p = self.let(f"load ptr, ptr {p}, align 8")
            o = self.let(f"mul i64 {offset}, {size}")
            first.append(self.let(f"getelementptr i8, ptr {p}, i64 {o}"))
        outer = [d for d in range(n - 1) if k.loops[d] == "k"]
        reduced = [d for d in range(n - 1) if k.loops[d] == "r"]
        if any(access.inner == "turned" for access in k.accesses):
            self.nest(outer[:-1], first, self.squares)
            return
        self.nest(outer, first, lambda here: self.inside(reduced, here))

    def nest(self, dims: list[int], here: list[str], body) -> None:
        """Loops over dims, outermost first, then body(pointers)."""
        if not dims:
            body(here)
            return
        d = dims[0]

        def step(i: str) -> None:
            moved = [
                self.let(f"getelementptr i8, ptr {p}, i64 {self.let(f'mul i64 {i}, {s[d]}')}")
                for p, s in zip(here, self.strides)
            ]
            self.nest(dims[1:], moved, body)

        self.loop("0", self.sizes[d], 1, step)

    def loop(self, start: str, end: str, step: int, body) -> None:
        """for (i = start; i < end; i += step) body(i)"""
        self.count += 1
        n = self.count
        i = self.slot("i64", start)
        self.put(f"br label %test{n}")
        self.label(f"test{n}")
        now = self.let(f"load i64, ptr {i}")
        more = self.let(f"icmp slt i64 {now}, {end}")
        self.put(f"br i1 {more}, label %body{n}, label %end{n}")
        self.label(f"body{n}")
        body(now)
        after = self.let(f"add nuw nsw i64 {now}, {step}")
        self.put(f"store i64 {after}, ptr {i}")
        self.put(f"br label %test{n}")
        self.label(f"end{n}")

    def inside(self, reduced: list[int], here: list[str]) -> None:
        k = self.kernel
        vector = len(k.loops) - 1
        size = self.sizes[vector]
        if k.loops[vector] == "k":  # vectors of results: the reduced loops run inside

            def block(j: str) -> None:
                totals = self.totals()
                self.nest(reduced[:-1], here, lambda at: self.column(reduced, at, j, size, totals))
                for (_, v, a), slot in zip(k.folds, totals):
                    d = self.dtypes[v]
                    self.store(here[a], a, self.total(d, slot), d, j, self.mask(j, size))

            self.loop("0", size, LANES, block)
            return
        totals = self.totals()

        def row(at: list[str]) -> None:
            def chunk(c: str) -> None:
                sums = self.accumulators()
                self.loop(c, self.at_most(c, CHUNK, size), LANES, lambda j: self.body(at, j, size, sums))
                self.gather_up(sums, totals)

            self.loop("0", size, CHUNK, chunk)

        self.nest(reduced, here, row)
        for (op, v, a), slot in zip(k.folds, totals):
            d = self.dtypes[v]
            self.put_scalar(here[a], a, self.across(op, d, self.total(d, slot)))

    def column(self, reduced: list[int], here: list[str], j: str, size: str, totals: list[str]) -> None:
        """One block of results: the innermost reduced loop in parts, each with sums of its own."""
        if not reduced:
            self.body(here, j, size, totals)
            return
        d = reduced[-1]

        def part(c: str) -> None:
            sums = self.accumulators()

            def step(i: str) -> None:
                at = [
                    self.let(f"getelementptr i8, ptr {p}, i64 {self.let(f'mul i64 {i}, {s[d]}')}")
                    for p, s in zip(here, self.strides)
                ]
                self.body(at, j, size, sums)

            self.loop(c, self.at_most(c, PART, self.sizes[d]), 1, step)
            self.gather_up(sums, totals)

        self.loop("0", self.sizes[d], PART, part)

    def squares(self, here: list[str]) -> None:
        """The two innermost loops in squares: what is turned is read along the outer one, and lies in its rows then."""
        k = self.kernel
        d, vector = len(k.loops) - 2, len(k.loops) - 1
        turned = [a for a, access in enumerate(k.accesses) if access.inner == "turned"]
        kinds = {a: vec(k.accesses[a].dtype if k.accesses[a].dtype != "bool" else "u8") for a in turned}
        held = {a: f"%square{a}" for a in turned}
        self.slots += [f"  {held[a]} = alloca [{LANES} x {kinds[a]}], align 128" for a in turned]

        def square(i: str, j: str) -> None:
            for a in turned:
                self.turn(here[a], a, i, j, held[a])

            def row(n: str) -> None:
                at = []
                for a, (p, s) in enumerate(zip(here, self.strides)):
                    if a in held:
                        at.append(
                            self.let(f"getelementptr {kinds[a]}, ptr {held[a]}, i64 {self.let(f'sub i64 {n}, {i}')}")
                        )
                    else:
                        at.append(self.let(f"getelementptr i8, ptr {p}, i64 {self.let(f'mul i64 {n}, {s[d]}')}"))
                self.body(at, j, self.sizes[vector], [])

            self.loop(i, self.at_most(i, LANES, self.sizes[d]), 1, row)

        self.loop(
            "0", self.sizes[d], LANES, lambda i: self.loop("0", self.sizes[vector], LANES, lambda j: square(i, j))
        )

    def turn(self, p: str, a: int, i: str, j: str, to: str) -> None:
        """A square of an access from (i, j) on, its rows and columns exchanged. What lies outside is not read."""
        d = self.kernel.accesses[a].dtype
        m = "u8" if d == "bool" else d
        t = vec(m)
        mask = self.mask(i, self.sizes[-2])
        last = self.let(f"sub i64 {self.sizes[-1]}, 1")
        p = self.let(f"getelementptr {SCALAR[m]}, ptr {p}, i64 {i}")
        rows = []
        for lane in range(LANES):
            at = self.let(f"add i64 {j}, {lane}")
            at = self.let(f"select i1 {self.let(f'icmp slt i64 {at}, {last}')}, i64 {at}, i64 {last}")
            at = self.let(f"mul i64 {at}, {self.strides[a][-1]}")
            rows.append(self.masked_load(self.let(f"getelementptr i8, ptr {p}, i64 {at}"), mask, m))
        half = LANES // 2
        orders = [
            ", ".join(f"i32 {start + n // 2 + LANES * (n % 2)}" for n in range(LANES)) for start in (0, half)
        ]  # by turns from two vectors
        for _ in range(LANES.bit_length() - 1):
            rows = [
                self.let(f"shufflevector {t} {x}, {t} {y}, <{LANES} x i32> <{order}>")
                for x, y in zip(rows[:half], rows[half:])
                for order in orders
            ]
        for n, row in enumerate(rows):
            self.put(
                f"store {t} {row}, ptr {self.let(f'getelementptr {t}, ptr {to}, i64 {n}')}, align {BYTES[m] * LANES}"
            )

    def at_most(self, start: str, step: int, end: str) -> str:
        """min(start + step, end)"""
        stop = self.let(f"add i64 {start}, {step}")
        less = self.let(f"icmp slt i64 {stop}, {end}")
        return self.let(f"select i1 {less}, i64 {stop}, i64 {end}")

    def gather_up(self, parts: list[str], totals: list[str]) -> None:
        for (op, v, _), part, total in zip(self.kernel.folds, parts, totals):
            d = self.dtypes[v]
            value = self.let(f"load {vec(d)}, ptr {part}")
            if total in self.lost:
                self.add(d, total, value)
            else:
                self.fold(op, d, total, value)

    def add(self, d: str, total: str, value: str) -> None:
        """total += value, and what rounding loses (Knuth, The Art of Computer Programming 2, 4.2.2) is added up apart."""
        t = vec(d)
        old = self.let(f"load {t}, ptr {total}")
        new = self.let(f"fadd {t} {old}, {value}")
        part = self.let(f"fsub {t} {new}, {old}")
        left = self.let(f"fsub {t} {old}, {self.let(f'fsub {t} {new}, {part}')}")
        right = self.let(f"fsub {t} {value}, {part}")
        self.put(f"store {t} {new}, ptr {total}")
        self.fold("sum", d, self.lost[total], self.let(f"fadd {t} {left}, {right}"))

    def totals(self) -> list[str]:
        """Accumulators; those of sums of floats with a place for what rounding loses."""
        slots = self.accumulators()
        for (op, v, _), slot in zip(self.kernel.folds, slots):
            d = self.dtypes[v]
            if op == "sum" and is_float(d):
                self.lost[slot] = self.slot(vec(d), "zeroinitializer")
        return slots

    def total(self, d: str, slot: str) -> str:
        """What has been added up; what was lost is none beside infinities."""
        t = vec(d)
        value = self.let(f"load {t}, ptr {slot}")
        if slot not in self.lost:
            return value
        lost = self.let(f"load {t}, ptr {self.lost[slot]}")
        both = self.let(f"fadd {t} {value}, {lost}")
        none = self.test("isnan", lost, d)
        return self.let(f"select <{LANES} x i1> {none}, {t} {value}, {t} {both}")

    def accumulators(self) -> list[str]:
        return [
            self.slot(vec(self.dtypes[v]), splat(identity(op, self.dtypes[v]), self.dtypes[v]))
            for op, v, _ in self.kernel.folds
        ]

    def fold(self, op: str, d: str, slot: str, value: str) -> None:
        old = self.let(f"load {vec(d)}, ptr {slot}")
        self.put(f"store {vec(d)} {self.combine(op, d, old, value)}, ptr {slot}")

    def combine(self, op: str, d: str, a: str, b: str) -> str:
        name = {"sum": "add", "prod": "mul"}.get(op, op)
        if d == "bool":
            name = {"max": "or", "min": "and"}[op]
        return self.operation(Statement(name, (0, 1), d), [a, b], [d, d])

    def across(self, op: str, d: str, value: str) -> str:
        """All lanes together, in lane 0: a tree."""
        width = LANES
        t = vec(d)
        while width > 1:
            width //= 2
            order = ", ".join(f"i32 {(i + width) % LANES}" for i in range(LANES))
            other = self.let(f"shufflevector {t} {value}, {t} poison, <{LANES} x i32> <{order}>")
            value = self.combine(op, d, value, other)
        return self.let(f"extractelement {t} {value}, i64 0")

    # --- the body ----------------------------------------------------------------------------------------------------

    def mask(self, j: str, size: str) -> str:
        left = self.let(f"sub i64 {size}, {j}")
        few = self.let(f"icmp slt i64 {left}, {LANES}")
        left = self.let(f"select i1 {few}, i64 {left}, i64 {LANES}")
        short = self.let(f"trunc i64 {left} to i32")
        one = self.let(f"insertelement <{LANES} x i32> poison, i32 {short}, i64 0")
        all_ = self.let(f"shufflevector <{LANES} x i32> {one}, <{LANES} x i32> poison, <{LANES} x i32> zeroinitializer")
        lanes = ", ".join(f"i32 {i}" for i in range(LANES))
        return self.let(f"icmp slt <{LANES} x i32> <{lanes}>, {all_}")

    def body(self, here: list[str], j: str, size: str, sums: list[str]) -> None:
        k = self.kernel
        mask = self.mask(j, size)
        values: list[str] = []
        for s in k.body:
            if s.op == "load":
                values.append(self.load(here[s.extra], s.extra, j, mask))
            elif s.op == "require":
                self.report(self.let(f"xor <{LANES} x i1> {values[s.args[0]]}, splat (i1 true)"), mask)
                values.append(values[s.args[0]])
            elif s.op == "take":
                take = self.take_row if self.alike[s.args[0]] else self.take
                values.append(take(here[s.extra], s.extra, j, mask, values[s.args[0]]))
            else:
                values.append(self.operation(s, [values[a] for a in s.args], [self.dtypes[a] for a in s.args]))
        for v, a in k.stores:
            self.store(here[a], a, values[v], self.dtypes[v], j, mask)
        for (op, v, _), slot in zip(k.folds, sums):
            d = self.dtypes[v]
            value = values[v]
            if k.loops[-1] == "r":
                value = self.let(
                    f"select <{LANES} x i1> {mask}, {vec(d)} {value}, {vec(d)} {splat(identity(op, d), d)}"
                )
            self.fold(op, d, slot, value)

    def place(self, p: str, a: int, j: str) -> str:
        """Where lane 0 of an access is."""
        at = self.let(f"mul i64 {j}, {self.strides[a][-1]}")
        return self.let(f"getelementptr i8, ptr {p}, i64 {at}")

    def lanes_of(self, p: str, step: str) -> str:
        """Pointers of 16 lanes."""
        one = self.let(f"insertelement <{LANES} x i64> poison, i64 {step}, i64 0")
        all_ = self.let(f"shufflevector <{LANES} x i64> {one}, <{LANES} x i64> poison, <{LANES} x i32> zeroinitializer")
        count = ", ".join(f"i64 {i}" for i in range(LANES))
        offsets = self.let(f"mul <{LANES} x i64> {all_}, <{count}>")
        return self.let(f"getelementptr i8, ptr {p}, <{LANES} x i64> {offsets}")

    def load(self, p: str, a: int, j: str, mask: str) -> str:
        access = self.kernel.accesses[a]
        d = access.dtype
        m = "u8" if d == "bool" else d
        t = vec(m)
        if access.inner == "splat":
            x = self.let(f"load {SCALAR[m]}, ptr {p}, align 1")
            one = self.let(f"insertelement {t} poison, {SCALAR[m]} {x}, i64 0")
            value = self.let(f"shufflevector {t} {one}, {t} poison, <{LANES} x i32> zeroinitializer")
        elif access.inner == "unit":
            value = self.masked_load(self.place(p, a, j), mask, m)
        elif access.inner == "turned":
            value = self.let(f"load {t}, ptr {p}, align {BYTES[m] * LANES}")
        else:
            value = self.gather(self.lanes_of(self.place(p, a, j), self.strides[a][-1]), mask, m)
        return self.let(f"icmp ne {t} {value}, zeroinitializer") if d == "bool" else value

    def masked_load(self, p: str, mask: str, m: str) -> str:
        t = vec(m)
        name = f"@llvm.masked.load.v{LANES}{SUFFIX[m]}.p0"
        self.declared.add(f"declare {t} {name}(ptr, i32, <{LANES} x i1>, {t})")
        return self.let(f"call {t} {name}(ptr {p}, i32 1, <{LANES} x i1> {mask}, {t} zeroinitializer)")

    def gather(self, pointers: str, mask: str, m: str) -> str:
        t = vec(m)
        name = f"@llvm.masked.gather.v{LANES}{SUFFIX[m]}.v{LANES}p0"
        self.declared.add(f"declare {t} {name}(<{LANES} x ptr>, i32, <{LANES} x i1>, {t})")
        return self.let(
            f"call {t} {name}(<{LANES} x ptr> {pointers}, i32 1, <{LANES} x i1> {mask}, {t} zeroinitializer)"
        )

    def take(self, p: str, a: int, j: str, mask: str, index: str) -> str:
        """Rows by number. A number that is out of range reads nothing, and is told in the table's entry 0."""
        access = self.kernel.accesses[a]
        m = "u8" if access.dtype == "bool" else access.dtype
        stride, rows = self.rows[a]
        t = f"<{LANES} x i64>"
        limit = self.spread(rows)
        wrong = self.let(f"icmp uge {t} {index}, {limit}")
        self.report(wrong, mask)
        good = self.let(f"xor <{LANES} x i1> {wrong}, splat (i1 true)")
        read = self.let(f"and <{LANES} x i1> {good}, {mask}")
        at = self.let(f"mul {t} {index}, {self.spread(stride)}")
        if access.inner == "splat":
            pointers = self.let(f"getelementptr i8, ptr {p}, {t} {at}")
        else:
            pointers = self.let(
                f"getelementptr i8, <{LANES} x ptr> {self.lanes_of(self.place(p, a, j), self.strides[a][-1])}, {t} {at}"
            )
        value = self.gather(pointers, read, m)
        return self.let(f"icmp ne {vec(m)} {value}, zeroinitializer") if access.dtype == "bool" else value

    def take_row(self, p: str, a: int, j: str, mask: str, index: str) -> str:
        """The same where all lanes are of one row."""
        access = self.kernel.accesses[a]
        m = "u8" if access.dtype == "bool" else access.dtype
        stride, rows = self.rows[a]
        k = self.let(f"extractelement <{LANES} x i64> {index}, i64 0")
        wrong = self.let(f"icmp uge i64 {k}, {rows}")
        self.tell(wrong)
        p = self.let(f"getelementptr i8, ptr {p}, i64 {self.let(f'mul i64 {k}, {stride}')}")
        read = self.let(f"select i1 {wrong}, <{LANES} x i1> zeroinitializer, <{LANES} x i1> {mask}")
        if access.inner == "unit":
            value = self.masked_load(self.place(p, a, j), read, m)
        else:
            step = "0" if access.inner == "splat" else self.strides[a][-1]
            value = self.gather(self.lanes_of(p if step == "0" else self.place(p, a, j), step), read, m)
        return self.let(f"icmp ne {vec(m)} {value}, zeroinitializer") if access.dtype == "bool" else value

    def report(self, wrong: str, mask: str) -> None:
        """Tells in entry 0 of the table where any of the lanes is wrong."""
        bad = self.let(f"and <{LANES} x i1> {wrong}, {mask}")
        self.declared.add(f"declare i1 @llvm.vector.reduce.or.v{LANES}i1(<{LANES} x i1>)")
        self.tell(self.let(f"call i1 @llvm.vector.reduce.or.v{LANES}i1(<{LANES} x i1> {bad})"))

    def tell(self, any_: str) -> None:
        self.count += 1
        n = self.count
        self.put(f"br i1 {any_}, label %wrong{n}, label %right{n}")
        self.label(f"wrong{n}")
        status = self.let("load ptr, ptr %table, align 8")
        self.put(f"store atomic i64 1, ptr {status} monotonic, align 8")  # also from several threads
        self.put(f"br label %right{n}")
        self.label(f"right{n}")

    def spread(self, x: str) -> str:
        one = self.let(f"insertelement <{LANES} x i64> poison, i64 {x}, i64 0")
        return self.let(f"shufflevector <{LANES} x i64> {one}, <{LANES} x i64> poison, <{LANES} x i32> zeroinitializer")

    def store(self, p: str, a: int, value: str, d: str, j: str, mask: str) -> None:
        access = self.kernel.accesses[a]
        m = "u8" if d == "bool" else d
        t = vec(m)
        if d == "bool":
            value = self.let(f"zext {vec(d)} {value} to {t}")
        if access.inner == "unit":
            self.masked_store(value, self.place(p, a, j), mask, m)
            return
        if access.inner == "splat":
            x = self.let(f"extractelement {t} {value}, i64 0")
            self.put(f"store {SCALAR[m]} {x}, ptr {p}, align 1")
            return
        name = f"@llvm.masked.scatter.v{LANES}{SUFFIX[m]}.v{LANES}p0"
        self.declared.add(f"declare void {name}({t}, <{LANES} x ptr>, i32, <{LANES} x i1>)")
        pointers = self.lanes_of(self.place(p, a, j), self.strides[a][-1])
        self.put(f"call void {name}({t} {value}, <{LANES} x ptr> {pointers}, i32 1, <{LANES} x i1> {mask})")

    def masked_store(self, value: str, p: str, mask: str, m: str) -> None:
        t = vec(m)
        name = f"@llvm.masked.store.v{LANES}{SUFFIX[m]}.p0"
        self.declared.add(f"declare void {name}({t}, ptr, i32, <{LANES} x i1>)")
        self.put(f"call void {name}({t} {value}, ptr {p}, i32 1, <{LANES} x i1> {mask})")

    def put_scalar(self, p: str, a: int, x: str) -> None:
        d = self.kernel.accesses[a].dtype
        if d == "bool":
            x = self.let(f"zext i1 {x} to i8")
        self.put(f"store {SCALAR['u8' if d == 'bool' else d]} {x}, ptr {p}, align 1")

    def function_text(self) -> str:
        head = f"define void @{self.name}(ptr noalias %table, ptr noalias readonly %row) {{\nentry:"
        return "\n".join([head, *self.slots, *self.lines, "  ret void", "}"])


class Scatter(Render):
    """Rows put into memory where numbers say, one after the other: added, multiplied … with what is there, or in place of
    it. Numbers out of range are passed over.

    Row: rows, columns, rows of the target; then target, source (entry, offset, strides along rows and columns), and the
    numbers (entry, offset, stride). `lines`: columns lie side by side."""

    def __init__(self, op: str, d: str, lines: bool, name: str):
        Writer.__init__(self)
        self.name = name
        self.slots = []
        self.field = 0
        n, width, count = self.row(), self.row(), self.row()
        places = []
        for size, dims in ((BYTES[d], 2), (BYTES[d], 2), (8, 1)):
            p = self.let(f"load ptr, ptr {self.let(f'getelementptr ptr, ptr %table, i64 {self.row()}')}, align 8")
            p = self.let(f"getelementptr i8, ptr {p}, i64 {self.let(f'mul i64 {self.row()}, {size}')}")
            places.append((p, [self.let(f"mul i64 {self.row()}, {size}") for _ in range(dims)]))
        (target, by), (source, own), (numbers, step) = places

        def row(i: str) -> None:
            at = self.let(f"getelementptr i8, ptr {numbers}, i64 {self.let(f'mul i64 {i}, {step[0]}')}")
            k = self.let(f"load i64, ptr {at}, align 1")
            fits = self.let(f"icmp ult i64 {k}, {count}")
            end = self.let(f"select i1 {fits}, i64 {width}, i64 0")
            to = self.let(f"getelementptr i8, ptr {target}, i64 {self.let(f'mul i64 {k}, {by[0]}')}")
            of = self.let(f"getelementptr i8, ptr {source}, i64 {self.let(f'mul i64 {i}, {own[0]}')}")

            def element(j: str) -> None:
                p = self.let(f"getelementptr i8, ptr {to}, i64 {self.let(f'mul i64 {j}, {by[1]}')}")
                q = self.let(f"getelementptr i8, ptr {of}, i64 {self.let(f'mul i64 {j}, {own[1]}')}")
                t = SCALAR["u8" if d == "bool" else d]
                a, b = self.let(f"load {t}, ptr {p}, align 1"), self.let(f"load {t}, ptr {q}, align 1")
                self.put(f"store {t} {self.together(op, d, a, b)}, ptr {p}, align 1")

            def block(j: str) -> None:
                m = "u8" if d == "bool" else d
                at = self.let(f"mul i64 {j}, {BYTES[d]}")
                p, q = [self.let(f"getelementptr i8, ptr {x}, i64 {at}") for x in (to, of)]
                mask = self.mask(j, end)
                a, b = self.masked_load(p, mask, m), self.masked_load(q, mask, m)
                if op != "set":
                    b = self.combine({"sum": "or", "prod": "and"}.get(op, op) if d == "bool" else op, m, a, b)
                self.masked_store(b, p, mask, m)

            if lines:
                self.loop("0", end, LANES, block)
            else:
                self.loop("0", end, 1, element)

        self.loop("0", n, 1, row)

    def together(self, op: str, d: str, a: str, b: str) -> str:
        """One number with another."""
        if op == "set":
            return b
        if d == "bool":
            word = {"sum": "or", "max": "or", "prod": "and", "min": "and"}[op]
            return self.let(f"{word} i8 {a}, {b}")
        t = SCALAR[d]
        if op in ("sum", "prod"):
            word = {"sum": "add", "prod": "mul"}[op]
            return self.let(f"{'f' if is_float(d) else ''}{word} {t} {a}, {b}")
        name = f"{op}imum" if is_float(d) else ("u" if d == "u8" else "s") + op
        self.declared.add(f"declare {t} @llvm.{name}.{SUFFIX[d]}({t}, {t})")
        return self.let(f"call {t} @llvm.{name}.{SUFFIX[d]}({t} {a}, {t} {b})")


class Scan(Scatter):
    """Running sums, products, greatest or least along the last dim, in order.

    Row: sizes; then source and target (entry, offset, strides)."""

    def __init__(self, op: str, d: str, dims: int, name: str):
        Writer.__init__(self)
        self.name = name
        self.slots = []
        self.field = 0
        sizes = [self.row() for _ in range(dims)]
        places = []
        for _ in range(2):
            p = self.let(f"load ptr, ptr {self.let(f'getelementptr ptr, ptr %table, i64 {self.row()}')}, align 8")
            p = self.let(f"getelementptr i8, ptr {p}, i64 {self.let(f'mul i64 {self.row()}, {BYTES[d]}')}")
            places.append((p, [self.let(f"mul i64 {self.row()}, {BYTES[d]}") for _ in range(dims)]))
        self.strides = [s for _, s in places]
        t = SCALAR[d]

        def line(here: list[str]) -> None:
            start = self.slot(t, literal(identity(op, d), d))

            def element(k: str) -> None:
                p, q = [
                    self.let(f"getelementptr i8, ptr {h}, i64 {self.let(f'mul i64 {k}, {s[-1]}')}")
                    for h, s in zip(here, self.strides)
                ]
                x = self.let(f"load {t}, ptr {p}, align 1")
                total = self.together(op, d, self.let(f"load {t}, ptr {start}"), x)
                self.put(f"store {t} {total}, ptr {start}")
                self.put(f"store {t} {total}, ptr {q}, align 1")

            self.loop("0", sizes[-1], 1, element)

        self.sizes = sizes
        self.nest(list(range(dims - 1)), [p for p, _ in places], line)


def identity(op: str, d: str):
    """What a reduction begins with."""
    if op in ("sum", "prod"):
        return op == "prod"
    if is_float(d):
        return float("-inf") if op == "max" else float("inf")
    if d == "bool":
        return op == "min"
    bits = 8 * BYTES[d]
    low, high = (0, 2**bits - 1) if d == "u8" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return low if op == "max" else high


def module(renders: list[Render]) -> str:
    """Kernels, with the declarations and functions that they need."""
    wanted: dict[tuple[str, str], None] = {}

    def want(name: str, d: str) -> None:
        if (name, d) in wanted:
            return
        for other in vector_math.needs(name, d):
            want(other, d)
        wanted[name, d] = None

    for r in renders:
        for name, d in r.math:
            want(name, d)
    parts = [r.function_text() for r in renders] + [vector_math.definition(n, d) for n, d in wanted]
    declared = set().union(*[r.declared for r in renders], *[vector_math.declarations(n, d) for n, d in wanted])
    return "\n\n".join(["\n".join(sorted(declared)), *parts])
