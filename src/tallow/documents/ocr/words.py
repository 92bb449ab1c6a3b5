"""Lines into words: at spaces, and at gaps that are too wide for one, with boxes around their ink.

A recogniser says about where each character is (to eight of 48 columns); where words begin and end
is taken from the ink between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tallow.documents.content import Word
from tallow.documents.geometry import Box, Quad, box_of
from tallow.documents.ocr.crops import turned
from tallow.documents.ocr.forms import spelled, with_forms
from tallow.documents.ocr.glyphs import Glyphs, aligned, columns_of_ink, glyphs_of, tall_of
from tallow.documents.ocr.recognition import Reading
from tallow.documents.ocr.refining import FLAT, has_bar, raised_part, refined
from tallow.lazy_dataclasses import dataclass, replace

if TYPE_CHECKING:
    import numpy as np

    from tallow.documents.content import Pixels

    Mask = np.ndarray[Any, np.dtype[np.bool_]]

WIDE_GAP = 1.0
"""A gap of so many heights of the text divides words that no space divides."""


@dataclass(frozen=True)
class Piece:
    """A word of a line: its text, confidence, and columns of the crop."""

    text: str
    confidence: float
    start: float
    end: float
    raised: bool = False
    glued: bool = False


def ink(line: Pixels, share: float = 0.4) -> Mask:
    """(height, width): what stands out of a line's background, without rules along it.

    `share` is how much of what stands out most it takes to be ink.
    """
    import numpy as np

    grey = _grey(line)
    ground = np.median(grey)
    apart = np.abs(grey - ground)
    mask: Mask = apart > max(28, int(np.percentile(apart, 99) * share))
    along = mask.mean(1) > 0.92
    mask[along] = False
    return mask


def _grey(line: Pixels) -> Any:
    import numpy as np

    return (line.astype(np.int32) @ np.array([77, 150, 29])) >> 8


def rows_of_ink(mask: Mask) -> tuple[float, float]:
    """The rows from the first to behind the last that hold text; all of them where none does."""
    import numpy as np

    filled = np.flatnonzero(mask.sum(1) > 0.005 * mask.shape[1] + 0.5)
    if not len(filled):
        return 0.0, float(mask.shape[0])
    return float(filled[0]), float(filled[-1] + 1)


def pieces(reading: Reading, mask: Mask) -> list[Piece]:
    """The words of a line whose ink is `mask`, (48, width)."""
    import numpy as np

    columns = mask.any(0)
    top, bottom = rows_of_ink(mask)
    wide = WIDE_GAP * max(bottom - top, mask.shape[0] / 3)
    groups: list[list[int]] = [[]]
    edges: list[tuple[float, float]] = []  # where a group ends, where the next begins
    for i, character in enumerate(reading.text):
        if character.isspace():
            continue
        if groups[-1]:
            before = groups[-1][-1]
            middle = reading.spans[before], reading.spans[i]
            gap = _widest_gap(columns, sum(middle[0]) / 2, sum(middle[1]) / 2)
            divided = i - before > 1 or gap[1] - gap[0] > wide
            if divided or _space_unread(reading, before, i, gap, columns, bottom - top):
                edges.append(gap)
                groups.append([])
        groups[-1].append(i)
    if not groups[0]:
        return []
    inked = np.flatnonzero(columns)
    first, last = (inked[0], inked[-1] + 1) if len(inked) else (0, mask.shape[1])
    starts = [float(first), *[edge[1] for edge in edges]]
    ends = [*[edge[0] for edge in edges], float(last)]
    return [
        _piece(reading, group, start, end)
        for group, start, end in zip(groups, starts, ends, strict=True)
    ]


# Signs that stand between spaces, or between none.
_BETWEEN = frozenset("±×=<>≤≥~≈÷")
_THOUSANDS = re.compile(r"\d{3}(?!\d)")
_UNREAD = 0.38  # heights of the text beside such a sign, of which its own room is a half at most
_MORE = 0.28  # heights that stand behind a comma more than before it where a space follows


def _space_unread(
    reading: Reading, i: int, k: int, gap: tuple[float, float], columns: Any, height: float
) -> bool:
    """Whether ink says that a space stands between two characters although none was read.

    Readers leave them out behind commas and beside signs, most of all in small print. Where all
    characters are of one width, as much room is before a comma as behind it.
    """
    text, room = reading.text, gap[1] - gap[0]
    if text[i] in _BETWEEN or text[k] in _BETWEEN:
        return room >= _UNREAD * height
    after_word = text[i] == "." and i > 0 and text[i - 1].islower() and text[k].isdigit()
    if not (text[i] in ",;" or after_word) or not text[k].isalnum() or i == 0:
        return False
    if text[i - 1].isdigit() and _THOUSANDS.match(text, k):
        return False
    before = [sum(reading.spans[at]) / 2 for at in (i - 1, i)]
    ahead = _widest_gap(columns, before[0], before[1])
    return room - (ahead[1] - ahead[0]) >= _MORE * height


def _piece(reading: Reading, group: list[int], start: float, end: float) -> Piece:
    confidence = sum(reading.confidences[i] for i in group) / len(group)
    text = reading.text[group[0] : group[-1] + 1]
    end = max(end, start + 1)
    return Piece(text, confidence, start, end)


def _widest_gap(columns: Any, start: float, end: float) -> tuple[float, float]:
    """The widest run of columns without ink between two; their middle where all have some."""
    import numpy as np

    a, b = int(start), max(int(end), int(start) + 1)
    part = np.concatenate([[True], columns[a:b], [True]])
    filled = np.flatnonzero(part)
    gaps = np.diff(filled) - 1
    if not len(gaps) or not gaps.max():
        return (start + end) / 2, (start + end) / 2
    at = int(gaps.argmax())
    return float(a + filled[at]), float(a + filled[at] + gaps[at])


def words_of_line(reading: Reading, line: Pixels, quad: Quad, turn: int, number: int) -> list[Word]:
    """The words of a line that was cut from `quad`, in pixels of the page.

    What is raised is a word of its own that is glued to the one before; its characters are plain.
    """
    mask = ink(line)
    height, width = mask.shape
    top, bottom = rows_of_ink(mask)
    reading = _with_forms(reading, mask, bottom - top)
    found = []
    for piece in parts_of(pieces(reading, mask), mask, line):
        part = _part(turned(quad, turn), (piece.start / width, top / height),
                     (piece.end / width, bottom / height))  # fmt: skip
        straight = part[0][1] == part[1][1] and part[0][0] == part[3][0]
        found.append(
            Word(
                spelled(piece.text),
                box_of(part),
                piece.confidence,
                None if straight and not turn else part,
                raised=piece.raised,
                size=_size(part),
                turn=turn,
                line=number,
                glued=piece.glued,
            )
        )
    return found


def _with_forms(reading: Reading, mask: Mask, height: float) -> Reading:
    columns = mask.any(0)

    def gap(i: int, k: int) -> tuple[float, float]:
        return _widest_gap(columns, sum(reading.spans[i]) / 2, sum(reading.spans[k]) / 2)

    return with_forms(reading, gap, height)


def parts_of(words: Sequence[Piece], mask: Mask, line: Pixels) -> list[Piece]:
    """Words as their ink has them: characters that it decides, and what is raised apart."""
    boxes = columns_of_ink(mask)
    within = [_boxes_in(word, boxes) for word in words]
    tall = max((tall_of(word.text, found) for word, part in zip(words, within, strict=True)
                if (found := aligned(word.text, part))), default=0.0)  # fmt: skip
    closer: list[Box] | None = None
    faint = cache(partial(ink, line, 0.2))
    made: list[Piece] = []
    for word, part in zip(words, within, strict=True):
        glyphs = glyphs_of(word.text, part, tall)
        if glyphs is None and _worth_it(word.text):  # characters that touch come apart
            closer = columns_of_ink(ink(line, 0.65)) if closer is None else closer
            part = _boxes_in(word, closer)
            glyphs = glyphs_of(word.text, part, tall)
        if _PLAIN_NUMBER.fullmatch(word.text) and has_bar(mask, word.start, word.end, part):
            word, glyphs = replace(word, text=HYPHEN + word.text), None
        made += _divided(word, glyphs, part, faint)
    return made


_PLAIN_NUMBER = re.compile(r"\d[\d.,]*%?")
HYPHEN = "-"


def _worth_it(text: str) -> bool:
    """Whether a word ends with what may be raised, or has marks that may be mistaken."""
    return len(text) < 24 and any(map(str.isdigit, text))


def _boxes_in(word: Piece, boxes: Sequence[Box]) -> list[Box]:
    return [box for box in boxes if word.start - 1 <= (box[0] + box[2]) / 2 <= word.end + 1]


def _divided(
    word: Piece, glyphs: Glyphs | None, boxes: Sequence[Box], faint: Callable[[], Mask]
) -> list[Piece]:
    """A word and its raised part as pieces, glued together; `faint` gives all that may be ink."""
    text = refined(word.text, glyphs)
    span = raised_part(text, glyphs, boxes, faint)
    if span is None:
        return [replace(word, text=text)]
    start, end = span
    edges = [0, start, end, len(text)]
    width = word.end - word.start
    places = [
        word.end if at == len(text)
        else glyphs.boxes[at][0] if glyphs and at
        else word.start + width * at / len(text)
        for at in edges
    ]  # fmt: skip
    return [
        replace(word, text=text[a:b].translate(FLAT), start=places[i],
                end=max(places[i + 1], places[i] + 1), raised=i == 1, glued=a > 0)
        for i, (a, b) in enumerate(pairwise(edges)) if a < b
    ]  # fmt: skip


def _size(quad: Quad) -> float:
    (ax, ay), _, _, (dx, dy) = quad
    return float(((dx - ax) ** 2 + (dy - ay) ** 2) ** 0.5)


def _part(quad: Quad, start: tuple[float, float], end: tuple[float, float]) -> Quad:
    """The part of a rectangle between two places, given as shares of its width and height."""
    (ax, ay), (bx, by), _, (dx, dy) = quad

    def at(u: float, v: float) -> tuple[float, float]:
        return ax + (bx - ax) * u + (dx - ax) * v, ay + (by - ay) * u + (dy - ay) * v

    return at(start[0], start[1]), at(end[0], start[1]), at(end[0], end[1]), at(start[0], end[1])
