"""The decoder stack: embedding, layers, final norm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tallow.dtype import f32, i64
from tallow.factories import arange
from tallow.models.blocks.attention import Attention
from tallow.models.blocks.positions import last_positions
from tallow.models.blocks.rope import Rope
from tallow.models.states import KeyValue
from tallow.nn import Embedding, Module, ModuleList
from tallow.nn.hooks import is_watched
from tallow.tensor import Tensor


class DecoderLayer(Module):
    """Pre-norm attention and feed-forward, each added to its input; `norm()` makes a norm."""

    def __init__(self, *, self_attn: Module, mlp: Module, norm: Callable[[], Module]) -> None:
        self.self_attn = self_attn
        self.mlp = mlp
        self.input_layernorm = norm()
        self.post_attention_layernorm = norm()

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        state: KeyValue | None = None,
        last: int = 0,
    ) -> Tensor:
        """`(batch, length, size)` → the same shape; arguments as of `Attention`."""
        part = {"last": last} if last else {}  # which no other attention needs to know
        attended = self.self_attn(
            self.input_layernorm(x), positions=positions, mask=mask, state=state, **part
        )
        x = last_positions(x, last) + attended
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(Module):
    """Token ids to hidden states, through `layers` that share one `rope`.

    `padding` is the id whose word learns nothing.
    """

    def __init__(
        self,
        vocab_size: int,
        size: int,
        *,
        layers: Sequence[Module],
        norm: Module,
        rope: Rope,
        padding: int | None = None,
    ) -> None:
        self.embed_tokens = Embedding(vocab_size, size, padding)
        self.layers = ModuleList(layers)
        self.norm = norm
        self.rope = rope

    def forward_static(
        self,
        ids: Tensor | None,
        *,
        embeds: Tensor | None = None,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        states: Sequence[KeyValue | None] | None = None,
        seen: list[Tensor] | None = None,
        last: int = 0,
    ) -> Tensor:
        """`(batch, length)` of token ids, or their `embeds`, → `(batch, length, size)`.

        `positions` are integers `(batch or 1, length)`, counted from 0 when absent; `mask` is as of
        `Attention`. Nothing is checked and no state advanced: this is what a plan records. `seen`
        takes what goes into each layer, then the result. `last` > 0 asks for so many positions,
        the last: the last layer computes keys and values of the others, and nothing else, unless a
        hook, or a layer or attention of another class, may want to see them.
        """
        x: Tensor = self.embed_tokens(ids) if embeds is None else embeds
        if x.dtype is not f32:
            x = x.to(f32)
        if positions is None:
            positions = arange(x.shape[1], dtype=i64).unsqueeze(0)
        table = self.rope.table(positions)
        held = states or [None] * len(self.layers)
        spares = last > 0 and self._may_spare()
        for i, (layer, state) in enumerate(zip(self.layers, held, strict=True)):
            if seen is not None:
                seen.append(x)
            if spares and i == len(self.layers) - 1:
                x = layer(x, positions=table, mask=mask, state=state, last=last)
            else:
                x = layer(x, positions=table, mask=mask, state=state)
        x = self.norm(last_positions(x, last) if spares else x)
        if seen is not None:
            seen.append(x)
        return last_positions(x, last)

    def _may_spare(self) -> bool:
        """Whether nobody sees that the last layer and the norm compute less."""
        if not len(self.layers):
            return False
        layer = self.layers[-1]
        plain = type(layer) is DecoderLayer and type(layer.self_attn) is Attention
        parts = (*layer.modules(), *self.norm.modules())
        return plain and not any(map(is_watched, parts))
