"""Flags of cuDNN: kept, without effect."""

enabled = True
benchmark = False
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """False: there is no GPU backend."""
    return False


def version() -> None:
    """None: there is no cuDNN."""
    return None
