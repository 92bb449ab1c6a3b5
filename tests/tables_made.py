"""Tables for tests: made from rows of texts, and read back from HTML by its placement."""

from __future__ import annotations

import random
from html.parser import HTMLParser

from tallow.documents.document import Cell, Table


def table_of(rows, header_rows=1, spans=(), **more):
    """A table of lists of texts; `spans` are (row, column, row_span, column_span)."""
    columns = max(len(row) for row in rows)
    wide = {(row, column): (down, right) for row, column, down, right in spans}
    hidden = {
        (r, c)
        for (row, column), (down, right) in wide.items()
        for r in range(row, row + down)
        for c in range(column, column + right)
    } - wide.keys()
    cells = []
    for r, row in enumerate(rows):
        for c in range(columns):
            if (r, c) in hidden:
                continue
            down, right = wide.get((r, c), (1, 1))
            text = row[c] if c < len(row) else ""
            header = "column" if r < header_rows else ""
            cells.append(Cell(r, c, down, right, text=text, header=header))
    return Table(len(rows), columns, cells, header_rows=header_rows, **more)


def tiling(seed):
    """Cells that tile a grid at random, some of them tall or wide, with every kind of text."""
    draw = random.Random(seed)
    rows, columns = draw.randint(1, 9), draw.randint(1, 7)
    texts = ["", "1.5", "a < b & c", '"quoted"', "two\nlines", "分類", "x²", "</td><script>"]
    taken, cells, head = set(), [], draw.randint(0, rows)
    for row in range(rows):
        for column in range(columns):
            if (row, column) in taken:
                continue
            limit = head if row < head else rows
            down, right = draw.randint(1, min(3, limit - row)), draw.randint(1, 3)
            right = min(right, columns - column)
            if any((row, column + c) in taken for c in range(right)):
                right = 1
            taken |= {(row + r, column + c) for r in range(down) for c in range(right)}
            text = draw.choice(texts)
            raised = ((len(text) - 1, len(text)),) if len(text) > 2 and draw.random() < 0.3 else ()
            header = "column" if row < head else draw.choice(["", "", "row"])
            bold = header != "column" and bool(text) and draw.random() < 0.2
            cells.append(
                Cell(row, column, down, right, text, header=header, raised=raised, bold=bold)
            )
    return Table(rows, columns, cells, header_rows=head)


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.rows, self.head, self.cell, self.in_head = [], 0, None, False

    def handle_starttag(self, tag, attributes):
        if tag == "thead":
            self.in_head = True
        elif tag == "tr":
            self.rows.append([])
            self.head += self.in_head
        elif tag in ("td", "th"):
            self.cell = {"tag": tag, "text": "", "raised": [], "bold": False, **dict(attributes)}
            self.rows[-1].append(self.cell)
        elif self.cell is not None and tag == "br":
            self.cell["text"] += "\n"
        elif self.cell is not None and tag == "sup":
            self.cell["raised"].append(len(self.cell["text"]))
        elif self.cell is not None and tag == "b":
            self.cell["bold"] = True

    def handle_endtag(self, tag):
        if tag == "thead":
            self.in_head = False
        elif tag in ("td", "th"):
            self.cell = None
        elif self.cell is not None and tag == "sup":
            start = self.cell["raised"].pop()
            self.cell["raised"].append((start, len(self.cell["text"])))

    def handle_data(self, data):
        if self.cell is not None:
            self.cell["text"] += data


def table_from_html(text):
    """The table that HTML shows: each cell in the first free place of its row."""
    reader = _Reader()
    reader.feed(text)
    taken, cells = set(), []
    for row, found in enumerate(reader.rows):
        column = 0
        for each in found:
            while (row, column) in taken:
                column += 1
            down, right = int(each.get("rowspan", 1)), int(each.get("colspan", 1))
            taken |= {(row + r, column + c) for r in range(down) for c in range(right)}
            header = "column" if each["tag"] == "th" else ""
            header = each.get("class", "").replace("row-header", "row") or header
            cells.append(
                Cell(row, column, down, right, text=each["text"], header=header,
                     bold=each["bold"], raised=tuple(each["raised"]))
            )  # fmt: skip
    columns = max((cell.right for cell in cells), default=0)
    return Table(len(reader.rows), columns, cells, header_rows=reader.head)
