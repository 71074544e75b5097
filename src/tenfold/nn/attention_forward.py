"""Multi-head attention as a function: `nn.functional.multi_head_attention_forward`, and the masks that it takes.

Letters: L target length, S source length, N batch, H heads, D width of a head, E = H * D embedding width.
"""

from __future__ import annotations

import math
import warnings

import tenfold
from tenfold import Tensor
from tenfold.nn import functional as F

__all__ = ["canonical_mask", "multi_head_attention_forward"]

_NEED_MASK = (
    "multi_head_attention: Need attn_mask if specifying the is_causal hint. "
    "Transformer.generate_square_subsequent_mask makes one."
)


def canonical_mask(mask: Tensor | None, name: str, other: Tensor | None, dtype) -> Tensor | None:
    """The mask as numbers to be added to the scores: a boolean one becomes -inf where it is True, else 0.

    Args:
        mask: a boolean or floating tensor, or None.
        name: what messages call it.
        other: the other mask of the same call; a UserWarning tells that kinds should not be mixed.
        dtype: of the result, where the mask is boolean.
    Raises: AssertionError if the mask is neither boolean nor floating.
    """
    if mask is None:
        return None
    if mask.dtype != tenfold.bool and not tenfold.is_floating_point(mask):
        raise AssertionError(
            f"only bool and floating types of {name} are supported, got {mask.dtype}. Use {name}.bool() (True hides)."
        )
    if other is not None and other.dtype != mask.dtype:
        warnings.warn(
            f"Support for mismatched key_padding_mask and attn_mask is deprecated: {name} is {mask.dtype}, "
            f"the other one {other.dtype}. Use the same type for both.",
            stacklevel=3,
        )
    if mask.dtype != tenfold.bool:
        return mask
    return tenfold.zeros_like(mask, dtype=dtype).masked_fill(mask, -math.inf)


# --- checks ------------------------------------------------------------------------------------------------


def _check_dims(query, key, value, key_padding_mask, attn_mask, num_heads: int) -> bool:
    """Is there a batch dim? AssertionError where the arguments disagree on it."""
    if query.dim() not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query tensor "
            f"(shape {list(query.shape)})."
        )
    batched = query.dim() == 3
    dims = 3 if batched else 2
    kind = "batched (3-D)" if batched else "unbatched (2-D)"
    if key.dim() != dims or value.dim() != dims:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {dims}-D but found {key.dim()}-D and "
            f"{value.dim()}-D tensors respectively."
        )
    if key_padding_mask is not None and key_padding_mask.dim() != dims - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {dims - 1}-D but found "
            f"{key_padding_mask.dim()}-D tensor instead."
        )
    if attn_mask is not None:
        _check_attn_mask_dims(attn_mask, query, key, kind, num_heads)
    return batched


def _check_attn_mask_dims(attn_mask, query, key, kind: str, num_heads: int) -> None:
    if attn_mask.dim() not in (2, 3):
        raise AssertionError(
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {attn_mask.dim()}-D tensor "
            f"instead."
        )
    expected = (num_heads, query.shape[0], key.shape[0])
    if query.dim() == 2 and attn_mask.dim() == 3 and tuple(attn_mask.shape) != expected:
        raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {tuple(attn_mask.shape)}.")


def _check_widths(query, key, value, embed_dim: int, num_heads: int, separate: bool) -> None:
    if query.shape[-1] != embed_dim:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim}, but got {query.shape[-1]} (query is "
            f"{list(query.shape)})."
        )
    if embed_dim % num_heads:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}.")
    if separate:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}."
            )
    elif key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}.")
    if key.shape[1] != query.shape[1]:
        raise RuntimeError(
            f"multi_head_attention: key has batch size {key.shape[1]}, query {query.shape[1]} "
            f"(shapes {list(key.shape)} and {list(query.shape)})."
        )


def _attn_mask_per_head(attn_mask: Tensor, batch: int, num_heads: int, length: int, source: int) -> Tensor:
    """The mask (L, S) or (N * H, L, S) as something that broadcasts to (N, H, L, S)."""
    wanted = (length, source) if attn_mask.dim() == 2 else (batch * num_heads, length, source)
    if tuple(attn_mask.shape) != wanted:
        raise RuntimeError(
            f"The shape of the {attn_mask.dim()}D attn_mask is {attn_mask.shape}, but should be {wanted}."
        )
    return attn_mask if attn_mask.dim() == 2 else attn_mask.unflatten(0, (batch, num_heads))


# --- the parts ---------------------------------------------------------------------------------------------


def _project_packed(query, key, value, weight, bias) -> tuple:
    """Query, key and value by one weight (3E, E): one product where they are the same tensor, fewer else."""
    embed = query.shape[-1]
    if key is value:
        if query is key:
            return F.linear(query, weight, bias).chunk(3, -1)
        w_q, w_kv = weight.split([embed, 2 * embed])
        b_q, b_kv = (None, None) if bias is None else bias.split([embed, 2 * embed])
        return (F.linear(query, w_q, b_q), *F.linear(key, w_kv, b_kv).chunk(2, -1))
    weights = weight.chunk(3)
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return tuple(F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases))


def _project_separate(query, key, value, weights: tuple, bias) -> tuple:
    """Query, key and value by a weight each; the biases lie in one tensor (3E,)."""
    if any(w is None for w in weights):
        raise AssertionError(
            "use_separate_proj_weight is True, so q_proj_weight, k_proj_weight and v_proj_weight must be given."
        )
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return tuple(F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases))


def _split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(L, N, E) -> (N, H, L, D)."""
    return x.unflatten(-1, (num_heads, -1)).permute(1, 2, 0, 3)


def _static_heads(x: Tensor, name: str, batch: int, num_heads: int, width: int) -> Tensor:
    """A given key or value (N * H, S, D) -> (N, H, S, D)."""
    if x.shape[0] != batch * num_heads or x.shape[2] != width:
        raise AssertionError(
            f"expecting {name} of shape ({batch * num_heads}, S, {width}) for {batch} sequences and {num_heads} heads, "
            f"but got {list(x.shape)}."
        )
    return x.unflatten(0, (batch, num_heads))


def _one_more(mask: Tensor | None) -> Tensor | None:
    """The mask with a column for one more source position, which may be seen."""
    return None if mask is None else F.pad(mask, (0, 1))


def _weigh(q, k, v, mask, dropout_p: float) -> tuple[Tensor, Tensor]:
    """Attention by its formula: (outputs (N, H, L, D), weights (N, H, L, S) after dropout)."""
    scores = (q * math.sqrt(1.0 / q.shape[-1])) @ k.transpose(-2, -1)
    if mask is not None:
        if mask.dtype != scores.dtype:
            raise RuntimeError(
                f"multi_head_attention: Input dtypes must be the same, got a mask of {mask.dtype} for scores of "
                f"{scores.dtype}. Convert the mask."
            )
        scores = scores + mask
    weights = F.softmax(scores, -1)
    if dropout_p > 0.0:
        weights = F.dropout(weights, dropout_p)
    return weights @ v, weights


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Multi-head attention: `softmax(Q K^T / sqrt(D) + masks) V` in each head, put together and projected.

    Args:
        query: (L, N, E) or (L, E). key, value: (S, N, their width) or without N.
        in_proj_weight, in_proj_bias: (3E, E) and (3E,); with `use_separate_proj_weight` the three weights instead.
        bias_k, bias_v: (1, 1, E), one more source position, learned. add_zero_attn: one more, of zeros.
        key_padding_mask: (N, S) or (S,); attn_mask: (L, S) or (N * H, L, S). True hides, numbers are added.
        is_causal: a hint that `attn_mask` is the causal one, which must be given.
        static_k, static_v: (N * H, S, D), used instead of the projected key and value.
    Returns: (L, N, E) or (L, E), and the weights (N, L, S), by head if not `average_attn_weights`; None if not needed.
    Source: Vaswani et al. 2017, Attention is all you need, section 3.2.2.
    """
    batched = _check_dims(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        # Views of their own, so that three projections follow, whose gradients are added in PyTorch's order.
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    _check_widths(query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight)
    length, batch, embed_dim = query.shape
    source = key.shape[0]
    head_dim = embed_dim // num_heads
    if is_causal and attn_mask is None:
        raise RuntimeError(_NEED_MASK)
    key_padding_mask, attn_mask = (
        canonical_mask(key_padding_mask, "key_padding_mask", attn_mask, query.dtype),
        canonical_mask(attn_mask, "attn_mask", None, query.dtype),
    )
    # With the hint, and nothing else hidden, attention needs no mask in memory.
    causal = is_causal and key_padding_mask is None and not need_weights
    if causal:
        attn_mask = None
    if attn_mask is not None:
        attn_mask = _attn_mask_per_head(attn_mask, batch, num_heads, length, source)

    if use_separate_proj_weight:
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = _project_separate(query, key, value, weights, in_proj_bias)
    elif in_proj_weight is None:
        raise AssertionError("use_separate_proj_weight is False, so in_proj_weight must be given.")
    else:
        q, k, v = _project_packed(query, key, value, in_proj_weight, in_proj_bias)
    if (bias_k is None) != (bias_v is None):
        raise AssertionError("bias_k and bias_v must be given together.")
    if bias_k is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias_k and bias_v cannot be added to a static key or value.")
        k = tenfold.cat([k, bias_k.expand(1, batch, -1)])
        v = tenfold.cat([v, bias_v.expand(1, batch, -1)])
        attn_mask, key_padding_mask = _one_more(attn_mask), _one_more(key_padding_mask)

    q = _split_heads(q, num_heads)
    k = (
        _split_heads(k, num_heads)
        if static_k is None
        else _static_heads(static_k, "static_k", batch, num_heads, head_dim)
    )
    v = (
        _split_heads(v, num_heads)
        if static_v is None
        else _static_heads(static_v, "static_v", batch, num_heads, head_dim)
    )
    if add_zero_attn:
        zero = k.new_zeros(batch, num_heads, 1, head_dim)
        k, v = tenfold.cat([k, zero], 2), tenfold.cat([v, zero], 2)
        attn_mask, key_padding_mask = _one_more(attn_mask), _one_more(key_padding_mask)

    mask = attn_mask
    if key_padding_mask is not None:
        if tuple(key_padding_mask.shape) != (batch, k.shape[2]):
            wrong = 0 if key_padding_mask.shape[0] != batch else 1
            raise AssertionError(
                f"Expected key_padding_mask.shape[{wrong}] to be {(batch, k.shape[2])[wrong]}, "
                f"but got {key_padding_mask.shape[wrong]}. The mask is (batch, source length)."
            )
        padding = key_padding_mask.unsqueeze(1).unsqueeze(2)  # (N, 1, 1, S)
        mask = padding if mask is None else mask + padding

    dropout_p = dropout_p if training else 0.0
    weights = None
    if need_weights:
        output, weights = _weigh(q, k, v, mask, dropout_p)
    else:
        output = F.scaled_dot_product_attention(q, k, v, mask, dropout_p, causal)
    output = output.permute(2, 0, 1, 3).flatten(2)  # (N, H, L, D) -> (L, N, E)
    output = F.linear(output, out_proj_weight, out_proj_bias)
    if weights is not None and average_attn_weights:
        weights = weights.mean(1)
    if not batched:
        output = output.squeeze(1)
        weights = None if weights is None else weights.squeeze(0)
    return output, weights
