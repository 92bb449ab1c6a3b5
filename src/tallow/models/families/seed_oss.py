"""Seed-OSS: Llama with biases on queries, keys and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER


class Config(DecoderConfig):
    """Of Hugging Face's `SeedOssConfig`."""

    without_effect: ClassVar[frozenset[str]] = DecoderConfig.without_effect | {"residual_dropout"}
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 8,
        "max_position_embeddings": 524288,
        "head_dim": 128,
        "pad_token_id": 1,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Biases are given by part."""
        return replace(
            super().read(fields),
            qkv_bias=fields.flag("attention_bias", True),
            output_bias=fields.flag("attention_out_bias"),
            mlp_bias=fields.flag("mlp_bias"),
        )


GGUF = GGUF_DECODER.but(
    names={"blk.{}.post_attention_norm": "model.layers.{}.post_attention_layernorm"},
    architecture="seed_oss",
    biases=("attn_q", "attn_k", "attn_v"),
)


class SeedOssModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config


define_causal(
    globals(), "SeedOss", SeedOssModel,
    heads.SequenceClassification, heads.TokenClassification, heads.QuestionAnswering,
)  # fmt: skip
