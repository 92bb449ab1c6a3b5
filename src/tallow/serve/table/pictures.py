"""Pictures of pages as they were read: upright, and small enough for a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tallow.documents.document import Page
    from tallow.documents.inputs import InputPage

_LONGEST = 2600  # pixels: twice the height of a large screen


def upright(source: InputPage, page: Page) -> Any:
    """The picture of a page as a Pillow image in RGB, turned as it was when it was read.

    Its corners are those of the page, whose units may be others (`page.width`, `page.height`).
    """
    from PIL import Image

    if source.content is not None:
        picture = Image.fromarray(source.content.pixels())
        factor = min(1.0, _LONGEST / max(picture.size))
        return picture.resize(_scaled(picture.size, factor), reducing_gap=2.0)
    picture = Image.fromarray(source.pixels())
    factor = min(1.0, _LONGEST / max(page.width, page.height))
    a, b, c, d, e, f, g, h, i = page.to_original
    k = source.shrunk
    rows = (a * k, b * k, c * k, d * k, e * k, f * k, g, h, i)
    if factor < 1:  # a smaller picture first, as one homography skips pixels
        picture = picture.resize(_scaled(picture.size, factor), reducing_gap=2.0)
        rows = (*rows[:2], rows[2] * factor, *rows[3:5], rows[5] * factor,
                rows[6] / factor, rows[7] / factor, i)  # fmt: skip
    size = _scaled((page.width, page.height), factor)
    if _is_identity(rows) and size == picture.size:
        return picture
    return picture.transform(
        size, Image.Transform.PERSPECTIVE, [each / rows[8] for each in rows[:8]],
        Image.Resampling.BICUBIC, fillcolor=(255, 255, 255),
    )  # fmt: skip


def crop(path: Path, box: tuple[float, float, float, float]) -> bytes:
    """A part of a picture as PNG; `box` in shares of its width and height, cut at its edges."""
    from io import BytesIO

    from PIL import Image

    with Image.open(path) as picture:
        width, height = picture.size
        left, right = (round(min(max(x, 0.0), 1.0) * width) for x in (box[0], box[2]))
        top, bottom = (round(min(max(y, 0.0), 1.0) * height) for y in (box[1], box[3]))
        left, top = min(left, width - 1), min(top, height - 1)
        part = picture.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    made = BytesIO()
    part.save(made, "PNG")
    return made.getvalue()


def _scaled(size: tuple[float, float], factor: float) -> tuple[int, int]:
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _is_identity(rows: tuple[float, ...]) -> bool:
    unit = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    return all(abs(a - b) < 1e-9 for a, b in zip(rows, unit, strict=True))
