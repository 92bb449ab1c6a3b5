"""What an ONNX file says and cannot be: each one error with the part and the two values."""

import re
import struct

import pytest

from formats import onnx_bytes as make
from formats.protobuf_bytes import number, sized
from tallow.errors import FormatError
from tallow.formats.onnx import open_onnx

TWO = make.tensor("w", 1, (2,), struct.pack("<2f", 1, 2))


def initialiser(*tensors):
    return make.model(make.graph(tensors=tensors))


def sparse(*parts):
    return make.model(make.graph(sparse_tensors=[make.sparse(*parts)]))


def op(*attributes):
    return make.model(make.graph([make.node("Op", name="n", attributes=attributes)]))


def nested(depth):
    inner = make.graph()
    for _ in range(depth):
        inner = make.graph([make.node("If", attributes=[make.attribute("b", (6, inner))])])
    return inner


REFUSED = {
    "an empty message": (number(5, 1), "ModelProto.ir_version: expected 3 to 14, got none"),
    "no graph": (make.model(), "ModelProto.graph: expected a graph, got none"),
    "a web page": (b"<!doctype html><html>", "a web page"),
    "versions that disagree": (
        make.model(make.graph(), opsets={"": 13, "ai.onnx": 14}),
        "ModelProto.opset_import of 'ai.onnx': expected one version, got 13 and 14",
    ),
    "an unknown type": (
        initialiser(make.tensor("w", 99, (2,), bytes(8))),
        "initializer 'w' data_type: expected a type of ONNX, got 99",
    ),
    "no type": (initialiser(make.tensor("w", 0, (), b"")), "data_type: expected a type of ONNX"),
    "fewer bytes": (
        initialiser(make.tensor("w", 1, (3,), bytes(8))),
        "initializer 'w': expected 12 bytes for (3,), got 8",
    ),
    "more bytes": (initialiser(make.tensor("w", 1, (1,), bytes(8))), "expected 4 bytes for (1,)"),
    "fewer numbers": (
        initialiser(make.tensor("w", 7, (3,), int64_data=[1])), "expected 24 bytes for (3,), got 8",
    ),
    "numbers in another field": (
        initialiser(make.tensor("w", 1, (1,), int64_data=[1])), "expected 4 bytes for (1,), got 0",
    ),
    "fewer strings": (
        initialiser(make.tensor("w", 8, (2, 2), string_data=["a"])),
        "expected 4 strings for (2, 2), got 1",
    ),
    "elements of 4 bits too many": (
        initialiser(make.tensor("w", 22, (3,), bytes(3))), "expected 2 bytes for (3,), got 3",
    ),
    "a negative length": (
        initialiser(make.tensor("w", 1, (-1,), b"")),
        "dims: expected lengths of a tensor, got (-1,)",
    ),
    "more than the file": (
        initialiser(make.tensor("w", 1, (1 << 40,), bytes(8))), "expected 4398046511104 bytes",
    ),
    "more than there is": (
        initialiser(make.tensor("w", 1, (1 << 40, 1 << 40), b"")), "dims: expected lengths",
    ),
    "long axes of nothing": (
        initialiser(make.tensor("w", 1, (1 << 62, 0, 1 << 62), b"")), "dims: expected lengths",
    ),
    "too many axes": (initialiser(make.tensor("w", 1, (1,) * 65, bytes(4))), "dims: expected"),
    "a name twice": (
        initialiser(TWO, TWO), "graph 'g' initializer: expected names of their own, got 'w'",
    ),
    "a name twice, once sparse": (
        make.model(make.graph(
            tensors=[TWO], sparse_tensors=[make.sparse(TWO, make.ints(0, 1), (2,))]
        )),
        "expected names of their own, got 'w'",
    ),
    "no name": (initialiser(make.tensor("", 1, (), bytes(4))), "names of their own, got ''"),
    "places outside": (
        sparse(TWO, make.ints(0, 6), (2, 3)), "indices: expected places of (2, 3), got 6",
    ),
    "negative places": (sparse(TWO, make.ints(-1, 5), (2, 3)), "places of (2, 3), got -1"),
    "places in no order": (sparse(TWO, make.ints(3, 1), (2, 3)), "indices: expected ascending"),
    "a place twice": (sparse(TWO, make.ints(1, 1), (2, 3)), "indices: expected ascending ones"),
    "fewer places": (sparse(TWO, make.ints(1), (2, 3)), "indices: expected indices of shape (2,)"),
    "places of another type": (
        sparse(TWO, make.tensor("", 6, (2,), bytes(8)), (2, 3)), "expected int64, got int32",
    ),
    "an index outside": (
        sparse(TWO, make.tensor("", 7, (2, 2), struct.pack("<4q", 0, 1, 0, 3)), (2, 3)),
        "expected below 3 on axis 1",
    ),
    "sparse and huge": (
        sparse(TWO, make.ints(0, 1), (1 << 20, 1 << 20)),
        "initializer 'w': expected a sparse tensor that is small enough to be read as a dense one",
    ),
    "many that are sparse": (
        make.model(make.graph(sparse_tensors=[
            make.sparse(make.tensor(f"w{n}", 1, (0,)), make.ints(), (1 << 20,)) for n in range(99)
        ])), "small enough",
    ),
    "sparse of 4 bits": (
        sparse(make.tensor("w", 21, (2,), b"\x11"), make.ints(0, 1), (4,)), "got sparse uint4",
    ),
    "an attribute twice": (
        op(*[make.attribute("a", 1)] * 2),
        "node 'n' (Op): expected attributes once each, got 'a'",
    ),
    "an attribute of no kind": (
        op(make.attribute("a", 1, 77)),
        "node 'n' (Op) attribute 'a': expected a value of its type, got none of type 77",
    ),
    "an attribute without its tensor": (
        op(make.attribute("a", 1, 4)),
        "attribute 'a': expected a value of its type, got none of type 4",
    ),
    "a bad tensor in an attribute": (
        op(make.attribute("a", make.tensor("", 1, (2,), b""))),
        "node 'n' (Op) attribute 'a': expected 8 bytes for (2,), got 0",
    ),
    "graphs in graphs": (make.model(nested(40)), "at most 100 messages in one another"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    raw, text = REFUSED[name]
    with pytest.raises(FormatError, match=re.escape(text)) as caught:
        open_onnx(raw)
    assert len(str(caught.value)) < 300


def test_infos_of_values_are_read_when_they_are_asked_for():
    file = open_onnx(make.model(make.graph(infos=[sized(1, "x", 9)])))
    with pytest.raises(FormatError, match=r"ValueInfoProto\.name"):
        len(file.graph.value_infos)


def test_graphs_in_graphs_up_to_what_protobuf_allows():
    graph, depth = open_onnx(make.model(nested(32))).graph, 0
    while graph.nodes:
        graph, depth = graph.nodes[0].attributes["b"], depth + 1
    assert depth == 32
