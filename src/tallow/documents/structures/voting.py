"""Spans by vote: of proposals that have the same rows and columns, which cells are joined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log
from statistics import median
from typing import TypeAlias

from tallow.documents.cells.kinds import is_number
from tallow.documents.content import Ruling, Word
from tallow.documents.geometry import Box
from tallow.documents.structure import Slot, Structure, tiled
from tallow.documents.structures.evidence import Measured
from tallow.documents.structures.heads import over_rules
from tallow.lazy_dataclasses import dataclass, replace

_SAME = 0.97  # of the words that both have in cells of one place, at the same place: one grid
_SUREST = 0.99  # what confidence counts at most, and at least
_LEAST_SURE = 0.55
# Of the weight of all. Titles of sections stand beside blank cells in three of four published
# tables, and labels of several rows span these in most: where models differ, so it is.
_MOST, _SOME = 0.6, 0.3

Span: TypeAlias = tuple[int, int, int, int]
"""The row, column, rows and columns of a cell."""


@dataclass(frozen=True)
class Elector:
    """A proposal with the grid of the best one: its cells by place, and how much it counts."""

    slots: dict[tuple[int, int], Span]
    weight: float

    def width(self, row: int) -> int:
        """How many columns the first cell of a row spans."""
        return self.slots.get((row, 0), (row, 0, 1, 1))[3]


def voted(
    ranked: Sequence[Measured], words: Sequence[Word], rulings: Sequence[Ruling]
) -> Structure:
    """The best proposal, its spans put to the vote of one proposal of each source.

    `ranked` are proposals, best first; `words` those of the table. Each counts by its confidence,
    as log odds, so that what is nearly certain of one outweighs others that guess. How titles of
    sections are marked, and labels that stand for several rows, is decided for the table as a
    whole: whoever set it did all of them alike. A rule under a head says what it is over.
    """
    best = ranked[0]
    structure, boxes = best.structure, [word.box for word in words]
    electors = _electors(ranked)
    cells = _elected(structure, electors)
    if len(electors) > 1:
        cells = _with(cells, *_sections(best, electors, boxes))
        cells = _with(cells, *_groups(best, electors, words))
    cells = _with(cells, over_rules(best, boxes, rulings), [])
    kept = {(s.row, s.column, s.row_span, s.column_span): s for s in structure.slots}
    slots = [kept.get(span, Slot(*span)) for span in sorted(cells)]
    made = tiled(structure.rows, structure.columns, slots)
    return structure if made == structure.slots else replace(structure, slots=made)


def _electors(ranked: Sequence[Measured]) -> list[Elector]:
    """The best proposal of each source, of those that have the first one's grid."""
    found: dict[str, Elector] = {}
    for each in ranked:
        structure = each.structure
        if structure.source in found or not _same_grid(ranked[0], each):
            continue
        sure = min(_SUREST, max(_LEAST_SURE, structure.confidence))
        slots = {
            (s.row, s.column): (s.row, s.column, s.row_span, s.column_span) for s in structure.slots
        }
        found[structure.source] = Elector(slots, log(sure / (1 - sure)))
    return list(found.values())


def _same_grid(first: Measured, second: Measured) -> bool:
    """Whether two proposals put words that they have in single cells in the same ones."""
    a, b = first.structure, second.structure
    if first is second:
        return True
    if (a.rows, a.columns) != (b.rows, b.columns):
        return False
    places, others = _single_places(first), _single_places(second)
    both = places.keys() & others.keys()
    same = sum(places[word] == others[word] for word in both)
    return bool(both) and same >= _SAME * len(both)


def _single_places(measured: Measured) -> dict[int, tuple[int, int]]:
    return {
        word: (slot.row, slot.column)
        for slot, home in zip(measured.structure.slots, measured.homes, strict=True)
        if slot.row_span == slot.column_span == 1
        for word in home
    }


def _elected(structure: Structure, electors: Sequence[Elector]) -> set[Span]:
    """Cells by how much weight each has, those that most speak for first; none overlap."""
    votes: dict[Span, float] = {}
    for elector in electors:
        for span in elector.slots.values():
            votes[span] = votes.get(span, 0.0) + elector.weight
    own = {(s.row, s.column, s.row_span, s.column_span) for s in structure.slots}
    order = sorted(votes, key=lambda span: (-votes[span], span not in own, span))
    taken: set[tuple[int, int]] = set()
    kept: set[Span] = set()
    for span in order:
        places = _places(span)
        if not places & taken:
            taken |= places
            kept.add(span)
    return kept


def _places(span: Span) -> set[tuple[int, int]]:
    row, column, rows, columns = span
    return {(r, c) for r in range(row, row + rows) for c in range(column, column + columns)}


def _with(cells: set[Span], wanted: Iterable[Span], single: Iterable[tuple[int, int]]) -> set[Span]:
    """The cells with others in place of those that overlap them; places of `single` alone."""
    wanted, alone = list(wanted), set(single)
    taken = {place for span in wanted for place in _places(span)}
    kept = {
        span
        for span in cells
        if not _places(span) & taken and (span[:2] not in alone or span[2:] == (1, 1))
    }
    return kept | set(wanted)


def _filled(measured: Measured) -> list[set[int]]:
    """The columns in which cells with words begin, of each row that they begin in."""
    filled: list[set[int]] = [set() for _ in range(measured.structure.rows)]
    for slot, home in zip(measured.structure.slots, measured.homes, strict=True):
        if home:
            filled[slot.row].add(slot.column)
    return filled


def _sections(
    best: Measured, electors: Sequence[Elector], boxes: Sequence[Box]
) -> tuple[list[Span], list[tuple[int, int]]]:
    """Titles of sections as cells over their rows, or as labels beside blank ones.

    One that stands in its row alone, or with a value in the last column, is a title. Where most
    say that titles span, all do, to the end or to that value; else those alone that are too long
    for the first column.
    """
    structure, filled = best.structure, _filled(best)
    count, last = structure.columns, structure.columns - 1
    first = max(1, structure.header_rows or 0)
    until = {
        row: last if last in filled[row] else count
        for row in range(first, structure.rows)
        if filled[row] == {0} or (filled[row] == {0, last} and count > 3)
    }
    if not until or count < 2:
        return [], []
    labels = [row for row in range(first, structure.rows) if 0 in filled[row] and row not in until]
    total = share = 0.0
    for elector in electors:
        usual = _usual([elector.width(row) for row in labels])
        total += elector.weight
        share += elector.weight * sum(elector.width(row) > usual for row in until) / len(until)
    titles = set(until) if share > _MOST * total else _reaching(best, boxes, set(until))
    spans = [(row, 0, 1, until[row]) for row in until if row in titles and until[row] > 1]
    return spans, [(row, 0) for row in until if row not in titles and share <= _MOST * total]


def _usual(widths: Sequence[int]) -> int:
    """The most common of some numbers of columns; 1 of none."""
    return max(sorted(set(widths)), key=widths.count, default=1)


def _reaching(best: Measured, boxes: Sequence[Box], rows: set[int]) -> set[int]:
    """Of titles' rows those whose text comes near to that of the next column, as no label does.

    In a cell of the first column it would have been broken into lines.
    """
    ends: dict[int, float] = {}
    starts: list[float] = []
    for slot, home in zip(best.structure.slots, best.homes, strict=True):
        if home and slot.column == 0:
            ends[slot.row] = max(boxes[word][2] for word in home)
        elif home and slot.column == 1 and slot.column_span == 1:
            starts.append(min(boxes[word][0] for word in home))
    em = median(box[3] - box[1] for box in boxes)
    longest = max((end for row, end in ends.items() if row not in rows), default=0.0)
    near = min(starts, default=longest) - em
    return {row for row in rows if row in ends and ends[row] > max(near, longest + em)}


def _groups(
    best: Measured, electors: Sequence[Elector], words: Sequence[Word]
) -> tuple[list[Span], list[tuple[int, int]]]:
    """Labels of several rows as cells over these, or above blank ones, as most say of them."""
    structure, filled = best.structure, _filled(best)
    runs, even = _runs(structure, filled)
    if not runs:
        return [], []
    total = sum(elector.weight for elector in electors)

    def support(span: Span) -> float:
        """How many say that a cell reaches over rows."""
        return sum(e.weight for e in electors if e.slots.get(span[:2], span)[2] > 1)

    if not even and sum(map(support, runs)) <= _SOME * total * len(runs):
        return [], [run[:2] for run in runs]
    values = {
        (slot.row, slot.column)
        for slot, home in zip(structure.slots, best.homes, strict=True)
        if home and all(is_number(words[word].text) for word in home)
    }
    shared = [
        (row, column, rows, 1)
        for row, label, rows, _ in runs
        for column in (filled[row] - {0, 1} if label == 0 else ())
        if not any(column in filled[row + below] for below in range(1, rows))
        and (row, column) in values
    ]
    labels = {run[:2] for run in runs}
    shared = [span for span in shared if span[:2] not in labels and support(span) > _SOME * total]
    return runs + shared, []


def _runs(structure: Structure, filled: Sequence[set[int]]) -> tuple[list[Span], bool]:
    """Labels of the first columns with the rows below them that these columns are blank in.

    Second, whether that is so evenly: several such groups, all else of their rows having text.
    Then the blanks are no values that are missing.
    """
    columns = structure.columns
    groups: list[tuple[int, int, int]] = []  # row, rows, columns of labels
    full = True
    for row in range(max(1, structure.header_rows or 0), structure.rows):
        start = min(filled[row], default=columns)
        above = groups[-1] if groups else None
        if start == 0:
            groups.append((row, 1, 0))
            full = full and len(filled[row]) == columns
        elif above is not None and above[0] + above[1] == row and _labelled(above, start, filled):
            groups[-1] = (above[0], above[1] + 1, start)
            full = full and len(filled[row]) == columns - start
        else:
            full = False
    several = [group for group in groups if group[1] > 1]
    runs = [(row, c, rows, 1) for row, rows, labels in several for c in range(labels)]
    even = full and len(several) > 1 and len({labels for _, _, labels in several}) == 1
    return runs, even and columns > several[0][2] + 1


def _labelled(group: tuple[int, int, int], start: int, filled: Sequence[set[int]]) -> bool:
    """Whether a row whose text begins in column `start` goes on with a group of labels."""
    row, _, labels = group
    return labels in (0, start) and set(range(start + 1)) <= filled[row]
