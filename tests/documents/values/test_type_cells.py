"""`type_cells` on whole tables: evidence of other columns, headers, spans, formats, reasons."""

from __future__ import annotations

from datetime import date

import pytest

from tables_made import table_of
from tallow.documents.document import Table
from tallow.documents.values import type_cells


def typed(rows, **more):
    table = table_of(rows, **more)
    type_cells(table)
    return table


def test_another_column_tells_the_decimal_mark():
    rows = [["a", "b"], ["1.234", "0,5"], ["2.345", "1,25"]]
    assert [cell.value for cell in typed(rows).cells[2:]] == [1234, 0.5, 2345, 1.25]
    rows = [["a", "b"], ["1.234", "0.5"], ["2.345", "1.25"]]
    assert [cell.value for cell in typed(rows).cells[2:]] == [1.234, 0.5, 2.345, 1.25]


def test_the_language_of_the_words_tells_it_where_nothing_else_does():
    german = [["Betrag", "Menge und Preis"], ["1.234", "Summe für das Jahr"]]
    assert typed(german).cells[2].value == 1234
    english = [["Mean rate", "Name of the country"], ["1.234", "x"]]
    assert typed(english).cells[2].value == 1.234


def test_another_column_tells_the_order_of_dates():
    table = typed([["from", "to"], ["31/12/13", "03/01/14"], ["02/01/14", "04/02/14"]])
    assert table.cell(1, 1).value == date(2014, 1, 3)
    assert "other columns" in " ".join(table.column_types[1].reasons)


def test_headers_and_sections_stay_text():
    table = table_of([["2019", "2020"], ["1", "2"], ["2021", ""]], spans=[(2, 0, 1, 2)])
    table.cells[4].header = "section"
    type_cells(table)
    assert [cell.value for cell in table.cells] == ["2019", "2020", 1, 2, "2021"]


def test_a_header_that_nobody_found_is_no_evidence():
    table = typed([["Count"], ["(5)"], ["1,234"], ["7"]], header_rows=0)
    assert [cell.value for cell in table.cells] == ["Count", -5, 1234, 7]


def test_errors_beneath_their_coefficients_are_no_negative_numbers():
    rows = [["", "b"], ["age", "0.35*"], ["", "(0.12)"], ["income", "1.20"], ["", "(0.40)"]]
    table = typed(rows)
    assert [table.cell(row, 1).value for row in range(1, 5)] == [0.35, "(0.12)", 1.2, "(0.40)"]
    assert "errors" in " ".join(table.column_types[1].reasons)


def test_spanning_cells_are_typed_with_their_first_column():
    table = typed([["a", "b"], ["1,5", "2"], ["1.234", ""]], spans=[(2, 0, 1, 2)])
    assert table.cell(2, 1).value == 1234


@pytest.mark.parametrize(
    ("text", "number_format"),
    [
        ("1,234", "#,##0"),
        ("2014", "0"),
        ("4.40", "0.00"),
        ("95%", "0%"),
        ("12.5 %", "0.0%"),
        ("(1,234)", "#,##0_);(#,##0)"),
        ("+5.1", "+0.0;-0.0;0.0"),
        ("$1,234.50", "[$$]#,##0.00"),
        ("1 234,50 kr", "#,##0.00 [$kr]"),
        ("CHF 5", "[$CHF] 0"),
        ("2013-12-31", "yyyy-mm-dd"),
        ("12. März 2014", "dd. mmm yyyy"),
        ("3-Jan-2014", "d-mmm-yyyy"),
        ("2014年3月1日", 'yyyy"年"m"月"d"日"'),
        ("abc", ""),
    ],
)
def test_formats_show_values_as_the_table_does(text, number_format):
    cell = typed([["x"], [text], [text]]).cells[1]
    assert cell.number_format == number_format
    assert cell.align == ("right" if number_format else "")


def test_kinds_and_reasons():
    rows = [
        ["n", "share", "price", "day", "name", "", "mixed"],
        ["1", "5%", "$1.50", "2013-12-31", "a", "", "5429644"],
        ["2", "6%", "$2.00", "2014-01-01", "b", "", "some text"],
        ["-", "7%", "$3.25", "2014-01-02", "c", "", "more"],
    ]
    kinds = [each.kind for each in typed(rows).column_types]
    assert kinds == ["integer", "percent", "currency", "date", "text", "empty", "mixed"]
    table = typed([["x"], ["1.5"], ["12-14"], ["3.5"], ["4.5"]])
    told = " ".join(table.column_types[0].reasons)
    assert "3 of 4 cells are numbers" in told
    assert "'1.5' shows" in told
    assert "row 3: '12-14' stays text" in told


def test_a_slip_is_told_and_its_confidence_is_low():
    table = typed([["x"], *[[f"{n},{n}00"] for n in range(111, 119)], ["1O5"]])
    cell = table.cells[-1]
    assert (cell.value, cell.confidence) == (105, 0.5)
    assert "'1O5' is read as '105'" in " ".join(table.column_types[0].reasons)


def test_missing_values_are_texts_or_empty():
    rows = [["x"], ["1"], ["-"], ["2"]]
    assert typed(rows).cells[2].value == "-"
    table = table_of(rows)
    type_cells(table, empty_missing=True)
    assert table.cells[2].value is None


def test_typing_again_changes_nothing():
    table = typed([["x", "y"], ["1,234*", "31/12/13"], ["5.5", "01/02/14"]])
    before = [(cell.value, cell.number_format, cell.note) for cell in table.cells]
    type_cells(table)
    assert [(cell.value, cell.number_format, cell.note) for cell in table.cells] == before


def test_tables_without_cells_or_rows():
    for table in (Table(0, 0, []), Table(1, 1, [])):
        type_cells(table)
        assert len(table.column_types) == table.columns


@pytest.mark.parametrize(
    ("rows", "values"),
    [
        ([["Land", "Umsatz", "Anteil", "Stand"], ["Hessen", "12.480,16", "7,25 %", "13.03.2024"],
          ["Bayern", "1.234", "-3,0 %", "01.02.2024"]],
         ["Hessen", 12480.16, 0.0725, date(2024, 3, 13), "Bayern", 1234, -0.03, date(2024, 2, 1)]),
        ([["Item", "Price", "Weight"], ["a", "1,234", "1.234"], ["b", "2,500", "0.567"],
          ["c", "12,000", "12.900"]],
         ["a", 1234, 1.234, "b", 2500, 0.567, "c", 12000, 12.9]),
        ([["Item", "Weight (kg)"], ["a", "1.234"], ["b", "5.678"]], ["a", "1.234", "b", "5.678"]),
        ([["Metric", "Value"], ["Height", "1.80 m"], ["Share", "5%"], ["Price", "$3.50"],
          ["Founded", "1998"], ["Phone", "+49 30 1234"], ["Code", "007"]],
         ["Height", "1.80 m", "Share", 0.05, "Price", 3.5, "Founded", 1998, "Phone", "+49 30 1234",
          "Code", "007"]),
        ([["#", "Team", "W-L", "GB"], ["1", "A", "10-2", "\u2014"], ["2", "B", "8-4", "2"]],
         [1, "A", "10-2", "\u2014", 2, "B", "8-4", 2]),
    ],
)  # fmt: skip
def test_whole_tables_hold_no_wrong_value(rows, values):
    table = typed(rows)
    assert [cell.value for cell in table.cells[len(rows[0]) :]] == values
