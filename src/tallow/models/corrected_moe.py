"""Decoders whose experts sigmoids with corrections choose: what their configs and files share.

Those are GLM 4.5, dots.llm1 and K-EXAONE, in the way of DeepSeek V3 (arXiv 2412.19437).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import GatedMlp
from tallow.models.blocks.moe import CorrectedRouter, Experts, SparseMlp
from tallow.models.gguf_layout import Key, Kind
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
from tallow.weights.arrange import WeightConverter, rename

if TYPE_CHECKING:
    from tallow.models.fields import Fields
    from tallow.weights import WeightSource


@dataclass(frozen=True)
class CorrectedConfig(MoeConfig):
    """Groups of experts of which `topk_group` count, and what their worth sums to."""

    n_group: int = 1
    topk_group: int = 1
    routed_scaling_factor: float = 1.0

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The first `first_k_dense_replace` layers have no experts; families give defaults."""
        cfg = super().read(fields)
        groups = fields.integer("n_group", 1, high=cfg.num_experts)
        if cfg.num_experts % groups:
            raise fields.error("n_group", f"a divisor of the {cfg.num_experts} experts", groups)
        first = fields.integer("first_k_dense_replace", 0, low=0)
        shared = fields.integer("n_shared_experts", 0, low=0, high=1024)
        fields.get("num_mtp_layers"), fields.get("num_nextn_predict_layers")  # not loaded
        return replace(
            cfg,
            dense_layers=tuple(range(min(first, cfg.num_hidden_layers))),
            shared_intermediate_size=shared * cfg.moe_intermediate_size,
            norm_topk_prob=fields.flag("norm_topk_prob"),
            n_group=groups,
            topk_group=fields.integer("topk_group", 1, high=groups),
            routed_scaling_factor=fields.number("routed_scaling_factor", 1.0),
        )


def corrected_experts(cfg: CorrectedConfig) -> SparseMlp:
    """The experts of a layer, and one for all tokens if the config has one."""
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


def read_corrected(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """What `CORRECTED_KEYS` do not say; blocks that predict tokens further on are not loaded."""
    further = fields.integer("nextn_predict_layers", 0, low=0)
    return {
        **leading_dense(fields, source),
        "num_hidden_layers": max(fields.integer("block_count") - further, 0),
        "n_group": fields.integer("expert_group_count", 1),
        "topk_group": fields.integer("expert_group_used_count", 1),
    }


def write_corrected(cfg: CorrectedConfig) -> dict[str, tuple[Kind, Any]]:
    """The keys of `read_corrected`, and that sigmoids choose.

    Raises:
        ModelError: as of `write_leading_dense`.
    """
    found = {**write_leading_dense(cfg), "expert_gating_func": ("u32", SIGMOIDS)}
    if cfg.n_group > 1:
        found["expert_group_count"] = ("u32", cfg.n_group)
        found["expert_group_used_count"] = ("u32", cfg.topk_group)
    return found


def corrections(cfg: Any) -> tuple[WeightConverter, ...]:
    """Where files have the corrections."""
    own = "model.layers.{}.mlp.gate.e_score_correction_bias"
    return (rename("blk.{}.exp_probs_b.bias", own),)


# Of the block that predicts a token further on, which is not loaded.
_FURTHER = ("eh_proj", "enorm", "hnorm", "embed_tokens", "shared_head_head", "shared_head_norm")
CORRECTED_NAMES = {
    **{f"blk.{{}}.nextn.{name}": f"model.layers.{{}}.nextn.{name}" for name in _FURTHER},
    **expert_names(),
    **shared_names("shared_experts"),
}
CORRECTED_KEYS: tuple[Key, ...] = (
    *EXPERT_KEYS,
    WIDTH_KEY,
    Key("expert_weights_scale", "routed_scaling_factor", "f32", default=1.0),
    Key("expert_weights_norm", "norm_topk_prob", "bool", default=False),
)
