"""Which file of a folder counts, and whether a head is tied: as transformers has it."""

from __future__ import annotations

import json
import shutil

import ml_dtypes  # noqa: F401  gives numpy bfloat16
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tallow as tl
from tallow.models import load

pytestmark = pytest.mark.needs_torch


def wanted(folder, ids) -> np.ndarray:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model(torch.tensor(ids)).logits.numpy()


def found(folder, ids) -> np.ndarray:
    return load(folder, dtype="f32")(tl.tensor(ids, dtype=tl.i64)).logits.numpy()


@pytest.fixture
def folder(golden, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(golden("llama").folder, copy, ignore=shutil.ignore_patterns("*.gguf", "gold*"))
    return copy


def tie(folder, value):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tie_word_embeddings": value}))


def edit(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


CASES = {
    "another head": lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"] * 2}),
    "the same head": lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].copy()}),
    "no head": lambda t: t.pop("lm_head.weight", None),
    "a head alone": lambda t: t.update({"lm_head.weight": t.pop("model.embed_tokens.weight")}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_head_in_the_file_of_a_tied_model(golden, folder, case):
    tie(folder, True)
    edit(folder, CASES[case])
    ids = golden("llama").ids
    np.testing.assert_allclose(found(folder, ids), wanted(folder, ids), rtol=1e-3, atol=1e-3)


def test_a_single_file_beside_an_older_index(golden, folder):
    tensors = load_file(folder / "model.safetensors")
    old = {name: value * 0 for name, value in tensors.items()}
    save_file(old, folder / "model-00001-of-00001.safetensors", {"format": "pt"})
    places = dict.fromkeys(old, "model-00001-of-00001.safetensors")
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    ids = golden("llama").ids
    np.testing.assert_allclose(found(folder, ids), wanted(folder, ids), rtol=1e-3, atol=1e-3)
