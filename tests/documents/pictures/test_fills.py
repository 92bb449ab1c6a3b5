"""Fills behind rows and cells are found where they were drawn, in the colour they were drawn in."""

import numpy as np
import pytest

from drawn_tables import as_jpeg, grid_table, paragraphs
from tallow.documents.content import PageContent, Word
from tallow.documents.geometry import intersection_over_union
from tallow.documents.pictures.fills import find_fills
from tallow.documents.pictures.levels import text_height
from tallow.documents.pictures.looking import look


def close(colour, wanted, tolerance=6):
    return max(abs(a - b) for a, b in zip(colour, wanted, strict=True)) <= tolerance


@pytest.mark.parametrize("jpeg", [False, True])
def test_bands_of_rows_without_lines(jpeg):
    header, stripe = (0, 90, 170), (225, 235, 245)
    picture, ys, xs = grid_table(line=0, header=header, stripe=stripe, seed=1)
    fills = find_fills(np.asarray(as_jpeg(picture, 80) if jpeg else picture))
    rows = [(0, header), *((row, stripe) for row in range(1, len(ys) - 1, 2))]
    # The header and the stripe after it meet: each is found alone.
    assert len(fills) == len(rows)
    for fill, (row, colour) in zip(fills, rows, strict=True):
        assert close(fill.colour, colour)
        assert intersection_over_union(fill.box, (xs[0], ys[row], xs[-1], ys[row + 1])) > 0.84


def test_rulings_divide_fills_into_cells():
    header = (250, 210, 120)
    picture, ys, xs = grid_table(line=2, header=header, seed=2)
    fills = find_fills(np.asarray(picture))
    assert len(fills) == len(xs) - 1
    for column, fill in enumerate(fills):
        assert close(fill.colour, header)
        assert intersection_over_union(fill.box, (xs[column], ys[0], xs[column + 1], ys[1])) > 0.8


def test_dark_pages_have_fills_too():
    picture, ys, xs = grid_table(
        line=0, paper=(20, 22, 26), ink=(240, 240, 240), stripe=(50, 54, 60), seed=3
    )
    fills = find_fills(np.asarray(picture))
    assert len(fills) == (len(ys) - 1) // 2
    assert all(fill.box[2] - fill.box[0] > 0.95 * (xs[-1] - xs[0]) for fill in fills)


def test_text_alone_has_none():
    assert find_fills(np.asarray(paragraphs())) == []
    assert find_fills(np.full((1, 1, 3), 255, np.uint8)) == []


@pytest.mark.parametrize("size", [9, 16, 32])
@pytest.mark.parametrize("dark", [False, True])
def test_text_height(size, dark):
    colours = {"paper": (20, 20, 20), "ink": (230, 230, 230)} if dark else {}
    height = text_height(np.asarray(paragraphs(size=size, **colours)))
    assert 0.5 * size <= height <= 0.9 * size  # capitals are about 0.7 of the font's size


def test_no_text_has_no_height():
    assert text_height(np.full((50, 50, 3), 255, np.uint8)) == 0


def test_marks_on_edges_are_no_words():
    picture, ys, _ = grid_table(line=0, header=(0, 90, 170), seed=1)
    pixels = np.asarray(picture)
    at = float(ys[1])
    words = [
        Word("-", (30, at - 5, 40, at + 5)),  # the lower edge of the header
        Word("-", (30, at + 8, 40, at + 20)),  # a dash in the row below
        Word("No", (30, at - 5, 50, at + 5)),
    ]
    size = picture.size
    content = PageContent(*size, "picture", list(words), rendered=lambda: pixels)
    look(content)
    assert content.words == words[1:]
    assert len(content.fills) == 1
