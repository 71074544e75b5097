"""Walking: a handle becomes a value of the walk, an operation walks an edge, a view or a write changes handles and storages.

The hit path of operations is in ops/calling.py; what is here runs at the
first use of a storage in a walk, and where the tree is left or grows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import config
from ..ir.dtypes import BY_NAME, dtype, from_numpy
from ..ir.operation import TENSOR, Operation, Spec, spec_of
from ..ir.shapes import Layout, flat, layout
from ..ir.special import ENTER_ALL, ENTRY, GRAFT, LEAF, MODE, READ, RELAYOUT, STOP, WRITE, strided
from .handle import NUMBER, Memory, Node, Storage, Tensor, Value, Walk, no_value, placed, tls


def _unset(*args):
    raise RuntimeError("tenfold._core is not set up: import tenfold, not a part of it")


flush: Callable[[Walk], None] = _unset  # set by flush.py
foreign: Callable[[Tensor, Walk], Value] = _unset  # set by flush.py: the value of a handle of another thread's walk

autocast: Callable[[Operation, dtype], Operation] = (
    _unset  # set by ops/autocast.py: what an operation means under autocast
)

PLAIN = (ENTRY, ENTER_ALL, MODE)  # edges without an operation that need no planning
KEPT = (
    "a tensor made inside of a function under vmap was kept and used outside of it: return it from the function instead"
)
ONE = (TENSOR,)
TWO = (TENSOR, TENSOR)


# --- edges -------------------------------------------------------------------------------------------------------


def edge(
    w: Walk, op: Operation, args: tuple, static: tuple, frozen: tuple, spec: Spec | None = None, nscal=0, nin=0, nleaf=0
) -> Node:
    """Walks the edge of that operation on those values; on a miss the tree grows, or the operation's rule raises."""
    p = w.at
    nx = p.kids.get((op, frozen, args))
    if nx is None:
        nx = grow(w, p, op, args, static, frozen, spec, nscal, nin, nleaf)
    if not w.eager:
        p.nxt = nx
    w.at = nx
    return nx


def grow(
    w: Walk,
    p: Node,
    op: Operation,
    args: tuple,
    static: tuple,
    frozen: tuple,
    spec: Spec | None,
    nscal: int,
    nin: int,
    nleaf: int,
) -> Node:
    w.misses += 1
    if spec is None:
        meant = op if p.cast is None else autocast(op, p.cast)
        spec = spec_of(meant, tuple([v.lay for v in args]), static, frozen)
    nx = Node(op, args, static, spec, p, w)
    nx.nscal += nscal
    nx.nin += nin
    nx.nleaf += nleaf
    live = p.mode and op.differentiable and any([v.rg for v in args])
    outs = []
    nbytes = 0
    for k, l in enumerate(spec.outs):
        v = Value(nx, k, l, False)
        if live and l.differentiable:
            for j in spec.deps[k]:
                if args[j].rg:
                    v.rg = True
                    v.mask |= args[j].mask
        if op is GRAFT:
            v.rg = args[1].rg
            v.mask = args[1].mask
        outs.append(v)
        nbytes += l.nbytes
    nx.nbytes += nbytes
    nx.outs = tuple(outs)
    nx.out = outs[0] if outs else None
    if nx.nscal > len(w.scalars) or nx.nin > len(w.inputs) or nx.nleaf > len(w.leaves):
        room(w, nx)
    nx.line = user_line(w)
    p.kids[op, frozen, args] = nx
    w.nodes += 1
    return nx


def room(w: Walk, n: Node) -> None:
    """Makes the lists of data long enough for a new node."""
    if n.nscal > len(w.scalars):
        w.scalars.extend([0.0] * n.nscal)
    if n.nin > len(w.inputs):
        w.inputs.extend([None] * n.nin)
    if n.nleaf > len(w.leaves):
        w.leaves.extend([None] * n.nleaf)


def special(
    w: Walk, op: Operation, args: tuple, static: tuple, make: Callable[[Node], tuple], nscal=0, nin=0, nleaf=0
) -> Node:
    """Walks an edge that planning expands; make(node) gives its values on a miss."""
    p = w.at
    key = (op, static, args)
    nx = p.kids.get(key)
    if nx is None:
        nx = Node(op, args, static, None, p, w)
        nx.nscal += nscal
        nx.nin += nin
        nx.nleaf += nleaf
        nx.graded = nx.graded or op not in PLAIN
        nx.outs = make(nx)
        nx.out = nx.outs[0] if nx.outs else None
        room(w, nx)
        nx.line = user_line(w)
        p.kids[key] = nx
        w.nodes += 1
        w.misses += 1
    if not w.eager:
        p.nxt = nx
    w.at = nx
    return nx


_own_globals: dict[int, bool] = {}  # id of a module's globals -> whether it is tenfold's


def user_line(w: Walk | None = None) -> tuple | None:
    """Where the program calls tenfold: (code, position in it); `line_text` finds the line."""
    if w is not None and w.body and w.level is None:
        return None
    f = sys._getframe(1)
    while f is not None:
        scope = f.f_globals
        own = _own_globals.get(id(scope))
        if own is None:
            own = scope.get("__name__", "").split(".")[0] == "tenfold"
            if own:  # a user's globals may die, and their id come back
                _own_globals[id(scope)] = True
        if not own:
            return (f.f_code, f.f_lasti)
        f = f.f_back
    return None


def line_text(line: tuple | None) -> str:
    if line is None:
        return "an unknown place"
    code, position = line
    number = next((n for start, end, n in code.co_lines() if start <= position < end), code.co_firstlineno)
    return f"{code.co_filename}:{number}"


def cut_if_long(w: Walk) -> bool:
    """Ends a walk that has become long, where a loop comes round, or anywhere where it is twice as long. Returns whether it
    did. A walk without gradients is long sooner: nothing that comes later needs to be in one program with it."""
    p = w.at
    if p.depth < config.MAX_PLAIN_WALK and p.nbytes < config.MAX_PENDING or w.body or w.hold or w.running:
        return False
    if p.kids and p.nbytes < config.MAX_PENDING:
        return False
    first = p.first
    plain = not p.mode and not p.graded and first.parent is not None and not first.parent.mode
    longest = config.MAX_PLAIN_WALK if plain else config.MAX_WALK
    if p.nbytes < config.MAX_PENDING and p.depth < longest:
        return False
    if (
        p.depth >= 2 * longest
        or p.nbytes >= config.MAX_PENDING
        or p.programs is not None
        or comes_round(p, first.line, longest, w)
    ):
        flush(w)
        return True
    return False


class Lines:
    """Where the program has been on a walk.

    end     the node up to which it is known
    count   operations up to there
    last    for each line, the number of the operation that was there last
    most    the most operations between two times at a line
    turn    the same of the line where the walk began"""

    __slots__ = ("end", "count", "last", "most", "turn")

    def __init__(self, end: Node):
        self.end = end
        self.count = self.most = self.turn = 0
        self.last: dict[tuple, int] = {}


def comes_round(p: Node, begun: tuple | None, longest: int, w: Walk) -> bool:
    """Whether the program is again at a line that it has passed on this walk, the longest way ago of all lines that it has
    passed more than once: so at the same place of each turn of the outermost loop. Of several such lines it is the one
    where the walk has begun; if that is not passed again, a turn must be a good part of the walk, or the walk very long."""
    line, begin = _key(user_line()), _key(begun)
    lines = _lines(p, begin, w)
    if line not in lines.last:
        return False
    own = lines.count + 1 - lines.last[line]
    if 4 * own < 3 * lines.most:  # another line is passed less often
        return False
    if line == begin:
        return True
    return 3 * own > 4 * lines.turn and (lines.turn > 0 or 4 * own > longest or 2 * p.depth >= 3 * longest)


def _lines(p: Node, begin: tuple, w: Walk) -> Lines:
    """Where the walk has been up to a node."""
    lines = w.lines
    new: list[Node] = []
    n = p
    while n.parent is not None and (lines is None or n is not lines.end):
        new.append(n)
        n = n.parent
    if lines is None or n is not lines.end:
        lines = w.lines = Lines(n)
    while new:
        n = new.pop()
        lines.end = n
        if n.op in PLAIN or n.line is None:  # what enters does so once
            continue
        at = _key(n.line)
        lines.count += 1
        if at in lines.last:
            way = lines.count - lines.last[at]
            lines.most = max(lines.most, way)
            if at == begin:
                lines.turn = max(lines.turn, way)
        lines.last[at] = lines.count
    return lines


def _key(line: tuple | None) -> tuple:
    """A line as a key: code objects are slow to compare."""
    return (0, 0) if line is None else (id(line[0]), line[1])


# --- handles to values ---------------------------------------------------------------------------------------------


def resolve(t: Tensor, w: Walk) -> Value:
    """The value that a handle stands for on this walk."""
    v = t._val
    if v is not None:
        return v if v.node.walk is w else foreign(t, w)
    st = t._st
    if w.level is not None and not w.level.owns(st):
        return w.level.capture(t)
    lay = t._lay
    leaf = t._leaf
    if st.val is None:
        if (
            not st.shared
            and not st.exported
            and t._off == 0
            and lay.contig
            and lay.numel == st.size
            and (leaf is None or leaf is t)
            and not t._det
        ):
            if st.bundle is not None:
                bundle = st.bundle()
                if bundle is not None and bundle.enter(w) and t._val is not None:
                    return t._val
            v = enter(st, lay, w, leaf) if st.hist is None or leaf is None else None  # the usual case, shortly
            if v is not None:
                t._val = v
                w.cached.append(t)
                return v
    elif st.val.node.walk is not w:
        return foreign(t, w)
    elif leaf is None and st.mem is None and st.shared and not t._det:  # a view of what was born on this walk
        return read(st.val, lay, t._off, False, w)
    if leaf is not None and leaf is not t:
        if leaf._leaf is None:
            t._leaf = leaf = None
        elif not t._det:
            own = leaf._lay
            if own.dtype is not lay.dtype:  # real numbers read as complex ones, or the other way round
                delta = t._off - leaf._off * own.dtype.itemsize // lay.dtype.itemsize
                return read(resolve(leaf, w), lay, delta, st.mem is not None, w)
            delta = t._off - leaf._off
            if delta < 0 or delta + lay.extent > own.extent:
                return read(_around(leaf, w), lay, t._off, st.mem is not None, w)
            return read(resolve(leaf, w), lay, delta, st.mem is not None, w)
    whole = not st.shared and t._off == 0 and lay.contig and lay.numel == st.size
    if st.val is None:
        if st.exported and st.hist is None and is_exported(st):
            return snapshot(t, w)
        live = leaf is t if whole and st.hist is None else False
        enter(st, lay if whole else None, w, t if live and not t._det else None)
    v = st.val
    apart = t._det or v.leaf and (leaf is None or leaf_of(v, w) is not t)  # its history is not the handle's
    if v.lay is not lay:
        v = read(v, lay, t._off, st.mem is not None, w)
    if v.rg and (apart or leaf is t and not v.leaf):
        v = edge(w, STOP, (v,), ONE, ONE).out
    if leaf is t and not v.rg and not t._det:
        v = leaf_edge(t, v, w)
    if not st.shared:
        t._val = v
        w.cached.append(t)
    return v


def _around(leaf: Tensor, w: Walk) -> Value:
    """All of a leaf's storage, of which the part that the leaf reads has its history (as_strided may reach beyond a leaf)."""
    st = leaf._st
    v = resolve(leaf, w)
    if st.val is None:
        enter(st, None, w, None)
    static = (TENSOR, TENSOR, TENSOR, leaf._lay)
    nx = edge(w, WRITE, (st.val, v, NUMBER[int]), static, static, nscal=1)
    w.scalars[nx.k] = leaf._off
    return nx.out


def leaf_of(v: Value, w: Walk) -> Tensor:
    """The tensor whose value as a leaf it is: perhaps it has ceased to be one since, or shares its storage with others."""
    n = v.node
    return w.leaves[n.nleaf - len(n.outs) + v.k]


def leaf_edge(t: Tensor, v: Value, w: Walk) -> Value:
    """The value as that of a leaf: reverse mode ends here."""
    nx = edge(w, LEAF, (v,), ONE, ONE, nleaf=1)
    out = nx.out
    out.rg = True
    out.leaf = True
    out.mask = 1 << nx.nleaf - 1
    w.leaves[nx.nleaf - 1] = t
    return out


def enter(st: Storage, lay: Layout | None, w: Walk, leaf: Tensor | None) -> Value:
    """A realised storage enters the walk: whole, with that layout, or as flat memory."""
    if st.mem is None:
        _cannot_enter(st, lay)
    if type(st.mem) is Memory and st.mem.level.walk is not w:
        raise RuntimeError(KEPT)
    live = leaf is not None or st.hist is not None
    if lay is None:
        lay = flat(st_dtype(st))
    nx = w.at.nxt
    if nx.op is ENTRY and nx.a is lay and nx.b is live:
        w.at = nx
    else:
        nx = special(w, ENTRY, (), (lay, live), _entry_value, nin=1, nleaf=int(live))
        nx.a, nx.b = lay, live
    mem = st.mem if not st.pinned else st.mem.copy()
    w.inputs[nx.nin - 1] = mem.item() if lay.number else mem
    v = nx.out
    v.leaf = leaf is not None
    if live:
        past: Any = st.hist
        if leaf is not None:
            w.leaves[nx.nleaf - 1] = leaf
        else:  # a view that is all that is left of its storage enters with another layout than the value had
            same = not lay.flat and past[0].graph.lays[past[1]] is lay
            w.leaves[nx.nleaf - 1] = past if same else (*past, lay)
    st.val = st.was = v
    w.storages.append(st)
    return v


def _cannot_enter(st: Storage, lay: Layout | None) -> None:
    if st.error is not None:
        raise type(st.error)(*st.error.args) from st.error
    raise no_value(placed(st, lay or flat(st_dtype(st))))


def _entry_value(n: Node) -> tuple:
    lay, live = n.static
    v = Value(n, 0, lay, live)
    v.mask = 1 << n.nleaf - 1 if live else 0
    return (v,)


def st_dtype(st: Storage):
    return BY_NAME[st.name] if st.name else from_numpy(st.mem.dtype)


def read(base: Value, lay: Layout, offset: int, data: bool, w: Walk) -> Value:
    """A strided read of a value. The offset is data for memory, part of the path for what was born on this walk."""
    if base.lay is lay and offset == 0:
        return base
    if data:
        static = (TENSOR, TENSOR, lay)
        nx = w.at.nxt
        if nx.op is READ and nx.a is base and nx.static[2] is lay:
            w.at = nx
        else:
            nx = edge(w, READ, (base, NUMBER[int]), static, static, nscal=1)
        w.scalars[nx.k] = offset
        return nx.out
    if base.views is None:
        base.views = {}
    mode = w.at.mode
    v = base.views.get((lay, offset, mode))
    if v is None:
        v = base.views[lay, offset, mode] = Value(base.node, base.k, lay, base.rg and mode)
        v.base, v.off, v.mask = base, offset, base.mask if mode else 0
    return v


def _count_of_argument() -> int:
    """What passing an object to getrefcount adds to its count: 1, or 0 where arguments are borrowed (Python 3.14)."""
    alone = object()
    return sys.getrefcount(alone) - 1


ARGUMENT = _count_of_argument()


def is_exported(st: Storage) -> bool:
    """Whether somebody outside still holds memory that was handed out."""
    mem = st.mem
    if mem is None:
        return False
    owner = mem
    if mem.base is not None:
        if not isinstance(mem.base, np.ndarray):
            return True
        owner = mem.base
        held = sys.getrefcount(owner) > 2 + ARGUMENT or sys.getrefcount(mem) > 2 + ARGUMENT
    else:
        held = sys.getrefcount(mem) > 3 + ARGUMENT
    if not held and owner.base is None:
        st.exported = False
        return False
    return True


def snapshot(t: Tensor, w: Walk) -> Value:
    """What shared memory holds now: whoever shares it may change it before this walk is run."""
    lay = t._lay
    live = t._leaf is t and not t._det
    own = dense_copy(lay)
    array = np.array(strided(t._st.mem, lay, t._off), order="C")
    nx = special(w, ENTRY, (), (own, live), _entry_value, nin=1, nleaf=int(live))
    w.inputs[nx.nin - 1] = array.reshape(-1)
    v = nx.out
    v.leaf = live
    if live:
        w.leaves[nx.nleaf - 1] = t
    return v if own is lay else read(v, lay, 0, False, w) if lay.contig else relayout(v, lay, w)


def dense_copy(lay: Layout) -> Layout:
    return layout(lay.shape, None, lay.dtype, lay.device)


def relayout(v: Value, lay: Layout, w: Walk) -> Value:
    """The same elements under other strides (those that the handle says)."""
    static = (TENSOR, lay)
    return edge(w, RELAYOUT, (v,), static, static).out


# --- views and writes --------------------------------------------------------------------------------------------------


def place(t: Tensor) -> Storage:
    """A fresh handle gets a storage, so that it can be aliased."""
    st = t._st
    if st is None:
        v = t._val
        st = Storage(None, v.lay.extent)
        st.name = v.lay.dtype.name
        st.val = v
        v.node.walk.storages.append(st)
        t._lay = v.lay
        t._off = 0
        t._leaf = None
        t._det = False
        t._how = None
        t._st = st
    elif st.bundle is not None:
        touch(st)
    t._val = None
    return st


def touch(st: Storage) -> None:
    """Something may be done to the storage, or to a tensor on it: its bundle has to look whether it is still a plain one."""
    bundle = st.bundle()
    if bundle is not None:
        bundle.tidy = False


def view(t: Tensor, lay: Layout, delta: int, how: str | None) -> Tensor:
    """A new handle on the same storage."""
    st = place(t)
    st.shared = True
    r = placed(st, lay, t._off + delta)
    r._leaf = t._leaf
    r._det = t._det
    r._how = how
    if not tls.walk.at.mode and not r._det and _carries(t):
        r._det = True
    return r


def _carries(t: Tensor) -> bool:
    st = t._st
    return t._leaf is not None or (st.hist is not None if st.val is None else st.val.rg)


def detach(t: Tensor) -> Tensor:
    st = place(t)
    st.shared = True
    r = placed(st, t._lay, t._off)
    r._det = True
    return r


def check_writable(t: Tensor, w: Walk) -> None:
    """PyTorch's rules for writing in place: into memory that no two elements share, and while gradients are recorded."""
    if t._st is not None and t._lay.repeats:
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please clone() the tensor before performing the operation."
        )
    if t._st is None or not w.at.mode or t._leaf is None or t._det:
        return
    if t._leaf is t:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation. Put the write under torch.no_grad(), or work on a clone()."
        )
    if t._leaf._leaf is not None:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation. Put the write under torch.no_grad(), or work on a clone()."
        )


def write(t: Tensor, v: Value, w: Walk) -> None:
    """The storage of t gets a new value: v (of t's shape and dtype) where t reads."""
    st = t._st
    if w.level is not None and not (w.level.owns(st) if st is not None else t._val.node.walk is w):
        w.level.write_outside(t, v)
        return
    if v.rg and not w.at.mode:
        v = edge(w, STOP, (v,), ONE, ONE).out  # what a value recorded earlier depends on is not the target's
    if st is None:
        old = t._val
        if v.lay is old.lay and (not old.rg or not w.at.mode or v.rg and not old.mask & ~v.mask):
            t._val = graft(v, old, w) if old.rg and not w.at.mode else v
            return
        st = place(t)
    if st.bundle is not None:
        touch(st)
    lay = t._lay
    outside = not w.at.mode or t._det
    whole = not st.shared and t._off == 0 and lay.contig and lay.numel == st.size and not st.exported
    if st.val is not None and st.val.node.walk is not w:
        settle(t, w)
    old = st.val
    if old is None and (not whole or st.hist is not None or v.lay is not lay):
        old = enter(st, lay if whole else None, w, None)
    if old is not None and old.leaf and (t._det or t._leaf is None):  # a leaf's history is its own
        old = edge(w, STOP, (old,), ONE, ONE).out
    if t._det and v.rg:
        v = edge(w, STOP, (v,), ONE, ONE).out
    # it goes on requiring grad, and the leaves that it came from get zeros, though nothing flows
    kept = old is not None and old.rg and not outside and (not v.rg or old.mask & ~v.mask)
    if kept or not (whole and v.lay is lay and (old is None or old.lay is lay)):
        data = st.mem is not None
        static = (TENSOR, TENSOR, TENSOR, lay) if data else (TENSOR, TENSOR, TENSOR, lay, t._off)
        if data:
            nx = edge(w, WRITE, (old, v, NUMBER[int]), static, static, nscal=1)
            w.scalars[nx.k] = t._off
        else:
            nx = edge(w, WRITE, (old, v, NUMBER[int]), static[:4], static, nscal=1)
            w.scalars[nx.k] = t._off
        v = nx.out
    if outside and old is not None and old.rg and not old.leaf:
        v = graft(v, old, w)
    st.prev = (st.val, st.prev)
    st.val = v
    if old is None:
        w.storages.append(st)
    t._val = None
    if st.exported or st.pinned:
        flush(w)


def settle(t: Tensor, w: Walk) -> None:
    """Takes a storage over from another thread's walk."""
    st = t._st
    v = foreign(placed(st, st.val.lay, 0), w)
    st.val = v
    w.storages.append(st)


def graft(v: Value, history: Value, w: Walk) -> Value:
    return edge(w, GRAFT, (v, history), TWO, TWO).out


# --- modes: whether gradients are recorded, and autocast ------------------------------------------------------------------


def set_mode(mode: bool) -> None:
    """Gradient mode, from here on in this thread."""
    w = tls.walk
    at = w.at
    if at.mode is not mode:
        _enter_mode(w, mode, at.cast)


def set_cast(cast) -> None:
    """Autocast from here on in this thread: its dtype, or None."""
    w = tls.walk
    at = w.at
    if at.cast is not cast:
        _enter_mode(w, at.mode, cast)


def _enter_mode(w: Walk, mode: bool, cast) -> None:
    at = w.at
    if at.parent is None:
        w.at = w.root(mode, cast)
        return
    nx = at.nxt
    if nx.op is MODE and nx.static[0] is mode and nx.static[1] is cast:
        w.at = nx
        return
    special(w, MODE, (), (mode, cast), _set_node_modes)


def _set_node_modes(n: Node) -> tuple:
    n.mode, n.cast = n.static
    return ()


def without_cast(w: Walk, f: Callable, args, kwargs):
    """f(*args, **kwargs) with autocast off."""
    cast = w.at.cast
    set_cast(None)
    try:
        return f(*args, **kwargs)
    finally:
        set_cast(cast)
