"""What a profile records: spans of time, from programs that run a step at a time, and from ranges that the program names.

A compiled step belongs to one or more operations: its span has theirs inside, each with its share of the scalar
operations. A range (`record_function`) begins and ends with a walk of its own, so that what was called in it is computed
in it; a walk whose results nobody holds is computed for the sake of its last one, as it would be in PyTorch."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

from ..compiler.explain import SILENT, Line, Parts, compiled
from ..compiler.stepwise import Stepwise, clocked
from ..errors import Fallback
from ..random import engine
from .control import end_walk
from .handle import Walk, counts, fresh, tls
from .watch import as_usual, is_settled


@dataclass
class Span:
    """A stretch of time, in nanoseconds.

    kind    "range" (named by the program), "program", "kernel" (a step of a program), "operation"
    count   1; 0 where an operation goes on that has been counted before in the same program"""

    name: str
    kind: str
    begin: int
    end: int
    thread: int
    count: int = 1
    shapes: list = field(default_factory=list)
    line: Line | None = None
    nbytes: int = 0
    flops: int = 0


@dataclass
class _Known:
    """How a plan is run while it is recorded."""

    run: Any  # a Stepwise, or a Program with a clock
    times: Any
    steps: list  # of a compiled program: (name, flops, [(label, share)]); else labels
    facts: dict
    nbytes: int


class Recorder:
    """Runs the programs of a thread a step at a time, and writes down spans while `recording`."""

    def __init__(self):
        self.spans: list[Span] = []
        self.recording = False
        self.known: dict[Any, _Known] = {}
        self.before: Any = None
        self.walk: Walk | None = None

    # --- on and off --------------------------------------------------------------------------------------------------

    def attach(self) -> None:
        """From now on this thread's programs are run here."""
        end_walk()
        w = self.walk = tls.walk
        self.before = w.runner
        w.runner = self.run
        _active.append(self)

    def detach(self) -> None:
        if self.walk is not None:
            self.walk.runner = self.before
            self.walk = None
            _active.remove(self)

    def add(self, name: str, kind: str, begin: int, end: int, **more) -> None:
        self.spans.append(Span(name, kind, begin, end, threading.get_ident(), **more))

    # --- programs ------------------------------------------------------------------------------------------------------

    def run(self, plan, w: Walk) -> tuple:
        if not is_settled(plan):
            begin = perf_counter_ns()
            plan.visit(w)
            if self.recording and plan.machine is not None:
                self.add("compiling", "program", begin, perf_counter_ns())
        found = self.known.get(plan)
        if found is None or isinstance(found.run, Stepwise) is not (plan.machine is not None):
            begin = perf_counter_ns()
            found = self.known[plan] = self._prepared(plan, w)
            if self.recording:
                self.add("preparing the profile", "program", begin, perf_counter_ns())
        begin = perf_counter_ns()
        if not isinstance(found.run, Stepwise):
            found.times.clear()
            env = found.run.run(w.inputs, w.scalars)
            if self.recording:
                self._interpreted(found, begin, perf_counter_ns())
            return plan.told(env)
        try:
            env = found.run.run(w.inputs, w.scalars)
        except Fallback:  # the interpreter says what is wrong, and where
            engine.put_back()
            return as_usual(plan, w)
        if self.recording:
            self._compiled(found, begin, perf_counter_ns())
        return plan.told(env)

    def _prepared(self, plan, w: Walk) -> _Known:
        end, graph = w.at, plan.graph
        parts = Parts(end, graph)
        if plan.machine is None:
            program, times = clocked(plan.program)
            labels = [(parts.names([s]) or ["read (0)"])[0] for s in program.order]
            nbytes = [sum(l.nbytes for l in graph.specs[s].outs if not l.number) for s in program.order]
            return _Known(program, times, list(zip(labels, nbytes)), parts.facts(program.order), sum(nbytes))
        stepwise = Stepwise(graph, plan.program.results, plan.machine.sizes)
        path = compiled(end, graph, stepwise, [0.0] * len(stepwise.recipe.steps))
        steps = []
        for s in path.steps:
            name = f"{s.kind} {'+'.join(dict.fromkeys([_plain(n) for n in s.names]))}".rstrip()
            steps.append((name, s.flops, list(s.shares.items())))
        return _Known(stepwise, None, steps, parts.facts(range(len(graph.specs))), path.memory("result"))

    def _interpreted(self, found: _Known, begin: int, end: int) -> None:
        self.add("interpreted program", "program", begin, end)
        seen: set[str] = set()
        for (label, nbytes), (at, taken) in zip(found.steps, found.times):
            self._operation(label, at, at + taken, found, seen, nbytes=nbytes)

    def _compiled(self, found: _Known, begin: int, end: int) -> None:
        self.add("compiled program", "program", begin, end, nbytes=found.nbytes)
        stepwise = found.run
        seen: set[str] = set()
        for (name, flops, shares), at, taken in zip(found.steps, stepwise.starts, stepwise.times):
            self.add(name, "kernel", at, at + taken)
            part = at
            for k, (label, share) in enumerate(shares):
                stop = at + taken if k == len(shares) - 1 else part + int(taken * share)
                self._operation(label, part, stop, found, seen, flops=flops if k == 0 else 0)
                part = stop

    def _operation(self, label: str, begin: int, end: int, found: _Known, seen: set[str], **more) -> None:
        shapes, line = found.facts.get(label, ([], None))
        count = int(label not in seen)
        seen.add(label)
        self.add(f"aten::{_plain(label)}", "operation", begin, end, count=count, shapes=shapes, line=line, **more)


def _plain(label: str) -> str:
    """relu (2) -> relu"""
    return label.rpartition(" (")[0]


_active: list[Recorder] = []


def active() -> Recorder | None:
    """The recorder that runs this thread's programs."""
    w = tls.walk
    return next((r for r in reversed(_active) if r.walk is w), None)


def end_range() -> None:
    """Computes what was called so far; where nobody holds any of it, its last result."""
    w = tls.walk
    if w.body or w.at.parent is None:
        return
    keep, storages = w.keep, w.storages
    alive = any([c > 0 and t._st is None for t, c in zip(keep, counts(keep))])
    dirty = any([s.val is not s.was and (c > 0 or s.exported) for s, c in zip(storages, counts(storages))])
    n = w.at
    alive = alive or dirty or bool(w.writes) or any([g._val is not None for g in w.grads])
    while not alive and n.parent is not None:
        if n.op not in SILENT and n.out is not None and not n.out.lay.number:
            held = fresh(n.out, w)  # noqa: F841  a reference is what makes the flush compute it
            break
        n = n.parent
    end_walk()
