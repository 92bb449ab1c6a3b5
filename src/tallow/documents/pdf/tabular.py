"""Whether lines of text are a table: short pieces in columns, not running text beside another."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tallow.documents.geometry import Box
from tallow.documents.structures.columns import column_edges
from tallow.documents.structures.grouping import column_of, filled, is_number
from tallow.documents.structures.lines import Line, Piece

_FULL = 0.5  # of the lines, that have text in two columns or more
_FILLED = 0.6  # of the lines, that a column of data has text in
_APART = 1.3  # heights of text: wider gaps are none between words or sentences
_PROSE_WIDTH = 14.0  # heights of text: pieces of running text are longer
_ENUMERATOR_WIDTH = 3.0  # numbers and bullets before paragraphs are shorter


def is_tabular(lines: Sequence[Line], height: float, box: Box, strict: bool = False) -> bool:
    """Whether lines stand in columns as those of a table.

    `strict` (where no rule says so) asks for numbers or at least three columns of short text.
    """
    edges = column_edges(lines, height, box[0], box[2])
    columns = len(edges) - 1
    if columns < 2:
        return False
    several = sum(len(filled(line, edges)) > 1 for line in lines)
    if several < max(2, _FULL * len(lines)) and not (not strict and several and len(lines) < 4):
        return False
    members: list[list[Piece]] = [[] for _ in range(columns)]
    for line in lines:
        for piece in line.pieces:
            members[column_of(piece, edges)].append(piece)
    kinds = [_kind(pieces, height) for pieces in members]
    data = kinds.count("numbers") + kinds.count("short")
    if kinds.count("prose") >= max(1, data):
        return False
    if not strict:
        return True
    return _is_full_of_data(kinds, [len(pieces) / len(lines) for pieces in members])


def _is_full_of_data(kinds: Sequence[str], fill: Sequence[float]) -> bool:
    """Whether columns hold values in most lines: one of numbers beside labels, or three of words.

    `fill` is how many lines have text in a column. So lists with numbers and indents are none.
    """
    if sum(min(each, 1.0) for each in fill) < _FILLED * len(fill):
        return False
    good = [kind for kind, each in zip(kinds, fill, strict=True) if each >= _FILLED]
    numbers, short = good.count("numbers"), good.count("short")
    if kinds[0] == "enumerators" and not numbers:
        return False
    return (numbers >= 1 and numbers + short >= 2) or short >= 3


def apart(line: Line, height: float) -> list[tuple[float, float]]:
    """(start, end) of what stands far apart in a line: running text is one, whatever its spaces."""
    blocks: list[tuple[float, float]] = []
    for piece in line.pieces:
        if blocks and piece.box[0] - blocks[-1][1] < _APART * height:
            blocks[-1] = (blocks[-1][0], piece.box[2])
        else:
            blocks.append((piece.box[0], piece.box[2]))
    return blocks


def _kind(pieces: Sequence[Piece], height: float) -> str:
    if not pieces:
        return "empty"
    widths = [piece.box[2] - piece.box[0] for piece in pieces]
    if median(widths) > _PROSE_WIDTH * height and _is_full(widths):
        return "prose"
    numbers = sum(is_number(piece.text) for piece in pieces)
    if numbers >= 0.5 * len(pieces):
        enumerators = all(piece.text.rstrip(".)").isdigit() for piece in pieces)
        narrow = max(widths) < _ENUMERATOR_WIDTH * height
        return "enumerators" if enumerators and narrow else "numbers"
    return "short"


def _is_full(widths: Sequence[float]) -> bool:
    """Whether most lines of a column are as long as its longest, but for ends of paragraphs."""
    return sum(width > 0.8 * max(widths) for width in widths) > 0.5 * len(widths)
