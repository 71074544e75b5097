"""Adam: steps scaled by running averages of the gradient and of its square."""

from __future__ import annotations

from typing import Any

import tenfold as torch
from tenfold import Tensor
from tenfold.optim.optimizer import Optimizer, ParamsT, check, check_betas, check_fused, check_lr, number

__all__ = ["Adam"]


@torch.translated
def near_end(weight):
    """(share, light) for `toward`: the weight, or what is left of it where it is the larger part."""
    return (weight, True) if weight < 0.5 else (1 - weight, False)


def toward(average, value, share, light):
    """`average` moved to `value` by a share of the way (light), or all the way but for that share."""
    if light:
        return average + share * (value - average)
    return value - (value - average) * share


@torch.composite(data=("shrink", "weight_decay", "beta2", "share1", "fresh2", "eps", "step_size", "root_bias2"))
def adam_update(
    params,
    grads,
    exp_avgs,
    exp_avg_sqs,
    max_exp_avg_sqs,
    shrink,
    weight_decay,
    beta2,
    share1,
    fresh2,
    eps,
    step_size,
    root_bias2,
    light,
    decay,
    maximize,
):
    """One step: new (parameters, averages of g, averages of g², their maxima or None).

    `share1` and `light` move the first average; `fresh2` is 1 - beta2; `step_size` and `root_bias2` hold the
    corrections of the averages' start at zero. `decay` is "none", "gradient" (weight_decay * p joins the gradient) or
    "weight" (p shrinks by the factor `shrink`).
    """
    new_params, new_avgs, new_sqs, new_maxima = [], [], [], []
    for i, p in enumerate(params):
        g = -grads[i] if maximize else grads[i]
        if decay == "weight":
            p = p * shrink
        elif decay == "gradient":
            g = g + weight_decay * p
        exp_avg = toward(exp_avgs[i], g, share1, light)
        exp_avg_sq = exp_avg_sqs[i] * beta2 + fresh2 * g * g
        second = exp_avg_sq
        if max_exp_avg_sqs is not None:
            second = torch.maximum(max_exp_avg_sqs[i], exp_avg_sq)
            new_maxima.append(second)
        denom = second.sqrt() / root_bias2 + eps
        new_params.append(p - step_size * exp_avg / denom)
        new_avgs.append(exp_avg)
        new_sqs.append(exp_avg_sq)
    return new_params, new_avgs, new_sqs, None if max_exp_avg_sqs is None else new_maxima


class Adam(Optimizer):
    """Adam: ``p -= lr * m / (sqrt(v) + eps)`` with running averages m of g and v of g², corrected for their start at 0.

    Args:
        params: the tensors to optimize, dicts of groups, or (name, tensor) pairs.
        lr: learning rate. Default 1e-3.
        betas: how much of the two averages each step keeps. Default (0.9, 0.999).
        eps: keeps the division finite. Default 1e-8.
        weight_decay: `weight_decay * p` is added to the gradient. Default 0.
        amsgrad: divide by the largest v so far.
        maximize: climb instead of descend.
        foreach, fused: accepted; every step is one fused program here.
        capturable: for device graphs of PyTorch; refused on the CPU at the first step.
        differentiable: let gradients pass through the step.
        decoupled_weight_decay: shrink p itself by `lr * weight_decay`, as AdamW does.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2014; Reddi et al. for amsgrad, 2018.
    """

    options_since = {
        "foreach": None,
        "fused": None,
        "amsgrad": False,
        "maximize": False,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_lr(lr)
        check(eps >= 0.0, "epsilon value", eps)
        check_betas(betas)
        check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        betas = (betas[0], betas[1])
        _check_tensors(lr, betas, foreach, capturable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_fused(self, fused, foreach, differentiable)

    def step(self, closure=None):
        """Change the parameters once, by their gradients; returns the closure's loss."""
        return self._step_blocks(closure)

    def init_state(self, group, p):
        state = {"step": 0.0, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = torch.zeros_like(p)
        return state

    @torch.translated
    def update(self, group, block):
        step = block.advance()
        lr = number(group["lr"], group)
        beta1, beta2 = group["betas"]
        beta1 = number(beta1, group)
        beta2 = number(beta2, group)
        weight_decay = group["weight_decay"]
        decay = "none" if weight_decay == 0 else "weight" if group["decoupled_weight_decay"] else "gradient"
        share1, light = near_end(1 - beta1)
        weight_decay = float(weight_decay)
        maxima = block["max_exp_avg_sq"] if group["amsgrad"] else None
        params, exp_avgs, exp_avg_sqs, new_maxima = adam_update(
            block.params,
            block.grads,
            block["exp_avg"],
            block["exp_avg_sq"],
            maxima,
            1 - lr * weight_decay,
            weight_decay,
            beta2,
            share1,
            1 - beta2,
            float(group["eps"]),
            lr / (1 - beta1**step),
            (1 - beta2**step) ** 0.5,
            light,
            decay,
            bool(group["maximize"]),
        )
        state = {"exp_avg": exp_avgs, "exp_avg_sq": exp_avg_sqs}
        if maxima is not None:
            state["max_exp_avg_sq"] = new_maxima
        block.write(params, state)


def _check_tensors(lr: Any, betas: tuple, foreach: bool | None, capturable: bool) -> None:
    """Refuse hyper-parameters as tensors where PyTorch refuses them."""
    of_tensor = [isinstance(b, Tensor) for b in betas[:2]]
    lists = foreach is True and not capturable
    if lists and isinstance(lr, Tensor):
        raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True; give a float")
    if of_tensor[0] != of_tensor[1]:
        raise ValueError("betas must be either both floats or both Tensors")
    for i in (0, 1):
        if of_tensor[i] and lists:
            raise ValueError(
                f"betas[{i}] as a Tensor is not supported for capturable=False and foreach=True; give floats"
            )
        if of_tensor[i] and betas[i].numel() != 1:
            raise ValueError(f"Tensor betas[{i}] must be 1-element, but it has shape {list(betas[i].shape)}")
