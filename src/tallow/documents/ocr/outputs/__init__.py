"""Text of pages as plain text, JSON, hOCR, ALTO, and PDF that can be searched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from tallow.documents.document import Page
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.documents.content import Pixels


@dataclass(frozen=True)
class TextPage:
    """A page of a file to be written, and its picture, upright, for the forms that show it.

    `dots_per_inch` are pixels of the page's units: 72 of a PDF's page.
    """

    file: str
    page: Page
    picture: Callable[[], Pixels] | None = None
    dots_per_inch: float = 200.0


Pieces: TypeAlias = Iterator[bytes]
Write: TypeAlias = Callable[[Sequence[TextPage]], Pieces]


def _text(pages: Sequence[TextPage]) -> Pieces:
    from tallow.documents.ocr.outputs.text import as_text

    return as_text(pages)


def _json(pages: Sequence[TextPage]) -> Pieces:
    from tallow.documents.ocr.outputs.json import as_json

    return as_json(pages)


def _hocr(pages: Sequence[TextPage]) -> Pieces:
    from tallow.documents.ocr.outputs.hocr import as_hocr

    return as_hocr(pages)


def _alto(pages: Sequence[TextPage]) -> Pieces:
    from tallow.documents.ocr.outputs.alto import as_alto

    return as_alto(pages)


def _pdf(pages: Sequence[TextPage]) -> Pieces:
    from tallow.documents.ocr.outputs.pdf import as_pdf

    return as_pdf(pages)


FORMS: dict[str, Write] = {
    "txt": _text,
    "json": _json,
    "hocr": _hocr,
    "alto": _alto,
    "pdf": _pdf,
}
"""Writers by the name of their form: each gives the bytes of a file in pieces."""

SUFFIXES = {"txt": "txt", "json": "json", "hocr": "hocr", "html": "hocr", "xml": "alto",
            "alto": "alto", "pdf": "pdf"}  # fmt: skip
"""The form of a file by its suffix."""


def rounded(values: Sequence[float]) -> tuple[int, ...]:
    """Coordinates as whole numbers."""
    return tuple(round(value) for value in values)


def plain(text: str) -> str:
    """A text without the control characters that XML has no place for (XML 1.0, 2.2)."""
    return "".join(
        each for each in text
        if each in "\t\n\r" or (each >= " " and not "\ud800" <= each <= "\udfff"
                                and each not in "\ufffe\uffff")
    )  # fmt: skip


def escaped(value: Any) -> str:
    """A text as XML and HTML hold it, in attributes too."""
    from html import escape

    return escape(plain(str(value)), quote=True)
