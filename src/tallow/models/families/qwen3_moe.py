"""Qwen3 with experts: the attention of Qwen3, and feed-forward layers of which tokens take some."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

from tallow.lazy_dataclasses import replace
from tallow.models.base import define_heads
from tallow.models.blocks import Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.moe import Experts, Router, SparseMlp, by_softmax, stacked_experts
from tallow.models.causal_lm import CausalLM
from tallow.models.decoder_model import DecoderModel, decoder_layer
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER
from tallow.models.moe_config import (
    EXPERT_KEYS,
    WIDTH_KEY,
    MoeConfig,
    all_sparse,
    expert_names,
    read_dense_layers,
)
from tallow.nn import Module, RMSNorm


class Config(MoeConfig):
    """Of Hugging Face's `Qwen3MoeConfig`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Windows stand in all layers, if `use_sliding_window` is set."""
        fields = fields.with_defaults(
            num_key_value_heads=4, max_position_embeddings=32768, moe_intermediate_size=768,
            num_experts_per_tok=8,
        )  # fmt: skip
        if "num_local_experts" not in fields:
            fields = fields.with_defaults(num_experts=128)
        cfg = super().read(fields)
        bias, layers = fields.flag("attention_bias"), cfg.num_hidden_layers
        window = 0
        if fields.flag("use_sliding_window"):
            window = fields.integer("sliding_window", 4096)
        return replace(
            cfg,
            qkv_bias=bias,
            output_bias=bias,
            norm_topk_prob=fields.flag("norm_topk_prob"),
            dense_layers=read_dense_layers(fields, layers),
            sliding_windows=(window,) * layers if window else (),
        )


GGUF = GGUF_DECODER.but(
    names=expert_names(),
    keys=(*EXPERT_KEYS, WIDTH_KEY),
    architecture="qwen3moe",
    constants={"norm_topk_prob": True},
    read=all_sparse,
)
RULES = stacked_experts("layers.{}.mlp.experts.{*}", "layers.{}.mlp.experts")


class Qwen3MoeModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    rules = stored = RULES

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and experts."""
        norm = partial(RMSNorm, cfg.head_dim, cfg.rms_norm_eps)
        mlp = _experts(cfg) if cfg.is_sparse(index) else None
        return decoder_layer(cfg, index, rope, q_norm=norm(), k_norm=norm(), mlp=mlp)


class Qwen3Moe(CausalLM):
    """A decoder of attention with normalised heads, and experts."""

    config_class = Config
    model_class = Qwen3MoeModel


class HeadedConfig(heads.HeadConfig, Config):
    """The same with what heads ask for."""


def _experts(cfg: MoeConfig) -> SparseMlp:
    size, count = cfg.hidden_size, cfg.num_experts
    choose = by_softmax(cfg.num_experts_per_tok, renormalise=cfg.norm_topk_prob)
    return SparseMlp(Router(size, count, choose), Experts(count, size, cfg.moe_intermediate_size))


define_heads(
    globals(), "Qwen3Moe",
    heads.SequenceClassification, heads.TokenClassification, heads.QuestionAnswering,
    config_class=HeadedConfig, base_class=Qwen3MoeModel,
)  # fmt: skip
