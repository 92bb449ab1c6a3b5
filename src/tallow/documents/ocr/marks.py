"""Small marks that a detector misses and a recogniser misreads: dashes, and single characters.

What a bar means is told by its width beside a digit's height (about 0.67 of the font's size): a
hyphen is a quarter to a third of the size wide, a minus and an en dash a half, an em dash the whole
(Unicode 15, 6.2 "Dashes and Hyphens"; widths of Helvetica's and Times' metrics).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallow.documents.content import Word
from tallow.documents.geometry import Box, box_of, overlap
from tallow.documents.ocr import shapes
from tallow.documents.ocr.ink import PageInk
from tallow.lazy_dataclasses import dataclass, replace

if TYPE_CHECKING:
    from tallow.documents.geometry import Quad

HYPHEN, EN_DASH, EM_DASH, MINUS = "-", "\u2013", "\u2014", "\u2212"
DASHES = frozenset((HYPHEN, EN_DASH, EM_DASH, MINUS, "\u2010", "\u2011", "\u2012", "\u2015"))

LONGEST_HYPHEN = 0.56
SHORTEST_MINUS = 0.49  # a hyphen is two fifths as wide, a minus of narrow fonts so
SHORTEST_EM = 1.15
_MOST_MARKS = 2000  # that no line holds: more are the texture of a picture
MARK_CONFIDENCE = 0.9
_MOST_COMPARED, _MOST_ALIKE = 200, 8  # marks, and pictures of each character they may be
_SAME = 0.72  # of the pixels of two marks that both have
_SMALL_PRINT = 8.0  # pixels of a digit's height: an en dash has five, a hyphen three
_ALIKE = 0.7  # of the ranges of a page that have the dash which the others are given
_IDEOGRAPHS = re.compile("[\u3040-\u30ff\u3400-\u4dff\u4e01-\u4e08\u4e0a-\u4e8b\u4e8d-\u9fff]")
_RANGE = re.compile(f"[(\\[]?\\d[\\d.,]*[{HYPHEN}{EN_DASH}]\\d[\\d.,]*[)\\],;]*")


@dataclass(frozen=True)
class Mark:
    """Ink that no line holds: its box, whether it is a lone bar, and what its shape says it is."""

    box: Box
    bar: bool = False
    text: str = ""


def missed(ink: PageInk, quads: Sequence[Quad]) -> list[Mark]:
    """Marks outside of all lines, of a character's size, that stand alone.

    Three and more alike in a row are dots or dashes of a leader or a rule.
    """
    import numpy as np

    usual = ink.height
    if not usual or not ink.pieces.count:
        return []
    width, height = ink.sizes()
    bars = ink.bars()
    sized = (height <= 1.8 * usual) & (width <= 2.5 * usual)
    sized &= np.maximum(width, height) >= 0.25 * usual
    left, top, right, bottom = ink.pieces.boxes.T
    tall, wide = ink.pieces.shape
    sized &= (left > 0) & (top > 0) & (right < wide) & (bottom < tall)  # not cut by the edge
    numbers = np.flatnonzero(sized & ink.outside([*quads]))
    if len(numbers) > _MOST_MARKS:
        return []
    boxes = [box_of_piece(ink, number) for number in numbers]
    lines = [box_of(quad) for quad in quads]
    found = []
    for group in _side_by_side(boxes, 0.6 * usual):
        box = _around([boxes[i] for i in group])
        bar = len(group) == 1 and bool(bars[numbers[group[0]]])
        flat = sum(bool(bars[numbers[i]]) for i in group)
        tall_enough = bar or box[3] - box[1] >= 0.3 * usual
        leader = flat >= 3 or (len(group) >= 3 and box[3] - box[1] < 0.45 * usual)
        if tall_enough and not leader and not _under_text(box, lines, usual):
            shape = shape_of(ink, int(numbers[group[0]]), usual) if len(group) == 1 else ""
            found.append(Mark(box, bar, "" if bar else shape))
    return [mark for mark in found if not _repeated(mark, found, usual)]


def like_others(found: Sequence[Mark], words: Sequence[Word], ink: PageInk) -> list[Mark]:
    """Marks with the text of a word of one character that looks as they do.

    Of the stars of a column some are too small to be read alone.
    """
    unknown = [mark for mark in found if not mark.bar and not mark.text]
    if not unknown or len(unknown) > _MOST_COMPARED:
        return [*found]
    known: dict[str, list[Any]] = {}
    for word in words:
        if len(word.text) != 1 or word.text.isalnum():
            continue
        pieces = ink.within(word.box)
        if len(pieces) == 1 and len(known.setdefault(word.text, [])) < _MOST_ALIKE:
            known[word.text].append(ink.picture(int(pieces[0])))
    made = []
    for mark in found:
        text, pieces = "", ink.within(mark.box)
        if mark in unknown and len(pieces) == 1:
            picture = ink.picture(int(pieces[0]))
            text = next((text for text, others in known.items()
                         if any(_alike(picture, other) for other in others)), "")  # fmt: skip
        made.append(replace(mark, text=text) if text else mark)
    return made


def _alike(a: Any, b: Any) -> bool:
    """Whether two pictures of marks are the same but for a row or a column at an edge."""
    (h, w), (height, width) = a.shape, b.shape
    if max(abs(h - height), abs(w - width)) > 1:
        return False
    rows, columns = min(h, height), min(w, width)
    for top in range(max(h, height) - rows + 1):
        for left in range(max(w, width) - columns + 1):
            one = a[top * (h > rows) :, left * (w > columns) :][:rows, :columns]
            other = b[top * (height > rows) :, left * (width > columns) :][:rows, :columns]
            if (one & other).sum() >= _SAME * (one | other).sum():
                return True
    return False


def shape_of(ink: PageInk, number: int, unit: float, read: str = "") -> str:
    """The tick, cross or bullet that a piece of ink is; `unit` is the height of a digit."""
    return shapes.mark_of(ink.picture(number), float(ink.sizes()[1][number]) / unit, read)


def box_of_piece(ink: PageInk, number: Any) -> Box:
    """The box of a piece of ink."""
    left, top, right, bottom = (float(each) for each in ink.pieces.boxes[number])
    return left, top, right, bottom


def _side_by_side(boxes: Sequence[Box], gap: float) -> list[list[int]]:
    """Boxes in groups: those that share rows and are less than a gap apart."""
    order = sorted(range(len(boxes)), key=lambda i: boxes[i][0])
    groups: list[list[int]] = []
    ends: list[Box] = []
    for i in order:
        box = boxes[i]
        for k in range(len(groups) - 1, -1, -1):
            other = ends[k]
            near = box[0] - other[2] <= gap
            if near and overlap((box[1] - gap / 4, box[3] + gap / 4), (other[1], other[3])):
                groups[k].append(i)
                ends[k] = _around([other, box])
                break
        else:
            groups.append([i])
            ends.append(box)
    return groups


def _around(boxes: Sequence[Box]) -> Box:
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _under_text(box: Box, lines: Sequence[Box], usual: float) -> bool:
    """Whether a mark touches a line from below or above: a part of it, or a rule under it."""
    return any(
        overlap((box[0], box[2]), (line[0], line[2])) > 0
        and (
            -0.5 * usual <= box[1] - line[3] <= 0.1 * usual
            or -0.5 * usual <= line[1] - box[3] <= 0.1 * usual
        )
        for line in lines
    )


def _repeated(mark: Mark, marks: Sequence[Mark], usual: float) -> bool:
    """Whether a bar has two others in its row at less than two heights: a dashed rule."""
    if not mark.bar:
        return False
    near = [
        other
        for other in marks
        if other is not mark and other.bar and abs(other.box[1] - mark.box[1]) < 0.1 * usual + 1
        and abs(other.box[0] - mark.box[0]) < 2.2 * usual + (mark.box[2] - mark.box[0])
    ]  # fmt: skip
    return len(near) >= 2


def digit_height(words: Sequence[Word], ink: PageInk) -> float:
    """The usual height of digits and capitals; that of all characters where there are none."""
    import numpy as np

    heights = []
    for word in words[:2000]:
        letters = [each for each in word.text if each.isalnum()]
        tall = sum(each.isdigit() or each.isupper() for each in letters)
        if not letters or tall < len(letters) or word.turn or word.text.isalpha():
            continue
        found = ink.sizes()[1][ink.within(word.box)]
        if len(found):
            heights += found[found >= 0.7 * found.max()].tolist()
    return float(np.median(heights)) if heights else ink.height


def with_marks(words: Sequence[Word], ink: PageInk) -> list[Word]:
    """Words whose dashes are what their widths say, and lone marks what their shapes say."""
    unit = digit_height(words, ink)
    if not unit:
        return [*words]
    bars, (width, _) = ink.bars(), ink.sizes()
    found = [
        word
        if word.turn and len(word.text) > 2
        else _with_marks(word, words, ink, bars, width, unit)
        for word in words
    ]
    if not _is_east_asian(found):
        found = [
            replace(word, text=lone_dash((word.box[2] - word.box[0]) / unit))
            if word.text == "\u4e00"
            else word
            for word in found
        ]
    found = _with_like_ranges(_with_like_marks(found, unit), unit)
    if any(word.text in shapes.TICKS for word in found):  # beside ticks stand crosses, not letters
        count = Counter(word.line for word in found)
        found = [
            replace(word, text=shapes.CROSS)
            if word.text in shapes.READ_AS_CROSSES and (word.line < 0 or count[word.line] == 1)
            else word
            for word in found
        ]
    return found


def _with_like_marks(words: list[Word], unit: float) -> list[Word]:
    """Words with lone dashes of a page's usual width as one, and its ticks of one weight.

    A pixel more or less makes an en dash of a hyphen where print is small.
    """
    widths = [word.box[2] - word.box[0] for word in words if word.text in DASHES]
    ticks = Counter(word.text for word in words if word.text in shapes.TICKS)
    tick = max(ticks, key=lambda text: (ticks[text], text == shapes.TICK)) if ticks else ""
    found = []
    for word in words:
        text = tick if word.text in shapes.TICKS else word.text
        if text in DASHES and not word.turn:
            width = word.box[2] - word.box[0]
            near = [each for each in widths if abs(each - width) <= 1]
            text = lone_dash(sum(near) / len(near) / unit)
        found.append(word if text == word.text else replace(word, text=text))
    return found


def _is_east_asian(words: Sequence[Word]) -> bool:
    """Whether words have ideographs other than those that dashes are taken for."""
    return any(_IDEOGRAPHS.search(word.text) for word in words)


def _with_like_ranges(words: list[Word], unit: float) -> list[Word]:
    """Words of small print with one dash between numbers, as most of them on the page have.

    A dash of two or three pixels says nothing; pages write their ranges alike.
    """
    ranges = [word.text for word in words if _RANGE.fullmatch(word.text)]
    most = EN_DASH if 2 * sum(EN_DASH in text for text in ranges) > len(ranges) else HYPHEN
    sure = sum(most in text for text in ranges) >= _ALIKE * len(ranges)
    if unit >= _SMALL_PRINT or len(ranges) < 4 or not sure:
        return words
    return [
        replace(word, text=re.sub(f"[{HYPHEN}{EN_DASH}]", most, word.text))
        if _RANGE.fullmatch(word.text)
        else word
        for word in words
    ]


def _with_marks(
    word: Word, words: Sequence[Word], ink: PageInk, bars: Any, widths: Any, unit: float
) -> Word:
    left, top, right, bottom = word.box
    pieces = ink.within((left - 1, top - 1, right + 1, bottom + 1))
    middle = ink.middles()[1]
    inner = (top + 0.2 * (bottom - top), bottom - 0.25 * (bottom - top))  # commas are below it
    flat = [int(number) for number in pieces if bars[number]]
    alone = not any(other.line == word.line and other is not word for other in words)
    if alone and len(pieces) == 1 and right - left < widths[pieces[0]] + 0.6 * ink.height:
        if flat:
            return lone(word, box_of_piece(ink, flat[0]), widths[flat[0]] / unit, words, ink)
        shape = shape_of(ink, int(pieces[0]), unit, word.text) if len(word.text) <= 2 else ""
        sure = MARK_CONFIDENCE
        return replace(word, text=shape, confidence=sure, turn=0) if shape else word
    places = [i for i, character in enumerate(word.text) if character in DASHES]
    flat = [number for number in flat if inner[0] <= middle[number] <= inner[1]]
    if not places or len(places) != len(flat):
        return word
    text, unit = list(word.text), _own_height(pieces, bars, ink, unit)
    for place, number in zip(places, flat, strict=True):
        text[place] = dash(float(widths[number]), unit, word.text, place)
    return replace(word, text="".join(text))


def _own_height(pieces: Any, bars: Any, ink: PageInk, usual: float) -> float:
    """The height of a word's capitals and digits: the page's usual one, unless it is a title's."""
    import numpy as np

    heights = ink.sizes()[1][pieces[~bars[pieces]]]
    if not len(heights):
        return usual
    own = float(np.median(heights[heights >= 0.7 * heights.max()]))
    return own if own > usual or own < 0.6 * usual else usual


def lone(word: Word, box: Box, ratio: Any, words: Sequence[Word], ink: PageInk) -> Word:
    """A word that is a single bar in `box`: its text by its width, its rows its neighbours'.

    The Chinese one is as wide as a dash: it is one where two or three stand alone as well.
    """
    counted = any(other.text in ("\u4e8c", "\u4e09") for other in words)  # two, three
    counted = counted and _is_east_asian(words)
    chinese = counted and ratio > LONGEST_HYPHEN and word.text not in ("\u2013", "\u2014")
    text = "\u4e00" if chinese else lone_dash(float(ratio))
    top, bottom = rows_beside(box, words, ink.height)
    confidence = max(word.confidence, MARK_CONFIDENCE)
    placed = (box[0], top, box[2], bottom)
    return replace(word, text=text, box=placed, confidence=confidence, size=bottom - top)


def lone_dash(ratio: float) -> str:
    """The dash of a bar that stands alone, by its width in heights of a digit."""
    if ratio < SHORTEST_MINUS:
        return HYPHEN
    return EN_DASH if ratio < SHORTEST_EM else EM_DASH


def dash(width: float, unit: float, text: str, place: int) -> str:
    """The dash at a place of a text, by its width and the height of a digit, in pixels.

    Where half a pixel more or less would make another of it, what was read stays.
    """
    before, after = text[:place], text[place + 1 :]
    signed = (not before or before[-1] in "([<>=~") and after[:1] in {*"0123456789.,$€£¥"}
    if signed and after[:1] and width <= SHORTEST_EM * unit:
        return MINUS if width >= SHORTEST_MINUS * unit else HYPHEN
    blurred = 1.0 if unit < _SMALL_PRINT else 0.5  # a pixel at an end may be too pale to see
    if width + blurred < LONGEST_HYPHEN * unit:
        return HYPHEN
    if width - 0.5 < LONGEST_HYPHEN * unit:
        return text[place]
    if width > SHORTEST_EM * unit:
        return EM_DASH
    return EN_DASH


def rows_beside(box: Box, words: Sequence[Word], usual: float) -> tuple[float, float]:
    """Top and bottom of the nearest word whose middle is at a mark's; a character's otherwise."""
    middle = (box[1] + box[3]) / 2
    near = [
        word
        for word in words
        if not word.turn
        and abs((word.box[1] + word.box[3]) / 2 - middle) < 0.4 * usual
        and word.box[3] - word.box[1] > 0.6 * usual
    ]
    if not near:
        return middle - usual / 2, middle + usual / 2
    nearest = min(near, key=lambda word: max(word.box[0] - box[2], box[0] - word.box[2]))
    return nearest.box[1], nearest.box[3]
