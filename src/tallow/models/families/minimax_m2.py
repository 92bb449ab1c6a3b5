"""MiniMax M2: norms over all queries and keys, partly rotated heads, and experts by sigmoids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import Rope
from tallow.models.blocks.moe import (
    CorrectedRouter,
    Experts,
    SparseMlp,
    block_sparse_experts,
)
from tallow.models.blocks.norms import WholeNorm
from tallow.models.causal_lm import define_causal
from tallow.models.corrected_moe import corrections
from tallow.models.decoder_model import DecoderModel, decoder_layer
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key, Kind
from tallow.models.moe_config import EXPERT_KEYS, SIGMOIDS, MoeConfig, expert_names
from tallow.nn import Module
from tallow.weights.arrange import rename


class Config(MoeConfig):
    """Of Hugging Face's `MiniMaxM2Config`."""

    theta: ClassVar[float] = 5000000.0
    rotary_share: ClassVar[float | None] = 1.0
    # What stands in published files beside the keys that say the same.
    without_effect: ClassVar[frozenset[str]] = MoeConfig.without_effect | {
        "attn_type_list", "layernorm_full_attention_beta", "layernorm_linear_attention_beta",
        "layernorm_mlp_beta", "mtp_transformer_layers", "num_mtp_modules", "qk_norm_type",
        "use_mtp", "use_qk_norm", "use_routing_bias",
    }  # fmt: skip
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 196608,
        "num_experts_per_tok": 8,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Published configs tell by `rotary_dim` how much of a head is rotated."""
        fields = fields.with_defaults(**cls.defaults)
        if "num_experts" not in fields:
            fields = fields.with_defaults(num_local_experts=256)
        scoring = fields.text("scoring_func", "sigmoid")
        if scoring != "sigmoid":
            raise fields.error("scoring_func", "sigmoid", scoring)
        if fields.get("shared_intermediate_size"):
            found = fields.get("shared_intermediate_size")
            raise fields.error("shared_intermediate_size", "0 (not supported)", found)
        if fields.get("rotary_dim") is not None:
            share = fields.integer("rotary_dim") / fields.integer("head_dim")
            fields = fields.with_defaults(partial_rotary_factor=share)
        fields = fields.with_value("moe_intermediate_size", fields.get("intermediate_size"))
        return replace(super().read(fields), norm_topk_prob=True)


def _to_file(cfg: Config) -> dict[str, tuple[Kind, Any]]:
    return {"expert_gating_func": ("u32", SIGMOIDS)}


GGUF = GGUF_DECODER.but(
    names=expert_names(),
    keys=(
        *EXPERT_KEYS,
        Key("expert_feed_forward_length", "intermediate_size", attribute="moe_intermediate_size"),
    ),
    architecture="minimax-m2",
    rules=corrections,
    write=_to_file,
    partial=True,
    biases=(),
    required=("output.weight",),
)
_CORRECTION = "e_score_correction_bias"


class MiniMaxM2Model(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    rules = stored = (
        *block_sparse_experts("gate"),
        rename(
            f"layers.{{}}.block_sparse_moe.{_CORRECTION}", f"layers.{{}}.mlp.gate.{_CORRECTION}"
        ),
    )

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention with norms of all heads together, and experts."""
        size, count, eps = cfg.hidden_size, cfg.num_experts, cfg.rms_norm_eps
        mlp = SparseMlp(
            CorrectedRouter(size, count, cfg.num_experts_per_tok),
            Experts(count, size, cfg.moe_intermediate_size),
        )
        q_norm = WholeNorm(cfg.num_attention_heads * cfg.head_dim, eps)
        k_norm = WholeNorm(cfg.num_key_value_heads * cfg.head_dim, eps)
        return decoder_layer(cfg, index, rope, q_norm=q_norm, k_norm=k_norm, mlp=mlp)


define_causal(globals(), "MiniMaxM2", MiniMaxM2Model)
