"""Resampling the last dims: nearest, linear and cubic interpolation, and their anti-aliased forms.

Each of these is a linear map of every dim by itself: a place of the result is a weighted sum of a few places of the
input (its taps). Two primitives, transposes of each other, apply such maps; a dim's map is described by a `Dim`."""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..errors import shape_text
from ..ir.arrays import zeros
from ..ir.dtypes import FLOAT, uint8
from ..ir.shapes import Layout, layout, size
from .adaptive import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from .conv import ordered_like
from .declare import function, not_implemented, operation, primitive
from .matmul import takes_tensors


class Dim(NamedTuple):
    """How one dim is resampled."""

    kind: str  # "nearest", "nearest-exact", "linear", "cubic", "lanczos"
    old: int
    new: int
    align: bool
    scale: float | None  # the factor given by the user, which then decides the coordinates
    smooth: bool  # anti-aliased


# --- taps: which places, with which weights -------------------------------------------------------------------


def _step(dim: Dim, real) -> np.floating:
    """How far apart neighbours of the result are in the input."""
    if dim.align:
        return real((dim.old - 1) / (dim.new - 1)) if dim.new > 1 else real(0)
    if dim.scale is not None and dim.scale > 0:
        return real(1.0 / dim.scale)
    return real(dim.old) / real(dim.new)


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' kernel with parameter a."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


FILTERS = {
    "linear": (1.0, lambda x: np.maximum(1 - np.abs(x), 0)),
    "cubic": (2.0, lambda x: _cubic(x, -0.5)),
    "lanczos": (3.0, lambda x: np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)),
}


def _nearest(dim: Dim):
    step = _step(dim, np.float32)
    shift = np.float32(0.5 if dim.kind == "nearest-exact" else 0)
    at = np.floor((np.arange(dim.new, dtype=np.float32) + shift) * step).astype(np.int64)
    return np.minimum(at, dim.old - 1)[:, None], None


def _places(dim: Dim, real) -> np.ndarray:
    """Where the result's places lie in the input, between its places."""
    step = _step(dim, real)
    at = np.arange(dim.new, dtype=real)
    return at * step if dim.align else (at + real(0.5)) * step - real(0.5)


def _linear(dim: Dim, real):
    at = np.maximum(_places(dim, real), 0)
    low = np.minimum(at.astype(np.int64), dim.old - 1)
    high = np.minimum(low + 1, dim.old - 1)
    part = np.clip(at - low.astype(real), 0, 1)
    return np.stack([low, high], 1), np.stack([1 - part, part], 1)


def _keys(dim: Dim, real):
    at = _places(dim, real)
    low = np.floor(at)
    offsets = np.arange(-1, 3)
    part = (at - low)[:, None] - offsets.astype(real)
    index = np.clip(low.astype(np.int64)[:, None] + offsets, 0, dim.old - 1)
    return index, _cubic(part, -0.75).astype(real)


def _filtered(dim: Dim, real):
    """Each place of the result is the filter's mean over all places that it covers, as wide as the step where that"
    " is long."""
    width, kernel = FILTERS[dim.kind]
    step = _step(dim, real)
    stretch = max(step, real(1))
    reach = real(width) * stretch
    centre = step * (np.arange(dim.new, dtype=real) + real(0.5))
    low = np.maximum((centre - reach + real(0.5)).astype(np.int64), 0)
    high = np.minimum((centre + reach + real(0.5)).astype(np.int64), dim.old)
    taps = max(int((high - low).max()), 1)
    index = low[:, None] + np.arange(taps)
    inside = index < high[:, None]
    weight = np.where(inside, kernel((index.astype(real) - centre[:, None] + real(0.5)) / stretch), 0)
    total = weight.sum(1, keepdims=True)
    weight = weight / np.where(total == 0, 1, total)
    return np.minimum(index, dim.old - 1), weight.astype(real)


@lru_cache(maxsize=512)
def _taps(dim: Dim, double: bool):
    """Indices (new, taps) and weights of that shape, or None where there is one tap of weight 1."""
    real = np.float64 if double else np.float32
    if dim.kind.startswith("nearest"):
        return _nearest(dim)
    if dim.smooth:
        return _filtered(dim, real)
    return _linear(dim, real) if dim.kind == "linear" else _keys(dim, real)


# --- the primitives -------------------------------------------------------------------------------------------


def _resampled_rule(input: Layout, dims) -> Layout:
    return ordered_like((*input.shape[: input.ndim - len(dims)], *[d[2] for d in dims]), input)


@primitive(
    rule=_resampled_rule,
    gradient=lambda g, out, input, dims: _resample_back(g, dims),
    where="",
    name="_resample",
    grad_name="UpsampleNearest2D",
)
def _resample(input, dims):
    floating = input.dtype.kind == "f"
    x = input if floating else input.astype(np.float32)
    for axis, given in reversed(list(enumerate(dims, input.ndim - len(dims)))):
        index, weight = _taps(Dim(*given), x.dtype == np.float64)
        if weight is None:
            x = np.take(x, index[:, 0], axis=axis)
            continue
        shape = (-1, *[1] * (x.ndim - axis - 1))
        total = np.take(x, index[:, 0], axis=axis) * weight[:, 0].reshape(shape)
        for k in range(1, index.shape[1]):
            total += np.take(x, index[:, k], axis=axis) * weight[:, k].reshape(shape)
        x = total if floating else np.clip(np.rint(total), 0, 255)  # bytes are rounded after each dim
    return x


def _back_rule(g: Layout, dims) -> Layout:
    return layout(size((*g.shape[: g.ndim - len(dims)], *[d[1] for d in dims])), None, g.dtype, g.device)


@primitive(rule=_back_rule, gradient=lambda gg, out, g, dims: _resample(gg, dims), where="", name="_resample_back")
def _resample_back(g, dims):
    """The transpose: every place's cotangent goes to its taps, by their weights."""
    for axis, given in enumerate(dims, g.ndim - len(dims)):
        dim = Dim(*given)
        index, weight = _taps(dim, g.dtype == np.float64)
        moved = np.moveaxis(g, axis, 0)
        out = zeros((dim.old, *moved.shape[1:]), g.dtype, g)
        shape = (-1, *[1] * (moved.ndim - 1))
        for k in range(index.shape[1]):
            np.add.at(out, index[:, k], moved if weight is None else moved * weight[:, k].reshape(shape))
        g = np.moveaxis(out, 0, axis)
    return g


# --- interpolate ----------------------------------------------------------------------------------------------

KINDS = {  # mode: (numbers of dims of the input, kind)
    "nearest": ((3, 4, 5), "nearest"),
    "nearest-exact": ((3, 4, 5), "nearest-exact"),
    "area": ((3, 4, 5), "area"),
    "linear": ((3,), "linear"),
    "bilinear": ((4,), "linear"),
    "trilinear": ((5,), "linear"),
    "bicubic": ((4,), "cubic"),
    "lanczos": ((4,), "lanczos"),
}
AREA = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}
INTERPOLATING = ("linear", "bilinear", "bicubic", "trilinear", "lanczos")


def _as_list(value, n: int) -> list:
    return list(value) if isinstance(value, (tuple, list)) else [value] * n


def _target(input, sizes, given, scale_factor, recompute) -> tuple[list[int], list]:
    """The result's sizes, and for each dim the factor that decides coordinates (None: the ratio of the sizes)."""
    n = len(sizes)
    if given is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined: interpolate got neither")
    if given is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined: interpolate got both")
    what, name = (given, "size") if given is not None else (scale_factor, "scale_factor")
    listed = _as_list(what, n)
    if len(listed) != n:
        raise ValueError(
            f"Input and {name} must have the same number of spatial dimensions, but got input with spatial dimensions"
            f" of"
            f" {list(sizes)} and {name} {what} (interpolate takes (N, C, d1, d2, ...))"
        )
    if given is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        if any(isinstance(v, bool) or not hasattr(v, "__index__") for v in listed):
            raise TypeError(f"interpolate: expected size to be an int or a tuple of {n} ints, but got {what!r}")
        return [int(v) for v in listed], [None] * n
    if any(not isinstance(v, (int, float)) for v in listed):
        raise TypeError(
            f"interpolate: expected scale_factor to be a number or a tuple of {n} numbers, but got {what!r}"
        )
    return [math.floor(m * v) for m, v in zip(sizes, listed)], [None] * n if recompute else [float(v) for v in listed]


def _check_mode(input, mode, align_corners, antialias) -> str:
    known = KINDS.get(mode)
    nd = input.dim()
    if known is None or nd not in (3, 4, 5) or (mode in ("bicubic", "lanczos") and nd != 4):
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {nd}D) for the modes: {' | '.join(KINDS)}"
            f" (got {mode})"
        )
    if align_corners is not None and mode not in INTERPOLATING:
        raise ValueError(
            f"align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic |"
            f" trilinear, not {mode}"
        )
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and nd == 4):
        raise ValueError(
            f"Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as"
            f" input; got {mode}, {nd}-D"
        )
    if nd not in known[0]:
        raise NotImplementedError(f"Got {nd}D input, but {mode} mode needs {known[0][0]}D input")
    return known[1]


@operation(where="nn.functional", grad_name="UpsampleNearest2D")
def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """input with its last dims resampled to other sizes.

    Args:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: the new sizes, an int or one for each dim; or scale_factor: the factors, then sizes are rounded down.
        mode: "nearest", "nearest-exact", "linear" (3-D input), "bilinear", "bicubic" (4-D), "trilinear" (5-D), "area",
            or "lanczos" (4-D, with antialias). Default "nearest".
        align_corners: the corner places' centres coincide, not the corners. Default False.
        recompute_scale_factor: the ratio of the rounded sizes decides coordinates, not the factor given.
        antialias: filter when sizes shrink; bilinear, bicubic and lanczos. Default False.
    Raises: ValueError, NotImplementedError for arguments that do not go together."""
    sizes = tuple(input.shape[2:])
    new, factors = _target(input, sizes, size, scale_factor, recompute_scale_factor)
    kind = _check_mode(input, mode, align_corners, antialias)
    if kind == "lanczos" and not antialias:
        raise ValueError("Lanczos mode requires antialias=True (interpolate)")
    if kind == "lanczos" and align_corners:
        raise ValueError("Lanczos mode does not support align_corners=True (interpolate)")
    _check_input(input, sizes, new)
    if kind == "area":
        return AREA[len(sizes)](input, new if len(new) > 1 else new[0])
    if not (
        input.dtype.category == FLOAT
        or (input.dtype is uint8 and kind in ("nearest", "nearest-exact", "linear", "cubic"))
    ):
        raise not_implemented(f"interpolate, mode {mode}", input.dtype)
    align = bool(align_corners)
    dims = tuple([(kind, m, k, align, f, bool(antialias)) for m, k, f in zip(sizes, new, factors)])
    return _resample(input, dims)


def _check_input(input, sizes, new) -> None:
    if any(m <= 0 for m in (*sizes, *new)):
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input {list(sizes)} output {list(new)}"
            f" (interpolate)"
        )
    if input.shape[1] == 0:
        raise RuntimeError(
            f"Non-empty {input.dim()}D data tensor expected but got a tensor with sizes {shape_text(input.shape)}"
        )


takes_tensors(interpolate, "input")
interpolate.operation.grad_names = {3: "UpsampleNearest1D", 5: "UpsampleNearest3D"}


@function(where="nn.functional")
def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """`interpolate` under its old name."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


@function(where="nn.functional")
def upsample_nearest(input, size=None, scale_factor=None):
    """`interpolate` with mode "nearest", under its old name."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, "nearest")


@function(where="nn.functional")
def upsample_bilinear(input, size=None, scale_factor=None):
    """`interpolate` with mode "bilinear" and align_corners=True, under its old name."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, "bilinear", True)
