"""Pictures that one table fills, as screenshots and crops do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from tallow.documents.content import PageContent
from tallow.documents.detection.text_lines import (
    TextLine,
    is_running_text,
    is_tabular,
    lines_within,
)
from tallow.documents.geometry import Box, share_inside, union
from tallow.documents.steps import Region

MARGIN = 3.0
"""Heights of a line: a page leaves more white at its edges, a crop less."""
ROWS_APART, COLUMNS_APART = 2.5, 5.0
"""Heights of a line: what is farther from a table than its rows or columns are is not of it."""
MOST_OUTSIDE = 1000
"""Pieces of text outside of tables: a picture with more is a page."""
LEAST_SIDES = 3
"""Sides of a crop that have no margin; the fourth may be where a last row was cut off short."""


def whole_picture(
    content: PageContent, lines: Sequence[TextLine], regions: Sequence[Region]
) -> list[Region]:
    """One region around all content where the picture is a crop of one table, else `regions`."""
    if not lines:
        return list(regions)
    box = union(
        [*(line.box for line in lines), *(fill.box for fill in content.fills), *_rulings(content)]
    )
    if not _fills_picture(content, box, lines):
        return list(regions)
    outside = _lines_outside(lines, regions)
    if regions and not _go_on(outside, regions):
        return list(regions)
    many = [region for region in regions if len(lines_within(lines, region.box)) >= 3]
    if is_running_text(outside, 3) or (len(many) > 1 and _are_apart(many, lines)):
        return list(regions)
    if not regions and not is_tabular(lines):
        return []
    score = max((region.score for region in regions), default=0.5)
    return [Region(box, score, source="whole")]


def _rulings(content: PageContent) -> list[Box]:
    return [
        (each.start, each.at, each.end, each.at)
        if each.horizontal
        else (each.at, each.start, each.at, each.end)
        for each in content.rulings
    ]


def _fills_picture(content: PageContent, box: Box, lines: Sequence[TextLine]) -> bool:
    """Whether content goes to the edges of the picture."""
    height = median(line.height for line in lines)
    margins = (box[0], box[1], content.width - box[2], content.height - box[3])
    return sum(margin <= MARGIN * height for margin in margins) >= LEAST_SIDES


def _lines_outside(lines: Sequence[TextLine], regions: Sequence[Region]) -> list[TextLine]:
    return [
        line
        for line in lines
        if not any(share_inside(line.box, region.box) > 0.5 for region in regions)
    ]


def _go_on(outside: Sequence[TextLine], regions: Sequence[Region]) -> bool:
    """Whether all lines outside are reached from the tables, none over more than usual white.

    Menus, side bars and page numbers of screens are not. Where rulings that cross hold the table,
    titles and notes of one piece are not of it.
    """
    pieces = [(box, line.height) for line in outside for box in line.pieces]
    if len(pieces) > MOST_OUTSIDE:
        return False
    grids = any("grid" in region.source for region in regions)
    if grids and outside and all(len(line.pieces) == 1 for line in outside):
        return False
    reached = [region.box for region in regions]
    while pieces:
        near = [each for each in pieces if any(_is_near(each[0], box, each[1]) for box in reached)]
        if not near:
            return False
        reached = [box for box, _ in near]
        pieces = [each for each in pieces if each not in near]
    return True


def _is_near(a: Box, b: Box, height: float) -> bool:
    """Whether two boxes are over or beside each other with no more than usual white between."""
    across = max(a[0], b[0]) - min(a[2], b[2])
    down = max(a[1], b[1]) - min(a[3], b[3])
    return (across <= 0 and down <= ROWS_APART * height) or (
        down <= 0 and across <= COLUMNS_APART * height
    )


def _are_apart(regions: Sequence[Region], lines: Sequence[TextLine]) -> bool:
    """Whether tables are clearly several: beside each other, or with a caption or white between."""
    ordered = sorted(regions, key=lambda region: region.box[1])
    height = median(line.height for line in lines)
    for above, below in pairwise(ordered):
        if below.box[1] < above.box[3] - height:  # beside each other
            return True
        if below.box[1] - above.box[3] > 2 * height:
            return True
    return False
