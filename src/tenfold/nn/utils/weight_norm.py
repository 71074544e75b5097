"""Weight normalisation by a hook before each forward; `parametrizations.weight_norm` is the newer form."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

import tenfold
from tenfold import Tensor
from tenfold.nn.module import Module
from tenfold.nn.parameter import Parameter, is_lazy

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]

T_module = TypeVar("T_module", bound=Module)


def norm_except_dim(v: Tensor, dim: int | None) -> Tensor:
    """The 2-norm over all dims but one, which are kept with size 1; over all for None or -1, as in PyTorch."""
    if dim is None or dim == -1:
        return tenfold.linalg.vector_norm(v)
    others = [d for d in range(v.dim()) if d != dim % v.dim()]
    if not others:
        return v.abs()
    return tenfold.linalg.vector_norm(v, dim=others, keepdim=True)


def with_norm(g: Tensor, v: Tensor, dim: int | None) -> Tensor:
    """`v`, with the lengths `g`."""
    return v * (g / norm_except_dim(v, dim))


class WeightNorm:
    """The hook: computes the weight from its length `name_g` and its direction `name_v` before each forward."""

    name: str
    dim: int | None

    def __init__(self, name: str, dim: int) -> None:
        self.name = name
        self.dim = dim

    def compute_weight(self, module: Module) -> Any:
        """The weight."""
        return with_norm(getattr(module, self.name + "_g"), getattr(module, self.name + "_v"), self.dim)

    @staticmethod
    def apply(module, name: str, dim: int) -> WeightNorm:
        """Puts the hook on a module and splits its weight."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and hook.name == name:
                raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
        hook = WeightNorm(name, dim)
        weight = getattr(module, name)
        if is_lazy(weight):
            raise ValueError(
                "weight_norm: the module's parameter has no values yet. Run a forward through the module first."
            )
        del module._parameters[name]
        module.register_parameter(name + "_g", Parameter(norm_except_dim(weight, dim).data))
        module.register_parameter(name + "_v", Parameter(weight.data))
        setattr(module, name, hook.compute_weight(module))
        module.register_forward_pre_hook(hook)
        return hook

    def remove(self, module: Module) -> None:
        """Makes the weight a parameter again."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"]
        del module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: T_module, name: str = "weight", dim: int = 0) -> T_module:
    """Splits a weight into `name_g`, its lengths, and `name_v`, its direction: `w = g * v / |v|`.

    Args:
        dim: lengths are taken for each index of this dim; None: one length for all. Default 0.
    Raises: RuntimeError if it was done before.
    Source: Salimans and Kingma 2016, Weight normalization.
    """
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.",
        category=FutureWarning,
        stacklevel=2,
    )
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: T_module, name: str = "weight") -> T_module:
    """Undoes `weight_norm`; ValueError if there is none."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
