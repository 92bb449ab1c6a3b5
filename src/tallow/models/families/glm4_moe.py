"""GLM 4.5 and 4.6: partly rotated heads, and experts chosen by sigmoids with corrections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import Rope
from tallow.models.blocks.moe import stacked_experts
from tallow.models.causal_lm import define_causal
from tallow.models.corrected_moe import (
    CORRECTED_KEYS,
    CORRECTED_NAMES,
    CorrectedConfig,
    corrected_experts,
    corrections,
    read_corrected,
    write_corrected,
)
from tallow.models.decoder_model import DecoderModel, decoder_layer
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER
from tallow.nn import Module, RMSNorm
from tallow.weights import WeightSource


@dataclass(frozen=True)
class Config(CorrectedConfig):
    """Of Hugging Face's `Glm4MoeConfig`."""

    rotary_share: ClassVar[float | None] = 0.5

    head_norms: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Norms on heads are of GLM 4.6."""
        fields = fields.with_defaults(
            num_key_value_heads=8, max_position_embeddings=131072, rms_norm_eps=1e-5,
            moe_intermediate_size=1408, num_experts_per_tok=8, first_k_dense_replace=1,
            n_shared_experts=1, norm_topk_prob=True,
        )  # fmt: skip
        if "num_local_experts" not in fields:
            fields = fields.with_defaults(n_routed_experts=128)
        bias, norms = fields.flag("attention_bias"), fields.flag("use_qk_norm")
        return replace(super().read(fields), qkv_bias=bias, head_norms=norms)


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    return {
        **read_corrected(fields, source),
        "use_qk_norm": "blk.0.attn_q_norm.weight" in source,
        "attention_bias": "blk.0.attn_q.bias" in source,
    }


GGUF = GGUF_DECODER.but(
    names={
        **CORRECTED_NAMES,
        "blk.{}.post_attention_norm": "model.layers.{}.post_attention_layernorm",
    },
    keys=CORRECTED_KEYS,
    architecture="glm4moe",
    rules=corrections,
    read=_of_file,
    write=write_corrected,
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
        mlp = corrected_experts(cfg) if cfg.is_sparse(index) else None
        return decoder_layer(cfg, index, rope, mlp=mlp, **norms)


define_causal(globals(), "Glm4Moe", Glm4MoeModel)
