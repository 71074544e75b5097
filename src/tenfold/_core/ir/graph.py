"""Graph: what is computed, step by step; values are numbered from 0.

A value comes from a step, or is a source: an input (an array, by its position among the inputs of the walk or the
arguments of a body), a scalar (by position), or a constant."""

from __future__ import annotations

from typing import Any

from .operation import Spec
from .shapes import Layout


class Graph:
    """Steps (spec, operands, results) in order, over numbered values."""

    __slots__ = (
        "lays", "rg", "specs", "args", "outs", "step_of", "inputs", "scalars", "consts", "leaves", "used", "objects", "passed", "_masks",
    )  # fmt: skip

    def __init__(self):
        self.lays: list[Layout | None] = []
        self.rg: list[bool] = []  # does the value have a history?
        self.specs: list[Spec] = []
        self.args: list[tuple[int, ...]] = []
        self.outs: list[tuple[int, ...]] = []
        self.step_of: dict[int, int] = {}  # value -> the step that makes it
        self.inputs: dict[int, int] = {}  # value -> position
        self.scalars: dict[int, int] = {}
        self.consts: dict[int, Any] = {}
        self.leaves: dict[int, int] = {}  # value -> position among the leaves of the walk
        self.used: set[int] = set()  # steps whose history a backward has used up
        self.objects: dict[int, int] = {}  # step of an autograd.Function -> position of its context
        self.passed: dict[tuple, dict[int, set[int]]] = {}  # trace.history.passed_from keeps its answers
        self._masks: dict[int, int] | None = None

    def value(self, lay: Layout | None, rg: bool = False) -> int:
        self.lays.append(lay)
        self.rg.append(rg)
        return len(self.lays) - 1

    def input(self, position: int, lay: Layout | None, rg: bool = False) -> int:
        i = self.value(lay, rg)
        self.inputs[i] = position
        return i

    def scalar(self, position: int, lay: Layout) -> int:
        i = self.value(lay)
        self.scalars[i] = position
        return i

    def const(self, value, lay: Layout) -> int:
        i = self.value(lay)
        self.consts[i] = value
        return i

    def emit(self, spec: Spec, args: tuple[int, ...], rg=()) -> tuple[int, ...]:
        """Appends a step; rg says which results have a history (none by default)."""
        outs = tuple([self.value(l, r) for l, r in zip(spec.outs, rg or (False,) * len(spec.outs))])
        s = len(self.specs)
        self.specs.append(spec)
        self.args.append(args)
        self.outs.append(outs)
        for o in outs:
            self.step_of[o] = s
        return outs

    def inline(self, inner: Graph, args: tuple[int, ...], results: tuple[int, ...], grad: bool) -> tuple[int, ...]:
        """Appends the steps of a body; `args` are its inputs. Returns the ids of its results."""
        ids: dict[int, int] = {}
        for i, p in inner.inputs.items():
            ids[i] = args[p]
        for i, v in inner.consts.items():
            ids[i] = self.const(v, inner.lays[i])
        for spec, ins, outs in zip(inner.specs, inner.args, inner.outs):
            given = tuple([ids[a] for a in ins])
            live = grad and any([self.rg[a] for a in given]) and any([inner.rg[o] for o in outs])
            made = self.apply(spec, given, live)
            for o, m in zip(outs, made):
                ids[o] = m
        return tuple([ids[r] for r in results])

    def apply(self, spec: Spec, args: tuple[int, ...], live: bool) -> tuple[int, ...]:
        """Appends an operation: as one step, or, where its gradient is that of its composition and is wanted, by its parts."""
        live = live and spec.op.differentiable
        if live and spec.graph is not None and spec.op.gradient is None:
            return self.inline(spec.graph, args, spec.results, True)
        if not live:
            return self.emit(spec, args)
        rg = self.rg
        return self.emit(
            spec,
            args,
            tuple([l.differentiable and any([rg[args[j]] for j in d]) for l, d in zip(spec.outs, spec.deps)]),
        )

    def dependencies(self, results: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """For each result, the inputs (by position) that a gradient flows back to."""
        flows: dict[int, int] = {i: 1 << p for i, p in self.inputs.items()}
        for spec, args, outs in zip(self.specs, self.args, self.outs):
            if not spec.op.differentiable:
                continue
            for o, d in zip(outs, spec.deps):
                if self.rg[o]:
                    mask = 0
                    for j in d:
                        mask |= flows.get(args[j], 0)
                    flows[o] = mask
        found = []
        for r in results:
            mask = flows.get(r, 0)
            found.append(tuple([p for p in range(mask.bit_length()) if mask >> p & 1]))
        return tuple(found)

    def leaf_mask(self, value: int) -> int:
        """The leaves that a value depends on: a bit for the position of each."""
        if self._masks is None:
            self._masks = self.spread({i: 1 << p for i, p in self.leaves.items()})
        return self._masks.get(value, 0)

    def spread(self, masks: dict[int, int]) -> dict[int, int]:
        """The masks of all values that have a history, from those of some."""
        for spec, args, outs in zip(self.specs, self.args, self.outs):
            for o, d in zip(outs, spec.deps):
                if self.rg[o] and o not in masks:
                    masks[o] = 0
                    for j in d:
                        masks[o] |= masks.get(args[j], 0)
        return masks

    def pruned(self, results: tuple[int, ...]) -> Graph:
        """The graph without what neither a result nor an effect needs; values keep their numbers."""
        needed = set(results)
        keep = []
        for s in range(len(self.specs) - 1, -1, -1):
            if self.specs[s].effect or not needed.isdisjoint(self.outs[s]):
                keep.append(s)
                needed.update(self.args[s])
        keep.reverse()
        out = Graph()
        out.lays, out.rg = self.lays, self.rg
        out.specs = [self.specs[s] for s in keep]
        out.args = [self.args[s] for s in keep]
        out.outs = [self.outs[s] for s in keep]
        out.step_of = {o: n for n, s in enumerate(keep) for o in self.outs[s]}
        out.inputs = {i: p for i, p in self.inputs.items() if i in needed}
        out.scalars = self.scalars
        out.consts = {i: v for i, v in self.consts.items() if i in needed}
        return out

    def text(self) -> str:
        """The steps, to read."""
        lines = [f"%{i} = input {p} {self.lays[i]!r}" for i, p in self.inputs.items()]
        lines += [f"%{i} = scalar {p} {self.lays[i]!r}" for i, p in self.scalars.items()]
        lines += [f"%{i} = {v!r}" for i, v in self.consts.items()]
        for spec, args, outs in zip(self.specs, self.args, self.outs):
            left = ", ".join(f"%{o}" for o in outs)
            lines.append(
                f"{left} = {spec.op.name}({', '.join(f'%{a}' for a in args)}) -> {', '.join(map(repr, spec.outs))}"
            )
        return "\n".join(lines)
