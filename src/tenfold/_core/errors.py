"""Exceptions that tenfold raises beyond Python's own, and what messages are made of.

RuntimeError          shapes, dtypes, autograd misuse (PyTorch's choice for most errors)
  NotRecorded         a value was asked for where only shapes are known (inside an operation's body, on `meta`)
IndexError            an index or a dim out of range
TypeError             an argument of a type that the operation does not take
ValueError            an argument with a value that makes no sense
NotImplementedError   a feature that tenfold does not have; the message names it
"""


class NotRecorded(RuntimeError):
    """A tensor's value was read where it does not exist."""


class NotStrided(NotImplementedError):
    """A tensor was given whose elements do not lie in memory by strides: a sparse or nested one."""


def plural(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def shape_text(shape) -> str:
    return "[" + ", ".join(str(int(n)) for n in shape) + "]"


class Fallback(Exception):
    """A compiled program cannot run, or a check of its has failed: this run is the interpreter's, which says what is wrong."""
