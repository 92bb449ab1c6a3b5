"""Spans are elected by proposals of one grid, alike for all sections and groups of a table."""

import numpy as np
import pytest

from tallow.documents.content import Ruling, Word
from tallow.documents.structure import Slot, Structure, tiled
from tallow.documents.structures.distances import without_wrapped_rows
from tallow.documents.structures.evidence import placed_words
from tallow.documents.structures.heads import over_rules
from tallow.documents.structures.voting import voted

ROWS = ["Item|A|B|P", "Sex||", "Men|1|2|3", "Age|||", "Old|4|5|6", "Site|||", "Left|7|8|9"]
GROUPS = ["Group|Item|A", "One|x|1", "|y|2", "Two|z|3", "|w|4", "Three|v|5"]


def page(rows, width=60.0, height=20.0):
    return [
        Word(text, (c * width + 2, r * height + 5, c * width + 4 + 6 * len(text), r * height + 15))
        for r, row in enumerate(rows)
        for c, text in enumerate(row.split("|"))
        if text
    ]


def proposal(words, rows, columns, spans, source, confidence, width=60.0, height=20.0):
    structure = Structure(
        rows, columns, tiled(rows, columns, [Slot(*span) for span in spans]), source, confidence, 1,
        tuple(height * r for r in range(rows + 1)), tuple(width * c for c in range(columns + 1)),
    )  # fmt: skip
    boxes = np.array([word.box for word in words], float)
    return placed_words(structure, boxes)


def spans_of(structure):
    slots = [(s.row, s.column, s.row_span, s.column_span) for s in structure.slots]
    return {span for span in slots if span[2] * span[3] > 1}


def elected(rows, *ballots, rulings=()):
    words = page(rows)
    columns = rows[0].count("|") + 1
    ranked = [
        proposal(words, len(rows), columns, spans, f"source {n}", sure)
        for n, (spans, sure) in enumerate(ballots)
    ]
    return spans_of(voted(ranked, words, rulings))


def test_one_proposal_is_kept():
    assert elected(ROWS, ([(1, 0, 1, 2)], 0.9)) == {(1, 0, 1, 2)}


def test_what_two_say_outweighs_the_best_alone():
    assert elected(ROWS, ([(2, 1, 1, 2)], 0.9), ([], 0.9), ([], 0.9)) == set()
    assert elected(ROWS, ([], 0.9), ([(2, 1, 1, 2)], 0.9), ([(2, 1, 1, 2)], 0.9)) == {(2, 1, 1, 2)}


def test_a_sure_one_outweighs_two_that_guess():
    assert elected(ROWS, ([], 0.6), ([], 0.6), ([(2, 1, 1, 2)], 0.99)) == {(2, 1, 1, 2)}


@pytest.mark.parametrize("marked", [0, 2, 3])
def test_titles_of_sections_are_marked_alike(marked):
    titles = [(row, 0, 1, 4) for row in (1, 3, 5)]
    found = elected(ROWS, (titles[:marked], 0.98), (titles, 0.98))
    assert found == (set(titles) if marked else set())


def test_a_title_that_is_too_long_for_its_column_spans():
    rows = [*ROWS[:3], "Length of follow-up in all years||", *ROWS[4:]]
    assert elected(rows, ([(3, 0, 1, 4)], 0.9), ([], 0.9)) == {(3, 0, 1, 4)}


def test_labels_of_groups_span_where_some_say_so():
    groups = [(1, 0, 2, 1), (3, 0, 2, 1)]
    rows = [*GROUPS[:2], "|y|", *GROUPS[3:]]
    assert elected(rows, ([], 0.98), (groups, 0.97)) == set(groups)
    assert elected(rows, ([], 0.98), (groups[:1], 0.97), ([], 0.98)) == set()


def test_even_groups_span_whatever_models_say():
    rows = ["Gene|SNP|Type|n", "A|r1|x|1", "||y|2", "B|r2|x|3", "||y|4"]
    groups = {(row, column, 2, 1) for row in (1, 3) for column in (0, 1)}
    assert elected(rows, ([], 0.98), ([], 0.97)) == groups


def test_another_grid_has_no_vote():
    words = page(ROWS)
    best = proposal(words, 7, 4, [], "a", 0.9)
    other = proposal(words, 6, 4, [(2, 1, 1, 2)], "b", 0.99)
    assert voted([best, other], words, []) is best.structure


HEADS = ["Name|Group||All", "|x|y|", "a|1|2|3", "b|4|5|6"]
RULES = [Ruling(True, 20, 0, 240), Ruling(True, 20, 62, 160)]


def test_a_rule_under_a_head_says_what_it_is_over():
    words = page(HEADS)
    found = over_rules(proposal(words, 4, 4, [], "a", 0.9), [word.box for word in words], RULES[1:])
    assert sorted(found) == [(0, 0, 2, 1), (0, 1, 1, 2), (0, 3, 2, 1)]


def test_long_rules_and_rules_under_two_heads_say_nothing():
    words = page(["Name|Group|Other|All", *HEADS[1:]])
    boxes = [word.box for word in words]
    assert over_rules(proposal(words, 4, 4, [], "a", 0.9), boxes, RULES) == []


def wrapped(texts, rulings=()):
    words = [Word(text, (x, y, x + 6 * len(text), y + 10)) for text, x, y in texts]
    edges = (0, 20, 40, 60, 71, 90)
    structure = Structure(5, 2, tiled(5, 2, []), "a", 0.9, 1, edges, (0, 70, 120))
    boxes = np.array([word.box for word in words], float)
    return without_wrapped_rows(placed_words(structure, boxes), words, rulings).rows


LABELS = [("Item", 2, 5), ("n", 80, 5), ("one", 2, 25), ("1", 80, 25), ("two long", 2, 45),
          ("2", 80, 45), ("words", 2, 56), ("three", 2, 75), ("3", 80, 75)]  # fmt: skip


def test_the_second_line_of_a_label_is_no_row():
    assert wrapped(LABELS) == 4


def test_a_line_under_a_rule_or_with_values_is_a_row():
    assert wrapped(LABELS, [Ruling(True, 55, 0, 120)]) == 5
    assert wrapped([*LABELS, ("7", 80, 56)]) == 5
