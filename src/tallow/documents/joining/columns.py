"""Columns of two parts of a table: whether they agree, and lost empty ones put back."""

from __future__ import annotations

from typing import Final

from tallow.documents.document import Cell, Table
from tallow.documents.geometry import overlap
from tallow.documents.joining.rows import ordered
from tallow.documents.joining.sheets import Interval, Part
from tallow.lazy_dataclasses import replace

# Columns of the same table lie over each other by half of the narrower one.
_OVER: Final = 0.5
_MOST_LOST: Final = 2


def columns_of_both(
    whole: Table, last: Part, part: Part
) -> tuple[list[int | None], list[int | None]] | None:
    """For both parts which of its columns stands in each column of the joined one (None: none).

    None where their columns do not agree. Places are compared as they are and with left edges
    aligned, for odd and even pages may have other margins.
    """
    lasts, news = last.columns, part.columns
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


def with_columns(table: Table, columns: list[int | None], count: int) -> Table:
    """A copy whose columns stand where `columns` says; the others are empty."""
    new = {old: at for at, old in enumerate(columns) if old is not None}
    cells = []
    for cell in table.cells:
        left, right = new[cell.column], new[cell.right - 1] + 1
        cells.append(replace(cell, column=left, column_span=right - left))
    taken = {(r, c) for cell in cells for r in range(cell.row, cell.bottom)
             for c in range(cell.column, cell.right)}  # fmt: skip
    cells += [Cell(r, c) for r in range(table.rows) for c in range(count) if (r, c) not in taken]
    return ordered(replace(table, columns=count, cells=cells, column_types=table.column_types))
