"""Tables by Table Transformer's detection model, or any detector whose labels name tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.documents.geometry import Box, intersection_over_union
from tallow.documents.steps import Region
from tallow.errors import ArgumentError, expect

if TYPE_CHECKING:
    from tallow.documents.content import PageContent

LEAST_SCORE = 0.9
"""What the authors' examples take of the detection model."""
MOST_OVERLAP = 0.5
MARGIN = 10.0
"""Pixels around the authors' crops, at the model's scale of 800 on the longest side."""
LABELS = ("table", "table rotated")


class TableTransformer:
    """`detect` by a model: a Hugging Face folder or reference with labels of tables.

    Of a "table rotated", on its side, its words tell how it is turned.

    Raises:
        ArgumentError: no label of the model names a table.
        HubError, FormatError: as `tallow.tasks.Detector`.
    """

    def __init__(self, ref: str, *, threshold: float = LEAST_SCORE) -> None:
        from tallow.tasks import Detector

        self._detector: Any = Detector(ref, threshold=threshold)
        labels = [label.lower() for label in self._detector.labels]
        known = any(label in LABELS for label in labels)
        wanted = f"{ref} to have a label of {', '.join(LABELS)}"
        expect(known, "TableTransformer", wanted, labels, ArgumentError)

    def __call__(self, content: PageContent) -> list[Region]:
        """The tables of a page, in order of reading; of boxes of one table the best."""
        from PIL import Image

        pixels = content.pixels()
        kept: list[Region] = []
        for found in self._detector(Image.fromarray(pixels)):
            if found.label.lower() not in LABELS:
                continue
            box = self._with_margin(found.box, content, max(pixels.shape[:2]))
            if all(intersection_over_union(box, each.box) <= MOST_OVERLAP for each in kept):
                kept.append(Region(box, found.score, source="table-transformer"))
        return sorted(kept, key=lambda region: (region.box[1], region.box[0]))

    @staticmethod
    def _with_margin(box: Any, content: PageContent, longest: int) -> Box:
        k, margin = content.scale, MARGIN * longest / 800
        left, top, right, bottom = (float(value) for value in box)
        return (
            max(0.0, (left - margin) / k),
            max(0.0, (top - margin) / k),
            min(content.width, (right + margin) / k),
            min(content.height, (bottom + margin) / k),
        )
