"""ONNX files, one fault each, as the reader tells them; the importer's are in onnx_graphs."""

import contextlib
import struct

import ml_dtypes  # noqa: F401  not while memory is counted

from formats import onnx_bytes as make
from formats.protobuf_bytes import number, sized, tag, varint
from tallow.formats.onnx import Graph, StoredTensor, open_onnx

MULTIPLE = 400  # an empty node is 2 bytes in the file and an object with lists in use
MEMORY = 18 << 20  # sparse tensors are read as dense ones

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


FAULTS = {
    "an-empty-message": (
        number(5, 1),
        'ModelProto.ir_version', 'expected 3 to 14, got none (no ONNX model?)',
    ),
    "no-graph": (
        make.model(),
        'ModelProto.graph', 'expected a graph, got none',
    ),
    "a-web-page": (
        b"<!doctype html><html>",
        'file', 'expected weights, got a web page',
    ),
    "versions-that-disagree": (
        make.model(make.graph(), opsets={"": 13, "ai.onnx": 14}),
        "ModelProto.opset_import of 'ai.onnx'", 'expected one version, got 13 and 14',
    ),
    "an-unknown-type": (
        initialiser(make.tensor("w", 99, (2,), bytes(8))),
        "initializer 'w' data_type", 'expected a type of ONNX, got 99',
    ),
    "no-type": (
        initialiser(make.tensor("w", 0, (), b"")),
        "initializer 'w' data_type", 'expected a type of ONNX, got 0',
    ),
    "fewer-bytes": (
        initialiser(make.tensor("w", 1, (3,), bytes(8))),
        "initializer 'w'", 'expected 12 bytes for (3,), got 8',
    ),
    "more-bytes": (
        initialiser(make.tensor("w", 1, (1,), bytes(8))),
        "initializer 'w'", 'expected 4 bytes for (1,), got 8',
    ),
    "fewer-numbers": (
        initialiser(make.tensor("w", 7, (3,), int64_data=[1])),
        "initializer 'w'", 'expected 24 bytes for (3,), got 8',
    ),
    "numbers-in-another-field": (
        initialiser(make.tensor("w", 1, (1,), int64_data=[1])),
        "initializer 'w'", 'expected 4 bytes for (1,), got 0',
    ),
    "fewer-strings": (
        initialiser(make.tensor("w", 8, (2, 2), string_data=["a"])),
        "initializer 'w'", 'expected 4 strings for (2, 2), got 1',
    ),
    "elements-of-4-bits-too-many": (
        initialiser(make.tensor("w", 22, (3,), bytes(3))),
        "initializer 'w'", 'expected 2 bytes for (3,), got 3',
    ),
    "a-negative-length": (
        initialiser(make.tensor("w", 1, (-1,), b"")),
        "initializer 'w' dims", 'expected lengths of a tensor, got (-1,)',
    ),
    "more-than-the-file": (
        initialiser(make.tensor("w", 1, (1 << 40,), bytes(8))),
        "initializer 'w'", 'expected 4398046511104 bytes for (1099511627776,), got 8',
    ),
    "more-than-there-is": (
        initialiser(make.tensor("w", 1, (1 << 40, 1 << 40), b"")),
        "initializer 'w' dims", 'expected lengths of a tensor, got (1099511627776,',
    ),
    "long-axes-of-nothing": (
        initialiser(make.tensor("w", 1, (1 << 62, 0, 1 << 62), b"")),
        "initializer 'w' dims", 'expected lengths of a tensor, got (4611686018427387904, 0',
    ),
    "too-many-axes": (
        initialiser(make.tensor("w", 1, (1,) * 13, bytes(4))),
        "initializer 'w' dims",
        "expected at most 12, got 13",
    ),
    "a-name-twice": (
        initialiser(TWO, TWO),
        "graph 'g' initializer", "expected names of their own, got 'w'",
    ),
    "a-name-twice-once-sparse": (
        make.model(make.graph(
            tensors=[TWO], sparse_tensors=[make.sparse(TWO, make.ints(0, 1), (2,))]
        )),
        "graph 'g' initializer", "expected names of their own, got 'w'",
    ),
    "no-name": (
        initialiser(make.tensor("", 1, (), bytes(4))),
        "graph 'g' initializer", "expected names of their own, got ''",
    ),
    "places-outside": (
        sparse(TWO, make.ints(0, 6), (2, 3)),
        "initializer 'w' indices", 'expected places of (2, 3), got 6',
    ),
    "negative-places": (
        sparse(TWO, make.ints(-1, 5), (2, 3)),
        "initializer 'w' indices", 'expected places of (2, 3), got -1',
    ),
    "places-in-no-order": (
        sparse(TWO, make.ints(3, 1), (2, 3)),
        "initializer 'w' indices", 'expected ascending ones, got others',
    ),
    "a-place-twice": (
        sparse(TWO, make.ints(1, 1), (2, 3)),
        "initializer 'w' indices", 'expected ascending ones, got others',
    ),
    "fewer-places": (
        sparse(TWO, make.ints(1), (2, 3)),
        "initializer 'w' indices", 'expected indices of shape (2,) or (2, 2) for',
    ),
    "places-of-another-type": (
        sparse(TWO, make.tensor("", 6, (2,), bytes(8)), (2, 3)),
        "initializer 'w' indices", 'expected int64, got int32',
    ),
    "an-index-outside": (
        sparse(TWO, make.tensor("", 7, (2, 2), struct.pack("<4q", 0, 1, 0, 3)), (2, 3)),
        "initializer 'w' indices", 'expected below 3 on axis 1, got others',
    ),
    "sparse-and-huge": (
        sparse(TWO, make.ints(0, 1), (1 << 20, 1 << 20)),
        "initializer 'w'", 'expected a sparse tensor that is small enough',
    ),
    "many-that-are-sparse": (
        make.model(make.graph(sparse_tensors=[
            make.sparse(make.tensor(f"w{n}", 1, (0,)), make.ints(), (1 << 20,)) for n in range(99)
        ])),
        "initializer 'w4'", 'expected a sparse tensor that is small enough',
    ),
    "sparse-of-4-bits": (
        sparse(make.tensor("w", 21, (2,), b"\x11"), make.ints(0, 1), (4,)),
        "initializer 'w'", 'expected elements of whole bytes, got sparse uint4',
    ),
    "an-attribute-twice": (
        op(*[make.attribute("a", 1)] * 2),
        "node 'n' (Op)", "expected attributes once each, got 'a'",
    ),
    "an-attribute-of-no-kind": (
        op(make.attribute("a", 1, 77)),
        "node 'n' (Op) attribute 'a'", 'expected a value of its type, got none of type 77',
    ),
    "an-attribute-without-its-tensor": (
        op(make.attribute("a", 1, 4)),
        "node 'n' (Op) attribute 'a'", 'expected a value of its type, got none of type 4',
    ),
    "a-bad-tensor-in-an-attribute": (
        op(make.attribute("a", make.tensor("", 1, (2,), b""))),
        "node 'n' (Op) attribute 'a'", 'expected 8 bytes for (2,), got 0',
    ),
    "graphs-in-graphs": (
        make.model(nested(40)),
        'NodeProto', 'expected at most 100 messages in one another, got more',
    ),
    "tag-0": (make.model(make.graph(), more=b"\0\0"), "ModelProto", "expected a field of protobuf"),
    "length-beyond-file": (
        make.model(more=sized(7, b"", 1000)), "ModelProto.graph", "expected 1000 bytes, got 0",
    ),
    "length-all-ones": (
        make.model(more=sized(7, b"", 2**64 - 1)), "ModelProto.graph", "got 0 bytes left",
    ),
    "raw-data-beyond-its-tensor": (
        initialiser(make.tensor("w", 2, (9,)) + sized(9, b"abc", 9)),
        "TensorProto.raw_data", "expected 9 bytes, got 3",
    ),
    "floats-of-3-bytes": (
        initialiser(make.tensor("w", 1, (1,)) + sized(4, b"abc")),
        "TensorProto.float_data", "expected numbers of 4 bytes, got 3",
    ),
    "dims-without-end": (
        initialiser(tag(1, 2) + varint(2) + b"\xff\xff"), "TensorProto.dims", "expected a number",
    ),
    "name-not-utf8": (
        op(sized(1, b"\xff")), "AttributeProto.name", "expected UTF-8",
    ),
    "sparse-without-values": (
        make.model(make.graph(sparse_tensors=[number(3, 4)])),
        "initializer '' data_type", "expected a type of ONNX, got 0",
    ),
    "sparse-without-indices": (
        make.model(make.graph(sparse_tensors=[sized(1, TWO) + number(3, 4)])),
        "initializer 'w' indices data_type", "expected a type of ONNX, got 0",
    ),
    "external-beside-bytes-of-another": (
        initialiser(make.external("w", 1, (2,), location="../../secret")),
        "initializer 'w' location", "expected",
    ),
    "external-that-is-missing": (
        initialiser(make.external("w", 1, (2,), location="none.bin")),
        "initializer 'w'", "expected",
    ),
    "version-2": (make.model(make.graph(), ir=2), "ModelProto.ir_version", "got 2"),
    "version-15": (make.model(make.graph(), ir=15), "ModelProto.ir_version", "got 15"),
    "version-negative": (make.model(make.graph(), ir=-1), "ModelProto.ir_version", "got -1"),
}  # fmt: skip

# A file that ends between two fields is a shorter message: only the model's end can be told.
WHOLE = make.model(make.graph([make.node("Relu", "x", "y", name="n")], "x", "y", [TWO]))
CUTS = {f"cut-{at:03d}": (WHOLE[:-at], "ModelProto.graph") for at in (1, 2, 5, 17, 40, 60)}

CORPUS = {f"{name}.onnx": (raw, field) for name, (raw, field, _) in FAULTS.items()}
CORPUS |= {f"{name}.onnx": case for name, case in CUTS.items()}


def typed(code: int, field: str, numbers: list, count: int) -> bytes:
    return make.tensor(f"typed {code}", code, (count,), **{field: numbers})


SMALL = make.tensor("", 7, (1,), int64_data=[5])
SUB_GRAPH = make.graph([make.node("Relu", "x", "r")], (), "r", [TWO])
VALID = {
    "tensors.onnx": make.model(make.graph(
        tensors=[
            TWO, make.tensor("empty", 11, (0, 3)), make.tensor("text", 8, (2,), string_data="ab"),
            typed(7, "int64_data", [1, -2], 2), typed(13, "uint64_data", [1, 2], 2),
            typed(12, "uint64_data", [1, 2], 2), typed(11, "double_data", [1.5], 1),
            typed(14, "float_data", [1, 2], 1), typed(15, "double_data", [1, 2], 1),
            *(typed(code, "int32_data", [1, 2], 2) for code in (2, 3, 4, 5, 6, 9, 10, 16, 17, 18)),
            *(typed(code, "int32_data", [1, 2], 4) for code in (21, 22, 23)),
            typed(24, "int32_data", [127], 1), typed(25, "int32_data", [0xE4], 4),
            typed(26, "int32_data", [0xE4], 3),
        ],
        sparse_tensors=[make.sparse(make.tensor("s", 1, (1,), bytes(4)), make.ints(2), (2, 2))],
    )),
    "graphs.onnx": make.model(
        make.graph(
            [make.node("Op", "xw", "y", name="n", domain="d", overload="o", attributes=[
                make.attribute("f", 1.5), make.attribute("i", -3), make.attribute("s", "é"),
                make.attribute("t", SMALL), make.attribute("ints", [1, -1]),
                make.attribute("g", (6, SUB_GRAPH)), make.attribute("none", [], 6),
                make.attribute("sparse", (22, make.sparse(SMALL, make.ints(1), (2,)))),
            ])],
            [make.info("x", 1, ("n", 0, 3))], "y", [TWO], infos=[make.info("z", 7, ())],
        ),
        opsets={"ai.onnx": 21, "d": 1}, more=sized(14, sized(1, "k") + sized(2, "v")),
        functions=[make.function("F", "a", "b", [make.node("Relu", "a", "b")], attributes=["c"])],
    ),
}  # fmt: skip


class Opened:
    """A model with the names that it has, as the tests of the corpus ask for them."""

    def __init__(self, file) -> None:
        self.file = file

    def names(self) -> list[str]:
        return [*self.file.graph.initializers]


@contextlib.contextmanager
def open_file(source):
    with open_onnx(source) as file:
        yield Opened(file)


def touch(opened) -> None:
    file = opened.file
    repr((file.info, file.opsets, file.metadata))
    touch_graph(file.graph)
    for function in file.functions:
        repr((function.name, function.inputs, function.outputs, function.opsets))
        touch_value([*function.attributes.values()])
        touch_nodes(function.nodes)


def touch_graph(graph) -> None:
    repr((graph.name, graph.inputs, graph.outputs, [*graph.value_infos.values()]))
    touch_value([*graph.initializers.values()])
    touch_nodes(graph.nodes)


def touch_nodes(nodes) -> None:
    for node in nodes:
        repr((node.op_type, node.domain, node.name, node.inputs, node.outputs, node.overload))
        touch_value([*node.attributes.values()])


def touch_value(value) -> None:
    if isinstance(value, list):
        for each in value:
            touch_value(each)
    elif isinstance(value, Graph):
        touch_graph(value)
    elif isinstance(value, StoredTensor):
        assert tuple(value.value().shape) == value.shape
    else:
        repr(value)
