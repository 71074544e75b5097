"""Losses as modules. Those of distances and margins stand in `loss_margin.py`.

Everywhere `reduction` is "mean" (the default), "sum", or "none" for one value a sample or element; `size_average` and
`reduce` are its old form, which warns.
"""

import math
import warnings
from dataclasses import dataclass

import tenfold
from tenfold import Tensor
from tenfold.nn import functional as F

from .linear import Linear
from .loss_base import _Loss, _WeightedLoss
from .loss_margin import (
    CosineEmbeddingLoss,
    HingeEmbeddingLoss,
    MarginRankingLoss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    SoftMarginLoss,
    TripletMarginLoss,
    TripletMarginWithDistanceLoss,
)

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LinearCrossEntropyLoss",
    "LinearCrossEntropyOptions",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "NLLLoss2d",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class L1Loss(_Loss):
    """``|input - target|``.

    Args:
        reduction: "mean", "sum" or "none". Default "mean".
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both (*), to a scalar or (*)."""
        return F.l1_loss(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """``(input - target)**2``.

    Args:
        reduction: "mean", "sum" or "none". Default "mean".
    """

    @tenfold.translated
    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both (*), to a scalar or (*)."""
        return F.mse_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """``d**2 / (2 * beta)`` where ``d = |input - target| < beta``, ``d - beta / 2`` elsewhere.

    Args:
        reduction: "mean", "sum" or "none". Default "mean".
        beta: where the square ends; 0 gives L1Loss. Default 1.0.
    """

    def __init__(self, size_average=None, reduce=None, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both (*), to a scalar or (*)."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """``d**2 / 2`` where ``d = |input - target| < delta``, ``delta * (d - delta / 2)`` elsewhere.

    Args:
        reduction: "mean", "sum" or "none". Default "mean".
        delta: where the square ends, positive. Default 1.0.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        if not isinstance(delta, float | int):
            raise TypeError(f"delta must be a float or int, got: {type(delta)}")
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both (*), to a scalar or (*)."""
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class NLLLoss(_WeightedLoss):
    """Minus the log-probability of the right class: ``-weight[y] * input[y]``.

    Args:
        weight: shape (C), a factor for each class. Default None: all 1.
        ignore_index: a target that counts for nothing. Default -100.
        reduction: "mean" (weighted), "sum" or "none". Default "mean".
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average=None,
        ignore_index: int = -100,
        reduce=None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Log-probabilities (N, C, *) and classes (N, *), to a scalar or (N, *)."""
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class NLLLoss2d(NLLLoss):
    """The old name of NLLLoss for images."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average=None,
        ignore_index: int = -100,
        reduce=None,
        reduction: str = "mean",
    ) -> None:
        warnings.warn("`NLLLoss2d` has been deprecated: use `NLLLoss`.", FutureWarning, stacklevel=2)
        super().__init__(weight, size_average, ignore_index, reduce, reduction)


class CrossEntropyLoss(_WeightedLoss):
    """Softmax and the negative log-likelihood of the right class, from raw scores.

    Args:
        weight: shape (C), a factor for each class. Default None: all 1.
        ignore_index: a target class that counts for nothing. Default -100.
        reduction: "mean" (weighted), "sum" or "none". Default "mean".
        label_smoothing: share of the target that is spread over all classes, in [0, 1]. Default 0.0.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average=None,
        ignore_index: int = -100,
        reduce=None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    @tenfold.translated
    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores (N, C, *), and classes (N, *) or probabilities (N, C, *), to a scalar or (N, *)."""
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


@dataclass
class LinearCrossEntropyOptions:
    """How PyTorch would split a LinearCrossEntropyLoss into chunks to save memory.

    Here the compiler decides what is kept in memory: the options are accepted and change no result.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: "tenfold.dtype | None" = None

    def __post_init__(self) -> None:
        if self.batch_chunk_size is not None and self.batch_chunk_size <= 0:
            raise ValueError(f"batch_chunk_size must be positive int or None, got {self.batch_chunk_size}")
        if self.acc_policy not in ("accurate", "balanced", "compact", "auto"):
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")


class LinearCrossEntropyLoss(_WeightedLoss):
    """A linear layer to class scores, and the cross entropy of these.

    Args:
        in_features: size of the last dim of the input.
        num_classes: C.
        out_features: further dims (d1, ..., dk) of each prediction. Default ().
        bias: whether the linear layer adds a bias. Default False.
        device, dtype: of the parameters. Default None: the defaults.
        reduction, weight, ignore_index, label_smoothing: as for CrossEntropyLoss; `ignore_index` None is -100.
        options: a LinearCrossEntropyOptions. Default None.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device=None,
        dtype=None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:
        super().__init__(weight, reduction=reduction)
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise RuntimeError(f"expected weight shape to be ({num_classes},), got {tuple(weight.shape)}")
        if not 0.0 <= label_smoothing <= 1.0:
            raise RuntimeError(f"expected label_smoothing to be in range [0, 1], got {label_smoothing}")
        self.num_classes = num_classes
        self.out_features = out_features
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.options = options
        rows = num_classes * math.prod(out_features)
        self.linear = Linear(in_features, rows, bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(in_features) or (N, in_features), and classes () or (N, d1, ..., dk) or probabilities, to a loss."""
        if input.dim() not in (1, 2):
            raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
        if self.out_features and input.dim() == 1:
            raise RuntimeError(
                f"out_features={self.out_features} requires batched input (N, {self.linear.in_features}), got "
                f"{tuple(input.shape)}"
            )
        scores = self.linear(input)
        if self.out_features:
            scores = scores.reshape(*input.shape[:-1], self.num_classes, *self.out_features)
        return F.cross_entropy(
            scores,
            target,
            weight=self.weight,
            ignore_index=-100 if self.ignore_index is None else self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, reduction={self.reduction}, "
            f"ignore_index={self.ignore_index}, label_smoothing={self.label_smoothing}, options={self.options}"
        )


class BCELoss(_WeightedLoss):
    """``-weight * (target * log(input) + (1 - target) * log(1 - input))``, with the logarithms at least -100.

    Args:
        weight: a factor for each element. Default None: all 1.
        reduction: "mean", "sum" or "none". Default "mean".
    """

    @tenfold.translated
    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Probabilities and targets in [0, 1], both (*), to a scalar or (*)."""
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """BCELoss of ``sigmoid(input)``, computed without overflow.

    Args:
        weight: a factor for each element. Default None: all 1.
        reduction: "mean", "sum" or "none". Default "mean".
        pos_weight: a factor for the part of the targets that is 1, broadcast against them. Default None: 1.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average=None,
        reduce=None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    @tenfold.translated
    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores and targets in [0, 1], both (*), to a scalar or (*)."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class KLDivLoss(_Loss):
    """Divergence of log-probabilities from a target: ``target * (log(target) - input)``.

    Args:
        reduction: "mean", "sum", "none", or "batchmean", the divergence as it is defined. Default "mean".
        log_target: the target is given as log-probabilities too. Default False.
    """

    def __init__(self, size_average=None, reduce=None, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both (*), to a scalar or (*)."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(_Loss):
    """Negative log-likelihood of counts: ``exp(log_input) - target * log_input``.

    Args:
        log_input: the rate is given as its logarithm. Default True.
        full: add Stirling's approximation of ``log(target!)``. Default False.
        eps: added to a rate before its logarithm. Default 1e-8.
        reduction: "mean", "sum" or "none". Default "mean".
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average=None,
        eps: float = 1e-8,
        reduce=None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        """Both (*), to a scalar or (*)."""
        return F.poisson_nll_loss(
            log_input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """Negative log-likelihood of a normal distribution: ``(log(var) + (input - target)**2 / var) / 2``.

    Args:
        full: add the constant ``log(2 pi) / 2``. Default False.
        eps: the least variance that is used. Default 1e-6.
        reduction: "mean", "sum" or "none". Default "mean".
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(None, None, reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        """Means, targets and variances, all (*), to a scalar or (*)."""
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class CTCLoss(_Loss):
    """Minus the log-probability of a sequence of labels, summed over all alignments with the input.

    Args:
        blank: the label that stands for none. Default 0.
        reduction: "mean" (each divided by its target's length first), "sum" or "none". Default "mean".
        zero_infinity: an impossible alignment counts 0, not infinity. Default False.
    Source: Graves et al. 2006, Connectionist temporal classification.
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor) -> Tensor:
        """(T, N, C), labels (N, S) or all in one row, and lengths (N), to a scalar or (N)."""
        return F.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
