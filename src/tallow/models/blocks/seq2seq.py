"""Encoder and decoder of text as one model, and heads on both, whatever their layers are.

A family says the parts: its decoder is a `TextStack`, its encoder a module that is called with ids,
mask and embeddings.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from tallow.dtype import i64
from tallow.errors import ArgumentError, ModelError, expect
from tallow.factories import arange
from tallow.models import losses
from tallow.models.base import Model
from tallow.models.blocks.bert import FirstClassifier
from tallow.models.blocks.embedding import text_inputs
from tallow.models.encoder_decoder import Seq2SeqOutput, shifted
from tallow.models.generation import EncoderDecoderModel
from tallow.models.outputs import BaseOutput, HiddenStates, LogitsOutput, Output
from tallow.models.states import State
from tallow.models.text_decoder import TextStack
from tallow.nn import Module
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.generate import GenerationConfig

_TOKENS = ("eos_token_id", "pad_token_id", "decoder_start_token_id")


class Seq2SeqModelOutput(Output):
    """`last_hidden_state` (batch, n, size) of the decoder, and what the encoder gave."""

    last_hidden_state: Tensor
    decoder_hidden_states: HiddenStates | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: HiddenStates | None = None


class EncoderAndDecoder(TextStack):
    """A decoder with an `encoder` before it."""

    encoder: Module

    def shifted(self, ids: Tensor) -> Tensor:
        """The decoder's input for ids or labels, one place later."""
        return shifted(ids, self.config)

    def both(
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


class Seq2SeqModel(EncoderAndDecoder):
    """The same as a model without a head."""

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
        """Ids `(batch, m)`, and those of the decoder `(batch, n)` → hidden states; see `both`."""
        return self.both(
            input_ids, attention_mask, decoder_input_ids, decoder_attention_mask, encoder_outputs,
            state, inputs_embeds, decoder_inputs_embeds, output_hidden_states=output_hidden_states,
        )  # fmt: skip


class Generation(EncoderDecoderModel):
    """An encoder of text, and a decoder that writes another; families say `parts` and `head`."""

    @property
    def parts(self) -> EncoderAndDecoder:
        """The encoder and the decoder."""
        raise NotImplementedError

    @cached_property
    def generation_config(self) -> GenerationConfig:
        """How the checkpoint wants texts to be generated; its config's own defaults count, too."""
        found: GenerationConfig = super().generation_config
        if self.folder is not None and (self.folder / "generation_config.json").is_file():
            return found
        names = [name for name in _TOKENS if getattr(found, name) is None]
        return found.with_options(**{name: getattr(self.config, name, None) for name in names})

    def encode(self, **inputs: Any) -> tuple[Tensor, Tensor | None]:
        """`input_ids` or `inputs_embeds`, and `attention_mask` → the context and its mask."""
        known = {"input_ids", "inputs_embeds", "attention_mask"}
        wanted = "input_ids, attention_mask and generation options"
        expect(inputs.keys() <= known, "generate", wanted, sorted(inputs), ArgumentError)
        mask = inputs.get("attention_mask")
        found = self.parts.encoder(inputs.get("input_ids"), mask, inputs.get("inputs_embeds"))
        return found.last_hidden_state, mask

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
            decoder_input_ids = self.parts.shifted(labels)
        found = self.parts.both(
            input_ids, attention_mask, decoder_input_ids, decoder_attention_mask, encoder_outputs,
            state, inputs_embeds, decoder_inputs_embeds, output_hidden_states=output_hidden_states,
        )  # fmt: skip
        logits = self.head(found.last_hidden_state)
        loss = None if labels is None else losses.classes(logits, labels)
        states, encoded = found.decoder_hidden_states, found.encoder_last_hidden_state
        return Seq2SeqOutput(logits, loss, states, encoded, found.encoder_hidden_states)


class EndClassification(Model):
    """Scores of a text, `(batch, labels)`, from the decoder at the text's last end token.

    The model without a head stands under `base_model_prefix`.
    """

    def make_head(self, cfg: Any) -> None:
        """The head, beside the model."""
        end = cfg.eos_token_id
        expect(end is not None, "eos_token_id", "a token id", "none", ModelError)
        self.classification_head = FirstClassifier(cfg.hidden_size, cfg.num_labels)

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
        base = getattr(self, self.base_model_prefix)
        found = base(
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
