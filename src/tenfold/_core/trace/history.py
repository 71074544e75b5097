"""What a later backward needs of a path: the steps that lead back from the values that are still there to the leaves.

Skeletons of histories are shared: two paths whose steps back are the same have one, numbered from 0, so that the
edge of a later backward is the same edge, whatever else was on the way."""

from __future__ import annotations

from typing import Any

from ..compiler.differentiate import needed_for_reverse, used_up
from ..ir.graph import Graph
from ..ir.operation import freeze

MAX_SKELETONS = 4096
_skeletons: dict[tuple, Graph] = {}


class Past:
    """The history part of a plan.

    graph     the shared skeleton
    number    value of the plan's graph -> its number in the skeleton
    saved     values of the plan's graph whose arrays reverse mode reads
    leaves    for each leaf of the skeleton, its position among the leaves of the walk
    objects   for each step of a Function in the skeleton, the position of its context among the inputs
    dead      numbers whose history a backward has used up"""

    __slots__ = ("graph", "number", "saved", "leaves", "objects", "dead")

    def __init__(self, graph: Graph, roots: list[int]):
        self.number: dict[int, int] = {}
        self.leaves: list[int] = []
        self.objects: dict[int, int] = {}
        reads, steps, dead = _reach(graph, roots)
        self.saved = sorted(i for i in reads if i not in graph.consts)
        small = self._extract(graph, sorted(steps), roots)
        self.graph = _shared(small, len(self.leaves))
        self.saved.sort(key=self.number.__getitem__)  # the same order for all that share the skeleton
        self.dead = {self.number[i] for i in dead}

    def _extract(self, graph: Graph, steps: list[int], roots: list[int]) -> Graph:
        small = Graph()
        number = self.number

        def value(i: int) -> int:
            n = number.get(i)
            if n is None:
                n = number[i] = small.value(graph.lays[i], graph.rg[i])
                if i in graph.consts:
                    small.consts[n] = graph.consts[i]
                if i in graph.leaves:
                    small.leaves[n] = self._leaf(graph.leaves[i])
            return n

        for s in steps:
            args = tuple([value(a) for a in graph.args[s]])
            outs = tuple([value(o) for o in graph.outs[s]])
            k = len(small.specs)
            small.specs.append(graph.specs[s])
            small.args.append(args)
            small.outs.append(outs)
            for o in outs:
                small.step_of[o] = k
            if s in graph.objects:
                self.objects[k] = graph.objects[s]
        for i in roots:
            value(i)
        return small

    def _leaf(self, position: int) -> int:
        if position not in self.leaves:
            self.leaves.append(position)
        return self.leaves.index(position)


def _reach(graph: Graph, roots: list[int]) -> tuple[set[int], set[int], set[int]]:
    """What reverse mode from the roots reads, the steps that it passes, and the roots whose history is used up."""
    dead = used_up(graph).intersection(roots) if graph.used else set()
    found = needed_for_reverse(graph, [i for i in roots if i not in dead])
    return set().union(*found.values()), set(found), dead


def passed_from(graph: Graph, ids: tuple[int, ...]) -> dict[int, set[int]]:
    """The steps of a skeleton that reverse mode from these values passes, and the saved values that each reads."""
    found = graph.passed.get(ids)
    if found is None:
        needed = needed_for_reverse(graph, ids)
        found = graph.passed[ids] = {s: reads.difference(graph.consts) for s, reads in needed.items()}
    return found


def _shared(small: Graph, leaves: int) -> Graph:
    """The one skeleton with these steps."""
    consts: Any = tuple([(n, freeze(v)) for n, v in small.consts.items()])
    key = (
        tuple(small.specs), tuple(small.args), tuple(small.outs), tuple(small.lays), tuple(small.rg), tuple(small.leaves.items()), consts, leaves,
    )  # fmt: skip
    found = _skeletons.get(key)
    if found is None:
        if len(_skeletons) >= MAX_SKELETONS:
            for old in list(_skeletons)[: MAX_SKELETONS // 4]:
                del _skeletons[old]
        found = _skeletons[key] = small
    return found
