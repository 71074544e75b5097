"""The graph that the compiler works on: arrays, and the few things that are done to them.

A node is an array: shape, NumPy dtype, and how it comes about:

    input     memory that comes from outside, by number; `view` says how it lies there
    number    a Python number that is data (its position among the scalars of the walk), a 0-d float64 or int64
    const     a number or a small array that is known
    map       a scalar operation on every element of the operands, which broadcast
    reduce    sum, prod, max or min over the axes in `extra`, which the result does not have
    view      the operand's elements in another shape: a strided read of its contiguous memory
    matmul    products of matrices, (B..., M, K) and (B..., K, N); with a third operand, which broadcasts, added to that
    conv      a two-dimensional convolution of the operands, or its gradient by one of them (`op`, as the kernels are called);
              `extra` is (stride, padding, dilation, groups)
    take      rows of the first operand by the integers of the second: out[i..., j...] = x[index[i...], j...]
    window    a strided read of the first operand's contiguous memory at a place that is data (the second operand, a number).
              extra: strides, where it begins if the number is 0, the greatest number (None: see `reach`), and how far it
              reaches from the number on in an input of whatever length
    scatter   the first operand, with rows of the second put into its contiguous memory at the third's numbers, one after the
              other: out[step * index[i] + j] op= rows[i, j], where op is set, sum, prod, max or min, and extra is the step
    scan      running sums, products, greatest or least along an axis, in order
    empty     memory that puts fill, all of it
    call      what the interpreter does: the k-th result of a Spec's function of arrays
    put       the first operand with a strided part of its contiguous memory replaced by the second. extra: strides and
              offset; with a third operand, a number, as for a window

Equal nodes are one node. `text` prints a graph."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .loops import FOLDS, NAMES, check_operation, name_of, require_that
from .sizes import Dim, is_unknown


class Symbolic:
    """An array that is not there yet (compiler/symbolic.py): what the NumPy meaning of a primitive gets when it is compiled."""

    __slots__ = ()
    require: Callable[[], None]
    astype: Callable[..., Any]
    converted: Callable[..., Any]
    copy: Callable[[], Any]
    known: Callable[..., Any]
    function: Callable[[str], Any]


def required(ok) -> bool:
    """Whether all of `ok` is true. Where a meaning is compiled: yes, and the program checks it at every run."""
    if isinstance(ok, Symbolic):
        ok.require()
        return True
    return bool(np.all(ok))


def as_array(x, dtype=None) -> Any:
    """np.asarray, but an array that is not there yet stays so."""
    if isinstance(x, Symbolic):
        return x if dtype is None else x.astype(dtype)
    return np.asarray(x, dtype)


def writable(x) -> Any:
    """A copy that may be written to: np.array."""
    return x.copy() if isinstance(x, Symbolic) else np.array(x)


def full(shape, value, dtype, like) -> np.ndarray:
    """np.full, of an array that is there if `like` is."""
    return np.full_like(like, value, dtype, shape=shape) if isinstance(like, Symbolic) else np.full(shape, value, dtype)  # type: ignore[call-overload]


def zeros(shape, dtype, like) -> np.ndarray:
    """np.zeros, of an array that is there if `like` is."""
    return np.zeros_like(like, dtype, shape=shape) if isinstance(like, Symbolic) else np.zeros(shape, dtype)  # type: ignore[call-overload]


def arange(n, dtype) -> Any:
    """np.arange(n), of a length that may not be known yet."""
    return n.sizes.counting(n, dtype) if type(n) is Dim else np.arange(n, dtype=dtype)


def positions(shape, strides) -> np.ndarray:
    """Where the elements of a strided array lie, in the order of its elements."""
    places = np.zeros((), np.int64)
    for n, s in zip(shape, strides):
        places = places[..., None] + np.arange(n) * s
    return places.reshape(-1)


def lower_triangle(rows, columns, like) -> np.ndarray:
    """np.tri of bools, of an array that is there if `like` is."""
    if isinstance(like, Symbolic):
        return np.tril(np.ones_like(like, np.dtype(bool), shape=(rows, columns)))
    return np.tri(rows, columns, dtype=bool)


def known(x: np.ndarray, like):
    """x itself; as an array that is not there, if `like` is one."""
    return like.known(x) if isinstance(like, Symbolic) else x


def compiled_as(op: str):
    """Declares that an element-wise function of one array is that operation of the loop language."""

    def wrap(fn):
        @functools.wraps(fn)
        def f(x, *rest):
            return x.function(op) if isinstance(x, Symbolic) else fn(x, *rest)

        return f

    return wrap


class Node:
    """One array. `id` counts in the order of making, so operands come first."""

    __slots__ = ("id", "kind", "op", "args", "shape", "dtype", "extra", "weak", "data")

    def __init__(self, id: int, kind: str, op, args: tuple, shape: tuple, dtype: np.dtype, extra):
        self.id = id
        self.kind = kind
        self.op = op
        self.args: tuple[Node, ...] = args
        self.shape = shape
        self.dtype = dtype
        self.extra: Any = extra
        self.weak: type | None = None  # float, int or bool: a Python number, which gives way to any dtype of its kind
        self.data: Any = None  # what grouping and planning found out

    @property
    def size(self) -> int:
        n = 1
        for d in self.shape:
            n *= d
        return n

    def __repr__(self) -> str:
        extra = "" if self.extra is None else f" {self.extra}"
        of = ", ".join(f"%{a.id}" for a in self.args)
        return f"%{self.id} = {self.kind}{' ' + str(self.op) if self.op else ''}({of}){extra} -> {self.dtype}{list(self.shape)}"


class Arrays:
    """A graph of nodes, each made once."""

    def __init__(self):
        self.nodes: list[Node] = []
        self._known: dict = {}
        self.limit = sys.maxsize  # of nodes: NotImplementedError beyond that
        self.required: list[Node] = []  # checks: bools that have to be true
        self.places: dict = {}  # checks: numbers that are data, with the greatest that each may be (the least is 0)

    def make(self, kind: str, op, args: tuple, shape: tuple, dtype: np.dtype, extra=None, key=None, weak=None) -> Node:
        """The node with these parts: an equal one that is there, or a new one. `key` stands for an extra that has no hash."""
        known = (kind, op, tuple([a.id for a in args]), shape, dtype, extra if key is None else key, weak)
        found = self._known.get(known)
        if found is None:
            if len(self.nodes) >= self.limit:
                raise NotImplementedError("too many arrays")
            found = self._known[known] = Node(len(self.nodes), kind, op, args, shape, dtype, extra)
            found.weak = weak
            self.nodes.append(found)
        return found

    def number(self, value, dtype=None) -> Node:
        """A known number: a Python number, which is weak, or one of a dtype."""
        if dtype is None and value.__class__ in WEAK:
            kind = value.__class__
            return self.make("const", None, (), (), WEAK[kind], value, (kind, repr(value)), kind)
        dtype = np.dtype(dtype if dtype is not None else np.asarray(value).dtype)
        if not is_unknown(value):
            value = dtype.type(value).item()
        return self.make("const", None, (), (), dtype, value, repr(value))

    def map(self, op: str, args: tuple, dtype) -> Node:
        if op == "add":
            found = self.sum_of_puts(*args)
            if found is not None:
                return found
        shape = args[0].shape if len(args) == 1 else broadcast_shapes([a.shape for a in args])
        return self.make("map", op, args, shape, np.dtype(dtype))

    def sum_of_puts(self, a: Node, b: Node) -> Node | None:
        """a + b where both are zeros with pieces in them, in other places: all pieces in one array."""
        x, y, grid = a, b, a.shape
        if a.kind == "view" and b.kind == "view" and a.extra == b.extra and a.shape == b.shape:
            x, y = a.args[0], b.args[0]
            grid = a.shape if a.extra == (contiguous(a.shape), 0) and a.size == x.size else x.shape
        mine, others = _pieces(x), _pieces(y)
        if x.shape != y.shape or mine is None or others is None:
            return None
        taken = [box(grid, v.shape, *place) for v, place in mine]
        wanted = [box(grid, v.shape, *place) for v, place in others]
        if None in taken or None in wanted or any(not _apart(s, t) for s in taken for t in wanted):
            return None
        for v, place in others:
            x = self.make("put", None, (x, v), x.shape, x.dtype, (*place, None, 0))
        return x if a.kind != "view" else self.view(x, a.shape, *a.extra)

    def cast(self, x: Node, dtype) -> Node:
        dtype = np.dtype(dtype)
        if x.dtype == dtype and x.weak is None:
            return x
        if x.kind == "const" and not x.shape and isinstance(x.extra, (bool, int, float)):
            if dtype.kind == "f" or (isinstance(x.extra, (bool, int)) and -128 <= x.extra <= 127):
                return self.number(x.extra, dtype)
        return self.make("map", "cast", (x,), x.shape, dtype)

    def view(self, x: Node, shape: tuple, strides: tuple, offset: int = 0) -> Node:
        """A strided read of x's contiguous elements. A view of a view is one view where strides can say it; else the inner
        one is copied."""
        if x.shape == tuple(shape) and offset == 0 and tuple(strides) == contiguous(shape):
            return x
        if x.kind == "put":
            for _ in range(MAX_PIECES):  # what is read may be a piece, or lie beside the pieces
                if x.kind != "put" or len(x.args) != 2:
                    break
                v, (own, start) = x.args[1], x.extra[:2]
                if start == offset and _same(v.shape, own, shape, strides):
                    return self.reshape(v, tuple(shape))
                read, piece = box(x.shape, shape, strides, offset), box(x.shape, v.shape, own, start)
                if read is None or piece is None or not _apart(read, piece):
                    break
                x = x.args[0]
            if x.kind != "put":
                return self.view(x, shape, strides, offset)
        if x.kind in ("view", "window"):
            found = composed(x.shape, x.extra[0], shape, strides, offset)
            if found is None:
                x = self.make("map", "copy", (x,), x.shape, x.dtype)
            elif x.kind == "view":
                outer, start = found
                return self.view(x.args[0], shape, outer, start + x.extra[1])
            else:
                outer, start = found
                window = (outer, start + x.extra[1], *x.extra[2:])
                return self.make("window", None, x.args, tuple(shape), x.dtype, window)
        return self.make("view", None, (x,), tuple(shape), x.dtype, (tuple(strides), offset))

    def reshape(self, x: Node, shape: tuple) -> Node:
        return self.view(x, shape, contiguous(shape))

    def forget(self) -> None:
        """Nodes have been given other operands: what is made from here on is new."""
        self._known.clear()

    def text(self) -> str:
        return "\n".join(map(repr, self.nodes))


MAX_PIECES = 64  # that a view of an array with pieces looks at
WEAK = {bool: np.dtype("?"), int: np.dtype("i8"), float: np.dtype("f8")}


def broadcast_shapes(shapes) -> tuple:
    """The shape to which all broadcast. ValueError where there is none."""
    first = shapes[0]
    if all([s == first for s in shapes]):
        return first
    out = [1] * max([len(s) for s in shapes])
    for shape in shapes:
        for i, n in enumerate(reversed(shape), 1):
            if n != 1 and out[-i] != n:
                if out[-i] != 1:
                    raise ValueError(f"shapes that do not broadcast: {', '.join(map(str, shapes))}")
                out[-i] = n
    return tuple(out)


def contiguous(shape) -> tuple[int, ...]:
    out, step = [], 1
    for n in reversed(shape):
        out.append(step)
        step *= max(n, 1)
    return tuple(reversed(out))


def is_zeros(x: Node) -> bool:
    while x.kind == "view":
        x = x.args[0]
    return x.kind == "const" and not x.shape and x.extra == 0


def box(base: tuple, shape: tuple, strides: tuple, offset: int) -> list[tuple[int, int, int]] | None:
    """The first and last place and the step along each dim of contiguous memory that a strided part reaches; None where it
    is no box."""
    own = contiguous(base)
    at = []
    for step in own:
        place, offset = divmod(offset, step)
        at.append((place, place, 0))
    for n, s in zip(shape, strides):
        if n == 1:
            continue
        d = next((d for d, step in enumerate(own) if s > 0 and s % step == 0 and base[d] != 1), None)
        if d is None or at[d][1] != at[d][0]:
            return None
        last = at[d][0] + s // own[d] * (n - 1)
        if last >= base[d]:  # it goes on in the next row: a box of whole rows does
            if s != own[d] or at[d][0] or n % base[d] or not d or at[d - 1][1] != at[d - 1][0]:
                return None
            rows = n // base[d]
            at[d] = (0, base[d] - 1, 1)
            at[d - 1] = (at[d - 1][0], at[d - 1][0] + rows - 1, 1)
            if at[d - 1][1] >= base[d - 1]:
                return None
            continue
        at[d] = (at[d][0], last, s // own[d])
    return at


def _pieces(x: Node) -> list | None:
    """(array, (strides, offset)) of what is put into zeros, in order; None where it is something else."""
    found: list = []
    while x.kind == "put" and len(x.args) == 2:
        found.append((x.args[1], x.extra[:2]))
        x = x.args[0]
    return found[::-1] if found and is_zeros(x) else None


def _apart(x, y) -> bool:
    return any(a[1] < b[0] or b[1] < a[0] or (a[0] - b[0]) % (math.gcd(a[2], b[2]) or 1) != 0 for a, b in zip(x, y))


def _same(shape, strides, other, others) -> bool:
    """Whether two strided reads from one place are the same elements in the same order."""
    a, b = [[(n, t) for n, t in zip(*x) if n != 1] for x in ((shape, strides), (other, others))]
    return a == b


def composed(inner_shape, inner_strides, shape, strides, offset: int):
    """A strided read (shape, strides, offset) of the row-major elements of an array with those strides, as strides and an
    offset of its memory; None where there are none."""
    dims: list[list[int]] = []  # the inner array's dims: [size, stride in memory], neighbours merged where they go on
    for n, s in zip(inner_shape, inner_strides):
        if n == 1:
            continue
        if dims and dims[-1][1] == s * n and (s or not dims[-1][1]) and s != 0:
            dims[-1] = [dims[-1][0] * n, s]
        else:
            dims.append([n, s])
    if not dims:
        return tuple([0] * len(shape)), 0
    own = contiguous([n for n, _ in dims])
    start, top, rest = 0, [], offset
    for (_, s), step in zip(dims, own):
        at, rest = divmod(rest, step)
        start += at * s
        top.append(at)
    low = list(top)
    out = []
    for n, s in zip(shape, strides):
        if n == 1 or s == 0:
            out.append(0)
            continue
        d = next((d for d, step in enumerate(own) if s % step == 0), None)
        if d is None:
            return None
        out.append(s // own[d] * dims[d][1])
        reach = s // own[d] * (n - 1)
        top[d] += max(reach, 0)
        low[d] += min(reach, 0)
    if any(t >= n for t, (n, _) in zip(top, dims)) or any(t < 0 for t in low):
        return None
    return tuple(out), start


# --- what a graph must be ------------------------------------------------------------------------------------------


def verify(graph: Arrays) -> Arrays:
    """The graph, if each node is what its kind and operands say; else raises ir.loops.Malformed."""
    for i, n in enumerate(graph.nodes):
        require_that(n.id == i, f"node {i} has the number {n.id}")
        require_that(all(a.id < i and graph.nodes[a.id] is a for a in n.args), f"operands that come later: {n}")
        require_that(n.kind in CHECKS, f"a kind that there is not: {n}")
        require_that(all(type(d) is int and d >= 0 for d in n.shape), f"sizes of dims: {n}")
        if n.kind not in ("input", "view", "window", "call"):
            require_that(_known(n.dtype), f"a dtype that kernels do not have: {n}")
        CHECKS[n.kind](n)
    for n in graph.required:
        require_that(n.op == "require" and graph.nodes[n.id] is n, f"what is checked is no check: {n}")
    return graph


def reach(shape, strides, offset: int) -> tuple[int, int]:
    """The first and the last element of a strided read."""
    low = offset + sum(min(0, s * (n - 1)) for n, s in zip(shape, strides))
    return low, offset + sum(max(0, s * (n - 1)) for n, s in zip(shape, strides))


def _known(d: np.dtype) -> bool:
    return d.kind == "b" or d.str[1:] in NAMES and d.isnative


def _within(n: Node, shape, strides, offset: int, size: int) -> None:
    require_that(len(shape) == len(strides), f"as many strides as dims: {n}")
    low, high = reach(shape, strides, offset)
    require_that(0 in shape or (low >= 0 and high < size), f"it reaches from {low} to {high} of {size} elements: {n}")


def _source(n: Node) -> None:
    require_that(not n.args, f"a source has no operands: {n}")
    if n.kind == "input":
        require_that(len(n.shape) == 1 and len(n.extra) == 2, f"memory of one dim: {n}")
    elif n.kind == "number":
        require_that(n.shape == () and WEAK.get(n.weak) == n.dtype, f"a Python number: {n}")
    elif isinstance(n.extra, np.ndarray):
        require_that(n.extra.shape == n.shape and n.extra.dtype == n.dtype, f"a known array: {n}")
    else:
        require_that(n.shape == () and type(n.extra) in WEAK, f"a known number: {n}")


def _map(n: Node) -> None:
    require_that(n.shape == broadcast_shapes([a.shape for a in n.args]), f"a shape that operands do not have: {n}")
    require_that(all(_known(a.dtype) for a in n.args), f"operands of dtypes that kernels do not have: {n}")
    check_operation(n.op, [name_of(a.dtype) for a in n.args], name_of(n.dtype))


def _reduce(n: Node) -> None:
    (x,) = n.args
    axes = n.extra
    require_that(axes and tuple(sorted(set(axes))) == axes and axes[0] >= 0, f"axes: {n}")
    require_that(axes[-1] < len(x.shape), f"axes that there are not: {n}")
    require_that(n.shape == tuple(d for i, d in enumerate(x.shape) if i not in axes), f"a reduction's shape: {n}")
    kinds = FOLDS.get(n.op, "")
    kind = "i" if n.dtype.kind == "u" else n.dtype.kind
    require_that(n.dtype == x.dtype and kind in kinds, f"a reduction of that dtype: {n}")


def _view(n: Node) -> None:
    (x,) = n.args
    strides, offset = n.extra
    require_that(x.kind not in ("view", "window"), f"a view of a view: {n}")
    require_that(n.dtype == x.dtype, f"a view of another dtype: {n}")
    if not (x.kind == "input" and x.extra[1]):  # memory of unknown length
        _within(n, n.shape, strides, offset, x.size)


def _matmul(n: Node) -> None:
    a, b, *start = n.args
    require_that(a.dtype == b.dtype == n.dtype and n.dtype.kind == "f", f"a product's dtypes: {n}")
    require_that(all(x.dtype == n.dtype for x in start) and len(start) <= 1, f"what a product begins with: {n}")
    require_that(min(len(a.shape), len(b.shape)) >= 2 and a.shape[-1] == b.shape[-2], f"a product's operands: {n}")
    batch = broadcast_shapes([a.shape[:-2], b.shape[:-2]])
    require_that(n.shape == (*batch, a.shape[-2], b.shape[-1]), f"a product's shape: {n}")
    require_that(broadcast_shapes([n.shape, *[x.shape for x in start]]) == n.shape, f"what a product begins with: {n}")


def _take(n: Node) -> None:
    x, index = n.args
    require_that(index.dtype == np.int64 and len(x.shape) >= 1 and n.dtype == x.dtype, f"rows by number: {n}")
    require_that(n.shape == (*index.shape, *x.shape[1:]), f"the shape of rows by number: {n}")


def _place(n: Node, memory: Node, shape, place: Node, extra) -> None:
    """A strided part of memory at a place that is data."""
    strides, start, greatest, reaches = extra
    require_that(place.kind == "number" and place.dtype == np.int64, f"a place that is no number: {n}")
    low, high = reach(shape, strides, start)
    require_that(len(shape) == len(strides) and (0 in shape or low >= 0), f"it reaches to {low}: {n}")
    if greatest is None:
        require_that(memory.kind == "input", f"memory that is no input: {n}")
        require_that(0 in shape or high < reaches, f"it reaches to {high}: {n}")
    else:
        require_that(0 in shape or high + greatest < memory.size, f"it reaches to {high + greatest}: {n}")


def _window(n: Node) -> None:
    memory, place = n.args
    require_that(n.dtype == memory.dtype and memory.kind not in ("view", "window"), f"a window of a view: {n}")
    _place(n, memory, n.shape, place, n.extra)


def _scatter(n: Node) -> None:
    base, rows, index = n.args
    require_that(n.op in (*FOLDS, "set") and type(n.extra) is int and n.extra >= 1, f"rows put: {n}")
    require_that(index.dtype == np.int64 and rows.dtype == base.dtype == n.dtype, f"rows put: {n}")
    require_that(len(rows.shape) == 2 and index.shape == rows.shape[:1] and base.shape == n.shape, f"rows put: {n}")


def _scan(n: Node) -> None:
    (x,) = n.args
    require_that(n.op in FOLDS and x.dtype == n.dtype and x.shape == n.shape, f"a running reduction: {n}")
    require_that(0 <= n.extra < len(n.shape), f"an axis that there is not: {n}")


def _empty(n: Node) -> None:
    require_that(not n.args, f"memory without operands: {n}")


def _call(n: Node) -> None:
    call, k = n.extra
    lay = call.spec.outs[k]
    require_that(n.dtype == lay.dtype.np and (lay.flat or n.shape == tuple(lay.shape)), f"a call's result: {n}")


def _put(n: Node) -> None:
    base, value, *place = n.args
    strides, offset, *_ = n.extra
    require_that(base.shape == n.shape and base.dtype == value.dtype == n.dtype, f"a part put into an array: {n}")
    if place:
        _place(n, base, value.shape, place[0], n.extra)
    else:
        _within(n, value.shape, strides, offset, n.size)
    end = 0
    for s, d in sorted((abs(s), d) for d, s in zip(value.shape, strides) if d > 1):
        require_that(s > end, f"elements that overlap: {n}")
        end += s * (d - 1)


def _conv(n: Node) -> None:
    require_that(n.op in ("conv", "conv_input", "conv_weight"), f"a convolution that there is not: {n}")
    require_that(all(a.dtype == n.dtype and len(a.shape) == 4 for a in (*n.args, n)), f"a convolution's operands: {n}")
    a, b = n.args
    x, w, y = {"conv": (a, b, n), "conv_input": (n, b, a), "conv_weight": (b, n, a)}[n.op]
    stride, padding, dilation, groups = n.extra
    require_that(x.shape[0] == y.shape[0] and w.shape[1] * groups == x.shape[1], f"a convolution's channels: {n}")
    require_that(w.shape[0] == y.shape[1] and w.shape[0] % groups == 0, f"a convolution's features: {n}")
    for d, (step, (low, high), apart) in enumerate(zip(stride, padding, dilation, strict=True), 2):
        rest = x.shape[d] + low + high - apart * (w.shape[d] - 1) - 1
        require_that(y.shape[d] <= rest // step + 1, f"a convolution's sizes: {n}")


CHECKS = {
    "input": _source, "number": _source, "const": _source, "map": _map, "reduce": _reduce, "view": _view,
    "matmul": _matmul, "take": _take, "window": _window, "scatter": _scatter, "call": _call, "put": _put,
    "conv": _conv, "scan": _scan, "empty": _empty,
}  # fmt: skip
