"""Reverse mode: what `backward()` and `grad` (gradients.py) do.

Three ways. On the walk at hand, without hooks or Functions, `backward()` is one edge, whose gradients planning works out;
where the user's code takes part, or gradients are asked for, it goes in parts (parts.py). What earlier walks have kept is
passed newest first: as one edge each (BACKWARD_FROM), or, where hooks, Functions, create_graph or intermediate gradients
ask for it, one edge for each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..compiler.differentiate import Route, needed_for_reverse, pick, reached
from ..compiler.lower import Lowering
from ..ir.shapes import Layout, layout
from ..ir.special import (
    BACKWARD,
    BACKWARD_FROM,
    BACKWARD_PART,
    ENTRY,
    LEAF,
    ONES,
    READ,
    UNREAD,
    ZEROS,
    flatten,
)
from ..trace.bundle import receive
from ..trace.flush import History, flush
from ..trace.handle import Node, Storage, Tensor, Value, Walk, fresh, layout_of, placed, requires_grad, tls, translated
from ..trace.history import passed_from
from ..trace.macro import apply_spec, fit
from ..trace.walk import place, resolve, set_mode, special
from . import anomaly
from .arrival import USED, accumulate, added, deliver, fitting, gradient_layout, positions, run_hooks, shaped
from .parts import Passage, is_here, is_there, route_of

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


@translated
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
        uses = earlier.op is BACKWARD and not earlier.static[0] and earlier.args[0].mask & root.mask
        if (uses or earlier.op is BACKWARD_PART and not earlier.static[0].retain) and used_up(n, root):
            raise RuntimeError(USED)
        earlier = earlier.parent


def used_up(n: Node, root: Value) -> bool:
    low = Lowering(n.parent)
    return not low.graph.used.isdisjoint(needed_for_reverse(low.graph, [low.number(root)]))


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
            if is_here(t, w):
                continue  # what Passage asks for
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


@translated
def stepwise(
    outputs: list[Tensor], seeds: list[Tensor], retain: bool, create: bool, inputs, deliver_to=None
) -> list[Tensor | None]:
    """Reverse mode with the user's code in it. With `inputs`, their gradients are returned (and, with deliver_to, added to
    `.grad`)."""
    w = tls.walk
    mode = w.at.mode
    route = _route(outputs, inputs, retain, create, w)
    if route is None:
        _end_walk([*outputs, *(inputs or ())], w)
    sink = _Sink(inputs, w) if inputs is not None else None
    set_mode(create)
    try:
        _pass(outputs, seeds, route, retain, create, sink, deliver_to, w)
    finally:
        set_mode(mode)
        if w.eager:
            flush(w)
    return sink.grads if sink is not None else []


@translated
def _pass(outputs, seeds, route: Route | None, retain, create, sink: _Sink | None, deliver_to, w: Walk) -> None:
    pending: dict = {}
    if route is None:
        for t, g in zip(outputs, seeds):
            _seed(t, g, pending, sink, w)
    else:
        for t, g in zip(outputs, seeds):
            if not is_here(t, w):
                _seed(t, g, pending, sink, w)
        _along(route, outputs, seeds, pending, sink, w)
    while pending:
        h = _newest(pending)
        _steps(h, pending.pop(h), retain, create, pending, w, sink, deliver_to)
    if deliver_to is not None and sink is not None:
        for t, g in zip(deliver_to, sink.grads):
            if g is not None:
                accumulate(t, g, w)


def _newest(pending: dict) -> History:
    return max(pending, key=lambda h: h.order)


def _end_walk(tensors: list[Tensor], w: Walk) -> None:
    """Ends the walk; the tensors keep their histories."""
    for t in tensors:
        if t._st is None:
            place(t)
        if w.level is not None:
            flush_home(t)
    flush(w)


@translated
def _route(outputs: list[Tensor], inputs, retain: bool, create: bool, w: Walk) -> Route | None:
    """The way in parts, if the walk need not end for it: all are values of this walk, or what they were when it began."""
    if w.level is not None or w.body or w.eager or anomaly.state.enabled:
        return None
    roots = [t._val for t in outputs if is_here(t, w)]
    if not roots or not all([is_here(t, w) or is_there(t) for t in outputs]):
        return None
    if inputs is None:
        return route_of(roots, [], None, create, retain, w)
    if not all([is_here(t, w) or is_there(t) for t in inputs]):
        return None
    targets = [t._val for t in inputs if is_here(t, w)]
    asked = [id(t) for t in inputs if t._st is not None and t._leaf is t]
    useful = [k for k, x in enumerate(w.leaves[: w.at.nleaf]) if type(x) is tuple or x._leaf is not x or id(x) in asked]
    return route_of(roots, targets, tuple(useful), create, retain, w)


@translated
def _along(route: Route, outputs, seeds, pending: dict, sink: _Sink | None, w: Walk) -> None:
    """Reverse mode on the walk at hand; on what a flush has kept of it, once the user's code has ended the walk."""
    targets: dict[int, list[int]] = {}
    if sink is not None and route.asked:
        k = 0
        for place, t in enumerate(sink.tensors):
            if is_here(t, w):
                targets.setdefault(route.asked[k], []).append(place)
                k += 1
    here = [t for t in outputs if is_here(t, w)]
    passage = Passage(route, w, targets, partial(_arrive, pending=pending, sink=sink, w=w), sink)
    passage.run([g for t, g in zip(outputs, seeds) if is_here(t, w)])
    if passage.rest is not None:
        _go_on(passage, here[0], pending)


def _go_on(passage: Passage, root: Tensor, pending: dict) -> None:
    """The rest of a passage, on the history that a flush has kept."""
    route, sink, w = passage.route, passage.sink, passage.walk
    h, number = root._st.hist[:2]
    if number in h.dead:
        raise RuntimeError(USED)
    for i, places in passage.targets.items():
        if i in h.number:
            sink.numbers[h, h.number[i]] = places
    settled = [h.number[i] for i in passage.settled]
    rest = {h.number[i]: g for i, g in passage.rest.items()}
    _steps(h, rest, route.retain, route.create, pending, w, sink, None, settled)


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
    if target._leaf is not target:
        if requires_grad(target):  # it came from outside of a vmap, where its history goes on
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
    settled: Sequence[int] = (),
) -> None:
    """Passes a history from cotangents of some of its values; the hooks of those `settled` have run."""
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
        for hooks in h.hooks.get(i, ()) if i not in settled else ():
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
            got = h.objects[s].run_backward(given)
            if not retain:
                h.objects[s].ctx.release()
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
    return reached(graph, useful)


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
