"""The tables of a Module: its parameters, buffers, submodules and hooks.

A `Registry` keeps every entry twice: in itself, and as an ordinary attribute of the module that owns it, so that
reading `self.weight` costs what reading any attribute costs. A write to the table writes the attribute too.
A `HookTable` tells its module whether a call has to look for hooks at all.

Both hold their owner by a weak reference: a module that nobody uses is freed at once, not by the garbage collector.
Pickled or copied, both become plain dicts; `Module.__setstate__` makes tables of them again.
"""

import copy
import weakref
from collections import OrderedDict

__all__ = ["HookTable", "Registry", "structure_version"]

_MISSING = object()


class StructureVersion:
    """A count of all changes to the parameters and submodules of all modules; lists made from them are cached by it."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


structure_version = StructureVersion()


class Registry(dict):
    """Names to parameters, buffers or submodules, kept in step with the attributes of `owner`.

    Args:
        owner: the module.
        entries: what to begin with. Default: nothing.
        structural: whether a change is one of the structure, which cached lists must notice. Default True.
    """

    __slots__ = ("owner", "structural")

    def __init__(self, owner, entries=(), structural=True) -> None:
        self.structural = structural
        self.owner = weakref.ref(owner)
        if entries:
            self.update(entries)

    def __setitem__(self, name, value) -> None:
        dict.__setitem__(self, name, value)
        structure_version.count += self.structural
        owner = self.owner()
        if owner is not None:
            owner.__dict__[name] = value

    def __delitem__(self, name) -> None:
        dict.__delitem__(self, name)
        structure_version.count += self.structural
        owner = self.owner()
        if owner is not None:
            owner.__dict__.pop(name, None)

    def pop(self, name, default=_MISSING):
        if name in self:
            value = self[name]
            del self[name]
            return value
        if default is _MISSING:
            raise KeyError(name)
        return default

    def popitem(self):
        if not self:
            raise KeyError("popitem(): dictionary is empty")
        name = next(reversed(self))
        return name, self.pop(name)

    def clear(self) -> None:
        for name in list(self):
            del self[name]

    def update(self, *args, **kwargs) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def setdefault(self, name, default=None):
        if name not in self:
            self[name] = default
        return self[name]

    def __ior__(self, other):
        self.update(other)
        return self

    def __reduce__(self):
        return (dict, (), None, None, iter(self.items()))


class HookTable(OrderedDict):
    """Ids to hooks, in the order in which they run. A change makes the owner work out again how it is called.

    Args:
        owner: the module; None until `adopt` says which.
        entries: what to begin with. Default: nothing.
    """

    def __init__(self, owner, entries=()) -> None:
        super().__init__()
        self.owner = None if owner is None else weakref.ref(owner)
        if entries:
            self.update(entries)

    def adopt(self, owner) -> None:
        """Belong to `owner` from now on."""
        self.owner = weakref.ref(owner)
        self._changed()

    def _changed(self) -> None:
        owner = None if self.owner is None else self.owner()
        if owner is not None:
            owner._choose_call_path()

    def __setitem__(self, key, hook) -> None:
        super().__setitem__(key, hook)
        self._changed()

    def __delitem__(self, key) -> None:
        super().__delitem__(key)
        self._changed()

    def pop(self, key, default=_MISSING):
        if key in self:
            hook = self[key]
            del self[key]
            return hook
        if default is _MISSING:
            raise KeyError(key)
        return default

    def clear(self) -> None:
        super().clear()
        self._changed()

    def __deepcopy__(self, memo):
        # Stays a HookTable, for the handles that point at it; the module that is being copied adopts it.
        copied = memo[id(self)] = HookTable(None)
        for key, hook in self.items():
            copied[key] = copy.deepcopy(hook, memo)
        return copied

    def __reduce__(self):
        return (OrderedDict, (), None, None, iter(self.items()))
