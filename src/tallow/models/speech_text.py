"""Models of speech to text: an encoder of sound, a decoder of text and its head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tallow.errors import ArgumentError, expect
from tallow.models import losses
from tallow.models.encoder_decoder import Seq2SeqOutput, shifted
from tallow.models.generation import EncoderDecoderModel
from tallow.models.outputs import BaseOutput, HiddenStates
from tallow.nn import Linear, Module, tie
from tallow.tensor import Tensor


class Heard(Protocol):
    """What a model without a head gives."""

    @property
    def last_hidden_state(self) -> Tensor:
        """Of the decoder, `(batch, n, size)`."""

    @property
    def decoder_hidden_states(self) -> HiddenStates | None:
        """Those of its layers."""

    @property
    def encoder_last_hidden_state(self) -> Tensor | None:
        """What it attends to."""

    @property
    def encoder_hidden_states(self) -> HiddenStates | None:
        """Those of the encoder's layers."""


def encoded_of(
    outputs: BaseOutput | None, encoder: Module, name: str, sound: Tensor | None, *others: Any,
    output_hidden_states: bool,
) -> BaseOutput:  # fmt: skip
    """What an encoder gave, as a call brought it, or of `sound`, the argument `name`.

    Raises:
        ArgumentError: there is neither.
    """
    if outputs is not None:
        return outputs
    wanted = f"{name} or encoder_outputs"
    expect(sound is not None, "forward", wanted, "neither", ArgumentError)
    found: BaseOutput = encoder(sound, *others, output_hidden_states=output_hidden_states)
    return found


class SpeechToText(EncoderDecoderModel):
    """`model` with the scores of what is written, `proj_out`; families say `encode`."""

    base_model_prefix = "model"
    config: Any
    model: Module

    def make_head(self, size: int) -> None:
        """Make `proj_out`, of the decoder's embeddings where the config ties them."""
        self.proj_out = Linear(size, self.config.vocab_size, bias=False)
        if self.config.tie_word_embeddings:
            tie(self.proj_out, "weight", self.model.decoder.embed_tokens, "weight")

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)`."""
        return self.proj_out(hidden)

    def written(
        self, call: Callable[[Tensor | None], Heard], ids: Tensor | None, labels: Tensor | None,
        embeds: Tensor | None,
    ) -> Seq2SeqOutput:  # fmt: skip
        """What `call(ids)` gives with its scores, and the loss of `labels` `(batch, n)`.

        These are the decoder's input, one place later, where there is no other.
        """
        if labels is not None and ids is None and embeds is None:
            ids = shifted(labels, self.config)
        found = call(ids)
        logits = self.head(found.last_hidden_state)
        loss = None if labels is None else losses.classes(logits, labels)
        states, encoded = found.decoder_hidden_states, found.encoder_last_hidden_state
        return Seq2SeqOutput(logits, loss, states, encoded, found.encoder_hidden_states)
