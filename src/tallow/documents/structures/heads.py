"""Heads over several columns, by the short rules that journals draw under them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TypeAlias

from tallow.documents.content import Ruling
from tallow.documents.geometry import Box, overlap
from tallow.documents.structure import Slot
from tallow.documents.structures.evidence import Measured

_SHORT = 0.9  # of a table's width: longer rules close a header or a group of rows
_MOST_ROWS = 4  # of a header
_OVER = 0.5  # of a column's text, that a rule lies over or under
_GAP = 1.0  # text heights between words that are two heads

Span: TypeAlias = tuple[int, int, int, int]
"""The row, column, rows and columns of a cell."""


def over_rules(measured: Measured, boxes: Sequence[Box], rulings: Sequence[Ruling]) -> list[Span]:
    """The cells of a header that short rules run under, and those beside them.

    The first are over two columns or more, of one text. Beside such of the first row, what does
    not stand as low as the heads of the second row is over both.
    """
    structure = measured.structure
    assert structure.column_edges is not None and structure.row_edges is not None
    if not boxes:
        return []
    width = structure.column_edges[-1] - structure.column_edges[0]
    em = median(box[3] - box[1] for box in boxes)
    found: list[Span] = []
    at = []
    for rule in rulings:
        if rule.horizontal and rule.end - rule.start < _SHORT * width:
            span = _over(measured, boxes, rule, em)
            if span is not None and not any(_meet(span, other) for other in found):
                found.append(span)
                at.append(rule.at)
    if not found or any(span[0] for span in found) or any(s.row_span > 2 for s in _heads(measured)):
        return found
    return found + _beside(measured, boxes, found, median(at))


def _heads(measured: Measured) -> list[Slot]:
    return [slot for slot in measured.structure.slots if slot.row == 0]


def _beside(
    measured: Measured, boxes: Sequence[Box], found: Sequence[Span], at: float
) -> list[Span]:
    """Heads of both rows beside those over rules, which are at `at`."""
    structure = measured.structure
    covered = {c for _, column, _, columns in found for c in range(column, column + columns)}
    tops: dict[int, float] = {}
    for slot, home in zip(structure.slots, measured.homes, strict=True):
        if slot.row < 2 and slot.bottom <= 2 and slot.column_span == 1 and home:
            top = min((boxes[word][1] + boxes[word][3]) / 2 for word in home)
            tops[slot.column] = min(top, tops.get(slot.column, top))
    low = [tops[column] for column in covered if column in tops]
    if not low or structure.rows < 3:
        return []
    border = (at + median(low)) / 2
    return [(0, column, 2, 1) for column in tops.keys() - covered if tops[column] < border]


def _meet(a: Span, b: Span) -> bool:
    return a[0] == b[0] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def _over(measured: Measured, boxes: Sequence[Box], rule: Ruling, em: float) -> Span | None:
    """The cell that stands on a rule; None where it is not over several columns of a header."""
    structure = measured.structure
    edges, levels = structure.column_edges, structure.row_edges
    assert edges is not None and levels is not None
    # The last row whose text begins above the rule.
    tops = [
        min((boxes[w][1] for s, h in zip(structure.slots, measured.homes, strict=True)
             if s.row == row and s.row_span == 1 for w in h), default=levels[row])
        for row in range(min(_MOST_ROWS + 1, structure.rows))
    ]  # fmt: skip
    row = max((r for r, top in enumerate(tops) if top < rule.at - 0.5 * em), default=None)
    if row is None or row >= min(_MOST_ROWS, structure.rows - 1):
        return None
    above, cores = [], dict[int, list[Box]]()
    for slot, home in zip(structure.slots, measured.homes, strict=True):
        if slot.row == row and slot.row_span == 1:
            above += [boxes[word] for word in home]
        elif slot.row > row and slot.column_span == 1:
            cores.setdefault(slot.column, []).extend(boxes[word] for word in home)
    columns = [
        column
        for column in range(structure.columns)
        if _covers(rule, cores.get(column) or [(edges[column], 0, edges[column + 1], 0)])
    ]
    inside = sorted(
        box for box in above if overlap((box[0], box[2]), (rule.start, rule.end)) > 0.5 * em
    )
    if len(columns) < 2 or not inside or columns[-1] - columns[0] >= structure.columns - 1:
        return None
    reach = inside[0][2]
    for box in inside[1:]:
        if box[0] - reach > _GAP * em:
            return None
        reach = max(reach, box[2])
    low, high = edges[columns[0]], edges[columns[-1] + 1]
    if inside[0][0] < low - em or reach > high + em or max(box[3] for box in inside) > rule.at + em:
        return None
    return row, columns[0], 1, columns[-1] - columns[0] + 1


def _covers(rule: Ruling, core: Sequence[Box]) -> bool:
    start, end = min(box[0] for box in core), max(box[2] for box in core)
    return overlap((rule.start, rule.end), (start, end)) > _OVER * (end - start)
