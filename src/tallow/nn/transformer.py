"""Transformers as in torch (arXiv 1706.03762): attention, encoder and decoder layers and stacks."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from tallow.dtype import DType, DTypeLike, f32
from tallow.errors import ArgumentError, expect
from tallow.factories import arange, full
from tallow.nn import functional as F
from tallow.nn.container import ModuleList
from tallow.nn.dropout import Dropout
from tallow.nn.init import xavier_normal_, xavier_uniform_, zeros
from tallow.nn.layer import DeviceModule, Layer
from tallow.nn.linear import Linear
from tallow.nn.module import Module
from tallow.nn.norm import LayerNorm
from tallow.nn.parameter import declare, reset
from tallow.tensor import Tensor

Activation = str | Callable[[Tensor], Tensor]


class NonDynamicallyQuantizableLinear(Linear):
    """`Linear` under the name that torch prints for the output of its attention."""


class MultiheadAttention(Layer):
    """`num_heads` attentions side by side, between projections; sizes as in torch.

    `kdim`, `vdim` are the sizes of key and value where they differ from `embed_dim`; `add_bias_kv`
    appends a learnt key and value, `add_zero_attn` one of zeros.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: object = None,
        dtype: DTypeLike = None,
    ) -> None:
        good = embed_dim > 0 and num_heads > 0 and embed_dim % num_heads == 0
        wanted = "an embed_dim that num_heads divides"
        expect(good, "MultiheadAttention", wanted, (embed_dim, num_heads), ArgumentError)
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.dropout, self.batch_first = dropout, batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        square = partial(declare, init=xavier_uniform_, dtype=dtype)
        if self._qkv_same_embed_dim:
            self.in_proj_weight = square(3 * embed_dim, embed_dim)
        for name, inputs in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            matrix = None if self._qkv_same_embed_dim else square(embed_dim, inputs)
            self.register_parameter(f"{name}_proj_weight", matrix)
        if not self._qkv_same_embed_dim:
            self.register_parameter("in_proj_weight", None)
        shift = declare(3 * embed_dim, init=zeros, dtype=dtype) if bias else None
        self.register_parameter("in_proj_bias", shift)
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias=bias, dtype=dtype
        )
        row = partial(declare, 1, 1, embed_dim, init=xavier_normal_, dtype=dtype)
        self.bias_k = row() if add_bias_kv else None
        self.bias_v = row() if add_bias_kv else None
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        self.reset_parameters()
        if self.out_proj.bias is not None:
            reset(self.out_proj.bias, zeros)

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
        """`(l, batch, e)` and `(s, batch, ...)` twice → `(l, batch, e)`, attention `(batch, l, s)`.

        The batch comes first with `batch_first`. Masks are as of
        `functional.multi_head_attention_forward`.
        """
        swap = self.batch_first and query.ndim == 3
        if swap:
            turned = {id(x): x.transpose(0, 1) for x in (query, key, value)}
            query, key, value = (turned[id(x)] for x in (query, key, value))
        out, weights = F.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight,
            self.in_proj_bias, self.bias_k, self.bias_v, self.add_zero_attn, self.dropout,
            self.out_proj.weight, self.out_proj.bias, self.training, key_padding_mask,
            need_weights, attn_mask, not self._qkv_same_embed_dim, self.q_proj_weight,
            self.k_proj_weight,
            self.v_proj_weight, average_attn_weights=average_attn_weights, is_causal=is_causal,
        )  # fmt: skip
        return out.transpose(0, 1) if swap else out, weights


def _activation(given: Activation) -> Callable[[Tensor], Tensor]:
    if callable(given):
        return given
    wanted = "activation relu, gelu or a function"
    expect(given in ("relu", "gelu"), "transformer layer", wanted, repr(given), ArgumentError)
    return F.relu if given == "relu" else F.gelu


class _TransformerLayer(DeviceModule):
    """What the layers share: attentions, a feed-forward network, a norm and a dropout for each."""

    _attentions: tuple[str, ...]
    self_attn: MultiheadAttention
    dropout1: Dropout

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: object = None,
        dtype: DTypeLike = None,
    ) -> None:
        for name in self._attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias=bias, batch_first=batch_first, dtype=dtype
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, dtype=dtype)
        self.norm_first = norm_first
        parts = range(1, len(self._attentions) + 2)
        for i in parts:
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype))
        for i in parts:
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = _activation(activation)

    def _sa_block(
        self, x: Tensor, mask: Tensor | None, padding: Tensor | None, is_causal: bool = False
    ) -> Tensor:
        made: Any = self.self_attn(x, x, x, padding, False, mask, is_causal=is_causal)
        return self.dropout1(made[0])

    def _ff_block(self, x: Tensor) -> Tensor:
        hidden = self.dropout(self.activation(self.linear1(x)))
        last = getattr(self, f"dropout{len(self._attentions) + 1}")
        return last(self.linear2(hidden))


class TransformerEncoderLayer(_TransformerLayer):
    """Self-attention and a feed-forward network, each added to its input and normalised.

    With `norm_first`, what is added is computed from the normalised input instead.
    """

    _attentions = ("self_attn",)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """`(s, batch, d_model)`, kept; the batch comes first with `batch_first`."""
        x = src
        mask, padding = src_mask, src_key_padding_mask
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), mask, padding, is_causal)
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(x + self._sa_block(x, mask, padding, is_causal))
        return self.norm2(x + self._ff_block(x))


class TransformerDecoderLayer(_TransformerLayer):
    """Self-attention, attention to `memory` and a feed-forward network; else as the encoder's."""

    _attentions = ("self_attn", "multihead_attn")

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
        """`(t, batch, d_model)`, kept, with memory `(s, batch, d_model)`."""
        x = tgt
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory, memory_mask, memory_key_padding_mask, memory_is_causal)
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), *own)
            x = x + self._mha_block(self.norm2(x), *other)
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(x + self._sa_block(x, *own))
        x = self.norm2(x + self._mha_block(x, *other))
        return self.norm3(x + self._ff_block(x))

    def _mha_block(
        self,
        x: Tensor,
        memory: Tensor,
        mask: Tensor | None,
        padding: Tensor | None,
        is_causal: bool = False,
    ) -> Tensor:
        made: Any = self.multihead_attn(
            x, memory, memory, padding, False, mask, is_causal=is_causal
        )
        return self.dropout2(made[0])


def _copies(layer: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(layer) for _ in range(count)])


class TransformerEncoder(Module):
    """`num_layers` copies of a layer, which begin with equal values."""

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        # Names of torch's; sequences are never packed here.
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """`(s, batch, d_model)`, kept; `is_causal` is a hint that `mask` is causal."""
        x = src
        for layer in self.layers:
            x = layer(x, mask, src_key_padding_mask, bool(is_causal))
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """`num_layers` copies of a layer, which begin with equal values."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
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
        """`(t, batch, d_model)`, kept, with memory `(s, batch, d_model)`."""
        x = tgt
        for layer in self.layers:
            x = layer(
                x, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
                bool(tgt_is_causal), memory_is_causal,
            )  # fmt: skip
        return x if self.norm is None else self.norm(x)


class Transformer(DeviceModule):
    """An encoder and a decoder; matrices are drawn by Xavier's uniform rule."""

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: object = None,
        dtype: DTypeLike = None,
    ) -> None:
        options: Any = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias, None, dtype,
        )  # fmt: skip
        norm = partial(LayerNorm, d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*options), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*options), num_decoder_layers, norm()
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for value in self.parameters():
            if value.ndim > 1:
                reset(value, xavier_uniform_)

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
        """`(s, batch, d_model)` and `(t, batch, d_model)` → `(t, batch, d_model)`."""
        good = src.shape[-1] == tgt.shape[-1] == self.d_model
        expect(good, "Transformer", f"src and tgt of size {self.d_model}", (src.shape, tgt.shape))
        good = src.ndim == tgt.ndim
        if good and src.ndim == 3:
            batch = 0 if self.batch_first else 1
            good = src.shape[batch] == tgt.shape[batch]
        expect(good, "Transformer", "src and tgt of one batch", (src.shape, tgt.shape))
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(
            tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
            tgt_is_causal, memory_is_causal,
        )  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: object = None, dtype: DType | str = f32
    ) -> Tensor:
        """(sz, sz): 0 on and below the diagonal, else -inf."""
        from tallow.ops import where

        later = arange(sz) > arange(sz).unsqueeze(1)
        return where(later, -math.inf, full((), 0.0, dtype))
