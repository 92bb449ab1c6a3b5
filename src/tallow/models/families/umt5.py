"""umT5: mT5 with a bias by distance in each layer (arXiv 2304.09151)."""

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
from tallow.models.configs import layers, size, token
from tallow.models.fields import MAX_SIZE


class UMT5Config(Shared):
    """Of Hugging Face's `UMT5Config`."""

    vocab_size: int = size(250112, high=MAX_SIZE)
    d_ff: int = size(1024)
    num_layers: int = layers(8)
    num_heads: int = size(6)
    feed_forward_proj: str = "gated-gelu"
    decoder_start_token_id: int | None = token(0)


GGUF = GGUF_T5


class UMT5Model(Seq2SeqModel):
    """Encoder and decoder."""

    config_class, one_bias = UMT5Config, False


class UMT5EncoderModel(EncoderModel):
    """The encoder alone."""

    config_class, one_bias = UMT5Config, False


define_heads(
    globals(),
    "UMT5",
    ConditionalGeneration,
    QuestionAnswering,
    config_class=UMT5Config,
    one_bias=False,
)
define_heads(
    globals(), "UMT5", SequenceClassification, config_class=UMT5Config, base_class=UMT5Model
)
define_heads(
    globals(), "UMT5", TokenClassification, config_class=UMT5Config, base_class=UMT5EncoderModel
)
