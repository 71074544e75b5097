"""Distances and similarities between vectors."""

from __future__ import annotations

import math

import numpy as np

from ..errors import shape_text
from ..ir.dtypes import FLOAT, int64
from ..ir.shapes import Layout, broadcast_shapes, dim_index, layout, size
from ..trace.handle import layout_of
from .checks import tensor_function
from .declare import not_implemented, operation, primitive

# --- one pair at a time -------------------------------------------------------------------------------------------


@operation(where="", name="cosine_similarity", grad_name="Sum")
def _cosine(x1, x2, dim, eps):
    if x1.dtype.category < FLOAT and x2.dtype.category < FLOAT:
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {x1.dtype}")
    units = [x / x.norm(2, dim, keepdim=True).clamp_min(eps) for x in (x1, x2)]
    return (units[0] * units[1]).sum(dim)


@tensor_function(where="torch nn.functional")
def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """Cosine of the angle between x1 and x2 along dim: x1 . x2 / (max(|x1|, eps) max(|x2|, eps)).

    Args: x1, x2: broadcast against each other; dim: default 1; eps: default 1e-8."""
    shape = broadcast_shapes(layout_of(x1).shape, layout_of(x2).shape)
    return _cosine(x1.expand(shape), x2.expand(shape), dim_index(dim, len(shape)), eps)


@operation(where="", name="pairwise_distance", grad_name="LinalgVectorNorm")
def _pairwise(x1, x2, p, eps, keepdim):
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)


@tensor_function(where="torch nn.functional")
def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """The p-norm of x1 - x2 + eps along the last dim.

    Args: x1, x2: (N, D) or (D), broadcast; p: default 2.0; eps: default 1e-6; keepdim: default False."""
    return _pairwise(x1, x2, p, eps, bool(keepdim))


# --- all pairs ----------------------------------------------------------------------------------------------------

SMALL = 25  # up to so many rows, "use_mm_for_euclid_dist_if_necessary" computes differences


def _cdist_rule(x1: Layout, x2: Layout, p, by_products) -> Layout:
    if x1.dtype.category != FLOAT:
        raise not_implemented("cdist", x1.dtype)
    batch = broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    return layout(size((*batch, x1.shape[-2], x2.shape[-2])), None, x1.dtype, x1.device)


def distance_of(d: np.ndarray, p: float) -> np.ndarray:
    """The p-norms along the last dim of differences."""
    if p == 0:
        return (d != 0).sum(-1).astype(d.dtype)
    if p == 2:
        return np.sqrt(np.einsum("...i,...i->...", d, d))
    size = np.abs(d)
    if p == 1:
        return size.sum(-1)
    if math.isinf(p):
        return size.max(-1, initial=0)
    return (size ** d.dtype.type(p)).sum(-1) ** d.dtype.type(1 / p)


def _by_products(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    square = (x1 * x1).sum(-1)[..., :, None] + (x2 * x2).sum(-1)[..., None, :]
    square -= 2 * (x1 @ np.swapaxes(x2, -1, -2))
    return np.sqrt(np.maximum(square, 0))


def _cdist_gradient(g, out, x1, x2, p, by_products):
    if p == 0:
        return None, None
    if p == 2 and by_products:
        ratio = (g / out).masked_fill(out == 0, 0.0)
        by_x1 = x1 * ratio.sum(-1, keepdim=True) - ratio @ x2
        by_x2 = x2 * ratio.sum(-2).unsqueeze(-1) - ratio.transpose(-1, -2) @ x1
        return by_x1, by_x2
    each = _slopes(x1.unsqueeze(-2) - x2.unsqueeze(-3), out.unsqueeze(-1), g.unsqueeze(-1), p)
    return each.sum(-2), -each.sum(-3)


def _slopes(d, out, g, p: float):
    """g times the derivative of the p-norm `out` of d by d; 0 where the norm is 0."""
    if p == 1:
        return g * d.sgn()
    zero = out == 0
    if math.isinf(p):
        return g * d.sgn() * (d.abs() == out).to(d.dtype)
    if p == 2:
        return d * (g / out).masked_fill(zero, 0.0)
    if p < 2:
        return (d.sgn() * d.abs() ** (p - 1) * (g / out ** (p - 1))).masked_fill(zero | (d == 0), 0.0)
    return d * d.abs() ** (p - 2) * (g / out ** (p - 1)).masked_fill(zero, 0.0)


@primitive(rule=_cdist_rule, gradient=_cdist_gradient, name="_cdist", grad_name="Cdist")
def _cdist(x1, x2, p, by_products):
    if by_products:
        return _by_products(x1, x2)
    return distance_of(x1[..., :, None, :] - x2[..., None, :, :], p)


MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


@tensor_function(where="torch")
def cdist(x1, x2, p=2.0, compute_mode=MODES[0]):
    """Distances by the p-norm between each row of x1 and each row of x2.

    Args: x1: (*, P, M); x2: (*, R, M); p: 0 to infinity. Default 2.0; compute_mode: whether euclidean distances may be
        computed from inner products, as they are by default above 25 rows.
    Returns: (*, P, R)."""
    a, b = layout_of(x1), layout_of(x2)
    for name, lay in (("X1", a), ("X2", b)):
        if lay.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {lay.ndim}D")
    if a.shape[-1] != b.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {a.shape[-1]} X2: {b.shape[-1]}")
    if a.dtype.category != FLOAT or b.dtype.category != FLOAT:
        bad = a if a.dtype.category != FLOAT else b
        raise RuntimeError(f"cdist only supports floating-point dtypes, X1 got: {bad.dtype}")
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, and got {p}")
    if compute_mode not in MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode: one of {', '.join(MODES)}")
    large = a.shape[-2] > SMALL or b.shape[-2] > SMALL
    by_products = p == 2 and (compute_mode == MODES[1] or (compute_mode == MODES[0] and large))
    return _cdist(x1, x2, float(p), by_products)


@operation(where="", name="pdist", grad_name="Pdist")
def _pdist(input, p, first, second):
    a, b = input.index_select(0, first), input.index_select(0, second)
    return _row_distance(a, b, p)


def _row_rule(a: Layout, b: Layout, p) -> Layout:
    return layout(size(a.shape[:-1]), None, a.dtype, a.device)


def _row_gradient(g, out, a, b, p):
    if p == 0:
        return None, None
    by_a = _slopes(a - b, out.unsqueeze(-1), g.unsqueeze(-1), p)
    return by_a, -by_a


@primitive(rule=_row_rule, gradient=_row_gradient, name="_row_distance", grad_name="Pdist")
def _row_distance(a, b, p):
    return distance_of(a - b, p)


@tensor_function(where="torch nn.functional")
def pdist(input, p=2):
    """Distances by the p-norm between every two rows of input (N, M): N (N - 1) / 2 numbers."""
    lay = layout_of(input)
    if lay.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {lay.ndim}D of shape {shape_text(lay.shape)}")
    if lay.dtype.category != FLOAT:
        raise RuntimeError(f"pdist only supports floating-point dtypes, and got {lay.dtype}")
    if p < 0:
        raise RuntimeError(f"pdist only supports non-negative p values, and got {p}")
    from .creation import from_array

    first, second = np.triu_indices(lay.shape[0], 1)
    return _pdist(input, float(p), from_array(first, int64), from_array(second, int64))
