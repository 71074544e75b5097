"""Losses of numbers: squared and absolute errors, of probabilities, of distributions' parameters.

Next to this file: loss_classes.py (cross entropy), loss_margin.py (margins and distances), loss_ctc.py."""

from __future__ import annotations

import math
import warnings

import numpy as np

from ..ir.arrays import required
from ..ir.dtypes import FLOAT
from ..ir.shapes import Layout, broadcast_shapes, layout, numel
from ..trace.handle import Tensor, layout_of, translated
from .activation import logsigmoid
from .checks import known_values, tensor_function
from .declare import elementwise, not_implemented, operation, primitive, scalar_name
from .loss_classes import NUMBERED, REDUCTIONS, reduced, reduction_of


def warn_shapes(input, target) -> None:
    """Warns where the two shapes differ, which is more often a mistake than meant."""
    a, b = layout_of(input).shape, layout_of(target).shape
    if a != b:
        warnings.warn(
            f"Using a target size ({b}) that is different to the input size ({a})."
            " They are broadcast against each other, which is likely not what is wanted: give them the same size.",
            stacklevel=4,
        )


def shared(g, input, target, how: str):
    """What each element's loss gets of the cotangent of the reduced one."""
    n = numel(broadcast_shapes(input.shape, target.shape))
    return g / n if how == "mean" and n else g


# --- errors -------------------------------------------------------------------------------------------------------


@elementwise(
    where="",
    name="mse",
    dtypes="float",
    inplace=False,
    out=False,
    gradient=lambda g, out, input, other: _by_error(g, input, other),
)
def _square_error(input, other):
    d = input - other
    return d * d


def _by_error(g, input, target):
    by_input = (input - target) * (g * 2)
    return by_input, -by_input


def _mse_gradient(g, out, input, target, how):
    return _by_error(shared(g, input, target, how), input, target)


@operation(where="", name="mse_loss", grad_name="MseLoss", gradient=_mse_gradient)
def _mse(input, target, how):
    return reduced(_square_error(input, target), how)


def _weighed(loss, weight, how: str, by_weight: bool):
    """Losses times weights; the mean is over the weights' sum, or over their number."""
    if weight.shape != loss.shape:
        raise ValueError(f"Weights and input must have the same size: {list(weight.shape)} and {list(loss.shape)}.")
    loss = loss * weight
    if how == "mean" and by_weight:
        return loss.sum() / weight.sum()
    return reduced(loss, how)


@operation(where="", name="weighted_mse_loss", grad_name="Div")
def _weighted_mse(input, target, weight, how):
    return _weighed(_square_error(input, target), weight, how, True)


@tensor_function(where="nn.functional")
@translated
def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Squared error: (input - target)**2, reduced.

    Args: input, target: of one shape; reduction: "mean" (default), "sum" or "none"; weight: factors, of that shape."""
    if size_average is not None or reduce is not None or reduction not in REDUCTIONS:
        reduction = reduction_of(size_average, reduce, reduction)
    if layout_of(input).shape != layout_of(target).shape:
        warn_shapes(input, target)
    if weight is None:
        return _mse(input, target, reduction)
    return _weighted_mse(input, target, weight, reduction)


@operation(where="", name="l1_loss", grad_name="Abs")
def _l1(input, target, weight, how):
    loss = (input - target).abs()
    return reduced(loss, how) if weight is None else _weighed(loss, weight, how, True)


@tensor_function(where="nn.functional")
def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Absolute error: |input - target|, reduced.

    Args: input, target: of one shape; reduction: "mean" (default), "sum" or "none"; weight: factors, of that shape."""
    if size_average is not None or reduce is not None or reduction not in REDUCTIONS:
        reduction = reduction_of(size_average, reduce, reduction)
    if layout_of(input).shape != layout_of(target).shape:
        warn_shapes(input, target)
    return _l1(input, target, weight, reduction)


def _smooth_slope(g, input, target, beta: float):
    d = input - target
    by_input = g * (d.sgn() if beta == 0 else d.clamp(-beta, beta) / beta)
    return by_input, -by_input


@elementwise(
    where="", name="smooth_l1", dtypes="float", inplace=False, out=False, numbers="",
    gradient=lambda g, out, input, other, beta: _smooth_slope(g, input, other, beta),
)  # fmt: skip
def _smooth_error(input, other, beta=1.0):
    d = np.abs(input - other)
    return (
        d if beta == 0 else np.where(d < beta, d * d * input.dtype.type(0.5 / beta), d - input.dtype.type(0.5 * beta))
    )


def _smooth_gradient(g, out, input, target, how, beta):
    return _smooth_slope(shared(g, input, target, how), input, target, beta)


@operation(where="", name="smooth_l1_loss", grad_name="SmoothL1Loss", gradient=_smooth_gradient)
def _smooth_l1(input, target, how, beta):
    return reduced(_smooth_error(input, target, beta), how)


@tensor_function(where="nn.functional")
def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """Squared error / (2 beta) where the absolute error is below beta, absolute error - beta / 2 above.

    Source: Girshick 2015, Fast R-CNN."""
    if size_average is not None or reduce is not None or reduction not in REDUCTIONS:
        reduction = reduction_of(size_average, reduce, reduction)
    if layout_of(input).shape != layout_of(target).shape:
        warn_shapes(input, target)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, and got {beta}.")
    return _smooth_l1(input, target, reduction, beta)


def _huber_slope(g, input, target, delta: float):
    by_input = g * (input - target).clamp(-delta, delta)
    return by_input, -by_input


@elementwise(
    where="", name="huber", dtypes="float", inplace=False, out=False, numbers="",
    gradient=lambda g, out, input, other, delta: _huber_slope(g, input, other, delta),
)  # fmt: skip
def _huber_error(input, other, delta=1.0):
    d = np.abs(input - other)
    half, delta = input.dtype.type(0.5), input.dtype.type(delta)
    return np.where(d <= delta, half * d * d, delta * (d - half * delta))


def _huber_gradient(g, out, input, target, how, delta):
    return _huber_slope(shared(g, input, target, how), input, target, delta)


@operation(where="", name="huber_loss", grad_name="HuberLoss", gradient=_huber_gradient)
def _huber(input, target, how, delta):
    return reduced(_huber_error(input, target, delta), how)


@operation(where="", name="weighted_huber_loss", grad_name="Div")
def _weighted_huber(input, target, weight, how, delta):
    return _weighed(_huber_error(input, target, delta), weight, how, False)


@tensor_function(where="nn.functional")
def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """Half the squared error where the absolute error is at most delta, delta * (absolute error - delta / 2) above.

    Source: Huber 1964, Robust estimation of a location parameter."""
    if reduction not in REDUCTIONS:
        reduction = reduction_of(None, None, reduction)
    if layout_of(input).shape != layout_of(target).shape:
        warn_shapes(input, target)
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta, and got {delta}.")
    if weight is None:
        return _huber(input, target, reduction, delta)
    return _weighted_huber(input, target, weight, reduction, delta)


# --- probabilities ------------------------------------------------------------------------------------------------


def _bce_rule(input: Layout, target: Layout) -> Layout:
    if input.dtype.category != FLOAT:
        raise not_implemented("binary_cross_entropy", input.dtype)
    if target.dtype is not input.dtype:
        raise RuntimeError(
            f"Found dtype {scalar_name(target.dtype)} but expected {scalar_name(input.dtype)}:"
            " binary_cross_entropy takes a target of the input's dtype"
        )
    return layout(input.shape, None, input.dtype, input.device)


def check_unit_interval(x: np.ndarray, what: str) -> None:
    good = (x >= 0) & (x <= 1)
    if not required(good):
        raise RuntimeError(
            f"all elements of {what} should be between 0 and 1: binary_cross_entropy got {x[~good].reshape(-1)[0]};"
            " put a sigmoid before it, or use binary_cross_entropy_with_logits"
        )


def _bce_slopes(g, input, target):
    denominator = ((1 - input) * input).clamp(min=1e-12)
    by_target = (1 - input).log().clamp(min=-100) - input.log().clamp(min=-100)
    return g * (input - target) / denominator, g * by_target


@primitive(
    rule=_bce_rule, gradient=lambda g, out, input, target: _bce_slopes(g, input, target),
    name="_binary_cross_entropy", grad_name="BinaryCrossEntropy",
)  # fmt: skip
def _bce_error(input, target):
    check_unit_interval(input, "input")
    check_unit_interval(target, "target")
    return (target - 1) * np.maximum(np.log1p(-input), -100) - target * np.maximum(np.log(input), -100)


def _bce_gradient(g, out, input, target, how):
    return _bce_slopes(shared(g, input, target, how), input, target)


@operation(where="", name="binary_cross_entropy", grad_name="BinaryCrossEntropy", gradient=_bce_gradient)
def _bce(input, target, how):
    return reduced(_bce_error(input, target), how)


@operation(where="", name="weighted_binary_cross_entropy", grad_name="BinaryCrossEntropy")
def _weighted_bce(input, target, weight, how):
    return reduced(_bce_error(input, target) * weight.expand(input.shape), how)


def _early_bce(arguments: list) -> None:
    for what, t in zip(("input", "target"), arguments):
        values = known_values(t)
        if values is not None and layout_of(t).dtype.np.kind == "f":
            check_unit_interval(values, what)


_bce.operation.early = _weighted_bce.operation.early = _early_bce


@tensor_function(where="nn.functional")
@translated
def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Cross entropy of probabilities in [0, 1] with targets in [0, 1]; logarithms are not below -100.

    Args: input, target: of one shape; weight: factors, broadcast; reduction: "mean" (default), "sum" or "none".
    Raises: RuntimeError for values outside [0, 1]."""
    if size_average is not None or reduce is not None or reduction not in REDUCTIONS:
        reduction = reduction_of(size_average, reduce, reduction)
    a, b = layout_of(input).shape, layout_of(target).shape
    if a != b:
        raise ValueError(
            f"Using a target size ({b}) that is different to the input size ({a}) is deprecated. Give them one size."
        )
    if weight is None:
        return _bce(input, target, reduction)
    return _weighted_bce(input, target, weight, reduction)


def _logits_slopes(g, input, target):
    return g * (input.sigmoid() - target), -g * input


def _refuse_integers(lays) -> None:
    if lays[0].dtype.category != FLOAT:
        raise not_implemented("log_sigmoid_cpu", lays[0].dtype)


@elementwise(
    where="", name="bce_with_logits", inplace=False, out=False, check=_refuse_integers,
    gradient=lambda g, out, input, other: _logits_slopes(g, input, other),
)  # fmt: skip
def _logits_error(input, other):
    return (1 - other) * input + (np.log1p(np.exp(-np.abs(input))) + np.maximum(-input, 0))


def _rounded_logits(input, target, pos_weight):
    """The loss in PyTorch's steps: each of them rounds half types."""
    positive = -logsigmoid(input)
    if pos_weight is not None:
        positive = ((pos_weight - 1) * target + 1) * positive
    return (1 - target) * input + positive


def _logits_gradient(g, out, input, target, how):
    return _logits_slopes(shared(g, input, target, how), input, target)


def _check_targets(target) -> None:
    if target.dtype.category != FLOAT:
        raise RuntimeError(
            f"result type Float can't be cast to the desired output type {scalar_name(target.dtype)}: "
            "binary_cross_entropy_with_logits takes floating-point targets, give target.float()"
        )


@operation(
    where="",
    name="binary_cross_entropy_with_logits",
    grad_name="BinaryCrossEntropyWithLogits",
    gradient=_logits_gradient,
)
def _logits(input, target, how):
    _check_targets(target)
    return reduced(_rounded_logits(input, target, None) if input.dtype.half else _logits_error(input, target), how)


@operation(where="", name="weighted_binary_cross_entropy_with_logits", grad_name="BinaryCrossEntropyWithLogits")
def _weighted_logits(input, target, weight, pos_weight, how):
    _check_targets(target)
    if pos_weight is None and not input.dtype.half:
        loss = _logits_error(input, target)
    else:
        loss = _rounded_logits(input, target, pos_weight)
    return reduced(loss if weight is None else loss * weight, how)


@tensor_function(where="nn.functional")
@translated
def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """Cross entropy of sigmoid(input) with targets in [0, 1], computed without overflow.

    Args: input, target: of one shape; weight: factors, broadcast; pos_weight: factors of the positive terms, broadcast;
        reduction: "mean" (default), "sum" or "none"."""
    if size_average is not None or reduce is not None or reduction not in REDUCTIONS:
        reduction = reduction_of(size_average, reduce, reduction)
    a, b = layout_of(input).shape, layout_of(target).shape
    if a != b:
        raise ValueError(f"Target size ({b}) must be the same as input size ({a})")
    if weight is None and pos_weight is None:
        return _logits(input, target, reduction)
    return _weighted_logits(input, target, weight, pos_weight, reduction)


@operation(where="", name="soft_margin_loss", grad_name="SoftMarginLoss")
def _soft_margin(input, target, how):
    if input.dtype.category != FLOAT:
        raise RuntimeError(
            f"result type Float can't be cast to the desired output type {scalar_name(input.dtype)}: give floats"
        )
    return reduced((-target * input).exp().log1p().to(input.dtype), how)


@tensor_function(where="nn.functional")
def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """log(1 + exp(-target * input)) for targets 1 and -1."""
    return _soft_margin(input, target, reduction_of(size_average, reduce, reduction))


@operation(where="", name="multilabel_soft_margin_loss", grad_name="Div")
def _multilabel_soft_margin(input, target, weight, how):
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    axis = input.dim() - 1
    return reduced(loss.sum(axis) / input.shape[axis], how)


@tensor_function(where="nn.functional")
def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Cross entropy of sigmoid(input) with 0/1 targets, averaged over the classes (N, C)."""
    return _multilabel_soft_margin(input, target, weight, reduction_of(size_average, reduce, reduction))


# --- distributions ------------------------------------------------------------------------------------------------


@operation(where="", name="kl_div", grad_name="Sub")
def _kl_div(input, target, log_target, how):
    if input.dtype.category < FLOAT or target.dtype.category < FLOAT:
        raise RuntimeError("kl_div: Integral inputs not supported: convert them to a floating-point dtype.")
    loss = target.exp() * (target - input) if log_target else target.xlogy(target) - target * input
    if how == "batchmean":
        return loss.sum() / input.shape[0] if input.dim() else loss.sum()
    return reduced(loss, how)


@tensor_function(where="nn.functional")
def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """Kullback-Leibler divergence from the input, which is logarithms: target * (log target - input).

    Args: reduction: "mean" (over all elements; default), "batchmean", "sum" or "none".
        log_target: the target is logarithms too. Default False.
    Source: Kullback, Leibler 1951, On information and sufficiency."""
    if reduction != "batchmean" or size_average is not None or reduce is not None:
        reduction = reduction_of(size_average, reduce, reduction)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides by the number of elements; the divergence itself is what 'batchmean' gives:"
            " it divides by the batch size.",
            stacklevel=3,
        )
    return _kl_div(input, target, bool(log_target), reduction)


@operation(where="", name="poisson_nll_loss", grad_name="Sub")
def _poisson_nll(input, target, log_input, full, eps, how):
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0.0)
    return reduced(loss, how)


@tensor_function(where="nn.functional")
def poisson_nll_loss(
    input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"
):
    """Minus the log-likelihood of counts under Poisson distributions, without the term log(target!).

    Args: log_input: input is the logarithm of the rate. Default True; full: add Stirling's approximation of that term.
        eps: added to the rate before its logarithm is taken. Default 1e-8."""
    return _poisson_nll(input, target, bool(log_input), bool(full), eps, reduction_of(size_average, reduce, reduction))


def check_variance(values: np.ndarray) -> None:
    if not required(~(values < 0)):
        raise ValueError(
            f"var has negative entry/entries: it holds variances, and got {values[values < 0].reshape(-1)[0]}"
        )


@primitive(rule=lambda var, eps: var, gradient=lambda g, out, var, eps: g, name="_variance")
def _variance(var, eps):
    """At least eps, with the gradient of var itself."""
    check_variance(var)
    return np.maximum(var, var.dtype.type(eps))


@operation(where="", name="gaussian_nll_loss", grad_name="Mul")
def _gaussian_nll(input, target, var, full, eps, how):
    var = _variance(var, eps)
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, how)


def _differs_in_one_dim(have, shape) -> bool:
    """Whether one dim is 1 instead of what shape says, and all others are as it says."""
    return len(have) == len(shape) and [a for a, b in zip(have, shape, strict=True) if a != b] == [1]


@tensor_function(where="nn.functional")
def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """Minus the log-likelihood of targets under normal distributions with mean `input` and variance `var`.

    Args:
        var: a number, of the input's shape, or of that shape with one dim 1 or the last left out; at least eps is used.
        full: add the constant log(2 pi) / 2. Default False; reduction: "mean" (default), "sum" or "none".
    Source: Nix, Weigend 1994, Estimating the mean and variance of the target probability distribution."""
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError(f"var has negative entry/entries: gaussian_nll_loss takes variances, and got {var}")
        var = input.new_full(layout_of(input).shape, var)
    have, shape = layout_of(var).shape, layout_of(input).shape
    if have != shape:
        if shape[:-1] == have:
            var = var.unsqueeze(-1)
        elif not _differs_in_one_dim(have, shape):
            raise ValueError(f"var is of incorrect size: {list(have)} for an input {list(shape)}")
    values = known_values(var)
    if values is not None and layout_of(var).dtype.np.kind == "f":
        check_variance(values)
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not valid: give 'mean', 'sum' or 'none'")
    return _gaussian_nll(input, target, var, bool(full), eps, reduction)


# --- with the reductions numbered ---------------------------------------------------------------------------------


def numbered(reduction) -> str:
    """The reduction that 0, 1 or 2 stands for in functions of the torch namespace."""
    if reduction not in NUMBERED:
        raise ValueError(f"reduction is 0 (none), 1 (mean) or 2 (sum), not {reduction!r}")
    return NUMBERED[reduction]


@tensor_function(where="torch", name="kl_div")
def numbered_kl_div(input, target, reduction=0, *, log_target=False):
    """As nn.functional.kl_div; reduction 0 none (default), 1 mean, 2 sum."""
    return _kl_div(input, target, bool(log_target), numbered(reduction))


@tensor_function(where="torch", name="poisson_nll_loss")
def numbered_poisson_nll_loss(input, target, log_input, full, eps, reduction):
    """As nn.functional.poisson_nll_loss; reduction 0 none, 1 mean, 2 sum."""
    return _poisson_nll(input, target, bool(log_input), bool(full), eps, numbered(reduction))


@tensor_function(where="torch", name="binary_cross_entropy_with_logits")
def numbered_binary_cross_entropy_with_logits(input, target, weight=None, pos_weight=None, reduction=0):
    """As nn.functional.binary_cross_entropy_with_logits; reduction 0 none (default), 1 mean, 2 sum."""
    return _weighted_logits(input, target, weight, pos_weight, numbered(reduction))
