"""Dashed and dotted lines: marks of one length at one distance, over many of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.documents.pictures.runs import Runs, bridged, groups, runs_of, touching

if TYPE_CHECKING:
    from tallow.documents.pictures.levels import Mask

WIDEST_GAP = 1.0
"""Between dashes, in heights of capitals: what is farther apart is not seen as a line."""
FEWEST = 8
"""Marks of a line: fewer in a row can be letters."""
MANY = 32
"""So many regular marks are no strokes of letters, however near to text they run."""
SHORT = 0.5
"""Dashes up to that, in heights of capitals, are no letters; more of them may be uneven: browsers
fit dashes to each cell's side, and they meet where lines cross."""


def dashed_lines(
    ridge: Mask, ink: Mask, em: float, shortest: float
) -> list[tuple[float, float, float, float]]:
    """(at, start, end, thickness) of the dashed lines along the rows of a mask of thin marks.

    `em` is the height of capitals. Dots that lead from a word to a number are none.
    """
    import numpy as np

    marks = runs_of(ridge)
    if len(marks.row) < FEWEST:
        return []
    marks = marks.take(marks.length <= 2 * em)
    near = marks.start[1:] - marks.end[:-1] <= em * WIDEST_GAP
    joined, _ = bridged(marks, near)
    first = np.searchsorted(
        marks.row * (ridge.shape[1] + 1) + marks.start,
        joined.row * (ridge.shape[1] + 1) + joined.start,
    )
    count = np.diff(np.append(first, len(marks.row)))
    enough = (count >= FEWEST) & (joined.length >= shortest)
    likely = np.flatnonzero(enough & _perhaps_regular(marks, first, count))
    regular = [each for each in likely if _regular(marks, first[each], count[each], em)]
    rows = joined.take(np.array(regular, np.int64))
    if not len(rows.row):
        return []
    group = groups(len(rows.row), touching(rows, rows=2))
    found: list[tuple[float, float, float, float]] = []
    leading: list[tuple[float, float, float, float]] = []
    for number in range(int(group.max()) + 1):
        part = rows.take(group == number)
        at = float(np.average(part.row, weights=part.length)) + 0.5
        start, end = float(part.start.min()), float(part.end.max())
        thickness = float(np.ptp(part.row)) + 1
        most = int(count[regular][group == number].max())
        clear = _clear(ink, part, em * (0.15 if most >= MANY else 0.5))
        if thickness <= em / 2 and clear:
            lines = leading if _leads(ink, at, start, end, em) else found
            lines.append((at, start, end, thickness))
    return found + _of_grid(leading, found, em)


def _of_grid(
    leading: list[tuple[float, float, float, float]],
    found: list[tuple[float, float, float, float]],
    em: float,
) -> list[tuple[float, float, float, float]]:
    """Those of the lines that seem to lead from text that are as long as two others.

    The last line of a grid stands under those that cross it, as leaders stand under text.
    """
    alike = [(start, end) for _, start, end, _ in found]
    return [
        line
        for line in leading
        if sum(abs(line[1] - a) + abs(line[2] - b) <= em for a, b in alike) > 1
    ]


def _perhaps_regular(marks: Runs, first: Any, count: Any) -> Any:
    """Which rows' lengths and distances spread less than their means: few to look at closely."""
    import numpy as np

    mean = np.add.reduceat(marks.length, first) / count
    spread = np.add.reduceat(marks.length**2, first) / count - mean**2
    steps = np.diff(marks.start, append=0)
    steps[first[1:] - 1] = 0  # from the last mark of a row to the first of the next
    steps[-1] = 0
    pitch = np.add.reduceat(steps, first) / np.maximum(count - 1, 1)
    apart = np.add.reduceat(steps**2, first) / np.maximum(count - 1, 1) - pitch**2
    return (spread <= np.maximum(1, mean**2 / 4)) & (apart <= np.maximum(1, pitch**2 / 4))


def _regular(marks: Runs, first: int, count: int, em: float) -> bool:
    """Whether marks are of one length and one distance, but for where something crosses them."""
    import numpy as np

    part = slice(first, first + count)
    length, pitch = marks.length[part], np.diff(marks.start[part])
    usual, period = np.median(length), np.median(pitch)
    even = np.mean(np.abs(length - usual) <= max(1.0, 0.25 * usual))
    steady = np.mean(np.abs(pitch - period) <= max(1.0, 0.2 * period))
    return bool(min(even, steady) >= (0.7 if usual <= SHORT * em else 0.8))


def _clear(ink: Mask, rows: Runs, reach: float) -> bool:
    """Whether there is next to nothing beside the marks: strokes of letters have others there."""
    left, right = int(rows.start.min()), int(rows.end.max())
    top, bottom = int(rows.row.min()) - 1, int(rows.row.max()) + 2
    near = max(2, int(reach))
    above, below = (
        ink[max(top - near, 0) : top, left:right],
        ink[bottom : bottom + near, left:right],
    )
    return all(side.size == 0 or side.any(axis=0).mean() <= 0.15 for side in (above, below))


def _leads(ink: Mask, at: float, start: float, end: float, em: float) -> bool:
    """Whether text stands on the line of marks at one of its ends."""

    def inked(left: float, right: float, top: float, bottom: float) -> Any:
        part = ink[max(int(top), 0) : max(int(bottom), 0), max(int(left), 0) : max(int(right), 0)]
        return part.any(axis=1).mean() if part.size else 0.0

    for left, right in ((start - 1.2 * em, start), (end, end + 1.2 * em)):
        above = inked(left, right, at - em, at - em / 4)
        below = inked(left, right, at + em / 2, at + em)  # a line that crosses goes on here
        if above > 0.6 and below < 0.5:
            return True
    return False
