"""Structure from rulings and edges of filled areas, with white space where none are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tallow.documents.content import Fill, PageContent, Ruling
from tallow.documents.geometry import Box, union
from tallow.documents.steps import Region
from tallow.documents.structure import Structure, tiled
from tallow.documents.structures.aligned import rulings_within
from tallow.documents.structures.columns import column_edges
from tallow.documents.structures.grouping import column_of, filled, is_number, rows_of
from tallow.documents.structures.lattice import Lattice, Level, levels_of
from tallow.documents.structures.lines import Line, lines_of, parted, text_height, words_within

_MOST_WORDS = 20_000  # of a table
_MOST_LEVELS = 400  # of rows or of columns
_MOST_FILLS = 5_000
_LEAST_RULES = 5  # that part rows, where no columns are drawn
_SHARED = 0.3  # of a table's side, that the side of one fill must take to be a border
_TOGETHER = 0.7  # of it, that those of several must

# Of the height of text.
_NEAR = 0.35  # rulings nearer than that are one border
_SHORTEST = 1.2  # a border is drawn at least so long
_TOUCHING = 0.35  # the end of a ruling that touches another is nearer
_NARROWEST = 0.45  # a row or column is at least so wide
_SMALLEST_FILL = 0.8
_MEET = 0.1  # areas nearer than that touch: a line may have been drawn between others

SOURCE = "rulings"


def propose(content: PageContent, region: Region) -> list[Structure]:
    """Structures of the rulings and fills in a region, upright; none where there are too few.

    Borders come from rulings and edges of fills; where none part columns, or rows, from white
    space. A border that is not drawn between two places joins them, unless their text says that
    they are two.
    """
    words = words_within(content, region.box)
    if len(words) > _MOST_WORDS:
        return []
    height = text_height(words)
    lines = lines_of(words, height) if words else []
    borders = _without_strokes(rulings_within(content, region.box, height), height)
    borders += edges_of_fills(content.fills[:_MOST_FILLS], region.box, height)
    made = [_lattice(borders, lines, region.box, height, more) for more in (False, True)]
    found: list[Structure] = []
    for lattice, confidence in zip(made, (0.8, 0.7), strict=True):
        if lattice is not None:
            structure = _structure(lattice, confidence)
            if structure not in found:
                found.append(structure)
    return found


def _structure(lattice: Lattice, confidence: float) -> Structure:
    rows, columns = lattice.shape
    return Structure(
        rows, columns, tiled(rows, columns, lattice.slots()), SOURCE, confidence, None,
        tuple(level.at for level in lattice.rows), tuple(level.at for level in lattice.columns),
    )  # fmt: skip


def _without_strokes(rulings: Sequence[Ruling], height: float) -> list[Ruling]:
    """Rulings without those that are alone inside one column and touch neither of its sides.

    Such are lines under words; rules under heads are no less free, in tables without columns drawn.
    """
    upright = [each for each in rulings if not each.horizontal]
    near = _TOUCHING * height
    kept = []
    for each in rulings:
        beside = [r.at for r in upright if r.start - near <= each.at <= r.end + near]
        left = [at for at in beside if at <= each.start + near]
        right = [at for at in beside if at >= each.end - near]
        alone = not any(
            r.horizontal
            and abs(r.at - each.at) + abs(r.start - each.start) > 0
            and abs(r.at - each.at) <= near
            for r in rulings
        )
        free = each.horizontal and left and right and alone
        if free and each.start - max(left) > near and min(right) - each.end > near:
            continue
        kept.append(each)
    return kept


def edges_of_fills(fills: Sequence[Fill], box: Box, height: float) -> list[Ruling]:
    """The sides of filled areas as rulings of no thickness, but where areas of one colour meet."""
    left, top, right, bottom = box
    near = _MEET * height
    inside = [
        fill
        for fill in fills
        if min(fill.box[2], right) - max(fill.box[0], left) > _SMALLEST_FILL * height
        and min(fill.box[3], bottom) - max(fill.box[1], top) > _SMALLEST_FILL * height
    ]
    found = []
    for fill in inside:
        a, b, c, d = fill.box
        others = [each for each in inside if each is not fill and each.colour == fill.colour]
        for horizontal, at, start, end in (
            (True, b, a, c), (True, d, a, c), (False, a, b, d), (False, c, b, d),
        ):  # fmt: skip
            within = (top, bottom) if horizontal else (left, right)
            if not within[0] - near <= at <= within[1] + near:
                continue
            free = [(start, end)]
            for each in others:
                free = _without(free, _meeting(each.box, horizontal, at, near))
            found += [Ruling(horizontal, at, a, b, 0.0) for a, b in free if b - a > near]
    return found


def _meeting(box: Box, horizontal: bool, at: float, near: float) -> tuple[float, float]:
    """The stretch of a side at `at` that another area lies on both sides of, or goes on behind."""
    low, high = (box[1], box[3]) if horizontal else (box[0], box[2])
    across = low < at - near and high > at + near
    if across or min(abs(low - at), abs(high - at)) <= near:
        return (box[0], box[2]) if horizontal else (box[1], box[3])
    return (0.0, 0.0)


def _without(
    pieces: list[tuple[float, float]], gone: tuple[float, float]
) -> list[tuple[float, float]]:
    """Stretches without the part that another one covers."""
    left = []
    for start, end in pieces:
        if gone[1] <= start or gone[0] >= end:
            left.append((start, end))
            continue
        if gone[0] > start:
            left.append((start, gone[0]))
        if gone[1] < end:
            left.append((gone[1], end))
    return left


def _lattice(
    borders: Sequence[Ruling], lines: list[Line], box: Box, height: float, more_columns: bool
) -> Lattice | None:
    """The grid of a region; `more_columns` looks for white gaps in ruled columns, too."""
    near, shortest = _NEAR * height, _SHORTEST * height
    borders = _without_odd_fills(borders, box, near)
    ys = levels_of([each for each in borders if each.horizontal], near, shortest)
    xs = levels_of([each for each in borders if not each.horizontal], near, shortest)
    if len(ys) + len(xs) < 3 or max(len(ys), len(xs)) > _MOST_LEVELS:
        return None
    ys = _framed(ys, xs, lines, box, height, horizontal=True)
    xs = _framed(xs, ys, lines, box, height, horizontal=False)
    ys, xs = _wide_enough(ys, height), _wide_enough(xs, height)
    if len(ys) < 2 or len(xs) < 2:
        return None
    xs = _with_gaps(xs, lines, height, more_columns)
    if len(xs) < 3 and len(ys) < 3:
        return None
    lines = parted(lines, [level.at for level in xs], height)
    drawn = len(ys)
    ys = _with_rows(ys, xs, lines, borders, height)
    striped = sum(each.horizontal and _is_side(each) for each in borders) > 2
    open_columns = not striped and not any(level.drawn for level in xs[1:-1])
    if open_columns and (len(ys) > drawn or drawn < _LEAST_RULES):
        return None  # rules under heads and between groups: a table for white space alone
    return Lattice(ys, xs, lines, height)


def _without_odd_fills(borders: Sequence[Ruling], box: Box, near: float) -> list[Ruling]:
    """Borders without sides of fills that few others share, where rulings are drawn that way.

    Areas found in pictures end early now and then.
    """
    kept = []
    for each in borders:
        drawn = [r for r in borders if r.horizontal == each.horizontal and not _is_side(r)]
        low, high = (0, 2) if each.horizontal else (1, 3)
        along = [
            r.end - r.start
            for r in borders
            if r.horizontal == each.horizontal and abs(r.at - each.at) <= near
        ]
        side = box[high] - box[low]
        shared = max(along) > _SHARED * side or sum(along) > _TOGETHER * side
        if len(drawn) < 3 or not _is_side(each) or shared:
            kept.append(each)
    return kept


def _is_side(border: Ruling) -> bool:
    return border.thickness == 0.0


def _framed(
    levels: list[Level],
    across: list[Level],
    lines: Sequence[Line],
    box: Box,
    height: float,
    horizontal: bool,
) -> list[Level]:
    """Levels with an outer one on each side where rulings across, or text, go beyond them."""
    low, high = (1, 3) if horizontal else (0, 2)
    pieces = [piece.box for line in lines for piece in line.pieces]
    ends = [end for level in across for piece in level.pieces for end in piece]
    ends = [end for end in ends if box[low] - height <= end <= box[high] + height]
    starts = [each[low] for each in pieces] + ends
    stops = [each[high] for each in pieces] + ends
    if not starts:
        return levels
    first, last = min(starts), max(stops)
    middles = [(each[low] + each[high]) / 2 for each in pieces] or [first, last]
    levels = list(levels)
    if not levels or min([*middles, *ends]) < levels[0].at - 0.5 * height:
        levels.insert(0, Level(first, [], drawn=False))
    if max([*middles, *ends]) > levels[-1].at + 0.5 * height or len(levels) < 2:
        levels.append(Level(last, [], drawn=False))
    return levels


def _wide_enough(levels: list[Level], height: float) -> list[Level]:
    """Levels without the second of two that nothing fits between."""
    kept: list[Level] = []
    for level in levels:
        if kept and level.at - kept[-1].at < _NARROWEST * height:
            kept[-1].pieces += level.pieces
            continue
        kept.append(level)
    return kept


def _with_gaps(
    xs: list[Level], lines: Sequence[Line], height: float, more_columns: bool
) -> list[Level]:
    """Columns' borders with those that white space shows.

    Where no border is drawn inside, all of them; else (with `more_columns`) those with text on
    both sides in most lines, as in tables with one line behind their labels.
    """
    inner = [level.at for level in xs[1:-1]]
    if inner and not more_columns:
        return xs
    edges = column_edges(lines, height, xs[0].at, xs[-1].at, inner)
    added = [
        Level(edge, [], drawn=False)
        for index, edge in enumerate(edges)
        if 0 < index < len(edges) - 1
        and edge not in inner
        and (not inner or _both_sides(index, edges, inner, lines))
    ]
    return sorted([*xs, *added], key=lambda level: level.at)


def _both_sides(
    index: int, edges: Sequence[float], inner: Sequence[float], lines: Sequence[Line]
) -> bool:
    """Whether most lines with text in a drawn column have it on both sides of an edge inside."""
    drawn = [edges[0], *inner, edges[-1]]
    left = max(edge for edge in drawn if edge < edges[index])
    right = min(edge for edge in drawn if edge > edges[index])
    both = some = 0
    for line in lines:
        columns = {
            column
            for column in filled(line, edges)
            if edges[column] >= left - 1e-6 and edges[column + 1] <= right + 1e-6
        }
        some += bool(columns)
        both += bool({index - 1, index} <= columns)
    return both >= 2 and both >= 0.5 * some


def _with_rows(
    ys: list[Level],
    xs: list[Level],
    lines: Sequence[Line],
    borders: Sequence[Ruling],
    height: float,
) -> list[Level]:
    """Rows' borders with those between lines that no ruling parts but that are rows.

    A ruled row is several rows where most of its lines begin in the first column and have text in
    others.
    """
    edges = [level.at for level in xs]
    rulings = [each for each in borders if each.horizontal]
    result = [ys[0]]
    for upper, lower in pairwise(ys):
        inside = [line for line in lines if upper.at < line.middle < lower.at]
        headed = upper is ys[0] and not upper.drawn  # over stripes, which leave the header out
        if len(edges) > 2 and _are_rows(inside, edges, headed):
            rows = rows_of(inside, edges, rulings, height)
            for above, below in pairwise(rows):
                result.append(Level((above.bottom + below.top) / 2, [], drawn=False))
        result.append(lower)
    return result


def _are_rows(lines: Sequence[Line], edges: Sequence[float], headed: bool) -> bool:
    """Whether lines are rows of their own; a header's (`headed`) may have no text over labels."""
    if len(lines) < 2:
        return False
    starts = sum(0 in filled(line, edges) for line in lines[headed:]) + headed
    several = sum(len(filled(line, edges)) > 1 for line in lines)
    return min(starts, several) >= 0.7 * len(lines) and not _is_wrapped(lines, edges)


def _is_wrapped(lines: Sequence[Line], edges: Sequence[float]) -> bool:
    """Whether lines go on in the next ones: most end where its first word had no room left.

    Cells of numbers are not wrapped, however narrow their column is.
    """
    pieces = [piece for line in lines for piece in line.pieces if piece.box[0] >= edges[1]]
    if sum(is_number(piece.text) for piece in pieces) >= 0.5 * len(pieces):
        return False
    full = sum(_goes_on(upper, lower, edges) for upper, lower in pairwise(lines))
    return full >= 0.5 * (len(lines) - 1)


def _goes_on(upper: Line, lower: Line, edges: Sequence[float]) -> bool:
    """Whether wherever a column has both lines, the upper had no room for the lower's first word.

    Rows of their own are full in a column now and then, but not in all of them.
    """
    both = 0
    for column, (left, right) in enumerate(pairwise(edges)):
        first, second = (
            [each for each in line.pieces if column_of(each, edges) == column]
            for line in (upper, lower)
        )
        if not first or not second:
            continue
        whole, word = union(p.box for p in first + second), min(p.words[0].box for p in second)
        line = union(p.box for p in first)
        room = right - left - 2 * max(0.0, min(whole[0] - left, right - whole[2]))
        space = 0.3 * (word[3] - word[1])
        both += 1
        if line[2] - line[0] + space + word[2] - word[0] <= room:
            return False
    return both > 0
