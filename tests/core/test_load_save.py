"""`tl.load` and `tl.save`: every format by content and by suffix, paths, open files, bytes."""

import io
import os
from collections import OrderedDict

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError, DTypeError, FormatError, MissingFileError
from tallow.persistence import TensorMap, load_object, save_object

TENSORS = {
    "w": tl.arange(12.0).reshape(3, 4),
    "b": tl.tensor([1, -2, 3]),
    "half": tl.tensor([1.5, 2.5], dtype=tl.f16),
}
SUFFIXES = [".safetensors", ".pt", ".pth", ".bin", ".npz", ".gguf"]


def same(found, wanted):
    assert list(found) == list(wanted) or set(found) == set(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype is tensor.dtype and found[name].shape == tensor.shape
        assert found[name].tolist() == tensor.tolist()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_saved_by_suffix_is_loaded_by_content(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    tl.save(TENSORS, path)
    same(tl.load(path), TENSORS)
    same(tl.load(str(path)), TENSORS)
    other = tmp_path / "without_a_suffix"
    path.rename(other)
    same(tl.load(other), TENSORS)
    same(tl.load(other.read_bytes()), TENSORS)
    with open(other, "rb") as file:
        same(tl.load(file), TENSORS)
    same(tl.load(io.BytesIO(other.read_bytes())), TENSORS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_open_file_gets_what_the_path_would(tmp_path, suffix):
    tl.save(TENSORS, tmp_path / f"a{suffix}")
    with open(tmp_path / f"b{suffix}", "wb") as file:
        tl.save(TENSORS, file)  # by the suffix of its name
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("kind", ["safetensors", "torch", "gguf", "npz"])
def test_a_buffer_takes_any_format(kind):
    buffer = io.BytesIO()
    tl.save(TENSORS, buffer, format=kind)
    buffer.seek(0)
    same(tl.load(buffer), TENSORS)


def test_the_default_is_safetensors_and_pt_for_nested_objects(tmp_path):
    tl.save(TENSORS, tmp_path / "flat")
    assert (tmp_path / "flat").read_bytes()[8:9] == b"{"
    nested = {"model": TENSORS, "epoch": 3, "loss": [0.5, 0.25], "done": True, "name": "x"}
    for obj in (nested, TENSORS["w"], [1, 2], 3, None):
        tl.save(obj, tmp_path / "nested")
        assert (tmp_path / "nested").read_bytes()[:4] == b"PK\3\4"
    tl.save(nested, tmp_path / "nested")
    found = tl.load(tmp_path / "nested")
    same(found.pop("model"), nested.pop("model"))
    assert found == nested
    buffer = io.BytesIO()
    tl.save(nested, buffer)
    assert buffer.getvalue()[:4] == b"PK\3\4"


def test_pytorch_objects_come_as_they_are(tmp_path):
    w = tl.ones(2, 2)
    state = OrderedDict(a=w, b=w.T)
    obj = {"state": state, "steps": (1, 2), 7: None, "lr": 1e-3}
    tl.save(obj, tmp_path / "x.pt")
    found = tl.load(tmp_path / "x.pt")
    assert type(found["state"]) is OrderedDict and found["steps"] == (1, 2) and found[7] is None
    found["state"]["a"][0, 1] = 5  # views of one storage stay so
    assert found["state"]["b"][1, 0] == 5


def test_one_array(tmp_path):
    x = tl.arange(6).reshape(2, 3)
    tl.save(x, tmp_path / "x.npy")
    assert np.load(tmp_path / "x.npy").tolist() == x.tolist()
    assert tl.load(tmp_path / "x.npy").tolist() == x.tolist()
    with pytest.raises(ArgumentError, match=r"\.npz"):
        tl.save({"x": x}, tmp_path / "x.npy")
    tl.save({"x": np.arange(3.0)}, tmp_path / "x.safetensors")  # numpy's arrays too
    assert tl.load(tmp_path / "x.safetensors")["x"].dtype is tl.f64


def test_metadata(tmp_path):
    tl.save(TENSORS, tmp_path / "x.safetensors", metadata={"format": "pt"})
    assert tl.load(tmp_path / "x.safetensors").metadata == {"format": "pt"}
    tl.save(TENSORS, tmp_path / "x.gguf", metadata={"general.name": "tiny"})
    assert tl.load(tmp_path / "x.gguf").metadata["general.name"] == "tiny"
    for suffix in (".npz", ".pt"):
        with pytest.raises(ArgumentError, match="metadata"):
            tl.save(TENSORS, tmp_path / f"x{suffix}", metadata={"a": "b"})


def test_the_mapping_is_lazy_and_may_be_changed(tmp_path, monkeypatch):
    from tallow.weights.source import WeightSource

    tl.save(TENSORS, tmp_path / "x.safetensors")
    taken = []
    real = WeightSource.take
    monkeypatch.setattr(
        WeightSource, "take", lambda self, name: taken.append(name) or real(self, name)
    )
    found = tl.load(tmp_path / "x.safetensors")
    assert isinstance(found, TensorMap) and len(found) == 3 and "w" in found and "v" not in found
    assert not taken
    assert found["w"] is found["w"] and taken == ["w"]
    found["w"] += 1  # the file stays as it is
    assert found["w"][0, 0] == 1 and tl.load(tmp_path / "x.safetensors")["w"][0, 0] == 0
    found["w"].mul_(2)
    assert found["w"][0, 1] == 4
    found["new"] = tl.ones(2)
    del found["b"]
    assert found.pop("half").dtype is tl.f16 and sorted(found) == ["new", "w"]
    tl.save(found, tmp_path / "y.pt")
    assert sorted(tl.load(tmp_path / "y.pt")) == ["new", "w"]
    with pytest.raises(KeyError):
        found["b"]


def test_folders_and_shards(tmp_path):
    from tallow.formats.safetensors import save_safetensors

    save_safetensors(TENSORS, tmp_path / "model.safetensors", max_shard_bytes=40)
    same(tl.load(tmp_path), TENSORS)
    same(tl.load(tmp_path / "model.safetensors.index.json"), TENSORS)


def test_state_dicts_of_modules(tmp_path):
    tl.manual_seed(0)
    model, other = (tl.nn.Sequential(tl.nn.Linear(3, 4), tl.nn.Linear(4, 2)) for _ in range(2))
    for suffix in (".pt", ".safetensors"):
        tl.save(model.state_dict(), tmp_path / f"m{suffix}")
        other.load_state_dict(tl.load(tmp_path / f"m{suffix}"))
        x = tl.ones(1, 3)
        assert other(x).tolist() == model(x).tolist()


def test_position_of_an_open_file(tmp_path):
    path = tmp_path / "two"
    with open(path, "wb") as file:
        file.write(b"head")
        tl.save(TENSORS, file)
    with open(path, "rb") as file:
        file.seek(4)
        same(tl.load(file), TENSORS)
        assert file.read() == b""
    with pytest.raises(FormatError, match="at least one byte"):
        tl.load(io.BytesIO())
    with pytest.raises(ArgumentError, match="binary"):
        tl.load(io.StringIO("x"))
    with (
        open(tmp_path / "text", "w", encoding="utf-8") as file,
        pytest.raises(ArgumentError, match="binary"),
    ):
        tl.save(TENSORS, file)


def test_the_torch_pair_ignores_the_name(tmp_path):
    save_object(TENSORS, tmp_path / "x.safetensors")
    assert (tmp_path / "x.safetensors").read_bytes()[:2] == b"PK"
    same(load_object(tmp_path / "x.safetensors"), TENSORS)
    buffer = io.BytesIO()
    save_object([1, tl.ones(1)], buffer)
    buffer.seek(0)
    assert load_object(buffer)[0] == 1


@pytest.mark.parametrize("suffix", [".safetensors", ".gguf", ".npz"])
@pytest.mark.parametrize(
    "obj", [{"model": TENSORS}, {"w": TENSORS["w"], "epoch": 3}, [TENSORS["w"]], TENSORS["w"]]
)
def test_flat_formats_refuse_nested_objects_with_advice(tmp_path, suffix, obj):
    with pytest.raises(ArgumentError, match=r"\.pt"):
        tl.save(obj, tmp_path / f"x{suffix}")
    assert not list(tmp_path.iterdir())


def test_lower_writers_give_the_advice_too(tmp_path):
    for save in (
        tl.formats.safetensors.save_safetensors,
        tl.formats.gguf.save_gguf,
        tl.formats.npz.save_npz,
    ):
        with pytest.raises(ArgumentError, match=r"\.pt"):
            save({"model": TENSORS}, tmp_path / "x")


def test_other_refusals(tmp_path):
    with pytest.raises(ArgumentError, match="state_dict"):
        tl.save(tl.nn.Linear(2, 2), tmp_path / "x.pt")
    with pytest.raises(ArgumentError, match="safetensors, torch"):
        tl.save(TENSORS, tmp_path / "x", format="zip")
    with pytest.raises(DTypeError):
        tl.save({"x": tl.ones(2, dtype=tl.bf16)}, tmp_path / "x.npz")
    with pytest.raises(MissingFileError):
        tl.load(tmp_path / "none.pt")
    with pytest.raises(FileNotFoundError):
        tl.load(tmp_path / "none.pt")


# --- what is no file of weights -------------------------------------------------------------------

NOT_WEIGHTS = {
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 123\n", "git lfs"),
    "html": (b"<!DOCTYPE html>\n<html><head><title>x</title></head></html>", "web page"),
    "html in capitals": (b"\n  <HTML><BODY>not found</BODY></HTML>", "web page"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "web page"),
    "gzip": (b"\x1f\x8b\x08\0" + bytes(60), "gzip"),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(60), "HDF5"),
    "tar": (b"x".ljust(257, b"\0") + b"ustar\0" + bytes(300), "tar archive"),
}
READERS = {
    "": lambda path: tl.load(path),
    ".safetensors": lambda path: tl.safetensors.load_file(path),
    ".gguf": lambda path: tl.formats.gguf.open_gguf(path),
    ".pt": lambda path: tl.formats.torch_pickle.load_torch(path),
    ".bin": lambda path: tl.formats.torch_pickle.open_torch(path),
    ".npz": lambda path: tl.formats.npz.open_npz(path),
}


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("what", NOT_WEIGHTS)
def test_what_people_take_for_weights_is_named(tmp_path, what, suffix):
    content, said = NOT_WEIGHTS[what]
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    for read in (READERS[suffix], tl.load):
        with pytest.raises(FormatError, match=said):
            read(path)


def test_empty_files_and_directories(tmp_path):
    (tmp_path / "x.safetensors").touch()
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(FormatError, match="an empty file.*interrupted"):
        tl.load(tmp_path / "x.safetensors")
    with pytest.raises(FormatError, match="a directory"):
        load_object(tmp_path / "folder.pt")
    with pytest.raises(tl.TallowError, match="an empty folder"):
        tl.load(tmp_path / "folder.pt")
    with pytest.raises(FormatError, match="directory"):
        tl.save(TENSORS, tmp_path / "folder.pt")
    with pytest.raises(FileNotFoundError):
        tl.save(TENSORS, tmp_path / "no" / "such" / "x.pt")
    assert sorted(os.listdir(tmp_path)) == ["folder.pt", "x.safetensors"]


class Net:
    """Stands for a module of a user's own script."""

    def __init__(self):
        self.weight = [1.0]


def test_a_pickled_module_is_refused_with_advice(tmp_path):
    import pickle

    (tmp_path / "net.pt").write_bytes(pickle.dumps(Net(), protocol=2))
    with pytest.raises(FormatError, match=r"Net.*state_dict\(\)"):
        tl.load(tmp_path / "net.pt")


def test_modules_are_reached_without_an_import_of_their_own():
    import subprocess
    import sys

    code = (
        "import tallow as tl\n"
        "for package in (tl.formats, tl.conversion):\n"
        "    import pkgutil\n"
        "    for module in pkgutil.iter_modules(package.__path__):\n"
        "        assert getattr(package, module.name).__name__.endswith(module.name)\n"
        "        assert module.name in dir(package)\n"
        "    assert not hasattr(package, 'no_such_module') and not hasattr(package, '_private')\n"
        "tl.formats.gguf.open_gguf, tl.formats.safetensors.open_safetensors, tl.safetensors.save\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
