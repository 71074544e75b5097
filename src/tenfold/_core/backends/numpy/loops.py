"""A kernel of the loop language run on NumPy arrays: what a kernel means, plainly, and the reference for renderers.

Every value is an array over all loops, in the order of the loops. Reductions go in the order that the language
prescribes, so that their results have the bits of a rendered kernel's. An access outside its buffer raises IndexError."""

from __future__ import annotations

import math

import numpy as np

from ...ir.loops import CHUNK, LANES, NAMES, PART, Kernel, Statement

DTYPES = {name: np.dtype(code) for code, name in NAMES.items()}

PLAIN = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide, "neg": np.negative,
    "abs": np.absolute, "max": np.maximum, "min": np.minimum, "fmax": np.fmax, "fmin": np.fmin, "sqrt": np.sqrt,
    "floor": np.floor, "ceil": np.ceil, "rint": np.rint, "trunc": np.trunc, "copysign": np.copysign,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert, "select": np.where,
    "floordiv": np.floor_divide, "mod": np.mod, "fmod": np.fmod, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite, "signbit": np.signbit,
    "copy": lambda x: x, "require": lambda x: x,
}  # fmt: skip
# These are computed in float64 and rounded.
FUNCTIONS = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "pow": np.power,
    "erf": np.vectorize(math.erf, otypes=[float]), "erfc": np.vectorize(math.erfc, otypes=[float]),
    "sigmoid": lambda x: np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x))),
}  # fmt: skip
COMBINE = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}


def run(kernel: Kernel, row: list[int], table: list[np.ndarray | None]) -> int:
    """Runs a kernel. The status, which is 1 where a number of a row or a check was wrong.

    Args:
        kernel: the loops.
        row: sizes and places, as `Kernel.row` has them.
        table: for each entry the whole of its buffer, an array of one dim; what is written is written into it.
    """
    with np.errstate(all="ignore"):
        return _Run(kernel, row, table).status


class _Run:
    def __init__(self, kernel: Kernel, row: list[int], table: list[np.ndarray | None]):
        n = len(kernel.loops)
        numbers = iter(row)
        self.kernel = kernel
        self.sizes = [next(numbers) for _ in range(n)]
        self.places = []
        for access in kernel.accesses:
            entry, offset = next(numbers), next(numbers)
            strides = [next(numbers) for _ in range(n)]
            stride, rows = (next(numbers), next(numbers)) if access.taken else (0, 1)
            turned = strides[-2:-1] == [1]
            inner = {"splat": strides[-1] == 0, "unit": strides[-1] == 1, "strided": True, "turned": turned}
            if not inner[access.inner]:
                raise ValueError(f"stride {strides[-1]} of an access that is {access.inner}")
            self.places.append((table[entry], offset, strides, stride, rows))
        self.status = 0
        if 0 not in self.sizes:
            values = self.body()
            for v, a in kernel.stores:
                self.view(a)[...] = values[v]
        else:
            values = [np.empty(self.sizes, DTYPES[s.dtype]) for s in kernel.body]
        for op, v, a in kernel.folds:
            self.fold(op, np.broadcast_to(values[v], self.sizes), a)

    def memory(self, a: int) -> np.ndarray:
        buffer, dtype = self.places[a][0], DTYPES[self.kernel.accesses[a].dtype]
        if buffer is None or buffer.ndim != 1 or not buffer.flags.c_contiguous:
            raise IndexError(f"access {a} of memory that is not there")
        flat = buffer.view(np.uint8)
        return flat[: flat.size // dtype.itemsize * dtype.itemsize].view(dtype)

    def view(self, a: int, kinds: str = "kr") -> np.ndarray:
        """The elements of an access along all loops, or along those that are kept."""
        _, offset, strides, _, _ = self.places[a]
        dims = [(n, s) for n, s, k in zip(self.sizes, strides, self.kernel.loops) if k in kinds]
        memory = self.memory(a)
        shape = [n for n, _ in dims]
        if 0 in shape:
            return np.empty(shape, memory.dtype)
        low = offset + sum(min(0, s * (n - 1)) for n, s in dims)
        high = offset + sum(max(0, s * (n - 1)) for n, s in dims)
        if low < 0 or high >= memory.size:
            raise IndexError(f"access {a} reaches from {low} to {high} of {memory.size} elements")
        return np.ndarray(shape, memory.dtype, memory, offset * memory.itemsize, [s * memory.itemsize for _, s in dims])

    def body(self) -> list[np.ndarray]:
        values: list[np.ndarray] = []
        for s in self.kernel.body:
            args = [values[a] for a in s.args]
            if s.op == "load":
                x = self.view(s.extra)
                values.append(x.view(np.uint8) != 0 if s.dtype == "bool" else x.copy())
            elif s.op == "take":
                values.append(self.take(s.extra, args[0]))
            else:
                if s.op == "require" and not args[0].all():
                    self.status = 1
                values.append(scalar(s, args))
        return values

    def take(self, a: int, index: np.ndarray) -> np.ndarray:
        """Rows by number: zero where there is no such row."""
        _, offset, strides, stride, rows = self.places[a]
        index = np.broadcast_to(index, self.sizes)
        there = (index >= 0) & (index < rows)
        if not there.all():
            self.status = 1
        at = np.full(self.sizes, offset, np.int64) + np.where(there, index, 0) * stride
        for d, (n, s) in enumerate(zip(self.sizes, strides)):
            at += (np.arange(n) * s).reshape([-1 if e == d else 1 for e in range(len(self.sizes))])
        memory = self.memory(a)
        at = at[there]
        if at.size and (at.min() < 0 or at.max() >= memory.size):
            raise IndexError(f"access {a} takes elements {at.min()} to {at.max()} of {memory.size}")
        out = np.zeros(self.sizes, memory.dtype)
        out[there] = memory[at]
        return out.view(np.uint8) != 0 if memory.dtype == bool else out

    # --- reductions ----------------------------------------------------------------------------------------------

    def fold(self, op: str, values: np.ndarray, a: int) -> None:
        loops = self.kernel.loops
        kept = [d for d, k in enumerate(loops) if k == "k"]
        reduced = [d for d, k in enumerate(loops) if k == "r"]
        values = values.transpose(kept + reduced).reshape(
            [self.sizes[d] for d in kept] + [self.sizes[d] for d in reduced]
        )
        combine, first = COMBINE[op], identity(op, values.dtype)
        start = np.full([self.sizes[d] for d in kept], first, values.dtype)
        shape = [self.sizes[d] for d in reduced]
        if loops[-1] == "r":  # sixteen accumulators, and a tree over them
            start = np.repeat(start[..., None], LANES, -1)
        total = _Total(op, combine, start)
        for outer in np.ndindex(*shape[:-1]):
            row = values[(..., *outer, slice(None))]
            step, each = (CHUNK, LANES) if loops[-1] == "r" else (PART, 1)
            for begin in range(0, shape[-1], step):
                part = start
                for i in range(begin, min(begin + step, shape[-1]), each):
                    if loops[-1] == "r":
                        block = start.copy()
                        found = row[..., i : i + LANES]
                        block[..., : found.shape[-1]] = found
                    else:
                        block = row[..., i]
                    part = combine(part, block)
                total.take(part)
        result = total.value()
        if loops[-1] == "r":
            width = LANES
            while width > 1:
                width //= 2
                result = combine(result[..., :width], result[..., width:])
            result = result[..., 0]
        self.view(a, "k")[...] = result


class _Total:
    """Parts together; sums of floats keep what rounding loses beside them."""

    def __init__(self, op: str, combine, start: np.ndarray):
        self.combine = combine
        self.now = start
        self.lost = np.zeros_like(start) if op == "sum" and start.dtype.kind == "f" else None

    def take(self, part: np.ndarray) -> None:
        old = self.now
        self.now = self.combine(old, part)
        if self.lost is not None:
            added = self.now - old
            self.lost = self.lost + ((old - (self.now - added)) + (part - added))

    def value(self) -> np.ndarray:
        return self.now if self.lost is None else np.where(np.isnan(self.lost), self.now, self.now + self.lost)


def scalar(s: Statement, args: list[np.ndarray]) -> np.ndarray:
    """A scalar operation on every element."""
    d = DTYPES[s.dtype]
    if s.op == "const":
        return np.array(s.extra, d)
    if s.op == "cast":
        return args[0].astype(d)
    if s.op in FUNCTIONS:
        return FUNCTIONS[s.op](*[a.astype(np.float64) for a in args]).astype(d)
    return PLAIN[s.op](*args)


def identity(op: str, dtype: np.dtype):
    """What a reduction begins with."""
    if op in ("sum", "prod"):
        return int(op == "prod")
    if dtype.kind == "b":
        return op == "min"
    if dtype.kind == "f":
        return -math.inf if op == "max" else math.inf
    info = np.iinfo(dtype)
    return info.min if op == "max" else info.max
