"""DeepSeek V2: latent attention, and experts that softmax chooses, of the best groups or of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.base import define_heads
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.moe import Router, by_softmax
from tallow.models.causal_lm import CausalLM
from tallow.models.fields import Fields
from tallow.models.gguf_layout import Kind
from tallow.models.latent_decoder import LatentConfig, LatentDecoder
from tallow.models.latent_gguf import GGUF_LATENT, read_latent, write_latent
from tallow.nn import Module
from tallow.weights import WeightSource


@dataclass(frozen=True)
class Config(LatentConfig):
    """Of Hugging Face's `DeepseekV2Config`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Groups count only where `topk_method` says so."""
        fields = fields.with_defaults(
            n_routed_experts=64, n_shared_experts=2, q_lora_rank=1536, moe_intermediate_size=1407
        )
        if fields.flag("norm_topk_prob"):
            raise fields.error("norm_topk_prob", "false (not supported)", True)
        method = fields.text("topk_method", "greedy")
        if method not in ("greedy", "group_limited_greedy"):
            raise fields.error("topk_method", "greedy or group_limited_greedy", method)
        scoring = fields.text("scoring_func", "softmax")
        if scoring != "softmax":
            raise fields.error("scoring_func", "softmax", scoring)
        cfg = replace(super().read(fields), mlp_bias=fields.flag("mlp_bias"))
        return cfg if method != "greedy" else replace(cfg, n_group=1, topk_group=1)


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    found = read_latent(fields, source)
    return {**found, "topk_method": "group_limited_greedy" if found["n_group"] > 1 else "greedy"}


def _to_file(cfg: Config) -> dict[str, tuple[Kind, Any]]:
    """llama.cpp chooses groups by the sum of their two best experts, which is V3's way."""
    if cfg.n_group > 1:
        wanted = "greedy in a DeepSeek V2 for GGUF"
        raise ModelError(f"config: topk_method: expected {wanted}, found group_limited_greedy")
    return write_latent(cfg)


GGUF = replace(GGUF_LATENT, read=_of_file, write=_to_file)


class DeepseekV2Model(LatentDecoder):
    """The decoder without a head."""

    config_class = Config

    @staticmethod
    def make_router(cfg: Any) -> Module:
        """The most likely experts, of the groups with the most likely ones."""
        choose = by_softmax(
            cfg.num_experts_per_tok, scale=cfg.routed_scaling_factor,
            groups=cfg.n_group, kept=cfg.topk_group,
        )  # fmt: skip
        return Router(cfg.hidden_size, cfg.num_experts, choose)


class DeepseekV2(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = DeepseekV2Model


class HeadedConfig(heads.HeadConfig, Config):
    """The same with what heads ask for."""


define_heads(
    globals(), "DeepseekV2", heads.SequenceClassification,
    config_class=HeadedConfig, base_class=DeepseekV2Model,
)  # fmt: skip
