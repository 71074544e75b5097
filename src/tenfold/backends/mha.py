"""Whether `nn.MultiheadAttention` may take PyTorch's fast path for inference: tenfold has one path, and keeps the flag."""

_enabled = True


def get_fastpath_enabled() -> bool:
    """What `set_fastpath_enabled` was given; True at first."""
    return _enabled


def set_fastpath_enabled(value: bool) -> None:
    """Sets what `get_fastpath_enabled` gives."""
    global _enabled
    _enabled = bool(value)
