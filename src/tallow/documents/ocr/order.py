"""The order in which lines are read: columns of running text one after the other, else by rows.

Recursive cuts along blank bands (G. Nagy and S. Seth, "Hierarchical representation of optically
scanned documents", 1984). A blank band down the page divides columns only where lines fill both
sides of it, so that the rows of a table stay together.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallow.documents.geometry import Box, overlap, union
from tallow.documents.ocr.engine import Line

GUTTER = 0.8
"""The least width of a band between columns, in heights of a line."""
LEAST_COLUMN = 8.0
"""How wide a column of running text is at least, in heights of a line."""
FULL = 0.55
"""How much of a column's width its lines fill, in the middle one of them."""
BETWEEN_BLOCKS = 0.9
"""The least blank band between blocks, in heights of a line."""
_DEEPEST = 40


def reading_order(lines: Sequence[Line]) -> list[list[Line]]:
    """Blocks of lines in the order of reading; lines of a block by rows, from the left."""
    upright = [line for line in lines if line.turn == 0]
    turned = [line for line in lines if line.turn != 0]
    if not upright:
        return [[line] for line in turned]
    heights = sorted(line.box[3] - line.box[1] for line in upright)
    return [*_cut(upright, heights[len(heights) // 2], 0), *[[line] for line in turned]]


def rows(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines that stand side by side together, from the left; rows from the top."""
    found: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.box[1] + line.box[3]):
        if found and _beside(line.box, found[-1][0].box):
            found[-1].append(line)
        else:
            found.append([line])
    return [sorted(row, key=lambda line: line.box[0]) for row in found]


def _beside(a: Box, b: Box) -> bool:
    least = min(a[3] - a[1], b[3] - b[1])
    return overlap((a[1], a[3]), (b[1], b[3])) > 0.5 * least


def _cut(lines: Sequence[Line], height: float, depth: int) -> list[list[Line]]:
    if len(lines) < 2 or depth > _DEEPEST:
        return [[*lines]]
    parts = _columns(lines, height)
    if parts is None:
        parts = _at_widest_band(lines, height)
    if parts is None:
        return [[line for row in rows(lines) for line in row]]
    return [block for part in parts for block in _cut(part, height, depth + 1)]


def _columns(lines: Sequence[Line], height: float) -> list[list[Line]] | None:
    """The lines left and right of a band that lines fill on both sides; None where none is."""
    ordered = sorted(lines, key=lambda line: line.box[0])
    end = ordered[0].box[2]
    for i, line in enumerate(ordered[1:], 1):
        if line.box[0] - end >= GUTTER * height:
            left, right = ordered[:i], ordered[i:]
            if _running(left, height) and _running(right, height):
                return [left, right]
        end = max(end, line.box[2])
    return None


def _running(lines: Sequence[Line], height: float) -> bool:
    """Whether lines are running text: three rows and more that fill a wide column, or several."""
    box = union(line.box for line in lines)
    width = box[2] - box[0]
    found = rows(lines)
    if width < LEAST_COLUMN * height or len(found) < 3:
        return False
    if _columns(lines, height) is not None:
        return True
    filled = sorted(sum(line.box[2] - line.box[0] for line in row) for row in found)
    pieces = sorted(len(row) for row in found)
    return filled[len(filled) // 2] >= FULL * width and pieces[len(pieces) // 2] == 1


def _at_widest_band(lines: Sequence[Line], height: float) -> list[list[Line]] | None:
    """The lines above and below the widest blank band across; None where all are narrow."""
    ordered = sorted(lines, key=lambda line: line.box[1])
    end, best, at = ordered[0].box[3], BETWEEN_BLOCKS * height, 0
    for i, line in enumerate(ordered[1:], 1):
        if line.box[1] - end > best:
            best, at = line.box[1] - end, i
        end = max(end, line.box[3])
    if not at:
        return _above_columns(ordered, height)
    return [ordered[:at], ordered[at:]]


def _above_columns(ordered: Sequence[Line], height: float) -> list[list[Line]] | None:
    """A heading over columns that no blank band parts from them: its rows, and the rest."""
    found = rows(ordered)
    for count in (1, 2, 3):
        rest = [line for row in found[count:] for line in row]
        if len(rest) > 5 and _columns(rest, height) is not None:
            return [[line for row in found[:count] for line in row], rest]
    return None
