"""What Gemma 1 to 3 share: scaled words, norms that scale by 1 + weight, tanh-GELU gates."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import SANDWICH, DecoderLayer, Norms, Rope
from tallow.models.blocks.norms import OffsetNorm
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.nn import Module

ACT = "gelu_pytorch_tanh"


class GemmaConfig(DecoderConfig):
    """Of Hugging Face's `GemmaConfig` and those after it."""

    act: ClassVar[str] = ACT
    act_names: ClassVar[tuple[str, ...]] = ("hidden_activation",)

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Words are tied unless said; first configs say gelu and mean its tanh form."""
        for name in cls.act_names:
            if fields.text(name, ACT) not in (ACT, "gelu"):
                raise fields.error(name, ACT, fields.get(name))
        if fields.flag("use_bidirectional_attention"):
            raise fields.error("use_bidirectional_attention", "false (not supported)", True)
        fields = fields.with_value("hidden_act", ACT).with_defaults(
            head_dim=256, tie_word_embeddings=True, pad_token_id=0, **cls.defaults
        )
        bias, cfg = fields.flag("attention_bias"), super().read(fields)
        scale = cfg.hidden_size**0.5
        return replace(cfg, qkv_bias=bias, output_bias=bias, embedding_scale=scale)


class SoftCappedConfig(GemmaConfig):
    """Of Gemma 2 and 3: `query_pre_attn_scalar`, and bounds of scores and logits."""

    @property
    def final_logit_softcapping(self) -> float | None:
        """The bound of logits, None where there is none."""
        return self.logit_softcap or None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """A bound of null is none."""
        cfg = super().read(fields)
        fields = fields.with_defaults(**cls.defaults)

        def cap(name: str) -> float:
            return fields.number(name) if name in fields else 0.0

        return replace(
            cfg,
            query_scale=fields.number("query_pre_attn_scalar", 256) ** -0.5,
            attention_softcap=cap("attn_logit_softcapping"),
            logit_softcap=cap("final_logit_softcapping"),
        )


class GemmaDecoder(DecoderModel):
    """The decoder without a head; `norms` say where norms stand."""

    norms: ClassVar[Norms] = SANDWICH

    @classmethod
    def make_layer(cls, cfg: Any, index: int, rope: Rope | None) -> Module:
        """Rotary attention and a gated feed-forward between norms."""
        return DecoderLayer(
            self_attn=cls.make_attention(cfg, index, rope),
            mlp=gated_mlp(cfg),
            norm=partial(OffsetNorm, cfg.hidden_size, cfg.rms_norm_eps),
            norms=cls.norms,
        )

    @classmethod
    def make_attention(cls, cfg: Any, index: int, rope: Rope | None) -> Module:
        """The attention of the layer at `index`."""
        return decoder_attention(cfg, index, rope)

    @classmethod
    def make_norm(cls, cfg: Any) -> Module:
        """The norm behind the layers."""
        return OffsetNorm(cfg.hidden_size, cfg.rms_norm_eps)
