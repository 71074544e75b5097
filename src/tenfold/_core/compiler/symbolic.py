"""The NumPy meaning of a primitive, run on arrays that are not there yet: what it does becomes nodes of the compiler's graph.

So an operation is declared once: what NumPy computes for the interpreter is what the compiler compiles. A meaning that
asks for values (branches on them, views bits, writes into parts of arrays) raises Opaque, and stays a call."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ir import arrays
from ..ir.arrays import WEAK, Arrays, Node, Symbolic, broadcast_shapes, contiguous
from ..ir.sizes import Dim, index, known


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
FUNCTIONS: dict = {}  # NumPy's functions: functions.py
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

    __slots__ = ("graph", "_node", "owned", "origin", "seen")
    __array_priority__ = 1000.0
    __hash__ = object.__hash__

    def __init__(self, graph: Arrays, node: Node, owned: bool = False):
        self.graph = graph
        self._node = node
        self.owned = owned  # made in this meaning: it may be written to
        self.origin: Any = None  # of a view: (array, shape, strides, offset) in its contiguous elements
        self.seen: Node | None = None  # what the array held when the view's node was made

    @property
    def node(self) -> Node:
        """What it holds now."""
        if self.origin is not None:
            root, shape, strides, offset = self.origin
            if self.seen is not root._node:
                self.seen = root._node
                self._node = self.graph.view(root._node, shape, strides, offset)
        return self._node

    def viewed(self, shape: tuple, strides: tuple, offset: int) -> Array:
        """A view, by strides and offset among the contiguous elements of the array that this is or is a view of."""
        root = self if self.origin is None else self.origin[0]
        view = Array(self.graph, root._node)
        view.origin = (root, tuple(shape), tuple(strides), offset)
        return view

    @property
    def steps(self) -> tuple[tuple[int, ...], int]:
        """Strides and offset of that kind."""
        return (contiguous(self.shape), 0) if self.origin is None else self.origin[2:]

    # --- what it is ---------------------------------------------------------------------------------------

    @property
    def shape(self):
        return self._node.shape if self.origin is None else self.origin[1]

    @property
    def dtype(self):
        return self._node.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

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
        a, b = self.node, node_of(graph, other)
        stride, padding, dilation, groups = geometry
        n = len(a.shape) - 2
        small = n not in (1, 2) or 0 in a.shape or 0 in b.shape or 0 in shape
        if small or a.dtype != b.dtype or a.dtype.kind != "f" or any(p < 0 for pair in padding for p in pair):
            raise Opaque("a convolution of three dims, of nothing, or with negative padding")
        if n == 1:  # two dims with one row
            a, b = [graph.reshape(x, (*x.shape[:2], 1, x.shape[2])) for x in (a, b)]
            stride, dilation, padding = (1, *stride), (1, *dilation), ((0, 0), *padding)
        full = shape if n == 2 else (*shape[:2], 1, shape[2])
        made = None if any(map(any, padding)) else _whole_images(graph, op, a, b, full)
        if made is None:
            extra = (tuple(stride), tuple(padding), tuple(dilation), groups)
            made = graph.make("conv", op, (a, b), full, a.dtype, extra)
        return Array(graph, graph.reshape(made, tuple(shape)), True)

    def known(self, x: np.ndarray):
        """An array that is known, beside this one."""
        return Array(self.graph, node_of(self.graph, x))

    def summed_at(self, index, count: int):
        """Rows of zeros, so many, to which row i of this matrix is added at index[i]."""
        rows = self.node
        at = cast(self.graph, node_of(self.graph, index), np.dtype("i8"))
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
            made = _matmul(self.graph, *[node_of(self.graph, x) for x in inputs])
        elif method == "at" and ufunc in REDUCTIONS:
            inputs[0].put_at(inputs[1], inputs[2], REDUCTIONS[ufunc])
            return None
        elif method == "accumulate" and ufunc in REDUCTIONS:
            made = self._scan(REDUCTIONS[ufunc], *inputs, **options)
        elif method == "__call__":
            made = apply(self.graph, ufunc, inputs, **options)
        else:
            raise Opaque(f"{ufunc.__name__}.{method}")
        if out is None:
            return Array(self.graph, made, True)
        (target,) = out
        return write(target, made)

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
            x = Array(self.graph, truth(self.graph, x.node))
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

    def _scan(self, op: str, x, axis=0, dtype=None):
        node = x.node
        if dtype is not None:
            node = cast(self.graph, node, np.dtype(dtype))
        if node.dtype.kind == "b" or not node.size:
            raise Opaque("running sums of bools")
        return self.graph.make("scan", op, (node,), node.shape, node.dtype, axis % len(node.shape))

    def sum(self, axis=None, dtype=None, out=None, keepdims=False):
        return np.add.reduce(self, axis=axis, dtype=dtype, keepdims=keepdims)

    def prod(self, axis=None, dtype=None, out=None, keepdims=False):
        return np.multiply.reduce(self, axis=axis, dtype=dtype, keepdims=keepdims)

    def max(self, axis=None, out=None, keepdims=False, initial=None):
        r = np.maximum.reduce(self, axis=axis, keepdims=keepdims)
        return r if initial is None else np.maximum(r, initial)

    def min(self, axis=None, out=None, keepdims=False):
        return np.minimum.reduce(self, axis=axis, keepdims=keepdims)

    def mean(self, axis=None, dtype=None, out=None, keepdims=False):
        if self.dtype.kind != "f":
            raise Opaque("the mean of integers")
        total = self.sum(axis, dtype=dtype, keepdims=keepdims)
        return total / (self.size // max(total.size, 1))

    def argmax(self, axis=None, out=None, keepdims=False):
        return np.argmax(self, axis, keepdims=keepdims)

    def argmin(self, axis=None, out=None, keepdims=False):
        return np.argmin(self, axis, keepdims=keepdims)

    def all(self, axis=None, out=None, keepdims=False):
        return np.logical_and.reduce(self, axis=axis, keepdims=keepdims)

    def any(self, axis=None, out=None, keepdims=False):
        return np.logical_or.reduce(self, axis=axis, keepdims=keepdims)

    # --- shapes -----------------------------------------------------------------------------------------------

    def astype(self, dtype, copy=True):
        return Array(self.graph, cast(self.graph, self.node, np.dtype(dtype)), True)

    def converted(self, dtype: np.dtype):
        """Another dtype, as `ir.special.convert` has it."""
        if self.dtype.kind != "f" or dtype.kind not in "iu":
            return self.astype(dtype)
        fits = np.absolute(self) < 2.0**63
        whole = np.where(fits, self, self.dtype.type(0)).astype(np.int64)
        return np.where(fits, whole, np.int64(-(2**63))).astype(dtype)

    def copy(self, order="C"):
        return Array(self.graph, self.node, True)

    def reshape(self, *shape, order="C", copy=None):
        if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
            shape = tuple(shape[0])
        if order != "C":
            raise Opaque("an order other than C")
        if -1 in shape:
            rest = math.prod([n for n in shape if n != -1])
            shape = tuple(self.size // max(rest, 1) if n == -1 else n for n in shape)
        shape = tuple(index(n) for n in shape)
        strides, offset = self.steps
        own = contiguous(self.shape)
        if all(n == 1 or s == t for n, s, t in zip(self.shape, strides, own)):
            return self.viewed(shape, contiguous(shape), offset)
        self.origin[0].owned = False  # NumPy makes a view or a copy: it must not matter
        return Array(self.graph, self.graph.reshape(self.node, shape))

    def ravel(self, order="C"):
        return self.reshape(-1, order=order)

    def windows(self, kernel, stride, dilation, count):
        """A view (*, kernel..., count...) of windows over the last dims."""
        lead = self.ndim - len(kernel)
        steps, offset = self.steps
        inner = [s * d for s, d in zip(steps[lead:], dilation)]
        outer = [s * t for s, t in zip(steps[lead:], stride)]
        return self.viewed((*self.shape[:lead], *kernel, *count), (*steps[:lead], *inner, *outer), offset)

    def squeeze(self, axis=None):
        if axis is None:
            return self.reshape(tuple(n for n in self.shape if n != 1))
        axes = {a % self.ndim for a in (axis if isinstance(axis, tuple) else (axis,))}
        return self.reshape(tuple(n for d, n in enumerate(self.shape) if d not in axes))

    def transpose(self, *axes):
        n = self.ndim
        if len(axes) == 1 and isinstance(axes[0], (tuple, list)):
            axes = tuple(axes[0])
        axes = tuple(a % n for a in axes) if axes and axes[0] is not None else tuple(range(n - 1, -1, -1))
        strides, offset = self.steps
        return self.viewed(tuple(self.shape[a] for a in axes), tuple(strides[a] for a in axes), offset)

    def swapaxes(self, a, b):
        order = list(range(self.ndim))
        order[a], order[b] = order[b], order[a]
        return self.transpose(order)

    def repeated(self, shape: tuple):
        """np.broadcast_to"""
        pad = len(shape) - self.ndim
        if pad < 0 or any(n not in (1, m) for n, m in zip(self.shape, shape[pad:])):
            raise Opaque("shapes that do not broadcast")
        strides, offset = self.steps
        strides = [0 if n == 1 and shape[pad + i] != 1 else strides[i] for i, n in enumerate(self.shape)]
        return self.viewed(shape, (*[0] * pad, *strides), offset)

    # --- parts ------------------------------------------------------------------------------------------------

    def __getitem__(self, key):
        view, dims, index, front = self._found(key)
        if not dims:
            return view
        at, rest, strides, count = view._places(dims, index)
        tail = tuple(view.shape[d] for d in rest)
        steps, offset = view.steps
        x = self.graph.view(
            view.origin[0]._node,
            (count, *tail), (strides, *[steps[d] for d in rest]), offset,
        )  # fmt: skip
        made = Array(self.graph, self.graph.make("take", None, (x, at.node), (*at.shape, *tail), self.dtype), True)
        n = at.ndim
        return made.transpose([*range(n, n + front), *range(n), *range(n + front, n + len(tail))]) if front else made

    def __setitem__(self, key, value):
        if isinstance(key, Array) and key.dtype.kind == "b":
            if np.ndim(value):
                raise Opaque("a write where a mask is true")
            mask = key.reshape(*key.shape, *[1] * (self.ndim - key.ndim))
            write(self, np.where(mask, value, self).node)
            return
        view, dims, *_ = self._found(key)
        if dims:
            self.put_at(key, value, "set")
            return
        if isinstance(value, Array) and value.origin is not None:
            if value.origin[0] is view.origin[0] and value.origin[1:] == view.origin[1:]:
                return  # x[k] += y has written it
        node = cast(self.graph, node_of(self.graph, value), self.dtype)
        while len(node.shape) > view.ndim and node.shape[0] == 1:
            node = self.graph.reshape(node, node.shape[1:])
        write(view, broadcast(self.graph, node, view.shape))

    def put_at(self, key, value, op: str) -> None:
        """Elements that arrays of numbers name replaced, or combined with others, one after the other."""
        graph = self.graph
        view, dims, index, front = self._found(key)
        root = view.origin[0]
        if not root.owned:
            raise Opaque("a write into memory that others read")
        if not dims:
            raise Opaque("a place without arrays of numbers")
        at, rest, step, _ = view._places(dims, index)
        tail = tuple(view.shape[d] for d in rest)
        n = at.ndim
        shape = (*tail[:front], *at.shape, *tail[front:])
        value = Array(graph, broadcast(graph, cast(graph, node_of(graph, value), self.dtype), shape))
        value = value.transpose([*range(front, front + n), *range(front), *range(front + n, len(shape))])
        steps, offset = view.steps
        at = at.reshape(-1) * step
        far = [steps[d] for d in rest]
        inner = len(tail)
        while inner and far[inner - 1] == math.prod(tail[inner:]):
            inner -= 1
        width = math.prod(tail[inner:])
        if inner:  # rows that do not lie side by side
            more = positions(graph, tail[:inner], far[:inner])
            at = (np.expand_dims(at, 1) + more.reshape(1, -1)).reshape(-1)
        at = (at + offset) if offset else at
        if not at.size or not width:
            return
        rows = value.reshape(at.size, width).node
        base = root._node
        root._node = graph.make("scatter", op, (base, rows, at.node), base.shape, base.dtype, 1)

    def _found(self, key):
        """A view for the basic parts of an index; the dims of it that arrays of numbers index, those arrays, and how many
        of the other dims come before theirs in the result."""
        key = key if isinstance(key, tuple) else (key,)
        key = tuple([np.asarray(k) if isinstance(k, list) else k for k in key])
        arrays = [k for k in key if isinstance(k, (Array, np.ndarray))]
        for k in arrays:
            if k.dtype.kind not in "iu":
                raise Opaque("indexing by a mask")
        if any(not (k is None or k is Ellipsis or isinstance(k, (int, np.integer, slice, np.ndarray, Array)))
               or isinstance(k, bool) for k in key):  # fmt: skip
            raise Opaque("indexing by something else")
        given = sum(k is not None and k is not Ellipsis for k in key)
        at = next((i for i, k in enumerate(key) if k is Ellipsis), len(key))
        key = (*key[:at], *[slice(None)] * (self.ndim - given), *key[at + 1 :])
        own, offset = self.steps
        shape, strides, d = [], [], 0
        dims, index = [], []
        for k in key:
            if k is None:
                shape.append(1)
                strides.append(0)
                continue
            if isinstance(k, slice):
                first, count, step = sliced(k, self.shape[d])
                shape.append(count)
                strides.append(step * own[d])
                offset += first * own[d] if count else 0
            elif isinstance(k, (int, np.integer)) and not arrays:
                if not -self.shape[d] <= k < self.shape[d]:
                    raise Opaque("a place outside")
                offset += (int(k) % self.shape[d]) * own[d]
            else:
                dims.append(len(shape))
                index.append(k if isinstance(k, Array) else np.asarray(k))
                shape.append(self.shape[d])
                strides.append(own[d])
            d += 1
        together = dims == list(range(dims[0], dims[0] + len(dims))) if dims else False
        return self.viewed(tuple(shape), tuple(strides), offset), dims, index, dims[0] if together else 0

    def _places(self, dims, index):
        """Where arrays of numbers point to: (numbers, the dims without, the step of the numbers, how many there may be)."""
        steps, _ = self.steps
        rest = [d for d in range(self.ndim) if d not in dims]
        if any(steps[d] < 0 for d in dims) or 0 in [self.shape[d] for d in dims]:
            raise Opaque("numbers that count backwards")
        checked = []
        for d, k in zip(dims, index):
            n = self.shape[d]
            if isinstance(k, np.ndarray):
                if k.size and not (-n <= k.min() and k.max() < n):
                    raise Opaque("a place outside")
                checked.append(np.where(k < 0, k + n, k).astype(np.int64))
                continue
            k = k.astype(np.int64)
            k = np.where(k < 0, k + n, k)
            required_range(self.graph, k.node, n)
            checked.append(k)
        if len(dims) == 1:
            at = checked[0]
            step, count = steps[dims[0]], self.shape[dims[0]]
        else:
            at = checked[0] * steps[dims[0]]
            for d, k in zip(dims[1:], checked[1:]):
                at = at + k * steps[d]
            step, count = 1, 1 + sum((self.shape[d] - 1) * steps[d] for d in dims)
        return at if isinstance(at, Array) else Array(self.graph, node_of(self.graph, at)), rest, step, count

    def __neg__(self):
        return np.negative(self)

    def __abs__(self):
        return np.absolute(self)

    def __invert__(self):
        return np.invert(self)


def sliced(k: slice, n) -> tuple:
    """The first place, the number of places and the step of a slice of n elements."""
    step = 1 if k.step is None else k.step
    low, high = (0, n) if step > 0 else (-1, n - 1)
    first, stop = (low, high) if step > 0 else (high, low)
    if k.start is not None:
        first = min(max(k.start + n if k.start < 0 else k.start, low), high)
    if k.stop is not None:
        stop = min(max(k.stop + n if k.stop < 0 else k.stop, low), high)
    count = (stop - first + step - 1) // step if step > 0 else (first - stop - step - 1) // -step
    return first, max(count, 0), step


def _operators() -> None:
    """Python's operators, as NumPy's functions."""
    binary = {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power,
        "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "matmul": np.matmul,
        "mod": np.remainder, "floordiv": np.floor_divide,
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


def write(target, node: Node):
    """`out=`, operators in place, writes to parts: an array gets other elements."""
    if not isinstance(target, Array):
        raise Opaque("a write into an array that is there")
    root = target if target.origin is None else target.origin[0]
    if not root.owned or target.shape != node.shape:
        raise Opaque("a write into memory that others read")
    graph = target.graph
    node = cast(graph, node, target.dtype)
    if target.origin is None:
        target._node = node
    else:
        strides, offset = target.steps
        root._node = put(graph, root._node, node, strides, offset)
    return target


def node_of(graph: Arrays, x) -> Node:
    if isinstance(x, Array):
        return x.node
    if isinstance(x, (bool, int, float, np.bool_, np.integer, np.floating)):
        return graph.number(x, None if x.__class__ in WEAK else x.dtype)
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
    if x.size > MAX_CONSTANT or x.dtype not in DTYPES:  # an array of sizes that are not known yet is one of objects
        raise Opaque(f"a constant of {x.size} elements, {x.dtype}")
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


def put(graph: Arrays, base: Node, value: Node, strides: tuple, offset: int, place=None, bound=0, reach=0) -> Node:
    """The base with a strided part of its memory replaced; `place`: a number that is added to the offset."""
    if overlap(value.shape, strides):
        raise Opaque("elements that overlap")
    steps = [s * (n - 1) for n, s in zip(value.shape, strides)]
    low, high = offset + sum(s for s in steps if s < 0), offset + sum(s for s in steps if s > 0)
    if not value.size:
        return base
    if place is not None and bound == 0:  # it can only be 0
        graph.places[place.id, 0] = (place, 0)
        place = None
    if (
        value.size == base.size
        and place is None
        and low == 0
        and high == base.size - 1
        and min(strides, default=0) >= 0
    ):
        order = sorted(range(len(strides)), key=lambda d: -strides[d] if value.shape[d] != 1 else -(1 << 62))
        own = contiguous(value.shape)
        value = graph.view(value, tuple(value.shape[d] for d in order), tuple(own[d] for d in order))
        return graph.reshape(value, base.shape)
    if low < 0 or high >= base.size or place is not None and (bound < 0 or bound + high >= base.size):
        raise Opaque("a write outside its storage")
    for d, s in enumerate(strides):  # forwards
        if s < 0:
            own = contiguous(value.shape)
            n = value.shape[d]
            turned = tuple(-t if e == d else t for e, t in enumerate(own))
            value = graph.view(value, value.shape, turned, (n - 1) * own[d])
            offset += s * (n - 1)
    strides = tuple(abs(s) for s in strides)
    if place is None:
        return graph.make("put", None, (base, value), base.shape, base.dtype, (tuple(strides), offset, None, 0))
    extra = (tuple(strides), offset, bound, reach)
    return graph.make("put", None, (base, value, place), base.shape, base.dtype, extra)


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
    batch = broadcast_shapes([a.shape[:-2], b.shape[:-2]])
    out = graph.make("matmul", None, (a, b), (*batch, a.shape[-2], b.shape[-1]), a.dtype)
    if left or right:
        shape = (*batch, *(() if left else (a.shape[-2],)), *(() if right else (b.shape[-1],)))
        out = graph.reshape(out, shape)
    return out


def _whole_images(graph: Arrays, op: str, a: Node, b: Node, shape: tuple) -> Node | None:
    """A convolution without padding whose kernels cover an image, or its gradient: a product; None for another one."""
    shapes = {"conv": (a.shape, b.shape, shape), "conv_input": (shape, b.shape, a.shape)}
    x, w, y = shapes.get(op, (b.shape, shape, a.shape))
    if x[1:] != w[1:] or y[2:] != (1, 1):
        return None
    a, b = [graph.reshape(node, (node.shape[0], math.prod(node.shape[1:]))) for node in (a, b)]
    if op == "conv_weight":
        a = graph.view(a, a.shape[::-1], (1, a.shape[1]))
    elif op == "conv":
        b = graph.view(b, b.shape[::-1], (1, b.shape[1]))
    return _matmul(graph, a, b)


def truth(graph: Arrays, x: Node) -> Node:
    return x if x.dtype.kind == "b" else graph.map("ne", (x, graph.number(0, x.dtype)), "?")


def apply(graph: Arrays, ufunc: np.ufunc, inputs, dtype=None, casting="same_kind") -> Node:
    """A ufunc on nodes, in the dtypes in which NumPy computes it."""
    nodes = [node_of(graph, x) for x in inputs]
    if ufunc in LOGICAL:
        return graph.map(LOGICAL[ufunc], tuple([truth(graph, x) for x in nodes]), "?")
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
    elif ufunc in (np.positive, np.conjugate):
        return graph.map("copy", (nodes[0],), nodes[0].dtype)
    elif ufunc in (np.isnan, np.isinf, np.isfinite) and nodes[0].dtype.kind in "biu":
        return filled(graph, ufunc is np.isfinite, nodes[0].shape, np.dtype("?"))
    elif ufunc in COMPOSED:
        x, y = [Array(graph, cast(graph, n, loop)) for n, loop in zip(nodes, common_dtypes(ufunc, nodes))]
        return COMPOSED[ufunc](x, y).node
    elif ufunc is np.power and nodes[0].dtype.kind in "iu":
        return whole_power(graph, *nodes)
    op = ELEMENTWISE.get(ufunc)
    if op is None:
        raise Opaque(f"np.{ufunc.__name__}")
    if dtype is not None:
        nodes = [cast(graph, x, np.dtype(dtype)) for x in nodes]
    loops = common_dtypes(ufunc, nodes)
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


def common_dtypes(ufunc: np.ufunc, nodes) -> tuple:
    """The dtypes in which NumPy computes a function of those operands, and that of its result."""
    weak = all(x.weak in (int, float) for x in nodes)
    return loop_dtypes(ufunc, tuple([x.weak if x.weak in (int, float) and not weak else x.dtype for x in nodes]))


def whole_power(graph: Arrays, base: Node, exponent: Node) -> Node:
    """A power of integers, by products, where the exponent is known."""
    d = common_dtypes(np.power, (base, exponent))[-1]
    root = exponent.args[0] if exponent.kind == "view" else exponent
    if root.kind != "const" or root.shape or not 0 <= root.extra <= 64:
        raise Opaque("a power of integers")
    n, x, out = int(root.extra), cast(graph, base, d), None
    while n:
        if n & 1:
            out = x if out is None else graph.map("mul", (out, x), d)
        n >>= 1
        x = graph.map("mul", (x, x), d) if n else x
    return broadcast(graph, graph.number(1, d), base.shape) if out is None else out


def _fmod(x: Array, y: Array) -> Array:
    return Array(x.graph, x.graph.map("fmod", (x.node, y.node), x.dtype), True)


def _remainder(x: Array, y: Array) -> Array:
    """As CPython's float % float; y counts for the sign."""
    if x.dtype.kind != "f":
        return Array(x.graph, x.graph.map("mod", (x.node, y.node), x.dtype), True)
    rest = _fmod(x, y)
    return np.where(_crossed(rest, y), rest + y, np.where(rest == 0, np.copysign(x.dtype.type(0), y), rest))


def _crossed(rest: Array, y: Array):
    return (rest != 0) & ((y < 0) != (rest < 0))


def _floor_divide(x: Array, y: Array) -> Array:
    """As CPython's float // float."""
    if x.dtype.kind != "f":
        return Array(x.graph, x.graph.map("floordiv", (x.node, y.node), x.dtype), True)
    one, zero = x.dtype.type(1), x.dtype.type(0)
    rest = _fmod(x, y)
    quotient = (x - rest) / y
    quotient = np.where(_crossed(rest, y), quotient - one, quotient)
    down = np.floor(quotient)
    down = np.where(quotient - down > 0.5, down + one, down)
    return np.where(y == 0, x / y, np.where(quotient != 0, down, np.copysign(zero, x / y)))


COMPOSED = {np.fmod: _fmod, np.remainder: _remainder, np.floor_divide: _floor_divide}


def required_range(graph: Arrays, index: Node, count: int) -> None:
    """The program checks that integers are at least 0 and below count."""
    x = Array(graph, index)
    ((x >= 0) & (x < count)).require()


def counting(graph: Arrays, shape, axis: int, dtype=np.int64) -> Array:
    """0, 1, 2 … along an axis, broadcast over the others."""
    n, d = shape[axis], np.dtype(dtype)
    own = tuple([n if d == axis else 1 for d in range(len(shape))])
    if type(n) is Dim:
        return Array(graph, graph.make("const", None, (), own, d, Counts((n,), (1,), d), ("counts", n)))
    return Array(graph, node_of(graph, np.arange(n, dtype=d).reshape(own)))


def positions(graph: Arrays, shape, strides) -> Array:
    """Where the elements of a strided array lie, as a known array in one dim."""
    shape, strides = tuple(shape), tuple(strides)
    if known((*shape, *strides)):
        return Array(graph, constant(graph, arrays.positions(shape, strides)))
    size = math.prod(shape)
    if size > MAX_CONSTANT:
        raise Opaque("a big constant")
    counts = Counts(shape, strides, np.dtype(np.int64))
    return Array(graph, graph.make("const", None, (), (size,), counts.dtype, counts, ("counts", shape, strides)))


class Counts:
    """A known array of sizes that are not known yet: where the elements of a strided array lie; 0, 1, 2 … for one dim."""

    __slots__ = ("shape", "strides", "dtype")

    def __init__(self, shape: tuple, strides: tuple, dtype: np.dtype):
        self.shape, self.strides, self.dtype = shape, strides, dtype
