"""An encoder and a decoder that are models of their own, as a config's two parts say."""

from __future__ import annotations

from typing import Any

from tallow.models import losses
from tallow.models.configs import Config, Reader, custom, token
from tallow.models.encoder_decoder import EncoderDecoder, Seq2SeqOutput
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.models.parts import Part, part
from tallow.nn import Linear
from tallow.tensor import Tensor


def encoder(model_type: str) -> Reader:
    """Reads an encoder, of that `model_type` where it names none."""

    def read(fields: Fields, name: str, default: Any) -> Part:
        inner = fields.scope(name).with_default("model_type", model_type)
        for flag in ("is_decoder", "add_cross_attention"):
            if inner.flag(flag):
                raise inner.error(flag, "false for an encoder", True)
        inner.get("tie_word_embeddings")  # configs say it of every part; an encoder has none
        return part(inner, "embedding")

    return read


def _decoder(fields: Fields, name: str, default: Any) -> Part:
    return part(fields.scope(name).with_default("model_type", "bert"), "text-generation")


class CompositeConfig(Config):
    """The fields of both; families say their `encoder`."""

    encoder: Any = None  # a field
    decoder: Any = custom(None, _decoder)
    pad_token_id: int | None = token()
    decoder_start_token_id: int | None = token()

    # Whether scores share the words' table is the decoder's to say.
    without_effect = frozenset({"tie_word_embeddings"})

    @property
    def num_hidden_layers(self) -> int:
        """The layers of one side at most, as far as the parts say."""
        parts = self.encoder.config, self.decoder.config
        return max(int(getattr(each, "num_hidden_layers", 0)) for each in parts)

    @property
    def cross_size(self) -> int | None:
        """The width of what the decoder attends to, None where that is its own."""
        return getattr(self.decoder.config, "cross_attention_hidden_size", None)

    def check(self, fields: Fields) -> None:
        """The decoder attends to what the encoder gives."""
        size = getattr(self.encoder.config, "hidden_size", None)
        if size is None:
            wanted = "an encoder that gives positions of one hidden_size"
            raise fields.error("encoder", wanted, self.encoder.model.__name__)
        if self.cross_size not in (None, size):
            wanted = f"{size}, as the encoder's hidden_size"
            raise fields.error("decoder.cross_attention_hidden_size", wanted, self.cross_size)
        if not getattr(self.decoder.config, "add_cross_attention", True):
            raise fields.error("decoder.add_cross_attention", "true behind an encoder", False)


class Composite(EncoderDecoder):
    """An encoder, and a decoder of text that attends to all its positions."""

    ignorable = (r"encoder\.pooler\..*",)

    def __init__(self, cfg: CompositeConfig) -> None:
        self.config = cfg
        self.encoder = cfg.encoder.make()
        self.encoder.pooler = None
        self.decoder = cfg.decoder.make()
        size, own = cfg.encoder.config.hidden_size, self.decoder.size
        projected = size != own and cfg.cross_size is None
        self.enc_to_dec_proj = Linear(size, own) if projected else None

    def as_context(self, found: BaseOutput) -> Tensor:
        """The encoder's output in the width that the decoder takes, `(batch, m, size)`."""
        x = found.last_hidden_state
        return x if self.enc_to_dec_proj is None else self.enc_to_dec_proj(x)

    def complete(
        self,
        encoded: BaseOutput,
        mask: Tensor | None,
        ids: Tensor | None,
        decoder_mask: Tensor | None,
        embeds: Tensor | None,
        labels: Tensor | None,
        hidden: bool,
    ) -> Seq2SeqOutput:
        """What `forward` gives, behind the encoder; `mask` hides positions of its output."""
        if labels is not None and ids is None and embeds is None:
            ids = self.shifted(labels)
        found = self.decoder(
            input_ids=ids,
            attention_mask=decoder_mask,
            encoder_hidden_states=self.as_context(encoded),
            encoder_attention_mask=mask,
            inputs_embeds=embeds,
            output_hidden_states=hidden,
        )
        loss = None if labels is None else losses.classes(found.logits, labels)
        return Seq2SeqOutput.of(found, encoded, loss)
