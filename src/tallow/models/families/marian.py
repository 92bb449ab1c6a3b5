"""Marian: the post-norm transformer of OPUS-MT's translators (arXiv 1804.00344)."""

from __future__ import annotations

from tallow.errors import ModelError, expect
from tallow.models.blocks.bart import BartDecoderLayer, BartLayer
from tallow.models.blocks.bart_models import (
    BartConfig,
    CausalLM,
    ConditionalGeneration,
    Seq2SeqModel,
    TowerKind,
)
from tallow.models.blocks.bart_positions import PlacedSines
from tallow.models.configs import choice, custom, size, token
from tallow.models.fields import MAX_SIZE, Fields


def _words(fields: Fields, name: str, _: int) -> int:
    """0, where a file says none, stands for those of the encoder."""
    value = fields.get(name)
    return 0 if not value else fields.integer(name, 0, low=1, high=MAX_SIZE)


class MarianConfig(BartConfig):
    """Of Hugging Face's `MarianConfig`."""

    vocab_size: int = size(58101, high=MAX_SIZE)
    decoder_vocab_size: int = custom(0, _words)
    share_encoder_decoder_embeddings: bool = True
    pad_token_id: int | None = token(58100)
    eos_token_id: int | None = token(0)
    decoder_start_token_id: int | None = token(58100)
    # What files say of it; it is the only kind.
    add_final_layer_norm: bool = choice(False)
    normalize_before: bool = choice(False)
    normalize_embedding: bool = choice(False)
    static_position_embeddings: bool = choice(True)
    add_bias_logits: bool = choice(False)

    @property
    def written_words(self) -> int:
        """The number of words of the decoder."""
        return self.vocab_size if self.shares_words else self.decoder_vocab_size or self.vocab_size

    @property
    def shares_words(self) -> bool:
        """Whether encoder and decoder have one table of words, `shared`."""
        return self.share_encoder_decoder_embeddings


def _sines(cfg: MarianConfig) -> PlacedSines:
    return PlacedSines(cfg.max_position_embeddings, cfg.d_model)


MARIAN = TowerKind(BartLayer, BartDecoderLayer, False, positions=_sines, embedding_norm=False)


class MarianModel(Seq2SeqModel):
    """Encoder and decoder."""

    config_class, kind = MarianConfig, MARIAN


class MarianForCausalLM(CausalLM):
    """The decoder alone, and the scores of the next token."""

    config_class, kind = MarianConfig, MARIAN

    def __init__(self, cfg: MarianConfig) -> None:
        good = cfg.written_words == cfg.vocab_size
        wanted = f"{cfg.vocab_size}, as vocab_size, for a decoder alone"
        expect(good, "decoder_vocab_size", wanted, cfg.written_words, ModelError)
        super().__init__(cfg)


class MarianMTModel(ConditionalGeneration):
    """A translator."""

    config_class, base_class = MarianConfig, MarianModel
