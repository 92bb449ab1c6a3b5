"""Decoders of latent attention, alone or with experts (DeepSeek V2 and V3): config and layers."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import partial
from typing import Any, Self

from tallow.dtype import DType, f32
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, GatedMlp, Rope
from tallow.models.blocks.mla import LatentAttention
from tallow.models.blocks.moe import Experts, SparseMlp, stacked_experts
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, gated_mlp
from tallow.models.fields import Fields
from tallow.models.moe_config import MoeConfig
from tallow.models.rope_fields import rope_scope
from tallow.models.states import KeyValue, State
from tallow.nn import Module, RMSNorm


@dataclass(frozen=True)
class LatentSizes(DecoderConfig):
    """Sizes of latents and of heads, whose rotated part `head_dim` is."""

    kv_lora_rank: int = 512
    q_lora_rank: int = 0
    qk_nope_head_dim: int = 128
    v_head_dim: int = 128

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Families give their defaults before."""
        rotated = fields.integer("qk_rope_head_dim", 64, high=65536)
        fields = fields.with_value("head_dim", rotated)
        fields = fields.with_value("num_key_value_heads", fields.get("num_attention_heads"))
        cfg, bias = super().read(fields), fields.flag("attention_bias")
        plain = fields.integer("qk_nope_head_dim", 128, high=65536)
        if fields.integer("qk_head_dim", plain + rotated) != plain + rotated:
            wanted = f"{plain + rotated}, the sum of qk_nope_head_dim and qk_rope_head_dim"
            raise fields.error("qk_head_dim", wanted, fields.get("qk_head_dim"))
        return replace(
            cfg,
            qkv_bias=bias,
            output_bias=bias,
            kv_lora_rank=fields.integer("kv_lora_rank", 512),
            q_lora_rank=0 if fields.get("q_lora_rank") is None else fields.integer("q_lora_rank"),
            qk_nope_head_dim=plain,
            v_head_dim=fields.integer("v_head_dim", 128, high=65536),
        )


@dataclass(frozen=True)
class LatentConfig(LatentSizes, MoeConfig):
    """Sizes of latents and heads beside those of experts."""

    n_group: int = 1
    topk_group: int = 1
    routed_scaling_factor: float = 1.0

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The keys of both; families give their defaults before."""
        cfg = super().read(fields)
        first = fields.integer("first_k_dense_replace", 0, low=0)
        groups = fields.integer("n_group", 1, high=cfg.num_experts)
        if cfg.num_experts % groups:
            raise fields.error("n_group", f"a divisor of the {cfg.num_experts} experts", groups)
        kept = fields.integer("topk_group", 1, high=groups)
        shared = fields.integer("n_shared_experts", 0, low=0, high=1024)
        return replace(
            cfg,
            rope_interleaved=fields.flag("rope_interleave", True),
            dense_layers=tuple(range(min(first, cfg.num_hidden_layers))),
            shared_intermediate_size=shared * cfg.moe_intermediate_size,
            n_group=groups,
            topk_group=kept,
            routed_scaling_factor=fields.number("routed_scaling_factor", 1.0),
            query_scale=_scale(fields, cfg.qk_nope_head_dim + cfg.head_dim),
        )


def _scale(fields: Fields, size: int) -> float:
    """What scores are multiplied by: more where yarn says so by `mscale_all_dim`."""
    rope, scale = rope_scope(fields), size**-0.5
    stretched = rope.text("rope_type" if "rope_type" in rope else "type", "default") != "default"
    if stretched and rope.get("mscale_all_dim"):
        growth = math.log(max(rope.number("factor", 1.0), 1.0))
        scale *= (0.1 * rope.number("mscale_all_dim") * growth + 1) ** 2
    return scale


class LatentModel(DecoderModel):
    """The decoder without a head; families say what stands behind latent attention."""

    config: LatentSizes

    @classmethod
    def make_layer(cls, cfg: Any, index: int, rope: Rope | None) -> Module:
        """Latent attention and a feed-forward."""
        assert rope is not None, "all layers rotate"
        attention = LatentAttention(
            cfg.hidden_size, cfg.num_attention_heads, kv_rank=cfg.kv_lora_rank,
            q_rank=cfg.q_lora_rank, plain=cfg.qk_nope_head_dim, rotated=cfg.head_dim,
            value_size=cfg.v_head_dim, rope=rope, scale=cfg.query_scale, bias=cfg.qkv_bias,
        )  # fmt: skip
        return DecoderLayer(
            self_attn=attention,
            mlp=cls.make_feed(cfg, index),
            norm=partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps),
            scale=cfg.residual_scale,
        )

    @classmethod
    def make_feed(cls, cfg: Any, index: int) -> Module:
        """The feed-forward of the layer at `index`: gated unless a family has another."""
        return gated_mlp(cfg)

    def make_state(self, batch: int = 1, capacity: int = 256, dtype: DType | str = f32) -> State:
        """As of `DecoderModel`; keys and values are held as heads have them."""
        cfg = self.config
        sizes = cfg.num_attention_heads, cfg.qk_nope_head_dim + cfg.head_dim, cfg.v_head_dim
        layers = [KeyValue(*sizes) for _ in range(cfg.num_hidden_layers)]
        return self.state_class(layers, batch, context=cfg.context, capacity=capacity, dtype=dtype)


class LatentDecoder(LatentModel):
    """Latent attention and experts; families say their router."""

    rules = stored = stacked_experts("layers.{}.mlp.experts.{*}", "layers.{}.mlp.experts")
    config: LatentConfig

    @staticmethod
    @abstractmethod
    def make_router(cfg: Any) -> Module:
        """What chooses experts."""

    @classmethod
    def make_feed(cls, cfg: Any, index: int) -> Module:
        """Experts or a gated feed-forward."""
        if not cfg.is_sparse(index):
            return gated_mlp(cfg)
        size, shared = cfg.hidden_size, cfg.shared_intermediate_size
        return SparseMlp(
            cls.make_router(cfg),
            Experts(cfg.num_experts, size, cfg.moe_intermediate_size),
            shared=GatedMlp(size, shared, bias=cfg.mlp_bias) if shared else None,
        )
