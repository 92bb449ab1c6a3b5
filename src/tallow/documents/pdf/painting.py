"""Which painted lines and areas of a page are seen, and lines joined from their pieces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from tallow.documents.content import Fill, Ruling, Word
from tallow.documents.geometry import Box
from tallow.documents.pdf.space import PageSpace
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    import numpy as np

Colour: TypeAlias = tuple[int, int, int]

_WHITE: Colour = (255, 255, 255)
_SAME_COLOUR = 8  # of 255, that colours may differ by and look alike
_TOUCHING = 1.0  # points between pieces of one line
_DOUBLE = 3.0  # points between the middles of a double line
_PAGE_SHARE = 0.95  # of both sides of the page: a background of all
_SMALLEST_FILL = 3.0  # points
_MOST_LINES = 20_000  # of a page
_SQUARES = 24  # in which the longer side of a page is divided, so that few areas are compared
_MOST_AROUND = 2_000  # areas, in the order of painting before and after one, that it is compared to


@dataclass(frozen=True)
class Painted:
    """A painted rectangle; `is_line` where it is so thin that it is a line."""

    box: Box
    colour: Colour
    is_line: bool = False


def visible(
    painted: list[Painted], space: PageSpace, words: list[Word]
) -> tuple[list[Ruling], list[Fill]]:
    """The rulings and fills that can be seen.

    A line or area of the colour that it is painted on is not seen, nor is one that others cover.
    Pieces of a line are joined, a double line is one, and lines under or through words are none.
    """
    shown = _seen(painted, space)
    lines = [_ruling(each.box) for each in shown if each.is_line]
    lines = joined(lines[:_MOST_LINES])
    rulings = [each for each in lines if not _is_underline(each, words)]
    fills = [Fill(each.box, each.colour) for each in shown if not each.is_line]
    fills = [each for each in fills if not _is_whole(each.box, space)]
    return rulings, fills


def _is_whole(box: Box, space: PageSpace) -> bool:
    wide = box[2] - box[0] >= _PAGE_SHARE * space.width
    return wide and box[3] - box[1] >= _PAGE_SHARE * space.height


def _alike(a: Colour, b: Colour) -> bool:
    return all(abs(x - y) <= _SAME_COLOUR for x, y in zip(a, b, strict=True))


def _seen(painted: list[Painted], space: PageSpace) -> list[Painted]:
    """What differs from what it is painted on, and is not covered by what comes later."""
    import numpy as np

    areas = [(index, each) for index, each in enumerate(painted) if not each.is_line]
    order = np.array([index for index, _ in areas], dtype=np.int64)
    boxes = np.array([each.box for _, each in areas], dtype=np.float64).reshape(-1, 4)
    near = _Near(boxes, space)
    kept = []
    for index, each in enumerate(painted):
        left, top, right, bottom = each.box
        small = max(right - left, bottom - top) < _SMALLEST_FILL
        if right < left or bottom < top or (not each.is_line and small):
            continue
        around = near(each.box)
        place = int(np.searchsorted(order[around], index))
        earlier = around[max(0, place - _MOST_AROUND) : place]
        later = around[place:][:_MOST_AROUND]
        below = _under(boxes[earlier], each.box)
        above = _over(boxes[later[order[later] > index]], each.box)
        ground = areas[earlier[below]][1].colour if below >= 0 else _WHITE
        if not _alike(ground, each.colour) and not above:
            kept.append(each)
    return kept


class _Near:
    """Which areas may hold the middle of a box: those that meet its square of the page."""

    def __init__(self, boxes: np.ndarray[Any, Any], space: PageSpace) -> None:
        self.boxes = boxes
        self.side = max(space.width, space.height) / _SQUARES
        self.known: dict[tuple[int, int], np.ndarray[Any, Any]] = {}

    def __call__(self, box: Box) -> np.ndarray[Any, Any]:
        """Their numbers, rising."""
        x = int((box[0] + box[2]) / 2 // self.side)
        y = int((box[1] + box[3]) / 2 // self.side)
        if (x, y) not in self.known:
            left, top = x * self.side, y * self.side
            meets = (self.boxes[:, 0] <= left + self.side) & (self.boxes[:, 2] >= left)
            meets &= (self.boxes[:, 1] <= top + self.side) & (self.boxes[:, 3] >= top)
            self.known[x, y] = meets.nonzero()[0].astype("int32")
        return self.known[x, y]


def _under(boxes: np.ndarray[Any, Any], box: Box) -> int:
    """The last of `boxes` that the middle of `box` lies in; -1 where there is none."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    inside = (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])
    found = inside.nonzero()[0]
    return int(found[-1]) if len(found) else -1


def _over(boxes: np.ndarray[Any, Any], box: Box) -> bool:
    """Whether one of `boxes` covers the whole of `box`."""
    near = 0.05
    left, right = boxes[:, 0] <= box[0] + near, boxes[:, 2] >= box[2] - near
    top, bottom = boxes[:, 1] <= box[1] + near, boxes[:, 3] >= box[3] - near
    return bool((left & right & top & bottom).any())


def _ruling(box: Box) -> Ruling:
    left, top, right, bottom = box
    if right - left >= bottom - top:
        return Ruling(True, (top + bottom) / 2, left, right, max(bottom - top, 0.1))
    return Ruling(False, (left + right) / 2, top, bottom, max(right - left, 0.1))


def joined(rulings: Iterable[Ruling]) -> list[Ruling]:
    """Lines made of their pieces: touching or dashed ones, and double lines made one."""
    result: list[Ruling] = []
    for horizontal in (True, False):
        lines = sorted(
            (each for each in rulings if each.horizontal == horizontal),
            key=lambda each: (each.at, each.start),
        )
        for group in _levels(lines):
            pieces = sorted(group, key=lambda each: each.start)
            result += _chains(pieces)
    return [each for each in result if each.end - each.start >= 2 * _TOUCHING]


def _levels(lines: list[Ruling]) -> list[list[Ruling]]:
    """Lines in groups that lie within the distance of a double line."""
    groups: list[list[Ruling]] = []
    for line in lines:
        if groups and line.at - groups[-1][0].at <= _DOUBLE:
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _chains(pieces: list[Ruling]) -> list[Ruling]:
    """Pieces of one level, in order of their starts, joined where they touch or are dashes."""
    dashes = sum(each.end - each.start <= 8.0 for each in pieces) >= 5
    chains: list[list[Ruling]] = []
    for piece in pieces:
        for chain in chains:
            end = max(each.end for each in chain[-8:])
            length = min(chain[-1].end - chain[-1].start, piece.end - piece.start)
            gap = max(_TOUCHING, 1.5 * length + 0.5) if dashes and length <= 8.0 else _TOUCHING
            if piece.start - end <= gap:
                chain.append(piece)
                break
        else:
            chains.append([piece])
    return [_one(chain) for chain in chains]


def _one(chain: list[Ruling]) -> Ruling:
    length = sum(each.end - each.start for each in chain) or 1.0
    at = sum(each.at * (each.end - each.start) for each in chain) / length
    if not any(each.end > each.start for each in chain):
        at = chain[0].at
    start, end = min(each.start for each in chain), max(each.end for each in chain)
    return Ruling(chain[0].horizontal, at, start, end, max(each.thickness for each in chain))


def _is_underline(line: Ruling, words: list[Word]) -> bool:
    """Whether a line lies close under, or through, the words of one line and is as long as they.

    It may be longer by half the size of the text on each side; an underline of a header group lies
    a tenth of the size or less below the baseline, a ruling of a table farther away.
    """
    if not line.horizontal:
        return False
    over = [
        word
        for word in words
        if word.turn == 0
        and word.box[0] < line.end
        and word.box[2] > line.start
        and word.box[1] + 0.3 * word.size < line.at < word.box[3] + 0.02 * word.size
    ]
    if not over:
        return False
    size = max(word.size for word in over)
    left, right = min(word.box[0] for word in over), max(word.box[2] for word in over)
    near = 0.5 * size
    return abs(left - line.start) <= near and abs(right - line.end) <= near
