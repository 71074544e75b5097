"""The text of a native function: whole numbers, addresses, loops and branches as LLVM IR.

In: Python that says what to compute, statement by statement. Out: the text of one `define`. Numbers are i64; a value
is the text that names it (`%v7`, `3`), and a Python int is a constant, which is folded where that is plain. Vectors
are written as raw instructions through `op` and `do`. Values that change within a loop are variables: slots on the
stack, which the pass `sroa` turns into registers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

Number = str | int
ELEMENTS = {"f32": "float", "f64": "double"}
BYTES = {"f32": 4, "f64": 8}


@dataclass
class Walk:
    """A turn of a loop with steps of different lengths."""

    index: str
    step: Number


class Function:
    """`head` is all that stands before the brace, without `define`: `void @f(ptr %table, ptr %row)`."""

    def __init__(self, head: str, attributes: str = "nounwind") -> None:
        self.head = head
        self.attributes = attributes
        self.lines: list[str] = []
        self.slots: list[str] = []
        self.block = "entry"
        self._count = 0

    def text(self) -> str:
        """The finished definition; a function of these returns nothing."""
        body = "\n".join([f"define {self.head} {self.attributes} {{", "entry:", *self.slots, *self.lines])
        return f"{body}\n  ret void\n}}\n"

    # --- single instructions

    def _name(self, word: str = "v") -> str:
        self._count += 1
        return f"{word}{self._count}"

    def do(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def op(self, text: str) -> str:
        name = f"%{self._name()}"
        self.do(f"{name} = {text}")
        return name

    def add(self, a: Number, b: Number) -> Number:
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if a == 0:
            return b
        return a if b == 0 else self.op(f"add nsw i64 {a}, {b}")

    def sub(self, a: Number, b: Number) -> Number:
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self.op(f"sub nsw i64 {a}, {b}")

    def mul(self, a: Number, b: Number) -> Number:
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if a == 1:
            return b
        if 0 in (a, b):
            return 0
        return a if b == 1 else self.op(f"mul nsw i64 {a}, {b}")

    def div(self, a: Number, b: Number) -> Number:
        """Of numbers that are not negative."""
        return a if b == 1 else self.op(f"udiv i64 {a}, {b}")

    def min(self, a: Number, b: Number) -> str:
        return self.op(f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")

    def max(self, a: Number, b: Number) -> str:
        return self.op(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")

    def round_up(self, a: Number, step: int) -> Number:
        """To a multiple of `step`."""
        return self.mul(self.div(self.add(a, step - 1), step), step)

    def compare(self, predicate: str, a: Number, b: Number) -> str:
        return self.op(f"icmp {predicate} i64 {a}, {b}")

    def both(self, a: str, b: str) -> str:
        return self.op(f"and i1 {a}, {b}")

    def either(self, a: str, b: str) -> str:
        return self.op(f"or i1 {a}, {b}")

    def negate(self, condition: str) -> str:
        return self.op(f"xor i1 {condition}, true")

    def choose(self, condition: str, a: Number, b: Number, kind: str = "i64") -> str:
        return self.op(f"select i1 {condition}, {kind} {a}, {kind} {b}")

    def at(self, pointer: str, kind: str, *steps: Number) -> str:
        """The address so many elements of type `kind` after `pointer`; the steps are added up."""
        total: Number = 0
        for step in steps:
            total = self.add(total, step)
        return pointer if total == 0 else self.op(f"getelementptr {kind}, ptr {pointer}, i64 {total}")

    def load(self, kind: str, pointer: str, align: int | None = None) -> str:
        return self.op(f"load {kind}, ptr {pointer}" + (f", align {align}" if align else ""))

    def store(self, kind: str, value: Number, pointer: str, align: int | None = None) -> None:
        self.do(f"store {kind} {value}, ptr {pointer}" + (f", align {align}" if align else ""))

    # --- what changes

    def slot(self, kind: str, align: int | None = None) -> str:
        """Memory of the function's own, reserved at its entry."""
        name = f"%{self._name('s')}"
        self.slots.append(f"  {name} = alloca {kind}" + (f", align {align}" if align else ""))
        return name

    def variable(self, kind: str, start: Number) -> str:
        name = self.slot(kind)
        self.store(kind, start, name)
        return name

    # --- control

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self.block = name

    @contextmanager
    def loop(self, start: Number, end: Number, step: Number | Walk = 1) -> Iterator[str]:
        """`for i in range(start, end, step)` for a positive step; `end` is the same at every turn."""
        mark = self._name("")
        before = self.block
        index = f"%i{mark}"
        first = self.compare("slt", start, end)
        self.do(f"br i1 {first}, label %loop{mark}, label %done{mark}")
        self.label(f"loop{mark}")
        place = len(self.lines)
        yield index
        following = self.add(index, step.step if isinstance(step, Walk) else step)
        again = self.compare("slt", following, end)
        phi = f"  {index} = phi i64 [ {start}, %{before} ], [ {following}, %{self.block} ]"
        self.lines.insert(place, phi)
        self.do(f"br i1 {again}, label %loop{mark}, label %done{mark}")
        self.label(f"done{mark}")

    @contextmanager
    def walk(self, start: Number, end: Number) -> Iterator[Walk]:
        """A loop whose body says how far the next turn is, in `step`; it is never zero."""
        turn = Walk("", 0)
        with self.loop(start, end, turn) as turn.index:
            yield turn

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        mark = self._name("")
        self.do(f"br i1 {condition}, label %then{mark}, label %after{mark}")
        self.label(f"then{mark}")
        yield
        self.do(f"br label %after{mark}")
        self.label(f"after{mark}")

    @contextmanager
    def unless(self, condition: str) -> Iterator[None]:
        with self.when(self.negate(condition)):
            yield

    def leave(self) -> None:
        """Return from here; what follows is not reached from here."""
        self.do("ret void")
        self.label(self._name("unreached"))

    # --- the kernels' arguments

    def entries(self, row: str, names: Sequence[str]) -> dict[str, str]:
        """The numbers of a kernel's row by their names."""
        return {name: self.load("i64", self.at(row, "i64", i)) for i, name in enumerate(names)}

    def buffer(self, table: str, index: Number, kind: str, offset: Number) -> str:
        """The address of an operand: an entry of the table and an offset in elements."""
        return self.at(self.load("ptr", self.at(table, "ptr", index)), kind, offset)
