"""Jacobians, Hessians and their products with vectors, of functions of tensors. Each is made of `torch.autograd.grad`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tenfold as torch

from .._core.autograd.gradients import Linear

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = tuple  # of tensors


def jacobian(
    func: Callable,
    inputs,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
):
    """All derivatives of what func returns with respect to its inputs.

    Args:
        func: a function of tensors that returns a tensor or a tuple of tensors.
        inputs: a tensor or a tuple of tensors.
        create_graph: whether the result can be differentiated again. Default False.
        strict: raise where an output does not depend on an input. Default False: zeros.
        vectorize: compute the rows together. Default False: one after the other, for functions that vmap cannot take.
        strategy: "reverse-mode" (default), or "forward-mode" with vectorize=True, which gives the same numbers.
    Returns: for output (*m) and input (*n) a tensor (*m, *n); tuples where func or inputs are tuples.
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(f"jacobian: strategy is 'reverse-mode' or 'forward-mode', not {strategy!r}")
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError("jacobian: forward mode is only implemented with vectorize=True; leave strategy out")
    if strict and vectorize:
        raise RuntimeError("jacobian: strict=True does not go together with vectorize=True: set one of them to False")
    with torch.enable_grad():
        several_inputs, given = _tuple(inputs, "inputs given to jacobian")
        xs = _prepared(given, create_graph)
        several_outputs, ys = _tuple(func(*xs), "outputs of the user-provided function given to jacobian")
        _check_outputs(ys, strict)
        found = tuple([_rows(y, xs, i, create_graph, strict, vectorize) for i, y in enumerate(ys)])
    inner = tuple([f if several_inputs else f[0] for f in found])
    return inner if several_outputs else inner[0]


def _rows(y, xs: Tensors, number: int, create_graph: bool, strict: bool, together: bool) -> Tensors:
    """The derivatives of each element of one output with respect to all inputs."""
    if together and y.numel() and y.requires_grad:
        n = y.numel()
        basis = torch.eye(n, dtype=y.dtype).reshape((n, *y.shape))
        found = torch.autograd.grad(y, xs, basis, True, create_graph, allow_unused=True, is_grads_batched=True)
        return tuple(
            [
                x.new_zeros((*y.shape, *x.shape)) if g is None else g.reshape((*y.shape, *x.shape))
                for x, g in zip(xs, found)
            ]
        )
    rows: list[list] = [[] for _ in xs]
    flat = y.reshape(-1)
    for k in range(flat.numel()):
        found = _grad((flat[k],), xs, None, create_graph)
        for i, (x, g) in enumerate(zip(xs, found)):
            rows[i].append(
                _filled(g, x, f"Output {number} of the user-provided function is independent of input {i}.", strict)
            )
    shapes = [(*y.shape, *x.shape) for x in xs]
    return tuple([torch.stack(r).view(s) if r else x.new_zeros(s) for r, s, x in zip(rows, shapes, xs)])


def hessian(
    func: Callable,
    inputs,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
):
    """All second derivatives of a function that returns one number.

    Args: as for `jacobian`.
    Returns: for an input (*n) a tensor (*n, *n); for several inputs a tuple of tuples.
    """
    several, given = _tuple(inputs, "inputs given to hessian")

    def first(*xs):
        y = _scalar(func(*xs), "hessian")
        if not y.requires_grad:
            _check_outputs((y,), strict)
            return tuple([torch.zeros_like(x) for x in xs])
        found = _grad((y,), xs, None, True)
        text = "Output 0 of the user-provided function is independent of input {}."
        return tuple([_filled(g, x, text.format(i), strict) for i, (x, g) in enumerate(zip(xs, found))])

    if strict:
        _check_second(first, given)
    found: Any = jacobian(first, given, create_graph, False, vectorize, outer_jacobian_strategy)
    return found if several else found[0][0]


def _check_second(first: Callable, given: Tensors) -> None:
    with torch.enable_grad():
        for i, g in enumerate(first(*_prepared(given, False))):
            if not g.requires_grad:
                raise RuntimeError(
                    "While computing the hessian, found that the jacobian of the user-provided function with respect to"
                    f" input {i} is independent of the input. This is not allowed in strict mode."
                )


def vjp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """func(inputs), and the product of a vector with its Jacobian: the vector from the left.

    Args: v: as the outputs of func; None where that is one number.
    """
    with torch.enable_grad():
        several, given = _tuple(inputs, "inputs given to vjp")
        xs = _prepared(given, create_graph)
        several_outputs, ys = _tuple(func(*xs), "outputs of the user-provided function given to vjp")
        _check_outputs(ys, strict)
        vs = _vector(v, ys, several_outputs, "user-provided function returns")
        found = _grad(ys, xs, vs, create_graph)
        text = "The output of the user-provided function is independent of input {}."
        gs = tuple([_filled(g, x, text.format(i), strict) for i, (x, g) in enumerate(zip(xs, found))])
    return _result(ys, several_outputs, create_graph), _result(gs, several, create_graph)


def jvp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """func(inputs), and the product of its Jacobian with a vector: the vector from the right, by two reverse passes.

    Args: v: as the inputs; None where they are one number.
    """
    with torch.enable_grad():
        several, given = _tuple(inputs, "inputs given to jvp")
        xs = _prepared(given, create_graph)
        vs = _vector(v, xs, several, "input to the user-provided function is")
        several_outputs, ys = _tuple(func(*xs), "outputs of the user-provided function given to jvp")
        _check_outputs(ys, strict)
        products = _forward_product(ys, xs, vs, create_graph, strict)
    return _result(ys, several_outputs, create_graph), _result(products, several_outputs, create_graph)


def _forward_product(ys: Tensors, xs: Tensors, vs: Tensors, create_graph: bool, strict: bool) -> Tensors:
    """J v as the derivative of u J with respect to u, which is linear in u."""
    linear = Linear(ys, xs)
    for i, (x, row) in enumerate(zip(xs, linear.rows)):
        _filled(row, x, f"The output is independent of input {i}.", strict)
    back = linear.tangents(vs, create_graph)
    text = "Output {} of the user-provided function is independent of the inputs."
    return tuple([_filled(g, y, text.format(i), strict) for i, (y, g) in enumerate(zip(ys, back))])


def vhp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """func(inputs), and the product of a vector with its Hessian; func returns one number.

    Args: v: as the inputs; None where they are one number.
    """
    return _hessian_product("vhp", func, inputs, v, create_graph, strict)


def hvp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """func(inputs), and the product of its Hessian, which is symmetric, with a vector: as `vhp`."""
    return _hessian_product("hvp", func, inputs, v, create_graph, strict)


def _hessian_product(name: str, func: Callable, inputs, v, create_graph: bool, strict: bool):
    with torch.enable_grad():
        several, given = _tuple(inputs, f"inputs given to {name}")
        xs = _prepared(given, create_graph)
        vs = _vector(v, xs, several, "input to the user-provided function is")
        y = _scalar(func(*xs), name)
        _check_outputs((y,), strict)
        found = _grad((y,), xs, None, True)
        text = "The output of the user-provided function is independent of input {}."
        first = tuple([_filled(g, x, text.format(i), strict) for i, (x, g) in enumerate(zip(xs, found))])
        text = (
            "While computing the hessian, found that the jacobian of the user-provided function with respect to input {}"
            " is independent of the input."
        )
        back = _grad(first, xs, vs, create_graph)
        products = tuple([_filled(g, x, text.format(i), strict) for i, (x, g) in enumerate(zip(xs, back))])
    return _result((y,), False, create_graph), _result(products, several, create_graph)


# --- what they share --------------------------------------------------------------------------------


def _tuple(x, what: str) -> tuple[bool, Tensors]:
    """Whether x is a sequence of tensors, and the tensors as a tuple."""
    several = isinstance(x, (tuple, list))
    items = tuple(x) if several else (x,)
    for i, t in enumerate(items):
        if not isinstance(t, torch.Tensor):
            where = f"the value at index {i} of the given {what}" if several else f"the given {what}"
            raise TypeError(f"The {what} must be either a Tensor or a tuple of Tensors but {where} has type {type(t)}.")
    return several, items


def _prepared(xs: Tensors, create_graph: bool) -> Tensors:
    """Inputs that gradients flow to: copies with a history if there shall be a graph, else leaves of their own."""
    made = []
    for x in xs:
        if create_graph:
            made.append(x.clone() if x.requires_grad else x.detach().clone().requires_grad_())
        else:
            made.append(x.detach().clone().requires_grad_())
    return tuple(made)


def _grad(ys: Tensors, xs: Tensors, vs: Tensors | None, create_graph: bool) -> Tensors:
    """Gradients of those outputs that have one; None where an input has no part in them."""
    open_ = [i for i, y in enumerate(ys) if y.requires_grad]
    if not open_:
        return (None,) * len(xs)
    weights = None if vs is None else [vs[i] for i in open_]
    return torch.autograd.grad(
        [ys[i] for i in open_], xs, weights, retain_graph=True, create_graph=create_graph, allow_unused=True
    )


def _filled(g, x, text: str, strict: bool):
    """The gradient; where there is none zeros, or an error in strict mode."""
    if g is not None:
        return g
    if strict:
        raise RuntimeError(f"{text} This is not allowed in strict mode.")
    return torch.zeros_like(x)


def _check_outputs(ys: Tensors, strict: bool) -> None:
    for i, y in enumerate(ys):
        if strict and not y.requires_grad:
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients. The outputs must be computed in a"
                " differentiable manner from the input when running in strict mode."
            )


def _scalar(y, name: str):
    if not isinstance(y, torch.Tensor):
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if y.numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")
    return y.reshape(()) if y.ndim else y


def _vector(v, like: Tensors, several: bool, whose: str) -> Tensors:
    """The vector, checked against what it is multiplied with."""
    if v is None:
        if several or like[0].numel() != 1:
            raise RuntimeError(f"The vector v can only be None if the {whose} a single Tensor with a single element.")
        return (torch.ones_like(like[0]),)
    vs = tuple(v) if isinstance(v, (tuple, list)) else (v,)
    if len(vs) != len(like):
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(vs)}.")
    for i, (a, b) in enumerate(zip(vs, like)):
        if a.shape != b.shape:
            entry = f"Entry {i} in v" if several else "v"
            raise RuntimeError(f"{entry} has invalid size: should be {b.shape} but got {a.shape}.")
    return vs


def _result(ts: Tensors, several: bool, create_graph: bool):
    """The tensors as they were given: several or one; without a history unless there shall be one."""
    kept = ts if create_graph else tuple([t.detach() for t in ts])
    return kept if several else kept[0]
