"""Words that column edges cut, divided where a space in their text lies by the edge."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from tallow.documents.content import Word
from tallow.lazy_dataclasses import replace

# Widths of characters against that of a small letter, as in common proportional fonts.
_NARROW = frozenset("iljtfrI.,:;'’|!()[]{}-‐ ")
_WIDE = frozenset("mwMW@%—")
_MARGIN = 0.3  # of the text height that must stand on both sides of an edge for it to cut a word
_NEAR_JOINT = 0.8  # of the text height between an edge and a capital that follows a small letter
_REACH = 1.2  # of the text height between an edge and the space at which a word is divided


def split_at(word: Word, edges: Sequence[float]) -> list[Word]:
    """The pieces of a word between `edges` (x, rising); the word alone where none divides it.

    An edge divides a word that stands out on both sides of it and has a space near it: what a
    reader took for one line are then two cells. Where characters lie is estimated from their usual
    widths.
    """
    left, top, right, bottom = word.box
    height = bottom - top
    inner = [x for x in edges if left + _MARGIN * height < x < right - _MARGIN * height]
    if not inner or word.turn:
        return [word]
    places = _character_edges(word)
    pieces, begin = [], 0
    for edge in inner:
        spaces = [i for i, char in enumerate(word.text) if char.isspace() and i > begin]
        middle = {i: (places[i] + places[i + 1]) / 2 for i in spaces}
        near = min(spaces, key=lambda i: abs(middle[i] - edge), default=None)
        if near is None or abs(middle[near] - edge) > _REACH * height:
            joint = _joint(word, places, begin, edge)
            if joint is None:
                continue
            pieces.append(_piece(word, places, begin, joint))
            begin = joint
            continue
        pieces.append(_piece(word, places, begin, near))
        begin = near + 1
    if not pieces:
        return [word]
    pieces.append(_piece(word, places, begin, len(word.text)))
    return [piece for piece in pieces if piece.text]


def _joint(word: Word, places: Sequence[float], begin: int, edge: float) -> int | None:
    """The capital after a small letter that is near an edge: a reader left out the space there."""
    near = [
        i
        for i in range(begin + 1, len(word.text))
        if word.text[i - 1].islower()
        and word.text[i].isupper()
        and abs(places[i] - edge) <= _NEAR_JOINT * (word.box[3] - word.box[1])
    ]
    return min(near, key=lambda i: abs(places[i] - edge), default=None)


def _piece(word: Word, places: Sequence[float], begin: int, end: int) -> Word:
    _, top, _, bottom = word.box
    box = (places[begin], top, places[end], bottom)
    return replace(word, text=word.text[begin:end].strip(), box=box, quad=None)


def _character_edges(word: Word) -> list[float]:
    """Where each character begins, and where the last one ends."""
    widths = character_widths(word.text)
    scale = (word.box[2] - word.box[0]) / (sum(widths) or 1)
    places = [word.box[0]]
    for width in widths:
        places.append(places[-1] + width * scale)
    return places


def character_widths(text: str) -> list[float]:
    """How wide characters usually are, against a small letter."""
    return [_width(char) for char in text]


def _width(char: str) -> float:
    if unicodedata.east_asian_width(char) in "WF":
        return 2.0
    if char in _NARROW:
        return 0.55
    return 1.5 if char in _WIDE else 1.25 if char.isupper() else 1.0
