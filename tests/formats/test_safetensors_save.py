"""`save_safetensors`: what the official package reads, and would have written."""

import json
import weakref
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import tallow as tl
from formats.safetensors_bytes import (
    arrays,
    official_accepts,
    theirs,
)
from tallow.errors import ArgumentError, DTypeError, FormatError, ShapeError
from tallow.formats.lazy import LazyTensor
from tallow.formats.safetensors import (
    DTYPES,
    open_safetensors,
    open_safetensors_index,
    save_safetensors,
)


def test_saved_file_is_that_of_the_official_package(tmp_path):
    made = {n: a for n, a in arrays().items() if a.dtype != np.bool_} | {"B\\\n\x01": np.ones(3)}
    for metadata in (None, {"ä\n": 'ö"\t'}):
        safetensors.numpy.save_file(made, tmp_path / "theirs", metadata)
        save_safetensors(
            {n: tl.from_numpy(a) for n, a in made.items()}, tmp_path / "ours", metadata
        )
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_saved_file_is_what_the_official_package_reads(tmp_path):
    from tallow.borrowing import from_numpy

    made, path = arrays(), tmp_path / "m.safetensors"
    save_safetensors({n: from_numpy(a) for n, a in made.items()}, path, {"format": "pt", "ä": "ö"})
    with safetensors.safe_open(path, "numpy") as official:
        assert official.metadata() == {"format": "pt", "ä": "ö"}
    read = safetensors.numpy.load_file(path)
    assert read.keys() == made.keys()
    for name, array in made.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
    with open_safetensors(path) as file:
        for info in file.tensors.values():
            assert info.offset % (DTYPES[theirs(info)].bits // 8) == 0


@pytest.mark.parametrize("dtype", ["bf16", "f8e4m3", "f8e5m2"])
def test_round_trip_of_dtypes_that_numpy_lacks(tmp_path, dtype):
    from tallow.borrowing import from_buffer
    from tallow.tensor import tobytes

    path = tmp_path / "m.safetensors"
    raw = bytes(range(24))
    length = 12 if dtype == "bf16" else 24
    save_safetensors({"w": from_buffer(raw, dtype, (2, length // 2))}, path)
    assert official_accepts(path.read_bytes())
    with open_safetensors(path) as file:
        assert file.tensors["w"].dtype == dtype
        assert tobytes(file.tensor("w")) == raw


def test_views_are_saved_in_row_major_order(tmp_path):
    from tallow.borrowing import from_numpy

    array = np.arange(24, dtype=np.int32).reshape(4, 6)
    save_safetensors({"w": from_numpy(array[::2, ::-3])}, tmp_path / "m.safetensors")
    read = safetensors.numpy.load_file(tmp_path / "m.safetensors")["w"]
    np.testing.assert_array_equal(read, array[::2, ::-3])


def test_saving_over_a_file_that_is_mapped(tmp_path):
    from tallow.factories import tensor

    path = tmp_path / "m.safetensors"
    save_safetensors({"w": tensor([1.0, 2.0])}, path)
    with open_safetensors(path) as file:
        old = file.tensor("w")
        save_safetensors({"w": old, "v": tensor([3.0])}, path)
        assert old.tolist() == [1.0, 2.0]
    with open_safetensors(path) as file:
        assert file.tensor("w").tolist() == [1.0, 2.0]
        assert file.tensor("v").tolist() == [3.0]
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.safetensors"]


def test_saving_refuses_what_the_format_cannot_hold(tmp_path):
    from tallow.borrowing import from_buffer
    from tallow.factories import tensor

    path, one = tmp_path / "m.safetensors", tensor([1.0])
    with pytest.raises(DTypeError, match=r"save_safetensors: w: .*got q4_0"):
        save_safetensors({"w": from_buffer(bytes(18), "q4_0", (32,))}, path)
    for tensors, metadata in (
        ({"__metadata__": one}, None),
        ({"\ud800": one}, None),
        ({3: one}, None),
        ({"w": one}, {"a": 1}),
        ({"w": one}, {1: "a"}),
    ):
        with pytest.raises(ArgumentError, match="save_safetensors: expected"):
            save_safetensors(tensors, path, metadata)
    with pytest.raises(FormatError, match="can be written"):
        save_safetensors({"w": one}, tmp_path / "missing" / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_lazy_tensors_are_made_one_after_the_other(tmp_path):
    made, alive = [], weakref.WeakSet()

    def make(name, array):
        def tensor():
            made.append((name, len(alive)))
            alive.add(fresh := tl.from_numpy(array.copy()))
            return fresh

        return LazyTensor(tl.from_numpy(array).dtype.name, array.shape, tensor)

    source = {n: a for n, a in arrays().items() if a.size}
    lazy = {name: make(name, array) for name, array in source.items()}
    save_safetensors(lazy, tmp_path / "lazy", {"a": "b"})
    save_safetensors(
        {n: tl.from_numpy(a) for n, a in source.items()}, tmp_path / "eager", {"a": "b"}
    )
    assert (tmp_path / "lazy").read_bytes() == (tmp_path / "eager").read_bytes()
    assert sorted(name for name, _ in made) == sorted(source)
    assert max(count for _, count in made) <= 1
    raw = LazyTensor("i16", (2,), lambda: b"\1\2\3\4")
    save_safetensors({"w": raw}, tmp_path / "raw")
    assert safetensors.numpy.load_file(tmp_path / "raw")["w"].tolist() == [0x201, 0x403]


@pytest.mark.parametrize(
    ("dtype", "shape", "make", "error"),
    [
        ("f16", (2,), lambda: tl.zeros(2), DTypeError),
        ("f32", (3,), lambda: tl.zeros(2), ShapeError),
        ("f32", (2,), lambda: bytes(7), ShapeError),
        ("q4_0", (32,), lambda: bytes(18), DTypeError),
        ("f32", (-2,), lambda: tl.zeros(2), ArgumentError),
        ("f32", (2**40, 2**40), lambda: tl.zeros(2), ArgumentError),
    ],
)
def test_lazy_tensors_must_be_what_they_said(tmp_path, dtype, shape, make, error):
    (tmp_path / "m").write_bytes(b"old")
    with pytest.raises(error, match="save_safetensors: w: expected"):
        save_safetensors({"w": LazyTensor(dtype, shape, make)}, tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_shards_are_what_the_index_says(tmp_path):
    tensors = {f"w{i}": tl.full((10,), i, dtype="f32") for i in range(5)}
    tensors["large"] = tl.zeros(100)
    names = save_safetensors(tensors, tmp_path / "model.safetensors", max_shard_bytes=80)
    index, *shards = (Path(name).name for name in names)
    assert index == "model.safetensors.index.json"
    assert shards == [f"model-0000{i}-of-00004.safetensors" for i in (1, 2, 3, 4)]
    assert {entry.name for entry in tmp_path.iterdir()} == {index, *shards}
    stated = json.loads((tmp_path / index).read_text())
    assert stated["metadata"]["total_size"] == 600
    for name, shard in stated["weight_map"].items():
        read = safetensors.numpy.load_file(tmp_path / shard)[name]
        np.testing.assert_array_equal(read, tensors[name].numpy())
    with open_safetensors_index(tmp_path / index) as folder:
        assert folder.tensors.keys() == tensors.keys()
    assert save_safetensors(tensors, tmp_path / "one", max_shard_bytes=600) == [
        str(tmp_path / "one")
    ]
    with pytest.raises(ArgumentError, match="max_shard_bytes"):
        save_safetensors(tensors, tmp_path / "one", max_shard_bytes=0)
