"""Rotary encoders whose checkpoints pack queries, keys and values in one matrix."""

from __future__ import annotations

from typing import Any, Literal

from tallow.errors import ContextError, expect
from tallow.factories import arange
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.bert import BertEmbeddings, Pooler
from tallow.models.blocks.heads import as_mask, merge_heads
from tallow.models.blocks.rope import Rope
from tallow.models.blocks.text_encoder import BertEncoder, Inputs
from tallow.models.outputs import BaseOutput
from tallow.nn import LayerNorm, Linear, Module, ModuleList
from tallow.ops import attention, rope
from tallow.tensor import Tensor


class PackedAttention(Module):
    """Attention to all positions, with projections named `packed` and `out`."""

    def __init__(
        self,
        size: int,
        heads: int,
        *,
        packed: str,
        out: str,
        bias: bool = False,
        out_bias: bool | None = None,
    ) -> None:
        setattr(self, packed, Linear(size, 3 * size, bias=bias))
        setattr(self, out, Linear(size, size, bias=bias if out_bias is None else out_bias))
        self.names, self.heads = (packed, out), heads

    def forward(self, x: Tensor, mask: Tensor | None, table: Tensor | None) -> Tensor:
        """`(batch, n, size)` → the same shape; `table` is of `Rope.table`, `mask` of `as_mask`."""
        b, n, size = x.shape
        packed, out = (getattr(self, name) for name in self.names)
        heads = self.heads
        every = packed(x).reshape(b, n, 3 * heads, size // heads)
        both, v = every[:, :, : 2 * heads], every[:, :, 2 * heads :]
        if table is not None:
            both = rope(both, table)
        both = both.transpose(1, 2)
        seen = attention(both[:, :heads], both[:, heads:], v.transpose(1, 2), mask=mask)
        return out(merge_heads(seen))


def places(n: int, most: int) -> Tensor:
    """The positions of `n` inputs, `(1, n)`.

    Raises:
        ContextError: there are more than `most`.
    """
    expect(n <= most, "input", f"at most {most} positions", n, ContextError)
    return arange(n).reshape(1, n)


class PackedMlp(Module):
    """A gated feed-forward network, both halves of it in one matrix; `gated` has the activation."""

    def __init__(
        self,
        size: int,
        hidden: int,
        act: str,
        *,
        packed: str,
        out: str,
        gated: Literal["first", "second"] = "first",
        bias: bool = False,
        out_bias: bool | None = None,
    ) -> None:
        setattr(self, packed, Linear(size, 2 * hidden, bias=bias))
        setattr(self, out, Linear(hidden, size, bias=bias if out_bias is None else out_bias))
        self.names, self.hidden, self.act = (packed, out), hidden, ACTIVATIONS[act]
        self.gated = gated

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        packed, out = (getattr(self, name) for name in self.names)
        both = packed(x)
        first, second = both[..., : self.hidden], both[..., self.hidden :]
        inner = self.act(first) * second if self.gated == "first" else first * self.act(second)
        return out(inner)


class BareEmbeddings(BertEmbeddings):
    """Words and token types, added; positions and the norm stand elsewhere."""

    def __init__(self, vocabulary: int, types: int, size: int, *, padding: int | None) -> None:
        super().__init__(vocabulary, 0, types, size, 0.0, padding=padding)
        del self.LayerNorm

    def finish(self, x: Tensor) -> Tensor:
        """The sum itself."""
        return x


class PostNormLayer(Module):
    """Attention and feed-forward, each normalised behind its sum.

    `names` are those of the attention and of both norms.
    """

    def __init__(
        self,
        attention: PackedAttention,
        mlp: Module,
        norms: tuple[Module, Module],
        names: tuple[str, str, str] = ("attn", "norm1", "norm2"),
    ) -> None:
        self.mlp = mlp
        for name, part in zip(names, (attention, *norms), strict=True):
            setattr(self, name, part)
        self.names = names

    def forward(self, x: Tensor, mask: Tensor | None, table: Tensor | None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        attention, first, second = (getattr(self, name) for name in self.names)
        x = first(x + attention(x, mask, table))
        return second(x + self.mlp(x))


class RotaryEncoder(BertEncoder):
    """An encoder whose layers rotate; sub-classes make the parts.

    `rope` is None where positions are not by rotation, `most` how many positions there may be.
    """

    rope: Rope | None
    most: int

    def run(self, inputs: Inputs, hidden: bool) -> BaseOutput:
        """What embeddings, layers and pooler make of the inputs."""
        ids, keep, types, positions, embeds = inputs
        x = self.embed(ids, types, positions, embeds)
        table = None
        if self.rope is not None:
            if positions is None:
                positions = places(x.shape[1], self.most)
            table = self.rope.table(positions)
        mask = None if keep is None else as_mask(keep)
        states = [x]
        for layer in self.layers():
            states.append(layer(states[-1], mask, table))
        pooled = None if self.pooler is None else self.pooler(states[-1])
        return BaseOutput(states[-1], pooled, tuple(states) if hidden else None)

    def embed(self, *inputs: Tensor | None) -> Tensor:
        """What goes into the first layer."""
        return self.embeddings(*inputs)

    def layers(self) -> ModuleList:
        """The layers in order."""
        return self.encoder.layers


class Stack(Module):
    """Layers under the name `layers`."""

    def __init__(self, layers: list[Module]) -> None:
        self.layers = ModuleList(layers)


class NormedRotaryEncoder(RotaryEncoder):
    """Words and token types, their norm, layers, and perhaps a pooler; families say `layer`."""

    def __init__(self, cfg: Any, *, pooled: bool) -> None:
        self.config = cfg
        width = cfg.hidden_size
        self.embeddings = BareEmbeddings(
            cfg.vocab_size, cfg.type_vocab_size, width, padding=cfg.pad_token_id
        )
        self.emb_ln = LayerNorm(width, cfg.layer_norm_eps)
        self.encoder = Stack([self.layer(cfg) for _ in range(cfg.num_hidden_layers)])
        self.pooler = Pooler(width) if pooled else None
        self.rope = Rope(width // cfg.num_attention_heads, *cfg.rope_parameters)
        self.most = cfg.max_position_embeddings

    @staticmethod
    def layer(cfg: Any) -> Module:
        """One of the layers."""
        raise NotImplementedError

    def embed(self, *inputs: Tensor | None) -> Tensor:
        """Words and token types, normalised."""
        return self.emb_ln(self.embeddings(*inputs))
