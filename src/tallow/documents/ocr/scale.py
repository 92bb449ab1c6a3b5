"""How high the text of a picture is, and how large a detector should see it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tallow.documents.pictures.components import components

if TYPE_CHECKING:
    from tallow.documents.content import Pixels

MOST_PIXELS = 6_000_000
"""What a detector is given at most; more is made smaller or cut into parts."""
WANTED_HEIGHT = 24.0


def text_height(pixels: Pixels) -> float:
    """The usual height of a character in pixels; 0 where nothing looks like one.

    The median over what stands out of its surroundings and has a character's proportions, weighted
    by its width, so that specks and dots count little.
    """
    import numpy as np
    from PIL import ImageFilter

    from tallow.vision.images import pillow

    image = pillow().fromarray(pixels).convert("L")
    around = image.filter(ImageFilter.BoxBlur(max(8, min(image.size) // 30)))
    apart = np.abs(np.asarray(image, np.int16) - np.asarray(around, np.int16))
    found = components(apart > max(24, int(apart.max()) // 4))
    width, height = (found.boxes[:, 2:] - found.boxes[:, :2]).T
    likely = (height >= 4) & (height <= 200) & (width < 8 * height) & (height < 6 * width)
    likely &= found.areas > 0.1 * width * height
    if not likely.any():
        return 0.0
    heights, weights = height[likely], width[likely]
    order = np.argsort(heights)
    middle = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return float(heights[order][middle])


def detection_scale(pixels: Pixels) -> float:
    """How many times as large a picture is shown to the detector."""
    height, width = pixels.shape[:2]
    tall = text_height(pixels)
    wanted = WANTED_HEIGHT / tall if tall else 736 / min(height, width)
    least = 32 / min(height, width)
    most = math.sqrt(MOST_PIXELS / (height * width))
    return float(min(max(min(max(wanted, 0.25), 4.0), least), most))
