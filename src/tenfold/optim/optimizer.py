"""The base of all optimizers: param groups, state, hooks, saving and loading.

A method of this package gives two halves: `init_state(group, p)`, what it remembers of a parameter, and `update(group,
block)`, one pure function over all the tensors of a block whose results are then assigned. An optimizer from outside
overrides `step` alone, as in PyTorch.
"""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any, TypeAlias

import tenfold as torch
from tenfold import Tensor
from tenfold.optim._blocks import Block, GroupPlan, States, Watch, layers, plan_group
from tenfold.utils.hooks import RemovableHandle

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]

ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
StateDict: TypeAlias = dict[str, Any]
OptimizerPreHook: TypeAlias = Callable[..., tuple[tuple, dict] | None]
OptimizerPostHook: TypeAlias = Callable[..., None]

_global_pre_hooks: dict[int, OptimizerPreHook] = OrderedDict()
_global_post_hooks: dict[int, OptimizerPostHook] = OrderedDict()

_HOOKS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)

# Where PyTorch can capture a step into a device graph; tenfold's own traces need no option for it
_CAPTURABLE_DEVICES = ("cuda", "xpu", "hpu", "privateuseone", "xla")


class _RequiredParameter:
    """Stands in `defaults` for an option that every param group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()


def register_optimizer_step_pre_hook(hook: OptimizerPreHook) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before each step of every optimizer.

    Args:
        hook: may return `(args, kwargs)` for the step to be called with instead.
    """
    return _register(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: OptimizerPostHook) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after each step of every optimizer."""
    return _register(_global_post_hooks, hook)


def _register(hooks: dict, hook: Callable, prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _hooked(step: Callable) -> Callable:
    """`step` between its hooks; afterwards the recording walk ends, so that each training step is the same path."""

    @functools.wraps(step)
    def call(*args, **kwargs):
        self = args[0]
        if self._optimizer_step_pre_hooks or _global_pre_hooks:
            args, kwargs = _run_pre_hooks(step, args, kwargs)
        result = step(*args, **kwargs)
        if self._optimizer_step_post_hooks or _global_post_hooks:
            for hook in chain(self._optimizer_step_post_hooks.values(), _global_post_hooks.values()):
                hook(self, args, kwargs)
        torch.end_walk()
        return result

    call.hooked = True
    return call


def _run_pre_hooks(step: Callable, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    self = args[0]
    for hook in chain(_global_pre_hooks.values(), self._optimizer_step_pre_hooks.values()):
        answer = hook(self, args, kwargs)
        if answer is None:
            continue
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise RuntimeError(
                f"{type(self).__name__}.step: a pre-hook must return None or a tuple of (new_args, new_kwargs), "
                f"but {hook} returned {answer!r}"
            )
        args, kwargs = answer
    return args, kwargs


class Optimizer:
    """Base class of optimizers.

    Args:
        params: tensors, dicts (one for each param group, with the tensors under "params") or (name, tensor) pairs.
        defaults: the options that a group takes where it gives none of its own.
    """

    # Names of the state entries that are one number for each parameter; they rest as Python numbers between steps
    counters: tuple[str, ...] = ("step",)
    takes_sparse = False  # whether sparse gradients are made dense, or refused
    # Options that groups saved by an old version may lack, and what they are then
    options_since: dict[str, Any] = {}

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        for name in _HOOKS:
            setattr(self, name, OrderedDict())
        self._patch_step_function()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got one {type(params).__name__}; give [params] to optimize a single tensor"
            )
        self._watch = Watch()
        self._plans: list[GroupPlan] = []
        self._repeats: list[tuple[dict, list]] = []
        self.state: dict[Tensor, Any] = States(self._watch)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list; does the model have parameters?")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    # --- the step -----------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Change the parameters once, by their gradients.

        Args:
            closure: computes the loss again (with its gradients) and returns it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no step(); an optimizer must define one")

    def init_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """What the method remembers of one parameter before its first step."""
        return {}

    def update(self, group: dict[str, Any], block: Block) -> None:
        """Take one step with all the tensors of a block."""
        raise NotImplementedError(f"{type(self).__name__} has no update()")

    def check_grad(self, group: dict[str, Any], p: Tensor, grad: Tensor) -> None:
        """Refuse a gradient that the method cannot use."""
        if grad.is_sparse and not self.takes_sparse:
            raise RuntimeError(
                f"{type(self).__name__} does not support sparse gradients: consider SparseAdam, or give .to_dense()"
            )
        if grad.is_sparse and group["weight_decay"] != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients: it decays all rows")
        if group.get("capturable"):
            raise AssertionError(
                "If capturable=True, params and state_steps must be on supported devices: "
                f"{list(_CAPTURABLE_DEVICES)}, but a parameter is on "
                f"{p.device.type}. Leave capturable=False: tenfold captures each step anyway"
            )

    @torch.translated
    def _step_blocks(self, closure: Callable[[], float] | None) -> float | None:
        """The step of every method that is written as init_state and update."""
        loss = None
        if closure is not None:
            loss = torch.enable_grad()(closure)()
        before = torch.is_grad_enabled()
        torch.set_mode(bool(self.defaults.get("differentiable")))
        try:
            if not self._plans_fit():
                self._make_plans()
            for plan in self._plans:
                for block in plan.blocks:
                    block.lend()
                    self.update(plan.group, block)
            for group, params in self._repeats:
                self._watch.stale = True
                torch.end_walk()
                for block in plan_group(self, group, params).blocks:
                    block.lend()
                    self.update(group, block)
        finally:
            try:
                torch.end_walk()  # before anybody reads what was written in bundles
            finally:
                torch.set_mode(before)
        return loss

    @torch.translated
    def _plans_fit(self) -> bool:
        plans = self._plans
        groups = self.param_groups
        if self._watch.stale or len(plans) != len(groups) or getattr(self.state, "watch", None) is not self._watch:
            return False
        for plan, group in zip(plans, groups):
            if not plan.take(group):
                return False
        return True

    def _make_plans(self) -> None:
        if getattr(self.state, "watch", None) is not self._watch:
            self.state = States(self._watch, self.state)
        for plan in self._plans:
            for block in plan.all:
                for state in block.states:
                    state.show_counters()
        self._plans = []
        self._repeats = []
        for group in self.param_groups:
            first, *again = list(layers(group["params"])) or [[]]
            self._plans.append(plan_group(self, group, first))
            self._repeats += [(group, params) for params in again]
        self._watch.stale = bool(self._repeats)

    # --- hooks --------------------------------------------------------------------------------------------

    def _patch_step_function(self) -> None:
        cls = type(self)
        if not getattr(cls.step, "hooked", False):
            cls.step = _hooked(cls.step)

    def register_step_pre_hook(self, hook: OptimizerPreHook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return other `(args, kwargs)`."""
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: OptimizerPostHook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return _register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable[[Optimizer], None], prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict` looks at the state."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[[Optimizer, StateDict], StateDict | None], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` on the result of `state_dict`; it may return another one."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[[Optimizer, StateDict], StateDict | None], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before a state is loaded; it may return another one."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[[Optimizer], None], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after a state was loaded."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    # --- saving and loading -------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in _HOOKS:
            self.__dict__.setdefault(name, OrderedDict())
        self._watch = Watch()
        self._plans = []
        self._repeats = []
        self.state = States(self._watch, self.state)
        self._patch_step_function()
        self.defaults.setdefault("differentiable", False)
        for group in self.__dict__.get("param_groups", ()):
            for name, value in self.options_since.items():
                group.setdefault(name, value)

    def state_dict(self) -> StateDict:
        """The state as a dict of plain values, in which parameters are numbered.

        Returns:
            {"state": {number: {name: value}}, "param_groups": [options, with "params" a list of numbers]}.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        count = 0
        groups = []
        for group in self.param_groups:
            numbers.update({id(p): i for i, p in enumerate(group["params"], count) if id(p) not in numbers})
            count += len(group["params"])
            packed = {name: value for name, value in group.items() if name != "params"}
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {}
        for key, value in self.state.items():
            if isinstance(key, Tensor) and id(key) not in numbers:
                raise KeyError(
                    f"state_dict: optimizer.state has an entry for a tensor of shape {list(key.shape)} that is in no "
                    "param group. Delete it, or put the tensor back into its group"
                )
            name = numbers[id(key)] if isinstance(key, Tensor) else key
            state[name] = dict(value) if isinstance(value, dict) else value
        result: StateDict = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            answer = hook(self, result)
            if answer is not None:
                result = answer
        return result

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Take over what `state_dict` returned, for the same param groups in the same order.

        Args:
            state_dict: tensors in it are cast to dtype and device of their parameter.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            answer = hook(self, state_dict)
            if answer is not None:
                state_dict = answer
        groups = self.param_groups
        saved_groups = deepcopy(state_dict["param_groups"])
        _check_groups(groups, saved_groups)
        numbers = chain.from_iterable(g["params"] for g in saved_groups)
        params = dict(zip(numbers, chain.from_iterable(g["params"] for g in groups), strict=True))
        state: dict = {}
        for key, value in state_dict["state"].items():
            if key in params:
                state[params[key]] = _cast(value, params[key], _keeps_float32(params[key], groups))
            else:
                state[key] = value
        for group, saved in zip(groups, saved_groups, strict=True):
            saved["params"] = group["params"]
            if "param_names" in group and "param_names" not in saved:
                saved["param_names"] = group["param_names"]
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # --- groups -------------------------------------------------------------------------------------------

    @torch.translated
    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters.

        Args:
            set_to_none: make `.grad` None; with False it becomes zeros in place. Default True.
        """
        plans = self._plans
        for i, group in enumerate(self.param_groups):
            if set_to_none and i < len(plans) and plans[i].forget_grads(group):
                continue
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    if p.grad.grad_fn is not None:
                        p.grad.detach_()
                    else:
                        p.grad.requires_grad_(False)
                    p.grad.zero_()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with options of their own, to what is optimized (layers that are unfrozen, say).

        Args:
            param_group: "params" (a tensor, or an iterable of tensors or of (name, tensor) pairs) and options.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        _unpack_params(param_group)
        for p in param_group["params"]:
            self._check_param(p)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        params = param_group["params"]
        if len(params) != len({id(p) for p in params}):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters: each of them is stepped once for each "
                "time that it appears. Give every parameter once; PyTorch will make this an error",
                stacklevel=3,
            )
        known = {id(p) for group in self.param_groups for p in group["params"]}
        if not known.isdisjoint(id(p) for p in params):
            raise ValueError("some parameters appear in more than one parameter group; give each to one group only")
        if self.param_groups:
            _check_names(self.param_groups[0], param_group)
        self.param_groups.append(param_group)

    def _check_param(self, p: Any) -> None:
        if not isinstance(p, Tensor):
            raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
        if not (self.defaults.get("differentiable") or p.is_leaf or p.retains_grad):
            raise ValueError(
                "can't optimize a non-leaf Tensor: this one is the result of an operation. "
                "Give the parameter itself, or take .detach().requires_grad_() of the result"
            )

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += [""] * (i > 0)
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


def _unpack_params(group: dict[str, Any]) -> None:
    """Make group["params"] a list of tensors, and group["param_names"] the names where they are given."""
    params = group["params"]
    if isinstance(params, Tensor):
        group["params"] = [params]
        return
    if isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections: "
            "a set has another order in each run. Give a list"
        )
    params = list(params)
    named = [isinstance(p, tuple) for p in params]
    if not any(named):
        group["params"] = params
        return
    if not all(named):
        raise ValueError("all optimizer params should be with/without names. Some param names are missing")
    group["params"] = [p for _, p in params]
    group["param_names"] = [name for name, _ in params]


def _check_names(first: dict[str, Any], group: dict[str, Any]) -> None:
    if ("param_names" in first) == ("param_names" in group):
        return
    what = "with" if "param_names" in group else "without"
    raise ValueError(
        f"all optimizer param groups should be with/without names. cannot add param group {what} names to the optimizer"
    )


def _check_groups(groups: list[dict], saved: list[dict]) -> None:
    if len(groups) != len(saved):
        raise ValueError(
            f"loaded state dict has a different number of parameter groups: {len(saved)}, not {len(groups)}"
        )
    for i, (group, other) in enumerate(zip(groups, saved, strict=True)):
        if len(group["params"]) != len(other["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: group "
                f"{i} has {len(other['params'])} parameters there, {len(group['params'])} here"
            )


def _keeps_float32(p: Tensor, groups: list[dict]) -> bool:
    """Whether the step count of p lies on its device as float32."""
    group = next(g for g in groups if any(p is q for q in g["params"]))
    return bool(group.get("fused") or group.get("capturable"))


def _cast(value: Any, p: Tensor, float32_step: bool, key: str | None = None) -> Any:
    """A loaded value with dtype and device of its parameter; step counts keep their dtype."""
    if isinstance(value, Tensor):
        if key == "step":
            return value.to(dtype=torch.float32, device=p.device) if float32_step else value
        if p.dtype.is_floating_point:
            return value.to(dtype=p.dtype, device=p.device)
        return value.to(device=p.device)
    if isinstance(value, dict):
        return {k: _cast(v, p, float32_step, k) for k, v in value.items()}
    if isinstance(value, (str, bytes)):
        return value
    if isinstance(value, Iterable):
        return type(value)(_cast(v, p, float32_step) for v in value)
    return value


# --- what the methods' constructors and updates share -----------------------------------------------------------


def check(fine: bool, what: str, value: Any) -> None:
    """Raise ValueError unless `fine`."""
    if not fine:
        raise ValueError(f"Invalid {what}: {value}")


def check_lr(lr: float | Tensor) -> None:
    """Refuse a learning rate that is negative, or a tensor of several elements."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError(f"Tensor lr must be 1-element, but it has shape {list(lr.shape)}")
    check(lr >= 0.0, "learning rate", lr)


def check_betas(betas: tuple) -> None:
    """Refuse decay rates of running averages outside [0, 1)."""
    for i in (0, 1):
        check(0.0 <= betas[i] < 1.0, f"beta parameter at index {i}", betas[i])


def check_fused(optimizer: Optimizer, fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """Refuse combinations of implementations; all of them are the same fused program here."""
    if not fused:
        return
    if differentiable:
        raise RuntimeError("`fused` does not support `differentiable`; choose one of them")
    if foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
    optimizer._step_supports_amp_scaling = True


@torch.translated
def number(value: float | Tensor, group: dict[str, Any]) -> Any:
    """A hyper-parameter as a Python float; a tensor stays one where gradients must pass through it."""
    if type(value) is float or group.get("differentiable") and isinstance(value, Tensor):
        return value
    return float(value)
