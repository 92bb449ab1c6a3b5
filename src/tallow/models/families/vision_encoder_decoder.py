"""Any vision encoder before any decoder of text: TrOCR, Donut (arXiv 2109.10282, 2111.15664)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.models import losses
from tallow.models.configs import Config, custom, token
from tallow.models.encoder_decoder import EncoderDecoder, Seq2SeqOutput
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.models.parts import Part, part
from tallow.nn import Linear
from tallow.tensor import Tensor


def _encoder(fields: Fields, name: str, default: Any) -> Part:
    inner = fields.scope(name).with_default("model_type", "vit")
    for flag in ("is_decoder", "add_cross_attention"):
        if inner.flag(flag):
            raise inner.misfit(flag, "false for an encoder", True)
    inner.get("tie_word_embeddings")  # configs say it of every part; an encoder has none
    return part(inner, "embedding")


def _decoder(fields: Fields, name: str, default: Any) -> Part:
    return part(fields.scope(name).with_default("model_type", "bert"), "text-generation")


@dataclass(frozen=True, kw_only=True)
class VisionEncoderDecoderConfig(Config):
    """Of Hugging Face's `VisionEncoderDecoderConfig`."""

    encoder: Any = custom(None, _encoder)  # a field
    decoder: Any = custom(None, _decoder)
    pad_token_id: int | None = token()
    decoder_start_token_id: int | None = token()

    # Whether scores share the words' table is the decoder's to say.
    without_effect = frozenset({"tie_word_embeddings"})

    @property
    def cross_size(self) -> int | None:
        """The width of what the decoder attends to, None where that is its own."""
        found: int | None = getattr(self.decoder.config, "cross_attention_hidden_size", None)
        return found

    def check(self, fields: Fields) -> None:
        """The decoder attends to what the encoder gives."""
        size = self.encoder.config.hidden_size
        if self.cross_size not in (None, size):
            wanted = f"{size}, as the encoder's hidden_size"
            raise fields.misfit("decoder.cross_attention_hidden_size", wanted, self.cross_size)
        if not getattr(self.decoder.config, "add_cross_attention", True):
            raise fields.misfit("decoder.add_cross_attention", "true behind an encoder", False)


class VisionEncoderDecoderModel(EncoderDecoder):
    """An encoder of images, and a decoder of text that attends to all its positions."""

    config_class = VisionEncoderDecoderConfig
    ignorable = (r"encoder\.pooler\..*",)
    main_input = "pixel_values"

    def __init__(self, cfg: VisionEncoderDecoderConfig) -> None:
        self.config = cfg
        self.encoder = cfg.encoder.make()
        self.encoder.pooler = None
        self.prompts_begin_themselves = type(self.encoder).__name__.startswith("Donut")
        self.decoder = cfg.decoder.make()
        size, own = cfg.encoder.config.hidden_size, self.decoder.size
        projected = size != own and cfg.cross_size is None
        self.enc_to_dec_proj = Linear(size, own) if projected else None

    def encode(self, **inputs: Any) -> tuple[Tensor, Tensor | None]:
        """`pixel_values` → what the decoder attends to, `(batch, m, size)`, and no mask."""
        good, wanted = inputs.keys() == {"pixel_values"}, "pixel_values and generation options"
        expect(good, "generate", wanted, sorted(inputs), ArgumentError)
        return self.as_context(self.encoder(inputs["pixel_values"])), None

    def as_context(self, found: BaseOutput) -> Tensor:
        """The encoder's output in the width that the decoder takes, `(batch, m, size)`."""
        x = found.last_hidden_state
        return x if self.enc_to_dec_proj is None else self.enc_to_dec_proj(x)

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
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.shifted(labels)
        found = self.decoder(
            input_ids=decoder_input_ids,
            attention_mask=decoder_attention_mask,
            encoder_hidden_states=self.as_context(encoder_outputs),
            inputs_embeds=decoder_inputs_embeds,
            output_hidden_states=output_hidden_states,
        )
        loss = None if labels is None else losses.classes(found.logits, labels)
        return Seq2SeqOutput.of(found, encoder_outputs, loss)
