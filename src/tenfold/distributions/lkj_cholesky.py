"""The LKJ distribution of Cholesky factors of correlation matrices."""

from __future__ import annotations

import math

import tenfold as torch

from . import constraints
from .beta import Beta
from .distribution import Distribution
from .utils import ONE, Size, broadcast_all

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Cholesky factors L of correlation matrices M = L @ L.T with density proportional to det(M) ** (concentration - 1).

    Args: dim: rows of the matrices, at least 2; concentration: positive, 1 is uniform. Default 1.
    Raises: ValueError if dim < 2.
    Source: Lewandowski, Kurowicka and Joe 2009, Generating random correlation matrices based on vines and extended onion
        method."""

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _expands = {"concentration": 0, "_beta": 1}

    def __init__(self, dim: int, concentration=1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        # The squared length of row k below the diagonal has the distribution Beta(k / 2, ...): the onion method.
        row = torch.arange(dim - 1, dtype=self.concentration.dtype, device=self.concentration.device)
        row = torch.cat([row.new_zeros((1,)), row])
        rest = (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1) - 0.5 * row
        self._beta = Beta(row + 0.5, rest)
        super().__init__(self.concentration.shape, Size((dim, dim)), validate_args)

    def _copy_to(self, new, batch_shape: Size) -> None:
        new.dim = self.dim

    def sample(self, sample_shape=ONE):
        with torch.no_grad():
            length = self._beta.sample(sample_shape).unsqueeze(-1)
            below = torch.randn(self._extended_shape(sample_shape), dtype=length.dtype, device=length.device).tril(-1)
            direction = below / torch.linalg.vector_norm(below, dim=-1, keepdim=True)
            direction[..., 0, :].fill_(0.0)  # nothing is below the diagonal in the first row
            w = torch.sqrt(length) * direction
            tiny = torch.finfo(w.dtype).tiny
            diagonal = torch.clamp(1 - torch.sum(w**2, dim=-1), min=tiny).sqrt()
            return w + torch.diag_embed(diagonal)

    def log_prob(self, value):
        """Source: Stan's reference manual, Cholesky LKJ correlation distribution."""
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        row = torch.arange(2, self.dim + 1, device=self.concentration.device)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - row
        density = torch.sum(order * diagonal.log(), dim=-1)
        d = self.dim - 1
        alpha = self.concentration + 0.5 * d
        normalizer = 0.5 * d * math.log(math.pi) + torch.mvlgamma(alpha - 0.5, d) - torch.lgamma(alpha) * d
        return density - normalizer
