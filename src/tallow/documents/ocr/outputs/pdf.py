"""PDF that can be searched: each page its picture, with its words laid over it unseen.

The words are of a font without glyphs, drawn in mode 3, whose codes are UTF-16 (ISO 32000-1, 9.3.6
and 9.10.3): so any script can be searched and copied, and no font is needed. A file is written
page by page; no more than one picture is held at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tallow.documents.content import Word
from tallow.documents.geometry import Quad, quad_of
from tallow.documents.ocr.crops import turned
from tallow.documents.ocr.outputs import TextPage
from tallow.documents.ocr.pages import page_blocks
from tallow.errors import ArgumentError

_QUALITY = 85
_ADVANCE = 0.5  # of every code of the font, in its size
_CMAP = b"""/CIDInit /ProcSet findresource begin
12 dict begin begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def /CMapType 2 def
1 begincodespacerange <0000> <FFFF> endcodespacerange
256 beginbfrange
%s
endbfrange
endcmap CMapName currentdict /CMap defineresource pop end end"""


def as_pdf(pages: Sequence[TextPage]) -> Iterator[bytes]:
    """The bytes of a PDF of these pages.

    Raises:
        ArgumentError: a page has no picture.
    """
    first_page = 6  # 1 catalogue, 2 list of pages, 3 to 5 the font
    offsets: dict[int, int] = {}
    position = 0

    def out(piece: bytes, number: int | None = None) -> bytes:
        nonlocal position
        if number is not None:
            offsets[number] = position
        position += len(piece)
        return piece

    yield out(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")
    kids = " ".join(f"{first_page + 3 * i} 0 R" for i in range(len(pages)))
    yield out(_object(1, b"<< /Type /Catalog /Pages 2 0 R >>"), 1)
    listed = f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode()
    yield out(_object(2, listed), 2)
    for number, content in _font():
        yield out(content, number)
    for i, each in enumerate(pages):
        for number, content in _page(each, first_page + 3 * i):
            yield out(content, number)
    start, count = position, first_page + 3 * len(pages)
    table = "".join(f"{offsets[number]:010} 00000 n \n" for number in range(1, count))
    yield (
        f"xref\n0 {count}\n0000000000 65535 f \n{table}"
        f"trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    ).encode()


def _object(number: int, content: bytes) -> bytes:
    return b"%d 0 obj\n%s\nendobj\n" % (number, content)


def _stream(number: int, entries: str, content: bytes) -> bytes:
    head = f"<< {entries} /Length {len(content)} >>\nstream\n".encode()
    return _object(number, head + content + b"\nendstream")


def _font() -> Iterator[tuple[int, bytes]]:
    rows = b"\n".join(b"<%02X00> <%02XFF> <%02X00>" % (high, high, high) for high in range(256))
    whole = "/Type /Font /Subtype /Type0 /BaseFont /Unseen /Encoding /Identity-H"
    yield 3, _object(3, f"<< {whole} /DescendantFonts [4 0 R] /ToUnicode 5 0 R >>".encode())
    descriptor = (
        "<< /Type /FontDescriptor /FontName /Unseen /Flags 4 /FontBBox [0 0 500 1000] "
        "/ItalicAngle 0 /Ascent 1000 /Descent 0 /CapHeight 1000 /StemV 80 >>"
    )
    inner = (
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Unseen /CIDToGIDMap /Identity "
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> "
        f"/DW {round(1000 * _ADVANCE)} /FontDescriptor {descriptor} >>"
    )
    yield 4, _object(4, inner.encode())
    yield 5, _stream(5, "", _CMAP % rows)


def _page(each: TextPage, number: int) -> Iterator[tuple[int, bytes]]:
    import io
    import zlib

    from tallow.vision.images import pillow

    if each.picture is None:
        raise ArgumentError(f"{each.file}, page {each.page.number}: expected a picture, got none")
    pixels = each.picture()
    height, width = pixels.shape[:2]
    jpeg = io.BytesIO()
    pillow().fromarray(pixels).save(jpeg, "JPEG", quality=_QUALITY)
    scale = 72 / each.dots_per_inch
    page_width, page_height = each.page.width * scale, each.page.height * scale
    box = f"/MediaBox [0 0 {page_width:.2f} {page_height:.2f}]"
    resources = f"<< /Font << /F 3 0 R >> /XObject << /I {number + 1} 0 R >> >>"
    yield (
        number,
        _object(
            number,
            f"<< /Type /Page /Parent 2 0 R {box} /Resources {resources} "
            f"/Contents {number + 2} 0 R >>".encode(),
        ),
    )
    kind = "/Type /XObject /Subtype /Image /ColorSpace /DeviceRGB /BitsPerComponent 8"
    entries = f"{kind} /Width {width} /Height {height} /Filter /DCTDecode"
    yield number + 1, _stream(number + 1, entries, jpeg.getvalue())
    words = [word for lines in page_blocks(each.page) for line in lines for word in line.words]
    shown = [_shown(word, scale, page_height) for word in words]
    image = f"q {page_width:.2f} 0 0 {page_height:.2f} 0 0 cm /I Do Q\n"
    content = "".join([image, "BT 3 Tr\n", *shown, "ET\n"]).encode()
    packed = zlib.compress(content)
    yield number + 2, _stream(number + 2, "/Filter /FlateDecode", packed)


def _shown(word: Word, scale: float, page_height: float) -> str:
    """A word in the matrix that makes it fill its place, with the space behind it."""
    codes = word.text.encode("utf-16-be", "replace")
    if not codes:
        return ""
    quad: Quad = word.quad or turned(quad_of(word.box), word.turn)
    (ax, ay), (bx, by), _, (dx, dy) = quad
    length = len(codes) / 2 * _ADVANCE
    across = ((bx - ax) * scale / length, -(by - ay) * scale / length)
    up = ((ax - dx) * scale, (dy - ay) * scale)
    if math.hypot(*across) < 1e-6 or math.hypot(*up) < 1e-6:
        return ""
    matrix = (*across, *up, dx * scale, page_height - dy * scale)
    numbers = " ".join(f"{value:.4f}" for value in matrix)
    return f"/F 1 Tf {numbers} Tm <{codes.hex().upper()}0020> Tj\n"
