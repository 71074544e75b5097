"""Module: the base of every layer and model.

Parameters, buffers and submodules are attributes like any other, and are listed in a table besides (`registry.py`).
Here stand the attributes; `traversal.py` walks the tree, `module_state.py` saves and loads it, `module_convert.py`
changes its dtype and device, `module_hooks.py` calls a module that has hooks.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Self, TypeVar

import tenfold
from tenfold import Tensor

from . import module_convert, module_hooks, module_state, traversal
from .module_hooks import (  # noqa: F401  (PyTorch's programs import them from here)
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_buffer_registration_hooks,
    _global_forward_hooks,
    _global_forward_hooks_always_called,
    _global_forward_hooks_with_kwargs,
    _global_forward_pre_hooks,
    _global_module_registration_hooks,
    _global_parameter_registration_hooks,
    _has_any_global_hook,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from .module_state import _EXTRA_STATE_KEY_SUFFIX, _IncompatibleKeys, _WrappedHook  # noqa: F401
from .parameter import Buffer, Parameter
from .registry import HookTable, Registry

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

T = TypeVar("T", bound="Module")
T_destination = TypeVar("T_destination", bound=dict)

_REGISTRIES = ("_parameters", "_buffers", "_modules")
_CALL_HOOKS = ("_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_pre_hooks")
_OTHER_HOOKS = (
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
_TABLES = frozenset((*_REGISTRIES, *_CALL_HOOKS))
_NOT_SAVED = ("_compiled_call_impl", "_parameter_list", "_looks_for_hooks")


def _forward_unimplemented(self, *input: Any) -> None:
    """Compute the result of a call. A subclass must define it."""
    raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')


class Module:
    """Base class of layers and models: define the parts in `__init__`, the computation in `forward`.

    Assigning a Parameter, a Buffer or another Module as an attribute registers it: it is then found by
    `parameters()`, `state_dict()`, `to()` and all the other methods that walk the tree.

    Attributes:
        training: whether the module is in training mode, as `train()` and `eval()` set it.
    """

    dump_patches: bool = False
    _version: int = 1
    training: bool
    call_super_init: bool = False
    _compiled_call_impl: Callable | None = None
    _looks_for_hooks: bool = False  # on the class: there are global hooks; on an instance: it has its own

    forward: Callable[..., Any] = _forward_unimplemented

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init and (args or kwargs):
            raise TypeError(_unexpected_arguments(self, args, kwargs))
        state = self.__dict__
        state["training"] = True
        state["_parameters"] = Registry(self)
        state["_buffers"] = Registry(self, structural=False)
        state["_non_persistent_buffers_set"] = set()
        state["_backward_pre_hooks"] = HookTable(self)
        state["_backward_hooks"] = HookTable(self)
        state["_is_full_backward_hook"] = None
        state["_forward_hooks"] = HookTable(self)
        state["_forward_hooks_with_kwargs"] = OrderedDict()
        state["_forward_hooks_always_called"] = OrderedDict()
        state["_forward_pre_hooks"] = HookTable(self)
        state["_forward_pre_hooks_with_kwargs"] = OrderedDict()
        state["_state_dict_hooks"] = OrderedDict()
        state["_state_dict_pre_hooks"] = OrderedDict()
        state["_load_state_dict_pre_hooks"] = OrderedDict()
        state["_load_state_dict_post_hooks"] = OrderedDict()
        state["_modules"] = Registry(self)
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    # --- calling ------------------------------------------------------------------------------------------

    @tenfold.translated
    def __call__(self, *args, **kwargs):
        if self._looks_for_hooks:
            return self._wrapped_call_impl(*args, **kwargs)
        if kwargs:
            return self.forward(*args, **kwargs)
        return self.forward(*args)  # without merging an empty dict: a tenth less

    def _wrapped_call_impl(self, *args, **kwargs):
        compiled = self._compiled_call_impl
        if compiled is not None:
            return compiled(*args, **kwargs)
        return self._call_impl(*args, **kwargs)

    def _call_impl(self, *args, **kwargs):
        return module_hooks.call_with_hooks(self, args, kwargs)

    def compile(self, *args, **kwargs) -> None:
        """Compile this module's calls, as `tenfold.compile` with the same arguments does for a function."""
        self._compiled_call_impl = tenfold.compile(self._call_impl, *args, **kwargs)

    _choose_call_path = module_hooks.choose_call_path
    register_forward_pre_hook = module_hooks.register_forward_pre_hook
    register_forward_hook = module_hooks.register_forward_hook
    register_full_backward_pre_hook = module_hooks.register_full_backward_pre_hook
    register_full_backward_hook = module_hooks.register_full_backward_hook
    register_backward_hook = module_hooks.register_backward_hook

    # --- attributes ---------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        # Registered names are ordinary attributes and do not come here, unless a subclass filled __dict__ by itself.
        for table in _REGISTRIES:
            entries = self.__dict__.get(table)
            if entries is not None and name in entries:
                return entries[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        # Ordinary values under ordinary names come first: forward() sets them at every call.
        if not (
            isinstance(value, Tensor | Module)
            or name in state.get("_parameters", ())
            or name in state.get("_modules", ())
            or name in state.get("_buffers", ())
        ):
            self._assign_plain(name, value)
        elif isinstance(value, Parameter):
            if "_parameters" not in state:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif name in state.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in state:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_modules")
            self._assign_module(name, value)
        elif name in state.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as child module '{name}' (torch.nn.Module or None expected)"
                )
            self._assign_module(name, value)
        elif isinstance(value, Buffer):
            self._forget(name, "_buffers")
            self.register_buffer(name, value, value.persistent)
        elif name in state.get("_buffers", ()):
            self._assign_buffer(name, value)
        else:
            self._assign_plain(name, value)

    def _assign_plain(self, name, value) -> None:
        if name in _TABLES:
            value = self._new_table(name, value)
        object.__setattr__(self, name, value)
        if name == "_compiled_call_impl":
            self._choose_call_path()

    def _new_table(self, name, entries):
        """The table that takes the place of `name` when a whole dict is assigned."""
        if name not in _REGISTRIES:
            return HookTable(self, entries)
        for old in self.__dict__.get(name, ()):
            self.__dict__.pop(old, None)
        return self._new_registry(name, entries)

    def _new_registry(self, table, entries=()) -> Registry:
        return Registry(self, entries, table != "_buffers")

    def _assign_module(self, name, module) -> None:
        module = module_hooks.replaced_by(_global_module_registration_hooks, self, name, module)
        self._own("_modules")[name] = module

    def _assign_buffer(self, name, tensor) -> None:
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_type_name(tensor)}' as buffer '{name}' "
                "(torch.nn.Buffer, torch.Tensor or None expected)"
            )
        tensor = module_hooks.replaced_by(_global_buffer_registration_hooks, self, name, tensor)
        self._own("_buffers")[name] = tensor

    def _own(self, table):
        """A registry that writes to this module: one that came from elsewhere (a copied __dict__) is copied first."""
        entries = self.__dict__[table]
        if type(entries) is not Registry or entries.owner() is not self:
            entries = self.__dict__[table] = self._new_registry(table, entries)
        return entries

    def _forget(self, name, kept) -> None:
        """Before `name` is registered in the table `kept`: take it out of wherever else it stands."""
        if name not in self.__dict__.get(kept, ()):
            self._remove_everywhere(name)
            self.__dict__.pop(name, None)

    def _remove_everywhere(self, name) -> bool:
        found = False
        for table in _REGISTRIES:
            if name in self.__dict__.get(table, ()):
                del self._own(table)[name]
                found = True
                if table == "_buffers":
                    self._non_persistent_buffers_set.discard(name)
        return found

    def __delattr__(self, name) -> None:
        if not self._remove_everywhere(name):
            object.__delattr__(self, name)

    def __dir__(self):
        keys = [*dir(type(self)), *self.__dict__]
        for table in _REGISTRIES:
            keys.extend(self.__dict__.get(table, ()))
        return sorted({key for key in keys if not key[0].isdigit()})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, which is then also the attribute `name`.

        Args:
            name: without a dot.
            param: the parameter; None takes the place of one that is not there, and is in no list.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name(name, "parameter", "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{_type_name(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}': a parameter is a leaf. To make '{name}' "
                    "depend on another tensor, compute it in forward()."
                )
            param = module_hooks.replaced_by(_global_parameter_registration_hooks, self, name, param)
        self._own("_parameters")[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state, but no parameter; it is then also the attribute `name`.

        Args:
            name: without a dot.
            tensor: the buffer; None takes the place of one that is not there, and is in no list.
            persistent: whether it is part of the state_dict. Default True.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name(name, "buffer", "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_type_name(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        tensor = module_hooks.replaced_by(_global_buffer_registration_hooks, self, name, tensor)
        self._own("_buffers")[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: "Module | None") -> None:
        """Add a module below this one, which is then also the attribute `name`."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{_type_name(module)} is not a Module subclass")
        self._check_name(name, "module", "_modules")
        self._assign_module(name, module)

    def register_module(self, name: str, module: "Module | None") -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    def _check_name(self, name, kind, table) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {_type_name(name)}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in self.__dict__[table]:
            raise KeyError(f"attribute '{name}' already exists")

    # --- parts by name ------------------------------------------------------------------------------------

    def get_submodule(self, target: str) -> "Module":
        """The module with this dotted name; "" is the module itself. Raises: AttributeError if there is none."""
        module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def set_submodule(self, target: str, module: "Module", strict: bool = False) -> None:
        """Put `module` where the dotted name `target` points.

        Args:
            strict: refuse to add a name that is not there yet. Default False.
        """
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with this dotted name. Raises: AttributeError if there is none."""
        found = self._get_part(target)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{target.rpartition('.')[2]}` is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with this dotted name. Raises: AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        found = self._get_part(target)
        if name not in self.get_submodule(path)._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return found

    def _get_part(self, target):
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        return getattr(module, name)

    named_modules = traversal.named_modules
    modules = traversal.modules
    named_children = traversal.named_children
    children = traversal.children
    _named_members = traversal._named_members
    named_parameters = traversal.named_parameters
    parameters = traversal.parameters
    named_buffers = traversal.named_buffers
    buffers = traversal.buffers

    # --- state --------------------------------------------------------------------------------------------

    def get_extra_state(self) -> Any:
        """What else belongs into the state_dict. Define it together with `set_extra_state`."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: it does not define get_extra_state.")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise RuntimeError(f"{type(self).__name__} takes no extra state: it does not define set_extra_state.")

    get_extra_state._is_default = True
    set_extra_state._is_default = True

    state_dict = module_state.state_dict
    load_state_dict = module_state.load_state_dict
    _save_to_state_dict = module_state._save_to_state_dict
    _load_from_state_dict = module_state._load_from_state_dict
    _register_state_dict_hook = module_state._register_state_dict_hook
    register_state_dict_pre_hook = module_state.register_state_dict_pre_hook
    register_state_dict_post_hook = module_state.register_state_dict_post_hook
    _register_load_state_dict_pre_hook = module_state._register_load_state_dict_pre_hook
    register_load_state_dict_pre_hook = module_state.register_load_state_dict_pre_hook
    register_load_state_dict_post_hook = module_state.register_load_state_dict_post_hook

    def __getstate__(self):
        # As in PyTorch's files: registered things stand in the tables only.
        registered = {name for table in _REGISTRIES for name in self.__dict__.get(table, ())}
        state = {}
        for name, value in self.__dict__.items():
            if name not in registered and name not in _NOT_SAVED:
                state[name] = dict(value) if name in _REGISTRIES else value
        return state

    def __setstate__(self, state) -> None:
        own = self.__dict__
        own.update(state)
        for name in _NOT_SAVED:
            own.pop(name, None)
        for name in _REGISTRIES:
            own[name] = self._new_registry(name, state.get(name, ()))
        for name in _OTHER_HOOKS:  # a file may be from before there was one of them
            own.setdefault(name, OrderedDict())
        for name in _CALL_HOOKS:
            table = state.get(name, ())
            if isinstance(table, HookTable) and table.owner is None:
                table.adopt(self)
            else:
                own[name] = HookTable(self, table)
        own.setdefault("_non_persistent_buffers_set", set())
        own.setdefault("_is_full_backward_hook", None)

    def _replicate_for_data_parallel(self):
        replica = type(self).__new__(type(self))
        replica.__setstate__(self.__getstate__())
        replica._is_replica = True
        return replica

    # --- the whole tree -----------------------------------------------------------------------------------

    def apply(self, fn: Callable[["Module"], None]) -> Self:
        """Call `fn` with every module of the tree, this one last. Returns self."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training mode in the whole tree, or with False evaluation mode. Returns self."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode in the whole tree. Returns self."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters of the tree accumulate gradients. Returns self."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or with `set_to_none=False` fill them with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                _fill_with_zeros(parameter.grad)

    _apply = module_convert._apply
    to = module_convert.to
    to_empty = module_convert.to_empty
    cpu = module_convert.cpu
    cuda = module_convert.cuda
    ipu = module_convert.ipu
    xpu = module_convert.xpu
    mtia = module_convert.mtia
    type = module_convert.type_
    float = module_convert.float_
    double = module_convert.double
    half = module_convert.half
    bfloat16 = module_convert.bfloat16
    share_memory = module_convert.share_memory

    # --- text ---------------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands in the parentheses of the module's text; "" unless a subclass says more."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        children = [f"({name}): {_addindent(repr(module), 2)}" for name, module in self._modules.items()]
        lines = extra_lines + children
        if not lines:
            return f"{self._get_name()}()"
        if len(extra_lines) == 1 and not children:
            return f"{self._get_name()}({extra_lines[0]})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


module_hooks._module_class = Module


def _unexpected_arguments(module, args, kwargs) -> str:
    name = type(module).__name__
    if kwargs:
        return f"{name}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'"
    return f"{name}.__init__() takes 1 positional argument but {len(args) + 1} were given"


def _type_name(value) -> str:
    """A value's type as error messages name it: 'torch.FloatTensor', 'int'."""
    if isinstance(value, Tensor):
        return value.type()
    kind = type(value)
    home = "" if kind.__module__ in ("builtins", "__builtin__", None) else kind.__module__ + "."
    return home + kind.__qualname__


def _addindent(s_: str, numSpaces: int) -> str:
    """The text with every line but the first moved to the right."""
    return s_.replace("\n", "\n" + " " * numSpaces)


def _fill_with_zeros(gradient) -> None:
    if gradient.grad_fn is not None:
        gradient.detach_()
    else:
        gradient.requires_grad_(False)
    gradient.zero_()
