"""Grey levels of a picture, its local background, its ink, and how high its text is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    import numpy as np

    from tallow.documents.content import Pixels
    from tallow.documents.pictures.runs import Ints

    Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
    Levels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]

NOISY = 3.0
"""Levels of noise, as a deviation, from which a page is evened for what is fine on it."""
EVENED = 5
"""Pixels along a line that are taken together then: fewer than the gaps between columns."""
BLOCK = 16
"""Side of the squares whose median is taken for background: text covers less than half of one."""


@dataclass(frozen=True)
class Ink:
    """What differs from its background: `dark` is darker, `light` lighter, by `contrast` at least.

    `inverse` says that the text is the lighter one, as on dark themes; `text_height` is the
    height of capitals and digits in pixels (0 where nothing looks like text), `glyphs` the boxes
    of what has the shape of letters.
    """

    dark: Mask
    light: Mask
    contrast: int
    inverse: bool
    text_height: float
    glyphs: Ints

    @property
    def text(self) -> Mask:
        """The ink that text is drawn in."""
        return self.light if self.inverse else self.dark


@dataclass(frozen=True)
class Seen:
    """What steps ask of a picture: its levels, their noise, and its ink."""

    levels: Levels
    noise: float
    ink: Ink


_seen: tuple[Any, Seen] | None = None  # of the last picture, by a reference that does not keep it


def seen(pixels: Pixels) -> Seen:
    """The levels, noise and ink of a picture that is not written to.

    What was seen of the last picture is kept as long as that is: steps ask for the same one after
    another.
    """
    import weakref

    global _seen
    last = _seen
    if last is not None and last[0]() is pixels:
        return last[1]
    levels = levels_of(pixels)
    noise = noise_of(levels)
    found = Seen(levels, noise, ink_of(levels, noise))
    _seen = weakref.ref(pixels, _forget), found
    return found


def _forget(gone: Any) -> None:
    global _seen
    if _seen is not None and _seen[0] is gone:
        _seen = None


def levels_of(pixels: Pixels) -> Levels:
    """(height, width) uint8: the middle of luma and the least channel.

    Pale yellow and blue lines on white hardly differ from it in luma, but do in one channel.
    """
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(pixels)
    luma = np.asarray(picture.convert("L"))
    least = np.minimum(np.minimum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    levels: Levels = (luma >> 1) + (least >> 1) + (luma & least & 1)
    return levels


def noise_of(levels: Levels) -> float:
    """The standard deviation of a pixel's noise, from differences of neighbours where it is flat.

    A median: more than half of a page is background (Olsen, Estimation of noise in images, 1993).
    """
    import numpy as np

    rows = levels[:: max(1, levels.shape[0] // 400)].astype(np.int16)
    if rows.shape[1] < 3:
        return 0.0
    second = np.abs(rows[:, 2:] - 2 * rows[:, 1:-1] + rows[:, :-2])
    return float(np.median(second)) / 0.6745 / 6**0.5


def evened(levels: Levels, width: int) -> Levels:
    """The mean of `width` pixels along rows, an odd number: lines along rows stay as they are."""
    import numpy as np

    half = width // 2
    padded = np.pad(levels, ((0, 0), (half + 1, half)), mode="edge")
    total = np.cumsum(padded, axis=1, dtype=np.int32)
    means: Levels = ((total[:, width:] - total[:, :-width] + half) // width).astype(np.uint8)
    return means


def ink_of(levels: Levels, noise: float | None = None) -> Ink:
    """The ink of a page, against the medians of the squares around each pixel.

    `noise` is what `noise_of` says, where that is known.
    """
    import numpy as np

    contrast = int(max(24, 4 * (noise_of(levels) if noise is None else noise)))
    low, high = _backgrounds(levels)
    dark = levels < _expand(np.maximum(low, contrast) - contrast, levels.shape)
    light = levels > _expand(np.minimum(high, 255 - contrast) + contrast, levels.shape)
    boxes = {False: glyph_boxes(dark), True: glyph_boxes(light)}
    inverse = len(boxes[True]) > len(boxes[False])
    best = boxes[inverse]
    height = float(np.percentile(best[:, 3] - best[:, 1], 75)) if len(best) else 0.0
    return Ink(dark, light, contrast, inverse, height, best)


def text_height(pixels: Pixels) -> float:
    """The height of capitals and digits in pixels; 0 where nothing looks like text.

    What a reader needs to know to enlarge a page of low resolution.
    """
    return seen(pixels).ink.text_height


def _backgrounds(levels: Levels) -> tuple[Any, Any]:
    """The least and greatest median of each square and its neighbours: fills meet in between."""
    import numpy as np

    height, width = levels.shape
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    padded = np.pad(levels, ((0, rows * BLOCK - height), (0, columns * BLOCK - width)), mode="edge")
    squares = padded.reshape(rows, BLOCK, columns, BLOCK)[:, ::2, :, ::2].swapaxes(1, 2)
    medians = np.partition(squares.reshape(rows, columns, -1), BLOCK * BLOCK // 8, axis=-1)
    middle = np.pad(medians[..., BLOCK * BLOCK // 8], 1, mode="edge")
    around = [middle[1:-1, 1:-1], middle[:-2, 1:-1], middle[2:, 1:-1], middle[1:-1, :-2],
              middle[1:-1, 2:]]  # fmt: skip
    return np.minimum.reduce(around), np.maximum.reduce(around)


def _expand(squares: Any, shape: tuple[int, ...]) -> Any:
    import numpy as np

    return np.repeat(np.repeat(squares, BLOCK, 0), BLOCK, 1)[: shape[0], : shape[1]]


def glyph_boxes(mask: Mask) -> Ints:
    """(glyphs, 4): boxes of the connected pieces that have the shape of letters and digits."""
    import numpy as np

    from tallow.documents.pictures.runs import boxes_of_runs, groups, runs_of, touching

    runs = runs_of(mask)
    if not len(runs.row):
        return np.zeros((0, 4), np.int64)
    boxes = boxes_of_runs(runs, groups(len(runs.row), touching(runs)))
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    glyphs = (height >= 4) & (width >= 2) & (width <= 2.5 * height) & (height <= 5 * width)
    found: Ints = boxes[glyphs & (height < mask.shape[0] / 2)]
    return found
