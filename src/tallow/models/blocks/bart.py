"""Layers, encoder and decoder of BART's descendants (TrOCR, mBART).

Source: arXiv 1910.13461; names of Hugging Face's checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tallow.dtype import i64
from tallow.errors import ContextError, expect
from tallow.factories import arange
from tallow.models import losses
from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.attention import Attention
from tallow.models.blocks.embedding import Embedding, text_inputs
from tallow.models.blocks.heads import as_mask
from tallow.models.outputs import BaseOutput, LogitsOutput
from tallow.models.states import SelfAndCross, State
from tallow.models.text_decoder import (
    DecoderInputs,
    LayerInputs,
    TextDecoder,
    TextStack,
    run_layers,
)
from tallow.nn import LayerNorm, Linear, Module, ModuleList
from tallow.tensor import Tensor


class BartLayer(Module):
    """Self-attention and feed-forward, each normalised behind its sum.

    `k_bias` says whether keys are projected with a bias, as all else is.
    """

    def __init__(
        self, size: int, heads: int, hidden: int, act: str, *, causal: bool, k_bias: bool = True
    ) -> None:
        self.self_attn = Attention(
            size, heads, bias=True, k_bias=k_bias, causal=causal, out_name="out_proj"
        )
        self.self_attn_layer_norm = LayerNorm(size)
        self.fc1 = Linear(size, hidden)
        self.fc2 = Linear(hidden, size)
        self.final_layer_norm = LayerNorm(size)
        self.act = ACTIVATIONS[act]

    def residual(self, norm: Module, x: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        """`part` of `x`, with its residual and norm."""
        return norm(x + part(x))

    def feed(self, x: Tensor) -> Tensor:
        """The feed-forward network."""
        return self.fc2(linear_then(self.fc1, x, self.act))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, n, size)` → the same shape."""
        x = self.residual(self.self_attn_layer_norm, x, lambda h: self.self_attn(h, mask=mask))
        return self.residual(self.final_layer_norm, x, self.feed)


class BartDecoderLayer(BartLayer):
    """The same with attention to a context of width `cross_size` between the two."""

    def __init__(
        self,
        size: int,
        heads: int,
        hidden: int,
        act: str,
        cross_size: int | None = None,
        *,
        k_bias: bool = True,
    ) -> None:
        super().__init__(size, heads, hidden, act, causal=True, k_bias=k_bias)
        self.encoder_attn = Attention(
            size, heads, bias=True, k_bias=k_bias, kv_size=cross_size, out_name="out_proj"
        )
        self.encoder_attn_layer_norm = LayerNorm(size)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
        state: SelfAndCross | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; without a context there is nothing to attend to."""
        own, cross = (None, None) if state is None else state

        def self_attention(h: Tensor) -> Tensor:
            return self.self_attn(h, mask=mask, state=own)

        def cross_attention(h: Tensor) -> Tensor:
            return self.encoder_attn(h, context=context, mask=context_mask, state=cross)

        x = self.residual(self.self_attn_layer_norm, x, self_attention)
        if context is not None or (cross is not None and cross.filled):
            x = self.residual(self.encoder_attn_layer_norm, x, cross_attention)
        return self.residual(self.final_layer_norm, x, self.feed)


class BartTower(Module):
    """Words times `scale` and positions, a norm of both where there is one, layers, a last norm."""

    def __init__(
        self,
        vocabulary: int,
        size: int,
        *,
        padding: int | None,
        scale: float,
        positions: Module,
        layers: Sequence[Module],
        embedding_norm: Module | None,
        norm: Module | None = None,
    ) -> None:
        self.embed_tokens = Embedding(vocabulary, size, padding)
        self.embed_positions = positions
        self.layernorm_embedding = embedding_norm
        self.layers = ModuleList(layers)
        self.layer_norm = norm
        self.scale = scale

    def embed(self, ids: Tensor | None, embeds: Tensor | None, positions: Tensor) -> Tensor:
        """Ids `(batch, n)`, or their embeddings, at `positions` `(batch or 1, n)`."""
        if embeds is None:
            embeds = self.embed_tokens(ids)
            embeds = embeds * self.scale if self.scale != 1 else embeds
        assert embeds is not None, "there are ids or embeddings"
        x: Tensor = embeds + self.embed_positions(positions, ids)
        return x if self.layernorm_embedding is None else self.layernorm_embedding(x)


class BartEncoder(BartTower):
    """The encoder."""

    def forward(
        self,
        ids: Tensor | None,
        mask: Tensor | None = None,
        embeds: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """Ids `(batch, m)`, or their embeddings → hidden states `(batch, m, size)`.

        Raises:
            ContextError: more positions than there are.
        """
        given = text_inputs(ids, embeds)
        n, most = given.shape[1], self.embed_positions.count
        expect(n <= most, "input", f"at most {most} positions", n, ContextError)
        states = [self.embed(ids, embeds, arange(n, dtype=i64).unsqueeze(0))]
        mask = None if mask is None else as_mask(mask)
        for layer in self.layers:
            states.append(layer(states[-1], mask))
        if self.layer_norm is not None:
            states[-1] = self.layer_norm(states[-1])
        return BaseOutput(states[-1], hidden_states=tuple(states) if output_hidden_states else None)


class BartDecoder(BartTower):
    """The decoder, whose layers `BartText` runs."""


class PreNormLayer(BartLayer):
    """A layer whose parts are normalised before, not behind their sums (mBART)."""

    def residual(self, norm: Module, x: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        """`part` of the normalised `x`, with its residual."""
        return x + part(norm(x))


class PreNormDecoderLayer(PreNormLayer, BartDecoderLayer):
    """The same with attention to a context."""


class BartText(TextStack):
    """A `BartDecoder`, the `tower`; families say where it stands."""

    @property
    def tower(self) -> BartDecoder:
        """The decoder."""
        raise NotImplementedError

    def embed(self, inputs: DecoderInputs) -> Tensor:
        """What goes into the first layer; there are no token types, nor places that one says."""
        return self.tower.embed(inputs.ids, inputs.embeds, inputs.positions)

    def run(self, x: Tensor, inputs: LayerInputs) -> Tensor:
        """Hidden states `(batch, n, size)`."""
        return run_layers(self.tower.layers, x, inputs, self.tower.layer_norm)

    def layers(self) -> int:
        """The number of layers."""
        return len(self.tower.layers)

    def cross_attentions(self) -> Sequence[Attention]:
        """Those of the layers."""
        return [layer.encoder_attn for layer in self.tower.layers]


class DecoderWrapper(Module):
    """What stands under `model` of a decoder alone."""

    def __init__(self, decoder: BartDecoder) -> None:
        self.decoder = decoder


class BartCausalLM(BartText, TextDecoder):
    """A `BartDecoder` at `model.decoder`; families say the head."""

    model: DecoderWrapper

    @property
    def tower(self) -> BartDecoder:
        """The decoder."""
        return self.model.decoder

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        state: State | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        logits_to_keep: int = 0,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, n)`, or their embeddings, → logits `(batch, n, vocab_size)`.

        `encoder_hidden_states` `(batch, m, size)` are attended to where
        `encoder_attention_mask` `(batch, m)` is not 0. With a `state`, the input continues what it
        holds, and the encoder's output is needed at the first call alone.

        Raises:
            ContextError: more positions than there are.
        """
        return self.answer(
            input_ids, attention_mask, encoder_hidden_states, encoder_attention_mask, state,
            inputs_embeds, labels, keep=logits_to_keep, hidden=output_hidden_states,
        )  # fmt: skip

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of labels that stand at the places of the logits that predict them."""
        return losses.classes(logits, labels)
