"""What the Python of a function may read: everything that its code, and the code that it can reach, mentions by name.

`Reading(f, args)` follows names from the function's globals and closure through modules, functions, objects and
containers. Names of attributes count wherever they are mentioned: an object's attribute is read if any of the code
mentions its name, and a method may run if its name is mentioned. So what is found is more than what one call reads, never
less. What cannot be followed (a call that prints or draws, a module used as a value, `try`) is a `problem`: then f is
called as ever, and the problem is the reason. Tensors are found as objects; what is in them is for _core/trace/replay.py."""

from __future__ import annotations

import dis
import enum
import functools
import inspect
import itertools
import math
import operator
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tenfold

from .._core.native import python_of
from .._core.ops import devices
from .._core.ops.declare import PUBLIC
from .._core.trace.guards import MISSING, PLAIN, Guards
from ..nn import Module, Parameter, functional
from ..nn.registry import HookTable, Registry

MOST_OBJECTS = 20_000

CONSTANTS = (
    int, float, complex, bool, str, bytes, type(None), type(Ellipsis), type(NotImplemented), range, slice,
    tenfold.dtype, tenfold.device, tenfold.Size, tenfold.finfo, tenfold.iinfo, tenfold.layout, tenfold.memory_format, tenfold.Generator,
)  # fmt: skip
BUILTINS = frozenset(
    "abs all any bool bytes callable complex dict divmod enumerate filter float format frozenset getattr hasattr int isinstance"
    " issubclass iter len list map max min next object pow property range repr reversed round set setattr slice sorted str sum"
    " super tuple type zip staticmethod classmethod NotImplemented Ellipsis __build_class__".split()
) - {"__build_class__"}
CONTAINERS = (
    "tenfold.nn.container",
)  # modules whose objects may get and lose parts by methods with the names of a list's
PURE_MODULES = (math, operator, itertools, sys.modules["_operator"])
PURE = (functools.partial, functools.reduce, OrderedDict)
CONTEXTS = (tenfold.no_grad, tenfold.enable_grad, tenfold.set_grad_enabled)
QUESTIONS = (
    tenfold.is_grad_enabled, tenfold.get_default_dtype, tenfold.is_tensor, tenfold.is_inference_mode_enabled, tenfold.finfo, tenfold.iinfo,
)  # fmt: skip
REFUSED = frozenset(
    "seed manual_seed initial_seed get_rng_state set_rng_state default_generator end_walk assign lend translated Bundle composite"
    " init_num_threads from_numpy frombuffer from_dlpack to_dlpack autocast_increment_nesting autocast_decrement_nesting"
    " clear_autocast_cache use_deterministic_algorithms get_num_threads".split()
)  # public names that change or read more than their arguments
OF_TENSORS = frozenset(
    "backward grad grad_fn is_leaf retain_grad retains_grad register_hook register_post_accumulate_grad_hook requires_grad_ detach_"
    " set_ resize_ resize_as_ data_ptr const_data_ptr storage untyped_storage storage_offset _version is_shared share_memory_"
    " is_pinned pin_memory apply_ map_ map2_ output_nr __cuda_array_interface__ __array__ _grad _st _val _leaf _hooks _is_view _base is_inference is_set_to manual_seed seed"
    " initial_seed get_state set_state graphsafe_get_state graphsafe_set_state clone_state".split()
)  # attributes of tensors and generators that say or do more than their elements and layout
EVERYTHING = frozenset(
    "__dict__ __setattr__ __delattr__ __getattribute__ __getattr__ format_map parameters named_parameters buffers named_buffers children named_children modules named_modules state_dict"
    " get_parameter get_buffer get_submodule train eval requires_grad_ zero_grad apply load_state_dict register_buffer"
    " register_parameter register_module add_module".split()
)  # attributes through which all others of a module are read or written
UNUSED = frozenset(
    "__init__ __new__ __init_subclass__ __class_getitem__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __deepcopy__ __copy__"
    " __dir__ __format__ __repr__ __str__ __doc__ __module__ __dict__ __weakref__ __annotations__ __annotate__ __annotate_func__"
    " __annotations_cache__ __conditional_annotations__ __qualname__ __slots__"
    " __firstlineno__ __static_attributes__ __parameters__ __orig_bases__ __abstractmethods__ __match_args__ __dataclass_fields__"
    " __dataclass_params__ __type_params__ __classcell__ __replace__".split()
)  # of a class that a program only has objects of
TEXT = frozenset(("__repr__", "__str__", "__format__"))
READING = frozenset("__iter__ __len__ __getitem__ __contains__ __call__ __bool__ __reversed__".split())
IN_C = (types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType, types.MethodDescriptorType)
SKIPPED = ("CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "RESUME")


class Names:
    """What a code object mentions, with the code inside of it.

    roots       (kind, name, attributes right behind it, whether it is only called); kind: "global" or "free"
    attributes  names of attributes, those right behind a root left out
    problem     what cannot be followed"""

    def __init__(self, code: types.CodeType):
        self.roots: list[tuple[str, str, tuple[str, ...], bool]] = []
        self.attributes: set[str] = set()
        self.problem: str | None = None
        self.formats = False  # it may turn any object into text
        self._scan(code, frozenset(code.co_freevars))

    def _scan(self, code: types.CodeType, free: frozenset) -> None:
        if code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
            self.problem = "it is a coroutine"
        steps = [i for i in dis.get_instructions(code) if i.opname not in SKIPPED]
        k = 0
        while k < len(steps):
            op, value = steps[k].opname, steps[k].argval
            k += 1
            kind = "global" if "GLOBAL" in op else "free" if "DEREF" in op else ""
            if kind == "free" and value not in free:
                kind = ""
            if kind:
                chain = []
                while op.startswith("LOAD") and k < len(steps) and steps[k].opname in ("LOAD_ATTR", "LOAD_METHOD"):
                    chain.append(steps[k].argval)
                    k += 1
                last = steps[k - 1]  # what pushes a NULL is the callee of a call, and goes nowhere else
                self.roots.append((kind, value, tuple(chain), last.opname == "LOAD_METHOD" or "NULL" in last.argrepr))
            elif "ATTR" in op or op == "LOAD_METHOD":
                self.attributes.add(value)
            elif op in ("IMPORT_NAME", "IMPORT_FROM", "IMPORT_STAR"):
                self.problem = f"it imports {value}"
            elif op in ("LOAD_BUILD_CLASS", "LOAD_NAME", "STORE_NAME", "LOAD_LOCALS"):
                self.problem = "it makes a class"
            elif op == "MATCH_CLASS":
                self.problem = "it has a match statement with classes"
            elif "FORMAT" in op or op == "BINARY_OP" and steps[k - 1].argrepr in ("%", "%="):
                self.formats = True
            elif op == "PUSH_EXC_INFO" and steps[k].opname not in ("WITH_EXCEPT_START", "CALL_INTRINSIC_1"):
                self.problem = "it has a try statement"
        for c in code.co_consts:
            if isinstance(c, types.CodeType):
                self._scan(c, free - frozenset(code.co_cellvars))


_names: dict[types.CodeType, Names] = {}


def names_of(code: types.CodeType) -> Names:
    found = _names.get(code)
    if found is None:
        if len(_names) > 2000:
            _names.clear()
        found = _names[code] = Names(code)
    return found


class Problem(Exception):
    """Why it is not known what a function reads or does."""


class Reading:
    """What a call may read.

    tensors   the tensors that are reached by names
    guards    what has to be the same for a later call to do the same
    kept      objects that are the same at a later call, by id
    barred    functions that could not be followed, with the reason, by id: the call must not have called them"""

    def __init__(self, f: Callable, rest: list):
        self.names: set[str] = {"forward", "_looks_for_hooks"}
        self.mentioned: set[str] = {"forward", "_looks_for_hooks"}  # by code that is not tenfold's
        self.everything = False
        self.formats = False
        self.barred: dict[int, tuple[Any, str]] = {}
        self._values: set[int] = set()  # what is not only called
        self._called: set[type] = set()  # classes that may be called, with their bases
        self.tensors: list[Any] = []
        self.kept: dict[int, Any] = {}
        self.guards = Guards()
        self.guards.lists.append((devices.defaults, list(devices.defaults)))
        self._todo: list[tuple[Any, str]] = []
        self._codes: list[types.FunctionType] = []
        self._roots: dict[tuple[int, str], tuple] = {}  # (dict, name) of globals and modules -> (dict, value)
        self._objects: list[tuple[Any, set]] = []  # objects with a __dict__, and the names that were followed
        self._classes: list[
            tuple[type, bool, set]
        ] = []  # classes, whether they are tenfold's, and the names that were followed
        self._containers: list = []
        self._f = f
        self._visit(f, "")
        for x in rest:
            self._visit(x, "an argument")
        self._follow()
        self._guard()

    # --- following --------------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        while True:
            while self._todo:
                x, name = self._todo.pop()
                try:
                    self._look(x, name)
                except Problem as e:
                    self._bar(x, str(e))
                if len(self.kept) > MOST_OBJECTS:
                    raise Problem(f"it can reach more than {MOST_OBJECTS} objects")
            for obj, done in self._objects:
                for name, value in list(obj.__dict__.items()):
                    if (name in self.names or self.everything) and name not in done:
                        done.add(name)
                        self._visit(value, f".{name}")
            for cls, own, done in self._classes:
                for name, value in list(vars(cls).items()):
                    if name not in done and self._may_run(cls, own, name):
                        done.add(name)
                        self._visit(value, f"{cls.__name__}.{name}")
            if not self._todo:
                return

    def _bar(self, x: Any, why: str) -> None:
        """A function cannot be followed. That is no harm where it is not called, which `watched` tells: of Python's functions
        always, of built-in ones where Python calls them."""
        python = type(x) is types.FunctionType
        if x is self._f or not python and (id(x) in self._values or type(x) is not types.BuiltinFunctionType):
            raise Problem(why)
        self.barred[id(x)] = x, why

    def _may_run(self, cls: type, own: bool, name: str) -> bool:
        if name in UNUSED:
            return name in ("__init__", "__new__") and cls in self._called or name in TEXT and self.formats
        if name.startswith("__") and name.endswith("__"):
            return not own or cls is not Module and name in READING
        if cls is Module and name == "forward":  # it raises
            return False
        return name in (self.mentioned if cls is Module else self.names) or self.everything and not own

    def _visit(self, x: Any, name: str, called: bool = False) -> None:
        if isinstance(x, CONSTANTS) and type(x) in CONSTANTS or x is MISSING:
            return
        if not called:
            self._values.add(id(x))
            if id(x) in self.barred:
                self._bar(*self.barred[id(x)])
        if id(x) not in self.kept:
            self.kept[id(x)] = x
            self._todo.append((x, name))

    def _look(self, x: Any, name: str) -> None:
        kind = type(x)
        if isinstance(x, tenfold.Tensor):
            if kind is not tenfold.Tensor and kind is not Parameter:
                raise Problem(f"it uses a {kind.__name__} ({name})")
            self.tensors.append(x)
            self._visit(x.__dict__, name + ".__dict__")
        elif kind is types.FunctionType:
            self._function(x)
        elif kind in (list, tuple, set, frozenset, dict, OrderedDict, Registry, HookTable):
            self._containers.append(x)
            for y in x.values() if isinstance(x, dict) else x:
                self._visit(y, name + "[...]")
            if not all(type(y) in PLAIN or y is None for y in (x if isinstance(x, (dict, set, frozenset)) else ())):
                raise Problem(f"it uses a {kind.__name__} of more than numbers and strings ({name})")
        elif isinstance(x, types.ModuleType):
            raise Problem(f"it uses the module {x.__name__} as a value")
        elif kind is types.MethodType:
            self._visit(x.__func__, name)
            self._visit(x.__self__, name)
        elif kind is functools.partial:
            for y in (x.func, x.args, x.keywords):
                self._visit(y, name)
        elif kind in (staticmethod, classmethod):
            self._visit(x.__func__, name)
        elif kind is property:
            for y in (x.fget, x.fset, x.fdel):
                self._visit(y, name)
        elif kind in (types.BuiltinFunctionType, types.BuiltinMethodType):
            self._builtin(x, name)
        elif python_of(x) is not None:
            self._visit(python_of(x), name)
        elif isinstance(x, type):
            self._class_as_value(x, name)
        elif isinstance(x, enum.Enum):
            self._visit(x._value_, name)
            if not any(c is kind for c, _, _ in self._classes):
                self._classes.append((kind, False, set()))
        elif not (isinstance(x, CONTEXTS) or kind in IN_C):
            self._object(x, name)

    def _object(self, x: Any, name: str) -> None:
        cls = type(x)
        home = cls.__module__.partition(".")[0]
        if isinstance(x, Module):
            if type(x).__name__ == "OptimizedModule" and home == "tenfold":
                self._visit(x._orig_mod, name)
                return
            if x._looks_for_hooks:
                if x._backward_hooks or x._backward_pre_hooks or Module._looks_for_hooks:
                    raise Problem(f"it calls a {cls.__name__} that has backward hooks, or hooks for all modules")
                self._visit(Module._call_impl, name)
        elif home == "tenfold" or cls.__flags__ & (1 << 9) == 0 or not hasattr(x, "__dict__"):
            raise Problem(f"it uses a {cls.__name__} ({name}), and what that holds is not known")
        if type(cls) is not type and cls.__class__.__name__ not in ("ABCMeta", "EnumType", "EnumMeta"):
            raise Problem(f"it uses a {cls.__name__} ({name}), whose class is made by {type(cls).__name__}")
        self._class(cls, name)
        self._objects.append((x, set()))

    def _class(self, cls: type, name: str) -> None:
        for c in cls.__mro__:
            if c is object or any(c is k for k, _, _ in self._classes):
                continue
            own = c.__module__.partition(".")[0] == "tenfold"
            if c in (tuple, list, dict, int, str, float) or "__slots__" in vars(c) and vars(c)["__slots__"]:
                raise Problem(f"it uses a {cls.__name__} ({name}), which keeps its state elsewhere than in attributes")
            if own and not issubclass(c, Module):
                raise Problem(f"it uses a {cls.__name__} ({name}), and what that holds is not known")
            if any(
                type(v) in IN_C and python_of(v) is None
                for k, v in vars(c).items()
                if k not in ("__dict__", "__weakref__")
            ):
                raise Problem(f"it uses a {cls.__name__} ({name}), which keeps its state elsewhere than in attributes")
            if c.__module__ == "abc" or c.__module__ == "typing" or c.__module__ == "collections.abc":
                continue
            self._classes.append((c, own, set()))

    def _class_as_value(self, cls: type, name: str) -> None:
        if cls.__module__ == "builtins":
            if cls.__name__ not in BUILTINS and not issubclass(cls, BaseException):
                raise Problem(f"it calls {cls.__name__}")
            self.formats = self.formats or cls is str
            return
        if cls in PURE or cls in CONTEXTS or cls in QUESTIONS or cls in CONSTANTS or issubclass(cls, enum.Enum):
            return
        if cls in (tenfold.Tensor, Parameter, Module) or cls.__module__ in (
            "itertools",
            "typing",
            "abc",
            "collections.abc",
        ):
            return  # for isinstance; what is made of them is seen where it is returned
        if cls is tenfold.autocast:
            self.guards.setting(tenfold.get_autocast_dtype, "cpu")
            return
        if issubclass(cls, tuple) and hasattr(cls, "_fields") or cls.__module__ in ("tenfold.return_types",):
            return
        if cls.__module__.partition(".")[0] == "tenfold":
            if issubclass(cls, Module):
                return
            raise Problem(f"it calls {cls.__name__}")
        if type(cls) is not type and type(cls).__name__ != "ABCMeta":
            raise Problem(f"it uses the class {cls.__name__}, which is made by {type(cls).__name__}")
        self._called.update(cls.__mro__)
        self._class(cls, name)

    def _builtin(self, x: Any, name: str) -> None:
        owner = x.__self__
        python = python_of(x)
        if python is not None:
            self._visit(python, name)
        elif owner is sys.modules["builtins"]:
            if x.__name__ not in BUILTINS:
                raise Problem(f"it calls {x.__name__}")
            if x.__name__ in ("getattr", "setattr", "hasattr"):
                self.everything = True
            self.formats = self.formats or x.__name__ in ("format", "repr")
        elif not (owner in PURE_MODULES or x in PURE):
            if owner is None or isinstance(owner, types.ModuleType):
                raise Problem(f"it calls {x.__module__}.{x.__name__}")
            if type(owner) not in (list, dict, set, str, tuple, frozenset, OrderedDict, bytes):
                raise Problem(f"it calls {x.__name__} of a {type(owner).__name__}")
            self._visit(owner, name)

    def _function(self, f: types.FunctionType) -> None:
        own = _is_own(f)
        compiled = getattr(f, "_torchdynamo_orig_callable", None)
        if not own or compiled is not None:
            self._objects.append(
                (f, {"_compiled", "_torchdynamo_orig_callable", "__wrapped__"})
            )  # a function has attributes too
        if compiled is not None:
            self._visit(compiled, f.__name__)
            return
        if getattr(f, "_torchdynamo_disable", False):
            raise Problem(f"it calls {f.__name__}, which is disabled for compiling")
        if getattr(f, "_tenfold_allowed", False):
            return
        if own and self._is_known(f):
            return
        names = names_of(f.__code__)
        if names.problem is not None and not own:
            raise Problem(f"{f.__qualname__}: {names.problem}")
        self._codes.append(f)
        self.formats = self.formats or names.formats
        self._mention(f, names.attributes, own)
        for value in (f.__defaults__, f.__kwdefaults__):
            if value is not None:
                self._visit(value, f"a default of {f.__qualname__}")
        cells = dict(zip(f.__code__.co_freevars, f.__closure__ or ()))
        for root in names.roots:
            self._root(f, cells, own, *root)

    def _mention(self, f, names, own: bool) -> None:
        """Code of f mentions attributes of those names."""
        self.names.update(names)
        if own:
            return
        self.mentioned.update(names)
        for name in names:
            if name in OF_TENSORS:
                raise Problem(f"{f.__qualname__} mentions .{name}")
            self.everything = self.everything or name in EVERYTHING

    def _is_known(self, f: types.FunctionType) -> bool:
        """Whether a function of tenfold is one of which only its arguments count; False: its code is looked at."""
        home = f.__globals__["__name__"]
        layers = home.startswith("tenfold.nn") and home != functional.__name__
        if not layers and (f.__name__ in REFUSED or f.__name__.startswith("set_") or "autocast" in f.__name__):
            raise Problem(f"it calls {f.__name__}")
        if f in QUESTIONS:
            return True
        if home == "tenfold._core.autograd.grad_mode" and f.__closure__:  # a function under @torch.no_grad()
            return False
        if home.startswith("tenfold._core") or home == functional.__name__:
            public = any(f is names.get(f.__name__) for names in PUBLIC.values())
            if not (public or f.__name__ in vars(functional) or hasattr(f, "operation")):
                raise Problem(f"it calls {f.__qualname__}")
            return True
        if layers:
            return False
        if home.startswith("tenfold.compiler.settings") or home == "tenfold.jit" or home == "tenfold.amp.autocast_mode":
            return True
        raise Problem(f"it calls {home}.{f.__qualname__}")

    def _root(self, f, cells: dict, own: bool, kind: str, name: str, chain: tuple[str, ...], called: bool) -> None:
        if kind == "free":
            cell = cells[name]
            try:
                value = cell.cell_contents
            except ValueError:
                value = MISSING
            self.guards.cell(cell, value)
        else:
            value = f.__globals__.get(name, MISSING)
            self._roots[id(f.__globals__), name] = (f.__globals__, value)
            if value is MISSING:
                if name == "__class__":
                    return
                builtins = f.__globals__.get("__builtins__", {})
                table = builtins if isinstance(builtins, dict) else vars(builtins)
                value = table.get(name, MISSING)
                self._roots[id(table), name] = (table, value)
                if value is MISSING:
                    return  # a NameError, or set by the function itself
        k = 0
        while isinstance(value, types.ModuleType) and k < len(chain):
            table = vars(value)
            try:
                found = getattr(value, chain[k])
            except AttributeError:
                raise Problem(f"it mentions {value.__name__}.{chain[k]}, which there is not") from None
            if chain[k] not in table and value.__name__.partition(".")[0] != "tenfold":
                raise Problem(f"it mentions {value.__name__}.{chain[k]}, which is made when it is asked for")
            if not own or value.__name__.partition(".")[0] != "tenfold":
                self._roots[id(table), chain[k]] = (table, table.get(chain[k], MISSING))
            value = found
            k += 1
        rest = chain[k:]
        self._mention(f, rest, own)
        if own:
            self.everything = self.everything or name in ("getattr", "hasattr", "setattr", "delattr", "vars")
            home = getattr(value, "__module__", None) or ""
            if isinstance(value, types.ModuleType) or not (
                isinstance(value, types.FunctionType) and home.startswith("tenfold.nn")
            ):
                return  # tenfold's own code: only what it reads of modules counts
            if home == functional.__name__ or home.startswith("tenfold._core"):
                return
        self._visit(value, name, called and not rest)

    # --- guards -----------------------------------------------------------------------------------------------------------

    def _guard(self) -> None:
        g = self.guards
        tables: dict[int, tuple[dict, dict]] = {}
        for (_, name), (table, value) in self._roots.items():
            tables.setdefault(id(table), (table, {}))[1][name] = value
        for table, values in tables.values():
            here = {k: v for k, v in values.items() if v is not MISSING}
            g.table(table, here, values)
        for obj, done in self._objects:
            d = obj.__dict__
            cls = type(obj)
            shadowed = self.names if _asks(cls) else [n for n in self.names if any(n in vars(c) for c in cls.__mro__)]
            g.table(d, {k: d[k] for k in d if k in done}, shadowed, cls.__module__ in CONTAINERS or self.everything)
            g.type_of(obj)
        for cls, own, done in self._classes:
            g.table(vars(cls), {k: vars(cls)[k] for k in done}, () if own else self.names, self.everything and not own)
        for f in self._codes:
            if not _is_own(f):
                g.function(f)
        for c in self._containers:
            g.container(c)


@contextmanager
def watched(barred: dict[int, tuple[Any, str]]) -> Iterator[list[str]]:
    """Collects why, where functions that are barred are called by this thread."""
    found: list[str] = []
    if not barred:
        yield found
        return
    if sys.getprofile() is not None:  # somebody else is watching
        found += [why for _, why in barred.values()]
        yield found
        return
    codes = {x.__code__: why for x, why in barred.values() if type(x) is types.FunctionType}

    def seen(frame, event, arg) -> None:
        if event == "call":
            why = codes.get(frame.f_code)
        else:
            why = barred[id(arg)][1] if event == "c_call" and id(arg) in barred else None
        if why is not None:
            found.append(why)

    sys.setprofile(seen)
    try:
        yield found
    finally:
        sys.setprofile(None)


def _is_own(f: types.FunctionType) -> bool:
    """Whether a function is tenfold's."""
    return str(f.__globals__.get("__name__", "")).partition(".")[0] == "tenfold"


def _asks(cls: type) -> bool:
    """Whether a class says itself what attributes it has that are not in its objects."""
    return any(
        name in vars(c)
        for c in cls.__mro__
        if c is not object and c is not Module
        for name in ("__getattr__", "__getattribute__")
    )
