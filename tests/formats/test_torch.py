"""PyTorch files: what `open_torch` and `load_torch` read is what `torch.load` read in them.

The files and PyTorch's answers are in tests/golden/torch; `make_torch.py` beside it made them.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError, FormatError
from tallow.formats.arrays import alignment_of
from tallow.formats.safetensors import open_safetensors
from tallow.formats.torch_pickle import (
    NumpyArray,
    Record,
    load_torch,
    open_torch,
    open_torch_index,
    save_torch,
)
from tallow.formats.torch_pickle.values import DTYPES
from tallow.tensor import tobytes

ROOT = Path(__file__).resolve().parents[1] / "golden" / "torch"
EXPECTED = json.loads((ROOT / "expected.json").read_text())
CASES = [(name, tensor) for name, tensors in EXPECTED.items() for tensor in tensors]
UNREADABLE = {("unsupported.pt", "complex128")}


@pytest.fixture(scope="module")
def values():
    with open_safetensors(ROOT / "expected.safetensors") as file:
        yield {name: bytes(file.data(name)) for name in file.tensors}


def at(value, name):
    """What stands under a dotted name in a loaded object, whatever the keys are."""
    if isinstance(value, Record):
        value = value.attributes
    if isinstance(value, tl.Tensor) or not name:
        return value
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if name == str(key):
            return item
        if name.startswith(f"{key}."):
            return at(item, name.removeprefix(f"{key}."))
    raise AssertionError(f"no {name}")


@pytest.mark.parametrize("name", EXPECTED)
def test_lists_the_tensors_that_pytorch_has(name):
    with open_torch(ROOT / name) as file:
        unlisted = {"quantised", "sparse", "meta", "conjugated"} if "unsupp" in name else set()
        assert {*file.tensors} - unlisted == {*EXPECTED[name]}
        for tensor, row in EXPECTED[name].items():
            info = file.tensors[tensor]
            assert info.dtype == DTYPES[row["dtype"]][0]
            assert info.shape == tuple(row["shape"])


@pytest.mark.parametrize(("name", "tensor"), CASES)
def test_a_tensor_has_pytorch_s_bytes(values, name, tensor):
    row, raw = EXPECTED[name][tensor], values[f"{name}:{tensor}"]
    with open_torch(ROOT / name) as file:
        assert bytes(file.data(tensor)) == raw
        assert file.tensors[tensor].nbytes == len(raw)
        if (name, tensor) in UNREADABLE:
            return
        taken = file.tensor(tensor)
    assert (taken.shape, taken.dtype.name) == (tuple(row["shape"]), DTYPES[row["dtype"]][0])
    assert taken.stride() == tuple(row["strides"])
    assert tobytes(taken) == raw


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "unsupported.pt"])
def test_load_gives_the_whole_object(values, name):
    loaded = load_torch(ROOT / name)
    for tensor, row in EXPECTED[name].items():
        found = at(loaded, "" if name == "tensor.pt" else tensor)
        assert tobytes(found) == values[f"{name}:{tensor}"]
        assert found.stride() == tuple(row["strides"])
        if name != "script.pt":  # PyTorch's answers are those of a state dict, which is detached
            assert found.requires_grad == row["requires_grad"]


@pytest.mark.parametrize("name", ["views.pt", "views-legacy.pt", "parameters.pt", "checkpoint.pt"])
def test_tensors_share_storages_as_in_pytorch(name):
    loaded = load_torch(ROOT / name)
    groups = {}
    for tensor, row in EXPECTED[name].items():
        if row["storage"] is not None:
            array = at(loaded, tensor)._array
            groups.setdefault(row["storage"], set()).add(array.storage_id)
            if array.size:
                assert array.offset == row["offset"]
    assert all(len(found) == 1 for found in groups.values())
    assert len(set.union(*groups.values())) == len(groups)


@pytest.mark.parametrize("name", ["views.pt", "views-legacy.pt"])
def test_writing_to_a_view_shows_in_the_others_but_not_in_the_file(name):
    before = (ROOT / name).read_bytes()
    loaded = load_torch(ROOT / name)
    loaded["row"][3] = 1234.0
    assert loaded["base"][2, 3].item() == 1234.0
    assert loaded["transposed"][3, 2].item() == 1234.0
    assert load_torch(ROOT / name)["base"][2, 3].item() != 1234.0
    assert (ROOT / name).read_bytes() == before


@pytest.mark.parametrize("name", ["views.pt", "views-legacy.pt", "checkpoint.pt", "script.pt"])
def test_tensors_borrow_from_the_map(name):
    with open_torch(ROOT / name) as file:
        for tensor, info in file.tensors.items():
            if info.nbytes:  # what lies oddly in the file is copied
                fits = info.offset % alignment_of(info.dtype) == 0
                assert file.tensor(tensor)._array.borrowed is fits
            if not file.tensor(tensor).is_contiguous():
                continue
            assert file.data(tensor).obj is file.buffer.obj
            assert bytes(file.buffer[info.offset :][: info.nbytes]) == bytes(file.data(tensor))


def test_tensors_outlive_the_file():
    with open_torch(ROOT / "views.pt") as file:
        taken, raw = file.tensor("base"), bytes(file.data("base"))
    assert tobytes(taken) == raw
    with pytest.raises(ArgumentError, match="closed"):
        file.tensor("base")


def test_bytes_in_memory_are_read_too(values):
    with open_torch((ROOT / "views-legacy.pt").read_bytes()) as file:
        assert file.path == "<bytes>"
        assert bytes(file.data("base")) == values["views-legacy.pt:base"]


def test_layouts_are_told_apart():
    layouts = {"views.pt": "zip", "views-legacy.pt": "legacy", "script.pt": "torchscript"}
    for name, layout in layouts.items():
        with open_torch(ROOT / name) as file:
            assert file.layout == layout


PLAIN = {
    "none": None,
    "flags": [True, False],
    "numbers": (1, -2, 70000, 2**40, -(2**70)),
    "real": 0.1,
    "complex": 1 - 2j,
    "text": "größer 😀",
    "raw": b"\x00\xff",
    "set": {1, 2},
    "size": (2, 3),
    "device": "cpu",
    "dtype": tl.f16,
    "nested": {"a": [{"b": 1}], "ordered": OrderedDict(x=1)},
    7: "a number as key",
}


@pytest.mark.parametrize(
    "name", ["plain", "plain-protocol-1", "plain-protocol-4", "plain-protocol-5"]
)
def test_plain_values_of_every_protocol(name):
    loaded = load_torch(ROOT / f"{name}.pt")
    assert {key: loaded[key] for key in PLAIN} == PLAIN
    assert type(loaded["nested"]["ordered"]) is OrderedDict
    with open_torch(ROOT / f"{name}.pt") as file:
        assert file.metadata["nested.a.0.b"] == 1
        assert file.metadata["7"] == "a number as key"
        assert file.metadata["numbers"] == PLAIN["numbers"]


def test_numpy_scalars_are_numbers_and_arrays_records():
    loaded = load_torch(ROOT / "numpy.pt")
    numbers = {key: loaded[key] for key in ("loss", "step", "half", "flag", "name")}
    assert numbers == {"loss": 0.25, "step": -5, "half": 1.5, "flag": True, "name": "näme"}
    assert [type(value) for value in numbers.values()] == [float, int, float, bool, str]
    assert isinstance(loaded["array"], NumpyArray)
    wanted = np.arange(6).reshape(2, 3)
    for key, kind in (("array", np.float32), ("fortran", np.int64)):
        array = loaded[key].numpy()
        np.testing.assert_array_equal(array, wanted.astype(kind), strict=True)


def test_a_checkpoint_keeps_settings_and_state():
    loaded = load_torch(ROOT / "checkpoint.pt")
    assert (loaded["epoch"], loaded["best"]) == (3, 0.125)
    assert loaded["optimizer"]["param_groups"][0]["betas"] == (0.9, 0.999)
    assert [*loaded["optimizer"]["state"]] == [*range(7)]
    assert loaded["state_dict"]._metadata["norm"] == {"version": 2}
    assert loaded["args"].name == "argparse.Namespace"
    assert loaded["args"].attributes == {"lr": 0.01, "name": "small", "sizes": [3, 4]}


def test_modules_of_a_script_are_records_of_attributes():
    root = load_torch(ROOT / "script.pt")
    assert isinstance(root, Record)
    assert root.name == "__torch__.Small"
    assert root.attributes["scale"] == 0.5
    assert root.attributes["first"].attributes["weight"].shape == (4, 3)


@pytest.mark.parametrize(
    ("tensor", "got"),
    [
        ("complex128", "dtype: expected one that Tallow computes with"),
        ("quantised", "expected a dense tensor with data, got one quantised by PyTorch"),
        ("sparse", "expected a dense tensor with data, got a sparse one"),
        ("meta", "expected a dense tensor with data, got one of a device without data"),
        ("conjugated", "expected a dense tensor with data, got one to be conjugated"),
    ],
)
def test_what_tallow_lacks_is_refused_when_it_is_taken(values, tensor, got):
    with open_torch(ROOT / "unsupported.pt") as file:
        assert tobytes(file.tensor("plain")) == values["unsupported.pt:plain"]
        with pytest.raises(FormatError, match=f"tensor '{tensor}'.*{got}"):
            file.tensor(tensor)
    with pytest.raises(FormatError, match="expected"):
        load_torch(ROOT / "unsupported.pt")


def test_an_absent_tensor_is_refused_with_names_near_it():
    with open_torch(ROOT / "views.pt") as file:
        with pytest.raises(FormatError, match="close ones are 'base'"):
            file.tensor("bass")
        with pytest.raises(FormatError, match="no such name"):
            file.data("nothing")


def test_a_file_shortened_meanwhile_is_refused(tmp_path):
    path = tmp_path / "views.pt"
    shutil.copy(ROOT / "views.pt", path)
    with open_torch(path) as file:
        os.truncate(path, 100)
        for take in (file.tensor, file.data, lambda _: file.load()):
            with pytest.raises(FormatError, match="as when opened"):
                take("base")


def test_shards_are_read_through_their_index(tmp_path, values):
    weights = {f"views.{key}": key for key in ("base", "row")}
    save_torch({f"views.{key}": tl.ones(2, 2) for key in weights.values()}, tmp_path / "a.bin")
    shutil.copy(ROOT / "dtypes.pt", tmp_path / "b.bin")
    places = dict.fromkeys(weights, "a.bin") | {"float32": "b.bin", "bfloat16": "b.bin"}
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    path = tmp_path / "pytorch_model.bin.index.json"
    path.write_text(json.dumps(index))
    with open_torch_index(path) as folder:
        assert [*folder.tensors][: len(places)] == [*places]
        with open_torch(tmp_path / "b.bin") as unlisted:  # what the index leaves out is taken
            assert set(folder.tensors) == places.keys() | unlisted.tensors.keys()
        assert folder.metadata == {"total_size": 1}
        assert bytes(folder.data("bfloat16")) == values["dtypes.pt:bfloat16"]
        assert folder.tensor("views.row").tolist() == [[1, 1], [1, 1]]
    places["absent"] = "b.bin"
    path.write_text(json.dumps(index))
    with pytest.raises(FormatError, match="weight_map 'absent'"):
        open_torch_index(path)
    with pytest.raises(ArgumentError, match="open_torch_index: expected a path"):
        open_torch_index(b"{}")


def test_classes_are_records_when_the_caller_says_so(tmp_path):
    import torch_bytes as tb

    path = tmp_path / "a.pt"
    pickle = (
        b"\x80\x02cmy.module\nConfig\n)\x81}X\x02\x00\x00\x00lrG" + b"?\xf0" + bytes(6) + b"sb."
    )
    path.write_bytes(tb.archive(pickle))
    with pytest.raises(FormatError, match="global 'my.module.Config': expected one of the"):
        open_torch(path)
    loaded = load_torch(path, records=["my.module.Config"])
    assert (loaded.name, loaded.attributes) == ("my.module.Config", {"lr": 1.0})
    with open_torch(path, records=["my.module.Config"]) as file:
        assert file.metadata == {"lr": 1.0}


def test_reading_imports_neither_numpy_nor_what_files_name():
    code = (
        "import sys\n"
        "from tallow.formats.torch_pickle import load_torch, open_torch\n"
        f"load_torch({str(ROOT / 'checkpoint.pt')!r})\n"
        f"open_torch({str(ROOT / 'numpy.pt')!r}).tensor('tensor')\n"
        "assert not {'numpy', 'torch', 'pickle', 'argparse', 'zipfile'} & {*sys.modules}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
