"""OCR of pictures drawn here: words, boxes, turns, light text on dark."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import tallow as tl
from tallow.documents.geometry import intersection_over_union
from tallow.errors import ArgumentError

ROWS = [("Name", "Amount", "Share"), ("Apple pie", "1,204.50", "12.5%"), ("Pears", "(38)", "0.7%")]
XS, YS = (20, 220, 380), (20, 60, 100)


def drawn(size=16, ink="black", ground="white"):
    """A table without rules, and the boxes of its cells' ink."""
    page = Image.new("RGB", (480, 140), ground)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=size)
    boxes = {}
    for y, row in zip(YS, ROWS, strict=True):
        for x, text in zip(XS, row, strict=True):
            draw.text((x, y), text, fill=ink, font=font)
            boxes[text] = draw.textbbox((x, y), text, font=font)
    return page, boxes


def test_names_of_models():
    with pytest.raises(ArgumentError, match="expected models of small, tiny, v5, got 'big'"):
        tl.OCR("big")
    assert tl.OCR("ppocr-tiny").models is tl.OCR("tiny").models


@pytest.mark.needs_network
@pytest.mark.parametrize("models", ["tiny", "small"])
def test_words_and_boxes(models):
    page, boxes = drawn()
    found = tl.OCR(models).read(np.asarray(page))
    assert [word.text for word in found] == [
        w for row in ROWS for each in row for w in each.split()
    ]
    for word in found:
        assert word.confidence > 0.8
        assert word.turn == 0
        if word.text in boxes:
            assert intersection_over_union(word.box, boxes[word.text]) > 0.6, word


@pytest.mark.needs_network
def test_light_text_on_dark():
    page, _ = drawn(ink="#dddddd", ground="#202028")
    found = " ".join(word.text for word in tl.OCR("tiny").read(page))
    assert found == " ".join(text for row in ROWS for text in row)


@pytest.mark.needs_network
@pytest.mark.parametrize("turn", [90, 270])
def test_turned_words(turn):
    page = Image.new("RGB", (300, 220), "white")
    font = ImageFont.load_default(size=18)
    label = Image.new("RGB", (160, 24), "white")
    ImageDraw.Draw(label).text((2, 2), "Turned header", fill="black", font=font)
    page.paste(label.rotate(-turn, expand=True), (20, 20))
    ImageDraw.Draw(page).text((120, 60), "Upright text", fill="black", font=font)
    found = tl.OCR("tiny").read(page)
    assert {word.text: word.turn for word in found} == {
        "Turned": turn, "header": turn, "Upright": 0, "text": 0,
    }  # fmt: skip


@pytest.mark.needs_network
def test_a_page_without_text_and_small_pages():
    reader = tl.OCR("tiny")
    for shape in ((40, 60, 3), (1, 1, 3), (1, 300, 3), (300, 1, 3)):
        assert reader.read(np.full(shape, 255, np.uint8)) == []


@pytest.mark.needs_network
def test_lines_given_as_crops():
    page, boxes = drawn()
    crops = [np.asarray(page.crop((x - 4, y - 4, r + 4, b + 4))) for x, y, r, b in boxes.values()]
    found = tl.OCR("tiny").read_lines(crops)
    assert [text for text, _ in found] == [*boxes]
    assert all(0.8 < sure <= 1 for _, sure in found)
    assert tl.OCR("tiny").read_lines([]) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 30_000, 3), (30_000, 2, 3)])
def test_pictures_too_thin_for_text_are_not_enlarged(shape):
    assert tl.OCR().read(np.full(shape, 255, np.uint8)) == []
