"""Pooling: each value of the result sums up a window of the input. `pooling_adaptive.py` has those that choose
their windows by the size of the result."""

from tenfold import Tensor
from tenfold.nn import functional as F

from .module import Module
from .pooling_adaptive import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    FractionalMaxPool2d,
    FractionalMaxPool3d,
)
from .tuples import _pair, _single, _triple

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _MaxPoolNd(Module):
    """The largest value of each window.

    Args:
        kernel_size: of the window; here and below one number counts for all dims.
        stride: from window to window. Default None: `kernel_size`.
        padding: minus infinity around the input. Default 0.
        dilation: distance of a window's points. Default 1.
        return_indices: give the places of the values too. Default False.
        ceil_mode: round the result's size up. Default False.
    """

    def __init__(
        self, kernel_size, stride=None, padding=0, dilation=1, return_indices: bool = False, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """The largest value of each window of (N, C, L) or (C, L).

    Args:
        kernel_size: of the window; here and below one number counts for all dims.
        stride: from window to window. Default None: `kernel_size`.
        padding: minus infinity around the input. Default 0.
        dilation: distance of a window's points. Default 1.
        return_indices: give the places of the values too, as MaxUnpool1d takes them. Default False.
        ceil_mode: round the result's size up. Default False.
    """

    def forward(self, input: Tensor):
        """The largest values; with `return_indices` a tuple of these and their places."""
        return F.max_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )


class MaxPool2d(_MaxPoolNd):
    """The largest value of each window of (N, C, H, W) or (C, H, W).

    Args:
        kernel_size: of the window; here and below one number counts for all dims.
        stride: from window to window. Default None: `kernel_size`.
        padding: minus infinity around the input. Default 0.
        dilation: distance of a window's points. Default 1.
        return_indices: give the places of the values too, as MaxUnpool2d takes them. Default False.
        ceil_mode: round the result's size up. Default False.
    """

    def forward(self, input: Tensor):
        """The largest values; with `return_indices` a tuple of these and their places."""
        return F.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )


class MaxPool3d(_MaxPoolNd):
    """The largest value of each window of (N, C, D, H, W) or (C, D, H, W).

    Args:
        kernel_size: of the window; here and below one number counts for all dims.
        stride: from window to window. Default None: `kernel_size`.
        padding: minus infinity around the input. Default 0.
        dilation: distance of a window's points. Default 1.
        return_indices: give the places of the values too, as MaxUnpool3d takes them. Default False.
        ceil_mode: round the result's size up. Default False.
    """

    def forward(self, input: Tensor):
        """The largest values; with `return_indices` a tuple of these and their places."""
        return F.max_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )


class _MaxUnpoolNd(Module):
    """The inverse of a MaxPool as far as there is one."""

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Put the values of a MaxPool1d back into their places, with zeros elsewhere.

    Args:
        kernel_size: of the window; here and below one number counts for all dims.
        stride: from window to window. Default None: `kernel_size`.
        padding: as it was around the pool's input. Default 0.
    """

    def __init__(self, kernel_size, stride=None, padding=0) -> None:
        super().__init__()
        self.kernel_size = _single(kernel_size)
        self.stride = _single(kernel_size if stride is None else stride)
        self.padding = _single(padding)

    def forward(self, input: Tensor, indices: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Values and their places; `output_size` says which of several possible sizes was the pool's input's."""
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpoolNd):
    """Put the values of a MaxPool2d back into their places, with zeros elsewhere.

    Args:
        kernel_size: of the window; here and below one number counts for all dims.
        stride: from window to window. Default None: `kernel_size`.
        padding: as it was around the pool's input. Default 0.
    """

    def __init__(self, kernel_size, stride=None, padding=0) -> None:
        super().__init__()
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(kernel_size if stride is None else stride)
        self.padding = _pair(padding)

    def forward(self, input: Tensor, indices: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Values and their places; `output_size` says which of several possible sizes was the pool's input's."""
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool3d(_MaxUnpoolNd):
    """Put the values of a MaxPool3d back into their places, with zeros elsewhere.

    Args:
        kernel_size: of the window; here and below one number counts for all dims.
        stride: from window to window. Default None: `kernel_size`.
        padding: as it was around the pool's input. Default 0.
    """

    def __init__(self, kernel_size, stride=None, padding=0) -> None:
        super().__init__()
        self.kernel_size = _triple(kernel_size)
        self.stride = _triple(kernel_size if stride is None else stride)
        self.padding = _triple(padding)

    def forward(self, input: Tensor, indices: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Values and their places; `output_size` says which of several possible sizes was the pool's input's."""
        return F.max_unpool3d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class _AvgPoolNd(Module):
    """The mean of each window."""

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """The mean of each window of (N, C, L) or (C, L).

    Args:
        kernel_size: of the window.
        stride: from window to window. Default None: `kernel_size`.
        padding: zeros around the input. Default 0.
        ceil_mode: round the result's size up. Default False.
        count_include_pad: the zeros count in the mean. Default True.
    """

    def __init__(
        self, kernel_size, stride=None, padding=0, ceil_mode: bool = False, count_include_pad: bool = True
    ) -> None:
        super().__init__()
        self.kernel_size = _single(kernel_size)
        self.stride = _single(kernel_size if stride is None else stride)
        self.padding = _single(padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) or (C, L), to the same with another L."""
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(_AvgPoolNd):
    """The mean of each window of (N, C, H, W) or (C, H, W).

    Args:
        kernel_size: of the window; here and below one number counts for all dims.
        stride: from window to window. Default None: `kernel_size`.
        padding: zeros around the input. Default 0.
        ceil_mode: round the result's size up. Default False.
        count_include_pad: the zeros count in the mean. Default True.
        divisor_override: divide by this number instead of the size of the window. Default None.
    """

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) or (C, H, W), to the same with other sizes."""
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool3d(_AvgPoolNd):
    """The mean of each window of (N, C, D, H, W) or (C, D, H, W).

    Args:
        kernel_size: of the window; here and below one number counts for all dims.
        stride: from window to window. Default None: `kernel_size`.
        padding: zeros around the input. Default 0.
        ceil_mode: round the result's size up. Default False.
        count_include_pad: the zeros count in the mean. Default True.
        divisor_override: divide by this number instead of the size of the window. Default None.
    """

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, D, H, W) or (C, D, H, W), to the same with other sizes."""
        return F.avg_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _LPPoolNd(Module):
    """The p-norm of each window.

    Args:
        norm_type: p.
        kernel_size: of the window; one number counts for all dims.
        stride: from window to window. Default None: `kernel_size`.
        ceil_mode: round the result's size up. Default False.
    """

    def __init__(self, norm_type: float, kernel_size, stride=None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """``sum(x**p)**(1/p)`` of each window of (N, C, L) or (C, L).

    Args:
        norm_type: p.
        kernel_size: of the window; one number counts for all dims.
        stride: from window to window. Default None: `kernel_size`.
        ceil_mode: round the result's size up. Default False.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) or (C, L), to the same with other sizes."""
        return F.lp_pool1d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPoolNd):
    """``sum(x**p)**(1/p)`` of each window of (N, C, H, W) or (C, H, W).

    Args:
        norm_type: p.
        kernel_size: of the window; one number counts for all dims.
        stride: from window to window. Default None: `kernel_size`.
        ceil_mode: round the result's size up. Default False.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) or (C, H, W), to the same with other sizes."""
        return F.lp_pool2d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool3d(_LPPoolNd):
    """``sum(x**p)**(1/p)`` of each window of (N, C, D, H, W) or (C, D, H, W).

    Args:
        norm_type: p.
        kernel_size: of the window; one number counts for all dims.
        stride: from window to window. Default None: `kernel_size`.
        ceil_mode: round the result's size up. Default False.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, D, H, W) or (C, D, H, W), to the same with other sizes."""
        return F.lp_pool3d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)
