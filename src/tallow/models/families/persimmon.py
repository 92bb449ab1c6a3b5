"""Persimmon: joined projections, norms of heads, squared ReLU (Adept, 2023)."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, DecoderNames, Mlp, Rope
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import decoder_attention
from tallow.models.fields import Fields
from tallow.models.gpt_model import LayerNormModel
from tallow.nn import LayerNorm, Module


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of Hugging Face's `PersimmonConfig`."""

    act: ClassVar[str] = "relu2"
    rotary_share: ClassVar[float | None] = 0.5
    theta: ClassVar[float] = 25000.0

    head_norms: bool = True

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """All projections but the head have biases."""
        fields = fields.called({"rms_norm_eps": "layer_norm_eps"})
        fields = fields.with_defaults(max_position_embeddings=16384, rms_norm_eps=1e-5)
        return replace(
            super().read(fields), qkv_bias=True, output_bias=True, mlp_bias=True,
            head_norms=fields.flag("qk_layernorm", True),
        )  # fmt: skip


class PersimmonModel(LayerNormModel):
    """The decoder without a head."""

    config_class = Config
    base_model_prefix = "model"
    part_names = DecoderNames(norm="final_layernorm")

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """The rows of the joined projection hold each head's query, key and value together."""
        size, eps, names = cfg.hidden_size, cfg.rms_norm_eps, ("dense_h_to_4h", "dense_4h_to_h")
        norms = [LayerNorm(cfg.head_dim, eps) if cfg.head_norms else None for _ in range(2)]
        return DecoderLayer(
            self_attn=decoder_attention(
                cfg, index, rope, joined="query_key_value", groups=cfg.num_attention_heads,
                out_name="dense", q_norm=norms[0], k_norm=norms[1],
                norm_names=("q_layernorm", "k_layernorm"),
            ),
            mlp=Mlp(size, cfg.intermediate_size, ACTIVATIONS[cfg.hidden_act], names=names),
            norm=partial(LayerNorm, size, eps),
        )  # fmt: skip


class PersimmonForCausalLM(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = PersimmonModel
