"""`save_torch`: what it writes, `load_torch` gives back; `test_torch_oracle.py` asks PyTorch."""

import io
import os
import struct
import weakref
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

import tallow as tl
from tallow.borrowing import from_buffer
from tallow.errors import ArgumentError, DTypeError, FormatError, ShapeError
from tallow.formats.lazy import LazyTensor
from tallow.formats.mapping import FileMap
from tallow.formats.torch_pickle import Record, load_torch, open_torch, save_torch
from tallow.formats.torch_pickle.pickler import TORCH_NAMES
from tallow.formats.torch_pickle.values import DTYPES
from tallow.formats.zip_map import ZipMap
from tallow.tensor import tobytes


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pt"


def drawn(*shape):
    return tl.tensor(np.random.default_rng(3).standard_normal(shape).astype(np.float32))


def storages(path):
    """The members that hold storages, with their sizes."""
    members = ZipMap(FileMap(path)).members
    return [member.size for name, member in members.items() if "/data/" in name]


@pytest.mark.parametrize("dtype", sorted(TORCH_NAMES))
def test_every_dtype_comes_back(path, dtype):
    size = DTYPES[TORCH_NAMES[dtype]][1]
    raw = bytes(range(6 * size)) if dtype != "bool" else bytes([0, 1, 1, 0, 1, 0])
    saved = from_buffer(raw, dtype, (2, 3), 0)
    save_torch({"x": saved, "scalar": saved[1, 2], "empty": saved[:0]}, path)
    loaded = load_torch(path)
    assert loaded["x"].dtype.name == dtype
    assert tobytes(loaded["x"]) == raw
    assert tobytes(loaded["scalar"]) == raw[5 * size :]
    assert (loaded["scalar"].shape, loaded["empty"].shape) == ((), (0, 3))


def test_plain_values_come_back(path):
    loop = [1]
    loop.append(loop)
    state = OrderedDict(w=drawn(2))
    state._metadata = {"": {"version": 2}}
    value = {
        "none": None, "yes": True, "numbers": [0, 255, 256, 65536, -1, 2**31, -(2**31) - 1, 2**300],
        "real": -0.5, "complex": 1 - 2j, "text": "größer 😀", "raw": b"\0\xff" * 200,
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), "set": {1, "a"}, "dtype": tl.bf16,
        3: {"nested": [{}, [], OrderedDict()]}, ("a", 1): "b",
    }  # fmt: skip
    save_torch({**value, "loop": loop, "state": state}, path)
    loaded = load_torch(path)
    again, kept = loaded.pop("loop"), loaded.pop("state")
    assert loaded == value
    assert [type(item) for item in loaded.values()] == [type(item) for item in value.values()]
    assert again[1] is again
    assert type(kept) is OrderedDict
    assert kept._metadata == state._metadata


def test_a_text_that_looks_like_a_name_stays_a_text(path):
    value = [OrderedDict(), "ccollections\nOrderedDict\n", OrderedDict()]
    save_torch(value, path)
    assert load_torch(path) == value


def test_values_of_numpy_s_float_are_numbers(path):
    save_torch({"loss": np.float64(0.5)}, path)
    assert load_torch(path) == {"loss": 0.5}


def test_a_lone_tensor_may_be_the_whole_file(path):
    saved = drawn(3, 2)
    save_torch(saved, path)
    assert load_torch(path).tolist() == saved.tolist()
    with open_torch(path) as file:
        assert [*file.tensors] == ["tensor"]


def test_overlapping_views_are_one_storage_with_their_strides(path):
    base = drawn(4, 6)
    views = {"base": base, "row": base[2], "column": base[:, 1], "turned": base.T, "same": base}
    save_torch(views, path)
    assert storages(path) == [4 * 24]
    loaded = load_torch(path)
    for name, view in views.items():
        assert loaded[name].tolist() == view.tolist()
        assert loaded[name].stride() == view.stride()
    assert len({tensor._array.storage_id for tensor in loaded.values()}) == 1
    assert loaded["same"] is loaded["base"]


def test_a_slice_of_a_large_tensor_makes_a_small_file(path):
    base = drawn(1000, 16)
    save_torch({"first": base[:2], "last": base[-1]}, path)
    assert storages(path) == [4 * 32, 4 * 16]
    loaded = load_torch(path)
    assert loaded["first"].tolist() == base[:2].tolist()
    assert loaded["last"].tolist() == base[-1].tolist()


def test_a_lone_view_with_gaps_is_written_without_them(path):
    column = drawn(100, 16)[:, 3]
    save_torch({"column": column}, path)
    assert storages(path) == [400]
    loaded = load_torch(path)["column"]
    assert (loaded.tolist(), loaded.stride()) == (column.tolist(), (1,))


def test_repeated_elements_are_written_once(path):
    save_torch({"x": drawn(2, 1).expand(2, 1000)}, path)
    assert storages(path) == [8]
    assert load_torch(path)["x"].shape == (2, 1000)


def test_what_runs_backwards_is_written_forwards(path):
    base = drawn(5, 2)
    save_torch({"base": base, "flipped": base.flip(0)}, path)
    assert load_torch(path)["flipped"].tolist() == base.tolist()[::-1]


def test_views_in_two_dtypes_are_two_storages(path):
    base = drawn(4)
    other = base.view(tl.i32)
    save_torch({"f": base, "i": other}, path)
    loaded = load_torch(path)
    assert storages(path) == [16, 16]
    assert tobytes(loaded["i"]) == tobytes(loaded["f"])


def test_what_a_mapped_file_gave_is_saved_as_it_stands(path, tmp_path):
    save_torch({"a": drawn(3, 4), "b": drawn(2)}, path)
    again = tmp_path / "again.pt"
    with open_torch(path) as file:
        save_torch({name: file.tensor(name) for name in file.tensors}, again)
    assert again.read_bytes() == path.read_bytes()


def test_a_file_may_be_saved_over_the_one_it_came_from(path):
    save_torch({"a": drawn(3000)}, path)
    loaded = load_torch(path)
    save_torch({"a": loaded["a"], "b": tl.ones(2)}, path)
    assert load_torch(path)["a"].tolist() == loaded["a"].tolist()


def test_gradients_are_asked_for_as_before(path):
    save_torch({"x": drawn(2).requires_grad_(), "y": drawn(2)}, path)
    loaded = load_torch(path)
    assert (loaded["x"].requires_grad, loaded["y"].requires_grad) == (True, False)


def test_lazy_tensors_are_made_one_at_a_time(path):
    living = weakref.WeakSet()

    def make(index):
        def made():
            assert len(living) <= 1, "the one before may still be in the writer's hands"
            tensor = from_buffer(bytes([index]) * 4000, "f32", (1000,), 0)
            living.add(tensor)
            return tensor

        return made

    lazy = {f"x{i}": LazyTensor("f32", (1000,), make(i)) for i in range(5)}
    lazy["raw"] = LazyTensor("bf16", (2, 2), lambda: b"abcdefgh")
    save_torch(lazy, path)
    assert not living
    loaded = load_torch(path)
    assert [tobytes(loaded[f"x{i}"])[:1] for i in range(5)] == [bytes([i]) for i in range(5)]
    assert (loaded["raw"].dtype, tobytes(loaded["raw"])) == (tl.bf16, b"abcdefgh")


@pytest.mark.parametrize(
    ("lazy", "error"),
    [
        (LazyTensor("f32", (3,), lambda: tl.ones(2)), ShapeError),
        (LazyTensor("f32", (3,), lambda: tl.ones(3).to(tl.f16)), DTypeError),
        (LazyTensor("f32", (3,), lambda: b"abc"), ShapeError),
    ],
)
def test_a_lazy_tensor_that_is_another_leaves_the_old_file(path, lazy, error):
    path.write_bytes(b"old")
    with pytest.raises(error):
        save_torch({"x": lazy}, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


def test_members_are_laid_out_as_pytorch_lays_them_out(path):
    save_torch({"a": drawn(3), "b": drawn(0), "c": drawn(100)}, path)
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        names = [info.filename for info in file.infolist()]
        assert names == [
            f"archive/{name}"
            for name in (
                "data.pkl", ".format_version", ".storage_alignment", "byteorder", "data/0",
                "data/1", "data/2", "version",
            )
        ]  # fmt: skip
        assert file.read("archive/byteorder") == b"little"
        assert file.read("archive/.storage_alignment") == b"64"
    members = ZipMap(FileMap(path)).members
    assert all(member.offset % 64 == 0 for member in members.values())
    with open_torch(path) as file:
        for info in file.tensors.values():
            assert info.offset % 64 == 0


def test_files_depend_on_content_only(path, tmp_path):
    other = tmp_path / "other.pt"
    for place in (path, other):
        save_torch({"a": drawn(3), "lr": 0.1}, place)
    assert path.read_bytes() == other.read_bytes()


def test_sizes_beyond_32_bits_go_to_zip64_fields(path, monkeypatch):
    """With the limit lowered, so that a small file needs what one of 4 GiB does."""
    from tallow.formats.torch_pickle import saving

    value = {"a": drawn(300), "b": drawn(10), "c": drawn(400)}
    monkeypatch.setattr(saving, "LARGE", 1000)
    save_torch(value, path)
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        assert any(info.extra[:2] == b"\1\0" for info in file.infolist())
    assert struct.unpack("<I", path.read_bytes()[-6:-2]) == (2**32 - 1,)
    loaded = load_torch(path)
    assert {name: x.tolist() for name, x in loaded.items()} == {
        name: x.tolist() for name, x in value.items()
    }


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (object(), ArgumentError, "got a object"),
        ({"a": [io.BytesIO()]}, ArgumentError, "got a BytesIO"),
        (np.zeros(2), ArgumentError, "got a ndarray"),
        (print, ArgumentError, "got a builtin_function_or_method"),
        (Record("a.b"), ArgumentError, "got a Record"),
        ("\ud800", ArgumentError, "text that UTF-8 can hold"),
        (2**5000, ArgumentError, "255 bytes a number"),
        (tl.zeros(2, 32).to(tl.q8_0), DTypeError, "expected one of .* got q8_0"),
        (LazyTensor("q4_0", (32,), lambda: b""), DTypeError, "got q4_0"),
        (tl.q4_0, DTypeError, "got q4_0"),
    ],
)
def test_what_pytorch_could_not_load_is_refused(path, value, error, message):
    with pytest.raises(error, match=f"save_torch: .*{message}"):
        save_torch(value, path)
    assert not os.listdir(path.parent)


def test_a_tuple_in_itself_and_a_deep_object_are_refused(path):
    inner = []
    inner.append((inner, 1))
    with pytest.raises(ArgumentError, match="no tuple that contains itself"):
        save_torch(inner[0], path)
    deep = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ArgumentError, match="at most 200 levels"):
        save_torch(deep, path)


def test_a_folder_that_is_missing_is_refused(tmp_path):
    with pytest.raises(FormatError, match="expected a file that can be written"):
        save_torch({}, tmp_path / "no" / "x.pt")
