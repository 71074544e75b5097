"""Losses."""

from __future__ import annotations

import warnings

import numpy as np

from ..ir.shapes import Layout, broadcast_shapes, layout
from .declare import operation, primitive
from .loss_classes import reduced, reduction_of


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
        raise RuntimeError(
            f"all elements of input should be between 0 and 1: binary_cross_entropy got {bad}; put a sigmoid before it, or use the version with logits."
        )
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


@primitive(
    rule=lambda input, target: layout(broadcast_shapes(input.shape, target.shape), None, input.dtype, input.device),
    gradient=_logits_gradient,
    name="_bce_logits",
    grad_name="BinaryCrossEntropyWithLogits",
)
def _bce_logits(input, target):
    return np.maximum(input, 0) - input * target + np.log1p(np.exp(-np.abs(input)))


@operation(where="nn.functional", grad_name="BinaryCrossEntropyWithLogits")
def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
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
