"""Which rows of a table are its header, which cells head rows, and which rows head a section."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from tallow.documents.cells.kinds import is_nothing, is_number, is_year
from tallow.documents.content import PageContent
from tallow.documents.document import Cell, Table
from tallow.documents.geometry import overlap
from tallow.documents.structure import Structure

_MOST_ROWS = 8  # of a header; more were never seen in the published sets
# How many header rows tables have, as log odds: one mostly (PubTabNet: 3 of 4), two often.
_USUAL = (-0.6, 0.6, 0.0, -0.8, -1.5, -2.2, -3.0, -3.5, -4.0)


def mark_headers(table: Table, content: PageContent, structure: Structure) -> None:
    """Set `header_rows` and the cells' `header`, from what is seen; none where nothing is.

    What counts for a border under the first rows: a ruling over the width, a change of fill, bold
    text above, words above columns of numbers, spans above, and what the model says that proposed
    the structure. A cell that spans rows or columns of the header keeps the border below it.
    """
    count = header_rows(table, content, structure)
    table.header_rows = count
    heads = _heads_rows(table, count)
    for cell in table.cells:
        if cell.row < count:
            cell.header = "column"
        elif is_section(table, cell) or cell.row in structure.section_rows:
            cell.header = "section"
        elif cell.column == 0 and cell.text and heads:
            cell.header = "row"


def header_rows(table: Table, content: PageContent, structure: Structure) -> int:
    """How many rows from the top are the header, 0 where there is no evidence of one."""
    bounds = [n for n in range(min(_MOST_ROWS, table.rows - 1) + 1) if _closes(table, n)]
    last = max(bounds, default=0)
    counting = {row for row in range(min(last + 1, table.rows)) if _numbers_columns(table, row)}
    shares = [_share_ruled(table, content, n) for n in range(1, min(table.rows, 40))]
    scores = {
        n: _USUAL[n] + _evidence(table, content, structure, n, counting, shares) for n in bounds
    }
    return max(scores, key=lambda n: scores[n], default=0)


def _closes(table: Table, border: int) -> bool:
    """Whether no cell reaches over a border."""
    return not any(cell.row < border < cell.bottom for cell in table.cells)


def _evidence(
    table: Table,
    content: PageContent,
    structure: Structure,
    border: int,
    counting: Collection[int],
    shares: Sequence[float],
) -> float:
    """What speaks for a border; `shares` are as of `_ruled`.

    `counting` are rows that number the columns.
    """
    if border == 0:
        return 0.0
    if not any(cell.text for cell in table.cells if cell.row < border):
        return -9.0
    heads = [
        cell.text
        for cell in table.cells
        if cell.row < border and cell.column and cell.text and cell.row not in counting
    ]
    score = -2.0 * _share_of_numbers([text for text in heads if not is_year(text)])
    score += 1.2 * _ruled(shares, border) + 2.0 * _bolder(table, border)
    score += 2.0 * _filled(table, content, border) + 2.5 * _typed(table, border, counting)
    score += 1.0 * _unlike(table, border) - 2.0 * _unfinished(table, border)
    score -= 2.0 * _is_list(table)
    if border - 1 in counting:
        score += 2.0
    elif border in counting:
        score -= 2.0
    if structure.header_rows:
        score += 1.5 if structure.header_rows == border else -0.5
    if _only_section(table, border):
        score -= 3.0  # a section row under the header belongs to what follows
    return score


def _is_list(table: Table) -> bool:
    """Whether rows are labels with what belongs to them, as in forms: no row is over the others.

    So it is where the first column alone is bold, from its first row on, or where labels end in
    colons there.
    """
    labels = [cell for cell in table.cells if cell.column == 0 and cell.text]
    others = [cell for cell in table.cells if cell.column > 0 and cell.text]
    if len(labels) < 3 or not others or labels[0].row or labels[0].column_span > 1:
        return False
    beside = [cell for cell in others if cell.row == 0]
    colons = sum(cell.text.rstrip().endswith((":", "：")) for cell in labels)
    if colons >= 0.6 * len(labels) and labels[0].text.rstrip().endswith((":", "：")):
        return True
    bold = sum(cell.bold for cell in labels) >= 0.8 * len(labels) and labels[0].bold
    return bold and bool(beside) and sum(cell.bold for cell in others) <= 0.1 * len(others)


def _numbers_columns(table: Table, row: int) -> bool:
    """Whether a row counts the columns: 1, 2, 3 …, as statistical tables do under their header."""
    texts = [cell.text for cell in table.cells if cell.row == row and cell.text]
    counted = sum(
        first.isdecimal() and second.isdecimal() and int(second[:9]) - int(first[:9]) == 1
        for first, second in pairwise(text.strip("()[]").split("=")[0].strip() for text in texts)
    )
    above = [cell.text for cell in table.cells if cell.bottom == row and cell.text]
    words = len(above) > 2 and _share_of_numbers(above) < 0.3
    return words and len(texts) > 2 and counted >= 0.6 * (len(texts) - 1)


def _unfinished(table: Table, border: int) -> float:
    """The share of the columns whose last header cell spans several that the next row divides."""
    shared = 0
    for cell in table.cells:
        if cell.bottom == border and cell.column_span > 1 and cell.text:
            below = [c for c in table.cells if c.row == border and cell.column <= c.column]
            if sum(c.column < cell.right for c in below) > 1:
                shared += cell.column_span
    # Where a cell of the next row reaches further down, that row is less likely of the header.
    return shared / table.columns * (1.0 if _closes(table, border + 1) else 0.5)


def _unlike(table: Table, border: int) -> float:
    """The share of columns of words whose values repeat or are short, unlike what stands above."""
    unlike = counted = 0
    for column in range(table.columns):
        below = [c.text for c in table.cells if c.column == column and c.row >= border and c.text]
        heads = {c.text for c in table.cells if c.column == column and c.bottom == border}
        if len(below) < 3 or not any(heads):
            continue
        counted += 1
        longest = max(map(len, heads))
        repeats = len(set(below)) <= len(below) / 2 and not heads & set(below)
        unlike += repeats or longest > 2 * max(map(len, below))
    return unlike / counted if counted else 0.0


def _only_section(table: Table, border: int) -> bool:
    last = [cell for cell in table.cells if cell.bottom == border and cell.row == border - 1]
    return len([c for c in last if c.text]) == 1 and border > 1 and bool(last[0].text)


def _edge(table: Table, border: int) -> tuple[float, float, float, float] | None:
    """Where a border between rows is: y, how far words leave free, the table's width."""
    above = [c.box for c in table.cells if c.bottom == border and c.box]
    below = [c.box for c in table.cells if c.row == border and c.box]
    if not above or not below or table.box is None:
        return None
    words_above = [w.box[3] for c in table.cells if c.bottom == border for w in c.words]
    words_below = [w.box[1] for c in table.cells if c.row == border for w in c.words]
    y = sum(box[3] for box in above) / len(above)
    high = max(words_above, default=y)
    low = min(words_below, default=y)
    return y, min(high, y), max(low, y), table.box[2] - table.box[0]


def _share_ruled(table: Table, content: PageContent, border: int) -> float:
    """How much of the table's width rulings cover at a border, from 0 to 1."""
    edge = _edge(table, border)
    if edge is None or table.box is None:
        return 0.0
    y, high, low, width = edge
    slack = 0.25 * (low - high) + 2 / content.scale
    covered = sum(
        overlap((ruling.start, ruling.end), (table.box[0], table.box[2]))
        for ruling in content.rulings
        if ruling.horizontal and min(high, y) - slack <= ruling.at <= max(low, y) + slack
    )
    return min(1.0, covered / max(width, 1e-9))


def _ruled(shares: Sequence[float], border: int) -> float:
    """1 where a ruling closes the header and few follow, less where every row has one, -1 if none.

    `shares` are how much of the width each border from the first on is ruled.
    A table without rulings between rows says nothing by their absence: 0.
    """
    ruled = sum(share > 0.6 for share in shares)
    if not ruled:
        return 0.0
    if ruled > 0.7 * len(shares):
        return 0.0  # a full grid: its lines tell nothing of the header
    here = shares[border - 1] > 0.6
    if not here:
        return -1.0
    first = not any(share > 0.6 for share in shares[: border - 1])
    return 1.5 if first else 0.6


def _bolder(table: Table, border: int) -> float:
    """The share of bold among the cells above a border, less that of those below, -1 to 1."""
    above = [cell.bold for cell in table.cells if cell.row < border and cell.text]
    rows: dict[int, list[bool]] = {}
    for cell in table.cells:
        if cell.row >= border and cell.text and cell.column:
            rows.setdefault(cell.row, []).append(cell.bold)
    below = [bold for each in rows.values() for bold in each]
    if not above or not below:
        return 0.0
    next_row = rows.get(border, [])
    if next_row and sum(next_row) > 0.6 * len(next_row) and sum(above) > 0.6 * len(above):
        return 0.0  # the next row is as bold: the border is not here
    return sum(above) / len(above) - sum(below) / len(below)


def _filled(table: Table, content: PageContent, border: int) -> float:
    """1 where the rows above have a fill that those below do not have, else 0."""
    colours = [_row_colour(table, content, row) for row in range(min(table.rows, border + 6))]
    above, below = colours[:border], colours[border:]
    if not below or above[-1] is None:
        return 0.0
    same = [colour for colour in above if colour == above[-1]]
    return 1.0 if len(same) == len(above) and above[-1] not in below else 0.0


def _row_colour(table: Table, content: PageContent, row: int) -> tuple[int, int, int] | None:
    """The colour behind most of a row; None where there is no fill."""
    boxes = [cell.box for cell in table.cells if cell.row == row and cell.box]
    if not boxes or table.box is None:
        return None
    y = sum((box[1] + box[3]) / 2 for box in boxes) / len(boxes)
    width: dict[tuple[int, int, int], float] = {}
    for fill in content.fills:
        if fill.box[1] <= y <= fill.box[3]:
            share = overlap((fill.box[0], fill.box[2]), (table.box[0], table.box[2]))
            width[fill.colour] = width.get(fill.colour, 0.0) + share
    best = max(width, key=lambda colour: width[colour], default=None)
    return best if best and width[best] > 0.5 * (table.box[2] - table.box[0]) else None


def _typed(table: Table, border: int, counting: Collection[int]) -> float:
    """How much the rows above differ in kind from columns of numbers below, from -1 to 1.

    Years above numbers say nothing: they head columns as often as they fill them.
    """
    votes: list[float] = []
    for column in range(1 if table.columns > 1 else 0, table.columns):
        below = [c.text for c in table.cells if c.column == column and c.row >= border and c.text]
        below = [text for text in below if not is_nothing(text)]
        heads = [
            c.text
            for c in table.cells
            if c.column <= column < c.right and c.row < border and c.text and c.row not in counting
        ]
        if not heads or len(below) < 2:
            continue
        numbers = sum(is_number(text) for text in below) / len(below)
        if numbers < 0.6:
            continue
        plain = [text for text in heads if not is_year(text)]
        first = is_number(below[0]) and not is_year(below[0])
        last_is_number = bool(plain) and is_number(heads[-1]) and not is_year(heads[-1])
        votes.append(-1.0 if last_is_number else 1.0 if first and plain else 0.2 if first else -0.4)
    return sum(votes) / max(len(votes), 1) if votes else 0.0


def is_section(table: Table, cell: Cell) -> bool:
    """Whether a cell heads the rows below it: over the full width, or alone in its row."""
    if not cell.text or cell.row_span > 1 or cell.column != 0 or table.columns < 2:
        return False
    if cell.row + 1 >= table.rows:
        return False
    if cell.column_span == table.columns:
        return True
    others = [c for c in table.cells if c.row <= cell.row < c.bottom and c is not cell]
    return len(others) > 1 and not any(other.text for other in others)


def _heads_rows(table: Table, border: int) -> bool:
    """Whether the first column names rows: mostly words, with numbers in columns beside it."""
    body = [cell for cell in table.cells if cell.row >= border and cell.text]
    labels = [cell.text for cell in body if cell.column == 0]
    values = [cell.text for cell in body if cell.column > 0 and not is_nothing(cell.text)]
    numbers = _share_of_numbers(labels) < 0.3 and _share_of_numbers(values) > 0.5
    return numbers or _is_list(table)


def _share_of_numbers(texts: Sequence[str]) -> float:
    return sum(is_number(text) for text in texts) / len(texts) if texts else 0.0
