"""Adadelta: steps in the unit of the parameter, without a learning rate of its own."""

from __future__ import annotations

import tenfold as torch
from tenfold import Tensor
from tenfold.optim.optimizer import Optimizer, ParamsT, check, check_lr, number

__all__ = ["Adadelta"]


@torch.composite(data=("weight_decay", "rho", "fresh", "eps", "lr"))
def adadelta_update(params, grads, square_avgs, acc_deltas, weight_decay, rho, fresh, eps, lr, decays, maximize):
    """One step: new (parameters, averages of g², averages of the squared steps); `fresh` is 1 - rho."""
    new_params, new_squares, new_deltas = [], [], []
    for i, p in enumerate(params):
        g = -grads[i] if maximize else grads[i]
        if decays:
            g = g + weight_decay * p
        square_avg = square_avgs[i] * rho + fresh * g * g
        delta = (acc_deltas[i] + eps).sqrt() / (square_avg + eps).sqrt() * g
        new_params.append(p - lr * delta)
        new_squares.append(square_avg)
        new_deltas.append(acc_deltas[i] * rho + fresh * delta * delta)
    return new_params, new_squares, new_deltas


class Adadelta(Optimizer):
    """Adadelta: the gradient times the ratio of the root mean squares of past steps and of past gradients.

    Args:
        params: the tensors to optimize, dicts of groups, or (name, tensor) pairs.
        lr: factor of the step. Default 1.
        rho: how much of the averages each step keeps. Default 0.9.
        eps: under both roots. Default 1e-6.
        weight_decay: `weight_decay * p` is added to the gradient. Default 0.
        foreach: accepted; every step is one fused program here.
        maximize: climb instead of descend.
        differentiable: let gradients pass through the step.
        capturable: for device graphs of PyTorch; refused on the CPU at the first step.

    Source: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012.
    """

    options_since = {"foreach": None, "maximize": False, "capturable": False, "differentiable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check(0.0 <= rho <= 1.0, "rho value", rho)
        check(eps >= 0.0, "epsilon value", eps)
        check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    def step(self, closure=None):
        """Change the parameters once, by their gradients; returns the closure's loss."""
        return self._step_blocks(closure)

    def init_state(self, group, p):
        return {"step": 0.0, "square_avg": torch.zeros_like(p), "acc_delta": torch.zeros_like(p)}

    def update(self, group, block):
        block.advance()
        weight_decay = float(group["weight_decay"])
        rho = group["rho"]
        params, square_avgs, acc_deltas = adadelta_update(
            block.params,
            block.grads,
            block["square_avg"],
            block["acc_delta"],
            weight_decay,
            float(rho),
            float(1 - rho),
            float(group["eps"]),
            number(group["lr"], group),
            weight_decay != 0,
            bool(group["maximize"]),
        )
        block.write(params, {"square_avg": square_avgs, "acc_delta": acc_deltas})
