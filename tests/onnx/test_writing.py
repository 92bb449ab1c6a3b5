"""What the writer of ONNX files writes is what the reader reads, and what onnx's checker takes."""

from __future__ import annotations

import io

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError, FormatError
from tallow.formats.onnx import Function, Graph, Node, Reference, ValueInfo, ValueType, open_onnx
from tallow.formats.onnx.tensors import StoredTensor
from tallow.formats.onnx.types import OF_DTYPE
from tallow.formats.onnx.writing import OnnxModel, stored, write_onnx
from tallow.formats.protobuf import Field, Message, read_message
from tallow.formats.protobuf_writing import encode_message


def tensor_type(code=1, shape=("n", 3)):
    return ValueType("tensor", code, shape)


def model(weights=None, **more):
    weights = {"w": tl.arange(12, dtype=tl.f32).reshape(3, 4)} if weights is None else weights
    graph = Graph(
        "main",
        [Node("MatMul", "", "layer/MatMul", ["x", "w"], ["y"], {})],
        [ValueInfo("x", tensor_type())],
        [ValueInfo("y", tensor_type(shape=("n", 4)))],
        {name: stored(name, w) for name, w in weights.items()},
        {"h": ValueInfo("h", tensor_type(7, None))},
    )
    return OnnxModel(graph, {"": 17}, **more)


def same(found, want):
    """Graphs, nodes, functions and types by their parts; tensors by their bytes."""
    assert type(found) is type(want) or isinstance(want, tuple | list | dict)
    if isinstance(want, StoredTensor):
        assert (found.name, found.elem_type, found.shape) == (want.name, want.elem_type, want.shape)
        data = [bytes(x) for x in found.data] if want.elem_type == 8 else bytes(found.data)
        assert data == ([bytes(x) for x in want.data] if want.elem_type == 8 else bytes(want.data))
    elif hasattr(want, "__dataclass_fields__"):
        for name in want.__dataclass_fields__:
            same(getattr(found, name), getattr(want, name))
    elif isinstance(want, dict):
        assert list(found) == list(want)
        for name, value in want.items():
            same(found[name], value)
    elif isinstance(want, tuple | list):
        assert len(found) == len(want)
        for one, other in zip(found, want, strict=True):
            same(one, other)
    else:
        assert found == want


def test_a_model_is_read_as_it_was_written(tmp_path):
    wanted = model(producer="tallow", metadata={"family": "none", "ü": "ß"})
    assert write_onnx(tmp_path / "a.onnx", wanted) == [str(tmp_path / "a.onnx")]
    file = open_onnx(tmp_path / "a.onnx")
    same(file.graph, wanted.graph)
    assert (file.opsets, file.ir_version, file.producer) == ({"": 17}, 8, "tallow")
    assert file.metadata == wanted.metadata


def test_attributes_of_every_type():
    inner = Graph("inner", [], [], [ValueInfo("y", None)])
    text = StoredTensor("t", 8, (2,), [b"a", b"\xff"])
    attributes = {
        "f": 0.5, "i": -3, "s": "text", "t": stored("", tl.tensor([1, 2])), "g": inner,
        "floats": [0.25, -1.0], "ints": [1, -1, 1 << 40], "strings": ["a", ""], "tensors": [text],
        "graphs": [inner, inner], "tp": ValueType("sequence", element=tensor_type()),
        "tps": [
            ValueType("map", 7, element=tensor_type()), ValueType("optional", element=tensor_type())
        ],
    }  # fmt: skip
    node = Node("Custom", "my.domain", "n", ["", "x"], ["y", ""], attributes, "over")
    graph = Graph("g", [node], [], [])
    body = Node("Foo", "", "", ["a"], ["b"], {"alpha": Reference("alpha")})
    function = Function("F", "my", "", ["a"], ["b"], {"alpha": ..., "beta": 2}, [body], {"": 18})
    made = io.BytesIO()
    assert write_onnx(made, OnnxModel(graph, {"": 18, "my": 1}, functions=[function])) == []
    file = open_onnx(made.getvalue())
    same(file.graph, graph)
    same(file.functions, [function])


@pytest.mark.parametrize("dtype", sorted(OF_DTYPE))
def test_every_dtype_comes_back(dtype):
    x = tl.tensor([[0, 1, 0], [1, 1, 0]]).to(dtype)
    graph = Graph("g", [], [], [], {"x": stored("x", x.transpose(0, 1))})
    made = io.BytesIO()
    write_onnx(made, OnnxModel(graph, {"": 21}))
    found = open_onnx(made.getvalue()).graph.initializers["x"].value()
    assert found.dtype is x.dtype
    assert bytes(found._array.raw_bytes()) == bytes(x.t().contiguous()._array.raw_bytes())


@pytest.mark.parametrize(
    ("kind", "values"),
    {
        "int64": [0, 1, -1, 1 << 62, -(1 << 63)], "int32": [5, -5], "uint64": [(1 << 64) - 1, 0],
        "sint64": [0, -1, 1, -(1 << 63)], "float": [0.5, -2.0], "double": [1e300],
        "fixed64": [7], "bool": [1, 0],
    }.items(),
)  # fmt: skip
def test_numbers_of_every_kind(kind, values):
    table = Message("M", {3: Field("one", kind), 900: Field("many", kind, repeated=True)})
    for value in values:
        made = b"".join(encode_message({"one": value, "many": values}, table).parts)
        found = read_message(made, table, "m")
        assert found["one"] == value
        assert list(found["many"]) == values


def test_external_data_lies_beside_the_model(tmp_path):
    big, small = tl.arange(300_000, dtype=tl.f32), tl.arange(3, dtype=tl.i64)
    other = tl.arange(700, dtype=tl.f32)
    steps = []
    wanted = model({"big": big, "small": small, "other": other})
    paths = write_onnx(
        tmp_path / "a.onnx", wanted, external_data=True, progress=lambda *s: steps.append(s)
    )
    assert paths == [str(tmp_path / "a.onnx"), str(tmp_path / "a.onnx.data")]
    assert (tmp_path / "a.onnx.data").stat().st_size == 4 * (300_000 + 700)
    assert (tmp_path / "a.onnx").stat().st_size < 1000
    assert steps[-1][0] == steps[-1][1] == sum((tmp_path / p).stat().st_size for p in paths)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.onnx", "a.onnx.data"]


@pytest.mark.needs_formats
def test_onnx_reads_external_data(tmp_path):
    import onnx

    weights = {"big": tl.arange(300_000, dtype=tl.f32), "w": tl.ones(3, 4), "s": tl.ones(400)}
    write_onnx(tmp_path / "a.onnx", model(weights), external_data=True)
    onnx.checker.check_model(str(tmp_path / "a.onnx"), full_check=True)
    loaded = onnx.load(tmp_path / "a.onnx")
    for each in loaded.graph.initializer:
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(each), weights[each.name].numpy())


@pytest.mark.needs_formats
def test_the_checker_takes_what_is_written():
    import onnx

    made = io.BytesIO()
    write_onnx(made, model(producer="tallow", metadata={"a": "b"}))
    onnx.checker.check_model(onnx.load_from_string(made.getvalue()), full_check=True)


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.onnx"
    write_onnx(path, model())
    before = path.read_bytes()

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_onnx(path, model({"w": tl.zeros(3, 4)}), progress=stop)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"True, False or 'auto', got 'yes'"):
        write_onnx(tmp_path / "a.onnx", model(), external_data="yes")
    with pytest.raises(ArgumentError, match="a path, beside which external data lies"):
        write_onnx(io.BytesIO(), model(), external_data=True)
    with pytest.raises(ArgumentError, match="binary mode"):
        write_onnx(io.StringIO(), model())
    with pytest.raises(FormatError, match="missing"):
        write_onnx(tmp_path / "missing" / "a.onnx", model())
    with pytest.raises(ArgumentError, match="a dtype that ONNX has, got q8_0 of 'w'"):
        stored("w", tl.zeros(2, 32).to("q8_0"))
    bad = Graph("g", [Node("A", "", "", [], [], {"x": object()})], [], [])
    with pytest.raises(ArgumentError, match="attribute 'x' of a type of ONNX"):
        write_onnx(io.BytesIO(), OnnxModel(bad, {"": 17}))
