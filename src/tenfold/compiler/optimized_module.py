"""`OptimizedModule`: what `compile` makes of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..nn import Module


class OptimizedModule(Module):
    """What `compile` makes of a module: calls go to `_orig_mod`, and so do attributes, read and written.

    As in PyTorch, it has the module as a child: keys of its `state_dict` begin with `_orig_mod.`.

    Args:
        mod: the module.
        forward: what is called; it replays the module's calls."""

    def __init__(self, mod: Module, forward: Callable):
        super().__init__()
        state = self.__dict__
        state.pop("training")
        self._modules["_orig_mod"] = mod
        state["forward"] = forward

    @property
    def training(self) -> bool:  # type: ignore[override]
        return self._orig_mod.training

    @training.setter
    def training(self, mode: bool) -> None:
        self._orig_mod.training = mode

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__.get("_modules", {})
        if name == "_orig_mod":
            if name in modules:
                return modules[name]
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN or name == "_orig_mod":
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._orig_mod, name)

    def __len__(self) -> int:
        return len(self._orig_mod)  # type: ignore[arg-type]

    def __iter__(self):
        return iter(self._orig_mod)  # type: ignore[call-overload]

    def __getitem__(self, key):
        return self._orig_mod[key]  # type: ignore[index]

    def __contains__(self, key) -> bool:
        return key in self._orig_mod  # type: ignore[operator]

    def __bool__(self) -> bool:
        return True

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *dir(self._orig_mod)})

    def __reduce__(self):
        from .compiling import compile

        return compile, (self._orig_mod,)


_OWN = frozenset([*Module().__dict__, "_looks_for_hooks", "_compiled_call_impl"]) - {"training"}
