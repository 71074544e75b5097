"""Rprop: steps by the sign of the gradient alone, each with a size of its own."""

from __future__ import annotations

import tenfold as torch
from tenfold import Tensor
from tenfold.optim.optimizer import Optimizer, ParamsT, check, check_lr

__all__ = ["Rprop"]


@torch.composite(data=("smaller", "larger", "smallest", "largest"))
def rprop_update(params, grads, prevs, step_sizes, smaller, larger, smallest, largest, maximize):
    """One step: new (parameters, gradients as last used, step sizes)."""
    new_params, new_prevs, new_sizes = [], [], []
    for i, p in enumerate(params):
        g = -grads[i] if maximize else grads[i]
        agreement = g * prevs[i]
        size = step_sizes[i]
        size = torch.where(agreement > 0, size * larger, torch.where(agreement < 0, size * smaller, size))
        size = size.clamp(smallest, largest)
        g = torch.where(agreement < 0, torch.zeros_like(g), g)  # past a minimum: stay, and forget this gradient
        new_params.append(p - g.sign() * size)
        new_prevs.append(g)
        new_sizes.append(size)
    return new_params, new_prevs, new_sizes


class Rprop(Optimizer):
    """Resilient backpropagation: step sizes grow while the sign of the gradient stays, and shrink when it changes.

    Args:
        params: the tensors to optimize, dicts of groups, or (name, tensor) pairs.
        lr: the first step size. Default 1e-2.
        etas: the factors that make a step smaller and larger. Default (0.5, 1.2).
        step_sizes: the smallest and the largest step size. Default (1e-6, 50).
        foreach: accepted; every step is one fused program here.
        maximize: climb instead of descend.
        differentiable: let gradients pass through the step.
        capturable: for device graphs of PyTorch; refused on the CPU at the first step.

    Source: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning", 1993.
    """

    options_since = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check(0.0 < etas[0] < 1.0 < etas[1], "eta values", f"{etas[0]}, {etas[1]}")
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
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
        lr = float(group["lr"])
        size = complex(lr, lr) if p.dtype.is_complex else lr
        return {"step": 0.0, "prev": torch.zeros_like(p), "step_size": torch.full_like(p, size)}

    def update(self, group, block):
        block.advance()
        smaller, larger = group["etas"]
        smallest, largest = group["step_sizes"]
        params, prevs, sizes = rprop_update(
            block.params,
            block.grads,
            block["prev"],
            block["step_size"],
            float(smaller),
            float(larger),
            float(smallest),
            float(largest),
            bool(group["maximize"]),
        )
        block.write(params, {"prev": prevs, "step_size": sizes})
