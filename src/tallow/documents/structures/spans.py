"""Cells of several columns and rows: from pieces of text over gaps, rules under groups, blanks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from tallow.documents.content import Ruling
from tallow.documents.structure import Slot
from tallow.documents.structures.grouping import (
    Row,
    centred_groups,
    column_of,
    is_number,
    ruled_between,
)
from tallow.documents.structures.lines import Piece
from tallow.lazy_dataclasses import dataclass

_FEW = 0.35  # of the rows, that second labels stand in
_STRADDLES = 0.33  # of the distance of rows, that a label between two of them is off from its own

# Of the height of text.
_OVER = 0.6  # that a piece must reach beyond a border to be over it
_OFF_CENTER = 0.8  # that the middle of a group's head may be away from that of its columns


@dataclass
class Core:
    """Where the text of a column stands: from `start` to `end`."""

    start: float
    end: float


def cores_of(rows: Sequence[Row], edges: Sequence[float]) -> list[Core]:
    """The extent of each column's text that lies between its edges; the edges where it has none."""
    found = [Core(right, left) for left, right in pairwise(edges)]
    for row in rows:
        for piece in row.pieces:
            column = column_of(piece, edges)
            left, _, right, _ = piece.box
            if left >= edges[column] and right <= edges[column + 1]:
                core = found[column]
                core.start, core.end = min(core.start, left), max(core.end, right)
    return [
        core if core.start <= core.end else Core(left, right)
        for core, (left, right) in zip(found, pairwise(edges), strict=True)
    ]


def covered_columns(
    piece: Piece, edges: Sequence[float], cores: Sequence[Core], height: float
) -> tuple[int, int]:
    """The first and last column that a piece is over."""
    own = column_of(piece, edges)
    first = last = own
    over = _OVER * height
    left, _, right, _ = piece.box
    while first > 0 and left < edges[first] - over and left < cores[first - 1].end - 0.2 * height:
        first -= 1
    while (
        last < len(edges) - 2
        and right > edges[last + 1] + over
        and right > cores[last + 1].start + 0.2 * height
    ):
        last += 1
    return first, last


def column_spans(
    rows: Sequence[Row], edges: Sequence[float], rulings: Sequence[Ruling], height: float
) -> list[list[tuple[int, int]]]:
    """For each row the (first, last) columns of its cells that span several."""
    cores = cores_of(rows, edges)
    spans = []
    for index, row in enumerate(rows):
        below = rows[index + 1] if index + 1 < len(rows) else None
        spans.append(_spans_of_row(row, below, edges, cores, rulings, height))
    _over_second_labels(rows, edges, spans)
    return spans


def _over_second_labels(
    rows: Sequence[Row], edges: Sequence[float], spans: list[list[tuple[int, int]]]
) -> None:
    """Let labels span a column of second labels, which few rows and no header have text in."""
    head = sum(row.header for row in rows)
    full = [{column_of(piece, edges) for piece in row.pieces} for row in rows]
    for column in range(1, len(edges) - 2):
        few = [columns for columns in full[head:] if column in columns]
        headed = any(column in columns for columns in full[:head])
        values = sum(
            is_number(piece.text)
            for row in rows[head:]
            for piece in row.pieces
            if column_of(piece, edges) == column
        )
        if headed or not head or values or len(few) > _FEW * len(full[head:]):
            continue
        for columns, found in zip(full, spans, strict=True):
            taken = any(first <= column and column - 1 <= last for first, last in found)
            if column - 1 in columns and column not in columns and not taken:
                found.append((column - 1, column))


def _spans_of_row(
    row: Row,
    below: Row | None,
    edges: Sequence[float],
    cores: Sequence[Core],
    rulings: Sequence[Ruling],
    height: float,
) -> list[tuple[int, int]]:
    count = len(edges) - 1
    owned: dict[int, list[Piece]] = {}
    for piece in row.pieces:
        owned.setdefault(column_of(piece, edges), []).append(piece)
    found: dict[int, tuple[int, int]] = {}
    centred: dict[int, tuple[int, int]] = {}
    if row.header and below is not None and below.header:
        centred = centred_groups(row, below.lines[0], edges, height)
    for column, pieces in sorted(owned.items()):
        reach = [covered_columns(piece, edges, cores, height) for piece in pieces]
        first, last = min(a for a, _ in reach), max(b for _, b in reach)
        while first < column and any(other in owned for other in range(first, column)):
            first += 1
        while last > column and any(other in owned for other in range(column + 1, last + 1)):
            last -= 1
        if column in centred:
            first, last = centred[column]
        elif row.header and below is not None and below.header:
            first, last = _group(pieces, (first, last), owned, below, edges, cores, rulings, height)
        found[column] = (first, last)
    if len(owned) == 1 and not row.header:
        ((first, last),) = found.values()
        if last > first:
            return [(first if first else 0, count - 1)]
    return _apart([span for span in found.values() if span[1] > span[0]])


def _apart(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans without those that overlap an earlier one."""
    kept: list[tuple[int, int]] = []
    for span in sorted(spans):
        if not kept or span[0] > kept[-1][1]:
            kept.append(span)
    return kept


def _group(
    pieces: list[Piece],
    reach: tuple[int, int],
    owned: dict[int, list[Piece]],
    below: Row,
    edges: Sequence[float],
    cores: Sequence[Core],
    rulings: Sequence[Ruling],
    height: float,
) -> tuple[int, int]:
    """The columns that a piece of a header heads: by a rule under it, or by its middle."""
    bottom = max(piece.box[3] for piece in pieces)
    left, right = min(p.box[0] for p in pieces), max(p.box[2] for p in pieces)
    ruled = _ruled_columns(left, right, bottom, below, edges, cores, rulings, height)
    others = set(owned) - {column_of(piece, edges) for piece in pieces}
    if ruled is not None and not any(ruled[0] <= other <= ruled[1] for other in others):
        return ruled
    middle = (left + right) / 2
    heads = {column_of(piece, edges) for piece in below.pieces}
    best, least = reach, _off(middle, reach, cores)
    if reach[0] == reach[1] and least <= _OFF_CENTER * height:
        return reach
    for first in range(reach[0], -1, -1):
        if first in others or (first < reach[0] and first not in heads):
            break
        for last in range(reach[1], len(edges) - 1):
            if last in others or (last > reach[1] and last not in heads):
                break
            off = _off(middle, (first, last), cores)
            wide = first < reach[0] or last > reach[1]
            if off < least - 0.3 * height and (not wide or off <= _OFF_CENTER * height):
                best, least = (first, last), off
    return best


def _off(middle: float, span: tuple[int, int], cores: Sequence[Core]) -> float:
    return abs(middle - (cores[span[0]].start + cores[span[1]].end) / 2)


def _ruled_columns(
    left: float,
    right: float,
    bottom: float,
    below: Row,
    edges: Sequence[float],
    cores: Sequence[Core],
    rulings: Sequence[Ruling],
    height: float,
) -> tuple[int, int] | None:
    """The columns over a rule that runs between a head and the row below, if one does."""
    for rule in rulings:
        between = rule.horizontal and bottom - 0.6 * height < rule.at < below.bottom - 0.6 * height
        under = min(rule.end, right) - max(rule.start, left) > 0.5 * (right - left)
        partial = rule.end - rule.start < 0.9 * (edges[-1] - edges[0])
        if not (between and under and partial):
            continue
        inside = [
            column
            for column, core in enumerate(cores)
            if min(rule.end, core.end) - max(rule.start, core.start)
            > 0.5 * min(core.end - core.start, edges[column + 1] - edges[column])
        ]
        if inside:
            return min(inside), max(inside)
    return None


def slots_of(
    rows: Sequence[Row],
    edges: Sequence[float],
    spans: Sequence[list[tuple[int, int]]],
    rulings: Sequence[Ruling],
    height: float,
    blanks_join: bool,
) -> list[Slot]:
    """Cells with their spans; `blanks_join` lets labels span the blank cells below them."""
    count = len(edges) - 1
    grid = [[_Place(row, column) for column in range(count)] for row in range(len(rows))]
    for index, row in enumerate(rows):
        for piece in row.pieces:
            grid[index][column_of(piece, edges)].pieces.append(piece)
        for first, last in spans[index]:
            head = grid[index][first]
            head.columns = last - first + 1
            for column in range(first + 1, last + 1):
                head.pieces += grid[index][column].pieces
                grid[index][column].taken = True
    _join_header(rows, grid)
    _join_groups(rows, grid, _groups(rows, edges, rulings))
    if blanks_join:
        _join_blanks(rows, grid)
    return [
        Slot(place.row, place.column, place.rows, place.columns)
        for line in grid
        for place in line
        if not place.taken
    ]


class _Place:
    """A place of the grid and what of it is known."""

    def __init__(self, row: int, column: int) -> None:
        self.row, self.column, self.rows, self.columns = row, column, 1, 1
        self.pieces: list[Piece] = []
        self.taken = False


def _join_header(rows: Sequence[Row], grid: list[list[_Place]]) -> None:
    """Let heads that stand at the top or the middle of a header's rows span those below.

    One that stands at the bottom leaves a blank cell above, as tables of journals are marked up.
    """
    count = sum(row.header for row in rows)
    if count < 2:
        return
    for column in range(len(grid[0])):
        places = [grid[row][column] for row in range(count)]
        if any(place.taken or place.columns > 1 for place in places):
            continue
        full = [place for place in places if place.pieces]
        if len(full) == 1 and full[0].row < count - 1:
            first = full[0]
            places[0].pieces = first.pieces
            places[0].rows = count
            for place in places[1:]:
                place.taken = True


def _groups(
    rows: Sequence[Row], edges: Sequence[float], rulings: Sequence[Ruling]
) -> list[tuple[int, int]]:
    """(first, last) rows of the body between rules over the whole width, if there are such."""
    head = sum(row.header for row in rows)
    starts = [head]
    for index in range(head + 1, len(rows)):
        above, below = rows[index - 1].lines[-1], rows[index].lines[0]
        if ruled_between(above, below, edges, rulings) > 0.7:
            starts.append(index)
    if len(starts) < 2:
        return []
    return [(a, b - 1) for a, b in pairwise([*starts, len(rows)])]


def _join_groups(
    rows: Sequence[Row], grid: list[list[_Place]], groups: Sequence[tuple[int, int]]
) -> None:
    """Let labels in the middle of ruled groups, and those half way between two rows, span them."""
    head = sum(row.header for row in rows)
    for column in range(len(grid[0])):
        for first, last in groups:
            places = [grid[row][column] for row in range(first, last + 1)]
            middle = (rows[first].lines[0].middle + rows[last].lines[-1].middle) / 2
            pitch = 2 * (middle - rows[first].lines[0].middle) / max(last - first, 1)
            full = [place for place in places if place.pieces]
            if len(full) == 1 and len(places) > 1 and not _any_wide(places):
                off = _middle(full[0].pieces) - middle
                if abs(off) < _STRADDLES * pitch:
                    _span(places, full[0])
        for upper, lower in pairwise(range(head, len(rows))):
            places = [grid[upper][column], grid[lower][column]]
            full = [place for place in places if place.pieces]
            if len(full) == 1 and not _any_wide(places) and _straddles(rows, full[0], upper, lower):
                _span(places, full[0])


def _straddles(rows: Sequence[Row], place: _Place, upper: int, lower: int) -> bool:
    """Whether a place's text stands half way between the lines of two rows."""
    own = {id(piece) for piece in place.pieces}
    middles = []
    for row in (upper, lower):
        others = [piece for piece in rows[row].pieces if id(piece) not in own]
        if not others or len(rows[row].lines) > 1:
            return False  # of cells of several lines, the middle says nothing
        middles.append(_middle(others))
    share = (_middle(place.pieces) - middles[0]) / max(middles[1] - middles[0], 1e-6)
    return _STRADDLES < share < 1 - _STRADDLES


def _middle(pieces: Sequence[Piece]) -> float:
    return median((piece.box[1] + piece.box[3]) / 2 for piece in pieces)


def _any_wide(places: Sequence[_Place]) -> bool:
    return any(place.taken or place.columns > 1 or place.rows > 1 for place in places)


def _span(places: Sequence[_Place], full: _Place) -> None:
    """Make places one cell with the text of one of them."""
    places[0].pieces, places[0].rows = full.pieces, len(places)
    for place in places[1:]:
        place.taken = True


def _join_blanks(rows: Sequence[Row], grid: list[list[_Place]]) -> None:
    """Let a label of the first column span blank cells below it, where its own row has values.

    So it is with groups; a section's title stands alone in its row. Values that only the first row
    of a group has are of the group.
    """
    head = sum(row.header for row in rows)
    if len(grid[0]) < 3:
        return
    _join_labels(grid, head)
    for line in grid[head:]:
        count = line[0].rows
        if line[0].taken or count < 2 or line[0].columns > 1:
            continue
        for column in range(2, len(line)):
            places = [grid[line[0].row + k][column] for k in range(count)]
            if places[0].pieces and not _any_wide(places) and not any(p.pieces for p in places[1:]):
                _span(places, places[0])


def _join_labels(grid: list[list[_Place]], head: int) -> None:
    place: _Place | None = None
    for line in grid[head:]:
        first, others = line[0], line[1:]
        if first.taken or first.columns > 1 or first.rows > 1:
            place = None
        elif first.pieces:
            place = first if others[0].pieces and not others[0].taken else None
        elif place is not None and others[0].pieces:
            first.taken = True
            place.rows += 1
        else:
            place = None
