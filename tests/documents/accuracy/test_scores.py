"""Scores of tables: TEDS beside the definition of the tree edit distance, and known values."""

import itertools
import random
from functools import cache

import _tables_scores as scores
import pytest

TABLE = (
    "<table><thead><tr><th rowspan=2>A</th><th colspan=2>B</th></tr><tr><th>x</th><th>y</th></tr>"
    "</thead><tbody><tr><td>1</td><td>2</td><td>3</td></tr>"
    "<tr><td>4</td><td></td><td>6</td></tr></tbody></table>"
)
NODES = 15  # the table, 4 rows, 10 cells


def plain_distance(a, b, texts):
    """The recursion over forests that defines the distance, by the rightmost trees."""

    def rename(x, y):
        if x[0] != y[0]:
            return 1.0
        if not texts or x[1] == y[1]:
            return 0.0
        return scores.levenshtein(x[1] or "", y[1] or "") / max(len(x[1] or ""), len(y[1] or ""))

    def size(forest):
        return sum(1 + size(kids) for _, kids in forest)

    @cache
    def between(one, other):
        if not one or not other:
            return float(size(one or other))
        (x, x_kids), (y, y_kids) = one[-1], other[-1]
        return min(
            between(one[:-1] + x_kids, other) + 1,
            between(one, other[:-1] + y_kids) + 1,
            between(one[:-1], other[:-1]) + between(x_kids, y_kids) + rename(x, y),
        )

    return between((a,), (b,))


def nested(rows):
    """A table as ((label, text), kids) all the way down."""
    return (
        ("table", None),
        tuple(
            (("tr", None), tuple((((c.row_span, c.column_span), c.text), ()) for c in row))
            for row in rows
        ),
    )


def drawn(seed):
    draw = random.Random(seed)
    return [
        [
            scores.HtmlCell(draw.choice((1, 1, 2)), 1, pieces=[draw.choice(("", "a", "ab", "xyz"))])
            for _ in range(draw.randrange(3))
        ]
        for _ in range(draw.randint(1, 3))
    ]


@pytest.mark.parametrize("texts", [True, False])
@pytest.mark.parametrize("seed", range(40))
def test_distance_is_that_of_the_definition(seed, texts):
    a, b = drawn(seed), drawn(1000 + seed)
    found = scores.distance(scores.tree_of(a), scores.tree_of(b), texts)
    assert found == pytest.approx(plain_distance(nested(a), nested(b), texts), abs=1e-12)


def test_distance_is_symmetric_and_holds_the_triangle():
    trees = [scores.tree_of(drawn(seed)) for seed in range(8)]
    far = {(i, j): scores.distance(trees[i], trees[j], False)
           for i, j in itertools.product(range(8), repeat=2)}  # fmt: skip
    for i, j, k in itertools.product(range(8), repeat=3):
        assert far[i, j] == far[j, i]
        assert far[i, k] <= far[i, j] + far[j, k]


@pytest.mark.parametrize(
    ("change", "cost"),
    [
        (lambda t: t, 0),
        (lambda t: t.replace("<td>3<", "<td>7<"), 1),  # a text of one character
        (lambda t: t.replace("<td>3<", "<td>30<"), 0.5),  # half of a text
        (lambda t: t.replace(" colspan=2", ""), 1),  # a span
        (lambda t: t.replace("<tr><td>4</td><td></td><td>6</td></tr>", ""), 4),  # a row
        (lambda t: t.replace("<td>2</td>", "<td> 2\n </td>"), 0),  # white space
        (lambda t: t.replace("thead", "tbody").replace("th>", "td>"), 0),  # what is a header
    ],
)
def test_teds_of_known_changes(change, cost):
    assert scores.teds(change(TABLE), TABLE) == pytest.approx(1 - cost / NODES)


def test_scores_without_a_table_and_without_headers():
    assert scores.score("no table", TABLE)["teds"] == 0.0
    bare = TABLE.replace("thead", "tbody").replace("th>", "td>").replace("<th", "<td")
    assert scores.score(bare, TABLE)["header_f1"] == 0.0
    assert scores.score(TABLE, bare)["header_f1"] is None
    assert scores.score(TABLE, TABLE) == dict.fromkeys(scores.METRICS, 1.0)
    with pytest.raises(ValueError, match="no table"):
        scores.teds(TABLE, "")


def test_html_with_missing_ends_and_tables_inside():
    rows = scores.rows_of("<table><td>a<td>b<table><tr><td>x</table>c<tr><td rowspan='a2'>q")
    assert [[cell.text for cell in row] for row in rows] == [["a", "bxc"], ["q"]]
    assert rows[1][0].row_span == 2


def test_cells_take_the_first_free_places():
    found = scores.placed(scores.rows_of(TABLE))
    assert [cell[:4] for cell in found[:4]] == [(0, 0, 2, 1), (0, 1, 1, 2), (1, 1, 1, 1),
                                                (1, 2, 1, 1)]  # fmt: skip
