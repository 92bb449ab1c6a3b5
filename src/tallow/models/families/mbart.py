"""mBART: pre-norm BART that translates (arXiv 2001.08210); Donut's decoder is its own."""

from __future__ import annotations

from tallow.errors import ArgumentError, expect
from tallow.factories import full_like
from tallow.models.base import define_heads
from tallow.models.blocks.bart_models import (
    PRE_NORM,
    BartConfig,
    CausalLM,
    ConditionalGeneration,
    Seq2SeqModel,
    SequenceClassification,
)
from tallow.models.configs import choice
from tallow.ops import cat, where
from tallow.tensor import Tensor


class MBartConfig(BartConfig):
    """Of Hugging Face's `MBartConfig`."""

    # What configs of earlier code say of it; mBART's is the only kind.
    add_final_layer_norm: bool = choice(True)
    normalize_before: bool = choice(True)
    normalize_embedding: bool = choice(True)
    static_position_embeddings: bool = choice(False)
    add_bias_logits: bool = choice(False)


class MBartForCausalLM(CausalLM):
    """The decoder alone, and the scores of the next token."""

    config_class, kind = MBartConfig, PRE_NORM


class MBartModel(Seq2SeqModel):
    """Encoder and decoder."""

    config_class, kind = MBartConfig, PRE_NORM

    def shifted(self, ids: Tensor) -> Tensor:
        """One place later, behind the row's last id, which is that of its language.

        Raises:
            ArgumentError: the config names no padding.
        """
        pad = self.config.pad_token_id
        wanted = "pad_token_id in the config, or decoder_input_ids"
        expect(pad is not None, "labels", wanted, "labels alone", ArgumentError)
        ids = where(ids.eq(-100), full_like(ids, pad), ids)
        last = ids.gather(1, ids.ne(pad).sum(1, keepdim=True) - 1)
        return cat([last, ids[:, :-1]], 1)


define_heads(
    globals(), "MBart", ConditionalGeneration, SequenceClassification,
    config_class=MBartConfig, base_class=MBartModel,
)  # fmt: skip
