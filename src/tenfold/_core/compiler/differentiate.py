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
    start = max([graph.step_of.get(i, -1) for i in seeds], default=-1)
    for s in range(start, -1, -1):
        outs = graph.outs[s]
        given = [grads.pop(o, None) for o in outs]
        if all(g is None for g in given):
            continue
        spec, args = graph.specs[s], graph.args[s]
        if spec.op is LEAF:
            found[outs[0]] = given[0]
            continue
        vjp = spec.vjp(tuple([graph.rg[a] for a in args]), tuple([g is not None for g in given]))
        if vjp.spec is None:
            continue
        if vjp.reads:
            read.add(s)
        cotangents = [g for g in given if g is not None]
        operands = [pick(k, args, outs, cotangents, fetch) for k in vjp.picks]
        made = into.emit(vjp.spec, tuple(operands))
        for k, g in zip(vjp.wrt, made):
            a = args[k]
            grads[a] = add(into, grads[a], g) if a in grads else g
    for i, g in grads.items():
        if i in graph.leaves:
            found[i] = g
    return found, read


def pick(k: int, args, outs, given, fetch) -> int:
    """Operand k of a Vjp: of the step's operands, results and cotangents."""
    if k < len(args):
        return fetch(args[k])
    k -= len(args)
    if k < len(outs):
        return fetch(outs[k])
    return given[k - len(outs)]


def add(graph: Graph, a: int, b: int) -> int:
    return graph.emit(spec_of(ACCUMULATE, (graph.lays[a], graph.lays[b]), (TENSOR, TENSOR), (TENSOR, TENSOR)), (a, b))[
        0
    ]


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


def patterns(present: tuple[bool, ...]) -> set[tuple[bool, ...]]:
    if sum(present) < 2:
        return {present}
    return {present} | {tuple([j == i for j in range(len(present))]) for i, p in enumerate(present) if p}
