"""Derivatives of functions, as functions. All are made of `torch.autograd.grad`, whose results can be differentiated again.

A product with a Jacobian from the right (forward mode) is two of reverse mode: u -> u J is linear in u, and its own product
with v from the left is J v. Rows and columns of a Jacobian are computed together, under `vmap`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tenfold as torch
from tenfold.utils._pytree import TreeSpec, tree_flatten, tree_map, tree_unflatten

from .._core.autograd.gradients import Linear, leaves_of
from .mapping import vmap

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp"]


# --- what they share --------------------------------------------------------------------------------------------------


class _Open:
    """Arguments of a function, the tensors in the chosen ones opened for gradients."""

    def __init__(self, name: str, args: tuple, argnums: int | tuple[int, ...]):
        self.recording = torch.is_grad_enabled()  # outside of the transform
        self.single = isinstance(argnums, int)
        self.numbers = _numbers(argnums, len(args))
        flat, self.tree = tree_flatten([args[n] for n in self.numbers])
        self.own: set[int] = set()
        self.tensors = [self._opened(name, t) for t in flat]
        chosen = tree_unflatten(self.tensors, self.tree)
        self.args = list(args)
        for n, value in zip(self.numbers, chosen):
            self.args[n] = value

    def _opened(self, name: str, t):
        if not isinstance(t, torch.Tensor):
            raise (ValueError if name == "grad" else RuntimeError)(
                f"{name}: what is differentiated by must be Tensors, and an argument holds a {type(t).__name__}"
            )
        if not (t.is_floating_point() or t.is_complex()):
            raise RuntimeError(f"{name}: only Tensors of floating point dtype can require gradients, this is {t.dtype}")
        with torch.enable_grad():
            if t.requires_grad and self.recording:
                return t.clone()
            made = t.detach().clone().requires_grad_()
        self.own.add(id(made))
        return made

    def pack(self, found: Sequence[Any]) -> Any:
        """One value for each opened tensor, nested as the arguments were."""
        nested = tree_unflatten([self.finish(t) for t in found], self.tree)
        return nested[0] if self.single else tuple(nested)

    def finish(self, t):
        """A result: it has a history only where that reaches beyond what was opened here."""
        if not isinstance(t, torch.Tensor) or not t.requires_grad:
            return t
        if self.recording and any([id(leaf) not in self.own for leaf in leaves_of(t)]):
            return t
        return t.detach()


def _numbers(argnums, count: int) -> list[int]:
    if not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    given = (argnums,) if isinstance(argnums, int) else argnums
    if not given:
        raise RuntimeError("argnums must be non-empty: name an argument to differentiate by")
    for n in given:
        if not -count <= n < count:
            raise RuntimeError(f"Got argnum={n}, but only {count} positional inputs")
    found = [n % count for n in given]
    if len(set(found)) < len(found):
        raise RuntimeError(f"argnums elements must be unique, got {tuple(found)}")
    return found


def _split_aux(out, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return out, None
    if not isinstance(out, tuple) or len(out) != 2:
        raise RuntimeError(f"{name}: with has_aux=True the function returns a tuple (output, aux), not {_kind(out)}")
    return out


def _kind(out) -> str:
    return f"a tuple of {len(out)}" if isinstance(out, tuple) else f"a {type(out).__name__}"


def _outputs(out, name: str) -> tuple[list, TreeSpec]:
    ys, tree = tree_flatten(out)
    for y in ys:
        if not isinstance(y, torch.Tensor):
            raise RuntimeError(f"{name}: the function returns only tensors, and this one has returned a {type(y)}")
    return ys, tree


def _cotangents(ys: Sequence, weights: Sequence | None, tensors: Sequence) -> list:
    """The product of the weights with the derivatives of ys by the tensors; zeros where there is no dependence."""
    live = [k for k, y in enumerate(ys) if y.requires_grad]
    if not live:
        return [torch.zeros_like(t) for t in tensors]
    given = None if weights is None else [weights[k] for k in live]
    found = torch.autograd.grad(
        [ys[k] for k in live], tensors, given, retain_graph=True, create_graph=True, allow_unused=True
    )
    return [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, found)]


def _tangents(linear: Linear, ys: Sequence, vs: Sequence) -> list:
    return [torch.zeros_like(y) if t is None else t for y, t in zip(ys, linear.tangents(vs))]


def _linear(ys: list, opened: _Open) -> Linear:
    linear = Linear(ys, opened.tensors)
    opened.own.update([id(u) for u in linear.us if u is not None])
    return linear


# --- gradients --------------------------------------------------------------------------------------------------------


def grad_and_value(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that returns the gradient of func, which returns one number, and its value.

    Args:
        argnums: the arguments to differentiate by, which may be nested. Default 0.
        has_aux: func returns (number, something else); the value is then that pair. Default False.
    """

    @functools.wraps(func)
    def transformed(*args, **kwargs):
        opened = _Open("grad", args, argnums)
        with torch.enable_grad():
            y, aux = _split_aux(func(*opened.args, **kwargs), has_aux, "grad_and_value")
            if not isinstance(y, torch.Tensor):
                raise RuntimeError(f"grad_and_value: the function to differentiate returns a Tensor, not {_kind(y)}")
            if y.ndim:
                raise RuntimeError(
                    f"grad_and_value: the function to differentiate returns a scalar, and this one a tensor with {y.ndim} dims."
                    " Reduce it, as by .sum(), or use vjp or jacrev."
                )
            found = opened.pack(_cotangents([y], None, opened.tensors))
            value = opened.finish(y)
            return (found, (value, tree_map(opened.finish, aux))) if has_aux else (found, value)

    return transformed


def grad(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that returns the gradient of func, which returns one number.

    Args:
        argnums: the arguments to differentiate by, which may be nested. Default 0.
        has_aux: func returns (number, something else), and this function (gradient, something else). Default False.
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def transformed(*args, **kwargs):
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return transformed


# --- products with the Jacobian ---------------------------------------------------------------------------------------


def vjp(func: Callable, *primals, has_aux: bool = False):
    """func(*primals), and a function that multiplies cotangents, nested as what func returns, from the left with the
    Jacobian there: it returns a tuple, an entry for each of the primals.

    Args: has_aux: func returns (outputs, something else), which is then returned as a third. Default False."""
    opened = _Open("vjp", primals, tuple(range(len(primals)))) if primals else None
    with torch.enable_grad():
        out, aux = _split_aux(func(*(opened.args if opened else ())), has_aux, "vjp")
        ys, tree = _outputs(out, "vjp")
        if opened is None:
            raise RuntimeError("vjp: there is nothing to differentiate by: give primals after the function")
        value = tree_unflatten([opened.finish(y) for y in ys], tree)
        rest = tree_map(opened.finish, aux)

    def product(cotangents, retain_graph: bool = True, create_graph: bool | None = None):
        vs, given = tree_flatten(cotangents)
        if given != tree:
            raise RuntimeError(f"vjp: cotangents are nested as the outputs are: {tree}, not {given}")
        opened.recording = torch.is_grad_enabled() if create_graph is None else create_graph
        with torch.enable_grad():
            return opened.pack(_cotangents(ys, vs, opened.tensors))

    return (value, product, rest) if has_aux else (value, product)


def _primals(primals, name: str) -> None:
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{name}: primals is a tuple, the arguments of the function, not {_kind(primals)}")
    flat = tree_flatten(primals)[0]
    if not flat:
        raise RuntimeError(f"{name}: there is no Tensor in primals")
    for x in flat:
        if not isinstance(x, torch.Tensor):
            raise RuntimeError(f"{name}: primals hold only Tensors, and this one holds a {type(x)}")


def jvp(func: Callable, primals, tangents, *, strict: bool = False, has_aux: bool = False):
    """func(*primals), and the product of the Jacobian there with tangents, from the right.

    Args:
        primals, tangents: tuples, nested alike.
        strict: raise where an output does not depend on the primals. Default False: its tangent is zero.
        has_aux: func returns (outputs, something else), which is then returned as a third. Default False.
    """
    _primals(primals, "jvp")
    xs, tree = tree_flatten(primals)
    vs, given = tree_flatten(tangents)
    if given != tree:
        raise RuntimeError(f"jvp: primals and tangents are nested alike, not {tree} and {given}")
    for x, v in zip(xs, vs):
        if x.shape != v.shape:
            raise RuntimeError(f"jvp: a tangent has the size of its primal: {list(x.shape)}, not {list(v.shape)}")
    opened = _Open("jvp", primals, tuple(range(len(primals))))
    with torch.enable_grad():
        out, aux = _split_aux(func(*opened.args), has_aux, "jvp")
        ys, out_tree = _outputs(out, "jvp")
        if strict and not all([y.requires_grad for y in ys]):
            raise RuntimeError("jvp: with strict=True every output depends on the primals, and one does not")
        linear = _linear(ys, opened)
        product = tree_unflatten([opened.finish(t) for t in _tangents(linear, ys, vs)], out_tree)
        value = tree_unflatten([opened.finish(y) for y in ys], out_tree)
        rest = tree_map(opened.finish, aux)
    return (value, product, rest) if has_aux else (value, product)


def linearize(func: Callable, *primals):
    """func(*primals), and the function of tangents that multiplies the Jacobian there with them. func is run once.

    Raises: RuntimeError where tangents are not nested as the primals are, or have other shapes."""
    xs, tree = tree_flatten(primals)
    opened = _Open("linearize", primals, tuple(range(len(primals)))) if primals else None
    with torch.enable_grad():
        out = func(*(opened.args if opened else ()))
        ys, out_tree = _outputs(out, "linearize")
        if opened is None:
            raise RuntimeError("linearize: there is nothing to differentiate by: give primals after the function")
        linear = _linear(ys, opened)
        value = tree_unflatten([opened.finish(y) for y in ys], out_tree)

    def product(*tangents):
        vs, given = tree_flatten(tangents)
        if given != tree:
            raise RuntimeError(f"linearize: tangents are nested as the primals are: {tree}, not {given}")
        for k, (x, v) in enumerate(zip(xs, vs)):
            if x.shape != v.shape or x.dtype != v.dtype:
                raise RuntimeError(
                    f"linearize: tangent {k} has shape {list(v.shape)} and dtype {v.dtype},"
                    f" its primal {list(x.shape)} and {x.dtype}"
                )
        with torch.enable_grad():
            return tree_unflatten([opened.finish(t) for t in _tangents(linear, ys, vs)], out_tree)

    return value, product


# --- Jacobians --------------------------------------------------------------------------------------------------------


def _real(name: str, what: str, tensors: Sequence) -> None:
    """RuntimeError for complex tensors: their derivatives are no plain numbers."""
    for t in tensors:
        if t.is_complex():
            raise RuntimeError(
                f"{name}: {what} are real, and this one is {t.dtype}: use torch.view_as_real, or vjp and jvp"
            )


def _basis(t) -> torch.Tensor:
    """(*n) -> (numel, *n): a one at each place."""
    n = t.numel()
    return torch.eye(n, dtype=t.dtype).reshape((n, *t.shape))


def jacrev(
    func: Callable, argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable:
    """A function that returns all derivatives of what func returns, by rows (reverse mode): for an output (*m) and an
    argument (*n) a tensor (*m, *n).

    Args:
        argnums: the arguments to differentiate by. Default 0.
        has_aux: func returns (outputs, something else), and this function (derivatives, something else). Default False.
        chunk_size: so many rows at a time. Default None: all.
    """
    if chunk_size is not None and not chunk_size > 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def transformed(*args, **kwargs):
        opened = _Open("jacrev", args, argnums)
        _real("jacrev", "inputs", opened.tensors)
        with torch.enable_grad():
            out, aux = _split_aux(func(*opened.args, **kwargs), has_aux, "jacrev")
            ys, tree = _outputs(out, "jacrev")
            for y in ys:
                if not (y.is_floating_point() or y.is_complex()):
                    raise RuntimeError(f"jacrev: outputs are floating-point Tensors, and this one is {y.dtype}")
            _real("jacrev", "outputs", ys)
            found = tree_unflatten([opened.pack(_rows(y, opened.tensors, chunk_size)) for y in ys], tree)
            return (found, tree_map(opened.finish, aux)) if has_aux else found

    return transformed


def _rows(y: torch.Tensor, tensors: list, chunk_size: int | None) -> list:
    """For each tensor (*n) the derivatives (*m, *n) of an output (*m)."""
    shapes = [(*y.shape, *t.shape) for t in tensors]
    if not y.numel() or not y.requires_grad:
        return [t.new_zeros(s) for t, s in zip(tensors, shapes)]
    rows = vmap(lambda v: tuple(_cotangents([y], [v], tensors)), chunk_size=chunk_size)(_basis(y))
    return [r.reshape(s) for r, s in zip(rows, shapes)]


def jacfwd(
    func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable:
    """A function that returns all derivatives of what func returns, by columns (forward mode): the numbers of `jacrev`.

    Args:
        argnums: the arguments to differentiate by. Default 0.
        has_aux: func returns (outputs, something else), and this function (derivatives, something else). Default False.
        randomness: as in vmap; func is run once, so that its random numbers are the same for all columns.
    """

    @functools.wraps(func)
    def transformed(*args, **kwargs):
        opened = _Open("jacfwd", args, argnums)
        _real("jacfwd", "inputs", opened.tensors)
        with torch.enable_grad():
            out, aux = _split_aux(func(*opened.args, **kwargs), has_aux, "jacfwd")
            ys, tree = _outputs(out, "jacfwd")
            _real("jacfwd", "outputs", ys)
            linear = _linear(ys, opened)
            columns = [_columns(linear, ys, k, t) for k, t in enumerate(opened.tensors)]
            found = tree_unflatten([opened.pack([c[k] for c in columns]) for k in range(len(ys))], tree)
            return (found, tree_map(opened.finish, aux)) if has_aux else found

    return transformed


def _columns(linear: Linear, ys: list, number: int, t: torch.Tensor) -> list:
    """For each output (*m) the derivatives (*m, *n) by the tensor of that number, (*n)."""
    shapes = [(*y.shape, *t.shape) for y in ys]
    if not t.numel() or linear.rows[number] is None:
        return [y.new_zeros(s) for y, s in zip(ys, shapes)]

    def column(v):
        vs: list = [None] * len(linear.rows)
        vs[number] = v
        return tuple(_tangents(linear, ys, vs))

    return [c.movedim(0, -1).reshape(s) for c, s in zip(vmap(column)(_basis(t)), shapes)]


def hessian(func: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """A function that returns all second derivatives of func: columns of rows.

    Args: argnums: the arguments to differentiate by. Default 0."""
    return jacfwd(jacrev(func, argnums), argnums)
