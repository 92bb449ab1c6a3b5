"""Dashes by their widths, and marks that no line holds, on pages drawn here."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tallow.documents.content import Word
from tallow.documents.geometry import quad_of
from tallow.documents.ocr import marks
from tallow.documents.ocr.ink import page_ink

DIGIT = 14  # the height of this page's digits


def page(bars=(), ground=255, ink=0):
    """A page with two rows of digits (boxes of their strokes), and bars at (x, y, width)."""
    picture = Image.new("L", (400, 120), ground)
    draw = ImageDraw.Draw(picture)
    words = []
    for y in (20, 80):
        for x in (20, 120):
            for k in range(4):
                left = x + 12 * k
                draw.rectangle((left, y, left + 7, y + DIGIT - 1), outline=ink, width=2)
            words.append(Word("0000", (x, y, x + 44, y + DIGIT), line=len(words)))
    for x, y, width in bars:
        draw.rectangle((x, y, x + width - 1, y + 1), fill=ink)
    return np.asarray(picture.convert("RGB")), words


@pytest.mark.parametrize("colours", [(255, 0), (30, 230)], ids=["light", "dark"])
def test_lone_bars_are_found_and_named_by_their_width(colours):
    pixels, words = page([(220, 26, 5), (260, 26, 11), (300, 86, 21)], *colours)
    ink = page_ink(pixels)
    assert ink.height == DIGIT
    found = marks.missed(ink, [quad_of(word.box) for word in words])
    assert [(mark.box, mark.bar) for mark in found] == [
        ((220, 26, 225, 28), True), ((260, 26, 271, 28), True), ((300, 86, 321, 88), True),
    ]  # fmt: skip
    dashes = [Word("8", mark.box, 0.5, line=9 + i) for i, mark in enumerate(found)]
    read = marks.with_marks([*words, *dashes], ink)
    assert [word.text for word in read[4:]] == ["-", "\u2013", "\u2014"]
    assert [word.box[1::2] for word in read[4:]] == [(20, 34), (20, 34), (80, 94)], "as its row"
    assert read[:4] == words


def test_a_dashed_rule_an_underline_and_texture_are_no_dashes():
    dashed = [(x, 60, 6) for x in range(10, 390, 10)]
    pixels, words = page([*dashed, (20, 35, 20)])
    assert marks.missed(page_ink(pixels), [quad_of(word.box) for word in words]) == []
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 1), np.uint8).repeat(3, 2)
    assert len(marks.missed(page_ink(noise), [])) < 300


@pytest.mark.parametrize(
    ("width", "text", "place", "expected"),
    [
        (4, "\u22125", 0, "-"),
        (7.5, "-5", 0, "\u2212"),
        (7.5, "(-5", 1, "\u2212"),
        (7.5, "1-5", 1, "\u2013"),
        (7.5, "a-", 1, "\u2013"),
        (14, "a-b", 1, "\u2014"),
        (5.6, "1-5", 1, "-"),
    ],
)
def test_a_dash_by_its_width_and_place(width, text, place, expected):
    assert marks.dash(width, 10, text, place) == expected


def test_dashes_in_words_follow_their_bars():
    pixels, words = page([(106, 26, 11)])
    words[1] = Word("-0000", (106, 20, 164, 34), line=1)
    assert marks.with_marks(words, page_ink(pixels))[1].text == "\u22120000"


def test_the_chinese_one_is_no_dash_beside_two():
    pixels, words = page([(220, 26, 18)])
    bar = Word("\u4e00", (220, 26, 238, 28), line=8)
    assert marks.with_marks([*words, bar], page_ink(pixels))[-1].text == "\u2014"
    two = Word("\u4e8c", (220, 80, 238, 94), line=9)
    sum_of = Word("\u5408\u8ba1", (20, 80, 60, 94), line=10)
    found = marks.with_marks([*words, sum_of, two, bar], page_ink(pixels))
    assert found[-1].text == "\u4e00"
    touching = Word("\u4e00", (220, 80, 238, 94), line=9)  # its ink is not a bar's alone
    assert marks.with_marks([*words, touching], page_ink(pixels))[-1].text == "\u2014"


def test_marks_are_what_others_that_look_so_were_read_as():
    page = Image.new("RGB", (300, 120), "white")
    draw = ImageDraw.Draw(page)
    for x in (20, 120, 220):  # stars of two strokes; then a cross that is none of them
        draw.line((x, 40, x + 6, 46), "black", 1)
        draw.line((x, 46, x + 6, 40), "black", 1)
    draw.rectangle((60, 40, 66, 46), outline="black")
    draw.rectangle((20, 70, 30, 84), fill="black")
    ink = page_ink(np.asarray(page))
    unknown = [marks.Mark((x, 40.0, x + 7.0, 47.0)) for x in (60.0, 120.0, 220.0)]
    words = [Word("*", (20, 40, 27, 47), line=0)]
    found = marks.like_others(unknown, words, ink)
    assert [mark.text for mark in found] == ["", "*", "*"]
    assert marks.like_others(unknown, [], ink) == unknown


def test_a_minus_of_a_narrow_font_is_none_of_hyphens():
    assert marks.dash(6.0, 11.0, "-9.0", 0) == marks.MINUS
    assert marks.dash(4.0, 11.0, "\u2212914", 0) == marks.HYPHEN
    assert marks.dash(6.0, 11.0, "a-b", 1) == "-"


def test_lone_dashes_and_ticks_of_a_page_are_alike():
    widths = (5, 6, 6, 5, 6)
    pixels, words = page([(150 + 30 * i, 26, width) for i, width in enumerate(widths)])
    bars = [Word("-", (150 + 30 * i, 26, 150 + 30 * i + width, 28), line=10 + i)
            for i, width in enumerate(widths)]  # fmt: skip
    found = marks.with_marks([*words, *bars], page_ink(pixels))[-len(bars) :]
    assert len({word.text for word in found}) == 1
    ticks = [Word(text, (0, 60 + i, 9, 68 + i), line=20 + i)
             for i, text in enumerate("\u2713\u2714\u2713")]  # fmt: skip
    found = marks.with_marks([*words, *ticks], page_ink(pixels))[-3:]
    assert [word.text for word in found] == ["\u2713"] * 3
