"""`open_safetensors` and the index against the official package."""

import json
import math
import os
import re
import struct

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import tallow as tl
from formats.safetensors_bytes import (
    NUMPY,
    arrays,
    build,
    entry,
    official_accepts,
    ours_accepts,
)
from tallow.errors import ArgumentError, FormatError
from tallow.formats.safetensors import (
    DTYPES,
    Stored,
    open_safetensors,
    open_safetensors_index,
    save_safetensors,
)

KEPT_AS_BYTES = [name for name, row in DTYPES.items() if row.ours is None]


def test_a_file_of_the_official_package(tmp_path):
    made, path = arrays(), tmp_path / "m.safetensors"
    safetensors.numpy.save_file(made, path, metadata={"format": "pt", "ключ": 'Grüße 🌍\n"x"'})
    with open_safetensors(path) as file, safetensors.safe_open(path, "numpy") as official:
        assert file.metadata == official.metadata()
        assert file.tensors.keys() == set(official.keys()) == made.keys()
        for name, array in made.items():
            info = file.tensors[name]
            assert NUMPY[info.dtype] == array.dtype
            assert info.shape == array.shape
            assert info.nbytes == array.nbytes
            assert file.data(name) == array.tobytes()


def test_entries_of_the_official_package_take_the_fast_way(tmp_path, monkeypatch):
    from tallow.formats.safetensors import header

    monkeypatch.delattr(header, "_read_unusual_entry")
    safetensors.numpy.save_file(arrays(), tmp_path / "m.safetensors", {"format": "pt"})
    assert ours_accepts(tmp_path / "m.safetensors")


def test_the_table_is_that_of_the_official_package():
    """It lists its own dtypes, in order, when it is given another one."""
    with pytest.raises(safetensors.SafetensorError) as caught:
        safetensors.deserialize(build({"w": entry("X", [], 0, 0)}))
    assert re.findall(r"`(\w+)`", str(caught.value)) == ["X", *DTYPES]


@pytest.mark.parametrize("theirs", DTYPES)
def test_each_dtype_has_the_official_size(theirs):
    ours, bits = DTYPES[theirs]
    size = 8 * 3 * bits // 8
    raw = build({"w": entry(theirs, [3, 8], 0, size)}, bytes(size))
    assert official_accepts(raw)
    with open_safetensors(raw) as file:
        info = file.tensors["w"]
        assert (info.dtype, info.nbytes) == (ours or "u8", size)
        assert file.tensor("w").nbytes == size
        if ours is not None:
            assert info.shape == (3, 8)
            assert info.stored is None
    for wrong in (size - 1, size + 1):
        raw = build({"w": entry(theirs, [3, 8], 0, wrong)}, bytes(wrong))
        assert not official_accepts(raw)
        assert not ours_accepts(raw)


@pytest.mark.parametrize("theirs", DTYPES)
@pytest.mark.parametrize(
    "shape", [(), (1,), (2,), (3,), (2, 2), (4, 1), (1, 4), (3, 4), (0,), (0, 3)]
)
def test_shapes_fill_bytes_or_are_refused(theirs, shape):
    bits = math.prod(shape) * DTYPES[theirs].bits
    raw = build({"w": entry(theirs, shape, 0, bits // 8)}, bytes(bits // 8))
    assert ours_accepts(raw) == official_accepts(raw) == (bits % 8 == 0)


@pytest.mark.parametrize("theirs", KEPT_AS_BYTES)
def test_dtypes_without_arithmetic_are_kept_as_bytes(tmp_path, theirs):
    bits = DTYPES[theirs].bits
    data = os.urandom(6 * 8 * bits // 8 + 3 * 4 * bits // 8)
    whole = 6 * bits
    header = {
        "rows": entry(theirs, [2, 3, 8], 0, whole),
        "split": entry(theirs, [4, 3], whole, len(data)),
    }
    path = tmp_path / "m.safetensors"
    path.write_bytes(build(header, data))
    assert official_accepts(path.read_bytes())
    with open_safetensors(path) as file:
        rows, split = file.tensors["rows"], file.tensors["split"]
        assert rows.stored == Stored(theirs, (2, 3, 8))
        assert rows.dtype == "u8"
        assert rows.shape == (2, 3, bits)
        assert bytes(file.tensor("rows").numpy().tobytes()) == data[:whole]
        assert split.stored == Stored(theirs, (4, 3))
        assert split.shape == ((4, 3) if bits == 8 else (len(data) - whole,))
        stored = {name: info.stored for name, info in file.tensors.items()}
        tensors = {name: file.tensor(name) for name in file.tensors}
        save_safetensors(tensors, tmp_path / "again.safetensors", stored=stored)
    again = dict(safetensors.deserialize((tmp_path / "again.safetensors").read_bytes()))
    before = dict(safetensors.deserialize(path.read_bytes()))
    assert again == before


def test_raw_tensors_are_saved_as_what_they_fit_only(tmp_path):
    raw = tl.zeros(2, 4, dtype="u8")
    for tensor, kept in (
        (raw, Stored("F4", (2, 7))),
        (raw, Stored("F4", (15,))),
        (raw, Stored("F3", (2, 8))),
        (tl.zeros(2, dtype="f32"), Stored("F4", (2, 8))),
    ):
        with pytest.raises(ArgumentError, match=r"save_safetensors: w: expected u8 of .* for F"):
            save_safetensors({"w": tensor}, tmp_path / "m", stored={"w": kept})
    save_safetensors({"w": raw}, tmp_path / "m", stored={"w": Stored("F4", (2, 8))})
    assert official_accepts((tmp_path / "m").read_bytes())


def test_complex_numbers(tmp_path):
    raw = struct.pack("<4f", 1, 2, 3, -4)
    with open_safetensors(build({"w": entry("C64", [2], 0, 16)}, raw)) as file:
        assert file.tensor("w").tolist() == [1 + 2j, 3 - 4j]
        save_safetensors({"w": file.tensor("w")}, tmp_path / "m")
    assert dict(safetensors.deserialize((tmp_path / "m").read_bytes()))["w"]["dtype"] == "C64"


# --- folders of shards -------------------------------------------------------------------------


def shards(folder, weight_map=None):
    first = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.int64)}
    second = {"c": np.zeros((1, 2), np.float16)}
    safetensors.numpy.save_file(first, folder / "model-00001-of-00002.safetensors")
    safetensors.numpy.save_file(second, folder / "model-00002-of-00002.safetensors")
    places = dict.fromkeys(first, "model-00001-of-00002.safetensors")
    places |= dict.fromkeys(second, "model-00002-of-00002.safetensors")
    path = folder / "model.safetensors.index.json"
    index = {"metadata": {"total_size": 44}, "weight_map": weight_map or places}
    path.write_text(json.dumps(index, indent=2))
    return path, first | second


def test_index_joins_its_shards(tmp_path):
    path, made = shards(tmp_path)
    with open_safetensors_index(path) as folder:
        assert folder.metadata == {"total_size": 44}
        assert folder.tensors.keys() == made.keys()
        assert len(folder.shards) == 2
        for name, array in made.items():
            assert folder.tensors[name].shape == array.shape
            assert folder.data(name) == array.tobytes()
        with pytest.raises(FormatError, match=r"index\.json: tensor 'd'"):
            folder.data("d")
        shard = folder.shard("c")
    with pytest.raises(ArgumentError, match="closed"):
        shard.data("c")


def test_index_through_links_as_in_hub_caches(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    path, made = shards(tmp_path / "blobs")
    for number, blob in enumerate(sorted((tmp_path / "blobs").iterdir())):
        moved = blob.rename(tmp_path / "blobs" / str(number))
        (tmp_path / "snapshot" / blob.name).symlink_to(moved)
    with open_safetensors_index(tmp_path / "snapshot" / path.name) as folder:
        assert folder.tensors.keys() == made.keys()


def test_index_names_a_tensor_that_its_shard_lacks(tmp_path):
    path, _ = shards(tmp_path, {"a": "model-00002-of-00002.safetensors"})
    with pytest.raises(FormatError, match=r"index\.json: weight_map 'a': .*none in 'model-00002"):
        open_safetensors_index(path)


def test_index_names_a_shard_that_is_missing(tmp_path):
    path, _ = shards(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(FormatError, match="model-00002-of-00002.safetensors: file: .*No such file"):
        open_safetensors_index(path)


def test_tensors_that_an_index_leaves_out_are_taken(tmp_path):
    """transformers reads every tensor of a shard that the index names."""
    tl.safetensors.save_file({"a": tl.ones(1), "b": tl.zeros(2)}, tmp_path / "one.safetensors")
    tl.safetensors.save_file({"c": tl.ones(3)}, tmp_path / "two.safetensors")
    tl.safetensors.save_file({"d": tl.ones(4)}, tmp_path / "never named.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", "c": "two.safetensors"}}))
    with open_safetensors_index(index) as opened:
        assert sorted(opened.tensors) == ["a", "b", "c"]
        assert opened.tensor("b").tolist() == [0.0, 0.0]
    tl.safetensors.save_file({"c": tl.ones(3), "b": tl.ones(2)}, tmp_path / "two.safetensors")
    with pytest.raises(FormatError, match="a place for 'b', got none, in both"):
        open_safetensors_index(index)


@pytest.mark.parametrize(
    "name", ["../up.safetensors", "/etc/passwd", "..", "a/../b", "a\\b", "C:x"]
)
def test_index_may_not_leave_its_folder(tmp_path, name):
    (tmp_path / "in").mkdir()
    safetensors.numpy.save_file({"a": np.zeros(1)}, tmp_path / "up.safetensors")
    path, _ = shards(tmp_path / "in", {"a": name})
    with pytest.raises(FormatError, match=r"index\.json: weight_map shard: expected a plain file"):
        open_safetensors_index(path)


# --- tensors and saving ------------------------------------------------------------------------


def test_tensor_borrows_from_the_map(tmp_path):
    made, path = arrays(), tmp_path / "m.safetensors"
    safetensors.numpy.save_file(made, path)
    with open_safetensors(path) as file:
        start = np.frombuffer(file.buffer, np.uint8).ctypes.data
        tensors = {name: file.tensor(name) for name in made}
        for name, info in file.tensors.items():
            if info.nbytes:
                assert tensors[name].data_ptr() == start + info.offset
    path.unlink()
    for name, array in made.items():
        assert tensors[name].shape == array.shape
        np.testing.assert_array_equal(tensors[name].numpy(), array)
