"""Graphs followed for all slices of a vmap at once.

A value is a tensor that is the same for all slices, a Python number, or `Slices`, which has the slices in the first dim. An
operation whose operands are all of the first two kinds is walked as it is. For the others there is a rule by the kind of
its declaration (RULES; batching_rules.py). A composition is followed by its parts (one with a gradient of its own is an edge
whose gradient is that gradient, for all slices). A primitive without a rule is walked slice by slice, and the results are
stacked: right for any operation, and slow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.function import Function
from ..ir.graph import Graph
from ..ir.operation import Spec, freeze
from ..ir.shapes import Layout, layout, size
from ..ir.special import CAST, GRAFT, LEAF, READ, RELAYOUT, STOP, UNREAD, WRITE, ZEROS
from ..trace import level as levels
from ..trace.flush import flush
from ..trace.handle import NUMBER, Memory, Tensor, fresh, layout_of, requires_grad, tls
from ..trace.level import Level, as_memory, repeated, slice_of_memory
from ..trace.macro import Composition
from ..trace.macro import _laid_out as laid_out
from ..trace.walk import cut_if_long, detach, edge, resolve, set_mode
from .calling import generic
from .declare import OPERATIONS

RANDOM = (
    "vmap: a random operation was called in randomness error mode: give vmap randomness='different' (each slice has numbers of"
    " its own) or randomness='same'"
)


class Slices:
    """A value of a graph for all slices: a tensor with the slices in its first dim."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor):
        self.tensor = tensor


class Batch:
    """What is being followed: how many slices there are, and what random operations do."""

    __slots__ = ("size", "randomness")

    def __init__(self, size: int, randomness: str):
        self.size = size
        self.randomness = randomness

    def wide(self, x) -> Tensor:
        """An operand with the slices in front, repeated if it is the same for all."""
        if type(x) is Slices:
            return x.tensor
        return repeated(x, self.size)

    def aligned(self, x, ndim: int):
        """An operand with the slices in front of `ndim` dims, or that broadcasts to it."""
        if type(x) is not Slices:
            return x
        t = x.tensor
        shape = layout_of(t).shape
        missing = ndim + 1 - len(shape)
        return t.reshape((shape[0], *(1,) * missing, *shape[1:])) if missing > 0 else t


# --- graphs -----------------------------------------------------------------------------------------------------------


def follow(graph: Graph, results: Sequence[int], inputs: list, scalars: list, level: Level) -> dict:
    """The values `results` of a graph of a walk inside of a vmap, as Memory (the runner's part of a flush)."""
    batch = Batch(level.size, level.randomness)
    env: dict[int, Any] = dict(graph.consts)
    for i, p in graph.inputs.items():
        env[i] = _entered(inputs[p], graph.lays[i], level)
    for i, p in graph.scalars.items():
        env[i] = scalars[p]
    calls = {s: inputs[p] for s, p in graph.objects.items()}
    run_steps(graph, results, env, batch, level, calls)
    found = {}
    for i in results:
        x = env[i]
        found[i] = (
            Memory(level, x.tensor, True)
            if type(x) is Slices
            else Memory(level, x, False)
            if isinstance(x, Tensor)
            else x
        )
    return found


def _entered(x, lay: Layout, level: Level):
    """What entered a walk, as a value."""
    if type(x) is not Memory or x.level is not level:
        return x
    t = x.tensor
    if lay.flat:
        t = level.shaped(x, (x.size,))
    elif x.shape != lay.shape or not lay.contig:
        t = t if x.shape == lay.shape else slice_of_memory(level.shaped(x, (x.size,)), lay, 0, x.batched)
    return Slices(t) if x.batched else t


def run_steps(
    graph: Graph, results: Sequence[int], env: dict, batch: Batch, level: Level | None = None, calls: dict | None = None
) -> None:
    """Adds the values of a graph's steps, as far as the results need them. In a graph of a level's walk, what has no history
    gets none; `calls` are the calls of autograd.Functions in it, by their steps."""
    needed = set(results)
    order = []
    for s in range(len(graph.specs) - 1, -1, -1):
        if graph.specs[s].effect or not needed.isdisjoint(graph.outs[s]):
            order.append(s)
            needed.update(graph.args[s])
    w = tls.walk
    for s in reversed(order):
        operands = [env[a] for a in graph.args[s]]
        outs = graph.outs[s]
        mode = w.at.mode
        if calls and s in calls:
            env.update(zip(outs, _custom(calls[s], graph.specs[s], operands, batch, level)))
            continue
        quiet = (
            level is not None
            and mode
            and not any([graph.rg[o] for o in outs])
            and any([_has_history(x) for x in operands])
        )
        if quiet:
            set_mode(False)
        try:
            found = apply(graph.specs[s], operands, batch)
        finally:
            if quiet:
                set_mode(mode)
        env.update(zip(outs, found))


def _has_history(x) -> bool:
    t = x.tensor if type(x) is Slices else x
    return isinstance(t, Tensor) and requires_grad(t)


def apply(spec: Spec, operands: list, batch: Batch) -> list:
    """The results of an operation for all slices."""
    op = spec.op
    rule = RULES.get(op)
    if rule is None and getattr(op, "compute", None) is not None:
        rule = RULES["elementwise"]
    if rule is not None and rule in MEMORY:  # flat memory has another layout for each storage
        return [rule(spec, operands, batch)]
    batched = any([type(x) is Slices for x in operands])
    if spec.outs and spec.outs[0].number:  # Python numbers among themselves
        return [spec.exe(*operands)]
    if not batched and (not spec.effect or batch.randomness == "same"):
        return walked(spec, operands)
    if spec.graph is not None:
        if op.gradient is not None:
            return _as_one_edge(spec, operands, batch)
        env: dict[int, Any] = dict(spec.graph.consts)
        for i, p in spec.graph.inputs.items():
            env[i] = operands[p]
        run_steps(spec.graph, spec.results, env, batch)
        return [env[i] for i in spec.results]
    if spec.effect:
        return drawn(spec, operands, batch)
    if rule is not None:
        found = rule(spec, operands, batch)
        if found is not None:
            return finished(found, spec, batch)
    return slice_by_slice(spec, operands, batch)


def walked(spec: Spec, operands: list) -> list:
    """The results of an operation on operands without slices."""
    return _record(spec, [x if l.number else laid_out(x, l) for x, l in zip(operands, spec.lays)], spec.static, spec)


def call(spec: Spec, operands: Sequence, static: Sequence | None = None):
    """The operation on other operands, with other static arguments; several results as a tuple."""
    found = _record(spec, operands, spec.static if static is None else tuple(static), None)
    return found[0] if spec.tree is None else tuple(found)


def _record(spec: Spec, operands: Sequence, static: tuple, known: Spec | None) -> list:
    w = tls.walk
    cut_if_long(w)
    args: list = []
    data = []
    for x, lay in zip(operands, spec.lays):
        if lay.number:
            args.append(NUMBER[lay.number])
            data.append(lay.number(x))
        else:
            args.append(resolve(x, w))
    nx = edge(w, spec.op, tuple(args), static, (spec,) if known else freeze(static), known, len(data))
    if data:
        w.scalars[nx.k : nx.k + len(data)] = data
    made = [fresh(v, w) for v in nx.outs]
    if w.eager:
        flush(w)
    return made


def finished(found, spec: Spec, batch: Batch) -> list:
    """Results of a rule with the shapes and dtypes that the operation says."""
    tensors = [found] if isinstance(found, Tensor) else list(found)
    made = []
    for t, lay in zip(tensors, spec.outs):
        have = layout_of(t)
        if have.dtype is not lay.dtype:
            t = CAST.call(t, lay.dtype)
        shape = (batch.size, *lay.shape)
        made.append(Slices(t if have.shape == shape else t.reshape(shape)))
    return made


def slice_by_slice(spec: Spec, operands: list, batch: Batch) -> list:
    """Without a rule: one edge for each slice, and stacked."""
    if not batch.size:
        return [Slices(ZEROS.call(layout((0, *l.shape), None, l.dtype, l.device))) for l in spec.outs]
    rows = []
    for b in range(batch.size):
        rows.append(walked(spec, [x.tensor.select(0, b) if type(x) is Slices else x for x in operands]))
    stack = OPERATIONS["stack"].call
    return [Slices(stack(list(column), 0)) for column in zip(*rows)]


# --- compositions with a gradient of their own ----------------------------------------------------------------------------


def _one_edge(spec, batched, count, randomness, operands):
    batch = Batch(count, randomness)
    env: dict[int, Any] = dict(spec.graph.consts)
    given = [Slices(x) if b else x for x, b in zip(operands, batched)]
    for i, p in spec.graph.inputs.items():
        env[i] = given[p]
    run_steps(spec.graph, spec.results, env, batch)
    return [batch.wide(env[i]) for i in spec.results]


def _one_edge_gradient(g, out, spec, batched, count, randomness, operands):
    batch = Batch(count, randomness)
    needs = tuple([l.differentiable for l in spec.lays])
    vjp = spec.vjp(needs, tuple([x is not None for x in g]))
    grads: list = [None] * len(spec.lays)
    if vjp.spec is not None:
        pool = [Slices(x) if b else x for x, b in zip(operands, batched)]
        pool += [Slices(x) for x in out] + [Slices(x) for x in g if x is not None]
        for k, x in zip(vjp.wrt, apply(vjp.spec, [pool[k] for k in vjp.picks], batch)):
            t = batch.wide(x)
            grads[k] = t if batched[k] else t.sum(0)
    return [x for x, l in zip(grads, spec.lays) if not l.number]


_ONE_EDGE = Composition("vmap", _one_edge, gradient=_one_edge_gradient)
_ONE_EDGE.call = generic(_ONE_EDGE)


def _as_one_edge(spec: Spec, operands: list, batch: Batch) -> list:
    batched = tuple([type(x) is Slices for x in operands])
    given = [x.tensor if b else x for x, b in zip(operands, batched)]
    return [Slices(t) for t in _ONE_EDGE.call(spec, batched, batch.size, batch.randomness, given)]


# --- autograd.Function ------------------------------------------------------------------------------------------------------


class _Custom(Function):
    """The results of a user's Function for all slices, whose gradient is that Function's backward for all slices: it runs
    inside of the vmap that forward ran in."""

    @staticmethod
    def forward(ctx, level, call, lays, batched, *tensors):
        ctx.level, ctx.call, ctx.lays, ctx.batched = level, call, lays, batched
        return tuple(tensors[: len(lays)])

    @staticmethod
    def backward(ctx, *grads):
        level = ctx.level
        with level.again():
            given = [None if g is None else level.argument(g, True) for g in grads]
            got = ctx.call.run_backward(given)[len(ctx.lays) :]
            released = [None if g is None else level.release(g) for g in got]
        found: list = [None] * (4 + len(ctx.lays))
        for g, wanted in zip(released, ctx.batched):
            if g is None:
                found.append(None)
            elif wanted:
                found.append(level.widened(*g))
            else:
                found.append(g[0].sum(0) if g[1] else g[0] * level.size)
        return tuple(found)


def _custom(call, spec: Spec, operands: list, batch: Batch, level: Level | None) -> list:
    n = len(spec.outs)
    outs, inputs = operands[:n], operands[n:]
    if not any([_has_history(x) for x in inputs]):
        return outs
    batched = tuple([type(x) is Slices for x in inputs])
    tensors = [batch.wide(x) for x in outs] + [x.tensor if type(x) is Slices else x for x in inputs]
    return [Slices(t) for t in _Custom.apply(level, call, spec.outs, batched, *tensors)]


# --- random numbers -------------------------------------------------------------------------------------------------------


def drawn(spec: Spec, operands: list, batch: Batch) -> list:
    """A random operation, for each slice anew."""
    if batch.randomness == "error":
        raise RuntimeError(RANDOM)
    if batch.randomness == "same":
        raise RuntimeError(
            f"vmap: {spec.op.name} has parameters that differ between slices, so that it cannot draw the same numbers for all:"
            " use randomness='different'"
        )
    if spec.op.name == "_draw":
        kind, shape, strides, *rest = spec.static
        strides = None if strides is None else (spec.outs[0].extent, *strides)
        return finished(call(spec, operands, (kind, size((batch.size, *shape)), strides, *rest)), spec, batch)
    if all([len(l.shape) == len(spec.outs[0].shape) for l in spec.lays]) and spec.op.name != "_multinomial":
        return finished(call(spec, [batch.wide(x) for x in operands]), spec, batch)
    return slice_by_slice(spec, operands, batch)


# --- views and memory: these get operands of all kinds --------------------------------------------------------------------


def _flat(x, lay: Layout) -> Tensor:
    """(slices, memory) for an operand of that layout; only (memory) for one that is the same for all slices."""
    batched = type(x) is Slices
    t = as_memory(x.tensor if batched else x, lay, batched)
    return t if layout_of(t).contig else t.contiguous()


def _unflat(t: Tensor, lay: Layout, batched: bool):
    """The value of that layout that flat memory holds."""
    if not lay.flat:
        t = slice_of_memory(t, lay, 0, batched)
    return Slices(t) if batched else t


def _wide_layout(lay: Layout, base: Layout, extent: int, batch: Batch) -> Layout:
    """A layout of a part of memory, for each slice in (slices, extent)."""
    step = extent * base.dtype.itemsize // lay.dtype.itemsize
    return layout((batch.size, *lay.shape), (step, *lay.strides), lay.dtype, lay.device)


def _read(spec: Spec, operands: list, batch: Batch):
    base, offset = operands
    lay = spec.static[2]
    batched = type(base) is Slices
    t = slice_of_memory(_flat(base, spec.lays[0]), lay, offset, batched)
    return Slices(t) if batched else t


def _unread(spec: Spec, operands: list, batch: Batch):
    g, base, offset = operands
    base_lay, lay = spec.lays[1], spec.static[3]
    if base_lay.repeats:  # the cotangent has another layout than the base
        return slice_by_slice(spec, operands, batch)[0]
    like = base.tensor if type(base) is Slices else base
    extent = layout_of(like).shape[-1] if base_lay.flat else base_lay.extent
    if type(g) is not Slices:
        memory = ZEROS.call(layout((extent,), None, base_lay.dtype))
        return _unflat(UNREAD.call(g, memory, offset, lay), base_lay, False)
    memory = ZEROS.call(layout((batch.size, extent), None, base_lay.dtype))
    made = UNREAD.call(g.tensor, memory, offset, _wide_layout(lay, base_lay, extent, batch))
    return _unflat(made, base_lay, True)


def _write(spec: Spec, operands: list, batch: Batch):
    base, value, offset = operands
    base_lay, lay = spec.lays[0], spec.static[3]
    t = _flat(base, base_lay)
    if type(base) is not Slices and type(value) is not Slices:
        return _unflat(WRITE.call(t, value, offset, lay), base_lay, False)
    if type(base) is not Slices:
        t = batch.wide(t).contiguous()
    extent = layout_of(t).shape[1]
    made = WRITE.call(t, batch.wide(value), offset, _wide_layout(lay, base_lay, extent, batch))
    return _unflat(made, base_lay, True)


def _relayout(spec: Spec, operands: list, batch: Batch):
    x = operands[0]
    return x if type(x) is Slices else walked(spec, [x])[0]


def _stop(spec: Spec, operands: list, batch: Batch):
    x = operands[0]
    return Slices(detach(x.tensor)) if type(x) is Slices else detach(x)


def _leaf(spec: Spec, operands: list, batch: Batch):
    return operands[0]


def _graft(spec: Spec, operands: list, batch: Batch):
    if not any([_has_history(x) for x in operands]):
        return operands[0]
    if not any([type(x) is Slices for x in operands]):
        return GRAFT.call(*operands)
    return Slices(GRAFT.call(*[batch.wide(x) for x in operands]))


RULES: dict[Any, Callable] = {  # the others are in batching_rules.py
    READ: _read,
    UNREAD: _unread,
    WRITE: _write,
    RELAYOUT: _relayout,
    STOP: _stop,
    LEAF: _leaf,
    GRAFT: _graft,
}
MEMORY = tuple(RULES.values())
levels.follow = follow
