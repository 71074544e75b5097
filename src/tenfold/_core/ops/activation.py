"""Activations."""

from __future__ import annotations

import numpy as np

from .declare import elementwise, function


@elementwise(gradient=lambda g, out, input: g * (out > 0), where="torch Tensor", out=False)
def relu(input):
    """max(0, input)."""
    return np.maximum(input, 0)


@elementwise(kind="float", gradient=lambda g, out, input: g * (1 - out * out))
def tanh(input):
    """Hyperbolic tangent."""
    return np.tanh(input)


def _sigmoid_gradient(g, out, input):
    return g * (out * (1 - out))


@elementwise(kind="float", gradient=_sigmoid_gradient, where="torch Tensor nn.functional")
def sigmoid(input):
    """1 / (1 + exp(-input))."""
    small = np.exp(-np.abs(input)) if input.dtype.kind == "f" else None
    if small is None:
        return 1 / (1 + np.exp(-input))
    return np.where(input >= 0, 1, small) / (1 + small)


@function(where="nn.functional", name="relu")
def functional_relu(input, inplace=False):
    """max(0, input); inplace=True writes it into input."""
    return input.relu_() if inplace else relu(input)


@function(where="nn.functional", name="tanh")
def functional_tanh(input):
    """Hyperbolic tangent."""
    return tanh(input)
