"""A column's cells as what they may be: the evidence that its decision is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from tallow.documents.document import Cell, Table
from tallow.documents.values import marks
from tallow.documents.values.dates import Dated, parse_date, parse_time
from tallow.documents.values.marks import Marked
from tallow.documents.values.numbers import MISSING, Reading, same_marks
from tallow.lazy_dataclasses import dataclass, field

DecimalMark: TypeAlias = Literal["", ".", ","]
"""A decimal mark; empty where it is not known."""

# Of one mark there are three times as many as of the other, or neither is taken for the rule.
_MAJORITY: Final = 3
# Frequent words of tables and of languages with a decimal point or comma (Unicode CLDR, "numbers").
_WITH_POINT: Final = """
    the of and in for total year name number price amount mean average rate country to by with from
    quantity description item sales revenue income cost date population
"""
_WITH_COMMA: Final = """
    der das und von für mit summe gesamt jahr betrag preis menge anzahl umsatz einheit le les et du
    des une année montant prix nombre quantité el los y año importe precio cantidad il della anno
    prezzo totale importo ano preço quantidade valor het een jaar prijs bedrag aantal och år pris
    antal belopp og beløb rok cena kwota suma
"""


@dataclass
class Item:
    """A cell of the body, and what it may be."""

    cell: Cell
    text: str
    missing: bool = False
    marked: Marked | None = None
    dated: Dated | None = None
    timed: bool = False
    reason: str = ""  # why it stays a text although it looks like a number


@dataclass
class Column:
    """A column of the body: its header's text and its cells that are not empty.

    `told` are the items that are no dash or another sign of nothing.
    """

    index: int
    header: str
    items: list[Item] = field(default_factory=list)
    told: list[Item] = field(default_factory=list)

    def numbers(self) -> list[Item]:
        """The items that have the form of a number."""
        return [item for item in self.told if item.marked]


def columns_of(table: Table) -> list[Column]:
    """Every column of a table; what spans several belongs to its first."""
    columns = [Column(index, _header(table, index)) for index in range(table.columns)]
    for cell in sorted(table.cells, key=lambda cell: (cell.row, cell.column)):
        # What heads a section stands in the first column.
        heads = cell.header == "column" or (cell.header == "section" and not cell.column)
        body = not heads and cell.row >= table.header_rows
        if body and cell.text.strip() and 0 <= cell.column < table.columns:
            item = _item(cell)
            columns[cell.column].items.append(item)
            if not item.missing:
                columns[cell.column].told.append(item)
    return columns


def _item(cell: Cell) -> Item:
    text = cell.text.strip()
    if text.lower() in MISSING:
        return Item(cell, text, missing=True)
    dated = parse_date(text)
    return Item(cell, text, False, marks.read(cell), dated, parse_time(text) is not None)


def _header(table: Table, column: int) -> str:
    heads = [cell for cell in table.cells
             if (cell.header == "column" or cell.row < table.header_rows)
             and cell.column <= column < cell.right]  # fmt: skip
    return " ".join(cell.text for cell in sorted(heads, key=lambda cell: cell.row))


def votes(columns: Iterable[Column]) -> dict[str, list[str]]:
    """By decimal mark the texts that can only be read with it, without those of `slips`."""
    found: dict[str, list[str]] = {".": [], ",": []}
    for column in columns:
        doubted = slips(column)
        for item in column.numbers():
            number = item.marked.number if item.marked else None
            if number and not number.ambiguous and item not in doubted:
                mark = mark_of(number.readings[0])
                if mark:
                    found[mark].append(item.text)
    return found


def slips(column: Column) -> list[Item]:
    """Numbers such as 1,2345 beside such as 1,234: a decimal comma, or one of thousands misplaced.

    A zero before the comma, as of 0,2345, settles it.
    """
    numbers = [(item, item.marked.number) for item in column.numbers() if item.marked]
    grouped = any(
        number.ambiguous and any(reading.group == "," for reading in number.readings)
        for _, number in numbers
    )
    return [
        item
        for item, number in numbers
        if grouped and not number.ambiguous and _is_long(number.readings[0])
    ]


def _is_long(reading: Reading) -> bool:
    return reading.decimal == "," and len(reading.fraction) > 3 and bool(reading.whole.strip("0"))


def mark_of(reading: Reading) -> DecimalMark:
    """The decimal mark that a reading takes; empty where either would do."""
    if reading.decimal == "." or reading.group == ",":
        return "."
    return "," if reading.decimal == "," or reading.group == "." else ""


def majority(found: dict[str, list[str]]) -> DecimalMark:
    """The mark that has nearly all votes; empty where there are none, or they differ."""
    points, commas = len(found["."]), len(found[","])
    if points and points >= _MAJORITY * commas:
        return "."
    return "," if commas and commas >= _MAJORITY * points else ""


def language_mark(table: Table) -> DecimalMark:
    """The decimal mark of the language that a table's words are of; empty where that is unclear."""
    text = " ".join([table.title, *(cell.text for cell in table.cells)]).lower()
    words = re.findall(r"[^\W\d_]+", text)
    with_point, with_comma = {*_WITH_POINT.split()}, {*_WITH_COMMA.split()}
    points = sum(word in with_point for word in words)
    commas = sum(word in with_comma for word in words)
    # One word may be a name; of the other language there may be one for three.
    if points >= 2 and points > 3 * commas:
        return "."
    return "," if commas >= 2 and commas > 3 * points else ""


def is_like_a_number(text: str) -> bool:
    """Whether a text has digits and little else, so that it is worth to say why it is a text."""
    plain = same_marks(text)
    return bool(plain) and sum(char.isdigit() for char in plain) * 2 >= len(plain)
