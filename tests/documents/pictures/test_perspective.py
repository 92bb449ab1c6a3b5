"""Pages seen from aside come out flat; straight ones are not touched."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from drawn_tables import grid_table, paragraphs
from tallow.documents.pictures.levels import ink_of, levels_of, noise_of
from tallow.documents.pictures.perspective import bent_quad, sheet_quad
from tallow.documents.pictures.upright import orient
from tallow.documents.pictures.warping import homography, mapped

CORNERS = {
    "from below": [(0.05, 0.04), (0.95, 0.04), (1, 1), (0, 1)],
    "from the left": [(0, 0), (0.96, 0.06), (0.96, 0.94), (0, 1)],
    "askew": [(0.03, 0.0), (1.0, 0.05), (0.95, 0.98), (0.0, 0.94)],
}


def seen(picture, corners, ground):
    """(picture, homography to it) of a sheet whose corners lie at shares of the sides."""
    width, height = picture.size
    flat = [(0, 0), (width, 0), (width, height), (0, height)]
    there = [(x * width, y * height) for x, y in corners]
    back = homography(there, flat).reshape(-1)[:8].tolist()
    image = picture.transform(
        picture.size, Image.Transform.PERSPECTIVE, back, Image.Resampling.BICUBIC, fillcolor=ground
    )
    return image, homography(flat, there)


def off(picture, upright, matrix):
    """How far, in pixels, rows and columns of points are off the level and the upright."""
    width, height = picture.size
    points = [(x * width, y * height) for x in (0.1, 0.5, 0.9) for y in (0.1, 0.5, 0.9)]
    back = np.linalg.inv(np.array(upright.to_original).reshape(3, 3))
    there = mapped(back, mapped(matrix, points)).reshape(3, 3, 2)
    return np.ptp(there[:, :, 1], axis=0).max(), np.ptp(there[:, :, 0], axis=1).max()


@pytest.mark.parametrize("corners", CORNERS)
@pytest.mark.parametrize("ground", [(120, 110, 100), (255, 255, 255)])
def test_a_ruled_table_becomes_flat(corners, ground):
    picture = grid_table(10, 5, seed=3, margin=30)[0]
    image, matrix = seen(picture, CORNERS[corners], ground)
    rows, columns = off(picture, orient(np.asarray(image), turn=0), matrix)
    assert rows <= 1.5
    assert columns <= 1.5


@pytest.mark.parametrize("corners", CORNERS)
def test_a_sheet_on_its_ground_is_found(corners):
    picture = paragraphs(600, 500, seed=2)
    image, _ = seen(picture, CORNERS[corners], (90, 80, 70))
    quad = sheet_quad(levels_of(np.asarray(image)))
    there = [(x * 600, y * 500) for x, y in CORNERS[corners]]
    assert np.abs(np.array(quad) - there).max() <= 2


PAGES = {
    "grid": lambda: grid_table(8, 4, seed=1)[0],
    "filled": lambda: grid_table(8, 4, seed=1, line=0, margin=1, header=(0, 60, 120),
                                 stripe=(190, 200, 215))[0],
    "dark": lambda: grid_table(8, 4, seed=1, paper=(20, 20, 24), ink=(240, 240, 240))[0],
    "text": lambda: paragraphs(seed=1),
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("angle", [0, 3])
def test_flat_pages_are_not_bent(page, angle):
    picture = PAGES[page]()
    if angle:
        picture = picture.rotate(-angle, Image.Resampling.BICUBIC, True, fillcolor="white")
    levels = levels_of(np.asarray(picture))
    assert sheet_quad(levels) is None
    assert bent_quad(levels, ink_of(levels), noise_of(levels)) is None


def test_a_frame_near_the_edge_of_a_sheet_stays():
    """White of 4 pixels is around the frame; the sheet, turned by 5° on black, keeps its size."""
    sheet = Image.new("RGB", (700, 500), "white")
    draw = ImageDraw.Draw(sheet)
    draw.rectangle([4, 4, 695, 495], outline=(0, 90, 160), width=3)
    turned = sheet.rotate(-5, Image.Resampling.BICUBIC, expand=True, fillcolor="black")
    quad = sheet_quad(levels_of(np.asarray(turned)))
    assert quad is not None
    width, height = (
        np.linalg.norm(np.subtract(quad[1], quad[0])),
        np.linalg.norm(np.subtract(quad[3], quad[0])),
    )
    assert (width, height) == pytest.approx((700, 500), abs=4)
