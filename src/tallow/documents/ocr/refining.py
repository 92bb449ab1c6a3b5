"""Characters that readers mistake, decided by their ink: what is raised, 0 and O, point and comma.

Measures are shares of the height of capitals. Superscripts stand a third of the font's size above
the base line (CSS 2.1, 10.8.1; Unicode's own lower, a quarter), where digits of the old style end
a fifth of it above what reaches below the line. A zero is 0.6 to 0.75 times as wide as high, a
capital O 0.9 to 1 (widths of Helvetica, Times, DejaVu, Noto and Lato; narrow fonts are between).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from tallow.documents.ocr.glyphs import Glyphs

if TYPE_CHECKING:
    from tallow.documents.geometry import Box
    from tallow.documents.ocr.glyphs import Mask

_SUPERSCRIPTS: Final = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱᵃᵇᶜᵈᵉª"
_PLAIN: Final = "0123456789+-()niabcdea"
FLAT: Final = str.maketrans(_SUPERSCRIPTS, _PLAIN)
RAISED: Final = str.maketrans(_PLAIN[:-1], _SUPERSCRIPTS[:-1])
_RAISES: Final = 0.36
_SMALL: Final = 0.8
_WIDEST_RAISED: Final = 0.55
_THICKEST_BAR: Final = 0.3
_WIDER_THAN_DIGITS: Final = 0.95
_SHORTEST_BAR, _SHORTEST_APART = 0.3, 0.22
_BEHIND: Final = frozenset("),.;:/%]*")
_WIDEST_ZERO, _NARROWEST_O = 0.78, 0.88


def raised_part(
    text: str, glyphs: Glyphs | None, boxes_of_ink: Sequence[Box], faint: Callable[[], Mask]
) -> tuple[int, int] | None:
    """(start, end) of what is raised in a word, at its end or before its last mark; None: nothing.

    Superscripts that were read as such are, wherever they stand. `boxes_of_ink` are the pieces of
    a word whose characters could not be told, `faint` gives the line's ink with all that is pale.
    """
    marked = [i for i, char in enumerate(text) if char in _SUPERSCRIPTS]
    if marked:
        start, end = marked[0], marked[-1] + 1
        return (start, end) if end - start == len(marked) and len(marked) < len(text) else None
    if glyphs is None:
        return raised_end(text, boxes_of_ink, faint)
    boxes = glyphs.boxes
    up = [_is_raised(char, box, glyphs) for char, box in zip(text, boxes, strict=True)]
    end = next((i + 1 for i in range(len(up) - 1, -1, -1) if up[i]), 0)
    start = end
    while start and (up[start - 1] or (text[start - 1] == "," and start < end and up[start - 2])):
        start -= 1
    behind = {*text[end:]} <= _BEHIND
    if not end or not start or end - start > 4 or not behind or any(up[:start]):
        return None
    part = text[start:end]
    if (
        part == "-"
        or ("(" in part) != (")" in part)
        or not _clear_below(boxes[start:end], glyphs, faint)
    ):
        return None
    return start, end


def _clear_below(boxes: Sequence[Box], glyphs: Glyphs, faint: Callable[[], Mask]) -> bool:
    """Whether nothing goes on beneath raised characters: the stem of a 7 may be too pale to see."""
    for left, _, right, bottom in boxes:
        inset = 0.15 * (right - left)
        top = int(bottom + 0.12 * glyphs.tall)
        part = faint()[top : int(glyphs.base), int(left + inset) : int(right - inset) + 1]
        if part.any():
            return False
    return True


def raised_end(
    text: str, boxes: Sequence[Box], faint: Callable[[], Mask]
) -> tuple[int, int] | None:
    """(start, end) of what is raised at a word's end, where other characters of it touch."""
    heights = sorted(box[3] - box[1] for box in boxes)
    if len(heights) < 2 or not (text[-1].isascii() and text[-1].isdigit()):
        return None
    high = [box for box in boxes if box[3] - box[1] >= 0.75 * heights[-1]]
    base = sorted(box[3] for box in high)[len(high) // 2]
    glyphs = Glyphs((), base, sorted(box[3] - box[1] for box in high)[len(high) // 2])
    raised = [*takewhile(lambda box: _is_raised("1", box, glyphs), reversed(boxes))]
    left = min((box[0] for box in raised), default=0.0)
    # A thin 0 breaks into parts side by side, of which the upper is not raised.
    if not raised or any(box[2] > left + 1 for box in boxes[: len(boxes) - len(raised)]):
        return None
    if not _clear_below(raised, glyphs, faint):
        return None
    width = max(box[2] for box in raised) - left
    count = 1 if width <= _WIDEST_RAISED * glyphs.tall else 2
    known = text[-count:].isdigit() and count < len(text) and width <= 1.1 * glyphs.tall
    return (len(text) - count, len(text)) if known else None


def _is_raised(char: str, box: Box, glyphs: Glyphs) -> bool:
    if char not in "()+-\u2212*†‡§¶#" and not (char.isascii() and char.isalnum()):
        return False
    tall = glyphs.tall
    bottom, top = (glyphs.base - box[3]) / tall, (glyphs.base - box[1]) / tall
    if char.isalnum():
        return bottom >= _RAISES and top >= 0.8 and 0.3 <= top - bottom <= _SMALL
    if char in "+-\u2212":
        return (bottom + top) / 2 >= 0.68 and bottom >= 0.45
    return top >= 1.15 if char == "*" else bottom >= 0.12 and top >= 0.9


def has_bar(mask: Mask, start: float, end: float, boxes: Sequence[Box]) -> bool:
    """Whether a word's ink begins with a minus, which may touch the digit behind it.

    The columns of a bar hold ink half-way up alone; a digit's first ones do for a tenth of its
    height at most.
    """
    import numpy as np

    high = sorted(box[3] - box[1] for box in boxes)
    if not high or high[-1] < 6:
        return False
    tall_ones = [box for box in boxes if box[3] - box[1] >= 0.75 * high[-1]]
    base = sorted(box[3] for box in tall_ones)[len(tall_ones) // 2]
    tall = sorted(box[3] - box[1] for box in tall_ones)[len(tall_ones) // 2]
    part = mask[:, max(0, int(start)) : int(end)]
    inked = np.flatnonzero(part.any(0))
    run, apart = 0, False
    for column in range(int(inked[0]) if len(inked) else part.shape[1], part.shape[1]):
        rows = np.flatnonzero(part[:, column])
        apart = not len(rows)
        if apart or rows[-1] - rows[0] + 1 > _THICKEST_BAR * tall:
            break
        middle = base - (rows[0] + rows[-1] + 1) / 2
        if not 0.2 * tall <= middle <= 0.6 * tall:
            break
        run += 1
    # Of a 4 the rising stroke may be too pale to see, but it is no wider than a digit.
    if not apart and boxes[0][2] - boxes[0][0] < _WIDER_THAN_DIGITS * tall:
        return False
    return (_SHORTEST_APART if apart else _SHORTEST_BAR) * tall <= run <= 1.2 * tall


def refined(text: str, glyphs: Glyphs | None) -> str:
    """A word's text, its zeros and its marks between digits as their ink has them."""
    if glyphs is None:
        return text
    made = [
        _zero_or_letter(text, i, box, glyphs) if char in "0O" else
        _point_or_comma(text, i, box, glyphs) if char in ".," else char
        for i, (char, box) in enumerate(zip(text, glyphs.boxes, strict=True))
    ]  # fmt: skip
    return "".join(made)


def _zero_or_letter(text: str, at: int, box: Box, glyphs: Glyphs) -> str:
    """O among digits and alone is 0 where it is narrow, 0 among letters and alone O where round."""
    others = [char for char in text if char.isalnum() and char not in "0O"]
    height = box[3] - box[1]
    if height < 0.85 * glyphs.tall or height < 1:
        return text[at]
    ratio = (box[2] - box[0]) / height
    if text[at] == "O":
        return "0" if ratio < _WIDEST_ZERO and all(map(str.isdigit, others)) else "O"
    letters = bool(others) and all(map(str.isalpha, others))
    leads = at == 0 and len(text) == 2 and text[1:].isdigit()  # O2, not 02
    return "O" if ratio > _NARROWEST_O and (letters or leads or {*text} <= {*"0O"}) else "0"


def _point_or_comma(text: str, at: int, box: Box, glyphs: Glyphs) -> str:
    """A mark between digits is a comma where it reaches well below the line and is high."""
    if not (0 < at < len(text) - 1 and text[at - 1].isdigit() and text[at + 1].isdigit()):
        return text[at]
    below, height = (box[3] - glyphs.base) / glyphs.tall, (box[3] - box[1]) / glyphs.tall
    slender = box[3] - box[1] >= 1.25 * (box[2] - box[0])
    if text[at] == "." and below >= 0.12 and height >= 0.25 and slender:
        return ","
    return text[at]
