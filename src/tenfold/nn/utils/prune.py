"""Pruning: a mask beside a parameter says which of its entries are kept.

Pruning "weight" moves it to the parameter `weight_orig`, adds the buffer `weight_mask`, and a hook computes
`weight = weight_orig * weight_mask` before each forward. Pruning again makes the mask smaller.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable

import tenfold
from tenfold import Tensor
from tenfold.nn.module import Module


class BasePruningMethod(ABC):
    """A way to choose a mask, and the hook that applies it. Subclasses give `compute_mask` and `PRUNING_TYPE`.

    `PRUNING_TYPE` says what a later pruning looks at: "unstructured", entries that are left; "structured", channels
    along `dim` that are left; "global", everything.
    """

    _tensor_name: str

    def __call__(self, module, inputs):
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t, default_mask):
        """The new mask.

        Args:
            t: the importance of each entry, the tensor itself by default.
            default_mask: the mask so far, to be made smaller.
        """

    def apply_mask(self, module):
        """The masked tensor."""
        mask = getattr(module, self._tensor_name + "_mask")
        original = getattr(module, self._tensor_name + "_orig")
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(cls, module, name, *args, importance_scores=None, **kwargs):
        """Prunes a parameter of a module; arguments are the method's own. Returns the hook."""
        old = _take_hook(module, name)
        method = cls(*args, **kwargs)
        method._tensor_name = name
        if old is not None:
            container = old if isinstance(old, PruningContainer) else PruningContainer(old)
            container.add_pruning_method(method)
            method = container
        tensor = getattr(module, name)
        scores = tensor if importance_scores is None else importance_scores
        _check_scores(scores, tensor)
        if old is None:
            module.register_parameter(name + "_orig", tensor)
            del module._parameters[name]
            default_mask = tenfold.ones_like(tensor)
        else:
            default_mask = getattr(module, name + "_mask").detach().clone(memory_format=tenfold.contiguous_format)
        try:
            with tenfold.no_grad():
                mask = method.compute_mask(scores, default_mask=default_mask)
            module.register_buffer(name + "_mask", mask)
            setattr(module, name, method.apply_mask(module))
            module.register_forward_pre_hook(method)
        except Exception:
            if old is None:
                del module._parameters[name + "_orig"]
                module.register_parameter(name, tensor)
            raise
        return method

    def prune(self, t, default_mask=None, importance_scores=None):
        """The masked tensor, without any module.

        Args:
            t: the tensor. default_mask: the mask so far, ones by default. importance_scores: as `t`, by default `t`.
        """
        scores = t if importance_scores is None else importance_scores
        _check_scores(scores, t)
        if default_mask is None:
            default_mask = tenfold.ones_like(t)
        return t * self.compute_mask(scores, default_mask=default_mask)

    def remove(self, module) -> None:
        """Makes the masked tensor the parameter again, for good."""
        name = self._tensor_name
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original = module._parameters.pop(name + "_orig")
        original.data = weight.data
        del module._buffers[name + "_mask"]
        setattr(module, name, original)


def _hooks(module: Module, name: str) -> list:
    """(key, hook) of the pruning hooks of a parameter."""
    hooks = module._forward_pre_hooks.items()
    return [(k, h) for k, h in hooks if isinstance(h, BasePruningMethod) and h._tensor_name == name]


def _take_hook(module: Module, name: str) -> BasePruningMethod | None:
    """The pruning hook of a parameter, taken off the module; None if there is none."""
    found = _hooks(module, name)
    for key, _ in found:
        del module._forward_pre_hooks[key]
    return found[0][1] if found else None


def _check_scores(scores: Tensor, t: Tensor) -> None:
    if scores.shape != t.shape:
        raise AssertionError(
            f"importance_scores should have the same shape as tensor t, got {scores.shape} vs {t.shape}"
        )


class PruningContainer(BasePruningMethod):
    """Several methods that prune the same parameter one after the other; the last one is the one to be computed."""

    def __init__(self, *args) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        if not isinstance(args, Iterable) or any(not isinstance(a, BasePruningMethod) for a in args):
            raise TypeError(f"PruningContainer takes pruning methods, got {[type(a).__name__ for a in args]}")
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method) -> None:
        """One more; it must prune the same parameter."""
        if not isinstance(method, BasePruningMethod) and method is not None:
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None:
            own = getattr(self, "_tensor_name", None)
            if own is not None and own != method._tensor_name:
                raise ValueError(
                    f"Can only add pruning methods acting on the parameter named '{own}' to PruningContainer {self}. "
                    f"Found '{method._tensor_name}'"
                )
            self._tensor_name = method._tensor_name
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self):
        return iter(self._pruning_methods)

    def __getitem__(self, idx):
        return self._pruning_methods[idx]

    def compute_mask(self, t, default_mask):
        """The mask so far, made smaller by the last method where that method's type lets it look."""
        method = self._pruning_methods[-1]
        where = _what_is_left(method, t, default_mask)
        mask = default_mask.clone()
        smaller = method.compute_mask(t[where], default_mask=default_mask[where])
        mask[where] = smaller.to(dtype=mask.dtype)
        return mask


def _what_is_left(method: BasePruningMethod, t: Tensor, mask: Tensor):
    """The index of what a method may look at, after what was pruned before."""
    kind = method.PRUNING_TYPE
    if kind == "unstructured":
        return mask == 1
    if kind == "global":
        return (slice(None),) * t.dim()
    if kind != "structured":
        raise ValueError(f"Unrecognized PRUNING_TYPE {kind}; it is unstructured, structured or global.")
    dim = method.dim % t.dim()
    kept = mask.sum(dim=[d for d in range(t.dim()) if d != dim]) != 0
    return tuple(kept if d == dim else slice(None) for d in range(t.dim()))


# --- methods --------------------------------------------------------------------------------------------------


class Identity(BasePruningMethod):
    """Prunes nothing, but makes the parameter a pruned one."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t, default_mask):
        """The mask so far."""
        return default_mask

    @classmethod
    def apply(cls, module, name):
        """On a module's parameter."""
        return super().apply(module, name)


class _Unstructured(BasePruningMethod):
    """Prunes single entries; `_lowest` says which."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount

    def compute_mask(self, t, default_mask):
        """The mask so far, without `amount` more entries."""
        size = t.nelement()
        count = _compute_nparams_toprune(self.amount, size)
        _validate_pruning_amount(count, size)
        mask = default_mask.clone(memory_format=tenfold.contiguous_format)
        if count:
            mask.view(-1)[self._chosen(t, count)] = 0
        return mask


class RandomUnstructured(_Unstructured):
    """Prunes entries at random.

    Args:
        amount: how many, as an int, or as a fraction of those that are left.
    """

    def _chosen(self, t: Tensor, count: int) -> Tensor:
        return tenfold.topk(tenfold.rand_like(t).view(-1), k=count).indices

    @classmethod
    def apply(cls, module, name, amount):
        """On a module's parameter."""
        return super().apply(module, name, amount=amount)


class L1Unstructured(_Unstructured):
    """Prunes the entries of least absolute value.

    Args:
        amount: how many, as an int, or as a fraction of those that are left.
    """

    def _chosen(self, t: Tensor, count: int) -> Tensor:
        return tenfold.topk(tenfold.abs(t).reshape(-1), k=count, largest=False).indices

    @classmethod
    def apply(cls, module, name, amount, importance_scores=None):
        """On a module's parameter."""
        return super().apply(module, name, amount=amount, importance_scores=importance_scores)


class _Structured(BasePruningMethod):
    """Prunes whole channels along `dim`."""

    PRUNING_TYPE = "structured"

    def compute_mask(self, t, default_mask):
        """The mask so far, without `amount` more channels."""
        _validate_structured_pruning(t)
        _validate_pruning_dim(t, self.dim)
        channels = t.shape[self.dim]
        count = _compute_nparams_toprune(self.amount, channels)
        _validate_pruning_amount(count, channels)
        if not count:
            return default_mask
        shape = [1] * t.dim()
        shape[self.dim] = channels
        kept = self._kept(t, channels, count).to(default_mask.dtype)
        return default_mask * kept.reshape(shape)


class RandomStructured(_Structured):
    """Prunes channels at random.

    Args:
        amount: how many, as an int, or as a fraction of those that are left.
        dim: along which the channels are. Default -1.
    """

    def __init__(self, amount, dim=-1) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount
        self.dim = dim

    def _kept(self, t: Tensor, channels: int, count: int) -> Tensor:
        draws = tenfold.rand(channels)
        return draws > tenfold.kthvalue(draws, k=count).values

    @classmethod
    def apply(cls, module, name, amount, dim=-1):
        """On a module's parameter."""
        return super().apply(module, name, amount=amount, dim=dim)


class LnStructured(_Structured):
    """Prunes the channels of least n-norm.

    Args:
        amount: how many, as an int, or as a fraction of those that are left.
        n: of the norm, as in `torch.norm`.
        dim: along which the channels are. Default -1.
    """

    def __init__(self, amount, n, dim=-1) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount
        self.n = n
        self.dim = dim

    def _kept(self, t: Tensor, channels: int, count: int) -> Tensor:
        largest = tenfold.topk(_compute_norm(t, self.n, self.dim), k=channels - count, largest=True).indices
        kept = tenfold.zeros(channels, device=t.device)
        kept[largest] = 1
        return kept

    @classmethod
    def apply(cls, module, name, amount, n, dim, importance_scores=None):
        """On a module's parameter."""
        return super().apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)


class CustomFromMask(BasePruningMethod):
    """Prunes by a given mask.

    Args:
        mask: 1 for the entries to keep, of the parameter's shape.
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask) -> None:
        self.mask = mask

    def compute_mask(self, t, default_mask):
        """What both masks keep."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(f"the mask has shape {self.mask.shape}, the parameter {default_mask.shape}")
        return default_mask * self.mask.to(dtype=default_mask.dtype)

    @classmethod
    def apply(cls, module, name, mask):
        """On a module's parameter."""
        return super().apply(module, name, mask=mask)


# --- functions ------------------------------------------------------------------------------------------------


def identity(module, name):
    """Makes a parameter a pruned one, of which nothing is pruned; returns the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module, name, amount):
    """Prunes `amount` entries of a parameter at random; returns the module."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module, name, amount, importance_scores=None):
    """Prunes the `amount` entries of least absolute value (or importance); returns the module."""
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module, name, amount, dim):
    """Prunes `amount` channels along `dim` at random; returns the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module, name, amount, n, dim, importance_scores=None):
    """Prunes the `amount` channels along `dim` of least n-norm (of the importance); returns the module."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def global_unstructured(parameters, pruning_method, importance_scores=None, **kwargs) -> None:
    """Prunes entries of several parameters as if they were one.

    Args:
        parameters: (module, name) pairs.
        pruning_method: an unstructured method's class; keyword arguments go to it.
        importance_scores: a dict from those pairs to tensors; the parameters themselves by default.
    Raises: TypeError if the method is not unstructured.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    if importance_scores is not None and not isinstance(importance_scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    parameters = list(parameters)
    importance_scores = importance_scores or {}
    tensors = [getattr(module, name) for module, name in parameters]
    scores = [importance_scores.get(pair, t) for pair, t in zip(parameters, tensors)]
    masks = [getattr(m, n + "_mask", tenfold.ones_like(t)) for (m, n), t in zip(parameters, tensors)]
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            f'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method {pruning_method} of '
            f"type {method.PRUNING_TYPE}"
        )
    method._tensor_name = "temp"
    with tenfold.no_grad():
        flat_scores = tenfold.cat([s.reshape(-1) for s in scores])
        flat_masks = tenfold.cat([m.reshape(-1) for m in masks])
        mask = PruningContainer(method).compute_mask(flat_scores, flat_masks)
    pieces = mask.split([t.numel() for t in tensors])
    for (module, name), tensor, piece in zip(parameters, tensors, pieces):
        custom_from_mask(module, name, mask=piece.view_as(tensor))


def custom_from_mask(module, name, mask):
    """Prunes a parameter by a given mask; returns the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module, name):
    """Makes the pruned parameter an ordinary one for good, zeros included; returns the module."""
    for key, hook in _hooks(module, name):
        hook.remove(module)
        del module._forward_pre_hooks[key]
        return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")


def is_pruned(module) -> bool:
    """Is any parameter of the module, or of a module in it, pruned?"""
    hooks = (hook for m in module.modules() for hook in m._forward_pre_hooks.values())
    return any(isinstance(hook, BasePruningMethod) for hook in hooks)


# --- checks ---------------------------------------------------------------------------------------------------


def _validate_pruning_amount_init(amount) -> None:
    """An int that is not negative, or a float from 0 to 1."""
    if not isinstance(amount, numbers.Real) or isinstance(amount, bool):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    whole = isinstance(amount, numbers.Integral)
    if amount < 0 or (not whole and amount > 1.0):
        raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")


def _validate_pruning_amount(amount, tensor_size) -> None:
    """No more than there is."""
    if isinstance(amount, numbers.Integral) and amount > tensor_size:
        raise ValueError(f"amount={amount} should be smaller than the number of parameters to prune={tensor_size}")


def _validate_structured_pruning(t) -> None:
    """Channels need a second dim."""
    if t.dim() <= 1:
        raise ValueError(
            "Structured pruning can only be applied to multidimensional tensors. "
            f"Found tensor of shape {t.shape} with {t.dim()} dims"
        )


def _compute_nparams_toprune(amount, tensor_size):
    """The amount as a number of entries or channels."""
    return amount if isinstance(amount, numbers.Integral) else round(amount * tensor_size)


def _validate_pruning_dim(t, dim) -> None:
    """A dim of the tensor."""
    if dim >= t.dim():
        raise IndexError(f"Invalid index {dim} for tensor of size {t.shape}")


def _compute_norm(t, n, dim):
    """The n-norm over all dims but one."""
    dim = dim % t.dim()
    return tenfold.norm(t, p=n, dim=[d for d in range(t.dim()) if d != dim])
