"""The words of a cell joined in the order of reading, superscripts kept as places in the text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tallow.documents.cells.hyphens import across_lines
from tallow.documents.content import Word
from tallow.documents.geometry import Box

if TYPE_CHECKING:
    from typing import TypeAlias

    Raised: TypeAlias = tuple[tuple[int, int], ...]

# Scripts that are written without spaces: kana, ideographs, their punctuation, full-width forms.
_UNSPACED = re.compile(r"[⺀-〿぀-ヿ㐀-䶿一-鿿豈-﫿＀-￯]")
_SAME_LINE = 0.5  # of the lower one's height that two words of a line share
_ROOM = 1.5  # text heights after a line that a character of the next one would have fitted in
_TOUCHING = 0.12  # of the text height: a gap that is no space


def lines_of(words: Iterable[Word]) -> list[list[Word]]:
    """Words in lines from top to bottom, each from left to right.

    A raised word goes with the line that it overlaps. Words of text that is turned by 90 or 270
    degrees come in the order of their own reading.
    """
    ordered = sorted(words, key=lambda word: (word.raised, (word.box[1] + word.box[3]) / 2))
    if len(ordered) < 2:  # as in most cells
        return [ordered] if ordered else []
    if all(word.turn in (90, 270) for word in ordered):
        return _turned_lines(ordered)
    lines: list[list[Word]] = []
    for word in ordered:
        shares = [_shared_height(word, line) for line in lines]
        best = max(shares, default=0.0)
        if lines and best >= (0.2 if word.raised else _SAME_LINE):
            lines[shares.index(best)].append(word)
        else:
            lines.append([word])
    lines.sort(key=lambda line: min((each.box[1] + each.box[3]) / 2 for each in line))
    return [sorted(line, key=lambda word: word.box[0]) for line in lines]


def joined(words: Iterable[Word], box: Box | None = None) -> tuple[str, Raised]:
    """The text of a cell's words, and (start, end) of its superscripts.

    A space stands between words and between lines, but not beside a superscript that touches its
    neighbour, nor where both sides are of a script that has none, unless the line before was ended
    early: `box` is the cell's, which says how long a line could be. A hyphen that only divides a
    word at the end of a line is dropped.
    """
    text, raised = "", list[tuple[int, int]]()
    lines = lines_of(words)
    reach = max((line[-1].box[2] for line in lines), default=0.0)
    if box is not None and lines:  # as much room at the right as there is at the left
        reach = max(reach, box[2] - (min(line[0].box[0] for line in lines) - box[0]))
    ended = False
    for line in lines:
        before: Word | None = None
        for word in line:
            piece = word.text.strip()
            if not piece:
                continue
            new = ended and before is None
            if text and before is None and not (raised and raised[-1][1] == len(text)):
                text, spaced = across_lines(text, piece)
            else:
                spaced = True
            if text and spaced and (new or _spaced(text[-1], piece[0], before, word)):
                text += " "
            if word.raised:
                raised.append((len(text), len(text) + len(piece)))
            text += piece
            before = word
        # A line that leaves room for more was ended on purpose: what follows is a new item.
        last = line[-1].box
        ended = last[2] < reach - _ROOM * (last[3] - last[1]) and not line[-1].turn
    return text, tuple(raised)


def _spaced(left: str, right: str, before: Word | None, word: Word) -> bool:
    if before is not None:
        if word.glued:
            return False
        gap = word.box[0] - before.box[2]
        height = min(before.box[3] - before.box[1], word.box[3] - word.box[1])
        if gap < _TOUCHING * height and (word.raised or before.raised):
            return False
    return not (_UNSPACED.match(left) and _UNSPACED.match(right))


def _shared_height(word: Word, line: Sequence[Word]) -> float:
    """How much of the lower one's height a word shares with a line's, at best, from 0 to 1."""
    top, bottom = word.box[1], word.box[3]
    best = -math.inf
    for each in line:
        _, upper, _, lower = each.box
        low = min(bottom - top, lower - upper)
        best = max(best, (min(bottom, lower) - max(top, upper)) / max(low, 1e-9))
    return best


def _turned_lines(words: Sequence[Word]) -> list[list[Word]]:
    """Lines of text that runs down (90) or up (270) the page."""
    from tallow.lazy_dataclasses import replace

    down = words[0].turn == 90
    upright = {}
    for word in words:
        left, top, right, bottom = word.box
        box = (top, -right, bottom, -left) if down else (-bottom, left, -top, right)
        upright[replace(word, box=box, turn=0)] = word
    return [[upright[each] for each in line] for line in lines_of(upright)]
