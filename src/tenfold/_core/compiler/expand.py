"""A Graph of operations becomes a graph of arrays: compositions are put in place of their names, and the NumPy meaning of
each primitive is followed (symbolic.py). What cannot be followed stays a call of the interpreter's function."""

from __future__ import annotations

import math
import sys

import numpy as np

from ..ir.arrays import WEAK, Arrays, Node, contiguous
from ..ir.graph import Graph
from ..ir.operation import Primitive, Spec, fill
from ..ir.shapes import Layout
from ..ir.special import CAST, CUSTOM, GRAFT, LEAF, ONES, READ, RELAYOUT, STOP, UNREAD, WRITE, ZEROS
from .functions import FUNCTIONS  # noqa: F401  (filled there)
from .symbolic import DTYPES, Array, Opaque, broadcast, cast, filled, node_of, overlap, positions, put, reduce

MAX_ARRAYS = 2000  # that one operation may become: compiling more takes longer than it saves


class Uncompilable(Exception):
    """The graph has something that only the interpreter can run."""


class Expansion:
    """The arrays of a graph. `values`: a node for each value of the graph that is needed; `calls`: steps that stay calls."""

    def __init__(self, graph: Graph, results, sizes=None):
        self.arrays = Arrays()
        self.sizes: dict[int, int] = sizes or {}  # of inputs that are memory of any length
        self.values: dict[int, Node] = {}
        self.calls: list[Call] = []
        self.reasons: dict[Spec, Exception] = {}  # why a step stays a call
        graph = graph.pruned(tuple(results))
        for i, p in graph.inputs.items():
            self.values[i] = self._input(p, graph.lays[i])
        used = {a for args in graph.args for a in args} | set(results)
        for i, p in graph.scalars.items():
            if i in used:
                self.values[i] = self._number(p, graph.lays[i])
        for i, v in graph.consts.items():
            self.values[i] = self._const(v)
        self._steps(graph, self.values)

    def _input(self, position: int, lay: Layout) -> Node:
        if lay.number:  # what a flush kept: told from the walk's scalars by a position below 0
            return self._number(-1 - position, lay)
        d = lay.dtype.np
        if lay.flat:
            return self.arrays.make("input", None, (), (self.sizes.get(position, 0),), d, (position, True))
        memory = self.arrays.make("input", None, (), (lay.extent,), d, (position, False))
        return self.arrays.view(memory, tuple(lay.shape), tuple(lay.strides))

    def _number(self, position: int, lay: Layout) -> Node:
        kind = lay.number
        if kind not in WEAK:
            raise Uncompilable("a complex number")
        return self.arrays.make("number", None, (), (), WEAK[kind], position, None, kind)

    def _const(self, value) -> Node:
        if value.__class__ in WEAK:
            return self.arrays.number(value)
        raise Uncompilable(f"a constant of type {type(value).__name__}")

    def _steps(self, graph: Graph, values: dict[int, Node]) -> None:
        for spec, args, outs in zip(graph.specs, graph.args, graph.outs):
            made = self.apply(spec, [values[a] for a in args])
            for o, n in zip(outs, made):
                values[o] = n

    def apply(self, spec: Spec, args: list[Node]) -> list[Node]:
        """The results of an operation."""
        if spec.graph is not None:
            inner = spec.graph
            values = {i: args[p] for i, p in inner.inputs.items()}
            values |= {i: self._const(v) for i, v in inner.consts.items()}
            self._steps(inner.pruned(spec.results), values)
            return [values[r] for r in spec.results]
        if spec.op is CUSTOM:
            return args[: len(spec.outs)]
        if not spec.effect:
            graph = self.arrays
            before = len(graph.required), dict(graph.places)
            graph.limit = len(graph.nodes) + MAX_ARRAYS
            try:
                return self._follow(spec, args)
            except (Opaque, TypeError, AttributeError, ValueError, IndexError, NotImplementedError) as e:
                self.reasons[spec] = e
                del graph.required[before[0] :]
                graph.places = before[1]
            finally:
                graph.limit = sys.maxsize
        return self._call(spec, args)

    def _call(self, spec: Spec, args: list[Node]) -> list[Node]:
        if any(l.number for l in spec.outs):
            raise Uncompilable(f"{spec.op.name} gives a number")
        call = Call(spec, len(self.calls))
        self.calls.append(call)
        made = []
        for k, l in enumerate(spec.outs):
            shape = tuple(l.shape) if not l.flat else (0,)
            made.append(self.arrays.make("call", spec.op.name, tuple(args), shape, l.dtype.np, (call, k)))
        call.outs = made
        return made

    def _follow(self, spec: Spec, args: list[Node]) -> list[Node]:
        special = SPECIAL.get(spec.op)
        if special is not None:
            return [special(self.arrays, spec, args)]
        op = spec.op
        if not isinstance(op, Primitive):
            raise Opaque(op.name)
        if any(l.dtype.half or l.dtype.is_complex for l in (*spec.lays, *spec.outs)):
            raise Opaque("half types and complex numbers")
        if any(l.flat and not a.size for l, a in zip(spec.lays, args)):
            raise Opaque("memory of unknown length")
        graph = self.arrays
        if op.compute is not None:
            target = op.compute(spec).compute
            args = [cast(graph, a, target) for a in args]
        arrays = [Array(graph, a) for a in args]
        if op.kernel is None or op.compute is not None:
            made = op.invoke(fill(spec.static, arrays))
        else:
            made = op.kernel(spec)(*arrays)
        made = (made,) if spec.tree is None else tuple(made)
        if len(made) != len(spec.outs):
            raise Opaque("results of another number")
        return [self._result(m, l) for m, l in zip(made, spec.outs)]

    def _result(self, made, lay: Layout) -> Node:
        graph = self.arrays
        if not isinstance(made, Array):
            made = Array(graph, node_of(graph, np.asarray(made)))
        if lay.number:  # a Python number: as NumPy computes it, whatever dtype its layout names
            if made.dtype.kind != WEAK[lay.number].kind or made.shape:
                raise Opaque("a number of another kind")
            return graph.make("map", "cast", (made.node,), (), WEAK[lay.number], None, None, lay.number)
        node = cast(graph, made.node, lay.dtype.np)
        if node.shape != tuple(lay.shape) and not lay.flat:
            raise Opaque("a result of another shape")
        return node


class Call:
    """A step that stays a call: the Spec's function of arrays, or what its operation has for compiled programs."""

    __slots__ = ("spec", "run", "number", "outs")

    def __init__(self, spec: Spec, number: int):
        self.spec = spec
        native = spec.op.native if isinstance(spec.op, Primitive) else None
        self.run = spec.exe if native is None else native(spec) or spec.exe
        self.number = number
        self.outs: list[Node] = []

    def __repr__(self) -> str:
        return f"#{self.number}"


# --- views and writes ------------------------------------------------------------------------------------------


def _same(graph: Arrays, spec: Spec, args: list[Node]) -> Node:
    return args[0]


def _memory(graph: Arrays, base: Node, lay: Layout) -> tuple[Node, int]:
    """An array whose contiguous elements are the memory of a value of that layout, and where in it the value begins."""
    if lay.flat:
        if not base.size:
            raise Opaque("memory of unknown length")
        return base, 0
    if base.kind == "view":
        memory = base.args[0]
        strides, offset = base.extra
        if all(n == 1 or s == t for n, s, t in zip(lay.shape, strides, lay.strides)):
            return memory, offset
    if lay.contig:
        return base, 0
    if lay.dense:
        order = sorted(range(lay.ndim), key=lambda d: -lay.strides[d] if lay.shape[d] != 1 else -(1 << 62))
        own = contiguous(base.shape)
        return graph.view(base, tuple(base.shape[d] for d in order), tuple(own[d] for d in order)), 0
    shape = tuple(1 if s == 0 else n for n, s in zip(lay.shape, lay.strides))
    base = graph.view(base, shape, contiguous(base.shape))  # of elements at one place the first
    return put(graph, filled(graph, 0, (lay.extent,), lay.dtype.np), base, lay.strides, 0), 0


def _plain(*lays: Layout) -> None:
    if any(l.dtype.np not in DTYPES or l.dtype.half for l in lays) or len({l.dtype for l in lays}) > 1:
        raise Opaque("a view of another dtype")


def _known(x: Node) -> int:
    if x.kind != "const":
        raise Opaque("an offset that is data")
    return x.extra


def _read(graph: Arrays, spec: Spec, args: list[Node]) -> Node:
    base, place = args
    own, lay = spec.lays[0], spec.static[2]
    _plain(own, lay)
    shape = tuple(lay.shape)
    if lay.numel == 0:
        return filled(graph, 0, shape, lay.dtype.np)
    if place.kind == "number":
        if own.flat:
            memory, start, bound = base, 0, None if base.kind == "input" else base.size - lay.extent
        else:
            memory, start = _memory(graph, base, own)
            bound = own.extent - lay.extent
        return window(graph, memory, place, shape, tuple(lay.strides), start, bound, lay.extent)
    memory, start = _memory(graph, base, own)
    offset = start + _known(place)
    if offset < 0 or offset + lay.extent > memory.size:
        raise Opaque("a view outside its storage")
    return graph.view(memory, shape, tuple(lay.strides), offset)


def window(graph: Arrays, memory: Node, place: Node, shape, strides, start: int, bound, reach: int) -> Node:
    """A strided read at a place that is data."""
    if bound is not None and bound < 0:
        raise Opaque("a view outside its storage")
    if bound == 0 or bound is None and memory.kind == "input" and memory.size == reach:  # it can only be 0
        graph.places[place.id, 0] = (place, 0)
        return graph.view(memory, shape, strides, start)
    if memory.kind in ("view", "window", "call", "number") or memory.kind == "const" and not memory.shape:
        memory = graph.make("map", "copy", (memory,), memory.shape, memory.dtype)
    return graph.make("window", None, (memory, place), shape, memory.dtype, (strides, start, bound, reach))


def _unread(graph: Arrays, spec: Spec, args: list[Node]) -> Node:
    g, like, place = args
    base, lay = spec.lays[1], spec.static[3]
    _plain(base, lay, spec.outs[0])
    if base.flat and not like.size:
        raise Opaque("memory of unknown length")
    size = like.size if base.flat else base.extent
    target = like.shape if base.flat else tuple(base.shape)
    if lay.numel == 0 or size == 0:
        return filled(graph, 0, target, lay.dtype.np)
    shape, strides = list(lay.shape), list(lay.strides)
    repeated = tuple(d for d, (n, s) in enumerate(zip(shape, strides)) if s == 0 and n > 1)
    if repeated:
        g = reduce(graph, "sum", g, repeated, True)
        for d in repeated:
            shape[d] = 1
    own = contiguous(shape)
    dims = [d for d in range(len(shape)) if shape[d] != 1]
    if place.kind == "const" and place.extra == 0 and g.size == size:
        sizes = {strides[d]: (shape[d], own[d]) for d in dims}
        wanted = [(n, s) for n, s in zip(base.shape, base.strides) if n != 1]
        if not base.flat and len(sizes) == len(dims) == len(wanted):
            if all(s in sizes and sizes[s][0] == n for n, s in wanted):
                back = tuple(sizes[s][1] if n != 1 else 0 for n, s in zip(base.shape, base.strides))
                return graph.view(g, target, back)
        ordered = sorted(dims, key=lambda d: -strides[d])
        if base.contig and _fills([shape[d] for d in ordered], [strides[d] for d in ordered]):
            g = graph.view(g, tuple(shape[d] for d in ordered), tuple(own[d] for d in ordered))
            return graph.reshape(g, target)
    zero = filled(graph, 0, (size,), lay.dtype.np)
    extent = 1 + sum((n - 1) * s for n, s in zip(shape, strides))
    if overlap(shape, strides):
        out = _sums(graph, zero, g, shape, strides, place, extent)
    elif place.kind == "const":
        out = put(graph, zero, graph.reshape(g, tuple(shape)), tuple(strides), place.extra)
    else:
        out = put(graph, zero, graph.reshape(g, tuple(shape)), tuple(strides), 0, place, size - extent, extent)
    if base.flat:
        return out
    if not base.repeats:
        return graph.view(out, target, tuple(base.strides))
    first = tuple(1 if s == 0 else n for n, s in zip(base.shape, base.strides))  # it has all of the cotangent
    value = graph.view(out, first, tuple(base.strides))
    zero = filled(graph, 0, (base.numel,), lay.dtype.np)
    return graph.reshape(put(graph, zero, value, contiguous(target), 0), target)


def _sums(graph: Arrays, zero: Node, g: Node, shape, strides, place: Node, extent: int) -> Node:
    """Elements added where they overlap, in order."""
    outer = len(shape) - int(strides[-1] == 1)
    inner = math.prod(shape[outer:])
    at = positions(graph, shape[:outer], strides[:outer]).node
    rows = graph.reshape(g, (at.size, inner))
    if place.kind == "number":
        first = Array(graph, place)
        ((first >= 0) & (first <= zero.size - extent)).require()
        at = graph.map("add", (at, place), at.dtype)
    elif place.extra < 0 or place.extra + extent > zero.size:
        raise Opaque("a view outside its storage")
    elif place.extra:
        at = (Array(graph, at) + place.extra).node
    return graph.make("scatter", "sum", (zero, rows, at), zero.shape, zero.dtype, 1)


def _fills(shape, strides) -> bool:
    step = 1
    for n, s in zip(reversed(shape), reversed(strides)):
        if s != step:
            return False
        step *= n
    return True


def _write(graph: Arrays, spec: Spec, args: list[Node]) -> Node:
    base, value, place = args
    own, lay = spec.lays[0], spec.static[3]
    _plain(own, lay, spec.lays[1])
    if lay.numel == 0:
        return base
    memory, start = _memory(graph, base, own)
    size = memory.size if own.flat else own.extent
    if start or memory.size != size or len(memory.shape) != 1:
        memory = graph.view(memory, (size,), (1,), start)
    value = broadcast(graph, value, tuple(lay.shape))
    strides = tuple(lay.strides)
    if place.kind == "number" and len(spec.static) == 4:
        out = put(graph, memory, value, strides, 0, place, size - lay.extent, lay.extent)
    else:
        out = put(graph, memory, value, strides, spec.static[4] if len(spec.static) > 4 else _known(place))
    return out if own.flat else graph.view(out, tuple(own.shape), tuple(own.strides))


def _filled(value):
    def make(graph: Arrays, spec: Spec, args: list[Node]) -> Node:
        lay = spec.outs[0]
        if lay.flat or lay.dtype.half or lay.dtype.is_complex:
            raise Opaque("memory of unknown length")
        return filled(graph, value, tuple(lay.shape), lay.dtype.np)

    return make


def _cast(graph: Arrays, spec: Spec, args: list[Node]) -> Node:
    source, target = spec.lays[0].dtype, spec.outs[0].dtype
    if source.half or target.half or source.is_complex or target.is_complex or spec.outs[0].flat:
        raise Opaque("half types and complex numbers")
    return Array(graph, args[0]).converted(target.np).node


SPECIAL = {
    LEAF: _same, STOP: _same, RELAYOUT: _same, GRAFT: _same, READ: _read, UNREAD: _unread, WRITE: _write,
    ZEROS: _filled(0), ONES: _filled(1), CAST: _cast,
}  # fmt: skip
