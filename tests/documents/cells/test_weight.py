"""Bold text of pictures, against text drawn with wider strokes."""

from __future__ import annotations

import pytest

from tallow.documents.cells.weight import mark_bold
from tallow.documents.content import Word
from tallow.documents.document import Cell, Table
from tallow.documents.page_reading import picture_content

pytest.importorskip("PIL")

HEAD = ["Region", "Output", "Share", "Price"]
BODY = [
    ["North", "1,204", "No", "1.7"],
    ["Southern", "88", "Yes", "2.25"],
    ["East", "450", "No", "4"],
]


def drawn(bold_rows: set[int], size: int = 16, ink: int = 0) -> tuple[Table, list[Cell]]:
    """A table's cells, drawn on white with some rows' strokes a pixel wider, and marked."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (480, 160), 255)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=size)
    cells = []
    for row, texts in enumerate([HEAD, *BODY]):
        for column, text in enumerate(texts):
            at = (20.0 + 110 * column, 12.0 + 36 * row)
            stroke = 0.5 if row in bold_rows else 0
            draw.text(at, text, font=font, fill=ink, stroke_width=stroke)
            left, top, right, bottom = draw.textbbox(at, text, font=font, stroke_width=stroke)
            word = Word(text, (left - 1.0, top - 1.0, right + 1.0, bottom + 1.0), 0.9)
            cells.append(Cell(row, column, text=text, words=(word,)))
    pixels = np.repeat(np.asarray(picture)[..., None], 3, axis=2)
    table = Table(4, 4, cells)
    mark_bold(table, picture_content(pixels))
    return table, cells


@pytest.mark.parametrize("size", [16, 20, 24])
@pytest.mark.parametrize("ink", [0, 110])
def test_a_row_with_wider_strokes_is_bold_and_no_other(size: int, ink: int) -> None:
    _, cells = drawn({0}, size, ink)
    assert {cell.row for cell in cells if cell.bold} == {0}
    assert all(cell.bold for cell in cells if cell.row == 0)


def test_nothing_is_bold_where_all_strokes_are_alike() -> None:
    for rows in (set[int](), {0, 1, 2, 3}):
        _, cells = drawn(rows)
        assert not any(cell.bold for cell in cells)
