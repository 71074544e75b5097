"""Clipping of gradients, by their total norm or value by value.

All gradients are one operation's operands (norms, total norm, coefficient, scaled gradients), whose results are then
assigned to the gradients; so a training step pays for one edge, not for one for each parameter.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TypeAlias

import tenfold
from tenfold import Tensor

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

_tensor_or_tensors: TypeAlias = Tensor | Iterable[Tensor]


# --- pure functions of the gradients ------------------------------------------------------------------------


@tenfold.composite()
def total_norm_of(tensors, norm_type):
    """The norm of the tensors' norms: that of all elements taken together."""
    norms = [tenfold.linalg.vector_norm(t, norm_type) for t in tensors]
    return tenfold.linalg.vector_norm(tenfold.stack(norms), norm_type)


@tenfold.composite(data=("max_norm",))
def scaled_by_norm(grads, max_norm, total_norm):
    """The gradients times `max_norm / total_norm` where that is below 1."""
    coefficient = (max_norm / (total_norm + 1e-6)).clamp(max=1.0)
    return [(g * coefficient).to(g.dtype) for g in grads]


@tenfold.composite(data=("max_norm",))
def norm_and_scaled(grads, max_norm, norm_type):
    """Both of the above as one operation: (total norm, scaled gradients)."""
    total_norm = total_norm_of(grads, norm_type)
    return total_norm, scaled_by_norm(grads, max_norm, total_norm)


@tenfold.composite(data=("clip_value",))
def clamped(grads, clip_value):
    """The gradients with every element within `-clip_value` and `clip_value`."""
    return [g.clamp(-clip_value, clip_value) for g in grads]


# --- public ------------------------------------------------------------------------------------------------


def _tensors(given: _tensor_or_tensors) -> list[Tensor]:
    return [given] if isinstance(given, Tensor) else list(given)


def _grads(parameters: _tensor_or_tensors) -> list[Tensor]:
    """The gradients that are there."""
    return [p.grad for p in _tensors(parameters) if p.grad is not None]


def _check_finite(total_norm: Tensor, norm_type: float) -> None:
    """RuntimeError if the norm is infinite or NaN; it is read for that."""
    if not bool(total_norm.isfinite()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite ({total_norm.item()}), "
            f"so it cannot be clipped. Look for the first loss that is not finite, or set error_if_nonfinite=False."
        )


@tenfold.no_grad()
def get_total_norm(
    tensors: _tensor_or_tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all the tensors' elements taken together.

    Args:
        tensors: usually gradients.
        norm_type: p of the p-norm, or inf. Default 2.
        error_if_nonfinite: raise RuntimeError for an infinite or NaN norm (reads it). Default False.
        foreach: accepted; all tensors are taken at once anyway.
    Returns: a tensor without dims; 0 if there are no tensors.
    """
    tensors = _tensors(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return tenfold.tensor(0.0)
    total_norm = total_norm_of(tensors, norm_type)
    if error_if_nonfinite:
        _check_finite(total_norm, norm_type)
    return total_norm


@tenfold.no_grad()
def clip_grads_with_norm_(
    parameters: _tensor_or_tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scales the gradients by `max_norm / (total_norm + 1e-6)` where that is below 1.

    Args:
        parameters: those whose `grad` is scaled in place.
        max_norm: the wanted bound. Data: a new value is no new path.
        total_norm: what `get_total_norm` gave.
        foreach: accepted; all gradients are taken at once anyway.
    """
    grads = _grads(parameters)
    if grads:
        _assign(grads, scaled_by_norm(grads, float(max_norm), total_norm))


@tenfold.no_grad()
def clip_grad_norm_(
    parameters: _tensor_or_tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales the gradients so that their total norm is at most `max_norm`.

    Args:
        parameters: those whose `grad` is scaled in place.
        max_norm: the bound. Data: a new value is no new path.
        norm_type: p of the p-norm, or inf. Default 2.
        error_if_nonfinite: raise RuntimeError for an infinite or NaN norm (reads it). Default False.
        foreach: accepted; all gradients are taken at once anyway.
    Returns: the total norm before clipping.
    Source: Pascanu, Mikolov and Bengio 2013, On the difficulty of training recurrent neural networks.
    """
    grads = _grads(parameters)
    norm_type = float(norm_type)
    max_norm = float(max_norm)
    if not grads:
        return tenfold.tensor(0.0)
    if error_if_nonfinite:
        total_norm = total_norm_of(grads, norm_type)
        _check_finite(total_norm, norm_type)
        scaled = scaled_by_norm(grads, max_norm, total_norm)
    else:
        total_norm, scaled = norm_and_scaled(grads, max_norm, norm_type)
    _assign(grads, scaled)
    return total_norm


def clip_grad_norm(
    parameters: _tensor_or_tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The old name of `clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        category=FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


@tenfold.no_grad()
def clip_grad_value_(parameters: _tensor_or_tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Brings every element of the gradients within `-clip_value` and `clip_value`.

    Args:
        parameters: those whose `grad` is changed in place.
        clip_value: the bound. Data: a new value is no new path.
        foreach: accepted; all gradients are taken at once anyway.
    """
    grads = _grads(parameters)
    if grads:
        _assign(grads, clamped(grads, float(clip_value)))


def _assign(grads: list[Tensor], values: list[Tensor]) -> None:
    """Gives the gradients their new values, in place."""
    tenfold.assign(grads, values)
