"""`save_gguf` against the reader of the `gguf` package, llama.cpp's own, and as a round trip."""

import math
import os
import struct

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tallow as tl
from tallow.errors import ArgumentError, DTypeError, FormatError, ShapeError
from tallow.formats.gguf import GGML_TYPES, LazyTensor, Typed, open_gguf, save_gguf
from tallow.formats.gguf_encode import encode_value

NAMES = {
    "u8": "UINT8", "i8": "INT8", "u16": "UINT16", "i16": "INT16", "u32": "UINT32", "i32": "INT32",
    "f32": "FLOAT32", "bool": "BOOL", "str": "STRING", "u64": "UINT64", "i64": "INT64",
    "f64": "FLOAT64",
}  # fmt: skip
VALUES = {
    "u8": 200, "i8": -100, "u16": 60_000, "i16": -30_000, "u32": 4_000_000_000,
    "i32": -2_000_000_000, "f32": 0.15625, "bool": True, "str": "Grüße, 世界 🌍", "u64": 2**64 - 1,
    "i64": -(2**63), "f64": 1e300,
}  # fmt: skip


def bits(count):
    signed, top = [-(2 ** (count - 1)), 2 ** (count - 1) - 1], 2**count - 1
    return {
        f"u{count}": st.integers(0, top),
        f"i{count}": st.integers(*signed),
    }


STRATEGIES = {
    **bits(8), **bits(16), **bits(32), **bits(64),
    "f32": st.floats(width=32, allow_nan=False), "f64": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "str": st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")),
}  # fmt: skip


def typed_values():
    scalar = st.sampled_from(sorted(STRATEGIES)).flatmap(
        lambda kind: STRATEGIES[kind].map(lambda value: Typed(kind, value))
    )
    flat = st.sampled_from(sorted(STRATEGIES)).flatmap(
        lambda kind: st.lists(STRATEGIES[kind], max_size=5).map(
            lambda values: Typed(f"arr[{kind}]", tuple(values))
        )
    )
    return st.one_of(
        scalar, st.recursive(flat, lambda inner: st.lists(inner, max_size=3).map(nest))
    )


def nest(items):
    kinds = {item.kind for item in items}
    if len(kinds) == 1:
        return Typed(f"arr[{kinds.pop()}]", tuple(item.value for item in items))
    return Typed("arr[arr]", tuple(items))


def content(field):
    value = field.contents()
    return tuple(value) if isinstance(value, list) else value


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.gguf"


@pytest.mark.parametrize("version", [2, 3])
def test_each_type_as_the_package_reads_it(path, version):
    scalars = {f"one.{kind}": Typed(kind, value) for kind, value in VALUES.items()}
    lists = {f"many.{k}": Typed(f"arr[{k}]", (v, v)) for k, v in VALUES.items()}
    save_gguf({}, path, {**scalars, **lists}, version=version)
    fields = gguf.GGUFReader(path).fields
    assert fields["GGUF.version"].contents() == version
    for kind, value in VALUES.items():
        own = gguf.GGUFValueType[NAMES[kind]]
        assert fields[f"one.{kind}"].types == [own]
        assert fields[f"one.{kind}"].contents() == value
        assert fields[f"many.{kind}"].types == [gguf.GGUFValueType.ARRAY, own]
        assert content(fields[f"many.{kind}"]) == (value, value)
    with open_gguf(path) as file:
        assert file.version == version
        assert file.metadata.typed_items() == {**scalars, **lists}
        assert [file.metadata.kind(key) for key in scalars] == list(VALUES)
        assert [file.metadata.kind(key) for key in lists] == [f"arr[{kind}]" for kind in VALUES]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (0, "u32"), (2**32 - 1, "u32"), (-1, "i32"), (-(2**31), "i32"), (2**32, "u64"),
        (-(2**31) - 1, "i64"), (2**64 - 1, "u64"), (np.int8(5), "u32"), (1.5, "f32"),
        (np.float64(1.5), "f32"), (True, "bool"), ("ä", "str"), (b"\xff", "str"),
        ([1, 2], "arr[i32]"), ([0, 2**31], "arr[u32]"), ([-1, 2**31], "arr[i64]"),
        ([2**64 - 1], "arr[u64]"), ([1, 0.5], "arr[f32]"), ((False,), "arr[bool]"),
        (["a", b"\xff"], "arr[str]"), ([["a"], ["b", "c"]], "arr[arr[str]]"),
        ([[1], ["a"]], "arr[arr]"), ([[[1]], [[2]]], "arr[arr[arr[i32]]]"),
    ],
)  # fmt: skip
def test_type_of_a_python_value(path, value, kind):
    save_gguf({}, path, {"k": value})
    with open_gguf(path) as file:
        assert file.metadata.kind("k") == kind


@pytest.mark.parametrize(
    "value",
    [
        [], None, {"a": 1}, 2**64, -(2**63) - 1, [1, "a"], [True, 1], [None], 1e300, ...,
        "\ud800", [2**64], [-1, 2**63], [[]], 1j,
        Typed("u8", 256), Typed("u8", -1), Typed("u8", True), Typed("u8", 1.0), Typed("bool", 1),
        Typed("str", 5), Typed("f32", "1"), Typed("f32", 1e39), Typed("arr", (1,)),
        Typed("f33", 1.0), Typed("arr[f33]", (1.0,)), Typed("arr[u8]", 5), Typed("arr[u8]", "ab"),
        Typed("arr[u8]", (1, 256)), Typed("arr[arr]", ((1,),)), Typed("arr[arr[u8]]", (1,)),
        Typed("arr[" * 9 + "u8" + "]" * 9, ((((((((((),),),),),),),),),)), Typed(5, 1),
    ],
    ids=repr,
)  # fmt: skip
def test_value_that_gguf_cannot_hold(path, value):
    with pytest.raises(ArgumentError, match="save_gguf: metadata 'k': expected"):
        save_gguf({}, path, {"k": value})
    assert not path.exists()


@pytest.mark.parametrize("key", ["", "a" * 65_536, "\udcff", 5, None])
def test_key_that_gguf_cannot_hold(path, key):
    with pytest.raises(ArgumentError, match="metadata"):
        save_gguf({}, path, {key: 1})


@given(st.dictionaries(st.text(min_size=1, max_size=20), typed_values(), max_size=6))
@settings(max_examples=300, deadline=None)
def test_metadata_round_trip(metadata):
    metadata.pop("general.alignment", None)
    metadata = {k: v for k, v in metadata.items() if not k.startswith("split.")}
    raw = save_bytes({}, metadata)
    with open_gguf(raw) as file:
        again = file.metadata.typed_items()
        assert again == metadata
        assert [*again] == [*metadata]
        assert save_bytes({}, file.metadata) == raw
        plain = dict(file.metadata)
    assert {key: _plain(value) for key, value in metadata.items()} == plain


def _plain(value):
    if isinstance(value, Typed):
        return _plain(value.value)
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value


def save_bytes(tensors, metadata, **options):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        (written,) = save_gguf(tensors, os.path.join(folder, "m.gguf"), metadata, **options)
        with open(written, "rb") as file:
            return file.read()


def test_integers_of_an_empty_array_keep_their_type(path):
    save_gguf({}, path, {"none": Typed("arr[str]", []), "deep": Typed("arr[arr]", [])})
    with open_gguf(path) as file:
        assert file.metadata.typed_items() == {
            "none": Typed("arr[str]", ()),
            "deep": Typed("arr[arr]", ()),
        }
    assert encode_value("k", Typed("arr[u16]", ())) == struct.pack("<IIQ", 9, 2, 0)


@pytest.mark.parametrize("alignment", [None, 8, 64, 4096])
def test_plain_tensors_as_the_package_reads_them(path, alignment):
    rng = np.random.default_rng(0)
    arrays = {
        "f32": rng.standard_normal((3, 5)).astype(np.float32),
        "f16": rng.standard_normal((2, 3, 4)).astype(np.float16),
        "f64": rng.standard_normal(7),
        "i8": rng.integers(-128, 127, (2, 2, 2, 3), dtype=np.int8),
        "i16": rng.integers(-999, 999, 5, dtype=np.int16),
        "i32": rng.integers(-999, 999, (1, 6), dtype=np.int32),
        "i64": rng.integers(-999, 999, (4, 1), dtype=np.int64),
    }
    tensors = {name: tl.from_numpy(array) for name, array in arrays.items()}
    save_gguf(tensors, path, {"general.architecture": "llama"}, alignment=alignment)
    reader = gguf.GGUFReader(path)
    assert reader.alignment == (alignment or 32)
    assert ("general.alignment" in reader.fields) == (alignment is not None)
    for tensor, (name, array) in zip(reader.tensors, arrays.items(), strict=True):
        assert tensor.name == name == tensor.tensor_type.name.lower()
        assert tensor.data_offset % (alignment or 32) == 0
        np.testing.assert_array_equal(tensor.data, array)
    assert path.stat().st_size % (alignment or 32) == 0  # llama.cpp wants the last one padded too


@pytest.mark.parametrize(
    "row", [row for row in GGML_TYPES.values() if row.name not in ("q1_0", "q2_0")], ids=str
)
def test_bytes_of_each_type(path, row):
    blocks = np.random.default_rng(2).integers(0, 255, 6 * row.size, np.uint8, endpoint=True)
    shape = (3, 2 * row.block)
    tensor = tl.from_buffer(blocks.tobytes(), row.name, shape)
    save_gguf({"w": tensor, "lazy": LazyTensor(row.name, shape, blocks.tobytes)}, path)
    for read in gguf.GGUFReader(path).tensors if row.name != "q8_1" else ():
        assert read.tensor_type.name.lower() == row.name
        assert read.shape.tolist() == [2 * row.block, 3]
        assert read.data.tobytes() == blocks.tobytes()
    with open_gguf(path) as file:
        for name in ("w", "lazy"):
            assert (file.tensors[name].dtype, file.tensors[name].shape) == (row.name, shape)
            assert bytes(file.data(name)) == blocks.tobytes()


def test_views_are_written_in_row_major_order(path):
    base = tl.arange(24).to("i32").view(2, 3, 4)
    views = {"t": base.permute(2, 0, 1), "s": base[:, ::2, 1:], "scalar": base[1, 2, 3]}
    views |= {"e": base[:, :1].expand(2, 5, 4), "none": base[:0]}
    save_gguf(views, path)
    with open_gguf(path) as file:
        for name, view in views.items():
            assert file.tensors[name].shape == view.shape
            np.testing.assert_array_equal(file.tensor(name).numpy(), view.numpy())


def test_large_tensors_are_written_in_pieces(path, monkeypatch):
    monkeypatch.setattr("tallow.formats.writing.PIECE", 100)
    values = np.random.default_rng(3).standard_normal((70, 11)).astype(np.float32)
    long = values.reshape(-1)
    weights = {"w": tl.from_numpy(values), "t": tl.from_numpy(values).T, "l": tl.from_numpy(long)}
    weights["g"] = tl.from_numpy(values.copy()).requires_grad_()
    save_gguf(weights, path)
    with open_gguf(path) as file:
        for name, array in {"w": values, "t": values.T, "l": long, "g": values}.items():
            assert bytes(file.data(name)) == array.tobytes()


def test_only_one_lazy_tensor_is_alive_at_a_time(path):
    import weakref

    alive = weakref.WeakSet()
    most = []

    def make():
        tensor = tl.zeros(4, 8)
        alive.add(tensor)
        most.append(len(alive))
        return tensor

    save_gguf({f"w{i}": LazyTensor("f32", (4, 8), make) for i in range(5)}, path)
    assert most == [1] * 5
    with open_gguf(path) as file:
        assert list(file.tensors) == [f"w{i}" for i in range(5)]


@pytest.mark.parametrize(
    ("tensor", "error"),
    [
        (tl.zeros(3).bool(), DTypeError),
        (tl.zeros(3).to("u8"), DTypeError),
        (tl.zeros(1, 1, 1, 1, 3), ShapeError),
        (LazyTensor("f32", (3,), lambda: tl.zeros(4)), ShapeError),
        (LazyTensor("f32", (3,), lambda: tl.zeros(3).half()), DTypeError),
        (LazyTensor("f32", (3,), lambda: bytes(11)), ShapeError),
        (LazyTensor("q4_0", (2, 33), lambda: bytes(36)), ShapeError),
        (LazyTensor("f32", (-1,), lambda: bytes(4)), ShapeError),
        (LazyTensor("q4_2", (32,), lambda: bytes(20)), DTypeError),
    ],
)
def test_tensor_that_gguf_cannot_hold_leaves_the_old_file(path, tensor, error):
    path.write_bytes(b"old")
    with pytest.raises(error, match="save_gguf: tensor 'w': expected"):
        save_gguf({"w": tensor}, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


def test_names_of_63_bytes_and_no_more(path):
    save_gguf({"ä" * 31 + "x": tl.zeros(1)}, path)
    with pytest.raises(ArgumentError, match="at most 63 bytes"):
        save_gguf({"ä" * 32: tl.zeros(1)}, path)
    for name in (5, "\udcff"):
        with pytest.raises(ArgumentError, match="expected text"):
            save_gguf({name: tl.zeros(1)}, path)


@pytest.mark.parametrize("alignment", [0, 1, 24, -8, 2**32, True, 32.0, "32"])
def test_alignment_that_gguf_lacks(path, alignment):
    with pytest.raises(ArgumentError, match="alignment: expected a power of two"):
        save_gguf({}, path, alignment=alignment)
    with pytest.raises(ArgumentError, match="alignment: expected a power of two"):
        save_gguf({}, path, {"general.alignment": alignment})


def test_alignment_of_the_metadata_is_kept_unless_told_otherwise(path):
    save_gguf({"w": tl.ones(3)}, path, alignment=64)
    with open_gguf(path) as file:
        again = path.with_name("again.gguf")
        save_gguf({"w": file.tensor("w")}, again, file.metadata)
        assert again.read_bytes() == path.read_bytes()
        save_gguf({"w": file.tensor("w")}, again, file.metadata, alignment=32)
    with open_gguf(again) as file:
        assert (file.alignment, file.metadata["general.alignment"]) == (32, 32)


def test_version_that_cannot_be_written(path):
    with pytest.raises(ArgumentError, match="version 2 or 3, got 1"):
        save_gguf({}, path, version=1)


def test_a_file_may_replace_the_one_that_its_tensors_borrow_from(path):
    save_gguf({"w": tl.arange(5).to("f32")}, path, {"k": [1, 2]})
    with open_gguf(path) as file:
        save_gguf({"w": file.tensor("w"), "v": file.tensor("w") + 1}, path, file.metadata)
    with open_gguf(path) as file:
        assert file.tensor("v").tolist() == [1, 2, 3, 4, 5]
        assert file.metadata.typed("k") == Typed("arr[i32]", (1, 2))


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(FormatError, match="file that can be written"):
        save_gguf({}, tmp_path / "no" / "m.gguf")


def test_real_model_is_rewritten_byte_for_byte(smollm2_path, tmp_path):
    with open_gguf(smollm2_path) as file:
        save_gguf({n: file.tensor(n) for n in file.tensors}, tmp_path / "m.gguf", file.metadata)
        assert (tmp_path / "m.gguf").read_bytes() == bytes(file.buffer)


def test_nan_and_infinity(path):
    save_gguf({}, path, {"n": math.nan, "i": [math.inf, -math.inf], "d": Typed("f64", math.nan)})
    fields = gguf.GGUFReader(path).fields
    assert math.isnan(fields["n"].contents())
    assert math.isnan(fields["d"].contents())
    assert fields["i"].contents() == [math.inf, -math.inf]
