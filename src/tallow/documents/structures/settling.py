"""Whether proposals of some sources are enough, so that larger models need not be asked."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.documents.content import PageContent
from tallow.documents.steps import Region
from tallow.documents.structure import Structure
from tallow.documents.structures.select import GRID, rank


def settled(content: PageContent, region: Region, proposals: Sequence[Structure]) -> bool:
    """Whether what is best by evidence is what another source proposes, too, cell by cell.

    Two sources that come to the same words in the same cells by different ways are hardly wrong in
    the same place, and the large models take most of a page's time. So is a grid that a text
    layer's rulings draw, for they are where they are drawn.
    """
    ranked = rank(content, region, proposals)
    if not ranked:
        return False
    _, best, evidence = ranked[0]
    if content.source == "text layer" and evidence.ruled >= GRID and not evidence.stacked:
        return True
    wanted = best.keys
    return any(
        measured.structure.source != best.structure.source and measured.keys == wanted
        for _, measured, _ in ranked[1:]
    )
