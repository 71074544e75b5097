"""Dims of a tensor split, ordered and joined, as a pattern says."""

from __future__ import annotations

import re
from typing import Any

import tenfold as torch

__all__ = ["rearrange"]

_TOKEN = re.compile(r"\.\.\.|->|[()]|[^\s()]+")


def rearrange(tensor, pattern: str, **axes_lengths: int):
    """The tensor with its dims as a pattern says: "batch (rows columns) -> columns batch rows".

    Args:
        tensor: a tensor, or a list of tensors, which are stacked along a new first dim.
        pattern: names of dims, before and after `->`. Parentheses join dims, `1` is a dim of that size, `...` stands for all others.
        axes_lengths: sizes of dims that parentheses on the left split; one of each may be left out.
    Raises: ValueError where the pattern does not fit the tensor.
    Source: Rogozhnikov 2022, Einops: clear and reliable tensor manipulations with Einstein-like notation.
    Example: torch.func.rearrange(torch.zeros(6, 4), "(a b) c -> a c b", a=2)  has shape (2, 4, 3)
    """
    if isinstance(tensor, (list, tuple)):
        tensor = torch.stack(list(tensor))
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError(f"rearrange: a pattern has one '->', and this is {pattern!r}")
    left, right = (_parse(side, pattern) for side in sides)
    if any([isinstance(item, list) and "..." in item for item in left]):
        raise ValueError(f"rearrange: '...' may be in parentheses on the right only, not as in {pattern!r}")
    rest = tensor.ndim - len(left) + 1 if "..." in left else None
    if rest is not None and rest < 0 or rest is None and tensor.ndim != len(left):
        raise ValueError(f"rearrange: {pattern!r} speaks of {len(left)} dims, and the tensor has {tensor.ndim}")
    left, right = (_without_dots(items, rest) for items in (left, right))
    names, wanted = _names(left, pattern), _names(right, pattern)
    if set(names) != set(wanted):
        raise ValueError(f"rearrange: {sorted(set(names) ^ set(wanted))} are on one side only of {pattern!r}")
    unknown = sorted(set(axes_lengths) - set(names))
    if unknown:
        raise ValueError(f"rearrange: sizes are given for {unknown}, which are not in {pattern!r}")
    sizes: dict[str, int] = {}
    for item, n in zip(left, tensor.shape):
        sizes.update(_split(item, n, axes_lengths, pattern))
    split = tensor.reshape([sizes[name] for name in names])
    moved = split.permute([names.index(name) for name in wanted])
    shape = [
        _product([sizes[n] for n in (item if isinstance(item, list) else [item] if item != "1" else [])])
        for item in right
    ]
    return moved.reshape(shape)


def _parse(side: str, pattern: str) -> list:
    """Names, and lists of names that were in parentheses."""
    items: list[Any] = []
    group: list[str] | None = None
    for token in _TOKEN.findall(side):
        if token == "(":
            if group is not None:
                raise ValueError(f"rearrange: parentheses stand inside of parentheses in {pattern!r}")
            group = []
        elif token == ")":
            if group is None:
                raise ValueError(f"rearrange: a parenthesis is closed that was not opened in {pattern!r}")
            items.append(group)
            group = None
        elif token in ("...", "1") or token.isidentifier() and token.strip("_") == token:
            (items if group is None else group).append(token)
        else:
            raise ValueError(f"rearrange: {token!r} in {pattern!r} is no name of a dim")
    if group is not None:
        raise ValueError(f"rearrange: a parenthesis is not closed in {pattern!r}")
    return items


def _without_dots(items: list, rest: int | None) -> list:
    """The dims that `...` stands for, by name."""
    found: list = []
    for item in items:
        if isinstance(item, list):
            found.append(_without_dots(item, rest))
        elif item == "...":
            found += [f"...{k}" for k in range(rest or 0)]
        else:
            found.append(item)
    return found


def _names(items: list, pattern: str) -> list[str]:
    found = [n for item in items for n in (item if isinstance(item, list) else [item]) if n != "1"]
    for n in found:
        if found.count(n) > 1:
            raise ValueError(f"rearrange: the dim {n!r} stands twice on one side of {pattern!r}")
    return found


def _split(item, n: int, lengths: dict[str, int], pattern: str) -> dict[str, int]:
    """The sizes of the dims that one dim of size n consists of."""
    parts = [p for p in (item if isinstance(item, list) else [item]) if p != "1"]
    open_ = [p for p in parts if p not in lengths]
    known = _product([lengths[p] for p in parts if p in lengths])
    if len(open_) > 1:
        raise ValueError(f"rearrange: give the sizes of all but one of {open_} in {pattern!r}")
    if n != known if not open_ else not known or n % known:
        raise ValueError(f"rearrange: a dim of size {n} does not consist of {parts} with the sizes {lengths}")
    return {p: lengths.get(p, n // known if known else 0) for p in parts}


def _product(sizes: list[int]) -> int:
    n = 1
    for s in sizes:
        n *= s
    return n
