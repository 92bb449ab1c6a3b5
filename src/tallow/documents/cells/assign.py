"""Words put into the cells of a structure: texts, boxes, confidence, weight and alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tallow.documents.cells.doubtful import reread_doubtful
from tallow.documents.cells.headers import mark_headers
from tallow.documents.cells.joining import joined
from tallow.documents.cells.splitting import split_at
from tallow.documents.cells.weight import mark_bold
from tallow.documents.content import PageContent, Word
from tallow.documents.document import Cell, Table
from tallow.documents.geometry import Box
from tallow.documents.steps import Reader, Region
from tallow.documents.structure import Slot, Structure
from tallow.documents.structures.fitting import (
    fitted,
    owners_in_grid,
    rulings_in,
    slot_boxes,
    words_in,
)


def assign(
    content: PageContent, region: Region, structure: Structure, reader: Reader | None = None
) -> Table:
    """The table of a structure with the words of its region in its cells, header rows marked.

    A word goes to the cell that holds most of it, and to the nearest where it lies outside all; one
    that an edge cuts at a space is divided. `reader` reads doubtful cells again.
    """
    words = words_in(content, region.box)
    placed = fitted(structure, words, region.box, rulings_in(content, region.box))
    pieces = divided(placed, words)
    homes = homes_of(placed, pieces)
    boxes = slot_boxes(placed)
    cells = [
        _cell(slot, words_of, _box(boxes[number]))
        for number, (slot, words_of) in enumerate(zip(placed.slots, homes, strict=True))
    ]
    table = Table(
        placed.rows,
        placed.columns,
        cells,
        box=_box((min(boxes[:, 0]), min(boxes[:, 1]), max(boxes[:, 2]), max(boxes[:, 3]))),
        source=placed.source,
        confidence=placed.confidence,
    )
    _align(table)
    if reader is not None:
        reread_doubtful(table, content, reader)
    mark_bold(table, content)
    mark_headers(table, content, placed)
    return table


def divided(structure: Structure, words: Sequence[Word]) -> list[Word]:
    """The words, those that column edges cut divided; a slot that spans an edge holds it whole."""
    assert structure.column_edges is not None and structure.row_edges is not None
    pieces: list[Word] = []
    for word in words:
        middle = (word.box[1] + word.box[3]) / 2
        crossed = [
            edge
            for index, edge in enumerate(structure.column_edges[1:-1], 1)
            if word.box[0] < edge < word.box[2] and not _spanned(structure, index, middle)
        ]
        pieces += split_at(word, crossed) if crossed else [word]
    return pieces


def homes_of(structure: Structure, words: Sequence[Word]) -> list[list[Word]]:
    """The words of each slot, in the order of the slots."""
    import numpy as np

    homes: list[list[Word]] = [[] for _ in structure.slots]
    if words:
        boxes = np.array([word.box for word in words], float)
        for word, owner in zip(words, owners_in_grid(structure, boxes), strict=True):
            homes[owner].append(word)
    return homes


def _spanned(structure: Structure, edge: int, y: float) -> bool:
    """Whether a slot at height `y` reaches over a column edge."""
    assert structure.row_edges is not None
    rows = structure.row_edges
    return any(
        slot.column < edge < slot.right and rows[slot.row] <= y <= rows[slot.bottom]
        for slot in structure.slots
    )


def _cell(slot: Slot, words: Sequence[Word], box: Box) -> Cell:
    text, raised = joined(words, box)
    return Cell(
        slot.row,
        slot.column,
        slot.row_span,
        slot.column_span,
        text,
        box=box,
        confidence=min((word.confidence for word in words), default=1.0),
        bold=bool(words) and all(word.bold for word in words),
        raised=raised,
        words=tuple(words),
    )


def _box(values: Sequence[float]) -> Box:
    left, top, right, bottom = map(float, values)
    return left, top, right, bottom


def _align(table: Table) -> None:
    """Say how the text of each cell stands: as most cells of its column do, or by its own place.

    Of a column the side is taken at which its texts' ends differ least.
    """
    for column in range(table.columns):
        cells = [c for c in table.cells if c.column == column and c.column_span == 1 and c.words]
        extents = [(min(w.box[0] for w in c.words), max(w.box[2] for w in c.words)) for c in cells]
        if len(extents) < 2:
            continue
        lefts, rights = zip(*extents, strict=True)
        middles = [(left + right) / 2 for left, right in extents]
        spread = {"left": _spread(lefts), "right": _spread(rights), "center": _spread(middles)}
        side = min(spread, key=lambda each: spread[each])
        for cell in cells:
            cell.align = _named(side)
    for cell in table.cells:
        if cell.words and not cell.align and cell.box is not None:
            cell.align = _own_alignment(cell)


def _own_alignment(cell: Cell) -> Literal["left", "center", "right"]:
    assert cell.box is not None
    before = min(w.box[0] for w in cell.words) - cell.box[0]
    after = cell.box[2] - max(w.box[2] for w in cell.words)
    height = max(w.box[3] - w.box[1] for w in cell.words)
    if abs(before - after) <= max(height, 0.2 * (before + after)):
        return "center"
    return "left" if before < after else "right"


def _named(side: str) -> Literal["left", "center", "right"]:
    return "left" if side == "left" else "right" if side == "right" else "center"


def _spread(values: Sequence[float]) -> float:
    """How far values lie from their median, on average."""
    middle = sorted(values)[len(values) // 2]
    return sum(abs(value - middle) for value in values) / len(values)
