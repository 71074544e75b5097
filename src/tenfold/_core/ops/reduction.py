"""Reductions: over all dims, one, or several."""

from __future__ import annotations

import numpy as np

from ..ir.dtypes import FLOAT, dtype, of_number
from ..ir.shapes import Layout, dim_list, layout, size
from .declare import operation, primitive


def reduced_shape(shape, dims: tuple[int, ...], keepdim: bool):
    if keepdim:
        return size([1 if d in dims else n for d, n in enumerate(shape)])
    return size([n for d, n in enumerate(shape) if d not in dims])


def unreduced(g, shape, dims: tuple[int, ...], keepdim: bool):
    """A cotangent of a reduction, spread over the dims that it reduced."""
    if not keepdim:
        for d in sorted(dims):
            g = g.unsqueeze(d)
    return g.expand(shape)


def _sum_rule(input: Layout, dims, keepdim, d: dtype) -> Layout:
    return layout(reduced_shape(input.shape, dims, keepdim), None, d, input.device)


def accumulate_sum(x: np.ndarray, dims: tuple[int, ...], keepdim: bool) -> np.ndarray:
    """Sums of float32 are accumulated in float64 where NumPy would add naively (over an axis that is not the innermost)."""
    if x.dtype == np.float32 and x.size > 64 and (x.ndim - 1) not in dims:
        return x.sum(dims, keepdims=keepdim, dtype=np.float64).astype(np.float32)
    return x.sum(dims, keepdims=keepdim, dtype=x.dtype)


@primitive(
    rule=_sum_rule, name="_sum", grad_name="Sum",
    gradient=lambda g, out, input, dims, keepdim, d: unreduced(g, input.shape, dims, keepdim),
)  # fmt: skip
def sum_over(input, dims, keepdim, d):
    x = np.asarray(input)
    if x.dtype != d.compute:
        x = x.astype(d.compute)
    return accumulate_sum(x, dims, keepdim) if dims or x.ndim == 0 else x


def sum_dtype(d: dtype) -> dtype:
    return of_number(int) if d.category < FLOAT else d


@operation(out=True, grad_name="Sum")
def sum(input, dim=None, keepdim=False, *, dtype=None):
    """Sum over all elements, or over the dims given.

    Args:
        dim: an int or a tuple; None or () for all. Default None.
        keepdim: keep the reduced dims with size 1. Default False.
        dtype: of the result, and to add in. Default: that of input; int64 for integers and bool."""
    return sum_over(input, dim_list(dim, input.dim()), keepdim, dtype or sum_dtype(input.dtype))


@operation(out=True, grad_name="Mean")
def mean(input, dim=None, keepdim=False, *, dtype=None):
    """Mean over all elements, or over the dims given; RuntimeError for integers.

    Args: as in `sum`."""
    d = dtype or input.dtype
    if d.category < FLOAT:
        what = "Input" if dtype is None else "Optional"
        raise RuntimeError(f"mean(): could not infer output dtype. {what} dtype must be either a floating point or complex dtype. Got: {d.name}. Convert with .float()")
    dims = dim_list(dim, input.dim())
    count = 1
    for k in dims:
        count *= input.shape[k]
    total = sum_over(input, dims, keepdim, d)
    return total / count if count else total * float("nan")


