"""The decoder stack: embedding, layers, final norm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from tallow.dtype import f32, i64
from tallow.factories import arange
from tallow.models.blocks.attention import Attention
from tallow.models.blocks.heads import Mask
from tallow.models.blocks.positions import last_positions
from tallow.models.blocks.rope import Rope
from tallow.models.states import KeyValue
from tallow.nn import Embedding, Module, ModuleList
from tallow.nn.hooks import is_watched
from tallow.tensor import Tensor


class Norms(NamedTuple):
    """What a layer's norms are called, before and after its two parts; None where there is none."""

    before_attention: str | None = "input_layernorm"
    after_attention: str | None = None
    before_mlp: str | None = "post_attention_layernorm"
    after_mlp: str | None = None


class DecoderNames(NamedTuple):
    """What the parts of a decoder are called in checkpoints."""

    words: str = "embed_tokens"
    layers: str = "layers"
    norm: str = "norm"


class LayerNames(NamedTuple):
    """What the parts of a layer are called in checkpoints."""

    attention: str = "self_attn"
    mlp: str = "mlp"


DECODER_NAMES, LAYER_NAMES = DecoderNames(), LayerNames()
PRE_NORMS = Norms()
POST_NORMS = Norms(None, "post_attention_layernorm", None, "post_feedforward_layernorm")  # OLMo 2
SANDWICH = Norms(  # Gemma 2
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)


class DecoderLayer(Module):
    """Attention and feed-forward, each added to its input; `norm()` makes a norm.

    `norms` says where norms stand and what they are called, `names` the same of the other parts.
    What is added is multiplied by `scale`.
    """

    def __init__(
        self,
        *,
        self_attn: Module,
        mlp: Module,
        norm: Callable[[], Module],
        norms: Norms = PRE_NORMS,
        names: LayerNames = LAYER_NAMES,
        scale: float = 1.0,
    ) -> None:
        setattr(self, names.attention, self_attn)
        setattr(self, names.mlp, mlp)
        for name in norms:
            if name is not None:
                setattr(self, name, norm())
        self.norms, self.names, self.scale = norms, names, scale

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Mask | None = None,
        state: KeyValue | None = None,
        last: int = 0,
    ) -> Tensor:
        """`(batch, length, size)` → the same shape; arguments as of `Attention`."""
        before, after, before_mlp, after_mlp = self.norms
        part = {"last": last} if last else {}  # which no other attention needs to know
        attended = self.attention(
            self.normed(before, x), positions=positions, mask=mask, state=state, **part
        )
        x = self.added(last_positions(x, last), self.normed(after, attended))
        return self.added(x, self.normed(after_mlp, self.feed(self.normed(before_mlp, x))))

    @property
    def attention(self) -> Module:
        """The attention."""
        return self._modules[self.names.attention]  # type: ignore[return-value]

    @property
    def feed(self) -> Module:
        """The feed-forward network."""
        return self._modules[self.names.mlp]  # type: ignore[return-value]

    def normed(self, name: str | None, x: Tensor) -> Tensor:
        """`x` behind the norm of that name, if there is one."""
        return x if name is None else self._modules[name](x)  # type: ignore[misc]

    def added(self, x: Tensor, part: Tensor) -> Tensor:
        """`x` and what a part of the layer made of it."""
        return x + (part if self.scale == 1.0 else part * self.scale)


class ParallelLayer(DecoderLayer):
    """Attention and feed-forward of the same input; both are added to it (arXiv 2204.06745).

    They share the norm before the attention where there is none before the feed-forward.
    """

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Mask | None = None,
        state: KeyValue | None = None,
        last: int = 0,
    ) -> Tensor:
        """`(batch, length, size)` → the same shape; arguments as of `Attention`."""
        before, after, before_mlp, after_mlp = self.norms
        part = {"last": last} if last else {}
        inner = self.normed(before, x)
        attended = self.attention(inner, positions=positions, mask=mask, state=state, **part)
        x = last_positions(x, last)
        inner = last_positions(inner, last) if before_mlp is None else self.normed(before_mlp, x)
        both = self.normed(after, attended) + self.normed(after_mlp, self.feed(inner))
        return self.added(x, both)


class Decoder(Module):
    """Token ids to hidden states, through `layers` whose positions `rope` turns.

    It is one for all layers, or one for each, None where a layer rotates nothing and is given the
    integers. `padding` is the id whose word learns nothing; words are multiplied by `scale`, and
    embeddings in their place, too, where `scales_given`. `names` are what its parts are called.
    """

    scales_given: ClassVar[bool] = False
    rope: Rope  # of the first layer that has one

    def __init__(
        self,
        vocab_size: int,
        size: int,
        *,
        layers: Sequence[Module],
        norm: Module,
        rope: Rope | Sequence[Rope | None],
        padding: int | None = None,
        scale: float = 1.0,
        names: DecoderNames = DECODER_NAMES,
    ) -> None:
        setattr(self, names.words, Embedding(vocab_size, size, padding))
        setattr(self, names.layers, ModuleList(layers))
        setattr(self, names.norm, norm)
        self.ropes = [rope] * len(layers) if isinstance(rope, Rope) else list(rope)
        self.scale, self.part_names = scale, names
        first = next((each for each in self.ropes if each is not None), None)
        if first is not None:
            self.rope = first

    @property
    def last_norm(self) -> Module:
        """The norm behind the layers."""
        return self._modules[self.part_names.norm]  # type: ignore[return-value]

    @property
    def embedding(self) -> Module:
        """The table of words."""
        return self._modules[self.part_names.words]  # type: ignore[return-value]

    @property
    def every_layer(self) -> ModuleList:
        """The layers."""
        return self._modules[self.part_names.layers]  # type: ignore[return-value]

    def embed(self, ids: Tensor | None, embeds: Tensor | None, positions: Tensor) -> Tensor:
        """What goes into the first layer, of ids `(batch, length)` or their embeddings.

        `positions` are integers `(batch or 1, length)`.
        """
        if embeds is None:
            return self.words(ids)
        x = embeds if embeds.dtype is f32 else embeds.to(f32)
        return x * self.scale if self.scales_given else x

    def forward_static(
        self,
        ids: Tensor | None,
        *,
        embeds: Tensor | None = None,
        positions: Tensor | None = None,
        mask: Mask | None = None,
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
        if positions is None:
            given = ids if embeds is None else embeds
            assert given is not None
            positions = arange(given.shape[1], dtype=i64).unsqueeze(0)
        x = self.embed(ids, embeds, positions)
        tables: dict[int, Tensor] = {}
        layers = self.every_layer
        held = states or [None] * len(layers)
        spares = last > 0 and self._may_spare()
        for i, (layer, state) in enumerate(zip(layers, held, strict=True)):
            if seen is not None:
                seen.append(x)
            table, rope = positions, self.ropes[i]
            if rope is not None:
                table = tables.get(id(rope), positions)
                if table is positions:
                    table = tables[id(rope)] = rope.table(positions)
            if spares and i == len(layers) - 1:
                x = layer(x, positions=table, mask=mask, state=state, last=last)
            else:
                x = layer(x, positions=table, mask=mask, state=state)
        x = self.last_norm(last_positions(x, last) if spares else x)
        if seen is not None:
            seen.append(x)
        return last_positions(x, last)

    def words(self, ids: Tensor | None) -> Tensor:
        """`(batch, length)` of ids → what goes into the first layer for them, in f32."""
        x: Tensor = self.embedding(ids)
        if x.dtype is not f32:
            x = x.to(f32)
        return x if self.scale == 1.0 else x * self.scale

    def _may_spare(self) -> bool:
        """Whether nobody sees that the last layer and the norm compute less."""
        if not len(self.every_layer):
            return False
        layer = self.every_layer[-1]
        plain = type(layer) in (DecoderLayer, ParallelLayer) and (
            type(layer.attention).forward is Attention.forward
        )
        parts = (*layer.modules(), *self.last_norm.modules())
        return plain and not any(map(is_watched, parts))
