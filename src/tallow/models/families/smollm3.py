"""SmolLM3: Llama with some layers that know no positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import define_causal
from tallow.models.config import ATTENTIONS, DecoderConfig, read_windows
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_LLAMA
from tallow.models.rope_fields import read_rotating

PERIOD = 4  # every so many layers one does not rotate


class Config(DecoderConfig):
    """Of Hugging Face's `SmolLM3Config`."""

    theta: ClassVar[float] = 2_000_000.0
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "pad_token_id": 128004,
        "tie_word_embeddings": True,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """All layers rotate but every fourth, unless others are given."""
        cfg = super().read(fields)
        layers, bias = cfg.num_hidden_layers, fields.flag("attention_bias")
        turned = read_rotating(fields, layers, PERIOD)
        windows: tuple[int, ...] = ()
        if fields.flag("use_sliding_window"):
            kinds = [ATTENTIONS[int(not each)] for each in turned]
            windows = read_windows(fields, layers, 0, kinds=kinds)
        return replace(
            cfg,
            qkv_bias=bias,
            output_bias=bias,
            mlp_bias=fields.flag("mlp_bias"),
            rope_layers=turned,
            sliding_windows=windows,
        )


GGUF = GGUF_LLAMA.but(architecture="smollm3", biases=())


class SmolLM3Model(DecoderModel):
    """The decoder without a head."""

    config_class = Config


define_causal(
    globals(), "SmolLM3", SmolLM3Model,
    heads.SequenceClassification, heads.TokenClassification, heads.QuestionAnswering,
)  # fmt: skip
