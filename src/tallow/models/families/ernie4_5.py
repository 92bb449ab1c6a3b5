"""ERNIE 4.5, dense: Llama with neighbours rotated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER


class Config(DecoderConfig):
    """Of Hugging Face's `Ernie4_5Config`."""

    theta: ClassVar[float] = 500000.0
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 2,
        "head_dim": 128,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`use_bias` is of all products."""
        bias, cfg = fields.flag("use_bias"), super().read(fields)
        return replace(cfg, qkv_bias=bias, output_bias=bias, mlp_bias=bias, rope_interleaved=True)


GGUF = GGUF_DECODER.but(
    architecture="ernie4_5", biases=("attn_q", "attn_k", "attn_v", "attn_output")
)


class ErnieModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config


define_causal(globals(), "Ernie", ErnieModel)
