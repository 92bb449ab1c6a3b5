"""HTML of tables and documents: spans, header cells with their scope, superscripts."""

from __future__ import annotations

from html import escape
from typing import Final

from tallow.documents.document import Cell, Document, Table
from tallow.documents.writers.text import by_rows, clean, head_rows, one_line, runs

_STYLE: Final = """\
body { font-family: system-ui, sans-serif; margin: 2rem; }
table { border-collapse: collapse; margin: 0 0 2rem; }
caption { text-align: left; font-weight: bold; padding: .25rem 0; }
th, td { border: 1px solid #888; padding: .25rem .5rem; vertical-align: top; }
th, .section { background: #eee; }
.section, .row-header { font-weight: bold; }"""


def table_html(table: Table, *, row_headers: bool = False) -> str:
    """A table as one `<table>` element.

    The header rows are the `<thead>`, and what heads columns is a `<th>`. What heads a row or a
    section is a `<td>` with the class `row-header` or `section`, as in the public data sets of
    tables (PubTabNet, ICDAR 2013), which mark columns' headers alone; with `row_headers` it is a
    `<th>` with its scope, as screen readers like it.
    """
    head = head_rows(table)
    lines = [_row(cells, row_headers) for cells in by_rows(table)]
    title = f"<caption>{_escaped(table.title)}</caption>" if table.title else ""
    parts = ["<thead>", *lines[:head], "</thead>"] if head else []
    if lines[head:] or not head:
        parts += ["<tbody>", *lines[head:], "</tbody>"]
    return "\n".join([f"<table>{title}", *parts, "</table>"])


def document_html(document: Document, *, row_headers: bool = False) -> str:
    """All tables of a document as one page that needs nothing else."""
    name = escape(one_line(document.name)) or "Tables"
    tables = [table_html(each, row_headers=row_headers) for each in document.tables]
    return "\n".join([
        "<!DOCTYPE html>",
        '<html><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{name}</title>",
        f"<style>\n{_STYLE}\n</style></head><body>",
        *tables,
        "</body></html>\n",
    ])  # fmt: skip


def _row(cells: list[Cell], row_headers: bool) -> str:
    return "<tr>" + "".join(_cell(cell, row_headers) for cell in cells) + "</tr>"


def _cell(cell: Cell, row_headers: bool) -> str:
    heads = cell.header == "column" or (row_headers and cell.header != "")
    attributes = ""
    if cell.row_span > 1:
        attributes += f' rowspan="{cell.row_span}"'
    if cell.column_span > 1:
        attributes += f' colspan="{cell.column_span}"'
    if heads:
        attributes += f' scope="{_scope(cell)}"'
    elif cell.header:
        attributes += ' class="section"' if cell.header == "section" else ' class="row-header"'
    if cell.align in ("center", "right"):
        attributes += f' style="text-align: {cell.align}"'
    tag = "th" if heads else "td"
    return f"<{tag}{attributes}>{_content(cell, bold=cell.bold and not heads)}</{tag}>"


def _scope(cell: Cell) -> str:
    """What a header cell heads, as HTML names it."""
    if cell.header == "column":
        return "colgroup" if cell.column_span > 1 else "col"
    return "rowgroup" if cell.header == "section" or cell.row_span > 1 else "row"


def _content(cell: Cell, bold: bool) -> str:
    pieces = [f"<sup>{_escaped(t)}</sup>" if up else _escaped(t) for t, up in runs(cell)]
    inner = "".join(pieces)
    return f"<b>{inner}</b>" if bold and inner else inner


def _escaped(text: str) -> str:
    return escape(clean(text)).replace("\n", "<br>")
