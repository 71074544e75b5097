"""Dropout."""

from __future__ import annotations

import warnings

from ..ir.dtypes import bool_
from ..trace.handle import layout_of, translated
from .checks import tensor_function
from .declare import inplace_variant, operation
from .random import draw

# --- noise --------------------------------------------------------------------------------------------------------


def noise(input, shape, p: float):
    """Inside a body: zeros with probability p, and 1 / (1 - p) otherwise, of a shape that broadcasts to the input's."""
    return kept(input, shape, p) / (1.0 - p)


def kept(input, shape, p: float):
    """Inside a body: zeros with probability p, and ones."""
    lay = layout_of(input)
    strides = lay.strides if shape == lay.shape and lay.dense and not lay.contig else None
    return draw("bernoulli", shape, strides, lay.dtype, None, 1.0 - p, 0.0)


def feature_shape(lay) -> tuple[int, ...]:
    """One number for each channel of each sample."""
    if lay.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return (*lay.shape[:2], *[1] * (lay.ndim - 2))


@operation(where="", name="_dropout", grad_name="Mul")
def _dropout(input, p, features):
    """Zeros with probability p, the rest scaled by 1 / (1 - p); p is between 0 and 1, both excluded."""
    lay = layout_of(input)
    return input * noise(input, feature_shape(lay) if features else lay.shape, p)


ALPHA = 1.7580993408473766  # minus the limit of SELU at minus infinity


@operation(where="", name="_alpha_dropout", grad_name="Add")
def _alpha_dropout(input, p, features):
    """Sets to SELU's negative limit with probability p, then restores mean and variance."""
    lay = layout_of(input)
    ones = kept(input, feature_shape(lay) if features else lay.shape, p)
    a = 1 / ((ALPHA**2 * p + 1) * (1 - p)) ** 0.5
    shift = (ones - 1) * (ALPHA * a) + ALPHA * a * p
    return input * (ones * a) + shift


def check(p) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _applied(op, input, p, training: bool, inplace: bool, features: bool):
    check(p)
    if not training or p == 0 or layout_of(input).numel == 0:
        return input
    if not inplace:
        return input * input.new_zeros(()) if p == 1 else op(input, float(p), features)
    if p == 1:
        return input.mul_(0)
    return _in_place[op](input, float(p), features)


_in_place = {op: inplace_variant(op, op.operation.name) for op in (_dropout, _alpha_dropout)}

# --- public names -------------------------------------------------------------------------------------------------


@tensor_function(where="nn.functional", name="dropout")
@translated
def functional_dropout(input, p=0.5, training=True, inplace=False):
    """Zeroes elements with probability p and scales the others by 1 / (1 - p); without training, the input itself.

    Source: Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from overfitting."""
    return _applied(_dropout, input, p, training, inplace, False)


@tensor_function(where="nn.functional", name="alpha_dropout")
def functional_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps mean 0 and variance 1, for networks of SELU.

    Source: Klambauer et al. 2017, Self-normalizing neural networks."""
    return _applied(_alpha_dropout, input, p, training, inplace, False)


@tensor_function(where="nn.functional", name="feature_alpha_dropout")
def functional_feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """alpha_dropout of whole channels of (N, C, *)."""
    return _applied(_alpha_dropout, input, p, training, inplace, True)


def _channels(name: str, dims: int, quiet_3d: bool):
    unbatched, batched = dims + 1, dims + 2

    def f(input, p=0.5, training=True, inplace=False):
        check(p)
        n = layout_of(input).ndim
        if n not in (unbatched, batched):
            if dims == 1:
                raise RuntimeError(
                    f"dropout1d: Expected 2D or 3D input, but received a {n}D input: (N, C, L) or (C, L)."
                )
            warnings.warn(
                f"{name}: Received a {n}-D input, where {batched}-D (or {unbatched}-D without a batch) is expected;"
                " channels are taken to be the second dim.",
                stacklevel=3,
            )
        if quiet_3d and n == 3:
            warnings.warn(
                "dropout2d: Received a 3-D input, taken as (N, C, L), not as one image (C, H, W):"
                " use dropout1d for the first, add a batch dim for the second.",
                stacklevel=3,
            )
        if n == unbatched and not quiet_3d:
            if not training or p == 0:
                return input
            r = _applied(_dropout, input.unsqueeze(0), p, training, False, True).squeeze(0)
            return input.copy_(r) if inplace else r
        return _applied(_dropout, input, p, training, inplace, True)

    f.__doc__ = (
        f"Sets whole channels of (N, C, *), * of {dims} dims, to zero with probability p, and scales the"
        " others by 1 / (1 - p)."
        "\n\n    Source: Tompson et al. 2015, Efficient object localization using convolutional networks."
    )
    f.__name__ = f.__qualname__ = name
    return tensor_function(where="nn.functional", name=name)(f)


dropout1d = _channels("dropout1d", 1, False)
dropout2d = _channels("dropout2d", 2, True)
dropout3d = _channels("dropout3d", 3, False)


def _torch_names(name: str, op, features: bool) -> None:
    def f(input, p, train):
        return _applied(op, input, p, train, False, features)

    def g(input, p, train):
        return _applied(op, input, p, train, True, features)

    for made, called in ((f, name), (g, name + "_")):
        made.__name__ = made.__qualname__ = called
        made.__doc__ = f"As nn.functional's{', in place' if made is g else ''}; `train` is its `training`."
        tensor_function(where="torch", name=called)(made)


_torch_names("dropout", _dropout, False)
_torch_names("feature_dropout", _dropout, True)
_torch_names("alpha_dropout", _alpha_dropout, False)
_torch_names("feature_alpha_dropout", _alpha_dropout, True)


@operation(where="", name="native_dropout", grad_name="NativeDropout")
def _native_dropout(input, p):
    ones = kept(input, layout_of(input).shape, p)
    return input * (ones / (1.0 - p)), ones != 0


@tensor_function(where="torch")
def native_dropout(input, p, train):
    """Dropout and the mask of what it kept."""
    if train is False or p == 0:
        return input.clone(), input.new_ones(layout_of(input).shape, dtype=bool_)
    if p == 1:
        zeros = input * 0
        return zeros, zeros != zeros
    return _native_dropout(input, float(p))
