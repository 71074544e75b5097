"""Asking for an accelerator: there is none, the CPU is the one device."""


def is_available() -> bool:
    """False: tenfold has no GPU backend yet."""
    return False


def device_count() -> int:
    """0."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """None: there is no accelerator."""
    return
