"""BERT's layers as a causal decoder, which may attend to an encoder's output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.models.base import Model
from tallow.models.blocks.bert import BertAttention, BertEmbeddings, BertLayer
from tallow.models.blocks.heads import (
    as_mask,
    attention_of_rows,
    merge_heads,
    split_heads,
)
from tallow.models.blocks.text_encoder import TextEncoder
from tallow.models.outputs import LogitsOutput
from tallow.models.states import Cross, KeyValue, SelfAndCross, State
from tallow.models.text_decoder import (
    CrossAttention,
    DecoderInputs,
    LayerInputs,
    TextDecoder,
    run_layers,
)
from tallow.nn import Linear, Module, ModuleList
from tallow.tensor import Tensor


class CachedAttention(Module):
    """Attention with projections named `query`, `key` and `value`, and a state."""

    def __init__(self, size: int, heads: int, *, causal: bool) -> None:
        self.query = Linear(size, size)
        self.key = Linear(size, size)
        self.value = Linear(size, size)
        self.heads, self.causal = heads, causal

    def _keys_and_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return split_heads(self.key(x), self.heads), split_heads(self.value(x), self.heads)

    def fill(self, state: Cross, context: Tensor, mask: Tensor | None) -> None:
        """Let `state` hold keys and values of `context`, and its mask."""
        state.fill(*self._keys_and_values(context), mask)

    def forward(
        self,
        x: Tensor,
        *,
        context: Tensor | None = None,
        mask: Tensor | None = None,
        state: KeyValue | Cross | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape, before the output projection."""
        start: Tensor | None = None
        if isinstance(state, Cross) and state.filled:
            k, v, mask = state.held()
        else:
            k, v = self._keys_and_values(x if context is None else context)
            if isinstance(state, KeyValue):
                k, v, start = state.update(k, v)
        mask = None if mask is None else as_mask(mask)
        q = split_heads(self.query(x), self.heads)
        found = attention_of_rows(q, k, v, start=start, mask=mask, causal=self.causal)
        return merge_heads(found)


class BertDecoderLayer(BertLayer):
    """A layer with `crossattention` between attention and feed-forward, where it has one."""

    def __init__(
        self, size: int, heads: int, hidden: int, act: str, eps: float, *, crossing: bool
    ) -> None:
        own = CachedAttention(size, heads, causal=True)
        super().__init__(size, heads, hidden, act, eps, BertAttention(own, size, eps))
        cross = CachedAttention(size, heads, causal=False) if crossing else None
        self.crossattention = None if cross is None else BertAttention(cross, size, eps)

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
        part = self.attention
        x = part.output(part.self(x, mask=mask, state=own), x)
        there = context is not None or (cross is not None and cross.filled)
        if there and self.crossattention is not None:
            part = self.crossattention
            found = part.self(x, context=context, mask=context_mask, state=cross)
            x = part.output(found, x)
        return self.output(self.intermediate(x), x)


class DecoderLayers(Module):
    """Layers under the name `layer`, which `BertCausalLM` runs."""

    def __init__(self, layers: list[Module]) -> None:
        self.layer = ModuleList(layers)


class BertStack(Model):
    """What stands under the name of the base model: `embeddings`, and layers as `encoder`."""

    rules, ignorable = TextEncoder.rules, TextEncoder.ignorable

    def __init__(self, cfg: Any, embeddings: BertEmbeddings) -> None:
        self.config = cfg
        self.embeddings = embeddings
        self.encoder = DecoderLayers(
            [
                BertDecoderLayer(
                    cfg.hidden_size,
                    cfg.num_attention_heads,
                    cfg.intermediate_size,
                    cfg.hidden_act,
                    cfg.layer_norm_eps,
                    crossing=cfg.add_cross_attention,
                )
                for _ in range(cfg.num_hidden_layers)
            ]
        )


class BertCausalLM(TextDecoder):
    """A `BertStack` under `base_model_prefix`; families say the embeddings and the head."""

    def __init__(self, cfg: Any, embeddings: BertEmbeddings) -> None:
        self.config = cfg
        setattr(self, self.base_model_prefix, BertStack(cfg, embeddings))

    @property
    def base(self) -> BertStack:
        """Embeddings and layers."""
        return getattr(self, self.base_model_prefix)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        state: State | None = None,
        *,
        logits_to_keep: int = 0,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, n)`, or their embeddings, → logits `(batch, n, vocab_size)`.

        Where it has `add_cross_attention`, `encoder_hidden_states` `(batch, m, size)` are attended
        to where `encoder_attention_mask` `(batch, m)` is not 0. With a `state`, the input continues
        what it holds, and the encoder's output is needed at the first call alone.

        Raises:
            ContextError: more positions than there are.
        """
        return self.answer(
            input_ids, attention_mask, encoder_hidden_states, encoder_attention_mask, state,
            inputs_embeds, labels, places=position_ids, types=token_type_ids,
            keep=logits_to_keep, hidden=output_hidden_states,
        )  # fmt: skip

    def embed(self, inputs: DecoderInputs) -> Tensor:
        """What goes into the first layer, `(batch, n, size)`."""
        places = inputs.positions if inputs.places is None else inputs.places
        return self.base.embeddings(inputs.ids, inputs.types, places, inputs.embeds)

    def run(self, x: Tensor, inputs: LayerInputs) -> Tensor:
        """Hidden states `(batch, n, size)`."""
        return run_layers(self.base.encoder.layer, x, inputs)

    def layers(self) -> int:
        """The number of layers."""
        return len(self.base.encoder.layer)

    def cross_attentions(self) -> Sequence[CrossAttention]:
        """Those of the layers."""
        crossing = [layer.crossattention for layer in self.base.encoder.layer]
        return [each.self for each in crossing if each is not None]
