"""Structures mended by their words: rows that hold two, columns with a gap through all rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from tallow.documents.cells.joining import lines_of
from tallow.documents.cells.kinds import is_nothing, is_number
from tallow.documents.content import Word
from tallow.documents.structure import Slot, Structure, tiled
from tallow.documents.structures.evidence import (
    Measured,
    placed_words,
    text_height,
)
from tallow.lazy_dataclasses import replace

if TYPE_CHECKING:
    from tallow.documents.structures.fitting import Floats

_GAP = 1.0  # text heights of white through a whole column that make it two
_HEADER = 2  # rows that headings stand in, where a proposal does not say: below are totals
_MOST_PARTS = 60  # that one row is divided into


def repaired(measured: Measured, words: Sequence[Word], boxes: Floats) -> Measured:
    """The structure with missing rows and columns put in.

    A row in which every cell that holds words holds as many lines, of numbers in at least one
    column, is so many rows. A column through which white goes from top to bottom, words on both
    sides of it in most rows, is two. A heading over the first columns leaves the first one free
    where it stands in the middle of the others. A cell over several columns whose values stand
    far apart, on both sides of their edges, is one cell in each.
    """
    for change in (_with_rows, _with_columns, _with_stub, _without_false_spans):
        structure = change(measured, words, boxes)
        if structure is not measured.structure:
            measured = placed_words(structure, boxes)
    return measured


def _with_rows(measured: Measured, words: Sequence[Word], boxes: Floats) -> Structure:
    structure = measured.structure
    for row in reversed(range(structure.rows)):
        cuts = _row_cuts(measured, words, row)
        if cuts and structure.row_edges is not None:
            structure = with_edges(structure, 1, row, cuts)
    return structure


def _row_cuts(measured: Measured, words: Sequence[Word], row: int) -> list[float]:
    """Where a row is to be divided, from the top; empty where it is one row."""
    cells = [
        lines_of([words[i] for i in home])
        for slot, home in zip(measured.structure.slots, measured.homes, strict=True)
        if slot.row == row and slot.row_span == 1 and home
    ]
    if len(cells) < 2:
        return []
    count, often = Counter(map(len, cells)).most_common(1)[0]
    numbers = sum(
        len(lines) == count
        and all(_is_value(" ".join(word.text for word in line)) for line in lines)
        for lines in cells
    )
    if not 2 <= count <= _MOST_PARTS or often < 0.7 * len(cells) or numbers < 0.5 * len(cells):
        return []
    cuts = []
    full = [lines for lines in cells if len(lines) == count]
    for above in range(count - 1):
        bottom = max(word.box[3] for lines in full for word in lines[above])
        top = min(word.box[1] for lines in full for word in lines[above + 1])
        height = max(word.box[3] - word.box[1] for lines in full for word in lines[above])
        if top - bottom < -0.4 * height:
            return []  # the lines of the cells do not stand side by side
        cuts.append((bottom + top) / 2)
    return cuts


def _is_value(text: str) -> bool:
    return is_number(text) or is_nothing(text)


def _with_columns(measured: Measured, words: Sequence[Word], boxes: Floats) -> Structure:
    structure = measured.structure
    em = text_height(boxes)
    for column in reversed(range(structure.columns)):
        cut = _column_cut(measured, boxes, column, em)
        if cut is not None:
            structure = with_edges(structure, 0, column, [cut])
    return structure


def _column_cut(measured: Measured, boxes: Floats, column: int, em: float) -> float | None:
    """The x of a white strip through a column, words on both sides in most of its rows."""
    homes = [
        [(float(boxes[i, 0]), float(boxes[i, 2])) for i in home]
        for slot, home in zip(measured.structure.slots, measured.homes, strict=True)
        if slot.column == column and slot.column_span == 1 and home
    ]
    if len(homes) < 3:
        return None
    intervals = sorted(interval for home in homes for interval in home)
    best, reach = None, intervals[0][1]
    for low, high in intervals[1:]:
        if low - reach >= _GAP * em:
            cut = (low + reach) / 2
            both = sum(min(i[0] for i in h) < cut < max(i[1] for i in h) for h in homes)
            if both >= 0.6 * len(homes):
                best = cut
        reach = max(reach, high)
    return best


def _with_stub(measured: Measured, words: Sequence[Word], boxes: Floats) -> Structure:
    """Headers over the first columns without the first one, where they are centred on the others.

    Models join the blank cell above the labels of rows with the heading beside it.
    """
    structure = measured.structure
    edges = structure.column_edges
    assert edges is not None
    slots: list[Slot] = []
    for slot, home in zip(structure.slots, measured.homes, strict=True):
        slots.append(slot)
        if slot.column or not home or not 2 < slot.column_span < structure.columns:
            continue
        if slot.row >= (structure.header_rows or _HEADER):
            continue
        left, right = boxes[list(home), 0].min(), boxes[list(home), 2].max()
        middle, whole = (left + right) / 2, (edges[0] + edges[slot.right]) / 2
        others = (edges[1] + edges[slot.right]) / 2
        if left > edges[1] and abs(middle - others) < abs(middle - whole):
            slots[-1] = _moved(slot, 0, 0, 1)
            slots.append(_moved(slot, 0, 1, slot.column_span - 1))
    if len(slots) == len(structure.slots):
        return structure
    return replace(structure, slots=tiled(structure.rows, structure.columns, slots))


def _without_false_spans(measured: Measured, words: Sequence[Word], boxes: Floats) -> Structure:
    """Cells of one row over several columns divided at edges that lie in wide gaps of their line.

    Models join cells of short values. Titles may be set with spaces between their letters.
    """
    structure = measured.structure
    edges = structure.column_edges
    assert edges is not None
    em = text_height(boxes)
    slots: list[Slot] = []
    for slot, home in zip(structure.slots, measured.homes, strict=True):
        lines = lines_of([words[i] for i in home]) if slot.column_span > 1 else []
        values = sum(_is_value(word.text) for line in lines for word in line)
        if slot.row_span > 1 or len(lines) != 1 or values < 0.5 * len(home):
            slots.append(slot)
            continue
        starts = [slot.column]
        for before, after in pairwise(lines[0]):
            inside = [
                column
                for column in range(starts[-1] + 1, slot.right)
                if before.box[2] < edges[column] < after.box[0]
            ]
            starts += inside if after.box[0] - before.box[2] > _GAP * em else []
        ends = [*starts[1:], slot.right]
        slots += [
            _moved(slot, 0, start, end - start) for start, end in zip(starts, ends, strict=True)
        ]
    if len(slots) == len(structure.slots):
        return structure
    return replace(structure, slots=tiled(structure.rows, structure.columns, slots))


def with_edges(structure: Structure, axis: int, index: int, cuts: Sequence[float]) -> Structure:
    """The structure with a row (axis 1) or column (axis 0) divided at `cuts`.

    Cells that span it span all its parts, others are divided.
    """
    more = len(cuts)
    slots = []
    for slot in structure.slots:
        first, last = (slot.row, slot.bottom) if axis else (slot.column, slot.right)
        if first == index and last == index + 1:
            slots += [_moved(slot, axis, index + part, 1) for part in range(more + 1)]
        else:
            start = first + more if first > index else first
            span = last - first + (more if first <= index < last else 0)
            slots.append(_moved(slot, axis, start, span))
    edges = structure.row_edges if axis else structure.column_edges
    assert edges is not None
    edges = (*edges[: index + 1], *cuts, *edges[index + 1 :])
    return _rebuilt(structure, axis, slots, edges, index)


def _moved(slot: Slot, axis: int, start: int, span: int) -> Slot:
    if axis:
        return replace(slot, row=start, row_span=span, box=None)
    return replace(slot, column=start, column_span=span, box=None)


def _rebuilt(
    structure: Structure,
    axis: int,
    slots: Sequence[Slot],
    edges: tuple[float, ...],
    index: int,
) -> Structure:
    """The structure with other lines along an axis; what it says of rows below `index` moves."""
    lines = len(edges) - 1
    if not axis:
        return replace(
            structure,
            columns=lines,
            slots=tiled(structure.rows, lines, slots),
            column_edges=edges,
        )
    more = lines - structure.rows
    header = structure.header_rows
    return replace(
        structure,
        rows=lines,
        slots=tiled(lines, structure.columns, slots),
        row_edges=edges,
        header_rows=header + more if header is not None and index < header else header,
        section_rows=frozenset(r + more * (r > index) for r in structure.section_rows),
    )
