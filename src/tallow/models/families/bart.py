"""BART: a post-norm encoder and decoder of text (arXiv 1910.13461)."""

from __future__ import annotations

from typing import Self

from tallow.models.base import define_heads
from tallow.models.blocks.bart_models import (
    POST_NORM,
    CausalLM,
    ConditionalGeneration,
    Seq2SeqModel,
    SequenceClassification,
)
from tallow.models.blocks.bart_models import (
    BartConfig as Shared,
)
from tallow.models.configs import choice, token
from tallow.models.fields import Fields


class BartConfig(Shared):
    """Of Hugging Face's `BartConfig`."""

    decoder_start_token_id: int | None = token(2)
    # What configs of earlier code say of it; BART's is the only kind here.
    add_final_layer_norm: bool = choice(False)
    normalize_before: bool = choice(False)
    normalize_embedding: bool = choice(True)
    static_position_embeddings: bool = choice(False)
    add_bias_logits: bool = choice(False)

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """A classifier of which nothing else is said has three labels."""
        keys = ("id2label", "num_labels", "_num_labels")
        if all(fields.get(key) is None for key in keys):
            fields = fields.with_value("num_labels", 3)
        return super().read(fields)


class BartModel(Seq2SeqModel):
    """Encoder and decoder."""

    config_class, kind = BartConfig, POST_NORM


class BartForCausalLM(CausalLM):
    """The decoder alone, and the scores of the next token."""

    config_class, kind = BartConfig, POST_NORM


define_heads(
    globals(), "Bart", ConditionalGeneration, SequenceClassification,
    config_class=BartConfig, base_class=BartModel,
)  # fmt: skip
