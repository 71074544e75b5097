"""Losses of classification: negative log likelihood and cross entropy."""

from __future__ import annotations

import warnings

import numpy as np

from ..errors import shape_text
from ..ir.arrays import as_array, required, zeros
from ..ir.dtypes import FLOAT, int64, uint8
from ..ir.shapes import Layout, layout, size
from ..trace.handle import layout_of, translated
from .checks import known_values, tensor_function
from .declare import not_implemented, operation, primitive, scalar_name
from .softmax import log_softmax_array, log_softmax_gradient, log_softmax_over, softmax_rule

REDUCTIONS = ("none", "mean", "sum")
NUMBERED = {0: "none", 1: "mean", 2: "sum"}  # what functions of the torch namespace take


def reduction_of(size_average, reduce, reduction: str) -> str:
    """The reduction that the legacy arguments stand for, and a check of it."""
    if size_average is not None or reduce is not None:
        mean = size_average is None or size_average
        reduction = "none" if reduce is not None and not reduce else "mean" if mean else "sum"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            stacklevel=4,
        )
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction: give 'mean', 'sum' or 'none'")
    return reduction


def reduced(loss, reduction: str):
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


# --- negative log likelihood --------------------------------------------------------------------------------------


def class_axis(ndim: int) -> int:
    return 1 if ndim > 1 else 0


def check_classes(target: np.ndarray, count: int, ignore_index: int) -> None:
    good = (target == ignore_index) | ((target >= 0) & (target < count))
    if not required(good):
        at = [int(k) for k in np.argwhere(~good)[0]]
        value = int(target[tuple(at)])
        raise IndexError(
            f"Target {value} is out of bounds. It stands at position {at}, and classes are 0 to {count - 1}"
            f" (ignore_index is {ignore_index})."
        )


def check_target(target: Layout) -> None:
    if target.dtype not in (int64, uint8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {scalar_name(target.dtype)}: classes are int64"
        )


def check_nll(input: Layout, target: Layout) -> None:
    if input.ndim == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if input.ndim > 1 and (target.ndim == 0 or input.shape[0] != target.shape[0]):
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size"
            f" ({target.shape[0] if target.ndim else 'none: it is 0-d'})."
        )
    wanted = (*input.shape[:1], *input.shape[2:]) if input.ndim > 1 else ()
    if tuple(target.shape) != wanted and not (input.ndim == 1 and target.shape == (1,)):
        raise RuntimeError(
            f"Expected target size {shape_text(wanted)}, got {shape_text(target.shape)}: "
            f"one class for each place of input {shape_text(input.shape)}"
        )
    check_target(target)


def _check_weight(input: Layout, weight, axis: int) -> None:
    count = input.shape[axis]
    if weight is None:
        return
    if tuple(weight.shape) != (count,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {count} classes or no classes"
            f" but got weight tensor of shape: {shape_text(weight.shape)}"
        )
    if weight.dtype is not input.dtype:
        raise RuntimeError(
            f"expected scalar type {scalar_name(input.dtype)} but found {scalar_name(weight.dtype)}:"
            " the loss's weight has the dtype of its input"
        )


def _nll_layouts(input: Layout, target: Layout, weight, reduction: str) -> tuple[Layout, Layout]:
    check_nll(input, target)
    _check_weight(input, weight, class_axis(input.ndim))
    shape = target.shape if reduction == "none" else size(())
    return layout(shape, None, input.dtype, input.device), layout(size(()), None, input.dtype, input.device)


def _nll_rule(input: Layout, target: Layout, weight, ignore_index, reduction):
    if input.dtype.category != FLOAT:
        raise not_implemented("nll_loss_out_frame", input.dtype)
    return _nll_layouts(input, target, weight, reduction)


def _picks(target: np.ndarray, weight, ignore_index: int, axis: int, d):
    """Where the target's classes stand along the axis, and each target's weight, 0 where it is ignored."""
    ignored = target == ignore_index
    classes = np.where(ignored, 0, target).astype(np.int64)
    w = np.ones((), d) if weight is None else weight[classes]
    w = np.where(ignored, 0, w).astype(d)
    index = np.expand_dims(classes, axis) if axis else classes.reshape(1)
    return index, w, ignored


def _shares(w, ignored, total, reduction: str):
    """What each place's loss is multiplied by: 0 where it is ignored, even if there is nothing else."""
    return np.where(ignored, 0, w / total).astype(w.dtype) if reduction == "mean" else w


def _pick_loss(logp, target, weight, ignore_index, reduction):
    axis = class_axis(logp.ndim)
    check_classes(target, logp.shape[axis], ignore_index)
    index, w, ignored = _picks(target, weight, ignore_index, axis, logp.dtype)
    picked = np.take_along_axis(logp, index, axis).reshape(target.shape)
    loss = np.where(ignored, 0, -picked * w).astype(logp.dtype)
    if reduction == "none":
        return loss, np.zeros((), logp.dtype)
    total = w.sum(dtype=logp.dtype)
    value = loss.sum(dtype=logp.dtype)
    return (value / total if reduction == "mean" else value), total


def _nll_gradient(g, out, input, target, weight, ignore_index, reduction):
    if g[0] is None:
        return None, None, None
    return _nll_backward(g[0], input, target, weight, out[1], ignore_index, reduction), None, None


@primitive(rule=_nll_rule, gradient=_nll_gradient, name="nll_loss", grad_name="NllLoss")
def nll(input, target, weight, ignore_index, reduction):
    """(loss, the sum of the weights that it is divided by)"""
    return _pick_loss(input, target, weight, ignore_index, reduction)


def _backward_rule(g: Layout, input: Layout, *rest) -> Layout:
    return layout(input.shape, None, input.dtype, input.device)


def _nll_second(gg, out, g, input, target, weight, total, ignore_index, reduction):
    return _nll_pick(gg, target, weight, total, ignore_index, reduction), None, None, None, None


@primitive(rule=_backward_rule, gradient=_nll_second, name="nll_loss_backward", grad_name="NllLossBackward")
def _nll_backward(g, input, target, weight, total, ignore_index, reduction):
    axis = class_axis(input.ndim)
    index, w, ignored = _picks(target, weight, ignore_index, axis, input.dtype)
    out = zeros(input.shape, input.dtype, input)
    values = -as_array(g) * _shares(w, ignored, total, reduction)
    np.put_along_axis(out, index, values.reshape(index.shape).astype(input.dtype), axis)
    return out


def _nll_pick_rule(gg: Layout, target: Layout, weight, total, ignore_index, reduction) -> Layout:
    return layout(target.shape if reduction == "none" else size(()), None, gg.dtype, gg.device)


def _nll_third(g, out, gg, target, weight, total, ignore_index, reduction):
    return _nll_backward(g, gg, target, weight, total, ignore_index, reduction), None, None, None


@primitive(rule=_nll_pick_rule, gradient=_nll_third, name="nll_loss_double_backward")
def _nll_pick(gg, target, weight, total, ignore_index, reduction):
    axis = class_axis(gg.ndim)
    index, w, ignored = _picks(target, weight, ignore_index, axis, gg.dtype)
    picked = -np.take_along_axis(gg, index, axis).reshape(target.shape) * _shares(w, ignored, total, reduction)
    return picked if reduction == "none" else picked.sum(dtype=gg.dtype)


@tensor_function(where="nn.functional")
def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Negative log likelihood: minus the log-probability of the target class.

    Args:
        input: (C), (N, C) or (N, C, *), log-probabilities; target: int64 classes, without the C dim.
        weight: (C), a factor for each class; the mean is weighed by it.
        ignore_index: a target that does not count. Default -100.
        reduction: "mean" (default), "sum" or "none".
    Raises: IndexError for a class outside 0 to C - 1."""
    if size_average is not None or reduce is not None or reduction not in REDUCTIONS:
        reduction = reduction_of(size_average, reduce, reduction)
    return nll(input, target, weight, ignore_index, reduction)[0]


# --- of scores ----------------------------------------------------------------------------------------------------


def _scores_rule(input: Layout, target: Layout, weight, ignore_index, reduction):
    logp = softmax_rule(input, class_axis(input.ndim))
    return (*_nll_layouts(input, target, weight, reduction), layout(input.shape, None, logp.dtype, logp.device))


def _scores_gradient(g, out, input, target, weight, ignore_index, reduction):
    by_loss, _, by_logp = g
    got = None
    if by_loss is not None:
        got = _scores_backward(by_loss, out[2], target, weight, out[1], ignore_index, reduction)
    if by_logp is not None:
        more = log_softmax_gradient(by_logp, out[2], input, class_axis(input.dim()))
        got = more if got is None else got + more
    return got, None, None


@primitive(rule=_scores_rule, gradient=_scores_gradient, name="_nll_of_scores", grad_name="NllLoss")
def nll_of_scores(input, target, weight, ignore_index, reduction):
    """(loss, sum of weights, log_softmax of the scores): softmax and nll in one, so that backward needs one pass."""
    logp = log_softmax_array(input, class_axis(input.ndim))
    return (*_pick_loss(logp, target, weight, ignore_index, reduction), logp)


def _factors_rule(target: Layout, weight, total: Layout, ignore_index, reduction) -> Layout:
    return layout(target.shape, None, total.dtype, total.device)


@primitive(rule=_factors_rule, differentiable=False, name="_nll_factors")
def _factors(target, weight, total, ignore_index, reduction):
    """What each place's loss is multiplied by."""
    _, w, ignored = _picks(target, weight, ignore_index, min(target.ndim, 1), total.dtype)
    return _shares(w, ignored, total, reduction)


def _scores_second(gg, out, g, logp, target, weight, total, ignore_index, reduction):
    axis = class_axis(logp.dim())
    factors = _factors(target, weight, total, ignore_index, reduction)
    p = logp.exp()
    by_g = (gg * p).sum(axis) * factors
    by_g = (by_g if reduction == "none" else by_g.sum()) + _nll_pick(gg, target, weight, total, ignore_index, reduction)
    column = [1 if d == axis else n for d, n in enumerate(logp.shape)]
    return by_g, gg * p * (g * factors).reshape(column), None, None, None


@primitive(rule=_backward_rule, gradient=_scores_second, name="_nll_of_scores_backward", grad_name="NllLossBackward")
def _scores_backward(g, logp, target, weight, total, ignore_index, reduction):
    axis = class_axis(logp.ndim)
    index, w, ignored = _picks(target, weight, ignore_index, axis, logp.dtype)
    factor = (as_array(g) * _shares(w, ignored, total, reduction)).astype(logp.dtype).reshape(index.shape)
    out = np.exp(logp)
    out *= factor
    np.put_along_axis(out, index, np.take_along_axis(out, index, axis) - factor, axis)
    return out


def _early(arguments: list) -> None:
    """IndexError at the call, where the target's values are at hand."""
    input, target, _, ignore_index, *_ = arguments
    values = known_values(target)
    if values is not None and layout_of(input).ndim and layout_of(target).dtype in (int64, uint8):
        check_classes(values, layout_of(input).shape[class_axis(layout_of(input).ndim)], ignore_index)


nll.operation.early = nll_of_scores.operation.early = _early


@operation(where="", name="cross_entropy", grad_name="NllLoss")
def _hard(input, target, weight, ignore_index, reduction, label_smoothing):
    axis = class_axis(input.dim())
    loss, total, logp = nll_of_scores(input, target, weight, ignore_index, reduction)
    if label_smoothing == 0:
        return loss
    rest = _smoothing(logp, target, weight, total, ignore_index, reduction, axis)
    return loss * (1 - label_smoothing) + rest * (label_smoothing / input.shape[axis])


_hard.operation.early = _early


def _shaped_weight(weight, ndim: int, axis: int):
    return weight.reshape([-1 if d == axis else 1 for d in range(ndim)])


def _smoothing(logp, target, weight, total, ignore_index: int, reduction: str, axis: int):
    loss = -(logp if weight is None else logp * _shaped_weight(weight, logp.dim(), axis))
    ignored = target == ignore_index
    loss = loss.sum(axis).masked_fill(ignored, 0.0)
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.sum() / total


@operation(where="", name="cross_entropy_of_probabilities", grad_name="Div")
def _soft(input, target, weight, reduction, label_smoothing):
    axis = class_axis(input.dim())
    logp = log_softmax_over(input, axis)
    n = input.shape[axis]
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / n
    loss = logp * target
    if weight is not None:
        loss = loss * _shaped_weight(weight, logp.dim(), axis)
    if reduction == "none":
        return -loss.sum(axis)
    total = -loss.sum()
    return total if reduction == "sum" else total / (logp.numel() // n if n else 1)


def _check_probabilities(input: Layout, target: Layout, ignore_index: int) -> None:
    if target.dtype.category != FLOAT:
        raise RuntimeError(
            f"Expected floating point type for target with class probabilities, got {scalar_name(target.dtype)}"
        )
    if ignore_index >= 0:
        raise RuntimeError(
            "ignore_index is not supported for floating point target: it names a class, and these are probabilities"
        )


def _of_probabilities(input: Layout, target: Layout) -> bool:
    """A target of the input's shape holds probabilities."""
    return input.shape == target.shape and input.ndim > 0


@tensor_function(where="nn.functional")
@translated
def cross_entropy(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0
):
    """Cross entropy of softmax(input) with the target: classes, or probabilities of the input's shape.

    Args:
        input: (C), (N, C) or (N, C, *), scores; target: int64 classes without the C dim, or probabilities.
        weight: (C), a factor for each class.
        ignore_index: a target class that does not count. Default -100.
        reduction: "mean" (default), "sum" or "none".
        label_smoothing: share of a uniform distribution mixed in, 0 to 1. Default 0.0.
    Raises: IndexError for a class outside 0 to C - 1."""
    if size_average is not None or reduce is not None or reduction not in REDUCTIONS:
        reduction = reduction_of(size_average, reduce, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if _of_probabilities(layout_of(input), layout_of(target)):
        _check_probabilities(layout_of(input), layout_of(target), ignore_index)
        return _soft(input, target, weight, reduction, label_smoothing)
    return _hard(input, target, weight, ignore_index, reduction, label_smoothing)


def _check_linear(shape, weight, bias) -> None:
    """The shapes of input (N, D) or (D), of weight (C, *, D) and bias (C, *)."""
    n, k = len(shape), len(weight)
    if n not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {n}: linear_cross_entropy")
    if k < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {k}: linear_cross_entropy")
    if shape[-1] != weight[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features),"
            f" got {shape[-1]} and {weight[-1]}, respectively"
        )
    if n == 1 and k > 2:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(weight)} requires batched input,"
            f" (N, {weight[-1]}), got unbatched input with shape {tuple(shape)}"
        )
    if bias is not None and layout_of(bias).shape != weight[:-1]:
        raise RuntimeError(f"expected linear_bias shape {tuple(weight[:-1])}, got {tuple(layout_of(bias).shape)}")


@tensor_function(where="nn.functional")
def linear_cross_entropy(
    input,
    linear_weight,
    target,
    *,
    linear_bias=None,
    weight=None,
    reduction="mean",
    ignore_index=None,
    label_smoothing=0.0,
    options=None,
):
    """Cross entropy of a linear layer's outputs: cross_entropy(linear(input, linear_weight, linear_bias), target).

    Args:
        input: (N, D) or (D); linear_weight: (C, D) or (C, *, D); linear_bias: (C) or (C, *).
        ignore_index: default None, -100 for targets that are classes; weight, reduction, label_smoothing: as there.
        options: how PyTorch saves memory by working in chunks; the result is the same, and it is of no effect here."""
    from .matmul import linear

    shape = layout_of(linear_weight).shape
    _check_linear(layout_of(input).shape, shape, linear_bias)
    if layout_of(target).dtype.category == FLOAT and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities: linear_cross_entropy")
    scores = linear(input, linear_weight.reshape((-1, shape[-1])) if len(shape) > 2 else linear_weight)
    scores = scores.reshape((*layout_of(input).shape[:-1], *shape[:-1]))
    if linear_bias is not None:
        scores = scores + linear_bias
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy(
        scores, target, weight, ignore_index=ignored, reduction=reduction, label_smoothing=label_smoothing
    )
