"""`tallow diff`: exit codes, the table and the JSON."""

from __future__ import annotations

import json

import pytest

import tallow as tl
from cli.conftest import GOLDEN, TINY
from tallow.formats.safetensors import save_safetensors

F16 = GOLDEN / "llama" / "llama.f16.gguf"


@pytest.fixture
def pair(tmp_path):
    a, b = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    same, other = tl.ones(3, 4), tl.ones(3, 4)
    other[1, 2] = 1.5
    save_safetensors({"same": same, "near": same, "shape": tl.ones(3), "left": same}, a)
    save_safetensors({"same": same, "near": other, "shape": tl.ones(4), "right": same}, b)
    return a, b


def test_equal_files(run):
    code, out, err = run("diff", F16, F16)
    assert (code, err) == (0, "")
    assert out == "20 equal\n"


def test_what_differs(run, pair):
    code, out, err = run("diff", *pair)
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[-1] == "1 equal, 1 different, 1 shape, 1 only in A, 1 only in B"
    (near,) = [line for line in lines if line.startswith("near")]
    assert near.split()[:2] == ["near", "different"] and "0.5" in near.split()
    assert not any(line.startswith("same") for line in lines)
    assert any(line.startswith("same") for line in run("diff", *pair, "--all")[1].splitlines())


def test_json(run, pair):
    code, out, _ = run("diff", *pair, "--json")
    found = json.loads(out)
    assert (code, found["equal"]) == (1, False)
    rows = {row["name"]: row for row in found["tensors"]}
    assert rows["near"]["difference"]["max_abs"] == 0.5
    assert rows["near"]["difference"]["rmse"] == pytest.approx(0.5 / 12**0.5)
    assert rows["shape"]["b"] == {"dtype": "f32", "shape": [4]}
    assert rows["left"]["b"] is None and rows["right"]["a"] is None
    assert json.loads(run("diff", F16, F16, "--json")[1])["equal"]


def test_tolerance(run, tmp_path):
    code, out, _ = run("diff", TINY, F16)
    assert code == 1
    code, out, _ = run("diff", TINY, F16, "--tolerance", "0.05")
    assert code == 0
    assert "close" in out
    assert run("diff", TINY, F16, "--tolerance", "0.0001")[0] == 1


def test_names(run):
    assert run("diff", F16, GOLDEN / "llama", "--names", "hf", "--tolerance", 0)[0] == 0
    assert run("diff", F16, GOLDEN / "llama", "--names", "gguf", "--tolerance", 0)[0] == 0
    assert run("diff", F16, GOLDEN / "llama")[0] == 1


def test_errors(run, tmp_path):
    code, out, err = run("diff", F16, tmp_path / "none")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert run("diff", F16)[0] == 2
