"""Rows that hold two and columns with a gap through them are divided; text over lines is not."""

import numpy as np

from tallow.documents.content import Word
from tallow.documents.structure import Slot, Structure, tiled
from tallow.documents.structures.evidence import placed_words
from tallow.documents.structures.repairing import repaired, with_edges


def mended(texts, row_edges, column_edges, slots=()):
    words = [Word(text, (x, y, x + 30, y + 12)) for text, x, y in texts]
    boxes = np.array([word.box for word in words], float).reshape(-1, 4)
    rows, columns = len(row_edges) - 1, len(column_edges) - 1
    structure = Structure(
        rows, columns, tiled(rows, columns, slots), "test",
        row_edges=row_edges, column_edges=column_edges,
    )  # fmt: skip
    return repaired(placed_words(structure, boxes), words, boxes).structure


def numbers(rows, columns):
    return [(f"{r}{c}", 60 * c + 5, 20 * r + 4) for r in range(rows) for c in range(columns)]


def test_rows_of_numbers_that_stand_in_one_row_are_divided():
    found = mended(numbers(6, 3), (0, 40, 60, 80, 120), (0, 60, 120, 180))
    assert found.row_edges == (0, 20, 40, 60, 80, 100, 120)
    assert len(found.slots) == 18


def test_text_over_lines_stays_a_row():
    texts = [("some", 5, 4), ("more", 5, 24), ("12", 65, 4), ("ends", 5, 44), ("13", 65, 44)]
    assert mended(texts, (0, 40, 60), (0, 60, 120)).rows == 2


def test_a_column_with_white_through_all_rows_is_divided():
    found = mended(numbers(5, 3), (0, 20, 40, 60, 80, 100), (0, 120, 180))
    assert found.columns == 3
    assert 35 < found.column_edges[1] < 65


def test_a_wide_gap_in_one_row_divides_no_column():
    texts = [("a", 5, 4), ("b", 65, 4), ("long", 5, 24), ("long", 30, 24), ("long", 60, 24),
             ("long", 5, 44), ("long", 40, 44)]  # fmt: skip
    assert mended(texts, (0, 20, 40, 60), (0, 120)).columns == 1


def test_spans_reach_over_the_parts_of_what_they_spanned():
    structure = Structure(2, 2, tiled(2, 2, [Slot(0, 0, 2, 1)]), "test", header_rows=1,
                          row_edges=(0, 40, 60), column_edges=(0, 50, 100))  # fmt: skip
    found = with_edges(structure, 1, 0, [20])
    assert Slot(0, 0, 3, 1) in found.slots
    assert (found.rows, found.header_rows, found.row_edges) == (3, 2, (0, 20, 40, 60))


def test_a_heading_in_the_middle_of_the_other_columns_leaves_the_first_one_free():
    texts = [
        ("head", 105, 4),
        *[(f"{r}{c}", 60 * c + 5, 20 * r + 4) for r in (1, 2) for c in range(4)],
    ]
    over = [Slot(0, 0, 1, 3)]
    found = mended(texts, (0, 20, 40, 60), (0, 60, 120, 180, 240), over)
    assert found.slots[:2] == (Slot(0, 0, 1, 1), Slot(0, 1, 1, 2))
    texts[0] = ("head", 5, 4)
    kept = mended(texts, (0, 20, 40, 60), (0, 60, 120, 180, 240), over)
    assert kept.slots[0] == Slot(0, 0, 1, 3)


def test_the_label_of_a_total_stays_over_the_first_column():
    texts = [
        *[(f"{r}{c}", 60 * c + 5, 20 * r + 4) for r in (0, 1, 2) for c in range(4)],
        ("total", 105, 64),
        ("93", 185, 64),
    ]
    total = Slot(3, 0, 1, 3)
    found = mended(texts, (0, 20, 40, 60, 80), (0, 60, 120, 180, 240), [total])
    assert total in found.slots
