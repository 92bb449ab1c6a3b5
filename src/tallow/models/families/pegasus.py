"""PEGASUS: a pre-norm encoder and decoder that summarises (arXiv 1912.08777)."""

from __future__ import annotations

from tallow.models.base import define_heads
from tallow.models.blocks.bart import PreNormDecoderLayer, PreNormLayer
from tallow.models.blocks.bart_models import (
    BartConfig,
    CausalLM,
    ConditionalGeneration,
    Seq2SeqModel,
    TowerKind,
)
from tallow.models.blocks.bart_positions import PlacedSines
from tallow.models.configs import choice, token


class PegasusConfig(BartConfig):
    """Of Hugging Face's `PegasusConfig`."""

    pad_token_id: int | None = token(0)
    eos_token_id: int | None = token(1)
    decoder_start_token_id: int | None = token(0)
    # What files say of it; it is the only kind.
    add_final_layer_norm: bool = choice(True)
    normalize_before: bool = choice(True)
    normalize_embedding: bool = choice(False)
    static_position_embeddings: bool = choice(True)
    add_bias_logits: bool = choice(False)


def _sines(cfg: PegasusConfig) -> PlacedSines:
    return PlacedSines(cfg.max_position_embeddings, cfg.d_model)


PEGASUS = TowerKind(PreNormLayer, PreNormDecoderLayer, True, positions=_sines, embedding_norm=False)


class PegasusModel(Seq2SeqModel):
    """Encoder and decoder."""

    config_class, kind = PegasusConfig, PEGASUS


class PegasusForCausalLM(CausalLM):
    """The decoder alone, and the scores of the next token."""

    config_class, kind = PegasusConfig, PEGASUS


define_heads(
    globals(), "Pegasus", ConditionalGeneration,
    config_class=PegasusConfig, base_class=PegasusModel,
)  # fmt: skip
