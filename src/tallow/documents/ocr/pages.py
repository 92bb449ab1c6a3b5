"""Lines of a document's pages, made anew of its words, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.documents.content import Word
from tallow.documents.document import Page
from tallow.documents.geometry import union
from tallow.documents.ocr.engine import Line, line_of
from tallow.documents.ocr.order import reading_order, rows


def page_lines(page: Page) -> list[Line]:
    """The lines of a page: words of one number together, those without one by their rows."""
    numbered: dict[int, list[Word]] = {}
    alone = []
    for word in page.words:
        if not word.text.strip():
            continue
        if word.line < 0:
            alone.append(line_of([word]))
        else:
            numbered.setdefault(word.line, []).append(word)
    found = [line_of(words) for words in numbered.values()]
    return found + [line_of([word for line in row for word in line.words]) for row in rows(alone)]


def page_blocks(page: Page) -> list[list[Line]]:
    """The lines of a page in blocks, as they are read."""
    return reading_order(page_lines(page))


def block_text(lines: Sequence[Line]) -> str:
    """The text of a block: a line a row; a tab where a gap is 1.5 times as wide as text is high."""
    texts = []
    for row in rows(lines):
        text, end, height = "", 0.0, 0.0
        for line in row:
            left, top, right, bottom = line.box
            if text:
                text += "\t" if left - end > 1.5 * max(height, bottom - top) else " "
            text, end, height = text + line.text, right, bottom - top
        texts.append(text)
    return "\n".join(texts)


def page_text(page: Page) -> str:
    """The text of a page, its blocks parted by blank lines."""
    return "\n\n".join(block_text(lines) for lines in page_blocks(page))


def block_box(lines: Sequence[Line]) -> tuple[float, float, float, float]:
    """The box around a block."""
    return union(line.box for line in lines)
