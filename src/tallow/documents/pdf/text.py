"""Words of a PDF's page from its characters: size, weight, raised marks and turned text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from ctypes import byref, c_double, c_int, c_void_p, cast, create_string_buffer
from itertools import pairwise
from math import atan2, degrees, hypot
from typing import Any

from tallow.documents.content import Word
from tallow.documents.geometry import Box
from tallow.documents.pdf.space import PageSpace, moved, moved_box
from tallow.errors import FormatError
from tallow.lazy_dataclasses import dataclass

_MOST_CHARACTERS = 500_000  # of a page; a dense page has about 10,000
_INVISIBLE = 3  # text rendering mode, ISO 32000-1, table 106
_MOST_SLANT = 15.0  # degrees by which text may miss one of the four directions

# Of the size of the text.
_WORD_GAP = 0.15  # after a letter's advance; a space is about 0.25 wide, kerning below 0.1
_LINE_GAP = 0.45  # where no single space says that words belong together
_SPACED_GAP = 2.0  # of the advance of the space between them: justified lines have wider ones
_NO_SPACE = 0.12  # nearer letters of two texts may be of one word
_SAME_BASELINE = 0.12
_ASCENT, _DESCENT = 0.75, 0.22  # of common Latin fonts
_RAISED_SIZE = 0.86  # of its neighbour's, at most
_RAISED_BY = (0.15, 0.9)

_TELLING = 3  # gaps as of spaces between words, by which a page tells whether it draws these
_MOST_SPACED = 0.7  # of such gaps

_SPELLED = {0x02: "-", 0xAD: "-", 0xFFFE: "-"}  # how PDFium gives hyphens at the ends of lines
_LIGATURES = range(0xFB00, 0xFB07)


@dataclass(frozen=True)
class _Style:
    """What all characters of one text object share; `turn` None: drawn slantwise."""

    size: float
    turn: int | None
    bold: bool
    italic: bool
    drawn: bool


@dataclass
class _Run:
    """Characters of a word, along and across (down) their direction of reading.

    Its ink lies from `start` to `end`, its next letter would stand at `next`.
    """

    text: str
    start: float
    end: float
    origin: float
    next: float
    baseline: float
    style: _Style
    raised: bool = False
    line: int = -1
    space: float = 0.0  # the advance of the one space before it; 0 where there is none, or several


def page_words(page: Any, space: PageSpace, where: str) -> list[Word]:
    """The words that are drawn on a page, line by line in the order of the file.

    Raises:
        FormatError: there are more than half a million characters, or the text cannot be read.
    """
    with _TextPage(page, where) as text:
        runs = _runs(text.characters(space))
    _number_lines(runs)
    _mark_raised(runs)
    words = [_word(run, space) for run in runs]
    return [word for word in words if word is not None]


def readable_share(page: Any, where: str) -> float:
    """How many of a page's characters are drawn and have a Unicode; 0 where there are none."""
    with _TextPage(page, where) as text:
        return text.readable_share()


class _TextPage:
    """The text of a page while it is open."""

    def __init__(self, page: Any, where: str) -> None:
        import pypdfium2.raw as pdfium

        self.pdfium, self.where = pdfium, where
        self.raw = pdfium.FPDFText_LoadPage(page.raw)
        if not self.raw:
            raise FormatError(where, "text", "text that can be read", "damaged text")
        self.count = pdfium.FPDFText_CountChars(self.raw)
        if self.count > _MOST_CHARACTERS:
            pdfium.FPDFText_ClosePage(self.raw)
            wanted = f"at most {_MOST_CHARACTERS:,} characters"
            raise FormatError(where, "text", wanted, f"{self.count:,}")
        self.styles: dict[tuple[int, int], _Style] = {}

    def __enter__(self) -> _TextPage:
        return self

    def __exit__(self, *_: object) -> None:
        self.pdfium.FPDFText_ClosePage(self.raw)

    def characters(self, space: PageSpace) -> Iterator[_Run | float]:
        """Each drawn character as a run of its own; of a space, narrower than high, its advance."""
        pdfium, raw = self.pdfium, self.raw
        left, right, bottom, top, x, y = (c_double() for _ in range(6))
        loose = pdfium.FS_RECTF()
        lead = 0
        for index in range(max(self.count, 0)):
            if pdfium.FPDFText_IsGenerated(raw, index) == 1:
                continue  # where spaces are is seen from where the others stand
            code = pdfium.FPDFText_GetUnicode(raw, index)
            if 0xD800 <= code < 0xDC00:
                lead = code
                continue
            if 0xDC00 <= code < 0xE000 and lead:
                code = 0x10000 + ((lead - 0xD800) << 10) + (code - 0xDC00)
            lead = 0
            text = spelled(code)
            if not text:
                pdfium.FPDFText_GetLooseCharBox(raw, index, byref(loose))
                yield max(0.0, min(loose.right - loose.left, loose.top - loose.bottom))
                continue
            style = self._style(index, space)
            if not style.drawn or style.turn is None:
                continue
            pdfium.FPDFText_GetCharBox(raw, index, left, right, bottom, top)
            pdfium.FPDFText_GetCharOrigin(raw, index, x, y)
            pdfium.FPDFText_GetLooseCharBox(raw, index, byref(loose))
            box = moved_box(space.matrix, (left.value, bottom.value, right.value, top.value))
            whole = (loose.left, loose.bottom, loose.right, loose.top)
            origin = moved(space.matrix, x.value, y.value)
            if _outside(box, space.box):
                continue
            yield _character(text, box, moved_box(space.matrix, whole), origin, style)

    def _style(self, index: int, space: PageSpace) -> _Style:
        owner = self.pdfium.FPDFText_GetTextObject(self.raw, index)
        address = cast(owner, c_void_p).value or 0 if owner else 0
        matrix = self.pdfium.FS_MATRIX()
        self.pdfium.FPDFText_GetMatrix(self.raw, index, byref(matrix))
        key = (address, hash((matrix.a, matrix.b, matrix.c, matrix.d)))
        found = self.styles.get(key)
        if found is None:
            found = self.styles[key] = self._make_style(index, owner, matrix, space)
        return found

    def _make_style(self, index: int, owner: Any, matrix: Any, space: PageSpace) -> _Style:
        pdfium = self.pdfium
        size = pdfium.FPDFText_GetFontSize(self.raw, index) * hypot(matrix.c, matrix.d)
        a, b, c, d = space.matrix[:4]
        along = (a * matrix.a + c * matrix.b, b * matrix.a + d * matrix.b)
        angle = degrees(atan2(along[1], along[0])) % 360  # clockwise, as y points down
        turn = round(angle / 90) % 4 * 90
        slant = abs((angle - turn + 180) % 360 - 180)
        name, flags = self._font(index)
        weight = pdfium.FPDFText_GetFontWeight(self.raw, index)
        mode = pdfium.FPDFTextObj_GetTextRenderMode(owner) if owner else 0
        bold = weight >= 600 or any(each in name for each in ("bold", "black", "heavy", "demi"))
        italic = bool(flags & 64) or "italic" in name or "oblique" in name
        return _Style(
            abs(size), turn if slant <= _MOST_SLANT else None, bold, italic, mode != _INVISIBLE
        )

    def _font(self, index: int) -> tuple[str, int]:
        """The name of a character's font in small letters, and its flags."""
        buffer, flags = create_string_buffer(256), c_int()
        size = self.pdfium.FPDFText_GetFontInfo(self.raw, index, buffer, 256, byref(flags))
        name = buffer.raw[: min(size, 256)].split(b"\0")[0].decode("utf-8", "replace")
        return name.lower(), flags.value

    def readable_share(self) -> float:
        """How many characters are drawn and have a Unicode."""
        pdfium, raw = self.pdfium, self.raw
        seen = good = 0
        for index in range(max(self.count, 0)):
            code = pdfium.FPDFText_GetUnicode(raw, index)
            if pdfium.FPDFText_IsGenerated(raw, index) == 1 or chr(code).isspace():
                continue
            seen += 1
            owner = pdfium.FPDFText_GetTextObject(raw, index)
            drawn = not owner or pdfium.FPDFTextObj_GetTextRenderMode(owner) != _INVISIBLE
            lost = code in (0, 0xFFFD) or pdfium.FPDFText_HasUnicodeMapError(raw, index) == 1
            good += drawn and not lost
        return good / seen if seen else 0.0


def spelled(code: int) -> str:
    """A character as it is to be read: ligatures in letters; empty for spaces and controls."""
    if code in _SPELLED:
        return _SPELLED[code]
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        return "\ufffd"
    text = chr(code)
    if code in _LIGATURES:
        return unicodedata.normalize("NFKC", text)
    if text.isspace() or unicodedata.category(text) in ("Cc", "Cf"):
        return ""
    return text


def _outside(box: Box, page: Box) -> bool:
    return box[2] < page[0] or box[0] > page[2] or box[3] < page[1] or box[1] > page[3]


def _along(box: Box, turn: int) -> tuple[float, float]:
    """Where a box starts and ends in the direction of its text."""
    left, top, right, bottom = box
    return {0: (left, right), 90: (top, bottom), 180: (-right, -left), 270: (-bottom, -top)}[turn]


def _character(text: str, box: Box, whole: Box, origin: tuple[float, float], style: _Style) -> _Run:
    """A character in the directions of its text: `box` of its ink, `whole` with its advance."""
    turn = style.turn or 0
    x, y = origin
    at, baseline = {0: (x, y), 90: (y, -x), 180: (-x, -y), 270: (-y, x)}[turn]
    start, end = _along(box, turn)
    height = box[3] - box[1] if turn in (0, 180) else box[2] - box[0]
    if style.size < 0.4 * height:  # of fonts whose own unit is not 1/1000
        style = _Style(height / 0.7, style.turn, style.bold, style.italic, style.drawn)
    return _Run(text, start, end, at, max(_along(whole, turn)[1], end), baseline, style)


def _runs(characters: Iterator[_Run | float]) -> list[_Run]:
    """Characters joined to words; one drawn twice, as for weight, counts once."""
    runs: list[_Run] = []
    open_run: _Run | None = None
    last: _Run | None = None
    spaces: list[float] = []
    for each in characters:
        if isinstance(each, float):
            open_run = last = None
            spaces.append(each)
            continue
        if open_run is not None and last is not None and _is_piece(last, each):
            open_run.text += each.text
            continue
        if open_run is not None and _drawn_again(open_run, each):
            continue
        if open_run is not None and _goes_on(open_run, each):
            open_run.text += each.text
            open_run.end = max(open_run.end, each.end)
            open_run.next = each.next
        else:
            each.space = spaces[0] if len(spaces) == 1 else 0.0
            spaces = []
            open_run = each
            runs.append(each)
        last = each
    return runs


def _goes_on(run: _Run, each: _Run) -> bool:
    a, b = run.style, each.style
    size = max(a.size, b.size)
    same = a.turn == b.turn and min(a.size, b.size) >= 0.9 * size
    level = abs(run.baseline - each.baseline) <= _SAME_BASELINE * size
    return same and level and -0.4 * size <= each.origin - run.next <= _WORD_GAP * size


def _is_piece(last: _Run, each: _Run) -> bool:
    """Whether two letters are of one drawn character: a ligature of one text object."""
    places = [(run.origin, run.start, run.end, run.baseline) for run in (last, each)]
    return each.style is last.style and places[0] == places[1]


def _drawn_again(run: _Run, each: _Run) -> bool:
    near = 0.1 * each.style.size
    same = run.text.endswith(each.text) and abs(run.baseline - each.baseline) < near
    width = each.end - each.start
    return same and abs(run.end - each.end) < near and width > 2 * near


def _number_lines(runs: list[_Run]) -> None:
    """Give runs that stand close to each other on one line its number."""
    line, spaced = 0, _is_spaced(runs)
    for index, run in enumerate(runs):
        before = runs[index - 1] if index else None
        if before is None or not _same_line(before, run, spaced):
            line += 1
        run.line = line - 1


def _is_spaced(runs: list[_Run]) -> bool:
    """Whether a page draws spaces between words, so that none between two tells of two cells."""
    near = [
        b.space > 0
        for a, b in pairwise(runs)
        if a.style is b.style  # of one text
        and abs(a.baseline - b.baseline) <= _SAME_BASELINE * b.style.size
        and _NO_SPACE * b.style.size < b.start - a.end <= _LINE_GAP * b.style.size
    ]
    return len(near) >= _TELLING and sum(near) >= _MOST_SPACED * len(near)


def _same_line(a: _Run, b: _Run, spaced: bool) -> bool:
    size = max(a.style.size, b.style.size)
    apart = b.start - a.end
    level = abs(a.baseline - b.baseline) <= 0.6 * size
    if spaced and not b.space and a.style is not b.style and apart > _NO_SPACE * size:
        return False
    gap = max(_LINE_GAP * size, min(_SPACED_GAP * b.space, size))
    return a.style.turn == b.style.turn and level and -0.4 * size <= apart <= gap


def _mark_raised(runs: list[_Run]) -> None:
    """Mark runs that are smaller than, and raised beside, a neighbour in the order of the file."""
    for index, run in enumerate(runs):
        for other in (index - 1, index + 1):
            if 0 <= other < len(runs) and _is_raised(run, runs[other]):
                run.raised = True
                run.line = runs[other].line


def _is_raised(run: _Run, beside: _Run) -> bool:
    size = beside.style.size
    apart = max(run.start - beside.end, beside.start - run.end)
    up = beside.baseline - run.baseline
    return (
        run.style.turn == beside.style.turn
        and run.style.size <= _RAISED_SIZE * size
        and _RAISED_BY[0] * size <= up <= _RAISED_BY[1] * size
        and apart <= 0.35 * size
    )


def _word(run: _Run, space: PageSpace) -> Word | None:
    style, size = run.style, run.style.size
    text = unicodedata.normalize("NFC", run.text).strip()
    above, below = run.baseline - _ASCENT * size, run.baseline + _DESCENT * size
    start, end = run.start, max(run.end, run.start + 0.05 * size)
    box = {
        0: (start, above, end, below),
        90: (-below, start, -above, end),
        180: (-end, -below, -start, -above),
        270: (above, -end, below, -start),
    }[style.turn or 0]
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    right, bottom = min(box[2], space.width), min(box[3], space.height)
    if not text or right <= left or bottom <= top:
        return None
    return Word(
        text, (left, top, right, bottom), raised=run.raised, bold=style.bold,
        italic=style.italic, size=size, turn=style.turn or 0, line=run.line,
    )  # fmt: skip
