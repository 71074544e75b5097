"""The flush: the walk ends, what is still referenced is computed and stored, and the thread is back at the root.

What is still referenced is known from reference counts of the handles that the walk itself holds. The program of a
path's end is keyed by the values asked for. Values with a history keep what a later backward needs of it (History)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import config
from ..backends.numpy.interpreter import Program, StepFailed
from ..compiler.lower import Lowering
from ..errors import Fallback
from ..ir.dtypes import decode
from ..ir.graph import Graph
from ..ir.special import ENTER_ALL, ENTRY, MODE, flatten, strided
from ..random import engine
from . import skeleton
from . import walk as walking
from .handle import Memory, Node, Storage, Tensor, Value, Walk, counts, new, no_value, nothing, tls
from .history import Past, passed_from
from .walk import line_text, special

ndarray = np.ndarray


first_program: Callable[[], None] = nothing  # called when a compiled program takes over; set by tenfold/__init__.py


class History:
    """What a flush keeps of a path for a later backward: its skeleton, the saved values, where its leaves' gradients go."""

    __slots__ = (
        "graph",
        "saved",
        "leaves",
        "objects",
        "hooks",
        "order",
        "dead",
        "used",
        "special",
        "number",
        "__weakref__",
    )

    def __init__(self, past: Past, saved: list, w: Walk):
        self.graph: Graph = past.graph
        self.saved: dict[int, Any] = {past.number[i]: value for i, value in zip(past.saved, saved)}
        self.leaves = [w.leaves[p] for p in past.leaves]
        self.objects = {s: w.inputs[p] for s, p in past.objects.items()}
        self.hooks: dict[int, list] = {}
        self.order = w.flushes
        self.dead = past.dead
        self.used: set[int] = set()  # steps that a backward without retain_graph has passed
        self.special = bool(self.objects)
        self.number = past.number

    def use_up(self, steps: Iterable[int]) -> None:
        """Lets go of the saved values that no other steps than these, and those used up before, would read."""
        reads = passed_from(self.graph, tuple([i for i, rg in enumerate(self.graph.rg) if rg]))
        self.used.update([s for s in steps if reads.get(s)])
        kept: set[int] = set().union(*[values for s, values in reads.items() if s not in self.used])
        self.saved = {i: x for i, x in self.saved.items() if i in kept}


LARGE = 1000  # steps; compiling takes some 0.2 ms for each
OFTEN = 64  # visits after which a path is compiled whatever its part is
FEW_PATHS = 3  # a path that is this part of what is run, or more, is one of few


class Plan:
    """A path's end and the values asked for: the graph, the program, and what a later backward needs."""

    __slots__ = (
        "graph",
        "ids",
        "numbers",
        "program",
        "past",
        "cache",
        "visits",
        "times",
        "since",
        "pending",
        "machine",
        "donors",
    )

    def __init__(self, end: Node, key: tuple[Value, ...], old: list[Value | None] | None = None):
        low = Lowering(end)
        self.graph = graph = low.graph
        self.ids = [low.number(v) for v in key]
        roots = list(dict.fromkeys([i for i, v in zip(self.ids, key) if v.rg and not v.leaf]))
        if end.walk.ending:
            roots = []
        self.past = Past(graph, roots) if roots else None
        self.numbers = [self.past.number.get(i, -1) for i in self.ids] if self.past is not None else []
        self.program = Program(graph, [*self.ids, *(self.past.saved if self.past is not None else ())])
        self.donors = replaced(self.ids, key, old) if old else {}
        self.cache: tuple | None = None  # of a recorder that computes nothing
        self.visits = 0
        self.times = 0  # visits, with those that do not count (`seldom`)
        self.since = end.walk.edges - end.depth
        self.pending: Any = None  # the compiled program that is to come
        self.machine: Any = None  # the compiled program

    def run(self, w: Walk) -> tuple[list, list[int] | None]:
        """The values that are asked for, then those that a later backward needs: by the interpreter, and from a fixed visit
        on by the compiled program. And which of them may be memory that is not their own; None where all may be."""
        if w.runner is not None:
            return w.runner(self, w)
        if self.visits < config.COMPILE_AT:
            self.visit(w)
        if self.machine is not None:
            try:
                return self.machine.values(w.inputs, w.scalars), self.machine.odd
            except Fallback:  # the interpreter says what is wrong, and where
                engine.put_back()
        return self.told(self.program.run(w.inputs, w.scalars))

    def told(self, env: dict) -> tuple[list, None]:
        """What `run` gives, from values by number."""
        return [env[i] for i in self.program.results], None

    def visit(self, w: Walk) -> None:
        """Counts a visit. Compiling begins half way to the visit at which the compiled program takes over, and is then
        waited for."""
        self.times += 1
        if self.visits + 1 == config.COMPILE_AT // 2 and self.seldom(w):
            return
        self.visits += 1
        if not config.COMPILE or self.visits not in (config.COMPILE_AT, config.COMPILE_AT // 2):
            return
        try:
            from ..compiler import later
        except RuntimeError:  # the process is ending: no thread can be begun
            config.COMPILE = False
            return
        if self.visits == config.COMPILE_AT:
            self.machine = (
                later.now(self.graph, self.program.results, w.inputs, self.donors)
                if self.pending is None
                else self.pending.result()
            )
            self.pending = None
            first_program()
        else:
            self.pending = later.start(self.graph, self.program.results, w.inputs, self.donors)

    def seldom(self, w: Walk) -> bool:
        """Whether this is a large program on a path that is a small part of what is run, as where a loop over a sentence has
        another length each time: to compile each of them takes longer than they then save."""
        part = self.times * w.at.depth
        return len(self.graph.specs) > LARGE and self.times < OFTEN and part * FEW_PATHS < w.edges - self.since


def flush(w: Walk) -> None:
    """Computes what is still referenced of the walk and ends it."""
    end = w.at
    if end.parent is None:
        return
    if w.body and w.level is None:
        raise no_value(w.keep[0] if w.keep else new_unplaced())
    if w.running:
        raise RuntimeError("a value was asked for while the walk that it belongs to is being computed")
    w.flushes += 1
    w.edges += end.depth
    keep, storages = w.keep, w.storages
    for b, nx in w.bundles:
        if not b.tidy:
            storages += [s for s, v in zip(b.storages, nx.outs) if s.val is not v or s.shared]
    for t in w.cached:
        t._val = None
    t = None
    w.cached.clear()
    keep[:] = [t for t, c in zip(keep, counts(keep)) if c > 0]  # handles that are gone let go of their storages
    alive = [t for t in keep if t._st is None and t._val.node.walk is w]
    dirty = [
        s
        for s, c in zip(storages, counts(storages))
        if s.val is not s.was and (c > 0 or s.exported) and s.val.node.walk is w
    ]
    key: tuple = (*[t._val for t in alive], *[s.val for s in dirty], *[s.was for s in dirty])
    if w.grads or w.writes:
        w.grads = [g for g in w.grads if g._val is not None]
        key += (*[id(g._val) for g in w.grads],)  # the nodes keep those alive
        for _, old, values in w.writes:
            key += (id(old), id(values))
    programs = end.programs
    if programs is None:
        programs = end.programs = {}
    asked = programs.get(key)
    seen = asked is not None
    at_once = False
    if asked is None:
        if len(programs) > 32:
            programs.clear()
        asked = programs[key] = Asked(alive, dirty, w)
        at_once = (
            not end.graded and config.COMPILE_AT > 1 and w.runner is None and not any([v.rg for v in asked.values])
        )  # nothing is planned
    plan = asked.plan
    if plan is None:
        plan = asked.plan = skeleton.bound(end, asked.values, w)
    if plan is None and not at_once:
        plan = planned(w, end, asked, seen, alive, dirty)
    w.running = True
    history = unsure = None
    engine.begin()
    try:
        if plan is None:
            values = compute_at_once(end, asked.values, w)
        else:
            values, unsure = plan.run(w)
            if plan.past is not None:
                n = len(plan.ids)
                history = History(plan.past, values[n:], w)
                values = values[:n]
    except StepFailed as e:
        w.running = False
        go_singly(w, alive, dirty)
        recover(w, end, alive, dirty, e)
        raise e.error from None
    finally:
        w.running = False
    commit(w, end, values, unsure, asked, alive, dirty, history)
    if w.nodes > config.MAX_NODES:
        trim(w)


def planned(w: Walk, end: Node, asked: Asked, seen: bool, alive: list[Tensor], dirty: list[Storage]) -> Plan:
    """The plan for what is asked for, made now."""
    try:
        plan = asked.plan = Plan(end, asked.values, asked.old)
        plan.visits = int(seen)
    except Exception as e:
        go_singly(w, alive, dirty)
        abandon(w, end, alive, dirty, e)
        raise
    w.planned += 1
    return plan


class Asked:
    """What was asked for at the end of a path, and its plan once there is one."""

    __slots__ = ("odd", "old", "plan", "values")

    def __init__(self, alive: list[Tensor], dirty: list[Storage], w: Walk):
        values = [t._val for t in alive] + [s.val for s in dirty]
        self.old: list[Value | None] = [None] * len(alive) + [s.was for s in dirty]  # what the values replace
        for g in w.grads:
            values += g._val
        self.old += [None] * (len(values) - len(self.old))
        for _, old, row in w.writes:
            values += row
            self.old += old
        self.values: tuple[Value, ...] = tuple(values)
        self.odd = [k for k, v in enumerate(values) if not (v.lay.contig or v.lay.flat)]  # memory is not in order
        self.plan: Plan | None = None


def replaced(numbers: list[int], values: tuple[Value, ...], old: list[Value | None]) -> dict[int, int]:
    """Number of a value -> the position of the input that it replaces, where the two are alike."""
    return {
        i: o.node.nin - len(o.node.outs) + o.k
        for i, v, o in zip(numbers, values, old)
        if o is not None and o.lay is v.lay and o.node.op in (ENTRY, ENTER_ALL) and o.base is None
    }


def go_singly(w: Walk, alive: list[Tensor], dirty: list[Storage]) -> None:
    """After a failure: what was to be kept or written in bundles is looked at one by one."""
    for g in w.grads:
        n = len(w.keep)
        g.release()
        alive += w.keep[n:]
    for storages, _, values in w.writes:
        for s, v in zip(storages, values):
            s.prev = (s.val, s.prev)
            s.val = v
            dirty.append(s)
            w.storages.append(s)
    w.writes.clear()


def abandon(w: Walk, end: Node, alive: list[Tensor], dirty: list[Storage], error: Exception) -> None:
    """After planning has failed (a derivative that there is not): each value that can be planned alone is computed, without
    history; the others raise the same error when they are read."""
    taken = owners(w, end)
    for x in [*alive, *dirty]:
        v = x._val if isinstance(x, Tensor) else x.val
        try:
            plan = Plan(v.node, (v,))  # the path up to there
            mem = own(flatten(plan.run(w)[0][0], v.lay), taken)
        except Exception:
            mem = None
        if isinstance(x, Storage):
            if mem is None:
                x.error = error
            elif x.mem is not None and (x.exported or x.pinned):
                x.mem.reshape(-1)[: mem.size] = mem
            else:
                x.mem = mem
            continue
        st = Storage(mem, v.lay.extent)
        st.name = v.lay.dtype.name
        st.error = error if mem is None else None
        x._st, x._lay, x._off = st, v.lay, 0
        x._leaf, x._det, x._how, x._val = None, False, None, None
    alive.clear()
    dirty.clear()
    reset(w, end)


def compute_at_once(end: Node, wanted: tuple[Value, ...], w: Walk) -> list:
    """The values of a path, one operation after the other, without planning: for code that is run once."""
    nodes = []
    n = end
    while n.parent is not None:
        nodes.append(n)
        n = n.parent
    env: dict = {}
    with np.errstate(all="ignore"):
        one_by_one(nodes, env, w)
    return [env[v] if v in env else _read(v, env) for v in wanted]


def one_by_one(nodes: list[Node], env: dict, w: Walk) -> None:
    """Computes the edges that lead to those nodes, the last of them first."""
    inputs, scalars = w.inputs, w.scalars
    for n in reversed(nodes):
        op = n.op
        if op is ENTRY:
            value = inputs[n.nin - 1]
            lay = n.static[0]
            if not lay.flat and not lay.number and value.shape != lay.shape:
                value = strided(value, lay, 0)
            env[n.out] = value
            continue
        if op is MODE:
            continue
        if op is ENTER_ALL:
            first = n.nin - len(n.outs)
            for j, v in enumerate(n.outs):
                value = inputs[first + j]
                env[v] = value if value.shape == v.lay.shape else strided(value, v.lay, 0)
            continue
        args = []
        k = n.k
        for v in n.args:
            if v.node is None:
                args.append(scalars[k])
                k += 1
            else:
                found = env.get(v)
                args.append(_read(v, env) if found is None else found)
        try:
            value = n.spec.exe(*args)
        except Exception as e:
            raise StepFailed(-1, {}, e) from e
        if n.spec.tree is None:
            env[n.out] = value
        else:
            env.update(zip(n.outs, value))


def _read(v: Value, env: dict):
    """A view at a fixed place of another value."""
    base = env[v.base] if v.base in env else _read(v.base, env)
    out = env[v] = strided(flatten(base, v.base.lay), v.lay, v.off)
    return out


def commit(
    w: Walk, end: Node, values: list, unsure: list[int] | None, asked: Asked, alive: list[Tensor], dirty: list[Storage],
    history: History | None,
) -> None:  # fmt: skip
    """Stores the results, and puts the thread back at the root."""
    make_own(values, unsure, asked, w, end)
    ids: Any = asked.plan.numbers if asked.plan is not None else ()
    n = 0
    for t in alive:
        v = t._val
        st = Storage(values[n])
        st.name = v.lay.dtype.name
        if v.rg and history is not None:
            st.hist = (history, ids[n], v.node.op)
        n += 1
        t._st = st
        t._lay = v.lay
        t._off = 0
        t._leaf = t._how = t._val = None
        t._det = False
    for s in dirty:
        v = s.val
        mem = values[n]
        if s.mem is not None and (s.exported or s.pinned):
            if mem is not s.mem:
                s.mem.reshape(-1)[: mem.size] = mem.reshape(-1)
        else:
            s.mem = mem
            s.size = mem.size
        s.hist = (history, ids[n], v.node.op) if v.rg and not v.leaf and history is not None else None
        n += 1
    for g in w.grads:
        count = len(g.owners)
        g.memories = values[n : n + count]
        g._val = None
        n += count
    for rest, _, _ in w.writes:
        for s in rest:
            s.mem = values[n]
            n += 1
    if history is not None and w.hooked:
        _keep_hooks(w, history, asked.plan.past)
    t = s = st = None
    alive.clear()  # `reset` counts references
    dirty.clear()
    reset(w, end)


def _keep_hooks(w: Walk, history: History, past: Past) -> None:
    """Hooks on values of this walk become hooks on the numbers of the history."""
    low = Lowering(w.at)
    for v, hooks in w.hooked:
        i = past.number.get(low.number(v))
        if i is not None:
            history.hooks.setdefault(i, []).append(hooks)
            history.special = True


def _owner(m: np.ndarray) -> np.ndarray:
    return m if m.base is None else m.base


def make_own(values: list, unsure: list[int] | None, asked: Asked, w: Walk, end: Node) -> None:
    """A storage's memory is its own, and in order: what is also an input, or held by somebody else, is copied.

    `unsure`: the values that may be such; None: all."""
    if w.level is not None:
        values[:] = [flatten(m, v.lay) for m, v in zip(values, asked.values)]
        return
    rest: list[int] = []
    if unsure is None:
        rest = [
            k
            for k, (m, c) in enumerate(zip(values, counts(values)))
            if c > 0 or type(m) is not ndarray or m.base is not None or m.ndim > 1 and not m.flags.c_contiguous
        ]
    elif unsure:
        rest = [k for k in unsure if k < len(values)]
    if rest or asked.odd:
        taken = None
        for k in {*rest, *asked.odd}:
            if isinstance(values[k], np.generic):
                values[k] = np.ascontiguousarray(values[k])  # an array of its own
                continue
            if taken is None:
                taken = owners(w, end)
            values[k] = own(flatten(values[k], asked.values[k].lay), taken)


def owners(w: Walk, end: Node) -> set[int]:
    """The arrays whose memory the inputs are, by id."""
    return {id(_owner(m)) for m in w.inputs[: end.nin] if type(m) is ndarray}


def own(mem: np.ndarray, taken: set[int]) -> np.ndarray:
    """Memory that no other storage has."""
    owner = id(_owner(mem))
    if owner in taken or not mem.flags.writeable:
        mem = mem.copy()
        owner = id(mem)
    taken.add(owner)
    return mem


def reset(w: Walk, end: Node) -> None:
    w.at = w.root(end.mode, end.cast)
    n = end.nin
    w.inputs[:n] = [None] * n
    n = end.nleaf
    w.leaves[:n] = [None] * n
    storages = w.storages
    for s, c in zip(storages, counts(storages)):
        s.val = s.was = s.prev = None
        if c <= 1 or c == 2 and s.bundle is not None and s.bundle() is not None:  # it holds one more
            s.shared = False
    for b, _ in w.bundles:
        b.leave()
    for b in w.lent:
        b.withdraw()
    w.bundles.clear()
    w.lent.clear()
    w.grads.clear()
    w.writes.clear()
    for t in w.cached:
        t._val = None
    w.keep.clear()
    w.storages.clear()
    w.cached.clear()
    w.hooked.clear()


def recover(w: Walk, end: Node, alive: list[Tensor], dirty: list[Storage], failure: StepFailed) -> None:
    """After a step has raised: what had been computed is kept, what had not raises the same error when it is read, and
    storages hold what they held before that step."""
    error = failure.error
    low = Lowering(end)
    env = failure.env
    program = Program(low.graph, list(range(len(low.graph.lays))))
    kept: dict = {}
    engine.put_back()
    try:
        kept = program.run(w.inputs, w.scalars)
    except StepFailed as again:
        kept = again.env
        where = line_of(end, low, program.order[again.step])
        if where:
            error = located(again.error, where)
            failure.error = error
    kept = {**env, **kept}
    taken = owners(w, end)
    for t in alive:
        v = t._val
        i = low.ids.get(v)
        st = Storage(own(flatten(kept[i], v.lay), taken) if i in kept else None, v.lay.extent)
        st.name = v.lay.dtype.name
        if st.mem is None:
            st.error = error
        t._st, t._lay, t._off = st, v.lay, 0
        t._leaf, t._det, t._how = None, False, None
        t._val = None
    for s in dirty:
        v, chain = s.val, s.prev
        while v is not None and low.ids.get(v) not in kept:
            v, chain = chain if chain is not None else (None, None)
        if v is s.was and s.mem is not None or v is None and s.mem is not None:
            continue
        if v is None:
            s.error = error
            continue
        mem = flatten(kept[low.ids[v]], v.lay)
        if s.mem is not None and (s.exported or s.pinned):
            s.mem.reshape(-1)[: mem.size] = mem
        else:
            s.mem = own(mem, taken)
    reset(w, end)


def line_of(end: Node, low: Lowering, step: int) -> str:
    """The user's line that recorded a step."""
    outs = set(low.graph.outs[step])
    n = end
    best = ""
    while n.parent is not None:
        if any(low.ids.get(v) in outs for v in n.outs):
            return line_text(n.line)
        n = n.parent
    return best


def located(error: Exception, where: str) -> Exception:
    text = str(error)
    if "Recorded at" in text or not isinstance(error, (RuntimeError, IndexError, ValueError)):
        return error
    try:
        return type(error)(f"{text} Recorded at {where}.")
    except TypeError:
        return error


def trim(w: Walk) -> None:
    """Forgets the tree (it grows again where it is walked): it has reached its bound."""
    w.roots = {}
    w.lines = None
    w.at = w.root(w.at.mode, w.at.cast)
    w.nodes = 0


def new_unplaced() -> Tensor:
    t = new(Tensor)
    t._val = None
    t._st = None
    return t


# --- other threads ---------------------------------------------------------------------------------------------------


def foreign(t: Tensor, w: Walk) -> Value:
    """The value of a handle that another thread's walk holds: that walk is left alone, its path up to the value is computed here."""
    if w.level is not None:
        return w.level.capture(t)
    if w.body:
        raise RuntimeError(
            "the body of an operation used a tensor that is not one of its arguments: pass it in as an argument instead"
        )
    v = t._val if t._val is not None else t._st.val
    other = v.node.walk
    if other.level is not None:
        raise RuntimeError(walking.KEPT)
    if other.body:
        raise RuntimeError("a tensor made inside the body of an operation was kept and used outside of it")
    if v.rg:
        raise RuntimeError(
            "a tensor that requires grad was recorded in another thread and has not been computed there: read it there first, or detach() it"
        )
    n = v.node
    end = n
    while n.parent is not None:
        if n.spec is not None and n.spec.effect:
            raise RuntimeError(
                "a random tensor was recorded in another thread and has not been computed there: read it there first"
            )
        n = n.parent
    for _ in range(100):
        at = other.flushes
        low = Lowering(end)
        i = low.number(v)
        try:
            array = Program(low.graph, [i]).run(other.inputs[: end.nin], other.scalars[: end.nscal])[i]
        except Exception:
            if other.flushes == at:
                raise
            array = None
        if other.flushes == at and array is not None:
            break
        if t._val is None and t._st is not None and t._st.val is None:
            return walking.resolve(t, w)
    else:
        raise RuntimeError("a tensor is being changed by another thread while it is read")
    flat = flatten(array, v.lay).copy()
    nx = special(w, walking.ENTRY, (), (v.lay, False), walking._entry_value, nin=1)
    w.inputs[nx.nin - 1] = flat
    out = nx.out
    if t._val is None and (t._lay is not v.lay or t._off):
        return walking.read(out, t._lay, t._off, False, w)
    return out


# --- reading ----------------------------------------------------------------------------------------------------------


def computed(t: Tensor) -> np.ndarray:
    """The memory of a tensor's storage, computed if need be: flat, or in the shape of a contiguous result."""
    if tls.walk.level is not None:
        return tls.walk.level.read(t)
    st = t._st
    if st is None or st.val is not st.was or st.mem is None:
        w = tls.walk
        v = t._val if st is None else st.val
        if v is not None and v.node.walk is not w:
            foreign_realise(t, w)
        elif v is not None:
            flush(w)
        st = t._st
    if st.mem is None:
        if st.error is not None:
            raise type(st.error)(*st.error.args) from st.error
        raise no_value(t)
    mem = st.mem
    if type(mem) is Memory:
        raise RuntimeError(walking.KEPT)
    return mem


def realise(t: Tensor) -> np.ndarray:
    """The flat memory of a tensor's storage, computed if need be."""
    mem = computed(t)
    if mem.ndim != 1:  # contiguous results are kept in their shape until somebody asks
        mem = t._st.mem = mem.reshape(-1)
    return mem


def element(t: Tensor):
    """The one element of a tensor, as a Python number."""
    mem = computed(t)
    d = t._lay.dtype
    if mem.size == 1 and not d.half and mem.dtype is d.np:
        return mem.item()
    a = array_of(t)
    return (decode(a, d) if d.half else a).item()


def foreign_realise(t: Tensor, w: Walk) -> None:
    copy = walking.placed(Storage(None), t._lay if t._st is not None else t._val.lay)
    v = foreign(t, w)
    env = Program(*_only(w, v)).run(w.inputs, w.scalars)
    mem = flatten(next(iter(env.values())) if len(env) == 1 else env[_number(w, v)], v.lay).copy()
    copy._st = Storage(mem)
    copy._st.name = v.lay.dtype.name
    t._st, t._lay, t._off, t._val = copy._st, v.lay, 0, None
    t._leaf, t._det, t._how = None, False, None


def _number(w: Walk, v: Value) -> int:
    return Lowering(w.at).number(v)


def _only(w: Walk, v: Value):
    low = Lowering(w.at)
    i = low.number(v)
    return low.graph, [i]


def array_of(t: Tensor) -> np.ndarray:
    """The elements in the dtype's memory format: a view of the storage's memory."""
    mem = realise(t)
    return strided(mem, t._lay, t._off)


walking.flush = flush
walking.foreign = foreign
