"""An exception on its way from a worker: as its type and the text of its traceback, since it may not pickle."""

import pickle
import sys
import traceback
from typing import Any


class _VerbatimText(str):
    """Text that a KeyError prints as it stands: `str(KeyError(x))` is `repr(x)`, which would hide the line ends."""

    def __repr__(self) -> str:
        return str(self)


class ExceptionWrapper:
    """The exception that is being handled, as something to send.

    Args:
        exc_info: what `sys.exc_info()` gave; default: now.
        where: for the message, for example "in DataLoader worker process 0".
    """

    def __init__(self, exc_info=None, where: str = "in background") -> None:
        kind: Any
        kind, value, trace = exc_info or sys.exc_info()
        self.exc_type: Any = kind if _is_picklable(kind) else RuntimeError
        self.exc_name = kind.__name__
        self.exc_msg = "".join(traceback.format_exception(kind, value, trace))
        self.where = where

    def reraise(self) -> None:
        """Raise an exception of the same type, whose message holds the original traceback.

        A type that does not take one message becomes a RuntimeError.
        """
        message = f"Caught {self.exc_name} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            raise KeyError(_VerbatimText(message))
        raise self._rebuild(message)

    def _rebuild(self, message: str) -> BaseException:
        try:
            if getattr(self.exc_type, "message", None):
                return self.exc_type(message=message)
            return self.exc_type(message)
        except Exception:
            return RuntimeError(message)


def _is_picklable(kind) -> bool:
    try:
        pickle.dumps(kind)
    except Exception:
        return False
    return True
