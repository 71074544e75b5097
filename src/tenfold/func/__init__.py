"""Functional transforms: functions that take a function and return its derivative, or itself for many inputs at once.

derivatives.py  grad, vjp, jvp, jacobians; made of `torch.autograd.grad`, forward mode of two reverse passes
mapping.py      vmap
modules.py      modules as functions of their parameters
rearranging.py  rearrange"""

from .derivatives import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from .mapping import debug_unwrap, vmap
from .modules import functional_call, functionalize, replace_all_batch_norm_modules_, stack_module_state
from .rearranging import rearrange

__all__ = [
    "debug_unwrap",
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "rearrange",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]
