"""Transposed weights are laid out in rows where a product has few."""

import pytest

import tallow as tl
from plan.rewriting import check, draw

PASSES = ["weight_rows"]


@pytest.mark.parametrize(("rows", "copied"), [(1, False), (2, True), (64, True), (65, False)])
def test_a_transposed_weight_is_copied_for_few_rows(rows, copied):
    weight = draw(8, 16)
    kernels = check(
        lambda x: tl.linear(x, weight.T), draw(rows, 8), weights={"w": weight}, rewrites=PASSES
    )
    assert kernels == (["copy"] if copied else []) + ["linear"]


def test_what_lies_in_rows_or_depends_on_an_input_stays():
    weight = draw(16, 8)
    assert check(lambda x: tl.linear(x, weight), draw(4, 8), rewrites=PASSES) == ["linear"]
    found = check(lambda x, w: tl.linear(x, w.T), draw(4, 8), draw(8, 16), rewrites=PASSES)
    assert found == ["linear"]


def test_two_products_share_a_copy():
    weight = draw(8, 8)

    def fn(x):
        return tl.linear(tl.linear(x, weight.T), weight.T)

    found = check(fn, draw(4, 8), weights={"w": weight}, rewrites=PASSES)
    assert found == ["copy", "linear", "linear"]
