"""Any vision encoder before any decoder of text: TrOCR, Donut (arXiv 2109.10282, 2111.15664)."""

from __future__ import annotations

from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.models.composite import Composite, CompositeConfig, encoder
from tallow.models.configs import custom
from tallow.models.encoder_decoder import Seq2SeqOutput
from tallow.models.outputs import BaseOutput
from tallow.tensor import Tensor


class VisionEncoderDecoderConfig(CompositeConfig):
    """Of Hugging Face's `VisionEncoderDecoderConfig`."""

    encoder: Any = custom(None, encoder("vit"))


class VisionEncoderDecoderModel(Composite):
    """An encoder of images, and a decoder of text that attends to all its positions."""

    config_class = VisionEncoderDecoderConfig
    main_input = "pixel_values"

    def __init__(self, cfg: VisionEncoderDecoderConfig) -> None:
        super().__init__(cfg)
        self.prompts_begin_themselves = type(self.encoder).__name__.startswith("Donut")

    def encode(self, **inputs: Any) -> tuple[Tensor, Tensor | None]:
        """`pixel_values` → what the decoder attends to, `(batch, m, size)`, and no mask."""
        good, wanted = inputs.keys() == {"pixel_values"}, "pixel_values and generation options"
        expect(good, "generate", wanted, sorted(inputs), ArgumentError)
        return self.as_context(self.encoder(inputs["pixel_values"])), None

    def forward(
        self,
        pixel_values: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseOutput | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> Seq2SeqOutput:
        """Images, and ids `(batch, n)` or their embeddings, → logits `(batch, n, vocab_size)`.

        `labels` `(batch, n)`, -100 where there is none, give the loss, and the decoder's input
        where no other is given. `encoder_outputs` stand in the place of images.
        """
        if encoder_outputs is None:
            given = pixel_values is not None
            expect(given, "forward", "pixel_values or encoder_outputs", "neither", ArgumentError)
            encoder_outputs = self.encoder(pixel_values, output_hidden_states=output_hidden_states)
            assert encoder_outputs is not None
        return self.complete(
            encoder_outputs, None, decoder_input_ids, decoder_attention_mask,
            decoder_inputs_embeds, labels, output_hidden_states,
        )  # fmt: skip
