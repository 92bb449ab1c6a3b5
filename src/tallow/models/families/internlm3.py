"""InternLM 3: Llama with biases told by part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_LLAMA


class Config(DecoderConfig):
    """Of Hugging Face's `InternLM3Config`."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-5,
        "head_dim": 128,
        "pad_token_id": 2,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Published configs call biases `qkv_bias` and `bias`, which is of all the others."""
        bias = fields.flag("bias", fields.flag("mlp_bias"))
        qkv_bias = fields.flag("qkv_bias", fields.flag("attention_bias"))
        return replace(super().read(fields), qkv_bias=qkv_bias, output_bias=bias, mlp_bias=bias)


GGUF = GGUF_LLAMA


class InternLM3Model(DecoderModel):
    """The decoder without a head."""

    config_class = Config


define_causal(globals(), "InternLM3", InternLM3Model)
