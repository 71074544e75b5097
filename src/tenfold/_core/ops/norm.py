"""Normalisation layers' functions."""

from __future__ import annotations

import numpy as np

from ..errors import shape_text
from ..ir.shapes import Layout, layout
from .declare import function, operation, primitive


def _core_rule(input: Layout, dims: int, eps: float) -> Layout:
    return layout(input.shape, None, input.dtype, input.device)


def _core_gradient(g, out, input, dims, eps):
    axes = tuple(range(-dims, 0))
    rstd = ((input - input.mean(axes, keepdim=True)) ** 2).mean(axes, keepdim=True).add(eps).rsqrt()
    return rstd * (g - g.mean(axes, keepdim=True) - out * (g * out).mean(axes, keepdim=True))


@primitive(rule=_core_rule, gradient=_core_gradient, name="_standardize", grad_name="NativeLayerNorm")
def standardize(input, dims, eps):
    """Mean 0 and variance 1 over the last dims."""
    axes = tuple(range(-dims, 0))
    centred = input - input.mean(axes, keepdims=True, dtype=np.float64 if input.dtype == np.float64 else np.float32)
    variance = np.mean(centred * centred, axes, keepdims=True)
    return (centred / np.sqrt(variance + input.dtype.type(eps))).astype(input.dtype)


@operation(where="", name="native_layer_norm", grad_name="NativeLayerNorm")
def _layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    shape = tuple(normalized_shape)
    n = len(shape)
    if n < 1:
        raise RuntimeError("Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = []")
    if tuple(input.shape[-n:]) != shape or input.dim() < n:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], but got input of size{shape_text(input.shape)}"
        )
    out = standardize(input, n, eps)
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


@function(where="torch")
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True):
    """Normalises over the last dims, as nn.LayerNorm."""
    return _layer_norm(input, normalized_shape, weight, bias, eps)


@function(where="nn.functional", name="layer_norm")
def functional_layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Normalises over the last dims (those of normalized_shape) to mean 0 and variance 1, then scales and shifts.

    Source: Ba, Kiros, Hinton 2016, Layer Normalization."""
    return _layer_norm(input, normalized_shape, weight, bias, eps)
