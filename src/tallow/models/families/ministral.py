"""Ministral: Mistral whose layers may differ in whether they have a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig, read_windows
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields


class Config(DecoderConfig):
    """Of Hugging Face's `MinistralConfig`."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """A `sliding_window` of null is none."""
        cfg, fields = super().read(fields), fields.with_defaults(**cls.defaults)
        return replace(cfg, sliding_windows=read_windows(fields, cfg.num_hidden_layers, 0))


class MinistralModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config


define_causal(
    globals(), "Ministral", MinistralModel,
    heads.SequenceClassification, heads.TokenClassification,
)  # fmt: skip
