"""PlacedState: a state of a model whose positions have three axes (M-RoPE, arXiv 2409.12191)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from tallow.autograd.mode import inference_mode
from tallow.dtype import DType, i64
from tallow.errors import FormatError
from tallow.factories import tensor, zeros
from tallow.models.states import State
from tallow.tensor import Tensor

Place = tuple[int, int, int]  # time, height and width


class PlacedState(State):
    """`places[row]` are the positions of the first tokens of a row, as far as they are known.

    A picture takes fewer positions than tokens, so that what comes after stands `shifts[row]` from
    its number. It is a tensor that plans read; `reserve` sets it.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._put([[] for _ in range(self.batch)])

    def _put(self, rows: list[list[Place]]) -> None:
        self.places = rows
        self.nexts = list(map(_next, rows))  # positions behind the known ones
        self.shifts = zeros(len(rows), dtype=i64)

    def place(self, row: int, places: Sequence[Place]) -> None:
        """Take note of the positions of a row's tokens from its first one on."""
        self.places[row] = list(places)
        self.nexts[row] = _next(places)

    def place_next(self, row: int, places: Sequence[Place]) -> None:
        """The same for tokens that come after what the row holds; positions count from there."""
        held = self.places[row][: self.lengths[row]]
        held += [(at, at, at) for at in _after(_next(held), self.lengths[row] - len(held))]
        first = _next(held)
        self.place(row, held + [(first + t, first + h, first + w) for t, h, w in places])

    @inference_mode()
    def reserve(self, count: int | Sequence[int], width: int = 0) -> Tensor:
        """As of `State`; and set `shifts`."""
        starts = super().reserve(count, width)
        shifts = [at - len(held) for at, held in zip(self.nexts, self.places, strict=True)]
        self.shifts.copy_(tensor(shifts, dtype=i64))
        return starts

    def positions(self, count: int) -> Tensor:
        """Positions of `count` new tokens, `(batch, count)`, or `(3, batch, count)` in pictures."""
        lengths = self.lengths
        if all(len(held) <= n for held, n in zip(self.places, lengths, strict=True)):
            return super().positions(count) + self.shifts.unsqueeze(1)
        rows = []
        for held, after, length in zip(self.places, self.nexts, lengths, strict=True):
            row = held[length : length + count]
            first = after + max(length - len(held), 0)
            row += [(at, at, at) for at in _after(first, count - len(row))]
            rows.append(row)
        return tensor(rows, dtype=i64).permute(2, 0, 1)

    @inference_mode()
    def trim(self, length: int | Sequence[int]) -> list[int]:
        """As of `State`."""
        kept = super().trim(length)
        for row, (held, count) in enumerate(zip(self.places, kept, strict=True)):
            if count < len(held):
                self.place(row, held[:count])
        return kept

    def memory(self) -> list[Tensor]:
        """As of `State`, and the shifts."""
        return [self.shifts, *super().memory()]

    def restart(self, lengths: list[int], tokens: list[list[int]], dtype: DType) -> None:
        """As of `State`."""
        super().restart(lengths, tokens, dtype)
        self._put([[] for _ in lengths])

    @inference_mode()
    def select(self, rows: Sequence[int]) -> None:
        """As of `State`."""
        rows = list(rows)
        super().select(rows)
        self.places = [list(self.places[row]) for row in rows]
        self.nexts = [self.nexts[row] for row in rows]
        if self.shifts.shape[0] != self.batch:
            self.shifts = zeros(self.batch, dtype=i64)

    def fork(self, length: int | None = None) -> Self:
        """As of `State`."""
        copied = super().fork(length)
        cut = [None if length is None else held for held in copied.lengths]
        copied._put([list(held[:n]) for held, n in zip(self.places, cut, strict=True)])
        return copied

    def notes(self) -> Mapping[str, Any]:
        """What a file says beside lengths and tokens, as JSON values."""
        held = zip(self.places, self.lengths, strict=True)
        return {"places": [row[:length] for row, length in held]}

    def take_notes(self, notes: Mapping[str, Any], path: object) -> None:
        """Take what `notes` gave; FormatError where it is of no use."""
        rows: Any = notes.get("places")
        good = isinstance(rows, list) and len(rows) == self.batch
        if not good or not all(map(_is_row, rows, self.lengths)):
            raise FormatError(path, "state", "three positions for each token", "others")
        self._put([[(t, h, w) for t, h, w in row] for row in rows])


def _next(held: Sequence[Place]) -> int:
    """The position after these."""
    return max(map(max, held)) + 1 if held else 0


def _after(first: int, count: int) -> range:
    return range(first, first + max(count, 0))


def _is_row(row: object, length: int) -> bool:
    return (
        isinstance(row, list)
        and len(row) <= length
        and all(isinstance(each, list) and len(each) == 3 for each in row)
        and all(type(n) is int and 0 <= n < 2**31 for each in row for n in each)
    )
