"""JSON: pages, lines, words, with boxes and confidences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tallow.documents.ocr.engine import Line
from tallow.documents.ocr.outputs import TextPage
from tallow.documents.ocr.pages import block_text, page_blocks


def as_json(pages: Sequence[TextPage]) -> Iterator[bytes]:
    """An array of pages, each in lines of its own: `{"file", "page", "width", …, "blocks"}`."""
    from json import dumps

    yield b"["
    for number, each in enumerate(pages):
        text = dumps(_page(each), ensure_ascii=False)
        yield ((",\n" if number else "\n") + text).encode("utf-8", "replace")
    yield b"\n]\n"


def _page(each: TextPage) -> dict[str, Any]:
    page = each.page
    blocks = page_blocks(page)
    return {
        "file": each.file,
        "page": page.number,
        "width": page.width,
        "height": page.height,
        "source": page.source,
        "turn": page.turn,
        "skew": page.skew,
        "text": "\n\n".join(block_text(lines) for lines in blocks),
        "blocks": [{"lines": [_line(line) for line in lines]} for lines in blocks],
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "text": line.text,
        "confidence": round(line.confidence, 4),
        "box": [round(value, 1) for value in line.box],
        "quad": [[round(x, 1), round(y, 1)] for x, y in line.quad],
        "turn": line.turn,
        "words": [
            {
                "text": word.text,
                "confidence": round(word.confidence, 4),
                "box": [round(value, 1) for value in word.box],
            }
            for word in line.words
        ],
    }
