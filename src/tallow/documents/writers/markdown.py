"""Markdown of tables, in GitHub's form: one header line, cells in one line each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tallow.documents.document import Cell, Table
from tallow.documents.writers.csv import filled
from tallow.documents.writers.text import clean, held, is_number, one_line, runs

# What begins emphasis, code, a cell or HTML; `](` makes a link, `&` with a `;` an entity.
_SPECIAL: Final = re.compile(r"[\\`*_|~]|&(?=#?\w+;)|<|(?<=\])\(")


def table_markdown(table: Table, *, fill: bool = False) -> str:
    """A table in the form of GitHub Flavored Markdown (section 4.10).

    There is one header line, so the header rows are joined by `<br>`; without any it is empty. A
    cell that spans others is written once, or with `fill` in each place.
    """
    grid = filled(table, _text, fill)
    head = min(table.header_rows, table.rows)
    lines = [[_joined(column) for column in zip(*grid[:head], strict=True)] or [""] * table.columns]
    marks = ["---:" if _is_numeric(table, column) else "---" for column in range(table.columns)]
    lines += [marks, *grid[head:]]
    title = f"**{_escaped(one_line(table.title))}**\n\n" if table.title else ""
    return title + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def tables_markdown(tables: Sequence[Table], *, fill: bool = False) -> str:
    """Tables one after the other, an empty line between them."""
    return "\n".join(table_markdown(table, fill=fill) for table in tables)


def _text(cell: Cell) -> str:
    pieces = [f"<sup>{_escaped(t)}</sup>" if up else _escaped(t) for t, up in runs(cell)]
    text = "".join(pieces).strip().replace("\n", "<br>")
    bold = cell.bold and not cell.header and text
    return f"**{text}**" if bold else text


def _joined(texts: Sequence[str]) -> str:
    return "<br>".join(text for text in dict.fromkeys(texts) if text)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(_escape, clean(text)).replace("\t", " ")


def _escape(found: re.Match[str]) -> str:
    return {"&": "&amp;", "<": "&lt;"}.get(found[0], f"\\{found[0]}")


def _is_numeric(table: Table, column: int) -> bool:
    """Whether more of a column's values are numbers than not."""
    own = [c for c in table.cells if c.column == column and c.column_span == 1]
    values = [held(c) for c in own if c.row >= table.header_rows]
    return sum(map(is_number, values)) * 2 > sum(value is not None for value in values)
