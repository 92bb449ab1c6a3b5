"""By how many degrees a page is turned off the level: of its rulings and of its lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.documents.pictures.levels import Ink, Levels

AGREE = 0.12
"""Degrees within which angles are taken for the same."""
MOST = 12.0
"""Degrees that are looked for: beyond, lines of neighbouring columns would be joined."""


@dataclass(frozen=True)
class Segments:
    """Straight drawn lines near to one direction: arrays of one number each.

    Of level ones `slope` is dy / dx and the middle is (`along`, `across`) = (x, y); of upright ones
    the other way round.
    """

    along: Any
    across: Any
    slope: Any
    length: Any

    @property
    def degrees(self) -> Any:
        """The slopes as angles."""
        import numpy as np

        return np.degrees(np.arctan(self.slope))


def segments(levels: Levels, em: float, noise: float, *, horizontal: bool) -> Segments:
    """The drawn lines of a page, up to 15° off the level (or the upright).

    Pieces of thin lines in neighbouring rows are joined; those that a straight line fits within two
    pixels, and that are longer than words, are kept.
    """
    import numpy as np

    from tallow.documents.pictures.rulings import ridges
    from tallow.documents.pictures.runs import groups, runs_of, touching

    turned = levels if horizontal else np.ascontiguousarray(levels.T)
    found: list[Any] = []
    for dark in (True, False):
        ridge = ridges(turned, em, int(max(12, 4 * noise)), dark=dark)
        runs = runs_of(ridge)
        runs = runs.take(runs.length >= 3)
        if not len(runs.row):
            continue
        group = groups(len(runs.row), touching(runs, 1))
        x, weight = (runs.start + runs.end) / 2, runs.length.astype(float)
        total = np.bincount(group, weight)
        mean_x, mean_y = (np.bincount(group, weight * v) / total for v in (x, runs.row))
        dx, dy = x - mean_x[group], runs.row - mean_y[group]
        xx = np.bincount(group, weight * (dx**2 + weight**2 / 12)) / total
        xy, yy = (np.bincount(group, weight * v * dy) / total for v in (dx, dy))
        slope = xy / xx
        spread = np.sqrt(np.maximum(yy - slope * xy, 0))
        length = np.sqrt(12 * xx)  # of an even line with that variance
        kept = (length >= 8 * em) & (spread <= max(1.5, em / 8)) & (np.abs(slope) <= 0.27)
        found.append(np.stack([mean_x, mean_y + 0.5, slope, length])[:, kept])
    return Segments(*np.concatenate([np.zeros((4, 0)), *found], axis=1))


def skew_of(levels: Levels, ink: Ink, noise: float) -> float:
    """Degrees clockwise that a page is turned off the level, within 0.2°; 0 where nothing tells."""
    import numpy as np

    em = ink.text_height or max(4.0, min(levels.shape) / 40)
    level = segments(levels, em, noise, horizontal=True)
    upright = segments(levels, em, noise, horizontal=False)
    angles = np.concatenate([level.degrees, -upright.degrees])
    lengths = np.concatenate([level.length, upright.length])
    text = _of_text(ink)
    if lengths.sum() < min(levels.shape) / 2:
        return text or 0.0
    return _agreed(angles, lengths, text, max(levels.shape))


def _agreed(angles: Any, lengths: Any, text: float | None, width: float) -> float:
    """The angle that lines agree on best, text being one more as long as the page is wide.

    Pale lines and edges of fills are told less well than dark ones: what agrees counts, not the
    mean. An angle counts with the square of the length, as its error goes down with that.
    """
    import numpy as np

    weights = lengths**2
    candidates = angles if text is None else np.append(angles, text)
    voices = weights if text is None else np.append(weights, width**2)
    near = np.abs(candidates[:, None] - candidates[None, :]) <= AGREE
    best = candidates[int(np.argmax((near * voices[None, :]).sum(axis=1)))]
    chosen = np.abs(angles - best) <= AGREE
    if lengths[chosen].sum() < width / 4:
        return float(best)
    return float(np.average(angles[chosen], weights=weights[chosen]))


def _of_text(ink: Ink) -> float | None:
    """The angle at which the feet of letters fall into the fewest lines; None without one.

    Postl's projection (US patent 4,723,297, 1988) of Baird's points (The skew angle of printed
    documents, 1987); each line of letters makes a peak where the angle is right.
    """
    import numpy as np

    glyphs, em = ink.glyphs, ink.text_height
    height = glyphs[:, 3] - glyphs[:, 1]
    glyphs = glyphs[(height >= 0.5 * em) & (height <= 2 * em)]
    if len(glyphs) < 10:
        return None
    x, y = (glyphs[:, 0] + glyphs[:, 2]) / 2, glyphs[:, 3].astype(float)
    if len(x) > 4000:
        chosen = np.random.default_rng(0).choice(len(x), 4000, replace=False)
        x, y = x[chosen], y[chosen]
    return best_angle(x, y, max(1.0, em / 6))


def best_angle(x: Any, y: Any, bin_size: float, clearly: float = 1.1) -> float | None:
    """The angle, within 12°, at which points fall into the fewest lines y = x tan(angle) + c.

    None where it is not so many times better (`clearly`) than no angle at all.
    """
    import numpy as np

    def score(angle: float) -> float:
        place = (y - x * np.tan(np.radians(angle))) / bin_size
        place -= place.min()
        low = np.floor(place).astype(np.int64)
        share = place - low  # between two bins, so that the score is smooth
        bins = int(low.max()) + 2
        count = np.bincount(low, 1 - share, bins) + np.bincount(low + 1, share, bins)
        return float((count**2).sum())

    coarse = np.arange(-MOST, MOST + 0.01, 0.25)
    best = float(coarse[np.argmax([score(angle) for angle in coarse])])
    fine = best + np.arange(-0.3, 0.301, 0.05)
    scores = [score(angle) for angle in fine]
    best, value = float(fine[np.argmax(scores)]), max(scores)
    return best if value > clearly * score(0.0) else None
