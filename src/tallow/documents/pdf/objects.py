"""What is drawn on a PDF's page: lines, filled areas and pictures, in the order of painting."""

from __future__ import annotations

from ctypes import byref, c_float, c_int, c_uint
from itertools import pairwise
from math import hypot
from typing import Any

from tallow.documents.content import Fill, Ruling, Word
from tallow.documents.geometry import Box, intersection, union
from tallow.documents.pdf.painting import Colour, Painted, visible
from tallow.documents.pdf.space import Matrix, PageSpace, moved, moved_box, times
from tallow.errors import FormatError
from tallow.lazy_dataclasses import dataclass, field

_MOST_OBJECTS = 200_000  # of a page, those of its forms included
_MOST_SEGMENTS = 1_000_000
_MOST_DEPTH = 12  # of forms in forms
_THICKEST_RULE = 4.0  # points; a thicker bar is a filled area
_LONGER_THAN_THICK = 4.0  # times, that a filled rectangle must be to be a line
_SLANT = 0.02  # of its length, that a line may miss its direction by


@dataclass
class Drawn:
    """What was found on a page, in the order of painting."""

    space: PageSpace
    painted: list[Painted] = field(default_factory=list)
    pictures: list[Box] = field(default_factory=list)

    def visible(self, words: list[Word]) -> tuple[list[Ruling], list[Fill]]:
        """The rulings and fills that can be seen, pieces joined, without lines under words."""
        return visible(self.painted, self.space, words)


def page_objects(page: Any, space: PageSpace, where: str) -> Drawn:
    """Lines, fills and pictures of a page.

    Raises:
        FormatError: there are more than 200,000 objects or a million segments of paths.
    """
    drawn = Drawn(space)
    _Walk(drawn, where).page(page.raw)
    return drawn


class _Walk:
    """A walk through the objects of a page and of its forms."""

    def __init__(self, drawn: Drawn, where: str) -> None:
        import pypdfium2.raw as pdfium

        self.pdfium, self.drawn, self.where = pdfium, drawn, where
        self.objects = self.segments = 0

    def page(self, page: Any) -> None:
        """All objects of a page."""
        count = self.pdfium.FPDFPage_CountObjects(page)
        for index in range(self._counted(count)):
            each = self.pdfium.FPDFPage_GetObject(page, index)
            self._object(each, self.drawn.space.matrix, self.drawn.space.box, 0)

    def _counted(self, count: int) -> int:
        self.objects += max(count, 0)
        if self.objects > _MOST_OBJECTS:
            wanted = f"at most {_MOST_OBJECTS:,} objects"
            raise FormatError(self.where, "content", wanted, f"{self.objects:,}")
        return max(count, 0)

    def _object(self, each: Any, space: Matrix, clip: Box, depth: int) -> None:
        """`space` takes the coordinates around the object to the page as shown."""
        pdfium = self.pdfium
        kind = pdfium.FPDFPageObj_GetType(each)
        if kind not in (
            pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_FORM,
        ):  # fmt: skip
            return
        clip = intersection(clip, self._clip(each, space))
        if clip[0] > clip[2] or clip[1] > clip[3]:
            return
        matrix = pdfium.FS_MATRIX()
        if not pdfium.FPDFPageObj_GetMatrix(each, byref(matrix)):
            return
        own = (matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f)
        to_page = times(own, space)
        if kind == pdfium.FPDF_PAGEOBJ_PATH:
            self._path(each, to_page, clip)
        elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            self._picture(moved_box(to_page, (0.0, 0.0, 1.0, 1.0)), clip)
        elif depth < _MOST_DEPTH:
            for index in range(self._counted(pdfium.FPDFFormObj_CountObjects(each))):
                inner = pdfium.FPDFFormObj_GetObject(each, index)
                self._object(inner, to_page, clip, depth + 1)

    def _clip(self, each: Any, space: Matrix) -> Box:
        """The box around what is left of an object by its clip paths."""
        pdfium = self.pdfium
        box = self.drawn.space.box
        path = pdfium.FPDFPageObj_GetClipPath(each)
        count = pdfium.FPDFClipPath_CountPaths(path) if path else 0
        for index in range(max(count, 0)):
            points = []
            segments = pdfium.FPDFClipPath_CountPathSegments(path, index)
            for number in range(self._more_segments(segments)):
                segment = pdfium.FPDFClipPath_GetPathSegment(path, index, number)
                points.append(self._point(segment, space))
            if points:
                box = intersection(box, union((x, y, x, y) for x, y in points))
        return box

    def _more_segments(self, count: int) -> int:
        self.segments += max(count, 0)
        if self.segments > _MOST_SEGMENTS:
            wanted = f"at most {_MOST_SEGMENTS:,} segments of paths"
            raise FormatError(self.where, "content", wanted, f"{self.segments:,}")
        return max(count, 0)

    def _point(self, segment: Any, space: Matrix) -> tuple[float, float]:
        x, y = c_float(), c_float()
        self.pdfium.FPDFPathSegment_GetPoint(segment, byref(x), byref(y))
        return moved(space, x.value, y.value)

    def _picture(self, box: Box, clip: Box) -> None:
        shown = intersection(box, clip)
        thin = min(shown[2] - shown[0], shown[3] - shown[1]) < _THICKEST_RULE
        if not thin and shown[0] < shown[2] and shown[1] < shown[3]:
            self.drawn.pictures.append(shown)

    def _path(self, each: Any, to_page: Matrix, clip: Box) -> None:
        pdfium = self.pdfium
        mode, stroked = c_int(), c_int()
        if not pdfium.FPDFPath_GetDrawMode(each, byref(mode), byref(stroked)):
            return
        fill = self._colour(pdfium.FPDFPageObj_GetFillColor, each) if mode.value else None
        stroke = self._colour(pdfium.FPDFPageObj_GetStrokeColor, each) if stroked.value else None
        if fill is None and stroke is None:
            return
        width = c_float()
        pdfium.FPDFPageObj_GetStrokeWidth(each, byref(width))
        thickness = width.value * (hypot(*to_page[:2]) + hypot(*to_page[2:4])) / 2
        for points, closed in self._subpaths(each, to_page):
            if fill is not None:
                self._filled(points, fill, clip)
            if stroke is not None:
                self._stroked([*points, points[0]] if closed else points, stroke, thickness, clip)

    def _colour(self, get: Any, each: Any) -> Colour | None:
        """The colour of an object; None where it is as good as transparent."""
        red, green, blue, alpha = (c_uint() for _ in range(4))
        if not get(each, byref(red), byref(green), byref(blue), byref(alpha)):
            return 0, 0, 0
        return (red.value, green.value, blue.value) if alpha.value >= 16 else None

    def _subpaths(self, each: Any, to_page: Matrix) -> list[tuple[list[tuple[float, float]], bool]]:
        """Polygons of a path, and whether each is closed; curves are left out."""
        pdfium = self.pdfium
        parts: list[tuple[list[tuple[float, float]], bool]] = []
        points: list[tuple[float, float]] = []
        curved = False
        count = self._more_segments(pdfium.FPDFPath_CountSegments(each))
        for index in range(count + 1):
            segment = pdfium.FPDFPath_GetPathSegment(each, index) if index < count else None
            kind = pdfium.FPDFPathSegment_GetType(segment) if segment else None
            if kind in (None, pdfium.FPDF_SEGMENT_MOVETO):
                if len(points) > 1 and not curved:
                    parts.append((points, False))
                points, curved = [], False
            if segment is None:
                continue
            points.append(self._point(segment, to_page))
            curved |= kind == pdfium.FPDF_SEGMENT_BEZIERTO
            if pdfium.FPDFPathSegment_GetClose(segment):
                if len(points) > 1 and not curved:
                    parts.append((points, True))
                points, curved = [points[0]], False
        return parts

    def _filled(self, points: list[tuple[float, float]], colour: Colour, clip: Box) -> None:
        box = union((x, y, x, y) for x, y in points)
        if not _is_rectangle(points, box):
            return
        width, height = box[2] - box[0], box[3] - box[1]
        thin = min(width, height) <= _THICKEST_RULE
        line = thin and max(width, height) >= _LONGER_THAN_THICK * min(width, height)
        self.drawn.painted.append(Painted(intersection(box, clip), colour, is_line=line))

    def _stroked(
        self, points: list[tuple[float, float]], colour: Colour, thickness: float, clip: Box
    ) -> None:
        half = max(thickness, 0.1) / 2
        for (x0, y0), (x1, y1) in pairwise(points):
            wide, high = abs(x1 - x0), abs(y1 - y0)
            if min(wide, high) > max(_SLANT * max(wide, high), 0.01):
                continue
            if thickness > _THICKEST_RULE and max(wide, high) < _LONGER_THAN_THICK * thickness:
                continue
            x, y = (x0 + x1) / 2, (y0 + y1) / 2
            if wide >= high:
                box = (min(x0, x1), y - half, max(x0, x1), y + half)
            else:
                box = (x - half, min(y0, y1), x + half, max(y0, y1))
            line = thickness <= _THICKEST_RULE
            self.drawn.painted.append(Painted(intersection(box, clip), colour, is_line=line))


def _is_rectangle(points: list[tuple[float, float]], box: Box) -> bool:
    """Whether a polygon is an upright rectangle: every corner is one of its box's."""
    near = 0.05 + 0.01 * min(box[2] - box[0], box[3] - box[1])
    corners = {
        (abs(x - box[0]) <= near, abs(y - box[1]) <= near)
        for x, y in points
        if min(abs(x - box[0]), abs(x - box[2])) <= near
        and min(abs(y - box[1]), abs(y - box[3])) <= near
    }
    on = sum(
        min(abs(x - box[0]), abs(x - box[2])) <= near
        and min(abs(y - box[1]), abs(y - box[3])) <= near
        for x, y in points
    )
    flat = box[2] - box[0] <= near or box[3] - box[1] <= near
    return on == len(points) <= 6 and (len(corners) == 4 or flat)
