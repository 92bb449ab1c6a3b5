"""Baichuan in GGUF files, where the number of layers says how positions count."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tallow as tl
from models.gguf_families import LlamaCpp, written
from models.golden_families import ROOT
from tallow.errors import ModelError
from tallow.formats.gguf import open_gguf, save_gguf
from tallow.models import build
from tallow.safetensors import save_file
from tallow.weights import open_weights

LAYERS = {"baichuan": 32, "baichuan_alibi": 40}
WITHOUT_TOKENIZER = "no tokenizer.json: a model of ids alone"


@pytest.fixture(params=LAYERS)
def folder(request, tmp_path):
    """A golden whose two layers come again and again, with what they add made small."""
    name, made = request.param, tmp_path / "model"
    made.mkdir()
    config = json.loads((ROOT / name / "config.json").read_text())
    config["num_hidden_layers"] = LAYERS[name]
    (made / "config.json").write_text(json.dumps(config))
    tensors = {}
    for key, value in tl.load(ROOT / name / "model.safetensors").items():
        before, found, rest = key.partition("layers.")
        if not found:
            tensors[key] = value
            continue
        index, _, own = rest.partition(".")
        small = own.endswith(("o_proj.weight", "down_proj.weight"))
        for layer in range(int(index), LAYERS[name], 2):
            tensors[f"{before}layers.{layer}.{own}"] = value.to(tl.f32) * (0.2 if small else 1.0)
    save_file(tensors, made / "model.safetensors")
    return made


def test_a_file_gives_what_the_folder_gives(folder, tmp_path):
    path, losses = written(folder, tmp_path / "model.gguf")
    assert set(losses) == {WITHOUT_TOKENIZER}
    ids = tl.arange(3, 23).unsqueeze(0)
    ours, want = (build(open_weights(place), activations="float") for place in (path, folder))
    np.testing.assert_allclose(ours(ids).logits.numpy(), want(ids).logits.numpy(), atol=1e-3)


@pytest.mark.needs_llama_cpp
def test_llama_cpp_gives_the_same(folder, tmp_path):
    path, _ = written(folder, tmp_path / "model.gguf")
    theirs, ids = LlamaCpp(path), list(range(3, 23))
    model = build(open_weights(path), activations="float")
    ours = model(tl.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(ours, theirs.logits(ids), rtol=1e-3, atol=2e-3)
    options = {"max_new_tokens": 28, "do_sample": False, "eos_token_id": None}
    assert model.generate(tl.tensor([ids]), **options).tolist()[0][20:] == theirs.greedy(ids, 28)


def test_another_number_of_layers_is_refused(folder, tmp_path):
    path, _ = written(folder, tmp_path / "model.gguf")
    with open_gguf(path) as file:
        metadata = {**file.metadata, "baichuan.block_count": 12}
        tensors = {name: file.tensor(name).clone() for name in file.tensors}
    save_gguf(tensors, tmp_path / "other.gguf", metadata)
    with pytest.raises(ModelError, match=r"baichuan\.block_count: expected 32 layers"):
        build(open_weights(tmp_path / "other.gguf"))
