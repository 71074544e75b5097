"""Adafactor: the average square of a matrix's gradients, kept as one row and one column."""

from __future__ import annotations

import tenfold as torch
from tenfold import Tensor
from tenfold.optim.adam import near_end, toward
from tenfold.optim.optimizer import Optimizer, ParamsT, check_lr

__all__ = ["Adafactor"]


@torch.composite(data=("shrink", "share", "rho"))
def adafactor_update(
    params, grads, row_vars, col_vars, variances, shrink, share, rho, eps1, eps2, d, light, decays, maximize
):
    """One step: new (parameters, row averages, column averages, averages of g²).

    Matrices have row_vars and col_vars, vectors and scalars have variances; the others are None. `share` and
    `light` move the averages, `rho` is the largest relative step.
    """
    new_params, new_rows, new_cols, new_variances = [], [], [], []
    for i, p in enumerate(params):
        g = -grads[i] if maximize else grads[i]
        root_numel = p.numel() ** 0.5
        alpha = (p.norm(2) / root_numel).clamp(min=eps2) * rho
        if decays:
            p = p * shrink
        if variances is None:
            row = toward(row_vars[i], g.norm(dim=-1, keepdim=True).square() / g.size(-1), share, light)
            col = toward(col_vars[i], g.norm(dim=-2, keepdim=True).square() / g.size(-2), share, light)
            estimate = row @ col / row.mean(dim=-2, keepdim=True).clamp(min=eps1)
            new_rows.append(row)
            new_cols.append(col)
        else:
            estimate = toward(variances[i], g * g, share, light)
            new_variances.append(estimate)
        step = estimate.clamp(min=eps1 * eps1).rsqrt() * g
        clip = (step.norm(2) / (root_numel * d)).clamp(min=1.0)
        new_params.append(p - alpha / clip * step)
    if variances is None:
        return new_params, new_rows, new_cols, None
    return new_params, None, None, new_variances


class Adafactor(Optimizer):
    """Adafactor: Adam's division by the average square, with memory for one row and one column of each matrix only.

    Args:
        params: the tensors to optimize, dicts of groups, or (name, tensor) pairs.
        lr: the largest relative step. Default 1e-2.
        beta2_decay: step t keeps ``1 - t ** beta2_decay`` of the averages; at most 0. Default -0.8.
        eps: smallest average square (None: the dtype's epsilon) and smallest size of a parameter. Default (None, 1e-3).
        d: a step with a larger root mean square is scaled down to it; at least 1. Default 1.
        weight_decay: before each step ``p *= 1 - lr * weight_decay``. Default 0.
        foreach: accepted; every step is one fused program here.
        maximize: climb instead of descend.

    Source: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018.
    """

    options_since = {"foreach": None}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            check_lr(lr)
        _at_least(lr, 0.0, "Learning rate")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None:
            _at_least(eps[0], 0.0, "epsilon1")
        _at_least(eps[1], 0.0, "epsilon2")
        _at_least(d, 1.0, "Clipping threshold d")
        _at_least(weight_decay, 0.0, "weight_decay")
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
            },
        )

    def step(self, closure=None):
        """Change the parameters once, by their gradients; returns the closure's loss."""
        return self._step_blocks(closure)

    def check_grad(self, group, p, grad):
        if p.dtype.is_complex:
            raise RuntimeError("Adafactor does not support complex parameters; give torch.view_as_real of them")
        super().check_grad(group, p, grad)

    def init_state(self, group, p):
        if p.grad.dim() > 1:
            row = list(p.grad.shape)
            row[-1] = 1
            col = list(p.grad.shape)
            col[-2] = 1
            return {"step": 0.0, "row_var": p.grad.new_zeros(row), "col_var": p.grad.new_zeros(col)}
        return {"step": 0.0, "variance": torch.zeros_like(p.grad)}

    def update(self, group, block):
        step = block.advance()
        lr = float(group["lr"])
        eps1, eps2 = group["eps"]
        if eps1 is None:
            eps1 = torch.finfo(block.params[0].dtype).eps
        weight_decay = float(group["weight_decay"])
        share, light = near_end(float(step ** group["beta2_decay"]))
        params, rows, cols, variances = adafactor_update(
            block.params,
            block.grads,
            block["row_var"],
            block["col_var"],
            block["variance"],
            1 - lr * weight_decay,
            share,
            min(lr, 1 / step**0.5),
            float(eps1),
            float(eps2),
            float(group["d"]),
            light,
            weight_decay != 0,
            bool(group["maximize"]),
        )
        matrices = variances is None
        block.write(params, {"row_var": rows, "col_var": cols} if matrices else {"variance": variances})


def _at_least(value, least, what):
    if not least <= value:
        raise ValueError(f"{what} should be >= {least:g} but is: {value}")
