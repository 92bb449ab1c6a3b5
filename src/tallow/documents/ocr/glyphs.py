"""Characters beside their ink: which piece of a line's ink each character of its text is.

A recogniser says what characters are, hardly ever how they stand. Where a word has as many pieces
of ink as its characters have, each piece is a character's, and its place and form tell what is
raised, which of 0 and O it is, and which of point and comma.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallow.documents.geometry import Box
from tallow.documents.pictures.components import components
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    import numpy as np

    Mask = np.ndarray[Any, np.dtype[np.bool_]]

# Pieces of ink side by side that one character has; all others have one, or some above each other.
_SEVERAL = {'"': 2, "\u201c": 2, "\u201d": 2, "\u201e": 2, "\u00ab": 2, "\u00bb": 2, "\u2026": 3}
_VARYING = {"%": (1, 2, 3), "\u2030": (1, 2, 3, 4)}
_LOW = frozenset("gjpqyQJ,;()[]{}$/|@\u00e7\u00df\u20ac\u00a3")  # may reach below the base line
_TALL = frozenset("0123456789ABCDEFGHIKLMNOPRSTUVWXYZbdfhkl")


@dataclass(frozen=True)
class Glyphs:
    """The boxes of a word's characters, in pixels of its line's crop, and its lines of writing.

    `base` is where letters stand, `tall` how high capitals and digits are.
    """

    boxes: tuple[Box, ...]
    base: float
    tall: float


def columns_of_ink(mask: Mask) -> list[Box]:
    """Boxes of the pieces of a line's ink, from the left, those above each other as one."""
    found = components(mask)
    least = max(2, mask.shape[0] // 24)
    boxes = [
        (float(a), float(b), float(c), float(d))
        for (a, b, c, d), area in zip(found.boxes.tolist(), found.areas.tolist(), strict=True)
        if area >= least
    ]
    merged: list[Box] = []
    for box in sorted(boxes, key=lambda each: (each[0] + each[2]) / 2):
        if merged and _stacked(merged[-1], box):
            last = merged[-1]
            merged[-1] = (min(last[0], box[0]), min(last[1], box[1]),
                          max(last[2], box[2]), max(last[3], box[3]))  # fmt: skip
        else:
            merged.append(box)
    return merged


def _stacked(a: Box, b: Box) -> bool:
    """Whether two pieces are of one character: one is well within the other's columns.

    The point behind a 7 stands beneath its end, and is none of it.
    """
    narrow, wide = sorted((a, b), key=lambda box: box[2] - box[0])
    width = wide[2] - wide[0]
    middle = (narrow[0] + narrow[2]) / 2
    return wide[0] + 0.15 * width <= middle <= wide[2] - 0.15 * width


def aligned(text: str, boxes: Sequence[Box]) -> tuple[Box, ...] | None:
    """The box of each character of a text without spaces; None where their numbers differ."""
    counts = [_SEVERAL.get(char, 1) for char in text]
    varying = [i for i, char in enumerate(text) if char in _VARYING]
    if varying:
        rest = len(boxes) - sum(counts) + len(varying)
        each, left = divmod(rest, len(varying))
        if left or any(each not in _VARYING[text[i]] for i in varying):
            return None
        for i in varying:
            counts[i] = each
    if sum(counts) != len(boxes):
        return None
    found, at = [], 0
    for count in counts:
        part = boxes[at : at + count]
        found.append((min(b[0] for b in part), min(b[1] for b in part),
                      max(b[2] for b in part), max(b[3] for b in part)))  # fmt: skip
        at += count
    return tuple(found)


def glyphs_of(text: str, boxes: Sequence[Box], tall: float = 0.0) -> Glyphs | None:
    """A word's characters with their boxes, where each can be told; else None.

    `tall` is the height of capitals and digits of its line, where the word has none of its own.
    """
    found = aligned(text, boxes)
    if found is None:
        return None
    standing = [box for char, box in zip(text, found, strict=True)
                if char.isalnum() and char not in _LOW]  # fmt: skip
    if not standing:
        return None
    base = max(box[3] for box in standing)
    own = tall_of(text, found)
    return Glyphs(found, base, max(own, tall) or base - min(box[1] for box in standing))


def tall_of(text: str, boxes: Sequence[Box]) -> float:
    """The height of a word's capitals and digits, of the highest; 0 where it has none."""
    return max((box[3] - box[1] for char, box in zip(text, boxes, strict=True)
                if char in _TALL), default=0.0)  # fmt: skip
