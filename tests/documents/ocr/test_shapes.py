"""Marks by their shape, drawn here as strokes; letters of like shape are none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tallow.documents.ocr import shapes


def inked(draw_on, size):
    """What is drawn on a page of a size, cut to its ink."""
    page = Image.new("L", (2 * size, 2 * size), 0)
    draw_on(ImageDraw.Draw(page))
    mask = np.asarray(page) > 64
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def stroke(points, size, width):
    scaled = [(x * size + size / 2, y * size + size / 2) for x, y in points]
    return inked(lambda draw: draw.line(scaled, fill=255, width=width), size)


@pytest.mark.parametrize("size", [12, 24, 60])
def test_ticks(size):
    thin = stroke([(0, 0.55), (0.25, 1), (0.9, 0)], size, max(1, size // 10))
    heavy = stroke([(0, 0.5), (0.35, 0.9), (1.1, 0)], size, size // 4)
    assert shapes.mark_of(thin, 1.0, "V") == "\u2713"
    assert shapes.mark_of(heavy, 1.0, "y") == "\u2714"


@pytest.mark.parametrize("size", [8, 20])
def test_bullets_discs_and_squares(size):
    disc = inked(lambda draw: draw.ellipse((2, 2, 2 + size, 2 + size), fill=255), size)
    square = inked(lambda draw: draw.rectangle((2, 2, 2 + size, 2 + size), fill=255), size)
    assert shapes.mark_of(disc, 0.4) == "\u2022"
    assert shapes.mark_of(disc, 1.0) == "\u25cf"
    assert shapes.mark_of(square, 1.0) == "\u25a0"
    assert shapes.mark_of(disc, 0.15) == "", "a full stop"


@pytest.mark.parametrize("size", [12, 16, 40])
def test_letters_and_digits_are_no_marks(size):
    font = ImageFont.load_default(size=size)
    for letter in "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghkmnopqrstuvwxyz0123456789/?!%&$#@()[]":
        mask = inked(lambda draw, text=letter: draw.text((4, 2), text, 255, font=font), size)
        assert shapes.mark_of(mask, 1.0, letter) == "", letter


def test_ticks_of_six_rows_are_told():
    light = np.array([[c == "#" for c in row] for row in
                      ("....#", "...##", "..##.", "#.#..", "##...", "##...")])  # fmt: skip
    # fmt: off
    heavy = np.array([[c == "#" for c in row] for row in
                      (".....##", "....##.", "...##..", "#####..", "####...", ".##....")])
    # fmt: on
    assert shapes.mark_of(light, 0.75, "1") == shapes.TICK
    assert shapes.mark_of(heavy, 0.75, "1") == shapes.HEAVY_TICK
