"""Scaled dot product attention."""

from __future__ import annotations

import math

import numpy as np

from ..ir.arrays import Symbolic, lower_triangle
from ..ir.dtypes import BOOL, FLOAT, float32
from ..ir.shapes import Layout, layout
from ..ir.special import RELAYOUT
from ..random import libm
from ..trace.handle import layout_of, requires_grad, translated
from . import sleef
from .autocast import lowered
from .checks import tensor_function
from .declare import operation, primitive, scalar_name
from .dropout import noise
from .ordered import FEW, SMALL, fma, in_order, product
from .reduction import accumulate_sum, wide_of
from .softmax import softmax_backward, softmax_backward_second

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
        scores = np.where(lower_triangle(rows, columns, scores), scores, scores.dtype.type(-np.inf))
    if not scores.size:
        return scores
    top = scores.max(-1, keepdims=True)
    e = np.exp(scores - np.where(np.isneginf(top), 0, top).astype(scores.dtype))
    total = accumulate_sum(e, (e.ndim - 1,), True)
    e /= np.where(total == 0, 1, total).astype(e.dtype)
    return e


# --- a few keys ---------------------------------------------------------------------------------------------------
#
# PyTorch's fused kernel, for so few queries and keys that its rounding can be followed.


@translated
def fits_few(query: Layout, key: Layout, value: Layout, mask, dropout_p: float) -> bool:
    """Whether attention is small, and one that PyTorch gives to its fused kernel."""
    if query.dtype is not float32 or dropout_p or query.ndim != 4 or key.ndim != 4 or value.ndim != 4:
        return False
    batch, heads, _, width = query.shape
    source = key.shape[2]
    if tuple(key.shape) != (batch, heads, source, width) or tuple(value.shape) != (batch, heads, source, width):
        return False
    if mask is not None and mask.ndim != 2 and mask.ndim != 4:
        return False
    return (
        source > 0 and source < FEW and width > 0 and width < FEW and query.numel > 0 and query.numel * source <= SMALL
    )


def _few_rule(query, key, value, mask, causal, scale):
    row = layout(query.shape[:3], None, query.dtype, query.device)
    return layout(query.shape, None, query.dtype, query.device), row


def _few_gradient(g, out, query, key, value, mask, causal, scale):
    result, normaliser = out
    return few_keys_backward(g[0], query, key, value, mask, result, normaliser, causal, scale)


def _added(mask):
    """The mask as what is added to the scores."""
    return np.where(mask, np.float32(0), np.float32(-np.inf)) if mask.dtype.kind == "b" else mask


def _hide_later(scores, with_what: float):
    return np.where(lower_triangle(*scores.shape[-2:], scores), scores, np.float32(with_what))


@primitive(
    rule=_few_rule, gradient=_few_gradient, name="_attention_few_keys", grad_name="ScaledDotProductFlashAttentionForCpu"
)
def few_keys(query, key, value, mask, causal, scale):
    """(result, logarithm of each row's sum of exponentials)."""
    scores = product(query, np.swapaxes(key, -1, -2), False)
    scores = scores * np.float32(scale) if mask is None else fma(scores, np.float32(scale), _added(mask))
    if causal:
        scores = _hide_later(scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    top = np.where(np.isneginf(top), np.float32(0), top)
    e = np.exp(scores - top, dtype=np.float64).astype(np.float32)
    total = in_order(e, -1)[..., None]
    total = np.where(total == 0, np.float32(1), total)
    out = product(e, value, False) * (1 / total)
    return out, (top + libm.log32(total))[..., 0]


def _few_keys_backward_second(h, out, g, query, key, value, mask, result, normaliser, causal, scale):
    """By the gradient's formula: by_scores = softmax_backward(g @ value^T, weights), and three products with it."""
    by_query, by_key, by_value = (x if x is not None else y.new_zeros(y.shape) for x, y in zip(h, out))
    dim = query.dim() - 1
    keys = key.transpose(-2, -1)
    weights = attention_weights((query * scale) @ keys, mask, causal)
    by_weights = g @ value.transpose(-2, -1)
    by_scores = softmax_backward(by_weights, weights, dim)
    further = (by_query @ keys + query @ by_key.transpose(-2, -1)) * scale
    second, third = softmax_backward_second(further, by_scores, by_weights, weights, dim)
    last = softmax_backward(third + g @ by_value.transpose(-2, -1), weights, dim)
    return (
        weights @ by_value + second @ value,
        (last @ key + by_scores @ by_key) * scale,
        (last.transpose(-2, -1) @ query + by_scores.transpose(-2, -1) @ by_query) * scale,
        second.transpose(-2, -1) @ g,
    )


@primitive(
    rule=lambda g, query, key, value, *others: tuple(
        [layout(x.shape, None, x.dtype, x.device) for x in (query, key, value)]
    ),
    gradient=_few_keys_backward_second,
    name="_attention_few_keys_backward",
    grad_name="ScaledDotProductFlashAttentionForCpuBackward",
)
def few_keys_backward(g, query, key, value, mask, result, normaliser, causal, scale):
    """The gradients by query, key and value; the weights are computed again from the normaliser."""
    g = g if isinstance(g, Symbolic) else np.ascontiguousarray(g)
    scale = np.float32(scale)
    scores = product(query, np.swapaxes(key, -1, -2), False) * scale
    if mask is not None:
        scores = scores + _added(mask)
    weights = sleef.exp(scores - normaliser[..., None])
    if causal:
        weights = _hide_later(weights, 0)
    by_value = product(np.swapaxes(weights, -1, -2), g, False)
    by_scores = product(g, np.swapaxes(value, -1, -2), False) - in_order(g * result, -1)[..., None]
    by_scores = by_scores * weights * scale
    return product(by_scores, key, False), product(np.swapaxes(by_scores, -1, -2), query, False), by_value


# --- checks -------------------------------------------------------------------------------------------------------


@translated
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
def _attention(query, key, value, mask, dropout_p, causal, scale, repeats, few):
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    lay = layout_of(query)
    if few:
        out = few_keys(query, key, value, mask, causal, factor)[0]
        return RELAYOUT.call(out, lay) if lay.dense and not lay.contig else out
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
    query, key, value, attn_mask = lowered(query, key, value, attn_mask)
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
    few = fits_few(q, k, v, mask, dropout_p) and not (mask is not None and requires_grad(attn_mask))
    return _attention(query, key, value, attn_mask, float(dropout_p), bool(is_causal), scale, repeats, few)
