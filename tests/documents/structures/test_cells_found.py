"""Cells found in pictures to grids: laws of decoding, and drawn tables by the packaged weights."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tallow.documents.content import PageContent
from tallow.documents.steps import Region
from tallow.documents.structures import classifier, cycle_center_net, lore
from tallow.documents.structures.crops import Crop
from tallow.documents.structures.from_quads import structure_of, upright
from tallow.documents.structures.peaks import at, peaks, points_around

CROP = Crop(np.zeros((9, 9, 3), np.uint8))


def random_grid(draws):
    """Lines of a grid and cells that tile it: (row, bottom, column, right) of each."""
    rows, columns = draws.integers(1, 9, 2)
    ys, xs = (np.cumsum(np.append(0, draws.uniform(18, 70, n))) + 30 for n in (rows, columns))
    taken, cells = np.zeros((rows, columns), bool), []
    for r in range(rows):
        for c in range(columns):
            if taken[r, c]:
                continue
            # A line that all cells span is none, so of the first row and column no cell spans.
            bottom = r + 1 + (r > 0 and c > 0 and r + 1 < rows and draws.random() < 0.2)
            right = c + 1
            if r > 0 and c > 0 and right < columns and draws.random() < 0.2:
                right += not taken[r:bottom, right].any()
            taken[r:bottom, c:right] = True
            cells.append((r, bottom, c, right))
    return ys, xs, cells


def quads_of(ys, xs, cells):
    return np.array(
        [
            [(xs[c], ys[r]), (xs[e], ys[r]), (xs[e], ys[b]), (xs[c], ys[b])]
            for r, b, c, e in cells
        ]
    )  # fmt: skip


def places(structure):
    return sorted((s.row, s.bottom, s.column, s.right) for s in structure.slots)


@pytest.mark.parametrize("seed", range(30))
def test_a_grid_comes_back_from_its_cells(seed):
    draws = np.random.default_rng(seed)
    ys, xs, cells = random_grid(draws)
    quads = quads_of(ys, xs, cells)
    quads = quads + draws.normal(0, 0.6, quads.shape)
    angle = np.deg2rad(draws.uniform(-1, 1))  # a page that is not quite straight
    quads = quads @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    order = draws.permutation(len(quads))
    found = structure_of(quads[order], draws.uniform(0.5, 1, len(quads)), "test")
    assert places(found) == sorted(cells)
    assert len(found.row_edges) == found.rows + 1 and len(found.column_edges) == found.columns + 1


@pytest.mark.parametrize("seed", range(5))
def test_a_cell_that_was_missed_is_there(seed):
    draws = np.random.default_rng(seed)
    ys, xs = np.arange(6) * 20.0, np.arange(5) * 50.0
    cells = [(r, r + 1, c, c + 1) for r in range(5) for c in range(4)]
    quads = np.delete(quads_of(ys, xs, cells), draws.integers(20), 0)
    assert places(structure_of(quads, np.ones(19), "test")) == cells


def test_a_cell_found_twice_is_one():
    quads = quads_of(np.arange(3) * 20.0, np.arange(3) * 50.0,
                     [(r, r + 1, c, c + 1) for r in range(2) for c in range(2)])  # fmt: skip
    twice = np.concatenate([quads, quads[:1] + np.array([7, 3])])
    sure = np.array([0.9, 0.9, 0.9, 0.9, 0.4])
    assert structure_of(twice, sure, "test") == structure_of(quads, sure[:4], "test")


def test_no_cells_are_no_structure():
    assert structure_of(np.zeros((0, 4, 2)), np.zeros(0), "test") is None
    assert structure_of(np.zeros((2, 4, 2)), np.ones(2), "test") is None
    none = np.zeros((0, 4, 2), np.float32), np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    assert lore.to_structure(*none, CROP) is None


def test_upright_boxes_of_upright_quads_are_these():
    quads = quads_of(np.arange(3) * 20.0, np.arange(2) * 50.0, [(0, 1, 0, 1), (1, 2, 0, 1)])
    np.testing.assert_allclose(upright(quads), [[0, 0, 50, 20], [0, 20, 50, 40]], atol=1e-9)


def test_peaks_are_the_highest_around():
    logits = np.random.default_rng(0).standard_normal((12, 15)).astype(np.float32)
    (ys, xs), sure = peaks(logits, 0.5)
    padded = np.pad(logits, 1, constant_values=-np.inf)
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).max((2, 3))
    wanted = {*zip(*np.nonzero((logits == around) & (logits >= 0)), strict=True)}
    assert {*zip(ys, xs, strict=True)} == wanted
    assert (np.diff(sure) <= 0).all()
    np.testing.assert_allclose(sure, 1 / (1 + np.exp(-logits[ys, xs])), rtol=1e-6)


def test_points_lie_around_their_places():
    cells = np.array([3, 5]), np.array([1, 2])
    maps = np.random.default_rng(0).standard_normal((4, 8, 9)).astype(np.float32)
    shifts = at(maps, cells)
    assert (shifts[1] == maps[:, 5, 2]).all()
    found = points_around(cells, shifts, np.zeros((2, 2), np.float32))
    np.testing.assert_allclose(found[0, 1], [1 - shifts[0, 2], 3 - shifts[0, 3]], rtol=1e-6)


def test_corners_move_to_those_that_cells_share():
    quads = quads_of(np.arange(2) * 20.0, np.arange(3) * 50.0, [(0, 1, 0, 1), (0, 1, 1, 2)])
    shaken = quads.copy()
    shaken[0, 1] += 3, 2
    shaken[1, 0] -= 2, 1
    corner, middles = np.array([[50.0, 0.0]]), np.array([[[25.0, 10], [75, 10], [50, 0], [50, 0]]])
    moved = cycle_center_net.shared_corners(shaken, corner, middles, 2.0)
    np.testing.assert_allclose(moved, quads)
    far = np.array([[-300.0, 0.0]])  # of a middle that is right a corner that is none
    np.testing.assert_allclose(cycle_center_net.shared_corners(shaken, far, middles, 2.0), shaken)


@pytest.mark.parametrize("seed", range(10))
def test_regressed_lines_are_a_grid(seed):
    draws = np.random.default_rng(seed)
    ys, xs, cells = random_grid(draws)
    lines = np.array([(r, b - 1, c, e - 1) for r, b, c, e in cells]) + draws.uniform(-0.4, 0.4)
    quads = quads_of(ys, xs, cells)
    found = lore.to_structure(quads, lines, np.ones(len(cells)), CROP)
    assert places(found) == sorted(cells)
    skipped = lines + np.array([5, 5, 7, 7])  # lines without a cell are none
    assert places(lore.to_structure(quads, skipped, np.ones(len(cells)), CROP)) == sorted(cells)


def test_regressed_lines_of_any_kind_tile_a_grid():
    draws = np.random.default_rng(0)
    lines = draws.normal(3, 400, (40, 4)).astype(np.float32)
    lines[0] = np.nan
    quads = quads_of(np.arange(9) * 20.0, np.arange(6) * 50.0,
                     [(r, r + 1, c, c + 1) for r in range(8) for c in range(5)])  # fmt: skip
    lore.to_structure(quads, lines, np.ones(40), CROP)  # Structure refuses what does not tile


def drawn(columns, rows, *, ruled, column=110, row=34):
    picture = Image.new("RGB", (columns * column + 41, rows * row + 41), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=16)
    for r in range(rows):
        for c in range(columns):
            text = f"Head {c + 1}" if r == 0 else f"{r * 37 + c * 11}.5"
            draw.text((20 + c * column + 12, 20 + r * row + 8), text, "black", font=font)
    for r in range(rows + 1 if ruled else 0):
        draw.line((20, 20 + r * row, 20 + columns * column, 20 + r * row), "black", 2)
    for c in range(columns + 1 if ruled else 0):
        draw.line((20 + c * column, 20, 20 + c * column, 20 + rows * row), "black", 2)
    pixels = np.asarray(picture)
    high, wide = pixels.shape[:2]
    return PageContent(wide, high, "picture", rendered=lambda: pixels), Region((0, 0, wide, high))


@pytest.mark.needs_network
@pytest.mark.parametrize(
    ("propose", "ruled"), [(cycle_center_net.propose, True), (lore.propose, False)]
)
def test_a_drawn_table_comes_back(propose, ruled):
    content, region = drawn(3, 4, ruled=ruled)
    (found,) = propose(content, region)
    assert (found.rows, found.columns, len(found.slots)) == (4, 3, 12)
    for slot in found.slots:  # the middle of each box is in its cell
        x, y = (slot.box[0] + slot.box[2]) / 2, (slot.box[1] + slot.box[3]) / 2
        assert (x - 20) // 110 == slot.column and (y - 20) // 34 == slot.row


@pytest.mark.needs_network
def test_ruled_and_lineless_tables_are_told_apart():
    assert classifier.ruled(*drawn(3, 4, ruled=True)) > 0.5
    assert classifier.ruled(*drawn(3, 6, ruled=False)) < 0.5


@pytest.mark.parametrize(
    ("sure", "asked"),
    [(0.7, ["cyclecenternet"]), (0.3, ["lore"]), (0.5, ["cyclecenternet", "lore"])],
)
def test_the_model_of_a_tables_kind_is_asked(sure, asked, monkeypatch):
    monkeypatch.setattr(classifier, "ruled", lambda content, region: sure)
    for each in (cycle_center_net, lore):
        monkeypatch.setattr(each, "propose", lambda content, region, name=each.ALIAS: [name])
    assert classifier.propose(PageContent(9, 9, "picture"), Region((0, 0, 9, 9))) == asked


@pytest.mark.needs_network
def test_a_page_without_a_table_has_no_cells():
    pixels = np.full((60, 80, 3), 255, np.uint8)
    content = PageContent(80, 60, "picture", rendered=lambda: pixels)
    for propose in (cycle_center_net.propose, lore.propose):
        assert len(propose(content, Region((0, 0, 80, 60)))) <= 1
