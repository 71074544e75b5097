"""Scans: running sums, products, extremes; differences and integrals along a dim."""

from __future__ import annotations

import numpy as np

from ..ir.dtypes import FLOAT, dtype, int64
from ..ir.shapes import Layout, layout
from . import return_types
from .declare import not_implemented, operation, primitive
from .elementwise import conj
from .extremes import scattered
from .reduction import WIDE, check_dtype, one_dim, sum_dtype, zero_where

# --- shared ----------------------------------------------------------------------------------------------------------------


def _same_shape(input: Layout, *rest) -> Layout:
    return layout(input.shape, None, input.dtype, input.device)


def _as_dtype(input: Layout, dim, reverse, d: dtype) -> Layout:
    return layout(input.shape, None, d, input.device)


def ordered(x: np.ndarray, dim: int, reverse: bool) -> np.ndarray:
    """The array, or a view that runs backwards along dim."""
    return np.flip(x, dim) if reverse else x


# --- sums and products -----------------------------------------------------------------------------------------------------


@primitive(
    rule=_as_dtype, where="", name="_cumsum", grad_name="Cumsum",
    gradient=lambda g, out, input, dim, reverse, d: running_sum(g, dim, not reverse, g.dtype),
)  # fmt: skip
def running_sum(input, dim, reverse, d):
    x = np.asarray(input, d.compute)
    if not x.ndim:
        return x
    wide = WIDE.get(x.dtype, x.dtype)
    return ordered(np.cumsum(ordered(x, dim, reverse), dim, dtype=wide).astype(x.dtype, copy=False), dim, reverse)


def _cumprod_gradient(g, out, input, dim, reverse, d):
    """Element k counts in the products from k on: L_k * S_k, where L_k is the product of those before it and
    S_k = g_k + x_{k+1} S_{k+1}. Nothing is divided, so zeros are no special case."""
    if input.dim() == 0:
        return g
    x = conj(input.to(d))
    return exclusive_cumprod(x, dim, reverse) * recurrence(x, g, dim, not reverse)


@primitive(rule=_as_dtype, gradient=_cumprod_gradient, where="", name="_cumprod", grad_name="Cumprod")
def running_product(input, dim, reverse, d):
    x = np.asarray(input, d.compute)
    if not x.ndim:
        return x
    wide = WIDE.get(x.dtype, x.dtype)
    return ordered(np.cumprod(ordered(x, dim, reverse), dim, dtype=wide).astype(x.dtype, copy=False), dim, reverse)


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
    out = np.empty(x.shape, x.dtype)
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
    """h_k = term_k + factor_k h_{k-1} along dim, from h_0 = term_0; where reverse, h_k = term_k + factor_{k+1} h_{k+1}."""
    a, b = np.moveaxis(factor, dim, 0), np.moveaxis(term, dim, 0)
    out = np.array(b)
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


# --- log of the running sum of exponentials ----------------------------------------------------------------------------------


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


# --- running extremes ----------------------------------------------------------------------------------------------------------


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
