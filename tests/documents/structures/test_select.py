"""The choice among proposals: what the words and rulings of a page speak against is not taken."""

import pytest

from tallow.documents.content import PageContent, Ruling, Word
from tallow.documents.steps import Region
from tallow.documents.structure import Slot, Structure, tiled
from tallow.documents.structures.fitting import fitted
from tallow.documents.structures.select import rank, select

ROWS, COLUMNS = 6, 4


def page(*, ruled=False, spanning=False):
    words = [
        Word(f"{r}.{c}5", (100 * c + 20, 30 * r + 8, 100 * c + 70, 30 * r + 22))
        for r in range(1 if spanning else 0, ROWS)
        for c in range(COLUMNS)
    ]
    if spanning:
        words += [Word("all of them over the columns", (120, 8, 380, 22))]
    rulings = []
    if ruled:
        rulings += [Ruling(True, 30 * r, 0, 400) for r in range(ROWS + 1)]
        rulings += [Ruling(False, 100 * c, 0, 180) for c in range(COLUMNS + 1)]
    return PageContent(400, 180, "picture", words, rulings)


def proposal(rows, columns, source, slots=()):
    boxed = tiled(rows, columns, slots)
    width, height = 400 / columns, 180 / rows
    boxed = tuple(
        Slot(s.row, s.column, s.row_span, s.column_span,
             (width * s.column, height * s.row, width * s.right, height * s.bottom))
        for s in boxed
    )  # fmt: skip
    return Structure(rows, columns, boxed, source)


RIGHT = proposal(ROWS, COLUMNS, "right")
WRONG = {
    "a column too few": proposal(ROWS, COLUMNS - 1, "wrong"),
    "a column too many": proposal(ROWS, COLUMNS + 1, "wrong"),
    "rows in pairs": proposal(ROWS // 2, COLUMNS, "wrong"),
    "a row too many": proposal(ROWS + 1, COLUMNS, "wrong"),
    "a span too many": proposal(ROWS, COLUMNS, "wrong", (Slot(2, 1, 1, 2),)),
}


@pytest.mark.parametrize("ruled", [False, True])
@pytest.mark.parametrize("what", WRONG)
def test_what_the_page_speaks_against_is_not_taken(what, ruled):
    for proposals in ([RIGHT, WRONG[what]], [WRONG[what], RIGHT]):
        found = select(page(ruled=ruled), Region((0, 0, 400, 180)), proposals)
        assert (found.rows, found.columns) == (ROWS, COLUMNS)
        assert all(slot.column_span == 1 for slot in found.slots)


def test_a_span_that_words_need_is_taken():
    spanning = proposal(ROWS, COLUMNS, "spanning", (Slot(0, 1, 1, 3),))
    found = select(page(spanning=True), Region((0, 0, 400, 180)), [RIGHT, spanning])
    assert Slot(0, 1, 1, 3) in [Slot(s.row, s.column, s.row_span, s.column_span)
                                for s in found.slots]  # fmt: skip


def test_the_chosen_one_has_edges_that_rise_and_cut_no_word():
    content = page()
    found = select(content, Region((0, 0, 400, 180)), [RIGHT])
    for edges, low, high in ((found.row_edges, 1, 3), (found.column_edges, 0, 2)):
        assert list(edges) == sorted(edges)
        assert not any(w.box[low] < at < w.box[high] for w in content.words for at in edges)


def test_edges_go_to_rulings():
    content = page(ruled=True)
    off = fitted(RIGHT, content.words, (0, 0, 400, 180), content.rulings)
    assert off.row_edges == tuple(30 * r for r in range(ROWS + 1))
    assert off.column_edges == tuple(100 * c for c in range(COLUMNS + 1))


def test_no_proposals_give_none():
    assert select(page(), Region((0, 0, 400, 180)), []) is None


def test_a_page_without_words_still_has_a_choice():
    content = PageContent(400, 180, "picture")
    assert len(rank(content, Region((0, 0, 400, 180)), [RIGHT, WRONG["a row too many"]])) == 2


def test_a_dash_in_a_ruling_is_no_word():
    from tallow.documents.structures.fitting import words_in

    words = [
        Word("-", (200, 28, 210, 32)),
        Word("-", (200, 50, 210, 54)),
        Word("a-b", (0, 28, 30, 32)),
    ]
    content = PageContent(400, 180, "picture", words, [Ruling(True, 30, 0, 400)])
    assert [word.box[1] for word in words_in(content, (0, 0, 400, 180))] == [50, 28]


def test_spans_are_made_again_by_rulings():
    """The proposal joins two cells that a ruling parts, and parts two that none does."""
    content = page(ruled=True)
    gone = [w for w in content.words if not (w.box[1] < 30 and w.box[0] > 100 and w.box[0] < 300)]
    words = [*gone, Word("over both", (180, 8, 230, 22))]
    rulings = [r for r in content.rulings if r.horizontal or r.at != 200]
    rulings.append(Ruling(False, 200, 30, 180))
    content = PageContent(400, 180, "picture", words, rulings)
    wrong = proposal(ROWS, COLUMNS, "wrong", (Slot(3, 2, 2, 1),))
    found = select(content, Region((0, 0, 400, 180)), [wrong])
    spans = [s for s in found.slots if (s.row_span, s.column_span) != (1, 1)]
    assert [(s.row, s.column, s.row_span, s.column_span) for s in spans] == [(0, 1, 1, 2)]


def test_the_header_that_another_proposal_says_is_kept():
    from tallow.lazy_dataclasses import replace

    other = replace(WRONG["a column too few"], header_rows=2)
    assert select(page(), Region((0, 0, 400, 180)), [RIGHT, other]).header_rows == 2


def test_empty_rows_that_rulings_draw_are_kept_however_many_leave_them_out():
    content = page(ruled=True)
    content.words = [word for word in content.words if word.box[1] < 120]
    edges = tuple(100.0 * c for c in range(COLUMNS + 1))
    drawn = Structure(ROWS, COLUMNS, tiled(ROWS, COLUMNS, ()), "drawn", 0.8, None,
                      tuple(30.0 * r for r in range(ROWS + 1)), edges)  # fmt: skip
    less = [
        Structure(4, COLUMNS, tiled(4, COLUMNS, ()), source, 1.0, 1,
                  tuple(30.0 * r for r in range(5)), edges)
        for source in ("a", "b")
    ]  # fmt: skip
    found = select(content, Region((0, 0, 400, 180)), [*less, drawn])
    assert found.rows == ROWS


def test_a_letter_where_rulings_cross_is_no_word_and_one_in_a_cell_is():
    from tallow.documents.structures.fitting import words_in

    rulings = [Ruling(True, 30, 0, 400), Ruling(False, 100, 0, 180)]
    words = [
        Word("T", (95, 28, 105, 42), 0.6),
        Word("T", (103, 32, 111, 44), 0.9),
        Word("1", (-4, 40, 1, 52), 0.5),
        Word("-", (99, 60, 101, 70), 0.9),  # a dot of the upright line
    ]
    content = PageContent(400, 180, "picture", words, rulings)
    assert [word.box[0] for word in words_in(content, (-5, 0, 400, 180))] == [103]
