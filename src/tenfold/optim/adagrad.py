"""Adagrad: steps that become smaller with the sum of all squared gradients."""

from __future__ import annotations

import tenfold as torch
from tenfold import Tensor
from tenfold.optim._blocks import counter_dtype
from tenfold.optim.optimizer import Optimizer, ParamsT, check, check_fused, check_lr, number

__all__ = ["Adagrad"]


@torch.composite(data=("weight_decay", "step_size", "eps"))
def adagrad_update(params, grads, sums, weight_decay, step_size, eps, decays, maximize):
    """One step: new (parameters, sums of g²)."""
    new_params, new_sums = [], []
    for i, p in enumerate(params):
        g = -grads[i] if maximize else grads[i]
        if decays:
            g = g + weight_decay * p
        total = sums[i] + g * g
        new_params.append(p - step_size * g / (total.sqrt() + eps))
        new_sums.append(total)
    return new_params, new_sums


class Adagrad(Optimizer):
    """Adagrad: ``p -= lr * g / (sqrt(sum of all g² so far) + eps)``.

    Args:
        params: the tensors to optimize, dicts of groups, or (name, tensor) pairs.
        lr: learning rate. Default 1e-2.
        lr_decay: the rate at step t is ``lr / (1 + (t - 1) * lr_decay)``. Default 0.
        weight_decay: `weight_decay * p` is added to the gradient. Default 0.
        initial_accumulator_value: where the sums begin. Default 0.
        eps: keeps the division finite. Default 1e-10.
        foreach, fused: accepted; every step is one fused program here.
        maximize: climb instead of descend.
        differentiable: let gradients pass through the step.

    Source: Duchi et al., "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", 2011.
    """

    takes_sparse = True

    options_since = {"foreach": None, "maximize": False, "differentiable": False, "fused": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check(lr_decay >= 0.0, "lr_decay value", lr_decay)
        check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        check(initial_accumulator_value >= 0.0, "initial_accumulator_value value", initial_accumulator_value)
        check(eps >= 0.0, "epsilon value", eps)
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        check_fused(self, fused, foreach, differentiable)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = self.init_state(group, p)

    def share_memory(self) -> None:
        """Move the state to memory that other processes can share."""
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["sum"].share_memory_()

    def step(self, closure=None):
        """Change the parameters once, by their gradients; returns the closure's loss."""
        return self._step_blocks(closure)

    def init_state(self, group, p):
        start = group["initial_accumulator_value"]
        start = complex(start, start) if p.dtype.is_complex else start
        return {"step": torch.zeros((), dtype=counter_dtype()), "sum": torch.full_like(p, start)}

    def update(self, group, block):
        step = block.advance()
        weight_decay = float(group["weight_decay"])
        params, sums = adagrad_update(
            block.params,
            block.grads,
            block["sum"],
            weight_decay,
            number(group["lr"], group) / (1 + (step - 1) * group["lr_decay"]),
            float(group["eps"]),
            weight_decay != 0,
            bool(group["maximize"]),
        )
        block.write(params, {"sum": sums})
