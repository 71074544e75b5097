"""The loop language: one kernel as nested loops over strided arrays, without sizes.

A kernel runs over `dims` loops. The last is the vector loop: its body handles 16 neighbours at once. Each loop is kept
("k": results differ along it) or reduced ("r"). The body is a list of statements, each a value by number:

    load     an element of access `extra`
    take     an element of access `extra`, moved on by the first operand times that access's row stride
    const    a number
    others   scalar operations on earlier values

After the body, `stores` write values (value, access), and `folds` reduce values (operation, value, access) over the "r"
loops. Sizes, strides and places are read at run time from the row, in this order: the size of each loop; then for each
access the entry of the table, the offset, its stride along each loop, and, if it is taken from, the row's stride and the
number of rows. The kernels of a program are keyed by `Kernel.key`, which has no sizes in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LANES = 16
NAMES = {"?": "bool", "u1": "u8", "i1": "i8", "i2": "i16", "i4": "i32", "i8": "i64", "f4": "f32", "f8": "f64"}


def name_of(dtype: np.dtype) -> str:
    """f32 for float32, and so on."""
    return NAMES[dtype.str[1:] if dtype.kind != "b" else "?"]


@dataclass(frozen=True)
class Access:
    """How an array is read or written: its dtype, how it goes along the vector loop ("splat", "unit" or "strided"), and
    whether rows of it are taken by number."""

    dtype: str
    inner: str
    taken: bool = False


@dataclass(frozen=True)
class Statement:
    """value = op(args)"""

    op: str
    args: tuple[int, ...]
    dtype: str
    extra: object = None


@dataclass(frozen=True)
class Kernel:
    """A nest of loops: see the module."""

    loops: str  # "k" or "r" for each loop, outermost first
    accesses: tuple[Access, ...]
    body: tuple[Statement, ...]
    stores: tuple[tuple[int, int], ...]
    folds: tuple[tuple[str, int, int], ...]

    @property
    def key(self):
        return self

    def row(self, sizes, placed) -> list[int]:
        """The row of numbers for sizes of loops and (table entry, offset, strides, rows' stride, rows) for each access."""
        out = list(sizes)
        for access, (entry, offset, strides, stride, rows) in zip(self.accesses, placed):
            out += [entry, offset, *strides]
            if access.taken:
                out += [stride, rows]
        return out

    def text(self) -> str:
        """The loops, to read."""
        names = "ijklmnop"
        lines = []
        for d, kind in enumerate(self.loops):
            last = d == len(self.loops) - 1
            word = "for" if kind == "k" else "over"
            lines.append(f"{'  ' * d}{word} {names[d]} in n{d}{f' by {LANES}' if last else ''}:")
        pad = "  " * len(self.loops)
        for n, s in enumerate(self.body):
            extra = "" if s.extra is None else f" {s.extra}" if s.op == "const" else f" a{s.extra}"
            lines.append(f"{pad}%{n} = {s.op}{extra} {' '.join(f'%{a}' for a in s.args)}".rstrip() + f"  {s.dtype}")
        lines += [f"{pad}a{a} = %{v}" for v, a in self.stores]
        lines += [f"{pad}a{a} {op}= %{v}" for op, v, a in self.folds]
        return "\n".join(lines)
