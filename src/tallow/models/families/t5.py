"""T5: every task as text to text, biases by distance (arXiv 1910.10683); v1.1, Flan, ByT5."""

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


class T5Config(Shared):
    """Of Hugging Face's `T5Config`."""


GGUF = GGUF_T5


class T5Model(Seq2SeqModel):
    """Encoder and decoder."""

    config_class = T5Config


class T5EncoderModel(EncoderModel):
    """The encoder alone."""

    config_class = T5Config


define_heads(globals(), "T5", ConditionalGeneration, QuestionAnswering, config_class=T5Config)
define_heads(globals(), "T5", SequenceClassification, config_class=T5Config, base_class=T5Model)
define_heads(globals(), "T5", TokenClassification, config_class=T5Config, base_class=T5EncoderModel)
