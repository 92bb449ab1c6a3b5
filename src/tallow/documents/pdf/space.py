"""From the coordinates of a PDF to those of its page as it is shown."""

from __future__ import annotations

from math import isfinite
from typing import Any, TypeAlias

from tallow.documents.geometry import Box
from tallow.errors import FormatError
from tallow.lazy_dataclasses import dataclass

Matrix: TypeAlias = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f of ISO 32000-1, 8.3.3: x' = a·x + c·y + e, y' = b·x + d·y + f."""

_LONGEST_SIDE = 1e6  # points; ISO 32000-1 recommends at most 14,400


@dataclass(frozen=True)
class PageSpace:
    """A page as it is shown: its size in points, and how its coordinates become shown ones."""

    width: float
    height: float
    matrix: Matrix

    @property
    def box(self) -> Box:
        """The whole page."""
        return 0.0, 0.0, self.width, self.height


def times(first: Matrix, then: Matrix) -> Matrix:
    """The matrix that does what `first` does, and `then` what the other one does."""
    a, b, c, d, e, f = first
    g, h, i, j, k, l = then
    return (
        a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k,
        e * h + f * j + l,
    )  # fmt: skip


def moved(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    """Where a matrix takes a point."""
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f


def moved_box(matrix: Matrix, box: Box) -> Box:
    """The smallest upright box around where a matrix takes a box."""
    left, top, right, bottom = box
    points = [moved(matrix, x, y) for x in (left, right) for y in (top, bottom)]
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def page_space(page: Any, where: str) -> PageSpace:
    """The space of a page that PDFium has open; `where` is for errors.

    Raises:
        FormatError: the page has no area, or a side of more than a million points.
    """
    import pypdfium2.raw as pdfium

    bounds = pdfium.FS_RECTF()
    found = pdfium.FPDF_GetPageBoundingBox(page, bounds)
    left, top, right, bottom = bounds.left, bounds.top, bounds.right, bounds.bottom
    width, height = right - left, top - bottom
    sizes_are_right = 0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE
    if not found or not sizes_are_right or not (isfinite(left) and isfinite(bottom)):
        raise FormatError(where, "size", "sides of up to a million points", f"{width} × {height}")
    turns = pdfium.FPDFPage_GetRotation(page) % 4
    matrix = (
        (1.0, 0.0, 0.0, -1.0, -left, top),
        (0.0, 1.0, 1.0, 0.0, -bottom, -left),
        (-1.0, 0.0, 0.0, 1.0, right, -bottom),
        (0.0, -1.0, -1.0, 0.0, top, right),
    )[turns]
    return PageSpace(*((height, width) if turns % 2 else (width, height)), matrix)
