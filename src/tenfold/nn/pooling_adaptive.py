"""Pooling to a given size: adaptive windows, and windows drawn at random."""

from tenfold import Tensor
from tenfold.nn import functional as F

from .module import Module
from .tuples import _pair, _triple

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
]


class _AdaptiveAvgPoolNd(Module):
    """The mean of each of as many windows as the result has places."""

    def __init__(self, output_size) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPoolNd(Module):
    """The largest value of each of as many windows as the result has places."""

    def __init__(self, output_size, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """Means of (N, C, L) or (C, L) to a given size: window i of n ends at ``ceil((i+1) * size / n)``.

    Args:
        output_size: L of the result.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) or (C, L), to the same with `output_size`."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """Means of (N, C, H, W) or (C, H, W) to a given size: window i of n ends at ``ceil((i+1) * size / n)``.

    Args:
        output_size: (H, W) of the result, or one number for all; None keeps a dim as it is.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) or (C, H, W), to the same with `output_size`."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """Means of (N, C, D, H, W) or (C, D, H, W) to a given size: window i of n ends at ``ceil((i+1) * size / n)``.

    Args:
        output_size: (D, H, W) of the result, or one number for all; None keeps a dim as it is.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, D, H, W) or (C, D, H, W), to the same with `output_size`."""
        return F.adaptive_avg_pool3d(input, self.output_size)


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """Largest values of (N, C, L) or (C, L) to a given size; the windows are those of AdaptiveAvgPool1d.

    Args:
        output_size: L of the result.
        return_indices: give the places of the values too. Default False.
    """

    def forward(self, input: Tensor):
        """The largest values; with `return_indices` a tuple of these and their places."""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """Largest values of (N, C, H, W) or (C, H, W) to a given size; the windows are those of AdaptiveAvgPool2d.

    Args:
        output_size: (H, W) of the result, or one number for all; None keeps a dim as it is.
        return_indices: give the places of the values too. Default False.
    """

    def forward(self, input: Tensor):
        """The largest values; with `return_indices` a tuple of these and their places."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """Largest values of (N, C, D, H, W) or (C, D, H, W) to a given size; the windows are those of AdaptiveAvgPool3d.

    Args:
        output_size: (D, H, W) of the result, or one number for all; None keeps a dim as it is.
        return_indices: give the places of the values too. Default False.
    """

    def forward(self, input: Tensor):
        """The largest values; with `return_indices` a tuple of these and their places."""
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class FractionalMaxPool2d(Module):
    """The largest value of windows whose steps are drawn at random, so that the size may shrink by any ratio.

    Args:
        kernel_size: of the window; one number counts for all dims.
        output_size: (H, W) of the result; or else
        output_ratio: result's size over input's, between 0 and 1. Default of both None.
        return_indices: give the places of the values too. Default False.
    Source: Graham 2014, Fractional max-pooling.
    """

    def __init__(
        self, kernel_size, output_size=None, output_ratio=None, return_indices: bool = False, _random_samples=None
    ) -> None:
        super().__init__()
        self.kernel_size = _pair(kernel_size)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else _pair(output_size)
        self.output_ratio = None if output_ratio is None else _pair(output_ratio)
        _check_fraction(self)

    def forward(self, input: Tensor):
        """The largest values; with `return_indices` a tuple of these and their places."""
        return F.fractional_max_pool2d(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool3d(Module):
    """The largest value of windows whose steps are drawn at random, so that the size may shrink by any ratio.

    Args:
        kernel_size: of the window; one number counts for all dims.
        output_size: (D, H, W) of the result; or else
        output_ratio: result's size over input's, between 0 and 1. Default of both None.
        return_indices: give the places of the values too. Default False.
    Source: Graham 2014, Fractional max-pooling.
    """

    def __init__(
        self, kernel_size, output_size=None, output_ratio=None, return_indices: bool = False, _random_samples=None
    ) -> None:
        super().__init__()
        self.kernel_size = _triple(kernel_size)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else _triple(output_size)
        self.output_ratio = None if output_ratio is None else _triple(output_ratio)
        _check_fraction(self)

    def forward(self, input: Tensor):
        """The largest values; with `return_indices` a tuple of these and their places."""
        return F.fractional_max_pool3d(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


def _check_fraction(pool) -> None:
    if pool.output_size is None and pool.output_ratio is None:
        raise ValueError(f"{type(pool).__name__} requires specifying either an output size, or a pooling ratio")
    if pool.output_size is not None and pool.output_ratio is not None:
        raise ValueError("only one of output_size and output_ratio may be specified")
    if pool.output_ratio is not None and not all(0 < ratio < 1 for ratio in pool.output_ratio):
        raise ValueError(f"output_ratio must be between 0 and 1 (got {pool.output_ratio})")
