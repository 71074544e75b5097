"""Averages of a model's weights along its training: stochastic weight averaging and exponential moving averages."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, Literal

import tenfold as torch
from tenfold import Tensor
from tenfold.nn import Module
from tenfold.optim.lr_scheduler import LRScheduler
from tenfold.optim.lr_scheduler.base import for_each_group, warn_get_lr
from tenfold.optim.lr_scheduler.cycle import cosine_between, line_between
from tenfold.optim.optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided: it must be in [0, 1]")


def get_ema_multi_avg_fn(decay=0.999):
    """A function for `AveragedModel(multi_avg_fn=...)`: averages that keep `decay` of themselves at each update."""
    _check_decay(decay)

    @torch.no_grad()
    def ema_update(ema_param_list, current_param_list, _):
        for average, current in zip(ema_param_list, current_param_list, strict=True):
            if average.dtype.is_floating_point or average.dtype.is_complex:
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(average * decay + current * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn():
    """A function for `AveragedModel(multi_avg_fn=...)`: the plain average of all updates."""

    @torch.no_grad()
    def swa_update(averaged_param_list, current_param_list, num_averaged):
        for average, current in zip(averaged_param_list, current_param_list, strict=True):
            if average.dtype.is_floating_point or average.dtype.is_complex:
                average.lerp_(current, 1 / (float(num_averaged) + 1))
            else:
                average.add_(((current - average) / (num_averaged + 1)).to(average.dtype))

    return swa_update


def get_ema_avg_fn(decay=0.999):
    """A function for `AveragedModel(avg_fn=...)`: an average that keeps `decay` of itself at each update."""
    _check_decay(decay)

    @torch.no_grad()
    def ema_update(ema_param, current_param, num_averaged):
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn():
    """A function for `AveragedModel(avg_fn=...)`: the plain average of all updates."""

    @torch.no_grad()
    def swa_update(averaged_param, current_param, num_averaged):
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of those it was updated with.

    Args:
        model: copied; the averages begin with the first `update_parameters`.
        device: where the copy lies. Default: where the model lies.
        avg_fn: (average, current, number of updates before) -> new average, of one tensor. Default: the plain average.
        multi_avg_fn: the same for lists of tensors, in place.
        use_buffers: average buffers too, instead of copying them. Default False.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", 2018.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: int | torch.device | None = None,
        avg_fn: Callable[[Tensor, Tensor, Tensor | int], Tensor] | None = None,
        multi_avg_fn: Callable[[Any, Any, Tensor | int], None] | None = None,
        use_buffers=False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", torch.tensor(0, dtype=torch.long, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args, **kwargs):
        """The copy's forward."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's present parameters into the averages."""
        own, current = self._averaged(self.module), self._averaged(model)
        current = [c.detach().to(o.device) for o, c in zip(own, current, strict=False)]
        own = [o.detach() for o in own]
        if self.n_averaged == 0:
            for average, value in zip(own, current, strict=False):
                average.copy_(value)
        elif self.avg_fn is not None:
            for average, value in zip(own, current, strict=False):
                average.copy_(self.avg_fn(average, value, self.n_averaged.to(average.device)))
        else:
            update = self.multi_avg_fn or get_swa_multi_avg_fn()
            update(own, current, self.n_averaged)
        if not self.use_buffers:
            for mine, value in zip(self.module.buffers(), model.buffers(), strict=False):
                mine.detach().copy_(value.detach().to(mine.device))
        self.n_averaged += 1

    def _averaged(self, model: Module) -> list[Tensor]:
        """The tensors of which averages are kept."""
        return list(itertools.chain(model.parameters(), model.buffers() if self.use_buffers else []))


@torch.no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: int | torch.device | None = None) -> None:
    """Compute the running statistics of a model's batch norm layers anew, as plain averages over a data set.

    Args:
        loader: batches, as tensors or as lists whose first element is the input.
        model: called with each batch in training mode; its mode is restored.
        device: where batches are moved to.
    """
    momenta = {}
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.momentum = None  # which means: the plain average
    for batch in loader:
        if isinstance(batch, (list, tuple)):
            batch = batch[0]
        model(batch if device is None else batch.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """The rate goes to a constant within some epochs, and stays there.

    Args:
        optimizer: its param groups are scheduled.
        swa_lr: the constant, or a list with one for each param group.
        anneal_epochs: epochs on the way. Default 10.
        anneal_strategy: "cos" or "linear". Default "cos".
        last_epoch: -1 to begin. Default -1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs=10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch=-1,
    ) -> None:
        rates = for_each_group("swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, epoch: float) -> float:
        """How much of the way to the constant lies behind at an epoch."""
        t = max(0, min(1, epoch / max(1, self.anneal_epochs)))
        return line_between(0.0, 1.0, t) if self._anneal_strategy == "linear" else cosine_between(0.0, 1.0, t)

    def get_lr(self):
        """The rates at `last_epoch`."""
        warn_get_lr(self)
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        lrs = []
        for group in self.optimizer.param_groups:
            constant = group["swa_lr"]
            lr = group["lr"]
            initial = constant if before == 1 else (lr - before * constant) / (1 - before)
            lrs.append(constant * now + initial * (1 - now))
        return lrs
