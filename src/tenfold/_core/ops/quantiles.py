"""Order statistics: the k-th least, medians, the mode, quantiles."""

from __future__ import annotations

import numpy as np

from ..ir.dtypes import bool_, float32, float64, int64
from ..ir.shapes import Layout, layout
from ..trace.handle import Tensor, layout_of
from . import return_types
from .autocast import raised
from .creation import tensor
from .declare import function, not_implemented, operation, primitive
from .extremes import need_elements, picked_gradient, taken
from .indexing import check_apart
from .reduction import one_dim, reduced_shape, stored, zero_where
from .sets import read_values
from .sorting import order_of, sort_along
from .tie_order import kth_order, sort_order

# --- one element of the order ---------------------------------------------------------------------------------


def _pair_rule(input: Layout, dim, keepdim, *rest) -> tuple[Layout, Layout]:
    shape = reduced_shape(input.shape, (dim,) if input.ndim else (), keepdim)
    return layout(shape, None, input.dtype, input.device), layout(shape, None, int64, input.device)


def _pair_gradient(g, out, input, dim, keepdim, *rest):
    return None if g[0] is None else picked_gradient(g[0], out[1], input, dim, keepdim)


def _at(x: np.ndarray, places: np.ndarray, dim: int, keepdim: bool):
    """Values and positions, for one position in each row along dim."""
    values = np.take_along_axis(x, places, dim)
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))


@primitive(rule=_pair_rule, gradient=_pair_gradient, where="", name="_kth", grad_name="Kthvalue")
def _kth(input, dim, keepdim, k):
    x = np.asarray(input)
    if not x.ndim:
        return x, np.zeros((), np.int64)
    order = kth_order(x, order_of(x, dim, False), k, dim)
    return _at(x, np.take(order, [k], dim), dim, keepdim)


@primitive(rule=_pair_rule, gradient=_pair_gradient, where="", name="_median", grad_name="Median")
def median_along(input, dim, keepdim, skip_nan):
    """The lesser middle element; NaN where there is one, or that of the others."""
    x = np.asarray(input)
    if not x.ndim:
        return x, np.zeros((), np.int64)
    order = order_of(x, dim, False)
    missing = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
    if skip_nan:
        left = (~missing).sum(dim, keepdims=True)
        places = np.take_along_axis(order, np.maximum(left - 1, 0) // 2, dim)
    else:
        places = np.take(order, [(x.shape[dim] - 1) // 2], dim)
        gone = missing.any(dim, keepdims=True)
        places = np.where(gone, np.argmax(missing, dim, keepdims=True), places)
    return _at(x, places, dim, keepdim)


@primitive(rule=_pair_rule, gradient=_pair_gradient, where="", name="_mode", grad_name="Mode")
def _mode(input, dim, keepdim):
    """The most frequent element, the least of these, at its last position."""
    x = np.asarray(input)
    if not x.ndim:
        return x, np.zeros((), np.int64)
    order = np.moveaxis(sort_order(x, order_of(x, dim, False), dim), dim, -1)
    ordered = np.take_along_axis(np.moveaxis(x, dim, -1), order, -1)
    here = np.arange(ordered.shape[-1])
    starts = np.zeros(ordered.shape, np.int64)
    starts[..., 1:] = np.where(ordered[..., 1:] != ordered[..., :-1], here[1:], 0)
    length = here - np.maximum.accumulate(starts, -1)
    places = np.take_along_axis(order, np.argmax(length, -1)[..., None], -1)
    return _at(x, np.moveaxis(places, -1, dim), dim, keepdim)


def _dim_of(name: str, input, dim) -> int:
    d = one_dim(dim, input.dim())
    if input.dim():
        need_elements(name, input.shape, (d,))
    return d


@operation(out=True)
def kthvalue(input, k, dim=-1, keepdim=False):
    """The k-th least element along dim, and where it was: a named tuple (values, indices).

    Args: k: from 1 on; dim: default -1; keepdim: default False."""
    d = _dim_of("kthvalue", input, dim)
    n = input.shape[d] if input.dim() else 1
    if not 1 <= k <= n:
        raise RuntimeError(
            f"kthvalue(): selected number k out of range for dimension {d}: k is {k}, it has {n} elements"
        )
    return return_types.kthvalue(*_kth(input, d, keepdim, k - 1))


def _store_kth(args, kwargs, store=kthvalue.operation.with_out):
    for t in kwargs["out"] or ():
        check_apart(t, *args[:1])
    return store(args, kwargs)


kthvalue.operation.with_out = _store_kth


@operation(out=True)
def mode(input, dim=-1, keepdim=False):
    """The most frequent element along dim (the least of these), and where it is last: a named tuple (values, indices).

    Args: dim: default -1; keepdim: default False."""
    if input.dtype.is_complex:
        raise not_implemented("mode", input.dtype)
    return return_types.mode(*_mode(input, _dim_of("mode", input, dim), keepdim))


# --- medians --------------------------------------------------------------------------------------------------


def _check_order(d) -> None:
    if d is bool_ or d.is_complex:
        raise not_implemented("median_cpu", d)


def _equal_share(g, out, input):
    """All elements equal to the median share its cotangent."""
    same = (input == out) | (input.isnan() & out.isnan())
    share = same.to(g.dtype)
    return share * (g / share.sum())


@operation(where="", name="median_all", grad_name="Median", gradient=_equal_share)
def _median_all(input):
    _check_order(input.dtype)
    return _whole_median(input, False)


@operation(where="", name="nanmedian_all", grad_name="Nanmedian", gradient=_equal_share)
def _nanmedian_all(input):
    _check_order(input.dtype)
    return _whole_median(input, True)


def _whole_median(input, skip_nan: bool):
    if input.numel() == 0:
        return input.sum(dtype=input.dtype) + (float("nan") if input.dtype.is_floating_point else 0)
    return median_along(input.reshape(-1), 0, False, skip_nan)[0]


@operation(where="", name="median_dim", grad_name="Median")
def _median_dim(input, dim, keepdim):
    _check_order(input.dtype)
    return return_types.median(*median_along(input, _dim_of("median", input, dim), keepdim, False))


@operation(where="", name="nanmedian_dim", grad_name="Nanmedian")
def _nanmedian_dim(input, dim, keepdim):
    _check_order(input.dtype)
    return return_types.nanmedian(*median_along(input, _dim_of("nanmedian", input, dim), keepdim, True))


@function
def median(input, dim=None, keepdim=False, *, out=None, axis=None):
    """The middle element (the lesser of two): median(input); along a dim with its position: (values, indices).

    Args: dim: default None, all elements; keepdim: default False. NaN where there is one."""
    dim = axis if dim is None else dim
    return stored("median", _median_all(input) if dim is None else _median_dim(input, dim, keepdim), out)


@function
def nanmedian(input, dim=None, keepdim=False, *, out=None, axis=None):
    """The median of the elements that are not NaN.

    Args: as in `median`."""
    dim = axis if dim is None else dim
    return stored("nanmedian", _nanmedian_all(input) if dim is None else _nanmedian_dim(input, dim, keepdim), out)


# --- quantiles ------------------------------------------------------------------------------------------------

WAYS = ("linear", "lower", "higher", "midpoint", "nearest")


def _ranks(ordered, q, skip_nan: bool):
    """Where in the order (last dim) the quantiles lie, not yet whole; at the end (a NaN) where NaN spoils the row."""
    n = ordered.shape[-1]
    missing = ordered.isnan()
    if not skip_nan:
        spoilt = missing.any(-1, True)
        return zero_where(q * (n - 1), spoilt) + spoilt * (n - 1)
    left = (missing.logical_not().sum(-1, True) - 1).to(ordered.dtype)
    return q * left.clamp(min=0)


@operation(where="", name="quantile", grad_name="Quantile")
def _quantile(input, q, dim, keepdim, way, skip_nan):
    x = input.reshape(-1) if dim is None else input
    d = 0 if dim is None else dim
    x = x.reshape(1) if x.dim() == 0 else x.transpose(d, -1)
    ordered = sort_along(x, x.dim() - 1, False, True)[0]
    ranks = _ranks(ordered, q.reshape(-1), skip_nan).expand((*ordered.shape[:-1], q.numel()))
    last = ordered.dim() - 1
    if way in ("lower", "higher", "nearest"):
        ranks = {"lower": ranks.floor, "higher": ranks.ceil, "nearest": ranks.round}[way]()
        out = taken(ordered, last, ranks.to(int64), False)
    else:
        below = ranks.floor()
        low = taken(ordered, last, below.to(int64), False)
        high = taken(ordered, last, ranks.ceil().to(int64), False)
        out = low + (high - low) * (0.5 if way == "midpoint" else ranks - below)
    return _arranged(out, input, q, dim, keepdim)


def _arranged(out, input, q, dim, keepdim):
    """The quantiles, computed last, in front; the reduced dim gone, or of size 1."""
    n = input.dim()
    if dim is None:
        out = out.reshape((*[1] * n, -1)) if keepdim else out.reshape(-1)
    elif n:
        out = out.transpose(dim, -1)
        out = out.permute(*[d for d in range(n) if d != dim], dim)
        out = out.unsqueeze(dim) if keepdim else out
    out = out.contiguous()
    last = out.dim() - 1
    out = out.permute(last, *range(last)) if q.dim() else out.squeeze(last)
    return out.clone()


def _quantile_call(name: str, skip_nan: bool, doc: str):
    def call(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
        input, q = raised(input, q)
        lay = layout_of(input)
        d = lay.dtype
        if lay.numel == 0:
            raise RuntimeError(f"{name}() input tensor must be non-empty")
        if d not in (float32, float64):
            raise RuntimeError(f"{name}() input tensor must be either float or double dtype, not {d}")
        if interpolation not in WAYS:
            raise RuntimeError(
                f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got"
                f" {interpolation}"
            )
        dim = None if dim is None else one_dim(dim, lay.ndim)
        r = _quantile(input, _check_q(name, q, d), dim, bool(keepdim), interpolation, skip_nan)
        return stored(name, r, out)

    call.__doc__ = doc
    call.__name__ = call.__qualname__ = name
    return function(call, name=name)


def _check_q(name: str, q, d) -> Tensor:
    if isinstance(q, (int, float)) and not isinstance(q, bool):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        return tensor(float(q), dtype=d)
    if not isinstance(q, Tensor):
        raise TypeError(f"{name}(): argument 'q' must be a float or a Tensor, not {type(q).__name__}")
    lay = layout_of(q)
    if lay.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor, not of shape {list(lay.shape)}")
    if lay.dtype is not d:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor: {lay.dtype} and {d}")
    values = read_values(q)
    if not ((values >= 0) & (values <= 1)).all():
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    return q


_ARGS = """

    Args:
        q: a number or a tensor (Q) within [0, 1].
        dim: an int. Default None: the flattened tensor.
        keepdim: default False.
        interpolation: between two elements: "linear", "lower", "higher", "midpoint" or "nearest".
    Returns: the quantiles; with Q of them, in a first dim."""

quantile = _quantile_call(
    "quantile", False, "The elements below which a part q of all lies; NaN where there is a NaN." + _ARGS
)
nanquantile = _quantile_call("nanquantile", True, "Quantiles of the elements that are not NaN." + _ARGS)
