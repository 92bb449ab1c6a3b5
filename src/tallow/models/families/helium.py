"""Helium (Kyutai): Llama with neighbours rotated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields


class Config(DecoderConfig):
    """Of Hugging Face's `HeliumConfig`."""

    theta: ClassVar[float] = 100000.0
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 20,
        "head_dim": 128,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-8,
        "pad_token_id": 3,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The output of the attention has no bias, and the width of its heads."""
        bias, mlp_bias = fields.flag("attention_bias"), fields.flag("mlp_bias")
        cfg = super().read(fields)
        if cfg.head_dim * cfg.num_attention_heads != cfg.hidden_size:
            wanted = f"{cfg.hidden_size} / {cfg.num_attention_heads}, the width by the heads"
            raise fields.error("head_dim", wanted, cfg.head_dim)
        return replace(cfg, qkv_bias=bias, mlp_bias=mlp_bias, rope_interleaved=True)


class HeliumModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config


define_causal(
    globals(), "Helium", HeliumModel, heads.SequenceClassification, heads.TokenClassification
)
