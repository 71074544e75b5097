"""Shapes, layouts, broadcasting, and the strides of results.

A Layout is (shape, strides in elements, dtype, device); layouts are interned, so that identity is equality.
Two kinds stand for what has no shape of its own: `number(kind)`, a Python number that is data, and
`flat(dtype)`, all the memory of a storage, whatever its length."""

from __future__ import annotations

import operator

from .dtypes import dtype, of_number
from .sizes import Dim, index


class Size(tuple):
    """A shape: a tuple of ints with `numel()`."""

    __slots__ = ()

    def __new__(cls, iterable=(), /):
        try:
            return tuple.__new__(cls, [index(n) for n in iterable])
        except TypeError:
            raise TypeError(f"torch.Size() takes an iterable of 'int', not {iterable!r}") from None

    def numel(self) -> int:
        return numel(self)

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def __getitem__(self, i):
        got = tuple.__getitem__(self, i)
        return tuple.__new__(Size, got) if type(i) is slice else got

    def __add__(self, other):
        got = tuple.__add__(self, other)
        return tuple.__new__(Size, got)

    def __radd__(self, other):
        return tuple.__new__(Size, tuple(other) + tuple(self))

    def __mul__(self, n):
        return tuple.__new__(Size, tuple.__mul__(self, n))

    __rmul__ = __mul__

    def __reduce__(self):
        return (Size, (tuple(self),))


def size(items) -> Size:
    """A Size of what is known to be ints."""
    return tuple.__new__(Size, items)


def numel(shape) -> int:
    n = 1
    for d in shape:
        n *= d
    return n


def contiguous_strides(shape) -> tuple[int, ...]:
    out, step = [], 1
    for n in reversed(shape):
        out.append(step)
        step *= n if n > 1 else 1
    out.reverse()
    return tuple(out)


class Layout:
    """Shape, strides, dtype and device of a value. Made by `layout`, `number` and `flat` alone."""

    __slots__ = (
        "shape", "strides", "dtype", "device", "numel", "ndim", "contig", "dense", "extent", "nbytes", "number", "flat",
        "views", "byte_strides", "differentiable", "repeats", "plain",
    )  # fmt: skip

    def __repr__(self) -> str:
        if self.number:
            return f"<{self.number.__name__}>"
        if self.flat:
            return f"{self.dtype.name}[*]"
        strides = "" if self.contig else f" strides {list(self.strides)}"
        return f"{self.dtype.name}{list(self.shape)}{strides}"


_pool: dict = {}


def layout(shape, strides, dtype: dtype, device: str = "cpu") -> Layout:
    """The layout of that shape; `strides` None means contiguous."""
    key = (shape, strides, dtype, device)
    found = _pool.get(key)
    if found is None:
        sizes = next((n.sizes for n in (*shape, *(strides or ())) if type(n) is Dim), None)
        pool = _pool if sizes is None else sizes.layouts
        found = pool.get(key)
    if found is None:
        if strides is None:
            made = _make_contiguous(size(shape), dtype, device)
        else:
            made = _make(size(shape), strides, dtype, device)
        pool[key] = found = pool.setdefault((made.shape, made.strides, dtype, device), made)
    return found


def _make_contiguous(shape: Size, dtype: dtype, device: str) -> Layout:
    """The usual case of `_make`, shortly: code that runs once has layouts that are new."""
    out = Layout()
    numel = 1
    itemsize = dtype.itemsize
    strides, byte_strides = [], []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        byte_strides.append(step * itemsize)
        numel *= n
        if n > 1:
            step *= n
    strides.reverse()
    byte_strides.reverse()
    out.shape = shape
    out.strides = tuple(strides)
    out.dtype = dtype
    out.device = device
    out.numel = out.extent = numel
    out.ndim = len(shape)
    out.contig = out.dense = out.plain = True
    out.nbytes = numel * itemsize
    out.number = None
    out.flat = out.repeats = False
    out.views = {}
    out.byte_strides = tuple(byte_strides)
    out.differentiable = dtype.is_floating_point or dtype.is_complex
    return out


def _make(shape: Size, strides, dtype: dtype, device: str) -> Layout:
    out = Layout()
    plain = contiguous_strides(shape)
    out.shape = shape
    out.strides = plain if strides is None else tuple(strides)
    out.plain = out.strides == plain
    out.dtype = dtype
    out.device = device
    out.numel = numel(shape)
    out.ndim = len(shape)
    out.contig = out.numel == 0 or all(n == 1 or s == p for n, s, p in zip(shape, out.strides, plain))
    out.dense = out.contig or is_dense(shape, out.strides)
    out.extent = 0 if out.numel == 0 else 1 + sum((n - 1) * s for n, s in zip(shape, out.strides))
    out.nbytes = out.numel * dtype.itemsize
    out.number = None
    out.flat = False
    out.views = {}
    out.byte_strides = tuple(s * dtype.itemsize for s in out.strides)
    out.repeats = any(n > 1 and s == 0 for n, s in zip(shape, out.strides))  # several elements at one place
    out.differentiable = dtype.is_floating_point or dtype.is_complex
    return out


def is_dense(shape, strides) -> bool:
    """Whether the elements fill a stretch of memory, each once, in some order of the dims."""
    rest = [(n, s) for n, s in zip(shape, strides) if n != 1]
    step = 1
    while rest:
        k = next((k for k, (_, s) in enumerate(rest) if s == step), None)
        if k is None:
            return False
        step *= rest.pop(k)[0]
    return True


_numbers: dict = {}
_flats: dict = {}


def number(kind: type) -> Layout:
    """The layout of a Python number (bool, int, float, complex) that is an input of the program."""
    key = (kind, of_number(kind))
    found = _numbers.get(key)
    if found is None:
        found = _numbers[key] = _make(size(()), None, key[1], "cpu")
        found.number = kind
        found.differentiable = False
    return found


def flat(dtype: dtype) -> Layout:
    """The layout of all of a storage, of whatever length."""
    found = _flats.get(dtype)
    if found is None:
        found = _flats[dtype] = _make(size((0,)), None, dtype, "cpu")
        found.flat = True
        found.numel = -1
    return found


def broadcast_shapes(*shapes) -> Size:
    """The shape that all broadcast to; RuntimeError names the first dim where they do not."""
    out = list(shapes[0])
    for shape in shapes[1:]:
        if len(shape) > len(out):
            out = [1] * (len(shape) - len(out)) + out
        shift = len(out) - len(shape)
        for i, n in enumerate(shape):
            m = out[i + shift]
            if m == 1:
                out[i + shift] = n
            elif n != 1 and n != m:
                raise RuntimeError(
                    f"The size of tensor a ({m}) must match the size of tensor b ({n}) at non-singleton dimension {i + shift}"
                    f" (shapes {', '.join(str(list(s)) for s in shapes)})"
                )
    return size(out)


def fastest_first(shape, operands) -> list[int]:
    """The dims of a new result from the fastest to the slowest, as the operands' strides (tuples) order them."""
    n = len(shape)
    perm = list(range(n - 1, -1, -1))
    for i in range(1, n):
        here = i
        for j in range(i - 1, -1, -1):
            order = _order(perm[j], perm[here], shape, operands)
            if order > 0:
                perm[j], perm[here] = perm[here], perm[j]
                here = j
            elif order < 0:
                break
    return perm


def result_strides(shape, lays) -> tuple[int, ...] | None:
    """Strides of a new element-wise result: the operands' order of dims is kept; None means contiguous."""
    n = len(shape)
    if n < 2:
        return None
    operands = []
    contig = True
    for l in lays:
        if l.number or l.ndim == 0:
            continue
        if l.shape != shape:
            pad = n - l.ndim
            operands.append(
                (0,) * pad
                + tuple(0 if d == 1 and shape[i + pad] != 1 else s for i, (d, s) in enumerate(zip(l.shape, l.strides)))
            )
            contig = contig and l.contig
        else:
            operands.append(l.strides)
            contig = contig and l.contig
    if not operands:
        return None
    same = [l for l in lays if not l.number and l.shape == shape]
    if len(same) == len([l for l in lays if not l.number]):
        if all(l.contig for l in same):
            return None
        first = same[0]
        if first.dense and all(l.strides == first.strides for l in same):
            return first.strides
    perm = fastest_first(shape, operands)
    if perm == list(range(n - 1, -1, -1)):
        return None
    out = [0] * n
    step = 1
    for d in perm:
        out[d] = step
        step *= shape[d] if shape[d] > 1 else 1
    return tuple(out)


def _order(d0: int, d1: int, shape, operands) -> int:
    """1 if d0 (inner so far) should be outer to d1, -1 if not, 0 if the operands do not say."""
    for s in operands:
        s0, s1 = s[d0], s[d1]
        if s0 == 0 or s1 == 0:
            continue
        if s0 < s1:
            return -1
        if s0 > s1:
            return 1
        if shape[d0] > shape[d1]:
            return 1
    return 0


def dim_index(dim: int, ndim: int, name: str = "") -> int:
    """dim counted from the front; IndexError where there is no such dim."""
    try:
        d = operator.index(dim)
    except TypeError:
        raise TypeError(f"{name or 'dim'}: a dim is an int, not {type(dim).__name__} ({dim!r})") from None
    n = ndim if ndim > 0 else 1
    if not -n <= d < n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})")
    return d + n if d < 0 else d


def dim_list(dim, ndim: int) -> tuple[int, ...]:
    """The dims named by an int, a sequence, or None or () for all; each once, sorted as given."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    dims = dim if isinstance(dim, (tuple, list)) else (dim,)
    out = tuple(dim_index(d, ndim) for d in dims)
    if len(set(out)) != len(out):
        twice = next(d for d in out if out.count(d) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return out if ndim else ()
