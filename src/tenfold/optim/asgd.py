"""Averaged stochastic gradient descent."""

from __future__ import annotations

import tenfold as torch
from tenfold import Tensor
from tenfold.optim._blocks import counter_dtype, rounded
from tenfold.optim.optimizer import Optimizer, ParamsT, check, check_lr

__all__ = ["ASGD"]


@torch.composite(data=("weight_decay", "shrink", "eta", "mu"))
def asgd_update(params, grads, averages, weight_decay, shrink, eta, mu, averaging, decays, maximize):
    """One step: new (parameters, averages of the parameters)."""
    new_params, new_averages = [], []
    for i, p in enumerate(params):
        g = -grads[i] if maximize else grads[i]
        if decays:
            g = g + weight_decay * p
        p = p * shrink - eta * g
        new_params.append(p)
        new_averages.append(averages[i] + (p - averages[i]) * mu if averaging else p.clone())
    return new_params, new_averages


class ASGD(Optimizer):
    """Averaged SGD: steps of decreasing size, and in `state[p]["ax"]` the average of the parameters after step t0.

    Args:
        params: the tensors to optimize, dicts of groups, or (name, tensor) pairs.
        lr: learning rate at the start. Default 1e-2.
        lambd: decay of the rate, and of the parameters. Default 1e-4.
        alpha: power of the rate's decay. Default 0.75.
        t0: the step at which averaging begins. Default 1e6.
        weight_decay: `weight_decay * p` is added to the gradient. Default 0.
        foreach: accepted; every step is one fused program here.
        maximize: climb instead of descend.
        differentiable: let gradients pass through the step.
        capturable: for device graphs of PyTorch; refused on the CPU at the first step.

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    """

    counters = ("step", "eta", "mu")

    options_since = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check(weight_decay >= 0.0, "weight_decay value", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
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
        return {"step": 0.0, "eta": rounded(float(group["lr"]), counter_dtype()), "mu": 1.0, "ax": torch.zeros_like(p)}

    def update(self, group, block):
        step = block.advance()
        counters = block.counters
        weight_decay = float(group["weight_decay"])
        lambd = group["lambd"]
        params, averages = asgd_update(
            block.params,
            block.grads,
            block["ax"],
            weight_decay,
            1 - lambd * counters["eta"],
            counters["eta"],
            counters["mu"],
            counters["mu"] != 1,
            weight_decay != 0,
            bool(group["maximize"]),
        )
        lr = float(group["lr"])
        dtype = counter_dtype()
        counters["eta"] = rounded(lr / (1 + lambd * lr * step) ** group["alpha"], dtype)
        counters["mu"] = rounded(1 / max(1, step - group["t0"]), dtype)
        block.write(params, {"ax": averages})
