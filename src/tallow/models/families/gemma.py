"""Gemma 1: Llama with scaled words, norms that scale by 1 + weight, and tanh-GELU gates."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.base import define_heads
from tallow.models.blocks import PRE_NORMS, Norms
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.gemma import GemmaConfig, GemmaDecoder
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, added
from tallow.weights.arrange import WeightConverter, mapped


class Config(GemmaConfig):
    """Of Hugging Face's `GemmaConfig`."""

    act_names: ClassVar[tuple[str, ...]] = ("hidden_act", "hidden_activation")
    defaults: ClassVar[dict[str, Any]] = {
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


class Gemma(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = GemmaModel


class HeadedConfig(heads.HeadConfig, Config):
    """The same with what heads ask for; the padding is 0 unless said."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """As of the decoder."""
        return super().read(fields.with_defaults(pad_token_id=0))


define_heads(
    globals(), "Gemma", heads.SequenceClassification, heads.TokenClassification,
    config_class=HeadedConfig, base_class=GemmaModel,
)  # fmt: skip
