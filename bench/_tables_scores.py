"""Scores of a table against its truth: TEDS, its structure alone, F1 of cells and of headers.

TEDS is 1 - distance / size of the larger tree (Zhong, ShafieiBavani and Jimeno Yepes, "Image-based
table recognition", 2020): trees of a table, its rows and cells; inserting and deleting a node costs
1, renaming a cell the normalised Levenshtein distance of its text where the spans agree, else 1.
The distance is that of Zhang and Shasha ("Simple fast algorithms for the editing distance between
trees", 1989). Sections of rows and th for td make no difference to it; headers have a score of
their own.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import NamedTuple

SECTIONS = ("thead", "tbody", "tfoot")
METRICS = ("teds", "struct", "cell_f1", "header_f1")


@dataclass
class HtmlCell:
    """A td or th: spans, text, whether it is a header's."""

    row_span: int = 1
    column_span: int = 1
    header: bool = False
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its text, NFKC, white space collapsed."""
        return " ".join(unicodedata.normalize("NFKC", "".join(self.pieces)).split())


class _Rows(HTMLParser):
    """Rows of the first table; end tags may be missing, of tables in cells only text counts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[HtmlCell]] = []
        self.depth = 0
        self.found = self.over = self.in_row = self.in_cell = self.in_head = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table" and not self.over:
            self.depth += 1
            self.found = True
        if self.over or self.depth != 1:
            return
        if tag in SECTIONS or tag == "tr":
            self.in_cell, self.in_row = False, tag == "tr"
            if tag == "tr":
                self.rows.append([])
            else:
                self.in_head = tag == "thead"
        elif tag in ("td", "th"):
            if not self.in_row:
                self.rows.append([])
            given = dict(attrs)
            header = tag == "th" or self.in_head
            self.rows[-1].append(
                HtmlCell(_span(given.get("rowspan")), _span(given.get("colspan")), header)
            )
            self.in_row = self.in_cell = True
        elif tag == "br" and self.in_cell:
            self.rows[-1][-1].pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table" and self.depth:
            self.depth -= 1
            self.over = self.over or self.depth == 0
        if self.depth == 1 and tag in ("td", "th", "tr", *SECTIONS):
            self.in_cell = False
            self.in_row = self.in_row and tag in ("td", "th")
            self.in_head = self.in_head and tag not in SECTIONS

    def handle_data(self, data: str) -> None:
        if self.in_cell and self.depth and not self.over:
            self.rows[-1][-1].pieces.append(data)


def _span(given: str | None) -> int:
    digits = re.sub(r"\D", "", given or "")
    return max(1, int(digits)) if digits else 1


def rows_of(html: str) -> list[list[HtmlCell]] | None:
    """The rows of the first table; None where there is no table."""
    parser = _Rows()
    parser.feed(html)
    parser.close()
    return parser.rows if parser.found else None


class Tree(NamedTuple):
    """A tree by its nodes in post-order: label, text, and the leftmost leaf below each."""

    labels: list[Hashable]
    texts: list[str | None]
    leftmost: list[int]

    def keyroots(self) -> list[int]:
        """Nodes that have a left sibling, and the root: of each leftmost leaf the highest node."""
        return sorted({leaf: node for node, leaf in enumerate(self.leftmost)}.values())


def tree_of(rows: Sequence[Sequence[HtmlCell]]) -> Tree:
    """A table as a tree."""
    tree = Tree([], [], [])

    def add(label: Hashable, text: str | None, leftmost: int) -> None:
        tree.labels.append(label)
        tree.texts.append(text)
        tree.leftmost.append(leftmost)

    for row in rows:
        first = len(tree.labels)
        for cell in row:
            add((cell.row_span, cell.column_span), cell.text, len(tree.labels))
        add("tr", None, first)
    add("table", None, 0)
    return tree


def levenshtein(a: str, b: str) -> int:
    """Insertions, deletions and replacements from one text to another."""
    before = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        now = [i]
        for j, y in enumerate(b, 1):
            now.append(min(before[j] + 1, now[-1] + 1, before[j - 1] + (x != y)))
        before = now
    return before[-1]


def _renaming(a: Tree, b: Tree, texts: bool) -> Callable[[int, int], float]:
    known: dict[tuple[str, str], float] = {}

    def cost(i: int, j: int) -> float:
        if a.labels[i] != b.labels[j]:
            return 1.0
        pair = (a.texts[i] or "", b.texts[j] or "")
        if not texts or pair[0] == pair[1]:
            return 0.0
        if pair not in known:
            known[pair] = levenshtein(*pair) / max(map(len, pair))
        return known[pair]

    return cost


def distance(a: Tree, b: Tree, texts: bool = True) -> float:
    """What the cheapest way from one tree to the other costs."""
    same = a.labels == b.labels and a.leftmost == b.leftmost
    if same and (not texts or a.texts == b.texts):
        return 0.0
    rename = _renaming(a, b, texts)
    trees = [[0.0] * len(b.labels) for _ in a.labels]
    for i in a.keyroots():
        leaf = a.leftmost[i] == i
        for j in b.keyroots():
            if leaf and b.leftmost[j] == j:  # most pairs are of two cells
                trees[i][j] = rename(i, j)
            else:
                _forests(a, b, i, j, trees, rename)
    return trees[-1][-1]


def _forests(
    a: Tree, b: Tree, i: int, j: int, trees: list[list[float]], rename: Callable[[int, int], float]
) -> None:
    """Distances of all forests that begin at the leftmost leaves of nodes i and j, by dynamics."""
    left_a, left_b = a.leftmost[i], b.leftmost[j]
    shifts = [leaf - left_b for leaf in b.leftmost[left_b : j + 1]]
    table = [[float(column) for column in range(j - left_b + 2)]]
    for x in range(left_a, i + 1):
        above, known = table[-1], trees[x]
        shift = a.leftmost[x] - left_a
        before = table[shift]
        last = above[0] + 1
        line = [last]
        for place, start in enumerate(shifts):
            last = last + 1 if last < above[place + 1] else above[place + 1] + 1
            y = left_b + place
            if shift == 0 and start == 0:
                last = min(last, above[place] + rename(x, y))
                known[y] = last
            elif (moved := before[start] + known[y]) < last:
                last = moved
            line.append(last)
        table.append(line)


def teds(predicted: str, truth: str, texts: bool = True) -> float:
    """TEDS of two tables as HTML; without `texts` of their structure alone. 0 without a table.

    Raises:
        ValueError: the truth has no table.
    """
    true_rows, rows = rows_of(truth), rows_of(predicted)
    if not true_rows:
        raise ValueError("the truth has no table")
    if not rows:
        return 0.0
    a, b = tree_of(rows), tree_of(true_rows)
    return max(0.0, 1 - distance(a, b, texts) / max(len(a.labels), len(b.labels)))


class Placed(NamedTuple):
    """A cell in the grid, by HTML's rules."""

    row: int
    column: int
    row_span: int
    column_span: int
    text: str
    header: bool


def placed(rows: Sequence[Sequence[HtmlCell]] | None) -> list[Placed]:
    """Cells with their places: each takes the first free one of its row."""
    rows = rows or []
    taken: set[tuple[int, int]] = set()
    found = []
    for number, row in enumerate(rows):
        column = 0
        for cell in row:
            while (number, column) in taken:
                column += 1
            height = min(cell.row_span, len(rows) - number)
            taken |= {
                (number + r, column + c) for r in range(height) for c in range(cell.column_span)
            }
            found.append(Placed(number, column, height, cell.column_span, cell.text, cell.header))
            column += cell.column_span
    return found


def f1(found: Iterable[Hashable], wanted: Iterable[Hashable]) -> float:
    """F1 of two multisets; 1 of two empty ones."""
    a, b = Counter(found), Counter(wanted)
    total = a.total() + b.total()
    return 2 * (a & b).total() / total if total else 1.0


def _keys(cells: Iterable[Placed]) -> list[Hashable]:
    return [(*cell[:4], "".join(cell.text.split())) for cell in cells]


def score(predicted: str, truth: str) -> dict[str, float | None]:
    """All of `METRICS`; header_f1 is None where the truth marks no header."""
    wanted, found = placed(rows_of(truth)), placed(rows_of(predicted))
    heads = [cell[:2] for cell in wanted if cell.header]
    return {
        "teds": teds(predicted, truth),
        "struct": teds(predicted, truth, texts=False),
        "cell_f1": f1(_keys(found), _keys(wanted)),
        "header_f1": f1([c[:2] for c in found if c.header], heads) if heads else None,
    }
