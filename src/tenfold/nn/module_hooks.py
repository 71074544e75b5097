"""Calling a Module that has hooks, and the functions that register hooks: for one module, or for all of them.

A module without hooks never comes here: `Module.__call__` asks one flag, which `choose_call_path` keeps.
"""

import functools
import warnings
from collections import OrderedDict

from tenfold import Tensor
from tenfold.utils.hooks import RemovableHandle

from .backward_hook import BackwardHook

__all__ = [
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

_module_class = None  # Module itself, which imports this file


class _GlobalHooks(OrderedDict):
    """Hooks of all modules: while there are any, every call takes the way that looks for hooks."""

    def __setitem__(self, key, hook) -> None:
        super().__setitem__(key, hook)
        choose_global_path()

    def __delitem__(self, key) -> None:
        super().__delitem__(key)
        choose_global_path()

    def pop(self, key, *default):
        result = OrderedDict(self).pop(key, *default)
        if key in self:
            del self[key]
        return result

    def clear(self) -> None:
        super().clear()
        choose_global_path()


_global_forward_pre_hooks = _GlobalHooks()
_global_forward_hooks = _GlobalHooks()
_global_backward_pre_hooks = _GlobalHooks()
_global_backward_hooks = _GlobalHooks()
_global_forward_hooks_always_called: OrderedDict = OrderedDict()
_global_forward_hooks_with_kwargs: OrderedDict = OrderedDict()
_global_buffer_registration_hooks: OrderedDict = OrderedDict()
_global_module_registration_hooks: OrderedDict = OrderedDict()
_global_parameter_registration_hooks: OrderedDict = OrderedDict()
_global_is_full_backward_hook = None


def _has_any_global_hook() -> bool:
    return bool(
        _global_forward_pre_hooks or _global_forward_hooks or _global_backward_pre_hooks or _global_backward_hooks
    )


def choose_global_path() -> None:
    """Set the flag on the class, which an instance without hooks of its own inherits."""
    _module_class._looks_for_hooks = _has_any_global_hook()


def choose_call_path(module) -> None:
    """Set `module`'s own flag where it has hooks or a compiled form; take it away where it has not."""
    state = module.__dict__
    tables = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(state.get(name) for name in tables) or state.get("_compiled_call_impl") is not None:
        state["_looks_for_hooks"] = True
    else:
        state.pop("_looks_for_hooks", None)


# --- the call ---------------------------------------------------------------------------------------------


def call_with_hooks(module, args, kwargs):
    """forward() with every hook around it, global ones first."""
    always_called = _always_called_hooks(module)
    if not always_called:
        return _run(module, args, kwargs, set())
    called: set = set()
    try:
        return _run(module, args, kwargs, called)
    except Exception:
        _call_the_rest(module, args, kwargs, always_called, called)
        raise


def _run(module, args, kwargs, called):
    """`called` collects the ids of the forward hooks that have run, for the case that one of the rest must run."""
    args, kwargs = _run_pre_hooks(module, args, kwargs)
    full_hooks, plain_hooks = _backward_hooks(module)
    pre_hooks = [*_global_backward_pre_hooks.values(), *module._backward_pre_hooks.values()]
    boundary = None
    if full_hooks or pre_hooks:
        boundary = BackwardHook(module, full_hooks, pre_hooks)
        args = boundary.setup_input_hook(args)
    result = module.forward(*args, **kwargs)
    for key, hook, with_kwargs in _forward_hooks(module):
        called.add(key)
        changed = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
        if changed is not None:
            result = changed
    if boundary is not None:
        result = _guard_result(boundary, result, module)
    if plain_hooks:
        _attach_plain_hooks(module, plain_hooks, result)
    return result


def _run_pre_hooks(module, args, kwargs):
    for hook in list(_global_forward_pre_hooks.values()):
        changed = hook(module, args)
        if changed is not None:
            args = changed if isinstance(changed, tuple) else (changed,)
    for key, hook in list(module._forward_pre_hooks.items()):
        if key in module._forward_pre_hooks_with_kwargs:
            changed = hook(module, args, kwargs)
            if changed is None:
                continue
            if not (isinstance(changed, tuple) and len(changed) == 2):
                raise RuntimeError(
                    "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                    f"but the hook of this {type(module).__name__} returned {changed!r}."
                )
            args, kwargs = changed
        else:
            changed = hook(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
    return args, kwargs


def _forward_hooks(module):
    """(id, hook, whether it takes kwargs), global ones first."""
    hooks = [(k, h, k in _global_forward_hooks_with_kwargs) for k, h in _global_forward_hooks.items()]
    hooks += [(k, h, k in module._forward_hooks_with_kwargs) for k, h in module._forward_hooks.items()]
    return hooks


def _always_called_hooks(module):
    always = {**_global_forward_hooks_always_called, **module._forward_hooks_always_called}
    return [row for row in _forward_hooks(module) if row[0] in always]


def _call_the_rest(module, args, kwargs, always_called, called) -> None:
    """After an exception: those hooks that asked to be called in any case. What they raise becomes a warning."""
    for key, hook, with_kwargs in always_called:
        if key in called:
            continue
        try:
            changed = hook(module, args, kwargs, None) if with_kwargs else hook(module, args, None)
        except Exception as error:
            warnings.warn(
                "module forward hook with always_call=True raised an exception that was silenced, because another "
                f"was raised before it: {error}",
                stacklevel=4,
            )
            continue
        if changed is not None:
            warnings.warn(
                f"the result of a forward hook with always_call=True is not used: {type(module).__name__}.forward or "
                "an earlier hook raised an exception.",
                stacklevel=4,
            )


def _backward_hooks(module):
    """The hooks of a backward pass: (those for the module as a whole, those for its last operation)."""
    full, plain = [], []
    (full if _global_is_full_backward_hook else plain).extend(_global_backward_hooks.values())
    (full if module._is_full_backward_hook else plain).extend(module._backward_hooks.values())
    return full, plain


def _guard_result(boundary, result, module):
    if isinstance(result, (Tensor, tuple)):
        return boundary.setup_output_hook(result)
    warnings.warn(
        f"For backward hooks to be called, {type(module).__name__}.forward should return a Tensor or a tuple of "
        f"Tensors; it returned a {type(result).__name__}, so none will be.",
        stacklevel=4,
    )
    return result


def _attach_plain_hooks(module, hooks, result) -> None:
    while not isinstance(result, Tensor):
        result = next(iter(result.values())) if isinstance(result, dict) else result[0]
    node = result.grad_fn
    if node is None:
        return
    for hook in hooks:
        node.register_hook(functools.wraps(hook)(functools.partial(hook, module)))


# --- hooks of one module ----------------------------------------------------------------------------------


def register_forward_pre_hook(self, hook, *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
    """Call `hook(module, args)` before forward; what it returns replaces the arguments.

    Args:
        hook: returns None, one argument or a tuple of all; with `with_kwargs`, None or (args, kwargs).
        prepend: run before the hooks that are there. Default False.
        with_kwargs: call it with the keyword arguments too. Default False.
    Returns: a handle whose `remove()` takes the hook out.
    """
    handle = RemovableHandle(self._forward_pre_hooks, extra_dict=self._forward_pre_hooks_with_kwargs)
    self._forward_pre_hooks[handle.id] = hook
    if with_kwargs:
        self._forward_pre_hooks_with_kwargs[handle.id] = True
    if prepend:
        self._forward_pre_hooks.move_to_end(handle.id, last=False)
    return handle


def register_forward_hook(
    self, hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after forward; what it returns, unless None, replaces the output.

    Args:
        hook: with `with_kwargs` it is called as `hook(module, args, kwargs, output)`.
        prepend: run before the hooks that are there. Default False.
        with_kwargs: call it with the keyword arguments too. Default False.
        always_call: call it also when an exception was raised. Default False.
    Returns: a handle whose `remove()` takes the hook out.
    """
    extra = [self._forward_hooks_with_kwargs, self._forward_hooks_always_called]
    handle = RemovableHandle(self._forward_hooks, extra_dict=extra)
    self._forward_hooks[handle.id] = hook
    if with_kwargs:
        self._forward_hooks_with_kwargs[handle.id] = True
    if always_call:
        self._forward_hooks_always_called[handle.id] = True
    if prepend:
        self._forward_hooks.move_to_end(handle.id, last=False)
    return handle


def register_full_backward_pre_hook(self, hook, prepend: bool = False) -> RemovableHandle:
    """Call `hook(module, grad_output)` when the gradients of the outputs are known; its result replaces them.

    Args:
        prepend: run before the hooks that are there. Default False.
    Returns: a handle whose `remove()` takes the hook out.
    """
    handle = RemovableHandle(self._backward_pre_hooks)
    self._backward_pre_hooks[handle.id] = hook
    if prepend:
        self._backward_pre_hooks.move_to_end(handle.id, last=False)
    return handle


def register_full_backward_hook(self, hook, prepend: bool = False) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` when the gradients of the inputs are known.

    What it returns, unless None, replaces `grad_input`.

    Args:
        prepend: run before the hooks that are there. Default False.
    Returns: a handle whose `remove()` takes the hook out.
    Raises: RuntimeError if the module has hooks of the other kind (`register_backward_hook`).
    """
    if self._is_full_backward_hook is False:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks on a single Module: this "
            f"{type(self).__name__} has regular ones. Use register_full_backward_hook for all."
        )
    self._is_full_backward_hook = True
    handle = RemovableHandle(self._backward_hooks)
    self._backward_hooks[handle.id] = hook
    if prepend:
        self._backward_hooks.move_to_end(handle.id, last=False)
    return handle


def register_backward_hook(self, hook) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` with the gradients of the last operation in forward.

    Prefer `register_full_backward_hook`, which sees the gradients of the whole module.

    Returns: a handle whose `remove()` takes the hook out.
    Raises: RuntimeError if the module has full backward hooks.
    """
    if self._is_full_backward_hook is True:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks on a single Module: this "
            f"{type(self).__name__} has full ones. Use register_full_backward_hook for all."
        )
    self._is_full_backward_hook = False
    handle = RemovableHandle(self._backward_hooks)
    self._backward_hooks[handle.id] = hook
    return handle


# --- hooks of all modules ---------------------------------------------------------------------------------


def _register(table, hook) -> RemovableHandle:
    handle = RemovableHandle(table)
    table[handle.id] = hook
    return handle


def register_module_forward_pre_hook(hook) -> RemovableHandle:
    """Call `hook(module, args)` before the forward of every module. Returns a handle to remove it."""
    return _register(_global_forward_pre_hooks, hook)


def register_module_forward_hook(hook, *, with_kwargs: bool = False, always_call: bool = False) -> RemovableHandle:
    """Call `hook(module, args, output)` after the forward of every module. Returns a handle to remove it."""
    extra = [_global_forward_hooks_with_kwargs, _global_forward_hooks_always_called]
    handle = RemovableHandle(_global_forward_hooks, extra_dict=extra)
    _global_forward_hooks[handle.id] = hook
    if with_kwargs:
        _global_forward_hooks_with_kwargs[handle.id] = True
    if always_call:
        _global_forward_hooks_always_called[handle.id] = True
    return handle


def register_module_full_backward_pre_hook(hook) -> RemovableHandle:
    """Call `hook(module, grad_output)` in the backward pass of every module. Returns a handle to remove it."""
    return _register(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` in the backward pass of every module. Returns a handle."""
    return _register_global_backward(hook, True)


def register_module_backward_hook(hook) -> RemovableHandle:
    """As `register_module_full_backward_hook`, with the gradients of each module's last operation only."""
    return _register_global_backward(hook, False)


def _register_global_backward(hook, full: bool) -> RemovableHandle:
    global _global_is_full_backward_hook
    if _global_is_full_backward_hook is not None and _global_is_full_backward_hook is not full:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Register all of them with register_module_full_backward_hook."
        )
    _global_is_full_backward_hook = full
    return _register(_global_backward_hooks, hook)


def register_module_parameter_registration_hook(hook) -> RemovableHandle:
    """Call `hook(module, name, parameter)` whenever a parameter is registered; its result replaces it."""
    return _register(_global_parameter_registration_hooks, hook)


def register_module_buffer_registration_hook(hook) -> RemovableHandle:
    """Call `hook(module, name, buffer)` whenever a buffer is registered; its result replaces it."""
    return _register(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook) -> RemovableHandle:
    """Call `hook(module, name, submodule)` whenever a submodule is registered; its result replaces it."""
    return _register(_global_module_registration_hooks, hook)


def replaced_by(hooks, module, name, value):
    """`value` after every registration hook had its say."""
    for hook in list(hooks.values()):
        changed = hook(module, name, value)
        if changed is not None:
            value = changed
    return value
