"""Qwen2 and Qwen2.5, dense: Llama with biases on queries, keys and values."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig, read_windows
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.gguf_form import GGUF_DECODER


class Config(DecoderConfig):
    """Of Hugging Face's `Qwen2Config`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Windows stand in the upper layers only, and only if `use_sliding_window` is set."""
        fields = fields.with_defaults(num_key_value_heads=32, max_position_embeddings=32768)
        cfg = replace(super().read(fields), qkv_bias=True)
        if not fields.flag("use_sliding_window"):
            return cfg
        layers = cfg.num_hidden_layers
        first = fields.integer("max_window_layers", 28, low=0)
        return replace(cfg, sliding_windows=read_windows(fields, layers, 4096, first))


GGUF = replace(GGUF_DECODER, qkv_bias=True)


class Qwen2Model(DecoderModel):
    """The decoder without a head."""

    config_class = Config


class Qwen2(CausalLM):
    """A decoder of biased attention and gated feed-forward layers."""

    config_class = Config


class HeadedConfig(heads.HeadConfig, Config):
    """The same with what heads ask for."""


class Qwen2ForSequenceClassification(heads.SequenceClassification):
    """Scores of a text."""

    config_class, base_class = HeadedConfig, Qwen2Model


class Qwen2ForTokenClassification(heads.TokenClassification):
    """Scores of each position."""

    config_class, base_class = HeadedConfig, Qwen2Model


class Qwen2ForQuestionAnswering(heads.QuestionAnswering):
    """Scores of each position as start and end of the answer."""

    config_class, base_class, base_model_prefix = HeadedConfig, Qwen2Model, "transformer"
