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
    """A table as rich draws it: header rows bold, places that a span covers empty."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    from tallow.cli.output import printable

    title = printable(table.title) or f"page {table.page}"
    made = Drawn(
        title=Text(title), title_justify="left", box=box.ROUNDED, show_header=False, show_lines=True
    )
    rows = [[Text("")] * table.columns for _ in range(table.rows)]
    numeric = [kind.kind not in ("", "text", "date") for kind in table.column_types]
    for cell in table.cells:
        lines = "\n".join(printable(line) for line in cell.text.split("\n"))
        rows[cell.row][cell.column] = Text(lines, style="bold" if cell.header else "")
    for column in range(table.columns):
        right = column < len(numeric) and numeric[column]
        made.add_column(justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    Console(highlight=False).print(made)
