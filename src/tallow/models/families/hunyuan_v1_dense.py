"""Hunyuan, dense: Llama with norms on heads behind their rotation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import DecoderLayer, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER
from tallow.models.rope_fields import rope_scope
from tallow.nn import Module, RMSNorm


class Config(DecoderConfig):
    """Of Hugging Face's `HunYuanDenseV1Config`."""

    without_effect: ClassVar[frozenset[str]] = frozenset(
        {*DecoderConfig.without_effect, "eod_token_id"}
    )
    defaults: ClassVar[Mapping[str, Any]] = {"rms_norm_eps": 1e-5, "pad_token_id": 0}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """A dynamic scaling with an `alpha` is a larger base for texts of any length."""
        rope, bias = rope_scope(fields), fields.flag("attention_bias")
        kind = rope.text("rope_type" if "rope_type" in rope else "type", "default")
        growth = rope.number("alpha") if kind == "dynamic" and rope.get("alpha") else 0.0
        if growth:
            theta = rope.get("rope_theta") or fields.get("rope_theta")
            plain = {} if theta is None else {"rope_theta": theta}
            fields = fields.with_value("rope_scaling", None).with_value("rope_parameters", plain)
        cfg = replace(super().read(fields), qkv_bias=bias, output_bias=bias)
        if growth:
            power = cfg.head_dim / (cfg.head_dim - 2)
            cfg = replace(cfg, rope_theta=cfg.rope_theta * growth**power)
        return cfg


GGUF = GGUF_DECODER.but(
    names={
        "blk.{}.attn_q_norm": "model.layers.{}.self_attn.query_layernorm",
        "blk.{}.attn_k_norm": "model.layers.{}.self_attn.key_layernorm",
    },
    architecture="hunyuan-dense",
    biases=(),
)


class HunYuanDenseV1Model(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention with heads that are normalised where they stand, and a gated feed-forward."""
        norm = partial(RMSNorm, eps=cfg.rms_norm_eps)
        attention = decoder_attention(
            cfg, index, rope, q_norm=norm(cfg.head_dim), k_norm=norm(cfg.head_dim),
            norm_turned=True, norm_names=("query_layernorm", "key_layernorm"),
        )  # fmt: skip
        return DecoderLayer(
            self_attn=attention, mlp=gated_mlp(cfg), norm=partial(norm, cfg.hidden_size)
        )


define_causal(globals(), "HunYuanDenseV1", HunYuanDenseV1Model, heads.SequenceClassification)
