"""`open_gguf` against the writer and reader of the `gguf` package, llama.cpp's own."""

import struct

import gguf
import numpy as np
import pytest

from tallow.errors import ArgumentError, FormatError
from tallow.formats.gguf import GGML_TYPES, open_gguf

SCALARS = {
    "UINT8": (200, 0),
    "INT8": (-100, 1),
    "UINT16": (60_000, 2),
    "INT16": (-30_000, 3),
    "UINT32": (4_000_000_000, 4),
    "INT32": (-2_000_000_000, 5),
    "FLOAT32": (0.15625, 6),
    "BOOL": (True, 7),
    "STRING": ("Grüße, 世界 🌍", 8),
    "UINT64": (2**64 - 1, 10),
    "INT64": (-(2**63), 11),
    "FLOAT64": (1e300, 12),
}
ITEMS = {
    "UINT8": [0, 1, 255],
    "INT8": [-128, 0, 127],
    "UINT16": [0, 65_535],
    "INT16": [-32_768, 32_767],
    "UINT32": [0, 2**32 - 1],
    "INT32": [-(2**31), 2**31 - 1],
    "FLOAT32": [0.5, -1.25, float("inf")],
    "BOOL": [True, False, True],
    "STRING": ["", "a", "Ġworld", "▁über", "x" * 300],
    "UINT64": [0, 2**64 - 1],
    "INT64": [-(2**63), 2**63 - 1],
    "FLOAT64": [1e-300, 1e300],
}


def write(path, fill, *, alignment=None, **options):
    writer = gguf.GGUFWriter(path, "llama", **options)
    if alignment:
        writer.add_custom_alignment(alignment)
    fill(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def raw_file(path, keys=b"", key_count=0, version=3):
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", version, 0, key_count) + keys)
    return path


def text(value):
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def test_type_ids_are_those_of_ggml():
    for kind, (block, size) in gguf.GGML_QUANT_SIZES.items():
        row = GGML_TYPES[kind.value]
        assert row.name == kind.name.lower()
        if (
            row.name != "q8_1"
        ):  # ggml-common.h: two halves and 32 bytes; the package says two floats
            assert (row.block, row.size) == (block, size)


@pytest.mark.parametrize("kind", SCALARS)
def test_scalar_of_each_type(tmp_path, kind):
    value, number = SCALARS[kind]
    vtype = gguf.GGUFValueType[kind]
    assert vtype.value == number
    path = write(tmp_path / "m.gguf", lambda w: w.add_key_value("k", value, vtype))
    with open_gguf(path) as file:
        assert file.metadata["k"] == value
        assert type(file.metadata["k"]) is type(value)
        assert file.metadata["general.architecture"] == "llama"
        assert list(file.metadata) == ["general.architecture", "k"]


@pytest.mark.parametrize("kind", ITEMS)
def test_array_of_each_type(tmp_path, kind):
    array, item = gguf.GGUFValueType.ARRAY, gguf.GGUFValueType[kind]
    path = write(
        tmp_path / "m.gguf",
        lambda w: w.add_key_value("k", ITEMS[kind], array, sub_type=item),
    )
    with open_gguf(path) as file:
        assert file.metadata["k"] == tuple(ITEMS[kind])
        assert {type(value) for value in file.metadata["k"]} == {type(ITEMS[kind][0])}


def test_nested_and_empty_arrays(tmp_path):
    nested = [["a", "b"], ["c"]]
    path = write(tmp_path / "m.gguf", lambda w: w.add_array("k", nested))
    with open_gguf(path) as file:
        assert file.metadata["k"] == (("a", "b"), ("c",))
    keys = text("none") + struct.pack("<IIQ", 9, 8, 0)
    keys += text("deep") + struct.pack("<IIQIQ", 9, 9, 1, 9, 0)
    with open_gguf(raw_file(tmp_path / "e.gguf", keys, 2)) as file:
        assert dict(file.metadata) == {"none": (), "deep": ((),)}


def test_strings_that_are_not_utf8_keep_their_bytes(tmp_path):
    tokens = [b"\xff\xfe", "ä".encode()[:1], b"ok"]
    array, string = gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.STRING
    path = write(tmp_path / "m.gguf", lambda w: w.add_key_value("k", tokens, array, string))
    with open_gguf(path) as file:
        kept = [token.encode("utf-8", "surrogateescape") for token in file.metadata["k"]]
    assert kept == tokens


def test_metadata_is_a_mapping_that_decodes_late(tmp_path):
    path = write(tmp_path / "m.gguf", lambda w: w.add_array("k", ["a", "b"]))
    file = open_gguf(path)
    assert "k" in file.metadata
    assert "other" not in file.metadata
    assert file.metadata.get("other", 5) == 5
    with pytest.raises(KeyError):
        file.metadata["other"]
    assert file.metadata["k"] is file.metadata["k"]
    assert repr(file.metadata) == "Metadata(2 keys)"
    file.close()
    assert file.metadata["k"] == ("a", "b")  # decoded before
    with pytest.raises(ArgumentError, match=r"m\.gguf.*closed"):
        file.metadata["general.architecture"]


def test_bools_of_an_array_are_checked_when_decoded(tmp_path):
    path = raw_file(tmp_path / "m.gguf", text("k") + struct.pack("<IIQ", 9, 7, 2) + b"\1\2", 1)
    with open_gguf(path) as file, pytest.raises(FormatError, match=r"m\.gguf: metadata 'k' bool"):
        file.metadata["k"]


@pytest.mark.parametrize("alignment", [None, 8, 32, 64, 4096])
def test_plain_tensors_match_the_package(tmp_path, alignment):
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

    def fill(writer):
        for name, array in arrays.items():
            writer.add_tensor(name, array)

    path = write(tmp_path / "m.gguf", fill, alignment=alignment)
    with open_gguf(path) as file:
        assert file.version == 3
        assert file.alignment == (alignment or 32)
        assert list(file.tensors) == list(arrays)
        for name, array in arrays.items():
            info = file.tensors[name]
            assert (info.name, info.dtype, info.shape) == (name, name, array.shape)
            assert info.offset % file.alignment == 0
            assert file.data(name) == array.tobytes()


@pytest.mark.parametrize("kind", ["BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0"])
def test_quantised_tensors_match_the_package(tmp_path, kind):
    qtype = gguf.GGMLQuantizationType[kind]
    values = np.random.default_rng(1).standard_normal((4, 512)).astype(np.float32)
    blocks = gguf.quants.quantize(values, qtype)
    path = write(tmp_path / "m.gguf", lambda w: w.add_tensor("w", blocks, raw_dtype=qtype))
    (expected,) = gguf.GGUFReader(path).tensors
    with open_gguf(path) as file:
        info = file.tensors["w"]
        assert info.dtype == kind.lower()
        assert info.shape == (4, 512) == tuple(reversed(expected.shape.tolist()))
        assert (info.offset, info.nbytes) == (expected.data_offset, expected.n_bytes)
        read = np.frombuffer(file.data("w"), np.uint8).reshape(blocks.view(np.uint8).shape)
        np.testing.assert_array_equal(
            gguf.quants.dequantize(read, qtype), gguf.quants.dequantize(blocks, qtype)
        )


@pytest.mark.parametrize(
    "kind", [kind for kind in GGML_TYPES if kind in iter(gguf.GGMLQuantizationType)]
)
def test_size_of_each_type(tmp_path, kind):
    row = GGML_TYPES[kind]
    blocks = np.zeros((3, 2 * row.size), np.uint8)
    qtype = gguf.GGMLQuantizationType(kind)
    path = tmp_path / "m.gguf"
    info = text("w") + struct.pack("<IQQIQ", 2, 2 * row.block, 3, qtype, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + info
    path.write_bytes(head + bytes(-len(head) % 32) + blocks.tobytes())
    with open_gguf(path) as file:
        assert file.tensors["w"].shape == (3, 2 * row.block)
        assert file.tensors["w"].nbytes == blocks.nbytes == len(file.data("w"))


def test_version_2_is_read(tmp_path):
    raw = bytearray(write(tmp_path / "m.gguf", lambda w: w.add_uint32("k", 5)).read_bytes())
    raw[4:8] = struct.pack("<I", 2)
    (tmp_path / "two.gguf").write_bytes(raw)
    with open_gguf(tmp_path / "two.gguf") as file:
        assert file.version == 2
        assert file.metadata["k"] == 5


def test_big_endian_is_named_and_refused(tmp_path):
    path = write(
        tmp_path / "m.gguf",
        lambda w: w.add_tensor("w", np.ones(8, np.float32)),
        endianess=gguf.GGUFEndian.BIG,
    )
    with pytest.raises(
        FormatError, match=r"version: .*little-endian, got version 3 in a big-endian"
    ):
        open_gguf(path)


def test_version_1_is_named_and_refused(tmp_path):
    with pytest.raises(FormatError, match=r"version: expected 2 or 3.*got 1, an early version"):
        open_gguf(raw_file(tmp_path / "m.gguf", version=1))


def test_withdrawn_type_is_named(tmp_path):
    info = text("w") + struct.pack("<IQIQ", 1, 32, 31, 0)
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + info + bytes(64))
    with pytest.raises(FormatError, match=r"tensor 'w' type: .*q4_0_4_4, withdrawn"):
        open_gguf(path)


def test_real_model_equals_the_package(smollm2_path):
    reader = gguf.GGUFReader(smollm2_path)
    with open_gguf(smollm2_path) as file:
        fields = {k: f for k, f in reader.fields.items() if not k.startswith("GGUF.")}
        assert list(file.metadata) == list(fields)
        for key, field in fields.items():
            expected = field.contents()
            expected = tuple(expected) if isinstance(expected, list) else expected
            assert file.metadata[key] == expected, key
        assert list(file.tensors) == [tensor.name for tensor in reader.tensors]
        for tensor in reader.tensors:
            info = file.tensors[tensor.name]
            assert info.dtype == tensor.tensor_type.name.lower()
            assert info.shape == tuple(reversed(tensor.shape.tolist()))
            assert (info.offset, info.nbytes) == (tensor.data_offset, tensor.n_bytes)


def test_tensor_borrows_from_the_map(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    qtype = gguf.GGMLQuantizationType.Q4_1
    blocks = gguf.quants.quantize(np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32), qtype)

    def fill(writer):
        writer.add_tensor("plain", array)
        writer.add_tensor("blocks", blocks, raw_dtype=qtype)

    with open_gguf(write(tmp_path / "m.gguf", fill)) as file:
        start = np.frombuffer(file.buffer, np.uint8).ctypes.data
        plain, quantised = file.tensor("plain"), file.tensor("blocks")
        assert plain.data_ptr() == start + file.tensors["plain"].offset
        assert quantised.data_ptr() == start + file.tensors["blocks"].offset
    np.testing.assert_array_equal(plain.numpy(), array)
    assert (quantised.shape, quantised.dtype.name) == ((2, 32), "q4_1")
    expected = gguf.quants.dequantize(blocks, qtype)
    np.testing.assert_allclose(quantised.to("f32").numpy(), expected, rtol=1e-6)


def test_types_agree_with_the_dtype_table():
    from tallow.dtype import DTYPES

    table = {dtype.name: (dtype.block, dtype.itemsize) for dtype in DTYPES}
    known = {row.name: (row.block, row.size) for row in GGML_TYPES.values() if row.name in table}
    assert known.items() <= table.items()
    assert GGML_TYPES.keys() - {41, 42} <= {
        kind for kind, row in GGML_TYPES.items() if row.name in table
    }, "only q1_0 and q2_0 have no dtype yet"
