"""Which nodes share a kernel. Element-wise nodes of one shape, and the reductions of them, become one nest of loops as
long as no other kernel would have to run in between."""

from __future__ import annotations

from ..ir.arrays import Node

MAX_MEMBERS = 160  # statements of one kernel: beyond that, compiling takes longer than fusing saves


class Group:
    """Nodes that one kernel computes.

    domain   the shape that it loops over
    axes     the axes that its reductions reduce; None without reductions
    near     groups and steps that it needs (bits), all of them
    direct   those among them whose results it reads itself, or that have to run before it
    far      those among them whose results it needs whole, so that it cannot join them"""

    __slots__ = ("number", "members", "domain", "axes", "near", "direct", "far")

    def __init__(self, number: int, node: Node, domain: tuple, axes):
        self.number = number
        self.members = [node]
        self.domain = domain
        self.axes = axes
        self.near = 0
        self.direct = 0
        self.far = 0

    @property
    def loops(self) -> bool:
        return self.members[0].kind in ("map", "take", "reduce")


def base_of(node: Node) -> Node:
    """The node whose memory a node reads."""
    while is_read(node):
        node = node.args[0]
    return node


def is_source(node: Node) -> bool:
    return node.kind in ("input", "number", "const", "empty")


def is_read(node: Node) -> bool:
    """Whether a node is another array's memory, read in some way."""
    return node.kind in ("view", "window")


def fuses(a: Node, node: Node) -> bool:
    """Whether an operand may be computed in the kernel that reads it: element by element, not in rows by number."""
    return a.kind in ("map", "take") and (node.kind != "take" or a is node.args[1])


ALONE = {
    "matmul": "a product of matrices is a step of its own",
    "conv": "a convolution is a step of its own",
    "call": "a call of the interpreter is a step of its own",
    "scan": "a running reduction is a step of its own",
    "put": "a write to a part is a step of its own",
    "scatter": "putting rows by number is a step of its own",
}


def why_apart(a: Node, node: Node, first: Group, second: Group) -> str:
    """Why an operand (of the first group) is not computed in the kernel of the node that reads it (of the second)."""
    base = base_of(a)
    if not first.loops:
        return ALONE.get(base.kind, f"{base.kind} is a step of its own")
    if not second.loops:
        return ALONE.get(node.kind, f"{node.kind} is a step of its own")
    if base.kind == "reduce":
        return "needs the whole result of a reduction"
    if node.kind == "take" and a is node.args[0]:
        return "takes rows of it by number"
    if a.kind == "window":
        return "reads it at a place that is data"
    if a.kind == "view":
        repeated = any(n > 1 and s == 0 for n, s in zip(a.shape, a.extra[0]))
        return "repeats its elements" if repeated else "reads it in another shape or order"
    if first.domain != second.domain:
        return f"loops over {list(second.domain)}, not {list(first.domain)}"
    if first.axes is not None and second.axes is not None and first.axes != second.axes:
        return "reduces other dims"
    if second.far & 1 << first.number:
        return "needs other results of it whole"
    if len(first.members) + len(second.members) > MAX_MEMBERS:
        return f"one kernel of both would have more than {MAX_MEMBERS} operations"
    return "another step has to run between them"


def group(nodes: list[Node], ordered: list[Node] = ()) -> list[Group]:
    """Groups of the needed nodes in an order in which they can run. Nodes that are no loops have a group of their own;
    the calls in `ordered` stay in that order."""
    groups: dict[int, Group] = {}
    home: dict[int, int] = {}  # node -> its group
    calls: dict[int, int] = {}
    before = 0

    for node in nodes:
        if is_read(node) or is_source(node):
            continue
        number = len(home)
        if node.kind == "call":
            first = calls.setdefault(node.extra[0].number, number)
            if first != number:  # another result of the same call
                home[node.id] = first
                groups[first].members.append(node)
                continue
        domain = node.args[0].shape if node.kind == "reduce" else node.shape
        g = Group(number, node, domain, node.extra if node.kind == "reduce" else None)
        home[node.id] = number
        near_by: set[int] = set()  # groups that it might join
        for a in node.args:
            base = base_of(a)
            if is_source(base):
                continue
            h = home[base.id]
            other = groups[h]
            g.near |= other.near | 1 << h
            g.direct |= 1 << h
            if fuses(a, node) and g.loops and a.shape == domain:
                near_by.add(h)
            else:
                g.far |= 1 << h
        if node in ordered:
            g.near |= before
            g.direct |= before
            before |= 1 << number
        groups[number] = g
        for a in node.args:
            if home.get(a.id) in near_by:
                g = _joined(groups, home, groups[home[a.id]], g)
    return _ordered(groups)


def _joined(groups: dict[int, Group], home: dict[int, int], a: Group, b: Group) -> Group:
    """a and b as one group where that can run; else b."""
    if a is b or not b.loops or not a.loops or a.domain != b.domain:
        return b
    if a.axes is not None and b.axes is not None and a.axes != b.axes:
        return b
    if len(a.members) + len(b.members) > MAX_MEMBERS:
        return b
    bit_a, bit_b = 1 << a.number, 1 << b.number
    if b.far & bit_a or a.far & bit_b:
        return b
    for x in _bits((b.direct | a.direct) & ~bit_a & ~bit_b):  # somebody between the two is read by one of them
        other = groups.get(x)
        if other is not None and other.near & (bit_a | bit_b):
            return b
    a.members = sorted([*a.members, *b.members], key=lambda n: n.id)
    a.axes = a.axes if a.axes is not None else b.axes
    del groups[b.number]
    for n in b.members:
        home[n.id] = a.number
    near = (a.near | b.near) & ~bit_a & ~bit_b
    if near != a.near or any([g.near & bit_b for g in groups.values()]):  # else nobody needs other groups than before
        for g in groups.values():
            if g.near & bit_b:
                g.near = g.near & ~bit_b | bit_a
                g.direct = g.direct & ~bit_b | bit_a if g.direct & bit_b else g.direct
                g.far = g.far & ~bit_b | bit_a if g.far & bit_b else g.far
            if g is not a and g.near & bit_a:
                g.near |= near
    a.near = near
    a.direct = (a.direct | b.direct) & ~bit_a & ~bit_b
    a.far |= b.far
    return a


def _bits(x: int):
    while x:
        low = x & -x
        yield low.bit_length() - 1
        x ^= low


def _ordered(groups: dict[int, Group]) -> list[Group]:
    """Topological order, the earliest first."""
    done = 0
    out = []
    todo = sorted(groups.values(), key=lambda g: g.members[-1].id)
    while todo:
        rest = []
        for g in todo:
            if g.near & ~done:
                rest.append(g)
            else:
                out.append(g)
                done |= 1 << g.number
        if len(rest) == len(todo):
            raise AssertionError("groups depend on one another in a circle")
        todo = rest
    return out
