"""Parametrizations: a parameter or buffer that is computed from others whenever it is read.

`register_parametrization(linear, "weight", Symmetric())` moves the weight to
`linear.parametrizations.weight.original`, and `linear.weight` becomes a property that gives `Symmetric()(original)`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import contextmanager

import tenfold
from tenfold import Tensor
from tenfold.nn.container import ModuleDict, ModuleList
from tenfold.nn.module import Module
from tenfold.nn.parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_caching = 0  # how many `cached()` blocks we are in
_cache: dict[tuple[int, str], Tensor] = {}


@contextmanager
def cached():
    """Within it, each parametrized tensor is computed once and then remembered; forgotten at the end."""
    global _caching
    _caching += 1
    try:
        yield
    finally:
        _caching -= 1
        if not _caching:
            _cache.clear()


def _register(module: Module, name: str, value: Tensor) -> None:
    """As a parameter if it is one, as a buffer else."""
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _replace(old: Tensor, new: Tensor) -> None:
    """Gives the tensor that others hold another's values, of whatever shape."""
    old.data = new.detach()


def _refuse_change(what: str, before, after, function: str) -> None:
    """ValueError: a parametrization changed shape or dtype."""
    raise ValueError(
        f"Registering a parametrization may not change the {what} of the tensor, unless the `unsafe` flag is enabled.\n"
        f"unparametrized {what}: {before}\n{function} {what}: {after}"
    )


def _check_same(before: Tensor, after, function: str) -> None:
    if not isinstance(after, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(after).__name__} from {function}.")
    if after.dtype != before.dtype:
        _refuse_change("dtype", before.dtype, after.dtype, function)
    if after.shape != before.shape:
        _refuse_change("shape", before.shape, after.shape, function)


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied one after the other to what it was originally.

    Args:
        modules: the parametrizations.
        original: the tensor. Kept as `original`, or, if the first one takes several, as `original0`, `original1`, ...
            A parametrization's `right_inverse`, where it has one, says what is kept.
        unsafe: no check that shape and dtype stay. Default False.
    Raises: ValueError if they do not stay, or no tensor comes out.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor | Parameter, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        with tenfold.no_grad():
            new = original
            for module in reversed(self):
                if hasattr(module, "right_inverse"):
                    try:
                        new = module.right_inverse(new)
                    except NotImplementedError:
                        pass  # then what is there is what is kept
        if not isinstance(new, Tensor) and not isinstance(new, Sequence):
            raise ValueError(
                f"'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
                f"{type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            self._keep_one(original, new)
        else:
            self._keep_several(original, new)
        if not unsafe:
            result = self()
            if not isinstance(result, Tensor):
                raise ValueError(f"A parametrization must return a tensor. Got {type(result).__name__}.")
            if result.dtype != dtype:
                _refuse_change("dtype", dtype, result.dtype, "parametrized")
            if result.shape != shape:
                _refuse_change("shape", shape, result.shape, "parametrized")

    def _keep_one(self, original: Tensor, new: Tensor) -> None:
        if new.dtype != original.dtype:
            raise ValueError(
                "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {new.dtype}"
            )
        if new.device != original.device:
            raise ValueError(
                "When `right_inverse` outputs one tensor, it may not change the device.\n"
                f"original.device: {original.device}\nright_inverse(original).device: {new.device}"
            )
        if new is not original:
            _replace(original, new)
        _register(self, "original", original)

    def _keep_several(self, original: Tensor, new: Sequence) -> None:
        for i, value in enumerate(new):
            if not isinstance(value, Tensor):
                raise ValueError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                    f"Got element {i} of the sequence with type {type(value).__name__}."
                )
            if isinstance(original, Parameter):
                value = Parameter(value, original.requires_grad)
            _register(self, f"original{i}", value)

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Changes the originals so that the parametrized tensor becomes `value`; what an assignment to it does.

        Raises: RuntimeError if a parametrization has no `right_inverse`; ValueError if the dtype does not fit.
        """
        with tenfold.no_grad():
            for module in reversed(self):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
                value = module.right_inverse(value)
            values = [value] if self.is_tensor else list(value)
            if len(values) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return a sequence of length {self.ntensors}. Got {len(values)}."
                )
            for i, (old, new) in enumerate(zip(self._originals(), values)):
                name = "original" if self.is_tensor else f"original{i}"
                if not isinstance(new, Tensor):
                    raise ValueError(f"`right_inverse` should return a tensor for `{name}`. Got {type(new).__name__}")
                if new.dtype != old.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has dtype {new.dtype} while `{name}` has dtype "
                        f"{old.dtype}"
                    )
                _replace(old, new)

    def forward(self) -> Tensor:
        """The parametrized tensor."""
        value = self[0](*self._originals())
        for i in range(1, len(self)):
            value = self[i](value)
        return value


# --- the class of a parametrized module -----------------------------------------------------------------------


def _refuse_pickling(self):
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict(): "
        "save model.state_dict(), and load it into a model that was parametrized in the same way."
    )


def _deepcopy(self, memo):
    """Copies the module's dictionary, since its class refuses to be pickled."""
    existing = memo.get(id(self))
    if existing is not None:
        return existing
    replica = self.__new__(type(self))
    memo[id(self)] = replica
    replica.__dict__ = copy.deepcopy(self.__dict__, memo)
    return replica


def _give_own_class(module: Module) -> None:
    """Makes the module the only one of a new class, which can have properties of its own."""
    cls = type(module)
    members = {"__getstate__": _refuse_pickling}
    if not hasattr(cls, "__deepcopy__"):
        members["__deepcopy__"] = _deepcopy
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), {**members, "__module__": __name__})


def _give_property(module: Module, name: str) -> None:
    """Reading `module.name` computes it, assigning to it changes the originals."""

    def read(self) -> Tensor:
        if not _caching:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def assign(self, value) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(read, assign))


# --- public ---------------------------------------------------------------------------------------------------


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Makes a parameter or buffer of a module the result of a parametrization; several may be registered.

    Args:
        module: the module; it is changed and returned.
        tensor_name: the parameter or buffer.
        parametrization: a module from the original to what is used. Its `right_inverse(value)`, if it has one, gives
            an original (or several) for a value; assigning to the tensor needs it.
        unsafe: allow it to change shape or dtype. Default False.
    Raises: ValueError if there is no such tensor, or shape or dtype would change.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_further(getattr(module, tensor_name), parametrization)
        module.parametrizations[tensor_name].append(parametrization)
        module.parametrizations[tensor_name].unsafe |= unsafe
        return module
    if tensor_name not in module._buffers and tensor_name not in module._parameters:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    parametrizations = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe=unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        _give_own_class(module)
        module.parametrizations = ModuleDict()
    _give_property(module, tensor_name)
    module.parametrizations[tensor_name] = parametrizations
    return module


def _check_further(before: Tensor, parametrization: Module) -> None:
    """A parametrization on top of others: shape and dtype stay, there and back."""
    after = parametrization(before)
    _check_same(before, after, f"{type(parametrization).__name__}(...)")
    if hasattr(parametrization, "right_inverse"):
        _check_same(before, parametrization.right_inverse(after), f"{type(parametrization).__name__}.right_inverse")


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Has the module a parametrization, of that tensor if one is named?"""
    parametrizations = getattr(module, "parametrizations", None)
    if not isinstance(parametrizations, ModuleDict):
        return False
    return len(parametrizations) > 0 if tensor_name is None else tensor_name in parametrizations


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Undoes `register_parametrization`.

    Args:
        leave_parametrized: keep the present result as the tensor's value (default), or the original.
    Raises: ValueError if there is no such parametrization, or if there are several originals to be kept.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    parametrizations = module.parametrizations[tensor_name]
    if parametrizations.is_tensor:
        original = parametrizations.original
        if leave_parametrized:
            with tenfold.no_grad():
                _replace(original, getattr(module, tensor_name))
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class that the module had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Gives a module the parametrizations of another, of one tensor or all, and the originals they work on."""
    if not is_parametrized(from_module):
        return to_module
    if tensor_name is not None and not is_parametrized(from_module, tensor_name):
        raise ValueError(f"{type(from_module).__name__} has no parametrization on {tensor_name}")
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
    for name in names:
        source = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            value = getattr(from_module, name)
            setattr(
                to_module, name, Parameter(value.detach()) if isinstance(source._originals()[0], Parameter) else value
            )
        for parametrization in source:
            register_parametrization(to_module, name, parametrization)
        target = to_module.parametrizations[name]
        kept = ["original"] if source.is_tensor else [f"original{i}" for i in range(source.ntensors)]
        for key in kept:
            setattr(target, key, getattr(source, key))
    return to_module
