"""Asking for an accelerator: there is none, the CPU is the one device."""

from importlib import import_module as _import_module

import tenfold as _tenfold


def get_device_module(device=None):
    """The module of functions for a type of device: `torch.cpu` by default, `torch.cuda` for "cuda".

    Raises: RuntimeError for a type that has none.
    """
    kind = "cpu" if device is None else _tenfold.device(device).type
    if kind not in ("cpu", "cuda"):
        raise RuntimeError(f"torch has no module '{kind}': tenfold runs on the CPU")
    return _import_module(f"tenfold.{kind}")


def is_available() -> bool:
    """False: tenfold has no GPU backend yet."""
    return False


def device_count() -> int:
    """0."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """None: there is no accelerator."""
    return
