"""Small PDFs made in tests: pages with text, lines, fills, forms and pictures."""

from __future__ import annotations

import hashlib

FONTS = {"F": "Helvetica", "B": "Helvetica-Bold", "I": "Helvetica-Oblique"}
PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def text(x: float, y: float, words: str, size: float = 10, font: str = "F") -> str:
    """A line of text with its baseline at `y`, in points from the bottom."""
    escaped = words.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"BT /{font} {size} Tf 1 0 0 1 {x} {y} Tm ({escaped}) Tj ET\n"


def line(x0: float, y0: float, x1: float, y1: float, width: float = 1) -> str:
    """A stroked line."""
    return f"{width} w {x0} {y0} m {x1} {y1} l S\n"


def fill(x: float, y: float, width: float, height: float, colour=(0.8, 0.8, 0.8)) -> str:
    """A filled rectangle."""
    r, g, b = colour
    return f"q {r} {g} {b} rg {x} {y} {width} {height} re f Q\n"


def stream(content: str, extra: str = "") -> bytes:
    data = content.encode("latin-1")
    return b"<< /Length %d %s >>\nstream\n" % (len(data), extra.encode()) + data + b"\nendstream"


def pdf(
    *pages: str,
    size=(612, 792),
    rotate: int = 0,
    crop=None,
    forms: dict[str, str] | None = None,
    form_extra: str = "",
) -> bytes:
    """A PDF of pages with these content streams; `forms` are form XObjects that all may draw."""
    forms = forms or {}
    objects: list[bytes] = [b"", b""]  # catalog, pages

    def add(body: bytes) -> int:
        objects.append(body)
        return len(objects)

    fonts = " ".join(
        f"/{key} {add(f'<< /Type /Font /Subtype /Type1 /BaseFont /{name} >>'.encode())} 0 R"
        for key, name in FONTS.items()
    )
    numbers = {name: len(objects) + 1 + index for index, name in enumerate(forms)}
    named = " ".join(f"/{name} {number} 0 R" for name, number in numbers.items())
    resources = f"<< /Font << {fonts} >> /XObject << {named} >> >>"
    for content in forms.values():
        extra = f"/Type /XObject /Subtype /Form /BBox [0 0 {size[0]} {size[1]}] "
        add(stream(content, extra + f"/Resources {resources} {form_extra}"))
    kids = []
    box = f"[0 0 {size[0]} {size[1]}]"
    cropped = f"/CropBox [{' '.join(map(str, crop))}]" if crop else ""
    for content in pages:
        body = add(stream(content))
        page = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox {box} {cropped} /Rotate {rotate} "
            f"/Resources {resources} /Contents {body} 0 R >>"
        )
        kids.append(add(page.encode()))
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R >>"
    listed = " ".join(f"{kid} 0 R" for kid in kids)
    objects[1] = f"<< /Type /Pages /Kids [{listed}] /Count {len(kids)} >>".encode()
    return written(objects)


def written(objects: list[bytes]) -> bytes:
    """A file of objects 1, 2, …, the first of which is the catalog."""
    out, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    trailer = b"trailer << /Size %d /Root 1 0 R >>\n" % (len(objects) + 1)
    return out + head + table + trailer + b"startxref\n%d\n%%%%EOF\n" % len(out)


def rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def encrypted(password: str) -> bytes:
    """An empty page under the standard security handler, revision 2 (ISO 32000-1, 7.6.3)."""
    padded = (password.encode() + PADDING)[:32]
    owner = rc4(hashlib.md5(padded).digest()[:5], padded)
    key = hashlib.md5(padded + owner + (-4).to_bytes(4, "little", signed=True) + b"id").digest()[:5]
    user = rc4(key, PADDING)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] >>"
    pages = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    file = written([b"<< /Type /Catalog /Pages 2 0 R >>", pages, page])
    entry = f"/Filter /Standard /V 1 /R 2 /P -4 /O <{owner.hex()}> /U <{user.hex()}>"
    return file.replace(
        b"/Root 1 0 R", f"/Root 1 0 R /Encrypt << {entry} >> /ID [<6964> <6964>]".encode()
    )
