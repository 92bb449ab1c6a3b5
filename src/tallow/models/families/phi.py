"""Phi 1, 1.5 and 2: partly rotated attention beside a plain feed-forward, behind one norm."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderNames, Mlp, Norms, ParallelLayer, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, layer_norm_keys
from tallow.nn import LayerNorm, Module


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of Hugging Face's `PhiConfig`."""

    act: ClassVar[str] = "gelu_new"
    rotary_share: ClassVar[float | None] = 0.5
    head_norms: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Every product has a bias."""
        eps = fields.number("layer_norm_eps", 1e-5)
        return replace(
            super().read(fields.with_value("rms_norm_eps", eps)),
            qkv_bias=True,
            output_bias=True,
            mlp_bias=True,
            head_bias=True,
            head_norms=fields.flag("qk_layernorm"),
        )


GGUF = replace(
    GGUF_DECODER.but(
        names={
            "output_norm": "model.final_layernorm",
            "blk.{}.attn_output": "model.layers.{}.self_attn.dense",
            "blk.{}.ffn_up": "model.layers.{}.mlp.fc1",
            "blk.{}.ffn_down": "model.layers.{}.mlp.fc2",
        }
    ),
    architecture="phi2",
    keys=layer_norm_keys("layer_norm_eps"),
    partial=True,
)


class PhiModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    part_names = DecoderNames(norm="final_layernorm")

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and a plain feed-forward of the same normalised input."""
        parts: dict[str, Any] = {"norm_names": ("q_layernorm", "k_layernorm")}
        if cfg.head_norms:
            norm = partial(LayerNorm, cfg.head_dim, cfg.rms_norm_eps)
            parts |= {"q_norm": norm(), "k_norm": norm()}
        act, sizes = ACTIVATIONS[cfg.hidden_act], (cfg.hidden_size, cfg.intermediate_size)
        return ParallelLayer(
            self_attn=decoder_attention(cfg, index, rope, out_name="dense", **parts),
            mlp=Mlp(*sizes, act, names=("fc1", "fc2")),
            norm=partial(PhiModel.make_norm, cfg),
            norms=Norms(before_mlp=None),
        )

    @staticmethod
    def make_norm(cfg: Any) -> Module:
        """A layer norm."""
        return LayerNorm(cfg.hidden_size, cfg.rms_norm_eps)


define_causal(globals(), "Phi", PhiModel, heads.SequenceClassification, heads.TokenClassification)
