"""Cases of the ops in tallow.ops.sample_points, against sums over pixels in f64."""

import numpy as np

from ops.table import Case


def neighbours(at, length, border, corners):
    """The two pixels beside a place of an axis, and their weights."""
    at = (at + 1) * (length - 1) / 2 if corners else ((at + 1) * length - 1) / 2
    at = np.nan_to_num(at, nan=-9.0).clip(-9, length + 9)
    at = at.clip(0, length - 1) if border else at
    low = np.floor(at)
    for place, weight in ((low, 1 - (at - low)), (low + 1, at - low)):
        inside = (place >= 0) & (place < length)
        yield place.clip(0, length - 1).astype(int), weight * inside


def sampled(x, grid, border, corners):
    out = np.zeros((*x.shape[:2], grid.shape[1]))
    images = np.arange(len(x))[:, None]
    for column, across in neighbours(grid[..., 0], x.shape[3], border, corners):
        for row, down in neighbours(grid[..., 1], x.shape[2], border, corners):
            pixels = x[images, :, row, column]  # (b, points, c)
            out += (pixels * (across * down)[..., None]).transpose(0, 2, 1)
    return out


def gathered(x, image, index, weight):
    pixels = x[image[:, None], :, index]  # (taps, n, points, c)
    return (pixels * weight[..., None]).sum(0).transpose(0, 2, 1)


def grids(d):
    for shape, points in (((2, 3, 4, 5), 7), ((1, 70, 3, 3), 40), ((1, 9, 1, 6), 3)):
        for border, corners in ((False, False), (True, True)):
            yield d(d.x(shape), d.x((shape[0], points, 2), -1.3, 1.3), border, corners)
    strange = np.array([[np.nan, 0, np.inf, -np.inf, 1e9], [0.5, np.nan, 0, 9, -1e9]], "f4")
    yield d(d.x((1, 2, 4, 5)), strange.T[None], False, False)
    yield d(d.x((1, 2, 4, 5)), d.x((1, 0, 2)), True, False)


def places(d):
    for shape, taps, n, points in (
        ((2, 3, 6), 4, 3, 5),
        ((2, 70, 6), 3, 2, 33),
        ((1, 8, 1), 1, 1, 1),
    ):
        image = d.ints((n,), 0, shape[0])
        index = d.ints((taps, n, points), 0, shape[2], "i32")
        yield d(d.x(shape), image, index, d.x((taps, n, points)))
    yield d(d.x((2, 3, 6)), d.ints((2,), 0, 2), d.ints((0, 2, 4), 0, 6, "i32"), d.x((0, 2, 4)))


def _case(samples, numpy):
    return Case(
        samples, dtypes=("f32",), torch=False, numpy=numpy, gradient=False, hypothesis=False,
        factor=4,
    )  # fmt: skip


CASES = {"nn.sample_grid": _case(grids, sampled), "nn.gather_sum": _case(places, gathered)}
