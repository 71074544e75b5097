"""A compiled program whose steps are run, and timed, one at a time: for `explain` and the profiler.

It has the recipe, the rows and the machine code of the program that is run otherwise. Beyond them it knows where each
step came from, which compiling forgets."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

import numpy as np

from ..backends.numpy.interpreter import Program
from ..errors import Fallback
from ..ir.arrays import Node
from ..ir.graph import Graph
from ..ir.operation import Spec
from .build import Builder, CallStep, Recipe
from .expand import Expansion
from .group import Group
from .lower import Lowering
from .machine import NATIVE, Machine


class TracedPath(Lowering):
    """The lowering of a path that knows which edge each step of the graph came from."""

    def __init__(self, end):
        self.edges: list = []  # the trace's nodes, in order
        self.edge_of: list[int] = []  # for each step of the graph, a place among them
        super().__init__(end)

    def lower(self, n) -> None:
        super().lower(n)
        self.edge_of += [len(self.edges)] * (len(self.graph.specs) - len(self.edge_of))
        self.edges.append(n)


class TracedExpansion(Expansion):
    """The expansion of a graph that knows which step each array came from (the first of them: equal arrays are one)."""

    def __init__(self, graph: Graph, results, sizes=None):
        self.origin: dict[int, int] = {}  # node -> step of the graph
        self.nodes_of: dict[int, list[Node]] = {}  # step of the graph -> its results
        self.whole = graph
        super().__init__(graph, results, sizes)

    def _steps(self, graph: Graph, values: dict[int, Node]) -> None:
        if values is not self.values:
            super()._steps(graph, values)
            return
        nodes = self.arrays.nodes
        for spec, args, outs in zip(graph.specs, graph.args, graph.outs):
            before = len(nodes)
            made = self.apply(spec, [values[a] for a in args])
            values.update(zip(outs, made))
            step = self.whole.step_of[outs[0]]
            self.nodes_of[step] = made
            for n in nodes[before:]:
                self.origin[n.id] = step


class TracedBuilder(Builder):
    """The builder of a recipe that keeps what it found out."""

    expand = TracedExpansion
    expansion: TracedExpansion

    def __init__(self, graph: Graph, results, sizes=None):
        self.group_of: list[Group] = []  # for each step of the recipe
        super().__init__(graph, results, sizes)

    def _emit(self, g: Group) -> None:
        super()._emit(g)
        self.group_of += [g] * (len(self.recipe.steps) - len(self.group_of))

    def sources(self, g: Group) -> list[int]:
        """The steps of the graph that a group's members came from."""
        origin = self.expansion.origin
        return sorted({origin[n.id] for n in g.members if n.id in origin})

    def reason(self, spec: Spec) -> str:
        """Why a step stays a call."""
        why = self.expansion.reasons.get(spec)
        if why is None:
            return "it has an effect (random numbers, say)" if spec.effect else ""
        return str(why) or type(why).__name__

    def node_of(self) -> dict[int, Node]:
        """The array in each buffer, by the buffer's entry."""
        nodes = {n.id: n for n in self.expansion.arrays.nodes}
        return {b.entry: nodes[i] for i, b in self.buffer_of.items()}


class Stepwise(Machine):
    """A program, run a step at a time."""

    builder: TracedBuilder

    def __init__(self, graph: Graph, results, sizes=None):
        super().__init__(graph, results, sizes)
        self.times = [0] * len(self.recipe.steps)  # of the last run, in nanoseconds
        self.starts = [0] * len(self.recipe.steps)
        self.called: dict[int, np.ndarray] = {}  # what calls gave in the last run
        self.idle = self._description([], False)

    def build(self, graph: Graph, results, sizes=None) -> Recipe:
        self.builder = TracedBuilder(graph, results, sizes)
        return self.builder.recipe

    def _parts(self) -> list:
        """What enters, and then each step alone."""
        parts: list[Any] = [self._description([], True)]
        for s in self.recipe.steps:
            parts.append(s if isinstance(s, CallStep) else self._description([NATIVE[type(s)](s)], False))
        return parts

    def run(self, inputs: list, scalars: list) -> dict:
        """As Machine.run, with the clock beside it."""
        inputs, made = self._enter(inputs, scalars)
        called = self.called = {}
        for n, part in enumerate(self.parts[1:]):
            self.starts[n] = begin = perf_counter_ns()
            if type(part) is int:
                if self.go(part, inputs, scalars, made):
                    raise Fallback
            else:
                self._call(part, inputs, scalars, made, called)
            self.times[n] = perf_counter_ns() - begin
        return dict(zip(self.results, self._leaving(inputs, scalars, made, called)))

    def _enter(self, inputs: list, scalars: list) -> tuple[list, list]:
        """Puts inputs, numbers and new results in their places: inputs that lie as they should, results. Raises Fallback."""
        made = self._results(inputs, scalars)
        try:
            status = self.go(self.parts[0], inputs, scalars, made)
            if status == 2:
                inputs = self._side_by_side(inputs)
                status = self.go(self.parts[0], inputs, scalars, made)
        except OverflowError as e:
            raise Fallback from e
        if status:
            raise Fallback
        return inputs, made

    def measure(self, inputs: list, scalars: list, budget_s: float = 0.5, most: int = 200) -> list[float]:
        """After a run: the time of each step in seconds, the best of many runs on copies of the inputs. Calls with an
        effect (random numbers) are not run again."""
        inputs = [v.copy() if isinstance(v, np.ndarray) else v for v in inputs]
        best = list(self.times)
        idle = min([self._idle(inputs, scalars) for _ in range(200)])
        until = perf_counter_ns() + int(budget_s * 1e9)
        for _ in range(most):
            self._measure_once(*self._enter(inputs, scalars), scalars, idle, best)
            if perf_counter_ns() > until:
                break
        return [t * 1e-9 for t in best]

    def _measure_once(self, inputs: list, made: list, scalars: list, idle: int, best: list[int]) -> None:
        for n, part in enumerate(self.parts[1:]):
            if type(part) is int:
                begin = perf_counter_ns()
                self.go(part, inputs, scalars, made)
                taken = perf_counter_ns() - begin - idle
            elif not part.call.spec.effect:
                begin = perf_counter_ns()
                self._call(part, inputs, scalars, made, self.called)
                taken = perf_counter_ns() - begin
            else:
                continue
            best[n] = min(best[n], max(taken, 1))

    def _idle(self, inputs: list, scalars: list) -> int:
        """What calling no steps takes."""
        begin = perf_counter_ns()
        self.go(self.idle, inputs, scalars, [])
        return perf_counter_ns() - begin


def clocked(program: Program) -> tuple[Program, list[tuple[int, int]]]:
    """A program of the interpreter that writes down when each step began and how long it took, in nanoseconds."""
    times: list[tuple[int, int]] = []

    def clock(exe):
        def run(*operands):
            begin = perf_counter_ns()
            value = exe(*operands)
            times.append((begin, perf_counter_ns() - begin))
            return value

        return run

    copy = Program(program.graph, program.results)
    copy.steps = [(clock(exe), *rest) for exe, *rest in copy.steps]
    return copy, times
