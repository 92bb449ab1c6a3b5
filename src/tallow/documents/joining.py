"""Tables that go on over pages, joined: repeated headers dropped, lost empty columns put back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Final, TypeAlias

from tallow.documents.document import Cell, Page, Table
from tallow.documents.geometry import Box, overlap, union
from tallow.lazy_dataclasses import dataclass, replace

if TYPE_CHECKING:
    from tallow.documents.steps import TypeCells

# A table that goes on ends in the last third of its page and begins in the first of the next: the
# rest is margins, a running title, the page's number, notes. Below it there is nothing to read but
# a footer, above it a running title and "Table 1, continued".
_OF_PAGE: Final = 0.35
_MOST_LINES: Final = 3
# Columns of the same table lie over each other by half of the narrower one.
_OVER: Final = 0.5
_MOST_LOST: Final = 2
# Cells by which the kinds of columns are told, so that a table of 1,000 pages takes no longer.
_TELLING: Final = 500
# Headers are the same where so many of their letters are, for readers slip; their digits all are.
_SAME: Final = 0.85
_CONTINUED: Final = re.compile(
    r"(?i)\b(?:continued|cont(?:'|’)?d|cont\.|fortsetzung|suite|continuaci[óo]n|continua(?:zione)?"
    r"|continuação|vervolg|next page)\b|续表|続き|續表|(?:계속)"
)


@dataclass
class _Joined:
    """A table that may go on: what it is by now, and its last part, as that stands on its page."""

    table: Table
    last: Table


def join(
    tables: Sequence[Table], pages: Sequence[Page] = (), *, type_cells: TypeCells | None = None
) -> list[Table]:
    """Tables of pages in order, those that go on over pages as one; what is given is not changed.

    One goes on in the first table of the next page, if it is the last of its own, both stand at the
    pages' edges (`pages` give their sizes and words; without them that is not looked at), columns
    agree in number and place, and the header of the second is the same, or missing. Of repeated
    headers the first stays. A column that one part has lost, as nothing stands in it, is put back.
    A row that is cut by the edge stays two rows, unless its second half can be no row of its own.
    Joined tables are typed again if they were, by `type_cells`, as all cells of a column decide.
    """
    sizes = {page.number: page for page in pages}
    done: list[_Joined] = []
    for table in tables:
        before = done[-1] if done else None
        made = _continued(before, table, tables, sizes) if before else None
        if made is not None and before is not None:
            before.table, before.last = made, table
        else:
            done.append(_Joined(table, table))
    for each in done:
        if each.table.column_types and each.table is not each.last:
            (type_cells or _default_types())(each.table)
    return [each.table for each in done]


def _default_types() -> TypeCells:
    from tallow.documents.values import type_cells

    return type_cells


def _continued(
    before: _Joined, table: Table, tables: Sequence[Table], sizes: Mapping[int, Page]
) -> Table | None:
    """Both tables as one, or None where the second is another."""
    last = before.last
    if table.page != last.page + 1 or not _at_edges(last, table, tables, sizes):
        return None
    title = table.title.strip()
    if title and _plain(title) != _plain(before.table.title) and not _CONTINUED.search(title):
        return None
    scales = [
        (sizes[each.page].width if each.page in sizes else 0) or 1.0 for each in (last, table)
    ]
    columns = _columns_of_both(before.table, last, table, scales)
    if columns is None:
        return None
    first, second = columns
    grown = before.table
    if grown is last or first != [*range(grown.columns)]:  # else it is a copy that may grow
        grown = _with_columns(grown, first, len(first))
    added = _with_columns(table, second, len(second))
    added = _without_rows(added, _continuation_rows(added))
    repeated = _repeated_rows(grown, added)
    if repeated == 0 and added.header_rows and not _is_body(grown, added):
        return None
    return _appended(grown, _without_rows(added, repeated))


def _at_edges(
    last: Table, table: Table, tables: Sequence[Table], sizes: Mapping[int, Page]
) -> bool:
    """Whether one is the last of its page and at its foot, the other the first and at its head."""
    ends, begins = _extent(last), _extent(table)
    for other in tables:
        if other.page not in (last.page, table.page) or other is last or other is table:
            continue
        place = _extent(other)
        if place and ends and other.page == last.page and place[1] >= ends[3]:
            return False
        if place and begins and other.page == table.page and place[3] <= begins[1]:
            return False
    here, there = sizes.get(last.page), sizes.get(table.page)
    if ends and here and not _ends_page(ends[3], here):
        return False
    return not (begins and there and not _begins_page(begins[1], there))


def _extent(table: Table) -> Box | None:
    """Where a table's text stands; its box may be the whole page's."""
    words = [word.box for cell in table.cells for word in cell.words]
    boxes = words or [cell.box for cell in table.cells if cell.box and cell.text.strip()]
    return union(boxes) if boxes else table.box


def _ends_page(bottom: float, page: Page) -> bool:
    below = [word.box for word in page.words if word.box[1] >= bottom]
    return page.height - bottom <= _OF_PAGE * page.height and _lines(below) <= _MOST_LINES


def _begins_page(top: float, page: Page) -> bool:
    above = [word.box for word in page.words if word.box[3] <= top]
    return top <= _OF_PAGE * page.height and _lines(above) <= _MOST_LINES


def _lines(boxes: list[Box]) -> int:
    """How many lines words stand in: each begins below the middle of the one before."""
    count, middle = 0, float("-inf")
    for box in sorted(boxes, key=lambda box: box[1]):
        if box[1] > middle:
            count, middle = count + 1, (box[1] + box[3]) / 2
    return count


def _columns_of_both(
    whole: Table, last: Table, table: Table, scales: list[float]
) -> tuple[list[int | None], list[int | None]] | None:
    """For both tables which of its columns stands in each column of the joined one (None: none).

    None where their columns do not agree. Places are compared as they are and with left edges
    aligned, for odd and even pages may have other margins.
    """
    lasts = [_scaled(each, scales[0]) for each in _places(last)]
    news = [_scaled(each, scales[1]) for each in _places(table)]
    counts = len(lasts), len(news)
    if counts[0] == counts[1] == whole.columns:
        known = [(a, b) for a, b in zip(lasts, news, strict=True) if a and b]
        agree = any(_share_over(known, shift) >= 0.8 for shift in _shifts(known))
        same = list(range(whole.columns))
        return ([*same], [*same]) if agree or not known else None
    if abs(whole.columns - counts[1]) > _MOST_LOST or not counts[1] or not all(news):
        return None
    if counts[0] != whole.columns or not all(lasts):
        return None
    fewer, more = sorted((lasts, news), key=len)
    found = _matched([each for each in fewer if each], [each for each in more if each])
    if found is None:
        return None
    places = [found.index(at) if at in found else None for at in range(len(more))]
    every: list[int | None] = [*range(len(more))]
    return (places, every) if fewer is lasts else (every, places)


Interval: TypeAlias = tuple[float, float]


def _places(table: Table) -> list[Interval | None]:
    """Where each column lies on its page, by the cells that stand in it alone; None: not known."""
    found: list[Interval | None] = []
    for column in range(table.columns):
        boxes = [cell.box for cell in table.cells
                 if cell.box and cell.column == column and cell.column_span == 1]  # fmt: skip
        left = min((box[0] for box in boxes), default=0.0)
        right = max((box[2] for box in boxes), default=0.0)
        found.append((left, right) if right > left else None)
    return found


def _scaled(place: Interval | None, width: float) -> Interval | None:
    return (place[0] / width, place[1] / width) if place else None


def _is_over(a: Interval, b: Interval, shift: float = 0.0) -> bool:
    shared = overlap((a[0] + shift, a[1] + shift), b)
    return shared >= _OVER * min(a[1] - a[0], b[1] - b[0])


def _shifts(known: list[tuple[Interval, Interval]]) -> list[float]:
    if not known:
        return []
    return [0.0, min(b[0] for _, b in known) - min(a[0] for a, _ in known)]


def _share_over(known: list[tuple[Interval, Interval]], shift: float) -> float:
    return sum(_is_over(a, b, shift) for a, b in known) / len(known)


def _matched(fewer: list[Interval], more: list[Interval]) -> list[int] | None:
    """For each of fewer columns the one of more that it lies over, in order; None: not all do."""
    found: list[int] = []
    for place in fewer:
        shares = [overlap(place, other) for other in more]
        best = max(range(len(more)), key=lambda at: shares[at])
        if not _is_over(place, more[best]) or (found and best <= found[-1]):
            return None
        found.append(best)
    return found


def _with_columns(table: Table, columns: list[int | None], count: int) -> Table:
    """A copy whose columns stand where `columns` says; the others are empty."""
    new = {old: at for at, old in enumerate(columns) if old is not None}
    cells = []
    for cell in table.cells:
        left, right = new[cell.column], new[cell.right - 1] + 1
        cells.append(replace(cell, column=left, column_span=right - left))
    taken = {(r, c) for cell in cells for r in range(cell.row, cell.bottom)
             for c in range(cell.column, cell.right)}  # fmt: skip
    cells += [Cell(r, c) for r in range(table.rows) for c in range(count) if (r, c) not in taken]
    return _ordered(replace(table, columns=count, cells=cells, column_types=table.column_types))


def _without_rows(table: Table, count: int) -> Table:
    """A copy without its first rows; what reaches out of them is cut."""
    if not count:
        return table
    cells = []
    for cell in table.cells:
        if cell.bottom > count:
            top = max(cell.row, count)
            cells.append(replace(cell, row=top - count, row_span=cell.bottom - top))
    head = max(0, table.header_rows - count)
    return replace(table, rows=table.rows - count, cells=cells, header_rows=head)


def _continuation_rows(table: Table) -> int:
    """How many rows at its top say no more than that the table goes on."""
    count = 0
    while count < table.rows - 1:
        texts = [cell.text for cell in table.cells if cell.row == count and cell.text.strip()]
        if len(texts) != 1 or not _CONTINUED.search(texts[0]) or len(texts[0]) > 60:
            break
        count += 1
    return count


def _repeated_rows(whole: Table, table: Table) -> int:
    """How many rows at the top of a part repeat the header, or the end of it."""
    top = max(1, whole.header_rows)
    whole = replace(whole, cells=[*takewhile(lambda cell: cell.row < top, whole.cells)])
    head = whole.header_rows or (1 if _has_words(whole, 0) else 0)
    for count in range(min(head, table.rows), 0, -1):
        rows = range(head - count, head)
        if all(_same(_row_text(whole, a), _row_text(table, b)) for b, a in enumerate(rows)):
            return count
    return 0


def _has_words(table: Table, row: int) -> bool:
    texts = [cell.text for cell in table.cells if cell.row == row and cell.text.strip()]
    return len(texts) * 2 > table.columns and not any(map(_is_numeric, texts))


def _row_text(table: Table, row: int) -> str:
    cells = sorted((cell.column, cell.text) for cell in table.cells if cell.row == row)
    return " ".join(text for _, text in cells)


def _plain(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _same(a: str, b: str) -> bool:
    """Whether two texts are the same but for slips of a reader; digits are all the same."""
    from difflib import SequenceMatcher

    a, b = _plain(a), _plain(b)
    if not a or not b or re.sub(r"\D", "", a) != re.sub(r"\D", "", b):
        return False
    return a == b or SequenceMatcher(None, a, b, autojunk=False).ratio() >= _SAME


def _is_numeric(text: str) -> bool:
    from tallow.documents.values.numbers import MISSING, parse

    return parse(text) is not None or text.strip().lower() in MISSING


def _is_body(whole: Table, table: Table) -> bool:
    """Whether the rows that a part has as its header are body: with numbers where the whole has.

    Models take the first row of what they see for a header. Without any numbers nothing tells.
    """
    numeric: dict[int, list[bool]] = {}
    for cell in whole.cells[:_TELLING]:
        if cell.row >= whole.header_rows and cell.text.strip():
            numeric.setdefault(cell.column, []).append(_is_numeric(cell.text))
    columns = {column for column, found in numeric.items() if 2 * sum(found) > len(found)}
    heads = [cell for cell in table.cells if cell.row < table.header_rows and cell.text.strip()]
    first = [cell for cell in heads if cell.column in columns]
    fitting = sum(_is_numeric(cell.text) for cell in first)
    return bool(first) and 2 * fitting > len(first)


def _appended(whole: Table, part: Table) -> Table:
    """The rows of a part behind those of the whole, whose list of cells grows."""
    cells = [replace(cell, header="" if cell.header == "column" else cell.header)
             for cell in part.cells]  # fmt: skip
    rows = whole.rows
    if _is_second_half(whole, cells):
        above = _bottom(whole)
        kept = [cell for cell in whole.cells if cell.bottom != whole.rows]
        halves = {cell.column: cell for cell in cells if cell.row == 0}
        kept += [_with_half(above[c], halves.get(c)) for c in above]
        whole = _ordered(replace(whole, cells=kept))
        cells = [replace(cell, row=cell.row - 1) for cell in cells if cell.row > 0]
        part = replace(part, rows=part.rows - 1)
    cells = [replace(cell, row=cell.row + rows) for cell in cells]
    cells.sort(key=lambda cell: (cell.row, cell.column))
    counts = max(1, len(whole.cells)), max(1, len(cells))
    confidence = whole.confidence * counts[0] + part.confidence * counts[1]
    whole.cells.extend(cells)
    return replace(
        whole,
        rows=rows + part.rows,
        pages=(*(whole.pages or (whole.page,)), *(part.pages or (part.page,))),
        confidence=confidence / sum(counts),
    )


def _bottom(table: Table) -> dict[int, Cell]:
    """The cells of the last row by their columns; looked for from the end, where they are."""
    found: dict[int, Cell] = {}
    missing = table.columns
    for cell in reversed(table.cells):
        if missing <= 0:
            break
        if cell.bottom == table.rows:
            found[cell.column] = cell
            missing -= cell.column_span
    return found


def _is_second_half(whole: Table, cells: list[Cell]) -> bool:
    """Whether the first row of a part can only be the rest of the row above the edge.

    It has no name in its first column, no number, and each of its texts goes on in the middle of a
    sentence that the cell above it has begun.
    """
    first = [cell for cell in cells if cell.row == 0]
    above = _bottom(whole)
    told = [cell for cell in first if cell.text.strip()]
    same = all(
        cell.column in above and above[cell.column].column_span == cell.column_span
        for cell in first
    )
    if not told or not same or any(cell.row_span > 1 for cell in first):
        return False
    if whole.columns < 2 or told[0].column == 0 or whole.rows <= whole.header_rows:
        return False
    return all(_goes_on(above[cell.column].text, cell.text) for cell in told)


def _goes_on(above: str, below: str) -> bool:
    above, below = above.strip(), below.strip()
    return bool(above) and above[-1] not in ".!?:;)。" and below[:1].islower() and len(below) > 1


def _with_half(cell: Cell, half: Cell | None) -> Cell:
    if half is None or not half.text.strip():
        return cell
    shift = len(cell.text) + 1
    raised = tuple((start + shift, end + shift) for start, end in half.raised)
    return replace(
        cell,
        text=f"{cell.text}\n{half.text}",
        raised=cell.raised + raised,
        confidence=min(cell.confidence, half.confidence),
        words=cell.words + half.words,
    )


def _ordered(table: Table) -> Table:
    table.cells.sort(key=lambda cell: (cell.row, cell.column))
    return table
