"""`tallow convert` as a user calls it: every format to every other, and what it refuses."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

import tallow as tl
from cli.conftest import GOLDEN, TINY
from tallow.conversion import compare
from tallow.conversion.content import entries_of
from tallow.dtype import by_name
from tallow.formats.safetensors import save_safetensors
from tallow.weights import open_weights

F16 = GOLDEN / "llama" / "llama.f16.gguf"
QWEN3 = GOLDEN / "qwen3" / "model.safetensors"
SUFFIXES = ("gguf", "safetensors", "npz", "pt", "bin")


def verdicts(a, b, **options) -> set[str]:
    rows = compare(entries_of(open_weights(a)), entries_of(open_weights(b)), **options)
    return {row.verdict for row in rows}


@pytest.mark.parametrize("first", SUFFIXES)
@pytest.mark.parametrize("second", SUFFIXES)
def test_there_and_back(run, tmp_path, first, second):
    one, two = tmp_path / f"one.{first}", tmp_path / f"two.{second}"
    code, out, _ = run("convert", F16, one)
    assert (code, out.split(":")[0]) == (0, str(one))
    assert run("convert", one, two)[0] == 0
    assert verdicts(F16, two) == {"equal"}
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_dtypes(run, tmp_path, suffix, dtype):
    if (suffix, dtype) == ("npz", "bf16"):
        code, _, err = run("convert", QWEN3, tmp_path / "out.npz", "--dtype", dtype)
        assert code == 1 and "for npz, got 'bf16'" in err
        return
    out = tmp_path / f"out.{suffix}"
    assert run("convert", QWEN3, out, "--dtype", dtype)[0] == 0
    source, made = open_weights(QWEN3), open_weights(out)
    for name in source.names():
        vector = len(source.info(name).shape) < 2
        assert made.info(name).dtype == ("f32" if suffix == "gguf" and vector else dtype)
        wanted = source.take(name).to(by_name(made.info(name).dtype))
        assert made.take(name).tolist() == wanted.tolist()


def test_blocks_need_a_dtype_where_there_are_none(run, tmp_path):
    out = tmp_path / "out.safetensors"
    code, _, err = run("convert", TINY, out)
    assert (code, out.exists()) == (1, False)
    assert "q8_0" in err and "--dtype" in err and err.count("\n") == 1
    code, _, err = run("convert", TINY, out, "--dtype", "f32")
    assert code == 0
    assert "note: 15 tensors in q8_0 are dequantised to f32" in err
    assert verdicts(TINY, out, tolerance=0.0) == {"equal"}


def test_metadata_goes_along(run, tmp_path):
    one, two = tmp_path / "one.gguf", tmp_path / "two.safetensors"
    assert run("convert", TINY, one)[0] == 0
    source, made = open_weights(TINY).metadata, open_weights(one).metadata
    assert made.typed_items() == source.typed_items()
    assert run("convert", F16, two)[0] == 0
    texts = open_weights(two).metadata
    assert texts["general.architecture"] == "llama"
    assert json.loads(texts["llama.block_count"]) == source["llama.block_count"]
    assert json.loads(texts["tokenizer.ggml.tokens"]) == list(source["tokenizer.ggml.tokens"])
    assert run("convert", two, tmp_path / "back.gguf")[0] == 0
    back = open_weights(tmp_path / "back.gguf").metadata
    assert back.typed_items() == open_weights(F16).metadata.typed_items()
    code, _, err = run("convert", F16, tmp_path / "three.npz")
    assert code == 0
    assert "keys of metadata are left out" in err


@pytest.mark.parametrize(("dtype", "code"), [("f32", 0), ("bf16", 32), ("q8_0", 7), ("q4_1", 3)])
def test_file_type_follows_the_dtype(run, tmp_path, dtype, code):
    assert run("convert", F16, tmp_path / "a.gguf", "--dtype", dtype)[0] == 0
    assert open_weights(tmp_path / "a.gguf").metadata["general.file_type"] == code
    if dtype in ("f32", "bf16"):
        assert run("convert", F16, tmp_path / "a.safetensors", "--dtype", dtype)[0] == 0
        assert open_weights(tmp_path / "a.safetensors").metadata["general.file_type"] == str(code)


@pytest.mark.parametrize(
    ("kinds", "text", "code"),
    [
        ("[1]", "1", 0),
        ("[" * 100_000, "1", 0),
        ('{"a": "str"}', "3", 0),
        ('{"a": "u8"}', "[" * 100_000, 0),
        ('{"a": "u8"}', "300", 1),
        ('{"a": "arr[arr[x]]"}', "[1]", 1),
        ('{"a": "arr[f32]"}', '[1, "x"]', 1),
        ('{"a": "i128"}', "1", 1),
    ],
)
def test_metadata_that_lies_about_its_types(run, tmp_path, kinds, text, code):
    source, out = tmp_path / "a.safetensors", tmp_path / "a.gguf"
    save_safetensors({"w": tl.ones(2, 3)}, source, {"gguf.types": kinds, "a": text})
    found, _, err = run("convert", source, out)
    assert (found, out.exists()) == (code, code == 0)
    assert err.count("\n") == code or err.startswith("note: ")


def test_shards(run, tmp_path):
    code, out, _ = run("convert", F16, tmp_path / "model.gguf", "--max-shard-size", "50kB")
    assert code == 0
    parts = sorted(path.name for path in tmp_path.iterdir())
    assert parts[0] == f"model-00001-of-{len(parts):05d}.gguf" and len(parts) > 2
    assert all(part in out for part in parts)
    assert verdicts(F16, tmp_path / parts[0]) == {"equal"}
    again = ("convert", F16, tmp_path / "model.gguf", "--max-shard-size", "50kB")
    code, _, err = run(*again)
    assert code == 1 and "--force" in err and parts[0][:11] in err
    assert run(*again, "--force")[0] == 0
    folder = tmp_path / "safetensors"
    folder.mkdir()
    assert run("convert", F16, folder / "model.safetensors", "--max-shard-size", "50kB")[0] == 0
    index = folder / "model.safetensors.index.json"
    assert len(set(json.loads(index.read_text())["weight_map"].values())) > 2
    assert verdicts(F16, index) == {"equal"}
    code, _, err = run("convert", F16, tmp_path / "m.npz", "--max-shard-size", "50kB")
    assert (code, (tmp_path / "m.npz").exists()) == (1, False)
    assert "gguf, safetensors" in err


def test_a_folder_becomes_a_model(run, tmp_path):
    out = tmp_path / "qwen2.gguf"
    code, _, err = run("convert", GOLDEN / "qwen2", out, "--dtype", "f32")
    assert code == 0
    assert "no tokenizer.json" in err
    ids = [3, 4, 5, 6]
    folder, exact = GOLDEN / "qwen2", {"cache_dtype": "f32"}
    with tl.LLM(out, **exact) as ours, tl.LLM(folder, **exact) as theirs:
        assert (ours.logits(ids) - theirs.logits(ids)).abs().max().item() < 1e-4
    assert run("diff", out, GOLDEN / "qwen2", "--names", "hf", "--tolerance", 0)[0] == 0


def test_names(run, tmp_path):
    out = tmp_path / "hf.safetensors"
    assert run("convert", F16, out, "--names", "hf")[0] == 0
    source = open_weights(GOLDEN / "llama")
    rows = compare(entries_of(source), entries_of(open_weights(out)), tolerance=0.0)
    assert {row.verdict for row in rows} == {"equal"}


def test_overwrites_nothing_unasked(run, tmp_path):
    out = tmp_path / "out.npz"
    out.write_bytes(b"mine")
    code, _, err = run("convert", F16, out)
    assert (code, out.read_bytes()) == (1, b"mine")
    assert "--force" in err
    assert run("convert", F16, out, "--force")[0] == 0
    assert verdicts(F16, out) == {"equal"}
    (tmp_path / "folder.gguf").mkdir()
    assert run("convert", F16, tmp_path / "folder.gguf", "--force")[0] == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("out.txt",), "expected a name that ends in one of .gguf"),
        (("out.txt", "--to", "h5"), "expected one of gguf, safetensors, npz, torch"),
        (("out.npz", "--dtype", "q8_0"), "for npz, got 'q8_0'"),
        (("out.gguf", "--dtype", "i8"), "expected a dtype of"),
        (("out.gguf", "--dtype", "q8_k"), "expected a dtype of"),
    ],
)
def test_refusals(run, tmp_path, options, text):
    code, out, err = run("convert", F16, tmp_path / options[0], *options[1:])
    assert (code, out) == (1, "")
    assert text in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", ["5XB", "0", "-1", "MB"])
def test_sizes_that_are_none(run, tmp_path, size):
    code, out, err = run("convert", F16, tmp_path / "o.gguf", f"--max-shard-size={size}")
    assert (code, out) == (2, "")
    assert "expected a number with kB, MB, GB or TB" in err


def test_format_by_name(run, tmp_path):
    out = tmp_path / "weights"
    assert run("convert", F16, out, "--to", "npz")[0] == 0
    with np.load(out) as arrays:
        assert sorted(arrays) == sorted(open_weights(F16).names())


def test_damage_leaves_nothing(run, tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(F16.read_bytes()[:-2000])
    assert run("convert", broken, tmp_path / "out.safetensors")[0] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["broken.gguf"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_leaves_nothing(tmp_path, interrupted):
    source = tmp_path / "large.safetensors"
    row = tl.zeros(1 << 22)
    save_safetensors({f"t{i}": row for i in range(32)}, source)
    folder = interrupted("convert", source, "OUT/out.gguf", "--dtype", "f16")
    assert list(folder.iterdir()) == []
