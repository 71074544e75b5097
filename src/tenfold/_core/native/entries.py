"""Translated functions as functions of Python: what takes their arguments apart, and the objects that Python calls.

A built-in function (METH_FASTCALL | METH_KEYWORDS) gets its arguments side by side. Where they do not simply fill the
parameters in order, the Python function that was translated is called instead, and says what is wrong."""

from __future__ import annotations

import ctypes
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

from .unit import Native, Unit

FASTCALL_KEYWORDS = 0x80 | 0x02


def entry(unit: Unit, native: Native) -> str:
    """`py_name(self, args, n, kwnames)`: self is a tuple of the closure's values and the Python function."""
    name = native.name
    lines = [f"define ptr @py_{name}(ptr %self, ptr %args, i64 %n, ptr %kw) {{"]
    free = []
    for k in range(len(native.free)):
        lines.append(f"  %free{k} = call ptr @at(ptr %self, i64 {k})")
        free.append(f"ptr %free{k}")
    python = [
        "python:",
        f"  %f = call ptr @at(ptr %self, i64 {len(native.free)})",
        "  %asked = call ptr @PyObject_Vectorcall(ptr %f, ptr %args, i64 %n, ptr %kw)",
        "  ret ptr %asked",
        "}",
    ]
    if native.vector:
        first = len(native.params)
        lines += [f"  %few = icmp slt i64 %n, {first}", "  br i1 %few, label %python, label %enough", "enough:"]
        for k in range(first):
            lines += [f"  %p{k} = getelementptr ptr, ptr %args, i64 {k}", f"  %a{k} = load ptr, ptr %p{k}"]
            free.append(f"ptr %a{k}")
        lines += [f"  %rest = getelementptr ptr, ptr %args, i64 {first}", f"  %m = sub i64 %n, {first}"]
        given = ", ".join([*free, "ptr %rest", "i64 %m", "ptr %kw"])
        return "\n".join([*lines, f"  %r = call ptr @{name}({given})", "  ret ptr %r", *python])
    params = native.params
    needed = next((k for k, p in enumerate(params) if p in native.defaults), len(params))
    lines += ["  %plain = icmp eq ptr %kw, null", "  br i1 %plain, label %counted, label %named", "counted:"]
    cases = " ".join(f"i64 {k}, label %case{k}" for k in range(needed, native.positional + 1))
    lines.append(f"  switch i64 %n, label %python [{cases}]")
    for k in range(needed, native.positional + 1):
        lines.append(f"case{k}:")
        given = list(free)
        for j, p in enumerate(params):
            if j < k:
                lines.append(f"  %p{k}.{j} = getelementptr ptr, ptr %args, i64 {j}")
                lines.append(f"  %a{k}.{j} = load ptr, ptr %p{k}.{j}")
            else:
                lines.append(f"  %a{k}.{j} = load ptr, ptr {unit.constant(native.defaults[p])}")
            given.append(f"ptr %a{k}.{j}")
        lines += [f"  %r{k} = call ptr @{name}({', '.join(given)})", f"  ret ptr %r{k}"]
    return "\n".join([*lines, *_named(unit, native, free), *python])


def _named(unit: Unit, native: Native, free: list[str]) -> list[str]:
    """Arguments by keyword: each parameter has a place, which is filled once."""
    params = native.params
    if not params:
        return ["named:", "  br label %python"]
    lines = [
        "named:",
        f"  %places = alloca [{len(params) + 1} x ptr]",
        f"  %many = icmp sgt i64 %n, {native.positional}",
    ]
    lines += ["  br i1 %many, label %python, label %empty", "empty:"]
    lines += [f"  call void @take_places(ptr %places, i64 {len(params)}, ptr %args, i64 %n)"]
    lines += ["  %names = call i64 @count(ptr %kw)", "  br label %next", "next:"]
    lines += ["  %i = phi i64 [0, %empty], [%j, %put]", "  %in = icmp slt i64 %i, %names"]
    lines += ["  br i1 %in, label %look, label %filled", "look:", "  %given = call ptr @at(ptr %kw, i64 %i)"]
    for k, p in enumerate(params):
        lines += [
            f"  %name{k} = load ptr, ptr {unit.constant(sys.intern(p))}",
            f"  %is{k} = icmp eq ptr %given, %name{k}",
        ]
        lines += [f"  br i1 %is{k}, label %found, label %not{k}", f"not{k}:"]
    ways = ", ".join(f"[{k}, %{f'not{k - 1}' if k else 'look'}]" for k in range(len(params)))
    lines += ["  br label %python", "found:", f"  %k = phi i64 {ways}"]
    lines += ["  %p = getelementptr ptr, ptr %places, i64 %k", "  %there = load ptr, ptr %p"]
    lines += ["  %free.place = icmp eq ptr %there, null", "  br i1 %free.place, label %put, label %python", "put:"]
    lines += ["  %from = add i64 %n, %i", "  %q = getelementptr ptr, ptr %args, i64 %from", "  %v = load ptr, ptr %q"]
    lines += ["  store ptr %v, ptr %p", "  %j = add i64 %i, 1", "  br label %next", "filled:"]
    values = list(free)
    for k, p in enumerate(params):
        lines += [f"  %w{k} = getelementptr ptr, ptr %places, i64 {k}", f"  %x{k} = load ptr, ptr %w{k}"]
        if p in native.defaults:
            lines += [
                f"  %d{k} = load ptr, ptr {unit.constant(native.defaults[p])}",
                f"  %z{k} = icmp eq ptr %x{k}, null",
            ]
            lines += [f"  %y{k} = select i1 %z{k}, ptr %d{k}, ptr %x{k}"]
        else:
            lines += [f"  %z{k} = icmp eq ptr %x{k}, null", f"  br i1 %z{k}, label %python, label %has{k}", f"has{k}:"]
            lines += [f"  %y{k} = getelementptr i8, ptr %x{k}, i64 0"]
        values.append(f"ptr %y{k}")
    return [*lines, f"  %all = call ptr @{native.name}({', '.join(values)})", "  ret ptr %all"]


def method_entry(unit: Unit, name: str, native: Native, environment: tuple) -> str:
    """`name(self, args, n, kwnames)` of a method: `self` becomes the first argument."""
    return f"""define ptr @{name}(ptr %self, ptr %args, i64 %n, ptr %kw) {{
  %none = icmp eq ptr %kw, null
  br i1 %none, label %start, label %named
named:
  %names = call i64 @count(ptr %kw)
  br label %start
start:
  %more = phi i64 [0, %0], [%names, %named]
  %given = add i64 %n, %more
  %all = add i64 %given, 2
  %row = alloca ptr, i64 %all
  %first = getelementptr ptr, ptr %row, i64 1
  store ptr %self, ptr %first
  %rest = getelementptr ptr, ptr %row, i64 2
  br label %test
test:
  %i = phi i64 [0, %start], [%j, %copy]
  %go = icmp slt i64 %i, %given
  br i1 %go, label %copy, label %call
copy:
  %from = getelementptr ptr, ptr %args, i64 %i
  %to = getelementptr ptr, ptr %rest, i64 %i
  %x = load ptr, ptr %from
  store ptr %x, ptr %to
  %j = add i64 %i, 1
  br label %test
call:
  %env = load ptr, ptr {unit.held(environment)}
  %m = add i64 %n, 1
  %r = call ptr @py_{native.name}(ptr %env, ptr %first, i64 %m, ptr %kw)
  ret ptr %r
}}"""


class _MethodDef(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p),
    ]  # fmt: skip


_kept: list = []  # what machine code points to lives as long as the process


def keep(x: Any) -> None:
    _kept.append(x)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(x))


def _definition(name: str, address: int, doc: str | None) -> _MethodDef:
    made = _MethodDef(name.encode(), address, FASTCALL_KEYWORDS, doc.encode() if doc else None)
    keep(made)
    return made


def built_in(name: str, address: int, environment: tuple) -> Callable:
    """A built-in function."""
    keep(environment)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    f = make(ctypes.addressof(_definition(name, address, None)), environment, None)
    keep(f)
    return f


def method(cls: type, python: types.FunctionType, address: int) -> Any:
    """A method of a class, as those of built-in types are."""
    make = ctypes.pythonapi.PyDescr_NewMethod
    make.restype, make.argtypes = ctypes.py_object, [ctypes.py_object, ctypes.c_void_p]
    doc = f"{python.__name__}{_signature(python)}\n--\n\n{python.__doc__ or ''}"
    f = make(cls, ctypes.addressof(_definition(python.__name__, address, doc)))
    keep(f)
    return f


def _signature(python: types.FunctionType) -> str:
    """The parameters, as `inspect` reads them from the docstring of a built-in method."""
    shown = []
    for k, p in enumerate(inspect.signature(python).parameters.values()):
        p = p.replace(annotation=p.empty)
        shown.append(f"${p.name}" if k == 0 and p.kind is not p.VAR_POSITIONAL else str(p))
    return f"({', '.join(shown)})"


def original(python: types.FunctionType) -> types.FunctionType:
    """The function as it is now: its code is about to be replaced."""
    f = types.FunctionType(
        python.__code__, python.__globals__, python.__name__, python.__defaults__, python.__closure__
    )
    f.__kwdefaults__ = python.__kwdefaults__
    return f
