"""A Graph of operations becomes a graph of arrays: compositions are put in place of their names, and the NumPy meaning of
each primitive is followed (symbolic.py). What cannot be followed stays a call of the interpreter's function."""

from __future__ import annotations

from ..ir.arrays import WEAK, Arrays, Node, contiguous
from ..ir.graph import Graph
from ..ir.operation import Primitive, Spec, fill
from ..ir.shapes import Layout
from ..ir.special import CAST, GRAFT, LEAF, ONES, READ, RELAYOUT, STOP, UNREAD, WRITE, ZEROS
from .symbolic import DTYPES, Array, Opaque, broadcast, cast, reduce


class Uncompilable(Exception):
    """The graph has something that only the interpreter can run."""


class Expansion:
    """The arrays of a graph. `values`: a node for each value of the graph that is needed; `calls`: steps that stay calls."""

    def __init__(self, graph: Graph, results):
        self.arrays = Arrays()
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
            return self.arrays.make("input", None, (), (0,), d, (position, True))
        memory = self.arrays.make("input", None, (), (lay.extent,), d, (position, False))
        return self.arrays.view(memory, tuple(lay.shape), tuple(lay.strides))

    def _number(self, position: int, lay: Layout) -> Node:
        kind = lay.number
        if kind not in WEAK:
            raise Uncompilable("a complex number")
        return self.arrays.make("number", None, (), (), WEAK[kind], position, None, kind)

    def _const(self, value) -> Node:
        if type(value) in WEAK:
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
        if not spec.effect:
            try:
                return self._follow(spec, args)
            except (Opaque, TypeError, AttributeError, ValueError, IndexError, NotImplementedError) as e:
                self.reasons[spec] = e
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
        if any(l.dtype.half or l.dtype.is_complex or l.flat for l in (*spec.lays, *spec.outs)):
            raise Opaque("half types, complex numbers, memory of unknown length")
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
            made = Array(graph, graph.number(made, None if lay.number else lay.dtype.np))
        if lay.number:  # a Python number: as NumPy computes it, whatever dtype its layout names
            if made.dtype.kind != WEAK[lay.number].kind or made.shape:
                raise Opaque("a number of another kind")
            return graph.make("map", "cast", (made.node,), (), WEAK[lay.number], None, None, lay.number)
        node = cast(graph, made.node, lay.dtype.np)
        if node.shape != tuple(lay.shape):
            raise Opaque("a result of another shape")
        return node


class Call:
    """A step that stays a call: the Spec's function of arrays."""

    __slots__ = ("spec", "number", "outs")

    def __init__(self, spec: Spec, number: int):
        self.spec = spec
        self.number = number
        self.outs: list[Node] = []

    def __repr__(self) -> str:
        return f"#{self.number}"


# --- views and writes ------------------------------------------------------------------------------------------


def _same(graph: Arrays, spec: Spec, args: list[Node]) -> Node:
    return args[0]


def _memory(graph: Arrays, base: Node, lay: Layout) -> tuple[Node, int]:
    """An array whose contiguous elements are the memory of a value of that layout, and where in it the value begins."""
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
    raise Opaque("a view of memory with holes")


def _lies(base: Node, lay: Layout) -> bool:
    """Whether a view is its operand's memory from the beginning, in that layout."""
    strides, offset = base.extra
    return offset == 0 and all(n == 1 or s == t for n, s, t in zip(lay.shape, strides, lay.strides))


def _plain(*lays: Layout) -> None:
    if any(l.dtype.np not in DTYPES or l.dtype.half for l in lays) or len({l.dtype for l in lays}) > 1:
        raise Opaque("a view of another dtype")


def _known(x: Node) -> int:
    if x.kind != "const":
        raise Opaque("an offset that is data")
    return x.extra


def _read(graph: Arrays, spec: Spec, args: list[Node]) -> Node:
    base, place = args
    lay = spec.static[2]
    _plain(spec.lays[0], lay)
    if lay.numel == 0:
        raise Opaque("nothing to read")
    if place.kind == "number" and place.extra < 0:
        raise Opaque("an offset that a flush has kept")
    if base.kind == "input" and place.kind == "number":
        window = (tuple(lay.strides), lay.extent)
        return graph.make("window", None, (base, place), tuple(lay.shape), base.dtype, window)
    if place.kind == "number" and base.kind == "view" and base.args[0].kind == "input" and _lies(base, spec.lays[0]):
        window = (tuple(lay.strides), lay.extent)
        return graph.make("window", None, (base.args[0], place), tuple(lay.shape), base.dtype, window)
    if spec.lays[0].flat:
        raise Opaque("memory of unknown length")
    memory, start = _memory(graph, base, spec.lays[0])
    offset = start + _known(place)
    if offset < 0 or offset + lay.extent > memory.size:
        raise Opaque("a view outside its storage")
    return graph.view(memory, tuple(lay.shape), tuple(lay.strides), offset)


def _unread(graph: Arrays, spec: Spec, args: list[Node]) -> Node:
    g, _, place = args
    base, lay = spec.lays[1], spec.static[3]
    _plain(base, lay, spec.outs[0])
    if base.flat or base.repeats or lay.numel == 0:
        raise Opaque("a cotangent of memory")
    own = contiguous(lay.shape)
    shape, strides = list(lay.shape), list(lay.strides)
    repeated = tuple(d for d, (n, s) in enumerate(zip(shape, strides)) if s == 0 and n > 1)
    if repeated:
        g = reduce(graph, "sum", g, repeated, True)
        for d in repeated:
            shape[d] = 1
        own = contiguous(shape)
    dims = [d for d in range(len(shape)) if shape[d] != 1]
    if place.kind == "const" and place.extra == 0 and g.size == base.numel:
        sizes = {strides[d]: (shape[d], own[d]) for d in dims}
        wanted = [(n, s) for n, s in zip(base.shape, base.strides) if n != 1]
        if len(sizes) == len(dims) == len(wanted) and all(s in sizes and sizes[s][0] == n for n, s in wanted):
            back = tuple(sizes[s][1] if n != 1 else 0 for n, s in zip(base.shape, base.strides))
            return graph.view(g, tuple(base.shape), back)
        ordered = sorted(dims, key=lambda d: -strides[d])
        if base.contig and _fills([shape[d] for d in ordered], [strides[d] for d in ordered]):
            g = graph.view(g, tuple(shape[d] for d in ordered), tuple(own[d] for d in ordered))
            return graph.reshape(g, tuple(base.shape))
    if not base.contig:
        raise Opaque("a cotangent of permuted memory")
    zero = broadcast(graph, graph.number(0, lay.dtype.np), tuple(base.shape))
    return _put(graph, zero, g, tuple(shape), tuple(strides), _known(place))


def _fills(shape, strides) -> bool:
    step = 1
    for n, s in zip(reversed(shape), reversed(strides)):
        if s != step:
            return False
        step *= n
    return True


def _put(graph: Arrays, base: Node, value: Node, shape: tuple, strides: tuple, offset: int) -> Node:
    reach = 0
    for s, n in sorted((s, n) for n, s in zip(shape, strides) if n > 1):
        if s <= reach:
            raise Opaque("elements that overlap")
        reach += s * (n - 1)
    if offset < 0 or offset + reach >= max(base.size, 1):
        raise Opaque("a write outside its storage")
    value = graph.reshape(value, shape)
    return graph.put(base, [(value, strides, offset)])


def _write(graph: Arrays, spec: Spec, args: list[Node]) -> Node:
    base, value, place = args
    lay = spec.static[3]
    own = spec.lays[0]
    _plain(own, lay, spec.lays[1])
    if own.flat or not own.contig or lay.numel == 0:
        raise Opaque("a write into memory")
    value = broadcast(graph, value, tuple(lay.shape))
    if len(spec.static) > 4:
        offset = spec.static[4]
    else:
        offset = _known(place)
    return _put(graph, base, value, tuple(lay.shape), tuple(lay.strides), offset)


def _filled(value):
    def make(graph: Arrays, spec: Spec, args: list[Node]) -> Node:
        lay = spec.outs[0]
        if lay.flat or lay.dtype.half or lay.dtype.is_complex:
            raise Opaque("memory of unknown length")
        number = cast(graph, graph.number(value, lay.dtype.np), lay.dtype.np)
        return broadcast(graph, number, tuple(lay.shape))

    return make


def _cast(graph: Arrays, spec: Spec, args: list[Node]) -> Node:
    source, target = spec.lays[0].dtype, spec.outs[0].dtype
    if source.half or target.half or source.is_complex or target.is_complex or spec.outs[0].flat:
        raise Opaque("half types and complex numbers")
    if source.np.kind == "f" and target.np.kind in "iu":
        raise Opaque("floats as integers")  # convert() says what becomes of infinities
    return cast(graph, args[0], target.np)


SPECIAL = {
    LEAF: _same, STOP: _same, RELAYOUT: _same, GRAFT: _same, READ: _read, UNREAD: _unread, WRITE: _write,
    ZEROS: _filled(0), ONES: _filled(1), CAST: _cast,
}  # fmt: skip
