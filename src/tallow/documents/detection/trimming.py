"""Captions and notes at the ends of a region, which are not rows of its table."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tallow.documents.content import Ruling
from tallow.documents.detection.text_lines import LONG, TextLine, lines_within
from tallow.documents.geometry import center, overlap
from tallow.documents.steps import Region
from tallow.lazy_dataclasses import replace

CAPTION = re.compile(
    r"\W*(table|tab\.|figure|fig\.|exhibit|source|notes?|tabelle|quelle|tableau|tabla|fuente|tabella"
    r"|表|图|資料|资料|注)(\b|[\s\d:：])",
    re.IGNORECASE,
)
"""How captions and notes of a table begin."""
MOST_LINES = 4
"""Lines of a caption or note that are looked at, at either end."""


def trimmed(region: Region, rulings: Sequence[Ruling], lines: Sequence[TextLine]) -> Region:
    """A region without the captions over and the notes under its outermost rows.

    They are of one piece, and long or begin as captions do. What a level ruling parts from the
    outside is of the table, as where a title stands in its frame; what upright ones run through
    is a row, however close its words stand.
    """
    left, top, right, bottom = region.box
    inside = lines_within(lines, region.box)
    level = [
        each.at
        for each in rulings
        if each.horizontal
        and top - 2 <= each.at <= bottom + 2
        and overlap((each.start, each.end), (left, right)) > (right - left) / 2
    ]
    parting = [
        (each.start, each.end)
        for each in rulings
        if not each.horizontal and left + 2 < each.at < right - 2
    ]
    for line in _outer(inside):
        middle = center(line.box)[1]
        crossed = any(start <= middle <= end for start, end in parting)
        if crossed or any(at < middle for at in level):
            break
        top = line.box[3]
    for line in _outer(inside[::-1]):
        middle = center(line.box)[1]
        crossed = any(start <= middle <= end for start, end in parting)
        if crossed or any(at > middle for at in level) or line.box[1] <= top:
            break
        bottom = line.box[1]
    return replace(region, box=(left, top, right, bottom)) if bottom > top else region


def _outer(lines: Sequence[TextLine]) -> list[TextLine]:
    """Of lines from one end on, those up to the last that is a caption's, before any row."""
    found = 0
    for number, line in enumerate(lines[:MOST_LINES], 1):
        if len(line.pieces) > 1:
            break
        text = " ".join(word.text for word in line.words)
        if line.lengths[0] > LONG or CAPTION.match(text):
            found = number
    return list(lines[:found])
