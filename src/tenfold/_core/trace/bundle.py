"""Bundles: tensors that enter a walk together, get gradients together and new values together, as an optimizer's do.

One by one an entry costs 0.5 µs and a result more than 1 µs; in a bundle it is a tenth of that, since one edge lets all
enter, and what is the same for all is asked once. Nothing else changes: a bundle is a list of tensors, and wherever one
of them is not in the plain case (viewed, shared with NumPy, written on this walk by somebody else) all of them go as
single tensors do."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from itertools import accumulate
from operator import is_
from typing import Any

from ..ir.special import ENTER_ALL
from .handle import Node, Storage, Tensor, Value, Walk, fresh, placed, tls
from .walk import special, touch

_kinds: dict[tuple, tuple] = {}


def interned(kind: tuple) -> tuple:
    return _kinds.setdefault(kind, kind)


def same(a: Iterable, b: Iterable) -> bool:
    """Whether two sequences of one length hold the same objects."""
    return all(map(is_, a, b))


class Bundle(list):
    """Tensors that go through walks together.

    _val      their values on the walk, if all of them entered together, and are as they entered: what an operation that
              takes the list compares. None: it takes them one by one.
    kind      (layouts, whether they are leaves, where the parts begin and end): what the entry's edge is keyed by
    parts     the bundles that it is made of
    tidy      nothing has been done to one of them (but reading) since `plain` last looked: see `walk.touch`"""

    __slots__ = ("__weakref__", "_val", "grads", "kind", "parts", "storages", "tidy", "tried", "written")

    def __init__(self, *parts: Iterable[Tensor]):
        super().__init__([t for part in parts for t in part])
        self._val: tuple[Value, ...] | None = None
        self.parts: tuple[Bundle, ...] = tuple([Bundle(part) for part in parts]) if len(parts) > 1 else ()
        self.kind: tuple | None = None
        self.storages: list[Storage] = []
        self.tidy = False
        self.tried = -1
        self.written: tuple | None = None
        self.grads: Gradients | None = None

    def learn(self) -> bool:
        """Looks at each tensor: is it all of a realised storage, and are all of them leaves, or none?"""
        self.kind = None
        if not self or any([t._st is None for t in self]):
            return False
        live = self[0]._leaf is self[0]
        for t in self:
            st, lay = t._st, t._lay
            if (
                st.mem is None or not lay.contig or lay.numel != st.size or t._off != 0
                or (t._leaf is t) is not live or live and t._det or lay.device == "meta"
            ):  # fmt: skip
                return False
        lays = tuple([t._lay for t in self])
        cuts = tuple(accumulate([0, *map(len, self.parts)]))
        self.kind = interned((lays, live, cuts))
        self.storages = [t._st for t in self]
        for part, a, b in zip(self.parts, cuts, cuts[1:]):
            part.kind = (lays[a:b], live, (0,))
            part.storages = self.storages[a:b]
        me = weakref.ref(self)
        for s in self.storages:
            if s.bundle is not None:
                touch(s)  # the bundle that it belonged to has to look again
            s.bundle = me
        return True

    def plain(self) -> bool:
        """Whether each tensor is all of a storage that nobody else reads, and that has not entered the walk."""
        if self.tidy:
            return True
        if not self.learn():
            return False
        self.tidy = not [
            s
            for s in self.storages
            if s.val is not None or s.shared or s.hist is not None or s.exported or s.pinned or s.error is not None
        ]
        return self.tidy

    def enter(self, w: Walk) -> bool:
        """All of them enter the walk. False: they cannot, and go one by one."""
        if self.tried == w.flushes:
            return False
        self.tried = w.flushes
        if w.eager or w.body or not self.plain():
            return False
        nx = enter_all(w, self.kind, [s.mem for s in self.storages])
        if self.kind is not None and self.kind[1]:
            w.leaves[nx.nleaf - len(self) : nx.nleaf] = self
        w.bundles.append((self, nx))  # first: an interruption must find it
        for t, s, v in zip(self, self.storages, nx.outs):
            t._val = s.val = s.was = v
        return True

    def unchanged(self, values: tuple[Value, ...]) -> bool:
        """Whether all still have the values with which they entered."""
        return same([s.val for s in self.storages], values) and same([t._val for t in self], values)

    def lend(self, w: Walk) -> bool:
        """Lets the values be used as a list, for an operation that is the last before the walk ends. They enter, if need
        be, without the tensors' knowing. False: they go one by one."""
        self.withdraw()
        nx: Any = None
        for b, n in w.bundles:
            if b is self:
                nx = n
        if nx is not None:
            if not self.tidy and not self.unchanged(nx.outs):
                return False
        elif w.eager or w.body or not self.plain():
            return False
        else:
            nx = enter_all(w, self.kind, [s.mem for s in self.storages])
        self._val = nx.outs
        for part, values in zip(self.parts, nx.aux):
            part._val = values
        w.lent.append(self)
        return True

    def write(self, values: tuple[Value, ...], w: Walk) -> bool:
        """All get new values, when the walk ends: it must end before anybody else reads one. False: it cannot be done so."""
        if self._val is None or self.kind is None:
            return False
        if self.written is not values:
            if any([v.lay is not lay or v.rg for v, lay in zip(values, self.kind[0], strict=True)]):
                return False
            self.written = values
        w.writes.append((self.storages, self._val, values))
        return True

    def withdraw(self) -> None:
        self._val = None
        for part in self.parts:
            part._val = None

    def leave(self) -> None:
        for t, s in zip(self, self.storages):
            t._val = s.val = s.was = None


def enter_all(w: Walk, kind: tuple, memories: list) -> Node:
    """The edge by which memories enter; its `aux` has the values of the parts."""
    nx = w.at.nxt
    n = len(memories)
    if nx.op is ENTER_ALL and nx.a is kind:
        w.at = nx
    else:
        nx = special(w, ENTER_ALL, (), (kind,), _values, nin=n, nleaf=n if kind[1] else 0)
        nx.a = kind
        if nx.aux is None:
            nx.aux = [nx.outs[a:b] for a, b in zip(kind[2], kind[2][1:])]
    w.inputs[nx.nin - n : nx.nin] = memories
    return nx


def _values(n: Node) -> tuple:
    lays, live, _ = n.static[0]
    outs = tuple([Value(n, k, lay, live) for k, lay in enumerate(lays)])
    if live:
        first = n.nleaf - len(lays)
        for k, v in enumerate(outs):
            v.leaf = True
            v.mask = 1 << first + k
    return outs


class Gradients:
    """The gradients of a bundle's tensors, while nobody looks at one of them: it is the `_grad` of all, and no handle is made.

    _val      their values: results of this walk, or, for the length of a step, the memories as they entered it
    memories  what an earlier walk computed
    gone      ids of the tensors whose `grad` was set to None since
    whole     it is the `_grad` of every tensor of the bundle. The first look at one makes handles of all (`release`)."""

    __slots__ = ("_val", "gone", "lays", "memories", "owners", "walk", "whole")

    def __init__(self, bundle: Bundle, lays: tuple):
        self._val: tuple[Value, ...] | None = None
        self.memories: list | None = None
        self.gone: set[int] = set()
        self.owners = [weakref.ref(t) for t in bundle]
        self.lays = lays
        self.walk: Walk = tls.walk
        self.whole = False

    def __len__(self) -> int:
        return len(self.owners)

    def is_none(self) -> bool:
        """Whether there are none: `grad` is then None for all."""
        return self._val is None and self.memories is None

    def clear(self) -> None:
        self._val = self.memories = None
        self.gone.clear()

    def drop(self, t: Tensor) -> None:
        """`t.grad = None`; when that was said of all they are still together, and there are none."""
        if not self.is_none():
            self.gone.add(id(t))
            if len(self.gone) == len(self.owners):
                self.clear()

    def release(self) -> None:
        """Each tensor gets its gradient as a handle."""
        self.whole = False
        values, memories = self._val, self.memories
        gone = set(self.gone)
        self.clear()
        for k, owner in enumerate(self.owners):
            t = owner()
            if t is None or t._grad is not self:
                continue
            if id(t) in gone:
                t._grad = None
            elif memories is not None:
                st = Storage(memories[k])
                st.name = self.lays[k].dtype.name
                t._grad = placed(st, self.lays[k])
            else:
                t._grad = None if values is None else fresh(values[k], self.walk)

    def singly(self) -> list[Tensor | None]:
        """The gradients as tensors."""
        owners = [owner() for owner in self.owners]
        if self.whole:
            self.release()
        return [None if t is None else grad_of(t) for t in owners]

    def lend(self, w: Walk) -> bool:
        """Lets the values be used as a list (see Bundle.lend). False: there are none, or single tensors have them."""
        if not self.whole or self.gone:
            return False
        if self.memories is not None:
            self._val = enter_all(w, interned((self.lays, False, (0,))), self.memories).outs
            w.lent.append(self)
        return self._val is not None and self.walk is w

    def withdraw(self) -> None:
        if self.memories is not None:
            self._val = None


def grad_of(t: Tensor) -> Tensor | None:
    """`t.grad`."""
    g = getattr(t, "_grad", None)
    if type(g) is Gradients:
        if g.is_none() or id(t) in g.gone:
            return None
        g.release()
        g = t._grad
    return g


def release(t: Tensor) -> None:
    """From here on the gradient of t is a matter of its own."""
    g = getattr(t, "_grad", None)
    if type(g) is Gradients:
        g.release()


def receive(nx: Node, w: Walk) -> bool:
    """The gradients of a backward arrive in bundles. False: not all can, and they arrive one by one."""
    if nx.call is None:
        nx.call = _in_bundles(nx, w)
    parts = nx.call
    if not parts:
        return False
    for i, _ in parts:
        if not _takes(w.bundles[i][0]):
            return False
    for i, values in parts:
        g = w.bundles[i][0].grads
        g._val = values
        g.walk = w
        if g not in w.grads:
            w.grads.append(g)
    return True


def _in_bundles(nx: Node, w: Walk) -> tuple:
    """(which bundle of the walk, its gradients), or () where a gradient belongs to none."""
    place = dict(zip(nx.aux, nx.outs))
    parts = []
    for i, (bundle, entry) in enumerate(w.bundles):
        lays, live, _ = entry.static[0]
        first = entry.nleaf - len(lays)
        if live and all([first + k in place and place[first + k].lay is lay for k, lay in enumerate(lays)]):
            parts.append((i, tuple([place.pop(first + k) for k in range(len(bundle))])))
    return () if place else tuple(parts)


def _takes(bundle: Bundle) -> bool:
    """Whether all of them still are leaves, and none has a gradient yet, nor hooks that wait for one."""
    g = bundle.grads
    if g is not None and g.whole:
        return g.is_none()
    for t in bundle:
        old = getattr(t, "_grad", None)
        if t._leaf is not t or old is not None and not (type(old) is Gradients and old.is_none()):
            return False
        if getattr(t, "_hooks", None) is not None or getattr(t, "_after_hooks", None) is not None:
            return False
    if bundle.kind is None:
        return False
    g = bundle.grads = Gradients(bundle, bundle.kind[0])
    for t in bundle:
        release(t)
        t._grad = g
    g.whole = True
    return True
