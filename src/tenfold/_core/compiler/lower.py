"""A path of the tree becomes a Graph of operations. Nodes come in as trace.handle has them; `backward` edges are expanded."""

from __future__ import annotations

from ..ir import shapes
from ..ir.graph import Graph
from ..ir.operation import TENSOR, Spec, spec_of
from ..ir.shapes import Layout
from ..ir.special import BACKWARD, BACKWARD_FROM, BACKWARD_PART, CUSTOM, ENTER_ALL, ENTRY, LEAF, MODE, ONES, READ, ZEROS
from .differentiate import reverse


class Lowering:
    """The graph of the path that ends at a node, and the numbers of the values on it."""

    def __init__(self, end):
        self.graph = Graph()
        self.ids: dict = {}
        self.passed: dict = {}  # steps that a route (differentiate.py) has read so far
        nodes = []
        n = end
        while n.parent is not None:
            nodes.append(n)
            n = n.parent
        for n in reversed(nodes):
            self.lower(n)

    def lower(self, n) -> None:
        lower = EXPAND.get(n.op)
        if lower is None:
            self.operation(n)
        else:
            lower(self, n)

    def number(self, value) -> int:
        """The number of a value; a view at a fixed place of another value is read from it here."""
        i = self.ids.get(value)
        if i is None:
            base = value.base
            spec = read_spec(base.lay, value.lay)
            offset = self.graph.const(value.off, shapes.number(int))
            i = self.graph.emit(spec, (self.number(base), offset), (value.rg,))[0]
            self.ids[value] = i
        return i

    def operation(self, n) -> None:
        graph, ids = self.graph, self.ids
        args = []
        k = n.k
        for v in n.args:
            if v.node is None:
                args.append(graph.scalar(k, v.lay))
                k += 1
            else:
                i = ids.get(v)
                args.append(self.number(v) if i is None else i)
        spec = n.spec
        outs = n.outs
        rg = tuple([v.rg for v in outs])
        if spec.graph is not None and spec.op.gradient is None and any(rg):
            made = graph.inline(spec.graph, tuple(args), spec.results, True)
        else:
            made = graph.emit(spec, tuple(args), rg)
        for v, i in zip(outs, made):
            ids[v] = i
        if n.op is LEAF:
            graph.leaves[made[0]] = n.nleaf - 1

    def entry(self, n) -> None:
        lay, live = n.static
        i = self.graph.input(n.nin - 1, lay, n.out.rg)
        self.ids[n.out] = i
        if live:
            self.graph.leaves[i] = n.nleaf - 1

    def enter_all(self, n) -> None:
        lays, live, _ = n.static[0]
        first, leaf = n.nin - len(lays), n.nleaf - len(lays)
        for k, (lay, v) in enumerate(zip(lays, n.outs)):
            i = self.graph.input(first + k, lay, live)
            self.ids[v] = i
            if live:
                self.graph.leaves[i] = leaf + k

    def mode(self, n) -> None:
        pass

    def backward(self, n) -> None:
        graph = self.graph
        root = self.number(n.args[0])
        if len(n.args) > 1:
            seed = self.number(n.args[1])
        else:
            seed = graph.emit(spec_of(ONES, (), (graph.lays[root],), (graph.lays[root],)), ())[0]
        found, read = reverse(graph, {root: seed}, lambda i: i, graph)
        if not n.static[0]:
            graph.used |= read
        self.deliver(n, found, graph)

    def backward_from(self, n) -> None:
        """From what the flush of an earlier walk kept: the last inputs of the node are its saved values."""
        graph = self.graph
        source, seeds, saved = n.static
        first = n.nin - len(saved)
        have: dict[int, int] = {}

        def fetch(i: int) -> int:
            if i not in have:
                if i in source.consts:
                    have[i] = graph.const(source.consts[i], source.lays[i])
                else:
                    have[i] = graph.input(first + saved.index(i), source.lays[i])
            return have[i]

        given = {i: self.number(v) for i, v in zip(seeds, n.args)}
        found, _ = reverse(source, given, fetch, graph)
        self.deliver(n, found, source)

    def backward_part(self, n) -> None:
        graph = self.graph
        route, start, first, numbers = n.static
        grads = {i: self.number(v) for i, v in zip(numbers, n.args)}
        stop, found, read = route.part(graph, grads, start, first, lambda i: i, graph)
        passed = self.passed.setdefault(route, set())
        passed |= read
        if stop < 0 and not route.retain:  # only then: what a walk that ends on the way keeps must not be used up
            graph.used |= passed
        for v, (kind, i) in zip(n.outs, n.aux.results):
            self.ids[v] = (grads if kind == "left" else found)[i]

    def deliver(self, n, found: dict[int, int], source: Graph) -> None:
        """The gradients that the edge promised, one for each leaf position in n.aux."""
        graph = self.graph
        at: dict[int, int] = {}
        for leaf, g in found.items():
            at[source.leaves[leaf]] = g
        for v, position in zip(n.outs, n.aux):
            i = at.get(position)
            if i is None:
                i = graph.emit(spec_of(ZEROS, (), (v.lay,), (v.lay,)), ())[0]
            self.ids[v] = i

    def custom(self, n) -> None:
        graph = self.graph
        args = tuple([self.number(v) for v in n.args])
        made = graph.emit(n.spec, args, tuple([v.rg for v in n.outs]))
        graph.objects[graph.step_of[made[0]]] = n.nin - 1
        for v, i in zip(n.outs, made):
            self.ids[v] = i


EXPAND = {
    ENTRY: Lowering.entry,
    ENTER_ALL: Lowering.enter_all,
    MODE: Lowering.mode,
    BACKWARD: Lowering.backward,
    BACKWARD_FROM: Lowering.backward_from,
    BACKWARD_PART: Lowering.backward_part,
    CUSTOM: Lowering.custom,
}


def read_spec(base: Layout, lay: Layout) -> Spec:
    static = (TENSOR, TENSOR, lay)
    return spec_of(READ, (base, shapes.number(int)), static, static)
