"""`GradScaler`: a loss is scaled up before backward, so that small gradients in float16 do not become zero."""

from __future__ import annotations

import warnings
from collections import abc
from enum import Enum
from typing import Any

import tenfold as torch

__all__ = ["GradScaler", "OptState"]


class OptState(Enum):
    """Where an optimizer stands between two updates of the scale."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


class GradScaler:
    """Scales a loss, unscales the gradients before the optimizer's step, and leaves a step out where one is not finite.

    Args:
        device: "cpu"; for "cuda" it is disabled, with a warning, as there is no GPU. Default "cuda".
        init_scale: the first scale. Default 2 ** 16.
        growth_factor: what the scale is multiplied by after growth_interval steps that were finite. Default 2.0.
        backoff_factor: what it is multiplied by after a step that was not. Default 0.5.
        growth_interval: default 2000.
        enabled: False makes `scale` give the loss back, and `step` call the optimizer. Default True.
    Raises: AssertionError for factors on the wrong side of 1, and for calls out of order.
    Source: Micikevicius et al. 2018, Mixed precision training, section 3.2.
    Example: scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update()
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        if enabled and device == "cuda" and not torch.cuda.is_available():
            warnings.warn(
                "GradScaler is enabled, but CUDA is not available.  Disabling. Use GradScaler('cpu').",
                UserWarning,
                stacklevel=2,
            )
            self._enabled = False
        if not self._enabled:
            return
        if growth_factor <= 1.0:
            raise AssertionError(f"The growth factor must be > 1.0, got {growth_factor}.")
        if backoff_factor >= 1.0:
            raise AssertionError(f"The backoff factor must be < 1.0, got {backoff_factor}.")
        self._init_scale = init_scale
        self._scale: Any = None  # a tensor from the first `scale` on
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._init_growth_tracker = 0
        self._growth_tracker: Any = None
        self._optimizers: dict[int, tuple[OptState, Any]] = {}  # id of an optimizer -> its state, and what was found

    # --- the four calls of a training step -----------------------------------------------------------------------------

    def scale(self, outputs: Any) -> Any:
        """outputs times the scale: a tensor, or a list, tuple or other iterable of them."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, torch.Tensor):
            if self._scale is None:
                self._start()
            return outputs * self._scale.to(device=outputs.device)
        if isinstance(outputs, (list, tuple)):
            items = [self.scale(item) for item in outputs]
            return type(outputs)(*items) if hasattr(outputs, "_fields") else type(outputs)(items)
        if isinstance(outputs, abc.Iterable):
            return map(self.scale, outputs)
        raise ValueError(f"outputs must be a Tensor or an iterable of Tensors, not {type(outputs).__name__}")

    def unscale_(self, optimizer: Any) -> None:
        """Divides the optimizer's gradients by the scale: before they are clipped, say. `step` does it where it was not called.

        Raises: RuntimeError if it was called already since `update`; ValueError for gradients in float16.
        """
        if not self._enabled:
            return
        self._check_started("unscale_")
        state, _ = self._state_of(optimizer)
        if state is OptState.UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if state is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        self._optimizers[id(optimizer)] = (OptState.UNSCALED, self._unscale(optimizer))

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> float | None:
        """Unscales the gradients (unless `unscale_` did), and calls `optimizer.step` if all are finite.

        Returns: what optimizer.step returns; None where the step is left out.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._check_started("step")
        if self._state_of(optimizer)[0] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if self._state_of(optimizer)[0] is OptState.READY:
            self.unscale_(optimizer)
        found = self._state_of(optimizer)[1]
        if found is None:
            raise AssertionError(
                "No inf checks were recorded for this optimizer: none of its parameters has a gradient."
            )
        result = None if found.item() else optimizer.step(*args, **kwargs)
        self._optimizers[id(optimizer)] = (OptState.STEPPED, found)
        return result

    def update(self, new_scale: Any = None) -> None:
        """Ends an iteration: the scale shrinks if a gradient was not finite, and grows after growth_interval good ones.

        Args: new_scale: a float or a tensor of one element, to set it to instead. Default None.
        """
        if not self._enabled:
            return
        self._check_started("update")
        if new_scale is not None:
            self._set_scale(new_scale)
        else:
            self._adapt()
        self._optimizers = {}

    # --- how ---------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._scale = torch.full((), self._init_scale, dtype=torch.float32)
        self._growth_tracker = torch.full((), self._init_growth_tracker, dtype=torch.int32)

    def _check_started(self, name: str) -> None:
        if self._scale is None:
            raise AssertionError(
                f"Attempted {name} but _scale is None.  This may indicate your script did not use "
                "scaler.scale(loss or outputs) earlier in the iteration."
            )

    def _state_of(self, optimizer: Any) -> tuple[OptState, Any]:
        return self._optimizers.get(id(optimizer), (OptState.READY, None))

    def _unscale(self, optimizer: Any) -> Any:
        """The gradients become those of the loss. Returns whether any is not finite, as a tensor; None without gradients."""
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if any(g.dtype is torch.float16 for g in grads):
            raise ValueError("Attempting to unscale FP16 gradients: keep the parameters in float32, and use autocast.")
        if not grads:
            return None
        inverse = self._scale.double().reciprocal().float()
        with torch.no_grad():
            found = torch.stack([(~torch.isfinite(g)).any() for g in grads]).any()
            for g in grads:
                g.mul_(inverse)
        return found

    def _set_scale(self, new_scale: Any) -> None:
        if isinstance(new_scale, (int, float)):
            self._scale.fill_(new_scale)
            return
        if not isinstance(new_scale, torch.Tensor) or new_scale.numel() != 1 or new_scale.requires_grad:
            raise AssertionError(
                "update: new_scale should be a float, or a tensor of one element without requires_grad."
            )
        self._scale.copy_(new_scale.reshape(()))

    def _adapt(self) -> None:
        found = [found for _, found in self._optimizers.values() if found is not None]
        if not found:
            raise AssertionError("No inf checks were recorded prior to update.")
        if any(f.item() for f in found):
            self._scale.mul_(self._backoff_factor)
            self._growth_tracker.fill_(0)
        elif self._growth_tracker.item() + 1 == self._growth_interval:
            grown = self._scale * self._growth_factor
            if torch.isfinite(grown).item():  # it never grows to infinity
                self._scale.copy_(grown)
            self._growth_tracker.fill_(0)
        else:
            self._growth_tracker.add_(1)

    # --- what it is, and its state ---------------------------------------------------------------------------------------

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def get_scale(self) -> float:
        """The scale as a number (a read); 1.0 where it is disabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else self._scale.item()

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Sets what `get_growth_factor` gives."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by when it shrinks."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Sets what `get_backoff_factor` gives."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many finite steps the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Sets what `get_growth_interval` gives."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        if not self._enabled:
            return 0
        return self._init_growth_tracker if self._growth_tracker is None else self._growth_tracker.item()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes, as numbers; empty where it is disabled. Call it after `update`."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from another scaler's `state_dict`.

        Raises: RuntimeError if it is empty, as that of a scaler that was disabled.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._scale is not None:
            self._scale.fill_(self._init_scale)
            self._growth_tracker.fill_(self._init_growth_tracker)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._enabled:
            if self._optimizers:
                raise AssertionError(
                    "A GradScaler may only be pickled at the beginning of an iteration, or at its end, after scaler.update()."
                )
            state["_init_scale"] = self.get_scale()
            state["_init_growth_tracker"] = self._get_growth_tracker()
            state["_scale"] = state["_growth_tracker"] = None
        return state
