"""The layout of a page by PicoDet, trained on CDLA: text, titles, figures, tables and captions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.documents.geometry import Box
from tallow.documents.pictures.orientation import DEVIATION, MEAN
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.documents.content import Pixels

LABELS = (
    "text", "title", "figure", "figure_caption", "table", "table_caption", "header", "footer",
    "reference", "equation",
)  # fmt: skip
"""As the file's metadata lists them."""
SIZE = (800, 608)
"""Height and width that pages are squashed to."""
STRIDES = (8, 16, 32, 64)
LEAST_SCORE = 0.3
MOST_OVERLAP = 0.5


@dataclass(frozen=True)
class Part:
    """A part of a page: what it is, where, and how sure the model is, from 0 to 1."""

    label: str
    box: Box
    score: float


def layout_of(pixels: Pixels) -> list[Part]:
    """The parts of a page's picture (height, width, 3), best first, in its pixels."""
    import numpy as np
    from PIL import Image

    from tallow.documents.sessions import model

    height, width = pixels.shape[:2]
    picture = Image.fromarray(pixels).resize(SIZE[::-1], Image.Resampling.BILINEAR)
    values = np.asarray(picture, np.float32)[..., ::-1] / 255
    values = (values - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
    outputs = model("layout-cdla")(np.ascontiguousarray(values.transpose(2, 0, 1)[None]))
    boxes, scores = decoded([np.asarray(each)[0] for each in outputs])
    boxes = boxes * (np.array([width, height] * 2) / np.array([SIZE[1], SIZE[0]] * 2))
    boxes = np.clip(boxes, 0, [width, height] * 2)
    parts = []
    for index, label in enumerate(LABELS):
        for chosen in _best(boxes, scores[:, index]):
            left, top, right, bottom = (float(value) for value in boxes[chosen])
            parts.append(Part(label, (left, top, right, bottom), float(scores[chosen, index])))
    return sorted(parts, key=lambda part: -part.score)


def decoded(outputs: list[Any]) -> tuple[Any, Any]:
    """Boxes (n, 4) in pixels of the model's picture and scores (n, classes) of all places.

    The first half of the outputs are scores of each stride, the second half how far the four sides
    are, each as a distribution over eight steps of the stride (Li et al., Generalized focal loss,
    2020; PicoDet: Yu et al., 2021).
    """
    import numpy as np

    boxes = []
    half = len(outputs) // 2
    for stride, sides in zip(STRIDES, outputs[half:], strict=True):
        steps = sides.reshape(len(sides), 4, -1)
        weights = np.exp(steps - steps.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        away = (weights * np.arange(steps.shape[-1])).sum(axis=-1) * stride
        columns = -(-SIZE[1] // stride)
        place = np.arange(len(sides))
        x, y = (place % columns + 0.5) * stride, (place // columns + 0.5) * stride
        boxes.append(np.stack([x, y, x, y], axis=1) + away * [-1, -1, 1, 1])
    return np.concatenate(boxes), np.concatenate(outputs[:half])


def _best(boxes: Any, scores: Any) -> list[int]:
    """Indices of the boxes that no better one overlaps by more than half."""
    import numpy as np

    order = np.flatnonzero(scores > LEAST_SCORE)
    order = order[np.argsort(-scores[order], kind="stable")][:200]
    kept: list[int] = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        size = np.minimum(boxes[best, 2:], boxes[order, 2:]) - np.maximum(
            boxes[best, :2], boxes[order, :2]
        )
        shared = np.prod(np.maximum(size, 0), axis=1)
        areas = np.prod(boxes[order, 2:] - boxes[order, :2], axis=1)
        whole = np.prod(boxes[best, 2:] - boxes[best, :2]) + areas - shared
        order = order[shared <= MOST_OVERLAP * np.maximum(whole, 1e-6)]
    return kept
