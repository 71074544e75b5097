"""The bare tensor handle, storages, and the tree that operations are recorded in.

A handle is in one of two states.
  fresh   `_val` names the value (a position on the tree) it stands for, and `_st` is None. It owns that value alone.
  placed  (`_st`, `_lay`, `_off`) say where it reads. `_val` may cache its value for the length of the walk.
A fresh handle becomes placed when a view of it is taken, or at the flush.

Everything that is data (scalars, offsets, input buffers) is written to a position that the node knows, never
appended: an exception between two bytecodes then cannot shift what comes after it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import config
from ..errors import NotRecorded
from ..ir import shapes
from ..ir.operation import Operation, Spec
from ..ir.shapes import Layout

TRANSLATED: list[Any] = []  # what `translated` has marked


def translated(x: Any) -> Any:
    """Marks a function that runs at every step (its source is in tenfold), or a class with slots that it uses: once the
    recorder is machine code, so is the function, where nothing in it is without a translation (see native/)."""
    TRANSLATED.append(x)
    return x


class Tensor:
    """A tensor: elements of one dtype, with a shape and strides over a storage."""

    __slots__ = (
        "_val",  # the value on the walk, or None
        "_st",  # the storage, or None while fresh
        "_lay",  # layout (placed)
        "_off",  # offset in elements (placed)
        "_leaf",  # the leaf that it is (itself) or views, or None
        "_det",  # detached: reads the storage without its history
        "_how",  # the view operation that made it, for grad_fn
        "_grad",
        "_hooks",
        "__dict__",
        "__weakref__",
    )


Tensor.__module__ = "torch"
new = Tensor.__new__


class Storage:
    """Flat memory that handles share, and its value on the current walk."""

    __slots__ = (
        "mem",
        "val",
        "was",
        "hist",
        "shared",
        "exported",
        "size",
        "pinned",
        "error",
        "meta",
        "name",
        "prev",
        "bundle",
        "__weakref__",
    )

    def __init__(self, mem: np.ndarray | None, size: int = -1):
        self.mem = mem  # None while it only exists on a walk
        self.val: Value | None = None  # value on the walk
        self.was: Value | None = None  # the value it entered the walk with
        self.hist: Any = None  # (History, number, name) of the memory's value
        self.shared = False  # may another handle read it?
        self.exported = False  # does somebody outside hold the memory?
        self.pinned = False  # its address was asked for: results are copied into it
        self.error: Exception | None = None  # why it could not be computed
        self.meta = False
        self.name: str | None = None  # the dtype's, where the memory's does not tell (bfloat16)
        self.prev: Any = None  # (value before the last write, and so on), to go back to where a run fails
        self.bundle: Any = None  # weak reference to the Bundle that its leaf belongs to
        self.size = size if mem is None else mem.size


class Memory:
    """What a storage holds inside of a vmap: a tensor of the walk outside, which is the same for all slices, or has them in
    its first dim. It is flat memory, or has the shape of the storage's value."""

    __slots__ = ("level", "tensor", "batched")

    def __init__(self, level: Any, tensor: Tensor, batched: bool):
        self.level = level
        self.tensor = tensor
        self.batched = batched

    @property
    def shape(self):
        shape = layout_of(self.tensor).shape
        return shape[1:] if self.batched else shape

    @property
    def size(self) -> int:
        return shapes.numel(self.shape)

    def as_memory(self, lay: Layout) -> Memory:
        """As flat memory, where that layout says how the elements of a value lie in it."""
        return self.level.flatten(self, lay)


class Value:
    """Result k of a node; or a view (base, off) of another value."""

    __slots__ = ("node", "k", "lay", "rg", "base", "off", "views", "mask", "leaf")

    def __init__(self, node, k: int, lay: Layout, rg: bool):
        self.node = node
        self.k = k
        self.lay = lay
        self.rg = rg
        self.base: Value | None = None
        self.off = 0
        self.views: dict | None = None
        self.mask = 0  # a bit for each leaf of the walk that it depends on
        self.leaf = False


class Node:
    """An edge of the tree and the position it leads to."""

    __slots__ = (
        "op", "a", "b", "c", "args", "call", "kwcall", "static", "spec", "kids", "nxt", "out", "outs", "parent", "first", "walk", "mode", "cast",
        "k", "nscal", "nin", "nleaf", "depth", "nbytes", "programs", "routes", "aux", "line", "special", "graded",
    )  # fmt: skip

    def __init__(self, op, args, static, spec, parent: Node | None, walk: Walk):
        self.op = op
        self.args = args
        self.static = static
        self.spec: Spec | None = spec
        self.parent = parent
        self.walk = walk
        self.kids: dict = {}
        self.nxt = NOWHERE
        self.programs: dict | None = None
        self.routes: dict | None = None  # of reverse modes that began here (autograd/parts.py)
        self.aux: Any = None
        self.call: tuple | None = None
        self.kwcall: dict | None = None
        self.line = None
        self.out: Value | None = None
        self.outs: tuple[Value, ...] = ()
        n = len(args)
        self.a = args[0] if n else None
        self.b = args[1] if n > 1 else None
        self.c = args[2] if n > 2 else None
        if parent is None:
            self.first: Node = self  # of the walk: the edge with which it began
            self.mode = True
            self.cast = None  # autocast's dtype, where it is on
            self.k = self.nscal = self.nin = self.nleaf = self.depth = self.nbytes = 0
            self.special = self.graded = False  # a Function; a backward on the way
        else:
            self.first = self if parent.parent is None else parent.first
            self.mode = parent.mode
            self.cast = parent.cast
            self.k = self.nscal = parent.nscal
            self.nin = parent.nin
            self.nleaf = parent.nleaf
            self.depth = parent.depth + 1
            self.nbytes = parent.nbytes
            self.special = parent.special
            self.graded = parent.graded


class _Nowhere:
    """What follows where nothing has followed yet: matches no operation."""

    __slots__ = ("op", "a", "b", "c", "args", "call", "kwcall", "static", "nxt", "k", "out", "outs")

    def __init__(self):
        self.op = self.a = self.b = self.c = self.args = self.call = self.kwcall = self.static = self.out = None
        self.nxt = self
        self.k = 0
        self.outs = ()


NOWHERE: Any = None
NOWHERE = _Nowhere()

NUMBER: dict[type, Value] = {}


def make_numbers() -> None:
    """Values that stand for Python numbers that are data; made anew when the default dtype changes."""
    for kind in (bool, int, float, complex):
        NUMBER[kind] = Value(None, 0, shapes.number(kind), False)


make_numbers()


class Walk:
    """One thread's tree, and where on it the thread is."""

    __slots__ = (
        "at", "roots", "keep", "storages", "cached", "scalars", "inputs", "leaves", "eager", "body", "nodes", "flushes", "hits",
        "misses", "planned", "edges", "inference", "hooked", "running", "hold", "runner", "bundles",
        "lent", "writes", "grads", "level", "ending", "arriving", "lines",
    )  # fmt: skip

    def __init__(self, body: bool = False):
        self.body = body  # the body of an operation is being traced: nothing can be computed
        self.roots: dict = {}
        self.at: Node = self.root(True, None)
        self.keep: list[Tensor] = []  # fresh handles
        self.storages: list[Storage] = []  # storages with a value on the walk
        self.cached: list[Tensor] = []  # placed handles that cache their value
        self.bundles: list = []  # (bundle, the edge by which it entered)
        self.lent: list = []  # bundles and gradients whose values are used as a list
        self.grads: list = []  # gradients that a backward left in bundles
        self.writes: list = []  # (storages of a bundle, their values as they entered, their new values)
        self.hooked: list = []  # (value, handle) with hooks, or whose gradient is to be kept
        self.scalars: list = []
        self.inputs: list = []
        self.leaves: list = []
        self.eager = config.EAGER and not body
        self.inference = False
        self.running = False
        self.runner: Any = None  # who runs programs instead: runner(plan, walk) gives what Plan.run does (watch.py)
        self.hold = 0  # > 0: no flush on its own account
        self.level: Any = None  # the vmap that it is the inside of (level.py)
        self.arriving: Any = (
            None  # what brings gradients that have not been put into `grad` yet: called before one is looked at
        )
        self.lines: Any = None  # where it has been (walk.Lines), once it is long
        self.ending = False  # nothing that is computed from here on gets a history
        self.nodes = self.flushes = self.hits = self.misses = self.planned = self.edges = 0

    def root(self, mode: bool, cast) -> Node:
        """Where a walk begins in that gradient mode, under that autocast."""
        found = self.roots.get((mode, cast))
        if found is None:
            found = self.roots[mode, cast] = Node("root", (), (), None, None, self)
            found.mode, found.cast = mode, cast
        return found


def nothing() -> None:
    """What a hook does before somebody sets it."""


swapped: Callable[[], object] = nothing  # set by native/: what it remembers of a thread's walk is out of date


class _Threads(threading.local):
    def __init__(self):
        self.walk = Walk()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        swapped()


tls = _Threads()


def counts(items: list) -> list[int]:
    """How many references there are to each item of a list, besides the list's own."""
    return [c - _ALONE for c in map(sys.getrefcount, items)]


_ALONE = 0
_ALONE = counts([object()])[0]


def fresh(value: Value, walk: Walk) -> Tensor:
    r = new(Tensor)
    r._val = value
    r._st = None
    walk.keep.append(r)
    return r


def placed(storage: Storage, lay: Layout, offset: int = 0, cls=Tensor) -> Tensor:
    """A handle on a storage: no leaf, with the storage's history."""
    r = new(cls)
    r._val = None
    r._st = storage
    r._lay = lay
    r._off = offset
    r._leaf = None
    r._det = False
    r._how = None
    return r


def layout_of(t: Tensor) -> Layout:
    v = t._val
    return v.lay if v is not None else t._lay


def requires_grad(t: Tensor) -> bool:
    v = t._val
    if v is not None and t._st is None:
        return v.rg
    if t._det:
        return False
    if t._leaf is not None and t._leaf._leaf is not None:
        return True
    st = t._st
    return st.hist is not None if st.val is None else st.val.rg and not st.val.leaf


def is_leaf_handle(t: Tensor) -> bool:
    """Whether it is a leaf that requires grad."""
    return t._st is not None and t._leaf is t


def operation_name(op: Any) -> str:
    return op.name if isinstance(op, Operation) else str(op)


def no_value(t: Tensor) -> NotRecorded:
    if t._st is not None and t._st.meta:
        return NotRecorded(
            "Cannot copy out of meta tensor; no data! This tensor is on the `meta` device, which has shapes only: make it on 'cpu' to have values."
        )
    return NotRecorded("an operation's body asked for the value of a tensor; in there only shapes and dtypes are known")
