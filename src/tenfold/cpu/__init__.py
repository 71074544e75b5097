"""The CPU as a device of its own kind: there is one, and nothing on it has to be waited for."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from . import amp

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "amp",
    "current_device",
    "current_stream",
    "device_count",
    "is_available",
    "is_initialized",
    "set_device",
    "stream",
    "synchronize",
]


class Stream:
    """An order of operations: the CPU has the one of the program."""

    def __init__(self, priority: int = -1) -> None:
        self.priority = priority

    def wait_stream(self, stream) -> None:
        """Returns at once."""


class Event:
    """A point of the program."""

    def query(self) -> bool:
        """True: it is passed."""
        return True

    def record(self, stream=None) -> None:
        """Returns at once."""

    def synchronize(self) -> None:
        """Returns at once."""

    def wait(self, stream=None) -> None:
        """Returns at once."""


_stream = Stream()


def is_available() -> bool:
    """True."""
    return True


def is_initialized() -> bool:
    """True."""
    return True


def device_count() -> int:
    """1."""
    return 1


def current_device() -> str:
    """ "cpu"."""
    return "cpu"


def set_device(device: Any) -> None:
    """Does nothing: there is one."""


def synchronize(device: Any = None) -> None:
    """Returns at once."""


def current_stream(device: Any = None) -> Stream:
    """The one stream."""
    return _stream


def stream(stream: Stream) -> AbstractContextManager:
    """A block in which nothing is different."""
    return nullcontext()


StreamContext = nullcontext
