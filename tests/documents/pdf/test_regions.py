"""Tables of pages that are drawn in the test: found where they are, and not where text is none."""

import pytest

from pdf_made import fill, line, pdf, text
from tallow.documents.geometry import intersection_over_union
from tallow.documents.pdf import PdfFile
from tallow.documents.pdf.regions import detect

PROSE = "The quick brown fox jumps over the lazy dog and goes on to run through the long field"


def prose(y, lines=6, x=60):
    return "".join(text(x, y - 12 * n, PROSE[: 80 - 5 * (n == lines - 1)]) for n in range(lines))


def grid(x, y, rows, columns, width=80, height=20):
    drawn = "".join(
        line(x, y - height * r, x + width * columns, y - height * r) for r in range(rows + 1)
    )
    drawn += "".join(
        line(x + width * c, y, x + width * c, y - height * rows) for c in range(columns + 1)
    )
    return drawn + values(x + 5, y - 14, rows, columns, width, height)


def values(x, y, rows, columns, width=80, height=20):
    return "".join(
        text(x + width * c, y - height * r, f"name{r}" if c == 0 else f"{r}{c}.5")
        for r in range(rows)
        for c in range(columns)
    )


def boxes(*args, **options):
    return [region.box for region in detect(PdfFile(pdf(*args, **options)).content(0))]


def test_a_grid_between_paragraphs():
    found = boxes(prose(740) + grid(60, 600, 5, 4) + prose(450))
    assert len(found) == 1
    assert intersection_over_union(found[0], (60, 192, 380, 292)) > 0.95


def test_two_grids_are_two_tables():
    assert len(boxes(grid(60, 700, 4, 3) + grid(60, 500, 4, 3) + grid(340, 700, 4, 3, 60))) == 3


def test_stacked_rules_enclose_a_table():
    drawn = prose(740) + line(60, 620, 400, 620) + line(60, 600, 400, 600) + line(60, 480, 400, 480)
    drawn += values(65, 606, 1, 4) + values(65, 586, 6, 4, height=19) + prose(420)
    found = boxes(drawn)
    assert len(found) == 1 and intersection_over_union(found[0], (60, 172, 400, 312)) > 0.9


def test_rules_of_heads_and_feet_of_pages_enclose_none():
    assert boxes(line(60, 760, 550, 760) + prose(740, 40) + line(60, 60, 550, 60)) == []


def test_aligned_numbers_without_rules_are_a_table():
    found = boxes(prose(740) + values(60, 600, 8, 4) + prose(400))
    assert len(found) == 1 and intersection_over_union(found[0], (60, 185, 325, 335)) > 0.8


def test_text_in_two_columns_is_none():
    short = "".join(text(x, 700 - 12 * n, PROSE[:45]) for n in range(40) for x in (50, 320))
    assert boxes(short) == []


@pytest.mark.parametrize("mark", ["•", "1."])
def test_lists_are_none(mark):
    marks = "".join(text(60, 700 - 14 * n, "-" if mark == "•" else f"{n}.") for n in range(12))
    items = "".join(text(80, 700 - 14 * n, PROSE[: 40 + 3 * (n % 5)]) for n in range(12))
    assert boxes(marks + items) == []


def test_a_frame_around_text_is_none():
    frame = "50 500 400 250 re S\n"
    assert boxes(frame + prose(730, 15)) == []


def test_stripes_are_a_table():
    drawn = "".join(fill(60, 595 - 40 * n, 320, 20) for n in range(4)) + values(65, 600, 8, 4)
    found = boxes(prose(740) + drawn)
    assert len(found) == 1 and intersection_over_union(found[0], (60, 177, 380, 337)) > 0.9


def test_a_turned_page_has_its_table_where_it_is_shown():
    found = boxes(grid(60, 700, 5, 4), rotate=90)
    (left, top, right, bottom) = found[0]
    assert len(found) == 1 and bottom - top > right - left
    assert intersection_over_union(found[0], (600, 60, 700, 380)) > 0.95


def test_empty_pages_have_none():
    assert boxes("") == [] and boxes(line(0, 0, 9, 9)) == []
