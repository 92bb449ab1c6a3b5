"""A PDF file: its pages as `PageContent`, rendered, and whether they are scans.

PDFium does the parsing (https://pdfium.googlesource.com), by the raw interface of pypdfium2. It is
not safe in threads, so every call is made under one lock. A page is open only while it is read.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tallow.documents.content import PageContent
from tallow.documents.geometry import Box, area, union
from tallow.documents.pdf.probing import Probe, is_suspicious
from tallow.documents.pdf.space import PageSpace, page_space
from tallow.errors import FormatError, IndexRangeError, MissingExtraError, expect

if TYPE_CHECKING:
    from tallow.documents.content import Pixels

_lock = threading.RLock()

_PASSWORD, _SECURITY = 4, 5  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY
_MOST_BYTES = 1 << 30
_MOST_PIXELS = 32_000_000  # of a rendered page: 96 MB of RGB
_MOST_SIDE = 30_000  # pixels
_MOST_ANNOTATIONS = 10_000  # of a page
_RENDERED_DPI = 144.0
_SCAN_SHARE = 0.5  # of a page, that a picture covers where the page is a scan
_WHOLE_SHARE = 0.8  # of a page, that the picture covers on which a stamp is no text layer
_STAMP_SHARE = 0.01  # of a page, that a stamp covers: a line of 60 letters of 9 points covers 0.005
_POINTS_PER_INCH = 72.0


class PdfFile:
    """A PDF, by path or as bytes; pages are counted from 0.

    Raises:
        FormatError: it is empty, damaged, too large, has no pages, or needs another password.
        MissingExtraError: pypdfium2 is not installed.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes,
        password: str | None = None,
        name: str | None = None,
    ) -> None:
        self.name = name or ("PDF" if isinstance(source, bytes) else os.fspath(source))
        self._document: Any = None
        data = source if isinstance(source, bytes) else _read(Path(source))
        _check_head(self.name, data)
        with _lock:
            self._document = _open(self.name, data, password)
        self._probe = Probe(data, password) if is_suspicious(data) else None

    def __len__(self) -> int:
        with _lock:
            return len(self._opened())

    def __enter__(self) -> PdfFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; its pages cannot be read any more."""
        with _lock:
            document, self._document = self._document, None
            if document is not None:
                document.close()
                if self._probe is not None:
                    self._probe.close()

    def content(self, index: int) -> PageContent:
        """What is on a page, in points of the page as it is shown: `/Rotate` and crop box honoured.

        Text that is not drawn, lies outside of the page or runs slantwise is left out.

        Raises:
            FormatError: the page cannot be read, or holds more than can be right.
            IndexRangeError: there is no such page.
        """
        from tallow.documents.pdf.objects import page_objects
        from tallow.documents.pdf.text import page_words

        with self._page(index) as (page, space, where):
            words = page_words(page, space, where)
            drawn = page_objects(page, space, where)
        rulings, fills = drawn.visible(words)
        scale = _bounded_scale(space, _RENDERED_DPI / _POINTS_PER_INCH)
        rendered = _Rendered(self, index, scale)
        return PageContent(
            space.width, space.height, "text layer", words, rulings, fills, drawn.pictures,
            rendered, scale,
        )  # fmt: skip

    def picture(self, index: int, dpi: float = 200.0) -> Pixels:
        """A page as pixels, RGB, (height, width, 3), at `dpi` or what 32 million pixels allow."""
        with self._page(index) as (page, space, where):
            return _render(page, _bounded_scale(space, dpi / _POINTS_PER_INCH), where)

    def is_scan(self, index: int) -> bool:
        """Whether a page's text must be read from its picture.

        So it is where no drawn text is there to be had (none, an invisible one as of OCR, or one
        without Unicode) and pictures cover half of the page, or where there is nothing at all but
        a picture. A stamp or a page number on a picture of the whole page leaves it a scan.
        """
        from tallow.documents.pdf.objects import page_objects
        from tallow.documents.pdf.text import page_words, readable_share

        with self._page(index) as (page, space, where):
            whole = space.width * space.height
            least = _SCAN_SHARE
            if readable_share(page, where) >= 0.5:
                words = page_words(page, space, where)
                if sum(area(word.box) for word in words) > _STAMP_SHARE * whole:
                    return False
                least = _WHOLE_SHARE
            pictures = page_objects(page, space, where).pictures
        return _covered(pictures) >= least * whole

    def _opened(self) -> Any:
        expect(self._document is not None, self.name, "an open file", "one that was closed")
        return self._document

    @contextmanager
    def _page(self, index: int) -> Iterator[tuple[Any, PageSpace, str]]:
        """A page while it is open, its space, and its name for errors."""
        with _lock:
            document = self._opened()
            count = len(document)
            wanted = f"the index of a page, from 0 to {count - 1}"
            expect(0 <= index < count, self.name, wanted, index, IndexRangeError)
            where = f"{self.name}: page {index + 1}"
            if self._probe is not None:
                self._probe.check(index, where)
            page = _load_page(document, index, where)
            try:
                yield page, page_space(page.raw, where), where
            finally:
                page.close()


class _Rendered:
    """The picture of a page, rendered when it is first asked for."""

    def __init__(self, file: PdfFile, index: int, scale: float) -> None:
        self.file, self.index, self.scale = file, index, scale
        self.pixels: Pixels | None = None

    def __call__(self) -> Pixels:
        if self.pixels is None:
            with self.file._page(self.index) as (page, _, where):
                self.pixels = _render(page, self.scale, where)
        return self.pixels


def _read(path: Path) -> bytes:
    size = path.stat().st_size if path.is_file() else 0
    if size > _MOST_BYTES:
        raise FormatError(path, "size", f"at most {_MOST_BYTES:,} bytes", f"{size:,}")
    return path.read_bytes()


def _check_head(name: str, data: bytes) -> None:
    if not data:
        raise FormatError(name, "size", "a PDF", "an empty file")
    if b"%PDF-" not in data[:1024]:  # readers accept it within the first KiB
        raise FormatError(name, "first bytes", "%PDF-", repr(data[:8]))


def _open(name: str, data: bytes, password: str | None) -> Any:
    try:
        import pypdfium2
    except ImportError:
        raise MissingExtraError(
            f"{name}: PDFs are read with pypdfium2: pip install 'tallow[vision]'"
        ) from None
    try:
        document = pypdfium2.PdfDocument(data, password)
        document.init_forms()  # which draws fields that have a value and no look
        return document
    except pypdfium2.PdfiumError as error:
        if error.err_code == _PASSWORD:
            got = "a wrong one" if password else "none"
            raise FormatError(name, "encryption", "the password of the file", got) from None
        if error.err_code == _SECURITY:
            wanted = "none, or the standard one by password"
            raise FormatError(name, "encryption", wanted, "another kind") from None
        got = f"a damaged one, or one without pages ({error})"
        raise FormatError(name, "structure", "a PDF", got) from None
    except (ValueError, TypeError) as error:  # of a password that is no text
        raise FormatError(name, "encryption", "a password", error) from None


def _load_page(document: Any, index: int, where: str) -> Any:
    """A page, with what its fields and notes show as part of what is drawn on it."""
    import pypdfium2
    import pypdfium2.raw as pdfium

    try:
        page = document[index]
        if 0 < pdfium.FPDFPage_GetAnnotCount(page.raw) <= _MOST_ANNOTATIONS:
            done = pdfium.FPDFPage_Flatten(page.raw, pdfium.FLAT_NORMALDISPLAY)
            if done == pdfium.FLATTEN_SUCCESS:
                page.close()  # what is drawn is known of a page that is opened anew
                page = document[index]
        return page
    except pypdfium2.PdfiumError as error:
        raise FormatError(where, "structure", "a page", f"a damaged one ({error})") from None


def _bounded_scale(space: PageSpace, scale: float) -> float:
    """Pixels per point, at most `scale`, so that the picture of the page stays within bounds."""
    most: float = min(
        (_MOST_PIXELS / (space.width * space.height)) ** 0.5,
        _MOST_SIDE / max(space.width, space.height),
    )
    return min(max(scale, 1e-3), most)


def _render(page: Any, scale: float, where: str) -> Pixels:
    import numpy as np
    import pypdfium2

    try:
        bitmap = page.render(scale=scale, rev_byteorder=True, prefer_bgrx=True)
        pixels = np.array(bitmap.to_numpy()[:, :, :3])
        bitmap.close()
    except (pypdfium2.PdfiumError, ValueError) as error:
        raise FormatError(where, "picture", "a page that can be drawn", error) from None
    return pixels


def _covered(pictures: list[Box]) -> float:
    """The area under pictures: the largest, or all where they are strips of one scan."""
    if not pictures:
        return 0.0
    whole = area(union(pictures))
    return max(max(map(area, pictures)), min(whole, sum(map(area, pictures))))
