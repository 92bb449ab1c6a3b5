"""Connected components, held against a flood fill that takes one pixel at a time."""

from __future__ import annotations

import numpy as np
import pytest

from tallow.documents.pictures.components import components


def flooded(mask):
    """Labels of areas in order of their first pixels, by a stack of neighbours."""
    found = np.full(mask.shape, -1)
    count = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if found[start] >= 0:
            continue
        waiting = [start]
        found[start] = count
        while waiting:
            y, x = waiting.pop()
            for v in range(max(y - 1, 0), min(y + 2, mask.shape[0])):
                for u in range(max(x - 1, 0), min(x + 2, mask.shape[1])):
                    if mask[v, u] and found[v, u] < 0:
                        found[v, u] = count
                        waiting.append((v, u))
        count += 1
    return found


def spiral(size):
    """One area whose rows hold many runs of it: what joins runs late."""
    mask = np.zeros((size, size), bool)
    top, left, bottom, right = 0, 0, size - 1, size - 1
    while right - left > 3:
        mask[top, left : right + 1] = mask[top : bottom + 1, right] = True
        mask[bottom, left : right + 1] = True
        mask[top + 2 : bottom + 1, left] = True
        mask[top + 2, left : left + 3] = True
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    return mask


MASKS = {
    f"{shape}, {share}": np.random.default_rng(i).random(shape) < share
    for i, (shape, share) in enumerate(
        (shape, share) for shape in ((1, 1), (1, 40), (40, 1), (31, 47)) for share in (0.1, 0.4)
    )
} | {"spiral": spiral(31), "all": np.ones((5, 7), bool), "none": np.zeros((5, 7), bool)}


@pytest.mark.parametrize("name", MASKS)
def test_areas_of_a_flood_fill(name):
    mask = MASKS[name]
    expected, found = flooded(mask), components(mask)
    assert (found.image() == expected).all()
    assert found.count == expected.max() + 1
    for number in range(found.count):
        y, x = np.nonzero(expected == number)
        assert found.boxes[number].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        assert found.areas[number] == len(y)


def test_the_pixels_of_some_areas():
    mask = MASKS["(31, 47), 0.1"]
    found = components(mask)
    even = np.arange(found.count) % 2 == 0
    image = flooded(mask)
    assert (found.mask(even) == ((image >= 0) & (image % 2 == 0))).all()


def test_an_empty_picture():
    assert components(np.zeros((0, 5), bool)).count == 0
