"""Rulings of a picture: thin and thick, grey, coloured, dashed, double; light ones on dark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from tallow.documents.content import Ruling
from tallow.documents.pictures.dashes import dashed_lines
from tallow.documents.pictures.runs import Runs, bridged, groups, runs_of, touching
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.documents.content import Pixels
    from tallow.documents.pictures.levels import Ink, Levels, Mask

LONGEST_DASH = 3.0
"""Strokes of letters and dashes are shorter, in heights of capitals: a dash of one em is 1.4."""
TALLEST_LETTER = 2.0
"""Brackets and letters with accents and tails are lower, in heights of capitals."""
GAP = 0.35
"""What a line may miss, in heights of capitals: less than is left between words or rows."""
DENSITY = 0.8
"""How much of the best piece of a line is seen as one; letters in a row leave more out."""
_Line: TypeAlias = tuple[float, float, float, float]
"""(at, start, end, thickness)."""
THICKEST = 0.6
"""A thicker line is a filled bar, in heights of capitals."""


@dataclass(frozen=True)
class _Axis:
    """A page seen so that the rulings in question run along its rows."""

    horizontal: bool
    levels: Levels
    ink: Mask
    em: float  # height of capitals
    shortest: float
    threshold: int
    text_dark: bool


def find_rulings(pixels: Pixels) -> list[Ruling]:
    """The lines drawn in an upright picture (height, width, 3), by direction, then place.

    Skew up to half a degree is followed. Positions are right within a pixel or two.
    """
    from tallow.documents.pictures.levels import ink_of, levels_of, noise_of

    levels = levels_of(pixels)
    return rulings_of(levels, ink_of(levels), noise_of(levels))


def rulings_of(levels: Levels, ink: Ink, noise: float) -> list[Ruling]:
    """`find_rulings` where the levels and ink of a page are known."""
    import numpy as np

    from tallow.documents.pictures.levels import EVENED, NOISY, evened

    em = ink.text_height or max(4.0, min(levels.shape) / 40)
    noisy = noise >= NOISY and min(levels.shape) > EVENED
    threshold = int(max(7, 3 * noise / (EVENED**0.5 if noisy else 1)))
    both = ink.dark | ink.light
    found = []
    for horizontal in (True, False):
        turned = levels if horizontal else np.ascontiguousarray(levels.T)
        turned = evened(turned, EVENED) if noisy else turned
        marks = both if horizontal else np.ascontiguousarray(both.T)
        shortest = em * (LONGEST_DASH if horizontal else TALLEST_LETTER)
        axis = _Axis(horizontal, turned, marks, em, shortest, threshold, not ink.inverse)
        found += _along_rows(axis)
    kept = [each for each in found if not _is_text(each, found, ink, em)]
    return sorted(kept, key=lambda each: (not each.horizontal, each.at, each.start))


def _along_rows(axis: _Axis) -> list[Ruling]:
    """The rulings that run along the rows of a page."""
    found: list[Any] = []
    for dark in (True, False):
        ridge = ridges(axis.levels, axis.em, axis.threshold, dark=dark)
        found += _lines(axis, ridge, dark)
        if dark == axis.text_dark:
            shortest = 2 * axis.shortest
            dashed = dashed_lines(ridge, axis.ink, axis.em, shortest)
            found += [line for line in dashed if not _inside(line, found, axis.em)]
    return [
        Ruling(axis.horizontal, float(at), float(start), float(end), float(thickness))
        for at, start, end, thickness in _doubles(axis, found)
    ]


def _inside(line: _Line, others: list[_Line], em: float) -> bool:
    """Whether a line goes along another."""
    at, start, end, _ = line
    return any(
        abs(at - each[0]) < em / 2 and min(end, each[2]) - max(start, each[1]) > 0
        for each in others
    )


def _is_text(line: Ruling, others: list[Ruling], ink: Ink, em: float) -> bool:
    """Whether a line that meets no other is the stem of a letter, or under one phrase of text."""
    length = line.end - line.start
    if length > 40 * em or any(_meet(line, other, em) for other in others):
        return False
    if not line.horizontal:
        return length < 2 * TALLEST_LETTER * em and not _between_fills(line, ink, em)
    return _underlines(line, ink, em)


def _meet(line: Ruling, other: Ruling, em: float) -> bool:
    """Whether a line ends at, or goes on after, another that is across it."""
    if line.horizontal == other.horizontal:
        return False
    ends = min(abs(other.at - line.start), abs(other.at - line.end))
    return ends <= em / 2 and other.start - em / 2 <= line.at <= other.end + em / 2


def _between_fills(line: Ruling, ink: Ink, em: float) -> bool:
    """Whether a stem would be of the other tone than text is."""
    part = ink.text[int(line.start) : int(line.end), int(line.at)]
    return not part.mean() > 0.5


def _underlines(line: Ruling, ink: Ink, em: float) -> bool:
    """Whether letters stand on, hang from or are struck through by a line, from end to end."""
    import numpy as np

    above, below = int(line.at - line.thickness / 2 - 1), int(line.at + line.thickness / 2 + 1)
    left, right, near = int(line.start), int(line.end), max(1, round(em * GAP))
    for close, far in (
        ((above - near, above + 1), (above - round(em), above + 1)),
        ((below, below + near + 1), (below, below + round(em) + 1)),
    ):
        rows = [ink.text[max(0, a) : max(0, b), left:right].any(axis=0) for a, b in (close, far)]
        text = np.flatnonzero(rows[1])
        # Words stand apart by less than a capital, columns by more.
        gaps = np.diff(np.concatenate([[-1], text, [right - left]]))
        if rows[0].mean() >= 0.25 and gaps.max() <= 1.2 * em:
            return True
    return False


def ridges(levels: Levels, em: float, threshold: int, *, dark: bool) -> Mask:
    """Pixels darker (or lighter) than those above and below, at one of some distances.

    `em` is the height of capitals; lines up to `THICKEST` of it are seen.
    """
    import numpy as np

    levels = levels if dark else 255 - levels
    height = len(levels)
    raised = np.minimum(levels, 255 - threshold) + threshold
    reach = int(min(max(3, round(em * THICKEST) // 2 + 2), 12, max(height - 1, 1)))
    padded = np.pad(levels, ((reach, reach), (0, 0)), mode="reflect" if height > reach else "edge")
    ridge = np.zeros(levels.shape, bool)
    for k in range(1, reach + 1):
        above = padded[reach - k : reach - k + height]
        ridge |= np.minimum(above, padded[reach + k : reach + k + height]) > raised
    return ridge


def _lines(axis: _Axis, ridge: Mask, dark: bool) -> list[_Line]:
    """(at, start, end, thickness) of the lines in a mask of ridges."""
    import numpy as np

    pieces, density = _pieces(axis, ridge)
    long = (pieces.length >= axis.shortest) & (density >= DENSITY)
    if not long.any():
        return []
    # Pieces of a skew line stand in neighbouring rows; those of a thick one lie over each other.
    reach = int(axis.em * GAP) + 1
    group = groups(len(pieces.row), touching(pieces, reach))
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], np.arange(int(group.max()) + 2))
    kept = np.unique(group[long])
    lines = []
    for number in kept:
        lines += _line(axis, pieces.take(order[first[number] : first[number + 1]]), dark)
    return lines


def _pieces(axis: _Axis, ridge: Mask) -> tuple[Runs, Any]:
    """Runs of ridge along rows, over small gaps and what crosses them, and how dense each is."""
    import numpy as np

    runs = runs_of(ridge)
    if not len(runs.row):
        return runs, runs.row
    gap = runs.start[1:] - runs.end[:-1]
    small = gap <= max(2, axis.em * GAP / 2)
    # A crossing line or letter is ink all over the gap.
    total = np.zeros(axis.ink.size + 1, np.int32)
    np.cumsum(axis.ink.reshape(-1), out=total[1:])
    width = axis.ink.shape[1]
    flat_start, flat_end = (
        runs.row[:-1] * width + runs.end[:-1],
        runs.row[1:] * width + runs.start[1:],
    )
    same = runs.row[1:] == runs.row[:-1]
    inked = np.where(same, total[np.where(same, flat_end, 0)] - total[flat_start], 0)
    crossed = (inked >= gap - 2) & (gap <= 1.5 * axis.em)
    joined, set_pixels = bridged(runs, small | crossed)
    density = set_pixels / joined.length
    solid = (density >= 0.6) & (joined.length >= axis.em)
    return joined.take(solid), density[solid]


def _line(axis: _Axis, pieces: Runs, dark: bool) -> list[_Line]:
    """The line that some pieces make; none where they are no line."""
    import numpy as np

    long = pieces.length >= axis.shortest / 2
    middle = (pieces.start + pieces.end) / 2
    rows, weights = pieces.row[long], pieces.length[long]
    level = float(rows[np.argsort(rows)][np.searchsorted(np.cumsum(weights), weights.sum() / 2)])
    fits = [(0.0, level)]
    if np.ptp(rows) > 2:  # skew rather than thick
        fits.append(_fit(middle[long], rows, weights, axis.shortest))
    for slope, base in fits:
        near = np.abs(pieces.row - base - slope * middle) <= axis.em * THICKEST / 2 + 1
        if not near.any():
            continue
        start, end = int(pieces.start[near].min()), int(pieces.end[near].max())
        if end - start >= axis.shortest:
            measured = _measure(axis, start, end, (slope, base), dark)
            if measured:
                return [measured]
    return []


def _fit(x: Any, y: Any, weights: Any, shortest: float) -> tuple[float, float]:
    """Slope and base of the line through points, by least squares; level where it is short."""
    import numpy as np

    middle_x, middle_y = np.average(x, weights=weights), np.average(y, weights=weights)
    spread = np.average((x - middle_x) ** 2, weights=weights)
    slope = 0.0
    if spread > shortest**2 / 16:
        slope = float(np.average((x - middle_x) * (y - middle_y), weights=weights) / spread)
        slope = max(-0.02, min(0.02, slope))
    return slope, float(middle_y - slope * middle_x)


def _measure(
    axis: _Axis, start: int, end: int, fit: tuple[float, float], dark: bool
) -> _Line | None:
    """Place and thickness by the levels across a line; None where it is not even all along."""
    import numpy as np

    levels = axis.levels if dark else 255 - axis.levels
    height = len(levels)
    reach = int(axis.em * THICKEST) + 3
    x = np.arange(start, end)
    y = np.round(fit[1] + fit[0] * x).astype(np.int64)
    offsets = np.arange(-reach, reach + 1)
    rows = y[None, :] + offsets[:, None]
    if _is_at_edge(levels, x, y, axis.threshold):  # what is beyond is as inside: the line ends
        rows = np.abs(rows)
        rows = np.minimum(rows, 2 * (height - 1) - rows)
    rows = np.clip(rows, 0, height - 1)
    across = levels[rows, x[None, :]].astype(np.int16)
    profile = np.median(across, axis=1)
    center = reach - 2 + int(np.argmin(profile[reach - 2 : reach + 3]))
    bottom = profile[center]
    above, below = profile[:center].max(), profile[center + 1 :].max()
    contrast = min(above, below) - bottom
    if contrast < max(axis.threshold, 0.1 * (max(above, below) - bottom)):
        return None
    inside = profile <= bottom + contrast / 2
    first = center - int(np.argmin(inside[center::-1])) + 1
    last = center + int(np.argmin(inside[center:])) - 1
    thickness = last - first + 1
    thickest = axis.em * (THICKEST if end - start >= 2 * axis.shortest else THICKEST / 2)
    if inside[center:].all() or inside[: center + 1].all() or thickness > max(2, thickest):
        return None
    if not _even(axis, across, (first, last), contrast, dark):
        part = _longest(axis, across, (first, last), contrast)  # without letters that are in line
        return part and _measure(axis, start + part[0], start + part[1], fit, dark)
    line = across[max(first - 1, 0) : last + 2].min(axis=0)
    beside = np.minimum(across[max(first - 2, 0)], across[min(last + 2, len(across) - 1)])
    drawn = np.flatnonzero((line <= bottom + contrast / 2) | (beside - line >= contrast))
    start, end = int(x[drawn[0]]), int(x[drawn[-1]]) + 1
    middle = float(np.mean(y)) + (first + last) / 2 - reach + 0.5
    return (middle, start, end, thickness) if end - start >= axis.shortest else None


def _longest(
    axis: _Axis, across: Any, rows: tuple[int, int], contrast: float
) -> tuple[int, int] | None:
    """The longest stretch of a line with something else on both sides, as letters end above it."""
    import numpy as np

    line = across[max(rows[0] - 1, 0) : rows[1] + 2].min(axis=0)
    sides = np.minimum(across[max(rows[0] - 2, 0)], across[min(rows[1] + 2, len(across) - 1)])
    free = np.concatenate([[False], sides - line >= contrast / 2, [False]])
    turns = np.flatnonzero(free[1:] != free[:-1]).reshape(-1, 2)
    if not len(turns):
        return None
    begin, end = turns[np.argmax(turns[:, 1] - turns[:, 0])]
    whole = end - begin == len(line)
    return (int(begin), int(end)) if end - begin >= axis.shortest and not whole else None


def _is_at_edge(levels: Levels, x: Any, y: Any, threshold: int) -> bool:
    """Whether a line's pixels are the picture's first or last: a frame that was cut out closely."""
    import numpy as np

    edge = 0 if y[0] < len(levels) / 2 else len(levels) - 1
    if np.abs(y - edge).max() > 2:
        return False
    along = np.clip(y, 0, len(levels) - 1)
    return bool(np.median(levels[edge, x]) - np.median(levels[along, x]) < threshold)


def _even(axis: _Axis, across: Any, rows: tuple[int, int], contrast: float, dark: bool) -> bool:
    """Whether a line is of one level all along, with something else on both sides."""
    import numpy as np

    first, last = rows
    tolerance = max(axis.threshold, 0.3 * contrast)
    line = across[max(first - 1, 0) : last + 2].min(axis=0)
    sides = [across[max(first - 2, 0)], across[min(last + 2, len(across) - 1)]]
    apart = min(np.mean(side - line >= contrast / 2) for side in sides)
    if apart < 0.6:
        return False
    steady = min(np.mean(np.abs(np.diff(side)) <= tolerance) for side in sides)
    even = np.mean(np.abs(line - np.median(line)) <= tolerance)
    if steady >= 0.9:  # between fills: their colours, and what it shares with them, change seldom
        even = max(even, np.mean(np.abs(np.diff(line)) <= tolerance))
        plain = min(np.mean(np.abs(side - np.median(side)) <= tolerance) for side in sides)
        thin = last - first < max(2, axis.em * THICKEST / 2)  # else small letters in a row
        if thin and plain >= 0.95 and len(line) >= 5 * axis.shortest:  # dots that run together
            even = max(even, min(np.mean(side - line >= axis.threshold) for side in sides) - 0.05)
    elif dark != axis.text_dark:  # a gap between lines of text
        return False
    # Strokes of letters can be in line, but seldom over many letters.
    short = len(line) < (2 if steady >= 0.9 else 5) * axis.shortest
    return bool(even >= (0.9 if short else 0.8) and apart >= (0.8 if short else 0.6))


def _doubles(axis: _Axis, lines: list[_Line]) -> list[_Line]:
    """Lines closer than rows can be, made one: double rules, and the gap inside of them."""
    merged: list[_Line] = []
    for line in sorted(lines):
        at, start, end, thickness = line
        for index, (other_at, other_start, other_end, other_thickness) in enumerate(merged):
            shared = min(end, other_end) - max(start, other_start)
            top = min(at - thickness / 2, other_at - other_thickness / 2)
            bottom = max(at + thickness / 2, other_at + other_thickness / 2)
            near = bottom - top <= max(thickness, other_thickness) + 2 * axis.em * GAP
            if near and shared >= 0.8 * min(end - start, other_end - other_start):
                merged[index] = ((top + bottom) / 2, min(start, other_start), max(end, other_end),
                                 bottom - top)  # fmt: skip
                break
        else:
            merged.append(line)
    return merged
