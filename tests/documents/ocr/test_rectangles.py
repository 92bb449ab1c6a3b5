"""Rectangles around points, held against rectangles that points were drawn from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tallow.documents.geometry import quad_of
from tallow.documents.ocr import rectangles


def turned(box, degrees):
    """Corners of a box turned about its middle."""
    left, top, right, bottom = box
    x, y = (left + right) / 2, (top + bottom) / 2
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return tuple(
        (x + c * (u - x) - s * (v - y), y + s * (u - x) + c * (v - y)) for u, v in quad_of(box)
    )


@pytest.mark.parametrize("degrees", [0, 3, -20, 44, 46, 90, 179])
def test_the_rectangle_that_points_fill(degrees):
    corners = turned((10, 20, 110, 45), degrees)
    rng = np.random.default_rng(0)
    inside = [tuple(np.average(corners, axis=0, weights=rng.dirichlet([1] * 4))) for _ in range(50)]
    found = rectangles.smallest_rectangle([*corners, *inside])
    near = [min(math.dist(a, b) for b in corners) for a in found]
    assert max(near) < 1e-6
    angle = math.degrees(math.atan2(found[1][1] - found[0][1], found[1][0] - found[0][0]))
    assert abs(angle) <= 45 + 1e-6
    x, y = zip(*found, strict=True)
    area = sum(x[i - 1] * y[i] - x[i] * y[i - 1] for i in range(4)) / 2
    assert area == pytest.approx(100 * 25), "clockwise, as y points down"


def test_few_points():
    assert rectangles.smallest_rectangle([(3, 4)]) == quad_of((3, 4, 3, 4))
    assert rectangles.smallest_rectangle([(3, 4), (9, 4), (5, 4)]) == quad_of((3, 4, 9, 4))


@pytest.mark.parametrize("degrees", [0, 30])
def test_growing_moves_each_side(degrees):
    small, large = turned((10, 20, 110, 45), degrees), turned((7, 17, 113, 48), degrees)
    assert np.allclose(rectangles.grown(small, 3), large)


def test_growing_a_point():
    assert rectangles.grown(quad_of((3, 4, 3, 4)), 1) == quad_of((2, 3, 4, 5))


def test_a_slight_slope_is_straightened_and_a_real_one_is_kept():
    flat, steep = turned((0, 0, 100, 20), 1), turned((0, 0, 100, 20), 4)
    found = rectangles.straightened(flat)
    assert found == quad_of((found[0][0], found[0][1], found[2][0], found[2][1]))
    assert np.allclose(found, quad_of((0, 0, 100, 20)), atol=1)
    assert rectangles.straightened(steep) == steep
