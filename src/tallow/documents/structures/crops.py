"""The picture of a table as structure models take it, and boxes of it back on the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallow.documents.content import PageContent
from tallow.documents.geometry import Box
from tallow.documents.steps import Region
from tallow.lazy_dataclasses import dataclass, replace

if TYPE_CHECKING:
    import numpy as np

    from tallow.documents.content import Pixels

    Floats = np.ndarray[Any, np.dtype[np.float32]]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Of CenterNet (Zhou, Wang, Krähenbühl, 2019) and what was made of it, in order of blue, green, red.
CENTERNET_MEAN, CENTERNET_STD = (0.408, 0.447, 0.470), (0.289, 0.274, 0.278)


@dataclass(frozen=True)
class Crop:
    """A part of a page's picture: (height, width, 3) RGB; `left`, `top` are pixels of the page's.

    `scale` is how many pixels a unit of the page has.
    """

    pixels: Pixels
    left: int = 0
    top: int = 0
    scale: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def to_page(self, box: Sequence[float]) -> Box:
        """A box of the crop, in its pixels, as one of the page, in units of it."""
        left, top, right, bottom = map(float, box)
        k, x, y = self.scale, self.left, self.top
        return (left + x) / k, (top + y) / k, (right + x) / k, (bottom + y) / k


def cropped(content: PageContent, region: Region, margin: float = 0.0) -> Crop:
    """The picture of a region and of `margin` around it, which is in units of the page."""
    k = content.scale
    left, top = (int(max(0.0, (edge - margin) * k)) for edge in region.box[:2])
    return Crop(content.crop(region.box, margin), left, top, k)


def widened(content: PageContent, region: Region) -> Region:
    """A table and half a line of text around it: models look for a table's edge."""
    margin = text_height(content, region) / 2
    left, top, right, bottom = region.box
    return replace(region, box=(left - margin, top - margin, right + margin, bottom + margin))


def text_height(content: PageContent, region: Region) -> float:
    """The middle one of the heights of a region's words, in units of the page; 0 without words."""
    found = sorted(
        min(box[3] - box[1], box[2] - box[0])
        for box in (word.box for word in content.words)
        if region.box[0] <= (box[0] + box[2]) / 2 <= region.box[2]
        and region.box[1] <= (box[1] + box[3]) / 2 <= region.box[3]
    )
    return found[len(found) // 2] if found else 0.0


def sampled(pixels: Pixels, xs: Any, ys: Any) -> Floats:
    """A picture at each of `ys` × `xs`, places between pixels mixed linearly; black outside of it.

    In float32. Not smoothed where it shrinks: the models were trained on what OpenCV's warpAffine
    gives, which does not.
    """
    import numpy as np

    def mixed(values: Any, places: Any) -> Any:
        last = values.shape[0] - 1
        low = np.floor(places).astype(np.int64)
        weights = (places - low).astype(np.float32)
        total: Any = 0
        for index, weight in ((low, 1 - weights), (low + 1, weights)):
            inside = weight * ((index >= 0) & (index <= last))
            total = total + values[index.clip(0, last)] * inside[:, None, None]
        return total

    rows = mixed(pixels, np.asarray(ys, np.float64))
    columns = mixed(rows.transpose(1, 0, 2), np.asarray(xs, np.float64))
    return columns.transpose(1, 0, 2)  # type: ignore[no-any-return]


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """A picture of another size, places between pixels mixed linearly, its last ones repeated.

    In OpenCV's whole numbers (resize, INTER_LINEAR: weights of 11 bits, sums cut twice): a step of
    brightness can turn a token of a model that was trained on these.
    """
    import numpy as np

    def table(count: int, was: int) -> tuple[Any, Any, Any, Any]:
        places = ((np.arange(count) + 0.5) * (was / count) - 0.5).clip(0, was - 1)
        low = places.astype(np.int64)
        weights = (places - low).astype(np.float32)
        first, second = (np.rint(each * 2048).astype(np.int32) for each in (1 - weights, weights))
        return low, np.minimum(low + 1, was - 1), first, second

    low, high, first, second = table(width, pixels.shape[1])
    rows = pixels[:, low] * first[:, None] + pixels[:, high] * second[:, None] >> 4
    low, high, first, second = (each.reshape(-1, 1, 1) for each in table(height, pixels.shape[0]))
    upper, lower = rows[low.ravel()] * first >> 16, rows[high.ravel()] * second >> 16
    return (upper + lower + 2 >> 2).clip(0, 255).astype(np.uint8)  # type: ignore[no-any-return]


def normalized(picture: Any, mean: Sequence[float], std: Sequence[float]) -> Floats:
    """(height, width, 3) from 0 to 255 as a batch of one, (1, 3, height, width)."""
    import numpy as np

    middle, spread = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    scaled = (np.asarray(picture, np.float32) / np.float32(255) - middle) / spread
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None], np.float32)
