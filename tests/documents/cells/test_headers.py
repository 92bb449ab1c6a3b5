"""Header rows by evidence: kinds of text, rulings, bold, fills, spans; none without any."""

import pytest

from tallow.documents.cells.assign import assign
from tallow.documents.cells.kinds import is_number
from tallow.documents.content import Fill, PageContent, Ruling, Word
from tallow.documents.steps import Region
from tallow.documents.structure import Structure, tiled


def read(rows, *, slots=(), bold=0, rulings=(), fills=()):
    count = max(map(len, rows))
    words = [
        Word(text, (100 * c + 10, 30 * r + 8, 100 * c + 80, 30 * r + 22), bold=r < bold)
        for r, row in enumerate(rows)
        for c, text in enumerate(row)
        if text
    ]
    width, height = 100 * count, 30 * len(rows)
    content = PageContent(
        width, height, "text layer", words,
        [Ruling(True, 30 * at, 0, width) for at in rulings],
        [Fill((0, 30 * r, width, 30 * r + 30), (200, 200, 220)) for r in fills],
    )  # fmt: skip
    structure = Structure(
        len(rows), count, tiled(len(rows), count, slots), "test",
        row_edges=tuple(30.0 * r for r in range(len(rows) + 1)),
        column_edges=tuple(100.0 * c for c in range(count + 1)),
    )  # fmt: skip
    return assign(content, Region((0, 0, width, height)), structure)


NUMBERS = [["one", "1", "2.5"], ["two", "3", "4.5"], ["three", "5", "6.5"], ["four", "7", "8"]]
WORDS = [["a", "red", "blue"], ["b", "green", "pink"], ["c", "white", "grey"]]


def test_words_over_numbers_are_a_header():
    table = read([["name", "count", "rate"], *NUMBERS])
    assert table.header_rows == 1
    assert [cell.header for cell in table.cells[:5]] == ["column"] * 3 + ["row", ""]


def test_numbers_alone_have_no_header():
    assert read([["1", "2", "3"], ["4", "5", "6"], ["7", "8", "9"]]).header_rows == 0


@pytest.mark.parametrize("rows", [1, 2])
def test_a_ruling_after_the_first_rows_closes_the_header(rows):
    head = [["x", "y", "z"]] * rows
    assert read(head + WORDS, rulings=(0, rows, rows + 3)).header_rows == rows


@pytest.mark.parametrize("rows", [1, 2])
def test_bold_rows_are_a_header(rows):
    assert read([["x", "y", "z"]] * rows + WORDS, bold=rows).header_rows == rows


@pytest.mark.parametrize("rows", [1, 2])
def test_filled_rows_are_a_header(rows):
    head = [["x", "y", "z"]] * rows
    assert read(head + WORDS, fills=range(rows)).header_rows == rows


def test_a_header_goes_on_below_what_spans_columns():
    from tallow.documents.structure import Slot

    rows = [["", "2009", ""], ["name", "count", "rate"], *NUMBERS]
    assert read(rows, slots=(Slot(0, 1, 1, 2),)).header_rows == 2


def test_a_label_alone_in_its_row_heads_a_section():
    rows = [["name", "count", "rate"], ["Loans", "", ""], *NUMBERS]
    table = read(rows)
    assert table.header_rows == 1
    assert table.cell(1, 0).header == "section"


@pytest.mark.parametrize("text", ["12", "-1,234.50", "(2.5)", "12%", "3 ± 0.2", "$ 5", "1–2"])
def test_numbers_with_what_stands_around_them(text):
    assert is_number(text)


@pytest.mark.parametrize("text", ["a1", "two", "", "Q4 results", "-"])
def test_what_is_no_number(text):
    assert not is_number(text)


def test_rows_of_labels_and_what_belongs_to_them_have_no_header():
    rows = [["Name:", "Ann Lee"], ["Office:", "Oslo"], ["Started:", "2019"], ["Room:", "14"]]
    table = read(rows)
    assert table.header_rows == 0
    assert [cell.header for cell in table.cells if cell.column == 0] == ["row"] * 4
