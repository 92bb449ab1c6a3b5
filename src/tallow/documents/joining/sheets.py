"""Tables as they stand on their page: whether at its head or foot, and under which caption."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from tallow.documents.content import Word
from tallow.documents.document import Page, Table
from tallow.documents.geometry import Box, union
from tallow.documents.turning import turned_box
from tallow.lazy_dataclasses import dataclass, field

# A table that goes on ends in the last third of its page and begins in the first of the next: the
# rest is margins, a running title, the page's number, notes. Below it there is nothing to read but
# a footer, above it a running title and "Table 1, continued".
_OF_PAGE: Final = 0.35
_MOST_LINES: Final = 3
_CAPTION: Final = re.compile(
    r"(?i)(?:^|\n)\s*(?:table|tab\.|tabelle|tableau|tabla|tabella|tabela|tabel|表)\s*"
    r"([a-z]?[.-]?\d+(?:[.-]\d+)*[a-z]?|[ivxlc]+)\b"
)
CONTINUED: Final = re.compile(
    r"(?i)\b(?:continued|cont(?:'|’)?d|cont\.|fortsetzung|suite|continuaci[óo]n|continua(?:zione)?"
    r"|continuação|vervolg|next page)(?:\b|(?<=\.))|续表|続き|續表|(?:계속)"
)

Interval: TypeAlias = tuple[float, float]


@dataclass
class Part:
    """A table on its page, upright: `columns` are shares of the page's width.

    `ends` and `begins` say whether it may go on over the page's foot, and come from over its head;
    `caption` is the number that its caption gives it, `continued` whether that says so.
    """

    table: Table
    turn: int = 0
    place: Box | None = None
    columns: list[Interval | None] = field(default_factory=list)
    ends: bool = True
    begins: bool = True
    caption: str = ""
    continued: bool = False


def parts_of(tables: Sequence[Table], page: Page | None) -> list[Part]:
    """The tables of one page; without the page only their places to each other are known."""
    parts = [_part(table, page) for table in tables]
    for part in parts:
        own = part.place
        others = [each for each in parts if each is not part and each.turn == part.turn]
        places = [each.place for each in others if each.place is not None]
        if own is not None:
            part.ends = not any(place[1] >= own[3] for place in places)
            part.begins = not any(place[3] <= own[1] for place in places)
        if page is not None and own is not None:
            _look_around(part, own, page)
    return parts


def _part(table: Table, page: Page | None) -> Part:
    turn = -_turn_of(table) % 360
    width, height = (page.width, page.height) if page is not None else (0.0, 0.0)
    scale = (height if turn in (90, 270) else width) or 1.0
    place = _extent(table)
    upright = None if place is None else turned_box(place, turn, width, height)
    return Part(table, turn, upright, _places(table, turn, width, height, scale))


def _turn_of(table: Table) -> int:
    """How a table lies on its page, degrees clockwise: by the way from its first column on."""
    places: dict[int, list[tuple[float, float]]] = {}
    for cell in table.cells:
        if cell.box is not None and cell.column_span == 1:
            x, y = (cell.box[0] + cell.box[2]) / 2, (cell.box[1] + cell.box[3]) / 2
            places.setdefault(cell.column, []).append((x, y))
    if len(places) < 2:
        return 0
    (x0, y0), (x1, y1) = (
        (sum(x for x, _ in each) / len(each), sum(y for _, y in each) / len(each))
        for each in (places[min(places)], places[max(places)])
    )
    if abs(x1 - x0) >= abs(y1 - y0):
        return 0 if x1 >= x0 else 180
    return 90 if y1 > y0 else 270


def _extent(table: Table) -> Box | None:
    """Where a table's text stands; its box may be the whole page's."""
    words = [word.box for cell in table.cells for word in cell.words]
    boxes = words or [cell.box for cell in table.cells if cell.box and cell.text.strip()]
    return union(boxes) if boxes else table.box


def _places(
    table: Table, turn: int, width: float, height: float, scale: float
) -> list[Interval | None]:
    """Where each column lies, by the cells that stand in it alone; None: not known."""
    found: list[Interval | None] = [None] * table.columns
    for cell in table.cells:
        if cell.box is None or cell.column_span != 1 or not 0 <= cell.column < table.columns:
            continue
        left, _, right, _ = turned_box(cell.box, turn, width, height)
        known = found[cell.column] or (left / scale, right / scale)
        found[cell.column] = min(known[0], left / scale), max(known[1], right / scale)
    return [each if each and each[1] > each[0] else None for each in found]


def _look_around(part: Part, place: Box, page: Page) -> None:
    """Say of a part what the words above and below it tell."""
    size = page.width, page.height
    tall = page.width if part.turn in (90, 270) else page.height
    boxes = [turned_box(word.box, part.turn, *size) for word in page.words]
    below = [box for box in boxes if box[1] >= place[3]]
    over = [(word, box) for word, box in zip(page.words, boxes, strict=True) if box[3] <= place[1]]
    part.ends &= tall - place[3] <= _OF_PAGE * tall and _lines(below) <= _MOST_LINES
    at_head = place[1] <= _OF_PAGE * tall and _lines(box for _, box in over) <= _MOST_LINES
    part.begins &= at_head
    text = _text_over(over, place[1])
    found = list(_CAPTION.finditer(text))
    part.caption = found[-1][1].casefold() if found else ""
    part.continued = bool(CONTINUED.search(text))


def _lines(boxes: Iterable[Box]) -> int:
    """How many lines words stand in: each begins below the middle of the one before."""
    count, middle = 0, float("-inf")
    for box in sorted(boxes, key=lambda box: box[1]):
        if box[1] > middle:
            count, middle = count + 1, (box[1] + box[3]) / 2
    return count


def _text_over(words: Sequence[tuple[Word, Box]], top: float) -> str:
    """The lines just above a place, the last of them last, each from left to right."""
    lines: list[list[tuple[Word, Box]]] = []
    for word, box in sorted(words, key=lambda each: -each[1][3]):
        if lines and box[3] > (lines[-1][0][1][1] + lines[-1][0][1][3]) / 2:
            lines[-1].append((word, box))
        elif len(lines) < _MOST_LINES and top - box[3] < 8 * (box[3] - box[1]):
            lines.append([(word, box)])
        else:
            break
    ordered = [sorted(line, key=lambda each: each[1][0]) for line in reversed(lines)]
    return "\n".join(" ".join(word.text for word, _ in line) for line in ordered)
