"""Lines that head the columns of a table and stand above what was found of it."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.documents.content import Ruling
from tallow.documents.detection.text_lines import LONG, TextLine, lines_within
from tallow.documents.geometry import Box, overlap, union
from tallow.documents.steps import Region
from tallow.lazy_dataclasses import replace

MOST_LINES = 6
"""Lines of a header above the first rule or the first values."""
NEAR = 1.3
"""Heights of a line that white may be high between a header and what it heads."""
WIDEST = 0.5
"""Of a table's width, that one piece of a header takes at most: captions are longer."""


def with_heads(
    region: Region, lines: Sequence[TextLine], rulings: Sequence[Ruling], others: Sequence[Region]
) -> Region:
    """A region with the lines just above it that have text in several of its columns.

    Rules under headers, and values below, are what tables are found by; what names the columns may
    stand above both. A line of one piece is a caption, unless a rule parts it from the rest of the
    header, as under a title over some columns.
    """
    box = region.box
    taken = [other.box for other in others if other is not region]
    for _ in range(MOST_LINES):
        head = _line_above(box, lines)
        if head is None or not _is_head(head, box, rulings):
            break
        if any(lines_within([head], other) for other in taken):
            break
        box = union([box, *head.pieces])
    return region if box == region.box else replace(region, box=box)


def _line_above(box: Box, lines: Sequence[TextLine]) -> TextLine | None:
    """The part over a box of the line that is next above it."""
    sides = (box[0], float("-inf"), box[2], box[1])
    above = lines_within(lines, sides)
    if not above:
        return None
    last = max(above, key=lambda line: line.box[3])
    return last if box[1] - last.box[3] < NEAR * last.height else None


def _is_head(line: TextLine, box: Box, rulings: Sequence[Ruling]) -> bool:
    widest = max(piece[2] - piece[0] for piece in line.pieces)
    if widest > WIDEST * (box[2] - box[0]) or max(line.lengths) > LONG:
        return False
    if len(line.pieces) > 1:
        return True
    piece = line.pieces[0]
    middle = (piece[1] + piece[3]) / 2
    return any(
        each.horizontal
        and middle < each.at < box[1] + line.height
        and overlap((each.start, each.end), (piece[0], piece[2])) > 0.5 * (piece[2] - piece[0])
        and each.end - each.start < 0.9 * (box[2] - box[0])
        for each in rulings
    )
