"""M2M-100 and NLLB: pre-norm translators between many languages (arXiv 2010.11125, 2207.04672)."""

from __future__ import annotations

from tallow.models.blocks.bart import PreNormDecoderLayer, PreNormLayer
from tallow.models.blocks.bart_models import (
    BartConfig,
    Seq2SeqModel,
    TowerKind,
    UnbiasedGeneration,
)
from tallow.models.blocks.bart_positions import SinusoidalPositions
from tallow.models.configs import activation, choice, size, token
from tallow.models.fields import MAX_SIZE, Fields
from tallow.tensor import Tensor


class M2M100Config(BartConfig):
    """Of Hugging Face's `M2M100Config`."""

    vocab_size: int = size(128112, high=MAX_SIZE)
    activation_function: str = activation("relu")
    scale_embedding: bool = True
    decoder_start_token_id: int | None = token(2)
    # What files say of it; it is the only kind.
    add_final_layer_norm: bool = choice(True)
    normalize_before: bool = choice(True)
    normalize_embedding: bool = choice(False)
    static_position_embeddings: bool = choice(True)
    add_bias_logits: bool = choice(False)

    def check(self, fields: Fields) -> None:
        """Sines need a padding id and two rates."""
        super().check(fields)
        if self.pad_token_id is None:
            wanted = "a token id, as positions count what is no padding"
            raise fields.error("pad_token_id", wanted, None)
        if self.d_model < 4:
            raise fields.error("d_model", "at least 4 for sinusoidal positions", self.d_model)


class CountedSines(SinusoidalPositions):
    """Sines that count tokens; of embeddings, all."""

    def forward(self, positions: Tensor, ids: Tensor | None = None) -> Tensor:
        """Ids `(batch, n)`, or None for embeddings, → `(batch or 1, n, size)`."""
        return (
            self.at(positions + 1 + self.padding)
            if ids is None
            else super().forward(positions, ids)
        )


def _sines(cfg: M2M100Config) -> CountedSines:
    assert cfg.pad_token_id is not None, "the config checks it"
    return CountedSines(cfg.d_model, cfg.pad_token_id)


M2M100 = TowerKind(PreNormLayer, PreNormDecoderLayer, True, positions=_sines, embedding_norm=False)
# Tables that are computed, of which old files hold a number.
_COMPUTED = (r"(model\.)?(encoder|decoder)\.embed_positions\.weights?",)


class M2M100Model(Seq2SeqModel):
    """Encoder and decoder."""

    config_class, kind, ignorable = M2M100Config, M2M100, _COMPUTED

    @property
    def context(self) -> int:
        """The largest number of positions; that of sines, which are computed, has no end."""
        return MAX_SIZE


class M2M100ForConditionalGeneration(UnbiasedGeneration):
    """A translator."""

    config_class, base_class, ignorable = M2M100Config, M2M100Model, _COMPUTED

    @property
    def context(self) -> int:
        """The largest number of positions; that of sines, which are computed, has no end."""
        return MAX_SIZE
