"""`type_cells`: values and number formats of a table's cells, decided column by column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tallow.documents.document import Cell, ColumnType, Table
from tallow.documents.values import dates, slips
from tallow.documents.values.columns import (
    Column,
    DecimalMark,
    Item,
    columns_of,
    is_like_a_number,
    language_mark,
    majority,
    votes,
)
from tallow.documents.values.decisions import column_mark, doubts, reading_with
from tallow.documents.values.marks import Marked
from tallow.documents.values.names import name_reason
from tallow.documents.values.numbers import Number, format_of, parse, value_of

# Of the cells that say something, how many make a column one of dates, or one of numbers, in which
# signs and marks are read that alone would say too little; and one of nothing but numbers.
_OF_DATES, _OF_CLEAR_DATES, _OF_NUMBERS, _PLAINLY = 0.8, 0.6, 0.6, 0.8
_FEW: Final = 3


def type_cells(table: Table, *, empty_missing: bool = False) -> None:
    """Set value, number format, note and alignment of cells, and the types of columns, in place.

    Each column is decided by all of its cells, in doubt as text: then the value is the text. What
    heads columns or sections stays text. With `empty_missing`, dashes and `n/a` are empty cells.
    """
    columns = columns_of(table)
    every = [item for column in columns for item in column.told]
    of_table, of_language = majority(votes(columns)), language_mark(table)
    order, _ = dates.order_of([item.dated for item in every if item.dated])
    first_texts = {item.cell.row: item.text for item in columns[0].items} if columns else {}
    for cell in table.cells:
        cell.value, cell.number_format, cell.note = (
            (cell.text.strip() and cell.text) or None,
            "",
            "",
        )
    table.column_types = []
    for column in columns:
        decision = _decide(column, order, of_table, of_language, first_texts, not table.header_rows)
        table.column_types.append(decision)
        for item in column.items:
            if item.missing and empty_missing:
                item.cell.value = None
            beside = decision.kind in _NUMERIC or not column.told
            if beside and item.missing and not item.cell.align:
                item.cell.align = "right"


_NUMERIC: Final = frozenset({"integer", "number", "percent", "currency"})


def _decide(
    column: Column,
    order: dates.Order,
    of_table: DecimalMark,
    of_language: DecimalMark,
    first_texts: dict[int, str],
    may_head: bool,
) -> ColumnType:
    told = column.told
    if not told:
        kind = "text" if column.items else "empty"
        return ColumnType(kind, ("nothing but signs of no value",) if column.items else ())
    for attempt in (_as_dates, _as_times):
        found = attempt(column, order, may_head)
        if found:
            return found
    reason = name_reason(column)
    if reason:
        return ColumnType("text", (f"text: {reason}",))
    return _as_numbers(column, of_table, of_language, first_texts, may_head)


def _share(fitting: int, column: Column, may_head: bool) -> float:
    """How many of a column's cells fit; its first may be a header that nobody found."""
    told = column.told
    head = may_head and len(told) > 1 and told[0].cell.row == 0 and not any(
        (told[0].marked, told[0].dated, told[0].timed)
    )  # fmt: skip
    return fitting / max(1, len(told) - head)


def _as_dates(column: Column, order: dates.Order, may_head: bool) -> ColumnType | None:
    items = [item for item in column.told if item.dated]
    found = [item.dated for item in items if item.dated]
    least = _OF_CLEAR_DATES if all(each.clear for each in found) else _OF_DATES
    if not items or _share(len(items), column, may_head) < least:
        return None
    if len(items) == 1 and not found[0].clear:
        return None
    own, conflict = dates.order_of(found)
    stated = dates.order_in_header(column.header)
    if conflict:
        return ColumnType("text", ("text: its dates have day and month in different orders",))
    decided = own or stated or order
    why = (
        "as its months show" if own else "as its header says" if stated else "as other columns show"
    )
    reasons = [f"{len(items)} of {len(column.told)} cells are dates"]
    if any(len(each.values) > 1 for each in found):
        if not decided:
            reasons.append("text: nothing tells whether the day or the month stands first")
            return ColumnType("text", tuple(reasons))
        first = "day" if decided == "dmy" else "month"
        reasons.append(f"the {first} stands first, {why}")
    for item in items:
        if item.dated and (made := dates.value_in(item.dated, decided)):
            item.cell.value, item.cell.number_format = made
            _align_right(item.cell)
    return ColumnType("date", tuple(reasons + _texts_told(column, items)))


def _as_times(column: Column, order: dates.Order, may_head: bool) -> ColumnType | None:
    """Times of day; 1:20 beneath 1:10 is a ratio, unless its header speaks of time."""
    items = [item for item in column.told if item.timed]
    if not items or _share(len(items), column, may_head) < _OF_DATES:
        return None
    hours = {item.text.partition(":")[0] for item in items}
    late = any(len(hour) == 2 for hour in hours) or any(i.text[-1:] in "mM." for i in items)
    if not (late and (len(hours) > 1 or len(items) == 1)) and not _is_of_time(column.header):
        return ColumnType("text", ("text: they may be ratios or times",))
    for item in items:
        made = dates.parse_time(item.text)
        if made:
            item.cell.value, item.cell.number_format = made
            _align_right(item.cell)
    reasons = [f"{len(items)} of {len(column.told)} cells are times of day"]
    return ColumnType("time", tuple(reasons + _texts_told(column, items)))


def _is_of_time(header: str) -> bool:
    words = header.lower()
    return any(
        word in words for word in ("time", "uhr", "zeit", "heure", "hora", "ora ", "時", "时")
    )


def _as_numbers(
    column: Column,
    of_table: DecimalMark,
    of_language: DecimalMark,
    first_texts: dict[int, str],
    may_head: bool,
) -> ColumnType:
    numbers = column.numbers()
    share = _share(len(numbers), column, may_head)
    mark, why = column_mark(column, of_table, of_language)
    reasons = [f"{len(numbers)} of {len(column.told)} cells are numbers"] if numbers else []
    reasons += [why] if why else []
    doubts(column, mark, first_texts)
    if share < _OF_NUMBERS:
        _doubt_alone(numbers)
    set_items = [item for item in numbers if _set_number(item, mark)]
    if share >= _PLAINLY and len(numbers) >= _FEW:
        reasons += _repair(column, mark or of_table)
    kind = _kind(set_items) if 2 * len(set_items) > len(column.told) else "text"
    if kind == "text" and set_items:
        kind = "mixed"
    return ColumnType(kind, tuple(reasons + _texts_told(column, set_items)))


def _doubt_alone(items: Sequence[Item]) -> None:
    """In a column of texts only what can be nothing but a number is one."""
    for item in items:
        if not item.marked or item.reason:
            continue
        number = item.marked.number
        spaced = any(reading.group == " " for reading in number.readings)
        unsure = number.loose or number.plus or spaced or item.marked.enclosed
        money = bool(number.currency) or any(reading.group for reading in number.readings)
        if unsure or (number.parentheses and not money):
            item.reason = "in a column of texts its sign or mark says too little"


def _set_number(item: Item, mark: DecimalMark) -> bool:
    """Give a cell its number; False where it stays a text, with the reason."""
    assert item.marked is not None
    reading = reading_with(item.marked.number, mark)
    if reading is None and not item.reason:
        item.reason = "its marks do not fit those of the column"
    if reading is None or item.reason:
        return False
    cell = item.cell
    cell.value = value_of(item.marked.number, reading)
    cell.number_format = format_of(item.marked.number, reading)
    cell.note = item.marked.mark
    _align_right(cell)
    return True


def _repair(column: Column, mark: DecimalMark) -> list[str]:
    """Read slips of the reader as the numbers that they were; one sentence for each."""
    told = []
    for item in column.told:
        made = slips.repaired(item.text) if not (item.marked or item.dated or item.timed) else None
        number = parse(made) if made else None
        reading = reading_with(number, mark) if number else None
        if number and reading:
            item.marked = Marked(number)
            _set_number(item, mark)
            item.cell.confidence = min(item.cell.confidence, 0.5)
            told.append(f"row {item.cell.row + 1}: {item.text!r} is read as {made!r}, a slip of "
                        "the reader: low confidence")  # fmt: skip
    return told


def _kind(items: Sequence[Item]) -> str:
    numbers = [item.marked.number for item in items if item.marked]
    most: dict[str, Callable[[Number], bool]] = {
        "percent": lambda number: number.percent,
        "currency": lambda number: bool(number.currency),
    }
    for kind, fits in most.items():
        if 2 * sum(map(fits, numbers)) > len(numbers):
            return kind
    return "integer" if all(isinstance(item.cell.value, int) for item in items) else "number"


def _texts_told(column: Column, typed: Sequence[Item]) -> list[str]:
    """Sentences of the cells that look like numbers and stay texts, at most three."""
    ids = {id(item) for item in typed}
    rest = [
        item for item in column.told if id(item) not in ids and isinstance(item.cell.value, str)
    ]
    rest = [item for item in rest if is_like_a_number(item.text)]
    told = [f"row {item.cell.row + 1}: {item.text!r} stays text"
            + (f": {item.reason}" if item.reason else "") for item in rest[:_FEW]]  # fmt: skip
    return told + ([f"and {len(rest) - _FEW} more stay text"] if len(rest) > _FEW else [])


def _align_right(cell: Cell) -> None:
    if not cell.align:
        cell.align = "right"
