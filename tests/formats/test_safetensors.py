"""`open_safetensors` and `save_safetensors` against the official package."""

import json
import struct

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from tallow.errors import ArgumentError, DTypeError, FormatError
from tallow.formats.safetensors import (
    DTYPES,
    open_safetensors,
    open_safetensors_index,
    save_safetensors,
)

NUMPY = {
    "bool": np.bool_,
    "u8": np.uint8,
    "i8": np.int8,
    "i16": np.int16,
    "u16": np.uint16,
    "i32": np.int32,
    "u32": np.uint32,
    "i64": np.int64,
    "u64": np.uint64,
    "f16": np.float16,
    "f32": np.float32,
    "f64": np.float64,
}
OFFICIAL_ONLY = ["F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"]


def arrays():
    rng = np.random.default_rng(0)
    made = {f"{n}.weight": rng.integers(0, 2, (3, 4)).astype(t) for n, t in NUMPY.items()}
    return made | {"scalar": np.asarray(2.5, np.float32), "empty": np.zeros((0, 3), np.float16)}


def build(header, data=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def entry(dtype, shape, begin, end, **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end], **more}


def ours_accepts(path):
    try:
        open_safetensors(path).close()
    except FormatError:
        return False
    return True


def official_accepts(path):
    try:
        safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError:
        return False
    return True


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
    from tallow.formats import safetensors as module

    monkeypatch.delattr(module, "_read_unusual_entry")
    safetensors.numpy.save_file(arrays(), tmp_path / "m.safetensors", {"format": "pt"})
    assert ours_accepts(tmp_path / "m.safetensors")


@pytest.mark.parametrize("theirs", DTYPES)
def test_each_dtype_has_the_official_size(tmp_path, theirs):
    ours, size = DTYPES[theirs]
    path = tmp_path / "m.safetensors"
    path.write_bytes(build({"w": entry(theirs, [2, 3], 0, 6 * size)}, bytes(6 * size)))
    assert official_accepts(path)
    with open_safetensors(path) as file:
        info = file.tensors["w"]
        assert (info.dtype, info.shape, info.nbytes) == (ours, (2, 3), 6 * size)
    path.write_bytes(build({"w": entry(theirs, [2, 3], 0, 6 * size - 1)}, bytes(6 * size - 1)))
    assert not official_accepts(path)
    assert not ours_accepts(path)


@pytest.mark.parametrize("dtype", OFFICIAL_ONLY)
def test_dtype_that_tallow_lacks_is_named(tmp_path, dtype):
    path = tmp_path / "m.safetensors"
    path.write_bytes(build({"w": entry(dtype, [8], 0, 8)}, bytes(8)))
    with pytest.raises(FormatError, match=rf"m\.safetensors: tensor 'w' dtype: .*got '{dtype}'"):
        open_safetensors(path)


A = entry("U8", [1], 0, 1)
# What both accept or both refuse; the official package is asked in the test.
CASES = {
    "no tensors": build({}),
    "no tensors, data": build({}, b"a"),
    "hole between": build({"a": A, "b": entry("U8", [1], 2, 3)}, b"abc"),
    "hole at start": build({"a": entry("U8", [1], 1, 2)}, b"ab"),
    "overlap": build({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, b"abc"),
    "shared": build({"a": A, "b": A}, b"a"),
    "rest": build({"a": A}, b"ab"),
    "short": build({"a": entry("U8", [2], 0, 2)}, b"a"),
    "any order": build({"b": entry("U8", [1], 1, 2), "a": A}, b"ab"),
    "empty tensors": build({"a": entry("U8", [0], 0, 0), "b": entry("F32", [0, 3], 0, 0)}),
    "empty before": build({"a": A, "b": entry("U8", [0], 0, 0)}, b"a"),
    "empty after": build({"a": A, "c": entry("U8", [0], 1, 1)}, b"a"),
    "empty inside": build({"a": entry("U8", [2], 0, 2), "b": entry("U8", [0], 1, 1)}, b"ab"),
    "scalar": build({"a": entry("U8", [], 0, 1)}, b"a"),
    "no name": build({"": A}, b"a"),
    "further key": build({"a": {**A, "more": {"x": [1, -2.5, None]}}}, b"a"),
    "other order": build(b'{"a":{"data_offsets":[0,1],"shape":[1],"dtype":"U8"}}', b"a"),
    "space": build(
        b'\n{ "a"\t:\r{ "dtype" : "U8" , "shape" : [ 1 ] ,"data_offsets":[ 0 , 1 ] } } ', b"a"
    ),
    "escapes": build(
        b'{"\\u0061\\n\\ud83c\\udf0d":{"dtype":"\\u00558","shape":[1],"data_offsets":[0,1]}}', b"a"
    ),
    "metadata null": build({"__metadata__": None}),
    "metadata empty": build({"__metadata__": {}, "a": A}, b"a"),
    "metadata of numbers": build({"__metadata__": {"a": 1}}),
    "metadata a list": build({"__metadata__": []}),
    "metadata twice": build(b'{"__metadata__":{"a":"1"},"__metadata__":{"a":"2"}}'),
    "key of entry twice": build(
        b'{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"
    ),
    "missing key": build({"a": {"dtype": "U8", "shape": [1]}}, b"a"),
    "float in shape": build({"a": entry("U8", [1.0], 0, 1)}, b"a"),
    "exponent in shape": build(b'{"a":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}', b"a"),
    "minus zero": build(b'{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}'),
    "leading zero": build(b'{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}', b"a"),
    "space in number": build(b'{"a":{"dtype":"U8","shape":[1 1],"data_offsets":[0,1]}}', b"a"),
    "comma at end": build(b'{"a":{"dtype":"U8","shape":[1,],"data_offsets":[0,1]}}', b"a"),
    "negative": build({"a": entry("U8", [-1], 0, 1)}, b"a"),
    "bool": build({"a": entry("U8", [True], 0, 1)}, b"a"),
    "2^64": build({"a": entry("U8", [2**64], 0, 0)}),
    "overflow": build({"a": entry("U8", [2**40, 2**40], 0, 0)}),
    "overflow, then 0": build({"a": entry("U8", [2**40, 2**40, 0], 0, 0)}),
    "0, then large": build({"a": entry("U8", [0, 2**40, 2**40], 0, 0)}),
    "backwards": build({"a": entry("U8", [1], 1, 0)}, b"a"),
    "three offsets": build(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}', b"a"),
    "unaligned": build({"a": A, "b": entry("F32", [1], 1, 5)}, b"abcde"),
    "1000 axes": build({"a": entry("U8", [1] * 1000, 0, 1)}, b"a"),
    "NUL after": build(b"{}\0\0"),
    "newlines after": build(b"{}\n\n"),
    "byte order mark": build(b"\xef\xbb\xbf{}"),
    "list": build([]),
    "not UTF-8": build(b'{"\xff":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"),
    "lone surrogate": build(b'{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"),
    "control character": build(b'{"a\n":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"),
    "NaN": build(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":NaN}}', b"a"),
    "very deep": build(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "empty file": b"",
    "7 bytes": bytes(7),
    "header of 0 bytes": bytes(8),
    "header beyond the file": struct.pack("<Q", 3) + b"{}",
    "header too large": struct.pack("<Q", 100_000_001) + b"{}",
    "header of 2^64 - 1": struct.pack("<Q", 2**64 - 1) + b"{}",
}


@pytest.mark.parametrize("case", CASES)
def test_accepts_and_refuses_as_the_official_package(tmp_path, case):
    path = tmp_path / "m.safetensors"
    path.write_bytes(CASES[case])
    assert ours_accepts(path) == official_accepts(path)


STRICTER = {
    "tensor twice": build(b'{"a":%b,"a":%b}' % ((json.dumps(A).encode(),) * 2), b"a"),
    "metadata key twice": build(b'{"__metadata__":{"a":"1","a":"2"}}'),
    "list as entry": build({"a": ["U8", [1], [0, 1]]}, b"a"),
    "2^63 elements along an axis": build({"a": entry("U8", [0, 2**63], 0, 0)}),
    "entry of 70000 characters": build({"a": {**A, "filler": "x" * 70_000}}, b"a"),
}


@pytest.mark.parametrize("case", STRICTER)
def test_where_the_official_package_is_laxer(tmp_path, case):
    path = tmp_path / "m.safetensors"
    path.write_bytes(STRICTER[case])
    assert official_accepts(path)
    assert not ours_accepts(path)


def test_hostile_header_takes_a_small_multiple_of_its_size(tmp_path):
    """A whole parse of this header of 6 MB would build 2 million lists: 24 times its size."""
    import tracemalloc

    path = tmp_path / "m.safetensors"
    filler = b"[]," * 2_000_000
    path.write_bytes(build(b'{"a":{"dtype":"U8","x":[' + filler + b"[]]}}"))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="tensor 'a': expected a JSON value of at most 65536"):
            open_safetensors(path)
        assert tracemalloc.get_traced_memory()[1] < 3.5 * len(filler)
    finally:
        tracemalloc.stop()


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


def test_saved_file_is_what_the_official_package_reads(tmp_path):
    from tallow.tensor import from_numpy

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
        assert all(info.offset % DTYPES[_theirs(info)][1] == 0 for info in file.tensors.values())


def _theirs(info):
    return next(theirs for theirs, (ours, _) in DTYPES.items() if ours == info.dtype)


@pytest.mark.parametrize("dtype", ["bf16", "f8e4m3", "f8e5m2"])
def test_round_trip_of_dtypes_that_numpy_lacks(tmp_path, dtype):
    from tallow.tensor import from_buffer, tobytes

    path = tmp_path / "m.safetensors"
    raw = bytes(range(24))
    length = 12 if dtype == "bf16" else 24
    save_safetensors({"w": from_buffer(raw, dtype, (2, length // 2))}, path)
    assert official_accepts(path)
    with open_safetensors(path) as file:
        assert file.tensors["w"].dtype == dtype
        assert tobytes(file.tensor("w")) == raw


def test_views_are_saved_in_row_major_order(tmp_path):
    from tallow.tensor import from_numpy

    array = np.arange(24, dtype=np.int32).reshape(4, 6)
    save_safetensors({"w": from_numpy(array[::2, ::-3])}, tmp_path / "m.safetensors")
    read = safetensors.numpy.load_file(tmp_path / "m.safetensors")["w"]
    np.testing.assert_array_equal(read, array[::2, ::-3])


def test_saving_over_a_file_that_is_mapped(tmp_path):
    from tallow.tensor import tensor

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
    from tallow.tensor import from_buffer, tensor

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
