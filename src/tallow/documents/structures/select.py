"""One structure of several proposals, by what is measured on the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tallow.documents.content import PageContent, Ruling, Word
from tallow.documents.steps import Region
from tallow.documents.structure import Structure
from tallow.documents.structures.aligned import SOURCE as WHITE_SPACE
from tallow.documents.structures.distances import without_wrapped_rows
from tallow.documents.structures.evidence import (
    Evidence,
    Measured,
    agreement,
    evidence_of,
    placed_words,
    ruled_share,
    text_height,
)
from tallow.documents.structures.fitting import fitted, rulings_in, words_in
from tallow.documents.structures.repairing import repaired
from tallow.documents.structures.respanning import respanned
from tallow.documents.structures.ruled import SOURCE as RULINGS
from tallow.documents.structures.ruled import edges_of_fills
from tallow.documents.structures.voting import voted
from tallow.lazy_dataclasses import replace

if TYPE_CHECKING:
    from typing import TypeAlias

    from tallow.documents.geometry import Box
    from tallow.documents.structures.fitting import Floats

    _Alone: TypeAlias = dict[int, tuple[Structure, list[tuple[Measured, Evidence]]]]

# What a share of each kind of evidence is worth, against 1 for the agreement of all other sources.
# Fitted on 91 drawn tables of bench/_tables_made.py: pairs of proposals of a table, a logistic
# regression of which one has the better TEDS of structure, rounded; those that came out with the
# wrong sign, for want of examples, were set by hand (`stacked`).
WEIGHTS = {
    "cut_columns": -2.0,
    "cut_rows": -6.0,
    "crowded": -4.0,
    "stacked": -0.5,
    "torn": -0.3,
    "empty": -1.0,
    "empty_lines": -2.2,
    "crossed": -0.5,
    "unruled": -0.7,
    "ruled": 0.4,
    "mixed": -3.0,
    "agreement": 1.0,
    "confidence": 0.1,
}
GRID = 0.9
"""Of a table's inner borders that are ruled: a page that draws a grid."""
_EXACT = 0.05  # what places of words and rulings of a text layer are worth beside a picture's
_DRAWN_CELLS = 0.5  # of its inner borders ruled: the page says what spans, not a vote
_FOLLOWED = 2.0  # the share of borders that are ruled, on such a page
_COMPLETE = 1.0  # a grid that is drawn all around its cells, and holds its words, against others
_WHOLE, _NONE = 0.93, 0.01  # shares that count as all, and as none, for rulings found in pixels
_DRAWN = -1.5  # a share of rulings crossed or borders not ruled, where the page draws a grid


def select(
    content: PageContent, region: Region, proposals: Sequence[Structure]
) -> Structure | None:
    """The proposal that the page speaks for most, its edges placed; None where there is none.

    Its header rows are those that most proposals end a header at, where it says none itself.
    """
    ranked = rank(content, region, proposals)
    if not ranked:
        return None
    best = ranked[0][1].structure
    if ranked[0][2].ruled < _DRAWN_CELLS and content.source == "picture":
        words, rulings = words_in(content, region.box), rulings_in(content, region.box)
        best = voted([measured for _, measured, _ in ranked], words, rulings)
    return best if best.header_rows else replace(best, header_rows=_header_rows(best, ranked))


def rank(
    content: PageContent, region: Region, proposals: Sequence[Structure]
) -> list[tuple[float, Measured, Evidence]]:
    """Every proposal with its score and evidence, best first."""
    import numpy as np

    words = words_in(content, region.box)
    boxes = np.array([word.box for word in words], float).reshape(-1, 4)
    rulings = rulings_in(content, region.box)
    sides = edges_of_fills(content.fills, region.box, text_height(boxes))
    alone = _kept(content, region.box, words)
    for each in proposals:
        if id(each) not in alone:  # else measured before others were asked
            placed = _candidates(region, [each], words, boxes, rulings, [*rulings, *sides])
            seen = [evidence_of(measured, words, boxes, rulings, ()) for measured in placed]
            alone[id(each)] = each, list(zip(placed, seen, strict=True))
    measured = [pair for each in proposals for pair in alone[id(each)][1]]
    found = []
    for number, (one, evidence) in enumerate(measured):
        others = [other for other, _ in measured[:number] + measured[number + 1 :]]
        found.append((one, replace(evidence, agreement=agreement(one, others))))
    exact = content.source == "text layer"
    drawn = {
        each.structure.source
        for each, evidence in found
        if evidence.ruled >= GRID and not (exact and evidence.stacked)
    }
    # Of a picture one alone may have joined what no ruling parts, and missed those that do.
    grid = len(drawn) > 1 or (exact and bool(drawn))
    worth = dict.fromkeys((RULINGS, WHITE_SPACE), _EXACT if exact else 0.0)
    ranked = [
        (score(evidence, grid) + worth.get(each.structure.source, 0.0), each, evidence)
        for each, evidence in found
    ]
    return sorted(ranked, key=lambda each: -each[0])


def _kept(content: PageContent, box: Box, words: Sequence[Word]) -> _Alone:
    """What was measured of proposals, by their `id`, on a page whose words are still the same."""
    kept: dict[Box, tuple[list[Word], list[Ruling], _Alone]]
    kept = content.kept.setdefault("rank", {})
    found = kept.get(box)
    if found is None or found[0] != words or found[1] != content.rulings:
        found = kept[box] = [*words], [*content.rulings], {}
    return found[2]


def score(evidence: Evidence, grid: bool = False) -> float:
    """The evidence as one number, higher is better; `grid`: the page draws nearly every border."""
    total = sum(weight * float(getattr(evidence, name)) for name, weight in WEIGHTS.items())
    if grid:  # what is drawn is followed, and empty cells are drawn as well
        total += _DRAWN * (evidence.crossed + evidence.unruled) - WEIGHTS["empty"] * evidence.empty
        total += _FOLLOWED * evidence.ruled
    return total + _COMPLETE * _is_complete(evidence)


def _is_complete(evidence: Evidence) -> bool:
    """Whether rulings are along all borders, through no cell, and the words fit between them.

    What is drawn in full is meant so, however many models see something else.
    """
    against = evidence.cut_columns + evidence.cut_rows + evidence.crowded + evidence.stacked
    return evidence.ruled >= _WHOLE and max(against, evidence.crossed) <= _NONE


def _candidates(
    region: Region,
    proposals: Sequence[Structure],
    words: Sequence[Word],
    boxes: Floats,
    rulings: Sequence[Ruling],
    borders: Sequence[Ruling],
) -> list[Measured]:
    """The proposals with edges, mended, and again with the spans that `borders` draw.

    Those are the rulings and the sides of fills.
    """
    em = text_height(boxes)
    placed = []
    for each in proposals:
        if not each.slots:
            continue
        measured = placed_words(fitted(each, words, region.box, rulings), boxes)
        measured = repaired(measured, words, boxes)
        structure = without_wrapped_rows(measured, words, rulings)
        if structure is not measured.structure:
            measured = placed_words(structure, boxes)
        placed.append(measured)
        if ruled_share(measured, rulings, em) >= 0.93:
            again = respanned(measured.structure, borders, boxes, em)
            if again is not None and again.slots != measured.structure.slots:
                placed.append(placed_words(again, boxes))
    return placed


def _header_rows(
    structure: Structure, ranked: Sequence[tuple[float, Measured, Evidence]]
) -> int | None:
    """How many rows of `structure` lie above where most others end their header."""
    assert structure.row_edges is not None
    votes: dict[int, int] = {}
    for _, measured, _ in ranked:
        other = measured.structure
        if other.header_rows and other.row_edges is not None:
            at = other.row_edges[other.header_rows]
            edges = enumerate(structure.row_edges[:-1])
            nearest = min(edges, key=lambda each: abs(each[1] - at))[0]
            votes[nearest] = votes.get(nearest, 0) + 1
    return max(votes, key=lambda rows: votes[rows], default=None)
