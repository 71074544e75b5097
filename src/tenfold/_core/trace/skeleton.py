"""Paths that differ in sizes alone have one plan: the skeleton of a path is its edges with sizes as unknowns.

A skeleton is planned and compiled with those sizes as unknowns that have differed (ir/sizes.py, compiler/rebind.py), in
the background, and used from a fixed visit on; then a path with sizes never seen before runs compiled at its first
visit, without being planned. Which numbers a run gives depends on the order of its paths alone, never on time."""

from __future__ import annotations

import threading
from typing import Any

from .. import config
from ..ir.dtypes import dtype
from ..ir.operation import TENSOR, Spec, freeze
from ..ir.shapes import Layout, Size, layout
from ..ir.sizes import Dim
from ..ir.special import BACKWARD_FROM, CUSTOM, ENTER_ALL, ENTRY, MODE
from .handle import Node, Value

SHORTEST = 12  # edges of a path that has a skeleton: below that, planning costs little
START, READY = 4, 8  # visits of a skeleton at which compiling begins, and from which on the compiled program is used
MOST_TEMPLATES = 6  # of a skeleton: each for the sizes that keep its guards
MOST_SKELETONS = 1024
KEPT = 6  # paths of a skeleton that are remembered, one of which checks a program
MOST_VARYING = 16  # sizes of a path that are unknown


class Unreadable(Exception):
    """A path whose sizes cannot be told from the rest of it."""


SIZE = object()  # in the place of a size


class Reader:
    """What a path is but for its sizes, and its sizes as they come."""

    def __init__(self):
        self.key: list = []
        self.sizes: list[int] = []

    def size(self, n: int) -> None:
        """0, 1 and what is below are part of the path."""
        if n > 1:
            self.sizes.append(n)
            self.key.append(SIZE)
        else:
            self.key.append(n)

    def read(self, x) -> None:
        kind = type(x)
        if kind is int:
            self.size(x)
        elif kind is Layout:
            self.layout(x)
        elif kind is tuple or kind is list or kind is Size:
            self.key += (kind, len(x))
            for y in x:
                self.read(y)
        elif kind is slice:
            self.key.append(slice)
            for y in (x.start, x.stop, x.step):
                self.read(y)
        elif x is None or x is TENSOR or kind in (bool, float, str, complex, dtype):
            self.key.append(freeze(x))
        else:
            raise Unreadable(kind)

    def layout(self, lay: Layout) -> None:
        if lay.number or lay.flat:
            self.key.append(lay)
            return
        self.key += (lay.dtype, lay.device, lay.ndim, lay.plain)
        for n in lay.shape:
            self.size(n)
        if not lay.plain:
            for n in lay.strides:
                self.size(n)

    def value(self, v: Value) -> None:
        if v.node is None:
            self.key.append(v.lay)
        elif v.base is None:
            self.key += (v.node.depth, v.k)
        else:
            self.key.append("view")
            self.value(v.base)
            self.size(v.off)
            self.layout(v.lay)


def path(end: Node) -> list[Node]:
    """The nodes from the first to the end."""
    nodes = []
    n: Node | None = end
    while n is not None and n.parent is not None:
        nodes.append(n)
        n = n.parent
    nodes.reverse()
    return nodes


class Met:
    """A path that was met: its end, what was asked there, its sizes, and the lengths of inputs that may have any."""

    __slots__ = ("end", "values", "sizes", "lengths")

    def __init__(self, end: Node, values: tuple[Value, ...], sizes: tuple[int, ...], lengths: dict[int, int]):
        self.end, self.values, self.sizes, self.lengths = end, values, sizes, lengths


def read(end: Node, values: tuple[Value, ...], inputs: list) -> tuple[tuple, list[int], dict[int, int]]:
    """A path with what is asked of it, but for its sizes; its sizes; the lengths of inputs that may have any. Raises
    Unreadable."""
    lengths: dict[int, int] = {}
    r = Reader()
    key = r.key
    for n in path(end):
        op = n.op
        key.append(op)
        if op is ENTER_ALL or op is MODE:
            key += n.static
            continue
        if op is BACKWARD_FROM or op is CUSTOM:
            raise Unreadable(op)
        if op is ENTRY:
            lay = n.static[0]
            if lay.flat:
                lengths[n.nin - 1] = inputs[n.nin - 1].size
                r.size(inputs[n.nin - 1].size)
        for v in n.args:
            r.value(v)
        for x in n.static:
            r.read(x)
    for v in values:
        r.value(v)
    return tuple(key), r.sizes, lengths


def numbered(sizes: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(the number of each size, sizes by number): equal ones are one."""
    found: dict[int, int] = {}
    pattern = tuple([found.setdefault(n, len(found)) for n in sizes])
    return pattern, tuple(found)


def as_numbered(sizes: list[int], pattern: tuple[int, ...]) -> tuple[int, ...] | None:
    """The sizes by the numbers that they have on another path, where two may be equal by chance; None where they differ
    although they are one there."""
    found: dict[int, int] = {}
    for k, n in zip(pattern, sizes, strict=True):
        if found.setdefault(k, n) != n:
            return None
    return tuple([found[k] for k in range(len(found))])


class Unknown:
    """A path again, with unknown sizes: its nodes, as Lowering takes them."""

    def __init__(self, met: Met, dims: dict[int, Dim]):
        self.dims = dims
        self.made: dict[Value, Value] = {}
        self.end = Node("root", (), (), None, None, None)  # type: ignore[arg-type]
        for n in path(met.end):
            self.end = self.node(n, self.end)
        self.values = tuple([self.value(v) for v in met.values])
        self.lengths = {p: self.of(n) for p, n in met.lengths.items()}

    def of(self, x) -> Any:
        """x with unknown sizes in place of those that are."""
        kind = type(x)
        if kind is int:
            return self.dims.get(x, x)
        if kind is Layout:
            return self.layout(x)
        if kind is tuple or kind is list or kind is Size:
            made = [self.of(y) for y in x]
            return x if all([a is b for a, b in zip(made, x)]) else kind(made)
        if kind is slice:
            return slice(*[self.of(y) for y in (x.start, x.stop, x.step)])
        return x

    def layout(self, lay: Layout) -> Layout:
        if lay.number or lay.flat:
            return lay
        shape, strides = self.of(lay.shape), self.of(lay.strides)
        if shape is lay.shape and strides is lay.strides:
            return lay
        return layout(shape, None if lay.plain else strides, lay.dtype, lay.device)

    def value(self, v: Value) -> Value:
        if v.node is None:
            return v
        found = self.made.get(v)
        if found is not None:
            return found
        if v.base is None:
            raise Unreadable(v)
        base = self.value(v.base)
        found = self.made[v] = copied(v, base.node, self.layout(v.lay))
        found.base, found.off = base, self.of(v.off)
        return found

    def node(self, n: Node, parent: Node) -> Node:
        args = tuple([self.value(v) for v in n.args])
        static = n.static if n.op is ENTER_ALL else self.of(n.static)
        spec = n.spec
        if spec is not None:
            lays = tuple([v.lay for v in args])
            if static is not n.static or any([a is not b for a, b in zip(lays, spec.lays)]):
                spec = inferred(spec, lays, static)
            outs = spec.outs
        elif n.op is ENTRY:
            outs = (static[0],)
        else:
            outs = tuple([self.layout(v.lay) for v in n.outs])
        made = Node(n.op, args, static, spec, parent, None)  # type: ignore[arg-type]
        made.k, made.nscal, made.nin, made.nleaf, made.aux, made.mode = n.k, n.nscal, n.nin, n.nleaf, n.aux, n.mode
        made.outs = tuple([copied(v, made, lay) for v, lay in zip(n.outs, outs, strict=True)])
        made.out = made.outs[0] if made.outs else None
        self.made.update(zip(n.outs, made.outs))
        return made


def inferred(spec: Spec, lays: tuple[Layout, ...], static: tuple) -> Spec:
    if any(x is not None and type(x) is Spec for x in static):
        raise Unreadable("a gradient's own gradient")
    return spec.op.infer(lays, static)


def copied(v: Value, node: Node, lay: Layout) -> Value:
    made = Value(node, v.k, lay, v.rg)
    made.mask, made.leaf = v.mask, v.leaf
    return made


class Skeleton:
    """The paths that differ in sizes alone, and the programs for them."""

    __slots__ = ("visits", "met", "varying", "templates")

    def __init__(self):
        self.visits = 0
        self.met: list[Met] = []  # some of the paths
        self.varying: set[int] = set()  # the sizes that have differed, by number
        self.templates: list = []

    def bound(self, now: Met):
        """A plan for a path, if there is a program that is right for its sizes; else perhaps one is begun."""
        self.visits += 1
        for t in self.templates:
            if self.visits >= t.ready:
                made = t.bound(now)
                if made is not None:
                    return made
        if self.met:
            self.varying.update([k for k, (a, b) in enumerate(zip(self.met[0].sizes, now.sizes)) if a != b])
        pending = any([self.visits < t.ready for t in self.templates])
        if self.visits >= START and self.varying and not pending and len(self.templates) < MOST_TEMPLATES:
            self.begin(now)
        self.met = [*self.met[-KEPT + 1 :], now]
        return None

    def lent(self, now: Met):
        """A plan for a path of another skeleton, some of whose sizes are equal by chance."""
        for t in self.templates:
            if self.visits >= t.ready:
                made = t.bound(now)
                if made is not None:
                    if config.VERIFY:
                        t.check(now)
                    return made
        return None

    def begin(self, now: Met) -> None:
        """Begins to make a program; it is compared with those paths that are the least like this one."""
        different = {id(m): sum([a != b for a, b in zip(m.sizes, now.sizes)]) for m in self.met}
        others = sorted([m for m in self.met if different[id(m)]], key=lambda m: -different[id(m)])
        if not others or len(self.varying) > MOST_VARYING:
            return
        try:
            from .rebound import Template
        except RuntimeError:  # the process is ending: no thread can be begun
            return
        ready = max(READY, self.visits + READY - START)
        self.templates.append(Template(now, others, sorted(self.varying), ready))


class _Skeletons(threading.local):
    def __init__(self):
        self.found: dict[
            tuple, dict[tuple[int, ...], Skeleton]
        ] = {}  # a path but for its sizes -> which are equal -> ...
        self.bound = 0  # paths that have run with the program of others


_skeletons = _Skeletons()


def count() -> int:
    """Paths of this thread that were never planned: they run with a program made for other sizes."""
    return _skeletons.bound


def bound(end: Node, values: tuple[Value, ...], w):
    """A plan of a path that is met for the first time, from its skeleton's program; None where there is none (yet)."""
    if end.depth < SHORTEST or not config.COMPILE or config.COMPILE_AT < 2 or w.runner is not None or end.special:
        return None
    try:
        key, sizes, lengths = read(end, values, w.inputs)
    except Unreadable:
        return None
    found = _skeletons.found
    family = found.get(key)
    if family is None or len(family) >= MOST_SKELETONS:
        if len(found) >= MOST_SKELETONS:
            for old in list(found)[: MOST_SKELETONS // 4]:
                del found[old]
        family = found[key] = {}
    pattern, different = numbered(sizes)
    skeleton = family.get(pattern)
    if skeleton is None:
        skeleton = family[pattern] = Skeleton()
    try:
        plan = skeleton.bound(Met(end, values, different, lengths))
        if plan is None:
            for other, kin in family.items():
                if kin is not skeleton and kin.templates:
                    theirs = as_numbered(sizes, other)
                    plan = None if theirs is None else kin.lent(Met(end, values, theirs, lengths))
                    if plan is not None:
                        break
        _skeletons.bound += plan is not None
        return plan
    except Exception:  # a mistake of the compiler's is no reason to stop a program that can be planned
        if config.VERIFY:
            raise
        return None
