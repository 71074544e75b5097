"""Names of classes and functions in a checkpoint, and the list of those that the user has declared safe.

In a file every name is PyTorch's: `torch.nn.modules.linear Linear`. `Global` stands for a name whose object need not
exist here; the writer's `global_name` and the loader's `resolve` callbacks translate the rest.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

SafeGlobal = Callable | tuple[Callable, str]

# Whatever the user allows, a checkpoint that reaches for these is an attack.
BLOCKED_MODULES = frozenset({"nt", "os", "posix", "subprocess", "sys"})

_PYTHON2_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}


@dataclasses.dataclass(frozen=True)
class Global:
    """A name in a file: module and name in it."""

    module: str
    name: str

    def __call__(self, *args: Any) -> Any:
        raise TypeError(f"{self.module}.{self.name} is a name to be written in a checkpoint, not a function to call")


def modern_module(module: str) -> str:
    """The name that Python 3 gives to a module which protocol 2 names as Python 2 did."""
    return _PYTHON2_MODULES.get(module, module)


def own_name(obj: Any) -> str:
    """`module.qualname` of a class or function."""
    return f"{getattr(obj, '__module__', None)}.{getattr(obj, '__qualname__', getattr(obj, '__name__', '?'))}"


_safe_globals: list[SafeGlobal] = []


def add_safe_globals(safe_globals: Sequence[SafeGlobal]) -> None:
    """Allow classes and functions in files that are loaded with `weights_only=True`.

    Args:
        safe_globals: the objects; `(object, "module.name")` for one that a file names otherwise than Python does.
    """
    for entry in safe_globals:
        obj = entry[0] if isinstance(entry, tuple) else entry
        if not callable(obj):
            raise TypeError(f"add_safe_globals: expected classes and functions, or (object, name) pairs, got {entry!r}")
        if entry not in _safe_globals:
            _safe_globals.append(entry)


def get_safe_globals() -> list[SafeGlobal]:
    """Return the classes and functions that the user has allowed."""
    return list(_safe_globals)


def clear_safe_globals() -> None:
    """Forget every class and function that the user has allowed."""
    _safe_globals.clear()


@contextlib.contextmanager
def safe_globals(safe_globals: Sequence[SafeGlobal]) -> Iterator[None]:
    """Allow classes and functions inside a `with` block only."""
    before = get_safe_globals()
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _safe_globals[:] = before


def find_safe_global(module: str, name: str, resolve: Callable[[str, str], Any]) -> Any:
    """The allowed object that a file means by this name, or None.

    `resolve` is asked for PyTorch's names only, so that nothing of the user's is imported by looking.
    """
    wanted = f"{module}.{name}"
    for entry in _safe_globals:
        obj, alias = entry if isinstance(entry, tuple) else (entry, own_name(entry))
        if alias == wanted:
            return obj
    if module.partition(".")[0] != "torch":
        return None
    candidate = resolve(module, name)
    for entry in _safe_globals:
        if candidate is not None and candidate is (entry[0] if isinstance(entry, tuple) else entry):
            return candidate
    return None
