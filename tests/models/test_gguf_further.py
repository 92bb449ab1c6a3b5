"""GGUF files as llama.cpp's converter writes them where ours differ."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from models.gguf_families import written
from models.golden_families import ROOT, Case
from tallow.formats.gguf import open_gguf, save_gguf
from tallow.models.loading import load
from tallow.weights import open_weights

LAYERS = 46  # of GLM 4.5 Air


def stretched(path, target, *, further):
    """A file of two blocks with the second one repeated, and `further` one more."""
    with open_gguf(path) as file:
        tensors = {name: file.tensor(name).clone() for name in file.tensors}
        metadata = dict(file.metadata)
    second = {name[6:]: t for name, t in tensors.items() if name.startswith("blk.1.")}
    count = LAYERS + further
    for index in range(2, count):
        tensors |= {f"blk.{index}.{name}": t for name, t in second.items()}
    metadata["glm4moe.block_count"] = count
    if further:
        size = tensors["output_norm.weight"].shape[0]
        metadata["glm4moe.nextn_predict_layers"] = 1
        head = f"blk.{count - 1}.nextn."
        tensors[head + "eh_proj.weight"] = tl.zeros(size, 2 * size)
        for name in ("enorm", "hnorm", "shared_head_norm"):
            tensors[f"{head}{name}.weight"] = tl.ones(size)
        for name in ("embed_tokens", "shared_head_head"):
            tensors[f"{head}{name}.weight"] = tensors["output.weight"]
    save_gguf(tensors, target, metadata)
    return target


def test_a_block_for_tokens_further_on_changes_nothing(tmp_path):
    path, _ = written(ROOT / "glm4_moe", tmp_path / "two.gguf")
    whole = load(stretched(path, tmp_path / "further.gguf", further=1))
    plain = load(stretched(path, tmp_path / "plain.gguf", further=0))
    assert whole.config.num_hidden_layers == LAYERS
    ids = tl.tensor([[5, 9, 11, 7]])
    assert np.array_equal(whole(ids).logits.numpy(), plain(ids).logits.numpy())


ONE_ROW = {"qwen2_moe": "ffn_gate_inp_shexp.weight", "ernie4_5_moe": "exp_probs_b.bias"}


@pytest.mark.parametrize("name", ONE_ROW)
def test_one_row_may_have_its_axis_of_length_1(name, tmp_path):
    path, _ = written(ROOT / name, tmp_path / "flat.gguf")
    with open_gguf(path) as file:
        tensors = {name: file.tensor(name).clone() for name in file.tensors}
        metadata = dict(file.metadata)
    rows = [stored for stored in tensors if stored.endswith(ONE_ROW[name])]
    assert rows and all(tensors[stored].ndim == 1 for stored in rows)
    tensors |= {stored: tensors[stored].reshape(1, -1) for stored in rows}
    save_gguf(tensors, tmp_path / "rows.gguf", metadata)
    case = Case(name)
    case.check(case.run(load(tmp_path / "rows.gguf", activations="float")))


def test_a_window_of_0_is_none(tmp_path):
    path, _ = written(ROOT / "phi3", tmp_path / "plain.gguf")
    with open_gguf(path) as file:
        tensors = {name: file.tensor(name).clone() for name in file.tensors}
        metadata = {**file.metadata, "phi3.attention.sliding_window": 0}
    save_gguf(tensors, tmp_path / "none.gguf", metadata)
    case = Case("phi3")
    case.check(case.run(load(tmp_path / "none.gguf", activations="float")))


@pytest.mark.parametrize("name", ["deepseek_v2", "deepseek_v3"])
def test_older_files_have_keys_and_values_in_one_tensor(name, tmp_path):
    case = Case(name)
    path, _ = written(case.folder, tmp_path / "new.gguf")
    with open_gguf(path) as file:
        tensors = {name: file.tensor(name).clone() for name in file.tensors}
        metadata = dict(file.metadata)
    with open_weights(case.folder) as source:
        for index in range(metadata["deepseek2.block_count"]):
            for part in "kv":
                del tensors[f"blk.{index}.attn_{part}_b.weight"]
            joined = source.take(f"model.layers.{index}.self_attn.kv_b_proj.weight", tl.f32)
            tensors[f"blk.{index}.attn_kv_b.weight"] = joined.clone()
    head = "deepseek2.attention."
    for part in ("key", "value"):
        metadata[f"{head}{part}_length"] = metadata.pop(f"{head}{part}_length_mla")
    metadata[f"{head}head_count_kv"] = metadata[f"{head}head_count"]
    save_gguf(tensors, tmp_path / "old.gguf", metadata)
    case.check(case.run(load(tmp_path / "old.gguf", activations="float")))
