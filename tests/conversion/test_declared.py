"""What is written is held against the model that it declares: refused, or its losses told."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import ml_dtypes  # noqa: F401  gives numpy bfloat16
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tallow as tl
from cli.conftest import GOLDEN, run  # noqa: F401  the fixture
from tallow.formats.gguf import save_gguf
from tallow.formats.mapping import Stored
from tallow.formats.safetensors import open_safetensors, save_safetensors
from tallow.weights import open_weights


@pytest.fixture(params=["llama", "qwen3"])
def folder(request, tmp_path) -> Path:
    return copied(request.param, tmp_path)


def copied(family: str, tmp_path: Path) -> Path:
    copy = tmp_path / "model"
    shutil.copytree(GOLDEN / family, copy, ignore=shutil.ignore_patterns("*.gguf", "gold*"))
    return copy


def change(folder: Path, name: str = "config.json", **values) -> None:
    path = folder / name
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**found, **values}))


def change_tensors(folder: Path, edit) -> None:
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")


def commands(source, tmp_path):
    return {
        "convert": ("convert", source, tmp_path / "out.gguf"),
        "npz": ("convert", source, tmp_path / "out.npz", "--dtype", "f32"),
        "quantize": ("quantize", source, tmp_path / "out.gguf", "--type", "q8_0"),
    }


Q = "model.layers.1.self_attn.q_proj.weight"
DAMAGE = {
    "missing": (lambda t: t.pop(Q), r"1.self_attn.q_proj.weight: expected .* found nothing"),
    "misshapen": (lambda t: t.update({Q: t[Q][:-2]}), r"q_proj.weight: expected .*, found "),
    "a layer": (
        lambda t: [t.pop(name) for name in list(t) if ".layers.1." in name],
        r"tensors do not fit the declared model",
    ),
    "the norm": (lambda t: t.pop("model.norm.weight"), r"model.norm.weight: expected"),
    "the head": (lambda t: t.pop("lm_head.weight", None), r"lm_head.weight: expected"),
    "the table": (lambda t: t.pop("model.embed_tokens.weight"), r"embed_tokens.weight: expected"),
}


@pytest.mark.parametrize("command", ["convert", "npz", "quantize"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_an_incomplete_model_is_refused(run, tmp_path, damage, command):  # noqa: F811
    folder = copied("llama", tmp_path)
    change(folder, tie_word_embeddings=False)
    table = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    edit, text = DAMAGE[damage]
    change_tensors(folder, lambda t: (t.setdefault("lm_head.weight", table * 2), edit(t)))
    code, _, err = run(*commands(folder, tmp_path)[command])
    assert (code, [p.name for p in tmp_path.iterdir()]) == (1, ["model"])
    assert err.startswith("error: ") and err.count("\n") == 1
    assert re.search(text, err)


@pytest.mark.parametrize("command", ["convert", "npz", "quantize"])
@pytest.mark.parametrize("gone", ["blk.1.attn_q.weight", "output_norm.weight"])
def test_an_incomplete_gguf_file_is_refused(run, tmp_path, gone, command):  # noqa: F811
    whole = open_weights(GOLDEN / "llama" / "llama.f16.gguf")
    tensors = {name: whole.take(name) for name in whole.names() if name != gone}
    save_gguf(tensors, tmp_path / "in.gguf", whole.metadata)
    code, _, err = run(*commands(tmp_path / "in.gguf", tmp_path)[command])
    assert (code, [p.name for p in tmp_path.iterdir()]) == (1, ["in.gguf"])
    assert f"{gone}: expected a float or" in err or f"{gone}: expected a float" in err


def test_surplus_tensors_are_left_out_and_told(run, folder, tmp_path):  # noqa: F811
    extra = {"model.layers.9.mlp.up_proj.weight": np.ones((4, 4), np.float32)}
    extra["vision.patch"] = np.ones(3, np.float32)
    change_tensors(folder, lambda t: t.update(extra))
    for command in ("convert", "quantize"):
        arguments = commands(folder, tmp_path)[command]
        code, _, err = run(*arguments, "--strict")
        assert (code, (tmp_path / "out.gguf").exists()) == (1, False)
        assert "--strict: expected nothing to be lost, found" in err and err.count("\n") == 1
        code, _, err = run(*arguments)
        assert code == 0
        assert "vision.patch: not of the declared model, left out" in err.replace("\n", " ")
        with tl.LLM(tmp_path / "out.gguf") as llm:
            assert llm.logits([3, 4]).shape[0] == 2
        (tmp_path / "out.gguf").unlink()


def test_surplus_tensors_of_a_gguf_file(run, tmp_path):  # noqa: F811
    whole = open_weights(GOLDEN / "llama" / "llama.f16.gguf")
    tensors = {name: whole.take(name) for name in whole.names()} | {
        "blk.9.ffn_up.weight": tl.ones(2, 2)
    }
    save_gguf(tensors, tmp_path / "in.gguf", whole.metadata)
    code, _, err = run("convert", tmp_path / "in.gguf", tmp_path / "out.gguf")
    assert code == 0 and "not of the declared model, left out" in err
    assert open_weights(tmp_path / "out.gguf").names() == whole.names()


def test_a_head_alone_serves_a_tied_model(run, tmp_path):  # noqa: F811
    folder = copied("llama", tmp_path)
    change(folder, tie_word_embeddings=True)
    change_tensors(folder, lambda t: t.pop("lm_head.weight", None))
    with tl.LLM(folder) as llm:
        wanted = llm.logits([3, 4]).tolist()
    change_tensors(
        folder, lambda t: t.update({"lm_head.weight": t.pop("model.embed_tokens.weight")})
    )
    assert run("convert", folder, tmp_path / "out.gguf")[0] == 0
    assert "output.weight" not in open_weights(tmp_path / "out.gguf")
    with tl.LLM(tmp_path / "out.gguf") as llm:
        np.testing.assert_allclose(llm.logits([3, 4]).tolist(), wanted, atol=1e-4)


def test_a_config_that_tallow_cannot_use_stops_no_copy(run, folder, tmp_path):  # noqa: F811
    change(folder, hidden_act="gelo")
    code, _, err = run("convert", folder, tmp_path / "out.safetensors")
    assert code == 0 and "note: not held against its config, which Tallow cannot use" in err
    assert run("convert", folder, tmp_path / "out.gguf")[0] == 1


# --- variants that the file cannot express --------------------------------------------------------


def test_a_bias_that_llama_cpp_has_no_place_for(run, tmp_path):  # noqa: F811
    folder = copied("qwen3", tmp_path)
    change(folder, attention_bias=True)

    def edit(tensors):
        for name in list(tensors):
            if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight")):
                bias = np.zeros(tensors[name].shape[0], np.float32)
                tensors[name.replace("weight", "bias")] = bias

    change_tensors(folder, edit)
    code, _, err = run("convert", folder, tmp_path / "out.gguf")
    assert (code, (tmp_path / "out.gguf").exists()) == (1, False)
    assert ".bias: expected no such bias, for llama.cpp has no place" in err
    code, _, err = run("convert", folder, tmp_path / "out.safetensors")
    assert code == 0 and "config.json and the tokenizer stay behind" in err


YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
LOSSES = {
    "truncate": ("qwen3", {"rope_parameters": {**YARN, "truncate": False}}, "truncate: False is"),
    "windows": ("mistral", {}, "sliding window of 8 positions is not kept"),
    "upper windows": (
        "qwen2",
        {
            "use_sliding_window": True,
            "sliding_window": 8,
            "max_window_layers": 1,
            "layer_types": None,
        },
        "sliding window of 8 positions is not kept",
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_is_told(run, tmp_path, name):  # noqa: F811
    family, values, text = LOSSES[name]
    folder = copied(family, tmp_path)
    change(folder, **values)
    if name == "windows":
        change(folder, sliding_window=8)
    for command in ("convert", "quantize"):
        arguments = commands(folder, tmp_path)[command]
        code, _, err = run(*arguments, "--strict")
        assert (code, text in err, (tmp_path / "out.gguf").exists()) == (1, True, False)
        code, _, err = run(*arguments, "--force")
        assert code == 0
        assert any(line.startswith("note: ") and text in line for line in err.splitlines())
        (tmp_path / "out.gguf").unlink()


@pytest.mark.parametrize(
    "scaling", [{**YARN}, {"rope_type": "linear", "rope_theta": 5e5, "factor": 2.0}]
)
def test_what_is_kept_is_no_loss(run, tmp_path, scaling):  # noqa: F811
    folder = copied("qwen3", tmp_path)
    change(folder, rope_parameters=scaling)
    code, _, err = run("convert", folder, tmp_path / "out.gguf")
    assert (code, err) == (0, "note: no tokenizer.json: a model of ids alone\n")


MERGES = [["H", "e"], ["l", "l"], ["He", "ll"], ["Hell", "o"]]


def tokenizer(tmp_path, **changes):
    folder = copied("llama", tmp_path)
    root = json.loads((folder / "tokenizer.json").read_text())
    for i, pair in enumerate(MERGES):
        root["model"]["vocab"]["".join(pair)] = root["model"]["vocab"].pop(f"<unused{i}>")
    root["model"]["merges"] = MERGES
    (folder / "tokenizer.json").write_text(json.dumps({**root, **changes}))
    return folder


NORMALIZERS = {
    "NFC": {"type": "NFC"},
    "NFKC": {"type": "NFKC"},
    "NFD": {"type": "NFD"},
    "Lowercase": {"type": "Lowercase"},
    "Strip": {"type": "Strip", "strip_left": True, "strip_right": True},
    "StripAccents": {
        "type": "Sequence",
        "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}],
    },
    "Prepend": {"type": "Prepend", "prepend": "x"},
    "Replace": {"type": "Replace", "pattern": {"String": "a"}, "content": "b"},
}


@pytest.mark.parametrize("name", NORMALIZERS)
def test_a_normalizer_is_told(run, tmp_path, name):  # noqa: F811
    folder = tokenizer(tmp_path, normalizer=NORMALIZERS[name])
    code, _, err = run("convert", folder, tmp_path / "out.gguf")
    told = "gets other ids from a GGUF file" if name == "NFC" else "steps that a GGUF file can name"
    assert (code, told in err, name in err) == (name != "NFC", True, True)
    assert (tmp_path / "out.gguf").exists() == (name == "NFC")
    assert run("convert", folder, tmp_path / "out.gguf", "--strict", "--force")[0] == 1


def test_a_tokenizer_that_goes_along_is_no_loss(run, tmp_path):  # noqa: F811
    code, _, err = run("convert", tokenizer(tmp_path), tmp_path / "out.gguf", "--strict")
    assert (code, err) == (0, "")


def test_ends_and_templates_are_told(run, tmp_path):  # noqa: F811
    folder = tokenizer(tmp_path)
    ids = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    change(folder, "generation_config.json", eos_token_id=[ids["H"], ids["o"]])
    rows = [{"name": "default", "template": "x"}, {"name": "rag", "template": "y"}]
    change(folder, "tokenizer_config.json", chat_template=rows)
    code, _, err = run("convert", folder, tmp_path / "out.gguf")
    assert code == 0
    assert "tokenizer: eos_ids: " in err and "chat templates rag stay behind" in err


# --- numbers and dtypes that a format cannot hold -------------------------------------------------


@pytest.mark.parametrize("suffix", ["gguf", "safetensors", "npz", "pt"])
def test_values_beyond_the_dtype_are_refused(run, tmp_path, suffix):  # noqa: F811
    inf = float("inf")
    save_safetensors({"w": tl.tensor([[1.0, -70000.0, inf]])}, tmp_path / "in.safetensors")
    arguments = ("convert", tmp_path / "in.safetensors", tmp_path / f"out.{suffix}", "--dtype")
    code, _, err = run(*arguments, "f16")
    assert (code, (tmp_path / f"out.{suffix}").exists()) == (1, False)
    assert "w: expected values that f16 can hold, found 70000" in err
    assert run(*arguments, "f32")[0] == 0
    save_safetensors({"w": tl.tensor([[1.0, inf]])}, tmp_path / "in.safetensors")
    assert run(*arguments, "f16", "--force")[0] == 0  # an infinity stays one
    assert open_weights(tmp_path / f"out.{suffix}").take("w").tolist() == [[1.0, inf]]


@pytest.mark.parametrize(("dtype", "value"), [("f8e4m3", 500.0), ("f8e5m2", 1e5), ("bf16", 3.4e38)])
def test_values_beyond_small_floats(run, tmp_path, dtype, value):  # noqa: F811
    save_safetensors({"w": tl.tensor([[value]])}, tmp_path / "in.safetensors")
    code, _, err = run(
        "convert", tmp_path / "in.safetensors", tmp_path / "out.safetensors", "--dtype", dtype
    )
    assert code == 1 and f"expected values that {dtype} can hold" in err


def test_f64_beyond_f32(run, tmp_path):  # noqa: F811
    save_safetensors({"w": tl.tensor([[1e300]], dtype=tl.f64)}, tmp_path / "in.safetensors")
    code, _, err = run(
        "convert", tmp_path / "in.safetensors", tmp_path / "out.npz", "--dtype", "f32"
    )
    assert code == 1 and "expected values that f32 can hold, found 1e+300" in err


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_blocks_of_no_numbers_are_refused(run, tmp_path, value):  # noqa: F811
    save_safetensors({"w": tl.full((1, 32), value)}, tmp_path / "in.safetensors")
    code, _, err = run(
        "convert", tmp_path / "in.safetensors", tmp_path / "out.gguf", "--dtype", "q8_0"
    )
    assert (code, (tmp_path / "out.gguf").exists()) == (1, False)
    assert "w: " in err and err.count("\n") == 1


def test_dtypes_that_are_only_kept(run, tmp_path):  # noqa: F811
    stored = {"w": Stored("F8_E8M0", (2, 3)), "x": Stored("F4", (4,))}
    tensors = {"w": tl.ones(2, 3).to(tl.u8), "x": tl.ones(2).to(tl.u8)}
    path = tmp_path / "in.safetensors"
    save_safetensors(tensors, path, stored=stored)
    assert run("convert", path, tmp_path / "out.safetensors")[0] == 0
    found = open_safetensors(tmp_path / "out.safetensors").tensors
    assert {name: info.stored for name, info in found.items()} == stored
    for suffix in ("npz", "pt", "gguf"):
        code, _, err = run("convert", path, tmp_path / f"out.{suffix}")
        assert (code, (tmp_path / f"out.{suffix}").exists()) == (1, False)
        assert "F8_E8M0, which is only kept as bytes" in err


def test_complex_numbers_go_along(run, tmp_path):  # noqa: F811
    save_safetensors(
        {"z": tl.from_numpy(np.array([1 + 2j], np.complex64))}, tmp_path / "in.safetensors"
    )
    assert run("convert", tmp_path / "in.safetensors", tmp_path / "out.pt")[0] == 0
    assert run("convert", tmp_path / "out.pt", tmp_path / "back.safetensors")[0] == 0
    assert open_weights(tmp_path / "back.safetensors").take("z").tolist() == [1 + 2j]
