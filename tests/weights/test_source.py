"""WeightSource: names, renaming, scopes, taking; and what can be opened."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

import tallow as tl
from tallow.errors import FormatError, ModelError
from tallow.nn import Linear, Module
from tallow.weights import NameMap, fill, open_weights

GOLDEN = Path(__file__).parent.parent / "golden" / "models"


@pytest.fixture
def source(tmp_path):
    tensors = {
        "encoder.layers.0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "encoder.layers.0.bias": np.ones(2, np.float16),
        "head.weight": np.zeros((4, 2), np.float32),
    }
    save_file(tensors, tmp_path / "w.safetensors")
    return open_weights(tmp_path / "w.safetensors")


def test_names_info_take(source):
    assert sorted(source.names()) == [
        "encoder.layers.0.bias",
        "encoder.layers.0.weight",
        "head.weight",
    ]
    assert source.info("head.weight").shape == (4, 2)
    assert source.take("encoder.layers.0.weight").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert source.take("encoder.layers.0.bias").dtype is tl.f16
    assert source.take("encoder.layers.0.bias", tl.f32).dtype is tl.f32
    assert "head.weight" in source
    assert len(source) == 3


def test_rename_and_scope(source):
    named = source.rename({"head.weight": "encoder.head.weight"}).scope("encoder")
    assert sorted(named.names()) == ["head.weight", "layers.0.bias", "layers.0.weight"]
    assert named.take("head.weight").shape == (4, 2)
    assert named.where("head.weight").endswith("w.safetensors: head.weight")
    upper = source.rename(str.upper)
    assert "HEAD.WEIGHT" in upper


def test_names_go_both_ways():
    names = NameMap({"blk.{}.attn_q": "layers.{}.q_proj", "output": "head"})
    for stored, visible in {
        "blk.12.attn_q.weight": "layers.12.q_proj.weight",
        "output.bias": "head.bias",
        "other.3.weight": "other.3.weight",
        "blk.x.attn_q.weight": "blk.x.attn_q.weight",
    }.items():
        assert names(stored) == visible
        assert names.stored(visible) == stored


def test_absent_names_are_reported_as_stored(source):
    named = source.rename(NameMap({"blk.{}.q": "layers.{}.q_proj"}))
    with pytest.raises(ModelError, match=r"w\.safetensors: blk\.3\.q\.weight: expected a tensor"):
        named.take("layers.3.q_proj.weight")


class Tied(Module):
    def __init__(self):
        self.first = Linear(3, 2)
        self.second = Linear(3, 2, bias=False)
        tl.nn.tie(self.second, "weight", self.first, "weight")


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_shared_parameter_needs_one_tensor(name, tmp_path):
    tensors = {f"{name}.weight": np.ones((2, 3), np.float32), "first.bias": np.ones(2, np.float32)}
    save_file(tensors, tmp_path / "w.safetensors")
    model = Tied()
    fill(model, open_weights(tmp_path / "w.safetensors"))
    assert model.first.weight is model.second.weight
    assert model.first.weight.tolist() == [[1.0] * 3] * 2


def test_nothing_is_filled_when_something_does_not_fit(tmp_path):
    save_file({"weight": np.ones((2, 3), np.float32)}, tmp_path / "w.safetensors")
    layer = Linear(3, 2)
    before = layer.weight.tolist()
    with pytest.raises(ModelError, match=r"bias: expected a float tensor of shape \(2,\)"):
        fill(layer, open_weights(tmp_path / "w.safetensors"))
    assert layer.weight.tolist() == before


def test_long_lists_of_mismatches_are_cut(tmp_path):
    tensors = {f"t{i}": np.zeros(1, np.float32) for i in range(500)}
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="502 tensors do not fit Linear") as caught:
        fill(Linear(3, 2), open_weights(tmp_path / "w.safetensors"))
    assert "and 482 more" in str(caught.value)


def split(tmp_path, count, names=None):
    for i in range(count):
        path = tmp_path / f"m-{i + 1:05d}-of-{count:05d}.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_uint16("split.no", i)
        writer.add_uint16("split.count", count)
        writer.add_int32("split.tensors.count", count)
        name = names[i] if names else f"t{i}"
        writer.add_tensor(name, np.full((2, 2), i, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return tmp_path / f"m-00001-of-{count:05d}.gguf"


def test_split_gguf_is_one_source(tmp_path):
    first = split(tmp_path, 3)
    for path in (first, tmp_path / "m-00002-of-00003.gguf", tmp_path):
        found = open_weights(path)
        assert found.names() == ["t0", "t1", "t2"]
        assert found.take("t2").tolist() == [[2, 2], [2, 2]]


def test_split_gguf_with_a_part_missing(tmp_path):
    first = split(tmp_path, 3)
    (tmp_path / "m-00002-of-00003.gguf").unlink()
    with pytest.raises(FormatError, match=r"m-00002-of-00003\.gguf: file: .*No such file"):
        open_weights(first)


def test_split_gguf_under_another_name(tmp_path):
    first = split(tmp_path, 3)
    first.rename(tmp_path / "model.gguf")
    with pytest.raises(ModelError, match=r"split\.count"):
        open_weights(tmp_path / "model.gguf")


def test_the_same_name_in_two_parts(tmp_path):
    with pytest.raises(FormatError, match=r"tensor 'a': .*m-00001-of-00002\.gguf has too"):
        open_weights(split(tmp_path, 2, ["a", "a"]))


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(ModelError, match="found an empty folder"):
        open_weights(tmp_path)
    (tmp_path / "notes.txt").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"one \.gguf, found notes\.txt"):
        open_weights(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(FormatError):
        open_weights(tmp_path)
    with pytest.raises(FormatError):
        open_weights(tmp_path / "pytorch_model.bin")
    with pytest.raises(FormatError):
        open_weights(tmp_path / "absent.gguf")


def test_sharded_folder_and_index():
    folder = open_weights(GOLDEN / "qwen2")
    index = open_weights(GOLDEN / "qwen2" / "model.safetensors.index.json")
    assert folder.names() == index.names()
    assert folder.config is not None
    assert index.config is None
    assert folder.info("model.norm.weight").dtype == "f32"


def test_older_names_warn():
    for older, newer in (("load", "fill"), ("Names", "NameMap")):
        with pytest.warns(DeprecationWarning, match=f"{older} is now called {newer}"):
            assert getattr(tl.weights, older) is getattr(tl.weights, newer)
    with pytest.raises(AttributeError, match="nothing"):
        tl.weights.nothing  # noqa: B018
