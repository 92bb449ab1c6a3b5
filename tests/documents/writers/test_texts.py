"""CSV, Markdown and JSON of tables: read back by other readers, they hold the same."""

from __future__ import annotations

import csv
import io
import json
from datetime import date

import pytest

from tables_made import table_of
from tallow.documents.content import Word
from tallow.documents.document import Cell, ColumnType, Document, Page, Table


def back(text, delimiter=","):
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def test_csv_reads_back():
    rows = [["a,b", 'say "x"', "two\nlines"], ["", " padded ", "分類"]]
    assert back(table_of(rows).to_csv()) == rows


@pytest.mark.parametrize(
    ("text", "value", "written"),
    [
        ("=1+1", "=1+1", "'=1+1"),
        ("@x", None, "'@x"),
        ("+49 30 123", "+49 30 123", "'+49 30 123"),
        ("-abc", "-abc", "'-abc"),
        ("\tx", "\tx", "'\tx"),
        ("＝1", "＝1", "'＝1"),
        ("\ufeff=1", "\ufeff=1", "'\ufeff=1"),
        (" \u200b@a", " \u200b@a", "' \u200b@a"),
        ("-", "-", "-"),
        ("−5", -5, "-5"),
        ("(1,234.50)", -1234.5, "-1234.5"),
        ("1E-7", 1e-7, "0.0000001"),
        ("3 May 2014", date(2014, 5, 3), "2014-05-03"),
        ("", None, ""),
    ],
)
def test_csv_guards_texts_and_leaves_numbers(text, value, written):
    table = Table(1, 2, [Cell(0, 0, text=text, value=value), Cell(0, 1, text="x")])
    assert back(table.to_csv()) == [[written, "x"]]
    assert back(table.to_csv(guard=False))[0][0] == written.removeprefix("'")


def test_csv_of_spans_and_of_one_empty_column():
    table = table_of([["a", "b"], ["", "c"]], spans=[(0, 0, 2, 1)])
    assert back(table.to_csv()) == [["a", "b"], ["", "c"]]
    assert back(table.to_csv(fill=True)) == [["a", "b"], ["a", "c"]]
    assert back(table_of([["a"], [""], ["b"]]).to_csv()) == [["a"], [""], ["b"]]


def test_csv_of_several_tables_has_an_empty_line_between_them():
    document = Document("d", tables=[table_of([["a"]]), table_of([["b"]])])
    assert back(document.to_csv()) == [["a"], [], ["b"]]


def test_markdown():
    table = table_of(
        [["Name", "Costs", ""], ["", "2019", "2020"], ["a|b\\c", "1", "2*"], ["x\ny", "3", "<br>"]],
        header_rows=2,
        spans=[(0, 0, 2, 1), (0, 1, 1, 2)],
    )
    for cell in table.cells:
        cell.value = int(cell.text) if cell.text in "123" else cell.text
    assert table.to_markdown() == (
        "| Name | Costs<br>2019 | 2020 |\n| --- | ---: | --- |\n"
        "| a\\|b\\\\c | 1 | 2\\* |\n| x<br>y | 3 | &lt;br> |\n"
    )
    assert table.to_markdown(fill=True).startswith("| Name | Costs<br>2019 | Costs<br>2020 |")


def test_markdown_of_marks_links_and_no_header():
    table = table_of([["m2", "[a](b)", "&lt;"]], header_rows=0)
    table.cells[0].raised = ((1, 2),)
    assert table.to_markdown() == (
        "|  |  |  |\n| --- | --- | --- |\n| m<sup>2</sup> | [a]\\(b) | &amp;lt; |\n"
    )


def test_json_holds_reasons_and_no_words_unless_asked():
    table = table_of([["a"], ["1"]])
    table.column_types = [ColumnType("integer", ("every cell is a whole number",))]
    word = Word("1", (0.0, 0.0, float("inf"), 1.0))
    table.cells[1].words = (word,)
    table.cells[1].value = date(2014, 1, 3)
    document = Document("d", [Page(1, 10, 10, [table], [word])], [table])
    made = json.loads(document.to_json())
    assert made["tables"][0]["column_types"][0]["reasons"] == ["every cell is a whole number"]
    assert made["tables"][0]["cells"][1]["value"] == "2014-01-03"
    assert "words" not in made["tables"][0]["cells"][1]
    assert "words" not in made["pages"][0] and "tables" not in made["pages"][0]
    full = json.loads(document.to_json(words=True))
    assert full["tables"][0]["cells"][1]["words"][0]["box"] == [0, 0, None, 1]
    assert full["pages"][0]["words"][0]["text"] == "1"
    assert json.loads(json.dumps(table.to_dict())) == made["tables"][0]
