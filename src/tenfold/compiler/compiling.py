"""`compile`: a function whose calls are replayed where that is known to be the same.

The first call of a kind is an ordinary one, with a look at what it may read (reading.py) before and after: it must have
changed none of it. The second call is recorded (_core/trace/replay.py), and replayed, as are all that follow. A call that
cannot be replayed runs the function as it is, and `torch.explain` says why."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .._core import config
from .._core.trace import replay
from .._core.trace.guards import PLAIN, unchanged
from .._core.trace.handle import Tensor, layout_of, requires_grad, tls
from .._core.trace.replay import Compiled, Entry, Unrecordable, call
from ..nn import Module
from . import settings
from .errors import Unsupported
from .optimized_module import OptimizedModule
from .reading import Problem, Reading, watched

MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")
MOST_KINDS = 64  # of calls of a function that are remembered
MOST_MISSES = 200  # calls in a row that are of no kind that is remembered
MOST_STATES = 8  # of what a function reads, for the same arguments
MOST_STRIKES = (
    8  # calls that could not be followed, or changed what is read, before the function is called as it is for good
)


def compile(
    model: Callable | None = None, *, fullgraph: bool = False, dynamic: bool | None = None,
    backend: str | Callable | None = None, mode: str | None = None, options: dict[str, Any] | None = None,
    name: str | None = None, disable: bool = False, recompile_limit: int | None = None,
    isolate_recompiles: bool = False, shapes_spec: Any = None,
) -> Any:  # fmt: skip
    """Replays the operations of a function without running its Python, where everything that it reads is as it was.

    What it computes is compiled with or without this call, and backward and the optimizer's step with it; what this saves
    is the time that the function's own Python takes. A call is replayed if its arguments have the same types, shapes,
    dtypes, strides and `requires_grad` (numbers: the same values) as an earlier one's, and the globals, variables and
    attributes that its code mentions are as they were. A function that prints, asks for the value of a tensor or changes
    what it reads is called as ever: `print(torch.explain(f, ...))` says why.

    Args:
        model: a function or module. Without it: a decorator (`@torch.compile`, `@torch.compile(mode=...)`).
        fullgraph: a call that cannot be replayed because its code cannot be followed, or asks for a value, is an error.
            Default False.
        dynamic: None, True or False; sizes are data of a kernel in any case.
        backend: one of PyTorch's names; "eager" and those like it: `model` as it is. A function of your own would need an
            FX graph, which tenfold does not have.
        mode, options: accepted, and not both. `mode` has to be one of PyTorch's.
        disable: `model` comes back as it is.
        recompile_limit: kinds of calls that are remembered; further ones run Python. Default 64, and 8 for the same arguments.
        name, isolate_recompiles, shapes_spec: accepted.
    Returns: a function. Of a module: an `OptimizedModule`, which calls it and has its attributes.
    Raises: RuntimeError for a `mode` or `backend` that there is not, or `mode` and `options` together;
        NotImplementedError for a backend that is a function; AssertionError for what cannot be called.
    Example: model = torch.compile(model)
    """
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    if mode is not None and mode not in MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(MODES)}")
    if dynamic is not None and not isinstance(dynamic, bool):
        raise AssertionError(f"compile: dynamic is None, True or False, not {dynamic!r}")
    settings.check_backend(backend)
    if model is None:
        given = {
            "fullgraph": fullgraph, "dynamic": dynamic, "backend": backend, "mode": mode, "options": options, "disable": disable,
            "recompile_limit": recompile_limit,
        }  # fmt: skip
        return lambda f: compile(_given(f), **given)
    if not callable(model):
        raise AssertionError(f"A callable function is expected, but {type(model)} is provided.")
    if disable or getattr(model, "_torchdynamo_disable", False):
        return model
    plain = (backend or settings.get_default_backend()) in settings.OTHERS
    limit = MOST_KINDS if recompile_limit is None else recompile_limit
    if isinstance(model, Module):
        return OptimizedModule(model, wrapped(model, fullgraph, limit, plain))
    return wrapped(getattr(model, "_torchdynamo_orig_callable", model), fullgraph, limit, plain)


def _given(model):
    if model is None:
        raise RuntimeError("Model can't be None")
    return model


def wrapped(f: Callable, fullgraph: bool, limit: int, plain: bool) -> Callable:
    """The function that replays f's calls."""
    c = Compiled(f, getattr(f, "__qualname__", type(f).__qualname__))
    c.other = _Kinds(c, fullgraph, limit).call
    c.off = plain
    if plain:
        c.reason = "its backend runs Python as it is"

    def compiled(*args, **kwargs):
        return call(c, args, kwargs)

    if not isinstance(f, Module):
        functools.update_wrapper(compiled, f)
    compiled._torchdynamo_orig_callable = f  # type: ignore[attr-defined]
    compiled._compiled = c  # type: ignore[attr-defined]
    return compiled


class _Kinds:
    """What is done with a call that is not of the kind of the last one."""

    def __init__(self, c: Compiled, fullgraph: bool, limit: int):
        self.c = c
        self.fullgraph = fullgraph
        self.limit = limit
        self.missed = 0  # calls in a row that are of no kind that is remembered, when no more are

    def call(self, args: tuple, kwargs: dict):
        c = self.c
        if not c.entries:
            self.missed = 0
        stance = settings.stance.name
        if stance == "force_eager":
            return self.plain("the stance is force_eager", args, kwargs)
        w = tls.walk
        leaves, tree = flatten(args, kwargs)
        states = 0
        for e in c.entries:
            if e.tree == tree and replay.matches(e, leaves, w):
                if unchanged(e.guards) or e.renew(leaves, w):
                    return self.known(e, leaves, args, kwargs)
                states += 1
        if stance == "fail_on_recompile":
            raise RuntimeError(f"torch.compile: a new kind of call of {c.name}, and the stance is fail_on_recompile")
        if stance == "eager_on_recompile":
            return self.plain("the stance is eager_on_recompile", args, kwargs)
        if states >= min(MOST_STATES, self.limit):
            self.give_up(f"what it reads keeps changing: {c.entries[0].guards.why()}")
            return self.plain(str(c.reason), args, kwargs)
        if len(c.entries) >= self.limit:
            reason = f"there are more than {self.limit} kinds of calls"
            self.missed += 1
            if self.missed > MOST_MISSES:
                self.give_up(reason)
            return self.plain(reason, args, kwargs)
        return self.first(leaves, tree, args, kwargs)

    def plain(self, reason: str, args: tuple, kwargs: dict, fatal: bool = False):
        """Calls the function as it is, or raises what `fullgraph` asks for."""
        c = self.c
        c.reason = reason
        if fatal and self.fullgraph:
            raise self.unsupported(reason)
        c.calls += 1
        return c.f(*args, **kwargs)

    def unsupported(self, reason: str) -> Unsupported:
        return Unsupported(f"torch.compile: {self.c.name} cannot be replayed (fullgraph=True): {reason}")

    def give_up(self, reason: str) -> None:
        """From here on the function is called as it is."""
        c = self.c
        c.reason = reason
        c.last = None
        c.entries.clear()
        c.off = not self.fullgraph

    def first(self, leaves: tuple, tree, args: tuple, kwargs: dict):
        """A call of a new kind: an ordinary one, watched."""
        c = self.c
        try:
            seen = Reading(c.f, [a for a in leaves if not isinstance(a, Tensor)])
        except Exception as e:
            if config.VERIFY and not isinstance(e, Problem):
                raise
            c.strikes += 1
            if c.strikes >= MOST_STRIKES:
                self.give_up(str(e))
            return self.plain(str(e), args, kwargs, fatal=True)
        guards = seen.guards
        given = [a for a in leaves if isinstance(a, Tensor)]
        odd = next(
            (a for a in given if type(a).__module__.partition(".")[0] != "tenfold" and type(a) is not Tensor), None
        )
        if odd is not None or any(a.__dict__ or layout_of(a).device == "meta" for a in given):
            return self.plain("an argument is no plain tensor, or has attributes of its own", args, kwargs)
        guards.watch(seen.tensors)
        entry = Entry(leaves, tree, guards, seen.kept, tls.walk)
        tensors = [*given, *seen.tensors]
        before = list(map(_facts, tensors))
        with watched(seen.barred) as effects:
            out = self.plain("this was its first call of this kind", args, kwargs)
        later, shape = flatten(args, kwargs)
        if shape != tree or len(later) != len(leaves) or any([a is not b for a, b in zip(later, leaves)]):
            changed = "a list or dict that it was given"
        elif any(map(_differ, before, map(_facts, tensors))):
            changed = "the shape, gradient or attributes of a tensor"
        else:
            changed = "" if unchanged(guards) else guards.why()
        if effects and self.fullgraph:
            raise self.unsupported(effects[0])
        if changed or effects:
            c.strikes += 1
            c.reason = effects[0] if effects else f"it changes what it reads: {changed}"
            if c.strikes >= MOST_STRIKES:
                self.give_up(c.reason)
        else:
            c.entries.insert(0, entry)
        return out

    def known(self, e: Entry, leaves: tuple, args: tuple, kwargs: dict):
        """A call of a kind that there was before."""
        c = self.c
        if c.entries[0] is not e:
            c.entries.remove(e)
            c.entries.insert(0, e)
        if e.path is None and e.reason is None:
            if not replay.separate(leaves, e.guards.tensors):
                return self.plain(
                    "two of the tensors that it uses share memory, and no other call was recorded", args, kwargs
                )
            self.record(e, leaves, args, kwargs)
        path = e.path
        if path is None or path.apart and not replay.apart(e, leaves):
            c.last = None
            reason = e.reason or "two of the tensors that it uses share memory, and it writes to one or returns a view"
            return self.plain(reason, args, kwargs, fatal=path is None)
        c.last = e
        c.reason = None
        self.missed = 0
        c.replays += 1
        return replay.replay(path, [leaves[p] if type(p) is int else p for p in e.picks], tls.walk)

    def record(self, e: Entry, leaves: tuple, args: tuple, kwargs: dict) -> None:
        """Finds the path of a kind of call, or why there is none."""
        given = {id(a): k for k, a in reversed(list(enumerate(leaves))) if isinstance(a, Tensor)}
        sources = [a for a in leaves if isinstance(a, Tensor)] + e.guards.tensors
        try:
            path = replay.record(self.c.f, args, kwargs, sources, e.kept)
        except Unrecordable as why:
            e.reason = str(why)
            return
        except Exception as error:
            e.reason = f"it raised {type(error).__name__}: {error}"
            return
        if not unchanged(e.guards):
            e.reason = f"it changes what it reads: {e.guards.why()}"
            return
        e.picks = [given.get(id(t), t) for t in path.inputs]
        path.inputs = []
        e.path = path


def _facts(t: Tensor) -> tuple:
    """What a call must leave as it is of a tensor (its elements may change)."""
    hooks = getattr(t, "_hooks", None)
    return t._st, layout_of(t), requires_grad(t), getattr(t, "_grad", None), hooks, len(t.__dict__)


def _differ(before: tuple, after: tuple) -> bool:
    """A tensor that was not computed yet may have got its storage."""
    first = 0 if before[0] is not None else 1
    return any(a is not b and (type(a) is not int or a != b) for a, b in zip(before[first:], after[first:]))


def flatten(args: tuple, kwargs: dict) -> tuple[tuple, Any]:
    """The leaves of the arguments, and how they are nested: None for plain positional ones, (how many of these, names of the
    others) for plain ones."""
    if not any([type(a) in _NESTS for a in (*args, *kwargs.values())]):
        return (*args, *kwargs.values()), (len(args), tuple(kwargs)) if kwargs else None
    leaves: list = []
    tree = (_flat(args, leaves), tuple([(k, _flat(v, leaves)) for k, v in kwargs.items()]))
    return tuple(leaves), tree


_NESTS = frozenset([list, tuple, dict])


def _flat(x, leaves: list):
    kind = type(x)
    if kind is list or kind is tuple:
        return kind, tuple([_flat(y, leaves) for y in x])
    if kind is dict and all([type(k) in PLAIN for k in x]):
        return kind, tuple([(type(k), k, _flat(v, leaves)) for k, v in x.items()])
    leaves.append(x)
    return None


def reset() -> None:
    """Forgets all paths of compiled functions."""
    for c in list(replay.COMPILED):
        c.last = None
        c.entries.clear()
        c.strikes = 0
        c.off = c.reason == "its backend runs Python as it is"
