"""Doubtful cells read again from their own crops: larger, with room around them, by a vote.

What the detector made of a page does not matter here: the ink of the crop says where its lines are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tallow.documents.content import Word
from tallow.documents.geometry import Box
from tallow.documents.ocr import marks, shapes
from tallow.documents.ocr.ink import PageInk, crop_ink

if TYPE_CHECKING:
    from tallow.documents.content import Pixels

First = tuple[str, float]
"""A text and its confidence, from 0 to 1; ("", 0.0) where nothing was read."""

SURE = 0.97
"""From here on a first reading is not put to a vote."""
_MOST_PIXELS = 4_000_000
_MARGINS = (0.1, 0.2)  # of the text's height: two looks; more loses points and signs


class LineReading(Protocol):
    """What reads pictures of lines, as `OCR` does."""

    def read_lines(self, crops_of_lines: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Text and confidence of pictures that hold one line each."""
        ...


def reread(
    reader: LineReading,
    pixels_of_cell: Pixels,
    first: First,
    others: Sequence[LineReading] = (),
    character_height: float = 0.0,
) -> First:
    """What a cell's picture, (height, width, 3) RGB, says, and how sure that is.

    `first` is what was read of it before and has a vote of its own; `others` are more readers that
    vote. `character_height` is the usual one of the page in pixels (0: taken from the crop). A
    cell without ink is ("", 1.0).
    """
    height, width = pixels_of_cell.shape[:2]
    if height < 2 or width < 2 or height * width > _MOST_PIXELS:
        return first
    ink = without_rules(crop_ink(pixels_of_cell), character_height)
    lines = lines_of_ink(ink)
    if not lines:
        return ("", 1.0) if not first[0] else first
    alone = _lone_mark(ink, lines, first[0])
    if alone:
        return alone, marks.MARK_CONFIDENCE
    if first[1] >= SURE:
        return first
    crops = [[_cut(pixels_of_cell, line, margin) for line in lines] for margin in _MARGINS]
    votes = [first] if first[0] else []
    readers = (reader, *others)
    votes += [_together(each.read_lines(looked)) for each in readers for looked in crops]
    return elected([(_with_dashes(text, lines, ink), sure) for text, sure in votes])


def without_rules(ink: PageInk, character_height: float = 0.0) -> PageInk:
    """Ink less what is a rule at the crop's edges or as long as the crop, and less specks."""
    import numpy as np

    from tallow.documents.pictures.components import components

    tall, wide = ink.pieces.shape
    mask = ink.pieces.mask(np.ones(ink.pieces.count, bool))
    usual = character_height or ink.height
    mask[mask.mean(1) >= 0.8] = False
    if tall > 1.6 * usual or not usual:  # of a low crop a 1 or an I fills a column
        mask[:, mask.mean(0) >= 0.8] = False
    kept = PageInk(components(mask), usual)
    width, height = kept.sizes()
    usual = usual or float(height.max(initial=0))
    left, top, right, bottom = kept.pieces.boxes.T
    edge = (left == 0) | (top == 0) | (right == wide) | (bottom == tall)
    thin = (np.minimum(width, height) <= max(2, 0.2 * usual)) & edge
    speck = np.maximum(width, height) < max(2, 0.12 * usual)
    return PageInk(components(kept.pieces.mask(~(thin | speck))), usual)


def lines_of_ink(ink: PageInk) -> list[Box]:
    """Boxes of lines of text, from the top: rows of ink that a blank row divides.

    Accents and the dots of i and j are too low to be lines of their own.
    """
    import numpy as np

    rows = ink.pieces.mask(np.ones(ink.pieces.count, bool))
    filled = np.flatnonzero(rows.any(1))
    if not len(filled):
        return []
    breaks = np.flatnonzero(np.diff(filled) > 1)
    starts, ends = filled[[0, *(breaks + 1)]], filled[[*breaks, -1]] + 1
    bands: list[list[int]] = []
    for top, bottom in zip(starts.tolist(), ends.tolist(), strict=True):
        low = min(bottom - top, bands[-1][1] - bands[-1][0]) if bands else 0
        if bands and low < 0.45 * ink.height and top - bands[-1][1] < 0.4 * ink.height:
            bands[-1][1] = bottom
        else:
            bands.append([top, bottom])
    found = []
    for top, bottom in bands:
        columns = np.flatnonzero(rows[top:bottom].any(0))
        found.append((float(columns[0]), float(top), float(columns[-1] + 1), float(bottom)))
    return found


def _lone_mark(ink: PageInk, lines: Sequence[Box], read: str) -> str:
    """The dash, tick, cross, bullet or ellipsis that is all of a cell's ink; "" of all else."""
    if not read and _is_ellipsis(ink):
        return "..."
    if ink.pieces.count != 1 or len(lines) != 1 or not ink.height:
        return ""
    width, height = (float(each[0]) for each in ink.sizes())
    if ink.bars()[0] or (width >= 2.5 * height and width <= 2.5 * ink.height):
        kept = read == "\u4e00" and width > marks.LONGEST_HYPHEN * ink.height
        return read if kept else marks.lone_dash(width / ink.height)
    return shapes.mark_of(ink.picture(0), height / ink.height, read) if len(read) <= 2 else ""


def _is_ellipsis(ink: PageInk) -> bool:
    """Whether ink is three dots of one size side by side, at one distance."""
    import numpy as np

    if ink.pieces.count != 3 or not ink.height:
        return False
    width, height = ink.sizes()
    left, _, _, bottom = ink.pieces.boxes[np.argsort(ink.pieces.boxes[:, 0])].T
    small = max(width.max(), height.max()) <= 0.35 * ink.height
    even = np.ptp(width) <= 1 and np.ptp(height) <= 1 and np.ptp(bottom) <= 1
    steps = np.diff(left)
    near = steps.min() > 0 and steps.max() <= 0.9 * ink.height and np.ptp(steps) <= 1
    return bool(small and even and near)


def _cut(pixels: Pixels, line: Box, margin: float) -> Pixels:
    """A line's picture with a margin of the crop's ground around it, without its rules."""
    import numpy as np

    left, top, right, bottom = (int(each) for each in line)
    height = bottom - top
    by = max(2, round(margin * height))
    around = max(3, round(0.35 * height))
    colour = np.median(pixels.reshape(-1, 3), axis=0).astype(np.uint8)
    found = np.empty((height + 2 * by, right - left + 2 * around, 3), np.uint8)
    found[:] = colour
    found[by : by + height, around : around + right - left] = pixels[top:bottom, left:right]
    return found


def _together(lines: Sequence[tuple[str, float]]) -> First:
    """Lines' texts joined, as sure as the least sure one that says something."""
    said = [(text.strip(), sure) for text, sure in lines if text.strip()]
    if not said:
        return "", 0.0
    return " ".join(text for text, _ in said), min(sure for _, sure in said)


def _with_dashes(text: str, lines: Sequence[Box], ink: PageInk) -> str:
    """A text of one line whose dashes are as long as its ink says."""
    if len(lines) != 1:
        return text
    return marks.with_marks([Word(text, lines[0], line=0)], ink)[0].text


def elected(votes: Sequence[First]) -> First:
    """The text with the most confidence together; its own mean confidence, by its share of all."""
    weight: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)
    for text, sure in votes:
        weight[text] += sure if text else 0.0
        count[text] += 1
    if not weight:
        return "", 0.0
    text = max(weight, key=lambda each: weight[each])
    if not text:
        return "", 0.0
    mean = weight[text] / count[text]
    return text, mean * (0.5 + 0.5 * weight[text] / sum(weight.values()))
