"""Words in cells: every word in one cell, texts in order of reading, edges found between words."""

import random

import pytest

from tallow.documents.cells.assign import assign
from tallow.documents.cells.joining import joined, lines_of
from tallow.documents.cells.splitting import split_at
from tallow.documents.content import PageContent, Word
from tallow.documents.steps import Region
from tallow.documents.structure import Slot, Structure


def word(text, left, top, right=None, bottom=None, **more):
    return Word(text, (left, top, right or left + 8 * len(text), bottom or top + 12), **more)


def page(words):
    return PageContent(400, 300, "picture", list(words))


def plain(rows, columns, **more):
    slots = tuple(Slot(r, c) for r in range(rows) for c in range(columns))
    return Structure(rows, columns, slots, "test", **more)


def region():
    return Region((0, 0, 400, 300))


def test_every_word_is_in_one_cell_wherever_it_stands():
    at = random.Random(0)
    words = [word(f"w{i}", at.uniform(0, 380), at.uniform(0, 285)) for i in range(200)]
    structure = plain(3, 4, row_edges=(50, 100, 150, 200), column_edges=(50, 100, 150, 200, 250))
    table = assign(page(words), region(), structure)
    found = [each.text for cell in table.cells for each in cell.words]
    assert sorted(found) == sorted(each.text for each in words)


@pytest.mark.parametrize("shift", [-8, 0, 8])
def test_edges_are_found_between_words_though_boxes_are_off(shift):
    words = [word(f"r{r}c{c}", 20 + 100 * c, 20 + 30 * r) for r in range(5) for c in range(3)]
    slots = tuple(
        Slot(r, c, box=(10 + 100 * c + shift, 16 + 30 * r + shift, 70 + 100 * c, 36 + 30 * r))
        for r in range(5)
        for c in range(3)
    )
    table = assign(page(words), region(), Structure(5, 3, slots, "test"))
    assert [cell.text for cell in table.cells] == [f"r{r}c{c}" for r in range(5) for c in range(3)]


def test_a_slot_over_columns_keeps_its_words():
    slots = (Slot(0, 0, 1, 2, (10, 10, 200, 30)), Slot(1, 0), Slot(1, 1))
    words = [word("over both of them", 40, 10), word("a", 20, 50), word("b", 150, 50)]
    structure = Structure(2, 2, slots, "test", row_edges=(0, 40, 80), column_edges=(0, 90, 200))
    table = assign(page(words), region(), structure)
    assert [cell.text for cell in table.cells] == ["over both of them", "a", "b"]


def test_a_word_over_an_edge_is_divided_at_its_space():
    pieces = split_at(word("12.5 (0.3)", 10, 0, 90), [52])
    assert [piece.text for piece in pieces] == ["12.5", "(0.3)"]
    assert pieces[0].box[2] <= 52 <= pieces[1].box[2]


def test_a_word_without_a_space_stays_whole():
    whole = word("indivisible", 10, 0, 90)
    assert split_at(whole, [50]) == [whole]


def test_text_is_read_by_lines_then_from_left():
    words = [word("d", 50, 21), word("a", 10, 0), word("b", 50, 2), word("c", 10, 20)]
    assert joined(words)[0] == "a b c d"


def test_ideographs_have_no_spaces_between():
    assert joined([word("体重", 0, 0, 24), word("指数", 30, 0, 54)])[0] == "体重指数"
    assert joined([word("BMI", 0, 0), word("指数", 40, 0, 64)])[0] == "BMI 指数"


def test_superscripts_are_places_in_the_text():
    words = [word("24.91", 0, 4, 40, 16), word("2", 40, 0, 45, 8, raised=True), word("x", 60, 4)]
    assert joined(words) == ("24.912 x", ((5, 6),))


def test_turned_text_is_read_along_its_lines():
    up = [word("first", 0, 50, 12, 90, turn=270), word("second", 0, 0, 12, 45, turn=270)]
    assert joined(up)[0] == "first second"
    down = [word("first", 20, 0, 32, 40, turn=90), word("second", 0, 0, 12, 45, turn=90)]
    assert [[each.text for each in line] for line in lines_of(down)] == [["first"], ["second"]]


def test_no_words_give_empty_cells():
    table = assign(page([]), region(), plain(2, 2))
    assert [cell.text for cell in table.cells] == [""] * 4
    assert {cell.confidence for cell in table.cells} == {1.0}


def test_numbers_are_seen_to_end_at_the_right():
    words = [word("1", 132, 10), word("200", 116, 40), word("30", 124, 70)]
    words += [word(each, 10, 10 + 30 * i) for i, each in enumerate(["a", "bcd", "ef"])]
    table = assign(page(words), region(), plain(3, 2, row_edges=(0, 30, 60, 90),
                                                column_edges=(0, 90, 200)))  # fmt: skip
    assert {cell.align for cell in table.cells if cell.column == 1} == {"right"}
    assert {cell.align for cell in table.cells if cell.column == 0} == {"left"}


def test_a_line_that_was_ended_early_is_followed_by_a_space():
    lines = [
        word("第一组。", 10, 0, 58),
        word("第二组很长。", 10, 20, 82),
        word("第三组。", 10, 40, 58),
    ]
    assert joined(lines)[0] == "第一组。 第二组很长。第三组。"
    assert joined(lines, (0, 0, 300, 60))[0] == "第一组。 第二组很长。 第三组。"
    assert joined(lines, (0, 0, 95, 60))[0] == "第一组。 第二组很长。第三组。"


def test_what_was_not_read_is_read_from_its_cell():
    """A drawn dash without a word; an empty cell stays empty, and a sure word is not asked for."""
    import numpy as np

    pixels = np.full((100, 200, 3), 255, np.uint8)
    pixels[20:35, 20:50], pixels[24:26, 130:142] = 0, 0
    asked = []

    class Nothing:
        def read(self, pixels):
            raise AssertionError("a page was read")

        def read_lines(self, crops):
            asked.extend(crops)
            return [("", 0.0) for _ in crops]

    content = PageContent(200, 100, "picture", [word("abc", 20, 20, 50, 35)])
    content.rendered = lambda: pixels
    structure = plain(2, 2, row_edges=(0, 50, 100), column_edges=(0, 100, 200))
    table = assign(content, Region((0, 0, 200, 100)), structure, Nothing())
    assert [cell.text for cell in table.cells] in (["abc", dash, "", ""] for dash in "-–")
    assert not asked


def test_words_read_without_their_space_are_divided_at_a_capital_by_the_edge():
    whole = word("softwareConsulting", 0, 0, right=144)
    assert [each.text for each in split_at(whole, [66.0])] == ["software", "Consulting"]
    assert [each.text for each in split_at(whole, [110.0])] == ["softwareConsulting"]
