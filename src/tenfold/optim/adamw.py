"""AdamW: Adam whose weight decay shrinks the parameter itself."""

from __future__ import annotations

from typing import Any

from tenfold import Tensor
from tenfold.optim.adam import Adam
from tenfold.optim.optimizer import ParamsT

__all__ = ["AdamW"]


class AdamW(Adam):
    """Adam with decoupled weight decay: before each step ``p *= 1 - lr * weight_decay``.

    Args:
        params: the tensors to optimize, dicts of groups, or (name, tensor) pairs.
        lr: learning rate. Default 1e-3.
        betas: how much of the averages of g and g² each step keeps. Default (0.9, 0.999).
        eps: keeps the division finite. Default 1e-8.
        weight_decay: share of p, times lr, that each step takes away. Default 0.01.
        amsgrad, maximize, foreach, capturable, differentiable, fused: as in Adam.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
