"""Handles with which a registered hook is taken out again, and the mark that keeps a hook out of a saved tensor."""

import itertools
import warnings
import weakref
from typing import Any

__all__ = ["RemovableHandle", "unserializable_hook", "warn_if_has_hooks"]

_ids = itertools.count()


class RemovableHandle:
    """What registering a hook returns; `remove()` takes the hook out again.

    Also a context manager, which removes the hook on the way out.

    Args:
        hooks_dict: the dict that holds the hook under `handle.id`. Only a weak reference to it is kept.
        extra_dict: one dict, or a list of dicts, with more entries under the same id. Default None.
    """

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = next(_ids)
        self.extra_dict_ref = _references(extra_dict)

    def remove(self) -> None:
        """Take the hook out. Doing so twice is harmless."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = reference()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __enter__(self) -> "RemovableHandle":
        return self

    def __exit__(self, type: Any, value: Any, tb: Any) -> None:
        self.remove()

    def __getstate__(self):
        extras = tuple(reference() for reference in self.extra_dict_ref)
        return (self.hooks_dict_ref(), self.id, extras)

    def __setstate__(self, state) -> None:
        hooks_dict, self.id, extras = state
        # A handle whose hooks are gone points at a dict nobody else has: `remove()` then finds nothing to do.
        self.hooks_dict_ref = weakref.ref(_Hooks() if hooks_dict is None else hooks_dict)
        self.extra_dict_ref = tuple(weakref.ref(_Hooks() if extra is None else extra) for extra in extras)
        _skip_ids_up_to(self.id)


class _Hooks(dict):
    """A dict that can be referred to weakly."""


def _references(extra_dict) -> tuple:
    if extra_dict is None:
        return ()
    if isinstance(extra_dict, list):
        return tuple(weakref.ref(one) for one in extra_dict)
    return (weakref.ref(extra_dict),)


def _skip_ids_up_to(used: int) -> None:
    """A handle that comes from a file must not share its id with one that is registered later."""
    global _ids
    following = next(_ids)
    _ids = itertools.count(max(following, used + 1))


def unserializable_hook(f):
    """Mark `f` as a hook that is dropped, without a warning, when its tensor is saved."""
    f.__torch_unserializable__ = True
    return f


def warn_if_has_hooks(tensor) -> None:
    """Warn for each backward hook of `tensor` that saving the tensor will lose."""
    hooks = getattr(tensor, "_backward_hooks", None)
    if not hooks:
        return
    for hook in hooks.values():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized: files hold data, not functions. "
                "Mark it with tenfold.utils.hooks.unserializable_hook to lose this warning.",
                stacklevel=2,
            )
