"""Python functions to LLVM IR that does the same with the same objects.

Comes in: functions of the recorder, as they stand in its modules. Goes out: the text of one module of IR, and the
objects (names, classes, other functions) that its code mentions. The text of a function is its syntax tree, statement
by statement; what is faster than in the interpreter is that

- an attribute of a class with `__slots__` is read where it lies, after a look at the object's type,
- `is`, `type(x) is`, `len`, items of lists and tuples, and whole numbers take a few instructions,
- translated functions call each other directly.

Everything else goes through Python's C API, so that any object may come along: a wrong guess about a type costs time
only. What has no translation (with, yield, lambda, nested functions) raises Untranslatable, and stays Python.

References: a `Got` is an object at hand. It is `owner`-ed by a temporary (a slot on the stack that is released where an
error leaves the function), or borrowed: from a local, or from a slot of an object that nobody changes meanwhile."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from .calls import Calls
from .unit import Native, Unit, Untranslatable, assigned, parsed
from .values import ARITHMETIC, NUMBER
from .writer import Got, Vector

FEW = 8  # locals that are kept in registers; where there are more, compiling would take long


def translated(unit: Unit, native: Native) -> str:
    """The IR of a function. Raises Untranslatable."""
    return Body(unit, native).text()


class Body(Calls):
    """A function, while it is translated."""

    def __init__(self, unit: Unit, native: Native):
        super().__init__()
        self.unit = unit
        self.native = native
        self.python = native.python
        self.tree = parsed(native.python)
        self.globals = native.python.__globals__
        self.scopes: list[dict[str, str]] = []  # names of comprehensions -> their locals
        self.locals: dict[str, str] = {}  # slot -> "ptr" or "i64"
        self.kinds: dict[str, type] = {}
        self.loops: list[tuple[str, str]] = []  # (where continue goes, where break goes)
        self.vectors: dict[str, Vector] = {}
        a = self.tree.args
        if native.vector:
            if a.vararg is None or a.posonlyargs or a.kwonlyargs or (a.kwarg is None):
                raise Untranslatable("only f(..., *args, **kwargs)")
            self.vectors = {a.vararg.arg: Vector("args"), a.kwarg.arg: Vector("kwargs")}
            self.params = [*native.free, *[x.arg for x in a.args]]
        else:
            self.params = [*native.free, *native.params]
        self.assigned = assigned(self.tree)
        for arg in (*a.args, *a.kwonlyargs):
            if isinstance(arg.annotation, ast.Name) and isinstance(self.globals.get(arg.annotation.id), type):
                self.kinds[arg.arg] = self.globals[arg.annotation.id]
        self.ints = self._whole_numbers()

    # --- the frame ------------------------------------------------------------------------------------------------

    def head(self) -> str:
        given = [f"ptr %p.{p}" for p in self.params]
        if self.native.vector:
            given += ["ptr %args", "i64 %nargs", "ptr %kwnames"]
        return f"define internal ptr @{self.native.name}({', '.join(given)})"

    def text(self) -> str:
        for name in self.assigned:
            self.local(name)
        started = []
        for p in self.params:
            if p in self.assigned:
                started += [f"  call void @hold(ptr %p.{p})", f"  store ptr %p.{p}, ptr %l.{p}"]
        body = self.tree.body
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:]
        self.block(body)
        if self.open:
            none = self.none()
            self.do(f"call void @hold(ptr {none})")
            self.leave(none)
        objects = [n for n, kind in self.locals.items() if kind == "ptr"]
        in_memory = len(objects) > FEW
        frame = [f"  %l.{n} = alloca {kind}" for n, kind in self.locals.items() if not (in_memory and kind == "ptr")]
        if in_memory:
            frame.append(f"  %objects = alloca ptr, i64 {len(objects)}")
            frame += [f"  %l.{n} = getelementptr ptr, ptr %objects, i64 {k}" for k, n in enumerate(objects)]
        frame += [f"  %t{t} = alloca ptr" for t in range(self.temps)]
        frame += ["  %result = alloca ptr"]
        starts = {"ptr": "null", "i64": "0"}
        frame += [f"  store {k} {starts[k]}, ptr %l.{n}" for n, k in self.locals.items() if k in starts]
        end = [*self.cleanup_lines(), "fail:", "  store ptr null, ptr %result", "  br label %done", "done:"]
        if in_memory:
            end.append(f"  call void @release_row(ptr %objects, i64 {len(objects)})")
        else:
            for k, n in enumerate(objects):
                end += [f"  %e{k} = load ptr, ptr %l.{n}", f"  call void @drop_if(ptr %e{k})"]
        end += ["  %answer = load ptr, ptr %result", "  ret ptr %answer"]
        return "\n".join([self.head() + " {", "begin:", *frame, *started, *self.lines, *end, "}"])

    def leave(self, reg: str) -> None:
        """Returns an object, whose reference is given away."""
        self.do(f"store ptr {reg}, ptr %result")
        for t in sorted(self.live):  # what loops hold
            self.do(f"call void @drop_if(ptr {self.op(f'load ptr, ptr %t{t}')})")
        self.go("done")

    def local(self, name: str) -> str:
        if name not in self.locals:
            self.locals[name] = "i64" if name in self.ints else "ptr"
        return name

    def none(self) -> str:
        return "@_Py_NoneStruct"

    # --- statements -----------------------------------------------------------------------------------------------

    def block(self, statements: Sequence[ast.stmt]) -> None:
        for s in statements:
            if not self.open:
                return
            method = getattr(self, f"do_{type(s).__name__}", None)
            if method is None:
                raise Untranslatable(type(s).__name__)
            method(s)

    def do_Pass(self, s: ast.Pass) -> None:
        pass

    def do_Expr(self, s: ast.Expr) -> None:
        if isinstance(s.value, ast.Constant):
            return
        g = self.value(s.value)
        self.done(g)

    def do_Return(self, s: ast.Return) -> None:
        if self.finals:
            raise Untranslatable("return inside try with finally")
        g = Got("object", self.none(), stable=True) if s.value is None else self.object(s.value)
        self.leave(self.take(g))

    def do_If(self, s: ast.If) -> None:
        yes, no, end = self.new("then"), self.new("else"), self.new("end")
        self.condition(s.test, yes, no if s.orelse else end)
        self.label(yes)
        self.block(s.body)
        if s.orelse:
            if self.open:
                self.go(end)
            self.label(no)
            self.block(s.orelse)
        self.label(end)

    def do_While(self, s: ast.While) -> None:
        top, body, end = self.new("while"), self.new("turn"), self.new("end")
        self.label(top)
        self.condition(s.test, body, end)
        self.label(body)
        self.loops.append((top, end))
        self.block(s.body)
        self.loops.pop()
        if self.open:
            self.go(top)
        if s.orelse:
            raise Untranslatable("while-else")
        self.label(end)

    def do_Continue(self, s) -> None:
        self.go(self.loops[-1][0])

    def do_Break(self, s) -> None:
        self.go(self.loops[-1][1])

    def do_For(self, s: ast.For) -> None:
        self.loop(s.target, s.iter, lambda: self.block(s.body), s.orelse)

    def do_Assign(self, s: ast.Assign) -> None:
        if len(s.targets) == 1:
            t = s.targets[0]
            if isinstance(t, ast.Name) and self.is_local_int(t.id):
                self.do(f"store i64 {self.integer(s.value)}, ptr %l.{t.id}")
                return
            if isinstance(t, ast.Tuple) and isinstance(s.value, ast.Tuple) and len(t.elts) == len(s.value.elts):
                kinds = [self.class_of(v) for v in s.value.elts]
                values = [self.own(self.object(v)) for v in s.value.elts]
                for target, g, kind in zip(t.elts, values, kinds):
                    self.store(target, g, kind)
                return
            self.store(t, self.object(s.value), self.class_of(s.value))
            return
        g = self.own(self.object(s.value))
        kind = self.class_of(s.value)
        for t in s.targets:
            self.store(t, Got("object", g.reg, stable=True), kind)
        self.done(g)

    def do_AnnAssign(self, s: ast.AnnAssign) -> None:
        if s.value is not None:
            self.store(s.target, self.object(s.value), self.class_of(s.value))

    def do_AugAssign(self, s: ast.AugAssign) -> None:
        t = s.target
        if isinstance(t, ast.Name):
            if self.is_local_int(t.id):
                have = self.op(f"load i64, ptr %l.{t.id}")
                self.do(
                    f"store i64 {self.op(f'{ARITHMETIC[type(s.op)]} i64 {have}, {self.integer(s.value)}')}, ptr %l.{t.id}"
                )
                return
            self.store(t, self.in_place(s.op, self.object(ast.Name(t.id, ast.Load())), s.value), None)
            return
        if isinstance(t, ast.Attribute):
            base = self.own(self.object(t.value))
            kind = self.class_of(t.value) or self.unit.owner.get(t.attr)
            old = self.attribute(Got("object", base.reg, stable=True), t.attr, kind)
            if t.attr in self.unit.hints.numbers and type(s.op) in ARITHMETIC and self.is_int(s.value):
                have = self.unboxed(old)
                new = self.boxed(Got("int", self.op(f"{ARITHMETIC[type(s.op)]} i64 {have}, {self.integer(s.value)}")))
            else:
                new = self.in_place(s.op, old, s.value)
            self.set_attribute(base, t.attr, new, kind)
            return
        if not isinstance(t, ast.Subscript) or isinstance(t.slice, ast.Slice):
            raise Untranslatable("augmented assignment to a slice")
        base = self.own(self.object(t.value))
        key = self.own(self.object(t.slice))
        old = self.owned(self.sound(self.op(f"call ptr @PyObject_GetItem(ptr {base.reg}, ptr {key.reg})")))
        new = self.in_place(s.op, old, s.value)
        self.well(self.op(f"call i32 @PyObject_SetItem(ptr {base.reg}, ptr {key.reg}, ptr {new.reg})"))
        self.done(new, key, base)

    def in_place(self, op: ast.operator, a: Got, right: ast.expr) -> Got:
        a = self.own(a)
        b = self.object(right)
        name = {ast.Add: "InPlaceAdd", ast.BitOr: "InPlaceOr"}.get(type(op)) or NUMBER[type(op)]
        r = self.sound(self.op(f"call ptr @PyNumber_{name}(ptr {a.reg}, ptr {b.reg})"))
        self.done(b, a)
        return self.owned(r)

    def do_Delete(self, s: ast.Delete) -> None:
        for t in s.targets:
            if not isinstance(t, ast.Name):
                raise Untranslatable("del of an item")
            self.clear_local(t.id)

    def clear_local(self, name: str) -> None:
        old = self.op(f"load ptr, ptr %l.{name}")
        self.do(f"store ptr null, ptr %l.{name}")
        self.do(f"call void @drop_if(ptr {old})")

    def do_Raise(self, s: ast.Raise) -> None:
        if s.exc is None:
            raise Untranslatable("raise of what was caught")
        g = self.own(self.object(s.exc))
        if s.cause is not None and not (isinstance(s.cause, ast.Constant) and s.cause.value is None):
            if not isinstance(s.exc, ast.Call):  # a class: an instance is made
                g = self.vectorcall("PyObject_Vectorcall", g, [], ())
            self.set_attribute(Got("object", g.reg, stable=True), "__cause__", self.object(s.cause), None)
        kind = self.op(f"call ptr @kind(ptr {g.reg})")
        is_class = self.op(f"load ptr, ptr {self.unit.constant(type)}")
        same = self.op(f"icmp eq ptr {kind}, {is_class}")
        what = self.op(f"select i1 {same}, ptr {g.reg}, ptr {kind}")
        value = self.op(f"select i1 {same}, ptr null, ptr {g.reg}")
        self.do(f"call void @PyErr_SetObject(ptr {what}, ptr {value})")
        self.done(g)
        self.go(self.failure())

    def do_Try(self, s: ast.Try) -> None:
        if s.orelse:
            raise Untranslatable("try with else")
        if s.finalbody and s.handlers:
            s = ast.Try([ast.Try(s.body, s.handlers, [], [])], [], [], s.finalbody)
        outer, live = self.caught_at, set(self.live)
        caught, end = self.new("caught"), self.new("tried")
        self.caught_at = (caught, frozenset(live))
        self.finals += bool(s.finalbody)
        self.block(s.body)
        self.finals -= bool(s.finalbody)
        self.caught_at = outer
        if s.finalbody:
            self.block(s.finalbody)
        if self.open:
            self.go(end)
        self.label(caught)
        if s.finalbody:
            if any(isinstance(n, (ast.Break, ast.Continue)) for b in s.body for n in ast.walk(b)):
                raise Untranslatable("leaving a try with finally")
            mark = self.new("kept")
            names = [self.kept_error(f"{mark}{x}") for x in "abc"]
            self.do(f"call void @PyErr_Fetch({', '.join(f'ptr {n}' for n in names)})")
            self.block(s.finalbody)
            regs = [self.op(f"load ptr, ptr {n}") for n in names]
            for n in names:
                self.do(f"store ptr null, ptr {n}")
            self.do(f"call void @PyErr_Restore({', '.join(f'ptr {r}' for r in regs)})")
            self.go(self.failure())
            self.label(end)
            return
        for h in s.handlers:
            mine, other = self.new("handler"), self.new("other")
            if h.type is None:
                raise Untranslatable("bare except")
            cls = self.object(h.type)
            hit = self.op(f"call i32 @PyErr_ExceptionMatches(ptr {cls.reg})")
            self.done(cls)
            self.branch(self.op(f"icmp ne i32 {hit}, 0"), mine, other)
            self.label(mine)
            if h.name:
                self.caught(h.name)
            else:
                self.do("call void @PyErr_Clear()")
            self.block(h.body)
            if h.name and self.open:
                self.clear_local(h.name)
            if self.open:
                self.go(end)
            self.label(other)
        self.go(self.failure())
        self.label(end)

    def caught(self, name: str) -> None:
        """The exception that was raised, as a local."""
        mark = self.new("raised")
        kind, value, trace = [self.kept_error(f"{mark}{x}") for x in "abc"]
        self.do(f"call void @PyErr_Fetch(ptr {kind}, ptr {value}, ptr {trace})")
        self.do(f"call void @PyErr_NormalizeException(ptr {kind}, ptr {value}, ptr {trace})")
        error, where = self.op(f"load ptr, ptr {value}"), self.op(f"load ptr, ptr {trace}")
        some, end = self.new("some"), self.new("end")
        self.branch(self.op(f"icmp eq ptr {where}, null"), end, some)
        self.label(some)
        self.op(f"call i32 @PyException_SetTraceback(ptr {error}, ptr {where})")
        self.label(end)
        self.store(ast.Name(name, ast.Store()), self.own(Got("object", error)), None)
        for place in (kind, value, trace):
            old = self.op(f"load ptr, ptr {place}")
            self.do(f"store ptr null, ptr {place}")
            self.do(f"call void @drop_if(ptr {old})")

    def kept_error(self, name: str) -> str:
        self.locals[name] = "ptr"
        return f"%l.{name}"

    # --- storing --------------------------------------------------------------------------------------------------

    def is_local_int(self, name: str) -> bool:
        return self.place_of(name) == name and name in self.ints

    def place_of(self, name: str) -> str:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return name

    def store(self, target: ast.expr, g: Got, kind: type | None) -> None:
        """Gives a target a value, and takes its reference."""
        if isinstance(target, ast.Name):
            place = self.place_of(target.id)
            if self.locals.get(place) == "i64":
                self.do(f"store i64 {self.unboxed(g)}, ptr %l.{place}")
                return
            reg = self.take(self.boxed(g))
            old = self.op(f"load ptr, ptr %l.{place}")
            self.do(f"store ptr {reg}, ptr %l.{place}")
            self.do(f"call void @drop_if(ptr {old})")
            if kind is not None:
                self.kinds[place] = kind
        elif isinstance(target, ast.Attribute):
            base = self.object(target.value)
            self.set_attribute(base, target.attr, g, self.class_of(target.value))
        elif isinstance(target, ast.Subscript):
            self.set_item(target, g)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self.unpack(target, g)
        else:
            raise Untranslatable(f"assignment to {type(target).__name__}")

    def unpack(self, target: ast.Tuple | ast.List, g: Got) -> None:
        if any(isinstance(t, ast.Starred) for t in target.elts):
            raise Untranslatable("starred target")
        row = self.owned(self.sound(self.op(f"call ptr @items(ptr {g.reg})")))
        self.done(g)
        size = self.op(f"call i64 @count(ptr {row.reg})")
        ok, bad = self.new("ok"), self.new("bad")
        self.branch(self.op(f"icmp eq i64 {size}, {len(target.elts)}"), ok, bad)
        self.label(bad)
        cls, text = self.load_constant(ValueError), self.load_constant(f"expected {len(target.elts)} values to unpack")
        self.do(f"call void @PyErr_SetObject(ptr {cls}, ptr {text})")
        self.go(self.failure())
        self.label(ok)
        for k, t in enumerate(target.elts):
            item = self.op(f"call ptr @at(ptr {row.reg}, i64 {k})")
            self.store(t, self.own(Got("object", item)), None)
        self.done(row)

    def set_attribute(self, base: Got, name: str, g: Got, kind: type | None) -> None:
        g = self.boxed(g)
        kind = kind or self.unit.owner.get(name)
        offset = self.unit.slots.get(kind, {}).get(name)
        if offset is None:
            value = self.own(g)
            base = self.own(base) if not base.stable else base
            attr = self.load_constant(name)
            self.well(self.op(f"call i32 @PyObject_SetAttr(ptr {base.reg}, ptr {attr}, ptr {value.reg})"))
            self.done(value, base)
            return
        slow, fast, end = self.new("slow"), self.new("fast"), self.new("set")
        value = self.own(g)
        self.branch(self.is_kind(base.reg, kind), fast, slow)
        self.label(slow)
        attr = self.load_constant(name)
        self.well(self.op(f"call i32 @PyObject_SetAttr(ptr {base.reg}, ptr {attr}, ptr {value.reg})"))
        self.go(end)
        self.label(fast)
        place = self.op(f"getelementptr i8, ptr {base.reg}, i64 {offset}")
        self.do(f"call void @hold(ptr {value.reg})")
        old = self.op(f"load ptr, ptr {place}")
        self.do(f"store ptr {value.reg}, ptr {place}")
        self.do(f"call void @drop_if(ptr {old})")
        self.label(end)
        self.done(value, base)

    def set_item(self, target: ast.Subscript, g: Got) -> None:
        value = self.own(self.boxed(g))
        base = self.object(target.value)
        index = target.slice
        if isinstance(index, ast.Slice):
            low, high = self.bounds(index)
            self.well(self.op(f"call i32 @set_slice(ptr {base.reg}, i64 {low}, i64 {high}, ptr {value.reg})"))
        elif self.is_int(index):
            i = self.integer(index)
            self.well(self.op(f"call i32 @set_item(ptr {base.reg}, i64 {i}, ptr {value.reg})"))
        else:
            base = self.own(base)
            key = self.own(self.object(index))
            self.well(self.op(f"call i32 @PyObject_SetItem(ptr {base.reg}, ptr {key.reg}, ptr {value.reg})"))
            self.done(key)
        self.done(value, base)

    def bounds(self, s: ast.Slice) -> tuple[str, str]:
        if s.step is not None:
            raise Untranslatable("slice with a step")
        low = "0" if s.lower is None else self.integer(s.lower)
        high = "9223372036854775807" if s.upper is None else self.integer(s.upper)
        return low, high
