"""Groups become steps: kernels with their rows, products of matrices, calls; and every array that is kept gets a buffer.

A Recipe says all that the backend needs: steps in order, buffers with their sizes and places, what enters and what leaves.
It holds no memory and no machine code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from .. import config
from ..backends.cpu import convolution, threads
from ..backends.cpu.matmul import scratch_bytes
from ..ir.arrays import Node, contiguous
from ..ir.arrays import verify as verify_arrays
from ..ir.graph import Graph
from ..ir.loops import Access, Kernel, Statement, name_of
from ..ir.sizes import is_unknown
from . import split
from .begin import begin_products
from .expand import Call, Expansion, Uncompilable
from .group import Group, base_of, fuses, group, is_read, is_source
from .parts import in_parts

INLINE = frozenset(
    (0, 1, 2, 3, 4, 8, -1, -2, 0.5, -0.5, 0.25, 10)
)  # known numbers that kernels contain; the others are data
ALIGNMENT = 64
SQUARE = 6  # elements along both loops from which reading in squares pays


@dataclass
class Buffer:
    """Memory of a program. `entry`: its place in the table.

    kind   "input" (a position), "window" (another buffer from an offset that is data: the buffer, the number's position,
           the greatest number, how far it reaches), "scalars", "arena", "result", "const", "call" (made by a call)"""

    kind: str
    entry: int
    nbytes: int = 0
    source: object = None
    shape: tuple = ()
    dtype: object = None
    offset: int = 0  # in the arena
    first: int = -1  # the steps between which it is needed
    last: int = -1


@dataclass
class KernelStep:
    """A kernel on buffers."""

    kernel: Kernel
    sizes: list[int]
    placed: list[tuple]  # for each access: buffer, offset, strides, rows' stride, rows

    def buffers(self):
        return [p[0] for p in self.placed]

    def row(self) -> list[int]:
        return self.kernel.row(self.sizes, [(b.entry, *rest) for b, *rest in self.placed])


@dataclass
class CallStep:
    """A call of the interpreter's function: where its operands lie, and the buffers of its results."""

    call: Call
    operands: list
    results: list[tuple[int, Buffer]]

    def buffers(self):
        return [o.buffer for o in self.operands if o.buffer is not None] + [b for _, b in self.results]


@dataclass
class ProductStep:
    """C = A B, or start + A B, batched: see backends/cpu/matmul.py for the row."""

    dtype: str
    places: list  # of A, B, C, and of the start, if there is one, which has the shape of C
    shape: tuple  # batch..., M, N
    inner: int
    scratch: list[Buffer]  # for each thread, in consecutive entries of the table

    def buffers(self):
        return [*[p.buffer for p in self.places], *self.scratch]


@dataclass
class ConvolutionStep:
    """A convolution or its gradient by input or weight: see backends/cpu/convolution.py for the row."""

    kernel: str  # "conv", "conv_input" or "conv_weight"
    dtype: str
    x: Place
    w: Place
    y: Place
    geometry: tuple  # stride, padding, dilation, groups
    scratch: list[Buffer]

    def buffers(self):
        return [self.x.buffer, self.w.buffer, self.y.buffer, *self.scratch]

    def row(self) -> dict[str, int]:
        """The entries of the row, by name."""
        stride, padding, dilation, groups = self.geometry
        x, w, y = self.x, self.w, self.y
        row = {
            "x": x.buffer.entry,
            "w": w.buffer.entry,
            "y": y.buffer.entry,
            "bias": -1,
            "scratch": self.scratch[0].entry,
        }
        row |= {"x_off": x.offset, "w_off": w.offset, "y_off": y.offset, "bias_off": 0, "bias_step": 0}
        row |= {"batch": x.shape[0], "groups": groups, "channels": w.shape[1], "features": w.shape[0] // groups}
        for d, dim in enumerate(("row", "col")):
            row |= {f"in_{dim}s": x.shape[2 + d], f"out_{dim}s": y.shape[2 + d], f"kernel_{dim}s": w.shape[2 + d]}
            row |= {f"stride_{dim}": stride[d], f"pad_{dim}": padding[d][0], f"dilation_{dim}": dilation[d]}
        for name, p, first in (("x", x, "batch"), ("y", y, "batch"), ("w", w, "feature")):
            row |= dict(zip([f"{name}_{dim}" for dim in (first, "channel", "row", "col")], p.strides))
        return row


@dataclass
class ScatterStep:
    """Rows put into memory where numbers say; the numbers have been checked."""

    op: str
    dtype: str
    target: Place  # its rows, which may overlap
    rows: Place
    index: Place

    def buffers(self):
        return [self.target.buffer, self.rows.buffer, self.index.buffer]


@dataclass
class ScanStep:
    """A running reduction along the last of the sizes."""

    op: str
    dtype: str
    sizes: list[int]
    source: Place
    strides: list[int]
    target: Place
    target_strides: list[int]

    def buffers(self):
        return [self.source.buffer, self.target.buffer]


@dataclass
class Place:
    """Where an array lies: a buffer, an offset and strides in elements; or a known number, or one that is data."""

    buffer: Buffer | None
    offset: int
    strides: tuple
    shape: tuple
    dtype: np.dtype
    number: object = None  # a constant
    position: int | None = (
        None  # of a number among the walk's scalars; below 0, of one among its inputs (-1 - position)
    )


@dataclass
class Recipe:
    """A program before it has memory and code."""

    steps: list = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    numbers: list[tuple[int, type]] = field(
        default_factory=list
    )  # scalars: their positions among the walk's, and kinds
    constants: list[tuple[int, np.ndarray]] = field(
        default_factory=list
    )  # known numbers among the scalars: slot, value
    slots: int = 0
    results: list[Place] = field(default_factory=list)
    arena: int = 0
    groups: list[Group] = field(default_factory=list)
    checks: list = field(default_factory=list)  # windows
    exact: set[int] = field(default_factory=set)  # positions of inputs whose length the program takes for granted


class Builder:
    expand: type[Expansion] = Expansion

    def __init__(self, graph: Graph, results, sizes=None, crew: int | None = None):
        self.crew = threads.MOST if crew is None else crew  # threads that may share a step
        self.expansion = self.expand(graph, results, sizes)
        self.recipe = Recipe()
        self.buffer_of: dict[int, Buffer] = {}  # node -> its memory
        self.slot_of: dict = {}
        self.windows: dict = {}
        self.recipe.buffers.append(Buffer("status", 0))
        self.scalars = self._buffer("scalars")
        wanted = [self._kept(self.expansion.values[r]) for r in results]
        begin_products(self.expansion.arrays, self._needed(wanted), wanted)
        nodes = self._needed(wanted)
        self.recipe.exact = {
            a.extra[0]
            for n in nodes
            if n.kind != "window"
            for a in n.args
            if a.kind == "input" and a.extra[1] and a.size
        }
        effects = [n for n in nodes if n.kind == "call" and n.extra[0].spec.effect]
        self.kept = self._materialised(nodes, wanted)
        self.recipe.groups = group(nodes, effects)
        self.home = {n.id: g for g in self.recipe.groups for n in g.members}
        self._mark(nodes, wanted)
        self.readers = self._readers(nodes)
        self.wanted = {base_of(n).id for n in wanted}
        self.done: set[int] = set()  # nodes whose groups have run
        for g in self.recipe.groups:
            self._emit(g)
            self.done.update(n.id for n in g.members)
        for place, greatest in self.expansion.arrays.places.values():
            self.window(self.scalars, place, place.dtype, greatest, 0)
        self.recipe.results = [self.place(n) for n in wanted]
        self._lifetimes()
        self._lay_out()

    @staticmethod
    def computed(function: Callable[..., int], *sizes) -> int:
        """What a function of sizes gives (compiler/rebind.py has sizes that are not known yet)."""
        return function(*sizes)

    def array(self, node: Node):
        """A known number as an array of its dtype."""
        return np.array(node.extra, node.dtype)

    # --- what is needed --------------------------------------------------------------------------------------------

    def _kept(self, node: Node) -> Node:
        """A result in memory of its own: constants and windows are copied."""
        base = base_of(node)
        if base.kind == "const" and (node is not base or node.shape) or node.kind == "window":
            return self.expansion.arrays.make("map", "copy", (node,), node.shape, node.dtype)
        return node

    def _needed(self, wanted: list[Node]) -> list[Node]:
        needed = {n.id for n in wanted} | {n.id for n in self.expansion.arrays.required}
        for c in self.expansion.calls:
            if c.spec.effect:
                needed.update(o.id for o in c.outs)
        out = []
        for n in reversed(self.expansion.arrays.nodes):
            if n.id in needed:
                out.append(n)
                needed.update(a.id for a in n.args)
        out.reverse()
        return out

    def _materialised(self, nodes, wanted) -> set[int]:
        return {base_of(n).id for n in wanted}

    def _mark(self, nodes: list[Node], wanted: list[Node]) -> None:
        """Members of groups that others read are stored."""
        for n in nodes:
            if is_read(n) or is_source(n):
                continue
            own = self.home[n.id]
            for a in n.args:
                base = base_of(a)
                if is_source(base):
                    continue
                inside = self.home[base.id] is own and fuses(a, n)
                if not inside:
                    self.kept.add(base.id)

    def _readers(self, nodes: list[Node]) -> dict[int, set[int]]:
        """The nodes that read each node's memory."""
        readers: dict[int, set[int]] = {}
        for n in nodes:
            if not is_read(n):
                for a in n.args:
                    readers.setdefault(base_of(a).id, set()).add(n.id)
        return readers

    # --- buffers and places ----------------------------------------------------------------------------------------

    def _buffer(self, kind: str, **more) -> Buffer:
        b = Buffer(kind, len(self.recipe.buffers), **more)
        self.recipe.buffers.append(b)
        return b

    def memory(self, node: Node) -> Buffer:
        """The buffer of a node that is stored, or comes from outside."""
        b = self.buffer_of.get(node.id)
        if b is None:
            kind = node.kind if node.kind in ("input", "const", "call") else "arena"
            b = self._buffer(kind, nbytes=node.size * node.dtype.itemsize, shape=node.shape, dtype=node.dtype)
            if node.kind == "input":
                b.source = node.extra[0]
            elif node.kind == "const":
                b.source = node.extra
            self.buffer_of[node.id] = b
        return b

    def window(self, memory: Buffer, place: Node, dtype, greatest, reach) -> Buffer:
        """A buffer from an offset that is data."""
        source = (memory, place.extra, greatest, reach)
        key = (memory.entry, place.extra, dtype)
        b = self.windows.get(key)
        if b is None:
            b = self.windows[key] = self._buffer("window", source=source, shape=memory.shape, dtype=dtype)
            self.recipe.checks.append(b)
        else:
            known = [g for g in (greatest, b.source[2]) if g is not None]
            b.source = (memory, place.extra, min(known, default=None), max(reach, b.source[3]))
        return b

    def place(self, node: Node) -> Place:
        if node.kind == "number":
            self.slot(node)
            return Place(None, 0, (), (), node.dtype, None, node.extra)
        if node.kind == "const" and not node.shape:
            return Place(None, 0, (), (), node.dtype, node.extra)
        if node.kind == "view":
            base = node.args[0]
            strides, offset = node.extra
            if base.kind == "number" or base.kind == "const" and not base.shape:
                slot = self.slot(base)
                at = slot * 8 // base.dtype.itemsize
                return Place(self.scalars, at, (0,) * len(node.shape), node.shape, node.dtype)
            return Place(self.memory(base), offset, strides, node.shape, node.dtype)
        if node.kind == "window":
            strides, start, greatest, reach = node.extra
            b = self.window(self.memory(node.args[0]), node.args[1], node.dtype, greatest, reach)
            return Place(b, start, strides, node.shape, node.dtype)
        return Place(self.memory(node), 0, contiguous(node.shape), node.shape, node.dtype)

    def slot(self, node: Node) -> int:
        """The place of a number among the scalars, eight bytes each."""
        key = (node.kind, node.dtype, repr(node.extra))
        found = self.slot_of.get(key)
        if found is None:
            found = self.slot_of[key] = self.recipe.slots
            self.recipe.slots += 1
            if node.kind == "number":
                self.recipe.numbers.append((node.extra, node.weak))
                self.recipe.constants.append((found, None))
            else:
                self.recipe.constants.append((found, self.array(node)))
        return found

    # --- steps ---------------------------------------------------------------------------------------------------------

    def _emit(self, g: Group) -> None:
        kind = g.members[0].kind
        if kind == "matmul":
            self._product(g.members[0])
        elif kind == "call":
            self._call(g)
        elif kind == "put":
            self._put(g.members[0])
        elif kind == "conv":
            self._convolution(g.members[0])
        elif kind == "scatter":
            self._scatter(g.members[0])
        elif kind == "scan":
            self._scan(g.members[0])
        else:
            self._loops(g)

    def _call(self, g: Group) -> None:
        call = g.members[0].extra[0]
        operands = [self.place(a) for a in g.members[0].args]
        results = [(n.extra[1], self.memory(n)) for n in sorted(g.members, key=lambda n: n.extra[1])]
        for n in g.members:
            self.memory(n).dtype = n.dtype
        self.recipe.steps.append(CallStep(call, operands, results))

    def _product(self, node: Node) -> None:
        a, b, *start = [self.place(x) for x in node.args]
        c = self.place(node)
        d, inner = name_of(node.dtype), node.args[0].shape[-1]
        start = [Place(p.buffer, p.offset, spread(p.shape, p.strides, c.shape), c.shape, p.dtype) for p in start]
        step = ProductStep(d, [a, b, c, *start], node.shape, inner, [])
        nbytes = self.computed(partial(scratch_bytes, d), *node.shape[-2:], inner)
        self._scratch(step.scratch, nbytes, split.product_work(step))
        self.recipe.steps.append(step)

    def _convolution(self, node: Node) -> None:
        a, b, made = self.place(node.args[0]), self.place(node.args[1]), self.place(node)
        x, w, y = {"conv": (a, b, made), "conv_input": (made, b, a), "conv_weight": (b, made, a)}[node.op]
        d = name_of(node.dtype)
        step = ConvolutionStep(node.op, d, x, w, y, node.extra, [])
        buffers = self._scratch(step.scratch, 0, split.convolution_work(step))
        row = step.row()
        nbytes = self.computed(lambda *values: convolution.scratch_bytes(d, dict(zip(row, values))), *row.values())
        for b in buffers:
            b.nbytes = nbytes
        self.recipe.steps.append(step)

    def _scratch(self, buffers: list[Buffer], nbytes: int, work: float) -> list[Buffer]:
        """Adds memory for each thread that may take part."""
        for _ in range(self.crew if split.is_cut(work) else 1):
            buffers.append(self._buffer("arena", nbytes=nbytes))
        return buffers

    def _put(self, node: Node) -> None:
        """A part of the base is written over: of a copy of it, unless nobody else needs it."""
        base, value, *place = node.args
        strides, start, greatest, reach = node.extra
        memory = self._onto(node, base)
        d = name_of(node.dtype)
        if place:
            memory = self.window(memory, place[0], node.dtype, greatest, reach)
        self._copy(value, value.shape, memory, start, strides, d)

    def _onto(self, node: Node, base: Node) -> Buffer:
        """Memory of a node that holds its base: the base's own, if nobody else needs that any more."""
        root = base_of(base)
        own = self.buffer_of.get(root.id)
        others = [base_of(a).id for a in node.args].count(root.id) > 1 or self.readers[root.id] - self.done - {node.id}
        if own is not None and own.kind == "arena" and root.id not in self.wanted and not others:
            if base is root or base.kind == "view" and _same_memory(base):
                self.buffer_of[node.id] = own
                return own
        memory = self.memory(node)
        if root.kind != "empty":
            self._copy(base, base.shape, memory, 0, contiguous(base.shape), name_of(node.dtype))
        return memory

    def _scatter(self, node: Node) -> None:
        """The base, into which rows are put one after the other."""
        base, rows, index = node.args
        memory = self._onto(node, base)
        step, width = node.extra, rows.shape[1]
        count = (node.size - width) // step + 1 if node.size >= width else 0
        target = Place(memory, 0, (step, 1), (count, width), node.dtype)
        self.recipe.steps.append(ScatterStep(node.op, name_of(node.dtype), target, self.place(rows), self.place(index)))

    def _scan(self, node: Node) -> None:
        axis = node.extra
        x = self.place(node.args[0])
        sizes = [*node.shape[:axis], *node.shape[axis + 1 :], node.shape[axis]]
        order = [d for d in range(len(node.shape)) if d != axis] + [axis]
        own = contiguous(node.shape)
        strides = [[x.strides[d] for d in order], [own[d] for d in order]]
        i = len(sizes) - 3
        while i >= 0:  # neighbours that go on in both are one loop
            if all(s[i] == s[i + 1] * sizes[i + 1] for s in strides):
                sizes[i : i + 2] = [sizes[i] * sizes[i + 1]]
                for s in strides:
                    del s[i]
            i -= 1
        self.recipe.steps.append(
            ScanStep(node.op, name_of(node.dtype), sizes, x, strides[0], self.place(node), strides[1])
        )

    def _copy(self, x: Node, shape, memory: Buffer, offset: int, strides, d: str) -> None:
        loops = Nest(self, tuple(shape), None)
        v = loops.value(x)
        loops.store(v, Place(memory, offset, tuple(strides), tuple(shape), x.dtype))
        self.recipe.steps.append(loops.step())

    def _loops(self, g: Group) -> None:
        nest = Nest(self, g.domain, g.axes)
        for n in g.members:
            nest.member(n)
        for n in g.members:
            if n.id in self.kept or n.kind == "reduce":
                nest.keep(n)
        self.recipe.steps += in_parts(nest.step(), self)

    # --- memory ----------------------------------------------------------------------------------------------------------

    def _lifetimes(self) -> None:
        """The steps between which each buffer is needed; what is a result is told from what lies in the arena."""
        for n, step in enumerate(self.recipe.steps):
            for b in step.buffers():
                if b.kind == "window":
                    b = b.source[0]
                b.first = n if b.first < 0 else b.first
                b.last = n
        for p in self.recipe.results:
            if p.buffer is not None and p.buffer.kind == "arena":
                p.buffer.kind = "result"

    def _lay_out(self) -> None:
        buffers = [b for b in self.recipe.buffers if b.kind == "arena"]
        places, self.recipe.arena = arrange([(b.first, b.last, b.nbytes) for b in buffers])
        for b, at in zip(buffers, places):
            b.offset = at


def arrange(buffers: list[tuple[int, int, int]]) -> tuple[list[int], int]:
    """Places in the arena for buffers (first step, last step, bytes): the first place that is free for as long as a buffer
    is needed; and how many bytes the arena has."""
    places = [0] * len(buffers)
    taken: list[tuple[int, int, int]] = []  # where it begins and ends, the last step that needs it: in order
    arena = 0
    for k in sorted(range(len(buffers)), key=lambda k: buffers[k][0]):
        first, last, nbytes = buffers[k]
        size = -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
        taken = [t for t in taken if t[2] >= first]
        at = n = 0
        for begin, end, _ in taken:
            if begin - at >= size:
                break
            at = max(at, end)
            n += 1
        taken.insert(n, (at, at + size, last))
        places[k] = at
        arena = max(arena, at + size)
    return places, arena


def is_inline(value) -> bool:
    """Whether a known number is part of the kernel; one that is not known yet is not (and must not become it)."""
    if not is_unknown(value):
        return value in INLINE
    if any([value == n for n in INLINE]):
        raise Uncompilable("an unknown number that happens to be a usual one")
    return False


class Nest:
    """A kernel in the making."""

    def __init__(self, builder: Builder, domain: tuple, axes):
        self.builder = builder
        self.domain = domain
        self.axes = axes or ()
        self.body: list[Statement] = []
        self.numbers: dict[Statement, int] = {}
        self.values: dict[int, int] = {}  # node -> value
        self.accesses: list[
            tuple[Place, tuple, bool, int, int]
        ] = []  # place, strides over the domain, taken, stride, rows
        self.access_of: dict = {}
        self.stores: list[tuple[int, int]] = []
        self.folds: list[tuple[str, int, int]] = []

    def let(self, op: str, args, d: np.dtype, extra=None) -> int:
        s = Statement(op, tuple(args), name_of(d), extra)
        found = self.numbers.get(s)
        if found is None:
            found = self.numbers[s] = len(self.body)
            self.body.append(s)
        return found

    def access(self, p: Place, strides: tuple, taken=False, stride=0, rows=0) -> int:
        key = (p.buffer.entry, p.offset, strides, name_of(p.dtype), taken)
        found = self.access_of.get(key)
        if found is None:
            found = self.access_of[key] = len(self.accesses)
            self.accesses.append((p, strides, taken, stride, rows))
        return found

    def spread(self, shape: tuple, strides: tuple) -> tuple:
        """Strides over the domain of an array that broadcasts to it."""
        return spread(shape, strides, self.domain)

    def value(self, x: Node, trailing: int = 0) -> int:
        """The value of an operand: computed here, a known number, or loaded. It has no part in so many trailing dims."""
        found = self.values.get(x.id)
        if found is not None and not trailing:
            return found
        base = base_of(x)
        if base.kind == "const" and not base.shape:
            if isinstance(base.extra, bool) or is_inline(base.extra):
                v = self.let("const", (), base.dtype, base.extra)
            else:
                slot = self.builder.slot(base)
                p = Place(self.builder.scalars, slot * 8 // base.dtype.itemsize, (), (), base.dtype)
                v = self.let("load", (), base.dtype, self.access(p, (0,) * len(self.domain)))
        elif base.kind == "number":
            slot = self.builder.slot(base)
            p = Place(self.builder.scalars, slot * 8 // base.dtype.itemsize, (), (), base.dtype)
            v = self.let("load", (), base.dtype, self.access(p, (0,) * len(self.domain)))
        else:
            p = self.builder.place(x)
            ones, zeros = (1,) * trailing, (0,) * trailing
            v = self.let("load", (), x.dtype, self.access(p, self.spread((*x.shape, *ones), (*p.strides, *zeros))))
        if not trailing:
            self.values[x.id] = v
        return v

    def member(self, n: Node) -> None:
        if n.kind == "map":
            self.values[n.id] = self.let(n.op, [self.value(a) for a in n.args], n.dtype)
        elif n.kind == "take":
            x, index = n.args
            p = self.builder.place(x)
            tail = len(x.shape) - 1
            strides = (0,) * (len(n.shape) - tail) + tuple(p.strides[1:])
            i = self.value(index, tail)
            a = self.access(p, strides, True, p.strides[0], x.shape[0])
            self.values[n.id] = self.let("take", (i,), n.dtype, a)
        elif n.kind == "reduce":
            self.values[n.id] = self.value(n.args[0])

    def keep(self, n: Node) -> None:
        if n.kind != "reduce":
            self.store(self.values[n.id], self.builder.place(n))
            return
        p = self.builder.place(n)
        it = iter(p.strides)
        strides = tuple(0 if d in self.axes else next(it) for d in range(len(self.domain)))
        self.folds.append((n.op, self.values[n.id], self.access(p, strides)))

    def store(self, v: int, p: Place) -> None:
        self.stores.append((v, self.access(p, p.strides)))

    def step(self) -> KernelStep:
        """Loops: those that are kept, then those that are reduced, last the one that is done 16 at a time."""
        n = len(self.domain)
        dims = [d for d in range(n) if self.domain[d] != 1]
        if not dims:
            return self._made([1], ["k" if not self.axes else "r"], [(0,)] * len(self.accesses))
        gaps = {d: self._with_gaps(d) for d in dims}
        best = max(dims, key=lambda d: (-gaps[d][0], self._in_line(d), d))
        rest = [d for d in dims if d != best]
        squares = gaps[best][1]
        if squares is not None:  # they are read along this dim: its loop comes next to the vector loop
            rest.sort(key=lambda d: d == squares)
        order = [d for d in rest if d not in self.axes] + [d for d in rest if d in self.axes] + [best]
        sizes = [self.domain[d] for d in order]
        kinds = ["r" if d in self.axes else "k" for d in order]
        strides = [[s[d] for d in order] for _, s, *_ in self.accesses]
        i = len(order) - 2
        while i >= 0:  # neighbours that go on in all arrays are one loop
            if kinds[i] == kinds[i + 1] and all(s[i] == s[i + 1] * sizes[i + 1] for s in strides):
                sizes[i : i + 2] = [sizes[i] * sizes[i + 1]]
                del kinds[i]
                for s in strides:
                    del s[i]
            i -= 1
        return self._made(sizes, kinds, [tuple(s) for s in strides])

    def _in_line(self, d: int) -> int:
        """How many elements lie side by side along a dim."""
        return sum([_reach(self.domain, s) for _, s, *_ in self.accesses if s[d] == 1])

    def _with_gaps(self, d: int) -> tuple[int, int | None]:
        """What a vector loop over a dim costs where elements do not lie side by side along it; and the dim along which they
        do, of most of those that can be read in squares. Kernels with reductions cost nothing: they have other reasons."""
        if self.axes:
            return 0, None
        written = {a for _, a in self.stores}
        cost, squares = 0, [0] * len(self.domain)
        for i, (_, s, taken, *_) in enumerate(self.accesses):
            if s[d] in (0, 1):
                continue
            reach = _reach(self.domain, s)
            along = next((e for e, t in enumerate(s) if t == 1 and self.domain[e] >= SQUARE), None)
            if i in written or taken or along is None or self.domain[d] < SQUARE:
                cost += 4 * reach
            else:
                cost += reach
                squares[along] += reach
        return cost, max(range(len(squares)), key=squares.__getitem__) if any(squares) else None

    def _made(self, sizes, kinds, strides) -> KernelStep:
        written = {a for _, a in self.stores} | ({a for _, _, a in self.folds} if kinds[-1] == "k" else set())
        squares = len(kinds) > 1 and "r" not in kinds and min(sizes[-2:]) >= SQUARE
        accesses, placed = [], []
        for i, ((p, _, taken, stride, rows), s) in enumerate(zip(self.accesses, strides)):
            if sizes[-1] == 1 and i in written:
                s = (*s[:-1], 1)
            inner = "splat" if s[-1] == 0 else "unit" if s[-1] == 1 else "strided"
            if inner == "strided" and squares and s[-2] == 1 and not taken and i not in written:
                inner = "turned"
            if i in written and inner == "splat":
                raise Uncompilable("a write of many elements to one place")
            accesses.append(Access(name_of(p.dtype), inner, taken))
            placed.append((p.buffer, p.offset, s, stride, rows))
        kernel = Kernel("".join(kinds), tuple(accesses), tuple(self.body), tuple(self.stores), tuple(self.folds))
        return KernelStep(kernel, sizes, placed)


def spread(shape: tuple, strides: tuple, domain: tuple) -> tuple:
    """Strides over a domain of an array that broadcasts to it."""
    pad = len(domain) - len(shape)
    return (0,) * pad + tuple(
        0 if n == 1 and domain[pad + i] != 1 else s for i, (n, s) in enumerate(zip(shape, strides))
    )


def _reach(sizes, strides) -> int:
    """How many elements an access reads."""
    n = 1
    for size, stride in zip(sizes, strides):
        n *= size if stride else 1
    return n


def _same_memory(view: Node) -> bool:
    """Whether a view is all of its base's memory, in order."""
    strides, offset = view.extra
    own = contiguous(view.shape)
    same = all(n == 1 or s == t for n, s, t in zip(view.shape, strides, own))
    return same and offset == 0 and view.size == view.args[0].size


def recipe(graph: Graph, results, sizes=None, crew: int | None = None) -> Recipe:
    """The recipe of a program for those results; raises Uncompilable. `sizes`: of inputs that are memory of any length;
    `crew`: threads that may share a step."""
    builder = Builder(graph, results, sizes, crew)
    if config.VERIFY:
        from .verify import verify

        verify_arrays(builder.expansion.arrays)
        verify(builder.recipe)
    return builder.recipe
