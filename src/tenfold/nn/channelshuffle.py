"""Mixing groups of channels."""

from tenfold import Tensor
from tenfold.nn import functional as F

from .module import Module

__all__ = ["ChannelShuffle"]


class ChannelShuffle(Module):
    """Deal the channels of each group out over all groups: (N, g, C / g, *) becomes (N, C / g, g, *).

    Args:
        groups: g, a divisor of the number of channels.
    Source: Zhang et al. 2017, ShuffleNet.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *) to the same."""
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
