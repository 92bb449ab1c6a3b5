"""Copies between orders of axes: what runs along one axis to what runs along another."""

from itertools import permutations

import numpy as np
import pytest

import tallow as tl
from tallow import _native

SHAPES = [(1, 40, 13, 17), (2, 24, 9, 1), (3, 8, 1, 50), (1, 65, 70, 9), (2, 3, 20, 20)]
DTYPES = ["u8", "f16", "f32", "f64", "complex64"]


def lying(x, order):
    """The same elements in memory in an order of axes, from the outermost on."""
    return x.permute(*order).contiguous().permute(*np.argsort(order).tolist())


def copied(out, x):
    _native.call("copy", out._array, x._array)
    return out.numpy()


def drawn(shape, dtype):
    return tl.arange(int(np.prod(shape))).reshape(*shape).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_order_to_any_other(shape, dtype):
    x = drawn(shape, dtype)
    wanted = x.numpy()
    for order in permutations(range(4)):
        np.testing.assert_array_equal(
            copied(tl.zeros(*shape, dtype=dtype), lying(x, order)), wanted
        )
        out = lying(tl.zeros(*shape, dtype=dtype), order)
        np.testing.assert_array_equal(copied(out, x), wanted)
        np.testing.assert_array_equal(copied(out, lying(x, (0, 2, 3, 1))), wanted)


def test_parts_and_what_is_between_them():
    x = drawn((2, 40, 12, 18), "f32")
    lies = lying(x, (0, 2, 3, 1))
    out = tl.zeros(2, 50, 12, 18)
    part = out[:, 3:43]
    np.testing.assert_array_equal(copied(part, lies), x.numpy())
    assert not out[:, :3].numpy().any()
    assert not out[:, 43:].numpy().any()
    np.testing.assert_array_equal(
        copied(tl.zeros(2, 32, 12, 18), lies[:, 4:36]), x.numpy()[:, 4:36]
    )
    rows = copied(tl.zeros(2, 40, 6, 18), lies[:, :, ::2])
    np.testing.assert_array_equal(rows, x.numpy()[:, :, ::2])
    turned = copied(tl.zeros(2, 40, 12, 18), lies.flip(-1)[:, :, ::-1])
    np.testing.assert_array_equal(turned, x.numpy()[:, :, ::-1, ::-1])
    repeated = copied(tl.zeros(2, 40, 12, 18), lies[:1, :, :, :1].expand(2, 40, 12, 18))
    np.testing.assert_array_equal(repeated, np.broadcast_to(x.numpy()[:1, :, :, :1], x.shape))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_wide_and_tall_ones_by_threads(threads):
    before = tl.num_threads()
    tl.set_num_threads(threads)
    try:
        for shape in ((1, 16, 61, 67), (1, 700, 9, 5), (5, 30, 11, 11)):
            x = drawn(shape, "f32")
            out = lying(tl.zeros(*shape), (0, 2, 3, 1))
            np.testing.assert_array_equal(copied(out, x), x.numpy())
            np.testing.assert_array_equal(copied(tl.zeros(*shape), out), x.numpy())
    finally:
        tl.set_num_threads(before)
