"""Words of a region in lines, and lines in pieces between wide gaps: what columns are found in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median

from tallow.documents.content import PageContent, Word
from tallow.documents.geometry import Box, union
from tallow.documents.structures.fitting import words_in
from tallow.lazy_dataclasses import dataclass, field

# Of the height of text.
_LEVEL = 0.5  # how far middles of words of one line may be apart
_WIDE_GAP = 0.45  # between pieces of a text layer; a space takes about 0.3
_OTHER_TEXT = 0.12  # between texts of a layer that no space joins to a line
_WIDE_GAP_READ = 0.7  # between words of two lines of a reader, whose boxes have a margin
_NEAR_GAP = 0.3  # that a border may miss a gap by, and that a gap at a border is wide at least
_SAME_PIECE = 1.2  # between words that the reader found in one line

_BULLETS = "•▪◦●■□"  # a cell begins with one, even close behind another cell


@dataclass
class Piece:
    """Words of a line that no wide gap divides."""

    words: list[Word]
    box: Box = (0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        self.box = union(word.box for word in self.words)

    @property
    def text(self) -> str:
        """Its words, with spaces between them."""
        return " ".join(word.text for word in self.words)


@dataclass
class Line:
    """Pieces at one level, from left to right: the top and bottom of all, the middle of most."""

    pieces: list[Piece] = field(default_factory=list)
    top: float = 0.0
    bottom: float = 0.0
    middle: float = 0.0

    def __post_init__(self) -> None:
        boxes = [piece.box for piece in self.pieces]
        self.top, self.bottom = min(box[1] for box in boxes), max(box[3] for box in boxes)
        self.middle = median((box[1] + box[3]) / 2 for box in boxes)


def words_within(content: PageContent, box: Box) -> list[Word]:
    """The upright words whose middles lie in a box."""
    return [word for word in words_in(content, box) if word.turn == 0]


def text_height(words: Iterable[Word]) -> float:
    """The height of common words; 1 where there are none."""
    heights = [word.box[3] - word.box[1] for word in words if not word.raised]
    return max(median(heights), 1e-3) if heights else 1.0


def lines_of(words: Sequence[Word], height: float) -> list[Line]:
    """Words in lines, from the top down, each in pieces that wide gaps divide."""
    levels: list[list[Word]] = []
    centers: list[float] = []
    for word in sorted(words, key=lambda each: each.box[1] + each.box[3]):
        middle = (word.box[1] + word.box[3]) / 2
        slack = _LEVEL * height * (1.4 if word.raised else 1.0)
        best = _level(word, middle, slack, levels, centers)
        if best < 0:
            levels.append([word])
            centers.append(middle)
        else:
            levels[best].append(word)
            if not word.raised:
                centers[best] = median((w.box[1] + w.box[3]) / 2 for w in levels[best])
    lines = [Line(_pieces(level, height)) for level in levels]
    return sorted(lines, key=lambda line: line.middle)


def _level(
    word: Word, middle: float, slack: float, levels: list[list[Word]], centers: list[float]
) -> int:
    """The level that a word belongs to; -1 where it begins a new one."""
    best, least = -1, slack
    for index in range(len(levels) - 1, max(len(levels) - 8, -1), -1):
        away = abs(centers[index] - middle)
        if away <= least and not any(_stands_on(word.box, each.box) for each in levels[index]):
            best, least = index, away
    return best


def _stands_on(a: Box, b: Box) -> bool:
    """Whether two words cannot be of one line: one is above much of the other."""
    shared = min(a[2], b[2]) - max(a[0], b[0])
    return shared > 0.4 * min(a[2] - a[0], b[2] - b[0])


def parted(lines: Sequence[Line], edges: Sequence[float], height: float) -> list[Line]:
    """Lines whose pieces are divided where a border of columns runs through a gap of words.

    Words of two lines of a reader always are; of one line where the gap is wider than its others.
    """
    return [
        Line([part for piece in line.pieces for part in _parts(piece, edges, height)])
        for line in lines
    ]


def _parts(piece: Piece, edges: Sequence[float], height: float) -> list[Piece]:
    words = sorted(piece.words, key=lambda word: word.box[0])
    gaps = [b.box[0] - a.box[2] for a, b in pairwise(words)]
    inside = [edge for edge in edges[1:-1] if piece.box[0] < edge < piece.box[2]]
    if not inside or not gaps:
        return [piece]
    common = median(gaps)
    near = _NEAR_GAP * height
    groups = [[words[0]]]
    for a, b, gap in zip(words, words[1:], gaps, strict=False):
        at_edge = any(a.box[2] - near <= edge <= b.box[0] + near for edge in inside)
        other_line = a.line != b.line and min(a.confidence, b.confidence) < 1.0
        wide = gap > max(1.5 * common, _NEAR_GAP * height) and len(gaps) > 1
        if at_edge and (other_line or wide):
            groups.append([b])
        else:
            groups[-1].append(b)
    return [Piece(group) for group in groups]


def _pieces(words: list[Word], height: float) -> list[Piece]:
    words = sorted(words, key=lambda word: word.box[0])
    groups = [[words[0]]]
    for word in words[1:]:
        before = groups[-1][-1]
        gap = word.box[0] - max(each.box[2] for each in groups[-1])
        read = word.confidence < 1.0 or before.confidence < 1.0
        known = read or min(word.line, before.line) >= 0
        same = word.line == before.line and known
        wide = (
            _SAME_PIECE if same else _WIDE_GAP_READ if read else _OTHER_TEXT if known else _WIDE_GAP
        )
        if gap <= wide * height and word.text[0] not in _BULLETS:
            groups[-1].append(word)
        else:
            groups.append([word])
    return [Piece(group) for group in groups]
