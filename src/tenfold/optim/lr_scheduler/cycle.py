"""Schedules that rise and fall: between two rates, with restarts, or once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from tenfold import Tensor
from tenfold.optim.lr_scheduler.base import (
    LRScheduler,
    check_optimizer,
    for_each_group,
    packed_functions,
    restore_functions,
    set_value,
    warn_get_lr,
    within_step,
)
from tenfold.optim.optimizer import Optimizer


class CosineAnnealingWarmRestarts(LRScheduler):
    """The rate falls to `eta_min` along half a cosine, again and again, each time `T_mult` times as long.

    Args:
        optimizer: its param groups are scheduled.
        T_0: epochs of the first fall.
        T_mult: an integer of at least 1. Default 1.
        eta_min: the smallest rate. Default 0.
        last_epoch: -1 to begin. Default -1.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, (float, int)):
            raise ValueError(f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}")
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """The rates at `T_cur` epochs after the last restart."""
        warn_get_lr(self)
        height = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * height / 2 for base in self.base_lrs]

    def step(self, epoch=None) -> None:
        """Go on to the next epoch, or to any `epoch`, which may be a fraction (``epoch + batch / batches``)."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            if epoch < 0:
                raise ValueError(f"Expected non-negative epoch, but got {epoch}")
            self._locate(epoch)
        self.last_epoch = math.floor(epoch)
        with within_step(self):
            values = self.get_lr()
        self._set(values)

    def _locate(self, epoch) -> None:
        """Set length and position of the fall in which `epoch` lies."""
        if epoch < self.T_0:
            self.T_i = self.T_0
            self.T_cur = epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**n


class _WithMomentum(LRScheduler):
    """A schedule that moves the momentum (or the first beta) against the rate."""

    def _choose_momentum(self) -> None:
        """Find out which option of the optimizer is its momentum."""
        defaults = self.optimizer.defaults
        if "momentum" not in defaults and "betas" not in defaults:
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled, but "
                f"{type(self.optimizer).__name__} has neither. Give cycle_momentum=False"
            )
        self.use_beta1 = "betas" in defaults

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class CyclicLR(_WithMomentum):
    """The rate goes up and down between two values; the momentum goes the other way.

    Args:
        optimizer: its param groups are scheduled.
        base_lr, max_lr: the two rates, or lists with one for each param group.
        step_size_up: steps on the way up. Default 2000.
        step_size_down: steps on the way down. Default: as many.
        mode: "triangular"; "triangular2" (half the height each cycle); "exp_range" (height times ``gamma ** step``).
        gamma: of "exp_range". Default 1.
        scale_fn: a function of cycle or step that scales the height, instead of `mode`.
        scale_mode: what `scale_fn` is given: "cycle" or "iterations". Default "cycle".
        cycle_momentum: move the momentum too. Default True.
        base_momentum, max_momentum: its two values, or lists. Default 0.8 and 0.9.
        last_epoch: -1 to begin. Default -1.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        base_lrs = for_each_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                set_value(group, "lr", lr)
        self.max_lrs = for_each_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        down = up if step_size_down is None else float(step_size_down)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f"mode is invalid and scale_fn is None: mode is {mode!r}")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = "iterations" if scale_fn is None and mode == "exp_range" else scale_mode
        if scale_fn is None and mode != "exp_range":
            self.scale_mode = "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._choose_momentum()
            self.base_momentums = for_each_group("base_momentum", optimizer, base_momentum)
            self.max_momentums = for_each_group("max_momentum", optimizer, max_momentum)
            if last_epoch == -1:
                self._start_momentum()
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def _start_momentum(self) -> None:
        for group, low, high in zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True):
            self._set_momentum(group, high)
            group["max_momentum"] = high
            group["base_momentum"] = low

    def scale_fn(self, x) -> float:
        """The share of the full height in cycle (or at step) x."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return 1 / (2.0 ** (x - 1))
        if self.mode == "exp_range":
            return self.gamma**x
        return 1.0

    def get_lr(self) -> list[float | Tensor]:
        """The rates at step `last_epoch`; the momentum is set as well."""
        warn_get_lr(self)
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        argument = cycle if self.scale_mode == "cycle" else self.last_epoch
        lrs = []
        for low, high in zip(self.base_lrs, self.max_lrs, strict=True):
            lrs.append(low + (high - low) * height * self.scale_fn(argument))
        if self.cycle_momentum:
            ends = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, ends, strict=True):
                self._set_momentum(group, high - (high - low) * height * self.scale_fn(argument))
        return lrs

    def state_dict(self) -> dict[str, Any]:
        """What the schedule remembers; of `scale_fn` only the attributes of a callable object."""
        state = super().state_dict()
        function = state.pop("_scale_fn_custom")
        state["_scale_fn_custom"] = packed_functions([function])[0]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; a function stays the one given here."""
        state = dict(state_dict)
        restore_functions([self._scale_fn_custom], [state.pop("_scale_fn_custom")])
        super().load_state_dict(state)


def cosine_between(start: float, end: float, share: float) -> float:
    """From start (share 0) to end (share 1) along half a cosine."""
    return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)


def line_between(start: float, end: float, share: float) -> float:
    """From start (share 0) to end (share 1) along a straight line."""
    return (end - start) * share + start


_BETWEEN = {"cos": cosine_between, "linear": line_between}


class OneCycleLR(_WithMomentum):
    """One cycle for the whole training: up to `max_lr`, then down to far below the first rate; step after each batch.

    Args:
        optimizer: its param groups are scheduled.
        max_lr: the largest rate, or a list with one for each param group.
        total_steps: steps of the whole training; or give `epochs` and `steps_per_epoch`.
        pct_start: share of the steps on the way up. Default 0.3.
        anneal_strategy: "cos" or "linear". Default "cos".
        cycle_momentum: move the momentum the other way. Default True.
        base_momentum, max_momentum: its two values, or lists. Default 0.85 and 0.95.
        div_factor: the first rate is ``max_lr / div_factor``. Default 25.
        final_div_factor: the last rate is the first one over this. Default 1e4.
        three_phase: come down to the first rate as slowly as up, and only then to the last one.
        last_epoch: -1 to begin. Default -1.

    Source: Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks", 2018.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        self.total_steps = _count_steps(total_steps, epochs, steps_per_epoch)
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        if pct_start < 0 or pct_start > 1 or not isinstance(pct_start, float):
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in _BETWEEN:
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._anneal_func_type = anneal_strategy
        max_lrs = for_each_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, high in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"] = high / div_factor
                group["max_lr"] = high
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._choose_momentum()
            lows = for_each_group("base_momentum", optimizer, base_momentum)
            highs = for_each_group("max_momentum", optimizer, max_momentum)
            if last_epoch == -1:
                for group, low, high in zip(optimizer.param_groups, lows, highs, strict=True):
                    self._set_momentum(group, high)
                    group["max_momentum"] = high
                    group["base_momentum"] = low
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """The rates at step `last_epoch`; the momentum is set as well."""
        warn_get_lr(self)
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The specified number of total steps is {self.total_steps}: "
                "give OneCycleLR a larger total_steps, or step it less often"
            )
        phase, share = self._position(step)
        between = _BETWEEN[self._anneal_func_type]
        lrs = []
        for group in self.optimizer.param_groups:
            lrs.append(between(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, between(*ends, share))
        return lrs

    def _position(self, step: int) -> tuple[dict[str, Any], float]:
        """The phase in which a step lies, and the share of it that is behind."""
        start = 0.0
        for phase in self._schedule_phases[:-1]:
            if step <= phase["end_step"]:
                return phase, (step - start) / (phase["end_step"] - start)
            start = phase["end_step"]
        last = self._schedule_phases[-1]
        return last, (step - start) / (last["end_step"] - start)


def _count_steps(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    if total_steps is not None:
        given = {"total_steps": total_steps}
    elif epochs is not None and steps_per_epoch is not None:
        given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    else:
        raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
    for name, value in given.items():
        if value <= 0 or not isinstance(value, int):
            raise ValueError(f"Expected positive integer {name}, but got {value}")
    return math.prod(given.values())


def _phases(total: int, up: float, three: bool) -> list[dict[str, Any]]:
    """The phases: the step that each ends at, and between which options of the param group it moves."""
    if three:
        rows = [
            (float(up * total) - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
            (float(2 * up * total) - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
            (total - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
        ]
    else:
        rows = [
            (float(up * total) - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
            (total - 1, "max_lr", "min_lr", "base_momentum", "max_momentum"),
        ]
    names = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
    return [dict(zip(names, row, strict=True)) for row in rows]
