"""What is drawn on a picture's page besides text: rulings and fills, added to its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tallow.documents.content import Fill, PageContent, Ruling, Word

NEAR = 0.35
"""Heights of capitals: a mark closer to an edge is of it; a row has more room around its text."""


def look(content: PageContent) -> None:
    """Add the rulings and fills of an upright picture to its content.

    Words that are only marks and lie on one of them, as what a reader makes of ragged edges, go.
    """
    from tallow.documents.pictures.fills import fills_of
    from tallow.documents.pictures.levels import seen
    from tallow.documents.pictures.rulings import rulings_of

    pixels = content.pixels()
    found = seen(pixels)
    levels, ink, noise = found.levels, found.ink, found.noise
    rulings = rulings_of(levels, ink, noise)
    em = ink.text_height or max(4.0, min(levels.shape) / 40)
    content.rulings += rulings
    content.fills += fills_of(pixels, levels, rulings, em=em, noise=noise)
    marks = [word for word in content.words if not any(each.isalnum() for each in word.text)]
    drawn = [word for word in marks if _is_drawn(word, content.rulings, content.fills, em)]
    if drawn:
        gone = {id(word) for word in drawn}
        content.words = [word for word in content.words if id(word) not in gone]


def _is_drawn(word: Word, rulings: Sequence[Ruling], fills: Sequence[Fill], em: float) -> bool:
    """Whether the middle of a word lies on a level line or on the upper or lower edge of a fill."""
    x, y = (word.box[0] + word.box[2]) / 2, (word.box[1] + word.box[3]) / 2
    for ruling in rulings:
        near = abs(y - ruling.at) <= ruling.thickness / 2 + NEAR * em
        if ruling.horizontal and near and ruling.start <= x <= ruling.end:
            return True
    return any(
        fill.box[0] <= x <= fill.box[2]
        and min(abs(y - fill.box[1]), abs(y - fill.box[3])) <= NEAR * em
        for fill in fills
    )
