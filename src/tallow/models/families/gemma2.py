"""Gemma 2: Gemma with norms on both sides of each part, bounded scores, and windows by turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.gemma import GemmaDecoder, SoftCappedConfig
from tallow.models.causal_lm import define_causal
from tallow.models.config import every, read_windows
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key, offset_norms, windows_every, write_windows
from tallow.weights import WeightSource


class Config(SoftCappedConfig):
    """Of Hugging Face's `Gemma2Config`."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 4,
        "max_position_embeddings": 8192,
        "sliding_window": 4096,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The first layer has a window, the second none, and so on."""
        fields = fields.with_defaults(**cls.defaults)
        cfg = super().read(fields)
        layers = cfg.num_hidden_layers
        return replace(cfg, sliding_windows=read_windows(fields, layers, 0, kinds=every(2, layers)))


CAPS = (
    Key("attn_logit_softcapping", "attn_logit_softcapping", "f32", "attention_softcap", 50.0),
    Key("final_logit_softcapping", "final_logit_softcapping", "f32", "logit_softcap", 30.0),
)
LARGEST = 46  # layers of the model whose scores are scaled by the width of a head of the model


def _read(fields: Fields, source: WeightSource) -> dict[str, Any]:
    found = windows_every(2)(fields, source)
    width = fields.integer("embedding_length") // fields.integer("attention.head_count")
    size = fields.integer("attention.key_length", width)
    scalar = width if fields.integer("block_count") == LARGEST else size
    return {"sliding_window": 4096, **found, "query_pre_attn_scalar": scalar}


GGUF = GGUF_DECODER.but(keys=CAPS, rules=offset_norms, biases=(), read=_read, write=write_windows)


class Gemma2Model(GemmaDecoder):
    """The decoder without a head."""

    config_class = Config


define_causal(
    globals(), "Gemma2", Gemma2Model, heads.SequenceClassification, heads.TokenClassification
)
