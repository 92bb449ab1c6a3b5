"""Table Transformer's structure model: rows, columns, headers and spans as detections.

Source: Smock, Pesala, Abraham, PubTables-1M, CVPR 2022, and Aligning benchmark datasets for table
structure recognition, 2023 (v1.1).
"""

from __future__ import annotations

from typing import Any

from tallow.documents.content import PageContent
from tallow.documents.steps import Region
from tallow.documents.structure import Structure
from tallow.documents.structures.crops import Crop, cropped
from tallow.documents.structures.fitting import rulings_in, words_in
from tallow.documents.structures.from_detections import COLUMN, LABELS, ROW, Found, structure_of
from tallow.errors import ArgumentError, expect

PUBLISHED = "hf:microsoft/table-transformer-structure-recognition-v1.1-all"
LEAST_SCORE = 0.5
"""As the authors' pipeline, for every class."""
MARGIN = 0.01
"""White around a table, in shares of its longer side: 10 pixels of the model's 1000."""


class TableTransformer:
    """`propose` by a model: a Hugging Face folder or reference with labels of rows and columns.

    `margin` is in shares of the table's longer side: v1.0 was trained on crops with 0.02 to 0.03.

    Raises:
        ArgumentError: the model has no labels of rows and columns.
        HubError, FormatError: as `tallow.tasks.Detector`.
    """

    def __init__(
        self, ref: str = PUBLISHED, *, threshold: float = LEAST_SCORE, margin: float = MARGIN
    ) -> None:
        from tallow.tasks import Detector

        self._detector: Any = Detector(ref, threshold=threshold)
        self.margin = margin
        labels = [label.lower() for label in self._detector.labels]
        wanted = f"{ref} to have labels {ROW} and {COLUMN}"
        expect({ROW, COLUMN} <= set(labels), "TableTransformer", wanted, labels, ArgumentError)

    def __call__(self, content: PageContent, region: Region) -> list[Structure]:
        """The structure of the table in `region`; none where no row or no column is found."""
        from tallow.vision.images import to_pillow

        crop = self._with_margin(content, region)
        found = [
            Found(each.label.lower(), each.score, crop.to_page(each.box))
            for each in self._detector(to_pillow(crop.pixels))
            if each.label.lower() in LABELS
        ]
        words = [word.box for word in words_in(content, region.box)]
        rulings = rulings_in(content, region.box)
        structure = structure_of(found, words, rulings, "table-transformer")
        return [] if structure is None else [structure]

    def _with_margin(self, content: PageContent, region: Region) -> Crop:
        """The table with its margin, which is of the table's own paper where the page ends."""
        import numpy as np

        left, top, right, bottom = region.box
        margin = self.margin * max(right - left, bottom - top)
        crop = cropped(content, region, margin)
        k = content.scale
        wanted = [round(each * k) for each in (top - margin, left - margin)]
        before = [max(0, -each) for each in wanted]
        after = [
            max(0, round((edge + margin) * k) - start - size)
            for edge, start, size in zip(
                (bottom, right), (crop.top, crop.left), crop.size, strict=True
            )
        ]
        if not any((*before, *after)):
            return crop
        high, wide = crop.size
        shape = (before[0] + high + after[0], before[1] + wide + after[1], 3)
        paper = np.median(crop.pixels.reshape(-1, 3), 0).astype(np.uint8)
        pixels = np.empty(shape, np.uint8)
        pixels[:] = paper
        pixels[before[0] : before[0] + high, before[1] : before[1] + wide] = crop.pixels
        return Crop(pixels, crop.left - before[1], crop.top - before[0], k)
