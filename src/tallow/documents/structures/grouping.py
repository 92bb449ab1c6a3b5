"""Lines of text grouped to rows of a table: cells of several lines, and headers."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from tallow.documents.content import Ruling
from tallow.documents.structures.lines import Line, Piece
from tallow.lazy_dataclasses import dataclass

# Of the height of text.
_INTERLEAVED = 0.75  # middles of lines nearer than that stand side by side in one row
_TIGHT = 0.85  # of the distance of rows: lines nearer than that belong together
_HALF = 1.3  # of the distance of rows: at most so far are rows that a label stands between
_HALF_WAY = (0.33, 0.67)  # of the way from one row to the next
_ROWS_APART = 1.3  # lines of one cell are nearer
_CENTRED = 0.5  # that the middle of a title over columns may miss theirs by
_LOOSE = 1.35  # of the least distance in a header: lines farther apart do not
_NUMBER = re.compile(r"[\d.,+\-−–—%()$€£±<>≤≥~*/ ]+|-+|n\.?[ac]\.?|N/?A|ND", re.IGNORECASE)
_YEAR = re.compile(r"(?:FY ?)?(?:1[89]|20)\d\d(?:[-–/](?:1[89]|20)?\d\d)?")


@dataclass
class Row:
    """Lines that make a row; `header` where it heads columns."""

    lines: list[Line]
    header: bool = False

    @property
    def pieces(self) -> list[Piece]:
        """The pieces of all its lines."""
        return [piece for line in self.lines for piece in line.pieces]

    @property
    def top(self) -> float:
        """The top of its text."""
        return min(line.top for line in self.lines)

    @property
    def bottom(self) -> float:
        """The bottom of its text."""
        return max(line.bottom for line in self.lines)


def is_number(text: str) -> bool:
    """Whether a text is a value as of a body of a table: a number, a dash, "n.a."; no year."""
    return bool(_NUMBER.fullmatch(text)) and not _YEAR.fullmatch(text.strip())


def column_of(piece: Piece, edges: Sequence[float]) -> int:
    """The column that the middle of a piece lies in."""
    middle = (piece.box[0] + piece.box[2]) / 2
    return bisect_right(edges, middle, 1, len(edges) - 1) - 1


def filled(line: Line, edges: Sequence[float]) -> set[int]:
    """The columns that a line has text in."""
    return {column_of(piece, edges) for piece in line.pieces}


def rows_of(
    lines: Sequence[Line],
    edges: Sequence[float],
    rulings: Sequence[Ruling],
    height: float,
    joining: bool = True,
) -> list[Row]:
    """Lines as rows; `joining` False makes each line of the body, unless interleaved, its own."""
    lines = list(lines)
    if not lines:
        return []
    body = body_start(lines, edges, rulings)
    head = _header_rows(_with_half_heads(lines[:body]), edges, rulings, height)
    rest = _with_half_lines(lines[body:], edges, rulings)
    return head + _body_rows(rest, edges, rulings, height, joining)


def ruled_between(
    upper: Line, lower: Line, edges: Sequence[float], rulings: Sequence[Ruling]
) -> float:
    """How much of the width is ruled between two lines, from 0 to 1."""
    left, right = edges[0], edges[-1]
    covered = [
        (max(each.start, left), min(each.end, right))
        for each in rulings
        if each.horizontal and upper.middle < each.at < lower.middle
    ]
    total, reached = 0.0, left
    for start, end in sorted(covered):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total / max(right - left, 1e-6)


def body_start(lines: Sequence[Line], edges: Sequence[float], rulings: Sequence[Ruling]) -> int:
    """The index of the first line that is no header: below a rule, or where values begin."""
    gaps = [
        index
        for index in range(1, len(lines))
        if ruled_between(lines[index - 1], lines[index], edges, rulings) >= 0.7
    ]
    most = max(3, int(0.4 * len(lines)))
    values = next((i for i, line in enumerate(lines) if _has_values(line, edges)), None)
    under_rules = [index for index in gaps if index <= most]
    if under_rules and len(gaps) <= max(3, len(lines) // 3):
        first = under_rules[0]
        if values is None or first <= values or len(under_rules) == 1:
            later = [index for index in under_rules if values is not None and index <= values]
            return later[-1] if later else first
    if values is not None and values <= most:
        while values > 0 and values < len(lines) and not _is_head(lines, values, edges):
            values -= 1
        return values
    return 1 if len(lines) > 1 else 0


def _is_head(lines: Sequence[Line], body: int, edges: Sequence[float]) -> bool:
    """Whether the line above the first values heads columns, and is no section or wrapped label."""
    return bool(filled(lines[body - 1], edges) - {0}) or body == 1


def _has_values(line: Line, edges: Sequence[float]) -> bool:
    """Whether most of a line's pieces right of the first column are values, or half and several."""
    texts = [piece.text for piece in line.pieces if column_of(piece, edges) > 0]
    count = sum(map(is_number, texts))
    return count > 0.5 * len(texts) or (count > 1 and count == 0.5 * len(texts))


def _header_rows(
    lines: list[Line], edges: Sequence[float], rulings: Sequence[Ruling], height: float
) -> list[Row]:
    """Lines of a header as rows: parted by rules, wide gaps, and below pieces over columns."""
    if not lines:
        return []
    steps = [b.middle - a.middle for a, b in pairwise(lines)]
    least = min((step for step in steps if step > _INTERLEAVED * height), default=height)
    rows = [Row([lines[0]], header=True)]
    for line, step in zip(lines[1:], steps, strict=True):
        apart = _is_under_rule(rows[-1], line, rulings)
        loose = step > max(_LOOSE * least, 1.2 * height)
        near = step <= _INTERLEAVED * height
        heads = _heads_several(rows[-1], line, edges, height)
        heads |= step > _ROWS_APART * height and bool(centred_groups(rows[-1], line, edges, height))
        if apart or (not near and (loose or heads)):
            rows.append(Row([line], header=True))
        else:
            rows[-1].lines.append(line)
    return rows


def _with_half_heads(lines: list[Line]) -> list[Line]:
    """Lines of a header, those half way between two others put to the upper one.

    So labels stand that are as high as two rows of heads, beside both.
    """
    kept: list[Line] = []
    for index, line in enumerate(lines):
        if kept and index + 1 < len(lines):
            above, below = kept[-1], lines[index + 1]
            share = (line.middle - above.middle) / max(below.middle - above.middle, 1e-6)
            beside = [piece.box for each in (above, below) for piece in each.pieces]
            free = not any(
                min(piece.box[2], box[2]) > max(piece.box[0], box[0])
                for piece in line.pieces
                for box in beside
            )
            if free and _HALF_WAY[0] < share < _HALF_WAY[1] and len(below.pieces) > 1:
                kept[-1] = Line([*above.pieces, *line.pieces])
                continue
        kept.append(line)
    return kept


def _is_under_rule(row: Row, line: Line, rulings: Sequence[Ruling]) -> bool:
    """Whether a rule lies between a row and a line, over one of the line's pieces."""
    return any(
        each.horizontal
        and row.lines[0].middle < each.at < line.middle
        and min(each.end, piece.box[2]) - max(each.start, piece.box[0])
        > 0.5 * (piece.box[2] - piece.box[0])
        for each in rulings
        for piece in line.pieces
    )


def _heads_several(row: Row, line: Line, edges: Sequence[float], height: float) -> bool:
    """Whether a piece of `row` stands over two or more pieces of `line` and over their gap."""
    for piece in row.pieces:
        under = [
            each
            for each in line.pieces
            if min(each.box[2], piece.box[2]) - max(each.box[0], piece.box[0]) > 0.3 * height
        ]
        if len({column_of(each, edges) for each in under}) >= 2:
            return True
        if len(under) == 0 and any(piece.box[0] < edge < piece.box[2] for edge in edges[1:-1]):
            near = {column_of(each, edges) for each in line.pieces}
            first = sum(edge <= piece.box[0] for edge in edges[1:-1])
            if {first, first + 1} <= near:
                return True
    return False


def centred_groups(
    row: Row, line: Line, edges: Sequence[float], height: float
) -> dict[int, tuple[int, int]]:
    """For each head of `row`, by its column, the first and last column of `line` that it is over.

    Heads are fewer than what they head, and each stands at the middle of its columns; together they
    have all of them, but for labels of the rows beside. Else there are none.
    """
    under = sorted((column_of(piece, edges), piece.box[0], piece.box[2]) for piece in line.pieces)
    columns = [column for column, _, _ in under]
    heads = [(column_of(piece, edges), (piece.box[0] + piece.box[2]) / 2) for piece in row.pieces]
    heads = sorted(head for head in heads if head[0] in columns)
    if not 2 <= len(heads) < len(under) or columns != [*range(columns[0], columns[-1] + 1)]:
        return {}
    ends = _group_ends([middle for _, middle in heads], [each[1:] for each in under], height)
    if ends is None:
        return {}
    starts = [0, *ends[:-1]]
    return {
        column: (columns[start], columns[end - 1])
        for (column, _), start, end in zip(heads, starts, ends, strict=True)
    }


def _group_ends(
    middles: Sequence[float], extents: Sequence[tuple[float, float]], height: float, start: int = 0
) -> list[int] | None:
    """Where the groups under heads end, each group's middle being its head's; None: nowhere."""
    if not middles:
        return [] if start == len(extents) else None
    for end in range(start + 1, len(extents) - len(middles) + 2):
        off = abs((extents[start][0] + extents[end - 1][1]) / 2 - middles[0])
        if off <= _CENTRED * height:
            rest = _group_ends(middles[1:], extents, height, end)
            if rest is not None:
                return [end, *rest]
    return None


_BULLET = re.compile(r"[•·▪◦●■□–*-] ?\D.*")


def _bulleted(lines: Sequence[Line], edges: Sequence[float]) -> set[int]:
    """The columns of lists: most cells' first lines, and more than two pieces, have a bullet."""
    counts: dict[int, list[bool]] = {}
    for line in lines:
        for piece in line.pieces:
            marks = counts.setdefault(column_of(piece, edges), [])
            marks.append(bool(_BULLET.fullmatch(piece.text)))
    return {column for column, marks in counts.items() if sum(marks) > max(2, 0.3 * len(marks))}


def _in_lists(line: Line, edges: Sequence[float], lists: set[int]) -> list[bool]:
    """Whether each piece of a line in columns of lists begins with a bullet."""
    pieces = [piece for piece in line.pieces if column_of(piece, edges) in lists]
    return [bool(_BULLET.fullmatch(piece.text)) for piece in pieces]


def _with_half_lines(
    lines: list[Line], edges: Sequence[float], rulings: Sequence[Ruling]
) -> list[Line]:
    """Lines, those half way between two of the common distance put to the upper one.

    So labels of two rows stand; in columns that neither has text in.
    """
    counts = [len(filled(line, edges)) for line in lines]
    full = [line for line, n in zip(lines, counts, strict=True) if n > 0.5 * max(counts)]
    pitch = median([b.middle - a.middle for a, b in pairwise(full)]) if len(full) > 2 else 0.0
    kept: list[Line] = []
    for index, line in enumerate(lines):
        if kept and index + 1 < len(lines) and counts[index] <= 0.5 * max(counts):
            above, below = kept[-1], lines[index + 1]
            step = below.middle - above.middle
            share = (line.middle - above.middle) / max(step, 1e-6)
            free = not filled(line, edges) & (filled(above, edges) | filled(below, edges))
            ruled = ruled_between(above, below, edges, rulings) > 0.3
            between = _HALF_WAY[0] < share < _HALF_WAY[1]
            if step <= _HALF * pitch and between and free and not ruled:
                kept[-1] = Line([*above.pieces, *line.pieces])
                continue
        kept.append(line)
    return kept


def _body_rows(
    lines: list[Line], edges: Sequence[float], rulings: Sequence[Ruling], height: float,
    joining: bool,
) -> list[Row]:  # fmt: skip
    if not lines:
        return []
    pitch = _row_pitch(lines, edges)
    rows = [Row([lines[0]])]
    lists = _bulleted(lines, edges)
    for above, line in pairwise(lines):
        step = line.middle - above.middle
        joins = step <= _INTERLEAVED * height
        marks = _in_lists(line, edges, lists)
        if len(lists) > 1 and joining:
            joins = not any(marks)
        elif not joins and joining and ruled_between(above, line, edges, rulings) < 0.3:
            tight = step <= _TIGHT * pitch
            joins = _goes_on(rows[-1], line, edges, height, tight)
        if joins:
            rows[-1].lines.append(line)
        else:
            rows.append(Row([line]))
    return rows


def _row_pitch(lines: Sequence[Line], edges: Sequence[float]) -> float:
    """The common distance of lines that begin rows, nearly all full, from the line above each."""
    counts = [len(filled(line, edges)) for line in lines]
    full = max(2, round(0.6 * median(sorted(counts)[len(counts) // 2 :])))
    steps = [
        line.middle - above.middle
        for above, line, count in zip(lines, lines[1:], counts[1:], strict=False)
        if count >= full and 0 in filled(line, edges)
    ]
    return median(steps) if steps else 0.0


def _goes_on(row: Row, line: Line, edges: Sequence[float], height: float, tight: bool) -> bool:
    """Whether a line holds the second lines of cells of the row above."""
    above = {column for each in row.lines for column in filled(each, edges)}
    own = filled(line, edges)
    values = sum(is_number(piece.text) for piece in line.pieces)
    if values > 1 and any(_has_values(each, edges) for each in row.lines):
        return False
    if tight and (own <= above or above <= own) and own != set(range(len(edges) - 1)):
        return True
    if 0 in own or not own <= above or len(own) > max(1, (len(edges) - 1) // 2):
        return False
    return all(_is_wrapped(row, piece, edges, height) for piece in line.pieces)


def _is_wrapped(row: Row, piece: Piece, edges: Sequence[float], height: float) -> bool:
    """Whether the first word of a piece had no room behind the text above it in its column."""
    column = column_of(piece, edges)
    above = [each for each in row.pieces if column_of(each, edges) == column]
    last = max(above, key=lambda each: each.box[1] + each.box[3])
    first = piece.words[0].box
    room = edges[column + 1] - edges[column]
    return (last.box[2] - last.box[0]) + (first[2] - first[0]) + 0.6 * height > room
