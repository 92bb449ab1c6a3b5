"""BART and its descendants whole: encoder, decoder, and heads on both (arXiv 1910.13461)."""

from __future__ import annotations

from typing import Any, ClassVar

from tallow.dtype import i64
from tallow.errors import ArgumentError, ModelError, expect
from tallow.factories import arange, zeros
from tallow.lazy_dataclasses import dataclass
from tallow.models import losses
from tallow.models.base import Model
from tallow.models.blocks.bart import (
    BartCausalLM,
    BartDecoder,
    BartDecoderLayer,
    BartEncoder,
    BartLayer,
    BartText,
    DecoderWrapper,
    LearnedPositions,
    PreNormDecoderLayer,
    PreNormLayer,
)
from tallow.models.blocks.bert import FirstClassifier
from tallow.models.blocks.embedding import Embedding, text_inputs
from tallow.models.configs import Config, activation, custom, layers, size, token
from tallow.models.encoder_decoder import Seq2SeqOutput, shifted
from tallow.models.fields import Fields
from tallow.models.generation import EncoderDecoderModel
from tallow.models.outputs import BaseOutput, HiddenStates, LogitsOutput, Output
from tallow.models.states import State
from tallow.nn import LayerNorm, Linear, tie
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

    def check(self, fields: Fields) -> None:
        """Heads share the width."""
        if self.d_model % self.decoder_attention_heads:
            wanted = f"a divisor of d_model {self.d_model}"
            raise fields.error("decoder_attention_heads", wanted, self.decoder_attention_heads)


@dataclass(frozen=True)
class NormPlacement:
    """Where layers are normalised: their classes, and whether a norm stands behind the last."""

    layer: type[BartLayer]
    decoder_layer: type[BartDecoderLayer]
    normed: bool

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
        return BartDecoder(cfg.vocab_size, cfg.d_model, layers=made, **self._around(cfg))

    def _around(self, cfg: BartConfig) -> dict[str, Any]:
        width = cfg.d_model
        return {
            "padding": cfg.pad_token_id,
            "scale": width**0.5 if cfg.scale_embedding else 1.0,
            "positions": LearnedPositions(cfg.max_position_embeddings, width),
            "embedding_norm": LayerNorm(width),
            "norm": LayerNorm(width) if self.normed else None,
        }


POST_NORM = NormPlacement(BartLayer, BartDecoderLayer, normed=False)
PRE_NORM = NormPlacement(PreNormLayer, PreNormDecoderLayer, normed=True)


class CausalLM(BartCausalLM):
    """The decoder alone, and the scores of the next token."""

    kind: ClassVar[NormPlacement]

    def __init__(self, cfg: BartConfig) -> None:
        self.config = cfg
        decoder = self.kind.decoder(cfg)
        self.model = DecoderWrapper(decoder)
        self.lm_head = Linear(cfg.d_model, cfg.vocab_size, bias=False)
        if cfg.tie_word_embeddings:
            tie(self.lm_head, "weight", decoder.embed_tokens, "weight")


class Seq2SeqModelOutput(Output):
    """`last_hidden_state` (batch, n, size) of the decoder, and what the encoder gave."""

    last_hidden_state: Tensor
    decoder_hidden_states: HiddenStates | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: HiddenStates | None = None


class Seq2SeqModel(BartText):
    """Encoder and decoder, whose words are one table; families say the `kind`."""

    base_model_prefix = "model"
    ignorable = (r"(encoder|decoder)\.version",)
    kind: ClassVar[NormPlacement]

    def __init__(self, cfg: BartConfig) -> None:
        self.config = cfg
        self.shared = Embedding(cfg.vocab_size, cfg.d_model, cfg.pad_token_id)
        self.encoder = self.kind.encoder(cfg)
        self.decoder = self.kind.decoder(cfg)
        if cfg.tie_word_embeddings:
            tie(self.encoder.embed_tokens, "weight", self.shared, "weight")
            tie(self.decoder.embed_tokens, "weight", self.shared, "weight")

    @property
    def tower(self) -> BartDecoder:
        """The decoder."""
        return self.decoder

    def shifted(self, ids: Tensor) -> Tensor:
        """The decoder's input for ids or labels, one place later."""
        return shifted(ids, self.config)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseOutput | None = None,
        state: State | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> Seq2SeqModelOutput:
        """Ids `(batch, m)`, and those of the decoder `(batch, n)` → hidden states of both.

        Without ids of the decoder these are `input_ids`, one place later. `encoder_outputs` stand
        in the place of the encoder's input, and `attention_mask` hides positions of them, too.
        """
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            wanted = "decoder_input_ids, or input_ids that they are made of"
            expect(input_ids is not None, "forward", wanted, "neither", ArgumentError)
            assert input_ids is not None
            decoder_input_ids = self.shifted(text_inputs(input_ids, None))
        encoded = encoder_outputs
        if encoded is None:
            found: BaseOutput = self.encoder(
                input_ids, attention_mask, inputs_embeds, output_hidden_states=output_hidden_states
            )
            encoded = found
        seen: list[Tensor] | None = [] if output_hidden_states else None
        x = self.hidden(
            decoder_input_ids, decoder_attention_mask, encoded.last_hidden_state, attention_mask,
            state, decoder_inputs_embeds, seen=seen,
        )  # fmt: skip
        states = None if seen is None else tuple(seen)
        return Seq2SeqModelOutput(x, states, encoded.last_hidden_state, encoded.hidden_states)


class Headed(Model):
    """A head on a `Seq2SeqModel`, `base_class`, which stands under `model`."""

    base_model_prefix = "model"
    base_class: ClassVar[type[Seq2SeqModel]]
    model: Seq2SeqModel

    def __init__(self, cfg: BartConfig) -> None:
        self.config = cfg
        self.model = self.base_class(cfg)


class ConditionalGeneration(Headed, BartText, EncoderDecoderModel):
    """An encoder of text, and a decoder that writes another."""

    _optional = frozenset({"final_logits_bias"})

    def __init__(self, cfg: BartConfig) -> None:
        super().__init__(cfg)
        self.register_buffer("final_logits_bias", zeros(1, cfg.vocab_size))
        self.lm_head = Linear(cfg.d_model, cfg.vocab_size, bias=False)
        if cfg.tie_word_embeddings:
            tie(self.lm_head, "weight", self.model.shared, "weight")

    @property
    def tower(self) -> BartDecoder:
        """The decoder."""
        return self.model.decoder

    def encode(self, **inputs: Any) -> tuple[Tensor, Tensor | None]:
        """`input_ids` or `inputs_embeds`, and `attention_mask` → the context and its mask."""
        known = {"input_ids", "inputs_embeds", "attention_mask"}
        wanted = "input_ids, attention_mask and generation options"
        expect(inputs.keys() <= known, "generate", wanted, sorted(inputs), ArgumentError)
        mask = inputs.get("attention_mask")
        found = self.model.encoder(inputs.get("input_ids"), mask, inputs.get("inputs_embeds"))
        return found.last_hidden_state, mask

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)`."""
        return self.lm_head(hidden) + self.final_logits_bias.view(-1)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseOutput | None = None,
        state: State | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> Seq2SeqOutput:
        """Ids `(batch, m)`, and those of the decoder `(batch, n)` → logits `(batch, n, vocab)`.

        `labels` `(batch, n)`, -100 where there is none, give the loss, and the decoder's input
        where no other is given. Others as of the model without a head.
        """
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.model.shifted(labels)
        found = self.model(
            input_ids, attention_mask, decoder_input_ids, decoder_attention_mask, encoder_outputs,
            state, inputs_embeds, decoder_inputs_embeds, output_hidden_states=output_hidden_states,
        )  # fmt: skip
        logits = self.head(found.last_hidden_state)
        loss = None if labels is None else losses.classes(logits, labels)
        states, encoded = found.decoder_hidden_states, found.encoder_last_hidden_state
        return Seq2SeqOutput(logits, loss, states, encoded, found.encoder_hidden_states)


class SequenceClassification(Headed):
    """Scores of a text, `(batch, labels)`, from the decoder at the text's last end token."""

    def __init__(self, cfg: BartConfig) -> None:
        super().__init__(cfg)
        end = cfg.eos_token_id
        expect(end is not None, "eos_token_id", "a token id", "none", ModelError)
        self.classification_head = FirstClassifier(cfg.d_model, cfg.num_labels)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseOutput | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, n)`, each row with an end token → scores, and the loss of labels."""
        found = self.model(
            input_ids, attention_mask, decoder_input_ids, decoder_attention_mask, encoder_outputs,
            None, inputs_embeds, decoder_inputs_embeds, output_hidden_states=output_hidden_states,
        )  # fmt: skip
        x, (b, n) = found.last_hidden_state, input_ids.shape
        ends = input_ids.eq(self.config.eos_token_id).to(i64)
        at = (ends * arange(n, dtype=i64)).amax(1)
        last = x.gather(1, at.view(b, 1, 1).expand(b, 1, x.shape[-1]))
        logits = self.classification_head(last)
        loss = None if labels is None else losses.sequence(logits, labels, self.config)
        return LogitsOutput(logits, loss, found.decoder_hidden_states)
