"""Rows of structures mended by the distances of their lines: labels that were wrapped."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from tallow.documents.cells.joining import lines_of
from tallow.documents.content import Ruling, Word
from tallow.documents.structure import Structure, tiled
from tallow.documents.structures.evidence import Measured
from tallow.lazy_dataclasses import dataclass, replace

_TIGHT = 0.85  # of the distance of rows: lines nearer than that are of one cell
_NEXT = 1.2  # of that distance: lines farther apart are never of one cell
_ROOM = 0.4  # text heights: a space, and what columns are apart at least


@dataclass(frozen=True)
class _Line:
    """The middles of the first and last line of a row's label, and which columns have text."""

    first: float
    last: float
    columns: frozenset[int]


def without_wrapped_rows(
    measured: Measured, words: Sequence[Word], rulings: Sequence[Ruling]
) -> Structure:
    """The structure without rows that are second lines of the label above them.

    Such a row has text in the first column alone, nearer to the label than rows are apart, or it
    goes on in the middle of a phrase that had no room. No ruling lies between.
    """
    structure = measured.structure
    rows = _rows(measured, words)
    pitch = _pitch(rows)
    for row in reversed(range(max(2, structure.header_rows or 1), structure.rows)):
        above, own = rows[row - 1], rows[row]
        if own is None or above is None or own.columns != {0} or 0 not in above.columns:
            continue
        step = own.first - above.last
        ruled = any(r.horizontal and above.last < r.at < own.first for r in rulings)
        goes_on = step < _NEXT * pitch and _goes_on(measured, words, row)
        if not ruled and (step <= _TIGHT * pitch or goes_on) and len(above.columns) > 1:
            structure = _without_row(structure, row)
    return structure


def _rows(measured: Measured, words: Sequence[Word]) -> list[_Line | None]:
    """The lines of each row, by its cells of one row; None where they have no text.

    First and last line are those of the first column, where that has text.
    """
    found: list[_Line | None] = []
    for row in range(measured.structure.rows):
        cells = {
            slot.column: lines_of([words[i] for i in home])
            for slot, home in zip(measured.structure.slots, measured.homes, strict=True)
            if slot.row == row and slot.row_span == 1 and home
        }
        if not cells:
            found.append(None)
            continue
        label = cells[min(cells)]
        found.append(_Line(_middle(label[0]), _middle(label[-1]), frozenset(cells)))
    return found


def _middle(line: Sequence[Word]) -> float:
    return median((word.box[1] + word.box[3]) / 2 for word in line)


def _pitch(rows: Sequence[_Line | None]) -> float:
    """How far the first lines of rows with text in several columns are below the row above."""
    steps = [
        below.first - above.last
        for above, below in pairwise(rows[1:])
        if above is not None and below is not None and len(below.columns) > 1 and 0 in below.columns
    ]
    return median(steps) if steps else 0.0


def _goes_on(measured: Measured, words: Sequence[Word], row: int) -> bool:
    """Whether the first cell of a row goes on with what had no room in the cell above."""
    homes = {
        slot.row: [words[i] for i in home]
        for slot, home in zip(measured.structure.slots, measured.homes, strict=True)
        if slot.column == 0 and slot.column_span == 1 and home
    }
    if row not in homes or row - 1 not in homes:
        return False
    upper, lower = lines_of(homes[row - 1])[-1], lines_of(homes[row])[0]
    first = lower[0]
    starts = first.text.strip()[:1]
    if not (starts.islower() or starts in "([)"):
        return False
    word = first.text.split()[0]
    width = (first.box[2] - first.box[0]) * len(word) / max(1, len(first.text))
    height = first.box[3] - first.box[1]
    reach = max(each.box[2] for home in homes.values() for each in home)
    return upper[-1].box[2] + width + _ROOM * height > reach


def _without_row(structure: Structure, row: int) -> Structure:
    """The structure with a row joined to the one above, unless a cell begins in it and goes on."""
    if any(slot.row == row and slot.row_span > 1 for slot in structure.slots):
        return structure
    slots = []
    for slot in structure.slots:
        if slot.row < row:
            inside = slot.bottom > row
            slots.append(replace(slot, row_span=slot.row_span - inside, box=None))
        elif slot.row > row:
            slots.append(replace(slot, row=slot.row - 1))
    edges = structure.row_edges
    assert edges is not None
    return replace(
        structure,
        rows=structure.rows - 1,
        slots=tiled(structure.rows - 1, structure.columns, slots),
        row_edges=edges[:row] + edges[row + 1 :],
        section_rows=frozenset(r - (r > row) for r in structure.section_rows if r != row),
    )
