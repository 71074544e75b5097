"""Products of matrices that begin with what would be added to them: a bias, the sum so far, what goes past a layer."""

from __future__ import annotations

from ..ir.arrays import Arrays, Node, contiguous
from .group import base_of, is_read


def begin_products(graph: Arrays, nodes: list[Node], wanted: list[Node]) -> None:
    """Sums of a product and of what lies in memory anyway become the product, with a third operand, where nobody else
    needs it without. It may be seen through a view: turned, or in another shape."""
    uses: dict[int, int] = {}
    reads: dict[int, list[Node]] = {}
    for n in nodes:
        for a in n.args:
            uses[a.id] = uses.get(a.id, 0) + 1
    for n in graph.nodes:
        if is_read(n):
            reads.setdefault(n.args[0].id, []).append(n)
    for n in wanted:
        uses[n.id] = 2
    before = len(graph.nodes)
    changed = False
    for n in nodes:
        if n.kind != "map" or n.op != "add" or n.dtype.kind != "f" or len(n.shape) > 4:
            continue
        for seen, start in sorted(zip(n.args, n.args[::-1]), key=lambda pair: -pair[0].id):
            product = base_of(seen) if seen.kind == "view" else seen
            alone = uses.get(product.id) == 1 == uses.get(seen.id)
            if alone and _is_plain(product) and seen.shape == n.shape and _lies(start):
                if _begun(graph, n, seen, product, start, reads.get(n.id, [])):
                    changed = True
                    break
    if changed or len(graph.nodes) > before:
        _numbered(graph)


def _is_plain(n: Node) -> bool:
    return n.kind == "matmul" and len(n.args) == 2


def _lies(x: Node) -> bool:
    """Whether an array is in memory whatever becomes of it: it comes from outside, or is a step's of its own."""
    base = base_of(x)
    return base.kind not in ("number", "map", "take") and not (base.kind == "const" and not base.shape)


def _begun(graph: Arrays, n: Node, seen: Node, product: Node, start: Node, reads: list[Node]) -> bool:
    """n = seen + start as a product; `reads`: views of n."""
    a, b = product.args
    if seen is product:
        n.kind, n.op, n.args = "matmul", None, (a, b, start)
        return True
    if len(product.shape) == 2 and seen.shape == product.shape[::-1] and seen.extra == ((1, product.shape[1]), 0):
        n.kind, n.op, n.args = "matmul", None, (_turned(graph, b), _turned(graph, a), start)
        return True
    if seen.extra != (contiguous(n.shape), 0) or len(product.shape) > 4:
        return False
    if start.shape == n.shape:
        start = graph.reshape(start, product.shape)
    elif start.size == n.shape[-1] == product.shape[-1] == start.shape[-1]:
        start = graph.reshape(start, start.shape[-1:])
    else:
        return False
    if not _lies(start):  # a copy
        return False
    made = graph.make("matmul", None, (a, b, start), product.shape, n.dtype)
    n.kind, n.op, n.args, n.extra = "view", None, (made,), (contiguous(n.shape), 0)
    for v in reads:
        v.args = (made, *v.args[1:])
    return True


def _turned(graph: Arrays, x: Node) -> Node:
    return graph.view(x, x.shape[::-1], contiguous(x.shape)[::-1])


def _numbered(graph: Arrays) -> None:
    """Operands come first again."""
    order: dict[Node, None] = {}

    def visit(n: Node) -> None:
        for a in n.args:
            if a not in order:
                visit(a)
        order[n] = None

    for n in graph.nodes:
        if n not in order:
            visit(n)
    graph.nodes[:] = order
    for i, n in enumerate(graph.nodes):
        n.id = i
    graph.forget()
