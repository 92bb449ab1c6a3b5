"""Cells read again from their crops: lone marks by shape, text by a vote."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import tallow as tl
from tallow.documents.ocr import rereading


class Says:
    """A reader that says one thing of every line, and counts what it is shown."""

    def __init__(self, text, sure):
        self.text, self.sure, self.shown = text, sure, []

    def read_lines(self, crops_of_lines):
        self.shown += [crop.shape for crop in crops_of_lines]
        return [(self.text, self.sure)] * len(crops_of_lines)


NOBODY = Says("", 0.0)


def cell(*draws, size=(90, 30), ground="white", rules=True):
    """A cell's crop, with the rules around it."""
    page = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(page)
    if rules:
        draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline="grey")
    for each in draws:
        each(draw)
    return np.asarray(page)


def bar(width):
    return lambda draw: draw.rectangle((40, 14, 40 + width - 1, 15), fill="black")


def text(words, y=6, size=16):
    font = ImageFont.load_default(size=size)
    return lambda draw: draw.text((8, y), words, fill="black", font=font)


@pytest.mark.parametrize(("width", "dash"), [(5, "-"), (9, "\u2013"), (18, "\u2014")])
def test_a_lone_bar_is_a_dash_by_its_width(width, dash):
    found = rereading.reread(NOBODY, cell(bar(width)), ("", 0.0), character_height=12)
    assert found == (dash, 0.9)


def test_a_tick_is_one_whatever_it_was_read_as():
    tick = cell(lambda draw: draw.line([(36, 14), (41, 22), (51, 6)], fill="black", width=2))
    assert rereading.reread(NOBODY, tick, ("V", 0.8), character_height=14) == ("\u2713", 0.9)


def dots(*places, y=20):
    return lambda draw: [draw.rectangle((x, y, x + 1, y + 1), fill="black") for x in places]


def test_three_dots_are_an_ellipsis():
    found = rereading.reread(NOBODY, cell(dots(40, 44, 48)), ("", 0.0), character_height=12)
    assert found[0] == "..."
    for places in ((40, 44), (40, 44, 60), (40, 44, 48, 52)):
        found = rereading.reread(NOBODY, cell(dots(*places)), ("", 0.0), character_height=12)
        assert found[0] == ""


@pytest.mark.parametrize("first", [("", 0.0), ("12", 0.9)])
def test_a_cell_without_ink(first):
    expected = first if first[0] else ("", 1.0)
    assert rereading.reread(NOBODY, cell(), first, character_height=12) == expected


def test_votes():
    picture = cell(text("38.5"))
    first, weak, strong = ("385", 0.8), Says("38.5", 0.7), Says("38.5", 0.9)
    found = rereading.reread(weak, picture, first, (strong,))
    assert found[0] == "38.5"
    assert 0.6 < found[1] < 0.8, "less sure than where all agree"
    agreed = rereading.reread(Says("385", 0.9), picture, first)
    assert agreed == ("385", pytest.approx(0.867, abs=0.01))
    assert rereading.reread(strong, picture, ("385", 0.99)) == ("385", 0.99), "sure enough"


def test_lines_are_shown_one_by_one():
    picture = cell(text("Two lines", 4), text("of text, i", 26), size=(100, 52))
    reader = Says("x", 0.6)
    assert rereading.reread(reader, picture, ("", 0.0))[0] == "x x"
    assert len(reader.shown) == 4, "two lines with two margins"
    assert all(height < 40 for height, _, _ in reader.shown)


@pytest.mark.parametrize("shape", [(0, 5, 3), (1, 1, 3), (1, 400, 3), (2000, 2001, 3)])
def test_crops_that_are_none_or_too_large(shape):
    picture = np.full(shape, 255, np.uint8)
    assert rereading.reread(NOBODY, picture, ("a", 0.4)) == ("a", 0.4)


@pytest.mark.needs_network
@pytest.mark.parametrize("words", ["7", "(38)", "0.07", "12.5%"])
def test_what_a_reader_makes_of_drawn_cells(words):
    reader = tl.OCR("tiny")
    found, sure = rereading.reread(reader, cell(text(words)), ("", 0.0))
    assert (found, sure > 0.6) == (words, True)
