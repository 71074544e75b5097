"""Which nodes share a kernel. Element-wise nodes of one shape, and the reductions of them, become one nest of loops as
long as no other kernel would have to run in between."""

from __future__ import annotations

from ..ir.arrays import Node

MAX_MEMBERS = 160  # statements of one kernel: beyond that, compiling takes longer than fusing saves


class Group:
    """Nodes that one kernel computes.

    domain   the shape that it loops over
    axes     the axes that its reductions reduce; None without reductions
    bits     one for its own number, and one for that of each group that has joined it
    near     groups and steps that it needs (bits), all of them
    direct   those among them whose results it reads itself, or that have to run before it
    far      those among them whose results it needs whole, so that it cannot join them"""

    __slots__ = ("number", "members", "domain", "axes", "bits", "near", "direct", "far")

    def __init__(self, number: int, node: Node, domain: tuple, axes):
        self.number = number
        self.members = [node]
        self.domain = domain
        self.axes = axes
        self.bits = 1 << number
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
    if second.far & first.bits:
        return "needs other results of it whole"
    if len(first.members) + len(second.members) > MAX_MEMBERS:
        return f"one kernel of both would have more than {MAX_MEMBERS} operations"
    return "another step has to run between them"


def group(nodes: list[Node], ordered: list[Node] = ()) -> list[Group]:
    """Groups of the needed nodes in an order in which they can run. Nodes that are no loops have a group of their own;
    the calls in `ordered` stay in that order."""
    return Grouping(nodes, frozenset(n.id for n in ordered)).in_order()


class Grouping:
    """Nodes one after the other find the groups that they join. A program may have ten thousand: no step looks at all
    groups unless what they need has changed."""

    def __init__(self, nodes: list[Node], ordered: frozenset[int]):
        self.groups: list[Group] = []  # by number; of one that has been joined, the group that it is in
        self.alive: dict[int, Group] = {}  # those that have joined no other
        self.home: dict[int, Group] = {}  # node -> a group that is in its group
        self.needed = 0  # the bits of all that anybody needs
        calls: dict[int, Group] = {}
        before = 0
        for node in nodes:
            if is_read(node) or is_source(node):
                continue
            if node.kind == "call":
                first = calls.get(node.extra[0].number)
                if first is not None:  # another result of the same call
                    self.home[node.id] = first
                    first.members.append(node)
                    continue
            domain = node.args[0].shape if node.kind == "reduce" else node.shape
            g = Group(len(self.groups), node, domain, node.extra if node.kind == "reduce" else None)
            if node.kind == "call":
                calls[node.extra[0].number] = g
            self.groups.append(g)
            self.alive[g.number] = g
            self.home[node.id] = g
            near_by = self.enter(g, node)
            if node.id in ordered:
                g.near |= before
                g.direct |= before
                before |= g.bits
            self.needed |= g.near
            for a in node.args:
                if a.id in near_by:
                    g = self.joined(self.of(a), g)

    def of(self, node: Node) -> Group:
        return self.groups[self.home[node.id].number]

    def enter(self, g: Group, node: Node) -> set[int]:
        """Notes what a new group needs. Returns the operands whose groups it might join."""
        near_by = set()
        for a in node.args:
            base = base_of(a)
            if is_source(base):
                continue
            other = self.of(base)
            g.near |= other.near | other.bits
            g.direct |= 1 << other.number
            if fuses(a, node) and g.loops and a.shape == g.domain:
                near_by.add(a.id)
            else:
                g.far |= 1 << other.number
        return near_by

    def joined(self, a: Group, b: Group) -> Group:
        """a and b as one group where that can run; else b."""
        if a is b or not b.loops or not a.loops or a.domain != b.domain:
            return b
        if a.axes is not None and b.axes is not None and a.axes != b.axes:
            return b
        if len(a.members) + len(b.members) > MAX_MEMBERS:
            return b
        if b.far & a.bits or a.far & b.bits:
            return b
        both = a.bits | b.bits
        direct = (a.direct | b.direct) & ~both
        for x in _bits(direct):  # somebody between the two is read by one of them
            if self.groups[x].near & both:
                return b
        near = (a.near | b.near) & ~both
        for g in (a, b):
            if near & ~g.near and self.needed & g.bits:
                for x in self.alive.values():
                    if x.near & g.bits:
                        x.near |= near | both
        self.needed |= near
        a.members = sorted([*a.members, *b.members], key=lambda n: n.id)
        a.axes = a.axes if a.axes is not None else b.axes
        del self.alive[b.number]
        for x in _bits(b.bits):
            self.groups[x] = a
        a.bits, a.near, a.direct = both, near, direct
        a.far |= b.far
        return a

    def in_order(self) -> list[Group]:
        """Topological order, the earliest first."""
        done = 0
        out = []
        todo = sorted(self.alive.values(), key=lambda g: g.members[-1].id)
        while todo:
            rest = []
            for g in todo:
                if g.near & ~done:
                    rest.append(g)
                else:
                    out.append(g)
                    done |= g.bits
            if len(rest) == len(todo):
                raise AssertionError("groups depend on one another in a circle")
            todo = rest
        return out


def _bits(x: int):
    while x:
        low = x & -x
        yield low.bit_length() - 1
        x ^= low
