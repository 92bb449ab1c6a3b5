"""Words of pictures are divided at gaps in their ink, and put together where one cell has both."""

import numpy as np
import pytest

from tallow.documents.cells.gaps import parted
from tallow.documents.cells.joining import joined
from tallow.documents.content import PageContent, Word


def drawn(texts, gap):
    """A line of texts with `gap` pixels between, as one word; and where the texts begin."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=24)
    picture = Image.new("RGB", (500, 40), "white")
    draw, x, starts = ImageDraw.Draw(picture), 10.0, []
    for text in texts:
        starts.append(x)
        draw.text((x, 6), text, "black", font)
        x += draw.textlength(text, font) + gap
    box = (10, 8, x - gap, 32)
    content = PageContent(500, 40, "picture", [Word("".join(texts), box)])
    content.rendered = lambda: np.asarray(picture)
    return content, starts


@pytest.mark.parametrize("texts", [["58%", "42.7%", "95.8%"], ["Norway", "65%"], ["0.51", "ND"]])
def test_what_stands_apart_is_parted(texts):
    content, starts = drawn(texts, 24)
    pieces = parted(content, content.words)
    assert [piece.text for piece in pieces] == texts
    assert [piece.box[0] for piece in pieces] == pytest.approx(starts, abs=4)
    assert [piece.glued for piece in pieces] == [False] + [True] * (len(texts) - 1)


def test_pieces_in_one_cell_are_one_word_again():
    content, _ = drawn(["12", "34"], 24)
    assert joined(parted(content, content.words))[0] == "1234"


@pytest.mark.parametrize("gap", [0, 3])
def test_what_stands_together_stays(gap):
    content, _ = drawn(["Nor", "way"], gap)
    assert parted(content, content.words) == content.words


def test_a_text_layer_is_left_alone():
    content, _ = drawn(["12", "34"], 40)
    content.source = "text layer"
    assert parted(content, content.words) == content.words
