"""Operation: what a user calls. Spec: an operation applied to given layouts and static arguments.

An operation's arguments are split once, by `Operation.split`, into operands (tensors, and Python numbers declared as
data) and a `static` tuple that has TENSOR where an operand stood; everything that a rule, a kernel or a body gets is
put together again by `fill`. A Spec is what a rule found out: the results' layouts. It is remembered for the whole
process, so that a rule runs once for (operation, layouts, static arguments)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..config import MAX_SPECS
from .dtypes import dtype
from .shapes import Layout, Size


class _Operand:
    """Stands in `static` where an operand goes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "TENSOR"


TENSOR = _Operand()
_TRUE, _FALSE, _NAN = object(), object(), object()
_PLAIN = {int, str, type(None), dtype, _Operand, Size}


def freeze(x: Any) -> Any:
    """A hashable stand-in that tells 1 from True from 1.0, and finds NaN again."""
    t = type(x)
    if t in _PLAIN:
        return x
    if t is bool:
        return _TRUE if x else _FALSE
    if t is float:
        return (t, x, str(x)) if x == x else _NAN
    if t is complex:
        return (t, str(x))
    if t is tuple or t is list:
        return (t, tuple([freeze(y) for y in x]))
    if isinstance(x, (tuple, list)):
        return (tuple, tuple([freeze(y) for y in x]))
    if t is dict:
        return (t, tuple([(k, freeze(v)) for k, v in x.items()]))
    if t is slice:
        return (t, freeze(x.start), freeze(x.stop), freeze(x.step))
    return x


def fill(static: Sequence, operands) -> list:
    """`static` with the operands put where TENSOR stands."""
    it = iter(operands)
    return [_fill(x, it) for x in static]


def _fill(x, it):
    if x is TENSOR:
        return next(it)
    if type(x) in (list, tuple) and x and _holds(x):
        return type(x)([_fill(y, it) for y in x])
    return x


def _holds(x) -> bool:
    return any(y is TENSOR or (type(y) in (list, tuple) and _holds(y)) for y in x)


def gather(tree, kind) -> list:
    """The items of that kind in nested lists, tuples and dicts, in order."""
    if isinstance(tree, kind):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, (list, tuple)):
        return []
    return [t for x in tree for t in gather(x, kind)]


# keywords as NumPy calls them, which PyTorch takes too
NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x1": "input", "x2": "other"}


class Operation:
    """A named function of tensors; the subclasses say what it means.

    name          as in PyTorch
    signature     of the public function
    data          positions of arguments whose Python numbers are inputs of the program, not part of the key
    gradient      gradient(g, out, *arguments) -> a cotangent (or None) for each tensor argument, in order; None: that
                  of the composition. `g` and `out` are tuples where there are several results (a missing g is None)
    effect        it must run even if nobody uses its result (random numbers)
    grad_name     what `grad_fn` is called, without "Backward0"
    grad_names    what it is called instead where the result has so many dims
    """

    def __init__(self, name: str, fn: Callable, *, data=(), gradient=None, effect=False, grad_name: str | None = None):
        self.name = name
        self.fn = fn
        self.signature = inspect.signature(fn)
        parameters = list(self.signature.parameters.values())
        self.params = tuple(p.name for p in parameters)
        self.defaults = tuple(p.default for p in parameters)
        self.position = {n: i for i, n in enumerate(self.params)}
        for theirs, ours in NUMPY_NAMES.items():
            if ours in self.position:
                self.position.setdefault(theirs, self.position[ours])
        self.positional = sum(p.kind is not p.KEYWORD_ONLY for p in parameters)
        self.data = frozenset(self.position[n] for n in data)
        self.gradient = gradient
        self.effect = effect
        self.grad_name = grad_name or "".join(w[:1].upper() + w[1:] for w in name.strip("_").split("_"))
        self.grad_names: dict[int, str] = {}
        self.differentiable = True
        self.lazy = False  # lists of results make their handles when they are asked for
        self.blind: frozenset[int] = frozenset()  # operands that never get a gradient (only their shape is used, say)
        self.early: Callable | None = (
            None  # early(arguments) checks values that are at hand, where the call is not a repeated one
        )
        self.made: dict | None = None  # what computes it, by the kinds of its operands, where nothing else matters
        self.with_out: Callable | None = None  # with_out(arguments, keywords) is the call with the keyword `out`
        self.takes: list = []  # of the operands that are checked: (position, name, whether a number will do)

    def __repr__(self) -> str:
        return f"<operation {self.name}>"

    def bind(self, args, kwargs) -> list:
        """All arguments in the order of the signature; TypeError as from any Python function."""
        if len(args) > self.positional:
            raise TypeError(f"{self.name}() takes {self.positional} positional arguments but {len(args)} were given")
        out = list(self.defaults)
        out[: len(args)] = args
        for k, v in kwargs.items():
            i = self.position.get(k)
            if i is None:
                raise TypeError(f"{self.name}() got an unexpected keyword argument '{k}'")
            if i < len(args):
                raise TypeError(f"{self.name}() got multiple values for argument '{k}'")
            out[i] = v
        for name, v in zip(self.params, out):
            if v is inspect.Parameter.empty:
                raise TypeError(f"{self.name}() missing required argument: '{name}'")
        return out

    def invoke(self, arguments: list):
        """Calls the function with arguments in the order of its signature."""
        n = self.positional
        if n == len(arguments):
            return self.fn(*arguments)
        return self.fn(*arguments[:n], **dict(zip(self.params[n:], arguments[n:])))

    def infer(self, lays: tuple[Layout, ...], static: tuple) -> Spec:
        raise NotImplementedError(f"{self.name} has no rule")


class Spec:
    """An operation on operands of given layouts: the results' layouts, and, made when asked for, how to compute it."""

    __slots__ = ("op", "lays", "static", "outs", "tree", "graph", "effect", "_exe", "_vjps", "_deps", "results")

    def __init__(self, op, lays, static, outs, tree=None, graph=None, effect=False, results=()):
        self.op = op
        self.lays = lays
        self.static = static
        self.outs = outs
        self.tree = tree  # how results are nested; None: one result
        self.graph = graph  # what a composition computes
        self.effect = effect
        self.results = results  # the ids of the results in graph
        self._exe = None
        self._vjps: dict | None = None
        self._deps = None

    def __repr__(self) -> str:
        return f"{self.op.name}({', '.join(map(repr, self.lays))}) -> {', '.join(map(repr, self.outs))}"

    @property
    def deps(self) -> tuple[tuple[int, ...], ...]:
        """For each result, the operands that a gradient flows back to."""
        if self._deps is None:
            if self.graph is None:
                open_ = tuple([j for j in range(len(self.lays)) if j not in self.op.blind])
                self._deps = (open_,) * len(self.outs)
            else:
                self._deps = self.graph.dependencies(self.results)
        return self._deps

    @property
    def exe(self) -> Callable:
        """A function of operand arrays that returns the result array, or a tuple of them."""
        if self._exe is None:
            made = self.op.made
            if made is None or self.static.count(TENSOR) != len(self.static):
                self._exe = make_exe(self)
            else:
                key = tuple([(l.dtype, l.number, l.ndim == 0) for l in (*self.lays, *self.outs)])
                self._exe = made.get(key)
                if self._exe is None:
                    self._exe = made[key] = make_exe(self)
        return self._exe

    def vjp(self, needs: tuple[bool, ...], present: tuple[bool, ...]) -> Vjp:
        """The gradient of it: which operands need one, and for which results there is a cotangent."""
        if self._vjps is None:
            self._vjps = {}
        found = self._vjps.get((needs, present))
        if found is None:
            found = self._vjps[needs, present] = make_vjp(self, needs, present)
        return found


class Vjp:
    """The gradient of a Spec, itself a Spec: its operands are picked from (operands, results, cotangents)."""

    __slots__ = ("spec", "picks", "wrt", "reads")

    def __init__(self, spec: Spec | None, picks: tuple[int, ...], wrt: tuple[int, ...], reads: bool):
        self.spec = spec  # None: no operand gets anything
        self.picks = picks  # indices into operands + results + cotangents
        self.wrt = wrt  # for each result of spec, the operand that it is the cotangent of
        self.reads = reads  # whether it needs any operand or result


def _unset(*args):
    raise RuntimeError("tenfold._core is not set up: import tenfold, not a part of it")


make_exe: Callable[[Spec], Callable] = _unset  # set by backends.numpy
make_vjp: Callable[[Spec, tuple, tuple], Vjp] = _unset  # set by trace.macro

_specs: dict = {}


def spec_of(op: Operation, lays: tuple[Layout, ...], static: tuple, frozen) -> Spec:
    """The remembered Spec, or what the operation's rule finds (it raises where arguments do not fit)."""
    key = (op, frozen, lays)
    found = _specs.get(key)
    if found is None:
        found = op.infer(lays, static)
        if len(_specs) >= MAX_SPECS:
            _forget_some()
        _specs[key] = found
    return found


def forget(lays: Iterable[Layout]) -> None:
    """Specs of those layouts are not remembered any longer."""
    gone = set(map(id, lays))
    if gone:
        for key, spec in list(_specs.items()):
            if any([id(l) in gone for l in (*spec.lays, *spec.outs)]):
                _specs.pop(key, None)


def _forget_some() -> None:
    for old in list(_specs)[: MAX_SPECS // 4]:
        del _specs[old]


class Primitive(Operation):
    """An operation with a rule and a NumPy meaning.

    rule(*arguments) gets a Layout in place of each tensor and returns the result's Layout, or a tuple of them.
    fn(*arguments) gets arrays (half types as float32) and returns an array, or a tuple; the results are
    converted to the rule's dtypes. With `kernel`, kernel(spec) returns a function of the raw operand arrays instead."""

    def __init__(self, name, fn, *, rule, kernel=None, raw=False, differentiable=True, **kw):
        super().__init__(name, fn, **kw)
        self.rule = rule
        self.kernel = kernel
        self.raw = raw  # it moves elements without computing: half types need no conversion
        self.native: Callable[[Spec], Callable | None] | None = None  # in compiled programs: a function of arrays
        self.compute: Callable[[Spec], dtype] | None = None  # element-wise: the dtype that operands are converted to
        self.differentiable = differentiable

    def infer(self, lays, static):
        out = self.rule(*(lays if static.count(TENSOR) == len(static) else fill(static, lays)))
        if isinstance(out, Layout):
            return Spec(self, lays, static, (out,), None, None, self.effect)
        return Spec(self, lays, static, tuple(out), (TENSOR,) * len(out), None, self.effect)
