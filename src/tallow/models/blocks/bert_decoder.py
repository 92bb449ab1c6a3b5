"""BERT's layers as a causal decoder that attends to an encoder's output."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.models.blocks.bert import BertAttention, BertLayer
from tallow.models.blocks.heads import as_mask, merge_heads, split_heads
from tallow.models.states import Cross, KeyValue, SelfAndCross
from tallow.nn import Linear, Module, ModuleList
from tallow.ops import attention
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
        return merge_heads(attention(q, k, v, start=start, mask=mask, causal=self.causal))


class BertDecoderLayer(BertLayer):
    """A layer with `crossattention` between attention and feed-forward."""

    def __init__(self, size: int, heads: int, hidden: int, act: str, eps: float) -> None:
        own = CachedAttention(size, heads, causal=True)
        super().__init__(size, heads, hidden, act, eps, BertAttention(own, size, eps))
        cross = CachedAttention(size, heads, causal=False)
        self.crossattention = BertAttention(cross, size, eps)

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
        if context is not None or (cross is not None and cross.filled):
            part = self.crossattention
            found = part.self(x, context=context, mask=context_mask, state=cross)
            x = part.output(found, x)
        out: Tensor = self.output(self.intermediate(x), x)
        return out


class DecoderLayers(Module):
    """Layers one after the other, under the name `layer`."""

    def __init__(self, layers: list[Module]) -> None:
        self.layer = ModuleList(layers)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        context: Tensor | None,
        context_mask: Tensor | None,
        states: Sequence[SelfAndCross | None] | None,
        seen: list[Tensor] | None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `seen` takes what goes in and what layers give."""
        for layer, state in zip(self.layer, states or [None] * len(self.layer), strict=True):
            if seen is not None:
                seen.append(x)
            x = layer(x, mask, context=context, context_mask=context_mask, state=state)
        if seen is not None:
            seen.append(x)
        return x
