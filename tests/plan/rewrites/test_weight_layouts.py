"""Weights are laid out in rows or columns where a product with few rows reads them so."""

import pytest

import tallow as tl
from plan.rewriting import check, draw

PASSES = ["weight_layouts"]


@pytest.mark.parametrize(("rows", "copied"), [(1, False), (2, True), (64, True), (65, False)])
def test_a_weight_in_columns_is_copied_for_few_rows(rows, copied):
    weight = draw(8, 16)
    kernels = check(
        lambda x: tl.linear(x, weight.T), draw(rows, 8), weights={"w": weight}, rewrites=PASSES
    )
    assert kernels == (["copy"] if copied else []) + ["linear"]


@pytest.mark.parametrize(
    ("rows", "depth", "copied"), [(1, 8, True), (1, 255, True), (1, 256, False), (2, 8, False)]
)
def test_a_weight_in_short_rows_is_copied_for_one_row(rows, depth, copied):
    weight = draw(16, depth)
    kernels = check(
        lambda x: tl.linear(x, weight), draw(rows, depth), weights={"w": weight}, rewrites=PASSES
    )
    assert kernels == (["copy"] if copied else []) + ["linear"]


def test_what_depends_on_an_input_stays():
    found = check(lambda x, w: tl.linear(x, w.T), draw(4, 8), draw(8, 16), rewrites=PASSES)
    assert found == ["linear"]


def test_two_products_share_a_copy():
    weight = draw(8, 8)

    def fn(x):
        return tl.linear(tl.linear(x, weight.T), weight.T)

    found = check(fn, draw(4, 8), weights={"w": weight}, rewrites=PASSES)
    assert found == ["copy", "linear", "linear"]


def test_weights_in_blocks_stay():
    weight = draw(16, 64).to(tl.q8_0)
    found = check(
        lambda x: tl.linear(x, weight), draw(1, 64), weights={"w": weight}, rewrites=PASSES
    )
    assert found == ["linear"]
