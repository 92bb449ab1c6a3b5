"""XLSX: what openpyxl reads back is what the table holds, whatever its cells are."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import date, time

import openpyxl
import pytest

from tables_made import table_of, tiling
from tallow.documents.document import Cell, Document, Table
from tallow.documents.values import type_cells
from tallow.documents.writers import sheets
from tallow.documents.writers.xlsx import document_xlsx
from tallow.errors import ArgumentError


def read(*tables, rich=False):
    made = document_xlsx(Document("doc", tables=list(tables)))
    return openpyxl.load_workbook(io.BytesIO(made), rich_text=rich)


def typed(text, value, number_format="", note=""):
    return Table(1, 1, [Cell(0, 0, text=text, value=value, number_format=number_format, note=note)])


@pytest.mark.parametrize(
    ("text", "value", "number_format", "kind"),
    [
        ("12.480,16", 12480.16, "#,##0.00", "n"),
        ("(1,234)", -1234, "#,##0_);(#,##0)", "n"),
        ("95%", 0.95, "0%", "n"),
        ("31/12/13", date(2013, 12, 31), "dd/mm/yy", "d"),
        ("12:30", time(12, 30), "hh:mm", "d"),
        ("007", "007", "General", "s"),
        ("a\nb", "a\nb", "General", "s"),
    ],
)
def test_values_keep_their_kind_and_format(text, value, number_format, kind):
    place = read(typed(text, value, number_format)).active["A1"]
    got = place.value.date() if isinstance(value, date) else place.value
    assert got == value
    assert (place.number_format, place.data_type) == (number_format, kind)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-5 kg", "@SUM(A1)", "#N/A", "#REF!", "{=1}", "-"])
def test_texts_are_never_formulas_or_errors(text):
    made = document_xlsx(Document("doc", tables=[typed(text, text)]))
    with zipfile.ZipFile(io.BytesIO(made)) as package:
        sheet = package.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet and 't="e"' not in sheet
    place = openpyxl.load_workbook(io.BytesIO(made)).active["A1"]
    assert bool(place.quotePrefix) == text.startswith(("=", "+", "-", "@"))
    assert place.value == text and place.data_type in ("s", "e" if text[0] == "#" else "s")


def test_a_raw_table_keeps_its_texts():
    assert read(typed("1,234", None)).active["A1"].value == "1,234"


def test_numbers_that_excel_would_round_are_texts():
    assert read(typed("1234567890123456", 1234567890123456)).active["A1"].value == (
        "1234567890123456"
    )


def test_dates_that_excel_has_no_number_for_are_texts():
    assert read(typed("1.1.1850", date(1850, 1, 1))).active["A1"].value == "1850-01-01"


def test_spans_are_merged_and_headers_bold_and_frozen():
    table = table_of(
        [["a", "b", ""], ["", "c", "d"], ["1", "2", "3"]],
        header_rows=2,
        spans=[(0, 0, 2, 1), (0, 1, 1, 2)],
    )
    sheet = read(table).active
    assert {str(area) for area in sheet.merged_cells.ranges} == {"A1:A2", "B1:C1"}
    assert sheet.freeze_panes == "A3"
    assert [sheet.cell(row, 2).font.bold for row in (1, 2, 3)] == [True, True, False]


def test_merged_areas_never_overlap_even_of_a_broken_table():
    cells = [Cell(0, 0, 2, 2, "a"), Cell(1, 1, 2, 2, "b"), Cell(0, 1, 1, 2, "c"), Cell(2, 0, 1, 3)]
    sheet = read(Table(3, 3, cells)).active
    seen = set()
    for area in sheet.merged_cells.ranges:
        places = {(r, c) for r, c in area.cells}
        assert not places & seen
        seen |= places


def test_superscripts_of_texts_are_rich_text():
    cell = Cell(0, 0, text="Area, km2 =", raised=((8, 9),), header="column")
    place = read(Table(1, 1, [cell]), rich=True).active["A1"]
    assert str(place.value) == "Area, km2 ="
    assert [run.font.vertAlign for run in place.value] == [None, "superscript", None]
    assert all(run.font.b for run in place.value)


@pytest.mark.parametrize(
    ("note", "shown", "told"),
    [
        ("2", '0.00"²"', "Footnote mark: 2"),
        ("(1)", '0.00" (1)"', "Footnote mark: (1)"),
        ("†", '0.00"†"', "Footnote mark: †"),
        ("**", '0.00"**"', None),
        ("a,b", '0.00"a,b"', "Footnote mark: a,b"),
    ],
)
def test_a_mark_of_a_number_is_kept_beside_it(note, shown, told):
    place = read(typed("24.91" + note, 24.91, "0.00", note)).active["A1"]
    assert place.value == 24.91
    assert place.number_format == shown.replace("a,b", "a,b")
    assert (place.comment.text if place.comment else None) == told


def test_control_characters_and_escapes():
    sheet = read(table_of([["a\x00b\x0bc\ud800", "_x0041_"]], header_rows=0)).active
    assert sheet["A1"].value == "ab\nc"
    assert sheet["B1"].value == "_x005F_x0041_"


@pytest.mark.parametrize("char", ["x", "分", "😀"])
def test_a_text_that_no_cell_holds_is_cut_and_told(char):
    place = read(typed(char * 40_000, char * 40_000)).active["A1"]
    assert len(place.value.encode("utf-16-le")) // 2 <= 32_767
    assert place.value.endswith(char + "…")
    assert "cut" in place.comment.text


def test_too_many_rows_are_refused():
    with pytest.raises(ArgumentError, match="at most 1,048,576 rows"):
        read(Table(1_048_577, 1, []))
    with pytest.raises(ArgumentError, match="a table"):
        read()


def test_names_of_sheets_are_allowed_and_differ():
    titles = [
        "a/b:c",
        "A/B:C",
        "'quoted'",
        "x" * 40,
        "X" * 40,
        "",
        "",
        "History",
        "[]*?",
        "分" * 50,
    ]
    tables = [table_of([["a"]], title=title) for title in titles]
    tables[5].pages = (1, 2)
    names = read(*tables).sheetnames
    assert len({name.lower() for name in names}) == len(titles)
    for name in names:
        assert 0 < len(name) <= 31 and not re.search(r"[\[\]:*?/\\]|^'|'$", name)
    assert names[0] == "a b c" and names[5].startswith("Pages 1-2")


def test_long_notes_do_not_widen_the_columns_that_they_span():
    note = " ".join(["a note of many words"] * 20)
    cells = [Cell(0, c, text="Yes") for c in range(4)] + [Cell(1, 0, column_span=4, text=note)]
    table = Table(2, 4, cells)
    widths = sheets.column_widths(table)
    assert max(widths) <= 14
    assert sheets.row_heights(table, widths)[1] > 100  # points: it stands in lines


def test_widths_follow_contents_and_wide_characters_count_twice():
    widths = sheets.column_widths(
        table_of([["1", "分类名称表", "分类名称", "x" * 500]], header_rows=0)
    )
    assert widths[0] == sheets.NARROWEST and widths[3] == sheets.WIDEST
    assert widths[1] - widths[2] == 2


def test_what_does_not_fit_is_wrapped_and_its_row_high_enough():
    table = table_of([["word " * 100, "1\n2\n3"]], header_rows=0)
    sheet = read(table).active
    assert sheet["A1"].alignment.wrap_text and sheet["B1"].alignment.wrap_text
    assert 9 * 15 <= sheet.row_dimensions[1].height <= 11 * 15


@pytest.mark.parametrize("seed", range(20))
def test_a_sheet_holds_every_cell_where_it_stands(seed):
    table = tiling(seed)
    type_cells(table)
    sheet = read(table, rich=True).active
    got = {(r, c): sheet.cell(r + 1, c + 1).value for r in range(table.rows)
           for c in range(table.columns)}  # fmt: skip
    for cell in table.cells:
        value = got.pop((cell.row, cell.column))
        assert (str(value) if isinstance(cell.value, str) else value) == cell.value
    assert set(got.values()) <= {None}
    merged = {(a.min_row - 1, a.min_col - 1, a.max_row, a.max_col) for a in sheet.merged_cells}
    spans = [c for c in table.cells if c.row_span > 1 or c.column_span > 1]
    assert merged == {(c.row, c.column, c.bottom, c.right) for c in spans}
