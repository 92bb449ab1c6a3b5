"""Detected rows, columns and spans to grids: laws on made-up detections, and a tiny checkpoint."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tallow.documents.content import PageContent, Ruling
from tallow.documents.steps import Region
from tallow.documents.structures.from_detections import (
    COLUMN,
    HEADER,
    ROW,
    SECTION,
    SPAN,
    Found,
    structure_of,
)
from tallow.documents.structures.named import proposers
from tallow.documents.structures.table_transformer import TableTransformer
from tallow.errors import ArgumentError

GOLDEN = Path(__file__).parents[2] / "golden" / "families" / "table-transformer"


def grid(rows, columns, *, height=20.0, width=60.0):
    return [height * i for i in range(rows + 1)], [width * i for i in range(columns + 1)]


def detected(ys, xs, draws=None):
    """Rows and columns of a grid, shaken."""
    boxes = [(ROW, (xs[0], a, xs[-1], b)) for a, b in itertools.pairwise(ys)]
    boxes += [(COLUMN, (a, ys[0], b, ys[-1])) for a, b in itertools.pairwise(xs)]
    draws = draws or np.random.default_rng(0)
    return [
        Found(label, float(draws.uniform(0.7, 1)), tuple(np.add(box, draws.uniform(-1.5, 1.5, 4))))
        for label, box in boxes
    ]


def words_of(ys, xs, without=()):
    return [
        (xs[c] + 8, ys[r] + 5, xs[c] + 40, ys[r] + 15)
        for r in range(len(ys) - 1)
        for c in range(len(xs) - 1)
        if (r, c) not in without
    ]


def places(structure):
    return {(s.row, s.column, s.row_span, s.column_span) for s in structure.slots}


@pytest.mark.parametrize("seed", range(20))
def test_a_grid_comes_back_from_its_rows_and_columns(seed):
    draws = np.random.default_rng(seed)
    ys, xs = grid(*draws.integers(1, 9, 2))
    found = detected(ys, xs, draws)
    for each in list(found):  # all found twice, less surely and a little off
        box = tuple(np.add(each.box, draws.uniform(-3, 3, 4)))
        found.append(Found(each.label, each.score / 2, box))
    order = draws.permutation(len(found))
    made = structure_of([found[i] for i in order], words_of(ys, xs), (), "test")
    assert (made.rows, made.columns) == (len(ys) - 1, len(xs) - 1)
    for slot in made.slots:
        wanted = (xs[slot.column], ys[slot.row], xs[slot.right], ys[slot.bottom])
        np.testing.assert_allclose(slot.box, wanted, atol=1.6)


def test_spans_header_and_sections_come_back():
    ys, xs = grid(6, 4)
    found = [
        *detected(ys, xs),
        Found(HEADER, 0.9, (0, 0, 240, 41)),
        Found(SPAN, 0.9, (61, 1, 178, 19)),
        Found(SPAN, 0.8, (0, 1, 58, 39)),
        Found(SECTION, 0.9, (1, 62, 100, 79)),
        Found(SPAN, 0.7, (180, 81, 240, 119)),
    ]
    made = structure_of(found, words_of(ys, xs), (), "test")
    assert made.header_rows == 2 and made.section_rows == {3}
    spans = {place for place in places(made) if place[2] * place[3] > 1}
    assert spans == {(0, 1, 1, 2), (0, 0, 2, 1), (3, 0, 1, 4), (4, 3, 2, 1)}


def test_spans_do_not_cross_the_header_or_each_other():
    ys, xs = grid(6, 4)
    found = [
        *detected(ys, xs),
        Found(HEADER, 0.9, (0, 0, 240, 20)),
        Found(SPAN, 0.9, (0, 0, 60, 80)),  # its longer part is below the header
        Found(SPAN, 0.8, (0, 60, 120, 80)),  # a cell is left of it: none
        Found(SPAN, 0.7, (120, 80, 240, 120)),
        Found(SPAN, 0.6, (60, 100, 180, 120)),
    ]
    made = structure_of(found, words_of(ys, xs), (), "test")
    spans = {place for place in places(made) if place[2] * place[3] > 1}
    assert spans == {(1, 0, 3, 1), (4, 2, 2, 2)}


def test_spans_of_a_header_form_a_tree():
    ys, xs = grid(4, 4)
    found = [
        *detected(ys, xs),
        Found(HEADER, 0.9, (0, 0, 240, 40)),
        Found(SPAN, 0.9, (0, 0, 120, 20)),
        Found(SPAN, 0.8, (60, 20, 180, 40)),  # under two parents
    ]
    made = structure_of(found, words_of(ys, xs), (), "test")
    assert {place for place in places(made) if place[3] > 1} == {(0, 0, 1, 2)}


def test_an_empty_column_stays_where_something_supports_it():
    ys, xs = grid(4, 3)
    found, empty = detected(ys, xs), {(r, 1) for r in range(4)}
    assert structure_of(found, words_of(ys, xs, empty), (), "test").columns == 3  # as wide as all
    xs = [0.0, 60.0, 200.0, 260.0]
    found, words = detected(ys, xs), words_of(ys, xs, empty)
    assert structure_of(found, words, (), "test").columns == 2
    rulings = [Ruling(False, x, 0, 80) for x in xs]
    assert structure_of(found, words, rulings, "test").columns == 3


def test_a_header_is_at_the_top():
    ys, xs = grid(4, 2)
    found = [*detected(ys, xs), Found(HEADER, 0.9, (0, 40, 120, 60))]
    assert structure_of(found, words_of(ys, xs), (), "test").header_rows == 0


def test_without_rows_or_columns_there_is_no_structure():
    ys, xs = grid(3, 3)
    found = detected(ys, xs)
    for label in (ROW, COLUMN):
        assert structure_of([f for f in found if f.label != label], [], (), "test") is None


@pytest.mark.parametrize("seed", range(20))
def test_any_detections_tile_a_grid(seed):
    draws = np.random.default_rng(seed)
    labels = draws.choice([ROW, COLUMN, HEADER, SECTION, SPAN], 60)
    boxes = draws.uniform(0, 200, (60, 4)).astype(float)
    found = [
        Found(str(label), float(draws.random()), (*box[:2], *(box[:2] + box[2:])))
        for label, box in zip(labels, boxes, strict=True)
    ]
    words = [(x, y, x + 20, y + 8) for x, y in draws.uniform(0, 200, (30, 2)).tolist()]
    structure_of(found, words, (), "test")  # Structure refuses what does not tile


def checkpoint(folder, labels):
    shutil.copytree(GOLDEN, folder)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(number): label for number, label in enumerate(labels)}
    config["label2id"] = {label: number for number, label in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps(config))
    # Published so with v1.1: only a longest edge.
    processor = {"image_processor_type": "DetrImageProcessor", "size": {"longest_edge": 800}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return str(folder)


def page(width=200, height=120):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return PageContent(width, height, "picture", rendered=lambda: pixels)


def test_a_folder_of_the_published_shape(tmp_path):
    folder = checkpoint(tmp_path / "model", [COLUMN, ROW, SPAN])
    (model,) = proposers(folder)
    model._detector.threshold = 0.0
    whole = Region((0.0, 0.0, 200.0, 120.0))
    crop = model._with_margin(page(), whole)
    assert crop.size == (124, 204) and (crop.left, crop.top) == (-2, -2)
    assert crop.to_page((2, 2, 202, 122)) == whole.box
    inner = model._with_margin(page(), Region((20.0, 10.0, 120.0, 60.0)))
    assert (inner.left, inner.top, inner.size) == (19, 9, (52, 102))
    for structure in model(page(), whole):
        assert structure.source == "table-transformer" and 0 <= structure.confidence <= 1


def test_a_model_of_other_labels_is_refused(tmp_path):
    folder = checkpoint(tmp_path / "model", ["cat", "dog", "cow"])
    with pytest.raises(ArgumentError, match="to have labels table row and table column"):
        TableTransformer(folder)
