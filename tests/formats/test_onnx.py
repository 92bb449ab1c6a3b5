"""ONNX files read: every element type raw and typed, sparse, attributes, what is refused."""

import gc
import struct

import numpy as np
import pytest

import tallow as tl
from formats import onnx_bytes as make
from formats.protobuf_bytes import number, sized, tag, varint
from tallow.errors import FormatError
from tallow.formats.onnx import Reference, SparseTensor, open_onnx
from tallow.formats.onnx.types import CODES, TYPES

HALVES = [0x3C00, 0xC000]  # 1, -2 as f16
# By type: the field and its numbers, the elements' bytes, the elements.
TYPED = {
    "float": ("float_data", [1.5, -2], struct.pack("<2f", 1.5, -2), [1.5, -2]),
    "double": ("double_data", [1.5, -2], struct.pack("<2d", 1.5, -2), [1.5, -2]),
    "uint8": ("int32_data", [1, 255], b"\x01\xff", [1, 255]),
    "int8": ("int32_data", [1, -2], b"\x01\xfe", [1, -2]),
    "uint16": ("int32_data", [1, 65535], struct.pack("<2H", 1, 65535), [1, 65535]),
    "int16": ("int32_data", [1, -2], struct.pack("<2h", 1, -2), [1, -2]),
    "int32": ("int32_data", [1, -2], struct.pack("<2i", 1, -2), [1, -2]),
    "int64": ("int64_data", [1, -2], struct.pack("<2q", 1, -2), [1, -2]),
    "uint32": ("uint64_data", [1, 2**32 - 1], struct.pack("<2I", 1, 2**32 - 1), [1, 2**32 - 1]),
    "uint64": ("uint64_data", [1, 2**64 - 1], struct.pack("<2Q", 1, 2**64 - 1), [1, 2**64 - 1]),
    "bool": ("int32_data", [1, 0], b"\x01\x00", [True, False]),
    "float16": ("int32_data", HALVES, struct.pack("<2H", *HALVES), [1, -2]),
    "bfloat16": ("int32_data", [0x3F80, 0xC000], struct.pack("<2H", 0x3F80, 0xC000), [1, -2]),
    "complex64": ("float_data", [1, -2, 3, 4], struct.pack("<4f", 1, -2, 3, 4), [1 - 2j, 3 + 4j]),
    "complex128": ("double_data", [1, -2, 3, 4], struct.pack("<4d", 1, -2, 3, 4), [1 - 2j, 3 + 4j]),
    "float8e4m3fn": ("int32_data", [0x38, 0xC0], b"\x38\xc0", [1, -2]),
    "float8e4m3fnuz": ("int32_data", [0x40, 0xC8], b"\x40\xc8", [1, -2]),
    "float8e5m2": ("int32_data", [0x3C, 0xC0], b"\x3c\xc0", [1, -2]),
    "float8e5m2fnuz": ("int32_data", [0x40, 0xC4], b"\x40\xc4", [1, -2]),
    "float8e8m0": ("int32_data", [0x7F, 0x80], b"\x7f\x80", [1, 2]),
    "uint4": ("int32_data", [0xF1, 0x02], b"\xf1\x02", [1, 15, 2]),
    "int4": ("int32_data", [0xF1, 0x08], b"\xf1\x08", [1, -1, -8]),
    "float4e2m1": ("int32_data", [0xC2, 0x01], b"\xc2\x01", [1, -2, 0.5]),
    "float6e2m3": ("int32_data", [8, 0x30, 4, 0x3F], b"\x08\x4c\xfc", [1, -2, 0.5, -7.5]),
    "float6e3m2": ("int32_data", [12, 0x30, 8], b"\x0c\x8c\x00", [1, -2, 0.5]),
    "uint2": ("int32_data", [0xE4, 0x01], b"\xe4\x01", [0, 1, 2, 3, 1]),
    "int2": ("int32_data", [0xE4, 0x02], b"\xe4\x02", [0, 1, -2, -1, -2]),
    "string": ("string_data", ["é", ""], None, ["é", ""]),
}


def read(*tensors, **more):
    return open_onnx(make.model(make.graph(tensors=tensors, **more))).graph.initializers


def numbers(value):
    if isinstance(value, tl.Tensor):
        return (value.to(tl.f32) if value.dtype.name.startswith("f8") else value).tolist()
    if value.dtype == object or value.dtype.kind == "c":
        return value.tolist()
    return [float(each) for each in value]


@pytest.mark.parametrize("name", [row.name for row in TYPES.values()])
def test_elements_of_every_type_typed_and_raw(name):
    field, given, raw, wanted = TYPED[name]
    code, dims = CODES[name], (len(wanted),)
    found = [*read(make.tensor("typed", code, dims, **{field: given})).values()]
    if raw is not None:
        found += read(make.tensor("raw", code, dims, raw)).values()
        assert bytes(found[0].data) == bytes(found[1].data) == raw
    for each in found:
        value = each.value()
        assert tuple(value.shape) == dims and numbers(value) == wanted
        if TYPES[code].dtype is not None:
            assert value.dtype.name == TYPES[code].dtype


@pytest.mark.parametrize("name", [row.name for row in TYPES.values()])
def test_scalars_and_empty_tensors_of_every_type(name):
    field, given, _, wanted = TYPED[name]
    code = CODES[name]
    one = given[: 2 if name.startswith("complex") else 1]
    found = read(
        make.tensor("one", code, (), **{field: one}), make.tensor("empty", code, (0, 3))
    )  # fmt: skip
    value = found["one"].value()
    assert tuple(value.shape) == () and numbers(value.reshape(-1))[:1] == wanted[:1]
    assert tuple(found["empty"].value().shape) == (0, 3)


def test_initialisers_are_views_of_the_mapped_file(tmp_path):
    wanted = np.arange(1 << 16, dtype="float32")
    for shift in range(4):  # one of them lies at an address for floats, the others are copied
        raw = make.tensor("w", 1, (1 << 16,), wanted.tobytes())
        pad = sized(10, "x" * (4 + shift))
        path = tmp_path / f"{shift}.onnx"
        path.write_bytes(make.model(sized(10, "") + pad + make.graph(tensors=[raw])))
        with open_onnx(path) as file:
            stored = file.graph.initializers["w"]
            assert np.shares_memory(
                np.frombuffer(stored.data, "u1"), np.frombuffer(file._map.buffer, "u1")
            )
            value = stored.value()
            start = np.frombuffer(stored.data, "u1").ctypes.data
            shares = value.numpy().ctypes.data == start
            assert shares == (start % 4 == 0)
            assert (value.numpy() == wanted).all()
        assert (value.numpy() == wanted).all()  # also when the file has been closed


def test_sparse_initialisers_are_dense_tensors():
    values = make.tensor("w", 1, (2,), struct.pack("<2f", 1.5, -2))
    flat = make.sparse(values, make.ints(1, 5), (2, 3))
    pairs = make.tensor("", 7, (2, 2), struct.pack("<4q", 0, 1, 1, 2))
    texts = make.sparse(
        make.tensor("s", 8, (1,), string_data=["é"]), make.ints(2), (3,)
    )  # fmt: skip
    for indices in (flat, make.sparse(values, pairs, (2, 3))):
        found = open_onnx(make.model(make.graph(sparse_tensors=[indices, texts]))).graph
        assert isinstance(found.initializers["w"], SparseTensor)
        assert found.initializers["w"].value().tolist() == [[0, 1.5, 0], [0, 0, -2]]
        assert found.initializers["s"].value().tolist() == ["", "", "é"]


def test_attributes_of_every_kind():
    small = make.tensor("", 7, (1,), int64_data=[5])
    given = [
        make.attribute("f", 1.5), make.attribute("i", -3), make.attribute("s", "é"),
        make.attribute("t", small), make.attribute("ints", [1, -1]),
        make.attribute("g", (6, make.graph(outputs=["o"]))),
        make.attribute("no ints", [], 7), make.attribute("no floats", [], 6),
        sized(1, "untyped") + number(3, 7),
        sized(1, "zero") + number(20, 1),
        make.attribute("sparse", (22, make.sparse(small, make.ints(1), (2,)))),
        sized(1, "strings") + sized(9, "a") + sized(9, b"\xff") + number(20, 8),
        make.attribute("ref", (21, "outer"), 2),
        sized(1, "tensors") + sized(10, small) * 2 + number(20, 9),
        sized(1, "type") + sized(14, sized(4, sized(1, sized(1, number(1, 7))))) + number(20, 13),
    ]  # fmt: skip
    (found,) = open_onnx(make.model(make.graph([make.node("Op", attributes=given)]))).graph.nodes
    plain = {n: v for n, v in found.attributes.items() if isinstance(v, int | float | str)}
    assert plain == {"f": 1.5, "i": -3, "s": "é", "untyped": 7, "zero": 0.0}
    got = found.attributes
    assert got["t"].value().tolist() == [5] and got["ints"] == [1, -1]
    assert got["g"].outputs[0].name == "o" and got["no ints"] == got["no floats"] == []
    assert got["sparse"].value().tolist() == [0, 5] and got["strings"] == ["a", "\udcff"]
    assert got["ref"] == Reference("outer") and len(got["tensors"]) == 2
    assert got["type"].kind == "sequence" and got["type"].element.elem_type == 7


def test_what_a_model_says():
    more = sized(14, sized(1, "k") + sized(2, "v")) + sized(20, sized(1, b"training"))
    graph = make.graph(
        [make.node("Add", "xw", domain="ai.onnx")], [make.info("x", 1, ("n", 0, 3))], ["y"],
        [make.tensor("w", 1, (), float_data=[1])], infos=[make.info("z", 7, ())],
    )  # fmt: skip
    graph += sized(14, sized(1, "w"))  # quantization_annotation
    raw = make.model(graph, opsets={"ai.onnx": 13, "unused": 7}, more=more)
    with open_onnx(raw) as file:
        assert file.opsets == {"": 13, "unused": 7} and file.metadata == {"k": "v"}
        assert file.ir_version == 10 and file.producer == "by hand"
        assert file.graph.nodes[0].domain == ""
        assert file.graph.inputs[0].type.shape == ("n", 0, 3)
        assert [*file.graph.value_infos] == ["z"] and file.graph.value_infos["z"].type.shape == ()


@pytest.mark.parametrize("version", range(3, 15))
def test_versions_of_the_format(version):
    assert open_onnx(make.model(make.graph(), ir=version)).ir_version == version


@pytest.mark.parametrize("version", [-1, 0, 2, 15])
def test_other_versions_of_the_format(version):
    with pytest.raises(FormatError, match=rf"ir_version: expected 3 to 14, got {version}"):
        open_onnx(make.model(make.graph(), ir=version))


def test_raw_data_of_more_than_2_gb(tmp_path):
    size = (1 << 31) + 8
    tensor = make.tensor("w", 2, (size,)) + tag(9, 2) + varint(size)
    graph = tag(5, 2) + varint(len(tensor) + size) + tensor
    path = tmp_path / "large.onnx"
    with path.open("wb") as out:
        out.write(make.model() + tag(7, 2) + varint(len(graph) + size) + graph)
        out.seek(size - 1, 1)
        out.write(b"\x07")
    with open_onnx(path) as file:
        stored = file.graph.initializers["w"]
        assert stored.shape == (size,) and stored.value()[-1].item() == 7


@pytest.mark.parametrize("name", ["float", "int4", "string"])
def test_as_many_axes_as_tensors_may_have(name):
    shape = (1,) * 12
    given = make.tensor("w", CODES[name], shape, **{TYPED[name][0]: TYPED[name][1][:1]})
    assert tuple(read(given)["w"].value().shape) == shape
    assert tl.zeros(shape).shape == shape
    with pytest.raises(tl.errors.ShapeError):
        tl.zeros((*shape, 1))


def test_the_collector_rests_only_while_a_file_is_read():
    assert gc.isenabled()
    with pytest.raises(FormatError):
        open_onnx(b"\xff")
    assert gc.isenabled()
    gc.disable()
    try:
        open_onnx(make.model(make.graph()))
        assert not gc.isenabled()
    finally:
        gc.enable()
