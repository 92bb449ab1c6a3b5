"""Rows of cells with spans, as HTML writes them, to cells with places in a grid."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.documents.geometry import Box
from tallow.documents.structure import Slot, Structure, tiled
from tallow.lazy_dataclasses import dataclass

# More than any table of one picture has: what a model writes is as hostile as a file.
MOST_COLUMNS = 512


@dataclass(frozen=True)
class HtmlCell:
    """A `td`: its spans, and its box on the page where one is known."""

    row_span: int = 1
    column_span: int = 1
    box: Box | None = None


def slots_of(rows: Sequence[Sequence[HtmlCell]]) -> list[Slot]:
    """The cells of rows at the first free place each, as browsers lay tables out.

    Source: HTML Living Standard, 4.9.12.1 (forming a table). Spans that go on below the last row
    end there; cells beyond `MOST_COLUMNS` are left out.
    """
    taken: set[tuple[int, int]] = set()
    slots = []
    for row, cells in enumerate(rows):
        column = 0
        for cell in cells:
            while (row, column) in taken:
                column += 1
            if column >= MOST_COLUMNS:
                break
            height = max(1, min(cell.row_span, len(rows) - row))
            width = max(1, min(cell.column_span, MOST_COLUMNS - column))
            for below in range(row, row + height):
                taken.update((below, each) for each in range(column, column + width))
            slots.append(Slot(row, column, height, width, cell.box))
            column += width
    return slots


def structure_of(
    rows: Sequence[Sequence[HtmlCell]],
    source: str,
    confidence: float,
    header_rows: int | None = None,
) -> Structure | None:
    """The structure that rows of cells mean, gaps filled; None where they hold no cell."""
    slots = slots_of(rows)
    if not slots:
        return None
    columns = max(slot.right for slot in slots)
    cells = tiled(len(rows), columns, slots)
    return Structure(len(rows), columns, cells, source, confidence, header_rows)
