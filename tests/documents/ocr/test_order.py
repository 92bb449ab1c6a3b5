"""The order of lines: columns of running text one by one, tables by rows, headings first."""

from __future__ import annotations

from tallow.documents.content import Word
from tallow.documents.document import Page
from tallow.documents.geometry import quad_of
from tallow.documents.ocr.engine import Line
from tallow.documents.ocr.order import reading_order
from tallow.documents.ocr.pages import page_lines, page_text


def line(text, left, top, width, height=10.0, turn=0):
    return Line(text, 1.0, quad_of((left, top, left + width, top + height)), turn)


def texts(lines):
    return [[each.text for each in block] for block in reading_order(lines)]


def column(name, left, top, count, width=200):
    return [line(f"{name}{i}", left, top + 14 * i, width - 3 * (i % 3)) for i in range(count)]


def test_columns_under_a_heading_and_over_a_footer():
    lines = [
        line("heading", 100, 0, 300),
        *column("a", 0, 20, 6), *column("b", 240, 20, 6),
        line("footer", 0, 150, 440),
    ]  # fmt: skip
    found = texts(lines[::-1])
    assert found == [
        ["heading"], [f"a{i}" for i in range(6)], [f"b{i}" for i in range(6)], ["footer"],
    ]  # fmt: skip


def test_three_columns_with_paragraphs():
    lines = [each for x in (0, 150, 300) for each in
             [*column(f"{x}p", x, 0, 4, 130), *column(f"{x}q", x, 80, 4, 130)]]  # fmt: skip
    found = [text for block in texts(lines) for text in block]
    assert found == [each.text for each in lines]


def test_a_table_is_read_by_rows():
    lines = [line(f"{r}{c}", 100 * c, 20 * r, 30) for c in range(4) for r in range(5)]
    assert [text for block in texts(lines) for text in block] == [
        f"{r}{c}" for r in range(5) for c in range(4)
    ]


def test_turned_lines_come_last_and_nothing_is_lost():
    lines = [line("up", 0, 0, 10, 100, turn=270), *column("a", 20, 0, 3)]
    assert texts(lines) == [["a0", "a1", "a2"], ["up"]]
    assert reading_order([]) == []


def test_words_become_lines_by_number_or_by_row():
    words = [
        Word("a", (0, 0, 10, 10), line=4),
        Word("b", (14, 0, 20, 10), line=4),
        Word("c", (0, 16, 10, 26)),
        Word("d", (14, 17, 20, 27)),
        Word(" ", (40, 0, 50, 10)),
    ]
    page = Page(1, 100, 100, words=words)
    assert [each.text for each in page_lines(page)] == ["a b", "c d"]
    assert page_text(page) == "a b\nc d"
