"""Maxima of f32 by vectors beside numpy, and beside those of f64, which are found one by one."""

import numpy as np
import pytest

import tallow as tl
import tallow.nn.functional as F
from tallow import _native

# Shape of the input; kernel; stride, padding, dilation.
CASES = {
    "halves": ((2, 3, 12, 38), (2, 2), (2, 2), (0, 0), (1, 1)),
    "odd halves": ((1, 5, 13, 37), (3, 3), (2, 2), (1, 1), (1, 1)),
    "halves of many": ((1, 2, 9, 50), (4, 7), (2, 2), (2, 3), (1, 1)),
    "each": ((2, 4, 20, 20), (5, 5), (1, 1), (2, 2), (1, 1)),
    "each of two": ((1, 3, 17, 33), (2, 2), (1, 1), (0, 1), (1, 1)),
    "each of three": ((1, 3, 8, 16), (3, 3), (1, 1), (1, 1), (1, 1)),
    "large windows": ((1, 2, 10, 11), (9, 9), (1, 1), (4, 4), (1, 1)),
    "narrow": ((3, 7, 5, 3), (3, 3), (1, 1), (1, 1), (1, 1)),
    "one column": ((1, 2, 9, 1), (3, 1), (2, 1), (1, 0), (1, 1)),
    "one result": ((1, 2, 4, 6), (4, 6), (1, 1), (0, 0), (1, 1)),
    "rows of quarters": ((2, 3, 7, 64), (1, 4), (1, 4), (0, 0), (1, 1)),
    "rows of quarters and a rest": ((1, 3, 7, 67), (1, 4), (1, 4), (0, 0), (1, 1)),
    "quarters": ((1, 3, 16, 52), (4, 4), (4, 4), (1, 2), (1, 1)),
    "few quarters": ((1, 3, 8, 13), (4, 4), (4, 4), (0, 0), (1, 1)),
    "rows apart": ((1, 3, 20, 40), (1, 3), (3, 1), (0, 0), (1, 1)),
    "dilations": ((1, 3, 30, 41), (3, 3), (1, 2), (1, 1), (4, 3)),
    "a long row": ((1, 2, 3, 5001), (3, 3), (1, 2), (1, 1), (1, 1)),
    "thirds": ((1, 2, 9, 27), (3, 3), (3, 3), (0, 0), (1, 1)),
}


def _wanted(x, kernel, stride, padding, dilation):
    (py, px), (dy, dx), (sy, sx) = padding, dilation, stride
    padded = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)), constant_values=-np.inf)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, (2, 3))
    return windows[:, :, ::sy, ::sx, ::dy, ::dx].max((-1, -2))


def _views(x):
    """The same numbers in other orders of memory."""
    yield tl.from_numpy(x)
    yield tl.from_numpy(np.repeat(x, 2, -2))[..., ::2, :]
    yield tl.from_numpy(np.ascontiguousarray(x[:, :, ::-1])).flip(-2)
    yield tl.from_numpy(np.ascontiguousarray(np.moveaxis(x, 1, -1))).movedim(-1, 1)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_as_by_numpy(case, threads):
    shape, *rest = CASES[case]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype("f")
    before = tl.num_threads()
    try:
        tl.set_num_threads(threads)
        for view in _views(x):
            got = F.max_pool2d(view, *rest).numpy()
            np.testing.assert_array_equal(got, _wanted(x, *rest))
    finally:
        tl.set_num_threads(before)


@pytest.mark.parametrize("case", CASES)
def test_odd_numbers_as_in_f64(case):
    shape, *rest = CASES[case]
    rng = np.random.default_rng(1)
    x = rng.choice(
        np.array([-np.inf, -1, -0.0, 0, 2, np.nan], "f"), shape, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.1]
    )
    got = F.max_pool2d(tl.from_numpy(x), *rest).numpy()
    wanted = F.max_pool2d(tl.from_numpy(x.astype("d")), *rest).numpy()
    np.testing.assert_array_equal(got, wanted)
    some = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(got)[some], np.signbit(wanted)[some])


def test_three_axes():
    x = np.random.default_rng(2).standard_normal((2, 3, 5, 8, 18)).astype("f")
    for rest in [(3, 2, 1), ((2, 1, 1), 1, 0), (2, 2, 0), ((1, 3, 3), 1, (0, 1, 1))]:
        got = F.max_pool3d(tl.from_numpy(x), *rest).numpy()
        wanted = F.max_pool3d(tl.from_numpy(x.astype("d")), *rest).numpy()
        np.testing.assert_array_equal(got, wanted)


def test_results_beyond_the_image():
    """A saved plan may ask for more rows than there are windows: nothing is read for them."""
    x = np.arange(96, dtype="f").reshape(1, 2, 3, 16)
    for axis in (0, 1):
        out = tl.zeros(1, 2, *((300000, 3) if axis == 0 else (1, 900000)), 16)
        image = tl.from_numpy(x[:, :, None])
        _native.call(
            "max_pool", out._array, image._array, *(1, 1, 1), *(1, 1, 1), *(0, 0, 0), *(1, 1, 1)
        )
        found = out.numpy()
        np.testing.assert_array_equal(found[:, :, 0, :3], x)
        assert np.isneginf(found[:, :, 1 if axis == 0 else 0, 0 if axis == 0 else 3 :]).all()
