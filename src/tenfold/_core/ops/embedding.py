"""Tables looked up by index."""

from __future__ import annotations

import numpy as np

from ..ir.dtypes import INT
from ..ir.shapes import Layout, layout, size
from .declare import operation, primitive


def _rule(weight: Layout, indices: Layout) -> Layout:
    if indices.dtype.category != INT:
        raise RuntimeError(f"Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got {indices.dtype} instead (embedding looks up whole numbers)")
    if weight.ndim != 2:
        raise RuntimeError(f"'weight' must be 2-D, but embedding got one of shape {list(weight.shape)}")
    return layout(size((*indices.shape, weight.shape[1])), None, weight.dtype, weight.device)


def check_indices(indices: np.ndarray, count: int, name: str) -> None:
    bad = (indices < 0) | (indices >= count)
    if bad.any():
        at = [int(k) for k in np.argwhere(bad)[0]]
        raise IndexError(f"index out of range in self: {name} got {int(indices[tuple(at)])} at position {at}, and its table has rows 0 to {count - 1}.")


def _gradient(g, out, weight, indices):
    return _rows(g, weight, indices), None


@primitive(rule=_rule, gradient=_gradient, raw=True, name="_embedding", grad_name="Embedding")
def lookup(weight, indices):
    check_indices(indices, weight.shape[0], "embedding")
    return weight[indices]


def _rows_rule(g: Layout, weight: Layout, indices: Layout) -> Layout:
    return layout(weight.shape, None, g.dtype, g.device)


@primitive(rule=_rows_rule, gradient=lambda gg, out, g, weight, indices: (lookup(gg, indices), None, None), name="embedding_dense_backward")
def _rows(g, weight, indices):
    """Each row's cotangents added up."""
    out = np.zeros(weight.shape, g.dtype)
    np.add.at(out, indices.reshape(-1), g.reshape(-1, weight.shape[1]))
    return out


@operation(where="nn.functional", name="embedding", grad_name="Embedding")
def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """Rows of a table.

    Args:
        input: (*), integers; weight: (V, D).
        padding_idx: a row that gets no gradient. Default None.
    Returns: (*, D).
    Raises: IndexError for an index outside 0 to V - 1."""
    if max_norm is not None or scale_grad_by_freq:
        raise NotImplementedError("embedding: max_norm and scale_grad_by_freq are not supported yet")
    if padding_idx is None:
        return lookup(weight, input)
    n = weight.shape[0]
    if not -n <= padding_idx < n:
        raise AssertionError("Padding_idx must be within num_embeddings")
    pad = padding_idx % n
    keep = (input != pad).unsqueeze(-1)
    rows = lookup(weight, input)
    return rows.where(keep, rows.detach())
