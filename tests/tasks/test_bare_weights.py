"""Tasks on weights that come alone, by the config, tokenizer and processor given for them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import tallow as tl
from tallow.errors import DTypeError, FormatError, ModelError
from tallow.formats.gguf_write import save_gguf
from tallow.generate import SamplingParams
from tallow.weights import open_weights
from tasks.test_tasks import ROOT, TEXTS, expected, near

FAMILIES = ROOT.parent / "families"
PICTURE = ROOT / "images" / "0.png"


def alone(folder, tmp_path):
    """The weights of a folder as a lone file, and its config."""
    path = tmp_path / "weights.safetensors"
    shutil.copy(folder / "model.safetensors", path)
    return path, json.loads((folder / "config.json").read_text())


def test_texts(tmp_path):
    path, config = alone(ROOT / "texts", tmp_path)
    with pytest.raises(ModelError, match="argument config"):
        tl.TextClassifier(path)
    bare = tl.TextClassifier(path, config=config)
    with pytest.raises(ModelError, match="tokenizer: expected weights that come with one"):
        bare("x")
    given = tl.TextClassifier(path, config=config, tokenizer=ROOT / "texts")
    rows = expected("texts")["all"]
    assert [each.label for each in given(TEXTS)] == [row[0]["label"] for row in rows]


def test_an_encoder_embeds(tmp_path):
    path, config = alone(ROOT / "sentences", tmp_path)
    settings = {"config": config, "max_length": 32, "pooling": "cls"}
    embedder = tl.Embedder(path, tokenizer=ROOT / "sentences" / "tokenizer.json", **settings)
    near(embedder.encode(TEXTS), expected("sentences")["pooling.cls"])


@pytest.mark.parametrize("kind", [None, 0, 1, 3])
def test_a_gguf_file_embeds(kind, tmp_path):
    """With its own tokenizer, and the pooling that it says."""
    folder = ROOT.parent / "models" / "llama"
    source = open_weights(folder / "llama.f16.gguf")
    file = folder / "llama.f16.gguf"
    if kind is not None:
        file = tmp_path / "embedder.gguf"
        tensors = {name: source.take(name) for name in source.names()}
        save_gguf(tensors, file, {**source.metadata, "llama.pooling_type": kind})
    embedder = tl.Embedder(file)
    ids = tl.tensor([embedder.tokenizer.encode("the cat")])
    states = tl.models.load(file, task="embedding")(ids).last_hidden_state[0].numpy()
    near(embedder.encode("the cat"), states[-1] if kind == 3 else states.mean(0))


def test_another_tokenizer_than_the_folders(tmp_path):
    folder = shutil.copytree(ROOT / "sentences", tmp_path / "m")
    (folder / "tokenizer.json").unlink()
    embedder = tl.Embedder(folder, tokenizer=ROOT / "sentences")
    near(embedder.encode(TEXTS), expected("sentences")["plain"])


def test_a_language_model():
    folder = ROOT.parent / "models" / "llama"
    config = json.loads((folder / "config.json").read_text())
    want = tl.LLM(folder)
    given = tl.LLM(folder / "model.safetensors", config=config, tokenizer=folder)
    params = {"max_tokens": 6, "temperature": 0}
    texts = [llm.generate("the cat", SamplingParams(**params)).text for llm in (want, given)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("form", ["mapping", "path"])
def test_pictures(form, tmp_path):
    path, config = alone(ROOT / "images", tmp_path)
    file = ROOT / "images" / "preprocessor_config.json"
    processor = file if form == "path" else json.loads(file.read_text())
    classifier = tl.ImageClassifier(path, config=config, processor=processor)
    want = expected("images")["all"][0][0]
    found = classifier(PICTURE)
    assert found.label == want["label"]
    near(found.score, want["score"])
    classifier.model.save_pretrained(tmp_path / "saved")
    if form == "mapping":
        assert tl.ImageClassifier(tmp_path / "saved")(PICTURE) == found


def test_a_processor_instead_of_the_folders():
    values = json.loads((ROOT / "images" / "preprocessor_config.json").read_text())
    other = tl.ImageClassifier(ROOT / "images", processor={**values, "resample": 0})
    assert values["resample"] != other.processor.settings.resample == 0


def test_the_processor_in_a_config_of_timm(tmp_path):
    path, config = alone(FAMILIES / "timm_mobilenetv3", tmp_path)
    known = {"input_size": [3, 32, 32], "mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]}
    picture = np.zeros((40, 50, 3), np.uint8)
    config.pop("pretrained_cfg", None)
    bare = tl.ImageClassifier(path, config=config)
    with pytest.raises(ModelError, match="processor: expected processor=, or"):
        bare(picture)
    given = tl.ImageClassifier(path, config={**config, "pretrained_cfg": known})
    assert given.processor.settings.image_mean == (0.1, 0.2, 0.3)
    assert given(picture).label.startswith("LABEL_")


def test_what_is_no_processor(tmp_path):
    with pytest.raises(DTypeError, match="ImageClassifier: processor: expected a mapping"):
        tl.ImageClassifier(ROOT / "images", processor=7)
    with pytest.raises(FormatError, match=r"processor: image_processor_type: .*got Other"):
        tl.ImageClassifier(ROOT / "images", processor={"image_processor_type": "Other"})(PICTURE)
    with pytest.raises(FormatError, match=r"none\.json"):
        tl.ImageClassifier(ROOT / "images", processor=tmp_path / "none.json")
