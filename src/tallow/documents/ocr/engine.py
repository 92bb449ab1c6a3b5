"""OCR: the words of pictures, by PP-OCR's models: lines found, cut, read, and split into words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallow.documents.content import Word
from tallow.documents.geometry import Box, Quad, box_of, quad_of, union
from tallow.documents.ocr import crops, marks, rectangles
from tallow.documents.ocr.detection import LineArea, find_lines
from tallow.documents.ocr.forms import spelled
from tallow.documents.ocr.ink import PageInk, page_ink
from tallow.documents.ocr.languages import check_language, readable
from tallow.documents.ocr.marks import Mark
from tallow.documents.ocr.models import characters, model_set
from tallow.documents.ocr.recognition import Reading, recognise
from tallow.documents.ocr.refining import RAISED
from tallow.documents.ocr.scale import detection_scale, strips
from tallow.documents.ocr.words import words_of_line
from tallow.lazy_dataclasses import dataclass, replace

if TYPE_CHECKING:
    from tallow.documents.content import Pixels

LEAST_SIDE = 5
"""Pixels: digits that can be told from each other are five high."""


@dataclass(frozen=True)
class Line:
    """A line of text: what it says, its corners on the page, and how many degrees it is turned."""

    text: str
    confidence: float
    quad: Quad
    turn: int = 0
    words: tuple[Word, ...] = ()

    @property
    def box(self) -> Box:
        """The upright box around it."""
        return box_of(self.quad)


class OCR:
    """A reader of the text of pictures: `OCR().read(pixels)`.

    `models` are "small" (PP-OCRv6, 18,708 characters), "tiny" (PP-OCRv6, the fast one) or "v5"
    (PP-OCRv5 mobile). `language` is what the text is in, as "de" or "zh-TW": one that the models
    lack letters of is refused, otherwise it changes nothing. `least_confidence` is what a line must
    have to be kept.
    """

    def __init__(
        self,
        models: str = "small",
        *,
        language: str | None = None,
        least_confidence: float = 0.5,
    ) -> None:
        """Choose models; they are loaded when they are first needed.

        Raises:
            ArgumentError: there are no models of that name, the language is not known, or the
                models cannot read it.
            HubError: a language is given, and the models cannot be fetched.
        """
        self.models = model_set(models)
        self.language = language and check_language(language, characters(self.models), models)
        self.least_confidence = least_confidence

    @property
    def languages(self) -> list[str]:
        """The codes of the languages whose letters the models have."""
        return readable(characters(self.models))

    def read(self, source: Any) -> list[Word]:
        """The words of a page, in its pixels, line by line from the top.

        `source` is a picture as `tallow.vision.load_image` takes it: (height, width, 3) of u8, a
        path, …

        Raises:
            FormatError, ShapeError: it is no picture.
            HubError: models cannot be fetched.
        """
        return [word for line in self.lines(source) for word in line.words]

    def lines(self, source: Any) -> list[Line]:
        """The lines of a page, from the top, and from the left where they stand side by side.

        Raises:
            As `read`.
        """
        import numpy as np

        from tallow.vision import load_image

        page = load_image(source)
        pixels: Pixels = np.asarray(page)
        if min(pixels.shape[:2]) < LEAST_SIDE:  # a line of pixels, enlarged, would take minutes
            return []
        ink = page_ink(pixels)
        areas = in_rows(self._areas(pixels, ink))
        quads = [rectangles.straightened(area.quad) for area in areas]
        missed = marks.missed(ink, quads)
        alone = [_padded(mark.box, ink.height) for mark in missed if not mark.bar and not mark.text]
        found: list[Line] = []
        for quad, (reading, turn, crop) in zip(
            [*quads, *alone], self._readings(page, quads, alone), strict=True
        ):
            if not reading.text.strip() or reading.confidence < self.least_confidence:
                continue
            words = tuple(words_of_line(reading, crop, quad, turn, len(found)))
            text = text_of(words) or reading.text.strip()
            found.append(Line(text, reading.confidence, quad, turn, words))
        # In lines that nothing was read of there are lone marks, too.
        missed = marks.missed(ink, [line.quad for line in found])
        missed = marks.like_others(missed, [word for line in found for word in line.words], ink)
        return _with_marks(found, [mark for mark in missed if mark.bar or mark.text], ink)

    def _areas(self, pixels: Pixels, ink: PageInk) -> list[LineArea]:
        """Where lines are; of a page that is too large for the detector, strip by strip."""
        found: list[LineArea] = []
        for top, bottom in strips(pixels.shape[:2], ink):
            part = pixels[top:bottom]
            scale = detection_scale(part.shape[:2], ink.height)
            for area in find_lines(part, self.models, scale):
                a, b, c, d = ((x, y + top) for x, y in area.quad)
                found.append(LineArea((a, b, c, d), area.score))
        return found

    def recognise(self, lines: Sequence[Pixels]) -> list[Reading]:
        """What each line says; lines are (48, width, 3) RGB."""
        return recognise(lines, self.models)

    def read_lines(self, crops_of_lines: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Text and confidence of pictures that hold one line each, (height, width, 3) RGB."""
        readings = self.recognise([crops.resized(each) for each in crops_of_lines])
        return [(spelled(each.text), each.confidence) for each in readings]

    def _readings(
        self, page: Any, quads: Sequence[Quad], alone: Sequence[Quad]
    ) -> list[tuple[Reading, int, Pixels]]:
        """What is read of each rectangle, how it is turned, and the crop it was read from.

        Of a tall one both turns are read, and the surer one counts; of one that may be a single
        character, that way too.
        """
        ways = [*[self._turns(quad, quads) for quad in quads], *[(0,) for _ in alone]]
        quads = [*quads, *alone]
        asked = [(i, turn) for i, turns in enumerate(ways) for turn in turns]
        pictures = [crops.cut(page, quads[i], turn) for i, turn in asked]
        best: dict[int, tuple[Reading, int, Pixels]] = {}
        readings = self.recognise(pictures)
        for (i, turn), picture, reading in zip(asked, pictures, readings, strict=True):
            if i not in best or _is_better(reading, best[i], ways[i]):
                best[i] = (reading, turn, picture)
        return [best[i] for i in range(len(quads))]

    @staticmethod
    def _turns(quad: Quad, quads: Sequence[Quad]) -> tuple[int, ...]:
        width, height = rectangles.sides(quad)
        if height < 1.5 * width:
            return (0,)
        usual = sorted(min(rectangles.sides(each)) for each in quads)[len(quads) // 2]
        return (0, 270, 90) if height < 2 * usual else (270, 90)


def _is_better(reading: Reading, best: tuple[Reading, int, Pixels], ways: Sequence[int]) -> bool:
    """Whether a line is rather read so than as before.

    What may be one upright character is, unless a turned reading has more and is clearly surer.
    """
    ahead = reading.confidence - best[0].confidence
    if best[1] == 0 and 0 in ways:
        return ahead > 0.1 and len(reading.text) > 1
    return ahead > 0


def _padded(box: Box, usual: float) -> Quad:
    """A mark's box with room around it, as high as a line, as recognisers are used to."""
    left, top, right, bottom = box
    by = max(0.25 * usual, (1.5 * usual - (bottom - top)) / 2)
    return quad_of((left - 0.35 * usual, top - by, right + 0.35 * usual, bottom + by))


def _with_marks(lines: Sequence[Line], missed: Sequence[Mark], ink: PageInk) -> list[Line]:
    """Lines with their dashes and marks as the ink says, and the marks that no line holds."""
    words = [word for line in lines for word in line.words]
    for mark in missed:
        text, sure = mark.text or marks.HYPHEN, marks.MARK_CONFIDENCE
        top, bottom = marks.rows_beside(mark.box, words, ink.height)
        box = (mark.box[0], top, mark.box[2], bottom)
        word = Word(text, box if mark.bar else mark.box, sure, line=len(lines))
        lines = [*lines, Line(text, sure, quad_of(mark.box), 0, (word,))]
        words.append(word)
    found: dict[int, list[Word]] = {}
    for word in marks.with_marks(words, ink):
        found.setdefault(word.line, []).append(word)
    return [_with_words(line, tuple(found.get(i, ()))) for i, line in enumerate(lines)]


def line_of(words: Sequence[Word]) -> Line:
    """A line of the words that it consists of."""
    sure = sum(word.confidence for word in words) / len(words)
    quad = words[0].quad if len(words) == 1 and words[0].quad else None
    quad = quad or quad_of(union(word.box for word in words))
    return Line(text_of(words), sure, quad, words[0].turn, tuple(words))


def _with_words(line: Line, words: tuple[Word, ...]) -> Line:
    """A line with other words; its text stays where they say the same."""
    if words == line.words:
        return line
    return replace(line, text=text_of(words), words=words)


def text_of(words: Sequence[Word]) -> str:
    """The text of words: a space before each that is not glued to the one before.

    What is raised is in superscript characters where Unicode has them.
    """
    parts = []
    for i, word in enumerate(words):
        text = word.text.translate(RAISED) if word.raised else word.text
        parts.append(text if word.glued or not i else " " + text)
    return "".join(parts)


def in_rows(areas: Sequence[LineArea]) -> list[LineArea]:
    """Areas from the top; those whose middles are within half a height of one, from the left."""
    left = sorted(areas, key=lambda area: _middle(area)[1])
    found: list[LineArea] = []
    while left:
        first = left[0]
        height = min(rectangles.sides(first.quad))
        limit = _middle(first)[1] + height / 2
        row = [area for area in left if _middle(area)[1] <= limit]
        left = left[len(row) :]
        found += sorted(row, key=lambda area: _middle(area)[0])
    return found


def _middle(area: LineArea) -> tuple[float, float]:
    left, top, right, bottom = box_of(area.quad)
    return (left + right) / 2, (top + bottom) / 2
