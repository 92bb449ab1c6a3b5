"""Text encoders as BERT's descendants are made: embeddings, layers, and perhaps a pooler."""

from __future__ import annotations

from typing import ClassVar

from tallow.models.base import Model
from tallow.models.configs import Config, activation, choice, layers, size, token
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.nn import Module
from tallow.tensor import Tensor
from tallow.weights.arrange import WeightConverter, rename

# Ids, mask, token types, positions and embeddings, as BERT has them.
Inputs = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None, Tensor | None]


class TextConfig(Config):
    """The fields of BERT's config; families have other defaults and more."""

    vocab_size: int = size(30522, high=2**31 - 1)
    hidden_size: int = size(768)
    num_hidden_layers: int = layers(12)
    num_attention_heads: int = size(12)
    intermediate_size: int = size(3072)
    hidden_act: str = activation("gelu")
    max_position_embeddings: int = size(512)
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = token(0)
    tie_word_embeddings: bool = True
    is_decoder: bool = choice(False)
    add_cross_attention: bool = choice(False)
    cross_attention_hidden_size: int | None = None
    position_embedding_type: str = choice("absolute")

    def check(self, fields: Fields) -> None:
        """A context, where there is one, has the layers' width."""
        width = self.cross_attention_hidden_size
        if width not in (None, self.hidden_size):
            wanted = f"hidden_size {self.hidden_size}, or null"
            raise fields.error("cross_attention_hidden_size", wanted, width)


class TextInputs(Model):
    """A model with inputs of text, in whatever order; sub-classes say it, and what they make."""

    def run(self, inputs: Inputs, hidden: bool) -> BaseOutput:
        """What the model gives for its inputs in BERT's order, `hidden` states on request."""
        raise NotImplementedError


class BertInputs(TextInputs):
    """A model with BERT's inputs."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """Token ids `(batch, length)` → hidden states `(batch, length, size)`, and pooled ones."""
        inputs = input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds
        return self.run(inputs, output_hidden_states)


class TypelessInputs(TextInputs):
    """A model with BERT's inputs but token types."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """Token ids `(batch, length)` → hidden states `(batch, length, size)`, and pooled ones."""
        inputs = input_ids, attention_mask, None, position_ids, inputs_embeds
        return self.run(inputs, output_hidden_states)


class TextEncoder(TextInputs):
    """Embeddings, layers, and the pooler if the file has one; heads may do without it."""

    optional_parts: ClassVar[tuple[str, ...]] = ("pooler",)
    ignorable: ClassVar[tuple[str, ...]] = (r"pooler\..*", r"embeddings\.(position|token_type)_ids")
    rules: ClassVar[tuple[WeightConverter, ...]] = (
        rename("*LayerNorm.gamma", "*LayerNorm.weight"),
        rename("*LayerNorm.beta", "*LayerNorm.bias"),
    )

    embeddings: Module
    encoder: Module
    pooler: Module | None

    def run(self, inputs: Inputs, hidden: bool) -> BaseOutput:
        """What embeddings, layers and pooler make of the inputs."""
        ids, mask, types, positions, embeds = inputs
        return self.encoded(self.embeddings(ids, types, positions, embeds), mask, hidden)

    def encoded(self, x: Tensor, mask: Tensor | None, hidden: bool) -> BaseOutput:
        """What layers and pooler make of the embeddings."""
        states: list[Tensor] = self.encoder(x, mask)
        pooled = None if self.pooler is None else self.pooler(states[-1])
        return BaseOutput(states[-1], pooled, tuple(states) if hidden else None)


class BertEncoder(BertInputs, TextEncoder):
    """An encoder with BERT's inputs."""


class TypelessEncoder(TypelessInputs, TextEncoder):
    """An encoder with BERT's inputs but token types."""
