"""Tables drawn for tests, with the truth of what was drawn."""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WORDS = """
    Estonia Germany Hungary total of which Loans 1,204 36.5 Salaries and wages 2008 per cent
    4,151,000 25.0 Single Rent 12 (315) Netherlands -0.5 Number of cases Yes none 17 86.2
""".split()  # noqa: SIM905


def font(size: float):
    return ImageFont.load_default(size=size)


def phrase(generator: random.Random, width: float, face) -> str:
    """Words that fit in a width."""
    text = ""
    while True:
        longer = f"{text} {generator.choice(WORDS)}".strip()
        if face.getlength(longer) > width or len(longer) > 30:
            return text
        text = longer
        if generator.random() < 0.5:
            return text


def grid_table(
    rows=6, columns=4, *, size=16, line=1, ink=(0, 0, 0), colour=(0, 0, 0), paper=(255, 255, 255),
    margin=12, seed=0, header=None, stripe=None, scale=1,
):  # fmt: skip
    """(picture, ys, xs): a ruled table with a text in each cell, and the middles of its lines.

    `line` pixels thick in `colour`; 0 draws none. `header` and `stripe` fill the first row and each
    second one.
    """
    generator = random.Random(seed)
    face = font(size * scale)
    heights = [round(size * scale * generator.choice([1.7, 2.0, 3.2])) for _ in range(rows)]
    widths = [round(size * scale * generator.choice([4, 6, 9])) for _ in range(columns)]
    ys = np.cumsum([margin * scale, *heights])
    xs = np.cumsum([margin * scale, *widths])
    picture = Image.new("RGB", (int(xs[-1]) + margin * scale, int(ys[-1]) + margin * scale), paper)
    draw = ImageDraw.Draw(picture)
    for row in range(rows):
        fill = header if row == 0 else stripe if row % 2 else None
        if fill:
            draw.rectangle([xs[0], ys[row], xs[-1], ys[row + 1]], fill=fill)
        for column in range(columns):
            text = phrase(generator, widths[column] - 0.6 * size * scale, face)
            draw.text(
                (xs[column] + 0.3 * size * scale, ys[row] + 0.2 * size * scale), text, ink, face
            )
    for y in ys if line else []:
        draw.rectangle([xs[0], y, xs[-1], y + line - 1], fill=colour)
    for x in xs if line else []:
        draw.rectangle([x, ys[0], x + line - 1, ys[-1]], fill=colour)
    return picture, ys + line / 2, xs + line / 2


def paragraphs(width=700, height=500, *, size=16, seed=0, underline=False, paper=(255, 255, 255),
               ink=(0, 0, 0)):  # fmt: skip
    """A page of running text, some of it underlined."""
    generator = random.Random(seed)
    picture = Image.new("RGB", (width, height), paper)
    draw, face = ImageDraw.Draw(picture), font(size)
    for y in range(20, height - 2 * size, round(size * 1.4)):
        x = 20.0
        while x < width - 8 * size:
            word = generator.choice([*WORDS, "illicitly", "-", "--", "mmm", "tittle", "EEFFTTLL"])
            end = x + face.getlength(word)
            draw.text((x, y), word, ink, face)
            if underline and generator.random() < 0.2:
                draw.line([x, y + size * 1.2, end, y + size * 1.2], ink, 1)
            x = end + face.getlength(" ")
    return picture


def as_jpeg(picture: Image.Image, quality: int = 75) -> Image.Image:
    """As it looks after JPEG."""
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=quality)
    return Image.open(held).convert("RGB")
