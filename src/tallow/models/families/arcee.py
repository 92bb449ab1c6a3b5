"""Arcee's AFM: Llama whose feed-forward is a squared ReLU between two matrices."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import DecoderLayer, Mlp, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_LLAMA
from tallow.nn import Module, RMSNorm


class Config(DecoderConfig):
    """Of Hugging Face's `ArceeConfig`."""

    act: ClassVar[str] = "relu2"
    defaults: ClassVar[Mapping[str, Any]] = {
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Biases are given by part."""
        bias, mlp_bias = fields.flag("attention_bias"), fields.flag("mlp_bias")
        return replace(super().read(fields), qkv_bias=bias, output_bias=bias, mlp_bias=mlp_bias)


GGUF = replace(GGUF_LLAMA, architecture="arcee", biases=("attn_q", "attn_k", "attn_v"))


class ArceeModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Rotary attention and a plain feed-forward."""
        sizes = cfg.hidden_size, cfg.intermediate_size
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope),
            mlp=Mlp(*sizes, ACTIVATIONS[cfg.hidden_act], bias=cfg.mlp_bias),
            norm=partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps),
        )


define_causal(
    globals(), "Arcee", ArceeModel,
    heads.SequenceClassification, heads.TokenClassification, heads.QuestionAnswering,
)  # fmt: skip
