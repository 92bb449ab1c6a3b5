"""One structure of several proposals, by what is measured on the page."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.documents.content import PageContent
from tallow.documents.steps import Region
from tallow.documents.structure import Structure
from tallow.documents.structures.evidence import Evidence, Measured, evidence_of, placed_words
from tallow.documents.structures.fitting import fitted, rulings_in, words_in
from tallow.documents.structures.repairing import repaired

# What a share of each kind of evidence is worth, against 1 for the agreement of all proposals.
WEIGHTS = {
    "cut_columns": -4.0,
    "cut_rows": -4.0,
    "crowded": -2.0,
    "stacked": -3.0,
    "torn": -1.0,
    "empty": -0.3,
    "empty_lines": -2.0,
    "crossed": -2.0,
    "unruled": -0.5,
    "ruled": 0.3,
    "mixed": -1.0,
    "agreement": 1.0,
    "confidence": 0.5,
}


def select(
    content: PageContent, region: Region, proposals: Sequence[Structure]
) -> Structure | None:
    """The proposal that the page speaks for most, its edges placed; None where there is none."""
    ranked = rank(content, region, proposals)
    return ranked[0][1].structure if ranked else None


def rank(
    content: PageContent, region: Region, proposals: Sequence[Structure]
) -> list[tuple[float, Measured, Evidence]]:
    """Every proposal with its score and evidence, best first."""
    import numpy as np

    words = words_in(content, region.box)
    boxes = np.array([word.box for word in words], float).reshape(-1, 4)
    rulings = rulings_in(content, region.box)
    placed = []
    for each in proposals:
        if each.slots:
            measured = placed_words(fitted(each, words, region.box, rulings), boxes)
            placed.append(repaired(measured, words, boxes))
    ranked = []
    for number, measured in enumerate(placed):
        others = placed[:number] + placed[number + 1 :]
        evidence = evidence_of(measured, words, boxes, rulings, others)
        ranked.append((score(evidence), measured, evidence))
    return sorted(ranked, key=lambda each: -each[0])


def score(evidence: Evidence) -> float:
    """The evidence as one number, higher is better."""
    return sum(weight * float(getattr(evidence, name)) for name, weight in WEIGHTS.items())
