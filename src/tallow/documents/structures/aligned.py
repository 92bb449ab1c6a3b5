"""Structure from words alone: columns by white gaps, rows by distances, spans by extent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tallow.documents.content import PageContent, Ruling
from tallow.documents.geometry import Box
from tallow.documents.steps import Region
from tallow.documents.structure import Structure, tiled
from tallow.documents.structures.columns import column_edges
from tallow.documents.structures.grouping import Row, rows_of
from tallow.documents.structures.lines import lines_of, parted, text_height, words_within
from tallow.documents.structures.spans import column_spans, slots_of

_MOST_WORDS = 20_000  # of a table

SOURCE = "white space"


def propose(content: PageContent, region: Region) -> list[Structure]:
    """Structures of the words in a region, upright; none where it has fewer than two.

    The first joins lines that go on into cells above; others leave each line a row, and let labels
    span the blank cells below them, where that makes a difference.
    """
    words = words_within(content, region.box)
    if not 2 <= len(words) <= _MOST_WORDS:
        return []
    height = text_height(words)
    lines = lines_of(words, height)
    edges = column_edges(lines, height, region.box[0], region.box[2])
    lines = parted(lines, edges, height)
    rulings = rulings_within(content, region.box, height)
    found: list[Structure] = []
    for joining, blanks_join, confidence in (
        (True, True, 0.6),
        (True, False, 0.5),
        (False, False, 0.4),
    ):
        rows = rows_of(lines, edges, rulings, height, joining)
        made = structure_of(rows, edges, rulings, height, region.box, blanks_join, confidence)
        if not any(same(made, other) for other in found):
            found.append(made)
    return found


def rulings_within(content: PageContent, box: Box, height: float) -> list[Ruling]:
    """The rulings that run through a box or along its border."""
    left, top, right, bottom = box
    near = 0.5 * height
    found = []
    for each in content.rulings:
        across = (top, bottom) if each.horizontal else (left, right)
        along = (left, right) if each.horizontal else (top, bottom)
        inside = across[0] - near <= each.at <= across[1] + near
        if inside and min(each.end, along[1]) - max(each.start, along[0]) > 0:
            found.append(each)
    return found


def structure_of(
    rows: Sequence[Row],
    edges: Sequence[float],
    rulings: Sequence[Ruling],
    height: float,
    box: Box,
    blanks_join: bool,
    confidence: float,
) -> Structure:
    """Rows of lines and edges of columns as a structure."""
    spans = column_spans(rows, edges, rulings, height)
    slots = slots_of(rows, edges, spans, rulings, height, blanks_join)
    borders = row_borders(rows, rulings, box)
    return Structure(
        len(rows), len(edges) - 1, tiled(len(rows), len(edges) - 1, slots), SOURCE, confidence,
        sum(row.header for row in rows), tuple(borders), tuple(edges),
    )  # fmt: skip


def row_borders(rows: Sequence[Row], rulings: Sequence[Ruling], box: Box) -> list[float]:
    """Where rows begin and end: at a rule between them, else half way between their texts."""
    borders = [min(box[1], rows[0].top)]
    for above, below in pairwise(rows):
        upper, lower = above.lines[-1].middle, below.lines[0].middle
        ruled = [each.at for each in rulings if each.horizontal and upper < each.at < lower]
        border = ruled[0] if ruled else (above.bottom + below.top) / 2
        borders.append(max(border, borders[-1] + 1e-3))
    borders.append(max(box[3], rows[-1].bottom, borders[-1] + 1e-3))
    return borders


def same(a: Structure, b: Structure) -> bool:
    """Whether two structures have the same cells."""
    shape = [(each.row, each.column, each.row_span, each.column_span) for each in a.slots]
    return shape == [(each.row, each.column, each.row_span, each.column_span) for each in b.slots]
