"""SLANet's tokens to structures: laws of decoding, and drawn tables by the packaged weights."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tallow.documents.content import PageContent
from tallow.documents.steps import Region
from tallow.documents.structure import Slot
from tallow.documents.structures import slanet
from tallow.documents.structures.crops import Crop, cropped, resized, sampled
from tallow.documents.structures.from_html import HtmlCell, slots_of, structure_of

TOKENS = ("sos", "<thead>", "</thead>", "<tr>", "</tr>", "<td", ">", "</td>", ' colspan="2"',
          ' rowspan="2"', "<td></td>", "eos")  # fmt: skip


def written(tokens):
    """Steps of a model that is sure of these tokens."""
    steps = np.full((len(tokens), len(TOKENS)), 0.0, np.float32)
    steps[np.arange(len(tokens)), [TOKENS.index(token) for token in tokens]] = 1
    return steps


def drawn(columns, rows, *, ruled=True, column=110, row=34):
    """A page with a table of numbers; its content and the table's box."""
    picture = Image.new("RGB", (columns * column + 41, rows * row + 41), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=16)
    for r in range(rows):
        for c in range(columns):
            text = f"Head {c + 1}" if r == 0 else f"{r * 37 + c * 11}.5"
            draw.text((20 + c * column + 12, 20 + r * row + 8), text, "black", font=font)
    if ruled:
        for r in range(rows + 1):
            draw.line((20, 20 + r * row, 20 + columns * column, 20 + r * row), "black", 2)
        for c in range(columns + 1):
            draw.line((20 + c * column, 20, 20 + c * column, 20 + rows * row), "black", 2)
    pixels = np.asarray(picture)
    high, wide = pixels.shape[:2]
    content = PageContent(wide, high, "picture", rendered=lambda: pixels)
    return content, Region((0, 0, wide, high))


def test_spans_and_header_come_from_tokens():
    tokens = ["<thead>", "<tr>", "<td", ' rowspan="2"', ">", "</td>", "<td", ' colspan="2"', ">",
              "</td>", "</tr>", "<tr>", "<td></td>", "<td></td>", "</tr>", "</thead>", "<tr>",
              "<td></td>", "<td></td>", "<td></td>", "</tr>", "eos", "<td></td>"]  # fmt: skip
    boxes = np.linspace(0, 1, len(tokens) * 4, dtype=np.float32).reshape(-1, 4)
    decoded = slanet.read_tokens(boxes, written(tokens), TOKENS, (100, 200))
    crop = Crop(np.zeros((100, 200, 3), np.uint8), 10, 20, 2.0)
    found = slanet.to_structure(decoded, crop, "test")
    assert (found.rows, found.columns, found.header_rows) == (3, 3, 2)
    spans = [(s.row, s.column, s.row_span, s.column_span) for s in found.slots]
    assert spans[:4] == [(0, 0, 2, 1), (0, 1, 1, 2), (1, 1, 1, 1), (1, 2, 1, 1)]
    assert found.confidence == pytest.approx(1)
    np.testing.assert_allclose(
        found.slots[0].box,
        (boxes[2] * [200, 100, 200, 100] + [10, 20, 10, 20]) / 2,
        rtol=1e-5,
    )


def test_corners_are_shares_of_the_square():
    boxes = np.float32([[0.1, 0.2, 0.5, 0.2, 0.5, 0.3, 0.1, 0.3]])
    decoded = slanet.read_tokens(boxes, written(["<td></td>"]), TOKENS, (100, 200))
    np.testing.assert_allclose(decoded.boxes, [[20, 40, 100, 60]], rtol=1e-5)


def test_no_cells_is_no_structure():
    decoded = slanet.read_tokens(
        np.zeros((2, 4), np.float32), written(["<tr>", "</tr>"]), TOKENS, (9, 9)
    )
    assert slanet.to_structure(decoded, Crop(np.zeros((9, 9, 3), np.uint8)), "test") is None


def test_rows_of_any_spans_tile_a_grid():
    draws = np.random.default_rng(0)
    for _ in range(50):
        rows = [
            [HtmlCell(*draws.integers(1, 4, 2)) for _ in range(draws.integers(0, 5))]
            for _ in range(draws.integers(1, 6))
        ]
        found = structure_of(rows, "test", 1.0)  # Structure itself refuses what does not tile
        assert (found is None) == (not any(rows))


def test_spans_end_with_the_table():
    assert slots_of([[HtmlCell(9, 1), HtmlCell()]]) == [Slot(0, 0), Slot(0, 1)]


def test_a_picture_of_the_same_size_stays():
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    assert (resized(pixels, 7, 5) == pixels).all()
    assert (sampled(pixels, np.arange(5), np.arange(7)) == pixels).all()
    assert (sampled(pixels, [-1.0, 0.5], [-1.0, 3.0])[0] == 0).all()


def test_a_picture_half_the_size_is_the_mean():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    mean = pixels.reshape(4, 2, 3, 2, 3).mean((1, 3))
    assert np.abs(resized(pixels, 4, 3) - mean).max() <= 1


def test_crops_map_back_to_the_page():
    content, _ = drawn(2, 2)
    content.scale = 2.0
    crop = cropped(content, Region((30.0, 10.0, 60.0, 40.0)), margin=5.0)
    assert (crop.left, crop.top, crop.size) == (50, 10, (80, 80))
    assert crop.to_page((0, 0, 80, 80)) == (25.0, 5.0, 65.0, 45.0)


@pytest.mark.needs_network
@pytest.mark.parametrize("propose", [slanet.propose_plus, slanet.propose_english])
def test_a_drawn_table_comes_back(propose):
    content, region = drawn(3, 4)
    (found,) = propose(content, region)
    assert (found.rows, found.columns, len(found.slots)) == (4, 3, 12)
    assert found.confidence > 0.8
    for slot in found.slots:  # the middle of each box is in its cell
        x, y = (slot.box[0] + slot.box[2]) / 2, (slot.box[1] + slot.box[3]) / 2
        assert (x - 20) // 110 == slot.column and (y - 20) // 34 == slot.row
