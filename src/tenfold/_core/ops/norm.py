"""Normalisation: to mean 0 and variance 1 over some dims, then scaled and shifted.

Layer, group, instance and batch normalisation are one primitive, `standardize`, over different dims."""

from __future__ import annotations

import math

import numpy as np

from ..errors import shape_text
from ..ir.arrays import Symbolic
from ..ir.dtypes import COMPLEX, FLOAT, finfo, float32
from ..ir.shapes import Layout, layout, size
from ..ir.special import RELAYOUT
from ..trace.handle import layout_of, translated
from .checks import tensor_function
from .declare import assign, not_implemented, operation, primitive, store_out
from .ordered import SMALL, fma, in_order
from .reduction import accumulate_sum, count_of, reduced_shape, wide_of

LAYER_NORM = "LayerNormKernelImpl"  # how errors name it

# --- the primitive ------------------------------------------------------------------------------------------------


def channels_last(lay: Layout) -> bool:
    """Whether a batch of images or volumes lies in memory with its channels innermost."""
    if lay.ndim not in (4, 5) or lay.contig or not lay.dense:
        return False
    order = (0, *range(2, lay.ndim), 1)
    strides = [lay.strides[d] for d in order]
    return strides == sorted(strides, reverse=True) and lay.strides[1] == 1


def kept(lay: Layout) -> Layout:
    """The layout of a result that lies in memory as its input where that has its channels innermost."""
    return layout(lay.shape, lay.strides if channels_last(lay) else None, lay.dtype, lay.device)


def _standardize_rule(input: Layout, weight, bias, axes, eps, name) -> tuple[Layout, ...]:
    if input.dtype.category != FLOAT:
        raise not_implemented(name, input.dtype)
    check_parameter_dtypes(input, weight, bias)
    stats = layout(reduced_shape(input.shape, axes, True), None, wide_of(input.dtype), input.device)
    return kept(input), stats, stats, stats


def check_parameter_dtypes(input: Layout, *parameters) -> None:
    """Parameters have the dtype of the input, or float32 where that is a half type."""
    for p in parameters:
        if p is None or p.dtype is input.dtype or (input.dtype.half and p.dtype is float32):
            continue
        if input.dtype.half or p.dtype.order > input.dtype.order:
            raise RuntimeError(
                f"mixed dtype (CPU): expect parameter to have scalar type of Float, but it is {p.dtype},"
                f" the input {input.dtype}"
            )
        raise RuntimeError(
            f"mixed dtype (CPU): all inputs must share same datatype: the input is {input.dtype}, a parameter {p.dtype}"
        )


def _mean(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return accumulate_sum(x, axes, True) / count_of(x.shape, axes)


def _standardize_gradient(g, out, input, weight, bias, axes, eps, name):
    by_out, by_mean, by_rstd, by_variance = g
    _, mean, rstd, _ = out
    if by_out is None:
        return _statistics_gradient(by_mean, by_rstd, by_variance, out, input, axes)
    by_out = by_out.to(wide_of(by_out.dtype))
    short = name == LAYER_NORM and short_rows(layout_of(input), axes)
    plain = (input - mean) * rstd
    if short:
        got = layer_norm_backward(by_out, input, weight, mean, rstd, axes)
    else:
        got = standardize_backward(by_out if weight is None else by_out * weight, plain, rstd, axes)
    more = _statistics_gradient(by_mean, by_rstd, by_variance, out, input, axes)
    grads = [got if more is None else got + more]
    add_up = _rows_like if name == LAYER_NORM else _summed_like
    if weight is not None and short and input.numel() <= FEW_ROWS * weight.numel():
        grads.append(layer_norm_weight_gradient(by_out, input, mean, rstd, weight.dim()))
    elif weight is not None:
        grads.append(add_up(by_out * plain, weight))
    if bias is not None:
        grads.append(add_up(by_out, bias))
    return grads


def _statistics_gradient(by_mean, by_rstd, by_variance, out, input, axes):
    _, mean, rstd, _ = out
    n = count_of(input.shape, axes)
    centred = input - mean
    parts = []
    if by_mean is not None:
        parts.append((by_mean / n).expand(input.shape))
    if by_rstd is not None:
        parts.append(centred * (by_rstd * rstd * rstd * rstd / -n))
    if by_variance is not None:
        parts.append(centred * (by_variance * (2 / n)))
    return sum(parts[1:], parts[0]) if parts else None


def _rows_like(x, parameter):
    """x summed to the shape of a parameter of its last dims."""
    return x if x.dim() == parameter.dim() else sum_rows(x, parameter.dim())


@primitive(
    rule=lambda x, ndim: layout(size(x.shape[-ndim:]), None, x.dtype, x.device),
    gradient=lambda g, out, x, ndim: g.expand(x.shape),
    name="_sum_rows",
    grad_name="Sum",
)
def sum_rows(x, ndim):
    """The sum over all but the last dims, one after another: PyTorch's order in gradients of layer_norm."""
    shape = x.shape[-ndim:]
    return x.reshape(-1, math.prod(shape)).sum(0).reshape(shape) if x.size else np.zeros(shape, x.dtype)


def _summed_like(x, parameter):
    """x summed to the shape of a parameter that was broadcast."""
    lead = x.dim() - parameter.dim()
    dims = [d for d in range(x.dim()) if d < lead or parameter.shape[d - lead] == 1]
    return x.sum(dims, keepdim=True).reshape(parameter.shape) if dims else x


@primitive(rule=_standardize_rule, gradient=_standardize_gradient, name="_standardize", grad_name="NativeLayerNorm")
def standardize(input, weight, bias, axes, eps, name):
    """(result, mean, 1 / sqrt(variance + eps), variance); weight and bias broadcast against the input."""
    if (
        not isinstance(input, Symbolic)
        and name == LAYER_NORM
        and 0 < input.size <= SMALL
        and count_of(input.shape, axes) * input.itemsize < REGISTER
    ):
        return layer_norm_rows(input, weight, bias, axes, eps)
    mean = _mean(input, axes)
    x = input - mean
    variance = _mean(x * x, axes)
    rstd = 1 / np.sqrt(variance + input.dtype.type(eps))
    x *= rstd
    if weight is not None:
        x *= weight
    if bias is not None:
        x += bias
    return x, mean, rstd, variance


def _backward_second(h, out, g, plain, rstd, axes):
    """out = rstd (g - m(g) - plain m(g plain)), m the mean over the axes."""
    m_g = (g * plain).mean(axes, keepdim=True)
    m_h = (h * plain).mean(axes, keepdim=True)
    by_plain = -(rstd * (h * m_g + g * m_h))
    by_rstd = (h * out).sum(axes, keepdim=True) / rstd
    return standardize_backward(h, plain, rstd, axes), by_plain, by_rstd


@primitive(
    rule=lambda g, plain, rstd, axes: layout(g.shape, None, g.dtype, g.device),
    gradient=_backward_second,
    name="_standardize_backward",
    grad_name="NativeLayerNormBackward",
)
def standardize_backward(g, plain, rstd, axes):
    weighed = g * plain
    centred = g - _mean(g, axes)
    np.multiply(plain, _mean(weighed, axes), weighed)
    centred -= weighed
    centred *= rstd
    return centred


# --- layer_norm of short rows -------------------------------------------------------------------------------------
#
# Rows of few numbers can have a small variance, which makes their gradient large, and roundings with it. Those of less
# than a register are rounded as PyTorch's kernels do.

REGISTER = 32  # bytes
FEW_ROWS = 32


def short_rows(lay: Layout, axes: tuple[int, ...]) -> bool:
    return 0 < lay.numel <= SMALL and not lay.dtype.half and count_of(lay.shape, axes) * lay.dtype.itemsize < REGISTER


def _rows(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return x.reshape(*x.shape[: x.ndim - len(axes)], -1)


def layer_norm_rows(input, weight, bias, axes, eps):
    """`standardize` of short rows: mean and variance by Welford's updates (Welford 1962)."""
    x = _rows(input, axes)
    mean, square = np.zeros_like(x[..., :1]), np.zeros_like(x[..., :1])
    for n in range(x.shape[-1]):
        value = x[..., n : n + 1]
        delta = value - mean
        mean = mean + delta / x.dtype.type(n + 1)
        square = square + delta * (value - mean)
    variance = square / x.shape[-1]
    rstd = 1 / np.sqrt(variance + x.dtype.type(eps))
    shape = reduced_shape(input.shape, axes, True)
    mean, variance, rstd = mean.reshape(shape), variance.reshape(shape), rstd.reshape(shape)
    out = (input - mean) * rstd
    if weight is not None and bias is not None:
        out = fma(out, weight, bias)
    elif weight is not None:
        out *= weight
    elif bias is not None:
        out += bias
    return out, mean, rstd, variance


def _layer_norm_backward_second(h, out, g, input, weight, mean, rstd, axes):
    """`standardize_backward`'s, of g * weight and (input - mean) * rstd."""
    centred = input - mean
    scaled = g if weight is None else g * weight
    by_scaled, by_plain, by_rstd = _backward_second(h, out, scaled, centred * rstd, rstd, axes)
    by_input = by_plain * rstd
    grads = [by_scaled if weight is None else by_scaled * weight, by_input]
    if weight is not None:
        grads.append(_rows_like(by_scaled * g, weight))
    by_rstd = by_rstd + (by_plain * centred).sum(axes, keepdim=True)
    return [*grads, -by_input.sum(axes, keepdim=True), by_rstd]


@primitive(
    rule=lambda g, input, weight, mean, rstd, axes: layout(g.shape, None, g.dtype, g.device),
    gradient=_layer_norm_backward_second,
    name="_layer_norm_backward",
    grad_name="NativeLayerNormBackward",
)
def layer_norm_backward(g, input, weight, mean, rstd, axes):
    """The gradient by the input: rstd * (g * weight), less its mean and its part along the result."""
    scale = 1 / input.dtype.type(count_of(input.shape, axes))
    by_scale, by_shift = g * input, g
    if weight is not None:
        by_scale, by_shift = by_scale * weight, g * weight
    shape = mean.shape
    by_scale = in_order(_rows(by_scale, axes), -1).reshape(shape)
    by_shift = in_order(_rows(by_shift, axes), -1).reshape(shape)
    slope = fma(by_shift, mean, -by_scale) * rstd * rstd * rstd * scale
    offset = fma(-slope, mean, -(by_shift * rstd * scale))
    direct = rstd * g
    return fma(slope, input, direct if weight is None else direct * weight) + offset


def _weight_gradient_second(h, out, g, input, mean, rstd, ndim):
    centred = input - mean
    by_plain = h * g
    by_input = by_plain * rstd
    return h * centred * rstd, by_input, -_summed_like(by_input, mean), _summed_like(by_plain * centred, rstd)


@primitive(
    rule=lambda g, input, mean, rstd, ndim: layout(size(g.shape[-ndim:]), None, g.dtype, g.device),
    gradient=_weight_gradient_second,
    name="_layer_norm_weight_gradient",
    grad_name="NativeLayerNormBackward",
)
def layer_norm_weight_gradient(g, input, mean, rstd, ndim):
    """The gradient by the weight: g * (input - mean) * rstd, summed over all but the last `ndim` dims."""
    shape = g.shape[g.ndim - ndim :]
    plain = fma(input, rstd, -rstd * mean)
    if isinstance(g, Symbolic):
        return (g * plain).sum(tuple(range(g.ndim - ndim)))
    total = np.zeros((), g.dtype)
    for row, factor in zip(g.reshape(-1, *shape), plain.reshape(-1, *shape)):
        total = fma(row, factor, total)
    return total


def along_channels(x, ndim: int):
    """A parameter (C) in the shape in which it broadcasts against (N, C, *)."""
    return None if x is None else x.reshape((1, -1, *[1] * (ndim - 2)))


# --- over the last dims -------------------------------------------------------------------------------------------


def _check_last_dims(name: str, input: Layout, shape: tuple[int, ...], weight, bias=None) -> None:
    n = len(shape)
    if n < 1:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element,"
            f" but got normalized_shape = []: {name} normalises over the last dims"
        )
    for what, p in (("weight", weight), ("bias", bias)):
        if p is not None and tuple(p.shape) != shape:
            raise RuntimeError(
                f"Expected {what} to be of same shape as normalized_shape, but got {what}"
                f" of shape {shape_text(p.shape)} and normalized_shape = {shape_text(shape)}"
            )
    if input.ndim < n or tuple(input.shape[-n:]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={shape_text(shape)}, expected input with shape [*, {', '.join(map(str, shape))}],"
            f" but got input of size{shape_text(input.shape)}"
        )


def _shape_of(name: str, normalized_shape) -> tuple[int, ...]:
    if not isinstance(normalized_shape, (tuple, list)):
        kind = type(normalized_shape).__name__
        raise TypeError(f"{name}(): argument 'normalized_shape' (position 2) must be tuple of ints, not {kind}")
    return tuple(normalized_shape)


@operation(where="", name="native_layer_norm", grad_name="NativeLayerNorm")
def _native_layer_norm(input, normalized_shape, weight, bias, eps):
    shape = tuple(normalized_shape)
    _check_last_dims("layer_norm", layout_of(input), shape, weight, bias)
    axes = tuple(range(input.dim() - len(shape), input.dim()))
    out, mean, rstd, _ = standardize(input, weight, bias, axes, eps, LAYER_NORM)
    if input.dtype.half and (weight is None or weight.dtype is input.dtype):
        mean, rstd = mean.to(input.dtype), rstd.to(input.dtype)
    return out, mean.detach(), rstd.detach()


@operation(where="", name="layer_norm", grad_name="NativeLayerNorm")
def _layer_norm(input, normalized_shape, weight, bias, eps):
    shape = tuple(normalized_shape)
    _check_last_dims("layer_norm", layout_of(input), shape, weight, bias)
    axes = tuple(range(input.dim() - len(shape), input.dim()))
    out = standardize(input, weight, bias, axes, eps, LAYER_NORM)[0]
    return out if layout_of(out).contig else out.contiguous()


@tensor_function(where="torch")
def native_layer_norm(input, normalized_shape, weight, bias, eps):
    """As layer_norm; returns (result, mean, 1 / standard deviation)."""
    return _native_layer_norm(input, _shape_of("native_layer_norm", normalized_shape), weight, bias, eps)


@tensor_function(where="torch")
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True):
    """As nn.functional.layer_norm."""
    return _layer_norm(input, _shape_of("layer_norm", normalized_shape), weight, bias, eps)


@tensor_function(where="nn.functional", name="layer_norm")
@translated
def functional_layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Normalises over the last dims (those of normalized_shape) to mean 0 and variance 1, then scales and shifts.

    Args: weight, bias: of normalized_shape, or None; eps: added to the variance. Default 1e-5.
    Source: Ba, Kiros, Hinton 2016, Layer normalization."""
    return _layer_norm(input, _shape_of("layer_norm", normalized_shape), weight, bias, eps)


@operation(where="", name="rms_norm", grad_name="Mul")
def _rms_norm(input, normalized_shape, weight, eps):
    shape = tuple(normalized_shape)
    _check_last_dims("rms_norm", layout_of(input), shape, weight)
    d = input.dtype
    if d.category < FLOAT:
        raise not_implemented("rms_norm", d)
    if eps is None:
        eps = finfo(wide_of(d)).eps
    axes = tuple(range(input.dim() - len(shape), input.dim()))
    x = input.to(wide_of(d))
    scale = ((x * x).mean(axes, keepdim=True) + eps).rsqrt()
    out = (x * scale).to(d) if d.category == COMPLEX or weight is None else x * scale * weight
    if d.category == COMPLEX and weight is not None:
        out = out * weight
    return out.to(d).contiguous()


@tensor_function(where="torch nn.functional")
def rms_norm(input, normalized_shape, weight=None, eps=None):
    """input over its root mean square over the last dims (those of normalized_shape), scaled by weight.

    Args: eps: added to the mean square. Default None, the smallest step of the dtype.
    Source: Zhang, Sennrich 2019, Root mean square layer normalization."""
    return _rms_norm(input, _shape_of("rms_norm", normalized_shape), weight, eps)


# --- over groups of channels --------------------------------------------------------------------------------------


def _check_channels(name: str, lay: Layout, groups: int, weight, bias) -> None:
    if lay.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {lay.ndim} ({name})")
    c = lay.shape[1]
    if groups < 1:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {groups} ({name})")
    if c % groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape"
            f" {shape_text(lay.shape)} and num_groups={groups}"
        )
    for what, p in (("weight", weight), ("bias", bias)):
        if p is not None and tuple(p.shape) != (c,):
            raise RuntimeError(
                f"Expected {what} to be a vector of size equal to the number of channels in input, but got {what}"
                f" of shape {shape_text(p.shape)} and input of shape {shape_text(lay.shape)}"
            )


def _grouped(x, shape, groups: int):
    if x is None:
        return None
    return x.reshape((1, groups, shape[1] // groups, *[1] * (len(shape) - 2)))


@operation(where="", name="native_group_norm", grad_name="NativeGroupNorm")
def _group_norm(input, groups, weight, bias, eps):
    """(result, mean, 1 / standard deviation)"""
    lay = layout_of(input)
    _check_channels("group_norm", lay, groups, weight, bias)
    n, c = lay.shape[:2]
    x = input.reshape((n, groups, c // groups, *lay.shape[2:]))
    w, b = _grouped(weight, lay.shape, groups), _grouped(bias, lay.shape, groups)
    out, mean, rstd, _ = standardize(x, w, b, tuple(range(2, x.dim())), eps, "GroupNormKernelImpl")
    out = out.reshape(lay.shape)
    if channels_last(lay):
        out = RELAYOUT.call(out, kept(lay))
    if input.dtype.half and (weight is None or weight.dtype is input.dtype):
        mean, rstd = mean.to(input.dtype), rstd.to(input.dtype)
    return out, mean.reshape((n, groups)), rstd.reshape((n, groups))


@tensor_function(where="torch")
def native_group_norm(input, weight, bias, N, C, HxW, group, eps):
    """As group_norm; returns (result, mean, 1 / standard deviation)."""
    return _group_norm(input, group, weight, bias, eps)


@tensor_function(where="torch")
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True):
    """As nn.functional.group_norm."""
    return _group_norm(input, num_groups, weight, bias, eps)[0]


@tensor_function(where="nn.functional", name="group_norm")
def functional_group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Normalises each sample of (N, C, *) over groups of channels, then scales and shifts each channel.

    Args: num_groups: divides C; weight, bias: (C), or None; eps: added to the variance. Default 1e-5.
    Source: Wu, He 2018, Group normalization."""
    shape = layout_of(input).shape
    if len(shape) < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {len(shape)} (group_norm)")
    _check_size((shape[0] * shape[1] // num_groups, num_groups, *shape[2:]), shape)
    return _group_norm(input, num_groups, weight, bias, eps)[0]


def _check_size(counted, shape) -> None:
    if counted[0] * math.prod(counted[2:]) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {shape}")


# --- over the batch -----------------------------------------------------------------------------------------------


def _check_batch_norm(lay: Layout, parameters: dict) -> None:
    c = lay.shape[1] if lay.ndim > 1 else 0
    for name, p in parameters.items():
        if p is not None and layout_of(p).numel != c:
            raise RuntimeError(
                f"{name} should contain {c} elements not {layout_of(p).numel}: one for each channel of the input"
            )


def _unbiased(variance, count: int):
    return variance * (count / (count - 1) if count > 1 else math.nan)


@operation(where="", name="native_batch_norm", data=("momentum",), grad_name="NativeBatchNorm")
def _batch_norm_train(input, weight, bias, running_mean, running_var, momentum, eps):
    """(result, mean, 1 / standard deviation, then the new running mean and variance where there are any)"""
    _check_batch_norm(
        layout_of(input), {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    )
    shape = input.shape
    axes = (0, *range(2, len(shape)))
    w, b = along_channels(weight, len(shape)), along_channels(bias, len(shape))
    out, mean, rstd, variance = standardize(input, w, b, axes, eps, "batch_norm")
    mean, rstd, variance = [x.detach().reshape(-1) for x in (mean, rstd, variance)]
    new = []
    if running_mean is not None:
        new.append((running_mean * (1 - momentum) + mean * momentum).to(running_mean.dtype))
    if running_var is not None:
        unbiased = _unbiased(variance, count_of(shape, axes))
        new.append((running_var * (1 - momentum) + unbiased * momentum).to(running_var.dtype))
    return out, mean, rstd, new


@operation(where="", name="batch_norm", grad_name="NativeBatchNorm")
def _batch_norm_eval(input, weight, bias, running_mean, running_var, eps):
    lay = layout_of(input)
    _check_batch_norm(lay, {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias})
    if input.dtype.category != FLOAT:
        raise not_implemented("batch_norm", input.dtype)
    check_parameter_dtypes(lay, *[layout_of(p) for p in (weight, bias, running_mean, running_var) if p is not None])
    d = wide_of(input.dtype)
    scale = (running_var.to(d) + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    shift = -(running_mean * scale)
    if bias is not None:
        shift = shift + bias
    out = input * along_channels(scale, input.dim()) + along_channels(shift, input.dim())
    out = out.to(input.dtype)
    target = kept(lay)
    return out if layout_of(out) is target else RELAYOUT.call(out, target)


def batch_norm_parts(input, weight, bias, running_mean, running_var, training, momentum, eps):
    """(result, mean, 1 / standard deviation) of the batch; running statistics are updated in place."""
    if not training:
        for name, p in (("running_mean", running_mean), ("running_var", running_var)):
            if p is None:
                raise RuntimeError(
                    f"{name} must be defined in evaluation mode: pass it, or training=True to use the batch's own"
                )
        d = layout_of(input).dtype
        empty = input.new_empty((0,), dtype=wide_of(d) if layout_of(running_mean).dtype is not d else d)
        return _batch_norm_eval(input, weight, bias, running_mean, running_var, eps), empty, empty.clone()
    if layout_of(input).numel == 0:
        shape = list(layout_of(input).shape)
        raise RuntimeError(f"input tensor must have at least one element, but got input_sizes = {shape}")
    out, mean, rstd, new = _batch_norm_train(input, weight, bias, running_mean, running_var, momentum, eps)
    given = [p for p in (weight, bias, running_mean, running_var) if p is not None]
    if layout_of(input).dtype.half and all(layout_of(p).dtype.half for p in given):
        mean, rstd = mean.to(layout_of(input).dtype), rstd.to(layout_of(input).dtype)
    running = [r for r in (running_mean, running_var) if r is not None]
    if running:
        assign(running, new)
    return out, mean, rstd


@tensor_function(where="torch")
def native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, *, out=None):
    """As nn.functional.batch_norm; returns (result, mean, 1 / standard deviation), empty ones where not training."""
    r = batch_norm_parts(input, weight, bias, running_mean, running_var, training, momentum, eps)
    return r if out is None else store_out(out, r, "native_batch_norm")


def _scaled(input, weight, bias):
    """What becomes of an empty input: running statistics stay, and parameters get gradients of 0."""
    out = input.clone()
    if weight is not None:
        out = out * along_channels(weight, layout_of(input).ndim)
    return out if bias is None else out + along_channels(bias, layout_of(input).ndim)


@tensor_function(where="torch")
def batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled):
    """As nn.functional.batch_norm, without its check of eps."""
    if layout_of(input).numel == 0:
        return _scaled(input, weight, bias)
    if not training:
        return batch_norm_parts(input, weight, bias, running_mean, running_var, False, momentum, eps)[0]
    out, _, _, new = _batch_norm_train(input, weight, bias, running_mean, running_var, momentum, eps)
    if new:
        assign([r for r in (running_mean, running_var) if r is not None], new)
    return out


@tensor_function(where="nn.functional", name="batch_norm")
def functional_batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    """Normalises each channel of (N, C, *): over the batch in training, by the running statistics otherwise.

    Args:
        running_mean, running_var: (C); in training they are updated in place, or None.
        weight, bias: (C), or None.
        momentum: weight of the batch's statistics in the update (variance without bias). Default 0.1.
        eps: added to the variance. Default 1e-5.
    Raises: ValueError for an eps that is negative, or 0 in training.
    Source: Ioffe, Szegedy 2015, Batch normalization."""
    shape = layout_of(input).shape
    if training and len(shape) > 1:
        _check_size(shape, shape)
    if eps < 0 or (training and eps == 0):
        wanted = "positive during training" if training else "non-negative"
        raise ValueError(f"batch_norm eps must be {wanted}, but got {eps}")
    return batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, False)


# --- over each sample's channel -----------------------------------------------------------------------------------


@operation(where="", name="instance_norm", data=("momentum",), grad_name="View")
def _instance_norm(input, running_mean, running_var, weight, bias, momentum, eps):
    """(result, the new running mean and variance where there are any)"""
    shape = input.shape
    axes = tuple(range(2, len(shape)))
    parameters = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    _check_batch_norm(layout_of(input), parameters)
    w, b = along_channels(weight, len(shape)), along_channels(bias, len(shape))
    out, mean, _, variance = standardize(input, w, b, axes, eps, "instance_norm")
    new = []
    if running_mean is not None:
        mean = mean.detach().reshape(shape[:2]).mean(0)
        unbiased = _unbiased(variance.detach(), count_of(shape, axes)).reshape(shape[:2]).mean(0)
        new.append((running_mean * (1 - momentum) + mean * momentum).to(running_mean.dtype))
        new.append((running_var * (1 - momentum) + unbiased * momentum).to(running_var.dtype))
    return out if layout_of(out).contig else out.contiguous(), new


@tensor_function(where="nn.functional", name="instance_norm")
def functional_instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """Normalises each channel of each sample of (N, C, *), then scales and shifts.

    Args:
        running_mean, running_var: (C), updated in place where use_input_stats, used instead where not. Default None.
        momentum: weight of the input's statistics in the update. Default 0.1; eps: default 1e-5.
    Source: Ulyanov, Vedaldi, Lempitsky 2016, Instance normalization."""
    if use_input_stats:
        shape = layout_of(input).shape
        if math.prod(shape[2:]) == 1:
            raise ValueError(f"Expected more than 1 spatial element when training, got input size {shape}")
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    if not use_input_stats:
        if running_mean is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
        return _batch_norm_eval(input, weight, bias, running_mean, running_var, eps)
    out, new = _instance_norm(input, running_mean, running_var, weight, bias, momentum, eps)
    if new:
        assign([running_mean, running_var], new)
    return out


@tensor_function(where="torch")
def instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, cudnn_enabled):
    """As nn.functional.instance_norm."""
    return functional_instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


# --- others -------------------------------------------------------------------------------------------------------


@operation(where="", name="local_response_norm", grad_name="Div")
def _local_response_norm(input, size, alpha, beta, k):
    shape = list(input.shape)
    square = input * input
    edges = [input.new_zeros([n if d != 1 else w for d, n in enumerate(shape)]) for w in (size // 2, (size - 1) // 2)]
    padded = concatenate([edges[0], square, edges[1]])
    window = padded.narrow(1, 0, shape[1])
    for i in range(1, size):
        window = window + padded.narrow(1, i, shape[1])
    mean = window / size if input.dtype.category >= FLOAT else window // size
    return input / (mean * alpha + k) ** beta


def concatenate(tensors):
    from .joining import cat

    return cat(tensors, 1)


@tensor_function(where="nn.functional")
def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """input / (k + alpha * mean of squares over `size` neighbouring channels) ** beta, for input (N, C, *).

    Source: Krizhevsky, Sutskever, Hinton 2012, ImageNet classification with deep convolutional neural networks."""
    lay = layout_of(input)
    if lay.ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {lay.ndim} dimensions)")
    if size < 1:
        raise RuntimeError(
            f"local_response_norm: size, a number of channels, should be greater than zero, but got {size}"
        )
    if lay.numel == 0:
        return input
    return _local_response_norm(input, size, alpha, beta, k)


@tensor_function(where="nn.functional")
def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """input over its p-norm along dim, the norm being at least eps.

    Args: p: default 2.0; dim: an int or a tuple. Default 1; eps: default 1e-12."""
    length = input.norm(p, dim, keepdim=True).clamp_min(eps)
    r = input / length.expand(layout_of(input).shape)
    return r if out is None else store_out(out, r, "div")
