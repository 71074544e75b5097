"""What an optimizer remembers between steps, arranged so that a step touches lists, not a dictionary for each tensor.

Comes in: the param groups and `optimizer.state`. Goes out: for each group a few `Block`s, lists of tensors that take
the same step together. A `Watch` is raised whenever somebody else reads a counter or changes the state; the blocks are
then made anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from operator import is_
from struct import pack, unpack
from typing import Any

import tenfold as torch


class Watch:
    """One flag that all state dictionaries of an optimizer share: True once somebody changed what the blocks hold."""

    __slots__ = ("stale",)

    def __init__(self) -> None:
        self.stale = True


class ParamState(dict):
    """The state of one parameter: a dict of tensors whose counters (`step`) rest as Python numbers between reads.

    While `counters` is set, the entries of that name are out of date and the numbers hold. Any read of a value makes
    tensors of them, as PyTorch shows them, and from then on those tensors hold until the next step takes them back.
    """

    __slots__ = ("counters", "dtypes", "watch")

    def __init__(self, watch: Watch, entries: dict | None = None) -> None:
        super().__init__(entries or {})
        self.watch = watch
        self.counters: dict[str, float] | None = None
        self.dtypes: tuple = ()

    def rest(self, counters: dict[str, float], dtypes: tuple) -> None:
        """From now on the numbers hold, and not the entries."""
        if counters:
            self.counters = counters
            self.dtypes = dtypes

    def show_counters(self) -> None:
        """Turn the counters into tensors in their entries."""
        counters = self.counters
        if counters is None:
            return
        self.counters = None
        self.watch.stale = True
        for (name, value), dtype in zip(counters.items(), self.dtypes):
            super().__setitem__(name, torch.tensor(float(value), dtype=dtype))

    def plain(self) -> dict:
        """An ordinary dict of the same entries."""
        return dict(self.items())

    def __reduce_ex__(self, protocol: int) -> tuple:
        return dict, (self.plain(),)


def counter_dtype():
    """The dtype of a new counter: float64 where that is the default dtype, else float32."""
    return torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32


def counter_dtype_of(value: Any):
    """The dtype of a counter that lies in a state; a loaded one may have its parameter's."""
    return value.dtype if isinstance(value, torch.Tensor) and value.dtype.is_floating_point else counter_dtype()


def rounded(value: float, dtype: Any) -> float:
    """A number as a tensor of the dtype holds it."""
    if dtype == torch.float64:
        return value
    if dtype == torch.float32:
        return unpack("f", pack("f", value))[0]
    return torch.tensor(value, dtype=dtype).item()


class States(defaultdict):
    """`optimizer.state`: parameter -> ParamState, made at the first look as in a `defaultdict(dict)`."""

    def __init__(self, watch: Watch, entries: dict | None = None) -> None:
        super().__init__(dict)
        self.watch = watch
        for key, value in (entries or {}).items():
            dict.__setitem__(self, key, self.watched(value))

    def watched(self, value: Any) -> Any:
        """`value` as a ParamState of this optimizer, where it is a dict at all."""
        if type(value) is ParamState and value.watch is self.watch:
            return value
        return ParamState(self.watch, value) if isinstance(value, dict) else value

    def __missing__(self, key: Any) -> ParamState:
        value = ParamState(self.watch)
        self.watch.stale = True
        dict.__setitem__(self, key, value)
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        self.watch.stale = True
        dict.__setitem__(self, key, self.watched(value))

    def __reduce__(self) -> tuple:
        return defaultdict, (dict,), None, None, iter(self.items())

    def __repr__(self) -> str:
        return repr(defaultdict(dict, self))


def _showing(method):
    """`method` of dict, after the counters became tensors."""

    def call(self, *args, **kwargs):
        self.show_counters()
        return method(self, *args, **kwargs)

    call.__name__ = method.__name__
    return call


def _marking(method):
    """`method` of a dict of state, which raises the watch before it changes anything."""

    def call(self, *args, **kwargs):
        self.watch.stale = True
        return method(self, *args, **kwargs)

    call.__name__ = method.__name__
    return call


_CHANGES = ("__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update")
# `__iter__` is here because dict(state) and {**state} then ask for each value instead of copying the table
_READS = (
    "__getitem__",
    "__iter__",
    "__eq__",
    "__ne__",
    "__or__",
    "__ror__",
    "__repr__",
    "copy",
    "get",
    "items",
    "values",
)
for _name in _READS:
    setattr(ParamState, _name, _showing(getattr(dict, _name)))
for _name in _CHANGES:
    setattr(ParamState, _name, _marking(_showing(getattr(dict, _name))))
    if _name != "__setitem__":
        setattr(States, _name, _marking(getattr(defaultdict, _name)))


@torch.translated
class Block:
    """Tensors of one param group that take the same step: equal counters, equal kinds of state.

    `params` and `grads` are lists; `block["exp_avg"]` is the list of that state, None where these parameters have none.
    Complex tensors appear as their real views (one more dim of size 2), which share the same memory.
    """

    __slots__ = (
        "counters",
        "dtypes",
        "grads",
        "group",
        "home",
        "index",
        "is_complex",
        "keys",
        "params",
        "state",
        "states",
        "targets",
        "tensors",
        "whole",
    )

    def __init__(
        self,
        home: States,
        group: dict,
        rows: list[tuple[int, Any, ParamState]],
        counters: dict,
        dtypes: tuple,
        whole: bool,
    ) -> None:
        self.home = home
        self.group = group
        self.targets: dict[tuple[str, ...], list] = {}
        self.index, self.keys, self.states = map(list, zip(*rows))
        self.is_complex = self.keys[0].dtype.is_complex
        self.params = self.bundled(self.keys)
        self.grads: list = []
        self.whole = whole
        self.counters = counters
        self.dtypes = dtypes
        names = [name for name in kinds(self.states[0]) if name not in counters]
        kept = [self.real([dict.__getitem__(s, name) for s in self.states]) for name in names]
        self.state = self.bundled(*kept)
        self.tensors = dict(zip(names, self.state.parts if len(names) > 1 else [self.state]))

    @torch.translated
    def __getitem__(self, name: str) -> list | None:
        return self.tensors.get(name)

    def real(self, tensors: list) -> list:
        """The tensors, complex ones seen as real pairs."""
        if not self.is_complex:
            return tensors
        return [torch.view_as_real(t) if t.dtype.is_complex else t for t in tensors]

    def bundled(self, *lists: list) -> torch.Bundle:
        """The tensors as a bundle: they go through walks together."""
        return torch.Bundle(*map(self.real, lists))

    @torch.translated
    def take_together(self) -> bool:
        """Choose this block's gradients, where they are still together since backward."""
        grads = self.params.grads
        if grads is None or self.group.get("differentiable") or not torch.lend(grads):
            return False
        self.grads = grads
        return True

    @torch.translated
    def lend(self) -> None:
        """Let parameters and state take part in the next update as lists."""
        if not self.group.get("differentiable"):
            torch.lend(self.params)
            torch.lend(self.state)

    @torch.translated
    def take(self, grads: list) -> None:
        """Choose this block's gradients from those of the whole group."""
        if not self.whole:
            grads = [grads[i] for i in self.index]
        self.grads = self.real(grads) if self.is_complex else grads

    @torch.translated
    def advance(self) -> float:
        """Count one more step; returns the new count."""
        self.counters["step"] += 1
        return self.counters["step"]

    @torch.translated
    def write(self, params: list, state: dict[str, list]) -> None:
        """Give the parameters and kinds of state new values, all at once."""
        names = tuple(state)
        old = self.targets.get(names)
        if old is None:
            old = self.targets[names] = [self.params, *[self.tensors[name] for name in names]]
        if not self.group.get("differentiable"):
            torch.assign(old, (params, *state.values()))
            return
        for tensor, value in zip(chain(*old), chain(params, *state.values())):  # a write that gradients pass through
            tensor.copy_(value)

    def add(self, name: str, tensors: list) -> None:
        """Give each parameter a new kind of state."""
        for p, state, tensor in zip(self.keys, self.states, tensors):
            state[name] = torch.view_as_complex(tensor) if self.is_complex else tensor
            self.home[p] = state


@torch.translated
class GroupPlan:
    """The blocks of one param group, and what must still be true for them to serve another step.

    A block whose parameters have no gradient in a step (a layer that was not used) sits it out."""

    __slots__ = ("all", "blocks", "grad_types", "group", "params", "rest")

    def __init__(self, group: dict, params: list, grad_types: list[type], blocks: list[Block]) -> None:
        self.group = group
        self.params = params
        self.grad_types = grad_types  # None's where there is no gradient; empty if the plan is for one step only
        self.all = blocks
        self.use(blocks)

    def use(self, blocks: list[Block]) -> None:
        """Let these blocks take part in the step."""
        self.blocks = blocks
        taken = {id(p) for block in blocks for p in block.keys}
        self.rest = [p for p in self.params if id(p) not in taken]  # those without a gradient

    @torch.translated
    def forget_grads(self, group: dict) -> bool:
        """Forget the gradients where they are still together; False where they are not."""
        params = group["params"]
        if len(params) != len(self.params) or not all(map(is_, params, self.params)):
            return False
        together = [block.params.grads for block in self.blocks]
        if any([grads is None or not grads.whole for grads in together]):
            return False
        for grads in together:
            grads.clear()
        for p in self.rest:
            p.grad = None
        return True

    @torch.translated
    def take(self, group: dict) -> bool:
        """Hand this step's gradients to the blocks; False where the plan no longer fits the group."""
        params = group["params"]
        if group is not self.group or len(params) != len(self.params) or not all(map(is_, params, self.params)):
            return False
        if not self.grad_types:
            return False
        if all([block.take_together() for block in self.blocks]):
            if not any([p.grad is not None for p in self.rest]):
                return True
        grads = [p.grad for p in params]
        types = list(map(type, grads))
        blocks = [block for block in self.all if any([grads[i] is not None for i in block.index])]
        expected = [type(None)] * len(params)
        for block in blocks:
            for i in block.index:
                expected[i] = self.grad_types[i]
        if types != expected:
            return False
        if len(blocks) != len(self.blocks) or not all(map(is_, blocks, self.blocks)):
            self.use(blocks)
        for block in blocks:
            if not block.take_together():
                block.take(grads)
        return True


def kinds(state: ParamState) -> tuple[str, ...]:
    """The names of the entries that are there; old files hold None for a momentum that never began."""
    return tuple(name for name in dict.keys(state) if dict.__getitem__(state, name) is not None)


def _state_of(optimizer: Any, group: dict, p: Any) -> ParamState:
    """The state of p, made where there is none; it enters `optimizer.state` when there is something in it."""
    state = optimizer.state.get(p)
    if state:
        return state
    state = ParamState(optimizer._watch, optimizer.init_state(group, p))
    if state:
        optimizer.state[p] = state
    return state


def plan_group(optimizer: Any, group: dict, params: list) -> GroupPlan:
    """Sort the parameters that have a gradient into blocks, making the state of those that come for the first time."""
    grads = [p.grad for p in params]
    grad_types = list(map(type, grads))
    rows: dict[tuple, tuple[dict, tuple, list]] = {}
    for i, (p, grad) in enumerate(zip(params, grads, strict=True)):
        if grad is None:
            continue
        optimizer.check_grad(group, p, grad)
        if grad.is_sparse:
            grads[i] = grad.to_dense()
            grad_types = []
        state = _state_of(optimizer, group, p)
        counters = {name: float(state[name]) for name in optimizer.counters}
        dtypes = tuple(counter_dtype_of(state[name]) for name in optimizer.counters)
        key = (p.dtype.is_complex, kinds(state), tuple(counters.values()), dtypes)
        rows.setdefault(key, (counters, dtypes, []))[2].append((i, p, state))
    blocks = []
    for counters, dtypes, found in rows.values():
        block = Block(optimizer.state, group, found, counters, dtypes, len(found) == len(params))
        block.take(grads)
        for state in block.states:
            state.rest(counters, dtypes)
        blocks.append(block)
    return GroupPlan(group, params, grad_types, blocks)


def layers(params: list) -> Iterator[list]:
    """The parameters, in lists without repeats: the second list holds those given twice, and so on."""
    while params:
        seen: set[int] = set()
        again = []
        layer = []
        for p in params:
            (again if id(p) in seen else layer).append(p)
            seen.add(id(p))
        yield layer
        params = again
