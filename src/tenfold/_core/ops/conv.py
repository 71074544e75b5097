"""Convolutions and their transposes, in one to three dims.

Three primitives, each bilinear, are each other's gradients: `_conv` (input, weight), `_conv_input` (the cotangent of
its input, which is what a transposed convolution computes) and `_conv_weight` (the cotangent of its weight)."""

from __future__ import annotations

import numpy as np

from ..backends.numpy.blas import matmul
from ..errors import shape_text
from ..ir.arrays import Symbolic
from ..ir.dtypes import bool_
from ..ir.shapes import Layout, contiguous_strides, layout, size
from ..trace.handle import Tensor
from .declare import not_implemented, operation, primitive
from .elementwise import conj
from .matmul import need_bias, takes_tensors
from .shape import channels_last_strides
from .windows import Pair, add_windows, chunks, pad_last, per_dim, reach, volume, windows

FEW_PLACES = 128  # with fewer windows in a sample, reading the filters for each sample takes longer than the products

# --- the primitives: stride and dilation are tuples, padding a tuple of pairs (before, after) -----------------


def is_channels_last(lay: Layout) -> bool:
    return (
        lay.ndim in (4, 5)
        and lay.strides != contiguous_strides(lay.shape)
        and lay.strides == channels_last_strides(lay.shape)
    )


def ordered_like(shape, *operands: Layout) -> Layout:
    """The layout of a new result: channels_last in, channels_last out."""
    last = any(is_channels_last(l) for l in operands)
    shape = size(shape)
    first = operands[0]
    return layout(shape, channels_last_strides(shape) if last else None, first.dtype, first.device)


def window_count(sizes, kernel, stride, padding, dilation) -> tuple[int, ...]:
    """How many windows lie along each dim."""
    steps = zip(sizes, kernel, stride, padding, dilation)
    return tuple([(n + a + b - reach(k, d)) // s + 1 for n, k, s, (a, b), d in steps])


def _conv_rule(input: Layout, weight: Layout, stride, padding, dilation, groups) -> Layout:
    count = window_count(input.shape[2:], weight.shape[2:], stride, padding, dilation)
    return ordered_like((input.shape[0], weight.shape[0], *count), input, weight)


def _conv_gradient(g, out, input, weight, stride, padding, dilation, groups):
    geometry = stride, padding, dilation, groups
    by_input = _conv_input(g, conj(weight), tuple(input.shape[2:]), *geometry)
    return by_input, _conv_weight(g, conj(input), tuple(weight.shape[2:]), *geometry)


def _first(x, sizes):
    """The first places of each of the last dims: an output_padding may have made room for more windows than there"
    " were."""
    for d, n in enumerate(sizes, 2):
        if x.shape[d] != n:
            x = x.narrow(d, 0, n)
    return x


@primitive(rule=_conv_rule, gradient=_conv_gradient, where="", name="_conv", grad_name="Convolution")
def _conv(input, weight, stride, padding, dilation, groups):
    """Every window of the input (N, C, *) times every filter of the weight (M, C / groups, *)."""
    if isinstance(input, Symbolic):
        count = window_count(input.shape[2:], weight.shape[2:], stride, padding, dilation)
        shape = (input.shape[0], weight.shape[0], *count)
        return input.convolution("conv", weight, shape, (stride, padding, dilation, groups))
    kernel = weight.shape[2:]
    count = window_count(input.shape[2:], kernel, stride, padding, dilation)
    n, m = input.shape[0], weight.shape[0]
    depth, places = volume(weight.shape[1:]), volume(count)
    view = windows(pad_last(input, padding), kernel, stride, dilation, count)
    filters = np.ascontiguousarray(weight).reshape(groups, m // groups, depth)
    if places >= FEW_PLACES:
        out = np.empty((n, groups, m // groups, places), input.dtype)
        for part in chunks(n, groups * depth * places * input.itemsize):
            columns = view[part].reshape(-1, groups, depth, places)
            matmul(filters, columns, out=out[part])
        return out.reshape(n, m, *count)
    out = np.empty((groups, m // groups, n, places), input.dtype)
    for part in chunks(n, groups * depth * places * input.itemsize):
        columns = _samples_last(view[part], groups, depth, places)
        out[:, :, part] = matmul(filters, columns).reshape(groups, m // groups, -1, places)
    return np.ascontiguousarray(out.reshape(m, n, *count).swapaxes(0, 1))


def _samples_last(x: np.ndarray, groups: int, rows: int, places: int) -> np.ndarray:
    """(N, groups * rows, places) as (groups, rows, N * places): one product of matrices for all samples."""
    return x.reshape(-1, groups, rows, places).transpose(1, 2, 0, 3).reshape(groups, rows, -1)


def _conv_input_rule(g: Layout, weight: Layout, sizes, stride, padding, dilation, groups) -> Layout:
    return ordered_like((g.shape[0], weight.shape[1] * groups, *sizes), g, weight)


def _conv_input_gradient(gg, out, g, weight, sizes, stride, padding, dilation, groups):
    geometry = stride, padding, dilation, groups
    by_g = _first(_conv(gg, conj(weight), *geometry), g.shape[2:])
    return by_g, _conv_weight(conj(g), gg, tuple(weight.shape[2:]), *geometry)


@primitive(rule=_conv_input_rule, gradient=_conv_input_gradient, where="", name="_conv_input", grad_name="Convolution")
def _conv_input(g, weight, sizes, stride, padding, dilation, groups):
    """Every element of g (N, M, *) spreads its filter, times itself, over the input's places (N, C, *sizes)."""
    if isinstance(g, Symbolic):
        shape = (g.shape[0], weight.shape[1] * groups, *sizes)
        return g.convolution("conv_input", weight, shape, (stride, padding, dilation, groups))
    n, m = g.shape[:2]
    kernel, count = weight.shape[2:], g.shape[2:]
    depth, places = volume(weight.shape[1:]), volume(count)
    channels = weight.shape[1] * groups
    filters = np.ascontiguousarray(weight).reshape(groups, m // groups, depth).transpose(0, 2, 1)
    rows = np.ascontiguousarray(g).reshape(n, groups, m // groups, places)
    out = np.zeros((n, channels, *[a + s + b for s, (a, b) in zip(sizes, padding)]), g.dtype)
    for part in chunks(n, groups * depth * places * g.itemsize):
        if places >= FEW_PLACES:
            columns = matmul(filters, rows[part])
        else:
            columns = matmul(filters, _samples_last(rows[part], groups, m // groups, places))
            columns = columns.reshape(groups, depth, -1, places).transpose(2, 0, 1, 3)
        if places:
            add_windows(out[part], columns.reshape(-1, channels, *kernel, *count), kernel, stride, dilation, count)
    return out[(..., *[slice(a, a + s) for s, (a, _) in zip(sizes, padding)])]


def _conv_weight_rule(g: Layout, input: Layout, kernel, stride, padding, dilation, groups) -> Layout:
    return layout(size((g.shape[1], input.shape[1] // groups, *kernel)), None, g.dtype, g.device)


def _conv_weight_gradient(gg, out, g, input, kernel, stride, padding, dilation, groups):
    geometry = stride, padding, dilation, groups
    by_g = _first(_conv(conj(input), gg, *geometry), g.shape[2:])
    return by_g, _conv_input(conj(g), gg, tuple(input.shape[2:]), *geometry)


@primitive(
    rule=_conv_weight_rule, gradient=_conv_weight_gradient, where="", name="_conv_weight", grad_name="Convolution"
)
def _conv_weight(g, input, kernel, stride, padding, dilation, groups):
    """For each place of a filter, the sum over the windows of g (N, M, *) times the input (N, C, *) there."""
    if isinstance(g, Symbolic):
        shape = (g.shape[1], input.shape[1] // groups, *kernel)
        return g.convolution("conv_weight", input, shape, (stride, padding, dilation, groups))
    n, m = g.shape[:2]
    count = g.shape[2:]
    per_group = input.shape[1] // groups
    depth, places = per_group * volume(kernel), volume(count)
    view = windows(pad_last(input, padding), kernel, stride, dilation, count)
    rows = np.ascontiguousarray(g).reshape(n, groups, m // groups, places)
    out = np.zeros((groups, m // groups, depth), g.dtype)
    for part in chunks(n, groups * depth * places * g.itemsize):
        if places >= FEW_PLACES:
            columns = view[part].reshape(-1, groups, depth, places)
            out += matmul(rows[part], columns.swapaxes(-1, -2)).sum(0, dtype=g.dtype)
        else:
            columns = _samples_last(view[part], groups, depth, places)
            out += matmul(_samples_last(rows[part], groups, m // groups, places), columns.swapaxes(-1, -2))
    return out.reshape(m, per_group, *kernel)


# --- arguments ------------------------------------------------------------------------------------------------


def _geometry(name: str, n: int, stride, padding, dilation, groups, kernel):
    """stride, padding and dilation as the primitives take them; RuntimeError for values that make no sense."""
    strides = per_dim(name, "stride", stride, n)
    dilations = per_dim(name, "dilation", dilation, n)
    if groups <= 0:
        raise RuntimeError(f"non-positive groups is not supported: {name} got groups={groups}")
    if isinstance(padding, str):
        pads = _named_padding(name, padding, strides, dilations, kernel)
    else:
        pads = tuple([(p, p) for p in per_dim(name, "padding", padding, n)])
    if any(a < 0 for a, _ in pads):
        raise RuntimeError(f"negative padding is not supported: {name} got padding={padding}; slice the input instead")
    for what, values in (("stride", strides), ("dilation", dilations)):
        if any(v <= 0 for v in values):
            raise RuntimeError(f"non-positive {what} is not supported: {name} got {what}={list(values)}")
    return strides, pads, dilations


def _named_padding(name: str, padding: str, strides, dilations, kernel) -> tuple[Pair, ...]:
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'; {name} takes 'valid', 'same' or numbers")
    if any(s != 1 for s in strides):
        raise RuntimeError(
            f"padding='same' is not supported for strided convolutions: {name} got stride={list(strides)}"
        )
    totals = [reach(k, d) - 1 for k, d in zip(kernel, dilations)]
    return tuple([(t // 2, t - t // 2) for t in totals])


def _batched(name: str, input, n: int):
    """The input with a batch dim, and whether it had one."""
    if input.dim() == n + 2:
        return input, True
    if input.dim() == n + 1:
        return input.unsqueeze(0), False
    raise RuntimeError(
        f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input of size:"
        f" {shape_text(input.shape)}"
    )


def _check_dtypes(name: str, input, weight, bias) -> None:
    if input.dtype is bool_:
        raise not_implemented(name, bool_)
    if input.dtype is not weight.dtype:
        raise RuntimeError(
            f"expected scalar type of {name}'s input and weight to be the same, but found {input.dtype} and"
            f" {weight.dtype}; convert one"
        )
    if bias is not None and bias.dtype is not input.dtype:
        raise RuntimeError(
            f"Input type ({input.dtype}) and bias type ({bias.dtype}) should be the same in {name}; convert one"
        )


def _check_weight(name: str, weight, groups: int, n: int) -> None:
    if weight.dim() != n + 2:
        raise RuntimeError(
            f"{name}: expected a {n + 2}-dimensional weight, one dim for each of the input's, but got weight of size"
            f" {shape_text(weight.shape)}"
        )
    if any(k <= 0 for k in weight.shape[2:]):
        raise RuntimeError(f"{name}: the kernel has no elements: weight of size {shape_text(weight.shape)}")
    if weight.shape[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size"
            f" {shape_text(weight.shape)} instead ({name})"
        )
    if weight.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of"
            f" size [{shape_text(weight.shape)}] instead ({name})"
        )


def _check_bias(name: str, given: str, weight, bias, channels: int) -> None:
    if bias is not None and tuple(bias.shape) != (channels,):
        raise RuntimeError(
            f"Given {given}weight of size {shape_text(weight.shape)}, expected bias to be 1-dimensional with"
            f" {channels} elements, but got bias of"
            f" size {shape_text(bias.shape)} instead ({name})"
        )


def _add_bias(out, bias, batched: bool):
    if bias is not None:
        out = out + bias.reshape(-1, *[1] * (out.dim() - 2))
    return out if batched else out.squeeze(0)


# --- convolution ----------------------------------------------------------------------------------------------


def _convolved(name: str, n: int, input, weight, bias, stride, padding, dilation, groups):
    need_bias(name, bias, Tensor)
    x, batched = _batched(name, input, n)
    if weight.dim() != n + 2:
        _check_weight(name, weight, 1, n)
    strides, pads, dilations = _geometry(name, n, stride, padding, dilation, groups, weight.shape[2:])
    _check_weight(name, weight, groups, n)
    want = weight.shape[1] * groups
    if x.shape[1] != want:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {shape_text(weight.shape)}, expected input{shape_text(x.shape)}"
            f" to have {want} channels, but got"
            f" {x.shape[1]} channels instead ({name}: the input's dim 1 is channels; weight takes {weight.shape[1]}"
            f" for each of {groups} groups)"
        )
    _check_bias(name, "", weight, bias, weight.shape[0])
    padded = [m + a + b for m, (a, b) in zip(x.shape[2:], pads)]
    spans = [reach(k, d) for k, d in zip(weight.shape[2:], dilations)]
    if any(m < k for m, k in zip(padded, spans)):
        texts = [" x ".join(map(str, v)) for v in (padded, spans)]
        raise RuntimeError(
            f"Calculated padded input size per channel: ({texts[0]}). Kernel size: ({texts[1]}). Kernel size can't be"
            f" greater than actual"
            f" input size ({name}: input {shape_text(x.shape)}; give a larger input or more padding)"
        )
    _check_dtypes(name, input, weight, bias)
    return _add_bias(_conv(x, weight, strides, pads, dilations, groups), bias, batched)


@operation(where="torch nn.functional", grad_name="Convolution")
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolution over one dim (cross-correlation: the kernel is not flipped).

    Args:
        input: (N, C, L) or (C, L); weight: (M, C / groups, K); bias: (M) or None.
        stride, padding, dilation: ints; padding also "valid" or "same". Defaults 1, 0, 1.
        groups: C and M are cut into that many parts, convolved apart. Default 1.
    Returns: (N, M, (L + 2 padding - dilation (K - 1) - 1) // stride + 1).
    Raises: RuntimeError where sizes, channels or dtypes do not fit."""
    return _convolved("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@operation(where="torch nn.functional", grad_name="Convolution")
def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolution over two dims (cross-correlation: the kernel is not flipped).

    Args:
        input: (N, C, H, W) or (C, H, W); weight: (M, C / groups, KH, KW); bias: (M) or None.
        stride, padding, dilation: an int or two; padding also "valid" or "same". Defaults 1, 0, 1.
        groups: C and M are cut into that many parts, convolved apart. Default 1.
    Returns: (N, M, H', W'), with H' = (H + 2 padding - dilation (KH - 1) - 1) // stride + 1.
    Raises: RuntimeError where sizes, channels or dtypes do not fit."""
    return _convolved("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@operation(where="torch nn.functional", grad_name="Convolution")
def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolution over three dims (cross-correlation: the kernel is not flipped).

    Args: as in `conv2d`, with three dims: input (N, C, D, H, W) or (C, D, H, W); weight (M, C / groups, KD, KH, KW)."""
    return _convolved("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


# --- transposed convolution -----------------------------------------------------------------------------------


def _transposed(name: str, n: int, input, weight, bias, stride, padding, output_padding, groups, dilation):
    need_bias(name, bias, Tensor)
    x, batched = _batched(name, input, n)
    if weight.dim() != n + 2:
        _check_weight(name, weight, 1, n)
    if isinstance(padding, str):
        raise TypeError(f"{name}(): argument 'padding' must be tuple of ints, not str")
    strides, pads, dilations = _geometry(name, n, stride, padding, dilation, groups, weight.shape[2:])
    extra = per_dim(name, "output_padding", output_padding, n)
    if any(e < 0 for e in extra):
        raise RuntimeError(f"negative output_padding is not supported: {name} got {list(extra)}")
    _check_weight(name, weight, groups, n)
    if x.shape[1] != weight.shape[0]:
        raise RuntimeError(
            f"Given transposed=1, weight of size {shape_text(weight.shape)}, expected input{shape_text(x.shape)} to"
            f" have {weight.shape[0]}"
            f" channels, but got {x.shape[1]} channels instead ({name})"
        )
    _check_bias(name, "transposed=1, ", weight, bias, weight.shape[1] * groups)
    if any(e >= s and e >= d for e, s, d in zip(extra, strides, dilations)):
        raise RuntimeError(
            f"output padding must be smaller than either stride or dilation, but got output_padding: {list(extra)}"
            f" stride: {list(strides)}"
            f" dilation: {list(dilations)} ({name})"
        )
    sizes = _transposed_sizes(name, x, weight, strides, pads, dilations, extra)
    _check_dtypes(name, input, weight, bias)
    return _add_bias(_conv_input(x, weight, sizes, strides, pads, dilations, groups), bias, batched)


def _transposed_sizes(name: str, x, weight, strides, pads, dilations, extra) -> tuple[int, ...]:
    kernel = weight.shape[2:]
    parts = zip(x.shape[2:], kernel, strides, pads, dilations, extra)
    sizes = tuple([(m - 1) * s - a - b + reach(k, d) + e for m, k, s, (a, b), d, e in parts])
    if any(m <= 0 for m in sizes):
        texts = [" x ".join(map(str, v)) for v in (x.shape[2:], sizes)]
        raise RuntimeError(
            f"Given input size per channel: ({texts[0]}). Calculated output size per channel: ({texts[1]}). Output"
            f" size is too small"
            f" ({name}: less padding, or a larger input)"
        )
    return sizes


@operation(where="torch nn.functional", grad_name="Convolution")
def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Transposed convolution over one dim: what carries a cotangent of `conv1d` back to its input.

    Args:
        input: (N, M, L) or (M, L); weight: (M, C / groups, K); bias: (C) or None.
        stride, padding, dilation: those of that conv1d. Defaults 1, 0, 1.
        output_padding: places added at the end of the result, fewer than stride or dilation. Default 0.
    Returns: (N, C, (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1)."""
    return _transposed("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


@operation(where="torch nn.functional", grad_name="Convolution")
def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Transposed convolution over two dims: what carries a cotangent of `conv2d` back to its input.

    Args: as in `conv_transpose1d`, with two dims: input (N, M, H, W) or (M, H, W); weight (M, C / groups, KH, KW)."""
    return _transposed("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


@operation(where="torch nn.functional", grad_name="Convolution")
def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Transposed convolution over three dims: what carries a cotangent of `conv3d` back to its input.

    Args: as in `conv_transpose1d`, with three dims: input (N, M, D, H, W) or (M, D, H, W)."""
    return _transposed("conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation)


# --- other forms ----------------------------------------------------------------------------------------------


@operation(where="torch", grad_name="Convolution")
def convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """Any of the convolutions above; how many dims it has is read from the weight.

    Args: as in `conv2d` and `conv_transpose2d`; transposed: which of the two."""
    n = weight.dim() - 2
    if transposed:
        return _transposed("convolution", n, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return _convolved("convolution", n, input, weight, bias, stride, padding, dilation, groups)


@operation(where="torch nn.functional", grad_name="ConvTbc")
def conv_tbc(input, weight, bias, pad=0):
    """Convolution over time, with dims in the order time, batch, channels.

    Args: input: (T, N, C); weight: (K, C, M); bias: (M); pad: places of zeros at both ends. Default 0."""
    if input.dim() != 3:
        raise RuntimeError(f"Input must have 3 dims: time, batch, in_channel; conv_tbc got {shape_text(input.shape)}")
    if weight.dim() != 3:
        raise RuntimeError(
            f"Weight tensor must have 3 dims: kernel_width, in_channels, out_channels; conv_tbc got"
            f" {shape_text(weight.shape)}"
        )
    if input.shape[2] != weight.shape[1]:
        raise RuntimeError(
            f"Input dim 2 (input channels) is not == dim 1 in the weight tensor: conv_tbc got {input.shape[2]} and"
            f" {weight.shape[1]}"
        )
    if tuple(bias.shape) != (weight.shape[2],):
        raise RuntimeError(
            f"Bias must be one dimensional and of {weight.shape[2]} elements; conv_tbc got {shape_text(bias.shape)}"
        )
    out = _convolved("conv_tbc", 1, input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, 1, pad, 1, 1)
    return out.permute(2, 0, 1).contiguous()


for _f in (conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d, convolution, conv_tbc):
    takes_tensors(_f, "input", "weight")
for _f, _unbatched in (
    (conv1d, 2),
    (conv2d, 3),
    (conv3d, 4),
    (conv_transpose1d, 2),
    (conv_transpose2d, 3),
    (conv_transpose3d, 4),
):
    _f.operation.grad_names = {_unbatched: "SqueezeBackward1"}
