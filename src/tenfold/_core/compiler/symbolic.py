"""The NumPy meaning of a primitive, run on arrays that are not there yet: what it does becomes nodes of the compiler's graph.

So an operation is declared once: what NumPy computes for the interpreter is what the compiler compiles. A meaning that
asks for values (branches on them, views bits, writes into parts of arrays) raises Opaque, and stays a call."""

from __future__ import annotations

import math

import numpy as np

from ..ir.arrays import WEAK, Arrays, Node, Symbolic, contiguous


class Opaque(Exception):
    """A primitive's meaning cannot be followed without values."""


ELEMENTWISE = {
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.true_divide: "div", np.negative: "neg",
    np.absolute: "abs", np.maximum: "max", np.minimum: "min", np.fmax: "fmax", np.fmin: "fmin", np.sqrt: "sqrt",
    np.floor: "floor", np.ceil: "ceil", np.rint: "rint", np.trunc: "trunc", np.copysign: "copysign",
    np.less: "lt", np.less_equal: "le", np.greater: "gt", np.greater_equal: "ge", np.equal: "eq", np.not_equal: "ne",
    np.bitwise_and: "and", np.bitwise_or: "or", np.bitwise_xor: "xor", np.invert: "not",
    np.exp: "exp", np.exp2: "exp2", np.expm1: "expm1", np.log: "log", np.log2: "log2", np.log10: "log10",
    np.log1p: "log1p", np.sin: "sin", np.cos: "cos", np.tan: "tan", np.tanh: "tanh", np.sinh: "sinh", np.cosh: "cosh",
    np.arcsin: "asin", np.arccos: "acos", np.arctan: "atan", np.power: "pow", np.isnan: "isnan", np.isinf: "isinf",
    np.isfinite: "isfinite", np.signbit: "signbit",
}  # fmt: skip
LOGICAL = {np.logical_and: "and", np.logical_or: "or", np.logical_xor: "xor", np.logical_not: "not"}
REDUCTIONS = {np.add: "sum", np.multiply: "prod", np.maximum: "max", np.minimum: "min"}
DTYPES = frozenset(np.dtype(c) for c in ("?", "u1", "i1", "i2", "i4", "i8", "f4", "f8"))
MAX_CONSTANT = 1 << 18  # elements of an array that is part of a program
_loops: dict = {}


def loop_dtypes(ufunc: np.ufunc, operands: tuple) -> tuple:
    """The dtypes in which a ufunc computes on operands of those dtypes (int, float, complex: Python numbers)."""
    key = (ufunc, operands)
    found = _loops.get(key)
    if found is None:
        try:
            found = ufunc.resolve_dtypes((*operands, *[None] * ufunc.nout))
        except TypeError as e:
            raise Opaque(str(e)) from e
        _loops[key] = found
    return found


class Array(Symbolic):
    """An array that is not there yet: NumPy's functions on it make nodes."""

    __slots__ = ("graph", "node", "owned")
    __array_priority__ = 1000.0
    __hash__ = object.__hash__

    def __init__(self, graph: Arrays, node: Node, owned: bool = False):
        self.graph = graph
        self.node = node
        self.owned = owned  # made in this meaning, and seen by nobody else: it may be written to as a whole

    # --- what it is ---------------------------------------------------------------------------------------

    @property
    def shape(self):
        return self.node.shape

    @property
    def dtype(self):
        return self.node.dtype

    @property
    def ndim(self) -> int:
        return len(self.node.shape)

    @property
    def size(self) -> int:
        return self.node.size

    def __len__(self) -> int:
        return self.node.shape[0]

    @property
    def T(self):
        return self.transpose()

    @property
    def real(self):
        return self

    def __bool__(self):
        raise Opaque("a branch on a value")

    __float__ = __int__ = __index__ = __iter__ = __array__ = item = tolist = __bool__

    def require(self) -> None:
        """The program checks that all elements are true."""
        node = self.node
        self.graph.required.append(self.graph.make("map", "require", (node,), node.shape, np.dtype("?")))

    def function(self, op: str):
        """An operation of the loop language, element by element."""
        if self.dtype.kind != "f":
            raise Opaque(f"{op} of {self.dtype}")
        return Array(self.graph, self.graph.map(op, (self.node,), self.dtype), True)

    def convolution(self, op: str, other, shape: tuple, geometry: tuple):
        """A convolution of one or two dims, or its gradient: see backends/cpu/convolution.py."""
        graph = self.graph
        a, b = self.node, _node(graph, other)
        stride, padding, dilation, groups = geometry
        n = len(a.shape) - 2
        small = n not in (1, 2) or 0 in a.shape or 0 in b.shape or 0 in shape
        if small or a.dtype != b.dtype or a.dtype.kind != "f" or any(p < 0 for pair in padding for p in pair):
            raise Opaque("a convolution of three dims, of nothing, or with negative padding")
        if n == 1:  # two dims with one row
            a, b = [graph.reshape(x, (*x.shape[:2], 1, x.shape[2])) for x in (a, b)]
            stride, dilation, padding = (1, *stride), (1, *dilation), ((0, 0), *padding)
        full = shape if n == 2 else (*shape[:2], 1, shape[2])
        made = graph.make("conv", op, (a, b), full, a.dtype, (tuple(stride), tuple(padding), tuple(dilation), groups))
        return Array(graph, graph.reshape(made, tuple(shape)), True)

    def summed_at(self, index, count: int):
        """Rows of zeros, so many, to which row i of this matrix is added at index[i]."""
        rows = self.node
        at = cast(self.graph, _node(self.graph, index), np.dtype("i8"))
        if rows.dtype.kind == "b" or len(rows.shape) != 2 or at.shape != rows.shape[:1]:
            raise Opaque("sums of bools, or of other than rows")
        required_range(self.graph, at, count)
        shape = (count, *rows.shape[1:])
        zero = filled(self.graph, 0, shape, rows.dtype)
        return Array(self.graph, self.graph.make("scatter", "sum", (zero, rows, at), shape, rows.dtype, shape[1]), True)

    def __getattr__(self, name):
        raise Opaque(f"ndarray.{name}")

    # --- element by element -----------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        if method == "reduce":
            made = self._reduce(ufunc, *inputs, **options)
        elif method == "__call__" and ufunc is np.matmul and not options:
            made = _matmul(self.graph, *[_node(self.graph, x) for x in inputs])
        elif method == "__call__":
            made = apply(self.graph, ufunc, inputs, **options)
        else:
            raise Opaque(f"{ufunc.__name__}.{method}")
        if out is None:
            return Array(self.graph, made, True)
        (target,) = out
        return _write(target, made)

    def __array_function__(self, func, types, args, kwargs):
        found = FUNCTIONS.get(func)
        if found is None:
            raise Opaque(f"np.{func.__name__}")
        return found(self.graph, *args, **kwargs)

    # --- reductions -----------------------------------------------------------------------------------------

    def _reduce(self, ufunc, x, axis=0, dtype=None, keepdims=False, initial=None, where=True):
        op = REDUCTIONS.get(ufunc)
        if ufunc in (np.logical_and, np.logical_or):
            op = "min" if ufunc is np.logical_and else "max"
            x = Array(self.graph, _truth(self.graph, x.node))
        if op is None or where is not True or initial is not None:
            raise Opaque(f"{ufunc.__name__}.reduce")
        node = x.node
        if dtype is None and op in ("sum", "prod") and node.dtype.kind in "biu":
            dtype = np.dtype("i8") if node.dtype.kind in "bi" else np.dtype("u8")
        if dtype is not None:
            node = self.graph.cast(node, dtype)
        if node.dtype not in DTYPES:
            raise Opaque(str(node.dtype))
        n = len(node.shape)
        axes = tuple(range(n)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(sorted({int(a) % n for a in axes})) if n else ()
        return reduce(self.graph, op, node, axes, keepdims)

    def sum(self, axis=None, dtype=None, out=None, keepdims=False):
        return np.add.reduce(self, axis=axis, dtype=dtype, keepdims=keepdims)

    def prod(self, axis=None, dtype=None, out=None, keepdims=False):
        return np.multiply.reduce(self, axis=axis, dtype=dtype, keepdims=keepdims)

    def max(self, axis=None, out=None, keepdims=False):
        return np.maximum.reduce(self, axis=axis, keepdims=keepdims)

    def min(self, axis=None, out=None, keepdims=False):
        return np.minimum.reduce(self, axis=axis, keepdims=keepdims)

    def mean(self, axis=None, dtype=None, out=None, keepdims=False):
        if self.dtype.kind != "f":
            raise Opaque("the mean of integers")
        total = self.sum(axis, dtype=dtype, keepdims=keepdims)
        return total / (self.size // max(total.size, 1))

    def all(self, axis=None, out=None, keepdims=False):
        return np.logical_and.reduce(self, axis=axis, keepdims=keepdims)

    def any(self, axis=None, out=None, keepdims=False):
        return np.logical_or.reduce(self, axis=axis, keepdims=keepdims)

    # --- shapes -----------------------------------------------------------------------------------------------

    def astype(self, dtype, copy=True):
        return Array(self.graph, cast(self.graph, self.node, np.dtype(dtype)), True)

    def converted(self, dtype: np.dtype):
        """Another dtype, as `ir.special.convert` has it."""
        if self.dtype.kind == "f" and dtype.kind in "iu":
            raise Opaque("floats as integers: infinities are treated apart")
        return self.astype(dtype)

    def copy(self, order="C"):
        return Array(self.graph, self.node, True)

    def reshape(self, *shape, order="C", copy=None):
        if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
            shape = tuple(shape[0])
        if order != "C":
            raise Opaque("an order other than C")
        if -1 in shape:
            rest = math.prod([n for n in shape if n != -1])
            shape = tuple(self.size // rest if n == -1 else n for n in shape)
        return Array(self.graph, self.graph.reshape(self.node, tuple(int(n) for n in shape)), self.owned)

    def transpose(self, *axes):
        n = self.ndim
        if len(axes) == 1 and isinstance(axes[0], (tuple, list)):
            axes = tuple(axes[0])
        axes = tuple(a % n for a in axes) if axes and axes[0] is not None else tuple(range(n - 1, -1, -1))
        strides = contiguous(self.shape)
        return Array(
            self.graph,
            self.graph.view(self.node, tuple(self.shape[a] for a in axes), tuple(strides[a] for a in axes)),
        )

    def swapaxes(self, a, b):
        order = list(range(self.ndim))
        order[a], order[b] = order[b], order[a]
        return self.transpose(order)

    def __getitem__(self, key):
        """Basic indexing, and rows by one array of numbers."""
        if isinstance(key, Array) and key.dtype.kind in "iu":
            return _take(self.graph, self, key, axis=0)
        key = key if isinstance(key, tuple) else (key,)
        if any(not (k is None or k is Ellipsis or isinstance(k, (int, slice))) or isinstance(k, bool) for k in key):
            raise Opaque("indexing by arrays")
        given = sum(k is not None and k is not Ellipsis for k in key)
        if Ellipsis not in key:
            key = (*key, Ellipsis)
        at = key.index(Ellipsis)
        key = (*key[:at], *[slice(None)] * (self.ndim - given), *key[at + 1 :])
        own = contiguous(self.shape)
        shape, strides, offset, d = [], [], 0, 0
        for k in key:
            if k is None:
                shape.append(1)
                strides.append(0)
                continue
            if isinstance(k, slice):
                r = range(*k.indices(self.shape[d]))
                shape.append(len(r))
                strides.append(r.step * own[d])
                offset += r.start * own[d] if len(r) else 0
            else:
                offset += (k % self.shape[d]) * own[d]
            d += 1
        return Array(self.graph, self.graph.view(self.node, tuple(shape), tuple(strides), offset))

    def __setitem__(self, key, value):
        if key is not Ellipsis and key != slice(None):
            raise Opaque("a write to a part")
        node = cast(self.graph, _node(self.graph, value), self.dtype)
        _write(self, broadcast(self.graph, node, self.shape))

    def __neg__(self):
        return np.negative(self)

    def __abs__(self):
        return np.absolute(self)

    def __invert__(self):
        return np.invert(self)


def _operators() -> None:
    """Python's operators, as NumPy's functions."""
    binary = {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power,
        "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "matmul": np.matmul,
    }  # fmt: skip
    for name, ufunc in binary.items():
        setattr(Array, f"__{name}__", lambda a, b, f=ufunc: f(a, b))
        setattr(Array, f"__r{name}__", lambda a, b, f=ufunc: f(b, a))
        setattr(Array, f"__i{name}__", lambda a, b, f=ufunc: f(a, b, out=(a,)))
    compares = {
        "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    }  # fmt: skip
    for name, ufunc in compares.items():
        setattr(Array, f"__{name}__", lambda a, b, f=ufunc: f(a, b))


_operators()


def _write(target, node: Node):
    """`out=` and operators in place: a whole array gets other elements."""
    if not isinstance(target, Array) or not target.owned or target.node.shape != node.shape:
        raise Opaque("a write into memory that others read")
    target.node = cast(target.graph, node, target.dtype)
    return target


def _node(graph: Arrays, x) -> Node:
    if isinstance(x, Array):
        return x.node
    if isinstance(x, (bool, int, float, np.bool_, np.integer, np.floating)):
        return graph.number(x, None if type(x) in WEAK else x.dtype)
    if isinstance(x, np.ndarray) and x.size <= MAX_CONSTANT and x.dtype in DTYPES:
        return graph.number(x.item(), x.dtype) if x.ndim == 0 else constant(graph, x)
    raise Opaque(f"an operand of type {type(x).__name__}")


def cast(graph: Arrays, x: Node, dtype: np.dtype) -> Node:
    if dtype not in DTYPES:
        raise Opaque(str(dtype))
    return graph.cast(x, dtype)


def broadcast(graph: Arrays, x: Node, shape: tuple) -> Node:
    """x with dims repeated."""
    if x.shape == shape:
        return x
    pad = len(shape) - len(x.shape)
    own = contiguous(x.shape)
    strides = (0,) * pad + tuple(0 if n == 1 and shape[pad + i] != 1 else own[i] for i, n in enumerate(x.shape))
    return graph.view(x, tuple(shape), strides)


def filled(graph: Arrays, value, shape: tuple, dtype) -> Node:
    """One number, repeated."""
    return broadcast(graph, cast(graph, graph.number(value, dtype), np.dtype(dtype)), shape)


def constant(graph: Arrays, x: np.ndarray) -> Node:
    """An array that is known."""
    if x.size > MAX_CONSTANT:
        raise Opaque("a big constant")
    x = np.ascontiguousarray(x)
    return graph.make("const", None, (), x.shape, x.dtype, x, (x.tobytes(),))


def overlap(shape, strides) -> bool:
    """Whether two elements may lie at one place."""
    reach = 0
    for s, n in sorted((abs(s), n) for n, s in zip(shape, strides) if n > 1):
        if s <= reach:
            return True
        reach += s * (n - 1)
    return False


def put(graph: Arrays, base: Node, value: Node, strides: tuple, offset: int, place=None, bound=None, reach=0) -> Node:
    """The base with a strided part of its memory replaced; `place`: a number that is added to the offset."""
    if overlap(value.shape, strides):
        raise Opaque("elements that overlap")
    steps = [s * (n - 1) for n, s in zip(value.shape, strides)]
    low, high = offset + sum(s for s in steps if s < 0), offset + sum(s for s in steps if s > 0)
    if not value.size:
        return base
    if low < 0 or high >= base.size or place is not None and (bound < 0 or bound + high >= base.size):
        raise Opaque("a write outside its storage")
    args = (base, value) if place is None else (base, value, place)
    return graph.make("put", None, args, base.shape, base.dtype, (tuple(strides), offset, bound, reach))


def reduce(graph: Arrays, op: str, node: Node, axes: tuple, keepdims: bool) -> Node:
    if any(node.shape[a] == 0 for a in axes) and op in ("max", "min"):
        raise Opaque("a bound of nothing")
    shape = tuple(n for d, n in enumerate(node.shape) if d not in axes)
    real = tuple(a for a in axes if node.shape[a] != 1)
    made = graph.make("reduce", op, (node,), shape, node.dtype, axes) if real else graph.reshape(node, shape)
    return graph.reshape(made, tuple(1 if d in axes else n for d, n in enumerate(node.shape))) if keepdims else made


def _matmul(graph: Arrays, a: Node, b: Node) -> Node:
    if a.dtype != b.dtype or a.dtype.kind != "f":
        raise Opaque("a product of matrices of that dtype")
    left, right = len(a.shape) == 1, len(b.shape) == 1
    if left:
        a = graph.reshape(a, (1, *a.shape))
    if right:
        b = graph.reshape(b, (*b.shape, 1))
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = graph.make("matmul", None, (a, b), (*batch, a.shape[-2], b.shape[-1]), a.dtype)
    if left or right:
        shape = (*batch, *(() if left else (a.shape[-2],)), *(() if right else (b.shape[-1],)))
        out = graph.reshape(out, shape)
    return out


def _truth(graph: Arrays, x: Node) -> Node:
    return x if x.dtype.kind == "b" else graph.map("ne", (x, graph.number(0, x.dtype)), "?")


def apply(graph: Arrays, ufunc: np.ufunc, inputs, dtype=None, casting="same_kind") -> Node:
    """A ufunc on nodes, in the dtypes in which NumPy computes it."""
    nodes = [_node(graph, x) for x in inputs]
    if ufunc in LOGICAL:
        return graph.map(LOGICAL[ufunc], tuple([_truth(graph, x) for x in nodes]), "?")
    if ufunc is np.square:
        ufunc, nodes = np.multiply, [nodes[0], nodes[0]]
    elif ufunc is np.reciprocal:
        if nodes[0].dtype.kind != "f":
            raise Opaque("a reciprocal of integers")
        ufunc, nodes = np.true_divide, [graph.number(1, nodes[0].dtype), nodes[0]]
    elif ufunc is np.sign and nodes[0].dtype.kind == "f":
        x = nodes[0]
        zero, one = graph.number(0, x.dtype), graph.number(1, x.dtype)
        minus = graph.map("select", (graph.map("lt", (x, zero), "?"), graph.number(-1, x.dtype), x), x.dtype)
        return graph.map("select", (graph.map("gt", (x, zero), "?"), one, minus), x.dtype)
    op = ELEMENTWISE.get(ufunc)
    if op is None:
        raise Opaque(f"np.{ufunc.__name__}")
    if dtype is not None:
        nodes = [cast(graph, x, np.dtype(dtype)) for x in nodes]
    kinds = tuple([x.weak if x.weak in (int, float) else x.dtype for x in nodes])
    loops = loop_dtypes(ufunc, kinds)
    nodes = [cast(graph, x, d) for x, d in zip(nodes, loops)]
    if loops[-1] not in DTYPES:
        raise Opaque(str(loops[-1]))
    kind = nodes[0].dtype.kind
    if kind == "b" and op in ("add", "mul", "max", "min"):
        op = {"add": "or", "mul": "and", "max": "or", "min": "and"}[op]
    elif kind == "b" and op in ("lt", "le", "gt", "ge", "abs", "neg"):
        raise Opaque(f"{op} of bools")
    if kind in "biu" and op in ("pow", "isnan", "isinf", "isfinite", "floor", "ceil", "rint", "trunc", "fmax", "fmin"):
        raise Opaque(f"{op} of integers")
    return graph.map(op, tuple(nodes), loops[-1])


def required_range(graph: Arrays, index: Node, count: int) -> None:
    """The program checks that integers are at least 0 and below count."""
    x = Array(graph, index)
    ((x >= 0) & (x < count)).require()


# --- NumPy's functions -----------------------------------------------------------------------------------------


def _where(graph, mask, *rest):
    if len(rest) != 2:
        raise Opaque("np.where with one argument")
    x, y = [_node(graph, v) for v in rest]
    kinds = tuple([n.weak if n.weak in (int, float) else n.dtype for n in (x, y)])
    d = loop_dtypes(np.add, kinds)[-1] if np.dtype("?") not in kinds else np.result_type(x.dtype, y.dtype)
    m = _truth(graph, _node(graph, mask))
    return Array(graph, graph.map("select", (m, cast(graph, x, d), cast(graph, y, d)), d), True)


def _clip(graph, x, lo=None, hi=None, out=None, **kw):
    if out is not None:
        raise Opaque("np.clip(out=)")
    r = x if lo is None else np.maximum(x, lo)
    return r if hi is None else np.minimum(r, hi)


def _like(value):
    def make(graph, x, dtype=None, order="K", subok=True, shape=None):
        d = np.dtype(dtype) if dtype is not None else x.dtype
        number = cast(graph, graph.number(value, d), d)
        return Array(graph, broadcast(graph, number, tuple(shape if shape is not None else x.shape)), True)

    return make


def _expand_dims(graph, x, axis):
    axes = axis if isinstance(axis, tuple) else (axis,)
    n = x.ndim + len(axes)
    axes = {a % n for a in axes}
    it = iter(x.shape)
    return x.reshape(tuple(1 if d in axes else next(it) for d in range(n)))


def _squeeze(graph, x, axis=None):
    if axis is None:
        return x.reshape(tuple(n for n in x.shape if n != 1))
    axes = {a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))}
    return x.reshape(tuple(n for d, n in enumerate(x.shape) if d not in axes))


def _take(graph, x, indices, axis=None, **kw):
    if axis != 0 or kw or not isinstance(indices, Array):
        raise Opaque("np.take along another axis")
    x = Array(graph, _node(graph, x))
    index = indices.astype(np.int64)
    index = np.where(index < 0, index + x.shape[0], index).node
    required_range(graph, index, x.shape[0])
    return Array(graph, graph.make("take", None, (x.node, index), (*index.shape, *x.shape[1:]), x.dtype))


def _counting(graph, shape, axis: int) -> Array:
    """0, 1, 2 … along an axis, broadcast over the others."""
    n = shape[axis]
    counts = np.arange(n, dtype=np.int64).reshape([n if d == axis else 1 for d in range(len(shape))])
    return Array(graph, _node(graph, counts))


def _take_along_axis(graph, x, indices, axis):
    """The element of each row: rows of a flat array by number."""
    axis %= x.ndim
    if indices.shape[axis] != 1:
        raise Opaque("np.take_along_axis of several elements")
    own = contiguous(x.shape)
    required_range(graph, indices.node, x.shape[axis])
    at = indices * own[axis]
    for d in range(x.ndim):
        if d != axis and x.shape[d] > 1:
            at = at + _counting(graph, indices.shape, d) * own[d]
    flat = graph.reshape(x.node, (x.size,))
    return Array(graph, graph.make("take", None, (flat, at.node), at.shape, x.dtype))


def _put_along_axis(graph, x, indices, values, axis):
    axis %= x.ndim
    if indices.shape[axis] != 1:
        raise Opaque("np.put_along_axis of several elements")
    required_range(graph, indices.node, x.shape[axis])
    here = np.equal(_counting(graph, x.shape, axis), indices)
    _write(x, np.where(here, values, x).node)


FUNCTIONS = {
    np.take: _take,
    np.take_along_axis: _take_along_axis,
    np.put_along_axis: _put_along_axis,
    np.isneginf: lambda graph, x, out=None: x == -math.inf,
    np.isposinf: lambda graph, x, out=None: x == math.inf,
    np.where: _where,
    np.clip: _clip,
    np.zeros_like: _like(0),
    np.ones_like: _like(1),
    np.sum: lambda graph, x, axis=None, dtype=None, out=None, keepdims=False: x.sum(axis, dtype=dtype, keepdims=keepdims),
    np.mean: lambda graph, x, axis=None, dtype=None, out=None, keepdims=False: x.mean(axis, dtype=dtype, keepdims=keepdims),
    np.max: lambda graph, x, axis=None, out=None, keepdims=False: x.max(axis, keepdims=keepdims),
    np.min: lambda graph, x, axis=None, out=None, keepdims=False: x.min(axis, keepdims=keepdims),
    np.all: lambda graph, x, axis=None, out=None, keepdims=False: x.all(axis, keepdims=keepdims),
    np.any: lambda graph, x, axis=None, out=None, keepdims=False: x.any(axis, keepdims=keepdims),
    np.reshape: lambda graph, x, shape, **kw: x.reshape(shape),
    np.transpose: lambda graph, x, axes=None: x.transpose(*(() if axes is None else (axes,))),
    np.swapaxes: lambda graph, x, a, b: x.swapaxes(a, b),
    np.expand_dims: _expand_dims,
    np.squeeze: _squeeze,
    np.broadcast_to: lambda graph, x, shape, subok=False: Array(graph, broadcast(graph, x.node, tuple(shape))),
    np.ascontiguousarray: lambda graph, x, dtype=None: x,
    np.iscomplexobj: lambda graph, x: False,
    np.copy: lambda graph, x, **kw: x.copy(),
}  # fmt: skip
for _f in (np.amax, np.amin):
    FUNCTIONS.setdefault(_f, FUNCTIONS[np.max if _f is np.amax else np.min])
