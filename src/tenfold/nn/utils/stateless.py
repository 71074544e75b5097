"""Calling a module with other parameters and buffers than its own, without changing it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tenfold import Tensor
from tenfold.nn.module import Module

__all__ = ["functional_call"]


def _named_tensors(module: Module) -> dict[str, Tensor]:
    """All parameters and buffers by name; a tensor with several names appears under each."""
    tensors = dict(module.named_parameters(remove_duplicate=False))
    tensors.update(module.named_buffers(remove_duplicate=False))
    return tensors


def _with_tied_names(module: Module, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """`given`, and for each name in it the other names of the same tensor of the module."""
    names_of: dict[int, list[str]] = {}
    own = _named_tensors(module)
    for name, tensor in own.items():
        names_of.setdefault(id(tensor), []).append(name)
    result = dict(given)
    for name, value in given.items():
        if name not in own:
            continue
        tied = names_of[id(own[name])]
        several = [other for other in tied if other in given and given[other] is not value]
        if several:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted([name, *several])}, which are tied. "
                f"Consider using tie_weights=False"
            )
        for other in tied:
            result[other] = value
    return result


def _check_keys(module: Module, given: dict[str, Tensor]) -> None:
    """RuntimeError unless the names are exactly the module's."""
    own = _named_tensors(module)
    unexpected = [name for name in given if name not in own]
    missing = [name for name in own if name not in given]
    lines = []
    for title, names in (("Unexpected", unexpected), ("Missing", missing)):
        if names:
            lines.append(f"\t{title} key(s): {', '.join(map(repr, sorted(names)))}.")
    if lines:
        raise RuntimeError("\n".join([f"Error(s) in reparametrizing for {type(module).__name__}:", *lines]))


def _owner(module: Module, name: str) -> tuple[Module, str]:
    """The submodule that a name leads to, and the last part of the name."""
    *path, last = name.split(".")
    for part in path:
        owner = module._modules.get(part)
        if owner is None:
            owner = getattr(module, part, None)
            if owner is None:
                raise AttributeError(f"{type(module).__name__} has no attribute `{part}`")
            if not isinstance(owner, Module):
                raise TypeError(f"`{name}`: {part} is not an instance of Module, it is a {type(owner).__name__}")
        module = owner
    return module, last


_ABSENT = object()


def _swap(module: Module, name: str, value: Any) -> Any:
    """Puts a value where the module keeps its parameter, buffer or attribute of that name; returns what was there."""
    for table in (module._parameters, module._buffers):
        if name in table:
            old = table[name]
            table[name] = value
            return old
    attributes = module.__dict__
    old = attributes.get(name, _ABSENT)
    if value is _ABSENT:
        attributes.pop(name, None)
    else:
        attributes[name] = value
    return old


@contextmanager
def _reparametrize_module(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    tie_weights: bool = False,
    strict: bool = False,
    stack_weights: bool = False,
) -> Iterator[None]:
    """Within it, the module has these parameters and buffers."""
    given = parameters_and_buffers
    if tie_weights:
        given = _with_tied_names(module, given)
    if strict:
        _check_keys(module, given)
    swapped: list[tuple[Module, str, str, Any]] = []
    try:
        for name, value in given.items():
            if not isinstance(value, Tensor):
                raise TypeError(f"functional_call: '{name}': {value} is not an instance of torch.Tensor")
            owner, last = _owner(module, name)
            swapped.append((owner, last, name, _swap(owner, last, value)))
        yield
    finally:
        # A submodule may stand at several names: undone in the opposite order. A value that the call put in the
        # place of a given one goes to the caller's dictionary.
        for owner, last, name, old in reversed(swapped):
            now = _swap(owner, last, old)
            if name in parameters_and_buffers and isinstance(now, Tensor):
                parameters_and_buffers[name] = now


def _functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any | tuple | None = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
):
    """What `torch.func.functional_call` does with one dictionary."""
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _reparametrize_module(module, parameters_and_buffers, tie_weights=tie_weights, strict=strict):
        return module(*args, **(kwargs or {}))


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any | tuple | None = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
):
    """Calls the module with these tensors in the place of its own (old name of `torch.func.functional_call`).

    Args:
        parameters_and_buffers: by name, as `named_parameters` and `named_buffers` give them.
        args, kwargs: for the call; one argument may be given without its tuple.
        tie_weights: a tensor that has several names in the module is replaced at all of them. Default True.
        strict: names must be exactly the module's. Default False.
    Raises: RuntimeError, AttributeError, TypeError or ValueError where names or values do not fit.
    """
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and will be removed in a future "
        "version of PyTorch. Please use `torch.func.functional_call` instead which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return _functional_call(module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict)
