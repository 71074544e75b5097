"""Modules without the cost of their initial values."""

from __future__ import annotations

import inspect

from tenfold.nn.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls, *args, **kwargs):
    """A module of that class whose parameters have memory but no values yet.

    Args:
        module_cls: a Module class that takes `device`.
        *args, **kwargs: for its constructor.
    Raises: RuntimeError if it is no such class.
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"skip_init: Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError(
            f"skip_init: Module must support a 'device' arg to skip initialization; {module_cls.__name__} takes "
            f"{inspect.signature(module_cls)}."
        )
    device = kwargs.pop("device", "cpu")
    return module_cls(*args, device="meta", **kwargs).to_empty(device=device)
