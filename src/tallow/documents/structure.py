"""A proposal of what rows, columns and spans a table has, before its words are assigned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tallow.documents.geometry import Box
from tallow.errors import ArgumentError, expect
from tallow.lazy_dataclasses import dataclass, field


@dataclass(frozen=True)
class Slot:
    """A cell of a proposal: where it stands in the grid and, where that is known, on the page."""

    row: int
    column: int
    row_span: int = 1
    column_span: int = 1
    box: Box | None = None

    @property
    def bottom(self) -> int:
        """The row after its last one."""
        return self.row + self.row_span

    @property
    def right(self) -> int:
        """The column after its last one."""
        return self.column + self.column_span


@dataclass(frozen=True)
class Structure:
    """Cells that tile a grid of `rows` × `columns`: none overlap, none is missing.

    `source` names what proposed it, `confidence` is its own, from 0 to 1. `header_rows` is how many
    rows from the top are a header (None: not known); `row_edges` and `column_edges`, one more than
    there are rows and columns, are where they lie on the page (None: not known).
    """

    rows: int
    columns: int
    slots: tuple[Slot, ...]
    source: str
    confidence: float = 1.0
    header_rows: int | None = None
    row_edges: tuple[float, ...] | None = None
    column_edges: tuple[float, ...] | None = None
    section_rows: frozenset[int] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        _check_tiles(self.rows, self.columns, self.slots)


def tiled(rows: int, columns: int, slots: Iterable[Slot]) -> tuple[Slot, ...]:
    """`slots` so that they tile the grid: cut at its edges, later ones give way, gaps are filled.

    For proposals of models, which promise nothing. In order of rows, then columns.
    """
    taken: set[tuple[int, int]] = set()
    kept: list[Slot] = []
    for slot in slots:
        bottom, right = min(slot.bottom, rows), min(slot.right, columns)
        places = {(r, c) for r in range(slot.row, bottom) for c in range(slot.column, right)}
        free = slot.row >= 0 and slot.column >= 0 and not (places & taken)
        if not places or (slot.row, slot.column) in taken or slot.row < 0 or slot.column < 0:
            continue
        if not free:  # only its first place is its own
            places, bottom, right = {(slot.row, slot.column)}, slot.row + 1, slot.column + 1
        taken |= places
        kept.append(Slot(slot.row, slot.column, bottom - slot.row, right - slot.column, slot.box))
    kept += [Slot(r, c) for r in range(rows) for c in range(columns) if (r, c) not in taken]
    return tuple(sorted(kept, key=lambda slot: (slot.row, slot.column)))


def _check_tiles(rows: int, columns: int, slots: Sequence[Slot]) -> None:
    where, wanted = "Structure", f"cells that tile {rows} × {columns}"
    seen: set[tuple[int, int]] = set()
    for slot in slots:
        inside = 0 <= slot.row < slot.bottom <= rows and 0 <= slot.column < slot.right <= columns
        if not inside:  # messages are made where they are needed only: there are many slots
            expect(False, where, wanted, slot, ArgumentError)
        places = {
            (r, c) for r in range(slot.row, slot.bottom) for c in range(slot.column, slot.right)
        }
        if places & seen:
            expect(False, where, wanted, f"two at {slot}", ArgumentError)
        seen |= places
    expect(len(seen) == rows * columns, where, wanted, f"{len(seen)} places", ArgumentError)
