"""Tools beside the framework itself: data loading, checkpoints, hooks, exchange with other libraries, timing.

Everything but `hooks` is imported when it is first asked for.
"""

import importlib

from . import hooks

_ON_DEMAND = ("_pytree", "benchmark", "checkpoint", "data", "dlpack", "tensorboard")

__all__ = ["benchmark", "checkpoint", "data", "dlpack", "hooks", "tensorboard"]


def __getattr__(name: str):
    if name in _ON_DEMAND:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_DEMAND})
