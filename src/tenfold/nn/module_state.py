"""state_dict and load_state_dict of a Module: names to tensors, out and in."""

import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Mapping

import tenfold
from tenfold import Tensor
from tenfold.utils.hooks import RemovableHandle

from .parameter import Parameter, is_lazy

__all__ = ["load_state_dict", "state_dict"]

_EXTRA_STATE_KEY_SUFFIX = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What load_state_dict found on one side only."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class _WrappedHook:
    """A hook that is called before a state is loaded, and the module that it is given first, if any. PyTorch's files name
    this class."""

    def __init__(self, hook, module=None) -> None:
        self.hook = hook
        self.with_module = module is not None
        self.module = module

    def __call__(self, *args, **kwargs):
        return self.hook(self.module, *args, **kwargs) if self.with_module else self.hook(*args, **kwargs)

    def __getstate__(self) -> dict:
        state = {"hook": self.hook, "with_module": self.with_module}
        return state | {"module": self.module} if self.with_module else state

    def __setstate__(self, state: dict) -> None:
        self.__init__(state["hook"], state["module"] if state["with_module"] else None)


# --- out --------------------------------------------------------------------------------------------------


def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
    """The module's whole state: every parameter and persistent buffer, under its dotted name.

    The tensors are not copied: they share memory with the module.

    Args:
        destination: a dict to add to. Default None: a new one.
        prefix: what all names begin with. Default "".
        keep_vars: give the parameters themselves, not detached tensors. Default False.
    Returns: an OrderedDict, with the versions of the modules in its attribute `_metadata`.
    """
    if args:
        warnings.warn(
            "Positional args are being deprecated, use kwargs instead: state_dict(destination=..., prefix=..., "
            "keep_vars=...).",
            FutureWarning,
            stacklevel=2,
        )
        given = (*args, *(None, "", False)[len(args) :])
        destination = given[0] if destination is None else destination
        prefix = given[1] if prefix == "" else prefix
        keep_vars = given[2] if keep_vars is False else keep_vars
    if destination is None:
        destination = OrderedDict()
        destination._metadata = OrderedDict()
    local_metadata = {"version": self._version}
    if hasattr(destination, "_metadata"):
        destination._metadata[prefix[:-1]] = local_metadata
    for hook in self._state_dict_pre_hooks.values():
        hook(self, prefix, keep_vars)
    self._save_to_state_dict(destination, prefix, keep_vars)
    for name, module in self._modules.items():
        if module is not None:
            module.state_dict(destination=destination, prefix=prefix + name + ".", keep_vars=keep_vars)
    for hook in self._state_dict_hooks.values():
        changed = hook(self, destination, prefix, local_metadata)
        if changed is None:
            continue
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                f"state_dict post-hook must return None, but that of this {type(self).__name__} returned a "
                f"{type(changed).__name__}. Change the state_dict in place."
            )
        destination = changed
    return destination


def _save_to_state_dict(self, destination, prefix, keep_vars) -> None:
    """Put this module's own state, without that of its submodules, into `destination`."""
    for name, parameter in self._parameters.items():
        if parameter is not None:
            destination[prefix + name] = parameter if keep_vars else parameter.detach()
    for name, buffer in self._buffers.items():
        if buffer is not None and name not in self._non_persistent_buffers_set:
            destination[prefix + name] = buffer if keep_vars else buffer.detach()
    if _has_extra_state(self, "get_extra_state"):
        destination[prefix + _EXTRA_STATE_KEY_SUFFIX] = self.get_extra_state()


def _has_extra_state(module, method) -> bool:
    """Whether the module's class has its own get_extra_state or set_extra_state."""
    return not getattr(getattr(type(module), method), "_is_default", False)


# --- in ---------------------------------------------------------------------------------------------------


def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
    """Copy the values in `state_dict` into the parameters and buffers of the same names.

    Args:
        state_dict: names to tensors.
        strict: raise an error where a name is on one side only. Default True.
        assign: make the given tensors the module's own, instead of copying their values. Default False.
    Returns: (missing_keys, unexpected_keys).
    Raises: RuntimeError that lists all that does not fit; what fits has been loaded then.
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    missing: list[str] = []
    unexpected: list[str] = []
    errors: list[str] = []
    metadata = getattr(state_dict, "_metadata", None)
    state = OrderedDict(state_dict)
    if metadata is not None:
        state._metadata = metadata
    _load_tree(self, state, "", metadata, assign, (missing, unexpected, errors))
    if strict and unexpected:
        errors.insert(0, f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
    if strict and missing:
        errors.insert(0, f"Missing key(s) in state_dict: {_quoted(missing)}. ")
    if errors:
        raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(errors))
    return _IncompatibleKeys(missing, unexpected)


def _quoted(names) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _load_tree(module, state, prefix, metadata, assign, findings) -> None:
    missing, unexpected, errors = findings
    local_metadata = {} if metadata is None else metadata.get(prefix[:-1], {})
    if assign:
        local_metadata["assign_to_params_buffers"] = assign
    module._load_from_state_dict(state, prefix, local_metadata, True, missing, unexpected, errors)
    for name, child in module._modules.items():
        if child is not None:
            below = prefix + name + "."
            part = {key: value for key, value in state.items() if key.startswith(below)}
            _load_tree(child, part, below, metadata, assign, findings)
    report = _IncompatibleKeys(missing, unexpected)
    for hook in module._load_state_dict_post_hooks.values():
        if hook(module, report) is not None:
            raise AssertionError(
                "Hooks registered with register_load_state_dict_post_hook are not expected to return new values: "
                "change missing_keys and unexpected_keys in place."
            )


def _load_from_state_dict(
    self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
) -> None:
    """Load this module's own state, without that of its submodules; findings are added to the three lists."""
    for hook in self._load_state_dict_pre_hooks.values():
        hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
    assign = local_metadata.get("assign_to_params_buffers", False)
    persistent = {n: b for n, b in self._buffers.items() if n not in self._non_persistent_buffers_set}
    local = {name: value for name, value in {**self._parameters, **persistent}.items() if value is not None}
    for name, current in local.items():
        key = prefix + name
        if key in state_dict:
            _load_tensor(self, name, current, key, state_dict[key], assign, error_msgs)
        elif strict:
            missing_keys.append(key)
    extra_key = prefix + _EXTRA_STATE_KEY_SUFFIX
    takes_extra = _has_extra_state(self, "set_extra_state")
    if takes_extra and extra_key in state_dict:
        self.set_extra_state(state_dict[extra_key])
    elif takes_extra and strict:
        missing_keys.append(extra_key)
    elif strict and extra_key in state_dict:
        unexpected_keys.append(extra_key)
    if strict:
        known = {extra_key, *(prefix + name for name in local)}
        unexpected_keys.extend(
            key
            for key in state_dict
            if key.startswith(prefix) and key not in known and not _is_below(self, key, prefix)
        )


def _is_below(module, key, prefix) -> bool:
    """Whether `key` names something in one of the module's submodules."""
    first, dot, _ = key[len(prefix) :].partition(".")
    return bool(dot) and first in module._modules


def _load_tensor(module, name, current, key, given, assign, error_msgs) -> None:
    if not isinstance(given, Tensor):
        error_msgs.append(
            f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from checkpoint '
            f"but received {type(given)}"
        )
        return
    if not is_lazy(current):
        if current.dim() == 0 and given.dim() == 1 and given.shape[0] == 1:
            given = given[0]  # files from before there were 0-d tensors
        if not is_lazy(given) and given.shape != current.shape:
            error_msgs.append(
                f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, the shape in "
                f"current model is {current.shape}."
            )
            return
        if current.is_meta and not given.is_meta and not assign:
            warnings.warn(
                f"for {key}: copying from a non-meta parameter in the checkpoint to a meta parameter in the current "
                "model, which is a no-op. Pass assign=True to put the checkpoint's tensors into the module.",
                stacklevel=2,
            )
    try:
        with tenfold.no_grad():
            if assign:
                setattr(module, name, _assignable(current, given))
            else:
                current.copy_(given)
    except Exception as error:
        sizes = f"{_size_of(current)} in the model and {_size_of(given)} in the checkpoint"
        error_msgs.append(
            f'While copying the parameter named "{key}", whose dimensions are {sizes}, an exception occurred : '
            f"{error.args}."
        )


def _size_of(tensor):
    return "unknown" if is_lazy(tensor) else tensor.size()


def _assignable(current, given):
    """`given` as what may take the place of `current`: a parameter for a parameter."""
    if not isinstance(current, Parameter):
        return given
    if isinstance(given, Parameter):
        return given.requires_grad_(current.requires_grad)
    return Parameter(given, requires_grad=current.requires_grad)


# --- hooks ------------------------------------------------------------------------------------------------


def _add_hook(table, hook) -> RemovableHandle:
    handle = RemovableHandle(table)
    table[handle.id] = hook
    return handle


def register_state_dict_post_hook(self, hook) -> RemovableHandle:
    """Call `hook(module, state_dict, prefix, local_metadata)` at the end of state_dict, to change it in place."""
    hook._from_public_api = True
    return _add_hook(self._state_dict_hooks, hook)


def register_state_dict_pre_hook(self, hook) -> RemovableHandle:
    """Call `hook(module, prefix, keep_vars)` before state_dict reads the module."""
    return _add_hook(self._state_dict_pre_hooks, hook)


def _register_state_dict_hook(self, hook) -> RemovableHandle:
    """As `register_state_dict_post_hook`, for a hook that may return another dict."""
    if getattr(hook, "_from_public_api", False):
        raise RuntimeError(
            "a hook that was given to register_state_dict_post_hook cannot be registered with "
            "_register_state_dict_hook too: what it returns is refused there and used here."
        )
    return _add_hook(self._state_dict_hooks, hook)


def _register_load_state_dict_pre_hook(self, hook, with_module=False) -> RemovableHandle:
    """Call `hook` with the arguments of `_load_from_state_dict`, the module first if `with_module`."""
    return _add_hook(self._load_state_dict_pre_hooks, _WrappedHook(hook, self if with_module else None))


def register_load_state_dict_pre_hook(self, hook) -> RemovableHandle:
    """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`
    before this module loads its state."""
    return self._register_load_state_dict_pre_hook(hook, with_module=True)


def register_load_state_dict_post_hook(self, hook) -> RemovableHandle:
    """Call `hook(module, incompatible_keys)` after this module and those below it have loaded their state."""
    return _add_hook(self._load_state_dict_post_hooks, hook)
