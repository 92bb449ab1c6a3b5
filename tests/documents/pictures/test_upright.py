"""Turned, skew and dark pages come out upright, and every point can be found again."""

import numpy as np
import pytest
from PIL import Image

from drawn_tables import as_jpeg, grid_table, paragraphs
from tallow.documents.pictures.levels import ink_of, levels_of, noise_of
from tallow.documents.pictures.skew import skew_of
from tallow.documents.pictures.upright import orient
from tallow.documents.pictures.warping import flattening, homography, mapped, turning_back, warped


def skew(picture):
    levels = levels_of(np.asarray(picture))
    return skew_of(levels, ink_of(levels), noise_of(levels))


def rotated(picture, angle, colour="white"):
    """Clockwise by degrees, with room."""
    return picture.rotate(-angle, Image.Resampling.BICUBIC, expand=True, fillcolor=colour)


PAGES = {
    "ruled": lambda: grid_table(8, 4, seed=2)[0],
    "dark": lambda: grid_table(
        8, 4, seed=2, paper=(20, 22, 26), ink=(235, 235, 235), colour=(120, 120, 130)
    )[0],
    "borderless": lambda: grid_table(12, 5, seed=3, line=0)[0],
    "striped": lambda: grid_table(12, 5, seed=3, line=0, stripe=(220, 230, 245))[0],
    "text": lambda: paragraphs(seed=4),
    "jpeg": lambda: as_jpeg(paragraphs(seed=5), 50),
}


@pytest.mark.parametrize("angle", [0, -0.3, 0.5, -2, 4, -10])
@pytest.mark.parametrize("page", PAGES)
def test_skew_is_measured(page, angle):
    picture = PAGES[page]()
    turned = rotated(picture, angle, picture.getpixel((0, 0))) if angle else picture
    assert skew(turned) == pytest.approx(angle, abs=0.2)


@pytest.mark.parametrize("page", ["ruled", "borderless"])
def test_straight_pages_are_left_alone(page):
    pixels = np.asarray(PAGES[page]())
    upright = orient(pixels, turn=0)
    assert upright.skew == 0
    assert np.array_equal(upright.pixels, pixels)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("angle", [0, 3])
def test_points_are_found_again(turn, angle):
    """A red mark is where the homography says it came from."""
    picture = grid_table(8, 4, seed=2, margin=40)[0]
    picture.paste((255, 0, 0), (12, 12, 22, 22))
    turned = rotated(picture, angle).rotate(-turn, expand=True)
    upright = orient(np.asarray(turned), turn=turn)

    def mark(pixels):
        rows, columns = np.nonzero((pixels[..., 0] > 200) & (pixels[..., 1] < 80))
        return np.array([columns.mean() + 0.5, rows.mean() + 0.5])

    assert upright.turn == turn
    assert upright.skew == pytest.approx(angle, abs=0.1)
    back = mapped(upright.to_original, mark(upright.pixels)[None])[0]
    assert back == pytest.approx(mark(np.asarray(turned)), abs=1)


def test_dark_pages_become_light():
    dark = np.asarray(PAGES["dark"]())
    assert np.median(orient(dark, turn=0).pixels) > 200
    header = np.asarray(grid_table(4, 4, header=(0, 40, 90), seed=1)[0])
    assert np.array_equal(orient(header, turn=0).pixels, header)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_turning_back_is_what_rot90_did(turn):
    before = np.arange(5 * 7).reshape(5, 7)
    after = np.rot90(before, turn // 90)
    points = [(x + 0.5, y + 0.5) for y in range(after.shape[0]) for x in range(after.shape[1])]
    back = np.floor(mapped(turning_back(turn, 7, 5), points)).astype(int)
    assert [before[y, x] for x, y in back] == list(after.reshape(-1))


def test_homography_takes_points_to_points():
    points = [(0, 0), (100, 0), (100, 50), (0, 50)]
    images = [(10, 5), (95, 12), (110, 70), (-4, 61)]
    assert mapped(homography(points, images), points) == pytest.approx(np.array(images))
    matrix, size = flattening(tuple(images))
    assert size == (100, 59)
    assert mapped(matrix, [(0, 0), size]) == pytest.approx(np.array([images[0], images[2]]))
    flat = warped(np.full((90, 120, 3), (10, 20, 30), np.uint8), matrix, size)
    assert (flat == (10, 20, 30)).all()


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2)])
def test_tiny_pictures_stay(shape):
    pixels = np.full((*shape, 3), 255, np.uint8)
    assert orient(pixels).pixels.shape == pixels.shape


@pytest.mark.needs_network
@pytest.mark.parametrize("page", ["ruled", "borderless", "dark"])
def test_turns_are_told(page):
    pixels = np.asarray(PAGES[page]())
    for turn in (0, 90, 180, 270):
        found = orient(np.ascontiguousarray(np.rot90(pixels, -turn // 90)))
        assert found.turn == turn
