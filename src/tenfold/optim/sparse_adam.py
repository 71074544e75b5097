"""Adam for sparse gradients: only the rows that have a gradient move, and only their averages."""

from __future__ import annotations

import math

import tenfold as torch
from tenfold import Tensor
from tenfold.optim.optimizer import Optimizer, ParamsT, check, check_betas, check_lr

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """Adam for gradients in sparse COO form, as `nn.Embedding(sparse=True)` gives them.

    Args:
        params: the (dense) tensors to optimize, dicts of groups, or (name, tensor) pairs.
        lr: learning rate. Default 1e-3.
        betas: how much of the averages of g and g² each step keeps. Default (0.9, 0.999).
        eps: keeps the division finite. Default 1e-8.
        maximize: climb instead of descend.

    Raises:
        RuntimeError: at the step, where a gradient is dense.
    """

    counters = ()

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            check_lr(lr)
        check(lr > 0.0, "learning rate", lr)
        check(eps > 0.0, "epsilon value", eps)
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        places = [(g, i, p) for g, group in enumerate(self.param_groups) for i, p in enumerate(group["params"])]
        for kind, found in (
            ("Sparse", [[g, i] for g, i, p in places if p.is_sparse]),
            ("Complex", [[g, i] for g, i, p in places if p.dtype.is_complex]),
        ):
            if found:
                what = "requires dense parameter tensors" if kind == "Sparse" else "does not support complex parameters"
                raise ValueError(f"{kind} params at indices {found}: SparseAdam {what}")

    def step(self, closure=None):
        """Change the parameters once, by their gradients; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._step_param(group, p)
        return loss

    def _step_param(self, group: dict, p: Tensor) -> None:
        if not p.grad.is_sparse:
            raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
        state = self.state[p]
        if not state:
            state.update(step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
        state["step"] += 1
        grad = p.grad.coalesce()
        g = -grad.values() if group["maximize"] else grad.values()
        if g.numel() == 0:
            return
        rows = tuple(grad.indices())
        beta1, beta2 = group["betas"]
        exp_avg = state["exp_avg"][rows] + (1 - beta1) * (g - state["exp_avg"][rows])
        exp_avg_sq = state["exp_avg_sq"][rows] + (1 - beta2) * (g * g - state["exp_avg_sq"][rows])
        state["exp_avg"][rows] = exp_avg
        state["exp_avg_sq"][rows] = exp_avg_sq
        step = state["step"]
        step_size = float(group["lr"]) * math.sqrt(1 - beta2**step) / (1 - beta1**step)
        p[rows] = p[rows] - step_size * exp_avg / (exp_avg_sq.sqrt() + group["eps"])
