"""Operations that the trace itself walks, and the few primitives that reverse mode needs.

ENTRY, ENTER_ALL, MODE, BACKWARD, BACKWARD_FROM, BACKWARD_PART and CUSTOM have no kernel: planning expands them. The others are primitives:
READ and WRITE are views (strided reads and writes of a storage's memory) with their gradients."""

from __future__ import annotations

import numpy as np

from .arrays import Symbolic, as_array, positions
from .dtypes import decode, encode
from .operation import Operation, Primitive, Spec
from .shapes import Layout, contiguous_strides, layout, result_strides

ENTRY = Operation("entry", lambda lay, live: None)  # a realised storage enters the walk
ENTER_ALL = Operation("enter_all", lambda kind: None)  # the storages of a bundle enter together
MODE = Operation("mode", lambda grad, cast: None)  # gradient mode or autocast changes
BACKWARD = Operation("backward", lambda root, gradient, retain: None)  # reverse mode on this walk
BACKWARD_FROM = Operation("backward_from", lambda graph, ids: None)  # reverse mode on what an earlier walk kept
BACKWARD_PART = Operation(
    "backward_part", lambda cotangents, route: None
)  # on this walk, up to a call of the user's code


# --- memory and values -------------------------------------------------------------------------------------


def strided(flat: np.ndarray, lay: Layout, offset: int) -> np.ndarray:
    """The elements of flat memory that a layout at an offset reads: a view. Checked against the memory's length."""
    if flat.dtype != lay.dtype.np:
        flat = flat.view(lay.dtype.np)
    if lay.numel == 0:
        return np.empty(lay.shape, flat.dtype)
    if offset < 0 or offset + lay.extent > flat.size:
        raise RuntimeError(
            f"a view of shape {list(lay.shape)} with strides {list(lay.strides)} at offset {offset} reaches outside its storage of {flat.size} elements"
        )
    return np.ndarray(lay.shape, flat.dtype, flat, offset * flat.itemsize, lay.byte_strides)


def flatten(array, lay: Layout) -> np.ndarray:
    """Flat memory that holds a value as its layout says; memory of the array itself where that is possible."""
    if hasattr(array, "as_memory"):
        return array.as_memory(lay)
    if lay.flat or lay.contig:
        return np.ascontiguousarray(array).reshape(-1)
    if array.strides == lay.byte_strides and lay.dense:
        return _as_flat(array, lay)
    out = np.zeros(lay.extent, lay.dtype.np)
    strided(out, lay, 0)[...] = array
    return out


def _as_flat(array, lay):
    order = sorted(range(lay.ndim), key=lambda d: -lay.strides[d] if lay.shape[d] != 1 else -(1 << 62))
    return array.transpose(order).reshape(-1)


# --- views -------------------------------------------------------------------------------------------------


def _read_kernel(spec):
    base, lay = spec.lays[0], spec.static[2]
    if base.contig and lay.contig and base.numel == lay.numel and base.dtype is lay.dtype and not base.flat:
        shape = lay.shape
        return lambda x, off: np.ascontiguousarray(x).reshape(shape)
    return lambda x, off: strided(flatten(x, base), lay, off)


def _read_gradient(g, out, base, offset, lay):
    return UNREAD.call(g, base, offset, lay), None


def _unread_kernel(spec):
    base = spec.lays[1]
    lay = spec.static[3]
    target = spec.outs[0]
    same = base.dtype is lay.dtype  # not so where real numbers are read as complex ones or the other way round
    permuted = _permutation(lay, base) if not base.flat and same else None
    if permuted is not None:
        return lambda x, b, off: x.transpose(permuted) if off == 0 else _unread(x, b, off, lay, base, target)
    if same and not base.flat and base.contig and lay.contig and base.numel == lay.numel:
        shape = base.shape
        return lambda x, b, off: x.reshape(shape)
    return lambda x, b, off: _unread(x, b, off, lay, base, target)


def _permutation(lay, base):
    """How to transpose a cotangent of the view to that of its base, where the view is a permutation of it."""
    if lay.numel != base.numel or lay.ndim != base.ndim or not base.contig or lay.numel == 0 or 1 in lay.shape:
        return None
    order = tuple(sorted(range(lay.ndim), key=lambda d: -lay.strides[d]))
    if tuple(lay.shape[d] for d in order) == base.shape and tuple(lay.strides[d] for d in order) == base.strides:
        return order
    return None


def _unread(g, base_value, offset, lay, base, target):
    size = base_value.size if base.flat else max(base.extent, 0)
    if base.dtype.itemsize != lay.dtype.itemsize:
        size = size * base.dtype.itemsize // lay.dtype.itemsize
    half = lay.dtype.half
    out = np.zeros(size, lay.dtype.np)
    if lay.numel:
        dims = tuple(d for d, (n, s) in enumerate(zip(lay.shape, lay.strides)) if s == 0 and n > 1)
        shape, strides = lay.shape, lay.strides
        if dims:
            if half:
                g = encode(decode(g, lay.dtype).sum(dims, keepdims=True), lay.dtype)
            else:
                g = g.sum(dims, keepdims=True, dtype=g.dtype)
            shape = tuple(1 if d in dims else n for d, n in enumerate(shape))
        sub = layout(shape, strides, lay.dtype)
        if _overlaps(sub):
            index = positions(shape, strides) + offset
            if half:
                wide = np.zeros(size, np.float32)
                np.add.at(wide, index, decode(np.ascontiguousarray(g), lay.dtype).reshape(-1))
                out = encode(wide, lay.dtype)
            else:
                np.add.at(out, index, np.ascontiguousarray(g).reshape(-1))
        else:
            strided(out, sub, offset)[...] = g
    if base.dtype is not lay.dtype:
        out = out.view(base.dtype.np)
    if base.flat:
        return out
    back = strided(out, layout(base.shape, base.strides, base.dtype), 0)
    return _once(back, base) if base.repeats else back


def added_in_place(spec: Spec) -> bool:
    """Whether such a cotangent of a view may be added to one of its base just where the view lies."""
    base, lay = spec.lays[1], spec.static[3]
    simple = base.dtype is lay.dtype and not lay.dtype.half and not base.repeats and (base.flat or base.contig)
    return simple and not any(_repeated(lay.shape, lay.strides)) and not _overlaps(lay)


def _repeated(shape, strides) -> tuple[bool, ...]:
    """The dims along which all elements lie at one place."""
    return tuple([n > 1 and s == 0 for n, s in zip(shape, strides)])


def _once(x: np.ndarray, base: Layout) -> np.ndarray:
    """A cotangent of memory that several elements share: the first of them has it all."""
    first = tuple([slice(0, 1) if r else slice(None) for r in _repeated(base.shape, base.strides)])
    out = np.zeros(base.shape, x.dtype)
    out[first] = x[first]
    return out


def _overlaps(lay: Layout) -> bool:
    """Whether two elements may lie at the same place."""
    reach = 0
    for s, n in sorted((s, n) for n, s in zip(lay.shape, lay.strides) if n > 1):
        if s <= reach:
            return True
        reach += s * (n - 1)
    return False


def _unread_rule(g, base, offset, lay):
    return layout(base.shape, None, base.dtype, base.device) if base.repeats else base


def _unread_gradient(gg, out, g, base, offset, lay):
    repeated = _repeated(base.shape, base.stride())
    if any(repeated):  # what the first of the elements at one place gets goes to all of them
        strides = tuple([0 if r else s for r, s in zip(repeated, contiguous_strides(base.shape))])
        gg = READ.call(gg, 0, layout(base.shape, strides, base.dtype))
        gg = RELAYOUT.call(gg, layout(base.shape, base.stride(), base.dtype))
    return READ.call(gg, offset, lay), None, None


READ = Primitive(
    "as_strided", lambda base, offset, lay: None, rule=lambda base, offset, lay: lay, kernel=_read_kernel, gradient=_read_gradient, raw=True
)  # fmt: skip
UNREAD = Primitive(
    "as_strided_backward", lambda g, base, offset, lay: None, rule=_unread_rule, kernel=_unread_kernel, gradient=_unread_gradient, raw=True
)  # fmt: skip


def _write_kernel(spec):
    base = spec.lays[0]
    lay = spec.static[3]

    def run(x, v, off):
        flat = flatten(x, base)
        owner = flat.base if flat.base is not None else flat
        if owner is x or owner is getattr(x, "base", None) or x is flat:
            flat = flat.copy()
        strided(flat, lay, off)[...] = v
        return flat if base.flat else strided(flat, base, 0)

    return run


def _write_gradient(g, out, base, value, offset, lay):
    return WRITE.call(g, ZEROS.call(lay), offset, lay), READ.call(g, offset, lay), None


WRITE = Primitive(
    "copy_slices", lambda base, value, offset, lay: None, rule=lambda base, value, offset, lay: base,
    kernel=_write_kernel, gradient=_write_gradient, raw=True, grad_name="CopySlices",
)  # fmt: skip
ZEROS = Primitive(
    "zeros_of", lambda lay: None, rule=lambda lay: lay,
    kernel=lambda spec: lambda: np.zeros(spec.outs[0].shape, spec.outs[0].dtype.np), raw=True,
)  # fmt: skip
ONES = Primitive(
    "ones_of",
    lambda lay: np.ones(lay.shape, lay.dtype.compute),
    rule=lambda lay: layout(lay.shape, None, lay.dtype, lay.device),
)


# --- identities that say whose the history is ----------------------------------------------------------------


def _same(x):
    return x


LEAF = Primitive("leaf", _same, rule=_same, raw=True)
STOP = Primitive("stop", _same, rule=_same, raw=True, differentiable=False)
RELAYOUT = Primitive(  # the same elements under other strides
    "relayout", lambda x, lay: x, rule=lambda x, lay: lay, raw=True, gradient=lambda g, out, x, lay: g
)
GRAFT = Primitive(  # the value of one, the history of the other
    "graft",
    lambda value, history: value,
    rule=lambda value, history: value,
    raw=True,
    gradient=lambda g, out, v, h: (None, g),
)


# --- what reverse mode adds and sums with ----------------------------------------------------------------------


def _accumulate_rule(a, b):
    return a if a.dense and a.shape == b.shape and a.dtype is b.dtype else layout(a.shape, None, a.dtype, a.device)


ACCUMULATE = Primitive(
    "accumulate", lambda a, b: np.add(a, b), rule=_accumulate_rule, gradient=lambda g, out, a, b: (g, g)
)


def _sum_to(x, shape):
    lead = x.ndim - len(shape)
    dims = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1)
    return x.sum(dims, keepdims=True, dtype=x.dtype).reshape(shape) if dims else x.reshape(shape)


SUM_TO = Primitive(
    "sum_to_size", _sum_to, rule=lambda x, shape: layout(shape, None, x.dtype, x.device),
    gradient=lambda g, out, x, shape: g.expand(x.shape),
)  # fmt: skip


def convert(x: np.ndarray, target: np.dtype) -> np.ndarray:
    """Element type conversion as in C: floats are cut towards zero, integers wrap, complex numbers lose their imaginary part."""
    x = as_array(x)
    if x.dtype == target:
        return x
    if isinstance(x, Symbolic):
        return x.converted(target)
    if x.dtype.kind == "c" and target.kind not in "cb":
        x = x.real
    if target.kind in "iu" and x.dtype.kind == "f":
        wide = (
            np.where(np.isfinite(x), x, np.copysign(2.0**63, x)).astype(np.float64) if not np.isfinite(x).all() else x
        )
        big = np.abs(wide) >= 2.0**63
        if big.any():
            return np.where(big, np.int64(-(2**63)), np.where(big, 0, wide).astype(np.int64)).astype(target)
        return wide.astype(np.int64).astype(target)
    return x.astype(target)


def _cast_rule(x, dtype):
    strides = None if x.contig else x.strides if x.dense else result_strides(x.shape, (x,))
    return layout(x.shape, strides, dtype, x.device)


def _cast_gradient(g, out, x, dtype):
    return CAST.call(g, x.dtype)


CAST = Primitive(
    "to", lambda x, dtype: convert(x, dtype.compute), rule=_cast_rule, gradient=_cast_gradient, grad_name="ToCopy"
)


# --- autograd.Function ------------------------------------------------------------------------------------------

READ.blind = frozenset((1,))
UNREAD.blind = frozenset((1, 2))
WRITE.blind = frozenset((2,))
CUSTOM = Operation("function", lambda outs, inputs: None)  # results that have the history of a user's Function
