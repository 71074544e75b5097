"""Adamax: Adam with the largest gradient in place of the root of the average square."""

from __future__ import annotations

import tenfold as torch
from tenfold import Tensor
from tenfold.optim.adam import near_end, toward
from tenfold.optim.optimizer import Optimizer, ParamsT, check, check_betas, check_lr, number

__all__ = ["Adamax"]


@torch.composite(data=("weight_decay", "share1", "beta2", "eps", "step_size"))
def adamax_update(
    params, grads, exp_avgs, exp_infs, weight_decay, share1, beta2, eps, step_size, light, decays, maximize
):
    """One step: new (parameters, averages of g, decaying maxima of abs(g))."""
    new_params, new_avgs, new_infs = [], [], []
    for i, p in enumerate(params):
        g = -grads[i] if maximize else grads[i]
        if decays:
            g = g + weight_decay * p
        exp_avg = toward(exp_avgs[i], g, share1, light)
        exp_inf = torch.maximum(exp_infs[i] * beta2, g.abs() + eps)
        new_params.append(p - step_size * exp_avg / exp_inf)
        new_avgs.append(exp_avg)
        new_infs.append(exp_inf)
    return new_params, new_avgs, new_infs


class Adamax(Optimizer):
    """Adamax: ``p -= lr * m / u`` with m the running average of g and ``u = max(beta2 * u, abs(g) + eps)``.

    Args:
        params: the tensors to optimize, dicts of groups, or (name, tensor) pairs.
        lr: learning rate. Default 2e-3.
        betas: how much of the two averages each step keeps. Default (0.9, 0.999).
        eps: keeps the division finite. Default 1e-8.
        weight_decay: `weight_decay * p` is added to the gradient. Default 0.
        foreach: accepted; every step is one fused program here.
        maximize: climb instead of descend.
        differentiable: let gradients pass through the step.
        capturable: for device graphs of PyTorch; refused on the CPU at the first step.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2014.
    """

    options_since = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check(eps >= 0.0, "epsilon value", eps)
        check_betas(betas)
        check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def step(self, closure=None):
        """Change the parameters once, by their gradients; returns the closure's loss."""
        return self._step_blocks(closure)

    def init_state(self, group, p):
        return {"step": 0.0, "exp_avg": torch.zeros_like(p), "exp_inf": torch.zeros_like(p)}

    def update(self, group, block):
        step = block.advance()
        beta1, beta2 = (float(b) for b in group["betas"])
        share1, light = near_end(1 - beta1)
        weight_decay = float(group["weight_decay"])
        params, exp_avgs, exp_infs = adamax_update(
            block.params,
            block.grads,
            block["exp_avg"],
            block["exp_inf"],
            weight_decay,
            share1,
            beta2,
            float(group["eps"]),
            number(group["lr"], group) / (1 - beta1**step),
            light,
            weight_decay != 0,
            bool(group["maximize"]),
        )
        block.write(params, {"exp_avg": exp_avgs, "exp_inf": exp_infs})
