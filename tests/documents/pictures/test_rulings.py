"""What is drawn as a line is found where it is, and text is not."""

import itertools
import random
import time

import numpy as np
import pytest
from PIL import Image, ImageDraw

from drawn_tables import as_jpeg, font, grid_table, paragraphs
from tallow.documents.pictures.rulings import find_rulings


def check(rulings, ys, xs, tolerance=1.5):
    """The rulings are the lines of a grid at `ys` and `xs`, from end to end."""
    for horizontal, at, across in ((True, ys, xs), (False, xs, ys)):
        found = [each for each in rulings if each.horizontal == horizontal]
        assert len(found) == len(at), (horizontal, [each.at for each in found], list(at))
        for each, place in zip(found, at, strict=True):
            assert abs(each.at - place) <= tolerance
            assert abs(each.start - across[0]) <= tolerance + 2
            assert abs(each.end - across[-1]) <= tolerance + 2


STYLES = {
    "thin": {},
    "thick": {"line": 4},
    "grey": {"colour": (200, 200, 200)},
    "pale blue": {"colour": (200, 220, 255)},
    "red": {"colour": (220, 40, 30), "line": 2},
    "dark": {"paper": (24, 26, 30), "ink": (235, 235, 235), "colour": (110, 110, 120)},
    "header and stripes": {"header": (0, 90, 170), "stripe": (225, 235, 245)},
    "white on fills": {
        "header": (200, 30, 40), "stripe": (240, 208, 190), "paper": (247, 229, 220),
        "colour": (255, 255, 255), "line": 2, "margin": 1,
    },
    "large": {"scale": 3, "line": 3},
    "small": {"size": 9},
}  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("style", STYLES)
def test_drawn_lines_are_found(style, seed):
    picture, ys, xs = grid_table(seed=seed, **STYLES[style])
    if style == "white on fills":  # its outer lines have a fill on one side only
        ys, xs = ys[1:-1], xs[1:-1]
        found = [
            each
            for each in find_rulings(np.asarray(picture))
            if 2 < each.at < (picture.size[each.horizontal] - 4)
        ]
        assert [each.horizontal for each in found].count(True) == len(ys)
        assert [each.horizontal for each in found].count(False) == len(xs)
        places = [*ys, *xs]
        assert all(abs(each.at - at) <= 1.5 for each, at in zip(found, places, strict=True))
        return
    check(find_rulings(np.asarray(picture)), ys, xs)


@pytest.mark.parametrize("style", ["thin", "grey", "dark", "header and stripes"])
def test_lines_in_jpeg_and_noise(style):
    picture, ys, xs = grid_table(seed=3, **STYLES[style])
    check(find_rulings(np.asarray(as_jpeg(picture, 60))), ys, xs)
    noise = np.random.default_rng(0).normal(0, 6, (*picture.size[::-1], 3))
    noisy = np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)
    check(find_rulings(noisy), ys, xs)


def test_pale_lines_in_noise():
    """Lines whose contrast is three times the noise, and less than six."""
    picture, ys, xs = grid_table(seed=3, colour=(215, 215, 215), size=20)
    noise = np.random.default_rng(1).normal(0, 10, (*picture.size[::-1], 3))
    noisy = np.clip(np.asarray(picture) * 0.9 + noise, 0, 255).astype(np.uint8)
    check(find_rulings(noisy), ys, xs, tolerance=2.5)


def test_half_resolution():
    picture, ys, xs = grid_table(seed=4, size=18, line=2)
    half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BILINEAR)
    check(find_rulings(np.asarray(half)), ys / 2, xs / 2)


@pytest.mark.parametrize("angle", [-0.5, 0.3, 0.5])
def test_slight_skew(angle):
    picture, ys, xs = grid_table(seed=5)
    turned = picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor=(255, 255, 255))
    check(find_rulings(np.asarray(turned)), ys, xs, tolerance=4)


@pytest.mark.parametrize("mark", [(6, 4), (3, 3), (1, 2), (12, 5)])
def test_dashed_lines(mark):
    picture, _, _ = grid_table(seed=6, line=0)
    wide = Image.new("RGB", (picture.width, picture.height + 80), "white")
    wide.paste(picture, (0, 40))
    draw, at = ImageDraw.Draw(wide), [20, wide.height - 20]
    for y in at:
        for x in range(20, wide.width - 20, sum(mark)):
            draw.line([x, y, x + mark[0] - 1, y], "black", 1)
    found = find_rulings(np.asarray(wide))
    assert all(each.horizontal for each in found)
    assert [round(each.at) for each in found] == pytest.approx(at, abs=1.5)
    assert all(each.start <= 22 and each.end >= wide.width - 40 for each in found)


def test_a_double_line_is_one():
    picture, ys, xs = grid_table(seed=7)
    draw = ImageDraw.Draw(picture)
    y = int(ys[1])
    draw.line([xs[0], y + 3, xs[-1], y + 3], "black", 1)
    ys[1] += 1.5
    check(find_rulings(np.asarray(picture)), ys, xs)


def test_letters_on_a_line_do_not_cut_it():
    picture, ys, xs = grid_table(seed=8)
    draw, generator = ImageDraw.Draw(picture), random.Random(0)
    for y in ys[1:-1]:
        for x in generator.sample(range(int(xs[0]) + 10, int(xs[-1]) - 40, 48), 2):
            draw.text((x, y - 11), "gjpQ", "black", font(16))
    check(find_rulings(np.asarray(picture)), ys, xs)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["light", "dark", "jpeg", "small", "large"])
def test_text_gives_no_rulings(kind, seed):
    colours = {"paper": (20, 20, 20), "ink": (230, 230, 230)} if kind == "dark" else {}
    size = {"small": 8, "large": 40}.get(kind, 16)
    page = paragraphs(seed=seed, size=size, underline=kind == "light", **colours)
    page = as_jpeg(page, 50) if kind == "jpeg" else page
    assert find_rulings(np.asarray(page)) == []


def test_leaders_are_no_rulings():
    page = Image.new("RGB", (600, 300), "white")
    draw, face = ImageDraw.Draw(page), font(16)
    for index in range(10):
        draw.text(
            (20, 20 + 26 * index), "Chapter " + "." * (70 + index) + f" {index}", "black", face
        )
    assert find_rulings(np.asarray(page)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2), (40, 3)])
def test_tiny_pictures(shape):
    assert find_rulings(np.full((*shape, 3), 255, np.uint8)) == []
    find_rulings(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))


def test_noise_alone_is_bounded():
    pixels = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    began = time.process_time()
    assert find_rulings(pixels) == []
    assert time.process_time() - began < 5


def test_dashes_that_are_fitted_to_each_cell_are_lines_close_to_text():
    """As browsers draw them: marks of about one length, longer ones where lines cross."""
    picture, ys, xs = grid_table(seed=3)
    blank = Image.new("RGB", picture.size, "white")
    draw = ImageDraw.Draw(blank)
    random.seed(3)
    for top in ys[:-1]:
        for left in xs[:-1]:
            draw.text(
                (left + 4, top + 3), random.choice(["gypsy", "1,204", "ago"]), "black", font(14)
            )
    for across, at, along in ((True, ys, xs), (False, xs, ys)):
        for place in at:
            for start, end in itertools.pairwise(along):
                pitch = (end - start) / max(1, round((end - start) / 6))
                for k in range(round((end - start) / pitch)):
                    a, b = round(start + k * pitch), round(start + k * pitch + 3)
                    draw.line([(a, place), (b, place)] if across else [(place, a), (place, b)],
                              (85, 85, 85))  # fmt: skip
    found = find_rulings(np.asarray(blank))
    for horizontal, at in ((True, ys), (False, xs)):
        places = [each.at for each in found if each.horizontal == horizontal]
        assert all(min(abs(place - each) for each in places) <= 1.5 for place in at), places


def test_a_frame_at_the_picture_s_own_edge_is_found():
    picture, ys, xs = grid_table(seed=4)
    left, top, right, bottom = round(xs[0]), round(ys[0]), round(xs[-1]), round(ys[-1])
    pixels = np.asarray(picture).copy()
    pixels = pixels[top : bottom + 1, left : right + 1]
    found = find_rulings(pixels)
    check(found, [y - top + 0.5 for y in ys], [x - left + 0.5 for x in xs], tolerance=2.0)
