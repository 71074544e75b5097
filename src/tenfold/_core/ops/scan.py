"""Scans: running sums, products, extremes; differences and integrals along a dim."""

from __future__ import annotations

import numpy as np

from ..ir.arrays import Symbolic, as_array, writable, zeros
from ..ir.dtypes import FLOAT, dtype, get_default_dtype, int64
from ..ir.shapes import Layout, dim_list, layout
from ..trace.handle import Tensor, layout_of
from . import return_types
from .declare import PUBLIC, function, not_implemented, operation, primitive
from .elementwise import conj
from .extremes import scattered
from .reduction import WIDE, check_dtype, one_dim, sum_dtype, zero_where

# --- shared -------------------------------------------------------------------------------------------------


def _same_shape(input: Layout, *rest) -> Layout:
    return layout(input.shape, None, input.dtype, input.device)


def _as_dtype(input: Layout, dim, reverse, d: dtype) -> Layout:
    return layout(input.shape, None, d, input.device)


def ordered(x: np.ndarray, dim: int, reverse: bool) -> np.ndarray:
    """The array, or a view that runs backwards along dim."""
    return np.flip(x, dim) if reverse else x


def _accumulated(ufunc, x: np.ndarray, dim: int) -> np.ndarray:
    """ufunc.accumulate, single precision in double; a slice at a time where slices are long."""
    wide = x.astype(WIDE.get(x.dtype, x.dtype))
    n = x.shape[dim]
    if dim == x.ndim - 1 or n == 0 or x.size // n < 64 or isinstance(x, Symbolic):
        return ufunc.accumulate(wide, dim).astype(x.dtype, copy=False)
    slices = np.moveaxis(wide, dim, 0)
    for k in range(1, n):
        ufunc(slices[k - 1], slices[k], out=slices[k])
    return wide.astype(x.dtype, copy=False)


# --- sums and products --------------------------------------------------------------------------------------


@primitive(
    rule=_as_dtype, where="", name="_cumsum", grad_name="Cumsum",
    gradient=lambda g, out, input, dim, reverse, d: running_sum(g, dim, not reverse, g.dtype),
)  # fmt: skip
def running_sum(input, dim, reverse, d):
    x = as_array(input, d.compute)
    if not x.ndim:
        return x
    return ordered(_accumulated(np.add, ordered(x, dim, reverse), dim), dim, reverse)


def _cumprod_gradient(g, out, input, dim, reverse, d):
    """Element k counts in the products from k on: L_k * S_k, where L_k is the product of those before it and
    S_k = g_k + x_{k+1} S_{k+1}. Nothing is divided, so zeros are no special case."""
    if input.dim() == 0:
        return g
    x = conj(input.to(d))
    factor = delay(x, dim, False, 0) if reverse else x  # recurrence takes the next factor backwards, its own forwards
    return exclusive_cumprod(x, dim, reverse) * recurrence(factor, g, dim, not reverse)


@primitive(rule=_as_dtype, gradient=_cumprod_gradient, where="", name="_cumprod", grad_name="Cumprod")
def running_product(input, dim, reverse, d):
    x = as_array(input, d.compute)
    if not x.ndim:
        return x
    return ordered(_accumulated(np.multiply, ordered(x, dim, reverse), dim), dim, reverse)


def exclusive_cumprod(x, dim: int, reverse: bool):
    """At each place the product of the elements before it (after it, where reverse); 1 at the first."""
    return delay(running_product(x, dim, reverse, x.dtype), dim, reverse, 1)


@primitive(
    rule=_same_shape, where="", name="_delay",
    gradient=lambda g, out, input, dim, reverse, fill: delay(g, dim, not reverse, 0),
)  # fmt: skip
def delay(input, dim, reverse, fill):
    """Moved by one place along dim, with `fill` at the place that becomes free."""
    x = ordered(input, dim, reverse)
    out = zeros(x.shape, x.dtype, x)
    head = [slice(None)] * x.ndim
    tail = list(head)
    head[dim], tail[dim] = slice(0, 1), slice(1, None)
    out[tuple(head)] = fill
    tail_source = list(tail)
    tail_source[dim] = slice(0, -1)
    out[tuple(tail)] = x[tuple(tail_source)]
    return ordered(out, dim, reverse)


def _recurrence_gradient(g, out, factor, term, dim, reverse):
    """The cotangent runs the other way: G_k = g_k + conj(a) G_{k+1}."""
    back = recurrence(conj(factor), g, dim, not reverse)
    if reverse:
        return delay(back, dim, False, 0) * conj(out), back
    return back * conj(delay(out, dim, False, 0)), back


def _recurrence_rule(factor: Layout, term: Layout, dim, reverse) -> Layout:
    return layout(term.shape, None, term.dtype, term.device)


@primitive(rule=_recurrence_rule, gradient=_recurrence_gradient, where="", name="_recurrence")
def recurrence(factor, term, dim, reverse):
    """h_k = term_k + factor_k h_{k-1} along dim, from h_0 = term_0; where reverse, it runs the other way:
    h_k = term_k + factor_{k+1} h_{k+1}."""
    a, b = np.moveaxis(factor, dim, 0), np.moveaxis(term, dim, 0)
    out = writable(b)
    n = len(out)
    if reverse:
        for k in range(n - 2, -1, -1):
            out[k] += a[k + 1] * out[k + 1]
    else:
        for k in range(1, n):
            out[k] += a[k] * out[k - 1]
    return np.moveaxis(out, 0, dim)


@operation(out=True, inplace=True, grad_name="Cumsum")
def cumsum(input, dim, *, dtype=None):
    """Running sum along dim.

    Args: dtype: of the result, and to add in. Default: that of input; int64 for integers and bool."""
    check_dtype("cumsum", dtype)
    return running_sum(input, one_dim(dim, input.dim()), False, dtype or sum_dtype(input.dtype))


@operation(out=True, inplace=True, grad_name="Cumprod")
def cumprod(input, dim, *, dtype=None):
    """Running product along dim.

    Args: dtype: of the result, and to multiply in. Default: that of input; int64 for integers and bool."""
    check_dtype("cumprod", dtype)
    return running_product(input, one_dim(dim, input.dim()), False, dtype or sum_dtype(input.dtype))


# --- log of the running sum of exponentials -----------------------------------------------------------------


def _logcumsumexp_gradient(g, out, input, dim):
    """g_j exp(x_i - out_j) summed over j >= i, as exp(x_i - out_i) T_i with T_i = g_i + exp(out_i - out_{i+1}) T_{i+1}:
    real parts of the exponents are never positive, so nothing overflows."""
    if input.dim() == 0:
        return g
    step = _ratio(delay(out, dim, False, 0), out)
    weight = _ratio(input, out)
    return conj(weight) * recurrence(conj(step), g, dim, True)


def _ratio(a, b):
    """exp(a - b), 0 where both are minus infinity."""
    gone = (a.real if a.dtype.is_complex else a) == -float("inf")
    return zero_where((a - b).exp(), gone)


@primitive(rule=_same_shape, gradient=_logcumsumexp_gradient, where="", name="_logcumsumexp", grad_name="Logcumsumexp")
def _logcumsumexp(input, dim):
    x = np.asarray(input)
    if not x.ndim:
        return x
    if x.dtype.kind != "c":
        return np.logaddexp.accumulate(x, dim)
    moved = np.moveaxis(x, dim, 0)
    out = np.array(moved)
    for k in range(1, len(out)):
        a, b = out[k - 1], moved[k]
        first = a.real >= b.real
        top, low = np.where(first, a, b), np.where(first, b, a)
        with np.errstate(all="ignore"):
            out[k] = np.where(np.isneginf(low.real), top, top + np.log1p(np.exp(low - top)))
    return np.moveaxis(out, 0, dim)


@operation(out=True, grad_name="Logcumsumexp")
def logcumsumexp(input, dim):
    """log(cumsum(exp(input))) along dim, without overflow; floating-point and complex tensors."""
    if input.dtype.category < FLOAT:
        raise not_implemented("logcumsumexp_out_cpu", input.dtype)
    return _logcumsumexp(input, one_dim(dim, input.dim()))


# --- running extremes ---------------------------------------------------------------------------------------


def _running_rule(input: Layout, dim, greatest):
    return layout(input.shape, None, input.dtype, input.device), layout(input.shape, None, int64, input.device)


def _running_gradient(g, out, input, dim, greatest):
    if g[0] is None:
        return None
    return scattered(g[0], dim, out[1], input.shape, False) if input.dim() else g[0]


@primitive(rule=_running_rule, gradient=_running_gradient, where="", name="_running_extreme")
def _running_extreme(input, dim, greatest):
    x = np.asarray(input)
    if not x.ndim:
        return x, np.zeros((), np.int64)
    values = (np.maximum if greatest else np.minimum).accumulate(x, dim)
    here = (x == values) | (x != x)
    shape = [1] * x.ndim
    shape[dim] = x.shape[dim]
    places = np.where(here, np.arange(x.shape[dim]).reshape(shape), 0)
    return values, np.maximum.accumulate(places, dim)


def _running(name: str, kind, input, dim):
    if input.dtype.is_complex:
        raise not_implemented(name + "_cpu", input.dtype)
    return kind(*_running_extreme(input, one_dim(dim, input.dim()), name == "cummax"))


@operation(out=True)
def cummax(input, dim):
    """Running maximum along dim and where it stood (the last of ties): a named tuple (values, indices)."""
    return _running("cummax", return_types.cummax, input, dim)


@operation(out=True)
def cummin(input, dim):
    """Running minimum along dim and where it stood (the last of ties): a named tuple (values, indices)."""
    return _running("cummin", return_types.cummin, input, dim)


# --- differences and integrals --------------------------------------------------------------------------------


def _concatenated(parts: list, dim: int):
    return parts[0] if len(parts) == 1 else PUBLIC["torch"]["cat"](parts, dim)


def _part(x, dim: int, start: int, stop: int):
    """The places from start to stop (not in it; negative from the end) along dim."""
    n = x.shape[dim]
    start = start + n if start < 0 else start
    stop = stop + n if stop <= 0 else stop
    return x.narrow(dim, start, max(stop - start, 0))


@operation(out=True)
def diff(input, n=1, dim=-1, prepend=None, append=None):
    """Differences of neighbours along dim, n times over; for bool, whether they differ.

    Args: n: default 1; dim: default -1; prepend, append: tensors put before and after input first. Default None."""
    if input.dim() == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    d = one_dim(dim, input.dim())
    if n == 0:
        return input.clone()
    x = _concatenated([t for t in (prepend, input, append) if t is not None], d)
    n = min(n, x.shape[d])
    for _ in range(n):
        after, before = _part(x, d, min(1, x.shape[d]), x.shape[d]), _part(x, d, 0, max(x.shape[d] - 1, 0))
        x = after.logical_xor(before) if x.dtype.category == 0 else after - before
    return x


def _widths(name: str, y, x, dim: int):
    """Distances between sample points, of a shape that broadcasts to that of the differences of y."""
    if x.dim() == 1 and y.dim() != 1:
        if x.shape[0] != y.shape[dim]:
            raise RuntimeError(
                f"{name}: There must be one `x` value for each sample point: {x.shape[0]} for {y.shape[dim]}"
            )
        shape = [1] * y.dim()
        shape[dim] = x.shape[0]
        x = x.reshape(shape)
    elif x.dim() < y.dim():
        x = x.reshape([1] * (y.dim() - x.dim()) + list(x.shape))
    return _part(x, dim, 1, x.shape[dim]) - _part(x, dim, 0, max(x.shape[dim] - 1, 0))


def _areas(name: str, y, x, dx, dim: int):
    """The trapezoids between neighbours along dim."""
    if y.dtype.category == 0:
        raise RuntimeError(f"{name}: received a bool input for y, but bool is not supported")
    if x is not None and x.dtype.category == 0:
        raise RuntimeError(f"{name}: received a bool input for x, but bool is not supported")
    n = y.shape[dim]
    both = _part(y, dim, min(1, n), n) + _part(y, dim, 0, max(n - 1, 0))
    return both * (dx if x is None else _widths(name, y, x, dim)) / 2.0


@operation(where="torch", aliases=("trapz",))
def trapezoid(y, x=None, *, dx=1, dim=-1):
    """The integral of samples y along dim, by trapezoids.

    Args: x: the sample points, of the length of dim or the shape of y. Default None: dx apart, default 1."""
    d = one_dim(dim, y.dim())
    if y.shape[d] == 0:
        return y.sum(d) * (1.0 if dx is None else dx)
    return _areas("trapezoid", y, x, dx, d).sum(d)


@operation(where="torch")
def cumulative_trapezoid(y, x=None, *, dx=1, dim=-1):
    """The running integral of samples y along dim, by trapezoids; one element less than y.

    Args: as in `trapezoid`."""
    d = one_dim(dim, y.dim())
    return cumsum(_areas("cumulative_trapezoid", y, x, dx, d), d)


# --- derivatives of samples -----------------------------------------------------------------------------------


def _slope(f, dim: int, space, edge_order: int):
    """Central differences along dim, one-sided at the ends. `space`: a number, or the distances between samples."""
    n = f.shape[dim]
    even = not isinstance(space, Tensor)

    def at(k, stop=None):
        return _part(f, dim, k, k + 1 if stop is None else stop)

    def gap(k, stop=None):
        return space if even else _part(space, dim, k, k + 1 if stop is None else stop)

    h, k = gap(0, n - 2), gap(1, n - 1)
    left, middle, right = at(0, n - 2), at(1, n - 1), at(2, n)
    if even:
        inner = (right - left) / (2 * space)
    else:
        inner = -k / (h * (h + k)) * left + (k - h) / (h * k) * middle + h / (k * (h + k)) * right
    if edge_order == 1:
        first = (at(1) - at(0)) / gap(0)
        last = (at(n - 1) - at(n - 2)) / gap(n - 2)
        return _concatenated([first, inner, last], dim)
    a, b = gap(0), gap(1)
    c, e = gap(n - 3), gap(n - 2)
    first = -(2 * a + b) / (a * (a + b)) * at(0) + (a + b) / (a * b) * at(1) - a / (b * (a + b)) * at(2)
    last = e / (c * (c + e)) * at(n - 3) - (c + e) / (c * e) * at(n - 2) + (2 * e + c) / (e * (c + e)) * at(n - 1)
    return _concatenated([first, inner, last], dim)


@operation(where="", name="gradient")
def _slopes(input, spaces, dims, edge_order):
    f = input if input.dtype.category >= FLOAT else input.to(get_default_dtype())
    out = []
    for space, d in zip(spaces, dims):
        if isinstance(space, Tensor):
            shape = [1] * f.dim()
            shape[d] = f.shape[d] - 1
            space = (
                (_part(space, 0, 1, space.shape[0]) - _part(space, 0, 0, space.shape[0] - 1)).reshape(shape).to(f.dtype)
            )
        out.append(_slope(f, d, space, edge_order))
    return tuple(out)


@function(where="torch")
def gradient(input, *, spacing=1, dim=None, edge_order=1):
    """Estimates the derivative of samples along each dim by central differences; a tuple of tensors.

    Args:
        spacing: the distance of samples, a number for each dim, or a tensor of coordinates for each. Default 1.
        dim: an int or a tuple. Default None, all.
        edge_order: 1 or 2, the order of the one-sided differences at the ends."""
    lay = layout_of(input)
    dims = dim_list(dim, lay.ndim)
    spacing = 1 if spacing is None else spacing
    several = isinstance(spacing, (tuple, list))
    spaces = tuple(spacing) if several else (spacing,) * len(dims)
    if len(spaces) != len(dims):
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to the dims"
            f" ({len(dims)}), but got a list of length {len(spaces)}"
        )
    if edge_order not in (1, 2):
        raise RuntimeError(f"torch.gradient only supports edge_order=1 and edge_order=2, not {edge_order}")
    for space, d in zip(spaces, dims):
        if lay.shape[d] <= edge_order:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1:"
                f" dim {d} has size {lay.shape[d]}"
            )
        if isinstance(space, Tensor) and layout_of(space).shape != (lay.shape[d],):
            raise RuntimeError(
                "torch.gradient expected each spacing tensor to hold one coordinate for each sample of its dim:"
                f" {list(layout_of(space).shape)} for size {lay.shape[d]}"
            )
    return _slopes(input, spaces, dims, edge_order)
