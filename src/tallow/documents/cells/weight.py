"""Bold text of pictures: cells whose strokes are wider than those of most others."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import sqrt
from typing import TYPE_CHECKING, Any

from tallow.documents.content import PageContent, Word
from tallow.documents.document import Cell, Table
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.documents.content import Pixels

_WIDER = (
    1.15  # strokes of bold text against others: in common fonts 1.4 and more, less when blurred
)
_UNSURE = 0.5  # of a stroke's width, that one letter may seem wider: by where it lies on the pixels
_ALONE = (
    0.2  # that a cell must be wider beyond that, which is bold in a row and column that are not
)
_USUAL = 0.35  # of the rows, from the lightest, whose strokes are usual: few tables are mostly bold
_FAINT = 24  # levels: text that stands out less has no measurable strokes
_SAME_TONE = 0.7  # of the darkest text: what is nearly so is of its tone, only thinner
_LEAST_INK = 0.12  # of the strength of ink; less is noise
_RULING = 0.8  # of a row of pixels that is ink: no letters
# Ideographs have more strokes in the same room, which blur into each other.
_DENSE = re.compile(r"[⺀-鿿가-힣豈-﫿]")


def mark_bold(table: Table, content: PageContent) -> None:
    """Set `bold` of the cells of a picture's table whose strokes are wider than usual ones.

    Rows and columns are judged as a whole, too: short texts tell little alone. Text layers say it
    themselves.
    """
    if content.source != "picture" or content.rendered is None:
        return
    pixels = content.pixels()
    for dense in (False, True):
        cells = [c for c in table.cells if c.words and bool(_DENSE.search(c.text)) == dense]
        _mark(cells, pixels, content.scale)


def _mark(cells: Sequence[Cell], pixels: Pixels, scale: float) -> None:
    crops = [[_ink(pixels, word, scale) for word in cell.words] for cell in cells]
    most = max((tone for each in crops for _, tone in each), default=0.0)
    measured = []
    for cell, each in zip(cells, crops, strict=True):
        width = _stroke(each, most)
        if width:
            measured.append(_Stroke(cell, width, len(cell.text.replace(" ", ""))))
    rows = _lines(measured, lambda cell: cell.row)
    if len(rows) < 2:
        return
    widths = sorted(_mean(row) for row in rows)
    usual = widths[int(_USUAL * (len(widths) - 1))]
    for row in rows:
        _mark_line(row, usual)
    for column in _lines([s for s in measured if not s.cell.bold], lambda cell: cell.column):
        _mark_line(column, usual)


@dataclass(frozen=True)
class _Stroke:
    cell: Cell
    width: float
    letters: int


def _lines(strokes: Sequence[_Stroke], key: Callable[[Cell], int]) -> list[list[_Stroke]]:
    lines: dict[int, list[_Stroke]] = {}
    for each in strokes:
        lines.setdefault(key(each.cell), []).append(each)
    return list(lines.values())


def _mean(line: Sequence[_Stroke]) -> float:
    return sum(s.width * s.letters for s in line) / sum(s.letters for s in line)


def _mark_line(line: Sequence[_Stroke], usual: float) -> None:
    """Mark the bold cells of a row or column: all that are near to its mean, where that is bold."""
    mean = _mean(line)
    bold = _is_bold(mean, sum(s.letters for s in line), usual)
    for each in line:
        near = bold and each.width >= sqrt(mean * usual)
        each.cell.bold = (
            each.cell.bold or near or _is_bold(each.width, each.letters, usual * (1 + _ALONE))
        )


def _is_bold(width: float, letters: int, usual: float) -> bool:
    return width >= usual * (_WIDER + _UNSURE / sqrt(letters))


def _ink(pixels: Pixels, word: Word, scale: float) -> tuple[Any, float]:
    """How far each pixel of a word is from its ground, in levels, and how far its ink is."""
    import numpy as np

    left, top, right, bottom = (max(0, round(value * scale)) for value in word.box)
    crop = pixels[top:bottom, left:right].mean(-1, dtype=np.float32)
    if word.turn or min(crop.shape, default=0) < 4:
        return crop, 0.0
    away = np.abs(crop - np.median(crop))
    return away, float(np.percentile(away, 99.5))


def _stroke(crops: Sequence[tuple[Any, float]], most: float) -> float:
    """The width of a cell's strokes in pixels; 0 where it has none.

    An outline is as long as the sum of the ink's gradients, whether it is sharp or blurred; twice
    the ink's squares over it is a stroke's width, also of one that is thinner than a pixel and so
    lighter than it was drawn.
    """
    import numpy as np

    squares = outline = 0.0
    for away, tone in crops:
        if tone < _FAINT:
            continue
        ink = np.minimum(away / (most if tone >= _SAME_TONE * most else tone), 1.0)
        ink[ink < _LEAST_INK] = 0.0
        ink[ink.mean(1) > _RULING] = 0.0
        ink = np.pad(ink, 1)
        down, across = np.diff(ink, axis=0)[:, :-1], np.diff(ink, axis=1)[:-1]
        squares += float((ink * ink).sum())
        outline += float(np.hypot(down, across).sum())
    return 2 * squares / outline if outline else 0.0
