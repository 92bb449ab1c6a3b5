"""What BERT and its descendants share: embeddings, post-norm layers, pooler, and heads' parts.

Source: arXiv 1810.04805; names of Hugging Face's checkpoints.
"""

from __future__ import annotations

from tallow.errors import ContextError, expect
from tallow.factories import arange, zeros_like
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.heads import as_mask, attend
from tallow.nn import LayerNorm, Linear, Module, ModuleList, param, tie
from tallow.nn.init import zeros
from tallow.tensor import Tensor


class BertEmbeddings(Module):
    """Words, positions and token types, added and normalised.

    `size` is the width of the tables; `padding` is the id whose word learns nothing. `offset` is
    the first position (RoBERTa's starts behind its padding id).
    """

    def __init__(
        self,
        vocabulary: int,
        positions: int,
        types: int,
        size: int,
        eps: float,
        *,
        padding: int | None = None,
        offset: int = 0,
    ) -> None:
        self.word_embeddings = Embedding(vocabulary, size, padding)
        self.position_embeddings = Embedding(positions, size) if positions else None
        self.token_type_embeddings = Embedding(types, size) if types else None
        self.LayerNorm = LayerNorm(size, eps)
        self.offset = offset

    def forward(
        self,
        input_ids: Tensor | None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """`(batch, length)` of ids, or their embeddings → `(batch, length, size)`.

        Raises:
            ContextError: more positions than there are.
        """
        x: Tensor = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        n = x.shape[1]
        if self.token_type_embeddings is not None:
            if token_type_ids is None:
                token_type_ids = zeros_like(arange(n)).reshape(1, n)
            x = x + self.token_type_embeddings(token_type_ids)
        if self.position_embeddings is not None:
            if position_ids is None:
                most = self.position_embeddings.num_embeddings - self.offset
                expect(n <= most, "input", f"at most {most} positions", n, ContextError)
                position_ids = arange(self.offset, self.offset + n).reshape(1, n)
            x = x + self.position_embeddings(position_ids)
        out: Tensor = self.LayerNorm(x)
        return out


class Dense(Module):
    """A linear layer named `dense`, and an activation."""

    def __init__(self, size: int, hidden: int, act: str = "linear") -> None:
        self.dense = Linear(size, hidden)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → `(..., hidden)`."""
        return self.act(self.dense(x))


class DenseAddNorm(Module):
    """`norm(dense(x) + residual)`."""

    def __init__(self, size: int, hidden: int, eps: float) -> None:
        self.dense = Linear(size, hidden)
        self.LayerNorm = LayerNorm(hidden, eps)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """`(..., size)` and `(..., hidden)` → `(..., hidden)`."""
        out: Tensor = self.LayerNorm(self.dense(x) + residual)
        return out


class SelfAttention(Module):
    """Attention with projections named `query`, `key` and `value`."""

    def __init__(self, size: int, heads: int, *, bias: bool = True) -> None:
        self.query = Linear(size, size, bias=bias)
        self.key = Linear(size, size, bias=bias)
        self.value = Linear(size, size, bias=bias)
        self.heads = heads

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, length, size)` → the same shape, before the output projection."""
        return attend(self.query(x), self.key(x), self.value(x), self.heads, mask=mask)


class BertAttention(Module):
    """`attention.self` and `attention.output` of a layer."""

    def __init__(self, attention: Module, size: int, eps: float) -> None:
        self.self = attention
        self.output = DenseAddNorm(size, size, eps)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        out: Tensor = self.output(self.self(x, mask), x)
        return out


class BertLayer(Module):
    """Attention (of any kind) and feed-forward, each normalised behind its sum."""

    def __init__(
        self,
        size: int,
        heads: int,
        hidden: int,
        act: str,
        eps: float,
        attention: Module | None = None,
    ) -> None:
        self.attention = BertAttention(attention or SelfAttention(size, heads), size, eps)
        self.intermediate = Dense(size, hidden, act)
        self.output = DenseAddNorm(hidden, size, eps)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        x = self.attention(x, mask)
        out: Tensor = self.output(self.intermediate(x), x)
        return out


class Layers(Module):
    """Layers one after the other, under the name `layer`."""

    def __init__(self, layers: list[Module]) -> None:
        self.layer = ModuleList(layers)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """What goes in and what each layer gives, `(batch, length, size)` each."""
        states = [x]
        mask = None if mask is None else as_mask(mask)
        for layer in self.layer:
            states.append(layer(states[-1], mask))
        return states


class Pooler(Dense):
    """The first position through a linear layer and tanh."""

    def __init__(self, size: int, hidden: int | None = None, act: str = "tanh") -> None:
        super().__init__(size, hidden or size, act)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, size)`."""
        return super().forward(x[:, 0])


class Transform(Module):
    """The layer before a masked language model's scores."""

    def __init__(self, size: int, hidden: int, act: str, eps: float) -> None:
        self.dense = Linear(size, hidden)
        self.LayerNorm = LayerNorm(hidden, eps)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → `(..., hidden)`."""
        out: Tensor = self.LayerNorm(self.act(self.dense(x)))
        return out


class Predictions(Module):
    """Scores of every word; the words' own table where it is tied, under `decoder`."""

    def __init__(self, size: int, act: str, eps: float, words: Embedding, *, tied: bool) -> None:
        self.transform = Transform(size, words.embedding_dim, act, eps)
        self.decoder = Linear(words.embedding_dim, words.num_embeddings)
        self.bias = param(words.num_embeddings, init=zeros)
        tie(self.decoder, "bias", self, "bias")
        if tied:
            tie(self.decoder, "weight", words, "weight")

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → `(..., vocabulary)`."""
        out: Tensor = self.decoder(self.transform(x))
        return out
