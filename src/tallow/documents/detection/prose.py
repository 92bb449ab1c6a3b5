"""Running text that a layout model sees: what stands there is beside a table, not in it."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.documents.detection.text_lines import TextLine, lines_within, text_lines
from tallow.documents.geometry import Box, share_inside
from tallow.documents.steps import Region

PROSE = "text"
"""Source of regions that are paragraphs, not tables."""
ONE_PIECE = 0.8
"""Of a paragraph's lines that no wide gap divides; justified ones have a gap here and there."""
LEAST_LENGTH = 20
"""Characters in a paragraph's lines in the mean: narrow columns of text have more, cells fewer."""


def running(
    parts: Sequence[Region], drawn: Sequence[Region], lines: Sequence[TextLine]
) -> list[Box]:
    """The boxes of parts that hold paragraphs, outside of what is drawn as a grid."""
    grids = [region.box for region in drawn if region.source == "grid"]
    tables = [region for region in parts if region.source != PROSE]
    return [
        part.box
        for part in parts
        if part.source == PROSE
        and not any(share_inside(part.box, grid) > 0.5 for grid in grids)
        and not any(share_inside(part.box, each.box) > 0.5 and each.score >= part.score
                    for each in tables)
        and _is_paragraph(lines_within(lines, part.box))
    ]  # fmt: skip


def _is_paragraph(lines: Sequence[TextLine]) -> bool:
    """Whether lines are mostly of one piece, and longer than what cells hold."""
    whole = [line for line in lines if len(line.pieces) == 1]
    if len(lines) < 2 or len(whole) < ONE_PIECE * len(lines):
        return False
    return sum(line.lengths[0] for line in whole) >= LEAST_LENGTH * len(whole)


def lines_without(lines: Sequence[TextLine], boxes: Sequence[Box]) -> list[TextLine]:
    """Lines anew, of the words that do not have their middle in a box."""
    if not boxes:
        return list(lines)
    words = [
        word
        for line in lines
        for word in line.words
        if not any(
            box[0] <= (word.box[0] + word.box[2]) / 2 <= box[2]
            and box[1] <= (word.box[1] + word.box[3]) / 2 <= box[3]
            for box in boxes
        )
    ]
    return text_lines(words)
