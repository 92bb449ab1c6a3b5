"""Gemma 2: Gemma with norms on both sides of each part, bounded scores, and windows by turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.gemma import GemmaDecoder, SoftCappedConfig
from tallow.models.causal_lm import define_causal
from tallow.models.config import every, read_windows
from tallow.models.fields import Fields


class Config(SoftCappedConfig):
    """Of Hugging Face's `Gemma2Config`."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 4,
        "max_position_embeddings": 8192,
        "sliding_window": 4096,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The first layer has a window, the second none, and so on."""
        fields = fields.with_defaults(**cls.defaults)
        cfg = super().read(fields)
        layers = cfg.num_hidden_layers
        return replace(cfg, sliding_windows=read_windows(fields, layers, 0, kinds=every(2, layers)))


class Gemma2Model(GemmaDecoder):
    """The decoder without a head."""

    config_class = Config


define_causal(
    globals(), "Gemma2", Gemma2Model, heads.SequenceClassification, heads.TokenClassification
)
