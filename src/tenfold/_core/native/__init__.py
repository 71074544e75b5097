"""The recorder in machine code: its Python functions, translated to LLVM IR, on the same objects.

`install.py` says which functions, and puts them to use; `entries.py` is how Python calls them; `translate.py` and what it
imports is the translation; `api.py` what translated code calls; `objects.py` how Python's objects lie in memory."""

from __future__ import annotations

import warnings
from typing import Any

from .. import config

_begun = False
_python: dict[int, Any] = {}  # id of a translated function or method -> the Python function that it is


def python_of(x: Any) -> Any:
    """The Python function that a built-in function or method is the translation of; None for all others."""
    return _python.get(id(x))


def remember(x: Any, python: Any) -> None:
    """Says what x, which lives as long as the process, is the translation of."""
    _python[id(x)] = python


def begin() -> None:
    """Has the recorder translated in the background, once in a process: there is a compiled program, and so a compiler."""
    global _begun
    if _begun or not config.NATIVE:
        return
    _begun = True
    from ..compiler import later

    later.in_background(_install)


def _install() -> None:
    from ..backends.cpu import jit
    from .install import install

    try:
        install()
    except jit.Leaving:
        pass
    except Exception as e:  # a mistake of the translation's is no reason to stop a program that Python can record
        if config.VERIFY:
            raise
        warnings.warn(f"recording goes on in Python, which is slower: it could not be made native ({e})", stacklevel=1)


def native() -> bool:
    """Has the recorder translated now. Returns whether it is machine code: not without llvmlite, on a Python whose objects
    lie in memory in another way than is known, or with TENFOLD_NATIVE=0."""
    global _begun
    if not config.NATIVE:
        return False
    _begun = True
    from .install import install

    return install()
