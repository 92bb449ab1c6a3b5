"""TrOCR as a reader: tiny weights drawn at random, held against the task that reads lines."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tallow as tl
from tallow.documents.ocr.named import TROCR, reader_named
from tallow.documents.ocr.trocr import TrOCR, spread
from tallow.errors import ArgumentError
from tallow.tasks import LineReader
from tallow.vision import load_image

FOLDER = Path(__file__).parents[2] / "golden" / "lines"
CROPS = [np.asarray(load_image(FOLDER / f"{i}.png")) for i in range(5)]


def test_lines_are_those_of_the_task():
    reader = TrOCR(FOLDER, max_new_tokens=24)
    found = reader.read_lines(CROPS)
    assert [text for text, _ in found] == LineReader(FOLDER, max_new_tokens=24)(CROPS)
    assert all(0 < sure <= 1 for _, sure in found)
    assert reader.read_lines([]) == []


def test_confidence_is_the_mean_probability_of_the_tokens():
    reader = LineReader(FOLDER, max_new_tokens=24)
    pixels = reader.processor([load_image(CROPS[0])]).pixel_values
    ids = reader.model.generate(pixels, max_new_tokens=24)
    logits = reader.model(pixel_values=pixels, decoder_input_ids=ids[:, :-1]).logits[0]
    each = [
        tl.softmax(row, -1)[int(token)].item()
        for row, token in zip(logits, ids[0, 1:], strict=True)
    ]
    expected = np.exp(np.mean(np.log(each)))
    ((_, sure),) = TrOCR(reader).read_lines(CROPS[:1])
    assert sure == pytest.approx(expected, rel=1e-3)


def test_names(tmp_path):
    assert TROCR["trocr-small-printed"] == "hf:microsoft/trocr-small-printed"
    folder = tmp_path / "model"
    shutil.copytree(FOLDER, folder)
    assert isinstance(reader_named(str(folder), "ko"), TrOCR), "its files tell no languages"
    assert reader_named("tiny").models is tl.OCR("tiny").models
    with pytest.raises(ArgumentError, match="--ocr: expected small, tiny, v5, trocr-small-printed"):
        reader_named("none-such")


def test_characters_lie_over_the_ink():
    line = np.full((48, 200, 3), 255, np.uint8)
    line[14:34, 20:120] = 0
    found = spread("ab", 0.5, line)
    assert found.spans == ((20, 70), (70, 120))
    assert found.confidences == (0.5, 0.5)


@pytest.mark.needs_network
def test_a_page_by_the_detector_and_the_line_reader():
    page = Image.new("RGB", (400, 90), "white")
    page.paste(Image.fromarray(CROPS[0]).resize((300, 40)), (20, 20))
    words = TrOCR(FOLDER, detection="tiny", max_new_tokens=24).read(page)
    for word in words:
        assert word.text.strip()
        assert 0 <= word.box[0] < word.box[2] <= 400
