"""What stands out on a page: its ink in connected pieces, and how high its characters are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.documents.geometry import Box, Quad
from tallow.documents.pictures.components import Components, components
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    import numpy as np

    from tallow.documents.content import Pixels

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Bools = np.ndarray[Any, np.dtype[np.bool_]]

FLAT = 1.4
"""A bar is so many times as wide as it is high, at least."""
THIN = 0.35
"""A bar is no higher than this share of a character."""


@dataclass(frozen=True)
class PageInk:
    """The pieces of a page's ink, and the usual height of a character (0: none is there)."""

    pieces: Components
    height: float

    def middles(self) -> tuple[Floats, Floats]:
        """X and y of each piece's middle."""
        boxes = self.pieces.boxes
        return (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2

    def sizes(self) -> tuple[Floats, Floats]:
        """Width and height of each piece."""
        boxes = self.pieces.boxes.astype(float)
        return boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]

    def bars(self) -> Bools:
        """Which pieces are horizontal bars, as dashes and minus signs are."""
        width, height = self.sizes()
        usual = max(self.height, 4.0)
        full = self.pieces.areas > 0.45 * width * height
        long_enough = (width >= 0.25 * usual) & (width <= 2.5 * usual)
        return (width >= FLAT * height) & (height <= max(THIN * usual, 1)) & long_enough & full

    def within(self, box: Box) -> Any:
        """The numbers of the pieces whose middles are in a box, from the left."""
        import numpy as np

        x, y = self.middles()
        found = np.flatnonzero((x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3]))
        return found[np.argsort(x[found])]

    def picture(self, number: int) -> Bools:
        """The pixels of one piece, as a mask of its box's size."""
        import numpy as np

        pieces = self.pieces
        left, top, right, bottom = (int(each) for each in pieces.boxes[number])
        runs = slice(*np.searchsorted(pieces.row, [top, bottom]))
        mine = pieces.label[runs] == number
        mask = np.zeros((bottom - top, right - left), bool)
        for row, start, end in zip(
            pieces.row[runs][mine], pieces.start[runs][mine], pieces.end[runs][mine], strict=True
        ):
            mask[row - top, start - left : end - left] = True
        return mask

    def outside(self, quads: list[Quad]) -> Bools:
        """Which pieces no rectangle holds."""
        import numpy as np

        x, y = self.middles()
        outside = np.ones(len(x), bool)
        for quad in quads:
            inside = np.ones(len(x), bool)
            for (ax, ay), (bx, by) in zip(quad, [*quad[1:], quad[0]], strict=True):
                inside &= (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0
            outside &= ~inside
        return outside


def page_ink(pixels: Pixels) -> PageInk:
    """The ink of a picture, (height, width, 3) RGB: what differs from its surroundings.

    These are a mean twice: of all pixels, then with that in place of what differs from it, so that
    text beside a thick rule is not taken for ground.
    """
    import numpy as np
    from PIL import ImageFilter

    from tallow.vision.images import pillow

    image = pillow().fromarray(pixels).convert("L")
    blur = ImageFilter.BoxBlur(max(8, min(image.size) // 30))
    grey = np.asarray(image, np.int16)
    around = np.asarray(image.filter(blur), np.int16)
    filled = np.where(_apart(grey, around), around, grey).astype(np.uint8)
    around = np.asarray(pillow().fromarray(filled).filter(blur), np.int16)
    pieces = components(_apart(grey, around))
    return PageInk(pieces, _character_height(pieces))


def crop_ink(pixels: Pixels) -> PageInk:
    """The ink of a crop that has one ground: what differs from its median."""
    import numpy as np

    from tallow.vision.images import pillow

    grey = np.asarray(pillow().fromarray(pixels).convert("L"), np.int16)
    pieces = components(_apart(grey, np.int16(np.median(grey))))
    return PageInk(pieces, _character_height(pieces))


def _apart(grey: Any, around: Any) -> Bools:
    """Where grey differs from its surroundings by a quarter of the most; 24 of 255 at least."""
    import numpy as np

    apart = np.abs(grey - around)
    found: Bools = apart > max(24, int(apart.max(initial=0)) // 4)
    return found


def _character_height(pieces: Components) -> float:
    """The median height of what has a character's proportions, 0 where nothing has.

    Weighted by width, so that specks and dots count little.
    """
    import numpy as np

    width, height = (pieces.boxes[:, 2:] - pieces.boxes[:, :2]).T
    likely = (height >= 4) & (width < 8 * height) & (height < 6 * width)
    likely &= pieces.areas > 0.1 * width * height
    likely &= height < max(pieces.shape) / 4
    if not likely.any():
        return 0.0
    heights, weights = height[likely], width[likely]
    order = np.argsort(heights)
    middle = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return float(heights[order][middle])
