"""DeepSeek V3 and R1: latent attention, and experts chosen by sigmoids with corrections."""

from __future__ import annotations

from typing import Any, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.base import define_heads
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.moe import CorrectedRouter
from tallow.models.causal_lm import CausalLM
from tallow.models.fields import Fields
from tallow.models.gguf_layout import Kind
from tallow.models.latent_decoder import LatentConfig, LatentDecoder
from tallow.models.latent_gguf import GGUF_LATENT, write_latent
from tallow.models.moe_config import SIGMOIDS
from tallow.nn import Module


@dataclass(frozen=True)
class Config(LatentConfig):
    """Of Hugging Face's `DeepseekV3Config`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """What is chosen sums to `routed_scaling_factor`, unless `norm_topk_prob` is false."""
        fields = fields.with_defaults(
            n_shared_experts=1, q_lora_rank=1536, moe_intermediate_size=2048,
            max_position_embeddings=4096, routed_scaling_factor=2.5, n_group=8, topk_group=4,
            num_experts_per_tok=8, first_k_dense_replace=3,
        )  # fmt: skip
        if "num_local_experts" not in fields:
            fields = fields.with_defaults(n_routed_experts=256)
        for name, wanted in (("scoring_func", "sigmoid"), ("topk_method", "noaux_tc")):
            if fields.text(name, wanted) != wanted:
                raise fields.error(name, wanted, fields.get(name))
        fields.get("num_mtp_layers"), fields.get("num_nextn_predict_layers")  # not loaded
        norm = fields.flag("norm_topk_prob", True)
        return replace(super().read(fields), norm_topk_prob=norm)


def _to_file(cfg: Config) -> dict[str, tuple[Kind, Any]]:
    return {**write_latent(cfg), "expert_gating_func": ("u32", SIGMOIDS)}


GGUF = replace(GGUF_LATENT, write=_to_file)


class DeepseekV3Model(LatentDecoder):
    """The decoder without a head."""

    config_class = Config
    ignorable = (r"layers\.61\..*",)  # which predicts a token further on

    @staticmethod
    def make_router(cfg: Any) -> Module:
        """The best experts of the best groups, by corrected scores."""
        return CorrectedRouter(
            cfg.hidden_size, cfg.num_experts, cfg.num_experts_per_tok, groups=cfg.n_group,
            kept=cfg.topk_group, renormalise=cfg.norm_topk_prob, scale=cfg.routed_scaling_factor,
        )  # fmt: skip


class DeepseekV3(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = DeepseekV3Model


class HeadedConfig(heads.HeadConfig, Config):
    """The same with what heads ask for."""


define_heads(
    globals(), "DeepseekV3", heads.SequenceClassification, heads.TokenClassification,
    config_class=HeadedConfig, base_class=DeepseekV3Model,
)  # fmt: skip
