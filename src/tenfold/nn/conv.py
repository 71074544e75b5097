"""Convolutions and transposed convolutions. Those that find out their number of channels are in `conv_lazy.py`."""

import math

import tenfold
from tenfold import Tensor
from tenfold.nn import functional as F

from . import init
from .module import Module
from .parameter import Parameter
from .tuples import _pair, _reverse_repeat_tuple, _single, _triple

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def __getattr__(name):
    # Where PyTorch has them; their file imports this one.
    if name.startswith("Lazy") and name in __all__:
        from . import conv_lazy

        return getattr(conv_lazy, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


class _ConvNd(Module):
    """What all convolutions share: sizes, parameters and text."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        stride: tuple[int, ...],
        padding: "str | tuple[int, ...]",
        dilation: tuple[int, ...],
        transposed: bool,
        output_padding: tuple[int, ...],
        groups: int,
        bias: bool,
        padding_mode: str,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        _check_groups(in_channels, out_channels, groups)
        _check_padding(padding, stride, padding_mode)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.transposed = transposed
        self.output_padding = output_padding
        self.groups = groups
        self.padding_mode = padding_mode
        self._reversed_padding_repeated_twice = _padding_for_pad(padding, kernel_size, dilation)
        channels = (in_channels, out_channels // groups) if transposed else (out_channels, in_channels // groups)
        self.weight = Parameter(tenfold.empty((*channels, *kernel_size), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(tenfold.empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, uniform on (-b, b) with b = 1 / sqrt(fan_in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # the bound is then 1 / sqrt(fan_in)
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if self.padding != (0,) * len(self.padding):
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * len(self.dilation):
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != (0,) * len(self.output_padding):
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)

    def __setstate__(self, state) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("padding_mode", "zeros")  # a file from before there was a choice


def _check_groups(in_channels, out_channels, groups) -> None:
    if groups <= 0:
        raise ValueError(f"groups must be a positive integer, got {groups}")
    if in_channels % groups != 0:
        raise ValueError(f"in_channels must be divisible by groups, but {in_channels} is not by {groups}")
    if out_channels % groups != 0:
        raise ValueError(f"out_channels must be divisible by groups, but {out_channels} is not by {groups}")


def _check_padding(padding, stride, padding_mode) -> None:
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"Invalid padding string {padding!r}, should be one of 'same', 'valid'")
        if padding == "same" and any(s != 1 for s in stride):
            raise ValueError(f"padding='same' is not supported for strided convolutions (stride is {stride})")
    if padding_mode not in _PADDING_MODES:
        raise ValueError(f"padding_mode must be one of {_PADDING_MODES}, but got padding_mode={padding_mode!r}")


def _padding_for_pad(padding, kernel_size, dilation):
    """The amounts as F.pad takes them, last dim first."""
    if not isinstance(padding, str):
        return _reverse_repeat_tuple(padding, 2)
    amounts = []
    for d, k in zip(reversed(dilation), reversed(kernel_size), strict=True):
        total = d * (k - 1) if padding == "same" else 0
        amounts += [total // 2, total - total // 2]
    return amounts


class Conv1d(_ConvNd):
    """A 1-d convolution (cross-correlation) of (N, C, L) or (C, L).

    The weight has shape (out_channels, in_channels / groups, k).

    Args:
        in_channels, out_channels: C before and after.
        kernel_size: of the window.
        stride: from window to window. Default 1.
        padding: amount on each side, "valid" (none) or "same" (as much as keeps the size). Default 0.
        dilation: distance of a window's points. Default 1.
        groups: channels are split into so many groups, which do not mix. Default 1.
        bias: whether a bias is added. Default True.
        padding_mode: "zeros", "reflect", "replicate" or "circular". Default "zeros".
        device, dtype: of the parameters. Default None: the defaults.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _single(kernel_size),
            _single(stride),
            padding if isinstance(padding, str) else _single(padding),
            _single(dilation),
            False,
            _single(0),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode != "zeros":
            padded = F.pad(input, self._reversed_padding_repeated_twice, self.padding_mode)
            return F.conv1d(padded, weight, bias, self.stride, _single(0), self.dilation, self.groups)
        return F.conv1d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) or (C, L), to the same with `out_channels`."""
        return self._conv_forward(input, self.weight, self.bias)


class Conv2d(_ConvNd):
    """A 2-d convolution (cross-correlation) of (N, C, H, W) or (C, H, W).

    The weight has shape (out_channels, in_channels / groups, k, k).

    Args:
        in_channels, out_channels: C before and after.
        kernel_size: of the window; here and below one number counts for all dims.
        stride: from window to window. Default 1.
        padding: amount on each side, "valid" (none) or "same" (as much as keeps the size). Default 0.
        dilation: distance of a window's points. Default 1.
        groups: channels are split into so many groups, which do not mix. Default 1.
        bias: whether a bias is added. Default True.
        padding_mode: "zeros", "reflect", "replicate" or "circular". Default "zeros".
        device, dtype: of the parameters. Default None: the defaults.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _pair(kernel_size),
            _pair(stride),
            padding if isinstance(padding, str) else _pair(padding),
            _pair(dilation),
            False,
            _pair(0),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode != "zeros":
            padded = F.pad(input, self._reversed_padding_repeated_twice, self.padding_mode)
            return F.conv2d(padded, weight, bias, self.stride, _pair(0), self.dilation, self.groups)
        return F.conv2d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) or (C, H, W), to the same with `out_channels`."""
        return self._conv_forward(input, self.weight, self.bias)


class Conv3d(_ConvNd):
    """A 3-d convolution (cross-correlation) of (N, C, D, H, W) or (C, D, H, W).

    The weight has shape (out_channels, in_channels / groups, k, k, k).

    Args:
        in_channels, out_channels: C before and after.
        kernel_size: of the window; here and below one number counts for all dims.
        stride: from window to window. Default 1.
        padding: amount on each side, "valid" (none) or "same" (as much as keeps the size). Default 0.
        dilation: distance of a window's points. Default 1.
        groups: channels are split into so many groups, which do not mix. Default 1.
        bias: whether a bias is added. Default True.
        padding_mode: "zeros", "reflect", "replicate" or "circular". Default "zeros".
        device, dtype: of the parameters. Default None: the defaults.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _triple(kernel_size),
            _triple(stride),
            padding if isinstance(padding, str) else _triple(padding),
            _triple(dilation),
            False,
            _triple(0),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode != "zeros":
            padded = F.pad(input, self._reversed_padding_repeated_twice, self.padding_mode)
            return F.conv3d(padded, weight, bias, self.stride, _triple(0), self.dilation, self.groups)
        return F.conv3d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, D, H, W) or (C, D, H, W), to the same with `out_channels`."""
        return self._conv_forward(input, self.weight, self.bias)


class _ConvTransposeNd(_ConvNd):
    """What the transposed convolutions share: the size of the result may be asked for."""

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding,
        dilation,
        transposed,
        output_padding,
        groups,
        bias,
        padding_mode,
        device=None,
        dtype=None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            transposed,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _output_padding(self, input, output_size, stride, padding, kernel_size, num_spatial_dims, dilation=None):
        """How much to add on one side of the result, so that it has `output_size`."""
        if output_size is None:
            return _single(self.output_padding)
        n = num_spatial_dims
        outer = input.dim() - n
        if len(output_size) == outer + n:
            output_size = output_size[outer:]
        if len(output_size) != n:
            raise ValueError(
                f"ConvTranspose{n}D: for {input.dim()}D input, output_size must have {n} or {outer + n} elements "
                f"(got {len(output_size)})"
            )
        least = []
        for i in range(n):
            window = (dilation[i] if dilation is not None else 1) * (kernel_size[i] - 1) + 1
            least.append((input.size(i + outer) - 1) * stride[i] - 2 * padding[i] + window)
        most = [size + stride[i] - 1 for i, size in enumerate(least)]
        if any(not low <= size <= high for low, size, high in zip(least, output_size, most, strict=True)):
            raise ValueError(
                f"requested an output size of {list(output_size)}, but valid sizes range from {least} to {most} "
                f"(for an input of {input.size()[outer:]})"
            )
        return [size - low for size, low in zip(output_size, least, strict=True)]


class ConvTranspose1d(_ConvTransposeNd):
    """The transpose of a 1-d convolution: its gradient, as a layer that enlarges (N, C, L) or (C, L).

    The weight has shape (in_channels, out_channels / groups, k).

    Args:
        in_channels, out_channels: C before and after.
        kernel_size: of the window.
        stride: of the convolution, from window to window of the result. Default 1.
        padding: of the convolution: so much is cut off on each side of the result. Default 0.
        output_padding: so much is added on one side of the result. Default 0.
        groups: channels are split into so many groups, which do not mix. Default 1.
        bias: whether a bias is added. Default True.
        dilation: distance of a window's points. Default 1.
        padding_mode: "zeros" is the only one.
        device, dtype: of the parameters. Default None: the defaults.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups: int = 1,
        bias: bool = True,
        dilation=1,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _single(kernel_size),
            _single(stride),
            _single(padding),
            _single(dilation),
            True,
            _single(output_padding),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, C, L) or (C, L), to the same with `out_channels`; `output_size` may ask for a size."""
        added = self.output_padding
        if output_size is not None:
            added = self._output_padding(
                input, output_size, self.stride, self.padding, self.kernel_size, 1, self.dilation
            )
        return F.conv_transpose1d(
            input, self.weight, self.bias, self.stride, self.padding, added, self.groups, self.dilation
        )


class ConvTranspose2d(_ConvTransposeNd):
    """The transpose of a 2-d convolution: its gradient, as a layer that enlarges (N, C, H, W) or (C, H, W).

    The weight has shape (in_channels, out_channels / groups, k, k).

    Args:
        in_channels, out_channels: C before and after.
        kernel_size: of the window; here and below one number counts for all dims.
        stride: of the convolution, from window to window of the result. Default 1.
        padding: of the convolution: so much is cut off on each side of the result. Default 0.
        output_padding: so much is added on one side of the result. Default 0.
        groups: channels are split into so many groups, which do not mix. Default 1.
        bias: whether a bias is added. Default True.
        dilation: distance of a window's points. Default 1.
        padding_mode: "zeros" is the only one.
        device, dtype: of the parameters. Default None: the defaults.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups: int = 1,
        bias: bool = True,
        dilation=1,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _pair(kernel_size),
            _pair(stride),
            _pair(padding),
            _pair(dilation),
            True,
            _pair(output_padding),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, C, H, W) or (C, H, W), to the same with `out_channels`; `output_size` may ask for a size."""
        added = self.output_padding
        if output_size is not None:
            added = self._output_padding(
                input, output_size, self.stride, self.padding, self.kernel_size, 2, self.dilation
            )
        return F.conv_transpose2d(
            input, self.weight, self.bias, self.stride, self.padding, added, self.groups, self.dilation
        )


class ConvTranspose3d(_ConvTransposeNd):
    """The transpose of a 3-d convolution: its gradient, as a layer that enlarges (N, C, D, H, W) or (C, D, H, W).

    The weight has shape (in_channels, out_channels / groups, k, k, k).

    Args:
        in_channels, out_channels: C before and after.
        kernel_size: of the window; here and below one number counts for all dims.
        stride: of the convolution, from window to window of the result. Default 1.
        padding: of the convolution: so much is cut off on each side of the result. Default 0.
        output_padding: so much is added on one side of the result. Default 0.
        groups: channels are split into so many groups, which do not mix. Default 1.
        bias: whether a bias is added. Default True.
        dilation: distance of a window's points. Default 1.
        padding_mode: "zeros" is the only one.
        device, dtype: of the parameters. Default None: the defaults.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups: int = 1,
        bias: bool = True,
        dilation=1,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _triple(kernel_size),
            _triple(stride),
            _triple(padding),
            _triple(dilation),
            True,
            _triple(output_padding),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, C, D, H, W) or (C, D, H, W), to the same with `out_channels`; `output_size` may ask for a size."""
        added = self.output_padding
        if output_size is not None:
            added = self._output_padding(
                input, output_size, self.stride, self.padding, self.kernel_size, 3, self.dilation
            )
        return F.conv_transpose3d(
            input, self.weight, self.bias, self.stride, self.padding, added, self.groups, self.dilation
        )
