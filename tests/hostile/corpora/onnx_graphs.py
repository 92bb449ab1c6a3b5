"""ONNX graphs, one fault each, as the importer tells them: names, order, functions, operators."""

import contextlib
import struct

import ml_dtypes  # noqa: F401  not while memory is counted

from formats import onnx_bytes as make
from formats.protobuf_bytes import number, sized
from tallow.errors import FormatError, ModelError
from tallow.formats.onnx import open_onnx
from tallow.onnx.importing import import_graph
from tallow.onnx.operators import load_all

load_all()

RAISES = (FormatError, ModelError)
MULTIPLE = 1500  # a name of a byte becomes one with a prefix, and a node that knows its row
MEMORY = 96 << 20  # functions of a few bytes may come to 65,536 nodes

node, attribute, info = make.node, make.attribute, make.info
ONE = make.tensor("one", 1, (1,), float_data=[1])
YES = make.tensor("yes", 9, (), b"\1")


def graph(nodes, inputs="x", outputs="y", tensors=(), **more):
    return make.model(make.graph(nodes, inputs, outputs, tensors), **more)


def call(name, inputs="x", outputs="y", **more):
    return node(name, inputs, outputs, name=f"call {name}", domain="local", **more)


def function(name, nodes, inputs="a", outputs="b", **more):
    return make.function(name, inputs, outputs, nodes, **more)


def branches(body, other=None, *, condition="yes", output="y", name="if"):
    both = {"then_branch": body, "else_branch": other or body}
    given = [attribute(name, (6, graph)) for name, graph in both.items()]
    return node("If", [condition], [output], name=name, attributes=given)


def nested(depth, last):
    """Sub-graphs in functions in sub-graphs …, as deep as a file can say it in few levels."""
    functions = [function("F0", [node("Relu", "a", "b")])]
    for n in range(1, depth):
        body = make.graph([call(f"F{n - 1}", "a", "r")], (), "r")
        other = make.graph([], (), "a")
        functions.append(function(f"F{n}", [branches(body, other, condition="a", output="b")]))
    return graph([call(f"F{depth - 1}")], functions=functions, tensors=last)


DOUBLING = [function("F0", [node("Relu", "a", "b")])] + [
    function(f"F{n}", [call(f"F{n - 1}", "a", "t"), call(f"F{n - 1}", "t", "b")])
    for n in range(1, 40)
]
TWO_OUTPUTS = function("F", [node("Relu", "a", "b")])
BAD_BODY = make.graph([node("Relu", ["nowhere"], "r", name="inner")], (), "r")

FAULTS = {
    "undefined-input": (graph([node("Relu", ["w"], "y", name="n")]), "node 'n' (Relu)", "got 'w'"),
    "undefined-output": (graph([]), "graph 'g' outputs", "expected values that are defined"),
    "output-without-name": (graph([], outputs=[""]), "graph 'g' outputs", "got ''"),
    "undefined-in-a-sub-graph": (
        graph([branches(BAD_BODY)], tensors=[YES]), "node 'inner' (Relu)", "got 'nowhere'",
    ),
    "sub-graph-without-its-output": (
        graph([branches(make.graph((), (), ["nowhere"]))], tensors=[YES]),
        "graph 'g' outputs", "got 'nowhere'",
    ),
    "value-of-a-sub-graph-used-outside": (
        graph([branches(make.graph([node("Relu", "x", "r")], (), "r"), output="z"),
               node("Relu", "r", "y", name="n")], tensors=[YES]),
        "node 'n' (Relu)", "got 'r'",
    ),
    "cycle-of-one": (
        graph([node("Relu", "y", "y", name="n")]), "graph", "without a cycle, got 'n' → 'n'",
    ),
    "cycle": (
        graph([node("Add", "xc", "b", name="p"), node("Relu", "b", "c", name="q"),
               node("Relu", "c", "y", name="r")]),
        "graph", "got 'q' → 'p' → 'q'",
    ),
    "cycle-through-a-sub-graph": (
        graph([branches(make.graph([node("Relu", "z", "r")], (), "r"), name="p"),
               node("Relu", "y", "z", name="q")], tensors=[YES]),
        "graph", "'p'",
    ),
    "cycle-of-a-thousand": (
        graph([node("Relu", [f"v{n}"], [f"v{(n + 1) % 1000}"], name=f"n{n}") for n in range(1000)],
              outputs=["v0"]),
        "graph", "(1000 nodes)",
    ),
    "cycle-in-a-function": (
        graph([call("F")], functions=[
            function("F", [node("Add", "ac", "b"), node("Relu", "b", "c")])
        ]),
        "graph", "expected nodes without a cycle",
    ),
    "output-twice": (
        graph([node("Relu", "x", "y"), node("Relu", "x", "y", name="n")]),
        "node 'n' (Relu)", "expected a new name for each value, got 'y'",
    ),
    "output-twice-of-one-node": (
        graph([node("Split", "x", "yy", name="n")]), "node 'n' (Split)", "a new name",
    ),
    "output-that-is-an-input": (
        graph([node("Relu", "x", "x", name="n")], outputs="x"), "node 'n' (Relu)", "got 'x'",
    ),
    "output-that-is-an-initialiser": (
        graph([node("Relu", "x", ["one"], name="n")], tensors=[ONE]),
        "node 'n' (Relu)", "got 'one'",
    ),
    "input-twice": (graph([], "xx", "x"), "graph 'g' inputs", "got 'x'"),
    "input-without-name": (graph([], [""], ()), "graph 'g' inputs", "got ''"),
    "opset-29": (
        graph([node("Relu", "x", "y", name="n")], opsets={"": 29}),
        "opset_import", "expected ai.onnx of 1 to 28, got 29 for node 'n' (Relu)",
    ),
    "opset-0": (graph([node("Relu", "x", "y")], opsets={"": 0}), "opset_import", "got none"),
    "opset-missing": (graph([node("Relu", "x", "y")], opsets={"d": 1}), "opset_import", "got none"),
    "operators-that-are-unknown": (
        graph([node("Nope", "x", "a", name="n"), node("Nope", "a", "b"),
               node("Relu", "b", "c", domain="other"), node("Relu", "c", "y")]),
        "ai.onnx.Nope of opset 21 (2 ×, first 'n'), other.Relu of opset 1 (1 ×, first without a n",
        "expected operators that Tallow has",
    ),
    "operators-unknown-in-sub-graphs": (
        graph([branches(make.graph([node("Nope", "x", "r", name="in")], (), "r"))], tensors=[YES]),
        "ai.onnx.Nope of opset 21 (2 ×, first 'in')", "expected operators",
    ),
    "operators-of-a-thousand-kinds": (
        graph([node(f"Nope{n}" * (1 if n % 10 else 99), "x", [f"v{n}"]) for n in range(1000)],
              outputs="x"),
        "960 other kinds", "expected operators",
    ),
    "attribute-that-is-unknown": (
        graph([node("Relu", "x", "y", name="n", attributes=[attribute("alpha", 1.0)])]),
        "the attribute 'alpha' of Relu (1 ×, first 'n')", "expected inputs and attributes",
    ),
    "attribute-that-is-missing": (
        graph([node("If", "x", "y", name="n")]),
        "If without its attribute 'else_branch' (1 ×, first 'n')", "expected inputs and attributes",
    ),
    "inputs-too-many": (
        graph([node("Relu", "xx", "y", name="n")]), "Relu with 2 inputs (it takes 1)", "expected",
    ),
    "inputs-too-few": (
        graph([node("Add", "x", "y", name="n")]), "Add with 1 inputs (it takes 2)", "expected",
    ),
    "constant-without-value": (
        graph([node("Constant", (), "y", name="n")]), "node 'n' (Constant)", "expected a value",
    ),
    "constant-with-two-values": (
        graph([node("Constant", (), "y", name="n",
                    attributes=[attribute("value_int", 1), attribute("value_float", 1.0)])]),
        "node 'n' (Constant)", "expected a value",
    ),
    "constant-without-output": (
        graph([node("Constant", (), [""], name="n", attributes=[attribute("value_int", 1)])]),
        "node 'n' (Constant)", "expected one output",
    ),
    "reference-outside-of-a-function": (
        graph([node("Relu", "x", "y", name="n", attributes=[attribute("a", (21, "b"))])]),
        "node 'n' (Relu)", "in functions only, got 'b'",
    ),
    "function-twice": (
        graph([], outputs="x", functions=[TWO_OUTPUTS] * 2), "functions", "names of their own",
    ),
    "function-that-calls-itself": (
        graph([call("F")], functions=[function("F", [call("F", "a", "b")])]),
        "functions", "expected none that calls itself, got 'F' → 'F'",
    ),
    "functions-in-a-ring": (
        graph([call("F")], functions=[
            function("F", [call("G", "a", "b")]), function("G", [call("H", "a", "b")]),
            function("H", [call("G", "a", "b")]),
        ]),
        "functions", "got 'G' → 'H' → 'G'",
    ),
    "functions-that-double": (
        graph([call("F39")], functions=DOUBLING), "functions", "got 1649267441663",
    ),
    "functions-in-functions": (
        graph([call("F99")], functions=[DOUBLING[0]] + [
            function(f"F{n}", [call(f"F{n - 1}", "a", "b")]) for n in range(1, 100)
        ]),
        "functions", "at most 64 functions and sub-graphs in one another",
    ),
    "functions-in-sub-graphs": (nested(40, [YES]), "functions", "at most 64 functions and sub-gra"),
    "function-with-more-inputs": (
        graph([call("F", "xx")], functions=[TWO_OUTPUTS]),
        "node 'call F' (F)", "expected at most 1 inputs, got 2",
    ),
    "function-with-more-outputs": (
        graph([call("F", "x", "yz")], functions=[TWO_OUTPUTS]),
        "node 'call F' (F)", "expected at most 1 outputs, got 2",
    ),
    "function-with-an-attribute-it-lacks": (
        graph([call("F", attributes=[attribute("a", 1)])], functions=[TWO_OUTPUTS]),
        "the attribute 'a' of 'F'", "expected inputs and attributes",
    ),
    "function-that-uses-what-is-around": (
        graph([call("F")], functions=[function("F", [node("Relu", "x", "b", name="n")])]),
        "node 'n' (Relu)", "got 'x'",
    ),
    "function-without-its-output": (
        graph([call("F")], functions=[function("F", [node("Relu", "a", "c")])]),
        "function 'F' outputs", "got 'b'",
    ),
    "function-with-an-input-twice": (
        graph([call("F", "xx")], functions=[function("F", [node("Relu", "a", "b")], "aa")]),
        "node 'call F' (F)", "a new name for each value, got 'a'",
    ),
    "function-of-an-opset-29": (
        graph([call("F")], functions=[function("F", [node("Relu", "a", "b")], opsets={"": 29})]),
        "opset_import", "expected ai.onnx of 1 to 28, got 29",
    ),
}  # fmt: skip

CORPUS = {f"{name}.onnx": (raw, field) for name, (raw, field, _) in FAULTS.items()}

LOOP = make.graph(
    [node("Add", ["state", "x"], ["next"]), node("Identity", ["go"], ["again"])],
    [info("i", 7, ()), info("go", 9, ()), info("state")], ["again", "next"],
)  # fmt: skip
BODY = make.graph(
    [node("Constant", (), "k", attributes=[attribute("value_float", 2.0)]), node("Add", "xk", "r")],
    (), "r",
)  # fmt: skip
COUNT = make.tensor("count", 7, (), struct.pack("<q", 3))
VALID = {
    "sub-graphs.onnx": graph(
        [branches(BODY, output="z"), node("Add", ["z", "one"], "y"),
         node("Loop", ["count", "yes", "y"], ["l"], attributes=[attribute("body", (6, LOOP))])],
        outputs="yl", tensors=[ONE, YES, COUNT],
    ),
    "functions.onnx": graph(
        [call("G", "x", "z", attributes=[attribute("alpha", 0.5)]), call("F", "z", "y")],
        functions=[
            function("F", [node("Relu", "a", "b")]),
            function("G", [
                call("F", "a", "c"),
                node("LeakyRelu", "c", "b", attributes=[attribute("alpha", (21, "alpha"), 1)]),
            ], attributes=["alpha"]),
        ],
    ),
    "unordered.onnx": graph(
        [node("Add", ["c", "one"], "y"), node("Relu", "b", "c"), node("Relu", "x", "b")],
        tensors=[ONE], ir=3, opsets={"": 13, "unused": 2},
        more=number(5, 1) + sized(6, "text"),
    ),
}  # fmt: skip


class Opened:
    """A graph with the names of its constants and nodes, as the tests of the corpus ask."""

    def __init__(self, graph) -> None:
        self.graph = graph

    def names(self) -> list[str]:
        return [*self.graph.constants, *(name for n in self.graph.nodes for name in n.outputs)]


@contextlib.contextmanager
def open_file(source):
    with open_onnx(source) as file:
        yield Opened(import_graph(file))


def touch(opened) -> None:
    names = opened.names()
    assert len(names) == len({*names} - {""}) + names.count("")
    for value in opened.graph.constants.values():
        assert isinstance(value.shape, tuple)
    repr((opened.graph.inputs, opened.graph.outputs, opened.graph.optional))
