"""StableLM 2: partly rotated heads and a gated feed-forward behind layer norms."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, Norms, ParallelLayer, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.norms import ListedNorm
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.nn import LayerNorm, Module


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of Hugging Face's `StableLmConfig`."""

    rotary_share: ClassVar[float | None] = 0.25
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 32,
        "max_position_embeddings": 4096,
    }
    head_norms: bool = False
    parallel: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Heads may have norms of their own, and parts stand beside each other."""
        eps = fields.number("layer_norm_eps", 1e-5)
        fields = fields.with_value("head_dim", None).with_value("rms_norm_eps", eps)
        return replace(
            super().read(fields),
            qkv_bias=fields.flag("use_qkv_bias"),
            head_norms=fields.flag("qk_layernorm"),
            parallel=fields.flag("use_parallel_residual"),
        )


class StableLmModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and gated feed-forward, one behind or beside the other."""
        parts: dict[str, Any] = {"norm_names": ("q_layernorm", "k_layernorm")}
        if cfg.head_norms:
            norm = partial(ListedNorm, size=cfg.head_dim, eps=cfg.rms_norm_eps)
            parts["q_norm"] = norm(cfg.num_attention_heads)
            parts["k_norm"] = norm(cfg.num_key_value_heads)
        kind = ParallelLayer if cfg.parallel else DecoderLayer
        return kind(
            self_attn=decoder_attention(cfg, index, rope, **parts),
            mlp=gated_mlp(cfg),
            norm=partial(StableLmModel.make_norm, cfg),
            norms=Norms(before_mlp=None) if cfg.parallel else Norms(),
        )

    @staticmethod
    def make_norm(cfg: Any) -> Module:
        """A layer norm."""
        return LayerNorm(cfg.hidden_size, cfg.rms_norm_eps)


define_causal(
    globals(), "StableLm", StableLmModel,
    heads.SequenceClassification, heads.TokenClassification,
)  # fmt: skip
