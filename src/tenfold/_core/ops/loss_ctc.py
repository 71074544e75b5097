"""Connectionist temporal classification."""

from __future__ import annotations

import numpy as np

from ..ir.dtypes import INT, int64
from ..ir.shapes import Layout, layout, size
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from .checks import tensor_function
from .declare import not_implemented, operation, primitive
from .loss import numbered
from .loss_classes import REDUCTIONS, reduction_of

# --- forward and backward variables -------------------------------------------------------------------------------


def extended(targets: np.ndarray, lengths, blank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of each sample with blanks around them, (N, 2 S + 1); which places are used; where one may skip."""
    n, longest = len(lengths), max(lengths, default=0)
    labels = np.full((n, 2 * longest + 1), blank, np.int64)
    for i, (begin, length) in enumerate(zip(begins(targets, lengths), lengths)):
        labels[i, 1 : 2 * length : 2] = targets[begin : begin + length] if targets.ndim == 1 else targets[i, :length]
    used = np.arange(labels.shape[1]) < 2 * np.asarray(lengths, np.int64)[:, None] + 1
    skips = np.zeros(labels.shape, bool)
    skips[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    return labels, used, skips


def begins(targets: np.ndarray, lengths) -> np.ndarray:
    """Where each sample's targets begin, where they stand one after the other."""
    return np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64) if len(lengths) else np.zeros(0, np.int64)


def _shifted(x: np.ndarray, by: int) -> np.ndarray:
    out = np.full(x.shape, -np.inf, x.dtype)
    if by < x.shape[1]:
        out[:, by:] = x[:, : x.shape[1] - by]
    return out


def _add(*terms) -> np.ndarray:
    """log of the sum of exponentials."""
    top = np.maximum.reduce(terms)
    base = np.where(np.isneginf(top), 0, top)
    return np.log(sum(np.exp(t - base) for t in terms)) + base


def alphas(emitted: np.ndarray, used, skips) -> np.ndarray:
    """log-probability of each prefix at each time; emitted (T, N, L) is the log-probability of each place's label."""
    out = np.full(emitted.shape, -np.inf, emitted.dtype)
    if not len(emitted):
        return out
    out[0, :, :2] = emitted[0, :, :2]
    out[0][~used] = -np.inf
    for t in range(1, len(emitted)):
        before = out[t - 1]
        jump = np.where(skips, _shifted(before, 2), -np.inf)
        out[t] = np.where(used, _add(before, _shifted(before, 1), jump) + emitted[t], -np.inf)
    return out


def _last(alpha: np.ndarray, input_lengths, target_lengths) -> np.ndarray:
    """log-probability of the whole target of each sample."""
    out = []
    for i, (frames, length) in enumerate(zip(input_lengths, target_lengths)):
        if frames == 0:
            out.append(0.0 if length == 0 else -np.inf)
            continue
        ends = alpha[frames - 1, i, max(2 * length - 1, 0) : 2 * length + 1]
        out.append(_add(*ends) if len(ends) > 1 else ends[0])
    return np.array(out, alpha.dtype).reshape(len(input_lengths))


def betas(emitted: np.ndarray, used, skips, input_lengths, target_lengths) -> np.ndarray:
    """log-probability of each suffix at each time, its first label included."""
    out = np.full(emitted.shape, -np.inf, emitted.dtype)
    frames, lengths = np.asarray(input_lengths), np.asarray(target_lengths)
    places = np.arange(emitted.shape[2])
    final = (places == 2 * lengths[:, None]) | (places == 2 * lengths[:, None] - 1)
    may_skip = np.zeros(skips.shape, bool)
    may_skip[:, :-2] = skips[:, 2:]
    nothing = np.full(emitted.shape[1:], -np.inf, emitted.dtype)
    for t in range(len(emitted) - 1, -1, -1):
        after = out[t + 1] if t + 1 < len(emitted) else nothing
        jump = np.where(may_skip, _shifted(after[:, ::-1], 2)[:, ::-1], -np.inf)
        going = _add(after, _shifted(after[:, ::-1], 1)[:, ::-1], jump) + emitted[t]
        at_end = (frames == t + 1)[:, None]
        inside = (t < frames)[:, None]
        out[t] = np.where(used & inside, np.where(at_end, np.where(final, emitted[t], -np.inf), going), -np.inf)
    return out


def _emitted(log_probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.take_along_axis(log_probs, np.broadcast_to(labels, (log_probs.shape[0], *labels.shape)), 2)


# --- the operation ------------------------------------------------------------------------------------------------


def _rule(log_probs: Layout, targets: Layout, input_lengths, target_lengths, blank, zero_infinity) -> Layout:
    if log_probs.dtype.name not in ("float32", "float64"):
        raise not_implemented("ctc_loss_cpu", log_probs.dtype)
    return layout(size((log_probs.shape[1],)), None, log_probs.dtype, log_probs.device)


def _gradient(g, out, log_probs, targets, input_lengths, target_lengths, blank, zero_infinity):
    return _ctc_backward(g, log_probs, targets, out, input_lengths, target_lengths, blank, zero_infinity), None


@primitive(rule=_rule, gradient=_gradient, name="_ctc_loss", grad_name="CtcLoss")
def _ctc(log_probs, targets, input_lengths, target_lengths, blank, zero_infinity):
    check_labels(targets, target_lengths, log_probs.shape[2])
    labels, used, skips = extended(targets, target_lengths, blank)
    alpha = alphas(_emitted(log_probs, labels), used, skips)
    loss = -_last(alpha, input_lengths, target_lengths)
    return np.where(np.isinf(loss), 0, loss).astype(loss.dtype) if zero_infinity else loss


@primitive(
    rule=lambda g, log_probs, *rest: layout(log_probs.shape, None, log_probs.dtype, log_probs.device),
    name="_ctc_loss_backward",
)
def _ctc_backward(g, log_probs, targets, loss, input_lengths, target_lengths, blank, zero_infinity):
    labels, used, skips = extended(targets, target_lengths, blank)
    emitted = _emitted(log_probs, labels)
    alpha = alphas(emitted, used, skips)
    beta = betas(emitted, used, skips, input_lengths, target_lengths)
    whole = _last(alpha, input_lengths, target_lengths)
    by_class = np.full(log_probs.shape, -np.inf, log_probs.dtype)
    t, n, _ = np.indices(emitted.shape)
    np.logaddexp.at(by_class, (t, n, np.broadcast_to(labels, emitted.shape)), alpha + beta)
    share = np.exp(by_class - whole[:, None] - log_probs)
    out = (np.exp(log_probs) - np.where(np.isneginf(by_class), 0, share)) * g[:, None]
    frames = np.asarray(input_lengths)
    out = np.where((np.arange(len(log_probs))[:, None] < frames)[..., None], out, 0)
    impossible = np.isneginf(whole)[:, None]
    return np.where(impossible, 0 if zero_infinity else np.nan, out).astype(log_probs.dtype)


def check_labels(targets: np.ndarray, lengths, classes: int) -> None:
    if targets.ndim == 2:
        targets = targets[np.arange(targets.shape[1]) < np.asarray(lengths)[:, None]]
    bad = (targets < 0) | (targets >= classes)
    if bad.any():
        raise RuntimeError(
            f"ctc_loss: label {int(targets[bad][0])} in targets is out of range: classes are 0 to {classes - 1}"
        )


@primitive(
    rule=lambda loss, lengths: loss, gradient=lambda g, out, loss, lengths: _per_label(g, lengths), name="_per_label"
)
def _per_label(loss, lengths):
    """Each loss over the length of its target, of at least 1."""
    return loss / np.maximum(lengths, 1).astype(loss.dtype)


@operation(where="", name="ctc_loss", grad_name="CtcLoss")
def _reduced(log_probs, targets, input_lengths, target_lengths, blank, how, zero_infinity):
    one = log_probs.dim() == 2
    if one:
        log_probs = log_probs.unsqueeze(1)
    if one and targets.dim() == 1:
        targets = targets.unsqueeze(0)
    loss = _ctc(log_probs, targets, input_lengths, target_lengths, blank, zero_infinity)
    if how == "mean":
        return _per_label(loss, target_lengths).mean()
    if how == "sum":
        return loss.sum()
    return loss.reshape(()) if one else loss


def _lengths(name: str, x) -> tuple[int, ...]:
    if isinstance(x, Tensor):
        if layout_of(x).dtype.category > INT:
            raise RuntimeError(f"ctc_loss: {name} must be integral, not {layout_of(x).dtype}")
        x = array_of(x).reshape(-1).tolist()
    return tuple(int(n) for n in (x if isinstance(x, (tuple, list)) else (x,)))


def _check(log_probs: Layout, targets: Layout, inputs, lengths, blank: int) -> None:
    if log_probs.ndim not in (2, 3):
        raise RuntimeError(f"ctc_loss: log_probs are (T, N, C) or (T, C), and got {list(log_probs.shape)}")
    frames, classes = log_probs.shape[0], log_probs.shape[-1]
    n = log_probs.shape[1] if log_probs.ndim == 3 else 1
    if not 0 <= blank < classes:
        raise RuntimeError(f"blank must be in label range, 0 to {classes - 1}, and ctc_loss got {blank}")
    for name, x in (("input_lengths", inputs), ("target_lengths", lengths)):
        if len(x) != n:
            raise RuntimeError(f"{name} must be of size batch_size: ctc_loss got {len(x)} for a batch of {n}")
        if min(x, default=0) < 0:
            raise RuntimeError(f"{name} must not be negative: ctc_loss got {list(x)}")
    if max(inputs, default=0) > frames:
        raise RuntimeError(
            f"Expected input_lengths to have value at most {frames}, but got value {max(inputs)} (ctc_loss)"
        )
    width = targets.shape[-1] if targets.ndim else 0
    needed = sum(lengths) if targets.ndim == 1 and log_probs.ndim == 3 else max(lengths, default=0)
    if width < needed or targets.ndim not in (1, 2):
        raise RuntimeError(
            f"Expected tensor to have size at least {needed} at dimension {max(targets.ndim - 1, 0)}, but got size"
            f" {list(targets.shape)} for argument #2 'targets' (while checking arguments for ctc_loss)"
        )


@tensor_function(where="nn.functional")
def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    """Minus the log-probability of label sequences, summed over all their alignments with the input.

    Args:
        log_probs: (T, N, C) or (T, C), log-probabilities; targets: (N, S), or all one after the other.
        input_lengths, target_lengths: (N), tensors or tuples of ints.
        blank: the class between labels. Default 0.
        reduction: "mean" (each loss over its target's length, then the mean; default), "sum" or "none".
        zero_infinity: 0 for targets that are too long for their input. Default False.
    Source: Graves et al. 2006, Connectionist temporal classification."""
    if reduction not in REDUCTIONS:
        reduction = reduction_of(None, None, reduction)
    inputs, lengths = _lengths("input_lengths", input_lengths), _lengths("target_lengths", target_lengths)
    _check(layout_of(log_probs), layout_of(targets), inputs, lengths, blank)
    if layout_of(targets).dtype.category > INT:
        targets = targets.to(int64)
    return _reduced(log_probs, targets, inputs, lengths, blank, reduction, bool(zero_infinity))


@tensor_function(where="torch", name="ctc_loss")
def numbered_ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction=1, zero_infinity=False):
    """As nn.functional.ctc_loss; reduction 0 none, 1 mean, 2 sum."""
    return ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, numbered(reduction), zero_infinity)
