"""ALTO 4.4, the libraries' XML of what was read (https://www.loc.gov/standards/alto/v4/)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tallow._version import __version__
from tallow.documents.ocr.engine import Line
from tallow.documents.ocr.outputs import TextPage, escaped, rounded
from tallow.documents.ocr.pages import block_box, page_blocks

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="\
http://www.loc.gov/standards/alto/ns-v4# http://www.loc.gov/standards/alto/v4/alto-4-4.xsd">
<Description><MeasurementUnit>pixel</MeasurementUnit>
<sourceImageInformation><fileName>{name}</fileName></sourceImageInformation>
<Processing ID="reading"><processingSoftware><softwareName>tallow</softwareName>\
<softwareVersion>{version}</softwareVersion></processingSoftware></Processing>
</Description>
<Layout>
"""


def as_alto(pages: Sequence[TextPage]) -> Iterator[bytes]:
    """A layout of pages, each a print space of text blocks, lines and strings."""
    name = escaped(pages[0].file if pages else "")
    yield _HEAD.format(name=name, version=__version__).encode()
    for number, each in enumerate(pages, 1):
        yield _page(each, number).encode()
    yield b"</Layout>\n</alto>\n"


def _page(each: TextPage, number: int) -> str:
    page = each.page
    size = f'HEIGHT="{round(page.height)}" WIDTH="{round(page.width)}"'
    head = f'<Page ID="page_{number}" PHYSICAL_IMG_NR="{page.number}" {size}>\n'
    parts = [head, f'<PrintSpace HPOS="0" VPOS="0" {size}>\n']
    for block, lines in enumerate(page_blocks(page), 1):
        name = f"{number}_{block}"
        turn = f' ROTATION="{lines[0].turn}"' if lines[0].turn else ""
        parts.append(f'<TextBlock ID="block_{name}" {_place(block_box(lines))}{turn}>\n')
        parts += [_line(line, f"{name}_{i}") for i, line in enumerate(lines, 1)]
        parts.append("</TextBlock>\n")
    parts.append("</PrintSpace>\n</Page>\n")
    return "".join(parts)


def _line(line: Line, name: str) -> str:
    parts = [f'<TextLine ID="line_{name}" {_place(line.box)}>']
    for i, word in enumerate(line.words, 1):
        parts.append("<SP/>" if i > 1 else "")
        parts.append(
            f'<String ID="string_{name}_{i}" {_place(word.box)} '
            f'WC="{word.confidence:.3f}" CONTENT="{escaped(word.text)}"/>'
        )
    return "".join([*parts, "</TextLine>\n"])


def _place(box: Sequence[float]) -> str:
    left, top, right, bottom = rounded(box)
    size = f'WIDTH="{max(right - left, 0)}" HEIGHT="{max(bottom - top, 0)}"'
    return f'HPOS="{max(left, 0)}" VPOS="{max(top, 0)}" {size}'
