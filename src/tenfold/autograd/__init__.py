"""Automatic differentiation: backward, grad, Function, gradient modes, hooks, checks. Names only."""

from .._core.autograd.anomaly import detect_anomaly, set_detect_anomaly
from .._core.autograd.function import Function
from .._core.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
)
from .._core.autograd.gradcheck import gradcheck, gradgradcheck
from .._core.autograd.gradients import backward_all as backward
from .._core.autograd.gradients import grad
from . import forward_ad, function, functional
from .variable import Variable


def __getattr__(name: str):
    if name == "profiler":  # waits for its first use
        from importlib import import_module

        return import_module(f"{__name__}.profiler")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'", name=name)


__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]
