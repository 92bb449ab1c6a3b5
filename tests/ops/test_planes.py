"""Means, sums and extremes of planes; kernels take short rows of floats another way than long."""

import numpy as np
import pytest

import tallow as tl
import tallow.nn.functional as F

LENGTHS = [1, 3, 7, 8, 9, 15, 16, 17, 33, 49, 255, 256, 257]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("rows", [1, 2, 9])
def test_rows_of_any_length(rows, length):
    x = np.random.default_rng(length).standard_normal((rows, 3, length)).astype("f")
    exact = x.astype("d")
    for view, wanted in [
        (tl.from_numpy(x), exact),
        (tl.from_numpy(x).transpose(0, 1), exact.transpose(1, 0, 2)),
        (tl.from_numpy(x)[:, ::2], exact[:, ::2]),
        (tl.from_numpy(x).flip(-1), exact[..., ::-1]),
        (tl.from_numpy(x)[..., ::2], exact[..., ::2]),
    ]:
        np.testing.assert_allclose(view.sum(-1).numpy(), wanted.sum(-1), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(view.mean(-1).numpy(), wanted.mean(-1), rtol=1e-5, atol=1e-6)


def test_a_short_row_keeps_nan_infinity_and_its_neighbours():
    x = np.ones((4, 49), "f")
    x[1, 48], x[2, 0] = np.nan, np.inf
    np.testing.assert_array_equal(tl.from_numpy(x).sum(-1).numpy(), [49, np.nan, np.inf, 49])


def test_a_mean_written_between_other_elements():
    x = np.random.default_rng(0).standard_normal((6, 2, 7, 7)).astype("f")
    whole = F.adaptive_avg_pool2d(tl.from_numpy(x).transpose(0, 1), 1)
    assert whole.shape == (2, 6, 1, 1)
    np.testing.assert_allclose(whole.numpy()[..., 0, 0], x.mean((2, 3)).T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7])
def test_adaptive_averages_of_numbers_and_lists_agree(size):
    x = tl.from_numpy(np.random.default_rng(1).standard_normal((2, 3, 7, 7)).astype("f"))
    each = F.adaptive_avg_pool2d(x, [size, size])
    np.testing.assert_array_equal(F.adaptive_avg_pool2d(x, size).numpy(), each.numpy())


@pytest.mark.parametrize("size", [-1, 1.5, 1 << 25])
def test_adaptive_averages_refuse_sizes_that_are_none(size):
    with pytest.raises(tl.errors.TallowError):
        F.adaptive_avg_pool2d(tl.zeros(1, 2, 4, 4), size)


@pytest.mark.parametrize("special", [(), (np.nan,), (np.inf, -np.inf)], ids=str)
@pytest.mark.parametrize("n", [1, 3, 15, 16, 17, 33, 63, 64, 65, 80, 129, 255, 256, 257])
def test_extremes_of_short_rows_and_their_places(n, special):
    rng = np.random.default_rng(n)
    x = rng.standard_normal((5, n)).astype("float32")
    for row, value in enumerate(special):
        x[row + 1, rng.integers(n)] = value
    x[4] = -np.inf
    t = tl.from_numpy(x)
    np.testing.assert_array_equal(t.amax(1).numpy(), x.max(1))
    np.testing.assert_array_equal(t.amin(1, True).numpy(), x.min(1, keepdims=True))
    np.testing.assert_array_equal(t.argmax(1).numpy(), x.argmax(1))
    np.testing.assert_array_equal(t.argmin(1).numpy(), x.argmin(1))
    several = t.reshape(5, 1, n).expand(5, 3, n)
    np.testing.assert_array_equal(several.amax(2).numpy(), np.repeat(x.max(1)[:, None], 3, 1))
    whole = (rng.integers(-9, 9, (4, n))).astype("int8")
    np.testing.assert_array_equal(tl.from_numpy(whole).argmax(1).numpy(), whole.argmax(1))
