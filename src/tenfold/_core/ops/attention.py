"""Scaled dot product attention."""

from __future__ import annotations

import math

import numpy as np

from ..ir.dtypes import BOOL, FLOAT
from ..ir.shapes import Layout, layout
from ..ir.special import RELAYOUT
from ..trace.handle import layout_of, requires_grad
from .checks import tensor_function
from .declare import operation, primitive, scalar_name
from .dropout import noise
from .reduction import accumulate_sum, wide_of
from .softmax import softmax_backward

# --- weights ------------------------------------------------------------------------------------------------------


def _weights_rule(scores: Layout, mask, causal) -> Layout:
    return layout(scores.shape, None, scores.dtype, scores.device)


def _weights_gradient(g, out, scores, mask, causal):
    by_scores = softmax_backward(g, out, scores.dim() - 1)
    if mask is None or mask.dtype.category == BOOL:
        return (by_scores,)
    return by_scores, by_scores


@primitive(rule=_weights_rule, gradient=_weights_gradient, name="_attention_weights", grad_name="SafeSoftmax")
def attention_weights(scores, mask, causal):
    """softmax(scores + mask) over the last dim; rows where nothing may be attended to are 0."""
    if mask is not None:
        scores = np.where(mask, scores, scores.dtype.type(-np.inf)) if mask.dtype.kind == "b" else scores + mask
    if causal:
        rows, columns = scores.shape[-2:]
        scores = np.where(np.tri(rows, columns, dtype=bool), scores, scores.dtype.type(-np.inf))
    if not scores.size:
        return scores
    top = scores.max(-1, keepdims=True)
    e = np.exp(scores - np.where(np.isneginf(top), 0, top).astype(scores.dtype))
    total = accumulate_sum(e, (e.ndim - 1,), True)
    e /= np.where(total == 0, 1, total).astype(e.dtype)
    return e


# --- checks -------------------------------------------------------------------------------------------------------


def _check(q: Layout, k: Layout, v: Layout, mask) -> None:
    name = "scaled_dot_product_attention"
    if not q.dtype is k.dtype is v.dtype:
        raise RuntimeError(
            f"Expected query, key, and value to have the same dtype, but got query.dtype: {q.dtype}"
            f" key.dtype: {k.dtype} and value.dtype: {v.dtype} instead ({name})."
        )
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be at least 2 dimensional, but got"
            f" query dim: {q.ndim} key dim: {k.ndim} and value dim: {v.ndim} instead ({name})."
        )
    if q.dtype.category < FLOAT:
        raise RuntimeError(f"{name}: expected floating-point query, key and value, not {scalar_name(q.dtype)}")
    if mask is None:
        return
    if (
        mask.dtype.category != BOOL
        and mask.dtype is not q.dtype
        and not (q.dtype.half and mask.dtype.name == "float32")
    ):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got"
            f" attn_mask.dtype: {mask.dtype} and query.dtype: {q.dtype} instead."
        )


def _repeated(x, times: int):
    """Each head of keys or values for so many heads of queries."""
    if times == 1:
        return x
    *batch, heads, rows, width = x.shape
    return x.unsqueeze(-3).expand((*batch, heads, times, rows, width)).reshape((*batch, heads * times, rows, width))


@operation(where="", name="scaled_dot_product_attention", grad_name="ScaledDotProductFlashAttentionForCpu")
def _attention(query, key, value, mask, dropout_p, causal, scale, repeats):
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    lay = layout_of(query)
    d = wide_of(lay.dtype)
    key, value = _repeated(key, repeats).to(d), _repeated(value, repeats).to(d)
    scores = (query.to(d) * factor) @ key.transpose(-2, -1)
    weights = attention_weights(scores, mask, causal)
    if dropout_p > 0:
        weights = weights * noise(weights, weights.shape, dropout_p)
    out = (weights @ value).to(lay.dtype)
    if out.shape == lay.shape and lay.ndim == 4 and dropout_p == 0 and lay.dense and not lay.contig:
        return RELAYOUT.call(out, lay)
    return out


@tensor_function(where="nn.functional")
def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """softmax(query @ key^T * scale + attn_mask) @ value.

    Args:
        query: (N, *, H, L, E); key: (N, *, H, S, E); value: (N, *, H, S, Ev).
        attn_mask: broadcasts to (N, *, H, L, S); bool (True: may be attended to), or added to the scores. Default None.
        dropout_p: probability for the weights. Default 0.0.
        is_causal: position i attends to positions up to i. Default False.
        scale: default None, 1 / sqrt(E).
        enable_gqa: keys and values may have fewer heads, each for a group of queries' heads. Default False.
    Returns: (N, *, H, L, Ev).
    Source: Vaswani et al. 2017, Attention is all you need, section 3.2.1."""
    q, k, v = layout_of(query), layout_of(key), layout_of(value)
    mask = None if attn_mask is None else layout_of(attn_mask)
    _check(q, k, v, mask)
    fused = q.ndim == 4 and dropout_p == 0 and q.shape[-1] == v.shape[-1]
    if is_causal and mask is not None and (not fused or requires_grad(attn_mask)):
        raise RuntimeError("scaled_dot_product_attention: attn_mask and is_causal=True are both set: leave one out")
    repeats = 1
    if enable_gqa:
        if q.ndim < 3 or q.shape[-3] % k.shape[-3] or k.shape[-3] != v.shape[-3]:
            raise RuntimeError(
                "scaled_dot_product_attention: enable_gqa needs key and value with equally many heads, which divide"
                f" those of query, but got query {list(q.shape)}, key {list(k.shape)}, value {list(v.shape)}"
            )
        repeats = q.shape[-3] // k.shape[-3]
    return _attention(query, key, value, attn_mask, float(dropout_p), bool(is_causal), scale, repeats)
