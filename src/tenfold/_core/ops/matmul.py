"""Products of matrices."""

from __future__ import annotations

import numpy as np

from ..errors import shape_text
from ..ir.shapes import Layout, broadcast_shapes, layout, size
from .declare import function, primitive, publish
from .elementwise import conj


def same_dtype(name: str, a: Layout, b: Layout) -> None:
    if a.dtype is not b.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {a.dtype} != {b.dtype} ({name}: convert one of them)")


def _matmul_rule(a: Layout, b: Layout) -> Layout:
    same_dtype("matmul", a, b)
    if a.ndim == 0 or b.ndim == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D")
    if a.ndim == 1 and b.ndim == 1:
        if a.shape != b.shape:
            raise RuntimeError(f"inconsistent tensor size, expected tensor {shape_text(a.shape)} and src {shape_text(b.shape)} to have the same number of elements, but got {a.numel} and {b.numel} elements respectively")
        return layout(size(()), None, a.dtype, a.device)
    k = a.shape[-1]
    other = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if k != other:
        rows = a.shape[-2] if a.ndim > 1 else 1
        cols = b.shape[-1] if b.ndim > 1 else 1
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{k} and {other}x{cols}): matmul of {shape_text(a.shape)} and {shape_text(b.shape)}"
            f" needs the last dim of the first ({k}) to equal the {'second to last' if b.ndim > 1 else 'only'} dim of the second ({other})"
        )
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    tail = (a.shape[-2:-1] if a.ndim > 1 else ()) + (b.shape[-1:] if b.ndim > 1 else ())
    return layout(size((*batch, *tail)), None, a.dtype, a.device)


def adjoint(x):
    """The conjugate transpose of matrices."""
    return conj(x.transpose(-2, -1))


def _matmul_gradient(g, out, a, b):
    if a.dim() == 1 and b.dim() == 1:
        return g * conj(b), g * conj(a)
    if a.dim() == 1:
        row = g.unsqueeze(-2)
        return matmul(row, adjoint(b)).squeeze(-2), matmul(conj(a).unsqueeze(-1), row)
    if b.dim() == 1:
        column = g.unsqueeze(-1)
        return matmul(column, conj(b).unsqueeze(0)), matmul(adjoint(a), column).squeeze(-1)
    return matmul(g, adjoint(b)), matmul(adjoint(a), g)


@primitive(rule=_matmul_rule, gradient=_matmul_gradient, where="torch Tensor linalg", out=True, grad_name="Mm")
def matmul(input, other):
    """Product of matrices, vectors, or batches of matrices, whose leading dims broadcast.

    Args: input: (*, N, K) or (K); other: (*, K, M) or (K).
    Raises: RuntimeError where the inner dims or the dtypes differ."""
    return np.matmul(input, other)


publish(matmul, "__matmul__", "Tensor")


@function(where="Tensor", name="__rmatmul__")
def _rmatmul(self, other):
    return matmul(other, self)


def _linear_rule(input: Layout, weight: Layout, bias=None) -> Layout:
    same_dtype("linear", input, weight)
    n = weight.shape[-1]
    if input.ndim == 0 or input.shape[-1] != n:
        k = input.shape[-1] if input.ndim else 1
        rows = input.numel // max(k, 1)
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{k} and {n}x{weight.shape[0] if weight.ndim > 1 else 1}): linear: input has {k} features in its last dim, "
            f"weight takes {n} (weight has shape {shape_text(weight.shape)}). Give nn.Linear({k}, {weight.shape[0] if weight.ndim > 1 else 1}), or reshape the input."
        )
    tail = weight.shape[:1] if weight.ndim == 2 else ()
    if bias is not None and bias.shape != tail:
        broadcast_shapes(size((*input.shape[:-1], *tail)), bias.shape)
    return layout(size((*input.shape[:-1], *tail)), None, input.dtype, input.device)


def _linear_gradient(g, out, input, weight, bias=None):
    if weight.dim() == 1:
        by_weight = matmul(g.reshape(-1), conj(input).reshape(-1, input.shape[-1]))
        return g.unsqueeze(-1) * conj(weight), by_weight, g
    flat = g.reshape(-1, weight.shape[0])
    by_weight = matmul(flat.t(), conj(input).reshape(-1, weight.shape[1]))
    return matmul(g, conj(weight)), by_weight, flat.sum(0)


@primitive(rule=_linear_rule, gradient=_linear_gradient, where="nn.functional", grad_name="Addmm")
def linear(input, weight, bias=None):
    """Affine map: input @ weight.T + bias.

    Args: input: (*, K); weight: (M, K) or (K); bias: (M) or None.
    Returns: (*, M)."""
    out = np.matmul(input, weight.T)
    return out if bias is None else out + bias


