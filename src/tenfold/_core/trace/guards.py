"""Guards: what has to be as it was for a call to do what it did.

What `compiler/reading.py` has found is compared by identity, and plain values (numbers, strings) that are not the same object by
type and value. `unchanged` runs at every replayed call: it is machine code with the rest of the recorder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..ir.shapes import Size
from .handle import Tensor, layout_of, requires_grad

MISSING = type("_Missing", (), {"__slots__": (), "__repr__": lambda self: "nothing"})()
FEW = 12  # names that are looked up one by one to see that they are still absent; for more, all keys are compared
PLAIN = frozenset([int, float, complex, bool, str, bytes, Size, range, slice, tuple])


def alike(a: Any, b: Any) -> bool:
    """Whether two values are the same object, or plain values of the same type that no program can tell apart."""
    if a is b:
        return True
    kind = type(a)
    if kind is not type(b) or kind not in PLAIN:
        return False
    if kind is tuple:
        return len(a) == len(b) and all(map(alike, a, b))
    if kind is float or kind is complex:
        return repr(a) == repr(b)  # tells -0.0 from 0.0, and NaN is itself
    return a == b


class Guards:
    """The state that code may read, as it was.

    there       (dict, name, value), one after the other: `dicts`, `names`, `values`
    absent      (dict, name) that are not there
    keyed       (dict, all its keys in order)
    empty       containers with nothing in them
    lists       (list, what is in it)
    others      (container, what is in it), of sets and tuples
    functions   (function, its code, defaults, keyword defaults)
    types       (object, its class, its `__dict__`)
    settings    (function, its argument, what it said)
    tensors     with their layouts, and (requires_grad, class) of each"""

    __slots__ = (
        "absent", "cells", "dicts", "empty", "facts", "functions", "keyed", "layouts", "lists", "more", "names", "others", "settings",
        "tensors", "types", "values",
    )  # fmt: skip

    def __init__(self) -> None:
        self.dicts: list[Any] = []
        self.names: list[Any] = []
        self.values: list[Any] = []
        self.absent: list[tuple] = []
        self.keyed: list[tuple] = []
        self.empty: list[Any] = []
        self.lists: list[tuple] = []
        self.others: list[tuple] = []
        self.cells: list[tuple] = []
        self.functions: list[tuple] = []
        self.types: list[tuple] = []
        self.settings: list[tuple] = []
        self.more = False  # there are cells, settings or other containers
        self.tensors: list[Any] = []
        self.layouts: list[Any] = []
        self.facts: list[tuple] = []

    def table(self, d, values: dict, names: Iterable = (), all_keys: bool = False) -> None:
        """A dict has these values, and none of the other names (or no other keys at all)."""
        for n, v in values.items():
            self.dicts.append(d)
            self.names.append(n)
            self.values.append(v)
        missing = [n for n in names if n not in values and n not in d]
        if all_keys or len(missing) > FEW:
            self.keyed.append((d, list(d)))
        else:
            self.absent += [(d, n) for n in missing]

    def container(self, c) -> None:
        if not c:
            if type(c) is not tuple and type(c) is not frozenset:
                self.empty.append(c)
        elif isinstance(c, dict):
            self.table(c, dict(c), all_keys=True)
        elif type(c) is list:
            self.lists.append((c, list(c)))
        elif type(c) is not tuple and type(c) is not frozenset:
            self.others.append((c, list(c)))

    def cell(self, cell, value) -> None:
        if not any(c is cell for c, _ in self.cells):
            self.cells.append((cell, value))

    def function(self, f) -> None:
        self.functions.append((f, f.__code__, f.__defaults__, f.__kwdefaults__))

    def type_of(self, obj) -> None:
        self.types.append((obj, type(obj), obj.__dict__))

    def setting(self, ask, about) -> None:
        self.settings.append((ask, about, ask(about)))

    def watch(self, tensors: list) -> None:
        """The tensors that are read: what they are, besides their elements."""
        self.more = bool(self.cells or self.settings or self.others)
        self.tensors = list(tensors)
        self.layouts = [layout_of(t) for t in tensors]
        self.facts = [(requires_grad(t), type(t)) for t in tensors]

    def renewed(self) -> dict[int, Tensor] | None:
        """Where all that has changed are tensors, each for another one of the same kind that is new here: the guards are for
        the new ones from now on. Returns old tensor, by id -> new one; None where more has changed."""
        swap: dict[int, Tensor] = {}
        old = {id(t): t for t in self.tensors}
        found = [d.get(n, MISSING) for d, n in zip(self.dicts, self.names)]
        inside = [content(cell) for cell, _ in self.cells]
        held = [(v, now) for v, now in zip(self.values, found)] + [(v, now) for (_, v), now in zip(self.cells, inside)]
        for v, now in held:
            if now is not v and not alike(now, v):
                if (
                    id(v) not in old
                    or not _same_kind(v, now)
                    or id(now) in old
                    or swap.setdefault(id(v), now) is not now
                ):
                    return None
        if not swap or len({id(t) for t in swap.values()}) < len(swap):
            return None
        if any([id(v) in swap and now is not swap[id(v)] for v, now in held]):
            return None  # it was in two places, and now is in one
        if any([id(x) in swap for _, items in (*self.lists, *self.others) for x in items]):
            return None
        gone = {id(old[i].__dict__): t.__dict__ for i, t in swap.items()}
        self.values = [now if id(v) in swap else v for v, now in zip(self.values, found)]
        self.cells = [(cell, now if id(v) in swap else v) for (cell, v), now in zip(self.cells, inside)]
        self.empty = [gone.get(id(c), c) for c in self.empty]
        self.tensors = [swap.get(id(t), t) for t in self.tensors]
        return swap

    def why(self) -> str:
        """What is not as it was."""
        for d, n, v in zip(self.dicts, self.names, self.values):
            if not alike(d.get(n, MISSING), v):
                return f"{n!s} changed"
        for d, n in self.absent:
            if n in d:
                return f"{n!s} is new"
        for d, keys in self.keyed:
            if list(d) != keys:
                new = [str(k) for k in d if k not in keys] or [str(k) for k in keys if k not in d]
                return f"{', '.join(new) or 'the order of a dict'} came or went"
        for c in self.empty:
            if c:
                return "what was empty is not any longer"
        for c, items in self.lists:
            if not same_items(c, items):
                return f"a list of {len(items)} changed"
        for cell, v in self.cells:
            if not alike(content(cell), v):
                return "a variable of the function around it changed"
        if not same_tensors(self):
            return "the shape, dtype or requires_grad of a tensor that it reads changed"
        return "something that it reads changed"


def _same_kind(a: Any, b: Any) -> bool:
    """Whether one tensor may take another's place: only their elements differ."""
    return (
        isinstance(a, Tensor) and type(a) is type(b) and layout_of(a) is layout_of(b) and requires_grad(a) is requires_grad(b)
        and not a.__dict__ and not b.__dict__
    )  # fmt: skip


def content(cell) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def unchanged(g: Guards) -> bool:
    """Whether all is as it was."""
    try:
        for d, n, v in zip(g.dicts, g.names, g.values):
            now = d[n]
            if now is not v and not alike(now, v):
                return False
    except KeyError:
        return False
    for d, n in g.absent:
        if n in d:
            return False
    for d, keys in g.keyed:
        if list(d) != keys:
            return False
    for c in g.empty:
        if c:
            return False
    for c, items in g.lists:
        if not same_items(c, items):
            return False
    for obj, kind, d in g.types:
        if type(obj) is not kind or obj.__dict__ is not d:
            return False
    for f, code, defaults, kwdefaults in g.functions:
        if f.__code__ is not code or f.__defaults__ is not defaults or f.__kwdefaults__ is not kwdefaults:
            return False
    if g.more and not rest_unchanged(g):
        return False
    return same_tensors(g)


def same_items(c: list, items: list) -> bool:
    if len(c) != len(items):
        return False
    for a, b in zip(c, items):
        if a is not b and not alike(a, b):
            return False
    return True


def same_tensors(g: Guards) -> bool:
    for t, lay, fact in zip(g.tensors, g.layouts, g.facts):
        if layout_of(t) is not lay or requires_grad(t) is not fact[0] or type(t) is not fact[1]:
            return False
    return True


def rest_unchanged(g: Guards) -> bool:
    for cell, v in g.cells:
        if not alike(content(cell), v):
            return False
    for ask, about, answer in g.settings:
        if ask(about) is not answer:
            return False
    return all(len(c) == len(items) and all(map(alike, c, items)) for c, items in g.others)
