"""Distances between rows."""

from tenfold import Tensor
from tenfold.nn import functional as F

from .module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class PairwiseDistance(Module):
    """The p-norm of ``x1 - x2 + eps`` along the last dim.

    Args:
        p: of the norm. Default 2.0.
        eps: keeps the gradient finite where the two are equal. Default 1e-6.
        keepdim: keep the last dim, with size 1. Default False.
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """(N, D) or (D) twice, to (N) or ()."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """``x1 . x2 / (|x1| |x2|)`` along a dim.

    Args:
        dim: default 1.
        eps: the least norm that is divided by. Default 1e-8.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Two tensors of shapes that broadcast, to that shape without `dim`."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
