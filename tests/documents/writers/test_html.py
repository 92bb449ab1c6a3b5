"""HTML of tables: read back by HTML's rules of placement, it is the same table."""

from __future__ import annotations

import pytest

from tables_made import table_from_html, table_of, tiling
from tallow.documents.document import Document
from tallow.documents.writers.html import document_html, table_html


@pytest.mark.parametrize("seed", range(40))
def test_html_reads_back_as_the_same_table(seed):
    table = tiling(seed)
    again = table_from_html(table_html(table))
    assert again.cells == table.cells
    assert (again.rows, again.header_rows) == (table.rows, table.header_rows)


def test_a_header_that_reaches_into_the_body_is_no_thead():
    table = table_of([["a", "b"], ["", "1"]], spans=[(0, 0, 2, 1)])
    html = table_html(table)
    assert "<thead>" not in html
    assert table_from_html(html).cells == table.cells


def test_scopes_are_for_headers():
    table = table_of([["", "2020", ""], ["x", "1", "2"]], spans=[(0, 1, 1, 2)])
    table.cells[2].header = "row"
    assert '<th colspan="2" scope="colgroup">2020</th>' in table_html(table)
    assert '<td class="row-header">x</td>' in table_html(table)
    assert '<th scope="row">x</th>' in table_html(table, row_headers=True)


def test_what_xml_and_utf8_cannot_hold_is_gone():
    html = table_html(table_of([["a\x00b\x1f", "\ud800c\r\nd"]], header_rows=0))
    assert "<td>ab</td><td>c<br>d</td>" in html
    html.encode()


def test_a_raised_range_out_of_the_text_is_cut():
    table = table_of([["24.912"]], header_rows=0)
    table.cells[0].raised = ((5, 9), (-3, 0), (5, 6))
    assert "<td>24.91<sup>2</sup></td>" in table_html(table)


def test_a_page_holds_every_table_and_escapes_its_name():
    document = Document("<b>.png", tables=[table_of([["a"]], title="One & two"), table_of([["b"]])])
    page = document_html(document)
    assert page.startswith("<!DOCTYPE html>")
    assert "&lt;b&gt;.png" in page
    assert "<caption>One &amp; two</caption>" in page
    assert page.count("<table>") == 2


def test_a_title_holds_no_markup():
    page = document_html(Document("a\nb<c>.pdf", tables=[]))
    assert "<title>a b&lt;c&gt;.pdf</title>" in page
