"""Spans of a proposal made again by rulings, where they draw nearly all of its borders."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tallow.documents.content import Ruling
from tallow.documents.geometry import Box, overlap, union
from tallow.documents.structure import Slot, Structure, tiled
from tallow.lazy_dataclasses import replace

if TYPE_CHECKING:
    from tallow.documents.structures.fitting import Floats

_DRAWN = 0.5  # of a border that rulings cover where they part two cells
_NEAR = 0.6  # text heights between a border and a ruling along it
_CUT = 0.15  # text heights that words' boxes may reach over an edge without being cut
_APART = (1.0, 0.8)  # text heights between words of two cells, side by side and one above the other


def respanned(
    structure: Structure, rulings: Sequence[Ruling], boxes: Floats, em: float
) -> Structure | None:
    """The same rows and columns, cells joined where no ruling parts them, parted where one does.

    `boxes` are the words', (words, 4), `em` is their height: words that stand apart on both sides
    of a border part it too. None where what is not parted is no rectangle: then rulings are
    missing, and say nothing.
    """
    assert structure.row_edges is not None and structure.column_edges is not None
    rows, columns = structure.rows, structure.columns
    group = {(r, c): (r, c) for r in range(rows) for c in range(columns)}

    def root(place: tuple[int, int]) -> tuple[int, int]:
        while group[place] != place:
            group[place] = group[group[place]]
            place = group[place]
        return place

    across, along = structure.column_edges, structure.row_edges
    held = _held(structure.row_edges, structure.column_edges, boxes)
    full = {r for r in range(rows) if columns > 2 and _is_full(held, r, across, em)}
    for r in range(rows):
        for c in range(columns):
            here = held.get((r, c))
            for axis, other in ((0, (r, c + 1)), (1, (r + 1, c))):
                if other not in group or _apart(here, held.get(other), axis, em):
                    continue
                if not axis and r in full:
                    continue
                at = along[r + 1] if axis else across[c + 1]
                border = across[c : c + 2] if axis else along[r : r + 2]
                if not _parted(rulings, bool(axis), at, border, em):
                    group[root(other)] = root((r, c))
    members: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for place in group:
        members.setdefault(root(place), []).append(place)
    slots = [_rectangle(places) for places in members.values()]
    if any(slot is None for slot in slots):
        return None
    kept = tiled(rows, columns, [slot for slot in slots if slot is not None])
    return replace(structure, slots=kept)


def _parted(
    rulings: Sequence[Ruling], horizontal: bool, at: float, along: Sequence[float], em: float
) -> bool:
    """Whether rulings run along a border, from `along[0]` to `along[1]`."""
    covered = sum(
        overlap((ruling.start, ruling.end), (along[0], along[1]))
        for ruling in rulings
        if ruling.horizontal == horizontal and abs(ruling.at - at) < _NEAR * em
    )
    return covered >= _DRAWN * (along[1] - along[0])


def _held(
    row_edges: Sequence[float], column_edges: Sequence[float], boxes: Floats
) -> dict[tuple[int, int], Box]:
    """The box around the words of each place of the grid that holds some."""
    held: dict[tuple[int, int], Box] = {}
    for left, top, right, bottom in boxes.tolist():
        row = bisect_right(row_edges, (top + bottom) / 2) - 1
        column = bisect_right(column_edges, (left + right) / 2) - 1
        own = (left, top, right, bottom)
        held[row, column] = union((held.get((row, column), own), own))
    return held


def _is_full(held: dict[tuple[int, int], Box], row: int, edges: Sequence[float], em: float) -> bool:
    """Whether each column has words in a row that stand clear of its edges: no one text does."""
    for column in range(len(edges) - 1):
        box = held.get((row, column))
        if box is None or min(box[0] - edges[column], edges[column + 1] - box[2]) < -_CUT * em:
            return False
    return True


def _apart(first: Box | None, second: Box | None, axis: int, em: float) -> bool:
    """Whether words of two neighbouring places stand too far apart to be of one cell."""
    return (
        first is not None
        and second is not None
        and second[axis] - first[axis + 2] > _APART[axis] * em
    )


def _rectangle(places: Sequence[tuple[int, int]]) -> Slot | None:
    top, bottom = min(r for r, _ in places), max(r for r, _ in places) + 1
    left, right = min(c for _, c in places), max(c for _, c in places) + 1
    if (bottom - top) * (right - left) != len(places):
        return None
    return Slot(top, left, bottom - top, right - left)
