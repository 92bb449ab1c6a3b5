"""Pools of images whose channels lie next to each other, beside those of planes."""

import numpy as np
import pytest

import tallow as tl
from tallow import _native
from tallow.errors import TallowError

# images, channels, height, width; kernel; strides; paddings; dilations (a kernel of 0: equal parts)
CASES = {
    "three, halved": ((1, 64, 15, 14), (3, 3), (2, 2), (1, 1), (1, 1)),
    "five": ((2, 40, 9, 11), (5, 5), (1, 1), (2, 2), (1, 1)),
    "two": ((1, 33, 8, 6), (2, 2), (2, 2), (0, 0), (1, 1)),
    "one row": ((1, 100, 1, 9), (1, 3), (1, 2), (0, 1), (1, 1)),
    "dilations": ((2, 17, 12, 13), (3, 2), (1, 2), (1, 0), (2, 3)),
    "the whole image": ((3, 95, 7, 5), (7, 5), (1, 1), (0, 0), (1, 1)),
    "equal parts": ((1, 72, 7, 10), (0, 0), (1, 1), (0, 0), (1, 1)),
    "few channels": ((2, 5, 8, 8), (3, 3), (1, 1), (1, 1), (1, 1)),
    "windows beside the image": ((1, 16, 2, 2), (2, 2), (3, 3), (4, 5), (1, 1)),
    "no image": ((0, 16, 5, 5), (3, 3), (1, 1), (1, 1), (1, 1)),
    "one pixel": ((2, 24, 1, 1), (3, 3), (1, 1), (1, 1), (1, 1)),
}


def last(x):
    """The same numbers in other memory: channels next to each other."""
    return tl.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).permute(0, 3, 1, 2)


def pooled(kernel, case, x, *more, way):
    """What a kernel gives of x, which lies as `way` has it, in a result that does so too."""
    (n, c, *size), window, strides, paddings, dilations = CASES[case]
    axes = zip(size, window, strides, paddings, dilations, strict=True)
    result = [max(0, (i + 2 * p - d * (k - 1) - 1) // s + 1) if k else 3 for i, k, s, p, d in axes]
    out = way(np.full((n, c, *result), np.nan, "f"))
    if kernel == "avg_pool":
        dilations = (1, 1)
    numbers = (bool(window[0]), *window, 1, *strides, 0, *paddings, 1, *dilations)
    _native.call(kernel, out._array, way(x)._array, *map(int, numbers), *more)
    return out.numpy()


def drawn(case):
    return np.random.default_rng(len(case)).standard_normal(CASES[case][0]).astype("f")


@pytest.mark.parametrize("case", CASES)
def test_maxima(case):
    x = drawn(case)
    x[..., 0, -1:] = np.nan
    wanted = pooled("max_pool", case, x, way=tl.from_numpy)
    np.testing.assert_array_equal(pooled("max_pool", case, x, way=last), wanted)


@pytest.mark.parametrize("more", [(0, 0.0), (1, 0.0), (1, 2.5)], ids=str)
@pytest.mark.parametrize("case", [case for case in CASES if case != "dilations"])
def test_averages(case, more):
    x = drawn(case)
    wanted = pooled("avg_pool", case, x, *more, way=tl.from_numpy)
    found = pooled("avg_pool", case, x, *more, way=last)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_views_of_channels_and_rows():
    x = drawn("three, halved")
    part = lambda a: last(np.repeat(a, 2, 2))[:, :, ::2]  # noqa: E731
    wanted = pooled("max_pool", "three, halved", x, way=tl.from_numpy)
    np.testing.assert_array_equal(pooled("max_pool", "three, halved", x, way=part), wanted)
    wide = lambda a: last(np.concatenate([a, a], 1))[:, 3 : 3 + a.shape[1]]  # noqa: E731
    turned = np.roll(x, 3, 1)
    np.testing.assert_array_equal(pooled("max_pool", "three, halved", turned, way=wide), wanted)


@pytest.mark.parametrize("threads", [1, 3])
def test_bits_do_not_depend_on_threads(threads):
    before = tl.num_threads()
    try:
        x = drawn("the whole image")
        tl.set_num_threads(2)
        wanted = pooled("avg_pool", "the whole image", x, 1, 0.0, way=last)
        tl.set_num_threads(threads)
        found = pooled("avg_pool", "the whole image", x, 1, 0.0, way=last)
        np.testing.assert_array_equal(found, wanted)
    finally:
        tl.set_num_threads(before)


def test_one_pixel_repeated_without_end_is_refused():
    x = tl.zeros(1, 1, 1, 16).permute(0, 3, 1, 2).expand(1, 16, 1, 2**40)
    out = last(np.zeros((1, 16, 1, 1), "f"))
    for kernel, more in (("max_pool", ()), ("avg_pool", (0, 0.0))):
        with pytest.raises(TallowError, match="memory|elements|far"):
            _native.call(kernel, out._array, x._array, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, *more)
