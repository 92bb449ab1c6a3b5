"""Positions of one axis and of several: large ones, in place, outside, and how results lie."""

import math

import numpy as np
import pytest

import tallow as tl
from tallow.errors import IndexRangeError
from tallow.registry import OPS


def test_results_are_row_major_as_in_torch():
    x, i, m = tl.zeros(2, 3, 4), tl.tensor([0, 1]), tl.tensor([True, False, True])
    for key in [(slice(None), i), (..., i), (slice(None), i, i), (slice(None), i[:, None]),
                (slice(None), m), (slice(None), [0, 2]), (slice(None), 0, i)]:  # fmt: skip
        assert x[key].is_contiguous(), key


@pytest.mark.parametrize("dtype", [tl.i64, tl.i32])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_positions_of_an_axis_are_written_in_place(axis, dtype):
    x, at = np.zeros((4, 5, 6), np.float32), np.array([3, -4, 0])
    target = tl.from_numpy(x.copy())
    shape = [3 if i == axis else n for i, n in enumerate(x.shape)]
    rows = 1 + np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    np.moveaxis(x, axis, 0)[at] = np.moveaxis(rows, axis, 0)
    OPS["nn.index_put_"](target, tl.tensor(at, dtype=dtype), tl.tensor(rows), axis)
    np.testing.assert_array_equal(target.numpy(), x)


@pytest.mark.parametrize("axis", [0, 1])
def test_many_positions_of_an_axis(axis):
    rng = np.random.default_rng(axis)
    x, at = rng.random((300, 200)).astype(np.float32), rng.integers(-200, 200, 5000)
    key = (slice(None),) * axis + (at,)
    ours = (slice(None),) * axis + (tl.tensor(at),)
    np.testing.assert_array_equal(tl.from_numpy(x)[ours].numpy(), x[key])
    values = rng.random(x[key].shape).astype(np.float32)
    wanted, got = x.copy(), tl.from_numpy(x.copy())
    for i, position in enumerate(at):  # the last of equal positions wins
        wanted[(slice(None),) * axis + (position,)] = np.take(values, i, axis)
    got[ours] = tl.from_numpy(values)
    np.testing.assert_array_equal(got.numpy(), wanted)
    summed = x.astype(np.float64)
    np.add.at(summed, key, values.astype(np.float64))
    added = OPS["put_positions"](
        tl.from_numpy(x).to(tl.f64), tl.tensor(at), tl.from_numpy(values).to(tl.f64), True, axis
    )
    np.testing.assert_allclose(added.numpy(), summed, rtol=1e-12)


def test_an_index_outside_is_named():
    x = tl.zeros(3, 5)
    for key, text in [
        (tl.tensor([0, 7]), r"\(3, 5\), got 7 for axis 0"),
        ((slice(None), tl.tensor([-6])), r"\(3, 5\), got -6 for axis 1"),
        ((tl.tensor([2, 1]), tl.tensor([0, 9])), r"\(3, 5\), got 9 for axis 1"),
    ]:
        with pytest.raises(IndexRangeError, match=rf"expected an index inside shape {text}"):
            x[key]
        with pytest.raises(IndexRangeError, match=rf"expected an index inside shape {text}"):
            x[key] = 1.0
    assert not x.any()
