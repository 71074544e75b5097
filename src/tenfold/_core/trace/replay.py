"""Replaying: the path that a function's operations made, walked again without calling the function.

In comes a function that has been shown to do nothing but record operations (compiler/); out goes a Path. `record` calls
the function on a walk of its own, where nothing is computed: tensors from outside enter as inputs of the path (`capture`),
what is written into them is kept for the end, and a value that is asked for ends it all (`Unrecordable`).
`replay` walks the path's edges from wherever the thread is: the same edges that calling the function would walk, except
that its inputs enter first. From a place where it has been before it goes to the end at once."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..ir.dtypes import dtype, get_default_dtype
from ..ir.operation import TENSOR, Operation
from ..ir.shapes import Layout, Size
from ..ir.special import BACKWARD, BACKWARD_FROM, CUSTOM, ENTER_ALL, ENTRY, LEAF, MODE, STOP, WRITE
from .bundle import same
from .guards import Guards, alike, unchanged
from .handle import NUMBER, Node, Storage, Tensor, Value, Walk, fresh, layout_of, requires_grad, tls
from .walk import (
    ONE,
    _enter_mode,
    _entry_value,
    cut_if_long,
    edge,
    line_text,
    place,
    read,
    resolve,
    special,
    user_line,
    view,
    write,
)

SCALAR, VIEW = object(), object()  # an operand that is a number; a step that is a strided read at a fixed place
MOST_PLACES = 16  # from which the end of a path is remembered


class Unrecordable(BaseException):
    """Why there is no path. No Exception, so that a function's own `except Exception` does not take it for its own."""


class Recording:
    """The walk that a function is recorded on (a level, as a vmap is: see level.py).

    sources   the tensors from outside that it may use
    inputs    those of them that it did use, in the order of their entries
    writes    storage -> (the input that reads all of it that is known, its value now), where it was written in place"""

    size = 0
    randomness = "different"
    exact = True

    def __init__(self, sources: list[Tensor]):
        self.outer = tls.walk
        self.walk = w = Walk(body=True)
        w.level = self
        w.runner = self.run
        w.at = w.root(self.outer.at.mode, self.outer.at.cast)
        self.failed: Unrecordable | None = None
        self.inputs: list[Tensor] = []
        self.entered: dict[int, Value] = {}
        self.writes: dict[int, Value] = {}
        self.known: dict[int, list[Tensor]] = {}
        self.sources: dict[int, Tensor] = {}
        self.constants: dict[int, Storage] = {}
        for t in sources:
            if id(t) not in self.sources:
                self.sources[id(t)] = t
                self.known.setdefault(id(place(t)), []).append(t)

    def fail(self, why: str) -> Unrecordable:
        """The recording is of no use from here on, even if the function goes on."""
        self.failed = self.failed or Unrecordable(why)
        return self.failed

    # --- what a level is asked ----------------------------------------------------------------------------------------

    def made(self, t: Tensor) -> None:
        """The function has made a tensor from Python's numbers: the same each time, so it is an input that never changes."""
        self.known[id(t._st)] = [t]
        self.sources[id(t)] = t
        self.constants[id(t._st)] = t._st

    def owns(self, st: Storage) -> bool:
        return id(st) not in self.known and st.val is not None and st.val.node.walk is self.walk

    def capture(self, t: Tensor) -> Value:
        """The value of a tensor from outside: one of the sources, or a view of one."""
        if t._st is None:
            raise self.fail("it uses a tensor that is neither an argument nor among what its code names")
        root = self.root(t)
        v = self.value(root)
        if t is root:
            return v
        if t._lay is not v.lay or t._off != root._off:
            delta = t._off - root._off
            if t._lay.dtype is not v.lay.dtype or not v.lay.dense or delta < 0 or delta + t._lay.extent > v.lay.extent:
                raise self.fail("it looks at the memory of an argument in a way that is not recorded")
            v = read(v, t._lay, delta, False, self.walk)
        if v.rg and t._det:
            v = edge(self.walk, STOP, (v,), ONE, ONE).out
        return v

    def root(self, t: Tensor) -> Tensor:
        """The source that a tensor is, or is a view of."""
        on_it = self.known.get(id(t._st))
        if on_it is None:
            raise self.fail("it uses a tensor that is neither an argument nor among what its code names")
        if len(on_it) > 1 and (id(t._st) in self.writes or id(t) not in self.sources):
            raise self.fail("two of the tensors that it uses share memory, and it takes a view of one or writes to it")
        return t if id(t) in self.sources else on_it[0]

    def value(self, root: Tensor) -> Value:
        v = self.writes.get(id(root._st))
        if v is not None:
            return v
        v = self.entered.get(id(root))
        if v is None:
            w = self.walk
            live = requires_grad(root)
            if live and id(root._st) in self.constants:
                raise self.fail("it makes a leaf that requires grad")
            nx = special(w, ENTRY, (), (root._lay, live), _entry_value, nin=1, nleaf=int(live))
            v = self.entered[id(root)] = nx.out
            self.inputs.append(root)
        return v

    def write_outside(self, t: Tensor, v: Value) -> None:
        """A write in place to a tensor from outside: it is done when the path ends."""
        if t._st is None:
            raise self.fail("it writes to a tensor that is neither an argument nor among what its code names")
        root = self.root(t)
        old = self.value(root)
        if len(self.known[id(t._st)]) > 1:
            raise self.fail("two of the tensors that it uses share memory, and it writes to one")
        if (v.rg or old.rg or requires_grad(t)) and id(t._st) not in self.constants:
            raise self.fail("it writes in place to a tensor from outside, and gradients flow through that")
        lay, delta = t._lay, t._off - root._off
        if v.lay is not old.lay or lay is not old.lay or delta:
            if lay.dtype is not old.lay.dtype or not old.lay.dense or delta < 0 or delta + lay.extent > old.lay.extent:
                raise self.fail("it writes to the memory of an argument in a way that is not recorded")
            w = self.walk
            static = (TENSOR, TENSOR, TENSOR, lay)
            nx = edge(w, WRITE, (old, v, NUMBER[int]), static, (*static, delta), nscal=1)
            w.scalars[nx.k] = delta
            v = nx.out
        self.writes[id(root._st)] = v

    def read(self, t):
        raise self.fail(f"the value of a tensor is asked for at {line_text(user_line())}")

    def run(self, plan, w: Walk) -> dict:
        return self.read(None)

    release = flush = read


# --- the path -----------------------------------------------------------------------------------------------------------


class Path:
    """What a function did, as steps on numbered values; the first are the inputs.

    steps     (operation, operands, static arguments, key, spec, its numbers, the user's line), or what VIEW and MODE need
    numbers   all of them in order
    results   how to make what the function returned (see `build`); `first` is the number of the only one, or -1
    writes    (which input, the value that it gets)
    apart     whether inputs must not share memory"""

    __slots__ = ("apart", "first", "inputs", "live", "numbers", "places", "results", "steps", "writes")

    def __init__(self, inputs: list[Tensor], live: list[bool]):
        self.inputs = inputs
        self.live = live
        self.steps: list[tuple] = []
        self.numbers: list = []
        self.results: Any = None
        self.first = -1
        self.writes: list[tuple[int, int]] = []
        self.apart = False
        self.places: dict[Node, Place] = {}


class Place:
    """Where a path ends that begins at a node with those values."""

    __slots__ = ("begin", "end", "env", "stop", "values")

    def __init__(self, values: list, end: Node, env: list, begin: int):
        self.values = values
        self.end = end
        self.env = env
        self.begin = begin
        self.stop = end.nscal


def record(f: Callable, args: tuple, kwargs: dict, sources: list[Tensor], kept: dict[int, Any]) -> Path:
    """The path of a call.

    Args:
        sources: the tensors that the function may use.
        kept: objects that it may return as they are, by id.
    Raises: Unrecordable; what the function raises."""
    level = Recording(sources)
    outer = tls.walk
    tls.walk = level.walk
    try:
        out = f(*args, **kwargs)
        if level.failed is not None:
            raise level.failed
        return _Writer(level, kept, (args, kwargs)).path(out)
    finally:
        tls.walk = outer


def _containers(x) -> Iterator:
    """The lists and dicts in nested arguments."""
    if isinstance(x, (list, dict)):
        yield x
    if isinstance(x, (list, tuple, dict)):
        for y in x.values() if isinstance(x, dict) else x:
            yield from _containers(y)


class _Writer:
    """Writes a Path from the nodes of a recording."""

    def __init__(self, level: Recording, kept: dict[int, Any], given: tuple):
        self.level = level
        self.kept = kept
        self.given = {id(x) for x in _containers(given)}
        self.ids: dict[Value, int] = {}
        self.count = 0
        self.made: dict[int, Any] = {}

    def number(self, v: Value) -> int:
        i = self.ids.get(v)
        if i is None:
            if v.base is None:
                raise Unrecordable("it uses a value of another walk")
            base = self.number(v.base)
            mode = next(key[2] for key, x in (v.base.views or {}).items() if x is v)
            self.result.steps.append((VIEW, base, v.lay, v.off, mode))
            i = self._new(v)
        return i

    def _new(self, v: Value) -> int:
        i = self.ids[v] = self.count
        self.count += 1
        return i

    def path(self, out) -> Path:
        level = self.level
        w = level.walk
        self._enter(out)
        nodes = []
        n = w.at
        while n.parent is not None:
            nodes.append(n)
            n = n.parent
        nodes.reverse()
        entered = list(level.entered.values())
        self.result = path = Path(level.inputs, [v.rg for v in entered])
        for v in entered:
            self._new(v)
        self._mode(n.mode, n.cast)  # where nothing has been recorded yet, a mode is another root
        for n in nodes:
            self._step(n, w)
        if w.at.mode is not level.outer.at.mode or w.at.cast is not level.outer.at.cast:
            raise Unrecordable("it leaves another gradient mode or autocast behind")
        for root in level.inputs:
            v = level.writes.get(id(root._st))
            if v is not None and id(root._st) not in level.constants:
                path.writes.append((self.ids[level.entered[id(root)]], self.number(v)))
        path.apart = bool(path.writes)
        path.results = self._result(out)
        if type(path.results) is _Fresh:
            path.first = path.results.value
        return path

    def _step(self, n: Node, w: Walk) -> None:
        op = n.op
        if op is ENTRY:
            return
        if op is MODE:
            self._mode(*n.static)
            return
        if op in (ENTER_ALL, LEAF, BACKWARD, BACKWARD_FROM, CUSTOM) or n.spec is None or not isinstance(op, Operation):
            raise Unrecordable(f"it has a step that is not replayed: {getattr(op, 'name', op)}")
        parent: Any = n.parent
        frozen = next(key[1] for key, x in parent.kids.items() if x is n)
        args, numbers = [], []
        k = n.k
        for v in n.args:
            if v.node is None:
                args.append((SCALAR, v.lay.number))
                numbers.append(w.scalars[k])
                k += 1
            else:
                args.append(self.number(v))
        self.result.steps.append((op, args, n.static, frozen, n.spec, numbers, n.line))
        self.result.numbers += numbers
        for v in n.outs:
            self._new(v)

    def _mode(self, mode: bool, cast) -> None:
        outer = self.level.outer.at
        if mode and not outer.mode:
            raise Unrecordable("it records gradients under no_grad")
        if mode is not outer.mode or cast is not outer.cast or self.result.steps:
            self.result.steps.append((MODE, mode, cast))

    # --- results --------------------------------------------------------------------------------------------------------

    def _result(self, x):
        if isinstance(x, Tensor):
            return self._tensor(x)
        if x is None or type(x) in (int, float, bool, str, complex, bytes) or id(x) in self.kept:
            return _As(x)
        if type(x) in (list, dict):
            if id(x) in self.made or id(x) in self.given:
                raise Unrecordable("it returns a list or dict that it was given, or one twice")
            self.made[id(x)] = x
        if type(x) is dict:
            return _Dict(list(x), [self._result(y) for y in x.values()])
        if type(x) in (list, tuple) or isinstance(x, tuple) and hasattr(x, "_fields"):
            items = [self._result(y) for y in x]
            if type(x) is tuple and all(type(y) is _As for y in items):
                return _As(x)
            return _Row(type(x), items)
        if type(x) in (Size, dtype):
            return _As(x)
        raise Unrecordable(f"it returns a {type(x).__name__}, which would have to be made anew")

    def _tensor(self, t: Tensor):
        made = self.made.get(id(t))
        if made is not None:
            return made[1]
        found = self._handle(t)
        self.made[id(t)] = (t, found)
        return found

    def _handle(self, t: Tensor):
        level = self.level
        if type(t) is not Tensor and id(t) not in level.sources:
            raise Unrecordable(f"it returns a {type(t).__name__} that it made")
        if t._st is not None and id(t._st) in level.constants:
            v = level.writes.get(id(t._st))
            if v is None or t._lay is not v.lay or t._off or t._leaf is t:
                raise Unrecordable("it returns a tensor that it made from numbers")
            return _Fresh(self.number(v))
        if id(t) in level.sources:
            return _Input(self.ids[level.entered[id(t)]])
        if t.__dict__ or getattr(t, "_hooks", None) is not None or getattr(t, "_grad", None) is not None:
            raise Unrecordable("it returns a tensor with attributes, hooks or a gradient")
        st = t._st
        if st is None:
            return _Fresh(self.number(t._val))
        if t._leaf is t:
            raise Unrecordable("it returns a leaf that it made")
        if id(st) in level.known:
            root = level.root(t)
            self.result.apart = True
            base: Any = _Input(self.ids[level.entered[id(root)]])
            return _View(base, t._lay, t._off - root._off, t._how, t._det)
        if not level.owns(st) or st.val is None:
            raise Unrecordable("it returns a tensor that was made outside of it")
        base = self.made.get(id(st))
        if base is None:
            base = self.made[id(st)] = _Fresh(self.number(st.val))
        if (
            st.val.lay is t._lay
            and t._off == 0
            and not t._det
            and not any(type(x) is tuple and x[1] is base for x in self.made.values())
        ):
            return base
        return _View(base, t._lay, t._off, t._how, t._det)

    def _enter(self, x) -> None:
        """What is returned of the tensors from outside is an input too, whether or not it is used."""
        level = self.level
        if isinstance(x, Tensor):
            if x._st is not None and id(x._st) in level.known:
                level.value(level.root(x))
        elif isinstance(x, (list, tuple)):
            for y in x:
                self._enter(y)
        elif isinstance(x, dict):
            for y in x.values():
                self._enter(y)


class _As:
    """The object itself."""

    def __init__(self, x):
        self.x = x

    def build(self, env, tensors, made):
        return self.x


class _Fresh:
    """A new handle for a value."""

    def __init__(self, value: int):
        self.value = value

    def build(self, env, tensors, made):
        found = made.get(self)
        if found is None:
            found = made[self] = fresh(env[self.value], tls.walk)
        return found


class _Input:
    """One of the inputs."""

    def __init__(self, index: int):
        self.index = index

    def build(self, env, tensors, made):
        return tensors[self.index]


class _View:
    """A view of a result or an input."""

    def __init__(self, base, lay: Layout, delta: int, how: str | None, det: bool):
        self.base, self.lay, self.delta, self.how, self.det = base, lay, delta, how, det

    def build(self, env, tensors, made):
        found = made.get(self)
        if found is None:
            found = made[self] = view(self.base.build(env, tensors, made), self.lay, self.delta, self.how)
            found._det = found._det or self.det
        return found


class _Row:
    """A new list, tuple or named tuple."""

    def __init__(self, kind: type, items: list):
        self.kind, self.items = kind, items

    def build(self, env, tensors, made):
        items = [x.build(env, tensors, made) for x in self.items]
        return self.kind(*items) if hasattr(self.kind, "_fields") else self.kind(items)


class _Dict:
    """A new dict."""

    def __init__(self, keys: list, items: list):
        self.keys, self.items = keys, items

    def build(self, env, tensors, made):
        return {k: x.build(env, tensors, made) for k, x in zip(self.keys, self.items)}


# --- calls --------------------------------------------------------------------------------------------------------------


class Entry:
    """One kind of call of a function, and its path.

    expect    for each leaf of the arguments: a tensor's layout, or the value
    facts     (class, requires_grad) of a tensor
    tree      how the leaves are nested (see compiler/compiling.py: flatten)
    names     of arguments by keyword, after `places` others; None where leaves are nested
    ids       which leaves are the same tensor as one before, and which are read by name besides
    guards    what else the function reads
    path      None until the second call of the kind, or for good: `reason` then says why
    picks     for each input of the path, the leaf that it is, or the tensor itself"""

    __slots__ = (
        "cast", "dtype", "expect", "facts", "guards", "ids", "kept", "mode", "names", "path", "picks", "places",
        "reason", "several", "tree", "watched",
    )  # fmt: skip

    def __init__(self, leaves: tuple, tree: Any, guards: Guards, kept: dict, w: Walk):
        self.mode = w.at.mode
        self.cast = w.at.cast
        self.dtype = get_default_dtype()
        self.expect = [layout_of(a) if isinstance(a, Tensor) else a for a in leaves]
        self.facts: list[Any] = [(type(a), requires_grad(a)) if isinstance(a, Tensor) else None for a in leaves]
        self.tree = tree
        flat = tree is None or type(tree[0]) is int
        self.names = None if not flat else () if tree is None else tree[1]
        self.places = len(leaves) if tree is None else tree[0]
        self.guards = guards
        self.watched = frozenset(map(id, guards.tensors))
        self.several = sum(f is not None for f in self.facts) > 1
        self.ids = identities(leaves, self.watched)
        self.kept: dict = kept
        self.path: Path | None = None
        self.picks: list = []
        self.reason: str | None = None

    def renew(self, leaves, w: Walk) -> bool:
        """Where only tensors that are read by name have been replaced, by such as were not known: the entry is for these now."""
        swap = self.guards.renewed()
        if swap is None:
            return False
        self.picks = [p if type(p) is int else swap.get(id(p), p) for p in self.picks]
        self.watched = frozenset(map(id, self.guards.tensors))
        return matches(self, leaves, w) and unchanged(self.guards)


class Compiled:
    """A function, and the kinds of calls whose paths are known.

    last     the entry of the last call, if that was replayed
    other    what is done with a call of any other kind: other(args, kwargs)
    off      call the function as it is"""

    __slots__ = ("__weakref__", "calls", "entries", "f", "last", "name", "off", "other", "reason", "replays", "strikes")

    def __init__(self, f: Callable, name: str):
        self.f = f
        self.name = name
        self.last: Entry | None = None
        self.other: Callable = self._plain
        self.off = False
        self.entries: list[Entry] = []
        self.calls = 0  # that were not replayed
        self.replays = 0
        self.reason: str | None = None  # why the last call was not replayed
        self.strikes = 0
        COMPILED.add(self)

    def _plain(self, args: tuple, kwargs: dict):
        return self.f(*args, **kwargs)


COMPILED: weakref.WeakSet[Compiled] = weakref.WeakSet()  # all that there are


def identities(leaves, watched: frozenset) -> list:
    """For each tensor, the place of the first leaf that is the same, and whether the function reads it by name as well."""
    ids = [id(a) for a in leaves if isinstance(a, Tensor)]
    return [(ids.index(i), i in watched) for i in ids]


def matches(e: Entry, leaves, w: Walk) -> bool:
    """Whether a call is of that kind, as far as its arguments and the modes say."""
    at = w.at
    if at.mode is not e.mode or at.cast is not e.cast or get_default_dtype() is not e.dtype:
        return False
    expect = e.expect
    if len(leaves) != len(expect):
        return False
    for a, x, fact in zip(leaves, expect, e.facts):
        if type(x) is Layout:
            if type(a) is not fact[0] or layout_of(a) is not x or requires_grad(a) is not fact[1] or a.__dict__:
                return False
            if not e.several and (id(a) in e.watched) is not e.ids[0][1]:
                return False
        elif a is not x and not alike(a, x):
            return False
    return not e.several or identities(leaves, e.watched) == e.ids


def call(c: Compiled, args, kwargs):
    """A call of a compiled function."""
    w = tls.walk
    if w.body or w.eager or w.inference or w.level is not None:
        return c.f(*args, **kwargs)
    if c.off:
        c.calls += 1
        return c.f(*args, **kwargs)
    e = c.last
    if e is not None and len(args) == e.places and e.names is not None and (e.names if kwargs else not e.names):
        leaves = args
        if kwargs:
            if tuple(kwargs) != e.names:
                return c.other(args, kwargs)
            leaves = args + tuple(kwargs.values())
        if matches(e, leaves, w) and unchanged(e.guards):
            path: Any = e.path
            if not path.apart or apart(e, leaves):
                c.replays += 1
                return replay(path, [leaves[p] if type(p) is int else p for p in e.picks], w)
    return c.other(args, kwargs)


def apart(e: Entry, leaves) -> bool:
    """Whether no two inputs share memory."""
    return separate([leaves[p] if type(p) is int else p for p in e.picks])


def separate(items, outside: Iterable[Tensor] = ()) -> bool:
    """Whether no two of the tensors among them share memory, nor one with another one outside."""
    tensors = {id(t): t for t in items if isinstance(t, Tensor) and t._st is not None}
    storages = {id(t._st) for t in tensors.values()}
    if len(storages) < len(tensors):
        return False
    return not any([id(t._st) in storages and id(t) not in tensors for t in outside])


# --- replaying ----------------------------------------------------------------------------------------------------------


def replay(path: Path, tensors: list[Tensor], w: Walk):
    """What the function would return for those inputs."""
    cut_if_long(w)
    values = [t._val if t._val is not None and t._val.node.walk is w else resolve(t, w) for t in tensors]
    place_ = path.places.get(w.at)
    if place_ is not None and same(values, place_.values):
        w.scalars[place_.begin : place_.stop] = path.numbers
        w.at = place_.end
        env = place_.env
    else:
        env = _follow(path, values, w)
    if path.first >= 0:
        out = fresh(env[path.first], w)
    else:
        out = path.results.build(env, tensors, {})
    if path.writes:
        _write(path, env, tensors, w)
    return out


def _write(path: Path, env: list, tensors: list[Tensor], w: Walk) -> None:
    for i, v in path.writes:
        write(tensors[i], env[v], w)


def _follow(path: Path, values: list, w: Walk) -> list:
    """Walks the edges one by one."""
    begin = w.at
    env = list(values)
    for step in path.steps:
        op = step[0]
        if op is VIEW:
            env.append(_view_value(env[step[1]], step[2], step[3], step[4]))
            continue
        if op is MODE:
            if w.at.mode is not step[1] or w.at.cast is not step[2]:
                _enter_mode(w, step[1], step[2])
            continue
        _, args, static, frozen, spec, numbers, line = step
        operands = tuple([NUMBER[a[1]] if type(a) is tuple else env[a] for a in args])
        misses = w.misses
        nx = edge(w, op, operands, static, frozen, spec, len(numbers))
        if w.misses != misses:
            nx.line = line or nx.line
        if numbers:
            w.scalars[nx.k : nx.k + len(numbers)] = numbers
        env += nx.outs
    if len(path.places) >= MOST_PLACES:
        path.places.clear()
    path.places[begin] = Place(values, w.at, env, begin.nscal)
    return env


def _view_value(base: Value, lay, offset: int, mode: bool) -> Value:
    if base.views is None:
        base.views = {}
    v = base.views.get((lay, offset, mode))
    if v is None:
        v = base.views[lay, offset, mode] = Value(base.node, base.k, lay, base.rg and mode)
        v.base, v.off, v.mask = base, offset, base.mask if mode else 0
    return v
