"""The Transformer: encoder and decoder layers, their stacks, and the whole.

Letters: S source length, T target length, N batch, E width (d_model).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import tenfold
from tenfold import Tensor
from tenfold.nn import functional as F
from tenfold.nn.activation import GELU, ReLU
from tenfold.nn.attention import MultiheadAttention
from tenfold.nn.attention_forward import canonical_mask
from tenfold.nn.container import ModuleList
from tenfold.nn.dropout import Dropout
from tenfold.nn.init import xavier_uniform_
from tenfold.nn.linear import Linear
from tenfold.nn.module import Module
from tenfold.nn.normalization import LayerNorm

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]


def _causal_mask(size: int, device=None, dtype=None) -> Tensor:
    """(size, size): -inf above the diagonal, 0 elsewhere."""
    return tenfold.triu(tenfold.full((size, size), -math.inf, dtype=dtype, device=device), diagonal=1)


def _activation(activation: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The function that a name stands for."""
    if not isinstance(activation, str):
        return activation
    functions = {"relu": F.relu, "gelu": F.gelu}
    if activation not in functions:
        raise RuntimeError(f"activation should be relu/gelu, not {activation}; or give a function of a tensor.")
    return functions[activation]


def _in_dtype_of(mask: Tensor | None, x: Tensor) -> Tensor | None:
    """A floating mask in the dtype of what it is for; the stacks take masks of another one, the layers do not."""
    return mask.to(x.dtype) if mask is not None and mask.is_floating_point() else mask


def _copies(module: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(count)])


class Transformer(Module):
    """An encoder reads the source, a decoder writes the target while looking at what was read.

    Args:
        d_model: E. Default 512.
        nhead: attention heads. Default 8.
        num_encoder_layers, num_decoder_layers: default 6 each.
        dim_feedforward: width between the two linear layers. Default 2048.
        dropout: default 0.1.
        activation: "relu" (default), "gelu", or a function of a tensor.
        custom_encoder, custom_decoder: used instead of the ones built here.
        layer_norm_eps: default 1e-5.
        batch_first: sequences are (N, S, E) instead of (S, N, E). Default False.
        norm_first: normalise before each block instead of after it. Default False.
        bias: with biases in linear layers and norms. Default True.
    Source: Vaswani et al. 2017, Attention is all you need.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        custom_encoder: Any | None = None,
        custom_decoder: Any | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        factory = {"device": device, "dtype": dtype}
        sizes = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)
        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            layer = TransformerEncoderLayer(*sizes, **factory)
            norm = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
            self.encoder = TransformerEncoder(layer, num_encoder_layers, norm)
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            layer = TransformerDecoderLayer(*sizes, **factory)
            norm = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
            self.decoder = TransformerDecoder(layer, num_decoder_layers, norm)
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoder's output (T, N, E), (N, T, E) with `batch_first`, or (T, E).

        Args:
            src, tgt: (S, N, E) and (T, N, E), with batch first or without batch as above.
            src_mask, tgt_mask, memory_mask: (S, S), (T, T), (T, S), or one for each head and sequence.
            *_key_padding_mask: (N, S), (N, T), (N, S).
            *_is_causal: a hint that the mask is the causal one.
        Raises: RuntimeError if batch or width disagree.
        """
        self._check(src, tgt)
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    def _check(self, src: Tensor, tgt: Tensor) -> None:
        shapes = f"src is {list(src.shape)}, tgt {list(tgt.shape)}"
        batch_dim = 0 if self.batch_first else 1
        if src.dim() == 3 and src.size(batch_dim) != tgt.size(batch_dim):
            raise RuntimeError(
                f"Transformer: the batch number of src and tgt must be equal in dim {batch_dim}; {shapes}."
            )
        if src.size(-1) != self.d_model or tgt.size(-1) != self.d_model:
            raise RuntimeError(
                f"Transformer: the feature number of src and tgt must be equal to d_model ({self.d_model}); {shapes}."
            )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device=None, dtype=None) -> Tensor:
        """The causal mask (sz, sz): -inf above the diagonal, 0 elsewhere."""
        return _causal_mask(sz, device, dtype)

    def _reset_parameters(self) -> None:
        """Glorot's uniform for all matrices."""
        for p in self.parameters():
            if p.dim() > 1:
                xavier_uniform_(p)


class TransformerEncoder(Module):
    """Encoder layers, one on the other.

    Args:
        encoder_layer: is copied `num_layers` times; the copies start out equal.
        num_layers: how many.
        norm: applied to the last layer's output. Default None.
        enable_nested_tensor, mask_check: accepted; padding is not skipped here.
    In evaluation, where PyTorch skips padding, outputs of padded positions at the end of a sequence are 0, as there.
    """

    __constants__ = ["norm"]

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.use_nested_tensor = enable_nested_tensor and _may_skip_padding(encoder_layer)
        self.mask_check = mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """The encoded source, shape as `src`: (S, N, E), (N, S, E) or (S, E).

        Args:
            mask: (S, S) or (N * H, S, S); True hides, numbers are added to the scores.
            src_key_padding_mask: (N, S), as `mask`.
            is_causal: a hint that `mask` is the causal one. Default None.
        """
        padding = canonical_mask(src_key_padding_mask, "src_key_padding_mask", mask, src.dtype)
        mask = _in_dtype_of(canonical_mask(mask, "mask", None, src.dtype), src)
        output = src
        for layer in self.layers:
            output = layer(output, src_mask=mask, is_causal=bool(is_causal), src_key_padding_mask=padding)
        if padding is not None and mask is None and self._skips_padding(src):
            output = _zero_padding(output, padding)
        return output if self.norm is None else self.norm(output)

    def _skips_padding(self, src: Tensor) -> bool:
        """Would PyTorch leave padded positions out? It does where nobody asks for a gradient."""
        if not self.use_nested_tensor or src.dim() != 3 or self.layers[0].training:
            return False
        if not tenfold.is_grad_enabled():
            return True
        return not (src.requires_grad or any(p.requires_grad for p in self.layers[0].parameters()))


def _may_skip_padding(layer: Module) -> bool:
    """Is the layer of the kind for which PyTorch leaves padding out?"""
    if not isinstance(layer, TransformerEncoderLayer) or layer.norm_first:
        return False
    attention = layer.self_attn
    return (
        attention.batch_first
        and attention._qkv_same_embed_dim
        and attention.in_proj_bias is not None
        and layer.activation_relu_or_gelu > 0
        and layer.norm1.eps == layer.norm2.eps
        and attention.num_heads % 2 == 0
    )


def _zero_padding(output: Tensor, padding: Tensor) -> Tensor:
    """0 at the positions of `padding` (N, S), if in all sequences they are the last ones; nothing is read for it."""
    hidden = padding != 0
    in_order = (hidden[:, 1:] | ~hidden[:, :-1]).all()
    return output.masked_fill((hidden & in_order).unsqueeze(2), 0.0)


class TransformerEncoderLayer(Module):
    """Self-attention, then two linear layers at each position; each with a residual connection and a norm.

    Args:
        d_model: E. nhead: attention heads. dim_feedforward: width between the linear layers, default 2048.
        dropout: default 0.1. activation: "relu" (default), "gelu" or a function. layer_norm_eps: default 1e-5.
        batch_first, norm_first: default False. bias: default True.
    Source: Vaswani et al. 2017; `norm_first` as in Xiong et al. 2020, On layer normalization in the Transformer.
    """

    __constants__ = ["norm_first"]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        factory = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, **factory
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **factory)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **factory)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        activation = _activation(activation)
        if activation is F.relu or isinstance(activation, ReLU):
            self.activation_relu_or_gelu = 1
        elif activation is F.gelu or isinstance(activation, GELU):
            self.activation_relu_or_gelu = 2
        else:
            self.activation_relu_or_gelu = 0
        self.activation = activation

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        if not hasattr(self, "activation"):
            self.activation = F.relu

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The layer's output, shape as `src`; arguments as `TransformerEncoder.forward`'s."""
        padding = canonical_mask(src_key_padding_mask, "src_key_padding_mask", src_mask, src.dtype)
        mask = canonical_mask(src_mask, "src_mask", None, src.dtype)
        x = src
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), mask, padding, is_causal)
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(x + self._sa_block(x, mask, padding, is_causal))
        return self.norm2(x + self._ff_block(x))

    def _sa_block(
        self, x: Tensor, attn_mask: Tensor | None, key_padding_mask: Tensor | None, is_causal: bool = False
    ) -> Tensor:
        """Self-attention."""
        masks = {"attn_mask": attn_mask, "key_padding_mask": key_padding_mask, "is_causal": is_causal}
        return self.dropout1(self.self_attn(x, x, x, need_weights=False, **masks)[0])

    def _ff_block(self, x: Tensor) -> Tensor:
        """The two linear layers."""
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerDecoder(Module):
    """Decoder layers, one on the other.

    Args:
        decoder_layer: is copied `num_layers` times; the copies start out equal.
        num_layers: how many.
        norm: applied to the last layer's output. Default None.
    """

    __constants__ = ["norm"]

    def __init__(self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoded target, shape as `tgt`: (T, N, E), (N, T, E) or (T, E).

        Args:
            memory: what the encoder gave, (S, N, E), with batch first or without batch as `tgt`.
            tgt_mask: (T, T); memory_mask: (T, S); the padding masks: (N, T) and (N, S).
            tgt_is_causal, memory_is_causal: hints that the masks are the causal ones.
        """
        output = tgt
        tgt_mask = _in_dtype_of(tgt_mask, tgt)
        for layer in self.layers:
            output = layer(
                output,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return output if self.norm is None else self.norm(output)


class TransformerDecoderLayer(Module):
    """Self-attention, attention to the encoder's output, then two linear layers at each position.

    Args: as `TransformerEncoderLayer`'s.
    Source: Vaswani et al. 2017, Attention is all you need.
    """

    __constants__ = ["norm_first"]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        factory = {"device": device, "dtype": dtype}
        attention = {"dropout": dropout, "batch_first": batch_first, "bias": bias, **factory}
        self.self_attn = MultiheadAttention(d_model, nhead, **attention)
        self.multihead_attn = MultiheadAttention(d_model, nhead, **attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **factory)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **factory)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = _activation(activation)

    def __setstate__(self, state: dict) -> None:
        # As in PyTorch, a copy falls back to ReLU where the activation is a module (not a function), so the layers
        # of a TransformerDecoder do: weights trained there give the same numbers here.
        super().__setstate__({"activation": F.relu, **state})

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The layer's output, shape as `tgt`; arguments as `TransformerDecoder.forward`'s."""
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory_mask, memory_key_padding_mask, memory_is_causal)
        x = tgt
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), *own)
            x = x + self._mha_block(self.norm2(x), memory, *other)
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(x + self._sa_block(x, *own))
        x = self.norm2(x + self._mha_block(x, memory, *other))
        return self.norm3(x + self._ff_block(x))

    def _sa_block(
        self, x: Tensor, attn_mask: Tensor | None, key_padding_mask: Tensor | None, is_causal: bool = False
    ) -> Tensor:
        """Self-attention."""
        masks = {"attn_mask": attn_mask, "key_padding_mask": key_padding_mask, "is_causal": is_causal}
        return self.dropout1(self.self_attn(x, x, x, need_weights=False, **masks)[0])

    def _mha_block(
        self,
        x: Tensor,
        mem: Tensor,
        attn_mask: Tensor | None,
        key_padding_mask: Tensor | None,
        is_causal: bool = False,
    ) -> Tensor:
        """Attention to the encoder's output."""
        masks = {"attn_mask": attn_mask, "key_padding_mask": key_padding_mask, "is_causal": is_causal}
        return self.dropout2(self.multihead_attn(x, mem, mem, need_weights=False, **masks)[0])

    def _ff_block(self, x: Tensor) -> Tensor:
        """The two linear layers."""
        return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))
