"""Any encoder of text before any decoder of text (arXiv 1907.12461)."""

from __future__ import annotations

from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.models.composite import Composite, CompositeConfig, encoder
from tallow.models.configs import custom
from tallow.models.encoder_decoder import Seq2SeqOutput
from tallow.models.outputs import BaseOutput
from tallow.tensor import Tensor


class EncoderDecoderConfig(CompositeConfig):
    """Of Hugging Face's `EncoderDecoderConfig`."""

    encoder: Any = custom(None, encoder("bert"))


class EncoderDecoderModel(Composite):
    """An encoder of text, and a decoder of text that attends to what the mask keeps of it."""

    config_class = EncoderDecoderConfig

    def encode(self, **inputs: Any) -> tuple[Tensor, Tensor | None]:
        """What the decoder attends to, `(batch, m, size)`, and the mask of the encoder's input."""
        known = {"input_ids", "inputs_embeds", "attention_mask", "token_type_ids"}
        wanted = "inputs of the encoder and generation options"
        expect(inputs.keys() <= known, "generate", wanted, sorted(inputs), ArgumentError)
        return self.as_context(self.encoder(**inputs)), inputs.get("attention_mask")

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseOutput | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> Seq2SeqOutput:
        """Ids `(batch, m)`, and those of the decoder `(batch, n)` → logits `(batch, n, vocab)`.

        `labels` `(batch, n)`, -100 where there is none, give the loss, and the decoder's input
        where no other is given. `encoder_outputs` stand in the place of the encoder's input, and
        `attention_mask` hides positions of them, too.
        """
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.shifted(labels)
            if decoder_attention_mask is None:
                decoder_attention_mask = decoder_input_ids.ne(self.config.pad_token_id)
        if encoder_outputs is None:
            given = {
                "input_ids": input_ids,
                "attention_mask": attention_mask,
                "inputs_embeds": inputs_embeds,
                "token_type_ids": token_type_ids,
            }
            encoder_outputs = self.encoder(
                **{name: value for name, value in given.items() if value is not None},
                output_hidden_states=output_hidden_states,
            )
            assert encoder_outputs is not None
        return self.complete(
            encoder_outputs, attention_mask, decoder_input_ids, decoder_attention_mask,
            decoder_inputs_embeds, labels, output_hidden_states,
        )  # fmt: skip
