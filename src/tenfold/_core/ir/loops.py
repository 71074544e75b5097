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
number of rows. The kernels of a program are equal where their text is: there are no sizes in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LANES = 16
CHUNK = 2048  # a reduced vector loop is added up in parts of so many elements, each in an accumulator of 16 lanes,
PART = 128  # and a reduced loop around it, where the vector loop is kept, in parts of so many rows
NAMES = {"?": "bool", "u1": "u8", "i1": "i8", "i2": "i16", "i4": "i32", "i8": "i64", "f4": "f32", "f8": "f64"}


# The scalar operations: how many operands, and of which kinds they may be ("b" bool, "i" integers, "f" floats).
OPERATIONS: dict[str, tuple[int, str]] = {
    **dict.fromkeys(("add", "sub", "mul", "max", "min"), (2, "if")),
    **dict.fromkeys(("lt", "le", "gt", "ge"), (2, "if")),
    **dict.fromkeys(("eq", "ne"), (2, "bif")),
    **dict.fromkeys(("and", "or", "xor"), (2, "bi")),
    **dict.fromkeys(("floordiv", "mod"), (2, "i")), "fmod": (2, "if"),
    **dict.fromkeys(("div", "fmax", "fmin", "copysign", "pow"), (2, "f")),
    **dict.fromkeys(("neg", "abs"), (1, "if")),
    **dict.fromkeys(("sqrt", "floor", "ceil", "rint", "trunc", "isnan", "isinf", "isfinite", "signbit"), (1, "f")),
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sigmoid", "erf", "erfc"), (1, "f")),
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"), (1, "f")),
    "not": (1, "bi"), "copy": (1, "bif"), "cast": (1, "bif"), "require": (1, "b"), "select": (3, "bif"),
}  # fmt: skip
TESTS = frozenset(("lt", "le", "gt", "ge", "eq", "ne", "isnan", "isinf", "isfinite", "signbit"))  # these give bools
FOLDS = {"sum": "if", "prod": "if", "max": "bif", "min": "bif"}


class Malformed(Exception):
    """A graph, a kernel or a recipe that is not what its language says."""


def require_that(ok, what: str) -> None:
    if not ok:
        raise Malformed(what)


def name_of(dtype: np.dtype) -> str:
    """f32 for float32, and so on."""
    return NAMES[dtype.str[1:] if dtype.kind != "b" else "?"]


@dataclass(frozen=True)
class Access:
    """How an array is read or written: its dtype, how it goes along the vector loop ("splat", "unit" or "strided"; "turned":
    strided there, and unit along the loop around it, so that squares of it are read at once), and whether rows of it are
    taken by number."""

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


def check_operation(op: str, operands: list[str], result: str) -> None:
    """Raises Malformed unless the operation may have operands and a result of these dtypes (by name)."""
    require_that(op in OPERATIONS, f"there is no operation {op}")
    count, kinds = OPERATIONS[op]
    shown = f"{op} of {', '.join(operands)} gives {result}"
    require_that(len(operands) == count, f"{shown}: it has {count} operands")
    require_that(all(_kind(d) in kinds for d in operands), f"{shown}: operands of another kind")
    if op == "select":
        require_that(operands[0] == "bool" and operands[1:] == [result] * 2, shown)
    elif op != "cast":
        require_that(len(set(operands)) == 1, f"{shown}: operands of one dtype")
        require_that(result == ("bool" if op in TESTS else operands[0]), shown)


def _kind(d: str) -> str:
    return "b" if d == "bool" else "f" if d[0] == "f" else "i"


def verify(kernel: Kernel) -> Kernel:
    """The kernel, if it is well formed; else raises Malformed."""
    try:
        _verify(kernel)
    except Malformed as e:
        raise Malformed(f"{e}, in the kernel\n{kernel.text()}") from None
    return kernel


def _verify(k: Kernel) -> None:
    require_that(k.loops and set(k.loops) <= set("kr"), f"loops {k.loops!r}")
    known = set(NAMES.values())
    for a in k.accesses:
        require_that(a.dtype in known and a.inner in ("splat", "unit", "strided", "turned"), f"access {a}")
        require_that(
            a.inner != "turned" or (k.loops[1:] and "r" not in k.loops and not a.taken),
            f"access {a} in loops {k.loops}",
        )
    dtypes: list[str] = []
    for n, s in enumerate(k.body):
        require_that(s.dtype in known, f"%{n} is of dtype {s.dtype}")
        require_that(all(0 <= a < n for a in s.args), f"%{n} has operands that come later")
        operands = [dtypes[a] for a in s.args]
        if s.op in ("load", "take"):
            require_that(0 <= s.extra < len(k.accesses), f"%{n} reads access {s.extra}")
            access = k.accesses[s.extra]
            require_that(access.dtype == s.dtype, f"%{n} is a {s.dtype} of an access of {access.dtype}")
            require_that(access.taken == (s.op == "take"), f"%{n} is a {s.op} of {access}")
            require_that(operands == (["i64"] if s.op == "take" else []), f"%{n} has operands {operands}")
        elif s.op == "const":
            require_that(not operands and isinstance(s.extra, (bool, int, float)), f"%{n} is the number {s.extra!r}")
        else:
            check_operation(s.op, operands, s.dtype)
        dtypes.append(s.dtype)
    read = {s.extra for s in k.body if s.op in ("load", "take")}
    written = [a for _, a in k.stores] + [a for _, _, a in k.folds]
    require_that(len(set(written)) == len(written) and read.isdisjoint(written), "an access is written and used twice")
    for v, a in [*k.stores, *[(v, a) for _, v, a in k.folds]]:
        require_that(0 <= v < len(dtypes) and 0 <= a < len(k.accesses), f"a{a} = %{v}")
        access = k.accesses[a]
        require_that(access.dtype == dtypes[v] and not access.taken, f"a{a} = %{v}, of {dtypes[v]} into {access}")
    for v, a in k.stores:
        require_that(k.accesses[a].inner != "splat", f"a{a} = %{v} is a write of many elements to one place")
        require_that(k.accesses[a].inner != "turned", f"a{a} = %{v} is a write in squares")
    for op, v, a in k.folds:
        require_that(op in FOLDS and _kind(dtypes[v]) in FOLDS[op], f"a{a} {op}= %{v}")
        require_that("r" in k.loops, f"a{a} {op}= %{v}, and no loop is reduced")
        if k.loops[-1] == "k":
            require_that(k.accesses[a].inner != "splat", f"a{a} {op}= %{v} is a write of many elements to one place")
