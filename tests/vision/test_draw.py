"""vision.draw: where colours stand, and that nothing else of the picture changes."""

import colorsys
import itertools

import numpy as np
import pytest
from PIL import Image, ImageFont

import tallow as tl
from tallow.errors import ShapeError
from tallow.vision import draw

WHITE = Image.new("RGB", (400, 300), (255, 255, 255))


def found(*boxes, labels=None, scores=None):
    labels = tl.tensor(labels or [0] * len(boxes))
    result = {"boxes": tl.tensor(np.array(boxes, np.float32).reshape(-1, 4)), "labels": labels}
    return result if scores is None else {**result, "scores": tl.tensor(scores)}


def test_boxes_stand_in_the_colour_of_their_class():
    rows = found((50, 60, 200, 250), (260, 100, 380, 280), labels=[3, 1], scores=[0.9, 0.8])
    image = np.asarray(draw.detections(WHITE, rows, {0: "a", 1: "b", 3: "d"}))
    assert image.shape == (300, 400, 3)
    assert tuple(image[150, 50]) == tuple(image[250, 120]) == draw.color(3)
    assert tuple(image[200, 380]) == tuple(image[280, 300]) == draw.color(1)
    for y, x in ((150, 120), (200, 320), (20, 200), (299, 399)):
        assert tuple(image[y, x]) == (255, 255, 255)
    assert np.asarray(WHITE).min() == 255  # the given picture stays as it was


def test_names_come_from_mappings_and_lists():
    rows = found((50, 60, 200, 250), labels=[1], scores=[0.5])
    ways = [{0: "x", 1: "cat"}, {"1": "cat"}, ["x", "cat"], ("x", "  cat\n ")]
    images = [np.asarray(draw.detections(WHITE, rows, names)) for names in ways]
    for image in images[1:]:
        np.testing.assert_array_equal(image, images[0])
    plain = np.asarray(draw.detections(WHITE, rows))
    assert (plain != images[0]).any()
    np.testing.assert_array_equal(np.asarray(draw.detections(WHITE, rows, {1: 1})), plain)


@pytest.mark.parametrize("count", [1, 30, 400])
def test_tags_never_cover_one_another(count, monkeypatch):
    taken = []
    tag = draw._tag
    monkeypatch.setattr(draw, "_tag", lambda *args: (tag(*args), taken.append([*args[-1]])))
    rng = np.random.default_rng(count)
    boxes = rng.uniform(-50, 450, (count, 4))
    draw.detections(WHITE, found(*boxes, scores=rng.random(count).tolist()), ["a long name"])
    assert taken[-1]
    for a, b in itertools.combinations(taken[-1], 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    for left, top, right, bottom in taken[-1]:
        assert left >= 0 and top >= 0 and right <= 400 and bottom <= 300


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (2000, 9)])
def test_odd_boxes_and_pictures(size):
    image = Image.new("RGB", size)
    boxes = [(np.nan, 0, 1, 1), (0, 0, np.inf, 1), (-9, -9, 5000, 5000), (5, 5, 1, 1), (7, 7, 7, 7)]
    drawn = draw.detections(image, found(*boxes), {0: "an endless name " * 30})
    assert drawn.size == size
    none = draw.detections(image, found())
    np.testing.assert_array_equal(np.asarray(none), np.asarray(image))
    with pytest.raises(ShapeError, match="detections: expected 1 labels and scores"):
        draw.detections(image, found((0, 0, 1, 1), labels=[1, 2]))


def test_areas_have_their_colour_and_a_legend():
    classes = tl.tensor([[0, 0, 1], [0, 0, -1]])
    image = np.asarray(draw.segmentation(WHITE, classes, ["sky", "sea"], opacity=1.0))
    assert image.shape[0] > 300 and image.shape[1] == 400
    assert tuple(image[10, 10]) == draw.color(0)
    assert tuple(image[10, 390]) == draw.color(1)
    assert tuple(image[290, 390]) == (255, 255, 255)
    legend = image[300:]
    first, second = (np.argwhere((legend == draw.color(i)).all(-1))[0] for i in (0, 1))
    assert first[1] < second[1]  # the larger area first
    half = np.asarray(draw.segmentation(WHITE, classes))
    assert tuple(half[10, 10]) == tuple(round(128 + c / 2 - 0.5) for c in draw.color(0))


def test_segments_that_are_skipped_leave_the_picture():
    classes = np.zeros((300, 400), np.int64)
    image = draw.segmentation(WHITE, classes, skip=(0,))
    np.testing.assert_array_equal(np.asarray(image), np.asarray(WHITE))
    many = draw.segmentation(WHITE, np.arange(120_000).reshape(300, 400) % 150)
    assert many.height > 400
    with pytest.raises(ShapeError, match=r"segmentation: expected \(height, width\)"):
        draw.segmentation(WHITE, np.zeros((1, 2, 3)))


def test_colours_are_distinct():
    colors = [draw.color(index) for index in range(64)]
    assert len({*colors}) == 64
    assert draw.color(64) == draw.color(0)
    for a, b in itertools.combinations(colors[:16], 2):
        assert np.abs(np.subtract(a, b)).sum() > 60
    for a, b in itertools.pairwise(colors[:16]):
        hues = [colorsys.rgb_to_hsv(*(c / 255 for c in rgb))[0] for rgb in (a, b)]
        assert min(abs(hues[0] - hues[1]), 1 - abs(hues[0] - hues[1])) > 0.05


def test_names_of_any_script():
    """Each of them as itself: Pillow's own font has one box for all that is not ASCII."""
    made = [draw.segmentation(WHITE, np.zeros((3, 4), int), [name]) for name in ("é", "ü", "λ")]
    pixels = {image.tobytes() for image in made}
    try:
        ImageFont.truetype("DejaVuSans.ttf", 12)
    except OSError:
        pytest.skip("no font of more than ASCII is installed")
    assert len(pixels) == 3


def test_a_legend_is_whole_below_a_narrow_picture():
    narrow = draw.segmentation(Image.new("RGB", (9, 60)), np.zeros((60, 9), int), ["background"])
    roomy = draw.segmentation(WHITE, np.zeros((3, 4), int), ["background"])
    below = np.asarray(roomy)[300:]
    ink = np.argwhere((below < 128).any((0, 2))).max()
    assert 9 < ink < narrow.width < 400
    np.testing.assert_array_equal(np.asarray(narrow)[60:], below[:, : narrow.width])


def test_a_tag_never_hides_a_small_picture():
    small = Image.new("RGB", (20, 20), (255, 255, 255))
    drawn = np.asarray(draw.detections(small, found((1, 1, 18, 18)), ["thing"]))
    assert (drawn[4:16, 4:16] == 255).all()
