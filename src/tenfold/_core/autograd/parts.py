"""Reverse mode on the walk at hand where the user's code takes part: Functions, hooks, gradients of gradients.

It goes in parts, from one call of the user's code to the next, and each part is one edge, which planning expands
(compiler/differentiate.py, `Route`). So forward, backward and the optimizer's step stay one walk and one program. If the
user's code ends the walk, the history that the flush has kept is passed on step by step (reverse.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..compiler.differentiate import Part, Route
from ..compiler.lower import Lowering
from ..ir.graph import Graph
from ..ir.special import ACCUMULATE, BACKWARD_PART
from ..trace.bundle import receive
from ..trace.flush import flush
from ..trace.handle import Node, Tensor, Value, Walk, fresh, translated
from ..trace.walk import resolve, special
from .arrival import USED, added, deliver, fitting, gradient_layout, run_hooks


@translated
def is_here(t: Tensor, w: Walk) -> bool:
    """Whether a handle stands for a value of the walk."""
    return t._st is None and t._val is not None and t._val.node.walk is w


@translated
def is_there(t: Tensor) -> bool:
    """Whether a tensor is a leaf, or what it was when the walk began."""
    return t._st is not None and (t._leaf is t and not t._det or t._st.val is t._st.was)


@translated
def route_of(roots: list[Value], targets: list[Value], useful: tuple | None, create: bool, retain: bool, w: Walk):
    """The route that reverse mode takes from these values of the walk; None where one of them is read from another value."""
    origin = w.at
    hooked = tuple([v for v, _ in w.hooked])
    key = (tuple(roots), tuple(targets), useful, hooked, create, retain)
    if origin.routes is None:
        origin.routes = {}
    if key in origin.routes:
        return origin.routes[key]
    route = origin.routes[key] = _route(origin, roots, targets, hooked, useful, create, retain)
    return route


def _route(origin: Node, roots, targets, hooked, useful, create: bool, retain: bool) -> Route | None:
    low = Lowering(origin)
    ids, graph = low.ids, low.graph
    if all([v in ids for v in (*roots, *targets, *hooked)]):
        leaves = None
        if useful is not None:
            at = {p: i for i, p in graph.leaves.items()}
            leaves = [at[p] for p in useful if p in at]
        numbers = [[ids[v] for v in values] for values in (roots, hooked, targets)]
        return Route(graph, tuple(numbers[0]), numbers[1], numbers[2], leaves, create, retain)
    return None


def _values(n: Node) -> tuple:
    """The results of a part's edge, found by passing it once."""
    route, start, first, numbers = n.static
    graph: Graph = route.graph
    into = Graph()
    masks: dict[int, int] = {}
    grads: dict[int, int] = {}
    given: dict[int, int] = {}
    for k, (i, v) in enumerate(zip(numbers, n.args)):
        j = grads[i] = into.value(v.lay, v.rg)
        masks[j] = v.mask
        given[j] = k - len(numbers)
    have: dict[int, int] = {}

    def fetch(i: int) -> int:
        j = have.get(i)
        if j is None:
            j = have[i] = into.value(graph.lays[i], graph.rg[i])
            if i in graph.consts:
                into.consts[j] = graph.consts[i]
            masks[j] = graph.leaf_mask(i)
        return j

    stop, found, read = route.part(graph, grads, start, first, fetch, into)
    if not graph.used.isdisjoint(read):
        raise RuntimeError(USED)
    into.spread(masks)
    outs: list[Value] = []
    results: list[tuple] = []
    names: list = []

    def place(kind: str, i: int, j: int) -> int:
        if j in given:
            return given[j]
        lay: Any = into.lays[j]
        if kind == "found" and route.wanted is None and i in graph.leaves:
            lay = gradient_layout(n.walk.leaves[graph.leaves[i]])
        v = Value(n, len(outs), lay, route.create and into.rg[j])
        v.mask = masks.get(j, 0) if v.rg else 0
        outs.append(v)
        results.append((kind, i))
        names.append(into.specs[into.step_of[j]].op)
        return len(outs) - 1

    left = [(i, place("left", i, j)) for i, j in grads.items()]
    n.aux = Part(stop, left, [(i, place("found", i, j)) for i, j in found.items()], results, names)
    return tuple(outs)


@translated
class Arrival:
    """Gradients of leaves that arrive together, as `bundle.receive` takes them: of which leaves, and their values."""

    __slots__ = ("aux", "outs", "call")

    def __init__(self, positions: tuple[int, ...], values: tuple[Value, ...]):
        self.aux, self.outs, self.call = positions, values, None


@translated
class Passage:
    """One reverse mode along a route.

    targets   for values that are asked for, their places in the sink
    arrive    arrive(leaf, handle) takes the gradient of a leaf that cannot wait
    hooks     those of values, by number
    later     leaves without hooks, and their gradients, which arrive together: (leaf, handle, position, value)
    settled   values whose hooks have run, but whose step has not been passed
    rest      the cotangents that are left, if the user's code has ended the walk"""

    __slots__ = ("route", "walk", "targets", "arrive", "sink", "hooks", "later", "settled", "rest")

    def __init__(self, route: Route, w: Walk, targets: dict[int, list[int]], arrive, sink):
        self.route = route
        self.walk = w
        self.targets = targets
        self.arrive = arrive
        self.sink = sink
        self.hooks: dict[int, list] = {}
        self.later: list[tuple] = []
        self.settled: list[int] = []
        self.rest: dict[int, Tensor] | None = None
        for i, (_, hooks) in zip(route.hooked, w.hooked):
            self.hooks.setdefault(i, []).append(hooks)

    @translated
    def run(self, seeds: list[Tensor]) -> None:
        w = self.walk
        outer = w.arriving
        w.arriving = self.bring if outer is None else _both(outer, self.bring)
        try:
            self.go(seeds)
        finally:
            w.arriving = outer
            self.bring()

    @translated
    def go(self, seeds: list[Tensor]) -> None:
        route, w = self.route, self.walk
        grads: dict[int, Value] = {}
        for i, g in zip(route.roots, seeds):
            v = resolve(g, w)
            grads[i] = resolve(ACCUMULATE.call(fresh(grads[i], w), fresh(v, w)), w) if i in grads else v
        step, first = route.start, -1
        while grads:
            args = tuple(grads.values())
            static = (route, step, first, tuple(grads))
            nx = w.at.nxt
            if nx.op is BACKWARD_PART and nx.args == args and nx.static == static:
                w.at = nx
            else:
                nx = special(w, BACKWARD_PART, args, static, _values)
            values = (*nx.outs, *nx.args)
            for i, k in nx.aux.found:
                self.take(i, values[k])
            step = nx.aux.stop
            if step < 0:
                return
            before = w.flushes
            held = {i: fresh(values[k], w) for i, k in nx.aux.left}
            self.visit(step, held)
            for g in held.values():
                if g.is_sparse:  # no value of a walk
                    flush(w)
            if w.flushes != before:
                self.rest = held
                return
            grads = {i: resolve(g, w) for i, g in held.items()}
            if step in route.graph.objects:
                step, first = step - 1, -1
            else:
                first = step

    @translated
    def take(self, i: int, v: Value) -> None:
        """The cotangent of a leaf, or of what was asked for, is complete."""
        w = self.walk
        for k in self.targets.get(i, ()):
            self.sink.add(k, fresh(v, w))
        position = self.route.graph.leaves.get(i)
        if position is None:
            return
        leaf = w.leaves[position]
        if (
            self.sink is not None
            or type(leaf) is tuple
            or getattr(leaf, "_hooks", None) is not None
            or getattr(leaf, "_after_hooks", None) is not None
        ):
            self.arrive(leaf, fresh(v, w))
        else:
            self.later.append((leaf, fresh(v, w), position, v))

    @translated
    def visit(self, step: int, held: dict[int, Tensor]) -> None:
        """What the user's code does at a step to the cotangents of its results."""
        route = self.route
        graph = route.graph
        call = None
        if step in graph.objects:
            call = self.walk.inputs[graph.objects[step]]
        outs = graph.outs[step]
        given = [held.pop(o, None) for o in outs]
        self.settled = []
        if self.hooks or self.targets:
            self.settle(outs, given, call is None)
        if call is None:
            for o, g in zip(outs, given):
                if g is not None:
                    held[o] = g
            return
        if route.wanted is not None and step not in route.wanted:
            return
        got = call.run_backward(given)
        if not route.retain:
            call.ctx.release()
        for a, g in zip(graph.args[step], got):
            if g is not None and graph.rg[a]:
                g = fitting(g, graph.lays[a], call.function.__name__)
                held[a] = added(held[a], g) if a in held else g

    def settle(self, outs, given: list, again: bool) -> None:
        """Hooks see the cotangents of values, and what was asked for is found; `again` if the step itself is still to be passed."""
        for k, o in enumerate(outs):
            if given[k] is None:
                continue
            for hooks in self.hooks.get(o, ()):
                given[k] = run_hooks(hooks, given[k]) if isinstance(hooks, dict) else hooks(given[k])
            if again:
                self.settled.append(o)
                continue
            for place in self.targets.get(o, ()):
                self.sink.add(place, given[k])

    @translated
    def bring(self) -> None:
        """Leaves get the gradients that have arrived: in bundles, if all belong to some, and the walk has not ended meanwhile."""
        w, later = self.walk, self.later
        if not later:
            return
        self.later = []
        if self.rest is None and is_here(later[0][1], w):
            positions, values = tuple([x[2] for x in later]), tuple([x[3] for x in later])
            arrival = self.route.arrivals.get((positions, values))
            if arrival is None:
                arrival = self.route.arrivals[positions, values] = Arrival(positions, values)
            if receive(arrival, w):
                return
        for leaf, g, _, _ in later:
            deliver(leaf, g, {}, w)


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        first()
        second()

    return call
