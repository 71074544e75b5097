"""Evenly spaced numbers, identities, and tensors of given strides."""

from __future__ import annotations

import math
import operator

import numpy as np

from ..ir import dtypes
from ..ir.arrays import arange as counted
from ..ir.dtypes import FLOAT, decode, dtype, encode, get_default_dtype
from ..ir.shapes import Layout, contiguous_strides, layout, size
from ..trace.handle import Storage, Tensor, layout_of, placed
from .calling import meta_tensor
from .creation import check_options, chosen, filled, mark, shape_from
from .declare import function, not_implemented, primitive, store_out
from .devices import device_name
from .joining import cat

# --- from start to end, the end left out -----------------------------------------------------------


def _arange_rule(start, step, count, d) -> Layout:
    return layout(size((count,)), None, d)


@primitive(rule=_arange_rule, data=("start", "step"), name="_arange", where="", differentiable=False)
def _arange(start, step, count, d):
    kind = np.dtype("f8") if d.category >= FLOAT else np.dtype("i8")
    return (start + counted(count, kind) * step).astype(d.compute)


_ABSENT = object()


@function(where="torch")
def arange(
    start=_ABSENT,
    end=None,
    step=1,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """Numbers from start to end, which is left out, step apart: `arange(end)`, `arange(start, end, step)`.

    Args: start: default 0; step: default 1; dtype: default: int64 where all three are ints, else the default dtype."""
    check_options("arange", layout, pin_memory)
    if end is None:
        if start is _ABSENT:
            raise TypeError("arange() received an invalid combination of arguments - got (): give at least the end")
        start, end = 0, start
    start = 0 if start is _ABSENT else start
    numbers = [_number("arange", x, n) for x, n in ((start, "start"), (end, "end"), (step, "step"))]
    d = chosen("arange", dtype) or (None if out is None else layout_of(out).dtype)
    if d is None:
        d = get_default_dtype() if any(isinstance(x, float) for x in numbers) else dtypes.int64
    count = _count("arange", *numbers, d)
    start, end, step = [int(x) for x in numbers] if d.category < FLOAT else numbers
    where = device_name(device)
    if where == "meta":
        r = filled(size((count,)), 0, d, "meta", requires_grad)
    else:
        r = mark(_arange(start, step, count, d), requires_grad)
    return r if out is None else store_out(out, r, "arange")


def _count(name: str, start, end, step, d: dtype) -> int:
    """How many numbers there are; the errors of arange and range."""
    if any(isinstance(x, complex) for x in (start, end, step)):
        raise RuntimeError(f"value cannot be converted to type double without overflow: {name} takes real numbers")
    if d is dtypes.bool_ or d.is_complex:
        raise not_implemented("arange_cpu", d)
    if step == 0:
        raise RuntimeError(f"step must be nonzero ({name})")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end} ({name})")
    if (end - start) * step < 0:
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: {name} from {start} to {end} by {step}"
        )
    if d is dtypes.int64:
        start, end, step = int(start), int(end), int(step)
        if step == 0:
            raise ValueError(f"step must be nonzero ({name}): it is below 1 and the dtype is {d}")
    if all(isinstance(x, int) for x in (start, end, step)):
        return -(-(end - start) // step)
    return math.ceil((end - start) / step)


# --- from start to end, both included -------------------------------------------------------------


def _number(name: str, x, argument: str):
    """A Python number from a number or a 0-d tensor."""
    if isinstance(x, Tensor):
        if layout_of(x).ndim:
            raise RuntimeError(
                f"{name} only supports 0-dimensional start and end tensors, but got {argument} with {layout_of(x).ndim} dimension(s)."
            )
        return x.item()
    if isinstance(x, np.generic):
        return x.item()
    if not isinstance(x, (bool, int, float, complex)):
        raise TypeError(f"{name}(): argument '{argument}' must be Number, not {type(x).__name__}")
    return x


def _steps(name: str, steps) -> int:
    if steps is None:
        raise TypeError(f"{name}(): missing argument 'steps': how many numbers there shall be")
    try:
        count = operator.index(steps.item() if isinstance(steps, Tensor) else steps)
    except TypeError:
        raise TypeError(f"{name}(): argument 'steps' must be int, not {type(steps).__name__}") from None
    if count < 0:
        raise RuntimeError(f"number of steps must be non-negative, {name} got {count}")
    return count


def _spaced_rule(start, end, count, d) -> Layout:
    return layout(size((count,)), None, d)


def _halves(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Counted from the start in the first half, from the end in the second."""
    i = np.arange(count)
    return i[: count // 2], count - 1 - i[count // 2 :]


def _rounder(d: dtype):
    """Rounds float32 arrays to a half type, and leaves other dtypes alone."""
    return (lambda x: decode(encode(np.asarray(x, "f4"), d), d)) if d.half else (lambda x: x)


def _multiply_add(i: np.ndarray, step, start) -> np.ndarray:
    """i * step + start, rounded once."""
    if step.dtype == np.float32:
        return (i.astype("f8") * np.float64(step) + np.float64(start)).astype("f4")
    if step.dtype != np.float64:
        return start + step * i.astype(step.dtype)
    high = i * step
    big = step * 134217729.0  # 2**27 + 1 splits 53 bits
    upper = big - (big - step)
    low = (i * upper - high) + i * (step - upper)
    total = start + high
    shift = total - start
    return total + ((start - (total - shift)) + (high - shift) + low)


@primitive(rule=_spaced_rule, data=("start", "end"), name="_linspace", where="", differentiable=False)
def _linspace(start, end, count, d):
    near, far = _halves(count)
    if count == 1:
        return np.array([start]).astype(d.compute)
    if d.category < FLOAT:
        step = (float(end) - float(start)) / max(count - 1, 1)
        return np.trunc(np.concatenate([start + step * near, end - step * far])).astype(d.compute)
    kind = d.compute.type
    rounded = _rounder(d)
    first, last = rounded(kind(start)), rounded(kind(end))
    if d.half:
        step = rounded(rounded(last - first) / kind(max(count - 1, 1)))
        return np.concatenate([first + rounded(step * near.astype("f4")), last - rounded(step * far.astype("f4"))])
    step = (last - first) / kind(max(count - 1, 1))
    return np.concatenate([_multiply_add(near, step, first), _multiply_add(far, -step, last)])


@primitive(rule=_spaced_rule, data=("start", "end"), name="_exponents", where="", differentiable=False)
def _exponents(start, end, count, d):
    near, far = _halves(count)
    if count == 1:
        return np.array([start]).astype(d.compute)
    kind = d.compute.type
    step = (kind(end) - kind(start)) / kind(max(count - 1, 1))
    return np.concatenate([kind(start) + step * near.astype(kind), kind(end) - step * far.astype(kind)])


def _result_dtype(out, *ends) -> dtype:
    if out is not None:
        return layout_of(out).dtype
    d = get_default_dtype()
    if any(isinstance(x, complex) for x in ends):
        return d.to_complex()
    return d


@function(where="torch")
def linspace(
    start, end, steps=None, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
):
    """`steps` numbers from start to end, both included, evenly spaced.

    Args: start, end: numbers or 0-d tensors; dtype: default: the default dtype, complex where an end is."""
    check_options("linspace", layout, pin_memory)
    start, end = _number("linspace", start, "start"), _number("linspace", end, "end")
    count = _steps("linspace", steps)
    d = chosen("linspace", dtype) or _result_dtype(out, start, end)
    if d is dtypes.bool_:
        raise not_implemented("linspace_cpu", d)
    where = device_name(device)
    if where == "meta":
        r = filled(size((count,)), 0, d, "meta", requires_grad)
    else:
        r = mark(_linspace(start, end, count, d), requires_grad)
    return r if out is None else store_out(out, r, "linspace")


@function(where="torch")
def logspace(
    start,
    end,
    steps=None,
    base=10.0,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """`steps` powers of base, whose exponents are evenly spaced from start to end, both included.

    Args: start, end: numbers or 0-d tensors; base: default 10; dtype: default: the default dtype, complex where an end is."""
    check_options("logspace", layout, pin_memory)
    start, end = _number("logspace", start, "start"), _number("logspace", end, "end")
    count = _steps("logspace", steps)
    d = chosen("logspace", dtype) or _result_dtype(out, start, end)
    if d is dtypes.bool_:
        raise not_implemented("logspace_cpu", d)
    where = device_name(device)
    if where == "meta":
        r = filled(size((count,)), 0, d, "meta", requires_grad)
    else:
        base = _number("logspace", base, "base")
        wide = dtypes.complex128 if d.is_complex else dtypes.float64
        powers = filled(size(()), base, wide, "cpu") ** _exponents(start, end, count, wide)
        r = mark(powers.to(d), requires_grad)
    return r if out is None else store_out(out, r, "logspace")


@function(where="torch", name="range")
def range_(
    start=0, end=None, step=1, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
):
    """Numbers from start to end, both included, step apart; `arange`, which leaves the end out, has taken its place.

    Args: dtype: default: the default dtype."""
    import warnings

    if end is None:
        raise TypeError('range() missing 1 required positional argument: "end"')
    warnings.warn(
        "torch.range includes its end and is deprecated: torch.arange, which leaves the end out, works as Python's range.",
        UserWarning,
        stacklevel=2,
    )
    check_options("range", layout, pin_memory)
    start, end, step = _number("range", start, "start"), _number("range", end, "end"), _number("range", step, "step")
    d = chosen("range", dtype) or (layout_of(out).dtype if out is not None else get_default_dtype())
    _count("range", start, end, step, d)
    count = int((end - start) / step) + 1
    where = device_name(device)
    r = filled(size((count,)), 0, d, "meta") if where == "meta" else _arange(start, step, count, d)
    r = mark(r, requires_grad)
    return r if out is None else store_out(out, r, "range")


# --- identities -----------------------------------------------------------------------------------


def _eye_rule(n, m, d) -> Layout:
    return layout(size((n, m)), None, d)


@primitive(rule=_eye_rule, name="_eye", where="", differentiable=False)
def _eye(n, m, d):
    return np.eye(n, m, dtype=d.compute)


@function(where="torch")
def eye(n, m=None, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Ones on the diagonal and zeros elsewhere, shape (n, m).

    Args: m: default n; dtype: default: the default dtype."""
    check_options("eye", layout, pin_memory)
    sizes = []
    for letter, k in (("n", n), ("m", n if m is None else m)):
        try:
            k = operator.index(k)
        except TypeError:
            raise TypeError(f"eye(): argument '{letter}' must be int, not {type(k).__name__}") from None
        if k < 0:
            raise RuntimeError(f"{letter} must be greater or equal to 0, got {k} (eye)")
        sizes.append(k)
    d = chosen("eye", dtype) or (layout_of(out).dtype if out is not None else get_default_dtype())
    where = device_name(device)
    r = filled(size(sizes), 0, d, "meta") if where == "meta" else _eye(*sizes, d)
    r = mark(r, requires_grad)
    return r if out is None else store_out(out, r, "eye")


@function(where="torch")
def vander(x, N=None, increasing=False):
    """Powers of the elements of a vector as columns, the highest first: shape (len(x), N).

    Args: N: how many columns; default len(x). increasing: the lowest power first. Default False."""
    lay = layout_of(x)
    if lay.ndim != 1:
        raise RuntimeError(f"x must be a one-dimensional tensor, vander got shape {list(lay.shape)}")
    columns = lay.numel if N is None else operator.index(N)
    if columns < 0:
        raise RuntimeError(f"N must be non-negative, vander got {columns}")
    d = dtypes.int64 if lay.dtype.category < FLOAT else lay.dtype
    out = filled(size((lay.numel, min(columns, 1))), 1, d, lay.device)
    if columns > 1:
        powers = x.to(d).unsqueeze(-1).expand(lay.numel, columns - 1).cumprod(-1)
        out = cat([out, powers], -1)
    return out if increasing else out.flip(-1)


# --- of given strides -----------------------------------------------------------------------------


def strided(shape, strides, d: dtype, where: str) -> Tensor:
    """A tensor of zeros with those strides, which may leave gaps or let elements share memory."""
    lay = layout(shape, tuple(strides), d, where)
    if where == "meta":
        return meta_tensor(lay)
    st = Storage(np.zeros(lay.extent, d.np))
    st.name = d.name
    return placed(st, lay)


def _checked_strides(name: str, shape, stride) -> tuple[int, ...]:
    strides = tuple([operator.index(s) for s in stride])
    if len(strides) != len(shape):
        raise RuntimeError(
            f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(strides)}) ({name})"
        )
    if any(s < 0 for s in strides):
        raise RuntimeError(
            f"Storage size calculation overflowed with sizes={list(shape)} and strides={list(strides)} ({name}): strides are not negative"
        )
    return strides


@function(where="torch")
def empty_strided(size, stride, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """A tensor of that shape and those strides, whose values are not specified (here they are zeros)."""
    check_options("empty_strided", layout, pin_memory)
    shape = shape_from((size,), "empty_strided")
    strides = _checked_strides("empty_strided", shape, stride)
    return mark(
        strided(shape, strides, chosen("empty_strided", dtype) or get_default_dtype(), device_name(device)),
        requires_grad,
    )


@function(where="Tensor")
def new_empty_strided(self, size, stride, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """A tensor of that shape and those strides, whose values are not specified, with the dtype and device of this tensor."""
    check_options("new_empty_strided", layout, pin_memory)
    lay = layout_of(self)
    shape = shape_from((size,), "new_empty_strided")
    strides = _checked_strides("new_empty_strided", shape, stride)
    where = lay.device if device is None else device_name(device)
    return mark(strided(shape, strides, chosen("new_empty_strided", dtype) or lay.dtype, where), requires_grad)


@function(where="torch")
def empty_permuted(
    size, physical_layout, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
):
    """A dense tensor of that shape, whose dims lie in memory in the order of physical_layout, outermost first."""
    check_options("empty_permuted", layout, pin_memory)
    shape = shape_from((size,), "empty_permuted")
    order = tuple([operator.index(k) for k in physical_layout])
    if len(order) != len(shape):
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout;"
            f" i.e. len(size) = {len(shape)} is not equal to len(physical_layout) = {len(order)}"
        )
    for i, k in enumerate(order):
        if not 0 <= k < len(shape):
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {len(shape) - 1}, but got {k} at index {i} of physical_layout)"
            )
    if len(set(order)) != len(order):
        raise RuntimeError(f"Duplicate dim not allowed in physical_layout, got {list(order)}")
    inner = contiguous_strides(tuple([shape[k] for k in order]))
    strides = [0] * len(shape)
    for k, s in zip(order, inner):
        strides[k] = s
    return mark(
        strided(shape, strides, chosen("empty_permuted", dtype) or get_default_dtype(), device_name(device)),
        requires_grad,
    )


@function(where="torch")
def scalar_tensor(s, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """A 0-d tensor with that number. Args: dtype: default: the default dtype, whatever the number is."""
    check_options("scalar_tensor", layout, pin_memory)
    value = _number("scalar_tensor", s, "s")
    d = chosen("scalar_tensor", dtype) or get_default_dtype()
    if isinstance(value, complex) and not d.is_complex:
        raise RuntimeError(
            f"value cannot be converted to type {d} without overflow: {value} is complex (scalar_tensor)"
        )
    return filled(size(()), value, d, device_name(device), requires_grad)
