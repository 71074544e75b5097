"""Contractions: einsum, tensordot, Kronecker products, bilinear maps; all come down to `matmul`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ..errors import shape_text
from ..ir.shapes import dim_index
from ..trace.handle import Tensor, layout_of
from .declare import function, operation, store_out
from .matmul import matmul, need_bias, rows_of, takes_tensors
from .shape import viewed
from .windows import volume

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ELLIPSIS = -1  # stands in a list of subscripts for the dims that "..." covers


def need_tensors(name: str, operands) -> None:
    for k, t in enumerate(operands):
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}(): operand {k} must be Tensor, not {type(t).__name__}")


# --- einsum: reading the equation -----------------------------------------------------------------------------


class Plan(NamedTuple):
    """An equation for operands of given numbers of dims. Labels 0 to 51 are letters, those from 52 dims of the"
    " ellipsis."""

    operands: tuple[tuple[int, ...], ...]  # a label for each dim
    output: tuple[int, ...]
    summed: tuple[int, ...]  # the other labels


def _fail(text: str):
    return RuntimeError(f"einsum(): {text}")


def _subscripts(text: str, start: int, which: str) -> list[int]:
    """Letters as labels, "..." as ELLIPSIS; `start` is where in the equation the text begins."""
    out: list[int] = []
    i = 0
    while i < len(text):
        c = text[i]
        if text[i : i + 3] == "...":
            if ELLIPSIS in out:
                raise _fail(f"found '.' for {which} for which an ellipsis was already found")
            out.append(ELLIPSIS)
            i += 3
            continue
        if c == ".":
            raise _fail(f"found '.' for {which} that is not part of any ellipsis")
        if c != " ":
            if c not in LETTERS:
                raise _fail(
                    f"invalid subscript given at index {start + i} in the equation string, subscripts must be in"
                    f" [a-zA-Z]"
                )
            out.append(LETTERS.index(c))
        i += 1
    return out


def _read(equation: str) -> tuple[list[list[int]], list[int] | None]:
    arrow = equation.find("->")
    left = equation if arrow < 0 else equation[:arrow]
    operands = []
    start = 0
    for k, text in enumerate(left.split(",")):
        operands.append(_subscripts(text, start, f"operand {k}"))
        start += len(text) + 1
    return operands, None if arrow < 0 else _subscripts(equation[arrow + 2 :], arrow + 2, "the output")


@lru_cache(maxsize=4096)
def _plan(equation: str, dims: tuple[int, ...]) -> Plan:
    return _planned(*_read(equation), dims)


def _planned(operands: list[list[int]], output: list[int] | None, dims: tuple[int, ...]) -> Plan:
    if len(operands) > len(dims):
        raise _fail(
            f"fewer operands were provided than specified in the equation ({len(dims)} for {len(operands)} terms)"
        )
    if len(operands) < len(dims):
        raise _fail(
            f"more operands were provided than specified in the equation ({len(dims)} for {len(operands)} terms)"
        )
    hidden = []
    for k, (labels, n) in enumerate(zip(operands, dims)):
        named = len(labels) - (ELLIPSIS in labels)
        if ELLIPSIS not in labels and named != n or named > n:
            extra = "" if ELLIPSIS in labels else " and no ellipsis was given"
            raise _fail(
                f"the number of subscripts in the equation ({named}) does not match the number of dimensions ({n})"
                f" for operand {k}{extra}"
            )
        hidden.append(n - named)
    depth = max([h for h, labels in zip(hidden, operands) if ELLIPSIS in labels], default=0)
    ellipsis = tuple(range(52, 52 + depth))
    full = tuple([_filled(labels, ellipsis[depth - h :]) for labels, h in zip(operands, hidden)])
    if output is None:
        count = [x for labels in operands for x in labels]
        output = [ELLIPSIS] if ELLIPSIS in count else []
        output += sorted({x for x in count if x != ELLIPSIS and count.count(x) == 1})
    result = _filled(output, ellipsis)
    _check_output(result, full)
    summed = tuple([x for x in sorted({x for labels in full for x in labels}) if x not in result])
    return Plan(full, result, summed)


def _filled(labels: Sequence[int], ellipsis: Sequence[int]) -> tuple[int, ...]:
    out: list[int] = []
    for x in labels:
        out += ellipsis if x == ELLIPSIS else [x]
    return tuple(out)


def _check_output(output, operands) -> None:
    for x in output:
        if output.count(x) > 1:
            raise _fail(f"output subscript {LETTERS[x]} appears more than once in the output")
        if not any(x in labels for labels in operands):
            raise _fail(f"output subscript {LETTERS[x]} does not appear in the equation for any input operand")


def _check_sizes(plan: Plan, shapes) -> None:
    seen: dict[int, int] = {}
    for k, (labels, shape) in enumerate(zip(plan.operands, shapes)):
        own: dict[int, int] = {}
        for x, n in zip(labels, shape):
            name = LETTERS[x] if x < 52 else "..."
            if own.setdefault(x, n) != n:
                raise _fail(f"subscript {name} is repeated for operand {k} but the sizes don't match, {n} != {own[x]}")
            if seen.get(x, 1) == 1:
                seen[x] = n
            elif n not in (1, seen[x]):
                raise _fail(
                    f"subscript {name} has size {n} for operand {k} which does not broadcast with previously seen"
                    f" size {seen[x]}"
                )


# --- einsum: computing ----------------------------------------------------------------------------------------


def _diagonal(t, first: int, second: int):
    """A view in which two dims have become one, at the place of the first."""

    def make(lay):
        keep = [d for d in range(lay.ndim) if d != second]
        strides = [lay.strides[d] + (lay.strides[second] if d == first else 0) for d in keep]
        return [lay.shape[d] for d in keep], strides, 0

    return viewed(t, "Diagonal", (first, second), make)


def _aligned(t, labels: tuple[int, ...], order: tuple[int, ...]):
    """A view with one dim for each label of `order`, of size 1 where the operand does not have it."""
    names = list(labels)
    for x in labels:
        while names.count(x) > 1:
            first = names.index(x)
            second = names.index(x, first + 1)
            t = _diagonal(t, first, second)
            del names[second]
    for x in order:
        if x not in names:
            t = t.unsqueeze(-1)
            names.append(x)
    return t.permute([names.index(x) for x in order])


def _sum_product(a, b, dims: list[int], reorder: bool):
    """The products of two aligned tensors, summed over dims in which both have more than one place.

    Those dims stay, with size 1. With `reorder`, the operand whose own dims all come first in the result goes first
    in the product, so that the result lies in order in memory."""
    if not dims:
        return a * b
    own_a = [d for d in range(a.dim()) if d not in dims and a.shape[d] != 1 and b.shape[d] == 1]
    own_b = [d for d in range(a.dim()) if d not in dims and a.shape[d] == 1]
    if reorder and own_a and own_b and own_b[-1] < own_a[0]:
        a, b, own_a, own_b = b, a, own_b, own_a
    shared = [d for d in range(a.dim()) if d not in dims and a.shape[d] != 1 and b.shape[d] != 1]
    batch = [a.shape[d] for d in shared]
    rows = [a.shape[d] for d in own_a]
    cols = [b.shape[d] for d in own_b]
    inner = volume([a.shape[d] for d in dims])
    left = a.permute([*shared, *own_a, *dims, *own_b]).reshape(volume(batch), volume(rows), inner)
    right = b.permute([*shared, *dims, *own_b, *own_a]).reshape(volume(batch), inner, volume(cols))
    product = matmul(left, right).reshape(*batch, *rows, *[1] * len(dims), *cols)
    order = [*shared, *own_a, *dims, *own_b]
    return product.permute([order.index(d) for d in range(a.dim())])


def _contract(operands, plan: Plan):
    """Operands one after the other, each label summed with the last operand that has it."""
    order = (*plan.output, *plan.summed)
    kept = len(plan.output)
    aligned = [_aligned(t, labels, order) for t, labels in zip(operands, plan.operands)]
    last = {d: max(i for i, labels in enumerate(plan.operands) if order[d] in labels) for d in range(kept, len(order))}
    total = aligned[0]
    for i, t in enumerate(aligned[1:], 1):
        now = [d for d in last if last[d] == i or last[d] < i and total.shape[d] != 1]
        both = [d for d in now if total.shape[d] != 1 and t.shape[d] != 1]
        alone = [d for d in now if total.shape[d] != 1 and t.shape[d] == 1]
        lone = [d for d in now if total.shape[d] == 1 and t.shape[d] != 1]
        if alone:
            total = total.sum(alone, True)
        if lone:
            t = t.sum(lone, True)
        total = _sum_product(total, t, both, not alone and not lone)
    return total.squeeze(tuple(range(kept, len(order)))) if plan.summed else total


@operation(where="", name="einsum", grad_name="View")
def _einsum(operands, plan):
    _check_sizes(plan, [t.shape for t in operands])
    return _contract(operands, plan)


def _one(t, plan: Plan):
    """One operand: a view, or a sum over the dims that are not in the output."""
    _check_sizes(plan, [layout_of(t).shape])
    t = _aligned(t, plan.operands[0], (*plan.output, *plan.summed))
    if not plan.summed:
        return t
    return t.sum(tuple(range(len(plan.output), t.dim())))


def _from_sublists(args) -> tuple[list, Plan]:
    """einsum(operand, subscripts, operand, subscripts, ..., output): subscripts are lists of ints and Ellipsis."""
    output = None
    if len(args) % 2:
        output, args = _listed(args[-1]), args[:-1]
    operands = list(args[::2])
    need_tensors("einsum", operands)
    labels = [_listed(x) for x in args[1::2]]
    return operands, _planned(labels, output, tuple([layout_of(t).ndim for t in operands]))


def _listed(subscripts) -> list[int]:
    out = []
    for s in subscripts:
        if s is Ellipsis:
            out.append(ELLIPSIS)
        elif not isinstance(s, int) or not 0 <= s < 52:
            raise ValueError("einsum(): subscript in subscript list is not within the valid range [0, 52)")
        else:
            out.append(s)
    return out


@function(where="torch")
def einsum(*args):
    """Sums of products, as an equation of subscripts says: `einsum("ij,jk->ik", a, b)` is a @ b.

    Args:
        equation: a term of letters for each operand, one letter a dim, then optionally "->" and those of the result;
            "..." stands for any dims, which broadcast. Without "->", letters that appear once, in alphabetical order.
        operands: the tensors; or, without equation, operand, list of ints, operand, list of ints, ..., [result's list].
    Raises: RuntimeError where the equation and the operands do not fit."""
    if args and not isinstance(args[0], (str, Tensor)):
        raise TypeError(f"einsum(): the first argument must be an equation or a Tensor, not {type(args[0]).__name__}")
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one operand and its"
            " subscripts list"
        )
    if isinstance(args[0], Tensor):
        operands, plan = _from_sublists(args)
    else:
        operands = args[1:]
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = operands[0]
        need_tensors("einsum", operands)
        plan = _plan(args[0], tuple([layout_of(t).ndim for t in operands]))
    if len(operands) == 1:
        return _one(operands[0], plan)
    return _einsum(operands, plan)


# --- tensordot and its kin ------------------------------------------------------------------------------------


@operation(where="", name="tensordot", grad_name="View")
def _tensordot(a, b, dims_a, dims_b):
    keep_a = [d for d in range(a.dim()) if d not in dims_a]
    keep_b = [d for d in range(b.dim()) if d not in dims_b]
    for x, y in zip(dims_a, dims_b):  # a dim of size 1 is broadcast, which makes the other's a plain sum
        if a.shape[x] != b.shape[y]:
            a, b = (a, b.sum(y, True)) if a.shape[x] == 1 else (a.sum(x, True), b)
    inner = volume([a.shape[d] for d in dims_a])
    shape = [a.shape[d] for d in keep_a], [b.shape[d] for d in keep_b]
    left = a.permute([*keep_a, *dims_a]).reshape(volume(shape[0]), inner)
    right = b.permute([*dims_b, *keep_b]).reshape(inner, volume(shape[1]))
    return matmul(left, right).reshape(*shape[0], *shape[1])


def _tensordot_dims(a, b, dims) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, (tuple, list)):
        if len(dims) != 2:
            raise RuntimeError(f"tensordot expects dims to be int or two lists of ints, but got dims={dims!r}")
        first, second = [tuple(d) if isinstance(d, (tuple, list)) else (d,) for d in dims]
        if len(first) != len(second):
            raise RuntimeError(
                f"both dimension lists should have same length: tensordot got {list(first)} and {list(second)}"
            )
        return first, second
    if dims < 0:
        raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
    if dims > min(layout_of(a).ndim, layout_of(b).ndim):
        raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
    return tuple(range(-dims, 0)), tuple(range(dims))


@function(where="torch")
def tensordot(a, b, dims=2, out=None):
    """Sum of products over several dims of two tensors.

    Args: dims: how many of the last dims of a meet the first of b, default 2; or two lists of dims.
    Returns: the other dims of a, then those of b.
    Raises: RuntimeError where the dims that meet differ in size."""
    need_tensors("tensordot", (a, b))
    first, second = _tensordot_dims(a, b, dims)
    shapes = layout_of(a).shape, layout_of(b).shape
    dims_a = tuple([dim_index(d, len(shapes[0])) for d in first])
    dims_b = tuple([dim_index(d, len(shapes[1])) for d in second])
    for x, y, p, q in zip(dims_a, dims_b, first, second):
        m, n = shapes[0][x], shapes[1][y]
        if m != n and 1 not in (m, n):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {m} in dim {p} and second has size {n} in"
                f" dim {q} (tensordot of"
                f" {shape_text(shapes[0])} and {shape_text(shapes[1])})"
            )
    r = _tensordot(a, b, dims_a, dims_b)
    return r if out is None else store_out(out, r, "tensordot")


@operation(out=True, grad_name="View")
def kron(input, other):
    """Kronecker product: each element of input times all of other; missing dims count as size 1."""
    n = max(input.dim(), other.dim())
    a = [1] * (n - input.dim()) + list(input.shape)
    b = [1] * (n - other.dim()) + list(other.shape)
    left = [x for size in a for x in (size, 1)]
    right = [x for size in b for x in (1, size)]
    return (input.reshape(left) * other.reshape(right)).reshape([x * y for x, y in zip(a, b)])


def _check_bilinear(a, b, weight, bias) -> None:
    if not a.dtype is b.dtype is weight.dtype:
        raise RuntimeError(
            f"All tensors must have the same dtype, got input1: {a.dtype}, input2: {b.dtype}, weight: {weight.dtype}"
            f" (bilinear)"
        )
    if a.dim() != b.dim():
        raise RuntimeError(f"bilinear(): input dimensions do not match: got {a.dim()} and {b.dim()}")
    for d in range(a.dim() - 1):
        if a.shape[d] != b.shape[d]:
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {d}: got {a.shape[d]} and {b.shape[d]}"
            )
    for k, t in ((1, a), (2, b)):
        want = weight.shape[k] if weight.dim() > k else None
        if t.shape[-1] != want:
            raise RuntimeError(
                f"bilinear(): input{k} size does not match weight size: got {t.shape[-1]} but expected {want}"
            )
    if weight.dim() != 3:
        raise RuntimeError(f"bilinear(): weight must be (M, K1, K2); it has shape {shape_text(weight.shape)}")
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected {weight.shape[0]}"
        )


@operation(where="torch nn.functional", grad_name="Add")
def bilinear(input1, input2, weight, bias=None):
    """Bilinear map: result m is input1 @ weight[m] @ input2, plus bias.

    Args: input1: (*, K1); input2: (*, K2); weight: (M, K1, K2); bias: (M) or None. Returns: (*, M)."""
    need_bias("bilinear", bias, Tensor)
    _check_bilinear(input1, input2, weight, bias)
    m, k1, k2 = weight.shape
    rows = rows_of(input1)
    half = matmul(input1.reshape(rows, k1), weight.permute(1, 0, 2).reshape(k1, m * k2)).reshape(rows, m, k2)
    out = matmul(half, input2.reshape(rows, k2, 1)).reshape(*input1.shape[:-1], m)
    return out if bias is None else out + bias


takes_tensors(kron, "input", "other")
takes_tensors(bilinear, "input1", "input2", "weight")
