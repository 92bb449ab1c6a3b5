"""Decoders of text that may attend to the output of an encoder, with states for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tallow.autograd.mode import inference_mode
from tallow.dtype import DType, f32, i64
from tallow.errors import ArgumentError, ContextError, expect
from tallow.factories import arange
from tallow.models import losses
from tallow.models.base import Model
from tallow.models.blocks.embedding import text_inputs
from tallow.models.blocks.heads import as_mask
from tallow.models.blocks.positions import last_positions
from tallow.models.generation import GenerativeModel, check_kept
from tallow.models.outputs import LogitsOutput
from tallow.models.states import Cross, KeyValue, SelfAndCross, State
from tallow.nn import Module, ModuleList
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.generate import GenerationConfig


_NO_CONTEXT = "none for a decoder without add_cross_attention"


class CrossAttention(Protocol):
    """What a layer attends to a context with."""

    def fill(self, state: Cross, context: Tensor, mask: Tensor | None) -> None:
        """Let `state` hold keys and values of `context`."""


class DecoderInputs(NamedTuple):
    """Ids `(batch, n)`, or their embeddings, and where they stand.

    `positions` `(batch or 1, n)` count from the first of the row; `places` and `types` are what a
    caller said of positions and token types.
    """

    ids: Tensor | None
    embeds: Tensor | None
    positions: Tensor
    places: Tensor | None = None
    types: Tensor | None = None


class LayerInputs(NamedTuple):
    """What layers are given beside hidden states; `seen` takes what goes in and what they give.

    `positions` `(batch or 1, n)` count from the first of the row.
    """

    mask: Tensor | None = None
    context: Tensor | None = None
    context_mask: Tensor | None = None
    states: Sequence[SelfAndCross | None] | None = None
    seen: list[Tensor] | None = None
    positions: Tensor | None = None


def run_layers(
    layers: ModuleList, x: Tensor, inputs: LayerInputs, norm: Module | None = None
) -> Tensor:
    """`(batch, n, size)` through layers that attend to a context too, and a last norm."""
    mask, context, context_mask, states, seen, _ = inputs
    mask = None if mask is None else as_mask(mask)
    context_mask = None if context_mask is None else as_mask(context_mask)
    for layer, state in zip(layers, states or [None] * len(layers), strict=True):
        if seen is not None:
            seen.append(x)
        x = layer(x, mask, context=context, context_mask=context_mask, state=state)
    if norm is not None:
        x = norm(x)
    if seen is not None:
        seen.append(x)
    return x


class TextStack(Model):
    """A causal decoder without its head; families say its parts, and the order of `forward`."""

    @property
    def size(self) -> int:
        """The width of hidden states, and of a context unless the config says another."""
        return int(self.config.hidden_size)

    @property
    def heads(self) -> int:
        """The number of heads."""
        return int(self.config.num_attention_heads)

    @property
    def head_dim(self) -> int:
        """The width of a head."""
        return self.size // self.heads

    @property
    def vocab_size(self) -> int:
        """The number of token ids."""
        return int(self.config.vocab_size)

    @property
    def context(self) -> int:
        """The largest number of positions."""
        return int(self.config.max_position_embeddings)

    def embed(self, inputs: DecoderInputs) -> Tensor:
        """What goes into the first layer, `(batch, n, size)`."""
        raise NotImplementedError

    def run(self, x: Tensor, inputs: LayerInputs) -> Tensor:
        """Hidden states `(batch, n, size)` behind all layers."""
        raise NotImplementedError

    def layers(self) -> int:
        """The number of layers."""
        raise NotImplementedError

    def cross_attentions(self) -> Sequence[CrossAttention]:
        """Those of the layers, in order; none where it cannot attend to a context."""
        raise NotImplementedError

    def hidden(
        self,
        input_ids: Tensor | None,
        mask: Tensor | None,
        context: Tensor | None,
        context_mask: Tensor | None,
        state: State | None,
        embeds: Tensor | None,
        *,
        places: Tensor | None = None,
        types: Tensor | None = None,
        seen: list[Tensor] | None = None,
    ) -> Tensor:
        """Hidden states `(batch, n, size)` of the inputs of `forward`.

        Raises:
            ContextError: more positions than there are.
            ArgumentError: inputs that do not belong together.
            ShapeError: an input has other axes, or another batch than the rest.
        """
        given = text_inputs(input_ids, embeds)
        good = context is None or bool(self.cross_attentions())
        expect(good, "encoder_hidden_states", _NO_CONTEXT, "some", ArgumentError)
        b, n, held = *given.shape[:2], 0 if state is None else state.length
        if context is not None:
            good = context.ndim == 3 and context.shape[0] == b
            expect(good, "encoder_hidden_states", f"shape ({b}, m, size)", tuple(context.shape))
        if state is not None:
            expect(b == state.batch, "forward", f"a batch of {state.batch} as the state's", b)
        wanted = f"at most {self.context} positions"
        expect(held + n <= self.context, "input", wanted, held + n, ContextError)
        if state is None:
            at = arange(n, dtype=i64).unsqueeze(0)
            x = self.embed(DecoderInputs(input_ids, embeds, at, places, types))
            return self.run(x, LayerInputs(mask, context, context_mask, seen=seen, positions=at))
        alone = mask is None and places is None and types is None
        wanted = "none of attention_mask, position_ids and token_type_ids beside a state"
        expect(alone, "forward", wanted, "some", ArgumentError)
        with inference_mode():
            if context is not None:
                self.attend_to(state, context, context_mask)
            state.reserve(n)
            x = self.decode(input_ids, state, embeds=embeds, seen=seen)
            state.commit(n)
        return x

    def make_state(self, batch: int = 1, capacity: int = 256, dtype: DType | str = f32) -> State:
        """A state for `batch` rows that holds nothing yet, as of `CausalLM.make_state`."""
        sizes = self.heads, self.head_dim
        layers: list[Any] = [SelfAndCross(KeyValue(*sizes), Cross()) for _ in range(self.layers())]
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
        at = state.positions(given.shape[1])
        x = self.embed(DecoderInputs(ids, embeds, at))
        return self.run(x, LayerInputs(states=state.layers, seen=seen, positions=at))


class TextDecoder(TextStack, GenerativeModel):
    """The same with a head that scores the next token.

    `generate` takes `encoder_hidden_states` with `encoder_attention_mask`, too.
    """

    def _inputs(
        self, first: Tensor | None, given: Mapping[str, Any], config: GenerationConfig
    ) -> dict[str, Any]:
        inputs = dict(given)
        context = inputs.pop("encoder_hidden_states", None)
        mask = inputs.pop("encoder_attention_mask", None)
        made = super()._inputs(first, inputs, config)
        if context is None:
            return made
        good = bool(self.cross_attentions())
        expect(good, "encoder_hidden_states", _NO_CONTEXT, "some", ArgumentError)
        return {**made, "context": context, "context_mask": mask}

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of predicting each label after what stands before it."""
        return losses.next_token(logits, labels)

    def answer(
        self,
        input_ids: Tensor | None,
        mask: Tensor | None,
        context: Tensor | None,
        context_mask: Tensor | None,
        state: State | None,
        embeds: Tensor | None,
        labels: Tensor | None,
        *,
        places: Tensor | None = None,
        types: Tensor | None = None,
        keep: int = 0,
        hidden: bool = False,
    ) -> LogitsOutput:
        """What `forward` gives, for its inputs in any family's order; see `TextStack.hidden`."""
        check_kept(keep)
        seen: list[Tensor] | None = [] if hidden else None
        x = self.hidden(
            input_ids, mask, context, context_mask, state, embeds,
            places=places, types=types, seen=seen,
        )  # fmt: skip
        logits = self.head(last_positions(x, keep))
        loss = None if labels is None else self.loss(logits, labels)
        return LogitsOutput(logits, loss, None if seen is None else tuple(seen))
