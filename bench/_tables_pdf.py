"""Made tables as PDF with a text layer: fonts that every viewer has, lines and fills as paths."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from _tables_drawn import Drawing

# Metrics of Liberation's families are those of these fonts.
NAMES = {
    "sans": ("Helvetica", "Helvetica-Bold"),
    "serif": ("Times-Roman", "Times-Bold"),
    "mono": ("Courier", "Courier-Bold"),
}


def can_write(family: str) -> bool:
    """Whether texts of a family stand where they were laid out."""
    return family in NAMES


def latin(text: str) -> str:
    """A text in characters that these fonts have (PDF's WinAnsiEncoding, Windows 1252)."""
    replaced = text.translate({0x2212: "–", 0x2713: "x", 0x2714: "x", 0x2717: "n"})
    return replaced.encode("cp1252", "replace").decode("cp1252")


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _content(drawing: Drawing) -> bytes:
    """Operators of a page, y from its bottom."""
    height = drawing.height
    lines = []
    for left, top, right, bottom, colour in drawing.areas:
        lines.append(" ".join(_number(each / 255) for each in colour) + " rg")
        box = (left, height - bottom, right - left, bottom - top)
        lines.append(" ".join(map(_number, box)) + " re f")
    for text in drawing.texts:
        shown = text.text.encode("cp1252").replace(b"\\", b"\\\\")
        shown = shown.replace(b"(", b"\\(").replace(b")", b"\\)")
        colour = " ".join(_number(each / 255) for each in text.colour)
        place = f"{_number(text.x)} {_number(height - text.y)}"
        font = f"/F{int(text.bold)} {_number(text.size)} Tf"
        lines.append(f"BT {colour} rg {font} {place} Td ({shown.decode('latin-1')}) Tj ET")
    return "\n".join(lines).encode("latin-1")


def turned(width: float, height: float, rotate: int) -> tuple[str, float, float]:
    """The matrix that draws a page so that /Rotate shows it upright, and the page's own size."""
    w, h = _number(width), _number(height)
    if rotate == 90:
        return f"0 1 -1 0 {h} 0 cm", height, width
    if rotate == 180:
        return f"-1 0 0 -1 {w} {h} cm", width, height
    if rotate == 270:
        return f"0 -1 1 0 0 {w} cm", height, width
    return "1 0 0 1 0 0 cm", width, height


def pdf(pages: Sequence[Drawing], rotate: int = 0) -> bytes:
    """A file of pages, each with /Rotate `rotate`; shown, they are upright."""
    family = pages[0].family
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    fonts = []
    for name in NAMES[family]:
        objects.append(f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} "
                       "/Encoding /WinAnsiEncoding >>".encode())  # fmt: skip
        fonts.append(f"/F{len(fonts)} {len(objects)} 0 R")
    kids = []
    for page in pages:
        matrix, width, height = turned(page.width, page.height, rotate)
        stream = zlib.compress(matrix.encode() + b"\n" + _content(page))
        head = f"<< /Length {len(stream)} /Filter /FlateDecode >>\nstream\n".encode()
        objects.append(head + stream + b"\nendstream")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {_number(width)} {_number(height)}] "
            f"/Rotate {rotate} /Resources << /Font << {' '.join(fonts)} >> >> "
            f"/Contents {len(objects)} 0 R >>".encode()
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>".encode()
    return _file(objects)


def _file(objects: Sequence[bytes]) -> bytes:
    made = bytearray(b"%PDF-1.7\n")
    places = []
    for index, body in enumerate(objects, 1):
        places.append(len(made))
        made += f"{index} 0 obj\n".encode() + body + b"\nendobj\n"
    start = len(made)
    made += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    made += b"".join(f"{place:010} 00000 n \n".encode() for place in places)
    made += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\n".encode()
    return bytes(made + f"startxref\n{start}\n%%EOF\n".encode())
