"""What a spreadsheet allows and how it looks: names of sheets, widths of columns, limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from unicodedata import combining, east_asian_width

from tallow.documents.document import Document, Table
from tallow.documents.writers.text import one_line
from tallow.errors import ArgumentError, expect

# Microsoft, "Excel specifications and limits".
MOST_ROWS: Final = 1_048_576
MOST_COLUMNS: Final = 16_384
MOST_TEXT: Final = 32_767  # in UTF-16 units
MOST_NAME: Final = 31
NARROWEST, WIDEST = 5.0, 60.0  # of columns, in widths of a digit
_LONG_HEAD: Final = 12.0  # what is longer of a header is wrapped

_NOT_IN_NAMES: Final = re.compile(r"[\[\]:*?/\\\x00-\x1f]")


def check_limits(table: Table, where: str) -> None:
    """Refuse a table that no sheet holds.

    Raises:
        ArgumentError: it has more than 1,048,576 rows or 16,384 columns.
    """
    wanted = f"at most {MOST_ROWS:,} rows and {MOST_COLUMNS:,} columns, which a sheet holds"
    fits = table.rows <= MOST_ROWS and table.columns <= MOST_COLUMNS
    got = f"{table.rows:,} rows and {table.columns:,} columns"
    expect(fits, where, wanted, got, ArgumentError)


def sheet_names(document: Document) -> list[str]:
    """A name a table: its title, or its pages; allowed in a workbook, and none there twice."""
    per_page: dict[int, int] = {}
    for table in document.tables:
        per_page[table.page] = per_page.get(table.page, 0) + 1
    counts: dict[int, int] = {}
    taken = {"history"}  # a name that Excel keeps for itself
    names = []
    for table in document.tables:
        counts[table.page] = number = counts.get(table.page, 0) + 1
        pages = f"Pages {table.pages[0]}-{table.pages[-1]}" if len(table.pages) > 1 else ""
        fallback = pages or f"Page {table.page}"
        fallback += f" table {number}" if per_page[table.page] > 1 else ""
        names.append(_unique(_allowed(table.title) or fallback, taken))
    return names


def _allowed(title: str) -> str:
    """A title without what names of sheets may not hold, cut to their length."""
    return _cut(one_line(_NOT_IN_NAMES.sub(" ", title)), MOST_NAME).strip("' ")


def _unique(name: str, taken: set[str]) -> str:
    """A name that is not taken, whatever its case; it is taken then."""
    made, count = name, 1
    while made.lower() in taken:
        count += 1
        end = f" ({count})"
        made = _cut(name, MOST_NAME - len(end)) + end
    taken.add(made.lower())
    return made


def _cut(text: str, most: int) -> str:
    """At most so many UTF-16 units of a text, no character halved."""
    return text.encode("utf-16-le", "replace")[: 2 * most].decode("utf-16-le", "ignore")


def cut_text(text: str) -> tuple[str, bool]:
    """A text as long as a cell holds it, with `…` at its end if it was cut, and whether it was."""
    if len(text) * 2 <= MOST_TEXT or len(text.encode("utf-16-le", "replace")) // 2 <= MOST_TEXT:
        return text, False
    return _cut(text, MOST_TEXT - 1) + "…", True


def text_width(line: str) -> float:
    """How wide a line is in widths of a digit: wide characters of East Asia are two."""
    return sum(
        0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in line
    )


def column_widths(table: Table) -> list[float]:
    """Widths of columns by their contents, in widths of a digit, between bounds.

    What spans columns widens the ones that it spans by equal parts, where they are too narrow; long
    notes and titles stand in lines instead.
    """
    widths = [NARROWEST] * table.columns
    for cell in sorted(table.cells, key=lambda cell: cell.column_span):
        lines = cell.text.split("\n")
        width = max(map(text_width, lines))
        if cell.header == "column" and cell.column_span == 1:  # long ones stand in three lines
            longest = max(map(text_width, cell.text.split()), default=0.0)
            width = max(min(width, _LONG_HEAD), longest, width / 3)
        # A bold digit of Calibri is about a tenth wider; two digits are the cell's own margin,
        # another is how far numbers stand off its edge.
        wanted = width * (1.1 if cell.header or cell.bold else 1.0) + 2
        wanted += cell.align == "right"
        columns = range(cell.column, min(cell.right, table.columns))
        limit = WIDEST
        if len(columns) > 1:
            longest = max(map(text_width, cell.text.split()), default=0.0)
            limit = max((_LONG_HEAD + 2) * len(columns), longest + 2)
        missing = min(wanted, limit) - sum(widths[column] for column in columns)
        if missing > 0 and len(columns):
            for column in columns:
                widths[column] += missing / len(columns)
    return [min(width, WIDEST) for width in widths]


def line_count(text: str, width: float) -> int:
    """In how many lines a text is shown at a width, when words are wrapped."""
    count = 0
    for line in text.split("\n"):
        at = 0.0
        count += 1
        for word in line.split(" "):
            size = text_width(word)
            if at and at + 1 + size > width:
                count, at = count + 1, 0.0
            at += size + (1 if at else 0)
            count += int(at // width) if at > width else 0
            at = at % width if at > width else at
    return count


def row_heights(table: Table, widths: Sequence[float]) -> dict[int, float]:
    """Heights in points of rows that need more than one line; merged cells get theirs from these.

    Programs fit rows to their cells on opening, but not to merged ones.
    """
    lines = [1.0] * table.rows
    for cell in sorted(table.cells, key=lambda cell: cell.row_span):
        if "\n" not in cell.text and len(cell.text) < NARROWEST - 2:
            continue
        width = sum(widths[cell.column : cell.right]) - 1.5
        rows = range(cell.row, min(cell.bottom, table.rows))
        missing = line_count(cell.text, max(width, 1.0)) - sum(lines[row] for row in rows)
        if missing > 0 and len(rows):
            for row in rows:
                lines[row] += missing / len(rows)
    # 15 points are a line of Calibri 11; Excel's highest row is 409 points.
    return {row: min(15 * count, 409.0) for row, count in enumerate(lines) if count > 1}
