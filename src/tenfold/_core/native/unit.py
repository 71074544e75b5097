"""The module that is being written: its functions, and the objects that they mention."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .objects import slots


class Untranslatable(Exception):
    """There is no translation of that piece of Python."""


@dataclass
class Hints:
    """What the house's names mean; a wrong hint costs time only."""

    classes: tuple[type, ...]  # whose slots are read directly
    names: dict[str, type]  # variable -> class
    attributes: dict[str, type]  # attribute -> class of what it holds
    open: frozenset[type]  # of them, those with subclasses
    numbers: frozenset[str]  # attributes that hold whole numbers of 64 bits
    threads: Any  # the thread-local object whose `walk` is remembered
    counts: Any  # the function that is @counts
    new: Any  # the function that makes a bare instance of a class


@dataclass
class Native:
    """A function of the unit."""

    python: Callable
    name: str
    params: list[str]
    positional: int  # how many of them may be given by place
    defaults: dict[str, Any]
    vector: bool  # takes *args, **kwargs
    free: list[str]  # names of its closure, which come first
    constants: list[Any] = field(default_factory=list)  # their values
    direct: bool = True  # translated callers call it without looking it up


class Unit:
    """The module that is being written."""

    def __init__(self, hints: Hints):
        self.hints = hints
        self.constants: list[Any] = []
        self._places: dict[Any, int] = {}
        self.natives: dict[Any, Native] = {}  # function -> itself, translated
        self.bodies: dict[Any, str] = {}  # code object -> name of its body
        self.texts: dict[str, str] = {}
        self.owner = {}  # attribute -> the one class that has it, or None
        self.slots = {c: slots(c) for c in hints.classes}
        for c, found in self.slots.items():
            for a in found:
                self.owner[a] = c if a not in self.owner else None

    def constant(self, x: Any) -> str:
        """An instruction's operand that is loaded: the address of the place that holds the object."""
        key = (type(x), x) if type(x) in (str, int, float, bool) else id(x)
        if isinstance(x, float):
            key = (float, repr(x))
        if type(x) is tuple and all(type(y) is str for y in x):
            key = (tuple, x)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.constants)
            self.constants.append(x)
        return f"getelementptr (ptr, ptr @constants, i64 {place})"

    def held(self, x: Any) -> str:
        """As `constant`, for what a closure holds; `exchange` may put another object there before the code is used."""
        key = ("held", id(x))
        if key not in self._places:
            self._places[key] = len(self.constants)
            self.constants.append(x)
        return f"getelementptr (ptr, ptr @constants, i64 {self._places[key]})"

    def exchange(self, old: Any, new: Any) -> None:
        """Another object in the place of one that is held."""
        place = self._places.get(("held", id(old)))
        if place is not None:
            self.constants[place] = new

    def translate(self, write: Callable[[Unit, Native], str]) -> dict[Any, str]:
        """The bodies of all functions that were declared. Those that have no translation stay Python: returns why."""
        refused: dict[Any, str] = {}
        while True:
            self.bodies.clear()
            self.texts.clear()
            odd = len(refused)
            for python, native in list(self.natives.items()):
                if python.__code__ in self.bodies:
                    continue
                try:
                    self.texts[native.name] = write(self, native)
                    self.bodies[python.__code__] = native.name
                except Untranslatable as e:
                    refused[python] = str(e)
                    self.natives = {f: n for f, n in self.natives.items() if n.name != native.name}
            if len(refused) == odd:
                return refused

    def declare(self, python: types.FunctionType, direct: bool = True) -> Native:
        """Says that a function will be translated."""
        native = self.natives.get(python)
        if native is None:
            known = next((n for f, n in self.natives.items() if f.__code__ is python.__code__), None)
            code = python.__code__
            count = code.co_argcount + code.co_kwonlyargcount
            params = list(code.co_varnames[:count])
            values = python.__defaults__ or ()
            defaults = dict(zip(params[code.co_argcount - len(values) : code.co_argcount], values))
            native = self.natives[python] = Native(
                python,
                known.name if known is not None else f"f{len(self.natives)}_{python.__name__.strip('_')}",
                params,
                code.co_argcount,
                defaults | (python.__kwdefaults__ or {}),
                bool(code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)),
                list(code.co_freevars),
                [c.cell_contents for c in python.__closure__ or ()],
                direct,
            )
        return native


def parsed(python: types.FunctionType) -> ast.FunctionDef:
    """The syntax tree of a function."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(python.__code__)))
    except (OSError, SyntaxError) as e:
        raise Untranslatable(f"no source of {python.__qualname__}") from e
    found = tree.body[0]
    if not isinstance(found, ast.FunctionDef):
        raise Untranslatable(f"{python.__qualname__} is no plain function")
    return found


def assigned(tree: ast.FunctionDef) -> list[str]:
    """The names that a function assigns to, outside of comprehensions."""
    found: dict[str, None] = {}

    def visit(n: ast.AST) -> None:
        if isinstance(n, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            for g in n.generators:
                visit(g.iter)
            return
        if isinstance(
            n, (ast.Lambda, ast.FunctionDef, ast.With, ast.Yield, ast.Global, ast.Nonlocal, ast.Import, ast.ImportFrom)
        ):
            raise Untranslatable(type(n).__name__)
        if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Store, ast.Del)):
            found[n.id] = None
        if isinstance(n, ast.ExceptHandler) and n.name:
            found[n.name] = None
        for child in ast.iter_child_nodes(n):
            visit(child)

    for s in tree.body:
        visit(s)
    return list(found)
