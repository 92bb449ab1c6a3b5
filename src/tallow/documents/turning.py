"""Content of a page turned by quarter turns, as tables that lie on their side need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.documents.content import Fill, PageContent, Ruling, Word
from tallow.documents.geometry import Box, Quad
from tallow.errors import ArgumentError, expect
from tallow.lazy_dataclasses import replace

if TYPE_CHECKING:
    from tallow.documents.content import Pixels


def turned_box(box: Box, turn: int, width: float, height: float) -> Box:
    """A box of a page of `width` × `height` after the page was turned clockwise by `turn`."""
    left, top, right, bottom = box
    if turn == 90:
        return height - bottom, left, height - top, right
    if turn == 180:
        return width - right, height - bottom, width - left, height - top
    if turn == 270:
        return top, width - right, bottom, width - left
    return box


def turned(content: PageContent, turn: int) -> PageContent:
    """A page turned clockwise by `turn` degrees: 0, 90, 180 or 270.

    Words that were turned by as much the other way are upright then.
    """
    expect(turn in (0, 90, 180, 270), "turned", "0, 90, 180 or 270", turn, ArgumentError)
    if turn == 0:
        return content
    w, h = content.width, content.height

    def box(each: Box) -> Box:
        return turned_box(each, turn, w, h)

    def rendered() -> Pixels:
        import numpy as np

        return np.rot90(content.pixels(), -turn // 90)

    return replace(
        content,
        width=w if turn == 180 else h,
        height=h if turn == 180 else w,
        words=[turned_word(each, turn, w, h) for each in content.words],
        rulings=[_ruling(each, turn, w, h) for each in content.rulings],
        fills=[Fill(box(each.box), each.colour) for each in content.fills],
        pictures=[box(each) for each in content.pictures],
        rendered=None if content.rendered is None else rendered,
    )


def turned_word(word: Word, turn: int, width: float, height: float) -> Word:
    """A word of a page of `width` × `height` after the page was turned clockwise by `turn`."""
    quad: Quad | None = None
    if word.quad is not None:
        a, b, c, d = (turned_box((*p, *p), turn, width, height)[:2] for p in word.quad)
        quad = (a, b, c, d)
    box = turned_box(word.box, turn, width, height)
    return replace(word, box=box, quad=quad, turn=(word.turn + turn) % 360)


def _ruling(ruling: Ruling, turn: int, width: float, height: float) -> Ruling:
    low, high = ruling.at, ruling.at
    ends = ruling.start, ruling.end
    box = (ends[0], low, ends[1], high) if ruling.horizontal else (low, ends[0], high, ends[1])
    left, top, right, bottom = turned_box(box, turn, width, height)
    horizontal = ruling.horizontal if turn == 180 else not ruling.horizontal
    at, start, end = (top, left, right) if horizontal else (left, top, bottom)
    return replace(ruling, horizontal=horizontal, at=at, start=start, end=end)


def main_turn(words: list[Word], box: Box | None = None) -> int:
    """How most text in a box is turned, by its characters; 0 where there is none."""
    from collections import Counter

    counts: Counter[int] = Counter()
    for word in words:
        x, y = (word.box[0] + word.box[2]) / 2, (word.box[1] + word.box[3]) / 2
        if box is None or (box[0] <= x <= box[2] and box[1] <= y <= box[3]):
            counts[word.turn] += len(word.text)
    return counts.most_common(1)[0][0] if counts else 0
