"""Nearest neighbours by whole factors, of planes and of images whose channels lie together."""

import numpy as np
import pytest

import tallow as tl
from tallow import _native
from tallow.errors import TallowError


def planes(x):
    return x.contiguous()


def last(x):
    return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


@pytest.mark.parametrize("dtype", ["u8", "f16", "f32", "f64"])
@pytest.mark.parametrize("factors", [(2, 2), (1, 3), (4, 1)], ids=str)
@pytest.mark.parametrize(
    "shape", [(1, 24, 5, 7), (2, 3, 1, 9), (1, 70, 30, 31), (0, 8, 2, 2)], ids=str
)
def test_each_pixel_stands_in_a_block(shape, factors, dtype):
    rows, columns = factors
    x = tl.arange(int(np.prod(shape))).reshape(*shape).to(dtype)
    wanted = x.numpy().repeat(rows, 2).repeat(columns, 3)
    for way in (planes, last):
        out = way(tl.zeros(*wanted.shape, dtype=dtype))
        _native.call("repeat_pixels", out._array, way(x)._array, rows, columns)
        np.testing.assert_array_equal(out.numpy(), wanted)


@pytest.mark.parametrize(("of", "to"), [(planes, last), (last, planes)])
def test_one_of_each_kind_is_refused(of, to):
    x, out = of(tl.zeros(1, 8, 3, 3)), to(tl.zeros(1, 8, 6, 6))
    with pytest.raises(TallowError, match="repeat_pixels: expected planes, or images"):
        _native.call("repeat_pixels", out._array, x._array, 2, 2)


def test_a_pixel_repeated_without_end_is_refused():
    x, out = (tl.zeros(1, 8, 1, 1).expand(1, 8, 2**20, 2**20) for _ in range(2))
    with pytest.raises(TallowError, match="repeat_pixels: "):
        _native.call("repeat_pixels", out._array, x._array, 1, 1)
