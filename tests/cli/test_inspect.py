"""`tallow inspect` for every format, here and behind a URL."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import tallow as tl
from cli.conftest import GOLDEN
from tallow.formats.npy import save_npy
from tallow.formats.safetensors import save_safetensors
from tallow.hub import web
from weights.range_server import RangeServer

F16 = GOLDEN / "llama" / "llama.f16.gguf"


@pytest.fixture
def server(monkeypatch):
    for name in ("TALLOW_OFFLINE", "HF_HUB_OFFLINE", "TALLOW_ALLOW_HTTP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(web, "BACKOFF_SECONDS", 0.01)
    made = RangeServer({})
    yield made
    made.close()


@pytest.mark.parametrize(
    ("suffix", "form"),
    [("gguf", "gguf"), ("safetensors", "safetensors"), ("npz", "npz"), ("pt", "torch")],
)
def test_what_was_converted(run, tmp_path, suffix, form):
    out = tmp_path / f"weights.{suffix}"
    assert run("convert", F16, out)[0] == 0
    code, text, _ = run("inspect", out, "--json")
    found, wanted = json.loads(text), json.loads(run("inspect", F16, "--json")[1])
    assert (code, found["format"]) == (0, form)
    rows = [{r["name"]: (r["dtype"], r["shape"]) for r in d["tensors"]} for d in (found, wanted)]
    assert rows[0] == rows[1]
    assert found["totals"] == wanted["totals"]
    code, text, _ = run("inspect", out)
    assert code == 0
    assert all(name in text for name in rows[0])


def test_the_name_does_not_matter(run, tmp_path):
    out = tmp_path / "weights.bin"
    assert run("convert", F16, out, "--to", "safetensors")[0] == 0
    assert json.loads(run("inspect", out, "--json")[1])["format"] == "safetensors"


def test_one_array(run, tmp_path):
    save_npy(tl.ones(3, 4), tmp_path / "a.npy")
    found = json.loads(run("inspect", tmp_path / "a.npy", "--json")[1])
    assert found["format"] == "npy"
    assert [row["shape"] for row in found["tensors"]] == [[3, 4]]


def test_totals(run, tmp_path):
    tensors = {"a": tl.zeros(3, 32).to(tl.q8_0), "b": tl.zeros(5)}
    tl.formats.gguf.save_gguf(tensors, tmp_path / "a.gguf")
    totals = json.loads(run("inspect", tmp_path / "a.gguf", "--json")[1])["totals"]
    assert totals["elements"] == 101
    assert totals["bytes"] == 3 * 34 + 20
    assert totals["bits_per_weight"] == round(8 * totals["bytes"] / 101, 4)
    assert totals["by_dtype"]["q8_0"]["bits_per_weight"] == 8.5
    text = run("inspect", tmp_path / "a.gguf")[1]
    assert text.endswith("122 bytes in 2 tensors, 101 parameters\n")
    assert "8.50" in text


@pytest.mark.parametrize("kind", ["gguf", "safetensors"])
def test_behind_a_url_only_the_header_is_read(run, server, tmp_path, kind):
    path = tmp_path / f"big.{kind}"
    save = {"gguf": tl.formats.gguf.save_gguf, "safetensors": save_safetensors}[kind]
    save({"w": tl.zeros(1 << 20), "b": tl.ones(2, 3)}, path)
    server.files[f"/big.{kind}"] = path.read_bytes()
    code, out, err = run("inspect", f"{server.url}/big.{kind}", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["format"], found["path"]) == (kind, f"{server.url}/big.{kind}")
    assert {r["name"]: math.prod(r["shape"]) for r in found["tensors"]} == {"w": 1 << 20, "b": 6}
    assert sum(stop - start for start, stop in server.spans()) < 1 << 18


def test_a_remote_file_is_converted_by_parts(run, server, tmp_path):
    save_safetensors({"w": tl.arange(6).to(tl.f32)}, tmp_path / "a.safetensors")
    server.files["/a.safetensors"] = (tmp_path / "a.safetensors").read_bytes()
    out = tmp_path / "a.npz"
    assert run("convert", f"{server.url}/a.safetensors", out)[0] == 0
    with np.load(out) as arrays:
        assert arrays["w"].tolist() == list(range(6))
    assert run("diff", f"{server.url}/a.safetensors", out)[0] == 0


def test_no_such_file_behind_a_url(run, server):
    code, out, err = run("inspect", f"{server.url}/none.gguf")
    assert (code, out) == (1, "")
    assert err.startswith("error: ") and err.count("\n") == 1
