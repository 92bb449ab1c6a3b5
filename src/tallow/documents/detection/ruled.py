"""Tables by what is drawn: rulings that cross, level ones of one extent, stripes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from tallow.documents.content import Fill, PageContent, Ruling
from tallow.documents.detection.rows_outside import between_sides, with_rows_outside
from tallow.documents.detection.text_lines import (
    TextLine,
    is_running_text,
    is_tabular,
    lines_within,
)
from tallow.documents.geometry import Box, area, share_inside, union
from tallow.documents.steps import Region


def ruled_regions(content: PageContent, lines: Sequence[TextLine]) -> list[Region]:
    """Where rulings or stripes make a table; "grid" where they cross, else "rules"."""
    em = median(line.height for line in lines) if lines else 10.0
    groups, loose = crossing(content.rulings, em)
    regions = []
    level = [each for each in loose if each.horizontal]
    for group in groups:
        box = box_of_rulings(group)
        if _is_grid(group, box, lines_within(lines, box)):
            regions.append(Region(box, 0.95, source="grid"))
        else:
            level += [each for each in group if each.horizontal]
    grids = [region.box for region in regions]
    stacks = [with_rows_outside(box, lines) for box in _stacks(level, em, lines)]
    for box in [*stacks, *_stripes(content.fills, em, lines)]:
        if any(share_inside(box, grid) > 0.8 for grid in grids):
            continue
        if is_tabular(lines_within(lines, box)):
            regions.append(Region(box, 0.85, source="rules"))
    return regions


def box_of_rulings(rulings: Sequence[Ruling]) -> Box:
    """The box around rulings."""
    return union(
        (each.start, each.at, each.end, each.at)
        if each.horizontal
        else (each.at, each.start, each.at, each.end)
        for each in rulings
    )


def crossing(rulings: Sequence[Ruling], em: float) -> tuple[list[list[Ruling]], list[Ruling]]:
    """Groups of rulings that cross or touch each other, and those that are alone."""
    slack = em / 2
    parent = list(range(len(rulings)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    level = [index for index, each in enumerate(rulings) if each.horizontal]
    upright = [index for index, each in enumerate(rulings) if not each.horizontal]
    upright.sort(key=lambda index: rulings[index].at)
    places = [rulings[index].at for index in upright]
    for a in level:
        h = rulings[a]
        first, last = bisect_left(places, h.start - slack), bisect_right(places, h.end + slack)
        for b in upright[first:last]:
            v = rulings[b]
            if v.start - slack <= h.at <= v.end + slack:
                parent[root(a)] = root(b)
    groups: dict[int, list[Ruling]] = {}
    for index, each in enumerate(rulings):
        groups.setdefault(root(index), []).append(each)
    return (
        [group for group in groups.values() if len(group) > 1],
        [group[0] for group in groups.values() if len(group) == 1],
    )


def _is_grid(group: Sequence[Ruling], box: Box, lines: Sequence[TextLine]) -> bool:
    """Whether crossing rulings are a table's, not a frame around text, a box or a page.

    A frame with paragraphs in it is a page's or a box's, whatever else it holds.
    """
    level = len({round(each.at) for each in group if each.horizontal})
    upright = len({round(each.at) for each in group if not each.horizontal})
    if level < 2 or upright < 1 or area(box) == 0 or not lines:
        return False
    cells = max(level - 1, 1) * max(upright - 1, 1)
    framed = len(group) > 2 and is_tabular(lines) and not is_running_text(lines)
    return cells >= 4 or framed


def _stacks(level: Sequence[Ruling], em: float, lines: Sequence[TextLine]) -> list[Box]:
    """Boxes of level rulings of one extent that stand over each other with text between."""
    stacks: list[list[Ruling]] = []
    for each in sorted(level, key=lambda ruling: ruling.at):
        for stack in stacks:
            last = stack[-1]
            alike = abs(each.start - last.start) + abs(each.end - last.end) <= 3 * em
            if alike and _goes_on(stack, each, lines, em):
                stack.append(each)
                break
        else:
            stacks.append([each])
    return [box_of_rulings(stack) for stack in stacks if len(stack) > 1]


def _goes_on(stack: list[Ruling], ruling: Ruling, lines: Sequence[TextLine], em: float) -> bool:
    """Whether what is between a stack and the next ruling belongs to one table."""
    box = (ruling.start, stack[-1].at, ruling.end, ruling.at)
    between = lines_within(lines, box)
    return not is_running_text(between) and (len(between) <= 3 or is_tabular(between))


def _stripes(fills: Sequence[Fill], em: float, lines: Sequence[TextLine]) -> list[Box]:
    """Boxes of filled bands of one extent that follow each other, with the rows beside them."""
    found: list[list[Box]] = []
    for fill in sorted(fills, key=lambda each: each.box[1]):
        box = fill.box
        if box[3] - box[1] < em or box[3] - box[1] > 12 * em:
            continue
        for bands in found:
            last = bands[-1]
            alike = abs(box[0] - last[0]) + abs(box[2] - last[2]) <= 2 * em
            if alike and box[1] - last[3] <= 6 * em:
                bands.append(box)
                break
        else:
            found.append([box])
    return [
        _with_plain_rows(bands, em, lines)
        for bands in found
        if len(bands) > 1 and bands[0][2] - bands[0][0] > 8 * em
    ]


HEADER = 5.0
"""Heights of a line that a header without a fill may take over the first row."""


def _with_plain_rows(bands: Sequence[Box], em: float, lines: Sequence[TextLine]) -> Box:
    """The box of stripes with the row and header over the first and the row under the last.

    Every other row is not filled, so that stripes alone leave out up to two rows at the ends: a
    plain row is as high as those between stripes, and a header has no stripe.
    """
    left, top, right, bottom = union(bands)
    plain = max((b[1] - a[3] for a, b in pairwise(bands)), default=0.0)
    over = [line for line in reversed(lines) if line.box[3] <= top + em / 2]
    under = [line for line in lines if line.box[1] >= bottom - em / 2]
    above = _next_to(over, (left, right), lambda line: top - line.box[1], plain + HEADER * em)
    below = _next_to(under, (left, right), lambda line: line.box[3] - bottom, plain)
    return union([(left, top, right, bottom), *(line.box for line in [*above, *below])])


def _next_to(
    lines: Sequence[TextLine],
    sides: tuple[float, float],
    distance: Callable[[TextLine], float],
    most: float,
) -> list[TextLine]:
    """Lines between two sides up to a distance, from the nearest on, the last of several pieces."""
    found: list[TextLine] = []
    for line in between_sides(lines, sides):
        if line is None:
            break
        away = distance(line) - (distance(found[-1]) if found else 0.0)
        if distance(line) > most or away > 3 * line.height:
            break
        found.append(line)
    while found and len(found[-1].pieces) < 2:  # as a caption
        found.pop()
    return found
