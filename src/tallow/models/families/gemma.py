"""Gemma 1: Llama with scaled words, norms that scale by 1 + weight, and tanh-GELU gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import PRE_NORMS, Norms
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.gemma import GemmaConfig, GemmaDecoder
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.gguf_layout import GGUF_DECODER, added
from tallow.weights.arrange import WeightConverter, mapped


class Config(GemmaConfig):
    """Of Hugging Face's `GemmaConfig`."""

    act_names: ClassVar[tuple[str, ...]] = ("hidden_act", "hidden_activation")
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 16,
        "max_position_embeddings": 8192,
    }


def _offset_norms(cfg: DecoderConfig) -> tuple[WeightConverter, ...]:
    """Files hold what norms multiply by, `1 + weight`."""
    layer = "model.layers.{}."
    return (
        mapped("output_norm.weight", "model.norm.weight", added(-1.0)),
        mapped("blk.{}.attn_norm.weight", layer + "input_layernorm.weight", added(-1.0)),
        mapped("blk.{}.ffn_norm.weight", layer + "post_attention_layernorm.weight", added(-1.0)),
    )


GGUF = replace(GGUF_DECODER, rules=_offset_norms, biases=())


class GemmaModel(GemmaDecoder):
    """The decoder without a head."""

    config_class = Config
    norms: ClassVar[Norms] = PRE_NORMS


define_causal(
    globals(), "Gemma", GemmaModel, heads.SequenceClassification, heads.TokenClassification
)
