"""Programs whose sizes are put in afterwards.

A recipe is made once with unknown sizes (ir/sizes.py): kernels have no sizes in them, so only the words beside them,
the bytes of buffers and the shapes of results are expressions. `Unbound` is that program, `Bound` the same with sizes:
all expressions are computed together, and the words are written to their places. `differences` compares a bound
program with a fresh recipe for the same sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from ..ir.arrays import positions
from ..ir.graph import Graph
from ..ir.operation import freeze, spec_of
from ..ir.shapes import Layout, Size, layout
from ..ir.sizes import Dim, Formulas, Real, Sizes, is_unknown, known
from .build import Buffer, Builder, CallStep, Place, Recipe, arrange
from .expand import Call, Expansion, Uncompilable
from .machine import FREE_THREADS, NATIVE, Machine, _whole, address
from .symbolic import Counts, counting

CREW = 1  # thread: how a step is cut depends on its sizes
ROOM = 4  # an arena that has become too small grows by a part of what is needed


class UnknownExpansion(Expansion):
    """The arrays of a graph with unknown sizes."""

    def __init__(self, graph: Graph, results, sizes=None):
        for n in [n for lay in graph.lays if lay is not None for n in lay.shape if type(n) is Dim][:1]:
            n.sizes.counting = lambda n, dtype: counting(self.arrays, (n,), 0, dtype)
        super().__init__(graph, results, sizes)


class UnknownBuilder(Builder):
    """The builder of a recipe with unknown sizes."""

    expand = UnknownExpansion

    @staticmethod
    def computed(function, *sizes):
        unknown = next((n.sizes for n in sizes if type(n) is Dim), None)
        return function(*sizes) if unknown is None else unknown.late(function, *sizes)

    def array(self, node):
        return (node.extra, node.dtype) if is_unknown(node.extra) else super().array(node)

    def _lay_out(self) -> None:
        """When sizes are known."""


class _At:
    """Stands for a size: its place among the results of the formulas."""

    __slots__ = ("k",)

    def __init__(self, k: int):
        self.k = k


class _Pointer:
    """Stands for the address of a word of the block."""

    __slots__ = ("word",)

    def __init__(self, word: int):
        self.word = word


class Unbound(Machine):
    """A program of a graph with unknown sizes. Raises Uncompilable."""

    def __init__(self, graph: Graph, results, lengths: dict[int, Any], unknown: Sizes):
        self.formulas = Formulas(unknown)
        self.block: list = []  # all words
        self.heads: list[int] = []  # words at which descriptions begin
        self.rows: list[tuple[int, list]] = []  # of native steps: function, row
        self.unset: list[tuple[int, Any, np.dtype]] = []  # known numbers that depend on sizes: slot, value, dtype
        self.counts: list[tuple[int, Counts]] = []  # buffers that hold 0, 1, 2 …, by entry
        super().__init__(graph, results, lengths)
        note = self.note
        self.rows = note(self.rows)
        self.lengths = {p: note(n) for p, n in lengths.items()}
        self.unset, self.counts = note(self.unset), note(self.counts)
        self.shapes = [(k, note(shape)) for k, (shape, _) in enumerate(self.made) if not known(shape)]
        self.reaches = note([(source, position, reach) for source, position, reach in self.open])
        self.layouts = {i: note(self.lays[i]) for i in self.results}
        self.enter = {p: note(lay) for p, lay in self.entering.items()}
        self.parts = [p if type(p) is _Pointer else note(p) for p in self.parts]
        stored = [b for b in self.recipe.buffers if b.kind == "arena"]
        self.stored = [(b.entry, b.first, b.last) for b in stored]
        self.bytes_of = [note(b.nbytes) for b in self.recipe.buffers]
        self.places = note(self.recipe.results)
        self.checks = note(_windows(self.recipe))
        self.entries = note(_entries(self.recipe))
        self.longest: dict[np.dtype, np.ndarray] = {}
        self.needed = _Words([note(b.nbytes) for b in stored])  # bytes of the buffers in the arena
        self.room = np.zeros(len(stored), np.int64)  # how large they may be
        self.layed: tuple[list, int] = ([], 0)
        self._close()

    def build(self, graph: Graph, results, sizes=None) -> Recipe:
        return UnknownBuilder(graph, results, sizes, CREW).recipe

    def _set(self, slot: int, value) -> None:
        if type(value) is tuple:
            self.unset.append((slot, *value))
        else:
            super()._set(slot, value)

    def _give(self, place: int, array) -> None:
        if type(array) is Counts:
            self.counts.append((place, array))
        else:
            super()._give(place, array)

    def _words(self, values) -> Any:
        start = len(self.block)
        self.block += values or [0]
        return _Pointer(start)

    def _plan_results(self, donors: dict[int, int]) -> None:
        """When sizes are known."""

    def _is_long(self, work) -> Any:
        return UnknownBuilder.computed(lambda n: int(n > FREE_THREADS), work)

    def _description(self, steps: list, first: bool) -> Any:
        self.rows += [(s[0], s[1]) for s in steps]
        start = super()._description([(*s[:3], None) for s in steps], first)
        self.heads.append(start.word)
        return start

    def _taker(self, number: int, p: Place) -> Any:
        """A function that gives the result, whatever its sizes; else the place, to be looked at when sizes are known."""
        b = p.buffer
        if b is not None and b.kind == "result" and not p.offset and _whole(p) and tuple(b.shape) == p.shape:
            return super()._taker(number, p)
        return self.note(p)

    def note(self, x) -> Any:
        """x with _At in place of the sizes in it, which are computed from now on."""
        kind = type(x)
        if kind is Dim:
            return _At(self.formulas.of(x))
        if kind is Real:
            return Real(x.function, tuple([self.note(a) for a in x.args]), x.value)
        if kind is tuple or kind is list or kind is Size:
            made = [self.note(y) for y in x]
            return made if kind is list else tuple.__new__(kind, made)
        if kind is Layout:
            shape, strides = self.note(x.shape), self.note(x.strides)
            known = not any(type(n) is _At for n in (*shape, *strides))
            return x if known else _Layout(shape, None if x.plain else strides, x.dtype, x.device)
        if kind in (Place, Buffer, CallStep):
            made = object.__new__(kind)
            for f in fields(kind):
                setattr(made, f.name, self.note(getattr(x, f.name)))
            return made
        if kind is Counts:
            return Counts(self.note(x.shape), self.note(x.strides), x.dtype)
        if kind is Call:
            spec = x.spec
            return _Call(spec.op, self.note(spec.lays), self.note(spec.static), x.number)
        return x

    def _close(self) -> None:
        block = [self.note(x) for x in self.block]
        f = self.formulas
        self.reals = [(function, self.note(a), self.note(b), yes) for function, a, b, yes in f.sizes.reals]
        f.close()
        if any(type(x) not in (int, _At, _Pointer) for x in block):
            raise Uncompilable("a word that is no int")
        self.words = _Words(block)
        to = [(n, x.word) for n, x in enumerate(block) if type(x) is _Pointer]
        self.pointer_places, self.pointer_words = np.array(to, np.int64).reshape(-1, 2).T
        self.block = []

    # --- sizes ------------------------------------------------------------------------------------------------------

    def values(self, sizes: Sequence[int]) -> Values | None:
        """All expressions for those sizes; None where they do not keep the guards."""
        found = self.formulas(sizes)
        if found is None:
            return None
        v = Values(found)
        return v if all(function(v(a), v(b)) == yes for function, a, b, yes in self.reals) else None

    def arranged(self, v: Values) -> tuple[list[tuple[int, int]], int]:
        """Places in the arena, and its bytes: those of the largest sizes until now, while they are large enough."""
        nbytes = self.needed.at(v)
        if (nbytes > self.room).any():
            more = nbytes // ROOM if self.room.any() else 0
            self.room = np.maximum(nbytes + more, self.room)
            places, arena = arrange([(a, b, n) for (_, a, b), n in zip(self.stored, self.room.tolist())])
            self.layed = [(e, at) for (e, _, _), at in zip(self.stored, places)], arena
        return self.layed

    def counting(self, n: int, dtype: np.dtype) -> np.ndarray:
        """0, 1, 2 …, at least so many."""
        found = self.longest.get(dtype)
        if found is None or found.size < n:
            found = self.longest[dtype] = np.arange(n + n // ROOM, dtype=dtype)
        return found


class _Words:
    """Numbers, some of them sizes."""

    __slots__ = ("fixed", "places", "sizes")

    def __init__(self, words: list):
        at = [(n, x.k) for n, x in enumerate(words) if type(x) is _At]
        self.fixed = np.array([x if type(x) is int else 0 for x in words], np.int64)
        self.places, self.sizes = np.array(at, np.int64).reshape(-1, 2).T

    def at(self, v: Values) -> np.ndarray:
        words = self.fixed.copy()
        words[self.places] = v.array[self.sizes]
        return words


class _Layout:
    """A layout with sizes that are not known yet."""

    __slots__ = ("parts",)

    def __init__(self, *parts):
        self.parts = parts


class _Call:
    """A step that stays a call, with such layouts."""

    __slots__ = ("parts",)

    def __init__(self, *parts):
        self.parts = parts


class Values:
    """Puts sizes in."""

    __slots__ = ("found", "array", "buffers")

    def __init__(self, array: np.ndarray):
        self.array = array
        self.found = array.tolist()
        self.buffers: dict[int, Buffer] = {}

    def __call__(self, x) -> Any:
        kind = type(x)
        if kind is int:
            return x
        if kind is _At:
            return self.found[x.k]
        if kind is tuple or kind is Size:
            return tuple.__new__(kind, [self(y) for y in x])
        if kind is list:
            return [self(y) for y in x]
        if kind is Real:
            return x.function(*[self(a) for a in x.args])
        if kind is _Layout:
            shape, strides, dtype, device = x.parts
            return layout(Size(self(shape)), None if strides is None else self(strides), dtype, device)
        if kind is Counts:
            return positions(self(x.shape), self(x.strides)).astype(x.dtype)
        if kind is _Call:
            op, lays, static, number = x.parts
            static = self(static)
            return Call(spec_of(op, self(lays), static, freeze(static)), number)
        if kind is Buffer:
            made = self.buffers.get(x.entry)
            if made is None:
                made = self.buffers[x.entry] = replace(
                    x, nbytes=self(x.nbytes), shape=self(x.shape), source=self(x.source)
                )
            return made
        if kind is Place:
            return replace(
                x, buffer=self(x.buffer), offset=self(x.offset), strides=self(x.strides), shape=self(x.shape),
                number=self(x.number),
            )  # fmt: skip
        if kind is CallStep:
            return CallStep(self(x.call), self(x.operands), self(x.results))
        return x


class Bound(Machine):
    """A program with its sizes put in."""

    def __init__(self, unbound: Unbound, v: Values):
        self.unbound, self.v = unbound, v
        self.results, self.go, self.shared, self.base = unbound.results, unbound.go, False, 0
        self.within = None
        self.status = np.zeros(1, np.int64)
        self.table, self.scalars = unbound.table.copy(), unbound.scalars.copy()
        self.table[0], self.table[1] = address(self.status), address(self.scalars)
        self.kept = [unbound.kept]
        for slot, value, dtype in unbound.unset:
            self._set(slot, np.array(v(value), dtype))
        for place, c in unbound.counts:
            self._give(place, unbound.counting(v(c.shape[0]), c.dtype) if c.strides == (1,) else v(c))
        self.words = words = unbound.words.at(v)
        begin = address(words)
        words[unbound.pointer_places] = unbound.pointer_words * 8 + begin
        for head in unbound.heads:
            words[head], words[head + 5] = address(self.table), address(self.scalars)
        self.arena, self.nbytes = unbound.arranged(v)
        self.inputs, self.outputs, self.output_of = unbound.inputs, unbound.outputs, unbound.output_of
        self.made = unbound.made.copy()
        for k, shape in unbound.shapes:
            self.made[k] = v(shape), self.made[k][1]
        self.open = v(unbound.reaches)
        self.lays = _Late(unbound.layouts, v)
        self.entering = _Late(unbound.enter, v)
        self.parts = [begin + p.word * 8 if type(p) is _Pointer else v(p) for p in unbound.parts]
        for e, offset in self.arena:
            if e in v.buffers:  # that a call reads
                v.buffers[e].offset = offset
        self.take = [
            Machine._taker(self, i, v(t)) if isinstance(t, Place) else t for i, t in zip(self.results, unbound.take)
        ]  # fmt: skip
        self._plan_results({})

    @property
    def sizes(self) -> dict[int, int]:
        return {p: self.v(n) for p, n in self.unbound.lengths.items()}


class _Late(dict):
    """Layouts by number, with sizes put in when they are asked for."""

    def __init__(self, layouts: dict, v: Values):
        self.layouts, self.v = layouts, v

    def __missing__(self, i):
        found = self[i] = self.v(self.layouts[i])
        return found


# --- the verifier -----------------------------------------------------------------------------------------------


def differences(unbound: Unbound, sizes: Sequence[int], fresh: Recipe) -> str | None:
    """How the program differs, for those sizes, from a recipe that was made for them; None where it does not."""
    v = unbound.values(sizes)
    if v is None:
        return "the sizes do not keep the guards"
    r = unbound.recipe
    rows = [NATIVE[type(s)](s) for s in fresh.steps if not isinstance(s, CallStep)]
    pairs: list[tuple[str, Any, Any]] = [
        ("steps", [type(s) for s in r.steps], [type(s) for s in fresh.steps]),
        ("kernels", [f for f, _ in unbound.rows], [row[0] for row in rows]),
        ("rows", v([row for _, row in unbound.rows]), [list(row[1]) for row in rows]),
        ("buffers", [(b.kind, v(n)) for b, n in zip(r.buffers, unbound.bytes_of)], [(b.kind, b.nbytes) for b in fresh.buffers]),
        ("lifetimes", [(b.first, b.last) for b in r.buffers], [(b.first, b.last) for b in fresh.buffers]),
        ("numbers", (r.numbers, r.slots, r.exact), (fresh.numbers, fresh.slots, fresh.exact)),
        ("results", [_text(v(p)) for p in unbound.places], [_text(p) for p in fresh.results]),
        ("windows", v(unbound.checks), _windows(fresh)),
        ("inputs", v(unbound.entries), _entries(fresh)),
        ("calls", [_call(v(p)) for p in unbound.parts if type(p) is CallStep], [_call(s) for s in fresh.steps if type(s) is CallStep]),
    ]  # fmt: skip
    bound = Bound(unbound, v)
    for name, ours, theirs in pairs:
        if ours != theirs:
            return f"{name}: {ours} instead of {theirs}"
    counted = dict(unbound.counts)
    for b, c in zip(r.buffers, fresh.buffers):
        if b.kind == "const":
            ours = v(counted[b.entry]) if b.entry in counted else np.asarray(b.source)
            if ours.dtype != c.dtype or ours.tobytes() != np.asarray(c.source).tobytes():
                return f"a known array: {ours} instead of {c.source}"
    for slot, value in fresh.constants:
        if value is not None:
            ours = bound.scalars[slot : slot + 1].view(np.uint8)[: value.itemsize].tobytes()
            if ours != value.tobytes():
                return f"a known number in slot {slot}, which should be {value}"
    return None


def _windows(r: Recipe) -> list[tuple]:
    return [(b.entry, b.source[0].entry, *b.source[1:]) for b in r.checks]  # type: ignore[index]


def _entries(r: Recipe) -> list[tuple]:
    return [(b.entry, b.source, tuple(b.shape), b.dtype) for b in r.buffers if b.kind == "input"]


def _call(s: CallStep) -> tuple:
    spec = s.call.spec
    return spec.op, spec.lays, freeze(spec.static), [_text(p) for p in s.operands], [(k, b.entry) for k, b in s.results]


def _text(p: Place) -> str:
    place = None if p.buffer is None else p.buffer.entry
    return f"{place} {p.offset} {p.strides} {p.shape} {p.dtype} {p.number!r} {p.position}"
