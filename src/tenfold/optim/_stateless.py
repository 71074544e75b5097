"""Stepping an optimizer on other parameters and state than its own, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tenfold import Tensor
from tenfold.optim.optimizer import Optimizer

__all__ = ["swap_in_optimizer_params_and_state"]


@contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer, swapin_parameters: dict[str, Tensor], swapin_optim_state: dict[str, Any]
) -> Iterator[None]:
    """Inside the context the optimizer holds the given parameters and state; afterwards its own again.

    Args:
        optimizer: its steps inside change the given tensors.
        swapin_parameters: name -> tensor, in the order of the optimizer's parameters.
        swapin_optim_state: what `state_dict()` returns; writes in place into its tensors are seen afterwards.
    """
    own_groups, own_state = optimizer.param_groups, optimizer.state
    tensors = list(swapin_parameters.values())
    counted = sum(len(group["params"]) for group in own_groups)
    if len(tensors) != counted:
        raise ValueError(
            f"swap_in_optimizer_params_and_state: {len(tensors)} parameters were given, the optimizer has {counted}"
        )
    groups = [
        {**group, "params": [tensors[i] for i in group["params"]]} for group in swapin_optim_state["param_groups"]
    ]
    state = {tensors[i]: dict(entries) for i, entries in swapin_optim_state["state"].items()}
    optimizer.__setstate__({"param_groups": groups, "state": state})
    try:
        yield
        _write_back(optimizer, tensors, swapin_optim_state)
    finally:
        optimizer.__setstate__({"param_groups": own_groups, "state": own_state})


def _write_back(optimizer: Optimizer, tensors: list[Tensor], given: dict[str, Any]) -> None:
    """Counters were numbers during the steps: fill the given tensors with them."""
    for i, entries in given["state"].items():
        now = optimizer.state[tensors[i]]
        for name in optimizer.counters:
            if isinstance(entries.get(name), Tensor):
                entries[name].fill_(float(now[name]))
