"""A run of `tallow ocr`: pages read as `tallow table` does, written as text in some form."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallow.cli.table_job import Job
from tallow.cli.writing import note, written

if TYPE_CHECKING:
    from tallow.cli.items import NamedItem
    from tallow.documents import Document, Page
    from tallow.documents.content import Pixels
    from tallow.documents.inputs import Input
    from tallow.documents.ocr.outputs import TextPage


class TextJob(Job):
    """Reads documents and writes their text to `output`, or prints it.

    Raises:
        As `Job`.
    """

    command = "ocr"
    default = "txt"
    binary = ("pdf",)
    lean = False
    password: str | None = None
    _opened: tuple[Any, Input] | None = None

    def run(self, found: list[NamedItem], pages: str | None, password: str | None) -> int:
        """Read and write everything; 0.

        Raises:
            ArgumentError: some files or pages failed; what the others have is written.
        """
        self._sources = {"stdin" if item.id == "-" else item.id: item.value for item in found}
        return super().run(found, pages, password)

    @staticmethod
    def suffixes() -> dict[str, str]:
        """The format of a file by its suffix."""
        from tallow.documents.ocr.outputs import SUFFIXES

        return SUFFIXES

    def ending(self) -> str:
        """What names of files in a folder end in."""
        return "xml" if self.format == "alto" else str(self.format)

    def tell_empty(self, document: Document) -> int:
        """A note where a document has no text; no failure."""
        if document.pages and not any(page.words or page.error for page in document.pages):
            note(f"{document.name}: no text found")
        return 0

    def _write(self, documents: list[Document], target: str | None) -> None:
        from tallow.documents.ocr.outputs import FORMS
        from tallow.formats.replacing import Replacement, cleaned_at_signals

        listed = [
            self._text_page(document, page)
            for document in documents
            for page in document.pages
            if not page.error
        ]
        pieces = FORMS[self.format or "txt"](listed)
        if target is None:
            for piece in pieces:
                sys.stdout.write(piece.decode())
            return
        with written(target), cleaned_at_signals():
            file = Replacement(target)
            try:
                for piece in pieces:
                    file.write(piece)
                file.finish()
                file.commit()
            finally:
                file.discard()
                self._let_go()
        note(f"{target}: {len(listed)} page{'' if len(listed) == 1 else 's'}")

    def _text_page(self, document: Document, page: Page) -> TextPage:
        from tallow.documents.ocr.outputs import TextPage

        source = self._sources.get(document.name, document.name)
        layer = page.source == "text layer"
        dots = 72.0 if layer else float(self.reader.dpi)
        picture = self._picture(source, page)
        return TextPage(Path(document.name).name, page, picture, dots)

    def _input(self, source: Any) -> Input:
        """A file, opened once for all of its pages, which are written one after the other."""
        from tallow.documents.inputs import open_input

        if self._opened is None or self._opened[0] is not source:
            self._let_go()
            opened = open_input(source, password=self.password, dpi=self.reader.dpi)
            self._opened = source, opened
        return self._opened[1]

    def _let_go(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened[1].close()

    def _picture(self, source: Any, page: Page) -> Callable[[], Pixels]:
        """The picture of a page as it was read: turned upright as `to_original` says."""

        def picture() -> Pixels:
            import numpy as np

            from tallow.vision.images import pillow

            given = self._input(source).page(page.number)
            pixels = np.ascontiguousarray(given.pixels())
            if page.source == "text layer":
                return pixels
            image, shrunk = pillow(), given.shrunk
            *rows, last = page.to_original
            a, b, c, d, e, f, g, h = (value / last for value in rows)
            k = shrunk  # the homography leads to the file's pixels, the picture is smaller
            upright = (a * k, b * k, c * k, d * k, e * k, f * k, g, h)
            if upright == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0):
                return pixels
            size = (round(page.width), round(page.height))
            kind, how = image.Transform.PERSPECTIVE, image.Resampling.BILINEAR
            made = image.fromarray(pixels).transform(size, kind, upright, how, fillcolor="white")
            return np.asarray(made)

        return picture
