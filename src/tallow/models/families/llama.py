"""Llama 1 to 3 and what is built the same way (SmolLM, TinyLlama, Yi, …)."""

from __future__ import annotations

from typing import Self

from tallow.lazy_dataclasses import replace
from tallow.models.base import define_heads
from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_LLAMA


class Config(DecoderConfig):
    """Of Hugging Face's `LlamaConfig`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`attention_bias` gives all four projections of the attention a bias."""
        bias = fields.flag("attention_bias")
        mlp_bias = fields.flag("mlp_bias")
        return replace(super().read(fields), qkv_bias=bias, output_bias=bias, mlp_bias=mlp_bias)


GGUF = GGUF_LLAMA


class LlamaModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config


class Llama(CausalLM):
    """A decoder of plain attention and gated feed-forward layers."""

    config_class = Config


class HeadedConfig(heads.HeadConfig, Config):
    """The same with what heads ask for."""


define_heads(
    globals(), "Llama",
    heads.SequenceClassification, heads.TokenClassification, heads.QuestionAnswering,
    config_class=HeadedConfig, base_class=LlamaModel,
)  # fmt: skip
