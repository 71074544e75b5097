"""Dropout: in training, values are zeroed at random and the others scaled so that the mean stays; else nothing."""

from tenfold import Tensor
from tenfold.nn import functional as F

from .module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _DropoutNd(Module):
    """A kind of dropout with probability `p`, which may write into its input."""

    p: float
    inplace: bool

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """Zero each element with probability `p`, and divide the others by ``1 - p``.

    Args:
        p: default 0.5.
        inplace: write into the input. Default False.
    Source: Hinton et al. 2012, Improving neural networks by preventing co-adaptation of feature detectors.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """Zero whole channels, each a sequence, with probability `p`, and divide the others by ``1 - p``.

    Args:
        p: default 0.5.
        inplace: write into the input. Default False.
    Source: Tompson et al. 2014, Efficient object localization using convolutional networks.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) or (C, L), to the same."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """Zero whole channels, each an image, with probability `p`, and divide the others by ``1 - p``.

    Args:
        p: default 0.5.
        inplace: write into the input. Default False.
    Source: Tompson et al. 2014, Efficient object localization using convolutional networks.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) or (C, H, W), to the same."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """Zero whole channels, each a volume, with probability `p`, and divide the others by ``1 - p``.

    Args:
        p: default 0.5.
        inplace: write into the input. Default False.
    Source: Tompson et al. 2014, Efficient object localization using convolutional networks.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, D, H, W) or (C, D, H, W), to the same."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Dropout that keeps mean and variance of what SELU gives: dropped values become SELU's least value.

    Args:
        p: default 0.5.
        inplace: write into the input. Default False.
    Source: Klambauer et al. 2017, Self-normalizing neural networks.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """AlphaDropout of whole channels.

    Args:
        p: default 0.5.
        inplace: write into the input. Default False.
    Source: Klambauer et al. 2017, Self-normalizing neural networks.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *) to the same."""
        return F.feature_alpha_dropout(input, self.p, self.training)
