"""Pictures on pages with a text layer: read where the layer lacks their text, and laid in place."""

import numpy as np
import pytest

from documents.simple_steps import simple_steps
from tallow.documents.content import PageContent, Word
from tallow.documents.inputs import InputPage
from tallow.documents.page_reading import PageReader
from tallow.documents.placed_pictures import pictures_to_read
from tallow.documents.steps import Region, Upright
from tallow.lazy_dataclasses import replace

PICTURE = (100.0, 200.0, 500.0, 400.0)


def page(words=(), pictures=(PICTURE,)):
    pixels = np.zeros((800, 600, 3), np.uint8)
    return PageContent(600, 800, "text layer", [*words], pictures=[*pictures],
                       rendered=lambda: pixels)  # fmt: skip


def stamp(width):
    return Word("DRAFT", (120.0, 220.0, 120.0 + width, 232.0))


@pytest.mark.parametrize(("width", "read"), [(60, 1), (399, 0)])
def test_a_stamp_leaves_a_picture_to_be_read_and_a_layer_of_its_own_does_not(width, read):
    assert len(pictures_to_read(page([stamp(width)]))) == read


def test_strips_of_a_scan_are_one_picture_and_others_are_not():
    strips = [(50.0, 10.0 * n, 550.0, 10.0 * n + 10) for n in range(40)]
    others = [(50.0, 500.0, 150.0, 600.0), (300.0, 500.0, 400.0, 600.0), (0.0, 700.0, 9.0, 709.0)]
    corner = [(150.0, 600.0, 200.0, 700.0)]  # touches, but both fill little of what is around them
    found = pictures_to_read(page(pictures=[*reversed(strips), *others, *corner]))
    assert found == [(50.0, 0.0, 550.0, 400.0), *others[:2], *corner]


class OneWord:
    """Reads a word near the left top corner of what it is given."""

    def read(self, pixels):
        return [Word("DRAFT", (10, 20, 70, 32)), Word("word", (30, 60, 90, 80))]

    def read_lines(self, crops):
        return []


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_words_of_turned_pictures_lie_where_they_are_seen(turn):
    width, height = 400, 200
    steps = simple_steps()
    steps = replace(
        steps, reader=OneWord(),
        orient=lambda pixels: Upright(np.rot90(pixels, -turn // 90), turn),
        detect=lambda content: [Region((20, 50, 100, 90))] if content.source == "picture" else [],
    )  # fmt: skip
    layer = [Word("DRAFT", (105.0, 215.0, 175.0, 235.0))]
    read = PageReader(steps, lambda what: None).read(InputPage(1, page(layer), lambda: None))
    word = read.words[-1]
    boxes = {
        0: (130, 260, 190, 280),
        90: (100 + 60, 200 + height - 90, 100 + 80, 200 + height - 30),
        180: (100 + width - 90, 200 + height - 80, 100 + width - 30, 200 + height - 60),
        270: (100 + width - 80, 200 + 30, 100 + width - 60, 200 + 90),
    }
    assert word.text == "word" and word.box == pytest.approx(boxes[turn])
    assert word.turn == -turn % 360
    drafts = sum(each.text == "DRAFT" for each in read.words)
    assert drafts == (1 if turn == 0 else 2)  # the one that was read lies on the layer's
    assert len(read.tables) == (1 if turn else 0)
