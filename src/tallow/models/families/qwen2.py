"""Qwen2 and Qwen2.5, dense: Llama with biases on queries, keys and values."""

from __future__ import annotations

from typing import Self

from tallow.lazy_dataclasses import replace
from tallow.models.base import define_heads
from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig, read_flagged_windows
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER


class Config(DecoderConfig):
    """Of Hugging Face's `Qwen2Config`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Windows stand in the upper layers only, and only if `use_sliding_window` is set."""
        fields = fields.with_defaults(num_key_value_heads=32, max_position_embeddings=32768)
        cfg = super().read(fields)
        windows = read_flagged_windows(fields, cfg.num_hidden_layers)
        return replace(cfg, qkv_bias=True, sliding_windows=windows)


GGUF = replace(GGUF_DECODER, qkv_bias=True, biases=("attn_q", "attn_k", "attn_v"))


class Qwen2Model(DecoderModel):
    """The decoder without a head."""

    config_class = Config


class Qwen2(CausalLM):
    """A decoder of biased attention and gated feed-forward layers."""

    config_class = Config


class HeadedConfig(heads.HeadConfig, Config):
    """The same with what heads ask for."""


define_heads(
    globals(), "Qwen2",
    heads.SequenceClassification, heads.TokenClassification, heads.QuestionAnswering,
    config_class=HeadedConfig, base_class=Qwen2Model,
)  # fmt: skip
