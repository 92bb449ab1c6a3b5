"""Qwen3, dense: grouped-query attention with RMS norm on each query and key head."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

from tallow.lazy_dataclasses import replace
from tallow.models.base import define_heads
from tallow.models.blocks import Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig, read_flagged_windows
from tallow.models.decoder_model import DecoderModel, decoder_layer
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER
from tallow.nn import Module, RMSNorm


class Config(DecoderConfig):
    """Of Hugging Face's `Qwen3Config`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The head size is 128 unless said; windows as in Qwen2."""
        fields = fields.with_defaults(num_key_value_heads=32, max_position_embeddings=32768)
        cfg = super().read(fields.with_default("head_dim", 128))
        bias = fields.flag("attention_bias")
        windows = read_flagged_windows(fields, cfg.num_hidden_layers)
        return replace(cfg, qkv_bias=bias, output_bias=bias, sliding_windows=windows)


GGUF = replace(GGUF_DECODER, biases=())


class Qwen3Model(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention with normalised heads, and gated feed-forward."""
        norm = partial(RMSNorm, cfg.head_dim, cfg.rms_norm_eps)
        return decoder_layer(cfg, index, rope, q_norm=norm(), k_norm=norm())


class Qwen3(CausalLM):
    """A decoder of attention with normalised heads, and gated feed-forward layers."""

    config_class = Config
    model_class = Qwen3Model


class HeadedConfig(heads.HeadConfig, Config):
    """The same with what heads ask for."""


define_heads(
    globals(), "Qwen3",
    heads.SequenceClassification, heads.TokenClassification, heads.QuestionAnswering,
    config_class=HeadedConfig, base_class=Qwen3Model,
)  # fmt: skip
