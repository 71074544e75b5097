"""Normalisation of each sample by itself: over its last dims, over groups of channels, over neighbouring channels."""

import numbers

import tenfold
from tenfold import Tensor
from tenfold.nn import functional as F

from . import init
from .module import Module
from .parameter import Parameter

__all__ = ["CrossMapLRN2d", "GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


def _as_shape(normalized_shape) -> tuple[int, ...]:
    if isinstance(normalized_shape, numbers.Integral):
        return (normalized_shape,)
    return tuple(normalized_shape)


def _make_parameter(module, name, wanted, shape, device, dtype) -> None:
    parameter = Parameter(tenfold.empty(shape, device=device, dtype=dtype)) if wanted else None
    module.register_parameter(name, parameter)


class LayerNorm(Module):
    """``(x - mean) / sqrt(var + eps) * weight + bias``, over the last dims.

    Args:
        normalized_shape: sizes of the dims normalised over; one number for the last dim alone.
        eps: default 1e-5.
        elementwise_affine: a scale and shift for each element are learned. Default True.
        bias: learn the shift too. Default True.
        device, dtype: of the parameters. Default None: the defaults.
    Source: Ba et al. 2016, Layer normalization.
    """

    normalized_shape: tuple[int, ...]

    def __init__(
        self,
        normalized_shape,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        _make_parameter(self, "weight", elementwise_affine, self.normalized_shape, device, dtype)
        _make_parameter(self, "bias", elementwise_affine and bias, self.normalized_shape, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set scale to 1 and shift to 0."""
        if self.elementwise_affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(*, normalized_shape) to the same."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """``x / sqrt(mean(x**2) + eps) * weight``, over the last dims.

    Args:
        normalized_shape: sizes of the dims normalised over; one number for the last dim alone.
        eps: default None: the dtype's epsilon.
        elementwise_affine: a scale for each element is learned. Default True.
        device, dtype: of the parameter. Default None: the defaults.
    Source: Zhang and Sennrich 2019, Root mean square layer normalization.
    """

    normalized_shape: tuple[int, ...]

    def __init__(
        self, normalized_shape, eps: float | None = None, elementwise_affine: bool = True, device=None, dtype=None
    ) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        _make_parameter(self, "weight", elementwise_affine, self.normalized_shape, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the scale to 1."""
        if self.elementwise_affine:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(*, normalized_shape) to the same."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """``(x - mean) / sqrt(var + eps) * weight + bias``, over each group of channels of each sample.

    Args:
        num_groups: how many, a divisor of
        num_channels: C.
        eps: default 1e-5.
        affine: a scale and shift for each channel are learned. Default True.
        device, dtype: of the parameters. Default None: the defaults.
        bias: learn the shift too. Default True.
    Source: Wu and He 2018, Group normalization.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        _make_parameter(self, "weight", affine, num_channels, device, dtype)
        _make_parameter(self, "bias", affine and bias, num_channels, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set scale to 1 and shift to 0."""
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *) to the same."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """``x / (k + alpha * mean(x**2))**beta``, the mean over `size` neighbouring channels.

    Args:
        size: how many channels.
        alpha, beta, k: defaults 1e-4, 0.75 and 1.0.
    Source: Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *) to the same."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(Module):
    """An older LocalResponseNorm of images: ``x / (k + alpha / size * sum(x**2))**beta``.

    The sum goes over the channels that are less than ``(size + 1) // 2`` away, and, as in PyTorch, over channel 0.

    Args:
        size: about how many channels.
        alpha, beta, k: defaults 1e-4, 0.75 and 1.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        if input.dim() != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.dim()}D instead.")
        channel = tenfold.arange(input.size(1), device=input.device)
        near = (channel.unsqueeze(1) - channel).abs() < (self.size + 1) // 2
        summed = (near | (channel == 0)).to(input.dtype)
        sums = tenfold.matmul(summed, input.square().flatten(2)).reshape(input.shape)
        return input * (self.k + self.alpha / self.size * sums) ** -self.beta

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
