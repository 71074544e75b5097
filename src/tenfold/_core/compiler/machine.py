"""A compiled program: memory and machine code for a Recipe, and how it is run.

What is kept between runs: the table of addresses, the rows, the numbers' block, and an arena that all programs of a
thread share. Results get memory of their own at every run, or that of what they replace (donate.py)."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends.cpu import convolution, entry, jit, matmul, threads
from ..backends.cpu.render import Render, Scan, Scatter, module
from ..errors import Fallback
from ..ir.graph import Graph
from ..ir.loops import Access, Kernel, Statement
from ..ir.special import flatten, strided
from . import split
from .build import Buffer, CallStep, ConvolutionStep, KernelStep, Place, ProductStep, ScanStep, ScatterStep, recipe
from .donate import donated
from .expand import Uncompilable

FREE_THREADS = 1 << 16  # elements of a program from which on other threads may run meanwhile
KINDS = {float: 0, int: 1, bool: 2}


class Arena:
    """Memory that the programs of a thread use, one at a time."""

    __slots__ = ("base", "memory")

    def __init__(self):
        self.memory = np.empty(0, np.uint8)
        self.base = 0

    def at_least(self, nbytes: int) -> int:
        """The address of memory of that size, which one program uses at a time."""
        if self.memory.size < nbytes + 64 or not self.base:
            self.memory = np.empty(nbytes + 64, np.uint8)
            self.base = -(-address(self.memory) // 64) * 64
        return self.base


class _Here(threading.local):
    def __init__(self):
        self.arena = Arena()


here = _Here()


def address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]


class Machine:
    """A program of a graph for those results, compiled. Raises compiler.expand.Uncompilable."""

    build = staticmethod(recipe)

    def __init__(self, graph: Graph, results, sizes=None, donors: dict[int, int] | None = None):
        self.results = tuple(results)
        self.lays = graph.lays
        self.entering = {p: graph.lays[i] for i, p in graph.inputs.items()}
        self.go: Any = entry.run()
        if self.go is None:
            raise Uncompilable("arrays lie in memory in another way than is known")
        self.sizes = sizes  # of inputs that are memory of any length
        self.recipe = r = self.build(graph, results, sizes)
        self.table = np.zeros(len(r.buffers), np.uint64)
        self.status = np.zeros(1, np.int64)
        self.scalars = np.zeros(max(r.slots, 1), np.uint64)
        self.base = 0
        self.within: Arena | None = None  # that of the thread that it belongs to
        self.kept: list = []
        self.shared = False  # whether a step of it is cut for several threads
        for slot, value in r.constants:
            if value is not None:
                self._set(slot, value)
        self.table[0] = address(self.status)
        self.table[1] = address(self.scalars)
        for b in r.buffers:
            if b.kind == "const":
                self._give(b.entry, b.source)
        self.inputs = [b for b in r.buffers if b.kind == "input"]
        leaving = {p.buffer.entry: p.buffer for p in r.results if p.buffer is not None}
        self.outputs = [b for b in leaving.values() if b.kind == "result"]  # in the order of the results
        self.nbytes = r.arena
        self.arena = [(b.entry, b.offset) for b in r.buffers if b.kind == "arena"]
        self.made = [(tuple(b.shape), b.dtype) for b in self.outputs]
        self.windows = [(*b.source, b) for b in r.checks]
        self.open = [(s.source, p, reach) for s, p, greatest, reach, _ in self.windows if greatest is None]
        self.output_of = {b.entry: k for k, b in enumerate(self.outputs)}
        self.parts = self._parts()
        self.take = [self._taker(i, p) for i, p in zip(self.results, r.results)]
        self._plan_results(donors or {})

    def _plan_results(self, donors: dict[int, int]) -> None:
        """Says how the arrays for results are made, and which results are no such array of their own."""
        pairs = [
            (self.outputs[k], donors[i]) for i, k in zip(self.results, self.take) if type(k) is int and i in donors
        ]
        self.given = donated(self.recipe, pairs, self.entering) if pairs else {}
        self.make: Any = entry.results()
        if self.make is not None:
            self.making = self._making()
        used = Counter([k for k in self.take if type(k) is int])
        self.odd = [n for n, k in enumerate(self.take) if type(k) is not int or used[k] > 1]
        self.plain = not self.odd and self.take == list(range(len(self.made)))

    def _making(self) -> int:
        """The words for entry.results."""
        rows: list[int] = []
        for (shape, dtype), b in zip(self.made, self.outputs):
            self.kept.append(dtype)
            rows += [self.given.get(b.entry, -1), id(dtype), len(shape), self._block(shape), math.prod(shape)]
        return self._block([len(self.made), self._block(rows), id(np.ndarray), entry.new_array()])

    def _set(self, slot: int, value) -> None:
        """A known number, in eight bytes."""
        self.scalars[slot : slot + 1].view(np.uint8)[: value.itemsize] = np.frombuffer(value.tobytes(), np.uint8)

    def _give(self, place: int, array) -> None:
        """A known array."""
        array = np.ascontiguousarray(array)
        self.kept.append(array)
        self.table[place] = address(array)

    # --- code ------------------------------------------------------------------------------------------------------

    def _parts(self) -> list:
        """Runs of native steps, as descriptions, and calls between them."""
        parts: list = []
        native: list = []
        first = True
        for s in [*self.recipe.steps, None]:
            if s is not None and not isinstance(s, CallStep):
                native.append(NATIVE[type(s)](s))
                continue
            if native or first:
                parts.append(self._description(native, first))
                native, first = [], False
            if s is not None:
                parts.append(s)
        return parts

    def _description(self, steps: list, first: bool) -> int:
        """The words of a run of steps: (function, row, elements that it handles, how it is split)."""
        words = self._words
        inputs: list[int] = []
        if first:
            for b in self.inputs:
                lay = self.entering[b.source]
                if lay.flat:
                    inputs += [b.source, b.entry, b.shape[0], 2 if b.source in self.recipe.exact else 0]
                else:
                    inputs += [b.source, b.entry, lay.extent, int(not lay.contig)]
        numbers: list[int] = []
        windows: list[int] = []
        if first:
            slots = [slot for slot, value in self.recipe.constants if value is None]
            for slot, (position, kind) in zip(slots, self.recipe.numbers):
                numbers += [position, slot, KINDS[kind]]
            for source, position, greatest, _, b in self.windows:
                windows += [b.entry, source.entry, position, b.dtype.itemsize, -1 if greatest is None else greatest]
        results = [b.entry for b in self.outputs] if first else []
        work = sum(s[2] for s in steps)
        run: list[int] = []
        for function, row, _, cut in steps:
            run += [function, words(row), 0 if cut is None else words(cut.words(row))]
        cuts = any(s[3] is not None for s in steps)
        self.shared |= cuts
        return words([
            address(self.table), len(inputs) // 4, words(inputs), len(numbers) // 3, words(numbers), address(self.scalars),
            len(results), words(results), len(windows) // 5, words(windows), len(steps), words(run),
            int(cuts) or self._is_long(work), id(np.ndarray), threads.pool.ready() if cuts else 0,
        ])  # fmt: skip

    def _words(self, values) -> int:
        return self._block(values)

    def _block(self, values) -> int:
        """The address of those words."""
        a = np.array(values if len(values) else [0], np.int64)
        self.kept.append(a)
        return address(a)

    def _is_long(self, work: int) -> int:
        return int(work > FREE_THREADS)

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self, inputs: list, scalars: list) -> dict:
        """The results, by number; inputs stay as they are. Raises Fallback."""
        copies = {position: np.array(inputs[position]) for position in self.given.values()}  # those that it may write
        inputs = [copies.get(position, value) for position, value in enumerate(inputs)]
        made = dict(zip(self.results, self.values(inputs, scalars)))
        if copies:  # memory that entered may have another shape
            made |= {i: made[i].reshape(self.made[k][0]) for i, k in zip(self.results, self.take) if type(k) is int}
        return made

    def values(self, inputs: list, scalars: list) -> list:
        """The results, in order. Raises Fallback before anything is changed."""
        if self.shared and threads.pool.missing:
            threads.pool.start()
        made = self._results(inputs, scalars)
        called: dict[int, np.ndarray] = {}
        go = self.go
        for part in self.parts:
            if type(part) is int:
                try:
                    status = go(part, inputs, scalars, made)
                    if status == 2:
                        inputs = self._side_by_side(inputs)
                        status = go(part, inputs, scalars, made)
                except OverflowError as e:  # a number that 64 bits do not hold
                    raise Fallback from e
                if status:
                    raise Fallback
            else:
                self._call(part, inputs, scalars, made, called)
        return made if self.plain else self._leaving(inputs, scalars, made, called)

    def _leaving(self, inputs: list, scalars: list, made: list[np.ndarray], called: dict) -> list:
        """The results, in order, after the last step."""
        return [made[k] if type(k) is int else k(inputs, scalars, made, called) for k in self.take]

    def _results(self, inputs: list, scalars: list) -> list[np.ndarray]:
        """Memory for the results; the arena has its place, and what begins at a place that is data fits."""
        for source, position, reach in self.open:
            start = _number(position, inputs, scalars)
            if start < 0 or start > inputs[source].size - reach:
                raise Fallback
        arena = self.within
        if arena is None:
            arena = self.within = here.arena
        base = arena.at_least(self.nbytes)
        if base != self.base:
            for e, offset in self.arena:
                self.table[e] = base + offset
            self.base = base
        if self.make is None:
            return [np.empty(shape, dtype) for shape, dtype in self.made]
        return self.make(self.making, inputs)

    def _side_by_side(self, inputs: list) -> list:
        """The inputs as memory in the order of their layouts: what a flush has kept may lie in another."""
        out = list(inputs)
        for b in self.inputs:
            out[b.source] = _memory(np.asarray(inputs[b.source]), self.entering[b.source])
        return out

    def _call(self, step: CallStep, inputs, scalars, made, called) -> None:
        operands = [self._array(p, inputs, scalars, made, called) for p in step.operands]
        with np.errstate(all="ignore"):
            values = step.call.run(*operands)
        if step.call.spec.tree is None:
            values = (values,)
        for k, b in step.results:
            v = np.asarray(values[k], order="C")
            if self.base <= address(v) < self.base + self.nbytes:
                v = v.copy()  # a view of an operand, whose place is used again
            called[b.entry] = v
            self.table[b.entry] = address(v)

    def _array(self, p: Place, inputs, scalars, made, called):
        """The array at a place, while the program runs."""
        if p.buffer is None:
            return p.number if p.position is None else _number(p.position, inputs, scalars)
        b: Buffer = p.buffer
        offset = p.offset
        if b.kind == "window":
            b, position, *_ = b.source
            offset += _number(position, inputs, scalars)
        if b.kind == "input":
            memory = inputs[b.source]
            if p.shape == (0,) and b.shape == (0,):
                return memory  # all of it, whatever its length
        elif b.kind == "result":
            memory = made[self.output_of[b.entry]]
        elif b.kind == "call":
            memory = called[b.entry]
            if p.shape == tuple(b.shape) and not offset and _whole(p):
                return memory  # also where its length was not known
        elif b.kind == "arena":
            start = self.base + b.offset - address(here.arena.memory)
            memory = here.arena.memory[start : start + b.nbytes].view(p.dtype)
        else:
            memory = self.scalars.view(np.uint8).view(p.dtype) if b.kind == "scalars" else np.asarray(b.source)
        if not offset and memory.shape == p.shape and memory.flags.c_contiguous and _whole(p):
            return memory
        return _view(memory, p, offset)

    def _taker(self, number: int, p: Place):
        """A function that gives the result at a place; the number of its array where it is all of one."""
        lay = self.lays[number]
        if p.buffer is None:
            form = (lambda v: v) if lay.number else (lambda v, d=p.dtype: np.array(v, d))
            if p.position is not None:
                return lambda inputs, scalars, made, called: form(_number(p.position, inputs, scalars))
            return lambda inputs, scalars, made, called, v=p.number: form(v)
        if lay.number:
            return lambda *now: self._array(p, *now).item()
        if p.buffer.kind == "input":
            position = p.buffer.source
            if lay.flat and self.entering[position].flat and not p.offset and p.shape == tuple(p.buffer.shape):
                return lambda inputs, scalars, made, called: _line(inputs[position])
            if p.offset == 0 and p.strides == tuple(lay.strides) and not lay.flat:
                own = self.entering[position]
                whole = own.shape == lay.shape and own.strides == lay.strides  # a transposed square has the shape alone

                def same(inputs, scalars, made, called):
                    value = inputs[position]
                    return value if whole and value.shape == lay.shape else strided(_memory(value, own), lay, 0)

                return same
        if p.buffer.kind == "result" and not p.offset and _whole(p) and tuple(p.buffer.shape) == p.shape:
            return self.output_of[p.buffer.entry]
        return lambda *now: self._array(p, *now)


def _memory(value: np.ndarray, lay) -> np.ndarray:
    """The memory of a value of that layout, as a line."""
    return flatten(value, lay) if lay.flat or value.shape == lay.shape else value.reshape(-1)


def _number(position: int, inputs: list, scalars: list):
    return scalars[position] if position >= 0 else inputs[-1 - position]


def _line(a: np.ndarray) -> np.ndarray:
    return a if a.ndim == 1 else a.reshape(-1)


def _whole(p: Place) -> bool:
    step = 1
    for n, s in zip(reversed(p.shape), reversed(p.strides)):
        if n != 1 and s != step:
            return False
        step *= n
    return True


def _view(memory: np.ndarray, p: Place, offset: int) -> np.ndarray:
    flat = memory.reshape(-1)
    if flat.dtype != p.dtype:
        flat = flat.view(p.dtype)
    size = flat.itemsize
    if 0 in p.shape:
        return np.empty(p.shape, p.dtype)
    return np.ndarray(p.shape, p.dtype, flat, offset * size, tuple(s * size for s in p.strides))


# --- steps to machine code: (function, row, elements that it handles, how it is split) -----------------------------------

_functions: dict = {}


def function(key, make) -> int:
    """The address of a function, which is compiled once in a process, and kept on disk."""
    found = _functions.get(key)
    if found is None:
        name = "k" + hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        found = _functions[key] = jit.functions(module([make(name)]), [name])[name]
    return found


def nest(s: KernelStep) -> tuple:
    return function(s.kernel, lambda name: Render(s.kernel, name)), s.row(), math.prod(s.sizes), split.kernel(s)


def scatter(s: ScatterStep) -> tuple:
    n, width = s.rows.shape
    places = [w for p in (s.target, s.rows, s.index) for w in (p.buffer.entry, p.offset, *p.strides)]
    row = [n, width, s.target.shape[0], *places]
    lines = width > 1 and s.target.strides[1] == s.rows.strides[1] == 1
    key = ("scatter", s.op, s.dtype, lines)
    return function(key, lambda name: Scatter(s.op, s.dtype, lines, name)), row, n * width, None


def scan(s: ScanStep) -> tuple:
    places = [(s.source, s.strides), (s.target, s.target_strides)]
    row = [*s.sizes, *[w for p, strides in places for w in (p.buffer.entry, p.offset, *strides)]]
    key = ("scan", s.op, s.dtype, len(s.sizes))
    return function(key, lambda name: Scan(s.op, s.dtype, len(s.sizes), name)), row, math.prod(s.sizes), None


def product(s: ProductStep) -> tuple:
    """A product of matrices; more than two batch dims that do not go on in memory are loops of a kernel instead."""
    batch, strides = _batches(s)
    work = math.prod(s.shape) * s.inner
    if len(batch) > 2:
        return _looped(s, batch, strides)
    pad = [1] * (2 - len(batch))
    m, n = s.shape[-2:]
    row = dict.fromkeys(matmul.ROW, 0)
    row |= {"bias": -1, "scratch": s.scratch[0].entry, "m": m, "n": n, "k": s.inner}
    row |= dict(zip(("batch1", "batch2"), [*pad, *batch]))
    for x, p, by in zip(matmul.OPERANDS, s.places, strides):
        row |= {x: p.buffer.entry, f"{x}_off": p.offset, f"{x}_row": p.strides[-2], f"{x}_col": p.strides[-1]}
        row |= dict(zip((f"{x}_batch1", f"{x}_batch2"), [0] * len(pad) + by))
    address = library(lambda: matmul.module(s.dtype), f"gemm_{s.dtype}")
    return address, [row[x] for x in matmul.ROW], work, split.product(s, row)


def convolve(s: ConvolutionStep) -> tuple:
    row = s.row()
    work = math.prod(s.y.shape) * math.prod(s.w.shape[1:])
    parts = ("conv_weight",) if s.kernel == "conv_weight" else ("conv", "conv_input")
    address = library(lambda: convolution.module(s.dtype, parts), f"{s.kernel}_{s.dtype}")
    return address, [row[x] for x in convolution.ROW], work, split.convolve(s, row)


def library(text: Callable[[], str], name: str) -> int:
    """The address of a function of one of the backend's own modules."""
    if name not in _functions:
        _functions[name] = jit.functions(text(), [name])[name]
    return _functions[name]


def _batches(s: ProductStep) -> tuple[list[int], list[list[int]]]:
    """The batch dims' sizes, and their strides in A, B and C; dims that go on in all three are one."""
    sizes = list(s.shape[:-2])
    strides = []
    for p in s.places:
        pad = len(sizes) - (len(p.shape) - 2)
        own = [0] * pad + [0 if n == 1 else t for n, t in zip(p.shape[:-2], p.strides[:-2])]
        strides.append(own)
    keep = [d for d, n in enumerate(sizes) if n != 1]
    sizes, strides = [sizes[d] for d in keep], [[t[d] for d in keep] for t in strides]
    for i in range(len(sizes) - 2, -1, -1):
        if all(t[i] == t[i + 1] * sizes[i + 1] for t in strides):
            sizes[i : i + 2] = [sizes[i] * sizes[i + 1]]
            for t in strides:
                del t[i]
    return sizes, strides


def _looped(s: ProductStep, batch: list[int], strides: list[list[int]]) -> tuple:
    """A product as loops over batches, rows, the inner dim, and columns."""
    a, b, c = s.places
    along = [
        (*strides[0], a.strides[-2], a.strides[-1], 0),
        (*strides[1], 0, b.strides[-2], b.strides[-1]),
        (*strides[2], c.strides[-2], 0, c.strides[-1] if s.shape[-1] != 1 else 1),
    ]
    inner = ["splat", "splat" if along[1][-1] == 0 else "unit" if along[1][-1] == 1 else "strided", "unit"]
    body = (
        Statement("load", (), s.dtype, 0), Statement("load", (), s.dtype, 1), Statement("mul", (0, 1), s.dtype),
    )  # fmt: skip
    kernel = Kernel("k" * (len(batch) + 1) + "rk", tuple(Access(s.dtype, i) for i in inner), body, (), (("sum", 2, 2),))
    placed = [(p.buffer, p.offset, t, 0, 0) for p, t in zip(s.places, along)]
    return nest(KernelStep(kernel, [*batch, s.shape[-2], s.inner, s.shape[-1]], placed))


NATIVE = {
    KernelStep: nest,
    ProductStep: product,
    ScatterStep: scatter,
    ScanStep: scan,
    ConvolutionStep: convolve,
}
