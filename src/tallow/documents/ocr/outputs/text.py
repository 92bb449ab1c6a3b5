"""Plain text: blocks as they are read, blank lines between them, form feeds between pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tallow.documents.ocr.outputs import TextPage
from tallow.documents.ocr.pages import page_text


def as_text(pages: Sequence[TextPage]) -> Iterator[bytes]:
    """The text of pages; a form feed (U+000C) begins each but the first."""
    for number, each in enumerate(pages):
        text = page_text(each.page)
        yield (("\f" if number else "") + (text + "\n" if text else "")).encode()
