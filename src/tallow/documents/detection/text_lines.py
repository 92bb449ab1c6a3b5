"""Lines of text of a page, and the pieces that wide gaps divide them into."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from tallow.documents.content import Word
from tallow.documents.geometry import Box, union
from tallow.lazy_dataclasses import dataclass

GAP = 1.0
"""Wider gaps than this many heights of a line divide it: spaces of words are about a third."""
LONG = 40
"""Characters of a piece that is rather running text than a cell."""

LEAST_LENGTH = 18
"""Characters of a line in a narrow column of running text: about three words."""


@dataclass(frozen=True)
class TextLine:
    """Words side by side: `pieces` are the boxes between wide gaps, `lengths` their characters."""

    words: tuple[Word, ...]
    pieces: tuple[Box, ...]
    lengths: tuple[int, ...]

    @property
    def box(self) -> Box:
        """Around all of it."""
        return union(word.box for word in self.words)

    @property
    def height(self) -> float:
        """The usual height of its words."""
        return median(word.box[3] - word.box[1] for word in self.words)


def text_lines(words: Sequence[Word]) -> list[TextLine]:
    """The lines of a page from top to bottom: words whose middles are at about one height."""
    rows: list[list[Word]] = []
    for word in sorted(words, key=lambda each: each.box[1] + each.box[3]):
        middle, height = (word.box[1] + word.box[3]) / 2, word.box[3] - word.box[1]
        if rows:
            last = rows[-1]
            there = median((each.box[1] + each.box[3]) / 2 for each in last)
            usual = median(each.box[3] - each.box[1] for each in last)
            if middle - there <= 0.5 * min(height, usual):
                last.append(word)
                continue
        rows.append([word])
    return [_line(row) for row in rows]


def _line(words: list[Word]) -> TextLine:
    ordered = sorted(words, key=lambda word: word.box[0])
    height = median(word.box[3] - word.box[1] for word in ordered)
    pieces, lengths = [ordered[0].box], [len(ordered[0].text)]
    for word in ordered[1:]:
        if word.box[0] - pieces[-1][2] > GAP * height:
            pieces.append(word.box)
            lengths.append(len(word.text))
        else:
            pieces[-1] = union([pieces[-1], word.box])
            lengths[-1] += 1 + len(word.text)
    return TextLine(tuple(ordered), tuple(pieces), tuple(lengths))


def lines_within(lines: Sequence[TextLine], box: Box) -> list[TextLine]:
    """The parts of lines whose words have their middle in a box."""
    found = []
    for line in lines:
        words = [
            word
            for word in line.words
            if box[0] <= (word.box[0] + word.box[2]) / 2 <= box[2]
            and box[1] <= (word.box[1] + word.box[3]) / 2 <= box[3]
        ]
        if words:
            found.append(_line(words))
    return found


def words_within(lines: Sequence[TextLine], box: Box) -> list[Word]:
    """The words that have their middle in a box."""
    return [word for line in lines_within(lines, box) for word in line.words]


def is_tabular(lines: Sequence[TextLine]) -> bool:
    """Whether lines stand in columns: many of several pieces, short ones, with a gap in common."""
    several = [line for line in lines if len(line.pieces) > 1]
    if len(several) < 2 or len(several) < 0.35 * len(lines):
        return False
    lengths = [length for line in several for length in line.lengths]
    columns = median(len(line.pieces) for line in several)
    if columns < 3 and sum(lengths) / len(lengths) > LONG:  # columns of a journal's page
        return False
    gaps = common_gaps(several)
    return bool(gaps) and not _are_text_columns(several, gaps)


FULL = 0.8
"""Of a column's width that lines of running text fill, but for the last of a paragraph."""
FEWEST_ROWS = 8
"""Rows from which columns of text are told from cells by how full they are."""


def _are_text_columns(lines: Sequence[TextLine], gaps: Sequence[tuple[float, float]]) -> bool:
    """Whether what stands side by side are columns of a journal's page: full lines of words."""
    if len(lines) < FEWEST_ROWS:
        return False
    edges = [gap[0] for gap in gaps] + [float("inf")]
    columns: list[list[tuple[float, int]]] = [[] for _ in edges]
    for line in lines:
        for box, length in zip(line.pieces, line.lengths, strict=True):
            number = next(i for i, edge in enumerate(edges) if (box[0] + box[2]) / 2 <= edge)
            columns[number].append((box[2] - box[0], length))
    for column in columns:
        widest = max((width for width, _ in column), default=0.0)
        full = sum(width >= FULL * widest for width, _ in column)
        letters = median(length for _, length in column) if column else 0
        if full < 0.7 * len(lines) or letters < LEAST_LENGTH:
            return False
    return True


def common_gaps(lines: Sequence[TextLine], share: float = 0.8) -> list[tuple[float, float]]:
    """Intervals of x that `share` of the lines leave free, with words on both sides."""
    import numpy as np

    edges = sorted({edge for line in lines for box in line.pieces for edge in (box[0], box[2])})
    gaps: list[tuple[float, float]] = []
    height = median(line.height for line in lines)
    xs = (np.array(edges[:-1]) + edges[1:]) / 2
    free, inside = np.zeros(len(xs), int), np.zeros(len(xs), int)
    for line in lines:
        starts, ends = np.array([(box[0], box[2]) for box in line.pieces]).T[..., None]
        free += ~((starts < xs) & (xs < ends)).any(0)
        inside += (starts[0] < xs) & (xs < ends.max())
    enough = (free >= share * len(lines)) & (inside >= 0.4 * len(lines))
    for (left, right), kept in zip(pairwise(edges), enough.tolist(), strict=True):
        if kept:
            if gaps and gaps[-1][1] == left:
                gaps[-1] = (gaps[-1][0], right)
            else:
                gaps.append((left, right))
    return [gap for gap in gaps if gap[1] - gap[0] >= 0.5 * height]


def is_running_text(lines: Sequence[TextLine], least: int = 2) -> bool:
    """Whether lines are of paragraphs: at least so many are long ones of one piece."""
    return sum(len(line.pieces) == 1 and line.lengths[0] > LONG for line in lines) >= least
