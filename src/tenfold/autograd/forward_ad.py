"""Forward mode: tensors that carry a tangent, for the length of a level.

    with forward_ad.dual_level():
        y = f(forward_ad.make_dual(x, t))
        forward_ad.unpack_dual(y).tangent       # the Jacobian of f at x, times t

Inside, a dual tensor is one whose history begins there, and the tangent of what was made from it is worked out when it is
asked for, by two reverse passes (as `torch.func.jvp`). So gradients are recorded in a level even where they were not around
it, and what is computed under a `no_grad` in it carries no tangent."""

from __future__ import annotations

import functools
from typing import NamedTuple

import tenfold as torch

from .._core.autograd.gradients import Linear, leaves_of

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """A tensor without its tangent, and the tangent, None where there is none."""

    primal: torch.Tensor
    tangent: torch.Tensor | None


class _Level:
    """The dual tensors of a level: (what its history begins at, the tangent) of each."""

    def __init__(self):
        self.mode = torch.is_grad_enabled()
        self.duals: list[tuple[torch.Tensor, torch.Tensor]] = []


_levels: list[_Level] = []


def _level(level: int | None, what: str) -> _Level:
    number = len(_levels) - 1 if level is None else level
    if number < 0:
        raise RuntimeError(f"{what}: there is no level of forward mode: call enter_dual_level(), or use dual_level()")
    if number >= len(_levels):
        raise RuntimeError(f"{what}: there is no level {number} of forward mode, only {len(_levels)} from 0 on")
    return _levels[number]


def enter_dual_level() -> int:
    """Begins a level; returns its number. RuntimeError inside of another: there can be one at a time."""
    if _levels:
        raise RuntimeError(
            "Nested forward mode AD is not supported: end the level that there is, or use torch.func.jvp"
        )
    _levels.append(_Level())
    torch.set_grad_enabled(True)
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Ends a level (the last one): tensors lose their tangents."""
    number = len(_levels) - 1 if level is None else level
    if number < 0 or number != len(_levels) - 1:
        raise RuntimeError(f"exit_dual_level: levels end from the last one on, and there are {len(_levels)}")
    torch.set_grad_enabled(_levels.pop().mode)


class dual_level:
    """A context in which tensors may carry tangents: `with dual_level(): ...`, or a decorator of a function."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *error) -> None:
        exit_dual_level()

    def __call__(self, f):
        @functools.wraps(f)
        def decorated(*args, **kwargs):
            with self:
                return f(*args, **kwargs)

        return decorated


def make_dual(tensor: torch.Tensor, tangent: torch.Tensor, *, level: int | None = None) -> torch.Tensor:
    """A tensor with the values of `tensor` that carries a tangent, of its shape.

    Raises: RuntimeError outside of a level, for other sizes, and where it carries one already; ValueError for integers."""
    if not tensor.is_floating_point() and not tensor.is_complex():
        raise ValueError(f"make_dual: the primal is floating point or complex, not {tensor.dtype}")
    if not tangent.is_floating_point() and not tangent.is_complex():
        raise ValueError(f"make_dual: the tangent is floating point or complex, not {tangent.dtype}")
    at = _level(level, "make_dual")
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            f"make_dual: a tangent has the size of its primal: {list(tensor.shape)}, not {list(tangent.shape)}"
        )
    if _linear(tensor, at) is not None:
        raise RuntimeError("make_dual: the tensor carries a tangent of this level already")
    begin = tensor.clone() if tensor.requires_grad else tensor.detach().clone().requires_grad_()
    at.duals.append((begin, tangent))
    return begin.clone()


def unpack_dual(tensor: torch.Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The tensor without its tangent, and the tangent: None where it was not made from a dual tensor of the level."""
    if level is None and not _levels:
        return UnpackedDualTensor(tensor, None)
    at = _level(level, "unpack_dual")
    linear = _linear(tensor, at)
    if linear is None:
        return UnpackedDualTensor(tensor, None)
    tangent = linear.tangents([t for _, t in at.duals])[0]
    own = {id(t) for t in (*[begin for begin, _ in at.duals], *linear.us)}
    return UnpackedDualTensor(
        *[_finished(t, own) for t in (tensor, torch.zeros_like(tensor) if tangent is None else tangent)]
    )


def _linear(tensor: torch.Tensor, at: _Level) -> Linear | None:
    """The derivatives of a tensor by what the duals of a level begin at; None where it depends on none of them."""
    if not tensor.requires_grad or not at.duals:
        return None
    linear = Linear([tensor], [begin for begin, _ in at.duals])
    return None if all([row is None for row in linear.rows]) else linear


def _finished(t: torch.Tensor, own: set[int]) -> torch.Tensor:
    """With a history only where that reaches beyond the level."""
    return t if t.requires_grad and any([id(leaf) not in own for leaf in leaves_of(t)]) else t.detach()
