"""What every writer needs of a cell: text that files can hold, and its parts that are raised."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, time
from decimal import Decimal
from typing import Final

from tallow.documents.document import Cell, Table, Value

# XML 1.0 (production 2, Char) has no form for these, not even escaped; a lone surrogate has no
# bytes in UTF-8. U+FFFE and U+FFFF are no characters.
_UNWRITABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_LINE_ENDS: Final = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def clean(text: str) -> str:
    """`text` without the characters that no file format holds; every end of line is a newline."""
    return _UNWRITABLE.sub("", _LINE_ENDS.sub("\n", text))


def runs(cell: Cell) -> list[tuple[str, bool]]:
    """The text of a cell in pieces: (piece, whether it is raised), cleaned, none empty."""
    pieces: list[tuple[str, bool]] = []
    at = 0
    for start, end in sorted(cell.raised):
        start, end = max(start, at), min(end, len(cell.text))
        if start < end:
            pieces += [(cell.text[at:start], False), (cell.text[start:end], True)]
            at = end
    pieces.append((cell.text[at:], False))
    return [(cleaned, raised) for piece, raised in pieces if (cleaned := clean(piece))]


def one_line(text: str) -> str:
    """`text` with every run of white space made one space, and none at its ends."""
    return " ".join(clean(text).split())


def by_rows(table: Table) -> list[list[Cell]]:
    """The cells in the row where each begins, in order of columns."""
    rows: list[list[Cell]] = [[] for _ in range(table.rows)]
    for cell in sorted(table.cells, key=lambda cell: (cell.row, cell.column)):
        rows[cell.row].append(cell)
    return rows


def head_rows(table: Table) -> int:
    """How many rows from the top are a header that no cell reaches out of."""
    count = min(max(table.header_rows, 0), table.rows)
    while any(cell.row < count < cell.bottom for cell in table.cells):
        count -= 1
    return count


def column_names(table: Table) -> list[str]:
    """One name a column from the header rows: its lines from top to bottom, each once.

    A cell that spans columns names all of them. Without a header, or of an empty one, the name
    is `column N`, N from 1; a name that was there before gets ` (2)`, ` (3)` and so on.
    """
    lines: list[list[str]] = [[] for _ in range(table.columns)]
    for cell in sorted(table.cells, key=lambda cell: (cell.row, cell.column)):
        text = one_line(cell.text)
        if cell.row < table.header_rows and text:
            for column in range(cell.column, min(cell.right, table.columns)):
                lines[column].append(text)
    return unique(" ".join(each) or f"column {at}" for at, each in enumerate(lines, 1))


def unique(names: Iterable[str]) -> list[str]:
    """Names so that none is there twice: the second gets ` (2)`, the third ` (3)`."""
    taken: set[str] = set()
    result = []
    for name in names:
        made, count = name, 1
        while made in taken:
            count += 1
            made = f"{name} ({count})"
        taken.add(made)
        result.append(made)
    return result


def held(cell: Cell) -> Value:
    """What a file holds of a cell: its value, its text where it has none, None where it is empty.

    A text is cleaned; a number that no spreadsheet holds exactly (infinity, more than 15 digits)
    is its text.
    """
    value = cell.value
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value if isinstance(value, bool) else clean(value or cell.text) or None
    if isinstance(value, int | float) and not abs(value) < 10**15:
        return clean(cell.text) or str(value)
    return value


def plain(value: Value) -> str:
    """A value as text that programs read: decimals with a point and no exponent, dates as ISO."""
    if value is None:
        return ""
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def is_number(value: Value) -> bool:
    """Whether a value is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
