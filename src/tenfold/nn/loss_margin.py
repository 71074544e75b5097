"""Losses of margins and distances."""

from collections.abc import Callable

from tenfold import Tensor
from tenfold.nn import functional as F

from .distance import PairwiseDistance
from .loss_base import _Loss, _WeightedLoss

__all__ = [
    "CosineEmbeddingLoss",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class SoftMarginLoss(_Loss):
    """``log(1 + exp(-target * input))``; targets are 1 or -1.

    Args:
        reduction: "mean", "sum" or "none". Default "mean".
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both (*), to a scalar or (*)."""
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class HingeEmbeddingLoss(_Loss):
    """The input where the target is 1; ``max(0, margin - input)`` where it is -1.

    Args:
        margin: default 1.0.
        reduction: "mean", "sum" or "none". Default "mean".
    """

    def __init__(self, margin: float = 1.0, size_average=None, reduce=None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both (*), to a scalar or (*)."""
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """Hinge between each right and each wrong class: ``sum(max(0, 1 - (x[right] - x[wrong]))) / C``.

    Args:
        reduction: "mean", "sum" or "none". Default "mean".
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores (N, C) and right classes (N, C), ended by -1, to a scalar or (N)."""
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """The mean over classes of the binary cross entropy of ``sigmoid(input)``.

    Args:
        weight: shape (C), a factor for each class. Default None: all 1.
        reduction: "mean", "sum" or "none". Default "mean".
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores and targets, both (N, C), to a scalar or (N)."""
        return F.multilabel_soft_margin_loss(input, target, weight=self.weight, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """Hinge between the right class y and the others: ``sum(max(0, margin - x[y] + x[i])**p) / C``.

    Args:
        p: 1 or 2. Default 1.
        margin: default 1.0.
        weight: shape (C), a factor for each right class. Default None: all 1.
        reduction: "mean", "sum" or "none". Default "mean".
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average=None,
        reduce=None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError(f"only p == 1 and p == 2 supported, got {p}")
        if weight is not None and weight.dim() != 1:
            raise ValueError(f"MultiMarginLoss: expected weight to be None or 1D tensor, got {weight.dim()}D instead")
        self.p = p
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores (N, C) and classes (N), to a scalar or (N)."""
        return F.multi_margin_loss(
            input, target, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction
        )


class MarginRankingLoss(_Loss):
    """``max(0, -target * (input1 - input2) + margin)``: target 1 wants input1 to be larger, -1 input2.

    Args:
        margin: default 0.0.
        reduction: "mean", "sum" or "none". Default "mean".
    """

    def __init__(self, margin: float = 0.0, size_average=None, reduce=None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """All (*), to a scalar or (*)."""
        return F.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """``1 - cos(x1, x2)`` where the target is 1; ``max(0, cos(x1, x2) - margin)`` where it is -1.

    Args:
        margin: default 0.0.
        reduction: "mean", "sum" or "none". Default "mean".
    """

    def __init__(self, margin: float = 0.0, size_average=None, reduce=None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """(N, D) twice and (N), to a scalar or (N)."""
        return F.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)``, where d is a p-norm distance.

    Args:
        margin: positive. Default 1.0.
        p: of the norm. Default 2.0.
        eps: added to differences. Default 1e-6.
        swap: use d(positive, negative) where it is the smaller of the two. Default False.
        reduction: "mean", "sum" or "none". Default "mean".
    Source: Balntas et al. 2016, Learning local feature descriptors with triplets.
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average=None,
        reduce=None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        _check_margin(self, margin)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """All (N, D) or (D), to a scalar or (N)."""
        return F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(_Loss):
    """TripletMarginLoss with any distance.

    Args:
        distance_function: of two tensors. Default None: PairwiseDistance().
        margin: positive. Default 1.0.
        swap: use d(positive, negative) where it is the smaller of the two. Default False.
        reduction: "mean", "sum" or "none". Default "mean".
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(None, None, reduction)
        _check_margin(self, margin)
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """All (N, *), to a scalar or the shape of the distances."""
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


def _check_margin(loss, margin) -> None:
    if margin <= 0:
        raise ValueError(f"{type(loss).__name__}: expected margin to be greater than 0, got {margin} instead")
