"""Pages seen from aside: the sheet on its ground, or lines that run together, as a quad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.documents.geometry import Quad

if TYPE_CHECKING:
    from tallow.documents.pictures.levels import Ink, Levels
    from tallow.documents.pictures.skew import Segments

LEAST_TONE = 30
"""Levels that the ground under a sheet is darker by, at least."""
LEAST_AREA = 0.35
"""Of the picture, that a sheet covers."""
LEAST_BEND = 0.8
"""Degrees by which lines on opposite sides run together, at least: less is a sheet's curl."""
MOST_BEND = 15.0
WORST_FIT = 0.3
"""Degrees that lines may be off what a flat sheet would show."""


def sheet_quad(levels: Levels) -> Quad | None:
    """The corners of a light sheet on a darker ground; None where there is none, or it is level.

    Along each row and column the first stretch of the sheet's tone from outside is an edge; lines
    are fitted to these, and what is written on the sheet does not matter.
    """
    import numpy as np

    height, width = levels.shape
    if min(height, width) < 64:
        return None
    sheet = float(np.median(levels))
    tone = _ground(levels, sheet)
    if tone is None:
        return None
    on_sheet = levels > (sheet + tone) / 2
    sides = []
    for turned in (on_sheet, on_sheet[:, ::-1], on_sheet.T, on_sheet.T[:, ::-1]):
        side = _edge(np.ascontiguousarray(turned))
        if side is None:
            return None
        sides.append(side)
    (a, b), (c, d), (e, f), (g, h) = sides
    left, right = (1.0, -a, b), (1.0, c, width - d)  # x - a y = b; x + c y = width - d
    top, bottom = (-e, 1.0, f), (g, 1.0, height - h)
    quad = tuple(_meet(p, q) for p, q in
                 ((left, top), (right, top), (right, bottom), (left, bottom)))  # fmt: skip
    if not _is_sheet(quad, width, height) or not _is_ground(levels, quad, tone):
        return None
    return quad  # type: ignore[return-value]


def _ground(levels: Levels, sheet: float) -> float | None:
    """The tone of a darker ground that is seen in at least two corners; None without."""
    import numpy as np

    size = max(3, min(levels.shape) // 60)
    ends = (slice(size), slice(-size, None))
    tones = [float(np.median(levels[y, x])) for y in ends for x in ends]
    ground = [tone for tone in tones if tone <= sheet - LEAST_TONE]
    if len(ground) < 2 or max(ground) - min(ground) > 2 * LEAST_TONE:
        return None
    return float(np.median(ground))


def _is_ground(levels: Levels, quad: Any, tone: float) -> bool:
    """Whether nearly all outside of a quad has the ground's tone."""
    import numpy as np

    step = max(1, min(levels.shape) // 200)
    y, x = np.mgrid[step // 2 : levels.shape[0] : step, step // 2 : levels.shape[1] : step]
    outside = np.zeros(x.shape, bool)
    for (a, b), (c, d) in zip(quad, [*quad[1:], quad[0]], strict=True):
        distance = ((c - a) * (y - b) - (d - b) * (x - a)) / np.hypot(c - a, d - b)
        outside |= distance < -3
    near = np.abs(levels[y, x].astype(np.int16) - tone) <= LEAST_TONE
    return not outside.any() or bool(near[outside].mean() >= 0.9)


def _edge(on_sheet: Any) -> tuple[float, float] | None:
    """(slope, base) of the sheet's left edge, x = slope y + base; None where it is not straight."""
    import numpy as np

    height, width = on_sheet.shape
    run = max(3, width // 400)  # a longer one would leap over a frame near a sheet's edge
    total = np.cumsum(np.pad(on_sheet, ((0, 0), (1, 0))), axis=1, dtype=np.int32)
    full = total[:, run:] - total[:, :-run] == run
    has = full.any(axis=1)
    x, y = full.argmax(axis=1)[has].astype(float), np.flatnonzero(has).astype(float) + 0.5
    near = x < width / 3
    x, y = x[near], y[near]
    if len(x) < height / 3:
        return None
    kept = np.ones(len(x), bool)
    slope = base = 0.0
    for _ in range(6):  # rows where something dark lies at the edge, or past a corner, drop out
        slope, base = np.polyfit(y[kept], x[kept], 1)
        away = np.abs(x - slope * y - base)
        kept = away <= max(1.5, 1.5 * float(np.median(away)))
    straight = np.abs(x - slope * y - base) <= 2
    return (float(slope), float(base)) if straight.mean() >= 0.5 else None


def _meet(p: tuple[float, float, float], q: tuple[float, float, float]) -> tuple[float, float]:
    """Where two lines a x + b y = c meet."""
    det = p[0] * q[1] - q[0] * p[1]
    return (p[2] * q[1] - q[2] * p[1]) / det, (p[0] * q[2] - q[0] * p[2]) / det


def _is_sheet(quad: Any, width: int, height: int) -> bool:
    """Whether four corners are those of a sheet: large, convex, within the picture, not level."""
    import numpy as np

    points = np.array(quad)
    slack = 0.02 * max(width, height)
    if (points < -slack).any() or (points > np.array([width, height]) + slack).any():
        return False
    sides = np.roll(points, -1, axis=0) - points
    turns = np.cross(
        np.pad(sides, ((0, 0), (0, 1))), np.pad(np.roll(sides, -1, axis=0), ((0, 0), (0, 1)))
    )[:, 2]
    area = abs(np.dot(points[:, 0], np.roll(points[:, 1], -1))
               - np.dot(points[:, 1], np.roll(points[:, 0], -1))) / 2  # fmt: skip
    off = np.degrees(np.arctan2(np.abs(sides).min(axis=1), np.abs(sides).max(axis=1)))
    return bool(
        (turns > 0).all()
        and area >= LEAST_AREA * width * height
        and off.max() >= 0.5  # a level one is a picture's own frame, and left alone
    )


def bent_quad(levels: Levels, ink: Ink, noise: float) -> Quad | None:
    """The quad that the picture's rectangle would be, where drawn lines clearly run together.

    The angle of level lines is taken to go evenly with their height, that of upright ones with
    their place from left to right, as it does where perspective is mild.
    """
    import numpy as np

    from tallow.documents.pictures.skew import segments

    em = ink.text_height or max(4.0, min(levels.shape) / 40)
    height, width = levels.shape
    level = _bend(segments(levels, em, noise, horizontal=True), height, width)
    upright = _bend(segments(levels, em, noise, horizontal=False), width, height)
    if level is None:
        return None
    if upright is None:
        upright = _bend_of_text(ink, width)
    if upright is None:  # as far as is known, upright to the lines in the middle
        upright = (-(level[0] + level[1]) / 2,) * 2
    bends = (abs(level[1] - level[0]), abs(upright[1] - upright[0]))
    lean = abs(sum(level) / 2 + sum(upright) / 2)
    if max(*bends, lean) < LEAST_BEND or max(*bends, lean) > MOST_BEND:
        return None

    def across(angle: float, y: float) -> tuple[float, float, float]:
        slope = float(np.tan(np.radians(angle)))
        return -slope, 1.0, y - slope * width / 2

    def down(angle: float, x: float) -> tuple[float, float, float]:
        slope = float(np.tan(np.radians(angle)))
        return 1.0, -slope, x - slope * height / 2

    top, bottom = across(level[0], 0), across(level[1], height)
    left, right = down(upright[0], 0), down(upright[1], width)
    return _meet(left, top), _meet(right, top), _meet(right, bottom), _meet(left, bottom)


def _bend(lines: Segments, extent: float, length: float) -> tuple[float, float] | None:
    """Angles of lines at the two sides of the picture; None where lines do not tell.

    Lines must lie over half of the extent, be of some length, and fit.
    """
    import numpy as np

    long = lines.length >= length / 4
    place, angle, weight = lines.across[long], lines.degrees[long], lines.length[long] ** 2
    if len(place) < 3 or np.ptp(place) < extent / 2:
        return None
    kept = np.ones(len(place), bool)
    slope = base = 0.0
    for _ in range(3):
        slope, base = np.polyfit(place[kept], angle[kept], 1, w=np.sqrt(weight[kept]))
        away = np.abs(angle - slope * place - base)
        kept = away <= WORST_FIT
        if kept.sum() < 3 or weight[kept].sum() < 0.7 * weight.sum():
            return None
    return float(base), float(base + slope * extent)


def _bend_of_text(ink: Ink, width: int) -> tuple[float, float] | None:
    """Angles of columns at the left and right side, by where pieces of text begin and end."""
    import numpy as np

    from tallow.documents.pictures.runs import boxes_of_runs, bridged, groups, runs_of, touching
    from tallow.documents.pictures.skew import best_angle

    em = ink.text_height
    runs = runs_of(ink.text)
    if em == 0 or not len(runs.row):
        return None
    words, _ = bridged(runs, runs.start[1:] - runs.end[:-1] <= 0.8 * em)
    boxes = boxes_of_runs(words, groups(len(words.row), touching(words)))
    height = boxes[:, 3] - boxes[:, 1]
    boxes = boxes[(height >= 0.5 * em) & (height <= 3 * em)]
    x = np.concatenate([boxes[:, 0], boxes[:, 2] + 4 * width]).astype(float)  # begin, end
    y = np.tile((boxes[:, 1] + boxes[:, 3]) / 2, 2)
    middle = np.tile((boxes[:, 0] + boxes[:, 2]) / 2, 2)
    if len(boxes) < 12:
        return None
    whole = best_angle(y, x, max(1.0, em / 4), 1.2)
    sides = []
    for part in (middle < width / 2, middle >= width / 2):
        angle = best_angle(y[part], x[part], max(1.0, em / 4), 1.2) if part.sum() >= 24 else None
        sides.append((angle, float(middle[part].mean()) if part.any() else 0.0))
    (left, at), (right, to) = sides
    if left is None or right is None or to - at < width / 5:
        return None if whole is None else (whole, whole)
    slope = (right - left) / (to - at)
    return left - slope * at, right + slope * (width - to)
