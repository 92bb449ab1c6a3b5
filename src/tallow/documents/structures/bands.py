"""Tall tables in bands: cut between lines of text, proposed band by band, and joined.

Models that write a table token by token end after some hundred (SLANet: 501 steps, that is 50 rows
of 8 columns) and drift before: rows go missing or come twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from tallow.documents.content import PageContent, Word
from tallow.documents.steps import Region
from tallow.documents.structure import Slot, Structure
from tallow.documents.structures.fitting import words_in
from tallow.lazy_dataclasses import replace

BAND_LINES = (20, 14)
"""Lines of text in a band, on which the models are right nearly always; the second are tried where
the bands of the first differ in their columns."""
LEAST_LINES = 45
"""Tables of fewer lines are read whole without a mistake as often as in bands."""
_MOST_BANDS = 24
_CORE = 0.6  # of a word's height, around its middle: descenders and boxes drawn too wide may meet


def cuts(gaps: Sequence[tuple[float, float]], band_lines: int) -> list[float]:
    """Where to cut a table, in units of the page, into bands of so many lines.

    `gaps` are those between its lines.
    """
    lines = len(gaps) + 1
    count = min(_MOST_BANDS, -(-lines // band_lines))
    size = lines / count
    chosen = []
    for band in range(1, count):
        middle = band * size - 1  # of the gaps, that after as many lines
        near = range(max(0, round(middle - size / 4)), min(len(gaps), round(middle + size / 4) + 1))
        best = max(near, key=lambda n: gaps[n][1] - gaps[n][0])
        chosen.append((gaps[best][0] + gaps[best][1]) / 2)
    return sorted(set(chosen))


def gaps_of(words: Sequence[Word]) -> list[tuple[float, float]]:
    """The heights between lines that no word's core reaches, (top, bottom), from the top."""
    cores = sorted(
        (middle - half, middle + half)
        for middle, half in (
            ((word.box[1] + word.box[3]) / 2, _CORE * (word.box[3] - word.box[1]) / 2)
            for word in words
        )
    )
    gaps, reached = [], cores[0][1] if cores else 0.0
    for top, bottom in cores:
        if top > reached:
            gaps.append((reached, top))
        reached = max(reached, bottom)
    return gaps


def in_bands(
    content: PageContent, region: Region, propose: Callable[[Region], Structure | None]
) -> Structure | None:
    """What `propose` says of bands of a table, joined.

    None for a table whose lines cannot be told apart, where a band has no proposal, or where bands
    have other numbers of columns.
    """
    gaps = gaps_of(words_in(content, region.box))
    left, top, right, bottom = region.box
    for band_lines in BAND_LINES:
        at = cuts(gaps, band_lines)
        made: list[Structure] = []
        for upper, lower in pairwise([top, *at, bottom] if at else []):
            found = propose(replace(region, box=(left, upper, right, lower)))
            if found is None or (made and found.columns != made[0].columns):
                break
            made.append(found)
        if len(made) == len(at) + 1 > 1:
            return stacked(made)
    return None


def line_count(content: PageContent, region: Region) -> int:
    """How many lines of text a table has that no word of another joins; 0 without words."""
    words = words_in(content, region.box)
    return len(gaps_of(words)) + 1 if words else 0


def stacked(structures: Sequence[Structure]) -> Structure:
    """Structures of equally many columns, one below the other; the first one's header stays."""
    slots: list[Slot] = []
    rows = 0
    for each in structures:
        slots += [replace(slot, row=slot.row + rows) for slot in each.slots]
        rows += each.rows
    first = structures[0]
    sure = sum(each.confidence * each.rows for each in structures) / rows
    return Structure(rows, first.columns, tuple(slots), first.source, sure, first.header_rows)
