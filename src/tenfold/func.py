"""Functional transforms: functions that take a function and return its derivative. Made of `torch.autograd.grad`.

What was computed keeps its history where an argument requires grad, so that transforms of transforms work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tenfold as torch
from tenfold.nn.utils.stateless import _functional_call
from tenfold.utils._pytree import tree_flatten, tree_map, tree_unflatten

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "stack_module_state",
    "vjp",
]


def functional_call(
    module,
    parameter_and_buffer_dicts: dict | Sequence[dict],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
):
    """Calls a module with other tensors in the place of its parameters and buffers, without changing it.

    Args:
        parameter_and_buffer_dicts: tensors by name; or several such dictionaries, no name in two of them.
        args, kwargs: for the call; one argument may be given without its tuple.
        tie_weights: a tensor that has several names in the module is replaced at all of them. Default True.
        strict: names must be exactly the module's. Default False.
    """
    given = parameter_and_buffer_dicts
    if not isinstance(given, dict):
        merged: dict = {}
        for d in given:
            twice = sorted(set(merged) & set(d))
            if twice:
                raise ValueError(f"functional_call: {twice} appeared in multiple dictionaries; behavior is ambiguous")
            merged.update(d)
        given = merged
    return _functional_call(module, given, args, kwargs, tie_weights=tie_weights, strict=strict)


class _Open:
    """Arguments of a function, the chosen ones opened for gradients."""

    def __init__(self, args: tuple, argnums: int | tuple[int, ...]):
        self.single = isinstance(argnums, int)
        self.numbers = [self._number(n, len(args)) for n in ((argnums,) if isinstance(argnums, int) else argnums)]
        flat, self.tree = tree_flatten([args[n] for n in self.numbers])
        for t in flat:
            if not isinstance(t, torch.Tensor):
                raise ValueError(f"Thing passed to transform API must be Tensor, got {type(t)}")
        self.history = any(t.requires_grad for t in flat)
        self.tensors = [t.clone() if t.requires_grad else t.detach().clone().requires_grad_() for t in flat]
        chosen = tree_unflatten(self.tensors, self.tree)
        self.args = list(args)
        for n, value in zip(self.numbers, chosen):
            self.args[n] = value

    @staticmethod
    def _number(n: int, count: int) -> int:
        if not -count <= n < count:
            raise RuntimeError(f"Got argnum={n}, but only {count} positional inputs")
        return n % count

    def pack(self, found: Sequence[Any]) -> Any:
        """One value for each opened tensor, nested as the arguments were."""
        nested = tree_unflatten([self.finish(t) for t in found], self.tree)
        return nested[0] if self.single else tuple(nested)

    def finish(self, t):
        """A result, without its history where no argument had one."""
        return t if self.history or not isinstance(t, torch.Tensor) else t.detach()


def _derivatives(y: torch.Tensor, weight, tensors: list) -> list:
    if not y.requires_grad:
        return [torch.zeros_like(t) for t in tensors]
    found = torch.autograd.grad(y, tensors, weight, retain_graph=True, create_graph=True, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, found)]


def _split_aux(out, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return out, None
    if not isinstance(out, tuple) or len(out) != 2:
        raise RuntimeError(
            f"{name}(f)(*args): output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return out


def grad_and_value(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that returns the gradient of func, which returns one number, and its value.

    Args: argnums: the arguments to differentiate by; has_aux: func returns (number, something else).
    """

    def transformed(*args, **kwargs):
        with torch.enable_grad():
            opened = _Open(args, argnums)
            y, aux = _split_aux(func(*opened.args, **kwargs), has_aux, "grad_and_value")
            if not isinstance(y, torch.Tensor) or y.ndim:
                shape = f"tensor with {y.ndim} dims" if isinstance(y, torch.Tensor) else str(type(y))
                raise RuntimeError(
                    f"grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got {shape}."
                    " Reduce it, as by .sum(), or give vjp a vector."
                )
            found = opened.pack(_derivatives(y, None, opened.tensors))
        value = opened.finish(y)
        return (found, (value, tree_map(opened.finish, aux))) if has_aux else (found, value)

    return transformed


def grad(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that returns the gradient of func, which returns one number.

    Args: argnums: the arguments to differentiate by; has_aux: func returns (number, something else).
    """
    both = grad_and_value(func, argnums, has_aux)

    def transformed(*args, **kwargs):
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return transformed


def vjp(func: Callable, *primals, has_aux: bool = False):
    """func(*primals), and a function that multiplies a vector from the left with the Jacobian there."""
    with torch.enable_grad():
        opened = _Open(primals, tuple(range(len(primals))))
        out, aux = _split_aux(func(*opened.args), has_aux, "vjp")
    ys, tree = tree_flatten(out)

    def product(cotangents, retain_graph: bool = True, create_graph: bool | None = None):
        vs, _ = tree_flatten(cotangents)
        if len(vs) != len(ys):
            raise RuntimeError(f"vjp: the function has {len(ys)} outputs, and {len(vs)} cotangents were given")
        with torch.enable_grad():
            parts = [_derivatives(y, v, opened.tensors) for y, v in zip(ys, vs)]
            return opened.pack([sum(p[1:], p[0]) for p in zip(*parts)])

    value = tree_unflatten([opened.finish(y) for y in ys], tree)
    return (value, product, tree_map(opened.finish, aux)) if has_aux else (value, product)


def jvp(func: Callable, primals, tangents, *, strict: bool = False, has_aux: bool = False):
    """func(*primals), and the product of the Jacobian there with a vector, by two reverse passes."""
    primals, tangents = tuple(primals), tuple(tangents)
    if len(primals) != len(tangents):
        raise RuntimeError(f"jvp: {len(primals)} primals need as many tangents, not {len(tangents)}")
    with torch.enable_grad():
        opened = _Open(primals, tuple(range(len(primals))))
        out, aux = _split_aux(func(*opened.args), has_aux, "jvp")
        ys, tree = tree_flatten(out)
        vs, _ = tree_flatten(list(tangents))
        products = [_tangent(y, opened.tensors, vs, strict) for y in ys]
    value = tree_unflatten([opened.finish(y) for y in ys], tree)
    product = tree_unflatten([opened.finish(p) for p in products], tree)
    return (value, product, tree_map(opened.finish, aux)) if has_aux else (value, product)


def _tangent(y: torch.Tensor, tensors: list, vs: list, strict: bool) -> torch.Tensor:
    """J v as the derivative of u J with respect to u, which is linear in u."""
    if not y.requires_grad:
        if strict:
            raise RuntimeError("jvp(f, primals, tangents, strict=True): an output of f is independent of the inputs")
        return torch.zeros_like(y)
    u = torch.zeros_like(y, requires_grad=True)
    rows = _derivatives(y, u, tensors)
    total = sum([(r * v).sum() for r, v in zip(rows[1:], vs[1:])], (rows[0] * vs[0]).sum())
    return _derivatives(total, None, [u])[0]


def jacrev(
    func: Callable, argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable:
    """A function that returns all derivatives of what func returns, row by row.

    Args: chunk_size: accepted; rows are computed one after the other.
    """

    def transformed(*args, **kwargs):
        with torch.enable_grad():
            opened = _Open(args, argnums)
            out, aux = _split_aux(func(*opened.args, **kwargs), has_aux, "jacrev")
            ys, tree = tree_flatten(out)
            found = tree_unflatten([opened.pack(_rows(y, opened.tensors)) for y in ys], tree)
        return (found, tree_map(opened.finish, aux)) if has_aux else found

    return transformed


def _rows(y: torch.Tensor, tensors: list) -> list:
    """For each tensor (*n) the derivatives (*m, *n) of an output (*m)."""
    flat = y.reshape(-1)
    rows = [_derivatives(flat[k], None, tensors) for k in range(flat.numel())]
    shapes = [(*y.shape, *t.shape) for t in tensors]
    if not rows:
        return [t.new_zeros(s) for t, s in zip(tensors, shapes)]
    return [torch.stack(list(column)).reshape(s) for column, s in zip(zip(*rows), shapes)]


def jacfwd(
    func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable:
    """The numbers of `jacrev`; tenfold has no forward mode, so they are computed by rows."""
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """A function that returns all second derivatives of func."""
    return jacrev(jacrev(func, argnums), argnums)


def stack_module_state(models) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of models of one kind, stacked along a new first dim, and their buffers."""
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if any(m.training != models[0].training for m in models) or any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError(
            "stack_module_state: Expected all models to be of one class and to have the same training mode."
        )

    def stacked(named: list[dict]) -> dict[str, Any]:
        return {k: torch.stack([n[k] for n in named]) for k in named[0]}

    parameters = stacked([{k: p.detach() for k, p in m.named_parameters()} for m in models])
    for t in parameters.values():
        t.requires_grad_()
    return parameters, stacked([dict(m.named_buffers()) for m in models])
