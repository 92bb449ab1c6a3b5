"""CSV of tables (RFC 4180), guarded so that no spreadsheet takes a text for a formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tallow.documents.document import Cell, Table
from tallow.documents.writers.text import held, is_number, plain

# Of OWASP, "CSV Injection"; the wide forms are read as formulas where Japanese is the language.
_STARTS_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Programs that read a table pass over these before a formula: a byte order mark at the beginning of
# a file, and what has no width or is blank.
_PASSED_OVER: Final = " \u00a0\u200b\u2060\u3000\ufeff"
_LONE_SIGNS: Final = frozenset({"-", "+", "--", "---", "－", "＋"})


def table_csv(
    table: Table, *, guard: bool = True, fill: bool = False, delimiter: str = ",", bom: bool = False
) -> str:
    """A table as CSV, one line a row, with CRLF ends.

    Numbers are written as programs read them (`-1234.5`), dates as ISO 8601, all else as its text.
    A text that a spreadsheet would take for a formula gets a leading `'`, unless not to `guard`; a
    lone dash is none. A cell that spans others is written once, or with `fill` in each place. `bom`
    begins with a byte order mark, by which Excel knows UTF-8.
    """
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    for row in filled(table, lambda cell: _text(cell, guard), fill):
        # A lone empty field would be an empty line, which readers pass over.
        out.write('""\r\n') if row == [""] else writer.writerow(row)
    return ("\ufeff" if bom else "") + out.getvalue()


def tables_csv(tables: Sequence[Table], *, guard: bool = True) -> str:
    """Tables one after the other, an empty line between them."""
    return "\r\n".join(table_csv(table, guard=guard) for table in tables)


def filled(table: Table, text: Callable[[Cell], str], fill: bool) -> list[list[str]]:
    """The grid as texts: those of spans in their first place, or with `fill` in each."""
    grid = [[""] * table.columns for _ in range(table.rows)]
    for cell in table.cells:
        written = text(cell)
        for row in range(cell.row, min(cell.bottom, table.rows) if fill else cell.row + 1):
            for column in range(
                cell.column, min(cell.right, table.columns) if fill else cell.column + 1
            ):
                grid[row][column] = written
    return grid


def _text(cell: Cell, guard: bool) -> str:
    value = held(cell)
    text = plain(value)
    if guard and not is_number(value) and text.lstrip(_PASSED_OVER).startswith(_STARTS_FORMULA):
        return text if text.strip() in _LONE_SIGNS else f"'{text}"
    return text
