"""What is measured on a page for and against a structure that is proposed for a table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from tallow.documents.cells.joining import lines_of
from tallow.documents.cells.kinds import is_number
from tallow.documents.content import Ruling, Word
from tallow.documents.geometry import overlap
from tallow.documents.structure import Structure
from tallow.documents.structures.fitting import owners_in_grid, slot_boxes
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.documents.structures.fitting import Floats

_WIDE_GAP = 1.6  # text heights between two words of a line that no one cell holds
_OTHER_TEXT = 0.12  # between texts of a layer that no space joins
_CUT = 0.25  # of the text height that stands out on both sides where an edge cuts a word


@dataclass(frozen=True)
class Evidence:
    """Shares from 0 to 1; all speak against a structure but `agreement`, `ruled` and `confidence`.

    `cut_columns` and `cut_rows`: words that an edge cuts. `crowded`: cells with a wide gap inside,
    so that a column is missing. `stacked`: cells with several lines of numbers each, so that rows
    are missing. `torn`: rows without a first cell that go on from what stands above. `empty`: cells
    without words, `empty_lines` rows and columns without any that no rulings enclose. `crossed`:
    rulings that go through cells. `unruled`: borders of cells without words that no ruling draws,
    in a table that has most of its borders ruled, and `ruled` how many borders are. `mixed`: cells
    of columns of numbers that hold none. `agreement`: cells that other proposals have too.
    """

    cut_columns: float
    cut_rows: float
    crowded: float
    stacked: float
    torn: float
    empty: float
    empty_lines: float
    crossed: float
    unruled: float
    ruled: float
    mixed: float
    agreement: float
    confidence: float


@dataclass(frozen=True)
class Measured:
    """A structure with edges, and the words, by number, that each of its slots holds."""

    structure: Structure
    homes: tuple[tuple[int, ...], ...]

    @cached_property
    def keys(self) -> frozenset[tuple[object, ...]]:
        """What cells of two structures must share: words and spans; empty ones their place."""
        return frozenset(
            (frozenset(home), slot.row_span, slot.column_span)
            if home
            else (slot.row, slot.column, slot.row_span, slot.column_span, "empty")
            for slot, home in zip(self.structure.slots, self.homes, strict=True)
        )


def placed_words(structure: Structure, boxes: Floats) -> Measured:
    """The words of each slot; `boxes` are the words', (words, 4)."""
    homes: list[list[int]] = [[] for _ in structure.slots]
    if len(boxes):
        for number, owner in enumerate(owners_in_grid(structure, boxes)):
            homes[owner].append(number)
    return Measured(structure, tuple(map(tuple, homes)))


def evidence_of(
    measured: Measured,
    words: Sequence[Word],
    boxes: Floats,
    rulings: Sequence[Ruling],
    others: Sequence[Measured],
) -> Evidence:
    """All that is measured of one proposal; `others` are the proposals that it is compared with."""
    structure = measured.structure
    em = text_height(boxes)
    lines = [lines_of([words[i] for i in home]) for home in measured.homes]
    filled = max(1, sum(map(bool, measured.homes)))
    ruled, unruled = _ruled_borders(measured, rulings, em)
    return Evidence(
        cut_columns=_cut(structure, measured, boxes, 0, em),
        cut_rows=_cut(structure, measured, boxes, 1, em),
        crowded=sum(_has_wide_gap(each, em) for each in lines) / filled,
        stacked=sum(_is_stack_of_numbers(each) for each in lines) / filled,
        torn=_torn(measured) / structure.rows,
        empty=sum(not home for home in measured.homes) / len(structure.slots),
        empty_lines=_empty_lines(measured, rulings),
        crossed=_crossed(structure, rulings, em),
        unruled=unruled if ruled > 0.5 else 0.0,
        ruled=ruled,
        mixed=_mixed(structure, lines),
        agreement=agreement(measured, others),
        confidence=structure.confidence,
    )


def text_height(boxes: Floats) -> float:
    """The usual height of words, in units of the page; 1 where there are none."""
    import numpy as np

    return max(1e-6, float(np.median(boxes[:, 3] - boxes[:, 1]))) if len(boxes) else 1.0


def _cut(structure: Structure, measured: Measured, boxes: Floats, axis: int, em: float) -> float:
    """The share of words that an edge cuts, of the slots that hold them."""
    edges = structure.row_edges if axis else structure.column_edges
    assert edges is not None
    cut = 0
    for slot, home in zip(structure.slots, measured.homes, strict=True):
        first, last = (slot.row, slot.bottom) if axis else (slot.column, slot.right)
        for number in home:
            low, high = boxes[number, axis], boxes[number, axis + 2]
            inside = edges[first] if first else low
            outside = edges[last] if last < len(edges) - 1 else high
            cut += max(inside - low, high - outside) > _CUT * em
    return cut / max(1, len(boxes))


def _has_wide_gap(lines: Sequence[Sequence[Word]], em: float) -> bool:
    return any(
        after.box[0] - before.box[2] > em * _most_gap(before, after)
        for line in lines
        for before, after in pairwise(line)
    )


def _most_gap(before: Word, after: Word) -> float:
    """How wide a gap of a cell may be: in a text layer next to none between different texts."""
    exact = min(before.confidence, after.confidence) == 1.0 and min(before.line, after.line) >= 0
    return _OTHER_TEXT if exact and before.line != after.line else _WIDE_GAP


def _is_stack_of_numbers(lines: Sequence[Sequence[Word]]) -> bool:
    return len(lines) > 1 and all(is_number(" ".join(w.text for w in line)) for line in lines)


def _torn(measured: Measured) -> int:
    """Rows after the second whose first cell is empty while one to three others have words."""
    structure = measured.structure
    filled: dict[int, set[int]] = {row: set() for row in range(structure.rows)}
    spanned = set()
    for slot, home in zip(structure.slots, measured.homes, strict=True):
        if slot.column == 0 and slot.row_span > 1:
            spanned |= set(range(slot.row, slot.bottom))
        elif home:
            filled[slot.row].add(slot.column)
    return sum(
        row > 1
        and row not in spanned
        and 0 not in columns
        and 0 < len(columns) < structure.columns / 2
        for row, columns in filled.items()
    )


def _empty_lines(measured: Measured, rulings: Sequence[Ruling]) -> float:
    """The share of rows and columns without a word that are not between rulings."""
    structure = measured.structure
    assert structure.row_edges is not None and structure.column_edges is not None
    rows, columns = set(range(structure.rows)), set(range(structure.columns))
    for slot, home in zip(structure.slots, measured.homes, strict=True):
        if home:
            rows -= set(range(slot.row, slot.bottom))
            columns -= set(range(slot.column, slot.right))
    bare = sum(not _between_rulings(structure.row_edges, row, rulings, True) for row in rows)
    bare += sum(not _between_rulings(structure.column_edges, c, rulings, False) for c in columns)
    return bare / (structure.rows + structure.columns)


def _between_rulings(
    edges: Sequence[float], index: int, rulings: Sequence[Ruling], horizontal: bool
) -> bool:
    """Whether rulings run along both edges of a row or column."""
    slack = 0.3 * (edges[index + 1] - edges[index])
    return all(
        any(r.horizontal == horizontal and abs(r.at - edge) <= slack for r in rulings)
        for edge in edges[index : index + 2]
    )


def _crossed(structure: Structure, rulings: Sequence[Ruling], em: float) -> float:
    """The share of the rulings' length that goes through cells."""
    boxes = slot_boxes(structure)
    crossed, whole = 0.0, sum(ruling.end - ruling.start for ruling in rulings)
    for ruling in rulings:
        axis = 1 if ruling.horizontal else 0
        first, last = boxes[:, axis].min(), boxes[:, axis + 2].max()
        if not first + em < ruling.at < last - em:  # it frames the table, or rows were left out
            if not first - em < ruling.at < last + em:
                crossed += ruling.end - ruling.start
            continue
        for left, top, right, bottom in boxes.tolist():
            low, high = (top, bottom) if axis else (left, right)
            if low < ruling.at < high:
                along = (left, right) if axis else (top, bottom)
                shared = overlap((ruling.start, ruling.end), along)
                if shared > 0.5 * em and min(ruling.at - low, high - ruling.at) > 0.5 * em:
                    crossed += shared
    return crossed / whole if whole else 0.0


def ruled_share(measured: Measured, rulings: Sequence[Ruling], em: float) -> float:
    """The share of inner borders along which a ruling runs, the lesser of both directions."""
    return _ruled_borders(measured, rulings, em)[0]


def _ruled_borders(measured: Measured, rulings: Sequence[Ruling], em: float) -> tuple[float, float]:
    """The share of inner borders that is ruled, and that has no ruling nor words on both sides.

    Each of the direction that has less, or more, of it.
    """
    structure = measured.structure
    at: dict[tuple[int, int], int] = {}
    for number, slot in enumerate(structure.slots):
        at |= {(r, c): number for r in range(slot.row, slot.bottom)
               for c in range(slot.column, slot.right)}  # fmt: skip
    ruled, bare = [], []
    for axis in (0, 1):
        edges, along = structure.column_edges, structure.row_edges
        if axis:
            edges, along = along, edges
        assert edges is not None and along is not None
        lines = [r for r in rulings if r.horizontal == bool(axis)]
        close = [[r for r in lines if abs(r.at - edge) < 0.6 * em] for edge in edges]
        total = found = lost = 0.0
        for edge in range(1, len(edges) - 1):
            for place in range(len(along) - 1):
                before, after = (edge - 1, place), (edge, place)
                first, second = (at[p if axis else p[::-1]] for p in (before, after))
                if first == second:
                    continue
                border = (along[place], along[place + 1])
                length = border[1] - border[0]
                drawn = min(length, sum(overlap((r.start, r.end), border) for r in close[edge]))
                total, found = total + length, found + drawn
                if not (measured.homes[first] and measured.homes[second]):
                    lost += length - drawn
        if total:
            ruled.append(found / total)
            bare.append(lost / total)
    return min(ruled, default=0.0), max(bare, default=0.0)


def _mixed(structure: Structure, lines: Sequence[Sequence[Sequence[Word]]]) -> float:
    """Of columns that are mostly numbers: the share of cells with words that hold none."""
    columns: dict[int, list[bool]] = {}
    for slot, each in zip(structure.slots, lines, strict=True):
        if each and slot.column_span == 1 and slot.row >= structure.rows / 4:
            text = " ".join(word.text for line in each for word in line)
            columns.setdefault(slot.column, []).append(any(char.isdigit() for char in text))
    mixed = [
        1 - sum(kinds) / len(kinds)
        for kinds in columns.values()
        if len(kinds) > 2 and sum(kinds) > 0.6 * len(kinds)
    ]
    return sum(mixed) / len(mixed) if mixed else 0.0


def agreement(measured: Measured, others: Sequence[Measured]) -> float:
    """How many cells, by their words and spans, other sources have too: their mean F1.

    Of a source that proposes several, the one that agrees most counts.
    """
    own = measured.keys
    found: dict[str, float] = {}
    for other in others:
        keys, source = other.keys, other.structure.source
        if source != measured.structure.source:
            same = 2 * len(own & keys) / max(1, len(own) + len(keys))
            found[source] = max(same, found.get(source, 0.0))
    return sum(found.values()) / len(found) if found else 0.5
