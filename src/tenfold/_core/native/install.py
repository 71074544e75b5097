"""Which functions are translated, and how they come into use.

`install()` is called once, when the compiler is at hand (the first compiled program takes over). The Python functions
stay what they are: an operation that somebody has imported by name is the same object, its code now calls the native one."""

from __future__ import annotations

import ctypes
import sys
import threading
import types
from collections.abc import Sequence
from typing import Any

from .. import config
from ..autograd import grad_mode, reverse
from ..backends.cpu import jit
from ..compiler import machine
from ..compiler.machine import Machine
from ..ir import operation, special
from ..ir.operation import Spec
from ..ir.shapes import Layout
from ..ops import calling, declare
from ..random import engine
from ..trace import bundle, control, flush, guards, handle, replay, walk
from ..trace.handle import Node, Storage, Tensor, Value, Walk
from . import api, objects, remember
from .entries import built_in, entry, keep, method, method_entry, original
from .translate import translated
from .unit import Hints, Unit, Untranslatable

NAMES = {
    "w": Walk, "nx": Node, "p": Node, "end": Node, "v": Value, "st": Storage, "s": Storage, "t": Tensor, "r": Tensor,
    "lay": Layout, "spec": Spec, "plan": flush.Plan, "asked": flush.Asked, "old": Value, "base": Value, "leaf": Tensor,
    "input": Tensor, "other": Tensor, "a": Tensor, "h": Tensor, "b": bundle.Bundle, "g": bundle.Gradients, "n": Node,
}  # fmt: skip
HELD = {
    "at": Node, "nxt": Node, "parent": Node, "out": Value, "_val": Value, "val": Value, "was": Value, "_st": Storage,
    "_lay": Layout, "lay": Layout, "spec": Spec, "walk": Walk, "node": Node, "_leaf": Tensor, "plan": flush.Plan, "base": Value,
}  # fmt: skip
NUMBERS = "k nscal nin nleaf depth flushes edges misses nodes _off off size numel ndim extent hold visits".split()
CLASSES = (
    Tensor, Storage, Value, Node, Walk, Layout, Spec, flush.Plan, flush.Asked, bundle.Bundle, bundle.Gradients, calling.Results,
    flush.History, guards.Guards, replay.Entry, replay.Compiled, replay.Path, replay.Place,
)  # fmt: skip

FUNCTIONS: list[Any] = [
    handle.fresh, handle.placed, handle.layout_of, handle.requires_grad,
    walk.edge, walk.grow, walk.room, walk.special, walk.cut_if_long, walk.resolve, walk.leaf_edge, walk.enter, walk.read,
    walk.place, walk.touch, walk.view, walk._carries, walk.detach, walk.check_writable, walk.write, walk.graft, walk.set_mode,
    walk.set_cast, walk._enter_mode, walk._set_node_modes, walk._entry_value, walk.st_dtype,
    calling.results_of, calling._lazily, calling._same_values, calling._same_static, calling._same_keywords, calling._again,
    calling._slow, calling._need_tensor, calling.check_operands, calling._has_tensor,
    flush.flush, flush.one_by_one, flush._read, flush.commit, flush.make_own, flush.own, flush.owners, flush.reset,
    flush.computed, flush.realise, flush.element, flush._owner, flush.array_of,
    bundle.enter_all, bundle.same, bundle.grad_of, bundle.receive, bundle._takes, bundle.interned,
    declare.assign, declare.lend, declare.overwrite, control.end_walk, reverse.backward, reverse.check_scalar,
    operation.spec_of, operation.freeze, special.flatten, special.strided, grad_mode.is_grad_enabled, engine.begin,
    guards.unchanged, guards.same_items, guards.same_tensors, replay.call, replay.matches, replay.replay,
]  # fmt: skip
METHODS: list[tuple[type, str]] = [
    (Walk, "root"), (machine.Arena, "at_least"), (Storage, "__init__"), (Value, "__init__"), (Node, "__init__"), (flush.Asked, "__init__"), (calling.Results, "__init__"), (flush.History, "__init__"), (Tensor, "item"), (Tensor, "tolist"), (Tensor, "backward"),
    (operation.Operation, "bind"), (Spec, "__init__"),
    *[(bundle.Bundle, name) for name in "plain enter unchanged lend write withdraw leave".split()],
    *[(bundle.Gradients, name) for name in "clear is_none drop lend withdraw".split()],
]  # fmt: skip

REPLACED = [
    (flush.Plan, "run"),
    (Machine, "values"),
    (Machine, "_results"),
]  # methods that may be replaced: looked up at each call

OPERATORS = {
    declare.PUBLIC["Tensor"][name].__code__ for name in ("__add__", "__radd__")
}  # Python's operators: one code for all

done = False
_installing = threading.Lock()


def _hints(more: Sequence[type]) -> Hints:
    numbers, threads = frozenset(NUMBERS), handle.tls
    return Hints((*CLASSES, *more), NAMES, HELD, frozenset([Tensor]), numbers, threads, handle.counts, handle.new)


def _home(f: types.FunctionType) -> type | None:
    """The class whose method it is."""
    found: Any = sys.modules.get(f.__module__)
    for name in f.__qualname__.split(".")[:-1]:
        found = getattr(found, name, None)
    return found if isinstance(found, type) and vars(found).get(f.__name__) is f else None


def linked(unit: Unit, methods: Sequence[tuple[type, str]] = ()) -> dict[Any, Any]:
    """The machine code of a unit's functions: Python function -> built-in function; (class, name) -> method."""
    lay = objects.layout()
    if lay is None:
        raise Untranslatable("it is not known how this Python's objects lie in memory")
    environments = {f: (*n.constants, original(f)) for f, n in unit.natives.items()}
    heads = {n.name: entry(unit, n) for n in unit.natives.values()}
    texts: dict[tuple[type, str], str] = {}
    for cls, name in methods:
        f = vars(cls)[name]
        texts[cls, name] = method_entry(unit, f"m_{len(texts)}", unit.natives[f], environments[f])
    constants = f"@constants = global [{max(len(unit.constants), 1)} x ptr] zeroinitializer"
    ir = "\n".join([api.text(lay), constants, *unit.texts.values(), *heads.values(), *texts.values()])
    jit.symbols(api.addresses())
    names = [*[f"py_{n}" for n in heads], *[f"m_{k}" for k in range(len(texts))], "constants", "forget_walk"]
    found = jit.functions(ir, names)
    made: dict[Any, Any] = {}
    closures = {f: [c for c in n.constants if isinstance(c, types.FunctionType)] for f, n in unit.natives.items()}
    for f in sorted(unit.natives, key=lambda f: len(closures[f])):  # what a closure holds comes first
        if closures[f]:
            *constants, python = held = environments[f]
            natives = [made.get(c, c) if isinstance(c, types.FunctionType) else c for c in constants]
            environments[f] = (*natives, python)
            unit.exchange(held, environments[f])
        made[f] = built_in(f.__name__, found[f"py_{unit.natives[f].name}"], environments[f])
        unit.exchange(f, made[f])
    table = (ctypes.c_void_p * len(unit.constants)).from_address(found["constants"])
    for k, x in enumerate(unit.constants):
        keep(x)
        table[k] = id(x)
    for k, (cls, name) in enumerate(texts):
        made[cls, name] = method(cls, vars(cls)[name], found[f"m_{k}"])
    for key, x in made.items():
        remember(x, vars(key[0])[key[1]] if isinstance(key, tuple) else key)
    made["forget_walk"] = built_in("forget_walk", found["forget_walk"], ())
    return made


def install() -> bool:
    """Puts native code in the place of Python's. False where that cannot be done: everything then goes on as before."""
    with _installing:
        return _installed()


def _installed() -> bool:
    global done
    if done:
        return True
    if objects.layout() is None or not jit.available():
        return False
    marked = [x for x in handle.TRANSLATED if isinstance(x, types.FunctionType)]
    unit = Unit(_hints([x for x in handle.TRANSLATED if isinstance(x, type)]))
    for f in FUNCTIONS:
        unit.declare(f)
    for cls, name in METHODS:
        unit.declare(vars(cls)[name])
    for cls, name in REPLACED:
        unit.declare(vars(cls)[name], direct=False)
    calls = [(op, f) for op, f in calling.CALLS if f.__code__ in calling.THROUGH]
    operators = [(Tensor, name) for name, f in vars(Tensor).items() if name.startswith("__") and _is_operator(f)]
    for f in [*[f for _, f in calls], *[vars(cls)[name] for cls, name in operators]]:
        unit.declare(f)
    homes = {f: _home(f) for f in marked}
    for f in marked:
        unit.declare(f, direct=homes[f] is None)
    refused = unit.translate(translated)
    if refused and config.VERIFY:
        raise Untranslatable(", ".join(f"{f.__qualname__}: {why}" for f, why in refused.items()))
    placed = [(cls, f.__name__) for f, cls in homes.items() if cls is not None]
    methods = [
        (cls, name) for cls, name in [*operators, *METHODS, *REPLACED, *placed] if vars(cls)[name] in unit.natives
    ]
    natives = linked(unit, [(cls, name) for cls, name in methods if name != "__init__"])
    _use(
        natives,
        [(op, f) for op, f in calls if f in natives],
        [*FUNCTIONS, *[f for f, cls in homes.items() if cls is None]],
    )
    done = True
    return True


def _is_operator(f: Any) -> bool:
    return isinstance(f, types.FunctionType) and f.__code__ in OPERATORS


def _use(natives: dict[Any, Any], calls: list[tuple[Any, Any]], functions: list[Any]) -> None:
    """Everybody who has one of the functions has the native one now. In public namespaces stay the Python functions, which
    have a signature and can be pickled; what is native calls the native ones for them (calls.while_there)."""
    handle.swapped = natives["forget_walk"]  # first: from now on walks are remembered
    for op, f in calls:
        op.hit = natives[f]
        f.__code__ = calling.THROUGH[f.__code__]
    for key, value in natives.items():
        if isinstance(key, tuple):
            setattr(*key, value)
    inner = {id(f): natives[f] for f in functions if f in natives}
    public = {"tenfold", *[f"tenfold.{name}" for name in declare.PUBLIC]}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "tenfold" and name not in public and not name.startswith(__package__ or ""):
            for key, value in list(vars(module).items()):
                if id(value) in inner:
                    setattr(module, key, inner[id(value)])
