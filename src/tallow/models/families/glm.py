"""GLM-4 (THUDM): biased queries, neighbours of half a head rotated, joined gate and up.

`glm4` (GLM-4-0414) has norms behind its parts, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import PRE_NORMS, DecoderLayer, Norms, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER
from tallow.nn import Module, RMSNorm


class Config(DecoderConfig):
    """Of Hugging Face's `GlmConfig`."""

    rotary_share: ClassVar[float | None] = 0.5
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 2,
        "head_dim": 128,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 0.00000015625,
        "pad_token_id": 151329,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`attention_bias`, true unless given, is of queries, keys and values."""
        bias = fields.flag("attention_bias", True)
        return replace(super().read(fields), qkv_bias=bias, rope_interleaved=True)


GGUF_GLM4 = GGUF_DECODER.but(
    names={
        "blk.{}.post_attention_norm": "model.layers.{}.post_self_attn_layernorm",
        "blk.{}.post_ffw_norm": "model.layers.{}.post_mlp_layernorm",
        "blk.{}.ffn_up": "model.layers.{}.mlp.gate_up_proj",
    },
    partial=True,
    biases=("attn_q", "attn_k", "attn_v"),
)


class GlmModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    norms: ClassVar[Norms] = PRE_NORMS

    @classmethod
    def make_layer(cls, cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and gated feed-forward, between norms."""
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope),
            mlp=gated_mlp(cfg, joined="gate_up_proj"),
            norm=partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps),
            norms=cls.norms,
        )


class Glm4Model(GlmModel):
    """The decoder without a head."""

    norms: ClassVar[Norms] = Norms(
        "input_layernorm",
        "post_self_attn_layernorm",
        "post_attention_layernorm",
        "post_mlp_layernorm",
    )


define_causal(globals(), "Glm", GlmModel, heads.SequenceClassification, heads.TokenClassification)
define_causal(globals(), "Glm4", Glm4Model, heads.SequenceClassification, heads.TokenClassification)
