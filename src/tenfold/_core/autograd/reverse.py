"""Reverse mode: what `backward()` and `grad` (gradients.py) do.

Two ways. On the walk at hand, without hooks or Functions, `backward()` is one edge, whose gradients planning works out.
Otherwise the walk is flushed, and the histories that the flush kept are passed newest first: as one edge each
(BACKWARD_FROM), or, where hooks, Functions, create_graph or intermediate gradients ask for it, one edge for each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..compiler.differentiate import needed_for_reverse, pick
from ..compiler.lower import Lowering
from ..ir.shapes import Layout, layout
from ..ir.special import ACCUMULATE, BACKWARD, BACKWARD_FROM, ENTRY, LEAF, ONES, READ, RELAYOUT, UNREAD, ZEROS, flatten
from ..trace.bundle import receive, release
from ..trace.flush import History, flush
from ..trace.handle import Node, Storage, Tensor, Value, Walk, fresh, layout_of, placed, requires_grad, tls
from ..trace.history import passed_from
from ..trace.macro import apply_spec, fit
from ..trace.walk import place, resolve, set_mode, special, view, write
from . import anomaly

USED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
    "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
    "Specify retain_graph=True if you need to backward through the graph a second time."
)
NO_GRAD = "element 0 of tensors does not require grad and does not have a grad_fn"


# --- entry points ----------------------------------------------------------------------------------------------------


def backward(
    t: Tensor, gradient=None, retain_graph: bool | None = None, create_graph: bool = False, inputs=None
) -> None:
    w = tls.walk
    if w.level is not None:
        raise RuntimeError(
            "backward() inside of a function under vmap is not supported: use torch.func.grad or vjp there"
        )
    retain = create_graph if retain_graph is None else bool(retain_graph)
    v = t._val
    if v is None or v.node.walk is not w:
        if not requires_grad(t):
            raise RuntimeError(
                f"{NO_GRAD}: nothing that `backward` starts from was made from a tensor with requires_grad=True"
            )
        mode = w.at.mode
        set_mode(True)  # what reads a kept value outside of gradient mode would be without its history
        v = resolve(t, w)
        set_mode(mode)
    if not v.rg:
        raise RuntimeError(
            f"{NO_GRAD}: nothing that `backward` starts from was made from a tensor with requires_grad=True"
        )
    if (
        create_graph
        or inputs is not None
        or w.hooked
        or v.node.special
        or w.at.special
        or w.eager
        or anomaly.state.enabled
    ):
        targets = None if inputs is None else [inputs] if isinstance(inputs, Tensor) else list(inputs)
        if targets is not None and not targets:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        stepwise([t], [seed_for(t, gradient)], retain, create_graph, targets, deliver_to=targets)
        return
    nx = w.at.nxt
    if gradient is None and nx.op is BACKWARD and nx.a is v and nx.static[0] is retain and len(nx.args) == 1:
        w.at = nx
    else:
        if gradient is None:
            check_scalar(v.lay)
            args: tuple = (v,)
        else:
            args = (v, resolve(seed_for(t, gradient), w))
        nx = special(w, BACKWARD, args, (retain,), _backward_values)
    if receive(nx, w):
        return
    pending: dict = {}
    leaves = w.leaves
    for k, value in zip(reversed(nx.aux), reversed(nx.outs)):  # the last use of a leaf comes first, as in PyTorch
        deliver(leaves[k], fresh(value, w), pending, w)
    if pending:
        histories(pending, retain, w)
    if w.eager:
        flush(w)


def check_scalar(lay: Layout) -> None:
    if lay.numel != 1:
        raise RuntimeError(
            f"grad can be implicitly created only for scalar outputs, and this one has shape {list(lay.shape)}: give `gradient`, or reduce it first"
        )
    if not lay.dtype.is_floating_point:
        raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {lay.dtype}")


def seed_for(t: Tensor, gradient) -> Tensor:
    lay = layout_of(t)
    if gradient is None:
        check_scalar(lay)
        return ONES.call(layout(lay.shape, None, lay.dtype, lay.device))
    if not isinstance(gradient, Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(gradient).__name__}")
    have = layout_of(gradient)
    if have.shape != lay.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[0] has a shape of {have.shape} and output[0] has a shape of {lay.shape}. "
            "The gradient given to backward needs the shape of the tensor that backward starts from."
        )
    if have.dtype.is_complex and not lay.dtype.is_complex:
        raise RuntimeError("For complex Tensors, both grad_output and output are required to have the same dtype.")
    return fit(gradient, lay)


def _backward_values(n: Node) -> tuple:
    """Which leaves get a gradient is known from the masks; nothing is decomposed here."""
    root = n.args[0]
    check_used(n, root)
    n.aux = positions(root.mask)
    return tuple([Value(n, j, gradient_layout(n.walk.leaves[k]), False) for j, k in enumerate(n.aux)])


def check_used(n: Node, root: Value) -> None:
    """Whether an earlier backward on this walk has used up the history of `root`."""
    earlier = n.parent
    while earlier is not None and earlier.parent is not None:
        if earlier.op is BACKWARD and not earlier.static[0] and earlier.args[0].mask & root.mask and used_up(n, root):
            raise RuntimeError(USED)
        earlier = earlier.parent


def used_up(n: Node, root: Value) -> bool:
    low = Lowering(n.parent)
    return not low.graph.used.isdisjoint(needed_for_reverse(low.graph, [low.number(root)]))


def positions(mask: int) -> tuple[int, ...]:
    return tuple([k for k in range(mask.bit_length()) if mask >> k & 1])


def target_layout(target) -> Layout:
    """The layout of a leaf handle, or of the earlier value (history, number, operation; flat layout where it entered so)."""
    if type(target) is tuple:
        if len(target) > 3:
            return target[3]
        return target[0].graph.lays[target[1]]
    return layout_of(target)


def gradient_layout(target) -> Layout:
    lay = target_layout(target)
    if lay.flat:
        return lay
    return layout(lay.shape, lay.strides if lay.dense and not lay.contig else None, lay.dtype, lay.device)


# --- where gradients go -------------------------------------------------------------------------------------------------


def deliver(target, g: Tensor, pending: dict, w: Walk) -> None:
    """A gradient arrives: at a leaf, or at a value of an earlier walk."""
    if type(target) is tuple:
        history, number = target[0], target[1]
        at = pending.setdefault(history, {})
        g = shaped(g, history.graph.lays[number])
        at[number] = ACCUMULATE.call(at[number], g) if number in at else g
        return
    accumulate(target, g, w)


def shaped(g: Tensor, lay: Layout) -> Tensor:
    """A gradient of flat memory as one of the value that the memory holds."""
    if lay.flat:  # what entered whole lies in memory in order
        return g if layout_of(g).ndim == 1 else g.reshape(-1)
    if layout_of(g).shape == lay.shape:
        return g
    if not lay.repeats:
        return view(g, layout(lay.shape, lay.strides, lay.dtype, lay.device), 0, None)
    # of elements that share memory the first gets all of the gradient
    once = tuple([1 if s == 0 else n for n, s in zip(lay.shape, lay.strides)])
    first = view(g, layout(once, lay.strides, lay.dtype, lay.device), 0, None)
    dense = layout(lay.shape, None, lay.dtype, lay.device)
    return UNREAD.call(first, ZEROS.call(dense), 0, layout(once, dense.strides, lay.dtype))


def accumulate(leaf: Tensor, g: Tensor, w: Walk) -> None:
    """Runs the leaf's hooks and adds to its `.grad`."""
    lay = layout_of(leaf)
    if layout_of(g).shape != lay.shape:
        g = shaped(g, lay)
    hooks = getattr(leaf, "_hooks", None)
    if hooks is not None:
        g = run_hooks(hooks, g)
    if layout_of(g) is not lay and not g.is_sparse:
        want = gradient_layout(leaf)
        if layout_of(g) is not want and layout_of(g).dtype is want.dtype:
            g = RELAYOUT.call(g, want)  # a cotangent may share memory with itself; `.grad` lies as its tensor does
    release(leaf)
    old = getattr(leaf, "_grad", None)
    if old is not None and g.is_sparse and not old.is_sparse:
        g = g.to_dense()
    if old is None:
        leaf._grad = g
    elif old.is_sparse:
        leaf._grad = added(old, g)
    else:
        mode = w.at.mode
        if requires_grad(g) and mode:
            leaf._grad = ACCUMULATE.call(old, g)
        else:
            set_mode(False)
            try:
                write(old, resolve(ACCUMULATE.call(old, g), w), w)
            finally:
                set_mode(mode)
    after = getattr(leaf, "_after_hooks", None)
    if after is not None:
        for f in list(after.values()):
            f(leaf)


def added(a: Tensor, b: Tensor) -> Tensor:
    """The sum of two gradients of one value."""
    if a.is_sparse:
        return a.plus(b)
    if b.is_sparse:
        return b.plus(a)
    return ACCUMULATE.call(a, b)


def run_hooks(hooks: dict, g: Tensor) -> Tensor:
    for f in list(hooks.values()):
        r = f(g)
        if r is not None:
            if not isinstance(r, Tensor):
                raise TypeError(f"expected Tensor, but hook returned '{type(r).__name__}'")
            if layout_of(r).shape != layout_of(g).shape:
                raise RuntimeError(f"hook '{getattr(f, '__name__', f)}' has changed the size of value")
            g = r
    return g


# --- one edge for each history -------------------------------------------------------------------------------------------


def histories(pending: dict, retain: bool, w: Walk) -> None:
    """Passes what earlier walks kept, newest first."""
    while pending:
        h = max(pending, key=lambda h: h.order)
        seeds = pending.pop(h)
        if h.special:
            mode = w.at.mode
            set_mode(False)
            try:
                _steps(h, seeds, retain, False, pending, w, None, None)
            finally:
                set_mode(mode)
        else:
            _one_edge(h, seeds, retain, pending, w)


def _one_edge(h: History, seeds: dict[int, Tensor], retain: bool, pending: dict, w: Walk) -> None:
    ids = tuple(seeds)
    if not h.dead.isdisjoint(ids) or (h.used and not h.used.isdisjoint(passed_from(h.graph, ids))):
        raise RuntimeError(USED)
    saved = tuple(h.saved)
    args = tuple([resolve(g, w) for g in seeds.values()])
    nx = w.at.nxt
    if nx.op is BACKWARD_FROM and nx.args == args and nx.static[0] is h.graph and nx.static[1] == ids:
        w.at = nx
    else:

        def make(n: Node) -> tuple:
            mask = 0
            for i in ids:
                mask |= h.graph.leaf_mask(i)
            n.aux = positions(mask)
            return tuple([Value(n, j, gradient_layout(h.leaves[k]), False) for j, k in enumerate(n.aux)])

        nx = special(w, BACKWARD_FROM, args, (h.graph, ids, saved), make, nin=len(saved))
    n = len(saved)
    w.inputs[nx.nin - n : nx.nin] = list(h.saved.values())
    made = [fresh(v, w) for v in nx.outs]
    if not retain and saved:
        h.use_up(passed_from(h.graph, ids))
    for k, g in zip(reversed(nx.aux), reversed(made)):
        deliver(h.leaves[k], g, pending, w)


# --- step by step ----------------------------------------------------------------------------------------------------------


class _Sink:
    """Gradients that `autograd.grad` asked for, instead of `.grad` of the leaves."""

    def __init__(self, tensors: Sequence[Tensor], w: Walk):
        self.tensors = list(tensors)
        self.grads: list[Tensor | None] = [None] * len(self.tensors)
        self.leaves: dict[int, list[int]] = {}
        self.numbers: dict[tuple, list[int]] = {}
        for k, t in enumerate(self.tensors):
            if t._leaf is t:
                self.leaves.setdefault(id(t), []).append(k)
            else:
                for key in value_of(t):
                    self.numbers.setdefault(key, []).append(k)

    def add(self, k: int, g: Tensor) -> None:
        old = self.grads[k]
        self.grads[k] = g if old is None else added(old, g)


def value_of(t: Tensor) -> list[tuple]:
    """(history, number) of a realised tensor that is no leaf."""
    hist = t._st.hist if t._st is not None else None
    return [(hist[0], hist[1])] if hist is not None else []


def stepwise(
    outputs: list[Tensor], seeds: list[Tensor], retain: bool, create: bool, inputs, deliver_to=None
) -> list[Tensor | None]:
    """Reverse mode edge by edge. With `inputs`, their gradients are returned (and, with deliver_to, added to `.grad`)."""
    w = tls.walk
    mode = w.at.mode
    for t in [*outputs, *(inputs or ())]:
        if t._st is None:
            place(t)
        if w.level is not None:
            flush_home(t)
    flush(w)
    sink = _Sink(inputs, w) if inputs is not None else None
    set_mode(create)
    try:
        pending: dict = {}
        for t, g in zip(outputs, seeds):
            _seed(t, g, pending, sink, w)
        while pending:
            h = max(pending, key=lambda h: h.order)
            _steps(h, pending.pop(h), retain, create, pending, w, sink, deliver_to)
        if sink is None:
            return []
        if deliver_to is not None:
            for t, g in zip(deliver_to, sink.grads):
                if g is not None:
                    accumulate(t, g, w)
        return sink.grads
    finally:
        set_mode(mode)
        if w.eager:
            flush(w)


def _seed(t: Tensor, g: Tensor, pending: dict, sink: _Sink | None, w: Walk) -> None:
    leaf = t._leaf if not t._det else None
    if leaf is not None:
        if leaf is not t:
            g = _through_view(t, g, layout_of(leaf), t._off - leaf._off)
        _arrive(leaf, g, pending, sink, w)
        return
    hist = t._st.hist
    if hist is None or t._det:
        raise RuntimeError(NO_GRAD)
    h, number = hist[0], hist[1]
    lay = h.graph.lays[number]
    if layout_of(t) is not lay:
        if sink is not None and (h, number) in sink.numbers:
            hit = [k for k in sink.numbers[h, number] if sink.tensors[k] is t]
            for k in hit:
                sink.add(k, g)
        g = _through_view(t, g, lay, t._off)
    _arrive((h, number), g, pending, sink, w)


def flush_home(t: Tensor) -> None:
    """Ends the walk that a tensor's value is on."""
    v = place(t).val
    if v is not None:
        flush(v.node.walk)


def _through_view(t: Tensor, g: Tensor, base: Layout, offset: int) -> Tensor:
    if base.flat:
        base = layout((t._st.size,), None, base.dtype)
    return UNREAD.call(g, ZEROS.call(base), offset, t._lay)


def _arrive(target, g: Tensor, pending: dict, sink: _Sink | None, w: Walk) -> None:
    if type(target) is tuple:
        deliver(target, g, pending, w)
        return
    if target._leaf is not target:  # it came from outside of a vmap, where its history goes on
        flush_home(target)
        _seed(target, g, pending, sink, w)
        return
    if sink is None:
        accumulate(target, g, w)
        return
    hooks = getattr(target, "_hooks", None)
    if layout_of(g).shape != layout_of(target).shape:
        g = shaped(g, layout_of(target))
    if id(target) in sink.leaves:
        if hooks is not None:
            g = run_hooks(hooks, g)
        for k in sink.leaves[id(target)]:
            sink.add(k, g)


def _steps(
    h: History,
    seeds: dict[int, Tensor],
    retain: bool,
    create: bool,
    pending: dict,
    w: Walk,
    sink: _Sink | None,
    deliver_to,
) -> None:
    graph = h.graph
    if not h.dead.isdisjoint(seeds):
        raise RuntimeError(USED)
    grads: dict[int, Tensor] = dict(seeds)
    start = max([graph.step_of.get(i, -1) for i in seeds], default=-1)
    fetch = _fetcher(h, create)
    wanted = None if sink is None else _wanted(graph, h, sink)

    def settle(i: int) -> Tensor | None:
        """The gradient of a value is complete: its hooks run, and who asked for it gets it."""
        g = grads.pop(i, None)
        if g is None:
            return None
        for hooks in h.hooks.get(i, ()):
            g = run_hooks(hooks, g) if isinstance(hooks, dict) else hooks(g)
        if sink is not None:
            for k in sink.numbers.get((h, i), ()):
                t = sink.tensors[k]
                sink.add(k, _of_view(g, t, graph.lays[i]))
        return g

    read: set[int] = set()
    for s in range(start, -1, -1):
        outs = graph.outs[s]
        if not any(o in grads for o in outs):
            continue
        given = [settle(o) for o in outs]
        spec, args = graph.specs[s], graph.args[s]
        if spec.op is LEAF:
            _arrive(h.leaves[graph.leaves[outs[0]]], given[0], pending, sink, w)
            continue
        if wanted is not None and s not in wanted:
            continue
        if s in h.objects:
            got = h.objects[s].run_backward(given, [graph.lays[o] for o in outs], create)
            if anomaly.state.enabled:
                anomaly.check(got[len(outs) :], f"{h.objects[s].function.__name__}Backward")
            for a, g in zip(args, got):
                if g is not None and graph.rg[a]:
                    g = fitting(g, graph.lays[a], h.objects[s].function.__name__)
                    grads[a] = added(grads[a], g) if a in grads else g
            continue
        vjp = spec.vjp(tuple([graph.rg[a] for a in args]), tuple([g is not None for g in given]))
        if vjp.spec is None:
            continue
        if vjp.reads:
            if s in h.used:
                raise RuntimeError(USED)
            read.add(s)
        operands = [pick(k, args, outs, given_present(given), fetch) for k in vjp.picks]
        made = apply_spec(vjp.spec, operands, w)
        if anomaly.state.enabled:
            anomaly.check(made, f"{spec.op.grad_name}Backward0")
        for k, g in zip(vjp.wrt, made):
            a = args[k]
            grads[a] = added(grads[a], g) if a in grads else g
    for i in list(grads):
        g = settle(i)
        if i in graph.leaves and g is not None:
            _arrive(h.leaves[graph.leaves[i]], g, pending, sink, w)
    if read and not retain:
        h.use_up(read)


def fitting(g: Tensor, lay: Layout, name: str) -> Tensor:
    """A gradient that the user's code returned, in the shape and dtype of what it belongs to."""
    have = layout_of(g).shape
    extra = len(have) - lay.ndim
    if not lay.flat and have != lay.shape:
        if extra < 0 or any(m != n and n != 1 for m, n in zip(have[extra:], lay.shape)):
            raise RuntimeError(
                f"Function {name}Backward returned an invalid gradient: got {list(have)} but expected shape compatible "
                f"with {list(lay.shape)}, that of forward's argument"
            )
    return g if g.is_sparse else fit(g, lay)


def given_present(given):
    return [g for g in given if g is not None]


def _of_view(g: Tensor, t: Tensor, lay: Layout) -> Tensor:
    """The gradient of a tensor that reads a part of a value, from that of the value."""
    if (
        t._lay is lay
        and t._off == 0
        or layout_of(g).shape == t._lay.shape
        and t._lay.numel == lay.numel
        and t._lay.strides == lay.strides
    ):
        return g
    return READ.call(g, t._off, t._lay)


def _wanted(graph, h: History, sink: _Sink) -> set[int]:
    """The steps through which an asked-for value is reached (all earlier histories count as asked for)."""
    useful: set[int] = {i for (hh, i) in sink.numbers if hh is h}
    for i, p in graph.leaves.items():
        target = h.leaves[p]
        if type(target) is tuple or target._leaf is not target or id(target) in sink.leaves:
            useful.add(i)
    steps = set()
    for s, (args, outs) in enumerate(zip(graph.args, graph.outs)):
        if any(a in useful for a in args):
            steps.add(s)
            useful.update(outs)
    return steps


def _fetcher(h: History, create: bool) -> Callable[[int], Tensor]:
    """Values of an earlier walk as handles: saved memory; with create_graph, with their history."""
    graph = h.graph
    made: dict[int, Any] = {}

    def fetch(i: int):
        if i in made:
            return made[i]
        lay = graph.lays[i]
        if i in graph.consts or lay.number:
            value = graph.consts[i] if i in graph.consts else h.saved[i]
            made[i] = _number(value, lay)
        else:
            made[i] = _saved_handle(h.saved[i], lay, (h, i, None) if create and graph.rg[i] else None)
        return made[i]

    return fetch


def _saved_handle(array, lay: Layout, hist) -> Tensor:
    if not lay.flat and not lay.dense:  # elements that share memory would share their gradients too
        lay = layout(lay.shape, None, lay.dtype, lay.device)
    st = Storage(flatten(array, lay))
    st.name = lay.dtype.name
    st.hist = hist
    if lay.flat:
        lay = layout((st.size,), None, lay.dtype)
    return placed(st, lay)


def _number(value, lay: Layout) -> Tensor:
    """A Python number as an operand of a known Spec."""
    w = tls.walk

    def make(n):
        return (Value(n, 0, lay, False),)

    nx = special(w, ENTRY, (), (lay, False), make, nin=1)
    w.inputs[nx.nin - 1] = value
    return fresh(nx.out, w)
