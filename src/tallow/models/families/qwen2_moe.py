"""Qwen2 and Qwen1.5 with experts: attention of Qwen2, experts, and a gated one for all tokens."""

from __future__ import annotations

from typing import Any, Self

from tallow.lazy_dataclasses import replace
from tallow.models.base import define_heads
from tallow.models.blocks import GatedMlp, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.moe import Experts, Router, SparseMlp, by_softmax, stacked_experts
from tallow.models.causal_lm import CausalLM
from tallow.models.config import ATTENTIONS, read_windows
from tallow.models.decoder_model import DecoderModel, decoder_layer
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key
from tallow.models.gguf_rows import ROW
from tallow.models.moe_config import (
    EXPERT_KEYS,
    WIDTH_KEY,
    MoeConfig,
    all_sparse,
    expert_names,
    read_dense_layers,
    shared_names,
)
from tallow.nn import Linear, Module
from tallow.weights.arrange import WeightConverter, mapped


class Config(MoeConfig):
    """Of Hugging Face's `Qwen2MoeConfig`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Windows stand in every second of the lower layers, if `use_sliding_window` is set."""
        fields = fields.with_defaults(
            num_key_value_heads=16, max_position_embeddings=32768, moe_intermediate_size=1408,
            num_experts_per_tok=4, qkv_bias=True,
        )  # fmt: skip
        if "num_local_experts" not in fields:
            fields = fields.with_defaults(num_experts=60)
        cfg = super().read(fields)
        layers = cfg.num_hidden_layers
        return replace(
            cfg,
            qkv_bias=fields.flag("qkv_bias"),
            norm_topk_prob=fields.flag("norm_topk_prob"),
            shared_intermediate_size=fields.integer("shared_expert_intermediate_size", 5632),
            dense_layers=read_dense_layers(fields, layers),
            sliding_windows=_windows(fields, layers),
        )


def _windows(fields: Fields, layers: int) -> tuple[int, ...]:
    if not fields.flag("use_sliding_window"):
        return ()
    most, (full, sliding) = fields.integer("max_window_layers", 28, low=0), ATTENTIONS
    kinds = [full if i % 2 or i >= most else sliding for i in range(layers)]
    return read_windows(fields, layers, 4096, kinds=kinds)


_GATE = "model.layers.{}.mlp.shared_expert_gate.weight"


def _rules(cfg: MoeConfig) -> tuple[WeightConverter, ...]:
    return (mapped("blk.{}.ffn_gate_inp_shexp.weight", _GATE, ROW),)


GGUF = GGUF_DECODER.but(
    names={**expert_names(), **shared_names("shared_expert")},
    keys=(
        *EXPERT_KEYS,
        WIDTH_KEY,
        Key(
            "expert_shared_feed_forward_length", "shared_expert_intermediate_size",
            attribute="shared_intermediate_size",
        ),
    ),
    architecture="qwen2moe",
    qkv_bias=True,
    read=all_sparse,
    rules=_rules,
)  # fmt: skip
RULES = stacked_experts("layers.{}.mlp.experts.{*}", "layers.{}.mlp.experts")


class Qwen2MoeModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    rules = stored = RULES

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and experts."""
        return decoder_layer(cfg, index, rope, mlp=_experts(cfg) if cfg.is_sparse(index) else None)


class Qwen2Moe(CausalLM):
    """A decoder of biased attention, and experts."""

    config_class = Config
    model_class = Qwen2MoeModel


class HeadedConfig(heads.HeadConfig, Config):
    """The same with what heads ask for."""


def _experts(cfg: MoeConfig) -> SparseMlp:
    size, count = cfg.hidden_size, cfg.num_experts
    choose = by_softmax(cfg.num_experts_per_tok, renormalise=cfg.norm_topk_prob)
    return SparseMlp(
        Router(size, count, choose),
        Experts(count, size, cfg.moe_intermediate_size),
        shared=GatedMlp(size, cfg.shared_intermediate_size),
        shared_name="shared_expert",
        shared_gate=Linear(size, 1, bias=False),
    )


define_heads(
    globals(), "Qwen2Moe",
    heads.SequenceClassification, heads.TokenClassification, heads.QuestionAnswering,
    config_class=HeadedConfig, base_class=Qwen2MoeModel,
)  # fmt: skip
