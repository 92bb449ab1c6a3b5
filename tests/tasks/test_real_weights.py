"""Published weights give what their references give, by tests/golden/real_weights.json."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from tallow import hub
from tallow.cli import main
from tallow.errors import ModelError
from tallow.safetensors import save_file

GOLDEN = Path(__file__).parent.parent / "golden"
REAL = json.loads((GOLDEN / "real_weights.json").read_text(encoding="utf-8"))
PICTURES = "pypi:scikit-image==0.26.0#skimage/data/"


def kept(values: np.ndarray, count: int) -> np.ndarray:
    every = values.reshape(-1)
    return every[[i * (every.size - 1) // (count - 1) for i in range(count)]]


@pytest.mark.needs_network
@pytest.mark.slow
@pytest.mark.parametrize("name", ["minilm", "wordllama"])
def test_vectors(name, model_cache):
    embedder = tl.Embedder(name)
    found = embedder.encode(REAL["texts"])
    for row, want in zip(found.numpy(), REAL[name], strict=True):
        np.testing.assert_allclose(kept(row, 12), want, rtol=0, atol=1e-5)
    if name == "minilm":
        assert abs(embedder.similarity(found[0], found[1]).item() - 0.78821) < 1e-4


@pytest.mark.needs_network
@pytest.mark.slow
@pytest.mark.parametrize(("name", "alias"), [("craft", "craft"), ("crnn", "crnn-en")])
def test_easyocr(name, alias, model_cache):
    from PIL import Image

    pixels = np.asarray(Image.open(GOLDEN / "real_line.png"), np.float32) / 127.5 - 1
    x = tl.tensor(pixels)[None, None]
    model = tl.models.load(alias)
    logits = model(x.expand(-1, 3, -1, -1) if name == "craft" else x).logits
    found, want = kept(logits.numpy(), 48), np.array(REAL[name])
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)
    if name == "craft":
        assert logits[0, 0].max().item() > 0.5  # it sees characters
    else:
        assert model.decode(logits) == ["Hello Tallow 2026"]


@pytest.mark.needs_network
@pytest.mark.needs_torch
@pytest.mark.slow
def test_craft_equals_torch_on_a_page(model_cache, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(GOLDEN)
    from specs.ocr_readers import Craft

    page = tl.vision.load_image(hub.resolve(PICTURES + "page.png"))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = ((np.asarray(page) / 255 - mean) / std).astype(np.float32).transpose(2, 0, 1)[None]
    state = torch.load(hub.resolve("craft"), map_location="cpu", weights_only=True)
    reference = Craft()
    reference.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
    with torch.no_grad():
        want = reference.eval()(torch.from_numpy(pixels.copy()))["logits"].numpy()
    found = tl.models.load("craft")(tl.tensor(pixels)).logits.numpy()
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)
    assert (want[0, 0] > 0.5).mean() > 0.02  # characters
    assert (want[0, 1] > 0.4).mean() > 0.02  # and what joins them to words


@pytest.mark.needs_network
@pytest.mark.slow
def test_an_alias_names_pictures(model_cache, capsys):
    pictures = {"chelsea.png": "Egyptian cat", "coffee.png": "espresso"}
    paths = [str(hub.resolve(PICTURES + name)) for name in pictures]
    classifier = tl.ImageClassifier("efficientnet-lite0")
    labels = list(classifier.model.config.id2label.values())
    assert (labels[285], labels[967], len(labels)) == (*pictures.values(), 1000)
    assert [each.label for each in classifier(paths)] == list(pictures.values())
    assert main(["classify", "efficientnet-lite0", *paths, "--top-k", "1"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["labels"][0]["label"] for row in rows] == list(pictures.values())


def test_a_table_of_words_and_the_file_of_a_tokenizer(tmp_path):
    """The mean of the rows of a text's tokens, without special ones, by a file of any name."""
    source = GOLDEN / "models" / "llama" / "tokenizer.json"
    shutil.copy(source, tmp_path / "words_config.json")
    tokenizer = tl.text.Tokenizer.from_folder(tmp_path / "words_config.json")
    table = np.random.default_rng(0).standard_normal((600, 8)).astype(np.float16)
    save_file({"embedding.weight": tl.tensor(table)}, tmp_path / "words.safetensors")
    embedder = tl.Embedder(tmp_path / "words.safetensors", tokenizer=tmp_path / "words_config.json")
    texts = ["a cat", "two kittens"]
    for text, row in zip(texts, embedder.encode(texts).numpy(), strict=True):
        ids = tokenizer.encode(text, add_special=False)
        assert ids
        assert max(ids) < 600
        np.testing.assert_allclose(row, table[ids].astype(np.float32).mean(0), atol=1e-6)
    with pytest.raises(ModelError, match="tokenizer: expected tokenizer="):
        tl.Embedder(tmp_path / "words.safetensors")
