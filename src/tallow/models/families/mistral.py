"""Mistral 7B, Nemo and relatives: Llama with a window over the keys that a query sees.

In GGUF files these models carry the architecture `llama`.
"""

from __future__ import annotations

from typing import Self

from tallow.lazy_dataclasses import replace
from tallow.models.base import define_heads
from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig, read_windows
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_LLAMA


class Config(DecoderConfig):
    """Of Hugging Face's `MistralConfig`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """A `sliding_window` of null is none; an absent one is 4096, as in the first release."""
        fields = fields.with_defaults(num_key_value_heads=8, max_position_embeddings=131072)
        cfg = super().read(fields)
        default = 0 if fields.has("sliding_window") else 4096
        return replace(cfg, sliding_windows=read_windows(fields, cfg.num_hidden_layers, default))


GGUF = GGUF_LLAMA


class MistralModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config


class Mistral(CausalLM):
    """A decoder whose layers look back over a window of positions."""

    config_class = Config


class HeadedConfig(heads.HeadConfig, Config):
    """The same with what heads ask for."""


define_heads(
    globals(), "Mistral",
    heads.SequenceClassification, heads.TokenClassification, heads.QuestionAnswering,
    config_class=HeadedConfig, base_class=MistralModel, base_model_prefix="model",
)  # fmt: skip
