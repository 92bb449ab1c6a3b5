"""Points of images that are wider than most."""

import numpy as np
import pytest

WIDTHS = (2**20 + 3, 2**24)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("tall", [False, True])
def test_the_last_pixel_of_a_long_line(call, width, tall):
    x = np.zeros((1, 1, width, 1) if tall else (1, 1, 1, width), "f")
    x.reshape(-1)[-1] = 5
    grid = np.full((1, 3, 2), -1, "f")
    grid[0, :, int(tall)] = 1, np.inf, 2
    for border, wanted in ((0, [5, 0, 0]), (1, [5, 5, 5])):
        out = np.full((1, 1, 3), np.nan, "f")
        call("sample_grid", out, x, grid, border, 1, 0)
        np.testing.assert_array_equal(out[0, 0], wanted)
