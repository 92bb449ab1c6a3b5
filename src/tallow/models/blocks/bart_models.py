"""BART and its descendants whole: encoder, decoder, and heads on both (arXiv 1910.13461)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tallow.errors import ModelError, expect
from tallow.factories import zeros
from tallow.lazy_dataclasses import dataclass
from tallow.models.base import Model
from tallow.models.blocks.bart import (
    BartCausalLM,
    BartDecoder,
    BartDecoderLayer,
    BartEncoder,
    BartLayer,
    BartText,
    DecoderWrapper,
    PreNormDecoderLayer,
    PreNormLayer,
)
from tallow.models.blocks.bart_positions import LearnedPositions
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.seq2seq import (
    EncoderAndDecoder,
    EndClassification,
    Generation,
)
from tallow.models.blocks.seq2seq import (
    Seq2SeqModel as Both,
)
from tallow.models.configs import Config, activation, custom, layers, size, token
from tallow.models.fields import Fields
from tallow.nn import LayerNorm, Linear, Module, tie
from tallow.tensor import Tensor

# What all files say alike, and what generation reads by itself.
_KEYS = """
num_hidden_layers is_decoder add_cross_attention extra_pos_embeddings save_step
force_bos_token_to_be_generated classif_dropout
"""


def _end(fields: Fields, name: str, default: int) -> int | None:
    value = fields.get(name) if fields.has(name) else default
    return value if type(value) is int else None


class BartConfig(Config):
    """The fields of BART's and mBART's configs."""

    vocab_size: int = size(50265, high=2**31 - 1)
    d_model: int = size(1024, "hidden_size")
    encoder_layers: int = layers(12)
    encoder_attention_heads: int = size(16)
    encoder_ffn_dim: int = size(4096)
    decoder_layers: int = layers(12)
    decoder_attention_heads: int = size(16)
    decoder_ffn_dim: int = size(4096)
    activation_function: str = activation("gelu")
    max_position_embeddings: int = size(1024)
    scale_embedding: bool = False
    pad_token_id: int | None = token(1)
    eos_token_id: int | None = custom(2, _end)
    decoder_start_token_id: int | None = token()
    tie_word_embeddings: bool = True

    without_effect = frozenset(_KEYS.split())

    @property
    def hidden_size(self) -> int:
        """The width."""
        return self.d_model

    @property
    def num_hidden_layers(self) -> int:
        """The layers of one side at most."""
        return max(self.encoder_layers, self.decoder_layers)

    @property
    def num_attention_heads(self) -> int:
        """The decoder's number of heads."""
        return self.decoder_attention_heads

    @property
    def written_words(self) -> int:
        """The number of words of the decoder."""
        return self.vocab_size

    @property
    def shares_words(self) -> bool:
        """Whether encoder and decoder have one table of words, `shared`."""
        return True

    def check(self, fields: Fields) -> None:
        """Heads share the width."""
        if self.d_model % self.decoder_attention_heads:
            wanted = f"a divisor of d_model {self.d_model}"
            raise fields.error("decoder_attention_heads", wanted, self.decoder_attention_heads)


def learned(cfg: BartConfig) -> Module:
    """Positions of a table in the file."""
    return LearnedPositions(cfg.max_position_embeddings, cfg.d_model)


@dataclass(frozen=True)
class TowerKind:
    """How towers are made: classes of layers, positions, and which norms stand around the layers.

    `normed` is behind the last layer, `embedding_norm` before the first.
    """

    layer: type[BartLayer]
    decoder_layer: type[BartDecoderLayer]
    normed: bool
    positions: Callable[[Any], Module] = learned
    embedding_norm: bool = True

    def encoder(self, cfg: BartConfig) -> BartEncoder:
        """The encoder."""
        heads = cfg.encoder_attention_heads
        wanted = f"a divisor of d_model {cfg.d_model}"
        expect(cfg.d_model % heads == 0, "encoder_attention_heads", wanted, heads, ModelError)
        made = [
            self.layer(
                cfg.d_model, heads, cfg.encoder_ffn_dim, cfg.activation_function, causal=False
            )
            for _ in range(cfg.encoder_layers)
        ]
        return BartEncoder(cfg.vocab_size, cfg.d_model, layers=made, **self._around(cfg))

    def decoder(self, cfg: BartConfig) -> BartDecoder:
        """The decoder."""
        made = [
            self.decoder_layer(
                cfg.d_model,
                cfg.decoder_attention_heads,
                cfg.decoder_ffn_dim,
                cfg.activation_function,
            )
            for _ in range(cfg.decoder_layers)
        ]
        return BartDecoder(cfg.written_words, cfg.d_model, layers=made, **self._around(cfg))

    def _around(self, cfg: BartConfig) -> dict[str, Any]:
        width = cfg.d_model
        return {
            "padding": cfg.pad_token_id,
            "scale": width**0.5 if cfg.scale_embedding else 1.0,
            "positions": self.positions(cfg),
            "embedding_norm": LayerNorm(width) if self.embedding_norm else None,
            "norm": LayerNorm(width) if self.normed else None,
        }


POST_NORM = TowerKind(BartLayer, BartDecoderLayer, normed=False)
PRE_NORM = TowerKind(PreNormLayer, PreNormDecoderLayer, normed=True)


class CausalLM(BartCausalLM):
    """The decoder alone, and the scores of the next token."""

    kind: ClassVar[TowerKind]

    def __init__(self, cfg: BartConfig) -> None:
        self.config = cfg
        decoder = self.kind.decoder(cfg)
        self.model = DecoderWrapper(decoder)
        self.lm_head = Linear(cfg.d_model, cfg.vocab_size, bias=False)
        if cfg.tie_word_embeddings:
            tie(self.lm_head, "weight", decoder.embed_tokens, "weight")


class Seq2SeqModel(BartText, Both):
    """Encoder and decoder; families say the `kind`."""

    base_model_prefix = "model"
    ignorable = (r"(encoder|decoder)\.version",)
    kind: ClassVar[TowerKind]

    def __init__(self, cfg: BartConfig) -> None:
        self.config = cfg
        if cfg.shares_words:
            self.shared = Embedding(cfg.vocab_size, cfg.d_model, cfg.pad_token_id)
        self.encoder = self.kind.encoder(cfg)
        self.decoder = self.kind.decoder(cfg)
        if cfg.shares_words and cfg.tie_word_embeddings:
            tie(self.encoder.embed_tokens, "weight", self.shared, "weight")
            tie(self.decoder.embed_tokens, "weight", self.shared, "weight")

    @property
    def tower(self) -> BartDecoder:
        """The decoder."""
        return self.decoder


class Headed(Model):
    """A head on a `Seq2SeqModel`, `base_class`, which stands under `model`."""

    base_model_prefix = "model"
    base_class: ClassVar[type[Seq2SeqModel]]
    model: Seq2SeqModel

    def __init__(self, cfg: BartConfig) -> None:
        self.config = cfg
        self.model = self.base_class(cfg)


class UnbiasedGeneration(Headed, BartText, Generation):
    """An encoder of text, and a decoder that writes another."""

    def __init__(self, cfg: BartConfig) -> None:
        super().__init__(cfg)
        self.lm_head = Linear(cfg.d_model, cfg.written_words, bias=False)
        if cfg.tie_word_embeddings:
            tie(self.lm_head, "weight", self.model.decoder.embed_tokens, "weight")

    @property
    def vocab_size(self) -> int:
        """The number of token ids that it writes."""
        return int(self.config.written_words)

    @property
    def parts(self) -> EncoderAndDecoder:
        """The encoder and the decoder."""
        return self.model

    @property
    def tower(self) -> BartDecoder:
        """The decoder."""
        return self.model.decoder


class ConditionalGeneration(UnbiasedGeneration):
    """The same with a bias of each word, which files may lack."""

    _optional = frozenset({"final_logits_bias"})

    def __init__(self, cfg: BartConfig) -> None:
        super().__init__(cfg)
        self.register_buffer("final_logits_bias", zeros(1, cfg.written_words))

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)`."""
        return self.lm_head(hidden) + self.final_logits_bias.view(-1)


class SequenceClassification(Headed, EndClassification):
    """Scores of a text, `(batch, labels)`, from the decoder at the text's last end token."""

    def __init__(self, cfg: BartConfig) -> None:
        super().__init__(cfg)
        self.make_head(cfg)
