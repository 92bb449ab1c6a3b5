"""Models of an encoder and a decoder of text: their output, and what generation asks of them."""

from __future__ import annotations

from typing import Any

from tallow.dtype import DType, f32
from tallow.errors import ArgumentError, expect
from tallow.factories import full_like
from tallow.models.generation import EncoderDecoderModel
from tallow.models.outputs import BaseOutput, HiddenStates, LogitsOutput, Output
from tallow.models.states import State
from tallow.models.text_decoder import TextDecoder
from tallow.ops import cat, where
from tallow.tensor import Tensor


class Seq2SeqOutput(Output):
    """`logits` (batch, n, vocab_size) of the decoder, and what the encoder gave."""

    logits: Tensor
    loss: Tensor | None = None
    decoder_hidden_states: HiddenStates | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: HiddenStates | None = None

    @classmethod
    def of(cls, decoded: LogitsOutput, encoded: BaseOutput, loss: Tensor | None) -> Seq2SeqOutput:
        """Of the outputs of both."""
        states = decoded.hidden_states, encoded.last_hidden_state, encoded.hidden_states
        return cls(decoded.logits, loss, *states)


class EncoderDecoder(EncoderDecoderModel):
    """An encoder with a `TextDecoder`, `decoder`, behind it; families say `encode`."""

    decoder: TextDecoder

    @property
    def vocab_size(self) -> int:
        """The number of token ids."""
        return self.decoder.vocab_size

    @property
    def context(self) -> int:
        """The largest number of positions of the decoder."""
        return self.decoder.context

    def make_state(self, batch: int = 1, capacity: int = 256, dtype: DType | str = f32) -> State:
        """A state of the decoder for `batch` rows that holds nothing yet."""
        return self.decoder.make_state(batch, capacity, dtype)

    def attend_to(self, state: State, context: Tensor, mask: Tensor | None = None) -> None:
        """Let the state hold the layers' keys and values of a context."""
        self.decoder.attend_to(state, context, mask)

    def decode(self, ids: Tensor | None, state: State, *, embeds: Tensor | None = None) -> Tensor:
        """Hidden states of what comes after `state`, as of `TextDecoder.decode`."""
        return self.decoder.decode(ids, state, embeds=embeds)

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)`."""
        return self.decoder.head(hidden)

    def shifted(self, labels: Tensor) -> Tensor:
        """The decoder's input for labels: one place later, behind the start token."""
        return shifted(labels, self.config)


def shifted(labels: Tensor, cfg: Any) -> Tensor:
    """Labels one place later, behind the config's start token; padding where there is none.

    Raises:
        ArgumentError: the config names no start token or no padding.
    """
    start, pad = cfg.decoder_start_token_id, cfg.pad_token_id
    good = start is not None and pad is not None
    wanted = "decoder_start_token_id and pad_token_id in the config, or decoder_input_ids"
    expect(good, "labels", wanted, "labels alone", ArgumentError)
    ids = cat([full_like(labels[:, :1], start), labels[:, :-1]], 1)
    return where(ids.eq(-100), full_like(ids, pad), ids)
