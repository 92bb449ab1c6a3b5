"""Rows that stand over the first level ruling of a table, or under its last one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tallow.documents.detection.text_lines import (
    TextLine,
    common_gaps,
    lines_within,
    text_lines,
)
from tallow.documents.geometry import Box, center, union

NEAR = 1.5
"""Heights of a line between a row and what it stands next to."""


def between_sides(
    lines: Sequence[TextLine], sides: tuple[float, float]
) -> Iterator[TextLine | None]:
    """The parts of lines between two sides; None of one that has a piece going over a side.

    Lines without a part there are left out: they are of what stands beside.
    """
    for line in lines:
        slack = line.height
        left, right = sides[0] - slack, sides[1] + slack
        pieces = [box for box in line.pieces if box[2] > sides[0] and box[0] < sides[1]]
        if not pieces:
            continue
        if any(box[0] < left or box[2] > right for box in pieces):
            yield None
            continue
        words = [word for word in line.words if left <= center(word.box)[0] <= right]
        yield from text_lines(words)


def with_rows_outside(box: Box, lines: Sequence[TextLine]) -> Box:
    """A box of level rulings with the header over and the row under it, where they are in columns.

    Many styles draw a line under each row alone, or between rows alone.
    """
    gaps = common_gaps(lines_within(lines, box), 0.7) if lines_within(lines, box) else []
    if not gaps:
        return box
    sides = box[0], box[2]
    over = [line for line in reversed(lines) if center(line.box)[1] < box[1]]
    under = [line for line in lines if center(line.box)[1] > box[3]]
    rows = [*_rows(over, sides, gaps, box[1], above=True)]
    rows += _rows(under, sides, gaps, box[3], above=False)
    return union([box, *(line.box for line in rows)])


def _rows(
    lines: Sequence[TextLine],
    sides: tuple[float, float],
    gaps: Sequence[tuple[float, float]],
    start: float,
    *,
    above: bool,
) -> list[TextLine]:
    """Lines from `start` on that leave the gaps of the table free, up to one in most columns."""
    found: list[TextLine] = []
    for line in between_sides(lines, sides):
        if line is None:
            break
        away = start - line.box[3] if above else line.box[1] - start
        crossed = sum(
            any(piece[0] < (a + b) / 2 < piece[2] for piece in line.pieces) for a, b in gaps
        )
        limit = NEAR if not found else 0.7  # lines of one row are closer
        if away > limit * line.height or crossed > len(gaps) / 3:
            break
        found.append(line)
        start = line.box[1] if above else line.box[3]
    while found and 2 * len(found[-1].pieces) < len(gaps) + 1:
        found.pop()
    return [] if found and max(len(line.pieces) for line in found) < 2 else found
