"""Kernels of 3 x 3 transformed for Winograd's way, in strips of rows, beside G g Gᵀ in double."""

import numpy as np
import pytest

import tallow as tl
from tallow import _native

A, B = 0.75, 1.5  # points of tiles of 4 x 4, beside 0 and infinity


def points(side):
    """G of F(side × side, 3 × 3), by its points."""
    if side == 2:
        return np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    rows = [[1 / (A * A * B * B), 0, 0]]
    for point, other in ((A, B), (-A, B), (B, A), (-B, A)):
        scale = 1 / (2 * point**2 * (point**2 - other**2))
        rows.append([scale, point * scale, point**2 * scale])
    return np.array([*rows, [0, 0, 1]])


def strips(rows):
    """How many rows each strip has, the last one padded."""
    rest = rows % 6
    return [6] * (rows // 6) + ([] if rest == 0 else [4] if rest <= 4 else [6])


def expected(weight, side, groups):
    g = points(side)
    rows, channels = weight.shape[0] // groups, weight.shape[1]
    whole = sum(strips(rows))
    padded = np.zeros((groups, whole, channels, 3, 3))
    padded[:, :rows] = weight.reshape(groups, rows, channels, 3, 3)
    made = np.einsum("yi,grcij,xj->yxgrc", g, padded, g).reshape((side + 2) ** 2, groups, whole, -1)
    parts, at = [], 0
    for count in strips(rows):  # in each, the rows of a channel follow each other
        parts.append(made[:, :, at : at + count].swapaxes(2, 3).reshape(*made.shape[:2], -1))
        at += count
    return np.concatenate(parts, 2).reshape(made.shape[0], groups * whole, channels)


@pytest.mark.skipif(
    "winograd_weight" not in dict(_native.kernel_names()), reason="vectors too short for it"
)
@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("rows", [1, 4, 5, 6, 11, 13])
@pytest.mark.parametrize("channels", [1, 3, 11, 16, 33])
def test_transformed_kernels(side, groups, rows, channels):
    draw = np.random.default_rng(rows * channels + groups)
    weight = draw.standard_normal((groups * rows, channels, 3, 3)).astype(np.float32)
    want = expected(weight, side, groups)
    out = tl.full(want.shape, float("nan"))
    strided = tl.from_numpy(np.ascontiguousarray(weight[..., ::-1]))[..., :].flip(-1)
    for given in (tl.from_numpy(weight), strided):
        _native.call("winograd_weight", out._array, given._array, groups)
        np.testing.assert_allclose(out.numpy(), want, rtol=1e-6, atol=1e-6)
