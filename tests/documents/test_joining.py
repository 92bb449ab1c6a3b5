"""Tables that are cut into pages and joined again are what they were."""

from __future__ import annotations

import random
from copy import deepcopy

import pytest

from documents.simple_steps import simple_steps
from tables_made import table_of
from tallow.documents import TableReader
from tallow.documents.content import Word
from tallow.documents.document import Page, Table
from tallow.documents.joining import Joiner, join
from tallow.documents.turning import turned_box
from tallow.documents.values import type_cells

WIDTH, HEIGHT, ROW = 600.0, 800.0, 20.0
EDGES = [50.0, 170.0, 300.0, 380.0, 550.0]


def placed(table, top, shift=0.0, edges=EDGES, row=ROW):
    for cell in table.cells:
        cell.box = (edges[cell.column] + shift + 4, top + row * cell.row,
                    edges[cell.right] + shift - 4, top + row * cell.bottom)  # fmt: skip
    table.box = (edges[0] + shift, top, edges[table.columns] + shift, top + row * table.rows)
    return table


def cut(rows, counts, repeat=True, shift=0.0):
    """Tables of the rows on pages of so many, the first row a header, and their pages."""
    tables, pages, at = [], [], 1
    for number, count in enumerate(counts, 1):
        head = [rows[0]] if number == 1 or repeat else []
        body = rows[at : at + count]
        at += count
        table = table_of([*head, *body], header_rows=len(head), page=number)
        top = HEIGHT - 40 - ROW * table.rows if number == 1 else 60.0
        row = 700.0 / table.rows if 1 < number < len(counts) else ROW
        tables.append(placed(table, top, shift * (number % 2), row=row))
        pages.append(Page(number, WIDTH, HEIGHT, [table]))
    return tables, pages


def rows_of(count, seed=0):
    draw = random.Random(seed)
    body = [[f"name {n}", f"{draw.randint(1, 9)}.{draw.randint(10, 99)}", str(n), f"text {n}"]
            for n in range(count)]  # fmt: skip
    return [["Name", "Share", "Count", "Remark"], *body]


def texts(table):
    return [[table.cell(r, c).text for c in range(table.columns)] for r in range(table.rows)]


@pytest.mark.parametrize("with_pages", [True, False])
@pytest.mark.parametrize("repeat", [True, False])
@pytest.mark.parametrize("shift", [0.0, 30.0])
@pytest.mark.parametrize("counts", [(5, 3), (5, 30, 4), (1, 1, 1, 1)])
def test_a_table_over_pages_is_one(counts, repeat, shift, with_pages):
    rows = rows_of(sum(counts))
    tables, pages = cut(rows, counts, repeat, shift)
    before = deepcopy(tables)
    (whole,) = join(tables, pages if with_pages else ())
    assert texts(whole) == rows
    assert (whole.header_rows, whole.page) == (1, 1)
    assert whole.pages == tuple(range(1, len(counts) + 1))
    assert [cell.header for cell in whole.cells[:5]] == ["column"] * 4 + [""]
    assert tables == before


def test_a_repeated_header_with_slips_and_a_row_that_says_so_are_dropped():
    rows = rows_of(6)
    tables, pages = cut(rows, (3, 3))
    tables[1].cells[0].text = "Narne"
    tables[1].header_rows = 0  # not found this time
    told = table_of([["(continued)", "", "", ""], *texts(tables[1])], 0, page=2)
    assert texts(join([tables[0], placed(told, 60.0)], pages)[0]) == rows


def test_only_the_last_row_of_a_header_is_repeated():
    head = [["", "2019", "", ""], ["Name", "a", "b", "c"]]
    first = table_of([*head, ["x", "1", "2", "3"]], 2, spans=[(0, 1, 1, 3)], page=1)
    second = table_of([head[1], ["y", "4", "5", "6"]], 1, page=2)
    (whole,) = join([placed(first, 700.0), placed(second, 60.0)])
    assert texts(whole)[2:] == [["x", "1", "2", "3"], ["y", "4", "5", "6"]]
    assert whole.header_rows == 2


def test_a_first_row_that_was_taken_for_a_header_is_body():
    rows = rows_of(6)
    tables, pages = cut(rows, (3, 3), repeat=False)
    tables[1].header_rows = 1
    for cell in tables[1].cells[:4]:
        cell.header = "column"
    (whole,) = join(tables, pages)
    assert texts(whole) == rows
    assert {cell.header for cell in whole.cells if cell.row} == {""}


@pytest.mark.parametrize("lost", [1, 2, 3])
@pytest.mark.parametrize("part", [0, 1])
def test_an_empty_column_that_one_part_has_lost_is_put_back(part, lost):
    rows = [[*row] for row in rows_of(6)]
    body = range(1, 4) if part == 0 else range(4, 7)
    for row in body:
        rows[row][lost] = ""
    rows[0] = [*rows[0]]
    tables, pages = cut(rows, (3, 3), repeat=False)
    if part == 0:
        tables[0].cells[lost].text = rows[0][lost] = ""
    columns = [column for column in range(4) if column != lost]
    kept = [cell for cell in tables[part].cells if cell.column != lost]
    for cell in kept:
        cell.column = columns.index(cell.column)
    tables[part].cells, tables[part].columns = kept, 3
    (whole,) = join(tables, pages)
    assert texts(whole) == rows


def other_columns(tables, pages):
    edges = [50.0, 90.0, 130.0, 170.0, 550.0]
    placed(tables[1], 60.0, edges=edges)


def another_header(tables, pages):
    for cell in tables[1].cells[:4]:
        cell.text = {"Name": "Country", "Share": "Growth", "Count": "Debt", "Remark": "Source"}[
            cell.text
        ]


def other_years(tables, pages):
    for table, year in zip(tables, (2010, 2020), strict=True):
        for cell in table.cells[:4]:
            cell.text = f"Year {year + cell.column}"


def not_at_the_foot(tables, pages):
    placed(tables[0], 100.0)


def not_at_the_head(tables, pages):
    placed(tables[1], 400.0)


def text_between(tables, pages):
    pages[1].words = [Word("word", (50.0, 5.0 + 10 * n, 90.0, 14.0 + 10 * n)) for n in range(5)]


def a_page_between(tables, pages):
    tables[1].page = pages[1].number = 3


def another_title(tables, pages):
    tables[0].title, tables[1].title = "Table 1", "Table 2"


def too_few_columns(tables, pages):
    tables[1] = placed(table_of([["a"], ["b"]], 0, page=2), 60.0)


def a_table_between(tables, pages):
    tables.insert(1, placed(table_of([["x", "y"]], 0, page=1), 779.0, edges=[50, 300, 550]))


@pytest.mark.parametrize(
    "change",
    [other_columns, another_header, other_years, not_at_the_foot, not_at_the_head, text_between,
     a_page_between, another_title, too_few_columns, a_table_between],
)  # fmt: skip
def test_other_tables_are_not_joined(change):
    tables, pages = cut(rows_of(8), (4, 4))
    change(tables, pages)
    assert len(join(tables, pages)) == len(tables)


def test_a_title_that_says_continued_is_joined():
    tables, pages = cut(rows_of(8), (4, 4))
    tables[0].title, tables[1].title = "Table 1: costs", "Table 1 (continued)"
    assert len(join(tables, pages)) == 1


def test_a_cut_row_is_one_where_it_can_be_no_row_of_its_own():
    rows = [["Name", "Share", "Count", "Remark"], ["x", "1", "2", "cases of fever"]]
    half = [["", "", "", "reported from the village"], ["y", "3", "4", "none"]]
    tables, pages = cut([*rows, *half], (1, 2), repeat=False)
    (whole,) = join(tables, pages)
    assert texts(whole)[1:] == [
        ["x", "1", "2", "cases of fever\nreported from the village"],
        ["y", "3", "4", "none"],
    ]


@pytest.mark.parametrize("row", [["", "", "", "Reported"], ["", "", "5", "reported"],
                                 ["z", "", "", "reported"]])  # fmt: skip
def test_a_row_that_may_be_its_own_stays(row):
    rows = [["Name", "Share", "Count", "Remark"], ["x", "1", "2", "cases of fever"], row]
    tables, pages = cut(rows, (1, 1), repeat=False)
    assert texts(join(tables, pages)[0]) == rows


def test_spans_and_sections_keep_their_places():
    first = table_of([["a", "b"], ["g", ""], ["", "1"]], spans=[(1, 0, 2, 1)], page=1)
    second = table_of([["a", "b"], ["s", ""], ["h", "2"]], spans=[(1, 0, 1, 2)], page=2)
    second.cells[2].header = "section"
    (whole,) = join([first, second])
    assert [(c.row, c.column, c.row_span, c.column_span, c.header) for c in whole.cells[2:]] == [
        (1, 0, 2, 1, ""), (1, 1, 1, 1, ""), (2, 1, 1, 1, ""), (3, 0, 1, 2, "section"),
        (4, 0, 1, 1, ""), (4, 1, 1, 1, ""),
    ]  # fmt: skip


def test_joined_tables_are_typed_by_all_of_their_cells():
    rows = [["x"], ["03/01/14"], ["04/01/14"], ["31/12/13"], ["30/12/13"]]
    first, second = table_of(rows[:3], page=1), table_of([rows[0], *rows[3:]], page=2)
    type_cells(first), type_cells(second)
    assert first.cells[1].value == "03/01/14"
    (whole,) = join([first, second])
    assert whole.cells[1].value.isoformat() == "2014-01-03"
    assert first.cells[1].value == "03/01/14"


def test_nothing_and_one_and_empty_tables():
    assert join([]) == []
    table = Table(0, 0, [])
    assert join([table])[0] is table
    assert len(join([table, Table(0, 0, [], page=2)])) in (1, 2)


def own_header_not_marked(tables, pages):
    another_header(tables, pages)
    tables[1].header_rows = 0


def words_where_numbers_were(tables, pages):
    tables[1].header_rows = 0
    tables[1].rows, tables[1].cells = tables[1].rows - 1, tables[1].cells[4:]
    for cell in tables[1].cells:
        cell.row -= 1
        cell.text = cell.text if cell.column == 0 else "see text"


def another_caption(tables, pages):
    words = ["Table", "2.", "Exports"]
    tables[1].header_rows = 0
    pages[1].words = [Word(w, (50.0 + 50 * n, 45, 95.0 + 50 * n, 55)) for n, w in enumerate(words)]
    tables[1].rows, tables[1].cells = tables[1].rows - 1, tables[1].cells[4:]
    for cell in tables[1].cells:
        cell.row -= 1


@pytest.mark.parametrize(
    "change", [own_header_not_marked, words_where_numbers_were, another_caption]
)
def test_other_tables_of_as_many_columns_are_not_joined(change):
    tables, pages = cut(rows_of(10), (5, 5))
    change(tables, pages)
    assert len(join(tables, pages)) == 2


def test_a_caption_that_says_continued_or_is_repeated_is_joined():
    for text in ("Table 2 (continued)", "Table 1. Costs"):
        tables, pages = cut(rows_of(10), (5, 5))
        for page, top, words in (
            (pages[0], tables[0].box[1], "Table 1. Costs"),
            (pages[1], 60, text),
        ):
            page.words = [Word(w, (50.0 + 60 * n, top - 15, 105.0 + 60 * n, top - 5))
                          for n, w in enumerate(words.split())]  # fmt: skip
        assert len(join(tables, pages)) == 1, text


def test_tables_side_by_side_go_on_below_themselves():
    rows = [rows_of(8, seed) for seed in (0, 1)]
    left, right = ([50.0, 100.0, 160.0, 220.0, 280.0], [310.0, 360.0, 420.0, 480.0, 540.0])
    pages, tables = [], []
    for number in (1, 2):
        body = slice(1, 5) if number == 1 else slice(5, 9)
        both = [table_of([each[0], *each[body]], 1, page=number) for each in rows]
        top = 660.0 if number == 1 else 60.0
        both = [placed(table, top, edges=edges)
                for table, edges in zip(both, (left, right), strict=True)]  # fmt: skip
        pages.append(Page(number, WIDTH, HEIGHT, both))
        tables += both
    assert [texts(table) for table in join(tables, pages)] == rows


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_tables_on_their_side_are_joined_as_upright_ones(turn):
    rows = rows_of(8)
    tables, pages = cut(rows, (4, 4))
    for table, page in zip(tables, pages, strict=True):
        for cell in table.cells:
            cell.box = turned_box(cell.box, turn, WIDTH, HEIGHT)
        table.box = turned_box(table.box, turn, WIDTH, HEIGHT)
        if turn != 180:
            page.width, page.height = HEIGHT, WIDTH
    assert [texts(table) for table in join(tables, pages)] == [rows]
    assert len(join([tables[1], tables[0]])) == 2


def test_rows_and_heads_that_say_continued_are_no_rows():
    rows = rows_of(8)
    tables, pages = cut(rows, (4, 4))
    tables[1].cells[0].text = "Name (continued)"
    last = [["(continued on next page)", "", "", ""]]
    first = placed(table_of([*texts(tables[0]), *last], 1, page=1), 660.0)
    assert [texts(table) for table in join([first, tables[1]], pages)] == [rows]


def test_a_section_that_goes_on_is_said_once():
    rows = [["Name", "Share"], ["Assets", ""], ["a", "1"], ["b", "2"], ["c", "3"]]
    first = placed(table_of(rows[:4], 1, page=1), 700.0)
    again = [rows[0], ["Assets (cont\u2019d)", ""], rows[4]]
    assert [texts(t) for t in join([first, placed(table_of(again, 1, page=2), 60.0)])] == [rows]


def test_pages_can_be_let_go_of_one_by_one():
    rows = rows_of(12)
    tables, pages = cut(rows, (4, 4, 4))
    for table in tables:
        for cell in table.cells:
            cell.words = (Word(cell.text, cell.box),)
    joiner = Joiner(lean=True)
    for table, page in zip(tables, pages, strict=True):
        joiner.add(page.number, [table], page)
    (whole,) = joiner.tables()
    assert texts(whole) == rows and not any(cell.words for cell in whole.cells)


@pytest.mark.parametrize("together", [True, False])
def test_a_lean_document_keeps_tables_and_no_words(together, monkeypatch):
    reader = TableReader(join=together)
    monkeypatch.setattr(reader, "_steps", simple_steps())
    documents = []
    for lean in (False, True):
        tables, pages = cut(rows_of(8), (4, 4))
        for table, page in zip(tables, pages, strict=True):
            page.words = [Word("foot", (50, 790, 90, 798))]
            for cell in table.cells:
                cell.words = (Word(cell.text, cell.box),)
        documents.append(reader.document("a", iter(pages), lean=lean))
    full, lean = documents
    assert [texts(table) for table in full] == [texts(table) for table in lean]
    assert len(full.tables) == (1 if together else 2)
    assert full.to_json() == lean.to_json() and full.to_html() == lean.to_html()
    assert [*lean.words()] == [] and len([*full.words()]) == 2
    assert not any(cell.words for table in lean for cell in table.cells)
    assert not any(page.tables for page in lean.pages)
