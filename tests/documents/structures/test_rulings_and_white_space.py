"""Rows, columns and spans of drawn tables: from rulings and fills, and from white space alone."""

import pytest

from tallow.documents.content import Fill, PageContent, Ruling, Word
from tallow.documents.steps import Region
from tallow.documents.structures import aligned, lines, ruled

LETTER, SPACE, HEIGHT = 5.0, 3.0, 10.0  # of the text drawn here


def words_at(x, y, text, align="left"):
    """Words of a line whose middle is at `y`: from `x`, or to `x`, or around it."""
    width = sum(len(word) * LETTER for word in text.split()) + SPACE * text.count(" ")
    x -= {"left": 0, "right": width, "center": width / 2}[align]
    words = []
    for word in text.split():
        box = (x, y - HEIGHT / 2, x + len(word) * LETTER, y + HEIGHT / 2)
        words.append(Word(word, box, size=HEIGHT))
        x = box[2] + SPACE
    return words


def page(words, rulings=(), fills=()):
    content = PageContent(600, 800, "text layer", words, list(rulings), list(fills))
    boxes = [word.box for word in words] or [(0, 0, 600, 800)]
    left, top = min(b[0] for b in boxes), min(b[1] for b in boxes)
    right, bottom = max(b[2] for b in boxes), max(b[3] for b in boxes)
    lines = [(r.start, r.end, r.at) for r in rulings]
    if lines:
        left = min([left, *(r.start if r.horizontal else r.at for r in rulings)])
        right = max([right, *(r.end if r.horizontal else r.at for r in rulings)])
        top = min([top, *(r.at if r.horizontal else r.start for r in rulings)])
        bottom = max([bottom, *(r.at if r.horizontal else r.end for r in rulings)])
    return content, Region((left, top, right, bottom))


def cells(structure):
    return {(s.row, s.column): (s.row_span, s.column_span) for s in structure.slots}


def spans(structure):
    return {place: span for place, span in cells(structure).items() if span != (1, 1)}


def grid(rows, columns, missing=(), short=0.0):
    """Rulings of a grid at (0, 20, 40 …) × (0, 100, 200 …), piece by piece without the missing."""
    found = []
    for row in range(rows + 1):
        for column in range(columns):
            if ("below", row - 1, column) not in missing:
                a, b = 100 * column + short, 100 * (column + 1) - short
                found.append(Ruling(True, 20 * row + short / 10, a, b))
    for column in range(columns + 1):
        for row in range(rows):
            if ("right", row, column - 1) not in missing:
                a, b = 20 * row + short / 4, 20 * (row + 1) - short / 4
                found.append(Ruling(False, 100 * column + short / 10, a, b))
    return found


@pytest.mark.parametrize("short", [0.0, 6.0])
def test_a_grid_is_its_rows_and_columns_also_where_they_are_empty(short):
    words = words_at(5, 10, "a") + words_at(105, 30, "b")
    found = ruled.propose(*page(words, grid(4, 3, short=short)))[0]
    assert (found.rows, found.columns, spans(found)) == (4, 3, {})
    assert found.row_edges == pytest.approx((0, 20, 40, 60, 80), abs=2)
    assert found.column_edges == pytest.approx((0, 100, 200, 300), abs=2)


def test_missing_pieces_are_spans():
    missing = {("right", 0, 1), ("below", 1, 0), ("below", 2, 0)}
    words = words_at(200, 10, "over two", "center") + words_at(5, 50, "group")
    words += [
        w for r in range(1, 4) for c in (1, 2) for w in words_at(100 * c + 5, 20 * r + 10, "v")
    ]
    found = ruled.propose(*page(words, grid(4, 3, missing)))[0]
    assert spans(found) == {(0, 1): (1, 2), (1, 0): (3, 1)}


def test_labels_without_rules_are_rows_where_each_row_has_one():
    missing = {("below", row, 0) for row in range(3)}
    words = [w for r in range(4) for w in words_at(5, 20 * r + 10, f"label{r}")]
    words += [w for r in range(4) for w in words_at(105, 20 * r + 10, "1.5")]
    found = ruled.propose(*page(words, grid(4, 2, missing)))[0]
    assert (found.rows, spans(found)) == (4, {})


def test_lines_of_text_in_one_cell_stay_in_it():
    words = words_at(5, 6, "first") + words_at(5, 15, "second") + words_at(105, 10, "x")
    words += words_at(5, 30, "third") + words_at(105, 30, "y")
    assert ruled.propose(*page(words, grid(2, 2)))[0].rows == 2


def test_stripes_give_rows_and_white_space_columns():
    words, fills = [], []
    for row in range(6):
        words += words_at(5, 20 * row + 10, f"label{row}") + words_at(
            190, 20 * row + 10, "12", "right"
        )
        words += words_at(290, 20 * row + 10, "3.4", "right")
        if row % 2 == 0:
            fills.append(Fill((0, 20 * row, 300, 20 * row + 20), (220, 220, 220)))
    content, region = page(words, fills=fills)
    found = ruled.propose(content, Region((0, 0, 300, 120)))[0]
    assert (found.rows, found.columns, spans(found)) == (6, 3, {})
    assert region.box[0] == 5


def test_a_header_and_row_over_the_first_stripe_are_two_rows():
    words = words_at(190, 10, "kg", "right") + words_at(290, 10, "EUR", "right")
    for row in range(1, 6):
        words += words_at(5, 20 * row + 10, f"label{row}")
        words += [w for x in (190, 290) for w in words_at(x, 20 * row + 10, "1.5", "right")]
    fills = [Fill((0, 20 * row, 300, 20 * row + 20), (220, 220, 220)) for row in (2, 4)]
    found = ruled.propose(page(words, fills=fills)[0], Region((0, 0, 300, 120)))[0]
    assert (found.rows, found.columns, spans(found)) == (6, 3, {})


def test_one_line_behind_labels_leaves_columns_to_white_space():
    words = []
    for row in range(6):
        words += words_at(5, 20 * row + 10, f"label{row}")
        words += [
            w for c in (1, 2, 3) for w in words_at(100 * c + 50, 20 * row + 10, "12.3", "right")
        ]
    rulings = [Ruling(False, 90, 0, 120), Ruling(True, 0, 0, 360), Ruling(True, 20, 0, 360),
               Ruling(True, 120, 0, 360)]  # fmt: skip
    shapes = {(s.rows, s.columns) for s in ruled.propose(*page(words, rulings))}
    assert (6, 4) in shapes


def test_white_space_finds_columns_that_titles_cross():
    words = words_at(150, 10, "A title that is over all of the columns", "center")
    for row in range(1, 7):
        words += words_at(5, 20 * row + 10, "label " * (row % 3 + 1))
        words += words_at(180, 20 * row + 10, "1,234"[: row % 3 + 3], "right")
        words += words_at(290, 20 * row + 10, "56", "right")
    found = aligned.propose(*page(words))[0]
    assert (found.rows, found.columns) == (7, 3)
    assert [s.column_span for s in found.slots if s.row == 0 and s.column_span > 1]


def test_groups_of_heads_span_the_columns_under_their_rules():
    words = words_at(150, 10, "First", "center") + words_at(350, 10, "Second", "center")
    for column in range(4):
        words += words_at(100 * column + 100, 30, f"h{column}", "center")
    words += words_at(0, 30, "name")
    for row in range(2, 7):
        words += words_at(0, 20 * row + 10, "label")
        words += [
            w for c in range(4) for w in words_at(100 * c + 100, 20 * row + 10, "1.5", "center")
        ]
    rules = [Ruling(True, 0, 0, 420), Ruling(True, 40, 0, 420), Ruling(True, 150, 0, 420),
             Ruling(True, 20, 85, 220), Ruling(True, 20, 285, 420)]  # fmt: skip
    found = aligned.propose(*page(words, rules))[0]
    assert (found.rows, found.columns, found.header_rows) == (7, 5, 2)
    assert spans(found) == {(0, 1): (1, 2), (0, 3): (1, 2)}


def test_lines_close_below_are_second_lines_of_cells():
    words = []
    for row in range(5):
        y = 40 * row + 10
        words += words_at(5, y, "label of two") + words_at(5, y + 12, "lines")
        words += words_at(150, y, "12", "right") + words_at(250, y, "3", "right")
    found = aligned.propose(*page(words))[0]
    assert (found.rows, found.columns) == (5, 3)


def test_signs_of_money_are_no_columns():
    words = []
    for row in range(5):
        y = 20 * row + 10
        words += words_at(5, y, "label") + words_at(80, y, "$") + words_at(150, y, "1234", "right")
    assert aligned.propose(*page(words))[0].columns == 2


@pytest.mark.parametrize("source", [aligned, ruled])
def test_nothing_and_a_single_word_give_no_table(source):
    content = PageContent(600, 800, "picture")
    assert source.propose(content, Region((0, 0, 600, 800))) == []
    assert source.propose(*page(words_at(5, 10, "one"))) == []


def test_rulings_without_words_are_a_table_of_empty_cells():
    found = ruled.propose(*page([], grid(3, 2)))[0]
    assert (found.rows, found.columns) == (3, 2)


def test_rows_of_which_half_are_texts_are_no_header():
    heads = [("Nr", 0), ("Name", 60), ("Mark", 180), ("Amount", 260), ("Share", 360)]
    words = [word for text, x in heads for word in words_at(x, 10, text)]
    for n in range(1, 9):
        name = "33" if n == 3 else f"Paris {n}"
        row = [(str(n), 0), (name, 60), ("x", 180), (f"{n}2.36", 260), (f"{n}6%", 360)]
        words += [word for text, x in row for word in words_at(x, 10 + 15 * n, text)]
    (found, *_) = aligned.propose(*page(words))
    assert (found.rows, found.columns, found.header_rows) == (9, 5, 1)


def rule(y, start=0, end=300):
    return Ruling(True, y, start, end)


def body(rows, first, columns=(150, 250), top=30):
    """Rows 20 apart of numbers, with `first` as their labels where there is one."""
    words = []
    for row in range(rows):
        words += words_at(5, top + 20 * row, first[row]) if first[row] else []
        words += [w for x in columns for w in words_at(x, top + 20 * row, f"{row}2.5", "right")]
    return words


def heads(names=("name", "one", "two"), y=10):
    places = (5, 130, 230)
    return [w for x, name in zip(places, names, strict=True) for w in words_at(x, y, name)]


def test_labels_half_way_between_rows_of_ruled_groups_span_them():
    words = heads() + body(4, [""] * 4)
    words += words_at(5, 40, "first") + words_at(5, 80, "second")
    rules = [rule(0), rule(20), rule(60), rule(100)]
    found = aligned.propose(*page(words, rules))[0]
    assert (found.rows, found.columns) == (5, 3)
    assert spans(found) == {(1, 0): (2, 1), (3, 0): (2, 1)}


def test_labels_span_blank_cells_below_only_where_their_own_row_has_values():
    words = heads() + body(6, ["a", "", "", "b", "", ""])
    assert spans(aligned.propose(*page(words))[0]) == {(1, 0): (3, 1), (4, 0): (3, 1)}
    section = heads() + words_at(5, 30, "Section") + body(3, ["x", "y", "z"], top=50)
    assert spans(aligned.propose(*page(section))[0]) == {}


def test_second_labels_are_a_column_that_others_span():
    words = heads() + body(8, ["alpha", "beta", "c", "", "d", "e", "f", "g"])
    words += words_at(80, 70, "x1") + words_at(80, 90, "x2")
    found = aligned.propose(*page(words))[-1]
    assert found.columns == 4
    assert (1, 0) in spans(found) and (3, 0) not in spans(found)


def test_bullets_begin_cells_of_lists():
    words = heads(("kind", "causes", "effects"))
    for row in range(4):
        y = 30 + 30 * row
        words += (
            words_at(5, y, f"k{row}") + words_at(130, y, "• one cause") + words_at(230, y, "• so")
        )
        words += words_at(140, y + 11, "goes on")
    found = aligned.propose(*page(words))[0]
    assert (found.rows, found.columns) == (5, 3)


def test_rules_above_and_below_heads_are_left_to_white_space():
    words = heads() + body(6, list("abcdef"))
    assert ruled.propose(*page(words, [rule(0), rule(20), rule(140)])) == []


def test_many_cells_take_bounded_time():
    words = [
        word for r in range(100) for c in range(30) for word in words_at(40 * c, 20 * r, "1.5")
    ]
    content, region = page(words)
    assert {(s.rows, s.columns) for s in aligned.propose(content, region)} == {(100, 30)}


def test_cells_of_one_ruled_row_that_are_wrapped_together_stay_one_row():
    words = words_at(4, 10, "label") + words_at(104, 10, "a value")
    words += words_at(4, 27, "a long label here") + words_at(104, 27, "words until the end")
    words += words_at(4, 39, "goes on") + words_at(104, 39, "are wrapped")
    ys = (0.0, 20.0, 46.0)
    rulings = [Ruling(True, y, 0, 200) for y in ys] + [
        Ruling(False, x, 0, 46) for x in (0, 100, 200)
    ]
    content, region = page(words, rulings)
    assert {(s.rows, s.columns) for s in ruled.propose(content, region)} == {(2, 2)}


def test_heads_at_the_middle_of_several_columns_span_them():
    """The label beside both rows of heads stands half way between them."""
    words = words_at(30, 19, "Housing")
    for left, year in ((100, "2018"), (280, "2019")):
        words += words_at(left + 80, 10, year, "center")
        for column, head in enumerate(("Total", "Men", "Women")):
            words += words_at(left + 20 + 60 * column, 28, head, "center")
    for row in range(4):
        words += words_at(0, 50 + 18 * row, f"Place {'abcd'[row]}")
        for column in range(6):
            words += words_at(135 + 60 * column, 50 + 18 * row, f"{row}4{column}.5", "right")
    made = aligned.propose(*page(words))[0]
    assert (made.rows, made.columns, made.header_rows) == (6, 7, 2)
    assert spans(made) == {(0, 0): (2, 1), (0, 1): (1, 3), (0, 4): (1, 3)}


def test_words_that_a_space_joins_are_one_piece_however_wide_it_is():
    words = [Word("Energy", (0, 0, 30, 10), line=1), Word("regional", (35, 0, 75, 10), line=1)]
    apart = [Word("Energy", (0, 0, 30, 10), line=1), Word("regional", (35, 0, 75, 10), line=2)]
    assert len(lines.lines_of(words, 10)[0].pieces) == 1
    assert len(lines.lines_of(apart, 10)[0].pieces) == 2
