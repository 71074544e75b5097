"""How objects lie in memory, as far as translated code reads it: found by looking at objects, not assumed.

Python's lists and tuples differ between versions by a field or two, and a class with `__slots__` keeps each attribute
at a place that its descriptor knows. `layout()` is None where something is not as expected; then nothing is translated."""

from __future__ import annotations

import ctypes
import functools
import sys
from dataclasses import dataclass

POINTER = ctypes.sizeof(ctypes.c_void_p)


@dataclass(frozen=True)
class Layout:
    """Offsets in bytes, from the address of an object.

    kind         its type
    size         how many items a list or a tuple has
    list_items   where a list keeps the address of its items
    tuple_items  the first item of a tuple
    counted      whether code may count references itself: they are the first word, and no object is immortal"""

    kind: int
    size: int
    list_items: int
    tuple_items: int
    counted: bool


def word(address: int) -> int:
    """The word at an address."""
    return ctypes.c_size_t.from_address(address).value


@functools.cache
def layout() -> Layout | None:
    """What this Python's objects look like; None where that is not known."""
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    header = object.__basicsize__
    marks = [object() for _ in range(5)]
    row = tuple(marks)
    items = [id(m) for m in marks]
    kind, size = header - POINTER, header
    if word(id(row) + kind) != id(tuple) or word(id(row) + size) != len(row) or word(id(marks) + size) != len(marks):
        return None
    first = next((o for o in range(header, header + 32, POINTER) if _words(id(row) + o, 5) == items), None)
    table = word(id(marks) + header + POINTER)
    if first is None or first > tuple.__basicsize__ or not _looks_like_items(table, marks):
        return None
    counted = sys.version_info < (3, 12) and word(id(marks)) == sys.getrefcount(marks) - 1
    return Layout(kind, size, header + POINTER, first, counted)


def _words(address: int, n: int) -> list[int]:
    return [word(address + k * POINTER) for k in range(n)]


def _looks_like_items(table: int, marks: list) -> bool:
    """Whether an address that a list holds is that of its items: it moves as the list says."""
    return table % POINTER == 0 and table != 0 and _words(table, len(marks)) == [id(m) for m in marks]


MEMBER = 5 * POINTER  # in the descriptor of a slot: the address of (name, type, offset, ...)


@functools.cache
def slots(cls: type) -> dict[str, int]:
    """Where instances of a class with `__slots__` keep each attribute."""
    found = {}
    for base in reversed(cls.__mro__):
        for name, member in vars(base).items():
            if type(member).__name__ == "member_descriptor" and name in getattr(base, "__slots__", ()):
                offset = word(word(id(member) + MEMBER) + 2 * POINTER)
                if 0 < offset < cls.__basicsize__ and offset % POINTER == 0:
                    found[name] = offset
    return found
