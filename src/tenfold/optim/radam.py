"""RAdam: Adam that does without the second average while too little is known of it."""

from __future__ import annotations

import tenfold as torch
from tenfold import Tensor
from tenfold.optim.adam import near_end, toward
from tenfold.optim.optimizer import Optimizer, ParamsT, check, check_betas, check_lr, number

__all__ = ["RAdam"]


@torch.composite(
    data=("shrink", "weight_decay", "share1", "beta2", "fresh2", "bias1", "root_bias2", "lr", "rectify", "eps")
)
def radam_update(
    params,
    grads,
    exp_avgs,
    exp_avg_sqs,
    shrink,
    weight_decay,
    share1,
    beta2,
    fresh2,
    bias1,
    root_bias2,
    lr,
    rectify,
    eps,
    adaptive,
    light,
    decay,
    maximize,
):
    """One step: new (parameters, averages of g, averages of g²); only with `adaptive` the second average divides."""
    new_params, new_avgs, new_sqs = [], [], []
    for i, p in enumerate(params):
        g = -grads[i] if maximize else grads[i]
        if decay == "weight":
            p = p * shrink
        elif decay == "gradient":
            g = g + weight_decay * p
        exp_avg = toward(exp_avgs[i], g, share1, light)
        exp_avg_sq = exp_avg_sqs[i] * beta2 + fresh2 * g * g
        direction = exp_avg / bias1 * lr
        if adaptive:
            direction = direction * (root_bias2 / (exp_avg_sq.sqrt() + eps)) * rectify
        new_params.append(p - direction)
        new_avgs.append(exp_avg)
        new_sqs.append(exp_avg_sq)
    return new_params, new_avgs, new_sqs


class RAdam(Optimizer):
    """RAdam: Adam with the variance of its second average rectified; plain momentum in the first steps.

    Args:
        params: the tensors to optimize, dicts of groups, or (name, tensor) pairs.
        lr: learning rate. Default 1e-3.
        betas: how much of the two averages each step keeps. Default (0.9, 0.999).
        eps: keeps the division finite. Default 1e-8.
        weight_decay: `weight_decay * p` is added to the gradient. Default 0.
        decoupled_weight_decay: shrink p itself by `lr * weight_decay`, as AdamW does.
        foreach: accepted; every step is one fused program here.
        maximize: climb instead of descend.
        differentiable: let gradients pass through the step.
        capturable: for device graphs of PyTorch; refused on the CPU at the first step.

    Source: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2020.
    """

    options_since = {
        "foreach": None,
        "maximize": False,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
                "differentiable": differentiable,
            },
        )

    def step(self, closure=None):
        """Change the parameters once, by their gradients; returns the closure's loss."""
        return self._step_blocks(closure)

    def init_state(self, group, p):
        return {"step": 0.0, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}

    def update(self, group, block):
        step = block.advance()
        lr = number(group["lr"], group)
        beta1, beta2 = (float(b) for b in group["betas"])
        share1, light = near_end(1 - beta1)
        weight_decay = float(group["weight_decay"])
        decay = "none" if weight_decay == 0 else "weight" if group["decoupled_weight_decay"] else "gradient"
        bias2 = 1 - beta2**step
        # rho: the length of the simple average that the exponential one stands for; its limit, and now
        limit = 2 / (1 - beta2) - 1
        rho = limit - 2 * step * beta2**step / bias2
        adaptive = rho > 5.0
        rectify = 1.0
        if adaptive:
            rectify = ((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)) ** 0.5
        params, exp_avgs, exp_avg_sqs = radam_update(
            block.params,
            block.grads,
            block["exp_avg"],
            block["exp_avg_sq"],
            1 - lr * weight_decay,
            weight_decay,
            share1,
            beta2,
            1 - beta2,
            1 - beta1**step,
            bias2**0.5,
            lr,
            rectify,
            float(group["eps"]),
            adaptive,
            light,
            decay,
            bool(group["maximize"]),
        )
        block.write(params, {"exp_avg": exp_avgs, "exp_avg_sq": exp_avg_sqs})
