"""Phi-3, 3.5 and 4: Llama with joined projections, partly rotated heads, and LongRoPE."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import DecoderLayer, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig, read_windows
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key
from tallow.models.rope_fields import rope_scope
from tallow.nn import Module, RMSNorm


class Config(DecoderConfig):
    """Of Hugging Face's `Phi3Config`."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "max_position_embeddings": 4096,
        "original_max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "pad_token_id": 32000,
    }
    rotary_share: ClassVar[float | None] = 1.0
    # The first counts for longrope; the rest is of published files, and read by nobody.
    without_effect: ClassVar[frozenset[str]] = DecoderConfig.without_effect | {
        "original_max_position_embeddings",
        "attention_bias",
        "full_attn_mod",
        "interpolate_factor",
        "lm_head_bias",
        "mlp_bias",
    }
    scalings: ClassVar[tuple[str, ...]] = ("longrope",)

    @property
    def window_of_all(self) -> int | None:
        """The window that all layers have."""
        return self.sliding_windows[0] if self.sliding_windows else None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """First configs call longrope su, or yarn; a `sliding_window` of null is none."""
        fields = fields.with_defaults(**cls.defaults)
        rope = rope_scope(fields)
        kind = rope.text("rope_type" if "rope_type" in rope else "type", "default")
        if kind in ("su", "yarn"):
            for name in ("rope_parameters", "rope_scaling"):
                if fields.get(name):
                    values = {**fields.get(name), "rope_type": "longrope"}
                    fields = fields.with_value(name, values)
        cfg = super().read(fields)
        return replace(cfg, sliding_windows=read_windows(fields, cfg.num_hidden_layers, 0))


GGUF = GGUF_DECODER.but(
    names={
        "blk.{}.attn_qkv": "model.layers.{}.self_attn.qkv_proj",
        "blk.{}.ffn_up": "model.layers.{}.mlp.gate_up_proj",
    },
    keys=(Key("attention.sliding_window", "sliding_window", attribute="window_of_all"),),
    partial=True,
    biases=(),
    untyped=True,
)


class Phi3Model(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and gated feed-forward with one matrix each for what is made of one input."""
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope, joined="qkv_proj"),
            mlp=gated_mlp(cfg, joined="gate_up_proj"),
            norm=partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps),
        )


define_causal(globals(), "Phi3", Phi3Model, heads.SequenceClassification, heads.TokenClassification)
