"""Rows of a part behind those of the whole: repeated ones left out, halves of a cut one joined."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Final

from tallow.documents.document import Cell, Table
from tallow.documents.joining.sheets import CONTINUED
from tallow.lazy_dataclasses import replace

# Cells by which the kinds of columns are told, so that a table of 1,000 pages takes no longer.
_TELLING: Final = 500
# Headers are the same where so many of their letters are, for readers slip; their digits all are.
_SAME: Final = 0.85
_LEAST_CELLS: Final = 3  # with text, by which the kind of a column is told
_LONGEST_NOTE: Final = 60  # characters of a row that says no more than that the table goes on
_SAYS_SO: Final = re.compile(rf"\s*[(\[]?\s*(?:{CONTINUED.pattern[4:]})\s*[.…]*\s*[)\]]?", re.I)


def without_rows(table: Table, count: int) -> Table:
    """A copy without its first rows; what reaches out of them is cut."""
    if not count:
        return table
    cells = []
    for cell in table.cells:
        if cell.bottom > count:
            top = max(cell.row, count)
            cells.append(replace(cell, row=top - count, row_span=cell.bottom - top))
    head = max(0, table.header_rows - count)
    return replace(table, rows=table.rows - count, cells=cells, header_rows=head)


def continuation_rows(table: Table) -> int:
    """How many rows at its top say no more than that the table goes on."""
    count = 0
    while count < table.rows - 1 and _says_so(_told(table.cells, count)):
        count += 1
    return count


def without_note(table: Table) -> Table:
    """A copy without a last row that says no more than that the table goes on; else itself."""
    below = list(bottom(table).values())
    texts = [cell.text for cell in below if cell.text.strip()]
    own_row = all(cell.row_span == 1 for cell in below)
    if table.rows - 1 <= table.header_rows or not own_row or not _says_so(texts):
        return table
    cells = [cell for cell in table.cells if cell.row < table.rows - 1]
    return replace(table, rows=table.rows - 1, cells=cells)


def repeated_sections(whole: Table, table: Table) -> int:
    """1 where the first row of a part is a section of the whole, with a word that it goes on."""
    texts = _told(table.cells, 0)
    if len(texts) != 1 or table.rows < 2 or not CONTINUED.search(texts[0]):
        return 0
    name = _plain(texts[0])
    return int(any(_plain(cell.text) == name for cell in whole.cells if cell.text))


def _told(cells: list[Cell], row: int) -> list[str]:
    return [cell.text for cell in cells if cell.row == row and cell.text.strip()]


def _says_so(texts: list[str]) -> bool:
    if len(texts) != 1 or len(texts[0]) > _LONGEST_NOTE:
        return False
    return bool(CONTINUED.search(texts[0])) and len(_plain(texts[0])) <= _LONGEST_NOTE // 4


def repeated_rows(whole: Table, table: Table) -> int:
    """How many rows at the top of a part repeat the header, or the end of it."""
    top = max(1, whole.header_rows)
    whole = replace(whole, cells=[*takewhile(lambda cell: cell.row < top, whole.cells)])
    head = whole.header_rows or (1 if _has_words(whole, 0) else 0)
    for count in range(min(head, table.rows), 0, -1):
        rows = range(head - count, head)
        if all(_same(_row_text(whole, a), _row_text(table, b)) for b, a in enumerate(rows)):
            return count
    return 0


def _has_words(table: Table, row: int) -> bool:
    texts = [cell.text for cell in table.cells if cell.row == row and cell.text.strip()]
    return len(texts) * 2 > table.columns and not any(map(_is_numeric, texts))


def _row_text(table: Table, row: int) -> str:
    cells = sorted((cell.column, cell.text) for cell in table.cells if cell.row == row)
    return " ".join(text for _, text in cells)


def _plain(text: str) -> str:
    """The letters and digits of a text, without a word in brackets that it goes on."""
    return "".join(char for char in _SAYS_SO.sub("", text).casefold() if char.isalnum())


def _same(a: str, b: str) -> bool:
    """Whether two texts are the same but for slips of a reader; digits are all the same."""
    from difflib import SequenceMatcher

    a, b = _plain(a), _plain(b)
    if not a or not b or re.sub(r"\D", "", a) != re.sub(r"\D", "", b):
        return False
    return a == b or SequenceMatcher(None, a, b, autojunk=False).ratio() >= _SAME


def _is_numeric(text: str) -> bool:
    from tallow.documents.values.numbers import MISSING, parse

    return parse(text) is not None or text.strip().lower() in MISSING


def is_body(whole: Table, table: Table) -> bool:
    """Whether the rows that a part has as its header are body: with numbers where the whole has.

    Models take the first row of what they see for a header. Without any numbers nothing tells.
    """
    columns = {c for c, (told, numbers) in _numbers(whole).items() if 2 * numbers > told}
    heads = [cell for cell in table.cells if cell.row < table.header_rows and cell.text.strip()]
    first = [cell for cell in heads if cell.column in columns]
    fitting = sum(_is_numeric(cell.text) for cell in first)
    return bool(first) and 2 * fitting > len(first)


def is_another(whole: Table, table: Table) -> bool:
    """Whether a part without a repeated header has one of its own, or columns of other kinds."""
    known = _numbers(whole)
    numeric = {c for c, (told, n) in known.items() if told >= _LEAST_CELLS and n >= 0.8 * told}
    first = [cell for cell in table.cells if cell.row == 0 and cell.text.strip()]
    words = [cell for cell in first if cell.column in numeric]
    heads = 3 * len(first) >= 2 * table.columns and len(first) > 1
    marked = all(cell.bold for cell in first) and not all(cell.bold for cell in whole.cells)
    no_number = bool(words) and not any(_is_numeric(cell.text) for cell in words)
    if heads and no_number and (len(words) > 1 or marked):
        return True
    new = _numbers(table)
    told = [c for c, (count, _) in new.items()
            if count >= _LEAST_CELLS <= known.get(c, (0, 0))[0]]  # fmt: skip
    shares = [(known[c][1] / known[c][0], new[c][1] / new[c][0]) for c in told]
    against = sum(abs(a - b) >= 0.6 for a, b in shares)
    return bool(told) and 2 * against > len(told)


def _numbers(table: Table) -> dict[int, tuple[int, int]]:
    """For each column how many cells of its body have text, and how many of these are numbers."""
    found: dict[int, tuple[int, int]] = {}
    for cell in table.cells[:_TELLING]:
        if cell.row >= table.header_rows and cell.text.strip():
            told, numbers = found.get(cell.column, (0, 0))
            found[cell.column] = told + 1, numbers + _is_numeric(cell.text)
    return found


def appended(whole: Table, part: Table) -> Table:
    """The rows of a part behind those of the whole, whose list of cells grows."""
    cells = [replace(cell, header="" if cell.header == "column" else cell.header)
             for cell in part.cells]  # fmt: skip
    rows = whole.rows
    if _is_second_half(whole, cells):
        above = bottom(whole)
        kept = [cell for cell in whole.cells if cell.bottom != whole.rows]
        halves = {cell.column: cell for cell in cells if cell.row == 0}
        kept += [_with_half(above[c], halves.get(c)) for c in above]
        whole = ordered(replace(whole, cells=kept))
        cells = [replace(cell, row=cell.row - 1) for cell in cells if cell.row > 0]
        part = replace(part, rows=part.rows - 1)
    cells = [replace(cell, row=cell.row + rows) for cell in cells]
    cells.sort(key=lambda cell: (cell.row, cell.column))
    counts = max(1, len(whole.cells)), max(1, len(cells))
    confidence = whole.confidence * counts[0] + part.confidence * counts[1]
    whole.cells.extend(cells)
    return replace(
        whole,
        rows=rows + part.rows,
        pages=(*(whole.pages or (whole.page,)), *(part.pages or (part.page,))),
        confidence=confidence / sum(counts),
    )


def bottom(table: Table) -> dict[int, Cell]:
    """The cells of the last row by their columns; looked for from the end, where they are."""
    found: dict[int, Cell] = {}
    missing = table.columns
    for cell in reversed(table.cells):
        if missing <= 0:
            break
        if cell.bottom == table.rows:
            found[cell.column] = cell
            missing -= cell.column_span
    return found


def _is_second_half(whole: Table, cells: list[Cell]) -> bool:
    """Whether the first row of a part can only be the rest of the row above the edge.

    It has no name in its first column, no number, and each of its texts goes on in the middle of a
    sentence that the cell above it has begun.
    """
    first = [cell for cell in cells if cell.row == 0]
    above = bottom(whole)
    told = [cell for cell in first if cell.text.strip()]
    same = all(
        cell.column in above and above[cell.column].column_span == cell.column_span
        for cell in first
    )
    if not told or not same or any(cell.row_span > 1 for cell in first):
        return False
    if whole.columns < 2 or told[0].column == 0 or whole.rows <= whole.header_rows:
        return False
    return all(_goes_on(above[cell.column].text, cell.text) for cell in told)


def _goes_on(above: str, below: str) -> bool:
    above, below = above.strip(), below.strip()
    return bool(above) and above[-1] not in ".!?:;)。" and below[:1].islower() and len(below) > 1


def _with_half(cell: Cell, half: Cell | None) -> Cell:
    if half is None or not half.text.strip():
        return cell
    shift = len(cell.text) + 1
    raised = tuple((start + shift, end + shift) for start, end in half.raised)
    return replace(
        cell,
        text=f"{cell.text}\n{half.text}",
        raised=cell.raised + raised,
        confidence=min(cell.confidence, half.confidence),
        words=cell.words + half.words,
    )


def ordered(table: Table) -> Table:
    """The table itself, its cells put in order of rows, then columns."""
    table.cells.sort(key=lambda cell: (cell.row, cell.column))
    return table
