"""Connectionist temporal classification."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..ir.dtypes import INT, int64
from ..ir.shapes import Layout, layout, size
from ..random import libm
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from .checks import tensor_function
from .declare import not_implemented, operation, primitive
from .loss import numbered
from .loss_classes import REDUCTIONS, reduction_of

# --- log-probabilities of parts of the alignments -----------------------------------------------------------------
#
# These lie near -100, where float32 steps by 8e-6, and a gradient is the exponential of their differences: only the
# same sums in the same order, each rounded to the dtype, give PyTorch's gradients.


def extended(targets: np.ndarray, lengths: np.ndarray, blank: int) -> np.ndarray:
    """Labels of each sample with a blank around each, (N, L = 2 S + 1); blanks fill up the shorter ones."""
    labels = np.full((len(lengths), 2 * lengths.max(initial=0) + 1), blank, np.int64)
    for i, (begin, length) in enumerate(zip(begins(lengths), lengths)):
        labels[i, 1 : 2 * length : 2] = targets[begin : begin + length] if targets.ndim == 1 else targets[i, :length]
    return labels


def begins(lengths: np.ndarray) -> np.ndarray:
    """Where each sample's targets begin, where they stand one after the other."""
    return np.cumsum(lengths) - lengths


def _exp(x: np.ndarray) -> np.ndarray:
    return libm.exp32(x) if x.dtype == np.float32 else np.exp(x)


def _log(x: np.ndarray) -> np.ndarray:
    return libm.log32(x) if x.dtype == np.float32 else np.log(x)


def _add(terms: np.ndarray) -> np.ndarray:
    """log of the sum of exponentials along the first dim, which has 2 or 3 terms."""
    base = np.maximum(terms.max(0), np.finfo(terms.dtype).min)  # finite, where all are -inf
    powers = _exp(terms - base)
    total = powers[0] + powers[1]
    if len(powers) > 2:
        total += powers[2]
    return _log(total) + base


def alphas(emitted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """log-probability of each prefix at each time, (T, N, L); emitted (T, N, L) is that of each place's label.

    Beyond a sample's own frames and places the values mean nothing, and nothing before depends on them."""
    frames, n, places = emitted.shape
    out = np.full((frames, n, 2 + places), -np.inf, emitted.dtype)  # two places before the first
    out[:1, :, 2:4] = emitted[:1, :, :2]
    sources = sliding_window_view(out, places, 2).transpose(0, 2, 1, 3)[:, ::-1]  # T, (0, 1, 2 places back), N, L
    barred = np.zeros((3, n, places), bool)
    barred[2, :, 2:] = labels[:, 2:] == labels[:, :-2]
    for t in range(1, frames):
        out[t, :, 2:] = _add(np.where(barred, -np.inf, sources[t - 1])) + emitted[t]
    return out[:, :, 2:]


def _whole(alpha: np.ndarray, frames: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """log-probability of the whole target of each sample, (N)."""
    n = np.arange(len(frames))
    if not len(alpha):
        return np.where(lengths == 0, 0, -np.inf).astype(alpha.dtype)
    ends = np.stack([alpha[frames - 1, n, 2 * lengths - back] for back in (0, 1)])
    out = np.where(lengths == 0, ends[0], _add(ends))
    return np.where(frames == 0, np.where(lengths == 0, 0, -np.inf), out).astype(alpha.dtype)


def betas(emitted: np.ndarray, labels: np.ndarray, frames: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """log-probability of each suffix at each time, its first label included: of a prefix, read from the end."""
    n, places = labels.shape
    sample = np.arange(n)[:, None]
    time = (frames[:, None] - 1 - np.arange(len(emitted))[:, None, None]) % max(len(emitted), 1)  # T, N, 1
    place = (2 * lengths[:, None] - np.arange(places)) % places  # N, L
    turned = (time * n + sample) * places + place
    return alphas(emitted.take(turned), labels[sample, place]).take(turned)


def _per_class(through: np.ndarray, labels: np.ndarray, lengths: np.ndarray, log_probs: np.ndarray) -> np.ndarray:
    """Places of the same label added up, from the last to the first: (T, N, L) to (T, N, C)."""
    out = np.full(log_probs.shape, -np.inf, log_probs.dtype)
    used = np.arange(labels.shape[1]) <= 2 * lengths[:, None]
    like = (labels[:, :, None] == labels[:, None]) & used[:, None]
    later = np.triu(like, 1).sum(2)  # places with the same label
    for turn in range(later.max(initial=-1) + 1):
        n, place = np.nonzero(used & (later == turn))
        at = (slice(None), n, labels[n, place])
        term = through[:, n, place]
        out[at] = _add(np.stack([out[at], term])) if turn else term
    return out


def _emitted(log_probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.take_along_axis(log_probs, labels[None], 2)


# --- the operation ------------------------------------------------------------------------------------------------


def _rule(log_probs: Layout, targets: Layout, input_lengths, target_lengths, blank, zero_infinity) -> list[Layout]:
    if log_probs.dtype.name not in ("float32", "float64"):
        raise not_implemented("ctc_loss_cpu", log_probs.dtype)
    places = 2 * max(target_lengths, default=0) + 1
    sizes = (log_probs.shape[1:2], (*log_probs.shape[:2], places))
    return [layout(size(s), None, log_probs.dtype, log_probs.device) for s in sizes]


def _gradient(g, out, log_probs, targets, input_lengths, target_lengths, blank, zero_infinity):
    return _ctc_backward(g[0], log_probs, targets, out[1], input_lengths, target_lengths, blank, zero_infinity), None


@primitive(rule=_rule, gradient=_gradient, name="_ctc_loss", grad_name="CtcLoss")
def _ctc(log_probs, targets, input_lengths, target_lengths, blank, zero_infinity):
    """The losses, and the alphas for the gradient."""
    check_labels(targets, target_lengths, log_probs.shape[2])
    frames, lengths = np.array(input_lengths, np.int64), np.array(target_lengths, np.int64)
    labels = extended(targets, lengths, blank)
    alpha = alphas(_emitted(log_probs, labels), labels)
    loss = -_whole(alpha, frames, lengths)
    return np.where(np.isinf(loss), 0, loss) if zero_infinity else loss, alpha


@primitive(
    rule=lambda g, log_probs, *rest: layout(log_probs.shape, None, log_probs.dtype, log_probs.device),
    name="_ctc_loss_backward",
)
def _ctc_backward(g, log_probs, targets, alpha, input_lengths, target_lengths, blank, zero_infinity):
    frames, lengths = np.array(input_lengths, np.int64), np.array(target_lengths, np.int64)
    labels = extended(targets, lengths, blank)
    beta = betas(_emitted(log_probs, labels), labels, frames, lengths)
    by_class = _per_class(alpha + beta, labels, lengths, log_probs)
    whole = _whole(alpha, frames, lengths)[:, None]
    out = (_exp(log_probs) - _exp(by_class - whole - log_probs)) * g[:, None]
    here = (np.arange(len(log_probs))[:, None] < frames)[..., None]
    if zero_infinity:
        here = here & ~np.isneginf(whole)
    return np.where(here, out, 0)


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
    loss = _ctc(log_probs, targets, input_lengths, target_lengths, blank, zero_infinity)[0]
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
def numbered_ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction=0, zero_infinity=False):
    """As nn.functional.ctc_loss; reduction 0 none (default), 1 mean, 2 sum."""
    return ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, numbered(reduction), zero_infinity)
