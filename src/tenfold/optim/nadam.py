"""NAdam: Adam with Nesterov's look ahead."""

from __future__ import annotations

import tenfold as torch
from tenfold import Tensor
from tenfold.optim._blocks import rounded
from tenfold.optim.adam import near_end, toward
from tenfold.optim.optimizer import Optimizer, ParamsT, check, check_betas, check_lr, number

__all__ = ["NAdam"]


@torch.composite(
    data=("shrink", "weight_decay", "share1", "beta2", "fresh2", "bias2", "eps", "share_of_grad", "share_of_average")
)
def nadam_update(
    params,
    grads,
    exp_avgs,
    exp_avg_sqs,
    shrink,
    weight_decay,
    share1,
    beta2,
    fresh2,
    bias2,
    eps,
    share_of_grad,
    share_of_average,
    light,
    decay,
    maximize,
):
    """One step: new (parameters, averages of g, averages of g²); the two shares hold the learning rate."""
    new_params, new_avgs, new_sqs = [], [], []
    for i, p in enumerate(params):
        g = -grads[i] if maximize else grads[i]
        if decay == "weight":
            p = p * shrink
        elif decay == "gradient":
            g = g + weight_decay * p
        exp_avg = toward(exp_avgs[i], g, share1, light)
        exp_avg_sq = exp_avg_sqs[i] * beta2 + fresh2 * g * g
        denom = (exp_avg_sq / bias2).sqrt() + eps
        p = p - share_of_grad * g / denom
        new_params.append(p - share_of_average * exp_avg / denom)
        new_avgs.append(exp_avg)
        new_sqs.append(exp_avg_sq)
    return new_params, new_avgs, new_sqs


class NAdam(Optimizer):
    """NAdam: Adam whose direction is a mix of the gradient and of the average that the next step will use.

    Args:
        params: the tensors to optimize, dicts of groups, or (name, tensor) pairs.
        lr: learning rate. Default 2e-3.
        betas: how much of the two averages each step keeps. Default (0.9, 0.999).
        eps: keeps the division finite. Default 1e-8.
        weight_decay: `weight_decay * p` is added to the gradient. Default 0.
        momentum_decay: how fast the mix changes. Default 4e-3.
        decoupled_weight_decay: shrink p itself by `lr * weight_decay`, as AdamW does.
        foreach: accepted; every step is one fused program here.
        maximize: climb instead of descend.
        differentiable: let gradients pass through the step.
        capturable: for device graphs of PyTorch; refused on the CPU at the first step.

    Source: Dozat, "Incorporating Nesterov Momentum into Adam", 2016.
    """

    counters = ("step", "mu_product")

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
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check(momentum_decay >= 0.0, "momentum_decay value", momentum_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def step(self, closure=None):
        """Change the parameters once, by their gradients; returns the closure's loss."""
        return self._step_blocks(closure)

    def init_state(self, group, p):
        return {
            "step": 0.0,
            "mu_product": 1.0,
            "exp_avg": torch.zeros_like(p),
            "exp_avg_sq": torch.zeros_like(p),
        }

    def update(self, group, block):
        step = block.advance()
        lr = number(group["lr"], group)
        beta1, beta2 = (float(b) for b in group["betas"])
        share1, light = near_end(1 - beta1)
        weight_decay = float(group["weight_decay"])
        decay = "none" if weight_decay == 0 else "weight" if group["decoupled_weight_decay"] else "gradient"
        momentum_decay = group["momentum_decay"]
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * momentum_decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
        mu_product = rounded(block.counters["mu_product"] * rounded(mu, block.dtypes[1]), block.dtypes[1])
        block.counters["mu_product"] = mu_product
        params, exp_avgs, exp_avg_sqs = nadam_update(
            block.params,
            block.grads,
            block["exp_avg"],
            block["exp_avg_sq"],
            1 - lr * weight_decay,
            weight_decay,
            share1,
            beta2,
            1 - beta2,
            1 - beta2**step,
            float(group["eps"]),
            lr * (1.0 - mu) / (1.0 - mu_product),
            lr * mu_next / (1.0 - mu_product * mu_next),
            light,
            decay,
            bool(group["maximize"]),
        )
        block.write(params, {"exp_avg": exp_avgs, "exp_avg_sq": exp_avg_sqs})
