"""mT5: T5 v1.1 of a hundred languages, whose head is not scaled (arXiv 2010.11934)."""

from __future__ import annotations

from tallow.models.base import define_heads
from tallow.models.blocks.t5 import T5Config as Shared
from tallow.models.blocks.t5_gguf import GGUF_T5
from tallow.models.blocks.t5_models import (
    ConditionalGeneration,
    EncoderModel,
    QuestionAnswering,
    Seq2SeqModel,
    SequenceClassification,
    TokenClassification,
)
from tallow.models.configs import custom, layers, size, token
from tallow.models.fields import MAX_SIZE


class MT5Config(Shared):
    """Of Hugging Face's `MT5Config`."""

    vocab_size: int = size(250112, high=MAX_SIZE)
    d_ff: int = size(1024)
    num_layers: int = layers(8)
    num_heads: int = size(6)
    feed_forward_proj: str = "gated-gelu"
    scale_decoder_outputs: bool = custom(False, lambda fields, name, default: False)
    decoder_start_token_id: int | None = token(0)

    without_effect = Shared.without_effect | {"scale_decoder_outputs"}


GGUF = GGUF_T5


class MT5Model(Seq2SeqModel):
    """Encoder and decoder."""

    config_class = MT5Config


class MT5EncoderModel(EncoderModel):
    """The encoder alone."""

    config_class = MT5Config


define_heads(globals(), "MT5", ConditionalGeneration, QuestionAnswering, config_class=MT5Config)
define_heads(globals(), "MT5", SequenceClassification, config_class=MT5Config, base_class=MT5Model)
define_heads(
    globals(), "MT5", TokenClassification, config_class=MT5Config, base_class=MT5EncoderModel
)
