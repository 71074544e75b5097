"""autograd.Function: an operation whose forward and backward are the user's Python."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..ir.operation import TENSOR, Spec
from ..ir.shapes import Layout, layout
from ..ir.special import CUSTOM, ZEROS
from ..trace.flush import flush
from ..trace.handle import Node, Tensor, Value, Walk, fresh, layout_of, requires_grad, tls, translated
from ..trace.level import Level
from ..trace.macro import build_tree, flatten_tree
from ..trace.walk import place, resolve, set_mode, special


class FunctionCtx:
    """What forward leaves for backward. Attributes may be set freely."""

    _saved: tuple = ()
    _used = False
    _dirty: tuple = ()
    _no_grad: tuple = ()
    _materialize = True
    needs_input_grad: tuple = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors for backward, to be read from `saved_tensors`."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument is of type {type(t).__name__}: set it as an attribute of ctx"
                )
        self._saved = tensors

    save_for_forward = save_for_backward

    @property
    def saved_tensors(self) -> tuple:
        """What save_for_backward was given."""
        if self._used:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
                "Specify retain_graph=True if you need to backward through the graph a second time."
            )
        return self._saved

    def release(self) -> None:
        """A backward that does not retain the graph is through."""
        if self._saved:
            self._saved, self._used = (), True

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Says which inputs forward wrote in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Says which results have no gradient."""
        self._no_grad = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (True, the default) or None for results that nobody used."""
        self._materialize = bool(value)


@translated
class _Call:
    """One call of a Function: what reverse mode runs.

    places  for each tensor argument, its place among the arguments
    count   of arguments
    kept    for each differentiable result, its place among the results
    lays    of the results"""

    __slots__ = ("function", "ctx", "places", "count", "kept", "lays")

    def __init__(self, function, ctx: FunctionCtx, places: list[int], count: int, kept: list[int], lays: list[Layout]):
        self.function = function
        self.ctx = ctx
        self.places = places
        self.count = count
        self.kept = kept
        self.lays = lays

    @translated
    def run_backward(self, given: list) -> list:
        """Cotangents of (results, tensor arguments) as the graph's step has them: none for the results."""
        ctx = self.ctx
        grads: list = [None] * len(self.lays)
        for k, g in zip(self.kept, given):
            grads[k] = g
        if ctx._materialize:
            for k, lay in enumerate(self.lays):
                if grads[k] is None:
                    grads[k] = ZEROS.call(layout(lay.shape, None, lay.dtype))
        got = self.function.backward(ctx, *grads)
        if type(got) is not tuple:
            got = (got,)
        if len(got) != self.count:
            got = self.shortened(got)
        for g in got:
            if g is not None and not isinstance(g, Tensor):
                raise RuntimeError(
                    f"function {self.function.__name__}Backward returned a {type(g).__name__}; a gradient is a Tensor or None"
                )
        return [None] * len(self.kept) + [got[p] for p in self.places]

    def shortened(self, got: tuple) -> tuple:
        """More gradients than arguments are no error where they are None."""
        if len(got) > self.count and all(g is None for g in got[self.count :]):
            return got[: self.count]
        raise RuntimeError(
            f"function {self.function.__name__}Backward returned an incorrect number of gradients (expected {self.count}, got {len(got)}): "
            "backward returns one for each argument of forward, None for those that are not tensors"
        )


class Function:
    """A differentiable operation written in Python: subclass it with static `forward(ctx, ...)` and `backward(ctx, *grads)`."""

    generate_vmap_rule = False

    def __init__(self, *args, **kwargs):
        raise RuntimeError(
            f"{type(self).__name__} has static methods and is not made into an object: call {type(self).__name__}.apply(...)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Computes the result; `ctx` first, unless `setup_context` is given."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> Any:
        """Prepares ctx after a forward that does not take it."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of forward's arguments from those of its results."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD."
        )

    @classmethod
    def apply(cls, *args, **kwargs):
        """Runs forward and records backward."""
        return _applied(cls, args, kwargs)


@translated
def _applied(cls, args: tuple, kwargs: dict):
    w = tls.walk
    mode = w.at.mode
    ctx = FunctionCtx()
    needs = tuple([isinstance(a, Tensor) and requires_grad(a) for a in args])
    ctx.needs_input_grad = needs
    set_mode(False)
    try:
        if cls.setup_context is not Function.setup_context or w.level is not None:
            result = _in_two(cls, ctx, args, kwargs, w)
        else:
            result = cls.forward(ctx, *args, **kwargs)
    finally:
        set_mode(mode)
    if not mode or True not in needs:
        return result
    return _record(cls, ctx, args, result)


def _in_two(cls, ctx: FunctionCtx, args: tuple, kwargs: dict, w: Walk):
    """Runs forward, and setup_context if there is one; under a vmap by the Function's own rule if it has that."""
    separate = cls.setup_context is not Function.setup_context
    if w.level is not None and hasattr(cls, "vmap"):
        if not separate:
            raise RuntimeError(
                f"{cls.__name__} has a vmap of its own, so that forward may not be run here: what it does with ctx"
                " belongs into the static method setup_context(ctx, inputs, output)"
            )
        result = _by_rule(cls, args, w.level)
    elif not separate:
        return cls.forward(ctx, *args, **kwargs)
    else:
        result = cls.forward(*args, **kwargs)
    cls.setup_context(ctx, args, result)
    return result


class VmapInfo(NamedTuple):
    """What a Function's own `vmap(info, in_dims, *args)` is told of the vmap: how many slices, and its randomness."""

    batch_size: int
    randomness: str


def _by_rule(cls, args: tuple, level: Level):
    """The results of forward for all slices, by the static method `vmap` of a Function."""
    given = [level.release(a) if isinstance(a, Tensor) else (a, False) for a in args]
    with level.outside():
        if not any([batched for _, batched in given]):
            tree, results = flatten_tree(cls.apply(*[a for a, _ in given]))
            dims: list = [None] * len(results)
        else:
            info = VmapInfo(level.size, level.randomness)
            out = cls.vmap(info, tuple([0 if batched else None for _, batched in given]), *[a for a, _ in given])
            if not isinstance(out, tuple) or len(out) != 2:
                raise RuntimeError(
                    f"{cls.__name__}.vmap returns a pair: what forward returns for all slices, and its out_dims"
                )
            tree, results = flatten_tree(out[0])
            dims = list(out[1]) if isinstance(out[1], (tuple, list)) else [out[1]] * len(results)
        results = [r if d is None else r.movedim(d, 0) for r, d in zip(results, dims)]
    return build_tree(tree, [level.argument(r.detach(), d is not None) for r, d in zip(results, dims)])


@translated
def _record(cls, ctx: FunctionCtx, args, result):
    """Gives the results the history of this call."""
    w = tls.walk
    if isinstance(result, Tensor):
        tree, results = TENSOR, [result]
    else:
        tree, results = flatten_tree(result)
    kept = [
        i
        for i, r in enumerate(results)
        if layout_of(r).differentiable and not (ctx._no_grad and _among(r, ctx._no_grad))
    ]
    places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
    call = _Call(cls, ctx, places, len(args), kept, [layout_of(r) for r in results])
    operands = tuple([resolve(results[i], w) for i in kept] + [resolve(args[i], w) for i in places])
    nx = w.at.nxt
    if nx.op is CUSTOM and nx.args == operands and nx.static[0] is cls and nx.static[1] == len(kept):
        w.at = nx
    else:
        nx = _custom(w, cls, operands, len(kept))
    w.inputs[nx.nin - 1] = call
    handles = list(results)
    for i, v in zip(kept, nx.outs):
        old = results[i]
        if ctx._dirty and _among(old, ctx._dirty):
            place(old)
            old._st.val = v
            old._leaf = None
            handles[i] = old
        else:
            handles[i] = fresh(v, w)
    ctx._saved = tuple([_same_saved(t, results, handles) for t in ctx._saved])
    if w.eager:
        flush(w)
    return handles[0] if tree is TENSOR else build_tree(tree, handles)


def _custom(w: Walk, cls, operands: tuple, n: int) -> Node:
    """The edge of a call: `n` results, which are its first operands, and the tensors that they were made from."""
    lays = tuple([v.lay for v in operands])

    def make(node):
        mask = 0
        for v in operands[n:]:
            mask |= v.mask
        node.special = True
        node.spec = Spec(CUSTOM, lays, (cls,), lays[:n], (TENSOR,) * n)
        node.spec._exe = lambda *arrays: arrays[:n]
        made = []
        for k, l in enumerate(lays[:n]):
            v = Value(node, k, l, True)
            v.mask = mask
            made.append(v)
        return tuple(made)

    return special(w, CUSTOM, operands, (cls, n), make, nin=1)


@translated
def _among(t, tensors) -> bool:
    for x in tensors:
        if x is t:
            return True
    return False


@translated
def _same_saved(t, results, handles):
    """A saved result is saved with its history."""
    for r, h in zip(results, handles):
        if t is r:
            return h
    return t


def once_differentiable(f):
    """Decorates a backward that is not itself differentiable."""

    def wrapped(ctx, *grads):
        mode = tls.walk.at.mode
        set_mode(False)
        try:
            return f(ctx, *grads)
        finally:
            set_mode(mode)

    return wrapped
