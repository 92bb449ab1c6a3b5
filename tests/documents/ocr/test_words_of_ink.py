"""What the ink of a line decides of its words: raised parts, 0 and O, spaces, full-width marks."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tallow.documents.ocr.forms import spelled, with_forms
from tallow.documents.ocr.glyphs import columns_of_ink
from tallow.documents.ocr.recognition import Reading
from tallow.documents.ocr.refining import has_bar
from tallow.documents.ocr.words import words_of_line

SIZE = 34


def line_of(parts, size=SIZE, letters=None):
    """A line 48 high of (text, scale, rise) parts, and a recogniser's reading of it.

    `letters` is what the recogniser says, where it differs from what is drawn.
    """
    picture = Image.new("RGB", (900, 48), "white")
    draw, x, spans = ImageDraw.Draw(picture), 8.0, []
    for text, scale, rise in parts:
        font = ImageFont.load_default(size=size * scale)
        for char in text:
            width = font.getlength(char)
            draw.text((x, 38 - rise * size), char, "black", font, anchor="ls")
            if char != " ":
                spans.append((x, x + width))
            x += width
    text = "".join(part[0] for part in parts)
    width = int(x) + 8
    solid = letters or text
    if len(solid.replace(" ", "")) == len(spans):
        left = iter(spans)
        spans = [next(left) if char != " " else (0.0, 0.0) for char in solid]
    pixels = np.asarray(picture.crop((0, 0, width, 48)))
    return pixels, Reading(solid, (1.0,) * len(solid), tuple(spans))


def words(parts, **options):
    pixels, reading = line_of(parts, **options)
    height, width = pixels.shape[:2]
    quad = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    return [(w.text, w.raised) for w in words_of_line(reading, pixels, quad, 0, 0)]


@pytest.mark.parametrize(
    ("body", "mark"),
    [("24.91", "2"), ("1,024", "12"), ("7", "7"), ("Income", "b"), ("km", "2"), ("3.9", "a")],
)
def test_small_characters_above_the_line_are_raised_words(body, mark):
    found = words([(body, 1.0, 0.0), (mark, 0.65, 0.33)])
    assert found == [(body, False), (mark, True)]


@pytest.mark.parametrize(
    "text", ["24.917", "1947", "0.07", "777", "Type", "10-7", "97%", "(2)", "p7", "-7", "x11"]
)
def test_characters_on_the_line_are_not_raised(text):
    assert words([(text, 1.0, 0.0)]) == [(text, False)]


def test_what_stands_behind_a_raised_part_goes_on():
    found = words([("(kg/m", 1.0, 0.0), ("2", 0.65, 0.33), (")", 1.0, 0.0)])
    assert found == [("(kg/m", False), ("2", True), (")", False)]


def test_superscripts_that_were_read_are_raised_plain_digits():
    found = words([("5.3", 1.0, 0.0), ("2", 0.65, 0.33)], letters="5.3²")
    assert found == [("5.3", False), ("2", True)]


@pytest.mark.parametrize(
    ("drawn", "read", "made"),
    [("0 items", "O items", "0"), ("O items", "0 items", "O"), ("O2", "02", "O2"),
     ("02", "02", "02"), ("100", "1O0", "100"), ("GOLD", "GOLD", "GOLD")],
)  # fmt: skip
def test_zero_and_the_letter_are_told_by_their_width(drawn, read, made):
    assert words([(drawn, 1.0, 0.0)], letters=read)[0][0] == made


@pytest.mark.parametrize(
    ("drawn", "made"),
    [("cost, rate", ["cost,", "rate"]), ("1,234 x", ["1,234", "x"]), ("1,234", ["1,234"]),
     ("5 = 8", ["5", "=", "8"]), ("3×7", ["3×7"]), ("8.1 ± 2", ["8.1", "±", "2"]),
     ("8.1±2", ["8.1±2"]), ("No. 1", ["No.", "1"]), ("1.1", ["1.1"]), ("a,b", ["a,b"])],
)  # fmt: skip
def test_spaces_that_were_not_read_are_seen(drawn, made):
    found = words([(drawn, 1.0, 0.0)], letters=drawn if "x" in drawn else drawn.replace(" ", ""))
    assert [text for text, _ in found] == made


@pytest.mark.parametrize(
    ("text", "gaps", "made"),
    [("产量(吨)", {(1, 2): 12}, "产量（吨）"), ("产量(吨)", {(1, 2): 3}, "产量(吨)"),
     ("产量 (吨)", {(1, 3): 12}, "产量（吨）"), ("组:班", {(1, 2): 14}, "组：班"),
     ("组:班", {(1, 2): 4}, "组:班"), ("cost (t)", {(3, 5): 12}, "cost (t)")],
)  # fmt: skip
def test_full_width_marks_have_room(text, gaps, made):
    reading = Reading(
        text, (1.0,) * len(text), tuple((float(i), i + 1.0) for i in range(len(text)))
    )
    found = with_forms(reading, lambda i, k: (0.0, gaps.get((i, k), 2.0)), 30.0)
    assert found.text == made
    assert len(found.spans) == len(found.confidences) == len(made)


def test_quotes_are_closed_as_they_were_opened():
    reading = Reading('the “1% Rule," 2003', (1.0,) * 19, ((0.0, 1.0),) * 19)
    assert with_forms(reading, lambda i, k: (0.0, 0.0), 30.0).text == "the “1% Rule,” 2003"


@pytest.mark.parametrize(
    ("text", "made"),
    [("15 ℃", "15 °C"), ("59°℉", "59°F"), ("気温 ℃", "気温 ℃"), ("Ⅲ", "III"), ("1½2", "1½"),
     ("½", "½"), ("SI. No.", "Sl. No."), ("95% Cl", "95% CI"), ("NaCl", "NaCl")],
)  # fmt: skip
def test_signs_that_stand_for_several(text, made):
    assert spelled(text) == made


@pytest.mark.parametrize("number", ["4,610", "12.5", "7", "44", "0.04", "318%"])
def test_a_minus_that_was_not_read_is_seen(number):
    assert words([("-" + number, 1.0, 0.0)], letters=number)[0][0] == "-" + number
    assert words([(number, 1.0, 0.0)])[0][0] == number


def test_a_four_whose_rising_stroke_is_pale_has_no_minus():
    """Rows of a 4 in small print, of which the stroke from its bar upwards cannot be seen."""
    mask = np.zeros((48, 60), bool)
    mask[10:40, 14:19] = True  # the stem
    mask[28:34, 2:24] = True  # the bar
    mask[8:40, 32:50] = True  # another digit
    boxes = columns_of_ink(mask)
    assert not has_bar(mask, 0, 60, boxes)
    mask[28:34, 0:24] = False
    mask[28:34, 0:9] = True  # a minus apart
    assert has_bar(mask, 0, 60, columns_of_ink(mask))
