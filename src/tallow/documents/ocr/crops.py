"""Pictures of single lines, cut from a page at the height that recognisers take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tallow.documents.geometry import Quad, box_of
from tallow.documents.ocr import rectangles

if TYPE_CHECKING:
    from PIL.Image import Image

    from tallow.documents.content import Pixels

HEIGHT = 48  # of a line, in pixels, for PP-OCR's recognisers
LONGEST = 3200  # the widest that they were made for (inference.yml)


def cut(page: Image, quad: Quad, turn: int = 0) -> Pixels:
    """A line as (48, width, 3): the rectangle in `quad`, its text `turn` degrees clockwise.

    An upright rectangle is resized, another is taken from the page by an affine map.
    """
    import numpy as np

    from tallow.vision.images import pillow

    image = pillow()
    quad = turned(quad, turn)
    width, height = rectangles.sides(quad)
    wide = line_width(width, height)
    kind = image.Resampling.BILINEAR
    if turn == 0 and quad[0][1] == quad[1][1] and quad[0][0] == quad[3][0]:
        box = _inside(page, quad)
        return np.asarray(page.resize((wide, HEIGHT), kind, box))
    # Pillow's maps take single pixels, so what is to be made smaller is so first at full size.
    tall = max(HEIGHT, math.ceil(height))
    across = max(wide, math.ceil(width))
    (ax, ay), (bx, by), _, (dx, dy) = quad
    factors = ((bx - ax) / across, (dx - ax) / tall, ax, (by - ay) / across, (dy - ay) / tall, ay)
    fill = _border_colour(page, quad)
    found = page.transform((across, tall), image.Transform.AFFINE, factors, kind, fillcolor=fill)
    if (across, tall) != (wide, HEIGHT):
        found = found.resize((wide, HEIGHT), kind)
    return np.asarray(found)


def line_width(width: float, height: float) -> int:
    """How wide a line is that is made 48 pixels high."""
    return min(LONGEST, max(8, math.ceil(HEIGHT * width / max(height, 1e-6))))


def turned(quad: Quad, turn: int) -> Quad:
    """Corners in the order of text that is turned clockwise by 0, 90, 180 or 270 degrees."""
    first = turn // 90 % 4
    corners = quad[first:] + quad[:first]
    return corners[0], corners[1], corners[2], corners[3]


def resized(pixels: Pixels) -> Pixels:
    """A picture of one line made 48 pixels high."""
    import numpy as np

    from tallow.vision.images import pillow

    height, width = pixels.shape[:2]
    size = (line_width(width, height), HEIGHT)
    image = pillow()
    return np.asarray(image.fromarray(pixels).resize(size, image.Resampling.BILINEAR))


def _inside(page: Image, quad: Quad) -> tuple[float, float, float, float]:
    left, top, right, bottom = box_of(quad)
    left, top = min(max(left, 0.0), page.width - 1.0), min(max(top, 0.0), page.height - 1.0)
    return (left, top, min(max(right, left + 1), page.width),
            min(max(bottom, top + 1), page.height))  # fmt: skip


def _border_colour(page: Image, quad: Quad) -> Any:
    """The colour at the first corner that is on the page, for what lies beyond its edge."""
    for x, y in quad:
        if 0 <= x < page.width and 0 <= y < page.height:
            return page.getpixel((int(x), int(y)))
    return (255, 255, 255)
