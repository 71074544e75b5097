"""The recorder in machine code: its Python functions, translated to LLVM IR, on the same objects.

`install.py` says which functions, and puts them to use; `entries.py` is how Python calls them; `translate.py` and what it
imports is the translation; `api.py` what translated code calls; `objects.py` how Python's objects lie in memory."""

from __future__ import annotations

from .. import config

_begun = False


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
    except (
        Exception
    ):  # a mistake of the translation's is no reason to stop a program: Python's functions are still there
        if config.VERIFY:
            raise
