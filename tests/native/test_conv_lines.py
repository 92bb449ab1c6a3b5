"""Convolutions of images that are one pixel wide or high: lines, computed as such."""

import itertools

import numpy as np
import pytest

LENGTHS = [(5, 3, 1), (5, 5, 1), (1, 1, 1), (6, 3, 2), (40, 3, 38)]  # of image, kernel, result


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("act", [0, 4])
@pytest.mark.parametrize("has_residual", [False, True])
def test_lines_along_each_axis(call, rng, axes, groups, act, has_residual):
    for (n, kernel, results), batch in itertools.product(LENGTHS, (1, 20)):
        x = rng.standard_normal((batch, 2 * groups, n)).astype("f")
        weight = rng.standard_normal((3 * groups, 2, kernel)).astype("f")
        residual = rng.standard_normal((batch, 3 * groups, results)).astype("f")
        windows = np.lib.stride_tricks.sliding_window_view(x.astype("d"), kernel, 2)[:, :, :results]
        parts = windows.reshape(batch, groups, 2, results, kernel)
        by_group = weight.reshape(groups, 3, 2, kernel)
        wanted = np.einsum("bgcrk,gock->bgor", parts, by_group).reshape(residual.shape)
        wanted = wanted + residual if has_residual else wanted
        wanted = wanted.clip(0) if act else wanted
        for axis in range(axes):
            as_image = lambda a, axis=axis: np.expand_dims(  # noqa: E731
                a, [2 + i for i in range(axes) if i != axis]
            )
            out = np.full(as_image(residual).shape, np.nan, "f")
            rest = as_image(residual) if has_residual else None
            numbers = *(1, 1, 1), *(0, 0, 0), *(1, 1, 1), groups
            call("conv_act", out, as_image(x), as_image(weight), None, rest, act, *numbers)
            np.testing.assert_allclose(out, as_image(wanted), rtol=1e-4, atol=1e-4)
