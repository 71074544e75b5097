"""A batch norm that no longer learns is a scale and a shift for each channel: they go into the layer before it."""

from __future__ import annotations

import copy

import tenfold
from tenfold import Tensor
from tenfold.nn.parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _check(layer, bn) -> None:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval! Call eval() on the layer and on the batch norm first.")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None; this batch norm keeps no averages.")


def fuse_conv_bn_eval(conv, bn, transpose: bool = False):
    """A copy of the convolution that does what convolution and batch norm did; both in evaluation mode.

    Args:
        transpose: is it a transposed convolution? Default False.
    Raises: AssertionError in training mode, or without running averages.
    """
    _check(conv, bn)
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the fused convolution, from those of the two layers, running mean and running variance."""
    scale = tenfold.rsqrt(bn_rv + bn_eps)
    scale = scale if bn_w is None else scale * bn_w
    bias = -bn_rm if conv_b is None else conv_b - bn_rm
    bias = bias * scale
    bias = bias if bn_b is None else bias + bn_b
    shape = [1] * conv_w.dim()
    shape[1 if transpose else 0] = -1
    bias_dtype = conv_w.dtype if conv_b is None else conv_b.dtype
    bias_grad = conv_b.requires_grad if conv_b is not None else False
    weight = (conv_w * scale.reshape(shape)).to(conv_w.dtype)
    return Parameter(weight, conv_w.requires_grad), Parameter(bias.to(bias_dtype), bias_grad)


def fuse_linear_bn_eval(linear, bn):
    """A copy of the linear layer that does what linear layer and batch norm did; both in evaluation mode.

    Raises: AssertionError in training mode, without running averages, or if the widths differ.
    """
    _check(linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, "
            f"got linear.out_features={linear.out_features} and bn.num_features={bn.num_features}."
        )
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor,
    bn_b: Tensor,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the fused linear layer, from those of the two layers, running mean and running variance."""
    if bn_w is None or bn_b is None:
        raise TypeError("fuse_linear_bn_weights: the batch norm has no weight and bias (affine=False).")
    scale = bn_w * tenfold.rsqrt(bn_rv + bn_eps)
    bias = -bn_rm if linear_b is None else linear_b - bn_rm
    bias_dtype = linear_w.dtype if linear_b is None else linear_b.dtype
    bias_grad = linear_b.requires_grad if linear_b is not None else False
    weight = (linear_w * scale.unsqueeze(-1)).to(linear_w.dtype)
    bias = (bias * scale + bn_b).to(bias_dtype)
    return Parameter(weight, linear_w.requires_grad), Parameter(bias, bias_grad)
