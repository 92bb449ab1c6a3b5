"""What single marks are by their shape: ticks, crosses and bullets, which are read as letters.

Measured on the glyphs of fonts that have them (DejaVu, Noto CJK, TeX Gyre), from 6 pixels up: of a
tick the ink begins at the left half-way down and ends at the upper right, with none in the upper
left and the lower right; letters of like shape (V, y, J) have ink in one of the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    import numpy as np

    Mask = np.ndarray[Any, np.dtype[np.bool_]]

TICK, HEAVY_TICK, ROOT = "\u2713", "\u2714", "\u221a"
CROSS, HEAVY_CROSS = "\u2717", "\u2718"
BULLET, DISC, SQUARE = "\u2022", "\u25cf", "\u25a0"
TICKS = frozenset((TICK, HEAVY_TICK))
READ_AS_CROSSES = frozenset(("x", "X", "\u00d7", "\u2715", "\u2716", CROSS, HEAVY_CROSS))


_LEAST_ROWS = 6  # of a tick that is told: those of print that is 11 pixels high


@dataclass(frozen=True)
class Outline:
    """Measures of a mark, as shares of its box.

    `left` and `right` are how far down the ink begins at either side, `upper_left` and
    `lower_right` how much of these corners is ink, `fill` how much of all.
    """

    aspect: float
    fill: float
    left: float
    right: float
    upper_left: float
    lower_right: float


def outline(mask: Mask) -> Outline:
    """The measures of a mark that fills its mask, (height, width)."""
    import numpy as np

    height, width = mask.shape
    first = np.where(mask.any(0), mask.argmax(0), height) / height
    side = max(1, round(0.12 * width))
    corner = mask[: max(1, height // 4), : max(1, width // 4)]
    return Outline(
        width / height,
        float(mask.mean()),
        float(first[:side].mean()),
        float(first[-side:].mean()),
        float(corner.mean()),
        float(mask[int(0.6 * height) :, int(0.7 * width) :].mean()),
    )


def mark_of(mask: Mask, height: float, read: str = "") -> str:
    """The tick, cross or bullet that a mark is; "" of all else.

    `height` is the mark's in heights of a digit, `read` what a recogniser took it for.
    """
    if min(mask.shape) < 3:
        return ""
    found = outline(mask)
    if height >= 0.6 and mask.shape[0] >= _LEAST_ROWS:
        leaning = mask.shape[0] >= 12 and _cross(found)  # of less, an X looks so by chance
        return _tick(found, read, mask.shape[0]) or leaning or _solid(found, height)
    return _solid(found, height)


def _tick(found: Outline, read: str, rows: int) -> str:
    rising = 0.3 <= found.left <= 0.8 and found.right <= 0.15 and 0.6 <= found.aspect <= 1.5
    if not rising or found.upper_left > 0.02 or found.lower_right > 0.19:
        return ""
    if read == ROOT and (found.aspect < 0.8 or found.fill < 0.17):
        return ROOT
    heavy = 0.26 if rows >= 10 else 0.34  # a pixel is more of a small one's stroke
    return HEAVY_TICK if found.fill >= heavy and found.aspect > 1.05 else TICK


def _cross(found: Outline) -> str:
    """A cross that leans, as fonts draw them by hand; an upright one may be the letter."""
    leaning = found.left >= 0.7 and found.right <= 0.1 and found.upper_left <= 0.1
    plump = 0.3 <= found.fill <= 0.5 and 0.7 <= found.aspect <= 1.0
    return CROSS if leaning and plump and 0.18 <= found.lower_right <= 0.5 else ""


def _solid(found: Outline, height: float) -> str:
    if not 0.75 <= found.aspect <= 1.34 or found.fill < 0.7 or height < 0.28:
        return ""
    if height > 0.6 and found.fill > 0.93:
        return SQUARE
    if height > 0.6:
        sides = min(found.left, found.right) >= 0.18 and abs(found.left - found.right) <= 0.2
        return DISC if sides and found.upper_left <= 0.5 and found.fill <= 0.88 else ""
    return BULLET
