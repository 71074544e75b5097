"""Softmax and its relatives."""

from __future__ import annotations

import numpy as np

from ..ir.dtypes import FLOAT
from ..ir.shapes import Layout, dim_index, layout, result_strides
from ..trace.handle import layout_of
from .declare import function, not_implemented, primitive


def _rule(input: Layout, dim: int) -> Layout:
    if input.dtype.category < FLOAT or input.dtype.is_complex:
        raise not_implemented("softmax_lastdim_kernel_impl" if dim == input.ndim - 1 else "softmax_kernel_impl", input.dtype)
    strides = input.strides if input.dense and not input.contig else result_strides(input.shape, [input])
    return layout(input.shape, strides, input.dtype, input.device)


def _softmax_gradient(g, out, input, dim):
    weighed = g * out
    return weighed - out * weighed.sum(dim, keepdim=True) if input.dim() else weighed - out * weighed


@primitive(rule=_rule, gradient=_softmax_gradient, name="_softmax", grad_name="Softmax")
def softmax_over(input, dim):
    if input.ndim == 0 or input.size == 0:
        return np.ones_like(input)
    e = np.exp(input - input.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


def _log_softmax_gradient(g, out, input, dim):
    return g - out.exp() * (g.sum(dim, keepdim=True) if input.dim() else g)


@primitive(rule=_rule, gradient=_log_softmax_gradient, name="_log_softmax", grad_name="LogSoftmax")
def log_softmax_over(input, dim):
    if input.ndim == 0 or input.size == 0:
        return np.zeros_like(input)
    z = input - input.max(dim, keepdims=True)
    return z - np.log(np.exp(z).sum(dim, keepdims=True))


def _implicit_dim(ndim: int) -> int:
    return 0 if ndim in (0, 1, 3) else 1


def _public(name: str, over, doc: str):
    def f(input, dim, dtype=None, *, out=None):
        from .declare import store_out

        if dtype is not None:
            input = input.to(dtype)
        r = over(input, dim_index(dim, layout_of(input).ndim))
        return r if out is None else store_out(out, r, name)

    def functional(input, dim=None, _stacklevel=3, dtype=None):
        if dim is None:
            import warnings

            warnings.warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.", stacklevel=2)
            dim = _implicit_dim(layout_of(input).ndim)
        if dtype is not None:
            input = input.to(dtype)
        return over(input, dim_index(dim, layout_of(input).ndim))

    f.__name__ = functional.__name__ = name
    f.__doc__ = functional.__doc__ = doc
    function(f, where="torch Tensor special", name=name)
    function(functional, where="nn.functional", name=name)
    return f


softmax = _public("softmax", softmax_over, "exp(input) over its sum along a dim.")
log_softmax = _public("log_softmax", log_softmax_over, "The logarithm of softmax along a dim.")
