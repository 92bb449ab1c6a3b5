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
        """`no_rope_layers` is 1 for each layer that rotates, all but every fourth unless given."""
        cfg = super().read(fields)
        layers, bias = cfg.num_hidden_layers, fields.flag("attention_bias")
        interval = fields.integer("no_rope_layer_interval", PERIOD)
        turned = fields.get("no_rope_layers")
        if turned is None:
            turned = [int((i + 1) % interval != 0) for i in range(layers)]
        good = isinstance(turned, list) and len(turned) >= layers
        if not good or any(each not in (0, 1) for each in turned):
            raise fields.error("no_rope_layers", f"{layers} of 0 or 1", turned)
        windows: tuple[int, ...] = ()
        if fields.flag("use_sliding_window"):
            kinds = [ATTENTIONS[int(not each)] for each in turned[:layers]]
            windows = read_windows(fields, layers, 0, kinds=kinds)
        return replace(
            cfg,
            qkv_bias=bias,
            output_bias=bias,
            mlp_bias=fields.flag("mlp_bias"),
            rope_layers=tuple(map(bool, turned[:layers])),
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
