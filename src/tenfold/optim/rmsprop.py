"""RMSprop: steps scaled by a running average of the squared gradient."""

from __future__ import annotations

import tenfold as torch
from tenfold import Tensor
from tenfold.optim.adam import near_end, toward
from tenfold.optim.optimizer import Optimizer, ParamsT, check, check_lr, number

__all__ = ["RMSprop"]


@torch.composite(data=("weight_decay", "alpha", "fresh", "share", "eps", "momentum", "lr"))
def rmsprop_update(
    params,
    grads,
    square_avgs,
    grad_avgs,
    buffers,
    weight_decay,
    alpha,
    fresh,
    share,
    eps,
    momentum,
    lr,
    light,
    decays,
    maximize,
):
    """One step: new (parameters, averages of g², averages of g or None, momentum buffers or None)."""
    new_params, new_squares, new_means, new_buffers = [], [], [], []
    for i, p in enumerate(params):
        g = -grads[i] if maximize else grads[i]
        if decays:
            g = g + weight_decay * p
        square_avg = square_avgs[i] * alpha + fresh * g * g
        variance = square_avg
        if grad_avgs is not None:
            mean = toward(grad_avgs[i], g, share, light)
            variance = square_avg - mean * mean
            new_means.append(mean)
        denom = variance.sqrt() + eps
        if buffers is None:
            new_params.append(p - lr * g / denom)
        else:
            buffer = buffers[i] * momentum + g / denom
            new_params.append(p - lr * buffer)
            new_buffers.append(buffer)
        new_squares.append(square_avg)
    return (
        new_params,
        new_squares,
        None if grad_avgs is None else new_means,
        None if buffers is None else new_buffers,
    )


class RMSprop(Optimizer):
    """RMSprop: ``p -= lr * g / (sqrt(v) + eps)`` with v the running average of g².

    Args:
        params: the tensors to optimize, dicts of groups, or (name, tensor) pairs.
        lr: learning rate. Default 1e-2.
        alpha: how much of the averages each step keeps. Default 0.99.
        eps: keeps the division finite. Default 1e-8.
        weight_decay: `weight_decay * p` is added to the gradient. Default 0.
        momentum: share of the last direction that is kept. Default 0.
        centered: divide by the root of the variance: v less the squared average of g.
        foreach: accepted; every step is one fused program here.
        maximize: climb instead of descend.
        differentiable: let gradients pass through the step.
        capturable: for device graphs of PyTorch; refused on the CPU at the first step.

    Source: Tieleman and Hinton, lecture 6.5 of "Neural Networks for Machine Learning", 2012; Graves, 2013 (centered).
    """

    options_since = {
        "foreach": None,
        "momentum": 0,
        "centered": False,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check(eps >= 0.0, "epsilon value", eps)
        check(momentum >= 0.0, "momentum value", momentum)
        check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        check(alpha >= 0.0, "alpha value", alpha)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def step(self, closure=None):
        """Change the parameters once, by their gradients; returns the closure's loss."""
        return self._step_blocks(closure)

    def init_state(self, group, p):
        state = {"step": 0.0, "square_avg": torch.zeros_like(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = torch.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = torch.zeros_like(p)
        return state

    def update(self, group, block):
        block.advance()
        weight_decay = float(group["weight_decay"])
        momentum = group["momentum"]
        alpha = group["alpha"]
        share, light = near_end(float(1 - alpha))
        grad_avgs = block["grad_avg"] if group["centered"] else None
        buffers = block["momentum_buffer"] if momentum > 0 else None
        params, square_avgs, new_means, new_buffers = rmsprop_update(
            block.params,
            block.grads,
            block["square_avg"],
            grad_avgs,
            buffers,
            weight_decay,
            float(alpha),
            float(1 - alpha),
            share,
            float(group["eps"]),
            float(momentum),
            number(group["lr"], group),
            light,
            weight_decay != 0,
            bool(group["maximize"]),
        )
        state = {"square_avg": square_avgs}
        if grad_avgs is not None:
            state["grad_avg"] = new_means
        if buffers is not None:
            state["momentum_buffer"] = new_buffers
        block.write(params, state)
