"""GLM 4.5 and 4.6: partly rotated heads, and experts chosen by sigmoids with corrections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import GatedMlp, Rope
from tallow.models.blocks.moe import CorrectedRouter, Experts, SparseMlp, stacked_experts
from tallow.models.causal_lm import define_causal
from tallow.models.decoder_model import DecoderModel, decoder_layer
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key, Kind
from tallow.models.moe_config import (
    EXPERT_KEYS,
    SIGMOIDS,
    WIDTH_KEY,
    MoeConfig,
    expert_names,
    leading_dense,
    shared_names,
    write_leading_dense,
)
from tallow.nn import Module, RMSNorm
from tallow.weights import WeightSource
from tallow.weights.arrange import rename


@dataclass(frozen=True)
class Config(MoeConfig):
    """Of Hugging Face's `Glm4MoeConfig`."""

    rotary_share: ClassVar[float | None] = 0.5

    n_group: int = 1
    topk_group: int = 1
    routed_scaling_factor: float = 1.0
    head_norms: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The first `first_k_dense_replace` layers have no experts."""
        fields = fields.with_defaults(
            num_key_value_heads=8, max_position_embeddings=131072, rms_norm_eps=1e-5,
            moe_intermediate_size=1408, num_experts_per_tok=8, first_k_dense_replace=1,
            n_shared_experts=1, norm_topk_prob=True,
        )  # fmt: skip
        if "num_local_experts" not in fields:
            fields = fields.with_defaults(n_routed_experts=128)
        cfg = super().read(fields)
        groups = fields.integer("n_group", 1, high=cfg.num_experts)
        if cfg.num_experts % groups:
            raise fields.error("n_group", f"a divisor of the {cfg.num_experts} experts", groups)
        first = fields.integer("first_k_dense_replace", low=0)
        shared = fields.integer("n_shared_experts", low=0, high=1024)
        fields.get("num_mtp_layers"), fields.get("num_nextn_predict_layers")  # not loaded
        return replace(
            cfg,
            qkv_bias=fields.flag("attention_bias"),
            dense_layers=tuple(range(min(first, cfg.num_hidden_layers))),
            shared_intermediate_size=shared * cfg.moe_intermediate_size,
            norm_topk_prob=fields.flag("norm_topk_prob"),
            n_group=groups,
            topk_group=fields.integer("topk_group", 1, high=groups),
            routed_scaling_factor=fields.number("routed_scaling_factor", 1.0),
            head_norms=fields.flag("use_qk_norm"),
        )


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """Blocks behind the others, which predict tokens further on, are not loaded."""
    further = fields.integer("nextn_predict_layers", 0, low=0)
    return {
        **leading_dense(fields, source),
        "num_hidden_layers": max(fields.integer("block_count") - further, 0),
        "n_group": fields.integer("expert_group_count", 1),
        "topk_group": fields.integer("expert_group_used_count", 1),
        "use_qk_norm": "blk.0.attn_q_norm.weight" in source,
        "attention_bias": "blk.0.attn_q.bias" in source,
    }


def _to_file(cfg: Config) -> dict[str, tuple[Kind, Any]]:
    found = {**write_leading_dense(cfg), "expert_gating_func": ("u32", SIGMOIDS)}
    if cfg.n_group > 1:
        found["expert_group_count"] = ("u32", cfg.n_group)
        found["expert_group_used_count"] = ("u32", cfg.topk_group)
    return found


# Of the block that predicts a token further on, which is not loaded.
_FURTHER = ("eh_proj", "enorm", "hnorm", "embed_tokens", "shared_head_head", "shared_head_norm")
GGUF = GGUF_DECODER.but(
    names={
        **{f"blk.{{}}.nextn.{name}": f"model.layers.{{}}.nextn.{name}" for name in _FURTHER},
        **expert_names(),
        **shared_names("shared_experts"),
        "blk.{}.post_attention_norm": "model.layers.{}.post_attention_layernorm",
    },
    keys=(
        *EXPERT_KEYS,
        WIDTH_KEY,
        Key("expert_weights_scale", "routed_scaling_factor", "f32", default=1.0),
        Key("expert_weights_norm", "norm_topk_prob", "bool", default=False),
    ),
    architecture="glm4moe",
    rules=lambda cfg: (
        rename("blk.{}.exp_probs_b.bias", "model.layers.{}.mlp.gate.e_score_correction_bias"),
    ),
    read=_of_file,
    write=_to_file,
    partial=True,
    biases=("attn_q", "attn_k", "attn_v"),
)


class Glm4MoeModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    rules = stored = stacked_experts("layers.{}.mlp.experts.{*}", "layers.{}.mlp.experts")
    # What predicts tokens further on: of GLM 4.5 Air, and of GLM 4.5 and 4.6.
    ignorable = (r"layers\.(46|92)\..*",)

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and experts."""
        norms: dict[str, Module] = {}
        if cfg.head_norms:
            norms = {n: RMSNorm(cfg.head_dim, cfg.rms_norm_eps) for n in ("q_norm", "k_norm")}
        mlp = _experts(cfg) if cfg.is_sparse(index) else None
        return decoder_layer(cfg, index, rope, mlp=mlp, **norms)


def _experts(cfg: Config) -> SparseMlp:
    size, count, shared = cfg.hidden_size, cfg.num_experts, cfg.shared_intermediate_size
    router = CorrectedRouter(
        size, count, cfg.num_experts_per_tok, groups=cfg.n_group, kept=cfg.topk_group,
        renormalise=cfg.norm_topk_prob, scale=cfg.routed_scaling_factor,
    )  # fmt: skip
    return SparseMlp(
        router,
        Experts(count, size, cfg.moe_intermediate_size),
        shared=GatedMlp(size, shared, bias=False) if shared else None,
    )


define_causal(globals(), "Glm4Moe", Glm4MoeModel)
