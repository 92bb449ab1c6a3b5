"""OLMo: Llama with layer norms that have no weights, and bounded projections."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.attention import ClippedAttention
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_LLAMA, Key, Kind
from tallow.nn import LayerNorm, Module

EPS = 1e-5


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of Hugging Face's `OlmoConfig`; `clip` bounds queries, keys and values (0: not)."""

    defaults: ClassVar[Mapping[str, Any]] = {"pad_token_id": 1}
    clip: float = 0.0

    @property
    def clip_qkv(self) -> float | None:
        """The bound, None where there is none."""
        return self.clip or None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """A `clip_qkv` of null is none."""
        bias = fields.flag("attention_bias")
        clip = fields.number("clip_qkv") if "clip_qkv" in fields else 0.0
        return replace(super().read(fields), qkv_bias=bias, output_bias=bias, clip=clip)


def _write(cfg: Any) -> dict[str, tuple[Kind, Any]]:
    return {"attention.layer_norm_epsilon": ("f32", EPS)}


GGUF = GGUF_LLAMA.but(
    keys=(Key("attention.clamp_kqv", "clip_qkv", "f32"),),
    architecture="olmo",
    biases=(),
    write=_write,
)


class OlmoModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Bounded attention and a gated feed-forward."""
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope, kind=ClippedAttention, clip=cfg.clip),
            mlp=gated_mlp(cfg),
            norm=partial(OlmoModel.make_norm, cfg),
        )

    @staticmethod
    def make_norm(cfg: Any) -> Module:
        """A layer norm alone."""
        return LayerNorm(cfg.hidden_size, EPS, elementwise_affine=False)


define_causal(globals(), "Olmo", OlmoModel, heads.SequenceClassification)
