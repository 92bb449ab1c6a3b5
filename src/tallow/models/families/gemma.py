"""Gemma 1: Llama with scaled words, norms that scale by 1 + weight, and tanh-GELU gates."""

from __future__ import annotations

from functools import partial
from typing import Self

from tallow.lazy_dataclasses import replace
from tallow.models.base import define_heads
from tallow.models.blocks import Attention, DecoderLayer, GatedMlp, Rope
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.decoder_heads import (
    HeadConfig,
    SequenceClassification,
    TokenClassification,
)
from tallow.models.blocks.embedding import Embedding
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, added
from tallow.nn import Module, param, tie
from tallow.nn.init import zeros
from tallow.ops import rms_norm
from tallow.tensor import Tensor
from tallow.weights.arrange import WeightConverter, mapped

ACT = "gelu_pytorch_tanh"


class Config(DecoderConfig):
    """Of Hugging Face's `GemmaConfig`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """First configs say gelu and mean its tanh form; words are tied unless said."""
        for name in ("hidden_act", "hidden_activation"):
            if fields.text(name, ACT) not in (ACT, "gelu"):
                raise fields.error(name, ACT, fields.get(name))
        if fields.flag("use_bidirectional_attention"):
            raise fields.error("use_bidirectional_attention", "false (not supported)", True)
        fields = fields.with_value("hidden_act", "silu").with_defaults(
            num_key_value_heads=16, head_dim=256, max_position_embeddings=8192,
            tie_word_embeddings=True, pad_token_id=0,
        )  # fmt: skip
        bias = fields.flag("attention_bias")
        return replace(super().read(fields), qkv_bias=bias, output_bias=bias)


class OffsetNorm(Module):
    """RMS norm times `1 + weight`."""

    def __init__(self, size: int, eps: float) -> None:
        self.weight = param(size, init=zeros)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return rms_norm(x, self.weight + 1.0, self.eps)


class ScaledEmbedding(Embedding):
    """A look-up times the root of the width."""

    def forward(self, ids: Tensor) -> Tensor:
        """`(...)` of ids → `(..., size)`."""
        return super().forward(ids) * self.embedding_dim**0.5


def _layer(cfg: DecoderConfig, index: int, rope: Rope) -> DecoderLayer:
    size = cfg.hidden_size
    attention = Attention(
        size, cfg.num_attention_heads, cfg.num_key_value_heads, cfg.head_dim,
        bias=cfg.qkv_bias, out_bias=cfg.output_bias, rope=rope, causal=True,
    )  # fmt: skip
    mlp = GatedMlp(size, cfg.intermediate_size, act=ACTIVATIONS[ACT])
    norm = partial(OffsetNorm, size, cfg.rms_norm_eps)
    return DecoderLayer(self_attn=attention, mlp=mlp, norm=norm)


def _adapted(model: DecoderModel, cfg: DecoderConfig) -> None:
    words = ScaledEmbedding(cfg.vocab_size, cfg.hidden_size, cfg.pad_token_id)
    tie(words, "weight", model.embed_tokens, "weight")
    model.embed_tokens = words
    model.norm = OffsetNorm(cfg.hidden_size, cfg.rms_norm_eps)


def _offset_norms(cfg: DecoderConfig) -> tuple[WeightConverter, ...]:
    """Files hold what norms multiply by, `1 + weight`."""
    layer = "model.layers.{}."
    return (
        mapped("output_norm.weight", "model.norm.weight", added(-1.0)),
        mapped("blk.{}.attn_norm.weight", layer + "input_layernorm.weight", added(-1.0)),
        mapped("blk.{}.ffn_norm.weight", layer + "post_attention_layernorm.weight", added(-1.0)),
    )


GGUF = replace(GGUF_DECODER, rules=_offset_norms, biases=())


class GemmaModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    def __init__(self, cfg: DecoderConfig) -> None:
        super().__init__(cfg, _layer)
        _adapted(self, cfg)


class Gemma(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config

    def __init__(self, cfg: DecoderConfig) -> None:
        super().__init__(cfg, _layer)
        _adapted(self.model, cfg)


class HeadedConfig(HeadConfig, Config):
    """The same with what heads ask for; the padding is 0 unless said."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """As of the decoder."""
        return super().read(fields.with_defaults(pad_token_id=0))


define_heads(
    globals(), "Gemma", SequenceClassification, TokenClassification,
    config_class=HeadedConfig, base_class=GemmaModel,
)  # fmt: skip
