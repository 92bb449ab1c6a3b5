"""What BERT and its descendants share: embeddings, post-norm layers, pooler, and heads' parts.

Source: arXiv 1810.04805; names of Hugging Face's checkpoints.
"""

from __future__ import annotations

from typing import Any, Self

from tallow.dtype import i64
from tallow.errors import ContextError, expect
from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.embedding import Embedding, text_inputs
from tallow.models.blocks.heads import as_mask, attend
from tallow.nn import LayerNorm, Linear, Module, ModuleList, param, tie
from tallow.nn.init import zeros
from tallow.tensor import Tensor


class BertEmbeddings(Module):
    """Words, positions and token types, added and normalised.

    `size` is the width of the tables; `padding` is the id whose word learns nothing.
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
    ) -> None:
        self.word_embeddings = Embedding(vocabulary, size, padding)
        self.position_embeddings = Embedding(positions, size) if positions else None
        self.token_type_embeddings = Embedding(types, size) if types else None
        self.LayerNorm = LayerNorm(size, eps)
        self.offset = 0  # the first position

    @classmethod
    def of(cls, cfg: Any, size: int | None = None, *, positions: bool = True) -> Self:
        """As a config says; `size`, where tables are narrower than its `hidden_size`."""
        return cls(
            cfg.vocab_size,
            cfg.max_position_embeddings if positions else 0,
            cfg.type_vocab_size,
            size or cfg.hidden_size,
            cfg.layer_norm_eps,
            padding=cfg.pad_token_id,
        )

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
        return self.finish(self.added(input_ids, token_type_ids, position_ids, inputs_embeds))

    def finish(self, x: Tensor) -> Tensor:
        """What is made of the sum."""
        return self.LayerNorm(x)

    def added(
        self,
        input_ids: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        inputs_embeds: Tensor | None,
    ) -> Tensor:
        """The sum, before it is normalised."""
        x = text_inputs(input_ids, inputs_embeds)
        x = self.word_embeddings(x) if inputs_embeds is None else x
        if (types := self.token_type_embeddings) is not None:
            x = x + (types.rows(0, 1) if token_type_ids is None else types(token_type_ids))
        if (places := self.position_embeddings) is not None:
            n = x.shape[1]
            if position_ids is None:
                most = places.num_embeddings - self.offset
                expect(n <= most, "input", f"at most {most} positions", n, ContextError)
                x = x + self.positions(input_ids, n, places)
            else:
                x = x + places(position_ids)
        return x

    def positions(self, input_ids: Tensor | None, n: int, places: Embedding) -> Tensor:
        """The vectors of positions that no one gave, `(n, size)` or with the batch before."""
        return places.rows(self.offset, n)


class CountedEmbeddings(BertEmbeddings):
    """Positions count the ids that are not `padding`, from `padding + 1`, as in RoBERTa."""

    def __init__(
        self, vocabulary: int, positions: int, types: int, size: int, eps: float, *, padding: int
    ) -> None:
        super().__init__(vocabulary, positions, types, size, eps, padding=padding)
        self.position_embeddings = Embedding(positions, size, padding)
        self.padding, self.offset = padding, padding + 1

    def positions(self, input_ids: Tensor | None, n: int, places: Embedding) -> Tensor:
        """Padding ids stand at the position `padding`; without ids all are counted."""
        if input_ids is None:
            return places.rows(self.offset, n)
        kept = input_ids.ne(self.padding).to(i64)
        return places(kept.cumsum(1) * kept + self.padding)


class Dense(Module):
    """A linear layer named `dense`, and an activation."""

    def __init__(self, size: int, hidden: int, act: str = "linear") -> None:
        self.dense = Linear(size, hidden)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → `(..., hidden)`."""
        return linear_then(self.dense, x, self.act)


class DenseAddNorm(Module):
    """`norm(dense(x) + residual)`."""

    def __init__(self, size: int, hidden: int, eps: float) -> None:
        self.dense = Linear(size, hidden)
        self.LayerNorm = LayerNorm(hidden, eps)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """`(..., size)` and `(..., hidden)` → `(..., hidden)`."""
        return self.LayerNorm(linear_then(self.dense, x, residual=residual))


class SelfAttention(Module):
    """Attention with projections named `query`, `key` and `value`."""

    def __init__(
        self, size: int, heads: int, *, bias: bool = True, key_bias: bool | None = None
    ) -> None:
        self.query = Linear(size, size, bias=bias)
        self.key = Linear(size, size, bias=bias if key_bias is None else key_bias)
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

    def forward(self, x: Tensor, mask: Any = None) -> Tensor:
        """`(batch, length, size)` → the same shape; `mask` is what the attention takes."""
        return self.output(self.self(x, mask), x)


class BertLayer(Module):
    """Attention and feed-forward, each normalised behind its sum.

    Another `attention` than BERT's own brings its sum and norm.
    """

    def __init__(
        self,
        size: int,
        heads: int,
        hidden: int,
        act: str,
        eps: float,
        attention: Module | None = None,
    ) -> None:
        self.attention = attention or BertAttention(SelfAttention(size, heads), size, eps)
        self.intermediate = Dense(size, hidden, act)
        self.output = DenseAddNorm(hidden, size, eps)

    def forward(self, x: Tensor, mask: Any = None) -> Tensor:
        """`(batch, length, size)` → the same shape; `mask` is what the attention takes."""
        x = self.attention(x, mask)
        return self.output(self.intermediate(x), x)


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


def bert_layers(count: int, size: int, heads: int, hidden: int, act: str, eps: float) -> Layers:
    """`count` equal layers with BERT's own attention."""
    return Layers([BertLayer(size, heads, hidden, act, eps) for _ in range(count)])


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
        return self.LayerNorm(linear_then(self.dense, x, self.act))


class WordDecoder(Module):
    """The linear layer to scores of every word, under `decoder`; `words` where it is tied."""

    def __init__(self, words: Embedding, *, tied: bool) -> None:
        self.decoder = Linear(words.embedding_dim, words.num_embeddings)
        self.bias = param(words.num_embeddings, init=zeros)
        tie(self.decoder, "bias", self, "bias")
        if tied:
            tie(self.decoder, "weight", words, "weight")


class Predictions(WordDecoder):
    """Scores of every word, behind a layer named `transform`."""

    def __init__(self, size: int, act: str, eps: float, words: Embedding, *, tied: bool) -> None:
        super().__init__(words, tied=tied)
        self.transform = Transform(size, words.embedding_dim, act, eps)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → `(..., vocabulary)`."""
        return self.decoder(self.transform(x))


class DensePredictions(WordDecoder):
    """Scores of every word, behind layers named `dense` and `LayerNorm`."""

    def __init__(self, size: int, act: str, eps: float, words: Embedding, *, tied: bool) -> None:
        super().__init__(words, tied=tied)
        self.dense = Linear(size, words.embedding_dim)
        self.LayerNorm = LayerNorm(words.embedding_dim, eps)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → `(..., vocabulary)`."""
        return self.decoder(self.LayerNorm(linear_then(self.dense, x, self.act)))


class LMHead(WordDecoder):
    """Scores of every word, behind layers named `dense` and `layer_norm`."""

    def __init__(self, size: int, act: str, eps: float, words: Embedding, *, tied: bool) -> None:
        super().__init__(words, tied=tied)
        self.dense = Linear(size, words.embedding_dim)
        self.layer_norm = LayerNorm(words.embedding_dim, eps)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → `(..., vocabulary)`."""
        return self.decoder(self.layer_norm(linear_then(self.dense, x, self.act)))


class FirstClassifier(Module):
    """Scores from the first position, through `dense`, an activation and `out_proj`."""

    def __init__(self, size: int, labels: int, act: str = "tanh") -> None:
        self.dense = Linear(size, size)
        self.out_proj = Linear(size, labels)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, labels)`."""
        return self.out_proj(self.act(self.dense(x[:, 0])))
