"""Images to columns of patches, and back."""

from tenfold import Tensor
from tenfold.nn import functional as F

from .module import Module

__all__ = ["Fold", "Unfold"]


class Fold(Module):
    """Add patches up into an image, each in its place.

    Args:
        output_size: (H, W) of the image.
        kernel_size: (kH, kW) of a patch; here and below one number counts for both.
        dilation: distance of neighbouring points of a patch. Default 1.
        padding: zeros thought around the image. Default 0.
        stride: distance of neighbouring patches. Default 1.
    """

    def __init__(self, output_size, kernel_size, dilation=1, padding=0, stride=1) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """(N, C * kH * kW, L) or without N, to (N, C, H, W)."""
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, " + _patch_text(self)


class Unfold(Module):
    """Take an image's patches out, one in each column.

    Args:
        kernel_size: (kH, kW) of a patch; here and below one number counts for both.
        dilation: distance of neighbouring points of a patch. Default 1.
        padding: zeros around the image. Default 0.
        stride: distance of neighbouring patches. Default 1.
    """

    def __init__(self, kernel_size, dilation=1, padding=0, stride=1) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) or without N, to (N, C * kH * kW, L)."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return _patch_text(self)


def _patch_text(module) -> str:
    return (
        f"kernel_size={module.kernel_size}, dilation={module.dilation}, padding={module.padding}, "
        f"stride={module.stride}"
    )
