"""Rearranging images: windows as columns and back (unfold, fold), channels as pixels and back, channels shuffled."""

from __future__ import annotations

from ..errors import shape_text
from ..ir.arrays import zeros
from ..ir.dtypes import INT
from ..ir.shapes import Layout, layout, size
from ..trace.handle import layout_of
from .conv import is_channels_last
from .declare import not_implemented, operation, primitive, publish
from .matmul import takes_tensors
from .shape import clone
from .windows import add_windows, pad_last, reach, volume, windows

# --- windows as columns ---------------------------------------------------------------------------------------


def _columns_rule(input: Layout, kernel, dilation, padding, stride, count) -> Layout:
    n, c = input.shape[:2]
    return layout(size((n, c * volume(kernel), volume(count))), None, input.dtype, input.device)


def _columns_gradient(g, out, input, kernel, dilation, padding, stride, count):
    return _image(g, tuple(input.shape[2:]), kernel, dilation, padding, stride, count)


@primitive(rule=_columns_rule, gradient=_columns_gradient, where="", name="_im2col", raw=True, grad_name="Im2Col")
def _columns(input, kernel, dilation, padding, stride, count):
    n, c = input.shape[:2]
    x = pad_last(input, [(p, p) for p in padding])
    return windows(x, kernel, stride, dilation, count).reshape(n, c * volume(kernel), volume(count))


def _image_rule(columns: Layout, sizes, kernel, dilation, padding, stride, count) -> Layout:
    n, rows = columns.shape[:2]
    return layout(size((n, rows // volume(kernel), *sizes)), None, columns.dtype, columns.device)


def _image_gradient(gg, out, columns, sizes, kernel, dilation, padding, stride, count):
    return _columns(gg, kernel, dilation, padding, stride, count)


@primitive(rule=_image_rule, gradient=_image_gradient, where="", name="_col2im", grad_name="Col2Im")
def _image(columns, sizes, kernel, dilation, padding, stride, count):
    """Columns added up at the places that their windows cover."""
    n, rows = columns.shape[:2]
    channels = rows // volume(kernel)
    out = zeros((n, channels, *[m + 2 * p for m, p in zip(sizes, padding)]), columns.dtype, columns)
    add_windows(out, columns.reshape(n, channels, *kernel, *count), kernel, stride, dilation, count)
    return out[(..., *[slice(p, p + m) for m, p in zip(sizes, padding)])]


def _two(name: str, argument: str, value) -> tuple[int, int]:
    items = value if isinstance(value, (tuple, list)) else (value,)
    if any(not hasattr(v, "__index__") for v in items):
        raise TypeError(f"{name}(): argument '{argument}' must be tuple of ints, not {value!r}")
    if len(items) not in (1, 2):
        raise RuntimeError(
            f"It is expected {argument} equals to 2, but got size {len(items)} ({name} takes an int or two)"
        )
    return (int(items[0]), int(items[-1]))


def _geometry(name: str, kernel_size, dilation, padding, stride):
    kernel, dilations = _two(name, "kernel_size", kernel_size), _two(name, "dilation", dilation)
    pads, strides = _two(name, "padding", padding), _two(name, "stride", stride)
    for what, value in (("kernel size", kernel), ("stride", strides), ("dilation", dilations)):
        if min(value) <= 0:
            raise RuntimeError(f"{what} should be greater than zero, but got {list(value)} ({name})")
    if min(pads) < 0:
        raise RuntimeError(f"padding should be non-negative, but got {list(pads)} ({name})")
    return kernel, dilations, pads, strides


def _count(sizes, kernel, dilation, padding, stride) -> tuple[int, int]:
    steps = zip(sizes, kernel, dilation, padding, stride)
    return tuple([(m + 2 * p - reach(k, d)) // s + 1 for m, k, d, p, s in steps])


def _refuse_integers(name: str, input) -> None:
    if input.dtype.category == INT:
        raise not_implemented(name, input.dtype)


@operation(where="nn.functional", grad_name="Im2Col")
def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """The windows of images, each as a column.

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size, dilation, padding, stride: an int or two. Defaults 1, 0, 1.
    Returns: (N, C * KH * KW, number of windows)."""
    kernel, dilations, pads, strides = _geometry("unfold", kernel_size, dilation, padding, stride)
    nd = input.dim()
    if nd not in (3, 4) or 0 in input.shape[nd - 3 :]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for"
            " input, but got:"
            f" {shape_text(input.shape)} (unfold)"
        )
    sizes = tuple(input.shape[nd - 2 :])
    count = _count(sizes, kernel, dilations, pads, strides)
    if min(count) < 1:
        raise RuntimeError(
            f"Given input with spatial size {sizes}, kernel_size={kernel}, dilation={dilations}, padding={pads},"
            f" calculated shape of the"
            f" array of sliding blocks as {count}, but its components must be at least one (unfold)."
        )
    _refuse_integers("unfold", input)
    x = input if nd == 4 else input.unsqueeze(0)
    out = _columns(x, kernel, dilations, pads, strides, count)
    return out if nd == 4 else out.squeeze(0)


@operation(where="nn.functional", grad_name="Col2Im")
def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Columns added up as the windows of images: what carries a cotangent of `unfold` back.

    Args:
        input: (N, C * KH * KW, number of windows), or without N.
        output_size: (H, W) of the images, an int or two; kernel_size, dilation, padding, stride: as in `unfold`.
    Returns: (N, C, H, W), or without N."""
    sizes = _two("fold", "output_size", output_size)
    kernel, dilations, pads, strides = _geometry("fold", kernel_size, dilation, padding, stride)
    nd = input.dim()
    if nd not in (2, 3) or 0 in input.shape[nd - 2 :]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for"
            " input, but got:"
            f" {shape_text(input.shape)} (fold)"
        )
    rows, places = input.shape[nd - 2 :]
    if rows % volume(kernel):
        raise RuntimeError(
            f"Expected size of input's dimension {nd - 2} to be divisible by the product of kernel_size, but got"
            f" input.size({nd - 2})={rows} and"
            f" kernel_size={kernel} (fold)."
        )
    count = _count(sizes, kernel, dilations, pads, strides)
    if min(count) < 1 or volume(count) != places:
        raise RuntimeError(
            f"Given output_size={sizes}, kernel_size={kernel}, dilation={dilations}, padding={pads},"
            f" stride={strides}, expected size of"
            f" input's dimension {nd - 1} to match the calculated number of sliding blocks {count[0]} * {count[1]} ="
            f" {volume(count)},"
            f" but got input.size({nd - 1})={places} (fold)."
        )
    _refuse_integers("fold", input)
    x = input if nd == 3 else input.unsqueeze(0)
    out = _image(x, sizes, kernel, dilations, pads, strides, count)
    return out if nd == 3 else out.squeeze(0)


# --- channels and pixels --------------------------------------------------------------------------------------


def _in_order_of(input, arranged):
    """A new tensor of what a view shows, channels_last where input is."""
    if is_channels_last(layout_of(input)):
        return clone(arranged, memory_format="channels_last")
    return clone(arranged, memory_format="contiguous")


def _check_factor(name: str, argument: str, input, factor) -> None:
    if input.dim() < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {input.dim()} dimension(s)"
        )
    if factor <= 0:
        raise RuntimeError(f"{name} expects a positive {argument}, but got {factor}")


@operation(where="torch nn.functional")
def pixel_shuffle(input, upscale_factor):
    """Channels become pixels: (*, C * r * r, H, W) becomes (*, C, H * r, W * r).

    Args: upscale_factor: r.
    Source: Shi et al. 2016, Real-time single image and video super-resolution."""
    r = upscale_factor
    _check_factor("pixel_shuffle", "upscale_factor", input, r)
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise RuntimeError(
            f"pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor,"
            f" but input.size(-3)={c} is"
            f" not divisible by {r * r}"
        )
    n = len(lead)
    parts = input.reshape(*lead, c // (r * r), r, r, h, w)
    moved = parts.permute(*range(n + 1), n + 3, n + 1, n + 4, n + 2)
    return _in_order_of(input, moved.reshape(*lead, c // (r * r), h * r, w * r))


@operation(where="torch nn.functional")
def pixel_unshuffle(input, downscale_factor):
    """Pixels become channels, the reverse of `pixel_shuffle`: (*, C, H * r, W * r) becomes (*, C * r * r, H, W).

    Args: downscale_factor: r."""
    r = downscale_factor
    _check_factor("pixel_unshuffle", "downscale_factor", input, r)
    *lead, c, h, w = input.shape
    for what, m, at in (("height", h, -2), ("width", w, -1)):
        if m % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {what} to be divisible by downscale_factor, but input.size({at})={m} is not"
                f" divisible by {r}"
            )
    n = len(lead)
    parts = input.reshape(*lead, c, h // r, r, w // r, r)
    moved = parts.permute(*range(n + 1), n + 2, n + 4, n + 1, n + 3)
    return _in_order_of(input, moved.reshape(*lead, c * r * r, h // r, w // r))


@operation(where="torch nn.functional")
def channel_shuffle(input, groups):
    """Channels in another order: those of `groups` groups in turn.

    Args: input: (N, C, *), C divisible by groups.
    Source: Zhang et al. 2018, ShuffleNet."""
    if input.dim() < 3:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {shape_text(input.shape)}"
        )
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    n, c, *rest = input.shape
    if c % groups:
        raise RuntimeError(f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups.")
    moved = input.reshape(n, groups, c // groups, *rest).transpose(1, 2)
    return _in_order_of(input, moved.reshape(n, c, *rest))


publish(channel_shuffle, "native_channel_shuffle", "torch nn.functional")
for _f in (unfold, fold, pixel_shuffle, pixel_unshuffle, channel_shuffle):
    takes_tensors(_f, "input")
