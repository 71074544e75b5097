"""Paths that differ in sizes alone have one plan: the skeleton of a path is its edges with sizes as unknowns.

A skeleton is planned and compiled with those sizes as unknowns that have differed (ir/sizes.py, compiler/rebind.py), in
the background, and used from a fixed visit on; then a path with sizes never seen before runs compiled at its first
visit, without being planned. Which numbers a run gives depends on the order of its paths alone, never on time."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from .. import config
from ..ir.dtypes import dtype
from ..ir.operation import TENSOR, Spec, freeze
from ..ir.shapes import Layout, Size, layout
from ..ir.sizes import Dim, known
from ..ir.special import BACKWARD, BACKWARD_FROM, CUSTOM, ENTER_ALL, ENTRY, MODE
from .handle import Node, Value

SHORTEST, LONGEST = 12, 4000  # edges of a path that has a skeleton: below, planning costs little; above, it comes once
START, READY = 4, 8  # visits of a skeleton at which compiling begins, and from which on the compiled program is used
MOST_TEMPLATES = 6  # of a skeleton: each for the sizes that keep its guards
MOST_SKELETONS = 1024
FIRST, LAST = 2, 4  # paths of a skeleton that are remembered: they tell which sizes are one, and one checks the program
MOST_VARYING = 96  # sizes of a path that are unknown
SIZE = ...  # stands for a size in the key of a skeleton


class Unreadable(Exception):
    """A path whose sizes cannot be told from the rest of it."""


class Reader:
    """What a path is but for its sizes, and its sizes. 0, 1 and what is below are part of the path."""

    def __init__(self):
        self.key: list = []
        self.sizes: list[int] = []

    def size(self, n: int) -> None:
        if n > 1:
            self.key.append(SIZE)
            self.sizes.append(n)
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

    def __init__(self, end: Node, values: tuple[Value, ...], sizes: list[int], lengths: dict[int, int]):
        self.end, self.values, self.lengths = end, values, lengths
        self.sizes = np.array(sizes, np.int64)


class Kinds:
    """Which sizes of a skeleton's paths have differed, and which of them have always been equal: those are one unknown.

    places   of each unknown, where it stands first
    fixed    where sizes stand that have not differed, and what they are
    number   of each place, the unknown that stands there; -1 where none does"""

    def __init__(self, paths: list[Met]):
        table = np.array([m.sizes for m in paths])
        _, first, number = np.unique(table, axis=1, return_index=True, return_inverse=True)
        number = number.reshape(-1)
        differs = (table != table[0]).any(axis=0)
        self.places = np.array([k for k in first.tolist() if differs[k]], np.int64)
        self.same = first[number]
        self.fixed = np.flatnonzero(~differs)
        self.values = table[0][self.fixed]
        unknown = {k: n for n, k in enumerate(self.places.tolist())}
        self.number = [unknown.get(k, -1) for k in self.same.tolist()]

    def of(self, m: Met) -> list[int] | None:
        """The unknowns of a path; None where sizes differ that have always been equal."""
        if (m.sizes != m.sizes[self.same]).any() or (m.sizes[self.fixed] != self.values).any():
            return None
        return m.sizes[self.places].tolist()


def read(end: Node, values: tuple[Value, ...], inputs: list) -> tuple[tuple, Met]:
    """The skeleton of a path with what is asked of it, and the path. Raises Unreadable."""
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
    return tuple(key), Met(end, values, r.sizes, lengths)


class Unknown:
    """A path again, with unknown sizes: its nodes, as Lowering takes them. Sizes are replaced in the order of `read`."""

    def __init__(self, met: Met, dims: list[Dim], kinds: Kinds):
        self.sizes = iter([dims[k] if k >= 0 else n for k, n in zip(kinds.number, met.sizes.tolist())])
        self.made: dict[Value, Value] = {}
        self.leaves: dict[int, tuple[Layout, Layout]] = {}  # the layout of each leaf, without and with unknown sizes
        self.lengths: dict[int, Any] = {}
        self.end = Node("root", (), (), None, None, None)  # type: ignore[arg-type]
        for n in path(met.end):
            if n.op is ENTRY and n.static[0].flat:
                self.lengths[n.nin - 1] = self.of(met.lengths[n.nin - 1])
            self.end = self.node(n, self.end)
        self.values = tuple([self.value(v) for v in met.values])

    def of(self, x) -> Any:
        """x with unknown sizes in place of those that are."""
        kind = type(x)
        if kind is int:
            return next(self.sizes) if x > 1 else x
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
        shape = self.of(lay.shape)
        strides = lay.strides if lay.plain else self.of(lay.strides)
        if known(shape) and known(strides):
            return lay
        return layout(shape, None if lay.plain else strides, lay.dtype, lay.device)

    def value(self, v: Value) -> Value:
        if v.node is None:
            return v
        found = self.made.get(v)
        if v.base is None:
            if found is None:
                raise Unreadable(v)
            return found
        base, offset, lay = self.value(v.base), self.of(v.off), self.layout(v.lay)
        if found is None:
            found = self.made[v] = copied(v, base.node, lay)
            found.base, found.off = base, offset
        return found

    def node(self, n: Node, parent: Node) -> Node:
        args = tuple([self.value(v) for v in n.args])
        static = n.static if n.op is ENTER_ALL or n.op is MODE else self.of(n.static)
        spec = n.spec
        if spec is not None:
            lays = tuple([v.lay for v in args])
            if static is not n.static or any([a is not b for a, b in zip(lays, spec.lays)]):
                spec = inferred(spec, lays, static)
            outs = spec.outs
        elif n.op is ENTRY:
            outs = (static[0],)
        elif n.op is BACKWARD:
            outs = tuple([self.gradient(v.lay, leaf) for v, leaf in zip(n.outs, n.aux)])
        else:
            outs = tuple([v.lay for v in n.outs])
        made = Node(n.op, args, static, spec, parent, None)  # type: ignore[arg-type]
        made.k, made.nscal, made.nin, made.nleaf, made.aux, made.mode = n.k, n.nscal, n.nin, n.nleaf, n.aux, n.mode
        made.outs = tuple([copied(v, made, lay) for v, lay in zip(n.outs, outs, strict=True)])
        made.out = made.outs[0] if made.outs else None
        self.made.update(zip(n.outs, made.outs))
        if n.op is not BACKWARD:
            first = n.nleaf - len(n.outs)
            for k, (v, lay) in enumerate(zip(n.outs, outs)):
                if n.parent is not None and n.nleaf > n.parent.nleaf:
                    self.leaves[first + k] = v.lay, lay
        return made

    def gradient(self, lay: Layout, leaf: int) -> Layout:
        """The layout of a leaf's gradient."""
        before, now = self.leaves[leaf]
        if before is now or now.flat:
            return lay
        return layout(now.shape, now.strides if now.dense and not now.contig else None, now.dtype, now.device)


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

    __slots__ = ("visits", "met", "templates")

    def __init__(self):
        self.visits = 0
        self.met: list[Met] = []  # some of the paths
        self.templates: list = []

    def bound(self, now: Met):
        """A plan for a path, if there is a program that is right for its sizes; else perhaps one is begun."""
        self.visits += 1
        for t in self.templates:
            if self.visits >= t.ready:
                made = t.bound(now)
                if made is not None:
                    return made
        pending = any([self.visits < t.ready for t in self.templates])
        if self.visits >= START and not pending and len(self.templates) < MOST_TEMPLATES:
            self.begin(now)
        self.met.append(now)
        if len(self.met) > FIRST + LAST:
            del self.met[FIRST]
        return None

    def begin(self, now: Met) -> None:
        """Begins to make a program; it is compared with those paths that are the least like this one."""
        kinds = Kinds([now, *self.met])
        different = [(int((m.sizes != now.sizes).sum()), k) for k, m in enumerate(self.met)]
        others = [self.met[k] for n, k in sorted(different, reverse=True) if n]
        if not others or not 0 < len(kinds.places) <= MOST_VARYING:
            return
        try:
            from .rebound import Template
        except RuntimeError:  # the process is ending: no thread can be begun
            return
        ready = max(READY, self.visits + READY - START)
        self.templates.append(Template(now, others, kinds, ready))


class _Skeletons(threading.local):
    def __init__(self):
        self.found: dict[tuple, Skeleton] = {}
        self.bound = 0  # paths that have run with the program of others


_skeletons = _Skeletons()


def count() -> int:
    """Paths of this thread that were never planned: they run with a program made for other sizes."""
    return _skeletons.bound


def bound(end: Node, values: tuple[Value, ...], w):
    """A plan of a path that is met for the first time, from its skeleton's program; None where there is none (yet)."""
    if (
        not SHORTEST <= end.depth <= LONGEST
        or not config.COMPILE
        or config.COMPILE_AT < 2
        or w.runner is not None
        or end.special
    ):
        return None
    try:
        key, met = read(end, values, w.inputs)
    except Unreadable:
        return None
    found = _skeletons.found
    skeleton = found.get(key)
    if skeleton is None:
        if len(found) >= MOST_SKELETONS:
            for old in list(found)[: MOST_SKELETONS // 4]:
                del found[old]
        skeleton = found[key] = Skeleton()
    try:
        plan = skeleton.bound(met)
        _skeletons.bound += plan is not None
        return plan
    except Exception:  # a mistake of the compiler's is no reason to stop a program that can be planned
        if config.VERIFY:
            raise
        return None
