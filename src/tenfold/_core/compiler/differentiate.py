"""Reverse mode on a Graph: gradients of its values, appended as steps to a Graph (the same one or another)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..ir.graph import Graph
from ..ir.operation import TENSOR, spec_of
from ..ir.special import ACCUMULATE, LEAF


def reverse(
    graph: Graph, seeds: dict[int, int], fetch: Callable[[int], int], into: Graph
) -> tuple[dict[int, int], set[int]]:
    """Cotangents of the leaves of `graph`, from cotangents `seeds` of some of its values.

    fetch(i) gives the number in `into` of value i of `graph`. Returns {leaf: its cotangent}, and the steps whose
    results or operands were read."""
    grads = dict(seeds)
    found: dict[int, int] = {}
    read: set[int] = set()
    pass_back(graph, grads, start_of(graph, seeds), fetch, into, found, read)
    for i, g in grads.items():
        if i in graph.leaves:
            found[i] = g
    return found, read


def start_of(graph: Graph, seeds: Iterable[int]) -> int:
    """The last step that makes one of these values."""
    return max([graph.step_of.get(i, -1) for i in seeds], default=-1)


def pass_back(
    graph: Graph,
    grads: dict[int, int],
    start: int,
    fetch,
    into: Graph,
    found: dict,
    read: set[int],
    route=None,
    first=-1,
) -> int:
    """Passes the steps from `start` on backwards. Takes the cotangents of their results out of `grads`, and puts in those of
    their operands; `found` gets those of leaves.

    With a route it stops at what the route stops at (but not at step `first`), and returns that step; else -1."""
    live = route is not None and route.create
    for s in range(start, -1, -1):
        outs = graph.outs[s]
        if all([o not in grads for o in outs]):
            continue
        if route is not None and s != first and s in route.stops:
            return s
        given = [grads.pop(o, None) for o in outs]
        if route is not None:
            found.update([(o, g) for o, g in zip(outs, given) if g is not None and o in route.targets])
        spec, args = graph.specs[s], graph.args[s]
        if spec.op is LEAF:
            found[outs[0]] = given[0]
            continue
        if route is not None and route.wanted is not None and s not in route.wanted:
            continue
        vjp = spec.vjp(tuple([graph.rg[a] for a in args]), tuple([g is not None for g in given]))
        if vjp.spec is None:
            continue
        if vjp.reads:
            read.add(s)
        cotangents = [g for g in given if g is not None]
        operands = tuple([pick(k, args, outs, cotangents, fetch) for k in vjp.picks])
        made = into.apply(vjp.spec, operands, live and any([into.rg[i] for i in operands]))
        for k, g in zip(vjp.wrt, made):
            a = args[k]
            grads[a] = add(into, grads[a], g, live) if a in grads else g
    return -1


def pick(k: int, args, outs, given, fetch) -> int:
    """Operand k of a Vjp: of the step's operands, results and cotangents."""
    if k < len(args):
        return fetch(args[k])
    k -= len(args)
    if k < len(outs):
        return fetch(outs[k])
    return given[k - len(outs)]


def add(graph: Graph, a: int, b: int, live: bool = False) -> int:
    spec = spec_of(ACCUMULATE, (graph.lays[a], graph.lays[b]), (TENSOR, TENSOR), (TENSOR, TENSOR))
    return graph.apply(spec, (a, b), live)[0]


class Route:
    """How reverse mode goes over a walk in parts: from one call of the user's code to the next.

    graph     of the path up to where it began
    roots     the values that it begins from
    start     its first step
    hooked    values that have hooks
    stops     steps of Functions, and those whose results have hooks
    asked     values whose cotangents are asked for; `targets` is the set of them
    wanted    the steps through which what is asked for is reached; None: all
    create    whether the cotangents get a history
    retain    whether the history that it passes may be passed again
    lowest    for each leaf, the first step that has it as an operand: its cotangent is complete before that"""

    __slots__ = (
        "graph",
        "roots",
        "start",
        "stops",
        "asked",
        "targets",
        "wanted",
        "create",
        "retain",
        "lowest",
        "hooked",
        "arrivals",
    )

    def __init__(self, graph: Graph, roots, hooked, targets, useful, create: bool, retain: bool):
        self.graph = graph
        self.roots: tuple[int, ...] = roots
        self.start = start_of(graph, roots)
        self.hooked: list[int] = hooked
        self.stops = frozenset([*graph.objects, *[graph.step_of[i] for i in hooked if i in graph.step_of]])
        self.asked: list[int] = targets
        self.targets = frozenset(targets)
        self.wanted = None if useful is None else reached(graph, {*useful, *targets})
        self.create = create
        self.retain = retain
        self.lowest: dict[int, int] = {}
        self.arrivals: dict = {}  # autograd/parts.py keeps them
        for s in range(len(graph.specs) - 1, -1, -1):
            for a in graph.args[s]:
                if a in graph.leaves:
                    self.lowest[a] = s

    def part(self, graph: Graph, grads: dict[int, int], start: int, first: int, fetch, into: Graph):
        """Goes on from a step to where the route stops. Returns that step, {leaf or target: cotangent}, and the steps whose
        results or operands were read; `grads` has what is left."""
        found: dict[int, int] = {}
        read: set[int] = set()
        stop = pass_back(graph, grads, start, fetch, into, found, read, self, first)
        for i in [i for i in grads if i in self.graph.leaves and self.lowest.get(i, stop + 1) > stop]:
            found[i] = grads.pop(i)
        return stop, found, read


class Part:
    """What the edge of a part of a route leads to.

    stop      the step at which the route goes on after the user's code; -1 at the end
    left      (value, result of the edge; below 0: operand, counted from the end) of the cotangents that are left
    found     the same of leaves and targets, in the order in which they were reached
    names     of each result, the operation that made it"""

    __slots__ = ("stop", "left", "found", "names", "results")

    def __init__(self, stop: int, left: list, found: list, results: list, names: list):
        self.stop, self.left, self.found, self.results, self.names = stop, left, found, results, names


def reached(graph: Graph, useful: set[int]) -> set[int]:
    """The steps through which one of these values is reached."""
    steps = set()
    for s, (args, outs) in enumerate(zip(graph.args, graph.outs)):
        if not useful.isdisjoint(args):
            steps.add(s)
            useful.update(outs)
    return steps


def needed_for_reverse(graph: Graph, roots: Iterable[int]) -> dict[int, set[int]]:
    """The steps that reverse mode from any of `roots` would pass, and the values that each would read."""
    found: dict[int, set[int]] = {}
    todo = set(roots)
    for s in range(len(graph.specs) - 1, -1, -1):
        outs = graph.outs[s]
        present = tuple([o in todo for o in outs])
        if not any(present):
            continue
        reads = found[s] = set()
        spec, args = graph.specs[s], graph.args[s]
        if spec.op is LEAF or s in graph.objects:
            todo.update(a for a in args if graph.rg[a] and s in graph.objects)
            continue
        if spec.op.gradient is None and spec.graph is None:  # it has no derivative: a backward through it will say so
            continue
        needs = tuple([graph.rg[a] for a in args])
        for pattern in patterns(present):  # a later backward may come from some of the results only
            vjp = spec.vjp(needs, pattern)
            for k in vjp.picks:
                if k < len(args):
                    reads.add(args[k])
                elif k < len(args) + len(outs):
                    reads.add(outs[k - len(args)])
            todo.update(args[k] for k in vjp.wrt)
        read_too = tuple([p or (o in reads and graph.rg[o]) for p, o in zip(present, outs)])
        if read_too != present:  # a gradient of the gradient may come from results that the gradient reads
            reads.update(outs[k - len(args)] for k in spec.vjp(needs, read_too).picks if 0 <= k - len(args) < len(outs))
            reads.update(args[k] for k in spec.vjp(needs, read_too).picks if k < len(args))
    return found


def used_up(graph: Graph) -> set[int]:
    """The values from which reverse mode would pass a step whose history a backward has used up."""
    gone: set[int] = set()
    rg, used = graph.rg, graph.used
    for s, (spec, args, outs) in enumerate(zip(graph.specs, graph.args, graph.outs)):
        if s in used:
            gone.update(outs)
            continue
        if gone.isdisjoint(args) or spec.op is LEAF:
            continue
        if s in graph.objects:
            gone.update(outs)
            continue
        if spec.op.gradient is None and spec.graph is None:
            continue
        needs = tuple([rg[a] for a in args])
        for j, (o, open_) in enumerate(zip(outs, spec.deps)):
            if rg[o] and not gone.isdisjoint([args[k] for k in open_]):
                passes = spec.vjp(needs, tuple([i == j for i in range(len(outs))])).wrt
                if not gone.isdisjoint([args[k] for k in passes]):
                    gone.add(o)
    return gone


def patterns(present: tuple[bool, ...]) -> set[tuple[bool, ...]]:
    if sum(present) < 2:
        return {present}
    return {present} | {tuple([j == i for j in range(len(present))]) for i, p in enumerate(present) if p}
