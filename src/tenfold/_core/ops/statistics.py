"""Variance and what is like it: var, std, with the mean, covariance, correlation."""

from __future__ import annotations

import math

from ..ir.dtypes import FLOAT, bool_
from ..ir.shapes import dim_list
from ..trace.handle import layout_of
from .declare import function, operation
from .elementwise import conj
from .reduction import count_of, restored, squares, stored, sum_over, wide_of, zero_where

# --- variance -----------------------------------------------------------------------------------------------


def _need_float(name: str, d) -> None:
    if d.category < FLOAT:
        raise RuntimeError(
            f"{name}: std and var only support floating point and complex dtypes, not {d}. Convert with .float()"
        )


def moments(input, dims, correction, keepdim):
    """(variance, mean), accumulated in float32 for the half types, not yet rounded to them."""
    x = input.to(wide_of(input.dtype))
    count = count_of(x.shape, dims)
    if count == 0:
        nothing = sum_over(x, dims, keepdim, x.dtype)
        return squares(nothing) * math.nan, nothing * math.nan
    mean = sum_over(x, dims, True, x.dtype) / count
    centred = squares(x - mean)
    total = sum_over(centred, dims, keepdim, centred.dtype)
    variance = total / max(count - correction, 0)
    if not keepdim:
        mean = mean.squeeze(dims)
    return variance, mean


def _by_input(input, dims, correction):
    """The derivative of the variance: 2 (x - mean) / (n - correction)."""
    x = input.to(wide_of(input.dtype))
    count = count_of(x.shape, dims)
    mean = sum_over(x, dims, True, x.dtype) / max(count, 1)
    free = count - correction
    return (x - mean) * (2.0 / free if free > 0 else math.inf if free == 0 else math.nan)


def _var_gradient(g, out, input, dims, correction, keepdim):
    return restored(g, dims, keepdim) * _by_input(input, dims, correction)


def _std_gradient(g, out, input, dims, correction, keepdim):
    share = zero_where(g / (out * 2), out == 0)
    return restored(share, dims, keepdim) * _by_input(input, dims, correction)


@operation(where="", name="var", grad_name="Var", gradient=_var_gradient)
def var_over(input, dims, correction, keepdim):
    return moments(input, dims, correction, keepdim)[0].to(input.dtype.to_real())


@operation(where="", name="std", grad_name="Std", gradient=_std_gradient)
def std_over(input, dims, correction, keepdim):
    return moments(input, dims, correction, keepdim)[0].sqrt().to(input.dtype.to_real())


@operation(where="", name="var_mean", grad_name="VarMean")
def _var_mean(input, dims, correction, keepdim):
    variance, mean = moments(input, dims, correction, keepdim)
    return variance.to(input.dtype.to_real()), mean.to(input.dtype)


@operation(where="", name="std_mean", grad_name="StdMean")
def _std_mean(input, dims, correction, keepdim):
    _, mean = moments(input, dims, correction, keepdim)
    return std_over(input, dims, correction, keepdim), mean.to(input.dtype)


def _variance_call(name: str, over, doc: str):
    def call(input, dim=None, unbiased=None, keepdim=None, *, correction=None, out=None, axis=None, keepdims=None):
        if axis is not None:
            dim = axis
        if isinstance(dim, bool):  # var(input, unbiased)
            dim, unbiased = None, dim
        if unbiased is not None:
            if correction is not None:
                raise TypeError(f"{name}(): give unbiased or correction, not both")
            correction = int(bool(unbiased))
        lay = layout_of(input)
        _need_float(name, lay.dtype)
        correction = 1 if correction is None else correction
        dims = dim_list(dim, lay.ndim)
        if count_of(lay.shape, dims) - correction <= 0:
            _warn_degrees(name)
        return stored(name, over(input, dims, correction, bool(keepdim or keepdims)), out)

    call.__doc__ = doc
    call.__name__ = call.__qualname__ = name
    return function(call, name=name)


def _warn_degrees(name: str) -> None:
    import warnings

    warnings.warn(
        f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction factor (input"
        " numel divided by output numel).",
        UserWarning,
        stacklevel=4,
    )


_ARGS = """

    Args:
        dim: an int or a tuple; None for all. Default None.
        correction: taken off the count. Default 1; unbiased=False is correction=0.
        keepdim: keep the reduced dims with size 1. Default False."""

var = _variance_call(
    "var",
    var_over,
    "Variance over all elements or the dims given: squared distances from the mean, summed, over (n - correction)."
    + _ARGS,
)
std = _variance_call(
    "std", std_over, "Standard deviation over all elements or the dims given: the root of `var`." + _ARGS
)
var_mean = _variance_call("var_mean", _var_mean, "Variance and mean, a tuple." + _ARGS)
std_mean = _variance_call("std_mean", _std_mean, "Standard deviation and mean, a tuple." + _ARGS)


# --- covariance ---------------------------------------------------------------------------------------------


@operation
def cov(input, *, correction=1, fweights=None, aweights=None):
    """Covariance matrix of variables in rows, observations in columns (N, M) -> (N, N); of one variable, its variance.

    Args:
        correction: taken off the count. Default 1.
        fweights: how often each observation counts (M), integers. Default None.
        aweights: how much each observation weighs (M). Default None."""
    if input.dim() > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input.dim()} dimensions"
        )
    if input.dtype is bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input.reshape(1, -1) if input.dim() < 2 else input
    _check_weights("fweights", fweights, x, 1)
    _check_weights("aweights", aweights, x, 2)
    w = _weights(fweights, aweights)
    count = x.shape[1]
    total = count if w is None else w.sum()
    mean = (x if w is None else x * w).sum(1) / total
    free = _freedom(count, w, total, aweights, correction)
    centred = x - mean.unsqueeze(1)
    scaled = centred if w is None else centred * w
    out = centred @ conj(scaled.t()) / free
    return out.squeeze().clone() if out.numel() == 1 else out


def _check_weights(name: str, w, x, category: int) -> None:
    if w is None:
        return
    if w.dim() > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with {w.dim()} dimensions"
        )
    if w.dtype.category != category:
        raise RuntimeError(
            f"cov(): expected {name} to have {'integral' if category == 1 else 'floating point'} dtype but got {name}"
            f" with {w.dtype} dtype"
        )
    if w.numel() != x.shape[1]:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input but got {w.numel()}"
            f" != {x.shape[1]}"
        )


def _weights(fweights, aweights):
    if fweights is None:
        return aweights
    return fweights if aweights is None else fweights * aweights


def _freedom(count, w, total, aweights, correction):
    """What the sum of products is divided by, not less than 0."""
    if w is None:
        return max(count - correction, 0)
    if correction == 0:
        return total
    lost = correction if aweights is None else correction * (w * aweights).sum() / total
    return (total - lost).clamp(min=0)


@operation
def corrcoef(input):
    """Correlation matrix of variables in rows, observations in columns: covariances over deviations, within [-1, 1]."""
    if input.dim() > 2:
        raise RuntimeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input.dim()} dimensions"
        )
    c = cov(input)
    if c.dim() == 0:
        return c / c
    deviation = c.diagonal().sqrt()
    if deviation.dtype.is_complex:
        deviation = deviation.real
    c = c / deviation.unsqueeze(1) / deviation.unsqueeze(0)
    if not c.dtype.is_complex:
        return c.clamp(-1, 1)
    from .declare import PUBLIC

    return PUBLIC["torch"]["complex"](c.real.clamp(-1, 1), c.imag.clamp(-1, 1))
