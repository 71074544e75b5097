"""Calls: of what is known (`len`, `isinstance`, classes with slots), of translated functions, and of anything else."""

from __future__ import annotations

import ast
import operator
import types
from collections.abc import Callable, Sequence
from typing import Any

from .loops import Loops
from .unit import Native, Untranslatable
from .writer import Got

CALL_OBJECT = "call_object"  # as PyObject_Vectorcall, of what probably has a __call__ in Python
OURS = __name__.partition(".")[0]


class Calls(Loops):
    """What calls."""

    # --- calls ----------------------------------------------------------------------------------------------------

    def on_Call(self, n: ast.Call) -> Got:
        if self.is_global(n.func):
            f = self.known(n.func)
            special = self.called(f, n)
            if special is not None:
                return special
        if any(isinstance(a, ast.Starred) for a in n.args) or any(k.arg is None for k in n.keywords):
            return self.spread(n)
        if isinstance(n.func, ast.Attribute):
            native = self.of_a_module(n, n.func)
            return self.method(n, n.func) if native is None else self.while_there(native, n, n.func)
        f = self.object(n.func)
        f = f if f.stable else self.own(f)
        values, names = self.arguments(n)
        return self.vectorcall("PyObject_Vectorcall" if self.is_global(n.func) else CALL_OBJECT, f, values, names)

    def called(self, f: Any, n: ast.Call) -> Got | None:
        """A call of a known object that has a translation of its own."""
        plain = not n.keywords and not any(isinstance(a, ast.Starred) for a in n.args)
        if plain and f is len and len(n.args) == 1:
            return Got("int", self.integer(n))
        if plain and f is type and len(n.args) == 1:
            g = self.object(n.args[0])
            got = Got("object", self.op(f"call ptr @kind(ptr {g.reg})"), g.temps)
            return self.own(got) if g.owner is not None else got
        if plain and f is isinstance and self.is_global(n.args[1]) and self.known(n.args[1]) in self.unit.slots:
            g = self.object(n.args[0])
            r = self.op(f"call i1 @of(ptr {g.reg}, ptr {self.load_constant(self.known(n.args[1]))})")
            self.done(g)
            return Got("bit", r)
        if plain and f is isinstance:
            g, cls = self.own(self.object(n.args[0])), self.own(self.object(n.args[1]))
            r = self.well(self.op(f"call i32 @PyObject_IsInstance(ptr {g.reg}, ptr {cls.reg})"))
            self.done(g, cls)
            return Got("bit", self.op(f"icmp ne i32 {r}, 0"))
        if plain and f is bool and len(n.args) == 1:
            return self.bit(n.args[0])
        if plain and f is float and len(n.args) == 1:
            return self.floating(n)
        if plain and f is id:
            g = self.object(n.args[0])
            r = self.sound(self.op(f"call ptr @PyLong_FromVoidPtr(ptr {g.reg})"))
            self.done(g)
            return self.owned(r)
        if f in (any, all) and plain and isinstance(n.args[0], (ast.ListComp, ast.GeneratorExp)):
            return self.quantified(n, f is any)
        if plain and f is all and self.is_same_items(n.args[0]):
            return self.same_items(n)
        if plain and f is tuple and len(n.args) == 1 and isinstance(n.args[0], ast.ListComp):
            items = self.object(n.args[0])
            r = self.sound(self.op(f"call ptr @PyList_AsTuple(ptr {items.reg})"))
            self.done(items)
            return self.owned(r)
        if f is self.unit.hints.new and plain and len(n.args) == 1:
            cls = self.object(n.args[0])
            r = self.sound(self.op(f"call ptr @PyType_GenericAlloc(ptr {cls.reg}, i64 0)"))
            self.done(cls)
            return self.owned(r)
        if f is self.unit.hints.counts and plain:
            g = self.own(self.object(n.args[0]))
            r = self.sound(self.op(f"call ptr @counts(ptr {g.reg})"))
            self.done(g)
            return self.owned(r)
        if isinstance(f, type) and f in self.unit.slots:
            return self.construct(f, n)
        if isinstance(f, types.FunctionType):
            native = self.unit.natives.get(f)
            if native is not None:
                return self.direct(native, n)
        return None

    def of_a_module(self, n: ast.Call, func: ast.Attribute) -> Native | None:
        """The translated function that a module of ours has by that name, where the arguments fit it."""
        module = self.known(func.value) if self.is_global(func.value) else None
        if not isinstance(module, types.ModuleType) or module.__name__.partition(".")[0] != OURS:
            return None
        native = self.unit.natives.get(vars(module).get(func.attr))
        return native if native is not None and (native.vector or self.order(native, n) is not None) else None

    def while_there(self, native: Native, n: ast.Call, func: ast.Attribute) -> Got:
        """A direct call of a module's function, while the module has no other by that name."""
        table, name = self.load_constant(vars(self.known(func.value))), self.load_constant(func.attr)
        found = self.op(f"call ptr @PyDict_GetItemWithError(ptr {table}, ptr {name})")
        same = self.op(f"icmp eq ptr {found}, {self.load_constant(native.python)}")
        return self.either(same, lambda: self.direct(native, n), lambda: self.method(n, func))

    def is_same_items(self, n: ast.expr) -> bool:
        """Whether it is map(operator.is_, a, b)."""
        if (
            not isinstance(n, ast.Call)
            or len(n.args) != 3
            or not (self.is_global(n.func) and self.is_global(n.args[0]))
        ):
            return False
        return self.known(n.func) is map and self.known(n.args[0]) is operator.is_

    def same_items(self, n: ast.Call) -> Got:
        """all(map(is_, a, b)), of lists and tuples without an iterator."""
        inner: Any = n.args[0]
        a, b = self.argument(inner.args[1]), self.argument(inner.args[2])

        def iterated() -> Got:
            row = [self.object(inner.args[0]), Got("object", a.reg, stable=True), Got("object", b.reg, stable=True)]
            pairs = self.own(self.vectorcall("PyObject_Vectorcall", self.object(inner.func), row, ()))
            return self.vectorcall("PyObject_Vectorcall", self.object(n.func), [pairs], ())

        both = self.op(f"call i1 @rows(ptr {a.reg}, ptr {b.reg})")
        told = lambda: Got("bit", self.op(f"call i1 @same_items(ptr {a.reg}, ptr {b.reg})"))
        r = self.either(both, lambda: self.boxed(told()), iterated)
        self.done(b, a)
        return r

    def floating(self, n: ast.Call) -> Got:
        """float(x), which is x where that is one."""
        g = self.argument(n.args[0])
        x = Got("object", g.reg, stable=True)  # g is let go of afterwards
        r = self.either(
            self.is_exactly(g.reg, float),
            lambda: x,
            lambda: self.vectorcall("PyObject_Vectorcall", self.object(n.func), [x], ()),
        )
        self.done(g)
        return r

    def construct(self, cls: type, n: ast.Call) -> Got | None:
        native = self.unit.natives.get(vars(cls).get("__init__"))
        if native is None or native.vector or cls.__new__ is not object.__new__ or native.free:
            return None
        values = self.matched(native, n, skip=1)
        if values is None:
            return None
        r = self.owned(self.sound(self.op(f"call ptr @PyType_GenericAlloc(ptr {self.load_constant(cls)}, i64 0)")))
        given = ", ".join(f"ptr {x}" for x in (r.reg, *[g.reg for g in values]))
        none = self.sound(self.op(f"call ptr @{native.name}({given})"))
        self.do(f"call void @drop(ptr {none})")
        self.done(*values)
        return r

    def order(self, native: Native, n: ast.Call, skip: int = 0) -> dict[str, ast.expr] | None:
        """What a call gives for each parameter that it names or fills; None where it does not fit."""
        params = native.params[skip:]
        if any(isinstance(a, ast.Starred) for a in n.args) or any(k.arg is None for k in n.keywords):
            return None
        given: dict[str, ast.expr] = dict(zip(params, n.args))
        given.update({k.arg: k.value for k in n.keywords if k.arg is not None})
        if (
            len(n.args) > native.positional - skip
            or len(given) != len(n.args) + len(n.keywords)
            or not set(given) <= set(params)
        ):
            return None
        if any(p not in given and p not in native.defaults for p in params):
            return None
        return given

    def matched(self, native: Native, n: ast.Call, skip: int = 0) -> list[Got] | None:
        """The arguments of a call in the order of the parameters, defaults filled in; None where they do not fit."""
        given = self.order(native, n, skip)
        if given is None:
            return None
        found = {p: self.argument(x) for p, x in given.items()}
        return [
            found[p] if p in found else Got("object", self.load_constant(native.defaults[p]), stable=True)
            for p in native.params[skip:]
        ]

    def argument(self, x: ast.expr) -> Got:
        """A value that stays while something is called."""
        g = self.object(x)
        return g if g.stable else self.own(g)

    def direct(self, native: Native, n: ast.Call) -> Got | None:
        """A call of a translated function."""
        free = [f"ptr {self.op(f'load ptr, ptr {self.unit.held(x)}')}" for x in native.constants]
        if native.vector:
            if any(isinstance(a, ast.Starred) for a in n.args) or any(k.arg is None for k in n.keywords):
                return None
            values, names = self.arguments(n)
            row = self.array(values)
            kw = self.load_constant(names) if names else "null"
            given = [*free, f"ptr {row}", f"i64 {len(values) - len(names)}", f"ptr {kw}"]
        else:
            found = self.matched(native, n)
            if found is None:
                return None
            values = found
            given = [*free, *[f"ptr {g.reg}" for g in values]]
        r = self.sound(self.op(f"call ptr @{native.name}({', '.join(given)})"))
        self.done(*values)
        return self.owned(r)

    def arguments(self, n: ast.Call) -> tuple[list[Got], tuple[str, ...]]:
        values = [self.argument(a) for a in n.args]
        values += [self.argument(k.value) for k in n.keywords]
        return values, tuple(k.arg for k in n.keywords if k.arg is not None)

    def array(self, values: Sequence[Got]) -> str:
        """The arguments side by side; the place before them is free for the callee's use."""
        name = self.new("row")
        self.locals[name] = f"[{len(values) + 1} x ptr]"
        first = self.op(f"getelementptr ptr, ptr %l.{name}, i64 1")
        for k, g in enumerate(values):
            self.do(f"store ptr {g.reg}, ptr {self.op(f'getelementptr ptr, ptr {first}, i64 {k}')}")
        return first

    def vectorcall(self, function: str, f: Got, values: list[Got], names: tuple[str, ...]) -> Got:
        row = self.array(values)
        kw = self.load_constant(names) if names else "null"
        n = len(values) - len(names)
        flag = -(1 << 63)  # PY_VECTORCALL_ARGUMENTS_OFFSET
        more = f", ptr {self.load_constant('__call__')}" if function == CALL_OBJECT else ""
        r = self.op(f"call ptr @{function}(ptr {f.reg}, ptr {row}, i64 {n + flag}, ptr {kw}{more})")
        self.sound(r)
        self.done(*values)
        if f is not None:
            self.done(f)
        return self.owned(r)

    def method(self, n: ast.Call, func: ast.Attribute) -> Got:
        base = self.argument(func.value)
        kind = self.class_of(func.value)
        name = func.attr
        if name == "append" and len(n.args) == 1 and not n.keywords:
            return self.guarded(base, list, lambda: self.appended(base, n), lambda: self.plain_method(base, name, n))
        if name == "clear" and not n.args and not n.keywords:
            return self.guarded(base, list, lambda: self.cleared(base), lambda: self.plain_method(base, name, n))
        if name == "get" and len(n.args) == 1 and not n.keywords:
            return self.guarded(base, dict, lambda: self.looked_up(base, n), lambda: self.plain_method(base, name, n))
        native = self.unit.natives.get(vars(kind).get(name)) if kind is not None else None
        if native is not None and native.direct and not native.vector and not native.free:
            values = self.matched(native, n, skip=1)
            if values is not None:
                return self.guarded(
                    base,
                    kind,
                    lambda: self.native_method(base, native, values),
                    lambda: self.vector_method(base, name, values),
                    values,
                )
        r = self.plain_method(base, name, n)
        self.done(base)
        return r

    def guarded(self, base: Got, kind: type, fast: Callable, slow: Callable, values: Sequence[Got] = ()) -> Got:
        """One of two ways, by the type of an object; each gives a reference of its own."""
        cls = {list: "@PyList_Type", dict: "@PyDict_Type"}.get(kind)
        same = (
            self.op(f"icmp eq ptr {self.op(f'call ptr @kind(ptr {base.reg})')}, {cls}")
            if cls
            else self.is_exactly(base.reg, kind)
        )
        r = self.either(same, fast, slow)
        self.done(*values, base)
        return r

    def either(self, bit: str, fast: Callable, slow: Callable) -> Got:
        """One of two ways; each gives a reference of its own."""
        yes, no, end = self.new("fast"), self.new("slow"), self.new("both")
        result = self.temp()
        self.branch(bit, yes, no)
        self.label(yes)
        self.do(f"store ptr {self.take(fast())}, ptr %t{result}")
        self.go(end)
        self.label(no)
        self.do(f"store ptr {self.take(slow())}, ptr %t{result}")
        self.label(end)
        return Got("object", self.op(f"load ptr, ptr %t{result}"), [result], result)

    def is_exactly(self, reg: str, kind: type) -> str:
        return self.op(f"icmp eq ptr {self.op(f'call ptr @kind(ptr {reg})')}, {self.load_constant(kind)}")

    def appended(self, base: Got, n: ast.Call) -> Got:
        g = self.object(n.args[0])
        self.well(self.op(f"call i32 @PyList_Append(ptr {base.reg}, ptr {g.reg})"))
        self.done(g)
        return Got("object", self.none(), stable=True)

    def cleared(self, base: Got) -> Got:
        self.well(self.op(f"call i32 @clear(ptr {base.reg})"))
        return Got("object", self.none(), stable=True)

    def looked_up(self, base: Got, n: ast.Call) -> Got:
        key = self.argument(n.args[0])
        r = self.op(f"call ptr @PyDict_GetItemWithError(ptr {base.reg}, ptr {key.reg})")
        missing, ok, bad = self.new("missing"), self.new("ok"), self.new("none")
        before = self.new("before")
        self.label(before)
        self.branch(self.op(f"icmp eq ptr {r}, null"), missing, ok)
        self.label(missing)
        error = self.op("call ptr @PyErr_Occurred()")
        self.branch(self.op(f"icmp eq ptr {error}, null"), bad, self.failure())
        self.label(bad)
        self.go(ok)
        self.label(ok)
        found = self.op(f"phi ptr [{r}, %{before}], [@_Py_NoneStruct, %{bad}]")
        g = self.own(Got("object", found))
        self.done(key)
        return g

    def native_method(self, base: Got, native: Native, values: Sequence[Got]) -> Got:
        given = ", ".join(f"ptr {x}" for x in (base.reg, *[g.reg for g in values]))
        return self.owned(self.sound(self.op(f"call ptr @{native.name}({given})")))

    def vector_method(self, base: Got, name: str, values: Sequence[Got]) -> Got:
        row = self.array([base, *values])
        n = 1 + len(values) - (1 << 63)
        attr = self.load_constant(name)
        return self.owned(
            self.sound(self.op(f"call ptr @PyObject_VectorcallMethod(ptr {attr}, ptr {row}, i64 {n}, ptr null)"))
        )

    def plain_method(self, base: Got, name: str, n: ast.Call) -> Got:
        values, names = self.arguments(n)
        row = self.array([base, *values])
        kw = self.load_constant(names) if names else "null"
        count = 1 + len(values) - len(names) - (1 << 63)
        attr = self.load_constant(name)
        r = self.op(f"call ptr @PyObject_VectorcallMethod(ptr {attr}, ptr {row}, i64 {count}, ptr {kw})")
        self.sound(r)
        self.done(*values)
        return self.owned(r)

    def is_own_method(self, n: ast.Call) -> bool:
        """Whether it is self.name(*args) or self.name(*args, **kwargs) of what came, in whose row self is first."""
        given = [a.value for a in n.args if isinstance(a, ast.Starred)] + [k.value for k in n.keywords if k.arg is None]
        return (
            isinstance(n.func, ast.Attribute) and isinstance(n.func.value, ast.Name)
            and list(self.params) == [n.func.value.id] and self.place_of(n.func.value.id) not in self.locals
            and len(n.args) == 1 and len(given) == 1 + len(n.keywords)
            and all(isinstance(x, ast.Name) and x.id in self.vectors for x in given)
        )  # fmt: skip

    def spread(self, n: ast.Call) -> Got:
        """f(*a, **k)."""
        if self.is_own_method(n):
            base, name = self.object(n.func.value), self.load_constant(n.func.attr)  # type: ignore[attr-defined]
            row, kw = self.op("getelementptr ptr, ptr %args, i64 -1"), "%kwnames" if n.keywords else "null"
            more = self.op("add i64 %nargs, 1")
            r = self.op(f"call ptr @PyObject_VectorcallMethod(ptr {name}, ptr {row}, i64 {more}, ptr {kw})")
            self.done(base)
            return self.owned(self.sound(r))
        f = self.own(self.object(n.func))
        if (
            len(n.args) == 1 and isinstance(n.args[0], ast.Starred) and isinstance(n.args[0].value, ast.Name)
            and n.args[0].value.id in self.vectors
            and (not n.keywords or len(n.keywords) == 1 and n.keywords[0].arg is None and isinstance(n.keywords[0].value, ast.Name) and n.keywords[0].value.id in self.vectors)
        ):  # fmt: skip
            kw = "%kwnames" if n.keywords else "null"
            r = self.sound(self.op(f"call ptr @PyObject_Vectorcall(ptr {f.reg}, ptr %args, i64 %nargs, ptr {kw})"))
            self.done(f)
            return self.owned(r)
        row = self.listed(n.args)
        args = self.owned(self.sound(self.op(f"call ptr @PyList_AsTuple(ptr {row.reg})")))
        self.done(row)
        kw: Got | None = None
        if n.keywords:
            if len(n.keywords) != 1 or n.keywords[0].arg is not None:
                raise Untranslatable("keywords beside *")
            kw = self.own(self.object(n.keywords[0].value))
        r = self.sound(self.op(f"call ptr @PyObject_Call(ptr {f.reg}, ptr {args.reg}, ptr {kw.reg if kw else 'null'})"))
        self.done(args, f)
        if kw is not None:
            self.done(kw)
        return self.owned(r)
