"""LineReader over a tiny TrOCR, held against transformers' processor, generation and tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from tallow.tasks import LineReader
from tallow.tasks.batches import BatchError
from tallow.vision import ImageProcessor, load_image

FOLDER = Path(__file__).parent.parent / "golden" / "lines"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
PICTURES = [str(FOLDER / f"{i}.png") for i in range(5)]


@pytest.mark.parametrize("name", EXPECTED)
def test_ids_of_pictures(name):
    wanted = EXPECTED[name]
    model = tl.models.load(FOLDER)
    pixels = ImageProcessor.from_folder(FOLDER)([load_image(p) for p in PICTURES]).pixel_values
    options = {"max_new_tokens": 24, **wanted["options"]}
    found = model.generate(pixels, **options).tolist()
    assert found == wanted["ids"]
    for row, pixel in zip(found, pixels, strict=True):
        (alone,) = model.generate(pixel.unsqueeze(0), **options).tolist()
        assert alone + [1] * (len(row) - len(alone)) == row
    if name != "few":
        assert len({row.count(1) for row in found}) > 3, "rows end at different lengths"


@pytest.mark.parametrize("name", EXPECTED)
def test_texts_of_pictures(name):
    wanted = EXPECTED[name]
    options = {"max_new_tokens": 24, **wanted["options"]}
    reader = LineReader(FOLDER, **options)
    stripped = [text.strip() for text in wanted["texts"]]
    assert reader(PICTURES, batch_size=5) == stripped
    assert reader(PICTURES, batch_size=2) == stripped
    assert reader(PICTURES[3]) == stripped[3]


def test_a_folder_of_vocabulary_files_and_a_pickle(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(FOLDER, folder)
    (folder / "tokenizer.json").unlink()
    tensors = {k: v.clone() for k, v in tl.load(folder / "model.safetensors").items()}
    tl.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    reader = LineReader(folder, max_new_tokens=24)
    assert reader(PICTURES) == [text.strip() for text in EXPECTED["greedy"]["texts"]]


def test_the_limit_of_an_old_config_does_not_cut_lines(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(FOLDER, folder)
    own = json.loads((folder / "generation_config.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    (folder / "generation_config.json").unlink()
    kept = ("decoder_start_token_id", "pad_token_id", "eos_token_id", "no_repeat_ngram_size")
    config |= {"max_length": 5, **{key: own[key] for key in kept}}
    (folder / "config.json").write_text(json.dumps(config))
    wanted = [text.strip() for text in EXPECTED["greedy"]["texts"]]
    assert LineReader(folder, max_new_tokens=24)(PICTURES) == wanted
    ids = tl.models.load(folder).generate(tl.zeros(1, 3, 32, 32))
    assert ids.shape[1] <= 5, "a call without a limit follows the config"


def test_a_picture_that_cannot_be_read_costs_no_other(tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes((FOLDER / "0.png").read_bytes()[:200])
    reader = LineReader(FOLDER, max_new_tokens=24)
    with pytest.raises(BatchError, match=r"bad\.png") as caught:
        reader([PICTURES[0], bad, PICTURES[1]])
    wanted = [text.strip() for text in EXPECTED["greedy"]["texts"][:2]]
    assert [each for each in caught.value.results if each is not None] == wanted


def test_arrays_are_pictures_too():
    picture = np.asarray(load_image(PICTURES[2]))
    reader = LineReader(FOLDER, max_new_tokens=24)
    assert reader(picture) == EXPECTED["greedy"]["texts"][2].strip()
