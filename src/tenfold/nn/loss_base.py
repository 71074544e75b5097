"""What all losses share: the reduction, and a weight for each class."""

from tenfold import Tensor

from ._reduction import legacy_get_string
from .module import Module

__all__: list[str] = []


class _Loss(Module):
    """A loss with a `reduction`; `size_average` and `reduce` are its old form."""

    reduction: str

    def __init__(self, size_average=None, reduce=None, reduction: str = "mean") -> None:
        super().__init__()
        if size_average is not None or reduce is not None:
            reduction = legacy_get_string(size_average, reduce)
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss with a weight for each class or element, which is a buffer."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, size_average=None, reduce=None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
