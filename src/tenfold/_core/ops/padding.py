"""Padding: places put around the last dims, filled with a constant or with what lies near.

A negative padding takes places away. `pads` is a tuple of pairs (before, after), one for each of the last dims."""

from __future__ import annotations

import numpy as np

from ..errors import shape_text
from ..ir.arrays import full, zeros
from ..ir.dtypes import bool_
from ..ir.shapes import Layout, layout, size
from ..trace.handle import Tensor, layout_of
from .conv import ordered_like
from .declare import function, not_implemented, operation, primitive
from .matmul import takes_tensors
from .shape import clone

# --- with a constant ------------------------------------------------------------------------------------------


def padded_shape(shape, pads):
    lead = len(shape) - len(pads)
    return size((*shape[:lead], *[n + a + b for n, (a, b) in zip(shape[lead:], pads)]))


def _pad_rule(input: Layout, pads, value) -> Layout:
    return ordered_like(padded_shape(input.shape, pads), input)


def _pad_gradient(g, out, input, pads, value):
    return _pad(g, tuple([(-a, -b) for a, b in pads]), 0)


@primitive(rule=_pad_rule, gradient=_pad_gradient, where="", name="_pad", grad_name="ConstantPadNd")
def _pad(input, pads, value):
    lead = input.ndim - len(pads)
    kind = input.dtype.kind
    fill = bool(value) if kind == "b" else int(value) if kind in "iu" else value
    out = full(padded_shape(input.shape, pads), fill, input.dtype, input)
    target, source = [...], [...]
    for n, (a, b) in zip(input.shape[lead:], pads):
        source.append(slice(max(0, -a), n - max(0, -b)))
        target.append(slice(max(0, a), n + a + b - max(0, b)))
    out[tuple(target)] = input[tuple(source)]
    return out


def pairs(name: str, input: Layout, pad) -> tuple[tuple[int, int], ...]:
    """pad = (before the last dim, after it, before the one before it, ...) as pairs in the order of the dims."""
    for p in pad:
        if not hasattr(p, "__index__"):
            raise TypeError(
                f"{name}(): argument 'pad' must be tuple of ints, but found element of type {type(p).__name__}"
            )
    pad = [int(p) for p in pad]
    if len(pad) % 2:
        raise RuntimeError(
            f"Padding length must be divisible by 2: {name} got {pad}; give (before, after) for each dim, the last"
            f" dim first"
        )
    if len(pad) > 2 * input.ndim:
        raise RuntimeError(
            f"Padding length should be less than or equal to two times the input dimension but got padding length"
            f" {len(pad)} and input"
            f" of dimension {input.ndim} ({name})"
        )
    return tuple([(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)])


def check_room(name: str, input: Layout, pads) -> None:
    """RuntimeError where negative padding takes away more than there is."""
    lead = input.ndim - len(pads)
    for d, (n, (a, b)) in enumerate(zip(input.shape[lead:], pads), lead):
        if n + a + b < 0 or n + min(a, 0) + min(b, 0) < 0:
            raise RuntimeError(
                f"narrow(): length must be non-negative: {name} takes {max(-a, 0)} and {max(-b, 0)} places away from"
                f" dim {d} of size {n}"
                f" (input {shape_text(input.shape)})"
            )


@operation(where="torch", grad_name="ConstantPadNd")
def constant_pad_nd(input, pad, value=0):
    """input with places of `value` put around its last dims; a negative number takes places away.

    Args: pad: (before, after) for the last dim, then for the one before it, and so on; value: a number. Default 0."""
    lay = layout_of(input)
    pads = pairs("constant_pad_nd", lay, pad)
    check_room("constant_pad_nd", lay, pads)
    if all(a <= 0 and b <= 0 for a, b in pads):
        lead = lay.ndim - len(pads)
        for d, (a, b) in enumerate(pads, lead):
            input = input.narrow(d, -a, input.shape[d] + a + b)
        return clone(input)
    return _pad(input, pads, 0 if value is None else value)


takes_tensors(constant_pad_nd, "input")

# --- with what lies near --------------------------------------------------------------------------------------


def _sources(n: int, before: int, after: int, mode: str) -> np.ndarray:
    """For each place of the result, the place of the input that it copies."""
    at = np.arange(-before, n + after)
    if mode == "replicate":
        return at.clip(0, n - 1)
    if mode == "reflect":
        at = np.abs(at)
        return np.where(at >= n, 2 * (n - 1) - at, at)
    low = max(0, -before)  # circular: what negative padding took away does not come back
    high = n - max(0, -after)
    return low + (at - low) % (high - low)


def _near_rule(input: Layout, pads, mode) -> Layout:
    shape = padded_shape(input.shape, pads)
    return layout(shape, None, input.dtype, input.device) if mode == "circular" else ordered_like(shape, input)


def _near_gradient(g, out, input, pads, mode):
    return _near_back(g, tuple(input.shape[input.dim() - len(pads) :]), pads, mode)


@primitive(rule=_near_rule, gradient=_near_gradient, where="", name="_pad_near", raw=True)
def _near(input, pads, mode):
    out = input
    for d, (a, b) in enumerate(pads, input.ndim - len(pads)):
        if a or b:
            out = np.take(out, _sources(out.shape[d], a, b, mode), axis=d)
    return out.copy() if out is input else out


def _near_back_rule(g: Layout, sizes, pads, mode) -> Layout:
    return layout(size((*g.shape[: g.ndim - len(sizes)], *sizes)), None, g.dtype, g.device)


@primitive(
    rule=_near_back_rule,
    gradient=lambda gg, out, g, sizes, pads, mode: _near(gg, pads, mode),
    where="",
    name="_pad_near_back",
)
def _near_back(g, sizes, pads, mode):
    """Cotangents added up at the places that were copied."""
    out = g
    for d, (n, (a, b)) in enumerate(zip(sizes, pads), g.ndim - len(sizes)):
        if a or b:
            total = zeros((n, *out.shape[:d], *out.shape[d + 1 :]), g.dtype, g)
            np.add.at(total, _sources(n, a, b, mode), np.moveaxis(out, d, 0))
            out = np.moveaxis(total, 0, d)
    return out.copy() if out is g else out


def _check_near(name: str, input: Layout, pads, mode: str) -> None:
    n = len(pads)
    if n not in (1, 2, 3) or input.ndim not in (n + 1, n + 2):
        raise NotImplementedError(
            f"Padding size {2 * n} is not supported for {input.ndim}D input tensor. With mode={mode!r}, {name} pads"
            f" the last dim of a 2D or 3D"
            f" tensor (2 numbers), the last 2 of a 3D or 4D (4 numbers), or the last 3 of a 4D or 5D (6 numbers)."
        )
    if mode != "circular" and input.dtype is bool_:
        raise not_implemented(name, bool_)
    lead = input.ndim - n
    if mode != "circular" and 0 in input.shape[lead - 1 :]:
        raise RuntimeError(
            f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with possibly 0 batch size and other non-zero"
            f" dimensions for input, but got:"
            f" {shape_text(input.shape)} ({name})"
        )
    for d, (m, (a, b)) in enumerate(zip(input.shape[lead:], pads), lead):
        _check_near_dim(name, input, mode, d, m, a, b)


def _check_near_dim(name: str, input: Layout, mode: str, d: int, m: int, a: int, b: int) -> None:
    where = f"dimension {d} of input {shape_text(input.shape)}"
    if mode == "reflect" and (a >= m or b >= m):
        raise RuntimeError(
            f"Argument #4: Padding size should be less than the corresponding input dimension, but got: padding ({a},"
            f" {b}) at {where}"
        )
    if mode == "circular" and (a > m or b > m):
        raise RuntimeError(f"Padding value causes wrapping around more than once: {name} got ({a}, {b}) at {where}")
    if m + a + b <= 0 or (mode == "circular" and m + min(a, 0) + min(b, 0) <= 0):
        raise RuntimeError(
            f"Negative padding value is resulting in an empty dimension: {name} got ({a}, {b}) at {where}"
        )


def _near_operation(mode: str, grad_name: str):
    def body(input, pad):
        lay = layout_of(input)
        pads = pairs("pad", lay, pad)
        _check_near("pad", lay, pads, mode)
        return _near(input, pads, mode)

    body.__doc__ = f"Padding with mode={mode!r}."
    return operation(where="", name=f"_{mode}_pad", grad_name=grad_name)(body)


_NEAR = {
    "reflect": _near_operation("reflect", "ReflectionPad2D"),
    "replicate": _near_operation("replicate", "ReplicationPad2D"),
    "circular": _near_operation("circular", "CopySlices"),
}


@function(where="nn.functional")
def pad(input, pad, mode="constant", value=None):
    """input with places put around its last dims; a negative number takes places away.

    Args:
        pad: (before, after) for the last dim, then for the one before it, and so on.
        mode: "constant", "reflect" (mirrored at the edge), "replicate" (the edge) or "circular". Default "constant".
        value: what to fill with, for "constant". Default 0.
    Raises: NotImplementedError for an unknown mode or number of dims; RuntimeError for sizes that do not fit."""
    if not isinstance(input, Tensor):
        raise TypeError(f"pad(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if not isinstance(pad, (tuple, list)):
        raise TypeError(f"pad(): argument 'pad' (position 2) must be tuple of ints, not {type(pad).__name__}")
    if isinstance(value, complex):
        raise TypeError("pad(): argument 'value' (position 4) must be float, not complex")
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    near = _NEAR.get(mode)
    if near is None:
        raise NotImplementedError(
            f"Unrecognised padding mode {mode}: pad takes 'constant', 'reflect', 'replicate' or 'circular'"
        )
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument; it got {value}')
    return near(input, pad)
