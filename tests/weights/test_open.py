"""`open_weights` on every format: by content, from paths, bytes and memory; folders; real files."""

from __future__ import annotations

import json
import zipfile
from contextlib import suppress
from importlib import import_module

import numpy as np
import pytest
import safetensors.numpy

import tallow as tl
from hostile import corpora
from tallow.errors import ArgumentError, FormatError, ModelError
from tallow.formats.gguf import save_gguf
from tallow.formats.npy import save_npy, save_npz
from tallow.formats.safetensors import open_safetensors, save_safetensors
from tallow.formats.torch_pickle import save_torch
from tallow.hub import Silent, resolve
from tallow.tensor import tobytes
from tallow.weights import open_weights
from tallow.weights.file_formats import KINDS, recognise

TENSORS = {
    "a.weight": tl.tensor(np.arange(12, dtype=np.float32).reshape(3, 4)),
    "b": tl.tensor(np.arange(5, dtype=np.float16)),
}
# Which kind a corpus of valid files is; those of the others hold no weights, or are of several.
KIND_OF = {
    "ct2": "ct2",
    "ggml": "ggml",
    "gguf": "gguf",
    "npy": "npy",
    "npz": "npz",
    "safetensors": "safetensors",
    "torch_legacy": "torch legacy",
    "torch_zip": "torch",
}
VALID = [
    pytest.param(kind, module, raw, id=f"{name}-{file}")
    for name, kind in KIND_OF.items()
    for module in [corpora.modules()[name]]
    for file, raw in module.VALID.items()
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_opener_of_the_table_exists(kind):
    for opener in filter(None, (kind.opener, kind.split)):
        module, _, function = opener.partition(":")
        assert callable(getattr(import_module(module), function))


def test_every_kind_is_tried():
    assert {kind.name for kind in KINDS} == {*KIND_OF.values(), "torch index", "safetensors index"}


@pytest.mark.parametrize(("kind", "module", "raw"), VALID)
def test_content_tells_the_format(tmp_path, kind, module, raw):
    path = tmp_path / "weights of any name"
    path.write_bytes(raw)
    assert recognise(path).name == recognise(raw).name == kind
    with module.open_file(path) as file, open_weights(path) as source, open_weights(raw) as bytes_:
        assert source.names() == list(file.tensors) == bytes_.names()
        assert bytes_.label == "<bytes>"
        for name in file.tensors:
            assert source.info(name) == file.tensors[name]
            with suppress(FormatError):  # a dtype that is only kept
                expected = tobytes(file.tensor(name))
                assert tobytes(source.take(name)) == tobytes(bytes_.take(name)) == expected


@pytest.mark.parametrize("wrong", [".safetensors", ".gguf", ".npz", ".pth", ".bin", ".json"])
@pytest.mark.parametrize(
    "save", [save_safetensors, save_gguf, save_npz, save_torch], ids=lambda save: save.__name__
)
def test_a_wrong_suffix_misleads_nobody(tmp_path, save, wrong):
    save(TENSORS, tmp_path / f"m{wrong}")
    with open_weights(tmp_path / f"m{wrong}") as source:
        assert {n: source.take(n).tolist() for n in source.names()} == {
            name: tensor.tolist() for name, tensor in TENSORS.items()
        }


@pytest.mark.parametrize(
    ("suffix", "field"),
    [(".gguf", "magic"), (".safetensors", "header"), (".npy", ""), (".pth", ""), (".npz", "")],
)
def test_a_damaged_file_is_blamed_by_the_reader_of_its_suffix(tmp_path, suffix, field):
    path = tmp_path / f"m{suffix}"
    path.write_bytes(b"\xfe" * 40)
    with pytest.raises(FormatError) as caught:
        open_weights(path)
    assert field in caught.value.field
    assert "known format" not in str(caught.value)


def test_tensors_in_memory():
    source = open_weights(TENSORS)
    assert source.names() == list(TENSORS)
    assert source.info("b").dtype == "f16"
    assert source.take("b").data_ptr() == TENSORS["b"].data_ptr()
    grown = tl.ones(2).requires_grad_()
    assert not open_weights({"g": grown}).take("g").requires_grad
    for wrong in ({"a": np.ones(2)}, {3: tl.ones(2)}):
        with pytest.raises(ArgumentError, match="expected names → tensors"):
            open_weights(wrong)
    with pytest.raises(ArgumentError, match="bytes-like"):
        open_weights(3)


# --- folders -------------------------------------------------------------------------------------


def test_safetensors_are_preferred_to_pickles(tmp_path):
    save_torch({"from": tl.tensor([1.0])}, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text('{"model_type": "x"}')
    source = open_weights(tmp_path)
    assert source.take("from").tolist() == [1.0]
    assert source.config == {"model_type": "x"}
    save_safetensors({"from": tl.tensor([2.0])}, tmp_path / "model.safetensors")
    assert open_weights(tmp_path).take("from").tolist() == [2.0]


def test_shards_of_pytorch(tmp_path):
    places = {}
    for number, (name, tensor) in enumerate(TENSORS.items()):
        places[name] = f"pytorch_model-0000{number + 1}-of-00002.bin"
        save_torch({name: tensor}, tmp_path / places[name])
    index = {"metadata": {"total_size": 58}, "weight_map": places}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    for path in (tmp_path, tmp_path / "pytorch_model.bin.index.json"):
        source = open_weights(path)
        assert source.names() == list(TENSORS)
        assert source.take("b").tolist() == TENSORS["b"].tolist()


def test_a_folder_of_ctranslate2(tmp_path):
    (tmp_path / "model.bin").write_bytes(corpora.modules()["ct2"].VALID["version-6.bin"])
    (tmp_path / "config.json").write_text("{}")
    assert "w" in open_weights(tmp_path)


def test_the_only_model_of_a_folder(tmp_path):
    save_safetensors(TENSORS, tmp_path / "other.safetensors")
    assert open_weights(tmp_path).path == tmp_path
    save_gguf(TENSORS, tmp_path / "m.gguf", max_shard_bytes=48)
    assert len(list(tmp_path.glob("m-*.gguf"))) == 2
    assert len(open_weights(tmp_path)) == 2
    save_gguf(TENSORS, tmp_path / "second.gguf")
    with pytest.raises(ModelError, match=r"found 2 \.gguf models: name one of them"):
        open_weights(tmp_path)


def test_a_zip_of_neither_kind(tmp_path):
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(FormatError, match="a file of a known format"):
        open_weights(tmp_path / "x")


def test_npy_is_one_tensor(tmp_path):
    save_npy(TENSORS["a.weight"], tmp_path / "w.npy")
    source = open_weights(tmp_path / "w.npy")
    assert len(source) == 1
    assert source.take(source.names()[0]).tolist() == TENSORS["a.weight"].tolist()


# --- real files of MODELS.md ---------------------------------------------------------------------

MINILM = "minilm"
WORDLLAMA = "pypi:wordllama==0.4.0.post1#wordllama/weights/l2_supercat_256.safetensors"
SILERO = "pypi:silero-vad==6.2.3#silero_vad/data/silero_vad_16k.safetensors"


@pytest.mark.needs_network
@pytest.mark.slow
@pytest.mark.parametrize("ref", [MINILM, WORDLLAMA, SILERO])
def test_real_files_equal_the_official_package(ref, model_cache):
    path = resolve(ref, progress=Silent())
    file = path / "model.safetensors" if path.is_dir() else path
    official = dict(safetensors.deserialize(file.read_bytes()))
    source, whole = open_weights(path), open_weights(file.read_bytes())
    assert set(source.names()) == set(whole.names()) == official.keys()
    with safetensors.safe_open(file, "numpy") as opened:
        assert (opened.metadata() or {}) == dict(source.metadata)
        for name, found in official.items():
            tensor = source.take(name)
            assert list(tensor.shape) == found["shape"]
            assert tobytes(tensor) == tobytes(whole.take(name)) == found["data"]
            np.testing.assert_array_equal(tensor.numpy(), opened.get_tensor(name))
    assert open_safetensors(file).tensors.keys() == official.keys()
