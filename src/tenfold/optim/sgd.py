"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

import tenfold as torch
from tenfold import Tensor
from tenfold.optim.optimizer import Optimizer, ParamsT, check, check_fused, check_lr, number

__all__ = ["SGD"]


@torch.composite(data=("lr", "momentum", "fresh", "weight_decay"))
def sgd_update(params, grads, buffers, lr, momentum, fresh, weight_decay, has_momentum, decays, nesterov, maximize):
    """One step: (new parameters, new momentum buffers or None). `fresh` is the gradient's share, 1 - dampening."""
    new_params, new_buffers = [], []
    for i, p in enumerate(params):
        g = -grads[i] if maximize else grads[i]
        if decays:
            g = g + weight_decay * p
        if has_momentum:
            buffer = g.clone() if buffers is None else buffers[i] * momentum + fresh * g
            new_buffers.append(buffer)
            g = g + momentum * buffer if nesterov else buffer
        new_params.append(p - lr * g)
    return new_params, new_buffers if has_momentum else None


class SGD(Optimizer):
    """Stochastic gradient descent: ``p -= lr * v`` with ``v = momentum * v + (1 - dampening) * g``.

    Args:
        params: the tensors to optimize, dicts of groups, or (name, tensor) pairs.
        lr: learning rate. Default 1e-3.
        momentum: share of the last direction that is kept. Default 0.
        dampening: share of the gradient that is left out of the direction. Default 0.
        weight_decay: `weight_decay * p` is added to the gradient. Default 0.
        nesterov: look ahead along the direction. Needs momentum, and no dampening.
        maximize: climb instead of descend.
        foreach, fused: accepted; every step is one fused program here.
        differentiable: let gradients pass through the step.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.
    """

    counters = ()
    takes_sparse = True

    options_since = {"foreach": None, "fused": False, "nesterov": False, "maximize": False, "differentiable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            check_lr(lr)
        check(not lr < 0.0, "learning rate", lr)
        check(not momentum < 0.0, "momentum value", momentum)
        check(not weight_decay < 0.0, "weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                "Nesterov momentum requires a momentum and zero dampening, "
                f"but momentum={momentum}, dampening={dampening}"
            )
        super().__init__(params, defaults)
        check_fused(self, fused, foreach, differentiable)

    def step(self, closure=None):
        """Change the parameters once, by their gradients; returns the closure's loss."""
        return self._step_blocks(closure)

    @torch.translated
    def update(self, group, block):
        momentum = number(group["momentum"], group)
        weight_decay = number(group["weight_decay"], group)
        buffers = block["momentum_buffer"] if momentum != 0 else None
        params, new_buffers = sgd_update(
            block.params,
            block.grads,
            buffers,
            number(group["lr"], group),
            momentum,
            1.0 - number(group["dampening"], group),
            weight_decay,
            momentum != 0,
            weight_decay != 0,
            bool(group["nesterov"]),
            bool(group["maximize"]),
        )
        if momentum != 0 and buffers is None:
            new_buffers = list(new_buffers)  # before writing, which may end the walk
        block.write(params, {} if buffers is None else {"momentum_buffer": new_buffers})
        if momentum != 0 and buffers is None:
            block.add("momentum_buffer", new_buffers)
