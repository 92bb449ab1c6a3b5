"""Where the tables of a page are: rulings, a layout model and white space, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from tallow.documents.content import PageContent
from tallow.documents.detection.aligned import aligned_regions
from tallow.documents.detection.heads import with_heads
from tallow.documents.detection.legible import is_legible
from tallow.documents.detection.prose import PROSE, lines_without, running
from tallow.documents.detection.ruled import ruled_regions
from tallow.documents.detection.text_lines import (
    GAP,
    LONG,
    TextLine,
    is_tabular,
    lines_within,
    text_lines,
    words_within,
)
from tallow.documents.detection.trimming import trimmed
from tallow.documents.detection.whole import whole_picture
from tallow.documents.geometry import Box, area, center, overlap, share_inside, union
from tallow.documents.steps import Region
from tallow.documents.turning import main_turn, turned, turned_box
from tallow.lazy_dataclasses import replace

if TYPE_CHECKING:
    from tallow.documents.detection.layout import Part

LEAST_LAYOUT = 0.5
"""Score of a table that the layout model sees, where nothing else speaks for it."""
MOST_OF_TABLE = 0.7
"""A grid as high as this share of what others call the table is all of it."""
BESIDE = 3.0
"""Heights of a line: columns that are farther from a grid, at their longest, are another table's.
Labels, which are one column, may be twice as far."""
ALL_WORDS = 0.9
"""Of a page's words that one grid holds: what is left are a title, a note or a page's number."""

FindTables = Callable[[PageContent], Sequence[Region]]
"""A model that looks at a page's picture; its regions are in units of the page."""


def detect(content: PageContent) -> list[Region]:
    """The tables of a page, in order of reading; none where it has none.

    A picture that is filled by one table gives all of it.
    """
    return detect_with(content, layout_tables)


def detect_without_models(content: PageContent) -> list[Region]:
    """As `detect`, by what is drawn and by white space alone."""
    return detect_with(content, lambda content: [])


def layout_tables(content: PageContent) -> list[Region]:
    """The tables and the paragraphs (source "text") that the layout model sees in the picture."""
    from tallow.documents.detection.layout import layout_of

    return from_parts(layout_of(content.pixels()), content.scale)


def from_parts(parts: Sequence[Part], scale: float) -> list[Region]:
    """What of a layout is tables and paragraphs; `scale` pixels are one unit of the page."""
    regions = []
    for part in parts:
        if part.label in ("table", "text") and part.score >= LEAST_LAYOUT:
            left, top, right, bottom = (value / scale for value in part.box)
            source = PROSE if part.label == "text" else "layout"
            regions.append(Region((left, top, right, bottom), part.score, source=source))
    return regions


def detect_with(content: PageContent, find: FindTables) -> list[Region]:
    """`detect` with a model of one's own beside the evidence of the page."""
    turn = -main_turn(content.words) % 360
    upright = turned(content, turn)
    lines = text_lines(upright.words)
    drawn = ruled_regions(upright, lines)
    parts = [] if _is_drawn(drawn, lines) else list(find(upright))
    prose = running(parts, drawn, lines)
    apart = lines_without(lines, prose)
    seen = [part for part in parts if part.source != PROSE and _has_columns(part, lines)]
    spaced = aligned_regions(apart)
    regions = merged(drawn, seen, spaced, lines, apart)
    regions = [trimmed(region, upright.rulings, apart) for region in regions]
    regions = in_order([*regions, *_left_over(regions, apart)])
    if content.source == "picture":
        regions = whole_picture(upright, lines, regions)
        regions = [
            each
            for each in regions
            if is_legible(words_within(lines, each.box), seen=bool(drawn or seen))
        ]
    else:
        regions = [with_heads(each, lines, upright.rulings, regions) for each in regions]
    regions = [_around_words(region, lines) for region in regions]
    if turn:
        size = upright.width, upright.height
        regions = [
            replace(region, box=turned_box(region.box, -turn % 360, *size)) for region in regions
        ]
    return regions


def _is_drawn(drawn: Sequence[Region], lines: Sequence[TextLine]) -> bool:
    """Whether one grid holds nearly all words of the page, so that no model need be asked."""
    count = sum(len(line.words) for line in lines)
    grids = [region.box for region in drawn if region.source == "grid"]
    held = [sum(len(line.words) for line in lines_within(lines, box)) for box in grids]
    return len(grids) == 1 and held[0] >= ALL_WORDS * count


def _has_columns(region: Region, lines: Sequence[TextLine]) -> bool:
    """Whether there is more than running text where a model sees a table.

    A list of one column may be a table to it; lines that go from side to side are not.
    """
    inside = lines_within(lines, region.box)
    whole = [line for line in inside if len(line.pieces) == 1]
    long = [line for line in whole if line.lengths[0] > LONG]
    return bool(inside) and (is_tabular(inside) or len(long) < max(1, 0.3 * len(inside)))


def merged(
    drawn: Sequence[Region], seen: Sequence[Region], spaced: Sequence[Region],
    lines: Sequence[TextLine], apart: Sequence[TextLine],
) -> list[Region]:  # fmt: skip
    """One region for each table of what rulings, a model and white space give.

    `apart` are the lines without those of paragraphs.
    """
    groups: list[list[Region]] = []
    for region in [*drawn, *seen, *spaced]:
        near = [group for group in groups if any(_same(region, other) for other in group)]
        if region.source == "alignment" and len(near) > 1:
            continue  # white space goes on from one table to the next
        groups = [group for group in groups if group not in near]
        groups.append([region, *(each for group in near for each in group)])
    found = [region for group in groups for region in _tables(group, lines, apart)]
    return in_order(found)


def in_order(regions: Sequence[Region]) -> list[Region]:
    """Regions from the top, and from the left where they begin at one height."""
    return sorted(regions, key=lambda region: (region.box[1], region.box[0]))


def _left_over(regions: Sequence[Region], lines: Sequence[TextLine]) -> list[Region]:
    """Tables by white space alone in what other tables leave, and away from them.

    Beside a table that is drawn, lines of the page go through both.
    """
    if not regions:
        return []
    rest = lines_without(lines, [region.box for region in regions])
    return [
        found
        for found in aligned_regions(rest)
        if not any(_touches(found.box, region.box, lines) for region in regions)
    ]


def _touches(a: Box, b: Box, lines: Sequence[TextLine]) -> bool:
    """Whether two boxes overlap, or are closer than two tables beside each other."""
    near = BESIDE * median(line.height for line in lines)
    across = max(a[0], b[0]) - min(a[2], b[2])
    down = max(a[1], b[1]) - min(a[3], b[3])
    return (across < near and down < 0) or (across < 0 and down < near / 2)


def _same(a: Region, b: Region) -> bool:
    """Whether two regions are of the same table, or of tables that one of them holds."""
    small, large = sorted((a.box, b.box), key=area)
    return share_inside(small, large) > 0.5


def _tables(
    group: Sequence[Region], lines: Sequence[TextLine], apart: Sequence[TextLine]
) -> list[Region]:
    """The tables of regions that overlap: more than one where captions stand between grids."""
    grids = sorted((each for each in group if each.source == "grid"), key=lambda r: r.box[1])
    score = max(region.score for region in group)
    score = 1 - (1 - score) * 0.5 ** (len({region.source for region in group}) - 1)
    source = "+".join(sorted({region.source for region in group}))
    if not grids:
        sure = [each for each in group if each.source != "alignment"] or list(group)
        return [Region(union(each.box for each in sure), score, source=source)]
    clusters = [[grids[0].box]]
    for grid in grids[1:]:
        if _divided(union(clusters[-1]), grid.box, lines):
            clusters.append([grid.box])
        else:
            clusters[-1].append(grid.box)
    found = []
    for cluster in clusters:
        box = _with_sides(union(cluster), group, apart, alone=len(clusters) == 1)
        found.append(Region(box, score, source=source))
    return found


def _divided(above: Box, below: Box, lines: Sequence[TextLine]) -> bool:
    """Whether text of one piece, as a caption or a paragraph, stands between two grids."""
    if overlap((above[0], above[2]), (below[0], below[2])) <= 0:
        return True
    gap = (min(above[0], below[0]), above[3], max(above[2], below[2]), below[1])
    between = lines_within(lines, gap)
    height = median(line.height for line in lines) if lines else 1.0
    if not between:
        return below[1] - above[3] > 3 * height
    return any(len(line.pieces) == 1 for line in between)


def _with_sides(
    box: Box, group: Sequence[Region], lines: Sequence[TextLine], *, alone: bool
) -> Box:
    """A grid's box with the columns beside it, and the rows over it where they are most of it."""
    others = [
        each.box for each in group if each.source != "grid" and share_inside(box, each.box) > 0.5
    ]
    if not others:
        return box
    seen = union([box, *(each.box for each in group if each.source in ("layout", "rules"))])
    if alone and box[3] - box[1] < MOST_OF_TABLE * (seen[3] - seen[1]):
        more = [line for line in lines_within(lines, seen)
                if not box[1] <= center(line.box)[1] <= box[3]]  # fmt: skip
        if 2 * sum(len(line.pieces) > 1 for line in more) >= len(more):
            return seen
    whole = union([box, *others])
    left, right = box[0], box[2]
    rows = lines_within(lines, (whole[0], box[1], whole[2], box[3]))
    outside = [
        [word.box for word in line.words if not box[0] <= center(word.box)[0] <= box[2]]
        for line in rows
    ]
    beside = [each for each in outside if each]
    if len(beside) >= max(2, 0.4 * len(rows)):
        labels = sum(_is_one_column(each, box) for each in beside) >= 0.8 * len(beside)
        near = BESIDE * (2 if labels else 1) * median(line.height for line in rows)
        edges = _reached(box, [each for boxes in beside for each in boxes], near)
        left, right = min(left, edges[0]), max(right, edges[2])
    return left, box[1], right, box[3]


def _is_one_column(words: Sequence[Box], box: Box) -> bool:
    """Whether words of a line, on one side of a box, are one piece."""
    left = [each[0] >= box[2] for each in words]
    if any(left) != all(left):
        return False
    ordered = sorted(words)
    return all(b[0] - a[2] <= GAP * (a[3] - a[1]) for a, b in pairwise(ordered))


def _reached(box: Box, beside: Sequence[Box], near: float) -> Box:
    """A box with those beside it that are reached from it by gaps of at most `near`."""
    left, right = box[0], box[2]
    for each in sorted((b for b in beside if b[0] >= box[2]), key=lambda b: b[0]):
        if each[0] - right <= near:
            right = max(right, each[2])
    for each in sorted((b for b in beside if b[0] < box[2]), key=lambda b: -b[2]):
        if left - each[2] <= near:
            left = min(left, each[0])
    return left, box[1], right, box[3]


def _around_words(region: Region, lines: Sequence[TextLine]) -> Region:
    """A region that cuts no word which has its middle in it."""
    inside = [word.box for line in lines_within(lines, region.box) for word in line.words]
    return replace(region, box=union([region.box, *inside])) if inside else region
