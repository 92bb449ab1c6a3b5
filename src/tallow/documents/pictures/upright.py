"""Pictures of pages made upright: turned, level, flat, and dark on light."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tallow.documents.steps import Upright

if TYPE_CHECKING:
    from tallow.documents.content import Pixels
    from tallow.documents.pictures.levels import Ink, Levels

DARKEST_PAGE = 110
"""Levels of pages, from 0 to 255; those below are shown inverted to the reader."""
LEAST_SHIFT = 0.35
"""How far skew moves the end of a line before it is undone, in heights of capitals: resampling
blurs, so that a page that is straight is better left as it is."""


def orient(
    pixels: Pixels, *, confidence: Callable[[Pixels], float] | None = None, turn: int | None = None
) -> Upright:
    """A picture (height, width, 3) of a page as it is to be read.

    Turned by one of four, made flat where it is clearly seen in perspective, made level (within
    12°), and inverted where its page is darker than its text. `turn` is taken where it is known
    (degrees clockwise); `confidence` is as of `tallow.documents.pictures.orientation.turn_of`.
    """
    import numpy as np

    from tallow.documents.pictures.levels import seen
    from tallow.documents.pictures.orientation import turn_of
    from tallow.documents.pictures.skew import skew_of
    from tallow.documents.pictures.warping import leveling, turning_back, warped

    if turn is None:
        turn = turn_of(pixels, confidence=confidence)
    height, width = pixels.shape[:2]
    matrix = turning_back(turn, width, height)
    upright = np.ascontiguousarray(np.rot90(pixels, turn // 90))
    upright, matrix = _flat(upright, matrix)
    found = seen(upright)
    levels, ink = found.levels, found.ink
    skew = skew_of(levels, ink, found.noise)
    if _is_worth(skew, levels, ink):
        level, size = leveling(skew, *upright.shape[1::-1])
        upright = warped(upright, level, size)
        matrix = matrix @ level
    else:
        skew = 0.0
    if is_dark(levels, ink):
        upright = 255 - upright
    return Upright(upright, turn, skew, tuple(float(each) for each in matrix.reshape(-1)))


def _flat(pixels: Pixels, matrix: Any) -> tuple[Pixels, Any]:
    """A picture without perspective, of the sheet on its ground, then of the lines on that.

    With the homography from it to where `matrix` leads.
    """
    from tallow.documents.pictures.levels import seen
    from tallow.documents.pictures.perspective import bent_quad, sheet_quad
    from tallow.documents.pictures.warping import flattening, warped

    quad = sheet_quad(seen(pixels).levels)
    if quad is not None:
        back, size = flattening(quad)
        pixels, matrix = warped(pixels, back, size), matrix @ back
    found = seen(pixels)
    quad = bent_quad(found.levels, found.ink, found.noise)
    if quad is not None:
        back, size = flattening(quad)
        pixels, matrix = warped(pixels, back, size), matrix @ back
    return pixels, matrix


def is_dark(levels: Levels, ink: Ink) -> bool:
    """Whether the page is dark and its text light, as in dark themes."""
    import numpy as np

    return ink.inverse and float(np.median(levels[::4, ::4])) < DARKEST_PAGE


def _is_worth(skew: float, levels: Levels, ink: Ink) -> Any:
    """Whether skew moves the ends of the page's lines by enough to be undone."""
    import numpy as np

    shift = max(levels.shape) * abs(np.sin(np.radians(skew)))
    return shift >= max(2.0, LEAST_SHIFT * ink.text_height)
