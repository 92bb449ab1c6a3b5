"""Tall tables cut into bands and joined."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tallow.documents.content import PageContent, Word
from tallow.documents.steps import Region
from tallow.documents.structure import Slot, Structure, tiled
from tallow.documents.structures import slanet
from tallow.documents.structures.bands import cuts, gaps_of, in_bands, line_count, stacked

ROW = 20


def tall(rows, columns, *, width=90):
    """A page with a table of numbers, and its words."""
    picture = Image.new("RGB", (columns * width + 24, rows * ROW + 24), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=13)
    words = []
    for r in range(rows):
        for c in range(columns):
            text = f"Head {c + 1}" if r == 0 else f"{(r * 377 + c * 71) % 1000}.5"
            x, y = 16 + c * width, 14 + r * ROW
            draw.text((x, y), text, "black", font=font)
            words.append(Word(text, (x, y, x + draw.textlength(text, font=font), y + 14)))
    pixels = np.asarray(picture)
    high, wide = pixels.shape[:2]
    content = PageContent(wide, high, "picture", words=words, rendered=lambda: pixels)
    return content, Region((0.0, 0.0, float(wide), float(high)))


def cells(rows, columns):
    return Structure(rows, columns, tiled(rows, columns, []), "test", 0.5, 1)


def test_gaps_lie_between_lines():
    content, region = tall(30, 3)
    gaps = gaps_of(content.words)
    assert len(gaps) == 29 and line_count(content, region) == 30
    for line, (top, bottom) in enumerate(gaps):
        assert 14 + line * ROW < top < bottom < 14 + (line + 1) * ROW + 14
    assert gaps_of([]) == [] and line_count(PageContent(9, 9, "picture"), region) == 0


@pytest.mark.parametrize("rows", [21, 45, 100])
def test_cuts_make_bands_of_like_size(rows):
    content, _ = tall(rows, 2)
    at = cuts(gaps_of(content.words), 20)
    assert len(at) == -(-rows // 20) - 1
    edges = [0, *at, rows * ROW + 24]
    counts = [
        sum(low < word.box[1] and word.box[3] < high for word in content.words) / 2
        for low, high in itertools.pairwise(edges)
    ]
    assert sum(counts) == rows  # no word is cut
    assert max(counts) <= 1.7 * min(counts) + 1


def test_bands_are_stacked():
    two = Structure(2, 3, tiled(2, 3, [Slot(0, 1, 2, 2)]), "test", 1.0, 2)
    made = stacked([cells(2, 3), two])
    assert (made.rows, made.columns, made.header_rows, made.confidence) == (4, 3, 1, 0.75)
    assert Slot(2, 1, 2, 2) in made.slots


def test_bands_of_other_columns_are_tried_again_and_given_up():
    content, region = tall(60, 3)
    asked = []

    def propose(band, *, columns=lambda count: 3):
        asked.append(band.box)
        return cells(sum(band.box[1] < w.box[1] < band.box[3] for w in content.words) // 3,
                     columns(len(asked)))  # fmt: skip

    made = in_bands(content, region, propose)
    assert (made.rows, made.columns) == (60, 3) and len(asked) == 3
    asked.clear()
    made = in_bands(content, region, lambda band: propose(band, columns=lambda n: 3 + (n == 2)))
    assert (made.rows, made.columns) == (60, 3) and len(asked) == 7  # 2, then all 5 of the second
    assert in_bands(content, region, lambda band: propose(band, columns=lambda n: n)) is None
    assert in_bands(content, region, lambda band: None) is None


@pytest.mark.needs_network
def test_a_table_of_more_tokens_than_steps_comes_back():
    content, region = tall(70, 7)
    whole, ended = slanet._whole(content, region, "slanet-en")
    assert not ended and whole.rows < 70
    (found,) = slanet.propose_english(content, region)
    assert (found.rows, found.columns, found.header_rows) == (70, 7, 1)
