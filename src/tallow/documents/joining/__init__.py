"""Tables that go on over pages, joined: repeated headers dropped, lost empty columns put back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from tallow.documents.document import Page, Table, forget_words
from tallow.documents.geometry import overlap
from tallow.documents.joining.columns import columns_of_both, with_columns
from tallow.documents.joining.rows import (
    appended,
    continuation_rows,
    is_another,
    is_body,
    repeated_rows,
    repeated_sections,
    without_note,
    without_rows,
)
from tallow.documents.joining.sheets import CONTINUED, Part, parts_of
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.documents.steps import TypeCells

__all__ = ["Joiner", "join"]


def join(
    tables: Sequence[Table], pages: Sequence[Page] = (), *, type_cells: TypeCells | None = None
) -> list[Table]:
    """Tables of pages in order, those that go on over pages as one; what is given is not changed.

    One goes on in a table of the next page, if nothing is below it and above the other, both stand
    at the pages' edges (`pages` give their sizes and words; without them that is not looked at),
    columns agree in number and place, and the header of the second is the same, or missing. Tables
    side by side go on below themselves, tables on their side are looked at upright. Of repeated
    headers the first stays. A column that one part has lost, as nothing stands in it, is put back.
    A row that is cut by the edge stays two rows, unless its second half can be no row of its own.
    Joined tables are typed again if they were, by `type_cells`, as all cells of a column decide.
    """
    known = {page.number: page for page in pages}
    joiner = Joiner()
    for number, group in groupby(tables, key=lambda table: table.page):
        joiner.add(number, list(group), known.get(number))
    for table in joiner.grown():
        if table.column_types:
            (type_cells or _default_types())(table)
    return joiner.tables()


def _default_types() -> TypeCells:
    from tallow.documents.values import type_cells

    return type_cells


@dataclass
class _Joined:
    """A table that may go on: what it is by now, and its last part, as that stands on its page."""

    table: Table
    last: Part
    caption: str


class Joiner:
    """Joins tables page by page, so that of pages that were looked at nothing need be kept.

    With `lean` cells lose the words that they were made of, once their places were looked at.
    """

    def __init__(self, *, lean: bool = False) -> None:
        self._lean = lean
        self._done: list[_Joined] = []
        self._open: list[_Joined] = []
        self._number = 0

    def add(self, number: int, tables: Sequence[Table], page: Page | None = None) -> None:
        """The tables of the next page; `page` gives its size and words."""
        parts = parts_of(tables, page)
        if self._lean:
            forget_words(tables)
        waiting = self._open if number == self._number + 1 else []
        waiting = [each for each in waiting if each.last.ends]
        several = len(waiting) > 1
        now: list[_Joined] = []
        for part in parts:
            found = self._goes_on(waiting, part, several) if part.begins else None
            if found is None:
                found = _Joined(part.table, part, part.caption)
                self._done.append(found)
            else:
                waiting = [each for each in waiting if each is not found]
            now.append(found)
        self._open, self._number = now, number

    @staticmethod
    def _goes_on(waiting: list[_Joined], part: Part, several: bool) -> _Joined | None:
        """The table that goes on in a part, grown by it; None where it is another."""
        for before in sorted(waiting, key=lambda each: -_shared(each.last, part)):
            if several and _shared(before.last, part) < 0.5:
                break
            made = _continued(before, part)
            if made is not None:
                before.table, before.last = made, part
                return before
        return None

    def tables(self) -> list[Table]:
        """All tables, joined, in order of their beginnings."""
        return [each.table for each in self._done]

    def grown(self) -> list[Table]:
        """Those that were joined of several."""
        return [each.table for each in self._done if each.table is not each.last.table]


def _shared(a: Part, b: Part) -> float:
    """How much of the narrower one's width two tables have over each other, from 0 to 1."""
    sides = []
    for part in (a, b):
        known = [each for each in part.columns if each is not None]
        if not known:
            return 0.0
        sides.append((min(left for left, _ in known), max(right for _, right in known)))
    narrow = min(right - left for left, right in sides)
    return overlap(*sides) / narrow if narrow > 0 else 0.0


def _continued(before: _Joined, part: Part) -> Table | None:
    """Both tables as one, or None where the second is another."""
    last, table = before.last, part.table
    if last.turn != part.turn or _is_named_otherwise(before, part):
        return None
    columns = columns_of_both(before.table, last, part)
    if columns is None:
        return None
    first, second = columns
    grown = before.table
    if grown is last.table or first != [*range(grown.columns)]:  # else a copy that may grow
        grown = with_columns(grown, first, len(first))
    added = with_columns(table, second, len(second))
    added = without_rows(added, continuation_rows(added))
    repeated = repeated_rows(grown, added)
    if repeated == 0 and added.header_rows and not is_body(grown, added):
        return None
    added = without_rows(added, repeated)
    if repeated == 0 and is_another(grown, added):
        return None
    added = without_rows(added, repeated_sections(grown, added))
    return appended(without_note(grown), added)


def _is_named_otherwise(before: _Joined, part: Part) -> bool:
    """Whether a part has a title or the number of a caption that is not the table's."""
    title, known = part.table.title.strip(), before.table.title.strip()
    if title and _plain(title) != _plain(known) and not CONTINUED.search(title):
        return True
    return bool(part.caption) and part.caption != before.caption and not part.continued


def _plain(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
