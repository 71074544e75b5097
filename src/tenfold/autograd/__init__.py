"""Automatic differentiation: backward, grad, Function, gradient modes, hooks, checks. Names only."""

from .._core.autograd.function import Function
from .._core.autograd.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from .._core.autograd.gradcheck import gradcheck, gradgradcheck
from .._core.autograd.reverse import backward_all as backward
from .._core.autograd.reverse import grad
from .variable import Variable
from . import function

__all__ = [
    "Function",
    "Variable",
    "backward",
    "enable_grad",
    "function",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
]
