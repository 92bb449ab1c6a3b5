"""Pictures on pages with a text layer: which of them are read, and what was read put in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tallow.documents.content import PageContent, Word
from tallow.documents.geometry import Box, area, intersection, share_inside, union
from tallow.documents.turning import turned
from tallow.lazy_dataclasses import replace

if TYPE_CHECKING:
    from tallow.documents.steps import Upright

_LEAST = 24.0  # points: smaller pictures are bullets and logos, not tables
_TOUCHING = 1.5  # points between strips of one picture
_WHOLE = 0.9  # of the box around strips, that they fill
_MOST = 1_000  # pictures of a page that are looked at
# Of a picture, that words of the layer on it cover: a stamp or labels of axes cover less, and where
# they cover more all of its text is known.
_COVERED = 0.02


def pictures_to_read(content: PageContent) -> list[Box]:
    """The areas of pictures whose text the layer does not have; strips of one picture are one."""
    found = []
    for box in _joined(content.pictures[:_MOST]):
        whole = area(box)
        small = min(box[2] - box[0], box[3] - box[1]) < _LEAST
        words = sum(area(intersection(word.box, box)) for word in content.words)
        if not small and words <= _COVERED * whole:
            found.append(box)
    return found


def _joined(boxes: Sequence[Box]) -> list[Box]:
    """Boxes, those that touch and fill the box around them made one."""
    kept: list[tuple[Box, float]] = []
    for box in sorted(boxes, key=lambda each: (each[1], each[0])):
        new, filled = box, area(box)
        again = True
        while again:
            again = False
            for index, (other, size) in enumerate(kept):
                around = union([new, other])
                covered = filled + size - area(intersection(new, other))
                if _touch(new, other) and covered >= _WHOLE * area(around):
                    del kept[index]
                    new, filled, again = around, min(covered, area(around)), True
                    break
        kept.append((new, filled))
    return [box for box, _ in kept]


def _touch(a: Box, b: Box) -> bool:
    left, top, right, bottom = intersection(a, b)
    return right - left >= -_TOUCHING and bottom - top >= -_TOUCHING


def without_known(found: Sequence[Word], known: Sequence[Word]) -> list[Word]:
    """Words that were read, without those that the layer has at the same place."""
    return [
        word
        for word in found
        if not any(
            share_inside(word.box, each.box) > 0.5 or share_inside(each.box, word.box) > 0.5
            for each in known
        )
    ]


def laid_back(part: PageContent, upright: Upright, width: int, height: int) -> PageContent:
    """What was read of a picture that was turned and levelled, as it lies in the picture.

    Quarter turns are made again; what was levelled stays so, about the middle of the picture.
    """
    back = turned(part, -upright.turn % 360)
    x, y = (width - back.width) / 2, (height - back.height) / 2
    return moved(back, x, y, 1.0) if (x, y) != (0, 0) else back


def moved(content: PageContent, left: float, top: float, scale: float) -> PageContent:
    """Content of a part of a page in the page's units: `scale` pixels of the part are one unit."""

    def box(each: Box) -> Box:
        x0, y0, x1, y1 = (value / scale for value in each)
        return x0 + left, y0 + top, x1 + left, y1 + top

    def word(each: Word) -> Word:
        quad = each.quad
        if quad is not None:
            a, b, c, d = ((x / scale + left, y / scale + top) for x, y in quad)
            quad = (a, b, c, d)
        return replace(each, box=box(each.box), quad=quad, size=each.size / scale)

    return replace(
        content,
        words=[word(each) for each in content.words],
        rulings=[
            replace(
                each,
                at=each.at / scale + (top if each.horizontal else left),
                start=each.start / scale + (left if each.horizontal else top),
                end=each.end / scale + (left if each.horizontal else top),
                thickness=each.thickness / scale,
            )
            for each in content.rulings
        ],
        fills=[replace(each, box=box(each.box)) for each in content.fills],
    )
