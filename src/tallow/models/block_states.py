"""BlockState: a state of a model in which the parts of a picture see each other whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tallow.autograd.mode import inference_mode
from tallow.dtype import DType, i64
from tallow.factories import arange, tensor
from tallow.models.blocks.heads import SeenKeys
from tallow.models.states import State
from tallow.tensor import Tensor

Block = tuple[int, int]  # the first position and the one behind the last


class BlockState(State):
    """`blocks[row]` are positions of the row's prompt that see each other, in order.

    They are told before a prompt is fed, whose pass takes each of them whole. What comes behind
    them sees what is before it.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.blocks: list[list[Block]] = [[] for _ in range(self.batch)]

    def place(self, row: int, blocks: Sequence[Block]) -> None:
        """Take note of a row's blocks."""
        self.blocks[row] = list(blocks)

    def seen(self, count: int, windows: Iterable[int], *, far: bool) -> SeenKeys | None:
        """What the next `count` positions of each row see; None where it is what is before them.

        With `far`, blocks are seen beyond the windows of layers, whose keys are then all kept.
        """
        rows = [
            _inside(blocks, length, count)
            for blocks, length in zip(self.blocks, self.lengths, strict=True)
        ]
        if not any(end > at + 1 for row in rows for at, _, end in row):
            return None
        told = tensor(rows, dtype=i64)  # (batch, count, 3)
        found = {}
        for window in windows:
            span = self.spans.get(window) or self.spans[0]
            here = told - tensor(span.bases, dtype=i64).reshape(-1, 1, 1)
            at, first, end = (here[..., i : i + 1] for i in range(3))
            keys = arange(span.capacity, dtype=i64)
            near = keys.gt(at - window) if window else None
            block = keys.ge(first).bitwise_and(keys.lt(end))
            found[window] = _joined(keys.le(at), near, block, far).unsqueeze(1)
        return SeenKeys(found)

    @inference_mode()
    def trim(self, length: int | Sequence[int]) -> list[int]:
        """As of `State`; the blocks of a prompt are told anew."""
        kept = super().trim(length)
        self._forget()
        return kept

    def restart(self, lengths: list[int], tokens: list[list[int]], dtype: DType) -> None:
        """As of `State`."""
        super().restart(lengths, tokens, dtype)
        self._forget()

    @inference_mode()
    def select(self, rows: Sequence[int]) -> None:
        """As of `State`."""
        super().select(rows)
        self._forget()

    def fork(self, length: int | None = None) -> Any:
        """As of `State`."""
        copied = super().fork(length)
        copied._forget()
        return copied

    def _forget(self) -> None:
        self.blocks = [[] for _ in range(self.batch)]


def blocks_of(ids: Sequence[int], token: int) -> list[Block]:
    """Where runs of `token` stand."""
    found: list[Block] = []
    for at, each in enumerate(ids):
        if each == token:
            joins = bool(found) and found[-1][1] == at
            found[-1:] = [(found[-1][0], at + 1)] if joins else [*found[-1:], (at, at + 1)]
    return found


def seen_in_blocks(
    inside: Tensor, mask: Tensor | None, windows: Iterable[int], *, far: bool
) -> SeenKeys:
    """Keys that each query of a whole text sees.

    `inside` `(batch, n)` says of each position which block it is in (below 0: none); `mask`
    `(batch, n)` is 0 where a row is padded. `far` is as of `BlockState.seen`.
    """
    at = arange(inside.shape[1], dtype=i64)
    same = inside.unsqueeze(1).eq(inside.unsqueeze(2)).bitwise_and(inside.ge(0).unsqueeze(2))
    before = at.unsqueeze(0).le(at.unsqueeze(1)).unsqueeze(0)
    found = {}
    for window in windows:
        near = at.unsqueeze(0).gt(at.unsqueeze(1) - window).unsqueeze(0) if window else None
        seen = _joined(before, near, same, far).unsqueeze(1)
        kept = None if mask is None else mask.ne(0).unsqueeze(1).unsqueeze(1)
        found[window] = seen if kept is None else seen.bitwise_and(kept)
    return SeenKeys(found)


def _joined(before: Tensor, near: Tensor | None, same: Tensor, far: bool) -> Tensor:
    if near is None:
        return before.bitwise_or(same)
    if far:
        return before.bitwise_and(near).bitwise_or(same)
    return before.bitwise_or(same).bitwise_and(near)


def _inside(blocks: Sequence[Block], length: int, count: int) -> list[tuple[int, int, int]]:
    """Each of `count` positions behind `length`, and the block that it is in (itself, if none)."""
    found = {at: (first, end) for first, end in blocks for at in range(first, end)}
    return [(at, *found.get(at, (at, at + 1))) for at in range(length, length + count)]
