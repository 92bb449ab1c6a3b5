"""Nemotron and Minitron: squared ReLU, and layer norms that scale by 1 + weight."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import DecoderLayer, Mlp, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.norms import OffsetLayerNorm
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, added, layer_norm_keys
from tallow.nn import Module
from tallow.weights.arrange import WeightConverter, mapped


class Config(DecoderConfig):
    """Of Hugging Face's `NemotronConfig`."""

    act: ClassVar[str] = "relu2"
    rotary_share: ClassVar[float | None] = 0.5
    defaults: ClassVar[Mapping[str, Any]] = {"max_position_embeddings": 4096}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Biases are given by part."""
        eps = fields.number("norm_eps", 1e-5)
        bias, mlp_bias = fields.flag("attention_bias"), fields.flag("mlp_bias")
        cfg = super().read(fields.with_value("rms_norm_eps", eps))
        return replace(cfg, qkv_bias=bias, output_bias=bias, mlp_bias=mlp_bias)


def _offset_norms(cfg: Any) -> tuple[WeightConverter, ...]:
    """Files hold what norms multiply by, `1 + weight`."""
    layer = "model.layers.{}."
    return (
        mapped("output_norm.weight", "model.norm.weight", added(-1.0)),
        mapped("blk.{}.attn_norm.weight", layer + "input_layernorm.weight", added(-1.0)),
        mapped("blk.{}.ffn_norm.weight", layer + "post_attention_layernorm.weight", added(-1.0)),
    )


GGUF = replace(GGUF_DECODER, keys=layer_norm_keys("norm_eps"), rules=_offset_norms, partial=True)


class NemotronModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Partly rotated attention and a plain feed-forward."""
        sizes = cfg.hidden_size, cfg.intermediate_size
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope),
            mlp=Mlp(*sizes, ACTIVATIONS[cfg.hidden_act], bias=cfg.mlp_bias),
            norm=partial(NemotronModel.make_norm, cfg),
        )

    @staticmethod
    def make_norm(cfg: Any) -> Module:
        """A layer norm that scales by 1 + weight."""
        return OffsetLayerNorm(cfg.hidden_size, cfg.rms_norm_eps)


define_causal(
    globals(), "Nemotron", NemotronModel,
    heads.SequenceClassification, heads.TokenClassification, heads.QuestionAnswering,
)  # fmt: skip
