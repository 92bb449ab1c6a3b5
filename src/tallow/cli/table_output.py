"""Tables of documents on standard output: drawn for people, or as CSV, HTML, Markdown, JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallow.documents import Document, Table


def show(document: Document, format: str | None) -> None:
    """Print a document's tables; without a format drawn on a terminal, Markdown in a pipe."""
    from tallow.cli.output import is_terminal

    if format is None and is_terminal():
        for table in document.tables:
            draw(table)
        return
    texts = {
        "csv": document.to_csv,
        "html": document.to_html,
        "md": document.to_markdown,
        "json": document.to_json,
    }
    print(texts[format or "md"]())


def draw(table: Table) -> None:
    """A table as rich draws it: header rows bold, places that a span covers empty.

    Words are not broken where the terminal is wide enough for the longest of each column; lines
    between the rows are drawn where some take several lines.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    from tallow.cli.output import printable

    console = Console(highlight=False)
    lines = ["\n".join(printable(line) for line in cell.text.split("\n")) for cell in table.cells]
    words, whole = _widths(table, lines)
    room = console.width - 3 * table.columns - 1  # a border and two blanks for each column
    made = Drawn(
        title=Text(printable(table.title) or f"page {table.page}"), title_justify="left",
        box=box.ROUNDED, show_header=False,
        show_lines=sum(whole) > room or any("\n" in line for line in lines),
    )  # fmt: skip
    numeric = [kind.kind not in ("", "text", "date") for kind in table.column_types]
    for column in range(table.columns):
        right = column < len(numeric) and numeric[column]
        least = words[column] if sum(words) <= room else None
        made.add_column(justify="right" if right else "left", overflow="fold", min_width=least)
    rows = [[Text("")] * table.columns for _ in range(table.rows)]
    for cell, line in zip(table.cells, lines, strict=True):
        rows[cell.row][cell.column] = Text(line, style="bold" if cell.header else "")
    for number, row in enumerate(rows, 1):
        made.add_row(*row, end_section=number == table.header_rows)
    console.print(made)


def _widths(table: Table, lines: list[str]) -> tuple[list[int], list[int]]:
    """The longest word and the longest line of each column, in places of the terminal."""
    from rich.cells import cell_len

    words, whole = [1] * table.columns, [1] * table.columns
    for cell, text in zip(table.cells, lines, strict=True):
        if cell.column_span == 1:
            at = cell.column
            words[at] = max([words[at], *map(cell_len, text.split())])
            whole[at] = max([whole[at], *map(cell_len, text.split("\n"))])
    return words, whole
