"""`load(dtype="q8_0")`: weights of linear layers are rounded to blocks, the rest stays."""

from __future__ import annotations

import shutil

import pytest

import tallow as tl
from models.golden_families import CASES, ROOT, Case, close
from tallow.dtype import by_name
from tallow.errors import ArgumentError, ModelError
from tallow.models.loading import BLOCKS, load
from tallow.nn.parameter import fill
from tallow.safetensors import save_file

NAMES = ("llama", "qwen3_moe", "gpt2", "whisper", "t5", "bert", "mamba", "deepseek_v3")


def rounded(model, block):
    """Weights of layers whose rows blocks divide."""
    return [
        layer
        for layer in model.modules()
        if getattr(layer, "quantizable", False) and layer.weight.shape[-1] % block == 0
    ]


@pytest.mark.parametrize("name", NAMES)
def test_results_are_of_the_rounded_weights(name):
    case = Case(name)
    found = case.load(dtype=tl.q8_0, activations="float")
    layers = rounded(found, 32)
    assert layers and all(layer.weight.dtype is tl.q8_0 for layer in layers)
    want = case.load()
    for layer in rounded(want, 32):
        fill(layer.weight, layer.weight.detach().to(tl.q8_0).to(tl.f32))  # what is tied, too
    left, right = case.run(found), case.run(want)
    for key in left:
        close(left[key].numpy(), right[key].numpy(), name=key)


def test_the_scores_of_experts_and_norms_stay():
    model = Case("qwen3_moe").load(dtype=tl.q4_0)
    kept = {name: p.dtype for name, p in model.named_parameters() if p.dtype is not tl.q4_0}
    assert any("mlp.gate.weight" in name for name in kept)
    assert {dtype.kind for dtype in kept.values()} == {"f"}
    assert any("experts" in name for name, p in model.named_parameters() if p.dtype is tl.q4_0)


@pytest.mark.parametrize("dtype", BLOCKS)
def test_each_block_dtype_loads_or_says_what_it_needs(dtype):
    folder = ROOT / "llama"
    block = by_name(dtype).block
    size = Case("llama").config["hidden_size"]
    if size % block == 0:
        model = load(folder, dtype=dtype)
        assert any(p.dtype.name == dtype for p in model.parameters())
        return
    with pytest.raises(ModelError, match=rf"{dtype}: expected float weights .* {block}, found"):
        load(folder, dtype=dtype)


@pytest.mark.parametrize("dtype", ["iq2_xxs", "q8_k", "i32", "f64"])
def test_dtypes_that_are_refused(dtype):
    with pytest.raises(ArgumentError, match="float dtype of at most 32 bits, or one of q8_0"):
        load(ROOT / "llama", dtype=dtype)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_what_is_not_finite_is_named(value, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(ROOT / "llama" / name, tmp_path)
    tensors = {name: t.clone() for name, t in tl.load(tmp_path / "model.safetensors").items()}
    name = "model.layers.0.mlp.up_proj.weight"
    tensors[name][0, 0] = float(value)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=rf"{name}: .*NaN or infinity"):
        load(tmp_path, dtype="q8_0")


def test_gates_of_shared_experts_stay():
    model = Case("qwen2_moe").load(dtype=tl.q8_0)
    kept = {name for name, p in model.named_parameters() if p.dtype is not tl.q8_0}
    assert {name.rsplit(".", 2)[1] for name in kept if "gate" in name} == {
        "gate",
        "shared_expert_gate",
    }


def test_shapes_alone():
    model = load(ROOT / "llama", dtype="q8_0", device="meta")
    assert {p.dtype for p in model.parameters()} == {tl.q8_0, tl.f32}


def test_goldens_are_there():
    assert set(NAMES) <= set(CASES)
