"""Where lines of text are: PP-OCR's detector, whose map of text is cut into rectangles.

Source: M. Liao et al., "Real-time Scene Text Detection with Differentiable Binarization", 2020:
the map holds text areas shrunk, which are grown again by area × ratio / perimeter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.documents import sessions
from tallow.documents.geometry import Box, Quad, quad_of
from tallow.documents.ocr import rectangles
from tallow.documents.ocr.models import ModelSet
from tallow.documents.pictures.components import Components, components
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    import numpy as np

    from tallow.documents.content import Pixels

    Map = np.ndarray[Any, np.dtype[np.float32]]

_STRIDE = 32  # of the network: sides are multiples
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MOST_LINES = 20_000


@dataclass(frozen=True)
class LineArea:
    """A line's corners in pixels of the page, and how sure the detector is, from 0 to 1."""

    quad: Quad
    score: float


def find_lines(pixels: Pixels, models: ModelSet, scale: float) -> list[LineArea]:
    """The lines of a picture, (height, width, 3) RGB, that is looked at `scale` times as large."""
    height, width = pixels.shape[:2]
    wanted = (_rounded(height * scale), _rounded(width * scale))
    (found,) = sessions.model(models.ref, models.detection)(_prepared(pixels, wanted))
    text = found[0, 0]
    areas = components(text > models.threshold)
    ratio = width / wanted[1], height / wanted[0]
    lines = []
    for number in _plausible(areas):
        quad, score = _rectangle(areas, int(number), text)
        if score < models.box_threshold:
            continue
        w, h = rectangles.sides(quad)
        quad = rectangles.grown(quad, w * h * models.unclip / (2 * (w + h)))
        lines.append(LineArea(rectangles.scaled(quad, *ratio), score))
    return lines


def _rounded(length: float) -> int:
    """A side in steps that grow with it, an eighth of it at most.

    Few shapes, since the first runs of each are slower; lines are found as well a little squeezed.
    """
    step = max(1, int(length) // (8 * _STRIDE)) * _STRIDE
    return max(1, round(length / step)) * step


def _prepared(pixels: Pixels, size: tuple[int, int]) -> Map:
    """(1, 3, height, width): blue, green, red, each less its mean over its deviation."""
    import numpy as np

    from tallow.vision.images import pillow

    image = pillow()
    if pixels.shape[:2] != size:
        kind = image.Resampling.BILINEAR
        pixels = np.asarray(image.fromarray(pixels).resize(size[::-1], kind))
    # The networks were trained on OpenCV's order of colours with the means of the other order.
    factors = np.float32(1 / 255) / np.array(_DEVIATION, np.float32)
    offsets = np.array(_MEAN, np.float32) / np.array(_DEVIATION, np.float32)
    values = np.empty((1, 3, *size), np.float32)
    for channel in range(3):
        plane = values[0, channel]
        np.multiply(pixels[:, :, 2 - channel], factors[channel], out=plane)
        plane -= offsets[channel]
    return values


def _plausible(areas: Components) -> Any:
    """The areas that are more than specks, in order of reading; `MOST_LINES` largest at most."""
    import numpy as np

    sides = areas.boxes[:, 2:] - areas.boxes[:, :2]
    kept = np.flatnonzero((sides.min(1) >= 2) & (areas.areas >= 6))
    if len(kept) > MOST_LINES:
        kept = np.sort(kept[np.argsort(areas.areas[kept])[-MOST_LINES:]])
    return kept


def _rectangle(areas: Components, number: int, text: Map) -> tuple[Quad, float]:
    """The smallest rectangle around an area, and the mean of the map where it is."""
    import numpy as np

    runs = slice(*np.searchsorted(areas.row, areas.boxes[number, [1, 3]]))
    mine = areas.label[runs] == number
    rows, starts, ends = (each[runs][mine] for each in (areas.row, areas.start, areas.end))
    left, top, right, bottom = (int(each) for each in areas.boxes[number])
    patch = text[top:bottom, left:right]
    inside = np.zeros((bottom - top) * (right - left) + 1, np.int8)
    first = (rows - top) * (right - left) - left
    np.add.at(inside, first + starts, 1)
    np.add.at(inside, first + ends, -1)
    weights = inside[:-1].cumsum(dtype=np.int8).reshape(patch.shape)
    score = float((patch * weights).sum() / areas.areas[number])
    box = (float(left), float(top), float(right), float(bottom))
    if _is_level(rows, starts, ends, box):
        return quad_of(box), score
    # Of each row its outermost pixels are enough for the hull.
    edges = np.flatnonzero(np.diff(rows)) + 1
    low = np.minimum.reduceat(starts, [0, *edges])
    high = np.maximum.reduceat(ends, [0, *edges])
    y = rows[[0, *edges]]
    points = [(float(x), float(each)) for x, each in zip(low, y, strict=True)]
    points += [(float(x), float(each)) for x, each in zip(high, y, strict=True)]
    points += [(float(x), float(each) + 1) for x, each in zip(low, y, strict=True)]
    points += [(float(x), float(each) + 1) for x, each in zip(high, y, strict=True)]
    return rectangles.smallest_rectangle(points), score


def _is_level(rows: Any, starts: Any, ends: Any, box: Box) -> bool:
    """Whether an area's own slope (least squares) moves its ends by less than 0.1 of its height.

    Most lines are so, and need no hull.
    """
    width, height = box[2] - box[0], box[3] - box[1]
    lengths = (ends - starts).astype(float)
    total = lengths.sum()
    x, y = (starts + ends) / 2, rows + 0.5
    x, y = x - (x * lengths).sum() / total, y - (y * lengths).sum() / total
    shared = (x * y * lengths).sum()
    along_x, along_y = (x * x * lengths + lengths**3 / 12).sum(), (y * y * lengths).sum()
    if width >= height:
        return bool(abs(shared) * width <= 0.1 * height * along_x)
    return bool(abs(shared) * height <= 0.1 * width * max(along_y, 1e-9))
