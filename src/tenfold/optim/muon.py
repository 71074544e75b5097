"""Muon: momentum whose matrix is made nearly orthogonal before each step."""

from __future__ import annotations

import math

import tenfold as torch
from tenfold import Tensor
from tenfold.optim.adam import near_end, toward
from tenfold.optim.optimizer import Optimizer, ParamsT, check_lr

__all__ = ["Muon"]


def orthogonalized(g: Tensor, coefficients: tuple, steps: int, eps: float) -> Tensor:
    """A matrix with nearly the singular vectors of g and singular values near 1, by Newton-Schulz steps in bfloat16."""
    a, b, c = coefficients
    x = g.bfloat16()
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.t()
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.t()
        x = _add_product(a, x, 1.0, _add_product(b, gram, c, gram, gram), x)
    return x.t() if tall else x


def _add_product(beta: float, added: Tensor, alpha: float, left: Tensor, right: Tensor) -> Tensor:
    """beta * added + alpha * (left @ right) of bfloat16 matrices, rounded to bfloat16 once."""
    return (beta * added.float() + alpha * (left.float() @ right.float())).bfloat16()


@torch.composite(data=("lr", "shrink", "share", "ahead"))
def muon_update(
    params,
    grads,
    buffers,
    lr,
    shrink,
    share,
    ahead,
    scales,
    coefficients,
    eps,
    steps,
    nesterov,
    light,
    ahead_is_light,
):
    """One step: new (parameters, momentum buffers); `scales` holds factors of lr."""
    new_params, new_buffers = [], []
    for p, g, buffer, scale in zip(params, grads, buffers, scales, strict=True):
        buffer = toward(buffer, g, share, light)
        direction = toward(g, buffer, ahead, ahead_is_light) if nesterov else buffer
        direction = orthogonalized(direction, coefficients, steps, eps).to(p.dtype)
        new_params.append(p * shrink - lr * (scale * direction))
        new_buffers.append(buffer)
    return new_params, new_buffers


class Muon(Optimizer):
    """Muon: SGD with momentum for the matrices of hidden layers, its direction made nearly orthogonal.

    Args:
        params: matrices (2-D tensors) to optimize, dicts of groups, or (name, tensor) pairs.
        lr: learning rate. Default 1e-3.
        weight_decay: before each step ``p *= 1 - lr * weight_decay``. Default 0.1.
        momentum: how much of the direction each step keeps. Default 0.95.
        nesterov: look ahead along the direction. Default True.
        ns_coefficients: of the Newton-Schulz polynomial. Default (3.4445, -4.775, 2.0315).
        eps: keeps the normalisation finite. Default 1e-7.
        ns_steps: Newton-Schulz steps, below 100. Default 5.
        adjust_lr_fn: "original" (or None): lr times ``sqrt(max(1, rows / columns))``; "match_rms_adamw": lr times
            ``0.2 * sqrt(max(rows, columns))``, so that AdamW's rates fit.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; Moonshot AI, 2025.
    """

    counters = ()

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            check_lr(lr)
        for value, what in ((lr, "Learning rate"), (momentum, "momentum"), (weight_decay, "weight decay")):
            if not value >= 0.0:
                raise ValueError(f"{what} should be >= 0 but is: {value}")
        if adjust_lr_fn is not None and adjust_lr_fn not in ("original", "match_rms_adamw"):
            raise ValueError(
                f"Adjust learning rate function {adjust_lr_fn} is not supported; give 'original' or 'match_rms_adamw'"
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
        )
        for group in self.param_groups:
            for p in group["params"]:
                if p.dim() != 2:
                    raise ValueError(
                        f"Muon only supports 2D parameters, but one has shape {list(p.shape)}. "
                        "Give biases and other tensors to another optimizer, AdamW for example"
                    )

    def step(self, closure=None):
        """Change the parameters once, by their gradients; returns the closure's loss."""
        return self._step_blocks(closure)

    def check_grad(self, group, p, grad):
        if p.dtype.is_complex:
            raise RuntimeError("Muon does not support complex parameters")
        super().check_grad(group, p, grad)
        if grad.dim() != 2:
            raise ValueError(f"Param gradient must be a 2D matrix, but it has shape {list(grad.shape)}")

    def init_state(self, group, p):
        return {"momentum_buffer": torch.zeros_like(p.grad)}

    def update(self, group, block):
        if len(group["ns_coefficients"]) != 3:
            raise ValueError(f"Coefficients must be a tuple of exactly 3 values, not {group['ns_coefficients']}")
        if group["ns_steps"] >= 100:
            raise ValueError(f"Number of steps must be less than 100, but ns_steps={group['ns_steps']}")
        lr = float(group["lr"])
        momentum = float(group["momentum"])
        share, light = near_end(1 - momentum)
        ahead, ahead_is_light = near_end(momentum)
        params, buffers = muon_update(
            block.params,
            block.grads,
            block["momentum_buffer"],
            lr,
            1.0 - lr * group["weight_decay"],
            share,
            ahead,
            tuple(scale_for(group["adjust_lr_fn"], p.shape) for p in block.params),
            tuple(group["ns_coefficients"]),
            float(group["eps"]),
            group["ns_steps"],
            bool(group["nesterov"]),
            light,
            ahead_is_light,
        )
        block.write(params, {"momentum_buffer": buffers})


def scale_for(how: str | None, shape: tuple[int, ...]) -> float:
    """The factor of the learning rate for one matrix, by its numbers of rows and columns."""
    rows, columns = shape[:2]
    if how == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))
