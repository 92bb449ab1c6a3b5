"""MixedPrompt: token ids of which some stand for something else, such as the parts of a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tallow.factories import zeros
from tallow.lazy_dataclasses import dataclass
from tallow.models.states import State
from tallow.ops import cat
from tallow.tensor import Tensor


@dataclass(frozen=True)
class MixedPrompt:
    """`ids` as texts have them, and what a model gets in their place.

    `keys` are what prompts are compared by, so that a state is reused for equal pictures alone:
    the ids, but numbers below 0 where something else stands. `embeds(first, count)` are vectors
    `(1, count, size)` for some of the ids; `place(state, row)` tells a state where a row's prompt
    stands, before any of it is fed. The first `whole` ids go through the model in one pass.
    """

    ids: Sequence[int]
    keys: Sequence[int]
    embeds: Callable[[int, int], Tensor]
    place: Callable[[State, int], None] | None = None
    whole: int = 0

    def __len__(self) -> int:
        return len(self.ids)


def stacked_embeds(
    prompts: Sequence[MixedPrompt], firsts: Sequence[int], counts: Sequence[int], width: int
) -> Tensor:
    """The vectors of the next `counts` ids of each row, `(rows, width, size)`, 0 beyond them."""
    rows: list[Tensor | None] = [
        prompt.embeds(first, count) if count else None
        for prompt, first, count in zip(prompts, firsts, counts, strict=True)
    ]
    size = next(row.shape[2] for row in rows if row is not None)
    filled = []
    for row, count in zip(rows, counts, strict=True):
        parts = [] if row is None else [row]
        if count < width:
            parts.append(zeros(1, width - count, size))
        filled.append(parts[0] if len(parts) == 1 else cat(parts, 1))
    return filled[0] if len(filled) == 1 else cat(filled)
