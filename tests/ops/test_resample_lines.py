"""Interpolation by vectors of results beside f64, which takes them one by one."""

import numpy as np
import pytest

import tallow as tl
import tallow.nn.functional as F


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("size", [(160, 161), (5, 40), (31, 3), (1, 9), (80, 600)], ids=str)
@pytest.mark.parametrize("shape", [(1, 3, 80, 80), (2, 5, 7, 9), (1, 2, 3, 1)], ids=str)
def test_as_in_f64(shape, size, corners):
    x = np.random.default_rng(0).standard_normal(shape).astype("f")
    views = [
        tl.from_numpy(x),
        tl.from_numpy(np.repeat(x, 2, -1))[..., ::2],
        tl.from_numpy(np.ascontiguousarray(np.moveaxis(x, 1, -1))).movedim(-1, 1),
    ]
    options = {"size": size, "mode": "bilinear", "align_corners": corners}
    wanted = F.interpolate(tl.from_numpy(x.astype("d")), **options).numpy()
    found = [F.interpolate(view, **options).numpy() for view in views]
    np.testing.assert_allclose(found[0], wanted, rtol=0, atol=1e-6)
    for other in found[1:]:
        assert other.tobytes() == found[0].tobytes()


def test_infinities_stay_where_they_are():
    x = tl.zeros(1, 1, 1, 40)
    x[..., 17] = float("inf")
    y = F.interpolate(x, size=(1, 80), mode="bilinear").numpy()
    assert np.flatnonzero(np.isinf(y)).tolist() == [33, 34, 35, 36]
    assert not np.isnan(y).any()
