"""Reading images at given places: grid_sample, and the grids of affine maps."""

from __future__ import annotations

import itertools

import numpy as np

from ..errors import shape_text
from ..ir.dtypes import FLOAT, int64
from ..ir.shapes import Layout, layout, size
from .declare import function, not_implemented, operation, primitive
from .extremes import taken
from .matmul import matmul, takes_tensors
from .windows import volume

# --- coordinates ----------------------------------------------------------------------------------------------


def _unnormalised(x, n: int, align: bool):
    """From [-1, 1] to places: the ends are the centres of the first and last place (align), or their outer edges."""
    return (x + 1) * ((n - 1) / 2) if align else ((x + 1) * n - 1) / 2


def _mirrored(x, low2: int, high2: int):
    """x reflected at low2 / 2 and high2 / 2 until it lies between them."""
    if low2 == high2:
        return x * 0
    low, span = low2 / 2, (high2 - low2) / 2
    distance = (x - low).abs()
    turns = (distance / span).detach().floor()
    rest = distance - turns * span
    odd = turns - (turns / 2).floor() * 2
    return (span - rest + low).where(odd > 0.5, rest + low)


def _inside(x, n: int, align: bool, padding: str):
    """Coordinates as the padding mode wants them."""
    if padding == "reflection":
        x = _mirrored(x, 0, 2 * (n - 1)) if align else _mirrored(x, -1, 2 * n - 1)
    if padding == "zeros":
        return x
    clipped = x.clamp(0, n - 1)
    return clipped.where((x > 0) & (x < n - 1), clipped.detach())  # nothing flows at the border itself


class _Image:
    """An image (N, C, *sizes) that is read at whole places (N, P) given dim by dim; outside it is zero."""

    def __init__(self, input, sizes):
        self.channels = input.shape[1]
        self.sizes = sizes
        self.flat = input.reshape(input.shape[0], self.channels, volume(sizes))

    def at(self, places):
        index = None
        valid = None
        for x, n in zip(places, self.sizes):
            ok = (x >= 0) & (x <= n - 1)
            valid = ok if valid is None else valid & ok
            whole = x.to(int64).clamp(0, n - 1)
            index = whole if index is None else index * n + whole
        wide = index.unsqueeze(1).expand(-1, self.channels, -1)
        return taken(self.flat, 2, wide, False) * valid.unsqueeze(1).to(self.flat.dtype)


# --- the modes: image and coordinates (one (N, P) for each dim, unnormalised) to values (N, C, P) -------------


def _nearest(image, coordinates, align, padding):
    return image.at([_inside(x, n, align, padding).detach().round() for x, n in zip(coordinates, image.sizes)])


def _linear(image, coordinates, align, padding):
    coordinates = [_inside(x, n, align, padding) for x, n in zip(coordinates, image.sizes)]
    lows = [x.detach().floor() for x in coordinates]
    parts = [x - low for x, low in zip(coordinates, lows)]
    total = None
    for corner in itertools.product((0, 1), repeat=len(lows)):
        weight = None
        for part, high in zip(parts, corner):
            w = part if high else 1 - part
            weight = w if weight is None else weight * w
        value = image.at([low + high for low, high in zip(lows, corner)]) * weight.unsqueeze(1)
        total = value if total is None else total + value
    return total


def _keys(t, a: float = -0.75):
    """Weights of the places -1, 0, 1, 2 beside a part t of the way from place 0 to 1 (Keys' cubic)."""
    near = [((a + 2) * x - (a + 3)) * x * x + 1 for x in (t, 1 - t)]
    far = [((a * x - 5 * a) * x + 8 * a) * x - 4 * a for x in (t + 1, 2 - t)]
    return far[0], near[0], near[1], far[1]


def _cubic(image, coordinates, align, padding):
    lows = [x.detach().floor() for x in coordinates]
    weights = [_keys(x - low) for x, low in zip(coordinates, lows)]
    total = None
    for i, j in itertools.product(range(4), repeat=2):
        places = [_inside(low + (k - 1), n, align, padding) for low, k, n in zip(lows, (i, j), image.sizes)]
        value = image.at([p.round() for p in places]) * (weights[0][i] * weights[1][j]).unsqueeze(1)
        total = value if total is None else total + value
    return total


MODES = {"bilinear": _linear, "nearest": _nearest, "bicubic": _cubic}
PADDINGS = ("zeros", "border", "reflection")


def _check_sampler(input, grid, mode: str) -> None:
    if input.dtype is not grid.dtype:
        raise RuntimeError(
            f"grid_sample: expected scalar type of input and grid to be the same but found {input.dtype} and"
            f" {grid.dtype}; convert one of them"
        )
    if input.dtype.category != FLOAT:
        raise not_implemented("grid_sample", input.dtype)
    n = input.dim() - 2
    shapes = f"input with sizes {shape_text(input.shape)} and grid with sizes {shape_text(grid.shape)}"
    if n not in (2, 3) or grid.dim() != input.dim():
        raise RuntimeError(
            f"grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got {shapes}"
        )
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(f"grid_sampler(): expected grid and input to have same batch size, but got {shapes}")
    if grid.shape[-1] != n:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {n} in last dimension, but got grid with sizes"
            f" {shape_text(grid.shape)}"
        )
    if mode == "bicubic" and n != 2:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    for d, m in enumerate(input.shape[2:], 2):
        if m == 0:
            raise RuntimeError(
                f"grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes"
                f" {shape_text(input.shape)} with"
                f" dimension {d} being empty"
            )


@operation(where="", name="grid_sampler", grad_name="GridSampler2D")
def _sampled(input, grid, mode, padding, align):
    _check_sampler(input, grid, mode)
    n = input.dim() - 2
    sizes = tuple(input.shape[2:])
    shape = tuple(grid.shape[1:-1])
    flat = grid.reshape(grid.shape[0], volume(shape), n)
    # the grid's last dim goes from the last dim of the image to the first
    coordinates = [_unnormalised(flat[:, :, n - 1 - d], m, align) for d, m in enumerate(sizes)]
    values = MODES[mode](_Image(input, sizes), coordinates, align, padding)
    return values.reshape(input.shape[0], input.shape[1], *shape)


@function(where="nn.functional")
def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """Values of images at given places.

    Args:
        input: (N, C, H, W) or (N, C, D, H, W).
        grid: (N, H', W', 2) or (N, D', H', W', 3): (x, y) or (x, y, z), from -1 to 1 over the image.
        mode: "bilinear" (over three dims: trilinear), "nearest" or "bicubic" (4-D input only). Default "bilinear".
        padding_mode: what lies outside: "zeros", "border" or "reflection". Default "zeros".
        align_corners: -1 and 1 are the centres of the corner places, not their edges. Default False.
    Returns: (N, C, H', W') or (N, C, D', H', W').
    Source: Jaderberg et al. 2015, Spatial transformer networks."""
    if mode not in MODES:
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in PADDINGS:
        raise ValueError(
            f"nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got:"
            f" '{padding_mode}'"
        )
    return _sampled(input, grid, mode, padding_mode, bool(align_corners))


@function(where="torch", aliases=("grid_sampler_2d", "grid_sampler_3d"))
def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    """`nn.functional.grid_sample` with numbers for the modes: 0, 1, 2 in the order of its documentation."""
    return grid_sample(input, grid, tuple(MODES)[interpolation_mode], PADDINGS[padding_mode], align_corners)


# --- affine maps ----------------------------------------------------------------------------------------------


def _base_rule(sizes, align, d, device) -> Layout:
    return layout(size((volume(sizes), len(sizes) + 1)), None, d, device)


@primitive(rule=_base_rule, where="", name="_base_grid", differentiable=False)
def _base(sizes, align, d, device):
    """Every place's coordinates from -1 to 1, the last dim's first, and a 1."""
    n = len(sizes)
    out = np.ones((*sizes, n + 1), d.compute)
    for axis, m in enumerate(sizes):
        line = np.linspace(-1, 1, m) if m > 1 else np.zeros(1)
        if not align and m > 1:
            line = line * (m - 1) / m
        out[..., n - 1 - axis] = line.reshape(-1, *[1] * (n - 1 - axis))
    return out.reshape(-1, n + 1)


@operation(where="nn.functional", grad_name="AffineGridGenerator")
def affine_grid(theta, size, align_corners=None):
    """The grid for `grid_sample` that moves images by affine maps.

    Args:
        theta: (N, 2, 3) or (N, 3, 4), a matrix for each image.
        size: of the result of grid_sample: (N, C, H, W) or (N, C, D, H, W).
        align_corners: as in `grid_sample`. Default False.
    Returns: (N, H, W, 2) or (N, D, H, W, 3)."""
    size = tuple(size)
    if not theta.dtype.is_floating_point:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype} (affine_grid)")
    if len(size) not in (4, 5):
        raise NotImplementedError(
            f"affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size"
            f" {size}."
        )
    n = len(size) - 2
    if theta.dim() != 3 or tuple(theta.shape[1:]) != (n, n + 1):
        raise ValueError(
            f"Expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1} for size {size}. Got"
            f" {shape_text(theta.shape)} (affine_grid)."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size} (affine_grid)")
    if theta.shape[0] != size[0]:
        raise RuntimeError(
            f"affine_grid: Expected size of theta's batch to be {size[0]} as in size, but got: {theta.shape[0]}"
        )
    base = _base(size[2:], bool(align_corners), theta.dtype, theta.device.type)
    return matmul(base, theta.transpose(1, 2)).reshape(size[0], *size[2:], n)


@function(where="torch")
def affine_grid_generator(theta, size, align_corners):
    """`nn.functional.affine_grid`."""
    return affine_grid(theta, size, align_corners)


takes_tensors(_sampled, "input", "grid")
takes_tensors(affine_grid, "theta")
