"""How large pages are shown to the detector, and strips of those that are too large."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import tallow as tl
from tallow.documents.ocr.ink import page_ink
from tallow.documents.ocr.scale import MOST_PIXELS, WANTED_HEIGHT, detection_scale, strips


@pytest.mark.parametrize("height", [6.0, 12.0, 48.0])
def test_characters_are_shown_at_the_wanted_height(height):
    assert detection_scale((400, 500), height) * height == pytest.approx(WANTED_HEIGHT)


@pytest.mark.parametrize("size", [(1, 1), (1, 30_000), (30_000, 1), (30_000, 30_000)])
def test_what_is_shown_is_bounded(size):
    for height in (0.0, 5.0, 100.0):
        scale = detection_scale(size, height)
        assert 0 < scale * scale * size[0] * size[1] <= MOST_PIXELS * 1.001


def long_page(count, width=300):
    page = Image.new("RGB", (width, 40 * count), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=16)
    for i in range(count):
        draw.text((10, 40 * i + 10), f"Line {1000 + i}", fill="black", font=font)
    return np.asarray(page)


def test_strips_end_between_lines():
    pixels = long_page(400)
    found = strips(pixels.shape[:2], page_ink(pixels))
    assert len(found) > 1
    assert [top for top, _ in found[1:]] == [bottom for _, bottom in found[:-1]]
    assert (found[0][0], found[-1][1]) == (0, 16_000)
    assert all(pixels[bottom % 16_000].min() == 255 for _, bottom in found)


@pytest.mark.needs_network
def test_a_long_page_is_read_whole(monkeypatch):
    monkeypatch.setattr("tallow.documents.ocr.scale.MOST_PIXELS", 300_000)
    words = tl.OCR("tiny").read(long_page(24))
    assert [word.text for word in words if word.text != "Line"] == [
        str(1000 + i) for i in range(24)
    ]
