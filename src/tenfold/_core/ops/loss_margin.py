"""Losses with a margin: of scores, of pairs, of triplets, of embeddings."""

from __future__ import annotations

import numpy as np

from ..ir.arrays import required
from ..ir.dtypes import FLOAT, bool_, int64
from ..ir.shapes import Layout, layout
from ..trace.handle import layout_of
from .checks import known_values, tensor_function
from .declare import not_implemented, operation, primitive, scalar_name
from .distance import pairwise_distance
from .loss import numbered
from .loss_classes import REDUCTIONS, reduced, reduction_of

# --- pairs --------------------------------------------------------------------------------------------------------


@operation(where="", name="hinge_embedding_loss", grad_name="Add")
def _hinge(input, target, margin, how):
    apart = (margin - input).clamp_min(0)
    loss = apart.masked_fill(target == 1, 0.0) + input.masked_fill(target == -1, 0.0)
    return reduced(loss, how)


@tensor_function(where="nn.functional")
def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """input where the target is 1, and max(0, margin - input) where it is -1: for distances of pairs."""
    return _hinge(input, target, margin, reduction_of(size_average, reduce, reduction))


@operation(where="", name="margin_ranking_loss", grad_name="ClampMin")
def _ranking(input1, input2, target, margin, how):
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), how)


@tensor_function(where="nn.functional")
def margin_ranking_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """max(0, margin - target * (input1 - input2)): target 1 says that input1 ranks higher, -1 that input2 does."""
    how = reduction_of(size_average, reduce, reduction)
    shapes = [layout_of(t).shape for t in (input1, input2, target)]
    if len({len(s) for s in shapes}) > 1:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes:"
            f" input1: {shapes[0]}, input2: {shapes[1]}, target: {shapes[2]} "
        )
    return _ranking(input1, input2, target, margin, how)


@operation(where="", name="cosine_embedding_loss", grad_name="Add")
def _cosine_embedding(input1, input2, target, margin, how):
    axis = target.dim()
    dot = (input1 * input2).sum(axis)
    square1 = (input1 * input1).sum(axis) + 1e-12
    square2 = (input2 * input2).sum(axis) + 1e-12
    cosine = dot / (square1 * square2).sqrt()
    alike = (1 - cosine).masked_fill(target != 1, 0.0)
    apart = (cosine - margin).clamp_min(0).masked_fill(target != -1, 0.0)
    return reduced(alike + apart, how)


def _check_cosine(input1: Layout, input2: Layout, target: Layout) -> None:
    if target.ndim > 1:
        raise RuntimeError(f"0D or 1D target tensor expected, multi-target not supported: target {list(target.shape)}")
    if target.ndim == 1 and not input1.ndim == input2.ndim == 2:
        raise RuntimeError(
            f"1D target tensor expects 2D input tensors, but found inputs with sizes {list(input1.shape)}"
            f" and {list(input2.shape)}."
        )
    if target.ndim == 0 and not input1.ndim == input2.ndim == 1:
        raise RuntimeError(
            f"0D target tensor expects 1D input tensors, but found inputs with sizes {list(input1.shape)}"
            f" and {list(input2.shape)}."
        )


@tensor_function(where="nn.functional")
def cosine_embedding_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """1 - cosine where the target is 1, max(0, cosine - margin) where it is -1.

    Args: input1, input2: (N, D) or (D); target: (N) or ()."""
    how = reduction_of(size_average, reduce, reduction)
    _check_cosine(layout_of(input1), layout_of(input2), layout_of(target))
    return _cosine_embedding(input1, input2, target, margin, how)


# --- triplets -----------------------------------------------------------------------------------------------------


def _apart(positive, negative, margin, how: str):
    return reduced((margin + positive - negative).clamp_min(0), how)


@operation(where="", name="triplet_margin_loss", grad_name="ClampMin")
def _triplet(anchor, positive, negative, margin, p, eps, swap, how):
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = far.minimum(pairwise_distance(positive, negative, p, eps))
    return _apart(near, far, margin, how)


def _check_triplet(anchor, positive, negative, margin) -> None:
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    a, p, n = [layout_of(t).ndim for t in (anchor, positive, negative)]
    if not a == p == n:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got:"
            f" anchor {a}D, positive {p}D, and negative {n}D inputs"
        )


@tensor_function(where="nn.functional")
def triplet_margin_loss(
    anchor, positive, negative, margin=1.0, p=2, eps=1e-6, swap=False, size_average=None, reduce=None, reduction="mean"
):
    """max(0, margin + d(anchor, positive) - d(anchor, negative)), d the p-norm of the difference.

    Args: swap: use d(positive, negative) where it is smaller than d(anchor, negative). Default False.
    Source: Balntas et al. 2016, Learning shallow convolutional feature descriptors with triplet losses."""
    how = reduction_of(size_average, reduce, reduction)
    _check_triplet(anchor, positive, negative, margin)
    return _triplet(anchor, positive, negative, margin, p, eps, bool(swap), how)


@tensor_function(where="nn.functional")
def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """triplet_margin_loss with any distance.

    Args: distance_function: of two tensors. Default None: the 2-norm of the difference."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction: give 'mean', 'sum' or 'none'")
    _check_triplet(anchor, positive, negative, margin)
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return _apart(near, far, margin, reduction)


# --- scores of classes --------------------------------------------------------------------------------------------


def check_class_range(values: np.ndarray, low: int, count: int) -> None:
    bad = (values < low) | (values >= count)
    if not required(~bad):
        at = [int(k) for k in np.argwhere(bad)[0]]
        raise RuntimeError(
            f"target out of range: {int(values[tuple(at)])} at position {at}; classes are 0 to {count - 1}"
        )


@primitive(
    rule=lambda target, count: layout((*target.shape, count), None, bool_, target.device),
    differentiable=False,
    name="_class_mask",
)
def _class_mask(target, count):
    check_class_range(target, 0, count)
    return target[..., None] == np.arange(count)


def _check_multi_margin(input: Layout, target: Layout, weight) -> None:
    if input.dtype.category != FLOAT:
        raise not_implemented("multi_margin_loss", input.dtype)
    if input.ndim > 2 or 0 in input.shape[-1:]:
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}"
        )
    samples = input.shape[0] if input.ndim == 2 else 1
    if target.ndim > 1 or target.numel != samples:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples."
            f" Expected target size [{samples}], but got {list(target.shape)}. Input has shape {list(input.shape)}."
        )
    if target.dtype is not int64:
        raise RuntimeError(f"expected scalar type Long but found {scalar_name(target.dtype)}: targets are classes")
    if weight is not None and tuple(weight.shape) != (input.shape or (1,))[-1:]:
        raise RuntimeError(
            f"inconsistent weight size, expected {(input.shape or (1,))[-1]} but got {list(weight.shape)}"
        )


@operation(where="", name="multi_margin_loss", grad_name="MultiMarginLoss")
def _multi_margin(input, target, p, margin, weight, how):
    _check_multi_margin(layout_of(input), layout_of(target), None if weight is None else layout_of(weight))
    count = input.shape[-1] if input.dim() else 1
    rows, classes = input.reshape((-1, count)), target.reshape(-1)
    mask = _class_mask(classes, count)
    right = rows.masked_fill(mask.logical_not(), 0.0).sum(1, keepdim=True)
    loss = (margin - right + rows).relu()
    loss = loss if p == 1 else loss * loss
    if weight is not None:
        loss = loss * weight.index_select(0, classes).unsqueeze(1)
    loss = loss.masked_fill(mask, 0.0).sum(1) / count
    return reduced(loss.reshape(target.shape) if how == "none" else loss, how)


def _early_margin(arguments: list) -> None:
    values, shape = known_values(arguments[1]), layout_of(arguments[0]).shape
    if values is not None and shape and values.dtype.kind == "i":
        check_class_range(values, 0, shape[-1])


_multi_margin.operation.early = _early_margin


@tensor_function(where="nn.functional")
def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Mean over the other classes of max(0, margin - score of the target + score)**p.

    Args: input: (N, C) or (C); target: (N) or (), int64; p: 1 (default) or 2; weight: (C), by the target's class.
    Source: Crammer, Singer 2001, On the algorithmic implementation of multiclass kernel-based vector machines."""
    how = reduction_of(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError(f"only p == 1 and p == 2 supported, and multi_margin_loss got {p}")
    if weight is not None and layout_of(weight).ndim != 1:
        raise ValueError(
            f"weight must be one-dimensional, (C), and multi_margin_loss got {layout_of(weight).ndim} dims"
        )
    _check_multi_margin(layout_of(input), layout_of(target), None if weight is None else layout_of(weight))
    return _multi_margin(input, target, p, margin, weight, how)


def _label_rule(target: Layout) -> tuple[Layout, Layout, Layout]:
    indices = layout(target.shape, None, int64, target.device)
    mask = layout(target.shape, None, bool_, target.device)
    return indices, mask, mask


def check_labels(target: np.ndarray) -> None:
    bad = (target < -1) | (target >= target.shape[-1])
    if bad.any():
        raise RuntimeError(
            f"argument #2 'target' is out of range: {int(target[bad].reshape(-1)[0])};"
            f" labels are 0 to {target.shape[-1] - 1}, and -1 after the last"
        )


@primitive(rule=_label_rule, differentiable=False, name="_labels")
def _labels(target):
    """The labels of each row up to the first -1: (labels, which places hold one, which classes are among them)."""
    check_labels(target)
    valid = np.logical_and.accumulate(target >= 0, axis=1)
    labels = np.where(valid, target, 0)
    among = np.zeros(target.shape, bool)
    row, place = np.nonzero(valid)
    among[row, labels[row, place]] = True
    return labels, valid, among


@operation(where="", name="multilabel_margin_loss", grad_name="MultilabelMarginLoss")
def _multilabel(input, target, how):
    count = input.shape[-1] if input.dim() else 1
    rows = input.reshape((-1, count))
    labels, valid, among = _labels(target.reshape((-1, count)))
    right = rows.gather(1, labels)
    loss = (1 - right.unsqueeze(2) + rows.unsqueeze(1)).relu()
    loss = loss.masked_fill((valid.unsqueeze(2) & among.logical_not().unsqueeze(1)).logical_not(), 0.0)
    loss = loss.sum((1, 2)) / count
    if how == "none" and input.dim() < 2:
        loss = loss.reshape(())
    return reduced(loss, how)


def _early_labels(arguments: list) -> None:
    values = known_values(arguments[1])
    if values is not None and values.ndim and values.size:
        check_labels(values)


_multilabel.operation.early = _early_labels


@tensor_function(where="nn.functional")
def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """Mean over classes of max(0, 1 - score of a label + score of a class that is no label), for every label.

    Args: input: (N, C) or (C); target: int64 of that shape, the labels first, then -1."""
    how = reduction_of(size_average, reduce, reduction)
    lay, labels = layout_of(input), layout_of(target)
    if lay.ndim > 2 or (lay.ndim and lay.shape[-1] == 0):
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(lay.shape)}"
        )
    if labels.shape != lay.shape and not (lay.ndim < 2 and labels.ndim < 2 and labels.numel == lay.numel):
        raise RuntimeError(f"inconsistent target size: {list(labels.shape)} for input of size: {list(lay.shape)}")
    if lay.dtype.category != FLOAT:
        raise not_implemented("multilabel_margin_loss_forward_out_frame", lay.dtype)
    if labels.dtype is not int64:
        raise RuntimeError(f"expected scalar type Long but found {scalar_name(labels.dtype)}: targets are classes")
    return _multilabel(input, target, how)


# --- with the reductions numbered ---------------------------------------------------------------------------------


@tensor_function(where="torch", name="hinge_embedding_loss")
def numbered_hinge_embedding_loss(input, target, margin=1.0, reduction=0):
    """As nn.functional.hinge_embedding_loss; reduction 0 none (default), 1 mean, 2 sum."""
    return _hinge(input, target, margin, numbered(reduction))


@tensor_function(where="torch", name="margin_ranking_loss")
def numbered_margin_ranking_loss(input1, input2, target, margin=0.0, reduction=0):
    """As nn.functional.margin_ranking_loss; reduction 0 none (default), 1 mean, 2 sum."""
    return _ranking(input1, input2, target, margin, numbered(reduction))


@tensor_function(where="torch", name="cosine_embedding_loss")
def numbered_cosine_embedding_loss(input1, input2, target, margin=0.0, reduction=0):
    """As nn.functional.cosine_embedding_loss; reduction 0 none (default), 1 mean, 2 sum."""
    return cosine_embedding_loss(input1, input2, target, margin, reduction=numbered(reduction))


@tensor_function(where="torch", name="triplet_margin_loss")
def numbered_triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction=0):
    """As nn.functional.triplet_margin_loss; reduction 0 none (default), 1 mean, 2 sum."""
    return _triplet(anchor, positive, negative, margin, p, eps, bool(swap), numbered(reduction))
