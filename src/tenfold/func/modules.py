"""Modules as functions of their parameters, and several modules as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tenfold as torch
from tenfold.nn.utils.stateless import _functional_call

__all__ = ["functional_call", "functionalize", "replace_all_batch_norm_modules_", "stack_module_state"]


def functional_call(
    module,
    parameter_and_buffer_dicts: dict | Sequence[dict],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
):
    """Calls a module with other tensors in the place of its parameters and buffers, without changing it.

    Args:
        parameter_and_buffer_dicts: tensors by name; or several such dictionaries, no name in two of them.
        args, kwargs: for the call; one argument may be given without its tuple.
        tie_weights: a tensor that has several names in the module is replaced at all of them. Default True.
        strict: names must be exactly the module's. Default False.
    """
    given = parameter_and_buffer_dicts
    if not isinstance(given, dict):
        merged: dict = {}
        for d in given:
            twice = sorted(set(merged) & set(d))
            if twice:
                raise ValueError(f"functional_call: {twice} appeared in multiple dictionaries; behavior is ambiguous")
            merged.update(d)
        given = merged
    return _functional_call(module, given, args, kwargs, tie_weights=tie_weights, strict=strict)


def stack_module_state(models) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of models of one kind, stacked along a new first dim, and their buffers."""
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if any(m.training != models[0].training for m in models) or any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError(
            "stack_module_state: Expected all models to be of one class and to have the same training mode."
        )

    def stacked(named: list[dict]) -> dict[str, Any]:
        return {k: torch.stack([n[k] for n in named]) for k in named[0]}

    parameters = stacked([{k: p.detach() for k, p in m.named_parameters()} for m in models])
    for t in parameters.values():
        t.requires_grad_()
    return parameters, stacked([dict(m.named_buffers()) for m in models])


def functionalize(func: Callable, *, remove: str = "mutations") -> Callable:
    """The function itself: what tenfold records never holds a write in place or a view, whoever calls it.

    Args: remove: "mutations" (default) or "mutations_and_views"; there is no difference.
    Raises: RuntimeError where `remove` is something else."""
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(f"functionalize: remove is 'mutations' or 'mutations_and_views', not {remove!r}")
    return func


def replace_all_batch_norm_modules_(root):
    """Lets all batch norms in a module, itself among them, keep no running statistics: they could not be written for each
    slice under vmap. Returns the module."""
    for m in root.modules():
        if isinstance(m, torch.nn.modules.batchnorm._BatchNorm) and m.track_running_stats:
            m.running_mean = m.running_var = m.num_batches_tracked = None
            m.track_running_stats = False
    return root
