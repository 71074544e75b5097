"""Losses."""

from __future__ import annotations

import warnings

import numpy as np

from ..errors import shape_text
from ..ir.dtypes import FLOAT, INT
from ..ir.shapes import Layout, broadcast_shapes, layout, size
from .declare import operation, primitive
from .softmax import log_softmax_over

REDUCTIONS = ("none", "mean", "sum")


def reduction_of(size_average, reduce, reduction: str) -> str:
    """The reduction that the legacy arguments stand for, and a check of it."""
    if size_average is not None or reduce is not None:
        mean = True if size_average is None else size_average
        reduction = ("mean" if mean else "sum") if reduce in (None, True) else "none"
        warnings.warn(f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.", stacklevel=3)
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def reduced(loss, reduction: str):
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def warn_shapes(name: str, input, target) -> None:
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=4,
        )


@operation(where="nn.functional", grad_name="MseLoss")
def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Mean squared error: (input - target)**2, reduced.

    Args: input, target: the same shape; reduction: "mean" (default), "sum" or "none"; weight: factors of the squares."""
    how = reduction_of(size_average, reduce, reduction)
    warn_shapes("mse_loss", input, target)
    d = input - target
    loss = d * d
    return reduced(loss if weight is None else loss * weight, how)


@operation(where="nn.functional", grad_name="L1Loss")
def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Mean absolute error: |input - target|, reduced."""
    how = reduction_of(size_average, reduce, reduction)
    warn_shapes("l1_loss", input, target)
    loss = (input - target).abs()
    return reduced(loss if weight is None else loss * weight, how)


def _bce_rule(input: Layout, target: Layout) -> Layout:
    return layout(input.shape, None, input.dtype, input.device)


def _bce_gradient(g, out, input, target):
    denominator = ((1 - input) * input).clamp(min=1e-12)
    by_target = (1 - input).log().clamp(min=-100) - input.log().clamp(min=-100)
    return g * (input - target) / denominator, g * by_target


@primitive(rule=_bce_rule, gradient=_bce_gradient, name="_bce", grad_name="BinaryCrossEntropy")
def _bce(input, target):
    if input.size and not ((input >= 0) & (input <= 1)).all():
        bad = input[~((input >= 0) & (input <= 1))].reshape(-1)[0]
        raise RuntimeError(f"all elements of input should be between 0 and 1: binary_cross_entropy got {bad}; put a sigmoid before it, or use the version with logits.")
    return (target - 1) * np.maximum(np.log1p(-input), -100) - target * np.maximum(np.log(input), -100)


@operation(where="nn.functional", grad_name="BinaryCrossEntropy")
def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Cross entropy of probabilities in [0, 1] with targets in [0, 1]; logarithms are not below -100.

    Args: input, target: the same shape; weight: factors, broadcast; reduction: "mean" (default), "sum" or "none"."""
    how = reduction_of(size_average, reduce, reduction)
    if input.shape != target.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. Please ensure they have the same size."
        )
    loss = _bce(input, target)
    return reduced(loss if weight is None else loss * weight, how)


def _logits_gradient(g, out, input, target):
    return g * (input.sigmoid() - target), -g * input


@primitive(rule=lambda input, target: layout(broadcast_shapes(input.shape, target.shape), None, input.dtype, input.device), gradient=_logits_gradient, name="_bce_logits", grad_name="BinaryCrossEntropyWithLogits")
def _bce_logits(input, target):
    return np.maximum(input, 0) - input * target + np.log1p(np.exp(-np.abs(input)))


@operation(where="nn.functional", grad_name="BinaryCrossEntropyWithLogits")
def binary_cross_entropy_with_logits(input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None):
    """Cross entropy of sigmoid(input) with targets in [0, 1], computed without overflow.

    Args: pos_weight: factors of the positive terms, broadcast."""
    how = reduction_of(size_average, reduce, reduction)
    if input.shape != target.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    if pos_weight is None:
        loss = _bce_logits(input, target)
    else:
        factor = 1 + (pos_weight - 1) * target
        softplus = _bce_logits(-input.abs(), input * 0) + (-input).clamp(min=0)
        loss = (1 - target) * input + factor * softplus
    return reduced(loss if weight is None else loss * weight, how)


# --- classes -----------------------------------------------------------------------------------------------------------------


def _nll_rule(input: Layout, target: Layout, weight, ignore_index, reduction):
    if target.dtype.category > INT:
        raise RuntimeError(f"expected scalar type Long but found {target.dtype}: nll_loss takes class indices of dtype int64 as target")
    shape = target.shape if reduction == "none" else size(())
    return layout(shape, None, input.dtype, input.device), layout(size(()), None, input.dtype, input.device)


def check_classes(target: np.ndarray, count: int, ignore_index: int) -> None:
    bad = (target != ignore_index) & ((target < 0) | (target >= count))
    if bad.any():
        at = [int(k) for k in np.argwhere(bad)[0]]
        value = int(target[tuple(at)])
        raise IndexError(f"Target {value} is out of bounds. It stands at position {at}, and classes are 0 to {count - 1} (ignore_index is {ignore_index}).")


def _class_index(target: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    return np.expand_dims(np.where(ignored, 0, target).astype(np.int64), 1 if target.ndim else 0)


def _nll_gradient(g, out, input, target, weight, ignore_index, reduction):
    return (_nll_backward(g[0], input, target, *([] if weight is None else [weight]), out[1], weight is None, ignore_index, reduction), None, None)


@primitive(rule=_nll_rule, gradient=_nll_gradient, name="nll_loss_forward", grad_name="NllLoss")
def _nll(input, target, weight, ignore_index, reduction):
    count = input.shape[1] if input.ndim > 1 else input.shape[0]
    check_classes(target, count, ignore_index)
    ignored = target == ignore_index
    index = _class_index(target, ignored)
    axis = 1 if input.ndim > 1 else 0
    picked = np.take_along_axis(input, index, axis).reshape(target.shape)
    w = np.ones(target.shape, input.dtype) if weight is None else weight[index].reshape(target.shape)
    w = np.where(ignored, 0, w).astype(input.dtype)
    loss = np.where(ignored, 0, -picked * w).astype(input.dtype)
    total = w.sum(dtype=input.dtype)
    if reduction == "none":
        return loss, np.zeros((), input.dtype)
    value = loss.sum(dtype=input.dtype)
    return (value / total if reduction == "mean" else value), total


def _nll_backward_rule(g, input, *rest):
    return layout(input.shape, None, input.dtype, input.device)


def _nll_backward_gradient(gg, out, g, input, target, *rest):
    weight = rest[0] if not rest[-3] else None
    total = rest[-4]
    ignore_index, reduction = rest[-2], rest[-1]
    by_g = _nll_pick(gg, target, *([] if weight is None else [weight]), total, weight is None, ignore_index, reduction)
    return (by_g, *[None] * (len(rest) - 1))


@primitive(rule=_nll_backward_rule, gradient=_nll_backward_gradient, name="nll_loss_backward", grad_name="NllLossBackward")
def _nll_backward(g, input, target, *rest):
    weight = rest[0] if not rest[-3] else None
    total, ignore_index, reduction = rest[-4], rest[-2], rest[-1]
    return _spread(np.asarray(g), input.shape, target, weight, total, ignore_index, reduction, input.dtype)


def _factors(target, weight, total, ignore_index, reduction, d):
    ignored = target == ignore_index
    index = _class_index(target, ignored)
    w = np.ones(target.shape, d) if weight is None else weight[index].reshape(target.shape)
    w = np.where(ignored, 0, w).astype(d)
    return index, w / total if reduction == "mean" else w


def _spread(g, shape, target, weight, total, ignore_index, reduction, d):
    index, w = _factors(target, weight, total, ignore_index, reduction, d)
    axis = 1 if len(shape) > 1 else 0
    out = np.zeros(shape, d)
    np.put_along_axis(out, index, np.expand_dims(-g * w, axis).astype(d).reshape(index.shape), axis)
    return out


@primitive(rule=lambda gg, target, *rest: layout(target.shape if rest[-1] == "none" else size(()), None, gg.dtype, gg.device), name="nll_loss_double_backward")
def _nll_pick(gg, target, *rest):
    weight = rest[0] if not rest[-3] else None
    total, ignore_index, reduction = rest[-4], rest[-2], rest[-1]
    index, w = _factors(target, weight, total, ignore_index, reduction, gg.dtype)
    axis = 1 if gg.ndim > 1 else 0
    picked = -np.take_along_axis(gg, index, axis).reshape(target.shape) * w
    return picked if reduction == "none" else picked.sum(dtype=gg.dtype)


def check_nll(input, target) -> None:
    n = input.dim()
    if n == 0:
        raise ValueError(f"Expected 1 or more dimensions (got {n})")
    if n > 1 and input.shape[0] != target.shape[0]:
        raise ValueError(f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({target.shape[0] if target.dim() else 'none'}).")
    wanted = (*input.shape[:1], *input.shape[2:]) if n > 1 else ()
    if tuple(target.shape) != wanted:
        raise RuntimeError(f"Expected target size {shape_text(wanted)}, got {shape_text(target.shape)}: nll_loss takes one class for each place of input {shape_text(input.shape)}")


@operation(where="nn.functional", grad_name="NllLoss")
def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Negative log likelihood: minus the log-probability of the target class.

    Args:
        input: (C), (N, C) or (N, C, *), log-probabilities; target: classes, int64, without the C dim.
        weight: (C), a factor for each class; the mean is weighed by it.
        ignore_index: a target that does not count. Default -100."""
    how = reduction_of(size_average, reduce, reduction)
    check_nll(input, target)
    return _first(_nll(input, target, weight, ignore_index, how))


def _first(pair):
    return pair[0]


@operation(where="nn.functional", grad_name="NllLoss")
def cross_entropy(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0):
    """Cross entropy of softmax(input) with the target: classes, or probabilities of the input's shape.

    Args:
        input: (C), (N, C) or (N, C, *), unnormalised scores.
        target: int64 classes without the C dim, or probabilities of the shape of input.
        weight: (C), a factor for each class.
        ignore_index: a target class that does not count. Default -100.
        label_smoothing: share of a uniform distribution mixed in, 0 to 1. Default 0.0."""
    how = reduction_of(size_average, reduce, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    axis = 1 if input.dim() > 1 else 0
    if input.dim() == 0:
        raise ValueError(f"Expected 1 or more dimensions (got {input.dim()})")
    logp = log_softmax_over(input, axis)
    if target.shape == input.shape and target.dtype.category >= FLOAT:
        return _soft_targets(logp, target, weight, how, label_smoothing, axis)
    check_nll(input, target)
    loss = _first(_nll(logp, target, weight, ignore_index, how))
    if label_smoothing == 0:
        return loss
    return loss * (1 - label_smoothing) + _smooth(logp, target, weight, ignore_index, how, axis) * (label_smoothing / input.shape[axis])


def _shaped_weight(weight, ndim: int, axis: int):
    return weight.reshape([-1 if d == axis else 1 for d in range(ndim)])


def _soft_targets(logp, target, weight, how: str, smoothing: float, axis: int):
    n = logp.shape[axis]
    if smoothing > 0:
        target = target * (1 - smoothing) + smoothing / n
    loss = -(logp * target)
    if weight is not None:
        loss = loss * _shaped_weight(weight, logp.dim(), axis)
    if how == "none":
        return loss.sum(axis)
    total = loss.sum()
    return total if how == "sum" else total / (logp.numel() // n)


def _smooth(logp, target, weight, ignore_index: int, how: str, axis: int):
    loss = -logp if weight is None else -(logp * _shaped_weight(weight, logp.dim(), axis))
    keep = (target != ignore_index).to(logp.dtype)
    loss = loss.sum(axis) * keep
    if how == "none":
        return loss
    if how == "sum":
        return loss.sum()
    if weight is None:
        return loss.sum() / keep.sum()
    return loss.sum() / _first_weight(logp, target, weight, ignore_index)


def _first_weight(logp, target, weight, ignore_index: int):
    return _nll(logp, target, weight, ignore_index, "sum")[1]


