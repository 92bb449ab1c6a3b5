"""Text of pages in each form, read back by other programs' readers."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pypdfium2
import pytest

from tallow.documents.content import Word
from tallow.documents.document import Page
from tallow.documents.geometry import quad_of
from tallow.documents.ocr.outputs import FORMS, TextPage

ALTO = "{http://www.loc.gov/standards/alto/ns-v4#}"
HTML = "{http://www.w3.org/1999/xhtml}"
ROWS = [["Name", "Größe <m>"], ['"A" & B', "12,5 €"], ["\u65e5\u672c\u8a9e", "\u221238"]]
ALL = [text for row in ROWS for text in row] + ["upwards"]


def page(number=1):
    """Two columns of words, one line each, and a word that runs up the page."""
    words = []
    for y, row in enumerate(ROWS):
        for x, text in enumerate(row):
            box = (20 + 200 * x, 20 + 30 * y, 120 + 200 * x, 36 + 30 * y)
            words.append(Word(text, box, 0.9, line=len(words)))
    words.append(Word("upwards", (360, 20, 376, 100), 0.8, turn=270, line=len(words)))
    return Page(number, 400, 120, words=words)


def made(form, count=1):
    pages = [
        TextPage("a&b.png", page(i + 1), lambda: np.full((120, 400, 3), 200, np.uint8), 100.0)
        for i in range(count)
    ]
    return b"".join(FORMS[form](pages))


def test_text():
    one = 'Name\tGröße <m>\n"A" & B\t12,5 €\n\u65e5\u672c\u8a9e\t\u221238\n\nupwards\n'
    assert made("txt").decode() == one
    assert made("txt", 2).decode() == one + "\f" + one
    assert b"".join(FORMS["txt"]([TextPage("a", Page(1, 9, 9))])) == b""


def test_json():
    first, second = json.loads(made("json", 2))
    assert (first["page"], second["page"], first["width"]) == (1, 2, 400)
    lines = [line for block in first["blocks"] for line in block["lines"]]
    assert [line["text"] for line in lines] == [*ALL]
    assert lines[1]["words"] == [
        {"text": "Größe <m>", "confidence": 0.9, "box": [220, 20, 320, 36]}
    ]


def test_hocr():
    tree = ET.fromstring(made("hocr", 2))
    found = tree.findall(f".//{HTML}div[@class='ocr_page']")
    assert len(found) == 2
    assert found[0].get("title") == 'image "a&b.png"; bbox 0 0 400 120; ppageno 0'
    words = found[0].findall(f".//{HTML}span[@class='ocrx_word']")
    assert [word.text for word in words] == [*ALL]
    assert words[0].get("title") == "bbox 20 20 120 36; x_wconf 90"
    lines = found[0].findall(f".//{HTML}span[@class='ocr_line']")
    assert lines[-1].get("title").endswith("; textangle 90")
    names = [each.get("id") for each in tree.iter() if each.get("id")]
    assert len(names) == len({*names})
    for area in found[0].findall(f"{HTML}div[@class='ocr_carea']"):
        outer = numbers(area)
        for inner in map(numbers, area.findall(f"{HTML}span")):
            assert outer[0] <= inner[0] and outer[1] <= inner[1]
            assert outer[2] >= inner[2] and outer[3] >= inner[3]


def numbers(element):
    return [int(each) for each in re.findall(r"\d+", element.get("title"))[:4]]


def test_alto():
    tree = ET.fromstring(made("alto", 2))
    assert tree.tag == f"{ALTO}alto"
    assert [each.tag.removeprefix(ALTO) for each in tree] == ["Description", "Layout"]
    first, second = tree.findall(f"{ALTO}Layout/{ALTO}Page")
    assert (first.get("WIDTH"), second.get("PHYSICAL_IMG_NR")) == ("400", "2")
    path = f"{ALTO}PrintSpace/{ALTO}TextBlock/{ALTO}TextLine/{ALTO}String"
    strings = first.findall(path)
    assert [each.get("CONTENT") for each in strings] == [*ALL]
    assert [strings[0].get(key) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT", "WC")] == [
        "20", "20", "100", "16", "0.900",
    ]  # fmt: skip
    assert first.findall(f"{ALTO}PrintSpace/{ALTO}TextBlock")[-1].get("ROTATION") == "270"


def test_a_pdf_that_can_be_searched():
    document = pypdfium2.PdfDocument(io.BytesIO(made("pdf", 2)))
    assert len(document) == 2
    first = document[0]
    assert first.get_size() == pytest.approx((288, 86.4)), "400 × 120 pixels at 100 dots an inch"
    text = first.get_textpage()
    found = text.get_text_range().replace("\r\n", " ")
    for word in [*ALL]:
        assert word in found
    searched = text.search("12,5")
    index, count = searched.get_next()
    left, bottom, _, top = text.get_charbox(index)
    k = 72 / 100
    assert left == pytest.approx(220 * k, abs=3)
    assert 86.4 - top >= 50 * k - 1 and 86.4 - bottom <= 66 * k + 1 and count == 4
    picture = first.render(scale=1).to_numpy()
    assert abs(picture.astype(int) - 200).max() <= 2, "the words are unseen"
    document.close()


def test_control_characters_break_no_form():
    word = Word("a\x00\x0b\ufffe\ud800b", (1, 1, 20, 9), quad=quad_of((1, 1, 20, 9)), line=0)
    pages = [TextPage("x", Page(1, 30, 10, words=[word]), lambda: np.zeros((10, 30, 3), np.uint8))]
    for form in ("hocr", "alto"):
        assert b"ab" in b"".join(FORMS[form](pages))
        ET.fromstring(b"".join(FORMS[form](pages)))
    json.loads(b"".join(FORMS["json"](pages)))
    assert len(pypdfium2.PdfDocument(b"".join(FORMS["pdf"](pages)))) == 1
