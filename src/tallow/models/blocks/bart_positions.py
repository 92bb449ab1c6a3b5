"""Positions of BART's descendants: learned ones, and sines that are counted by place or by token.

Source: arXiv 1910.13461 and 1706.03762; names of Hugging Face's checkpoints.
"""

from __future__ import annotations

import math

from tallow.dtype import f32, f64, i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange, zeros
from tallow.models.blocks.embedding import Embedding
from tallow.models.fields import MAX_SIZE
from tallow.nn import Module
from tallow.ops import cat
from tallow.tensor import Tensor

OFFSET = 2  # rows of a table of positions that stand before the first position


class LearnedPositions(Embedding):
    """Learned positions, `count` of them; the first stands in row 2."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__(count + OFFSET, size)
        self.count = count

    def forward(self, ids: Tensor, words: Tensor | None = None) -> Tensor:
        """Positions `(batch or 1, n)` → `(batch or 1, n, size)`."""
        return super().forward(ids + OFFSET)


class SinusoidalPositions(Module):
    """Fairseq's positions: sines, then cosines; they count tokens, and padding has none (0)."""

    count = MAX_SIZE  # they are computed

    def __init__(self, size: int, padding: int) -> None:
        self.size, self.padding = size, padding
        self._step = math.log(10000) / (size // 2 - 1)

    def forward(self, positions: Tensor, ids: Tensor | None = None) -> Tensor:
        """Ids `(batch, n)`, the first of which is at `positions[:, 0]` → `(batch, n, size)`."""
        given = ids is not None
        expect(given, "inputs_embeds", "input_ids for positions that count tokens", "embeddings",
               ArgumentError)  # fmt: skip
        assert ids is not None
        kept = ids.ne(self.padding).to(i64)
        places = (kept.cumsum(1) + positions[:, :1]) * kept + self.padding
        return self.at(places) * kept.to(f32).unsqueeze(-1)

    def at(self, places: Tensor) -> Tensor:
        """The sines and cosines of any places."""
        rates = (arange(self.size // 2, dtype=f32) * -self._step).exp()
        angles = places.to(f32).unsqueeze(-1) * rates
        found = [angles.sin(), angles.cos()]
        if self.size % 2:
            found.append(zeros(*places.shape, 1))
        return cat(found, -1)


class PlacedSines(Module):
    """Sines, then cosines, of places, unless a file holds the table.

    It is taken in f64 and rounded, as Marian's is.
    """

    _optional = frozenset({"weight"})

    def __init__(self, count: int, size: int) -> None:
        self.count = count
        exponents = arange((size + 1) // 2, dtype=f64) * (-2 * math.log(10000) / size)
        angles = arange(count, dtype=f64).unsqueeze(-1) * exponents.exp()
        parts = [angles.sin(), angles.cos().narrow(1, 0, size // 2)]
        self.register_buffer("weight", cat(parts, 1).to(f32))

    def forward(self, positions: Tensor, ids: Tensor | None = None) -> Tensor:
        """Positions `(batch or 1, n)` → `(batch or 1, n, size)`."""
        b, n = positions.shape
        return self.weight.index_select(0, positions.reshape(-1)).view(b, n, -1)
