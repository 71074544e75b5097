"""The common part of all schedules: counting epochs, writing rates into param groups, saving and loading."""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tenfold import Tensor
from tenfold.optim.optimizer import Optimizer


class LRScheduler:
    """Base class of schedules: a subclass gives `get_lr`, the rates of all param groups at `last_epoch`.

    Args:
        optimizer: its param groups are scheduled.
        last_epoch: -1 begins a schedule; any other number resumes one, from each group's "initial_lr".
    """

    _get_lr_called_within_step: bool = False
    _is_initial: bool = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        if last_epoch == -1:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", copied(group["lr"]))
        else:
            _check_resumed(optimizer, last_epoch)
        self.base_lrs: list[float | Tensor] = group_values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        _watch_step(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the rates of the first epoch."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """Everything that the schedule remembers, without the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[float | Tensor]:
        """The rates that the last step set, one for each param group."""
        return self._last_lr

    def get_lr(self) -> list[float | Tensor]:
        """The rates at `last_epoch`, from those of the epoch before."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr(); a schedule must define it")

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch.

        Args:
            epoch: jump there instead. Deprecated in PyTorch.
        """
        if self._step_count == 1:
            self._check_order()
        self._step_count += 1
        if epoch is not None:
            warn_epoch(stacklevel=3)
        self._update_lr(epoch)

    def _check_order(self) -> None:
        """Warn where the optimizer cannot have made a step before this first one."""
        if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
            warnings.warn(
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization: "
                "whether it came before `lr_scheduler.step()` cannot be seen any more",
                UserWarning,
                stacklevel=3,
            )
        elif not getattr(self.optimizer, "_opt_called", False):
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first value of the schedule is "
                "never used then. Call `optimizer.step()` first",
                UserWarning,
                stacklevel=3,
            )

    def _update_lr(self, epoch: int | None = None) -> None:
        with within_step(self):
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                closed_form = getattr(self, "_get_closed_form_lr", self.get_lr)
                values = closed_form()
        self._set(values)

    def _set(self, values: list[float | Tensor]) -> None:
        """Write the rates into the param groups."""
        for group, value in zip(self.optimizer.param_groups, values, strict=False):
            set_value(group, "lr", value)
        self._last_lr: list[float | Tensor] = group_values(self.optimizer, "lr")

    def _current(self) -> list[float | Tensor]:
        """The rates as they are."""
        return group_values(self.optimizer, "lr")

    def _scaled(self, factor: float) -> list[float | Tensor]:
        """The rates times one factor."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]


class _LRScheduler(LRScheduler):
    """The name of LRScheduler in older programs."""


def check_optimizer(optimizer: Any) -> None:
    """Refuse what is not an Optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def _check_resumed(optimizer: Optimizer, last_epoch: int) -> None:
    for i, group in enumerate(optimizer.param_groups):
        if "initial_lr" not in group:
            raise KeyError(
                f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                f"last_epoch >= 0 (last_epoch={last_epoch}). "
                "Load the optimizer's state_dict first, or begin with last_epoch=-1"
            )


def _watch_step(optimizer: Optimizer) -> None:
    """Note in `optimizer._opt_called` that a step was made, for the warning about the order of steps."""
    step = optimizer.step
    if hasattr(step, "_wrapped_by_lr_sched"):
        return
    function = getattr(step, "__func__", None)
    if function is None:
        return
    holder = weakref.ref(optimizer)  # the optimizer will own the wrapper: no cycle

    @functools.wraps(function)
    def call(*args, **kwargs):
        owner = holder()
        owner._opt_called = True
        return function(owner, *args, **kwargs)

    call._wrapped_by_lr_sched = True
    optimizer.step = call


@contextmanager
def within_step(scheduler: LRScheduler) -> Iterator[None]:
    """Inside, `get_lr` is called by the schedule itself."""
    scheduler._get_lr_called_within_step = True
    try:
        yield
    finally:
        scheduler._get_lr_called_within_step = False


def warn_get_lr(scheduler: LRScheduler) -> None:
    """Warn where `get_lr` is called from outside, which computes one epoch too far."""
    if not scheduler._get_lr_called_within_step:
        warnings.warn(
            "To get the last learning rate computed by the scheduler, please use `get_last_lr()`: "
            "`get_lr()` computes the one after it",
            UserWarning,
            stacklevel=3,
        )


def warn_epoch(stacklevel: int) -> None:
    """Warn of the deprecated argument of `step`."""
    warnings.warn(
        "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. "
        "Call `scheduler.step()`; with an epoch the closed form of the schedule is used where it has one",
        UserWarning,
        stacklevel=stacklevel + 1,
    )


def copied(value: Any) -> Any:
    """A number as it is, a tensor as a copy that later writes do not reach."""
    return value.detach().clone() if isinstance(value, Tensor) else value


def group_values(optimizer: Optimizer, key: str) -> list[Any]:
    """One option of all param groups."""
    return [copied(group[key]) for group in optimizer.param_groups]


def set_value(group: dict[str, Any], key: str, value: Any) -> None:
    """Set an option of a group; a tensor there is filled in place, so that whoever holds it sees the new value."""
    if isinstance(group[key], Tensor):
        group[key].fill_(float(value))
    else:
        group[key] = value


def for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for each param group: a list or tuple must have their number, anything else is repeated."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. "
            f"{name} has {len(value)} values, param_groups has {count}."
        )
    return list(value)


def packed_functions(functions: list[Any]) -> list[dict | None]:
    """What a saved schedule keeps of its functions: the attributes of callable objects, nothing of plain functions."""
    return [None if not hasattr(f, "__dict__") or hasattr(f, "__code__") else f.__dict__.copy() for f in functions]


def restore_functions(functions: list[Any], packed: list[dict | None]) -> None:
    """Give callable objects their saved attributes."""
    for f, attributes in zip(functions, packed, strict=False):
        if attributes is not None:
            f.__dict__.update(attributes)
