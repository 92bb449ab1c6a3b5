"""Decoders of text that may attend to the output of an encoder, with states for both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tallow.autograd.mode import inference_mode
from tallow.dtype import DType, f32, i64
from tallow.errors import ArgumentError, ContextError, expect
from tallow.factories import arange
from tallow.models import losses
from tallow.models.generation import GenerativeModel
from tallow.models.outputs import LogitsOutput
from tallow.models.states import Cross, KeyValue, SelfAndCross, State
from tallow.tensor import Tensor


class CrossAttention(Protocol):
    """What a layer attends to a context with."""

    def fill(self, state: Cross, context: Tensor, mask: Tensor | None) -> None:
        """Let `state` hold keys and values of `context`."""


class TextDecoder(GenerativeModel):
    """A causal decoder with a head; families say its stack, head and cross-attentions."""

    @property
    def size(self) -> int:
        """The width of hidden states, and of a context unless the config says another."""
        return int(self.config.hidden_size)

    @property
    def heads(self) -> int:
        """The number of heads."""
        return int(self.config.num_attention_heads)

    @property
    def vocab_size(self) -> int:
        """The number of token ids."""
        return int(self.config.vocab_size)

    @property
    def context(self) -> int:
        """The largest number of positions."""
        return int(self.config.max_position_embeddings)

    def stack(
        self,
        ids: Tensor | None,
        *,
        embeds: Tensor | None = None,
        positions: Tensor,
        mask: Tensor | None = None,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
        states: Sequence[SelfAndCross | None] | None = None,
        seen: list[Tensor] | None = None,
    ) -> Tensor:
        """Hidden states `(batch, n, size)` of ids `(batch, n)`, or their embeddings."""
        raise NotImplementedError

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)` of hidden states `(…, size)`."""
        raise NotImplementedError

    def cross_attentions(self) -> Sequence[CrossAttention]:
        """Those of the layers, in order."""
        raise NotImplementedError

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of labels that stand at the places of the logits that predict them."""
        return losses.classes(logits, labels)

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
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, n)`, or their embeddings, → logits `(batch, n, vocab_size)`.

        `encoder_hidden_states` `(batch, m, size)` are attended to where
        `encoder_attention_mask` `(batch, m)` is not 0. With a `state`, the input continues what it
        holds, and the encoder's output is needed at the first call alone.

        Raises:
            ContextError: more positions than there are.
        """
        given = input_ids if inputs_embeds is None else inputs_embeds
        good = (input_ids is None) != (inputs_embeds is None) and given is not None
        expect(good, "forward", "input_ids or inputs_embeds", "both or none", ArgumentError)
        assert given is not None
        n, held = given.shape[1], 0 if state is None else state.length
        wanted = f"at most {self.context} positions"
        expect(held + n <= self.context, "input", wanted, held + n, ContextError)
        seen: list[Tensor] | None = [] if output_hidden_states else None
        if state is None:
            x = self.stack(
                input_ids,
                embeds=inputs_embeds,
                positions=arange(n, dtype=i64).unsqueeze(0),
                mask=attention_mask,
                context=encoder_hidden_states,
                context_mask=encoder_attention_mask,
                seen=seen,
            )
        else:
            alone = attention_mask is None
            expect(alone, "attention_mask", "none beside a state", "one", ArgumentError)
            with inference_mode():
                if encoder_hidden_states is not None:
                    self.attend_to(state, encoder_hidden_states, encoder_attention_mask)
                state.reserve(n)
                x = self.decode(input_ids, state, embeds=inputs_embeds, seen=seen)
                state.commit(n)
        logits = self.head(x)
        loss = None if labels is None else self.loss(logits, labels)
        return LogitsOutput(logits, loss, None if seen is None else tuple(seen))

    def make_state(self, batch: int = 1, capacity: int = 256, dtype: DType = f32) -> State:
        """A state for `batch` rows that holds nothing yet, as of `CausalLM.make_state`."""
        sizes = self.heads, self.size // self.heads
        layers: list[Any] = [
            SelfAndCross(KeyValue(*sizes), Cross()) for _ in self.cross_attentions()
        ]
        return State(layers, batch, context=self.context, capacity=capacity, dtype=dtype)

    def attend_to(self, state: State, context: Tensor, mask: Tensor | None = None) -> None:
        """Let the state hold each layer's keys and values of `context` `(batch, m, size)`."""
        for attention, layer in zip(self.cross_attentions(), state.layers, strict=True):
            attention.fill(layer.cross_attn, context, mask)

    def decode(
        self,
        ids: Tensor | None,
        state: State,
        *,
        embeds: Tensor | None = None,
        seen: list[Tensor] | None = None,
    ) -> Tensor:
        """Hidden states of what comes after `state`, which is neither reserved nor committed."""
        given = ids if embeds is None else embeds
        assert given is not None
        positions = state.positions(given.shape[1])
        return self.stack(ids, embeds=embeds, positions=positions, states=state.layers, seen=seen)
