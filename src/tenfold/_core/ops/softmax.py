"""Softmax and its relatives."""

from __future__ import annotations

import warnings

import numpy as np

from ..ir.arrays import Symbolic
from ..ir.dtypes import FLOAT
from ..ir.shapes import Layout, dim_index, layout
from ..trace.handle import layout_of
from . import sleef
from .checks import tensor_function
from .declare import describe, not_implemented, primitive, store_out
from .ordered import FEW, SINGLE, SMALL, in_order
from .reduction import accumulate_sum, check_dtype

# --- along one dim ------------------------------------------------------------------------------------------------


def softmax_rule(input: Layout, dim: int, name: str = "log_softmax") -> Layout:
    if input.dtype.category != FLOAT:
        raise not_implemented(
            f"{name}_lastdim_kernel_impl" if dim == max(input.ndim, 1) - 1 else "softmax_kernel_impl", input.dtype
        )
    return layout(input.shape, None, input.dtype, input.device)


def _few(x: np.ndarray, dim: int) -> bool:
    """Whether to round as PyTorch's vector code does where the last dim does not fill a register."""
    return (
        not isinstance(x, Symbolic)
        and dim == x.ndim - 1
        and x.shape[-1] < FEW
        and x.size <= SMALL
        and x.dtype == SINGLE
    )


def _softmax_gradient(g, out, input, dim):
    return softmax_backward(g, out, dim)


@primitive(
    rule=lambda input, dim: softmax_rule(input, dim, "softmax"),
    gradient=_softmax_gradient,
    name="_softmax",
    grad_name="Softmax",
)
def softmax_over(input, dim):
    if input.ndim == 0 or input.size == 0:
        return np.where(np.isfinite(input), 1, np.nan).astype(input.dtype)
    e = input - input.max(dim, keepdims=True)
    if _few(e, dim):
        e = sleef.exp(e)
        e *= 1 / in_order(e, -1)[..., None]
        return e
    np.exp(e, e)
    e /= accumulate_sum(e, (dim,), True)
    return e


def softmax_backward_second(gg, out, g, y, dim):
    """out = y (g - s) with s = sum(g y)."""
    dims = (dim,) if g.dim() else ()
    s, r = ((g * y), (gg * y))
    if dims:
        s, r = s.sum(dims, True), r.sum(dims, True)
    return y * (gg - r), gg * (g - s) - g * r


@primitive(
    rule=lambda g, y, dim: y,
    gradient=softmax_backward_second,
    name="_softmax_backward_data",
    grad_name="SoftmaxBackward",
)
def softmax_backward(g, y, dim):
    if y.ndim == 0 or y.size == 0:
        return np.zeros_like(y)
    out = g * y
    if _few(out, dim):
        return y * (g - in_order(out, -1)[..., None])
    s = accumulate_sum(out, (dim,), True)
    out -= y * s
    return out


def log_softmax_gradient(g, out, input, dim):
    return g - out.exp() * (g.sum(dim, keepdim=True) if input.dim() else g)


def log_softmax_array(x: np.ndarray, dim: int) -> np.ndarray:
    if x.ndim == 0 or x.size == 0:
        return np.where(np.isfinite(x), 0, np.nan).astype(x.dtype)
    z = x - x.max(dim, keepdims=True)
    z -= np.log(accumulate_sum(np.exp(z), (dim,), True))
    return z


@primitive(rule=softmax_rule, gradient=log_softmax_gradient, name="_log_softmax", grad_name="LogSoftmax")
def log_softmax_over(input, dim):
    return log_softmax_array(input, dim)


# --- public names -------------------------------------------------------------------------------------------------


def _implicit_dim(name: str, ndim: int, level: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=level + 1,
    )
    return 0 if ndim in (0, 1, 3) else 1


def _public(name: str, over, doc: str):
    args = "\n\n    Args: dim: the dim that sums to one; dtype: convert the input to it first. Default None."

    def f(input, dim, dtype=None, *, out=None):
        if dtype is not None:
            check_dtype(name, dtype)
            input = input.to(dtype)
        r = over(input, dim_index(dim, layout_of(input).ndim))
        return r if out is None else store_out(out, r, name)

    f.__doc__ = doc + args
    describe(f, f, name, False)
    return tensor_function(where="torch Tensor special", name=name)(f)


def _functional(name: str, over, doc: str, negate: bool = False):
    args = "\n\n    Args: dim: the dim that sums to one; dtype: convert the input to it first. Default None."

    def f(input, dim=None, _stacklevel=3, dtype=None):
        if dim is None:
            dim = _implicit_dim(name, layout_of(input).ndim, _stacklevel)
        if dtype is not None:
            input = input.to(dtype)
        return over(-input if negate else input, dim_index(dim, layout_of(input).ndim))

    f.__doc__ = doc + args
    describe(f, f, name, False)
    return tensor_function(where="nn.functional", name=name)(f)


softmax = _public("softmax", softmax_over, "exp(input) over its sum along a dim.")
log_softmax = _public("log_softmax", log_softmax_over, "The logarithm of softmax along a dim.")
_functional("softmax", softmax_over, softmax.__doc__.split("\n")[0])
_functional("log_softmax", log_softmax_over, log_softmax.__doc__.split("\n")[0])
_functional("softmin", softmax_over, "exp(-input) over its sum along a dim.", negate=True)


@tensor_function(where="nn.functional")
def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """A sample of a relaxed categorical distribution: softmax((logits + Gumbel noise) / tau).

    Args: tau: temperature, above 0. Default 1; dim: default -1.
        hard: one-hot values with the soft sample's gradient. Default False.
    Source: Jang, Gu, Poole 2017, Categorical reparameterization with Gumbel-softmax."""
    from .random import fill

    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=3)
    lay = layout_of(logits)
    noise = -fill(logits.new_empty(lay.shape), "exponential", None, 1.0).log()
    soft = softmax_over((logits + noise) / tau, dim_index(dim, lay.ndim))
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot = logits.new_zeros(lay.shape).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft
