"""Flags of cuDNN: kept, without effect."""

from contextlib import contextmanager as _contextmanager

enabled = True
benchmark = False
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """False: there is no GPU backend."""
    return False


def version() -> None:
    """None: there is no cuDNN."""


def is_acceptable(tensor) -> bool:
    """False: there is no cuDNN."""
    return False


def set_flags(_enabled=None, _benchmark=None, _deterministic=None, _allow_tf32=None) -> tuple:
    """Sets the flags that are given; returns what all were."""
    global enabled, benchmark, deterministic, allow_tf32
    before = (enabled, benchmark, deterministic, allow_tf32)
    enabled = enabled if _enabled is None else _enabled
    benchmark = benchmark if _benchmark is None else _benchmark
    deterministic = deterministic if _deterministic is None else _deterministic
    allow_tf32 = allow_tf32 if _allow_tf32 is None else _allow_tf32
    return before


@_contextmanager
def flags(enabled=False, benchmark=False, deterministic=False, allow_tf32=True):
    """The flags, for the length of a block."""
    before = set_flags(enabled, benchmark, deterministic, allow_tf32)
    try:
        yield
    finally:
        set_flags(*before)
