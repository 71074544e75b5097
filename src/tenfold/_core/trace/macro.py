"""Bodies. A pure function of tensors becomes one operation: its body is run once for each kind of arguments, on handles
of a walk of its own, and what it recorded is the operation's graph. Gradients are bodies too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..compiler.lower import Lowering
from ..ir import operation
from ..ir.graph import Graph
from ..ir.operation import TENSOR, Operation, Spec, Vjp, fill
from ..ir.shapes import Layout
from ..ir.special import CAST, ENTRY, RELAYOUT, SUM_TO
from .handle import Tensor, Value, Walk, fresh, layout_of, tls
from .walk import edge, resolve, special


class Composition(Operation):
    """An operation whose meaning is its body: fn(*arguments) on tensors, from other operations."""

    def infer(self, lays: tuple[Layout, ...], static: tuple) -> Spec:
        graph, results, outs, tree = trace(lays, lambda handles: self.invoke(fill(static, handles)))
        effect = any(s.effect for s in graph.specs)
        return Spec(self, lays, static, outs, tree, graph, effect, results)


def trace(
    lays: tuple[Layout, ...], body: Callable[[list[Tensor]], Any]
) -> tuple[Graph, tuple[int, ...], tuple[Layout, ...], Any]:
    """Runs a body on handles of those layouts. Returns its graph, the numbers and layouts of its results, and how they are
    nested (None for a single tensor)."""
    w = Walk(body=True)
    outer = tls.walk
    tls.walk = w
    try:
        out = body([_argument(w, lay) for lay in lays])
        tree, handles = flatten_tree(out)
        values = [resolve(h, w) for h in handles]
        layouts = tuple([layout_of(h) for h in handles])
        low = Lowering(w.at)
        results = tuple([low.number(v) for v in values])
        for i, p in low.graph.scalars.items():  # numbers that the body itself wrote
            low.graph.consts[i] = w.scalars[p]
        low.graph.scalars = {}
    finally:
        tls.walk = outer
    return low.graph.pruned(results), results, layouts, None if tree is TENSOR else tree


def _argument(w: Walk, lay: Layout) -> Tensor:
    def make(n):
        return (Value(n, 0, lay, lay.differentiable),)

    return fresh(special(w, ENTRY, (), (lay, False), make, nin=1).out, w)


def flatten_tree(x) -> tuple[Any, list[Tensor]]:
    """Nested results as (the nesting with TENSOR at the leaves, the tensors)."""
    found: list[Tensor] = []
    return _flatten(x, found), found


def _flatten(x, found: list[Tensor]):
    if isinstance(x, Tensor):
        found.append(x)
        return TENSOR
    if isinstance(x, (list, tuple)):
        items = [_flatten(y, found) for y in x]
        return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
    if isinstance(x, dict):
        return {k: _flatten(v, found) for k, v in x.items()}
    return x


def build_tree(tree, handles):
    """The nesting with tensors in place of TENSOR."""
    return _build(tree, iter(handles))


def _build(x, it):
    # a function of the module: a nested one that calls itself is a reference cycle, which would keep the handles alive
    if x is TENSOR:
        return next(it)
    if isinstance(x, (list, tuple)):
        items = [_build(y, it) for y in x]
        return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
    if isinstance(x, dict):
        return {k: _build(v, it) for k, v in x.items()}
    return x


class _Gradient(Operation):
    """The gradient of an operation, as an operation."""

    def __init__(self, of: Operation):
        super().__init__(of.name + "_backward", of.gradient or of.fn, grad_name=of.grad_name + "Backward")


_gradients: dict[Operation, _Gradient] = {}


def make_vjp(spec: Spec, needs: tuple[bool, ...], present: tuple[bool, ...]) -> Vjp:
    op = spec.op
    if op.gradient is None:
        raise RuntimeError(f"derivative for {op.name} is not implemented")
    n, m = len(spec.lays), len(spec.outs)
    cotangents = tuple([l for l, p in zip(spec.outs, present) if p])
    lays = spec.lays + spec.outs + cotangents
    wrt: list[int] = []

    def body(handles):
        it = iter(handles[n + m :])
        given = [next(it) if p else None for p in present]
        args, outs = handles[:n], handles[n : n + m]
        if spec.tree is None:
            got = op.gradient(given[0], outs[0], *fill(spec.static, args))
        else:
            got = op.gradient(tuple(given), tuple(outs), *fill(spec.static, args))
        got = got if isinstance(got, (tuple, list)) else (got,)
        results = []
        for i, g in enumerate(got):
            if g is None or i >= n or not needs[i]:
                continue
            if type(g) is str:  # what has no derivative
                raise NotImplementedError(f"the derivative for '{g}' is not implemented.")
            wrt.append(i)
            results.append(fit(g, spec.lays[i]))
        return results

    graph, results, outs, _ = trace(lays, body)
    if not results:
        return Vjp(None, (), (), False)
    return _pick(spec, graph, results, outs, tuple(wrt), lays)


def _pick(spec: Spec, graph: Graph, results, outs, wrt, lays) -> Vjp:
    """Only the operands that the body used stay operands."""
    used = sorted({graph.inputs[i] for i in graph.inputs if _is_used(graph, i, results)})
    place = {p: k for k, p in enumerate(used)}
    graph.inputs = {i: place[p] for i, p in graph.inputs.items() if p in place}
    op = _gradients.get(spec.op)
    if op is None:
        op = _gradients[spec.op] = _Gradient(spec.op)
    picked = Spec(op, tuple([lays[p] for p in used]), (spec, wrt), outs, [TENSOR] * len(outs), graph, False, results)
    return Vjp(picked, tuple(used), wrt, any(p < len(spec.lays) + len(spec.outs) for p in used))


def _is_used(graph: Graph, i: int, results) -> bool:
    return i in results or any(i in args for args in graph.args)


def fit(g: Tensor, lay: Layout) -> Tensor:
    """A cotangent in the shape and dtype of the operand that it belongs to: broadcasting is undone."""
    have = layout_of(g)
    if have.dtype is not lay.dtype and have.dtype.is_complex and not lay.dtype.is_complex:
        g = CAST.call(g, lay.dtype)
        have = layout_of(g)
    if have.shape != lay.shape and not lay.flat:
        g = SUM_TO.call(g, lay.shape)
        have = layout_of(g)
    if have.dtype is not lay.dtype:
        g = CAST.call(g, lay.dtype)
    return g


def apply_spec(spec: Spec, handles: list[Tensor], w: Walk) -> list[Tensor]:
    """Walks an edge whose Spec is known (a gradient's): one new handle for each result."""
    handles = [_laid_out(h, lay) for h, lay in zip(handles, spec.lays)]  # may compute, in eager mode
    args = tuple([resolve(h, w) for h in handles])
    nx = edge(w, spec.op, args, spec.static, (spec,), spec)
    return [fresh(v, w) for v in nx.outs]


def _laid_out(h: Tensor, lay: Layout) -> Tensor:
    """The tensor with the strides that the Spec was made for: its results' layouts follow from them."""
    have = layout_of(h)
    if have is lay or not lay.dense or lay.flat or lay.number or have.shape != lay.shape:
        return h
    return RELAYOUT.call(h, lay)


operation.make_vjp = make_vjp
