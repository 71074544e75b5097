"""Multi-head attention as a layer; what it computes is `multi_head_attention_forward` in `attention_forward.py`."""

from __future__ import annotations

import tenfold
from tenfold import Tensor
from tenfold.nn import functional as F
from tenfold.nn import init
from tenfold.nn.attention_backend import SDPBackend, sdpa_kernel
from tenfold.nn.attention_forward import canonical_mask
from tenfold.nn.linear import NonDynamicallyQuantizableLinear
from tenfold.nn.module import Module
from tenfold.nn.parameter import Parameter

__all__ = ["MultiheadAttention", "SDPBackend", "sdpa_kernel"]


class MultiheadAttention(Module):
    """Attention in several heads: each compares queries with keys and averages values by how well they match.

    Args:
        embed_dim: E, the width of queries and outputs, divisible by `num_heads`.
        num_heads: H.
        dropout: probability for the attention weights, in training. Default 0.
        bias: with biases in all four projections. Default True.
        add_bias_kv: one more source position, learned. Default False.
        add_zero_attn: one more source position, of zeros. Default False.
        kdim, vdim: widths of keys and values. Default None: E.
        batch_first: sequences are (N, L, E) instead of (L, N, E). Default False.
    Parameters: `in_proj_weight` (3E, E), or `q_proj_weight` (E, E), `k_proj_weight` (E, kdim), `v_proj_weight`
        (E, vdim); `in_proj_bias` (3E); `bias_k`, `bias_v` (1, 1, E); `out_proj`, a Linear(E, E).
    Raises: ValueError or AssertionError for sizes that do not go together.
    Source: Vaswani et al. 2017, Attention is all you need, section 3.2.2.
    """

    __constants__ = ["batch_first"]

    bias_k: Tensor | None
    bias_v: Tensor | None

    def __init__(
        self,
        embed_dim,
        num_heads,
        dropout=0.0,
        bias=True,
        add_bias_kv=False,
        add_zero_attn=False,
        kdim=None,
        vdim=None,
        batch_first=False,
        device=None,
        dtype=None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"MultiheadAttention: embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} "
                f"and num_heads={num_heads} instead."
            )
        if embed_dim % num_heads:
            raise AssertionError(
                f"MultiheadAttention: embed_dim must be divisible by num_heads, got {embed_dim} and {num_heads}."
            )
        super().__init__()
        factory = {"device": device, "dtype": dtype}
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self._register_projections(bias, add_bias_kv, factory)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, **factory)
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _register_projections(self, bias: bool, add_bias_kv: bool, factory: dict) -> None:
        """Registers the input's weights and biases, in PyTorch's order; None for those that are not used."""
        width = self.embed_dim
        shapes = {"q_proj_weight": None, "k_proj_weight": None, "v_proj_weight": None, "in_proj_weight": None}
        if self._qkv_same_embed_dim:
            shapes["in_proj_weight"] = (3 * width, width)
        else:
            shapes |= {
                "q_proj_weight": (width, width),
                "k_proj_weight": (width, self.kdim),
                "v_proj_weight": (width, self.vdim),
            }
        shapes["in_proj_bias"] = (3 * width,) if bias else None
        if add_bias_kv:
            shapes |= {"bias_k": (1, 1, width), "bias_v": (1, 1, width)}
        else:
            self.bias_k = self.bias_v = None
        for name, shape in shapes.items():
            parameter = None if shape is None else Parameter(tenfold.empty(shape, **factory))
            self.register_parameter(name, parameter)

    def _reset_parameters(self) -> None:
        """Glorot's uniform for the projections, zero for their biases, Glorot's normal for `bias_k` and `bias_v`."""
        if self._qkv_same_embed_dim:
            init.xavier_uniform_(self.in_proj_weight)
        else:
            for weight in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def __setstate__(self, state: dict) -> None:
        super().__setstate__({"_qkv_same_embed_dim": True, **state})

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(outputs, weights).

        Args:
            query: (L, N, E), (N, L, E) with `batch_first`, or (L, E). key, value: the same with S and kdim, vdim.
            key_padding_mask: (N, S) or (S,); True hides a source position, numbers are added to the scores.
            need_weights: return the weights; False is faster. Default True.
            attn_mask: (L, S) or (N * H, L, S), as `key_padding_mask`.
            average_attn_weights: weights are (N, L, S), their mean over heads, instead of (N, H, L, S).
            is_causal: a hint that `attn_mask` is the causal mask.
        """
        transposed = self.batch_first and query.dim() == 3
        if transposed:
            query, key, value = self._time_first(query, key, value)
        separate = not self._qkv_same_embed_dim
        output, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=separate,
            q_proj_weight=self.q_proj_weight if separate else None,
            k_proj_weight=self.k_proj_weight if separate else None,
            v_proj_weight=self.v_proj_weight if separate else None,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (output.transpose(1, 0) if transposed else output), weights

    @staticmethod
    def _time_first(query, key, value) -> tuple:
        """(N, L, E) -> (L, N, E); what was one tensor stays one, so that it is projected at once."""
        if key.dim() != 3 or value.dim() != 3:
            return query, key, value  # the function says what is wrong
        q = query.transpose(1, 0)
        k = q if key is query else key.transpose(1, 0)
        v = k if value is key else value.transpose(1, 0)
        return q, k, v

    def merge_masks(
        self, attn_mask: Tensor | None, key_padding_mask: Tensor | None, query: Tensor
    ) -> tuple[Tensor | None, int | None]:
        """(the masks as one, its kind): 1 for a padding mask (N, L) alone, 2 for (N, H, L, L), None for none."""
        if attn_mask is None:
            return key_padding_mask, (None if key_padding_mask is None else 1)
        batch, length, _ = query.shape
        if attn_mask.dim() == 3:
            merged = attn_mask.view(batch, -1, length, length)
        else:
            merged = attn_mask.view(1, 1, length, length).expand(batch, self.num_heads, -1, -1)
        if key_padding_mask is not None:
            padding = key_padding_mask.view(batch, 1, 1, length).expand(-1, self.num_heads, -1, -1)
            merged = merged + canonical_mask(padding, "key_padding_mask", None, query.dtype)
        return merged, 2
