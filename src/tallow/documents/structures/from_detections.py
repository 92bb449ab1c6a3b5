"""Detected rows, columns, spans and headers to a grid of cells.

The post-processing of Table Transformer's authors (Smock, Pesala, Abraham, PubTables-1M, CVPR 2022;
microsoft/table-transformer, postprocess.py), but rows and columns without text stay where rulings
or a regular spacing support them: an empty column is a column.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallow.documents.content import Ruling
from tallow.documents.geometry import Box, area, overlap, share_inside, union
from tallow.documents.structure import Slot, Structure, tiled
from tallow.lazy_dataclasses import dataclass, replace

ROW, COLUMN, HEADER = "table row", "table column", "table column header"
SECTION, SPAN = "table projected row header", "table spanning cell"
LABELS = (ROW, COLUMN, HEADER, SECTION, SPAN)

_HOLDS = 0.5  # of a word that a row or column must hold, and of a row that a header must
_SAME_ROW, _SAME_COLUMN = 0.5, 0.25  # of the lesser of two, and they are one
_REGULAR = 0.5  # how far from the usual size a row without text may be, in shares of it
_NEAR = 0.3  # of its size, how far the rulings beside a row without text may be from its edges


@dataclass(frozen=True)
class Found:
    """What a detector found, on the page."""

    label: str
    score: float
    box: Box


def structure_of(
    found: Sequence[Found], words: Sequence[Box], rulings: Sequence[Ruling], source: str
) -> Structure | None:
    """The grid of detected rows and columns; None without a row or a column.

    `words` are the boxes of the table's words and `rulings` its rulings, in units of the page.
    """
    rows = lines_of([each for each in found if each.label == ROW], words, rulings, 1)
    columns = lines_of([each for each in found if each.label == COLUMN], words, rulings, 0)
    if not rows or not columns:
        return None
    ys = [(each.box[1], each.box[3]) for each in rows]
    xs = [(each.box[0], each.box[2]) for each in columns]
    whole = union([each.box for each in (*rows, *columns)])
    header = header_rows([each.box for each in found if each.label == HEADER], ys, whole)
    spans = spans_of(found, ys, xs, header)
    slots = tiled(len(rows), len(columns), [slot for slot, _ in spans])
    boxed = [replace(slot, box=_box(slot, ys, xs)) for slot in slots]
    sections = frozenset(slot.row for slot, label in spans if label == SECTION)
    sure = sum(each.score for each in (*rows, *columns)) / (len(rows) + len(columns))
    return Structure(
        len(rows), len(columns), tuple(boxed), source, sure, header, section_rows=sections
    )


def lines_of(
    found: Sequence[Found], words: Sequence[Box], rulings: Sequence[Ruling], axis: int
) -> list[Found]:
    """Rows (axis 1) or columns (axis 0) that stay, from top to bottom or from left to right.

    By falling score one goes that shares a word with one that stays or lies in it, and one without
    words that nothing supports.
    """
    low, high = axis, axis + 2
    held = [
        {n for n, word in enumerate(words) if share_inside(word, each.box) >= _HOLDS}
        for each in found
    ]
    kept: list[int] = []
    for index in sorted(range(len(found)), key=lambda i: -found[i].score):
        box = found[index].box
        if not area(box):
            continue
        least = _SAME_ROW if axis else _SAME_COLUMN
        apart = all(
            not held[index] & held[other] and _shared(box, found[other].box, axis) <= least
            for other in kept
        )
        if apart:
            kept.append(index)
    full = [found[i].box for i in kept if held[i]]
    sizes = sorted(box[high] - box[low] for box in full)
    usual = sizes[len(sizes) // 2] if sizes else 0.0
    stay = [
        found[i]
        for i in kept
        if held[i] or not words or _is_supported(found[i].box, axis, usual, full, rulings)
    ]
    return sorted(stay, key=lambda each: each.box[low] + each.box[high])


def _shared(a: Box, b: Box, axis: int) -> float:
    """How much two boxes share on an axis, of the lesser one."""
    shared = overlap((a[axis], a[axis + 2]), (b[axis], b[axis + 2]))
    return shared / max(1e-9, min(a[axis + 2] - a[axis], b[axis + 2] - b[axis]))


def _is_supported(
    box: Box, axis: int, usual: float, full: Sequence[Box], rulings: Sequence[Ruling]
) -> bool:
    """Whether a row or column without words is one: between rulings, or of the usual size in line.

    In line: it is between others that have words, or ends the table where the last one ends.
    """
    low, high = box[axis], box[axis + 2]
    near = _NEAR * (high - low)
    lines = [each.at for each in rulings if each.horizontal == bool(axis)]
    if all(any(abs(at - edge) <= near for at in lines) for edge in (low, high)):
        return True
    if not usual or abs(high - low - usual) > _REGULAR * usual:
        return False
    beside = [min(abs(each[axis] - high), abs(each[axis + 2] - low)) for each in full]
    return min(beside, default=usual) <= _NEAR * usual


def header_rows(boxes: Sequence[Box], rows: Sequence[tuple[float, float]], whole: Box) -> int:
    """How many rows from the top headers cover by half; 0 where they do not begin at the top."""
    count = 0
    for top, bottom in rows:
        row = (whole[0], top, whole[2], bottom)
        if not any(share_inside(row, (whole[0], box[1], whole[2], box[3])) >= _HOLDS
                   for box in boxes):  # fmt: skip
            break
        count += 1
    return count


def spans_of(
    found: Sequence[Found],
    rows: Sequence[tuple[float, float]],
    columns: Sequence[tuple[float, float]],
    header: int,
) -> list[tuple[Slot, str]]:
    """Spanning cells and section rows as slots that do not overlap, the most probable first."""
    whole = (columns[0][0], columns[-1][1])
    kept: list[tuple[Slot, str]] = []
    for each in sorted(found, key=lambda each: -each.score):
        if each.label not in (SPAN, SECTION):
            continue
        box = each.box
        across = _covered(columns, (box[0], box[2]) if each.label == SPAN else whole)
        down = _covered(rows, (box[1], box[3]))
        if not across or not down:
            continue
        slot = Slot(down[0], across[0], down[1] - down[0], across[1] - across[0])
        slot = _on_one_side(slot, header)
        for other, _ in kept:
            slot = _without(slot, other)
        if slot.row_span * slot.column_span >= 2:
            kept.append((slot, each.label))
    return [pair for pair in kept if _is_in_tree(pair[0], kept, header)]


def _covered(
    lines: Sequence[tuple[float, float]], span: tuple[float, float]
) -> tuple[int, int] | None:
    """The first of the lines that a span covers by half, and the one after the last."""
    inside = [
        n for n, line in enumerate(lines)
        if overlap(line, span) >= _HOLDS * max(1e-9, line[1] - line[0])
    ]  # fmt: skip
    return (inside[0], inside[-1] + 1) if inside else None


def _on_one_side(slot: Slot, header: int) -> Slot:
    """A slot that does not cross the end of the header: its longer part."""
    above, below = header - slot.row, slot.bottom - header
    if above <= 0 or below <= 0:
        return slot
    if above >= below:
        return replace(slot, row_span=above)
    return replace(slot, row=header, row_span=below)


def _without(slot: Slot, other: Slot) -> Slot:
    """A slot cut so that it does not meet another, by the cut that loses fewest cells.

    Of one that would be gone a slot of no cells is left.
    """
    top, bottom = max(slot.row, other.row), min(slot.bottom, other.bottom)
    left, right = max(slot.column, other.column), min(slot.right, other.right)
    if top >= bottom or left >= right:
        return slot
    cuts = (
        replace(slot, row_span=max(0, other.row - slot.row)),
        replace(slot, row=other.bottom, row_span=max(0, slot.bottom - other.bottom)),
        replace(slot, column_span=max(0, other.column - slot.column)),
        replace(slot, column=other.right, column_span=max(0, slot.right - other.right)),
    )
    return max(cuts, key=lambda cut: cut.row_span * cut.column_span)


def _is_in_tree(slot: Slot, kept: Sequence[tuple[Slot, str]], header: int) -> bool:
    """Whether a span of the header has one parent in every row above: none that it sticks out of.

    Spans of the body are in no tree.
    """
    if slot.row >= header:
        return True
    above = [other for other, _ in kept if other.bottom <= slot.row]
    return not any(
        other.column < slot.right
        and slot.column < other.right
        and not (other.column <= slot.column and slot.right <= other.right)
        for other in above
    )


def _box(
    slot: Slot, rows: Sequence[tuple[float, float]], columns: Sequence[tuple[float, float]]
) -> Box:
    return (
        columns[slot.column][0], rows[slot.row][0],
        columns[slot.right - 1][1], rows[slot.bottom - 1][1],
    )  # fmt: skip
