"""Detections and segmentations drawn on pictures: boxes with names and scores, coloured areas."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tallow.errors import expect
from tallow.vision.images import load_image, pillow

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

    Font = FreeTypeFont
    Color = tuple[int, int, int]
    Box = tuple[float, float, float, float]

# Neighbours in the list are far apart in hue and lightness, on white paper and on photographs.
PALETTE = (
    *("#e6413c", "#1f77d0", "#2ba84a", "#f29c1f", "#8e4ec6", "#16b8c4", "#d6409f", "#8a6d3b"),
    *("#b5c91e", "#3b3fd8", "#f4786a", "#0e7c66", "#f5d327", "#6b7a90", "#9b1c4a", "#63c7ff"),
)

Names = Mapping[int, str] | Sequence[str] | None


# How much of white or black is in the colours of the second, third and fourth round.
_ROUNDS = ((255, 0.0), (0, 0.35), (255, 0.5), (0, 0.6))


def color(index: int) -> Color:
    """The colour of a class: one of `PALETTE`, then the same ones darker or lighter."""
    turn, place = divmod(index, len(PALETTE))
    toward, share = _ROUNDS[turn % len(_ROUNDS)]
    pure = (int(PALETTE[place][i : i + 2], 16) for i in (1, 3, 5))
    red, green, blue = (round(value + (toward - value) * share) for value in pure)
    return red, green, blue


def detections(picture: Any, found: Mapping[str, Any], names: Names = None) -> Image:
    """The picture with a box for each detection, and its name and score on a tag.

    `picture` is what `load_image` takes; `found` an entry of `postprocess.object_detection`: boxes
    (n, 4) in pixels, labels and maybe scores. `names` are a model's `id2label`.
    """
    from PIL import ImageDraw

    image = load_image(picture).copy()
    boxes, labels, scores = (_list(found.get(key)) for key in ("boxes", "labels", "scores"))
    labels = labels or [0] * len(boxes)
    scores = scores or [math.nan] * len(boxes)
    fits = len(boxes) == len(labels) == len(scores)
    expect(fits, detections, f"{len(boxes)} labels and scores", (len(labels), len(scores)))
    shown = [(_inside(box, image), *rest) for box, *rest in zip(boxes, labels, scores, strict=True)]
    rows = [(box, int(label), score) for box, label, score in shown if box is not None]
    rows.sort(key=lambda row: -(row[0][2] - row[0][0]) * (row[0][3] - row[0][1]))
    canvas = ImageDraw.Draw(image)
    line = max(2, round(min(image.size) / 220))
    for box, label, _ in rows:
        canvas.rectangle(box, outline=color(label), width=line)
    texts = [_name(label, names) for _, label, _ in rows]
    font = _font(image, texts)
    taken: list[Box] = []
    tagged = zip(rows, texts, strict=True)
    for (box, label, score), text in sorted(tagged, key=lambda row: -_known(row[0][2])):
        text += "" if math.isnan(score) else f" {score:.2f}"
        _tag(canvas, text, box, color(label), font, taken)
    return image


def segmentation(
    picture: Any,
    classes: Any,
    names: Names = None,
    *,
    opacity: float = 0.5,
    skip: Collection[int] = (-1,),
) -> Image:
    """The picture with each class's area in its colour, and a legend below, the largest first.

    `classes` is (height, width) of integers, as `postprocess.semantic_segmentation` gives, or the
    numbers of segments; of another size than the picture it is stretched. `skip` stays uncoloured.
    """
    import numpy as np

    image = load_image(picture)
    ids = np.asarray(classes.numpy() if hasattr(classes, "numpy") else classes)
    expect(ids.ndim == 2 and ids.size > 0, segmentation, "(height, width)", ids.shape)
    rows = np.arange(image.height) * ids.shape[0] // image.height
    columns = np.arange(image.width) * ids.shape[1] // image.width
    ids = ids[rows][:, columns].astype(np.int64)
    present, place, counts = np.unique(ids, return_inverse=True, return_counts=True)
    place = place.reshape(ids.shape)
    kept = ~np.isin(present, [*skip])
    table = np.array([color(int(index)) for index in np.maximum(present, 0)], np.float32)
    # Areas lie on grey, so that their colours are the legend's.
    grey = np.asarray(image.convert("L").convert("RGB"), np.float32)
    weights = np.where(_border(ids), 1.0, opacity)[..., None]
    mixed = grey * (1 - weights) + table[place] * weights
    mixed = np.where(kept[place][..., None], mixed, np.asarray(image, np.float32))
    result = pillow().fromarray(mixed.round().astype(np.uint8))
    order = [i for i in np.argsort(-counts, kind="stable") if kept[i]]
    entries = [(_name(int(present[i]), names), color(int(present[i]))) for i in order]
    return _with_legend(result, entries)


def _border(ids: Any) -> Any:
    """Where a pixel's right or lower neighbour is of another class."""
    import numpy as np

    border = np.zeros(ids.shape, bool)
    border[:, :-1] |= ids[:, 1:] != ids[:, :-1]
    border[:-1] |= ids[1:] != ids[:-1]
    return border


def _list(values: Any) -> list[Any]:
    if values is None:
        return []
    found: list[Any] = values.tolist() if hasattr(values, "tolist") else list(values)
    return found


def _known(score: float) -> float:
    return 0.0 if math.isnan(score) else score


def _inside(box: Sequence[float], image: Image) -> Box | None:
    """The part of a box that lies in the picture; None for no box."""
    if len(box) != 4 or not all(map(math.isfinite, box)):
        return None
    width, height = image.size
    left, right = (min(max(edge, 0), width - 1) for edge in sorted((box[0], box[2])))
    top, bottom = (min(max(edge, 0), height - 1) for edge in sorted((box[1], box[3])))
    return left, top, right, bottom


# Pillow's own font has ASCII alone; these are fonts that systems may have.
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "arial.ttf")
_WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc", "msyh.ttc", "Arial Unicode.ttf")


def _font(image: Image, texts: Sequence[str]) -> Font:
    """A font with the characters of all texts, if there is one."""
    from PIL import ImageFont

    size = max(11, min(48, round(min(image.size) / 38)))
    last = max(map(ord, "".join(texts)), default=0)
    wide = _WIDE_FONTS if last >= 0x2E80 else ()
    for name in (*wide, *_FONTS) if last >= 0x80 else ():
        with suppress(OSError):
            return ImageFont.truetype(name, size)
    font: Any = ImageFont.load_default(size)
    return font  # type: ignore[no-any-return]


def _name(index: int, names: Names) -> str:
    text: Any = None
    if isinstance(names, Mapping):
        known: Mapping[Any, Any] = names
        text = known.get(index, known.get(str(index)))
    elif names is not None and 0 <= index < len(names):
        text = names[index]
    return " ".join(str(index if text is None else text).split())[:40]


def _text_color(background: Color) -> Color:
    red, green, blue = background
    return (255, 255, 255) if 0.3 * red + 0.59 * green + 0.11 * blue < 150 else (0, 0, 0)


def _tag(canvas: Any, text: str, box: Box, background: Color, font: Font, taken: list[Box]) -> None:
    """Text on its colour at a corner of the box where no other tag is, if there is one."""
    pad = max(2, font.size / 6)
    width = font.getlength(text) + 2 * pad
    height = font.size * 1.15 + 2 * pad
    size = canvas.im.size
    if 2 * height > size[1]:  # it would hide the picture
        return
    left, top, right, bottom = box
    corners = (
        *((left, top - height), (left, top), (right - width, top - height), (right - width, top)),
        *((left, bottom - height), (left, bottom), (right - width, bottom - height)),
    )
    places = [
        (min(max(x, 0), max(size[0] - width, 0)), min(max(y, 0), max(size[1] - height, 0)))
        for x, y in corners
    ]
    tags = [(x, y, x + width, y + height) for x, y in places]
    free = (tag for tag in tags if not any(_intersect(tag, other) for other in taken))
    tag = next(free, None)
    if tag is None:  # a heap of tags can be read by nobody; the colour still tells the class
        return
    taken.append(tag)
    canvas.rectangle(tag, fill=background)
    canvas.text((tag[0] + pad, tag[1] + pad), text, fill=_text_color(background), font=font)


def _intersect(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _with_legend(image: Image, entries: list[tuple[str, Color]]) -> Image:
    """The picture above a white strip with a patch of colour and a name for each entry.

    It is wider than the picture where a name is.
    """
    from PIL import ImageDraw

    if not entries:
        return image
    font = _font(image, [name for name, _ in entries])
    edge, gap = font.size, font.size // 2
    places, x, y, widest = [], gap, gap, image.width
    for name, _ in entries:
        width = edge + gap + math.ceil(font.getlength(name)) + 2 * gap
        if x > gap and x + width > image.width:
            x, y = gap, y + edge + gap
        places.append((x, y))
        x += width
        widest = max(widest, math.ceil(x))
    whole = pillow().new("RGB", (widest, image.height + y + edge + gap), (255, 255, 255))
    whole.paste(image, (0, 0))
    canvas = ImageDraw.Draw(whole)
    for (name, shade), (left, top) in zip(entries, places, strict=True):
        top += image.height
        canvas.rectangle((left, top, left + edge, top + edge), fill=shade)
        canvas.text((left + edge + gap, top), name, fill=(0, 0, 0), font=font)
    return whole  # type: ignore[no-any-return]
