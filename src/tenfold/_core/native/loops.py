"""Loops, comprehensions, and displays of lists, tuples, sets and dicts."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from .unit import Untranslatable
from .values import Values
from .writer import Got


class Loops(Values):
    """What goes through items, and what collects them."""

    # --- loops ----------------------------------------------------------------------------------------------------

    def loop(
        self, target: ast.expr, source: ast.expr, body: Callable[[], None], orelse: Sequence[ast.stmt] = ()
    ) -> None:
        """for target in source: body()."""
        held: list[Got] = []
        steps: list[Callable[[str], None]] = []  # each gives its target the next item, or goes to the end
        self.sources(target, source, held, steps)
        top, over, end = self.new("for"), self.new("over"), self.new("end")
        self.label(top)
        for step in steps:
            step(over)
        self.loops.append((top, end))
        body()
        self.loops.pop()
        if self.open:
            self.go(top)
        self.label(over)
        if orelse:
            self.block(orelse)
        self.label(end)
        self.done(*held)

    def sources(self, target, source, held: list, steps: list) -> None:
        call = source.func.id if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) else None
        if call in ("zip", "enumerate", "range") and not self.is_builtin(call):
            call = None
        if call == "zip" and isinstance(target, (ast.Tuple, ast.List)) and len(target.elts) == len(source.args):
            if not source.keywords:
                for t, x in zip(target.elts, source.args):
                    self.sources(t, x, held, steps)
                return
        if call == "enumerate" and isinstance(target, ast.Tuple) and len(target.elts) == 2 and not source.keywords:
            counter = self.counter("-1" if len(source.args) == 1 else self.less(source.args[1]))
            self.sources(target.elts[1], source.args[0], held, steps)

            def count(over: str, t=target.elts[0]) -> None:
                self.store(t, Got("int", self.advance(counter)), None)

            steps.append(count)
            return
        if call == "range" and len(source.args) <= 2:
            low = "0" if len(source.args) == 1 else self.integer(source.args[0])
            high = self.integer(source.args[-1])
            last = self.counter(high)
            counter = self.counter(self.op(f"sub i64 {low}, 1"))

            def through(over: str) -> None:
                i = self.advance(counter)
                self.within(i, self.op(f"load i64, ptr {last}"), over)
                self.store(target, Got("int", i), None)

            steps.append(through)
            return
        if isinstance(source, ast.Name) and source.id in self.vectors and self.vectors[source.id].name == "args":
            counter = self.counter("-1")

            def given(over: str) -> None:
                i = self.advance(counter)
                self.within(i, "%nargs", over)
                item = self.op(f"load ptr, ptr {self.op(f'getelementptr ptr, ptr %args, i64 {i}')}")
                self.store(target, Got("object", item, stable=True), None)

            steps.append(given)
            return
        g = self.object(source)
        row = self.owned(self.sound(self.op(f"call ptr @source(ptr {g.reg})")))
        self.done(g)
        held.append(row)
        place = self.counter("0")

        def each(over: str) -> None:
            item = self.op(f"call ptr @next(ptr {row.reg}, ptr {place})")
            ok, ended = self.new("ok"), self.new("ended")
            self.branch(self.op(f"icmp eq ptr {item}, null"), ended, ok)
            self.label(ended)
            error = self.op("call ptr @PyErr_Occurred()")
            self.branch(self.op(f"icmp eq ptr {error}, null"), over, self.failure())
            self.label(ok)
            self.store(target, self.owned(item), None)

        steps.append(each)

    def counter(self, start: str) -> str:
        name = self.new("count")
        self.locals[name] = "i64"
        self.do(f"store i64 {start}, ptr %l.{name}")
        return f"%l.{name}"

    def less(self, n: ast.expr) -> str:
        return self.op(f"sub i64 {self.integer(n)}, 1")

    def advance(self, counter: str) -> str:
        i = self.op(f"add i64 {self.op(f'load i64, ptr {counter}')}, 1")
        self.do(f"store i64 {i}, ptr {counter}")
        return i

    def within(self, i: str, n: str, over: str) -> None:
        ok = self.new("ok")
        self.branch(self.op(f"icmp ult i64 {i}, {n}"), ok, over)
        self.label(ok)

    # --- displays and comprehensions ------------------------------------------------------------------------------

    def on_Tuple(self, n: ast.Tuple) -> Got:
        if any(isinstance(x, ast.Starred) for x in n.elts):
            items = self.listed(n.elts)
            r = self.sound(self.op(f"call ptr @PyList_AsTuple(ptr {items.reg})"))
            self.done(items)
            return self.owned(r)
        values = [self.own(self.object(x)) for x in n.elts]
        r = self.owned(self.sound(self.op(f"call ptr @PyTuple_New(i64 {len(values)})")))
        for k, g in enumerate(values):
            self.well(self.op(f"call i32 @PyTuple_SetItem(ptr {r.reg}, i64 {k}, ptr {self.take(g)})"))
        return r

    def on_List(self, n: ast.List) -> Got:
        return self.listed(n.elts)

    def listed(self, items: Sequence[ast.expr]) -> Got:
        r = self.owned(self.sound(self.op("call ptr @PyList_New(i64 0)")))
        for x in items:
            if isinstance(x, ast.Starred):
                g = self.own(self.object(x.value))
                size = self.op(f"call i64 @count(ptr {r.reg})")
                self.well(self.op(f"call i32 @PySequence_SetSlice(ptr {r.reg}, i64 {size}, i64 {size}, ptr {g.reg})"))
            else:
                g = self.object(x)
                self.well(self.op(f"call i32 @PyList_Append(ptr {r.reg}, ptr {g.reg})"))
            self.done(g)
        return r

    def on_Set(self, n: ast.Set) -> Got:
        items = self.listed(n.elts)
        r = self.sound(self.op(f"call ptr @PySet_New(ptr {items.reg})"))
        self.done(items)
        return self.owned(r)

    def on_Dict(self, n: ast.Dict) -> Got:
        r = self.owned(self.sound(self.op("call ptr @PyDict_New()")))
        for key, value in zip(n.keys, n.values):
            if key is None:
                raise Untranslatable("** in a dict")
            self.put(r, key, value)
        return r

    def put(self, r: Got, key: ast.expr, value: ast.expr) -> None:
        k = self.own(self.object(key))
        v = self.own(self.object(value))
        self.well(self.op(f"call i32 @PyDict_SetItem(ptr {r.reg}, ptr {k.reg}, ptr {v.reg})"))
        self.done(k, v)

    def on_ListComp(self, n: ast.ListComp) -> Got:
        r = self.owned(self.sound(self.op("call ptr @PyList_New(i64 0)")))

        def put() -> None:
            g = self.object(n.elt)
            self.well(self.op(f"call i32 @PyList_Append(ptr {r.reg}, ptr {g.reg})"))
            self.done(g)

        self.comprehension(n.generators, put)
        return r

    def on_SetComp(self, n: ast.SetComp) -> Got:
        r = self.owned(self.sound(self.op("call ptr @PySet_New(ptr null)")))

        def put() -> None:
            g = self.own(self.object(n.elt))
            self.well(self.op(f"call i32 @PySet_Add(ptr {r.reg}, ptr {g.reg})"))
            self.done(g)

        self.comprehension(n.generators, put)
        return r

    def on_DictComp(self, n: ast.DictComp) -> Got:
        r = self.owned(self.sound(self.op("call ptr @PyDict_New()")))
        self.comprehension(n.generators, lambda: self.put(r, n.key, n.value))
        return r

    def on_GeneratorExp(self, n: ast.GeneratorExp) -> Got:
        raise Untranslatable("generator")

    def comprehension(self, generators: Sequence[ast.comprehension], put: Callable[[], None]) -> None:
        g, *rest = generators
        names = {x.id: self.new(f"{x.id}.") for x in ast.walk(g.target) if isinstance(x, ast.Name)}
        outer = list(self.scopes)
        for name in names.values():
            self.locals[name] = "ptr"

        def body() -> None:
            for test in g.ifs:
                following = self.new("if")
                self.condition(test, following, self.loops[-1][0])
                self.label(following)
            if rest:
                self.comprehension(rest, put)
            else:
                put()

        held: list[Got] = []
        steps: list = []
        self.scopes = outer
        # the first source belongs to the scope outside; targets to the one inside
        inside = [*outer, names]
        self.sources(g.target, g.iter, held, steps)
        top, over = self.new("for"), self.new("over")
        self.label(top)
        self.scopes = inside
        for step in steps:
            step(over)
        self.loops.append((top, over))
        body()
        self.loops.pop()
        self.scopes = outer
        if self.open:
            self.go(top)
        self.label(over)
        self.done(*held)
        for name in names.values():
            self.clear_local(name)

    def quantified(self, n: ast.Call, wanted: bool) -> Got:
        """any([... for ...]) and all([... for ...]), which stop where the answer is known."""
        inner: Any = n.args[0]
        answer = self.counter("0" if wanted else "1")

        def put() -> None:
            found, go_on = self.new("found"), self.new("on")
            self.condition(inner.elt, *((found, go_on) if wanted else (go_on, found)))
            self.label(found)
            self.do(f"store i64 {int(wanted)}, ptr {answer}")
            self.go(self.loops[-1][1])
            self.label(go_on)

        if len(inner.generators) != 1:
            raise Untranslatable("any of two loops")
        self.comprehension(inner.generators, put)
        return Got("bit", self.op(f"icmp ne i64 {self.op(f'load i64, ptr {answer}')}, 0"))

    def on_JoinedStr(self, n: ast.JoinedStr) -> Got:
        parts = self.owned(self.sound(self.op("call ptr @PyList_New(i64 0)")))
        for x in n.values:
            if isinstance(x, ast.FormattedValue):
                if x.format_spec is not None or x.conversion not in (-1,):
                    raise Untranslatable("format")
                g = self.own(self.object(x.value))
                r = self.owned(self.sound(self.op(f"call ptr @PyObject_Format(ptr {g.reg}, ptr null)")))
                self.done(g)
            else:
                r = self.object(x)
            self.well(self.op(f"call i32 @PyList_Append(ptr {parts.reg}, ptr {r.reg})"))
            self.done(r)
        r = self.sound(self.op(f"call ptr @PyUnicode_Join(ptr {self.load_constant('')}, ptr {parts.reg})"))
        self.done(parts)
        return self.owned(r)
