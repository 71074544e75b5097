"""vmap: a function of one slice as a function of all."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tenfold as torch
from tenfold.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from .._core.trace.handle import tls
from .._core.trace.level import Level, Outside

__all__ = ["debug_unwrap", "vmap"]


def vmap(
    func: Callable,
    in_dims: int | tuple = 0,
    out_dims: int | tuple[int, ...] = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable:
    """A function that applies func to each slice of its arguments, all at once, and stacks what it returns.

    Args:
        func: a function of tensors, nested as it likes. It is run once; it may not read values of tensors.
        in_dims: for each argument the dim that holds the slices, or None where it is the same for all; an int for all
            of them, or nested as the arguments. Default 0. Keyword arguments are the same for all.
        out_dims: where that dim stands in the results; None for what is the same for all slices. Default 0.
        randomness: what random operations do: "error" (default), "same" numbers for all slices, or "different" ones.
        chunk_size: at most so many slices at a time. Default None: all.
    Raises: ValueError where in_dims or out_dims do not fit; RuntimeError where func reads a value."""
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"vmap: randomness is 'error', 'different' or 'same', not {randomness!r}")
    if chunk_size is not None and not chunk_size > 0:
        raise ValueError(f"vmap: chunk_size is a positive number of slices or None, not {chunk_size}")

    @functools.wraps(func)
    def mapped(*args, **kwargs):
        name = getattr(func, "__name__", repr(func))
        flat, dims, tree = _inputs(name, in_dims, args)
        size = _size(flat, dims)
        given = [x if d is None else x.movedim(d, 0) for x, d in zip(flat, dims)]
        if chunk_size is None or chunk_size >= size:
            return _mapped(func, name, size, given, dims, tree, out_dims, randomness, kwargs)
        parts = []
        for start in range(0, size, chunk_size):
            n = min(chunk_size, size - start)
            piece = [x if d is None else x[start : start + n] for x, d in zip(given, dims)]
            parts.append(_mapped(func, name, n, piece, dims, tree, out_dims, randomness, kwargs))
        _, out_tree = tree_flatten(parts[0])
        columns = zip(*[tree_flatten(p)[0] for p in parts])
        places = _out_dims(name, out_dims, out_tree)
        return tree_unflatten([c[0] if d is None else torch.cat(list(c), d) for c, d in zip(columns, places)], out_tree)

    return mapped


def debug_unwrap(tensor: torch.Tensor, *, recurse: bool = True) -> torch.Tensor:
    """Inside of a function under vmap, the tensor with all slices that a tensor stands for; else the tensor itself. To print.

    Args: recurse: through all vmaps that there are around. Default True."""
    level = tls.walk.level
    if level is None:
        return tensor
    found, _ = level.release(tensor)
    with level.outside():
        return debug_unwrap(found) if recurse else found


def _mapped(func, name: str, size: int, given: list, dims: list, tree: TreeSpec, out_dims, randomness: str, kwargs):
    """One run of func for `size` slices, which are in the first dim of what has a dim in `dims`."""
    level = Level(size, randomness)
    inside = [x if d is None else level.argument(x, True) for x, d in zip(given, dims)]
    with Outside(level.walk):
        out = func(*tree_unflatten(inside, tree), **kwargs)
        found, out_tree = tree_flatten(out)
        places = _out_dims(name, out_dims, out_tree)
        for x, d in zip(found, places):
            if d is not None and not isinstance(x, torch.Tensor):
                raise ValueError(
                    f"vmap: {name} has returned a {type(x).__name__}, and only Tensors have slices to stack: return Tensors, or"
                    " give None in out_dims for it"
                )
        level.walk.ending = True
        results = [level.release(x) if isinstance(x, torch.Tensor) else (x, False) for x in found]
        level.flush()
    level.arguments.clear()
    made = []
    for (x, batched), d in zip(results, places):
        if d is None:
            if batched:
                raise ValueError(
                    f"vmap: out_dims has None for a result of {name} that differs between slices: give it a dim"
                )
            made.append(x)
            continue
        x = level.widened(x, batched)
        made.append(x.movedim(0, d) if d else x)
    return tree_unflatten(made, out_tree)


# --- dims -------------------------------------------------------------------------------------------------------------


def _inputs(name: str, in_dims, args: tuple) -> tuple[list, list, TreeSpec]:
    """The arguments, flat, the dim of each that holds the slices, and how they are nested."""
    where = f"vmap({name}, in_dims={in_dims})"
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"{where}: in_dims is an int, or a tuple nested as the arguments are, not a {type(in_dims).__name__}"
        )
    if not args:
        raise ValueError(f"{where}: the function was called without arguments, so that there are no slices")
    flat, tree = tree_flatten(args)
    dims = spread(in_dims, tree)
    if dims is None:
        raise ValueError(
            f"{where}: in_dims is nested as {tree_flatten(in_dims)[1]}, which does not fit the arguments, {tree}"
        )
    for k, (x, d) in enumerate(zip(flat, dims)):
        if d is None:
            continue
        if not isinstance(d, int):
            raise ValueError(
                f"{where}: an entry of in_dims is {d!r}; it is an int, or None for what is the same for all slices"
            )
        if not isinstance(x, torch.Tensor):
            raise ValueError(
                f"{where}: the entry of in_dims for an argument of type {type(x).__name__} is {d}; only Tensors have"
                " slices: give None for it"
            )
        if not -x.ndim <= d < x.ndim:
            raise ValueError(
                f"{where}: in_dim {d} is not among the dims of an argument of shape {list(x.shape)}, -{x.ndim} to {x.ndim - 1}"
            )
        dims[k] = d % x.ndim
    return flat, dims, tree


def _size(flat: list, dims: list) -> int:
    sizes = [x.shape[d] for x, d in zip(flat, dims) if d is not None]
    if not sizes:
        raise ValueError("vmap: no argument has slices: in_dims is None for all of them")
    if any([n != sizes[0] for n in sizes]):
        raise ValueError(
            f"vmap: all arguments have as many slices, and these have {sizes} in the dims that in_dims names"
        )
    return sizes[0]


def _out_dims(name: str, out_dims, tree: TreeSpec) -> list:
    if tree.is_leaf() and isinstance(out_dims, tuple) and len(out_dims) == 1:
        out_dims = out_dims[0]
    flat = tree_flatten(out_dims)[0]
    if any([d is not None and not isinstance(d, int) for d in flat]):
        raise ValueError(
            f"vmap({name}, out_dims={out_dims}): out_dims is an int, None, or these nested as the results are"
        )
    dims = spread(out_dims, tree)
    if dims is None:
        raise ValueError(
            f"vmap({name}): out_dims is nested as {tree_flatten(out_dims)[1]}, which does not fit the results, {tree}"
        )
    return dims


def spread(dims: Any, tree: TreeSpec) -> list | None:
    """A dim for each leaf of a tree, from dims nested as far as one likes. None where they do not fit."""
    if dims is None or isinstance(dims, int):
        return [dims] * tree.num_leaves
    flat, own = tree_flatten(dims, is_leaf=lambda x: x is not dims)
    if own.is_leaf():
        return None if not tree.is_leaf() else [dims]
    if own.type is not tree.type or own.context != tree.context or own.num_children != tree.num_children:
        return None
    found: list = []
    for d, part in zip(flat, tree.children):
        more = spread(d, part)
        if more is None:
            return None
        found += more
    return found
