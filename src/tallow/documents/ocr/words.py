"""Lines into words: at spaces, and at gaps that are too wide for one, with boxes around their ink.

A recogniser says about where each character is (to eight of 48 columns); where words begin and end
is taken from the ink between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.documents.content import Word
from tallow.documents.geometry import Quad, box_of
from tallow.documents.ocr.crops import turned
from tallow.documents.ocr.recognition import Reading
from tallow.lazy_dataclasses import dataclass

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


def ink(line: Pixels) -> Mask:
    """(height, width): what stands out of a line's background, without rules along it."""
    import numpy as np

    grey = _grey(line)
    ground = np.median(grey)
    apart = np.abs(grey - ground)
    mask: Mask = apart > max(28, int(np.percentile(apart, 99)) * 2 // 5)
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
            if i - before > 1 or gap[1] - gap[0] > wide:
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
    """The words of a line that was cut from `quad`, in pixels of the page."""
    mask = ink(line)
    height, width = mask.shape
    top, bottom = rows_of_ink(mask)
    found = []
    for piece in pieces(reading, mask):
        part = _part(turned(quad, turn), (piece.start / width, top / height),
                     (piece.end / width, bottom / height))  # fmt: skip
        straight = part[0][1] == part[1][1] and part[0][0] == part[3][0]
        found.append(
            Word(
                piece.text,
                box_of(part),
                piece.confidence,
                None if straight and not turn else part,
                size=_size(part),
                turn=turn,
                line=number,
            )
        )
    return found


def _size(quad: Quad) -> float:
    (ax, ay), _, _, (dx, dy) = quad
    return float(((dx - ax) ** 2 + (dy - ay) ** 2) ** 0.5)


def _part(quad: Quad, start: tuple[float, float], end: tuple[float, float]) -> Quad:
    """The part of a rectangle between two places, given as shares of its width and height."""
    (ax, ay), (bx, by), _, (dx, dy) = quad

    def at(u: float, v: float) -> tuple[float, float]:
        return ax + (bx - ax) * u + (dx - ax) * v, ay + (by - ay) * u + (dy - ay) * v

    return at(start[0], start[1]), at(end[0], start[1]), at(end[0], end[1]), at(start[0], end[1])
