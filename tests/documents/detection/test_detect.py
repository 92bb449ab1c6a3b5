"""Tables that were put on a page are found where they were put, and nothing else is."""

import random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from drawn_tables import font, phrase
from tallow.documents.content import Fill, PageContent, Ruling, Word
from tallow.documents.detection.detect import detect, detect_with, detect_without_models
from tallow.documents.detection.heads import with_heads
from tallow.documents.detection.layout import decoded
from tallow.documents.detection.named import detector
from tallow.documents.detection.text_lines import text_lines
from tallow.documents.geometry import intersection_over_union, union
from tallow.documents.pictures.fills import find_fills
from tallow.documents.pictures.rulings import find_rulings
from tallow.documents.steps import Region
from tallow.documents.turning import turned
from tallow.lazy_dataclasses import replace


class Sheet:
    """A page that is drawn on, and the words and tables that are on it."""

    def __init__(self, width=900, height=1200, *, seed=0, size=15):
        self.picture = Image.new("RGB", (width, height), "white")
        self.draw, self.size, self.face = ImageDraw.Draw(self.picture), size, font(size)
        self.generator = random.Random(seed)
        self.words, self.tables = [], []

    def text(self, x, y, text):
        self.draw.text((x, y), text, "black", self.face)
        for word in text.split():
            end = x + self.face.getlength(word)
            self.words.append(Word(word, (x, y + 2, end, y + 0.95 * self.size)))
            x = end + self.face.getlength(" ")

    def paragraph(self, y, *, left=60, right=840, lines=6):
        """Running text; returns where it ends."""
        for _ in range(lines):
            line = "and"
            while self.face.getlength(line) < right - left - 90:
                line += " " + self.generator.choice(["number", "of", "salaries", "which", "total"])
            self.text(left, y, line)
            y += 1.5 * self.size
        return y

    def table(self, left, top, *, rows=7, widths=(180, 110, 110, 110), style="grid"):
        """A table of a style: grid, rules (above, under the header, below), stripes or none."""
        pitch, first = 1.9 * self.size, len(self.words)
        right, bottom = left + sum(widths), top + rows * pitch
        for row in range(rows):
            y, x = top + row * pitch, left
            if style == "stripes" and row % 2 == 0:
                self.draw.rectangle([left, y, right, y + pitch], fill=(222, 230, 242))
            for column, width in enumerate(widths):
                text = phrase(self.generator, width - 30, self.face)
                if column and self.generator.random() < 0.8:
                    text = str(self.generator.randrange(10, 99999))
                self.text(x + 6, y + 6, text or "x")
                x += width
        level = {"grid": range(rows + 1), "rules": (0, 1, rows), "under": range(1, rows + 1)}
        level = level.get(style, ())
        for row in level:
            self.draw.line([left, top + row * pitch, right, top + row * pitch], "black")
        for x in np.cumsum([left, *widths]) if style == "grid" else ():
            self.draw.line([x, top, x, bottom], "black")
        drawn = (left, top, right, bottom)
        self.tables.append(drawn if style != "none" else union(w.box for w in self.words[first:]))
        return bottom

    def content(self):
        pixels = np.asarray(self.picture)
        rulings = find_rulings(pixels)
        return PageContent(
            self.picture.width, self.picture.height, "picture", list(self.words), rulings,
            find_fills(pixels, rulings), rendered=lambda: pixels,
        )  # fmt: skip


def check(regions, tables, least=0.9):
    assert len(regions) == len(tables), [region.box for region in regions]
    for region, table in zip(regions, tables, strict=True):
        assert intersection_over_union(region.box, table) >= least, (region, table)
        assert 0 < region.score <= 1


STYLES = ["grid", "rules", "stripes", "none"]
LEAST = {"grid": 0.95, "rules": 0.95, "stripes": 0.85, "none": 0.9}  # last stripe: no edge


@pytest.mark.parametrize("style", STYLES)
def test_a_table_among_paragraphs(style):
    sheet = Sheet(seed=1)
    y = sheet.paragraph(60)
    y = sheet.table(150, y + 30, style=style)
    sheet.paragraph(y + 40)
    check(detect_without_models(sheet.content()), sheet.tables, LEAST[style])


@pytest.mark.parametrize("style", STYLES)
def test_tables_over_each_other(style):
    sheet = Sheet(seed=2)
    y = sheet.table(100, 80, style=style)
    y = sheet.paragraph(y + 40, lines=4)
    sheet.table(200, y + 40, style=style, widths=(120, 90, 140))
    check(detect_without_models(sheet.content()), sheet.tables, LEAST[style])


def test_grids_beside_each_other():
    sheet = Sheet(seed=3)
    sheet.table(40, 100, widths=(120, 90, 90))
    sheet.table(470, 100, widths=(100, 120, 120))
    sheet.paragraph(500)
    check(detect_without_models(sheet.content()), sheet.tables)


@pytest.mark.parametrize("columns", [1, 2])
def test_plain_text_has_no_table(columns):
    sheet = Sheet(seed=4)
    for column in range(columns):
        width = 780 / columns
        left = 60 + column * (width + 20)
        y = sheet.paragraph(60, left=left, right=left + width - 20, lines=20)
        sheet.paragraph(y + 40, left=left, right=left + width - 20, lines=10)
    sheet.draw.line([60, 40, 840, 40], "black")
    sheet.draw.line([60, 1150, 840, 1150], "black")
    assert detect_without_models(sheet.content()) == []


@pytest.mark.parametrize("style", STYLES)
def test_a_crop_is_one_table(style):
    sheet = Sheet(seed=5, width=530, height=260)
    sheet.table(10, 15, rows=8, style=style)
    found = detect_without_models(sheet.content())
    check(found, sheet.tables, LEAST[style])
    for word in sheet.words:  # nothing is cut
        box = found[0].box
        assert box[0] <= word.box[0] and box[1] <= word.box[1]
        assert box[2] >= word.box[2] and box[3] >= word.box[3]


def test_columns_beside_a_grid_belong_to_it():
    sheet = Sheet(seed=6)
    y = sheet.paragraph(60)
    top = y + 40
    bottom = sheet.table(300, top, widths=(110, 110, 110))
    for row in range(7):
        sheet.text(150, top + row * 1.9 * sheet.size + 6, "Cost category")
    sheet.paragraph(bottom + 50)
    check(detect_without_models(sheet.content()), [(150, top, 630, bottom)], 0.9)


@pytest.mark.parametrize("turn", [90, 270])
def test_a_table_on_its_side(turn):
    sheet = Sheet(seed=7)
    y = sheet.paragraph(60)
    sheet.table(150, y + 30)
    content = turned(sheet.content(), turn)
    found = detect_without_models(content)
    whole = turned(PageContent(900, 1200, "picture", [Word("x", sheet.tables[0])]), turn)
    check(found, [whole.words[0].box], 0.95)


def test_empty_pages():
    blank = np.full((300, 200, 3), 255, np.uint8)
    assert detect_without_models(PageContent(200, 300, "picture", rendered=lambda: blank)) == []


def test_sides_are_means_of_their_distributions():
    """A place whose four sides are sure of 1, 2, 3 and 4 steps."""
    outputs = [np.zeros((n, 10), np.float32) for n in (7600, 1900, 475, 130)]
    sides = [np.zeros((n, 32), np.float32) for n in (7600, 1900, 475, 130)]
    outputs[0][76 + 2, 4] = 0.9
    for side in range(4):
        sides[0][76 + 2, 8 * side + side + 1] = 50
    boxes, scores = decoded([*outputs, *sides])
    assert scores[78, 4] == pytest.approx(0.9)
    assert boxes[78] == pytest.approx([20 - 8, 12 - 16, 20 + 24, 12 + 32], abs=1e-3)


@pytest.mark.needs_network
@pytest.mark.parametrize("style", STYLES)
def test_with_the_layout_model(style):
    sheet = Sheet(seed=8)
    y = sheet.paragraph(60, lines=10)
    y = sheet.table(150, y + 30, style=style)
    sheet.paragraph(y + 40, lines=12)
    check(detect(sheet.content()), sheet.tables, 0.75)


def test_detectors_by_name():
    assert detector(None) is detect
    assert detector("rulings") is detect_without_models
    blank = PageContent(20, 10, "picture")
    assert detector("page")(blank) == []
    blank.words.append(Word("x", (1, 1, 2, 2)))
    assert [region.box for region in detector("page")(blank)] == [(0, 0, 20, 10)]


def test_stripes_take_in_the_header_and_rows_that_are_not_filled():
    words = [
        Word(f"{name}{row}", (left, 100 + 20 * row, left + 40, 110 + 20 * row))
        for row in range(-1, 5)
        for left, name in ((60, "item"), (200, "1,2"), (330, "3.4"))
    ]
    words.append(Word("Table 2. A caption of one piece", (60, 40, 300, 50)))
    stripes = [Fill((50, 114 + 40 * index, 400, 134 + 40 * index), (240,) * 3) for index in (0, 1)]
    content = PageContent(500, 300, "text layer", words=words, fills=stripes)
    (region,) = detect_without_models(content)
    assert region.box[1] == pytest.approx(80, abs=3)
    assert region.box[3] == pytest.approx(190, abs=8)


def test_a_frame_around_a_page_is_no_table():
    sheet = Sheet(seed=9)
    sheet.draw.rectangle([30, 30, 870, 1170], outline="black", width=2)
    y = sheet.paragraph(60)
    y = sheet.table(150, y + 30, style="rules", rows=16)
    sheet.paragraph(y + 40)
    check(detect_without_models(sheet.content()), sheet.tables)


def test_the_header_over_the_first_of_lines_under_rows():
    sheet = Sheet(seed=10)
    y = sheet.paragraph(60)
    y = sheet.table(150, y + 30, style="under")
    sheet.paragraph(y + 40)
    check(detect_without_models(sheet.content()), sheet.tables, 0.9)


def test_a_table_without_lines_beside_a_grid():
    sheet = Sheet(seed=11)
    sheet.table(40, 100, widths=(120, 90, 90))
    sheet.table(470, 107, widths=(100, 120, 120), style="none")
    sheet.paragraph(500)
    check(detect_without_models(sheet.content()), sheet.tables, 0.9)


def test_a_grid_beside_a_column_of_text():
    """What a model takes for paragraphs is not a column of the table beside it."""
    sheet = Sheet(seed=12)
    sheet.paragraph(60, left=480, right=880, lines=30)
    y = sheet.paragraph(60, right=440)
    bottom = sheet.table(60, y + 30, widths=(130, 110, 110))
    sheet.paragraph(bottom + 40, right=440)
    columns = [(475, 50, 885, 740), (55, 50, 445, y), (55, bottom + 35, 445, bottom + 190)]
    found = detect_with(
        sheet.content(), lambda _: [Region(box, 0.9, source="text") for box in columns]
    )
    check(found, sheet.tables)


def test_menus_of_a_screen_are_not_rows():
    sheet = Sheet(seed=13, width=800, height=420)
    sheet.draw.rectangle([0, 0, 800, 40], fill=(40, 40, 60))
    sheet.text(10, 10, "Home Reports Settings Help")
    for row in range(8):
        sheet.text(10, 80 + 37 * row, "Entry")
    sheet.table(250, 110, rows=9)
    check(detect_without_models(sheet.content()), sheet.tables)


@pytest.mark.parametrize("style", ["rules", "none"])
def test_captions_and_notes_are_not_rows(style):
    sheet = Sheet(seed=14)
    sheet.text(150, 300, "Table 3. Wages")
    y = sheet.table(150, 325, style=style)
    sheet.text(150, y + 6, "Source: own survey of the year")
    check(detect_without_models(sheet.content()), sheet.tables)


def test_textures_of_photographs_are_no_tables():
    sheet = Sheet(seed=15)
    sheet.table(60, 80)
    content = sheet.content()
    content.words = [replace(word, confidence=0.65) for word in content.words]
    assert len(detect_without_models(content)) == 1  # small text in a grid
    content.rulings = []
    assert detect_without_models(content) == []
    content.words = [replace(word, text="-", confidence=0.9) for word in content.words]
    assert detect_without_models(content) == []


def test_narrow_columns_of_text_are_no_table():
    """Three columns of a journal's page, their lines at one height."""
    sheet = Sheet(seed=16)
    for left in (40, 320, 600):
        sheet.paragraph(60, left=left, right=left + 260, lines=30)
    assert detect_without_models(sheet.content()) == []


def rows_of_words(tops, columns=(40, 200, 320), prefix="4"):
    return [Word(f"{prefix}{i}", (x, top, x + 40, top + 10))
            for top in tops for i, x in enumerate(columns)]  # fmt: skip


def test_heads_above_the_first_rule_are_of_a_text_layers_table():
    """Rules only below rows; the line of heads is in, the caption and a paragraph are not."""
    heads = [Word(f"Head{i}", (x, 104, x + 40, 114)) for i, x in enumerate((40, 200, 320))]
    caption = [Word("Caption", (40, 90, 90, 100)), Word("here", (94, 90, 120, 100))]
    words = [*caption, *heads, *rows_of_words(range(124, 224, 20))]
    rulings = [Ruling(True, y, 30, 380) for y in range(119, 225, 20)]
    content = PageContent(600, 800, "text layer", words, rulings)
    (region,) = detect_without_models(content)
    assert 100 < region.box[1] <= 104


def test_a_title_over_columns_is_a_head_where_a_short_rule_is_under_it():
    lines = text_lines([Word("Both", (230, 86, 270, 96)), *rows_of_words([104], prefix="Head")])
    region = Region((30, 119, 380, 219))
    rule = Ruling(True, 100, 200, 360)
    assert with_heads(region, lines, [rule], []).box[1] == 86
    assert with_heads(region, lines, [], []).box[1] == 104
    other = Region((0, 80, 400, 100))
    assert with_heads(region, lines, [rule], [other]).box[1] == 104


def test_pieces_of_rulings_make_one_grid():
    """A ruling for each side of each cell, as some programs draw them: 5,000 of them."""
    rows, columns = 60, 40
    words = [
        Word("12.5", (10 + 60 * j, 10 + 20 * i, 50 + 60 * j, 24 + 20 * i))
        for i in range(rows)
        for j in range(columns)
    ]
    rulings = [
        Ruling(True, 7 + 20 * i, 5 + 60 * j, 60 + 60 * j)
        for i in range(rows + 1)
        for j in range(columns)
    ]
    rulings += [
        Ruling(False, 5 + 60 * j, 7 + 20 * i, 25 + 20 * i)
        for i in range(rows)
        for j in range(columns + 1)
    ]
    (region,) = detect_without_models(PageContent(2420, 1300, "text layer", words, rulings))
    assert region.box == pytest.approx((5, 7, 2405, 1207), abs=6)
