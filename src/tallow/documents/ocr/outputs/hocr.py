"""hOCR 1.2, HTML with what was read and where (https://kba.github.io/hocr-spec/1.2/)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tallow._version import __version__
from tallow.documents.ocr.engine import Line
from tallow.documents.ocr.outputs import TextPage, escaped, rounded
from tallow.documents.ocr.pages import block_box, page_blocks

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml">
<head>
<meta charset="utf-8"/>
<title>{title}</title>
<meta name="ocr-system" content="tallow {version}"/>
<meta name="ocr-capabilities" content="ocr_page ocr_carea ocr_line ocrx_word"/>
<meta name="ocr-number-of-pages" content="{count}"/>
</head>
<body>
"""


def as_hocr(pages: Sequence[TextPage]) -> Iterator[bytes]:
    """A document of `ocr_page`s, each of `ocr_carea`s of `ocr_line`s of `ocrx_word`s."""
    title = escaped(pages[0].file if pages else "")
    yield _HEAD.format(title=title, version=__version__, count=len(pages)).encode()
    for number, each in enumerate(pages, 1):
        yield _page(each, number).encode()
    yield b"</body>\n</html>\n"


def _page(each: TextPage, number: int) -> str:
    page = each.page
    image = each.file.replace('"', "")
    size = f"{round(page.width)} {round(page.height)}"
    title = f'image "{image}"; bbox 0 0 {size}; ppageno {page.number - 1}'
    parts = [f'<div class="ocr_page" id="page_{number}" title="{escaped(title)}">\n']
    for block, lines in enumerate(page_blocks(page), 1):
        name = f"{number}_{block}"
        parts.append(
            f'<div class="ocr_carea" id="block_{name}" title="{_box(block_box(lines))}">\n'
        )
        parts += [_line(line, f"{name}_{i}") for i, line in enumerate(lines, 1)]
        parts.append("</div>\n")
    parts.append("</div>\n")
    return "".join(parts)


def _line(line: Line, name: str) -> str:
    # textangle is counter-clockwise, our turn clockwise.
    angle = f"; textangle {-line.turn % 360}" if line.turn else ""
    words = " ".join(
        f'<span class="ocrx_word" id="word_{name}_{i}" title="{_box(word.box)}; '
        f'x_wconf {round(100 * word.confidence)}">{escaped(word.text)}</span>'
        for i, word in enumerate(line.words, 1)
    )
    title = f"{_box(line.box)}{angle}"
    return f'<span class="ocr_line" id="line_{name}" title="{title}">{words}</span>\n'


def _box(box: Sequence[float]) -> str:
    return "bbox " + " ".join(map(str, rounded(box)))
