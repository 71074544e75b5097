"""Specs to functions of arrays, and graphs to programs of such functions.

In here a value is an ndarray of its layout's shape in the dtype's memory format; its strides may be others than the
layout's (`flatten` puts that right where memory becomes a storage). Numbers stay Python numbers."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ...ir import operation
from ...ir.dtypes import decode, encode
from ...ir.graph import Graph
from ...ir.operation import TENSOR, Primitive, Spec, fill
from ...ir.special import ACCUMULATE, UNREAD, added_in_place, convert, strided


def make_exe(spec: Spec) -> Callable:
    if spec.graph is not None:
        return Program(spec.graph, spec.results).function(len(spec.outs) if spec.tree is not None else None)
    op = spec.op
    if not isinstance(op, Primitive):
        raise NotImplementedError(f"{op.name} cannot be computed by the interpreter")
    if op.kernel is not None:
        return _convert_halves(op.kernel(spec), spec) if not op.raw else op.kernel(spec)
    fn = op.fn
    static = spec.static
    if all(x is TENSOR for x in static):
        run = fn
    else:

        def run(*operands):
            return op.invoke(fill(static, operands))

    return run if op.raw else _convert_halves(run, spec)


def _convert_halves(run: Callable, spec: Spec) -> Callable:
    """Half types come in as float32 and go out rounded; results get the dtypes that the rule says."""
    targets = [(l.dtype, l.dtype.half, l.dtype.np) for l in spec.outs]
    halves = [(i, l.dtype) for i, l in enumerate(spec.lays) if l.dtype.half and not l.number]
    single = spec.tree is None

    def finish(value, target):
        d, half, np_dtype = target
        if half:
            return encode(value, d)
        return value if value.dtype == np_dtype else convert(value, np_dtype)

    if single:
        target = targets[0]
        _, half, np_dtype = target
        if spec.outs[0].number:
            return lambda *operands: (lambda v: v.item() if isinstance(v, (np.ndarray, np.generic)) else v)(
                run(*operands)
            )
        if not halves and not half:

            def plain(*operands):
                value = run(*operands)
                return value if value.dtype == np_dtype else convert(value, np_dtype)

            return plain

    def wrapped(*operands):
        if halves:
            operands = list(operands)
            for i, h in halves:
                operands[i] = decode(operands[i], h)
        value = run(*operands)
        if single:
            return finish(value, targets[0])
        return tuple([finish(v, t) for v, t in zip(value, targets)])

    return wrapped


def only_step(spec: Spec, args: tuple[int, ...]) -> tuple[Spec, tuple[int, ...]]:
    """The one operation that a composition consists of, and its operands, where it is no more than that."""
    while spec.graph is not None:
        graph = spec.graph
        if len(graph.specs) != 1 or graph.outs[0] != spec.results or not graph.inputs.keys() >= set(graph.args[0]):
            break
        args = tuple([args[graph.inputs[a]] for a in graph.args[0]])
        spec = graph.specs[0]
    return spec, args


class Program:
    """A graph, cut down to what its results need, as a list of calls; values are dropped after their last use."""

    __slots__ = ("steps", "loads", "results", "consts", "size", "graph", "order")

    def __init__(self, graph: Graph, results: Sequence[int]):
        needed = set(results)
        order = []
        args, outs, specs = graph.args, graph.outs, graph.specs
        for s in range(len(specs) - 1, -1, -1):
            if specs[s].effect or not needed.isdisjoint(outs[s]):
                order.append(s)
                needed.update(args[s])
        order.reverse()
        last: dict[int, int] = {}
        for n, s in enumerate(order):
            for a in args[s]:
                last[a] = n
        kept = set(results)
        self.steps = []
        steps: list[Spec] = []
        for n, s in enumerate(order):
            free = [a for a in set(args[s]) if last[a] == n and a not in kept]
            free += [o for o in outs[s] if o not in last and o not in kept]
            spec, given = only_step(specs[s], args[s])
            steps.append(spec)
            self.steps.append((spec.exe, given, outs[s] if spec.tree is not None else outs[s][0], free))
        self.loads = [(i, p) for i, p in graph.inputs.items() if i in needed]
        self.loads += [(i, -1 - p) for i, p in graph.scalars.items() if i in needed]
        self.consts = {i: v for i, v in graph.consts.items() if i in needed}
        self.results = tuple(results)
        self.graph = graph
        self.order = order
        self._add_in_place(steps, kept)

    def _add_in_place(self, specs: list[Spec], kept: set[int]) -> None:
        """Cotangents of many views of one array (the steps of a sequence) are added where the views lie, to one array,
        instead of each in an array of its size."""
        uses = Counter(a for _, args, _, _ in self.steps for a in args)
        once = {i for i, n in uses.items() if n == 1} - kept
        own: set[int] = set()  # values whose memory nobody else has
        unread: dict[int, int] = {}  # the steps that make cotangents of views
        for n, (spec, (exe, args, out, free)) in enumerate(zip(specs, self.steps)):
            if spec.op is UNREAD:
                if added_in_place(spec):
                    unread[out] = n
                if spec.static[3].numel < spec.lays[1].numel:
                    own.add(out)
            elif spec.op is ACCUMULATE:
                own.add(out)
                a, b = args
                if a in own and b in unread and a in once and b in once:
                    m = unread[b]
                    alone, operands, _, freed = self.steps[m]
                    self.steps[m] = (_operands, operands, b, freed)
                    self.steps[n] = (functools.partial(_add_where_read, specs[m], alone, exe), args, out, free)

    def run(self, inputs, scalars) -> dict:
        """All values that are still there at the end, by number."""
        env = dict(self.consts)
        lays = self.graph.lays
        for i, p in self.loads:
            if p < 0:
                env[i] = scalars[-1 - p]
                continue
            value = inputs[p]
            lay = lays[i]
            if not lay.flat and not lay.number and value.shape != lay.shape:  # memory of a storage
                value = strided(value, lay, 0)
            env[i] = value
        with np.errstate(all="ignore"):  # infinities and NaN are values here
            for n, (exe, args, outs, free) in enumerate(self.steps):
                try:
                    value = exe(*[env[a] for a in args])
                except Exception as e:
                    raise StepFailed(n, env, e) from e
                if type(outs) is int:
                    env[outs] = value
                else:
                    env.update(zip(outs, value))
                for a in free:
                    del env[a]
        return env

    def function(self, count: int | None) -> Callable:
        """The program as a function of its inputs, for a composition."""
        steps, loads, consts, results = self.steps, self.loads, self.consts, self.results

        def run(*operands):
            env = dict(consts)
            for i, p in loads:
                env[i] = operands[p]
            for exe, args, outs, free in steps:
                value = exe(*[env[a] for a in args])
                if type(outs) is int:
                    env[outs] = value
                else:
                    env.update(zip(outs, value))
                for a in free:
                    del env[a]
            return tuple([env[r] for r in results])

        if count is None:
            one = results[0]

            def single(*operands):
                env = dict(consts)
                for i, p in loads:
                    env[i] = operands[p]
                for exe, args, outs, free in steps:
                    value = exe(*[env[a] for a in args])
                    if type(outs) is int:
                        env[outs] = value
                    else:
                        env.update(zip(outs, value))
                    for a in free:
                        del env[a]
                return env[one]

            return single
        return run


def _operands(*operands):
    return operands


def _add_where_read(spec: Spec, unread: Callable, add: Callable, total, operands):
    """total + unread(*operands), in the memory of `total` where that lies in order."""
    if type(total) is not np.ndarray or not total.flags.c_contiguous:
        return add(total, unread(*operands))
    g, _, offset = operands
    strided(total.reshape(-1), spec.static[3], offset)[...] += g
    return total


class StepFailed(Exception):
    """A step raised: which one, what had been computed before it, and what it raised."""

    def __init__(self, step: int, env: dict, error: Exception):
        super().__init__(step)
        self.step, self.env, self.error = step, env, error


operation.make_exe = make_exe
