"""Expressions: names, attributes, arithmetic, conditions."""

from __future__ import annotations

import ast
import builtins
import types
from typing import Any

from .unit import Untranslatable
from .writer import Got, Vector, Writer

COMPARE = {ast.Lt: 0, ast.LtE: 1, ast.Eq: 2, ast.NotEq: 3, ast.Gt: 4, ast.GtE: 5}
ICMP = {ast.Lt: "slt", ast.LtE: "sle", ast.Eq: "eq", ast.NotEq: "ne", ast.Gt: "sgt", ast.GtE: "sge"}
ARITHMETIC = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}
NUMBER = {
    ast.Add: "Add", ast.Sub: "Subtract", ast.Mult: "Multiply", ast.Div: "TrueDivide", ast.FloorDiv: "FloorDivide",
    ast.Mod: "Remainder", ast.BitOr: "Or", ast.BitAnd: "And", ast.BitXor: "Xor", ast.LShift: "Lshift", ast.RShift: "Rshift",
}  # fmt: skip


class Values(Writer):
    """What gives a value."""

    # --- whole numbers --------------------------------------------------------------------------------------------

    def _whole_numbers(self) -> set[str]:
        """The locals that only ever hold whole numbers that we can compute with."""
        given: dict[str, list] = {}
        for n in ast.walk(self.tree):
            if isinstance(n, ast.Assign):
                for t in n.targets:
                    for x in ast.walk(t):
                        if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Store):
                            given.setdefault(x.id, []).append(n.value if t is x else None)
            elif isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name):
                whole = type(n.op) in ARITHMETIC
                given.setdefault(n.target.id, []).append(n.value if whole else None)
            elif isinstance(n, (ast.For, ast.comprehension)):
                counts = isinstance(n.iter, ast.Call) and isinstance(n.iter.func, ast.Name) and n.iter.func.id
                for x in ast.walk(n.target):
                    if isinstance(x, ast.Name):
                        counter = counts == "range" and x is n.target
                        if counts == "enumerate" and isinstance(n.target, ast.Tuple):
                            counter = x is n.target.elts[0]
                        given.setdefault(x.id, []).append(ast.Constant(0) if counter else None)
            elif isinstance(n, (ast.AnnAssign, ast.NamedExpr, ast.withitem, ast.ExceptHandler, ast.Delete)):
                for x in ast.walk(n):
                    if isinstance(x, ast.Name) and isinstance(x.ctx, (ast.Store, ast.Del)):
                        given.setdefault(x.id, []).append(None)
                if isinstance(n, ast.ExceptHandler) and n.name:
                    given.setdefault(n.name, []).append(None)
        found = {n for n, values in given.items() if None not in values and n not in self.params}
        while True:
            self.ints = found
            kept = {n for n in found if all(self.is_int(v) for v in given[n])}
            if kept == found:
                return found
            found = kept

    def is_int(self, n: ast.expr) -> bool:
        if isinstance(n, ast.Constant):
            return type(n.value) is int and abs(n.value) < 1 << 62
        if isinstance(n, ast.Name):
            return n.id in self.ints and not any(n.id in s for s in self.scopes)
        if isinstance(n, ast.BinOp):
            return type(n.op) in ARITHMETIC and self.is_int(n.left) and self.is_int(n.right)
        if isinstance(n, ast.UnaryOp):
            return isinstance(n.op, ast.USub) and self.is_int(n.operand)
        if isinstance(n, ast.Call):
            return isinstance(n.func, ast.Name) and n.func.id == "len" and self.is_builtin("len")
        return isinstance(n, ast.Attribute) and n.attr in self.unit.hints.numbers

    def is_builtin(self, name: str) -> bool:
        return name not in self.assigned and name not in self.params and name not in self.globals

    def integer(self, n: ast.expr) -> str:
        """An expression as i64."""
        if not self.is_int(n):
            return self.unboxed(self.value(n))
        if isinstance(n, ast.Constant):
            return str(n.value)
        if isinstance(n, ast.Name):
            return self.op(f"load i64, ptr %l.{n.id}")
        if isinstance(n, ast.BinOp):
            a, b = self.integer(n.left), self.integer(n.right)
            return self.op(f"{ARITHMETIC[type(n.op)]} i64 {a}, {b}")
        if isinstance(n, ast.UnaryOp):
            return self.op(f"sub i64 0, {self.integer(n.operand)}")
        if isinstance(n, ast.Call):
            x = n.args[0]
            if isinstance(x, ast.Name) and x.id in self.vectors and self.vectors[x.id].name == "args":
                return "%nargs"
            g = self.value(x)
            size = self.well(self.op(f"call i64 @length(ptr {g.reg})"), "i64")
            self.done(g)
            return size
        g = self.value(n)
        return self.unboxed(g)

    def unboxed(self, g: Got) -> str:
        if g.kind == "int":
            return g.reg
        reg = self.op(f"call i64 @PyLong_AsSsize_t(ptr {g.reg})")
        odd, ok = self.new("odd"), self.new("ok")
        self.branch(self.op(f"icmp eq i64 {reg}, -1"), odd, ok)
        self.label(odd)
        error = self.op("call ptr @PyErr_Occurred()")
        self.branch(self.op(f"icmp eq ptr {error}, null"), ok, self.failure())
        self.label(ok)
        self.done(g)
        return reg

    def boxed(self, g: Got) -> Got:
        if g.kind == "int":
            return self.owned(self.sound(self.op(f"call ptr @PyLong_FromSsize_t(i64 {g.reg})")))
        if g.kind == "bit":
            return self.owned(self.op(f"call ptr @truth_object(i1 {g.reg})"))
        return g

    # --- conditions -----------------------------------------------------------------------------------------------

    def condition(self, n: ast.expr, yes: str, no: str) -> None:
        """Goes to one of two labels."""
        if isinstance(n, ast.BoolOp):
            for x in n.values[:-1]:
                following = self.new("and")
                if isinstance(n.op, ast.And):
                    self.condition(x, following, no)
                else:
                    self.condition(x, yes, following)
                self.label(following)
            self.condition(n.values[-1], yes, no)
        elif isinstance(n, ast.UnaryOp) and isinstance(n.op, ast.Not):
            self.condition(n.operand, no, yes)
        elif isinstance(n, ast.Constant):
            self.go(yes if n.value else no)
        elif isinstance(n, ast.Name) and n.id in self.vectors:
            if self.vectors[n.id].name == "args":
                self.branch(self.op("icmp ne i64 %nargs, 0"), yes, no)
            else:
                self.branch(self.op("icmp ne ptr %kwnames, null"), yes, no)
        elif self.is_int(n):
            self.branch(self.op(f"icmp ne i64 {self.integer(n)}, 0"), yes, no)
        else:
            g = self.value(n)
            if g.kind == "bit":
                self.branch(g.reg, yes, no)
            else:
                told = self.well(self.op(f"call i32 @truth(ptr {g.reg})"))
                self.done(g)
                self.branch(self.op(f"icmp ne i32 {told}, 0"), yes, no)

    # --- expressions ----------------------------------------------------------------------------------------------

    def object(self, n: ast.expr) -> Got:
        return self.boxed(self.value(n))

    def value(self, n: ast.expr) -> Got:
        method = getattr(self, f"on_{type(n).__name__}", None)
        if method is None:
            raise Untranslatable(type(n).__name__)
        return method(n)

    def load_constant(self, x: Any) -> str:
        if x is None:
            return "@_Py_NoneStruct"
        if x is True:
            return "@_Py_TrueStruct"
        if x is False:
            return "@_Py_FalseStruct"
        return self.op(f"load ptr, ptr {self.unit.constant(x)}")

    def on_Constant(self, n: ast.Constant) -> Got:
        return Got("object", self.load_constant(n.value), stable=True)

    def on_Name(self, n: ast.Name) -> Got:
        place = self.place_of(n.id)
        if place in self.locals:
            if self.locals[place] == "i64":
                return Got("int", self.op(f"load i64, ptr %l.{place}"))
            reg = self.op(f"load ptr, ptr %l.{place}")
            bad, ok = self.new("bad"), self.new("ok")
            self.branch(self.op(f"icmp eq ptr {reg}, null"), bad, ok)
            self.label(bad)
            cls, text = self.load_constant(UnboundLocalError), self.load_constant(f"'{n.id}' has no value here")
            self.do(f"call void @PyErr_SetObject(ptr {cls}, ptr {text})")
            self.go(self.failure())
            self.label(ok)
            return Got("object", reg, stable=True)
        if n.id in self.params:
            return Got("object", f"%p.{n.id}", stable=True)
        if n.id in self.vectors:
            return self.whole(self.vectors[n.id])
        return Got("object", self.load_constant(self.known(n)), stable=True)

    def known(self, n: ast.expr) -> Any:
        """A global or builtin by that name, or an attribute of a module; raises Untranslatable where it is neither."""
        if isinstance(n, ast.Name):
            if n.id in self.globals:
                return self.globals[n.id]
            if hasattr(builtins, n.id):
                return getattr(builtins, n.id)
        raise Untranslatable(f"the name {ast.dump(n)}")

    def is_global(self, n: ast.expr) -> bool:
        return (
            isinstance(n, ast.Name)
            and self.place_of(n.id) not in self.locals
            and n.id not in self.params
            and n.id not in self.vectors
            and (n.id in self.globals or hasattr(builtins, n.id))
        )

    def whole(self, v: Vector) -> Got:
        """*args as a tuple, **kwargs as a dict."""
        helper = "args_tuple" if v.name == "args" else "kwargs_dict"
        given = "ptr %args, i64 %nargs" + ("" if v.name == "args" else ", ptr %kwnames")
        return self.owned(self.sound(self.op(f"call ptr @{helper}({given})")))

    def class_of(self, n: ast.expr) -> type | None:
        """The class that an expression probably has."""
        hints = self.unit.hints
        if isinstance(n, ast.Name):
            place = self.place_of(n.id)
            return self.kinds.get(place) or hints.names.get(n.id)
        if isinstance(n, ast.Attribute):
            if n.attr == "walk" and self.is_threads(n.value):
                return hints.attributes.get("walk")
            return hints.attributes.get(n.attr)
        if isinstance(n, ast.Call):
            if self.is_global(n.func):
                f = self.known(n.func)
                if isinstance(f, type):
                    return f
                if f is hints.new and len(n.args) == 1 and self.is_global(n.args[0]):
                    return self.known(n.args[0])
                returns = getattr(f, "__annotations__", {}).get("return") if isinstance(f, types.FunctionType) else None
                return next((c for c in hints.classes if c.__name__ == returns), None)
        if isinstance(n, ast.IfExp):
            return self.class_of(n.body) or self.class_of(n.orelse)
        return None

    def is_threads(self, n: ast.expr) -> bool:
        return self.is_global(n) and self.known(n) is self.unit.hints.threads

    def on_Attribute(self, n: ast.Attribute) -> Got:
        if n.attr == "walk" and self.is_threads(n.value):
            threads, name = self.load_constant(self.unit.hints.threads), self.load_constant("walk")
            return self.owned(self.sound(self.op(f"call ptr @this_walk(ptr {threads}, ptr {name})")))
        kind = self.class_of(n.value)
        return self.attribute(self.object(n.value), n.attr, kind)

    def is_kind(self, reg: str, kind: type) -> str:
        """Whether an object has that class (a class that has subclasses: or is of one)."""
        cls = self.load_constant(kind)
        if kind in self.unit.hints.open:
            return self.op(f"call i1 @of(ptr {reg}, ptr {cls})")
        return self.op(f"icmp eq ptr {self.op(f'call ptr @kind(ptr {reg})')}, {cls}")

    def attribute(self, base: Got, name: str, kind: type | None) -> Got:
        if self.unit.slots.get(kind, {}).get(name) is None:
            kind = self.unit.owner.get(name)
        offset = self.unit.slots.get(kind, {}).get(name)
        if offset is None:
            base = base if base.stable else self.own(base)
            attr = self.load_constant(name)
            r = self.sound(self.op(f"call ptr @PyObject_GetAttr(ptr {base.reg}, ptr {attr})"))
            self.done(base)
            return self.owned(r)
        fast, slow, have, end = self.new("fast"), self.new("slow"), self.new("have"), self.new("got")
        extra = self.temp()
        self.branch(self.is_kind(base.reg, kind), fast, slow)
        self.label(fast)
        there = self.op(f"load ptr, ptr {self.op(f'getelementptr i8, ptr {base.reg}, i64 {offset}')}")
        self.branch(self.op(f"icmp eq ptr {there}, null"), slow, have)
        self.label(slow)
        attr = self.load_constant(name)
        asked = self.op(f"call ptr @PyObject_GetAttr(ptr {base.reg}, ptr {attr})")
        self.sound(asked)
        self.do(f"store ptr {asked}, ptr %t{extra}")
        came = self.new("came")
        self.label(came)
        self.go(end)
        self.label(have)
        self.go(end)
        self.label(end)
        reg = self.op(f"phi ptr [{there}, %{have}], [{asked}, %{came}]")
        got = Got("object", reg, [*base.temps, extra])
        if base.owner is not None:
            return self.own(got)
        return got

    def on_Subscript(self, n: ast.Subscript) -> Got:
        base = self.object(n.value)
        if isinstance(n.slice, ast.Slice):
            base = self.own(base)
            low, high = self.bounds(n.slice)
            r = self.sound(self.op(f"call ptr @slice(ptr {base.reg}, i64 {low}, i64 {high})"))
        elif self.is_int(n.slice):
            base = base if base.stable else self.own(base)
            i = self.integer(n.slice)
            r = self.sound(self.op(f"call ptr @item(ptr {base.reg}, i64 {i})"))
        else:
            base = self.own(base)
            key = self.own(self.object(n.slice))
            r = self.sound(self.op(f"call ptr @PyObject_GetItem(ptr {base.reg}, ptr {key.reg})"))
            self.done(key)
        self.done(base)
        return self.owned(r)

    def on_UnaryOp(self, n: ast.UnaryOp) -> Got:
        if isinstance(n.op, ast.Not):
            return self.bit(n)
        if self.is_int(n):
            return Got("int", self.integer(n))
        name = {ast.USub: "Negative", ast.Invert: "Invert"}.get(type(n.op))
        if name is None:
            raise Untranslatable("unary +")
        g = self.own(self.object(n.operand))
        r = self.sound(self.op(f"call ptr @PyNumber_{name}(ptr {g.reg})"))
        self.done(g)
        return self.owned(r)

    def on_BinOp(self, n: ast.BinOp) -> Got:
        if self.is_int(n):
            return Got("int", self.integer(n))
        a = self.own(self.object(n.left))
        b = self.own(self.object(n.right))
        if isinstance(n.op, ast.Pow):
            r = self.op(f"call ptr @PyNumber_Power(ptr {a.reg}, ptr {b.reg}, ptr @_Py_NoneStruct)")
        elif type(n.op) in NUMBER:
            r = self.op(f"call ptr @PyNumber_{NUMBER[type(n.op)]}(ptr {a.reg}, ptr {b.reg})")
        else:
            raise Untranslatable(type(n.op).__name__)
        self.sound(r)
        self.done(a, b)
        return self.owned(r)

    def bit(self, n: ast.expr) -> Got:
        """A condition as a bit."""
        yes, no, end = self.new("yes"), self.new("no"), self.new("bit")
        self.condition(n, yes, no)
        self.label(yes)
        self.go(end)
        self.label(no)
        self.go(end)
        self.label(end)
        return Got("bit", self.op(f"phi i1 [true, %{yes}], [false, %{no}]"))

    def on_BoolOp(self, n: ast.BoolOp) -> Got:
        """`a or b` is one of the two objects."""
        result, end = self.temp(), self.new("either")
        for x in n.values[:-1]:
            g = self.own(self.object(x))
            told = self.well(self.op(f"call i32 @truth(ptr {g.reg})"))
            keep, following = self.new("keep"), self.new("next")
            bit = self.op(f"icmp ne i32 {told}, 0")
            self.branch(bit, *((following, keep) if isinstance(n.op, ast.And) else (keep, following)))
            self.label(keep)
            live, free = set(self.live), list(self.free_temps)
            self.do(f"store ptr {self.take(g)}, ptr %t{result}")
            self.go(end)
            self.live, self.free_temps = live, free
            self.label(following)
            self.done(g)
        last = self.take(self.object(n.values[-1]))
        self.do(f"store ptr {last}, ptr %t{result}")
        self.label(end)
        return Got("object", self.op(f"load ptr, ptr %t{result}"), [result], result)

    def on_IfExp(self, n: ast.IfExp) -> Got:
        yes, no, end = self.new("then"), self.new("else"), self.new("either")
        if self.is_int(n.body) and self.is_int(n.orelse):
            place = self.counter("0")
            self.condition(n.test, yes, no)
            self.label(yes)
            self.do(f"store i64 {self.integer(n.body)}, ptr {place}")
            self.go(end)
            self.label(no)
            self.do(f"store i64 {self.integer(n.orelse)}, ptr {place}")
            self.label(end)
            return Got("int", self.op(f"load i64, ptr {place}"))
        result = self.temp()
        self.condition(n.test, yes, no)
        self.label(yes)
        self.do(f"store ptr {self.take(self.object(n.body))}, ptr %t{result}")
        self.go(end)
        self.label(no)
        self.do(f"store ptr {self.take(self.object(n.orelse))}, ptr %t{result}")
        self.label(end)
        return Got("object", self.op(f"load ptr, ptr %t{result}"), [result], result)

    def on_Compare(self, n: ast.Compare) -> Got:
        if len(n.ops) > 1:
            if not all(isinstance(c, (ast.Name, ast.Constant, ast.Attribute)) for c in n.comparators[:-1]):
                raise Untranslatable("chain of comparisons")
            lefts = [n.left, *n.comparators[:-1]]
            parts = [ast.Compare(a, [o], [b]) for a, o, b in zip(lefts, n.ops, n.comparators)]
            return self.bit(ast.BoolOp(ast.And(), parts))
        op, left, right = n.ops[0], n.left, n.comparators[0]
        if isinstance(op, (ast.Is, ast.IsNot)):
            a = self.object(left)
            if not (a.stable or a.owner is not None or _pure(right)):
                a = self.own(a)
            b = self.object(right)
            r = self.op(f"icmp {'eq' if isinstance(op, ast.Is) else 'ne'} ptr {a.reg}, {b.reg}")
            self.done(b, a)
            return Got("bit", r)
        if type(op) in ICMP and self.is_int(left) and self.is_int(right):
            a = self.integer(left)
            return Got("bit", self.op(f"icmp {ICMP[type(op)]} i64 {a}, {self.integer(right)}"))
        a = self.own(self.object(left))
        b = self.own(self.object(right))
        if isinstance(op, (ast.In, ast.NotIn)):
            r = self.well(self.op(f"call i32 @PySequence_Contains(ptr {b.reg}, ptr {a.reg})"))
            self.done(b, a)
            return Got("bit", self.op(f"icmp {'ne' if isinstance(op, ast.In) else 'eq'} i32 {r}, 0"))
        r = self.sound(self.op(f"call ptr @PyObject_RichCompare(ptr {a.reg}, ptr {b.reg}, i32 {COMPARE[type(op)]})"))
        self.done(b, a)
        return self.owned(r)


def _pure(n: ast.expr) -> bool:
    """Whether working it out runs nobody's code but slots (a slot that is missing raises)."""
    if isinstance(n, (ast.Name, ast.Constant)):
        return True
    return isinstance(n, ast.Attribute) and _pure(n.value)
