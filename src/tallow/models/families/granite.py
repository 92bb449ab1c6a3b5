"""Granite 3: Llama with factors on words, scores, residuals and logits."""

from __future__ import annotations

from typing import ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_LLAMA, Key


class Config(DecoderConfig):
    """Of Hugging Face's `GraniteConfig`."""

    @property
    def logits_scaling(self) -> float:
        """What logits are divided by."""
        return 1 / self.logit_scale

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Factors are 1 unless given, that of scores too."""
        bias, mlp_bias = fields.flag("attention_bias"), fields.flag("mlp_bias")
        return replace(
            super().read(fields),
            qkv_bias=bias,
            output_bias=bias,
            mlp_bias=mlp_bias,
            embedding_scale=fields.real("embedding_multiplier", 1.0),
            query_scale=fields.real("attention_multiplier", 1.0),
            residual_scale=fields.real("residual_multiplier", 1.0),
            logit_scale=1 / fields.number("logits_scaling", 1.0),
        )


GGUF = GGUF_LLAMA.but(
    keys=(
        Key("embedding_scale", "embedding_multiplier", "f32", "embedding_scale"),
        Key("attention.scale", "attention_multiplier", "f32", "query_scale"),
        Key("residual_scale", "residual_multiplier", "f32", "residual_scale"),
        Key("logit_scale", "logits_scaling", "f32", "logits_scaling"),
    ),
    architecture="granite",
)


class GraniteModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    scales_given: ClassVar[bool] = True


define_causal(globals(), "Granite", GraniteModel)
