"""Graphs as they are imported: names, scopes, order, functions, constants of sub-graphs."""

import struct
from itertools import pairwise

import pytest

import tallow as tl
from formats import onnx_bytes as make
from formats.protobuf_bytes import number, sized
from formats.test_scaling import lines_of
from tallow.errors import ArgumentError
from tallow.formats.onnx import open_onnx
from tallow.onnx.importing import import_graph

ONE = make.tensor("one", 1, (1,), float_data=[1])
TEN = make.tensor("ten", 1, (1,), float_data=[10])
node, attribute = make.node, make.attribute


def imported(nodes, inputs="x", outputs="y", *, tensors=(), functions=(), **more):
    raw = make.model(make.graph(nodes, inputs, outputs, tensors), functions=functions, **more)
    return import_graph(open_onnx(raw))


def run(nodes, feeds, outputs="y", *, tensors=(), functions=(), **more):
    """The outputs of a graph for lists of floats, as lists."""
    raw = make.model(make.graph(nodes, feeds, outputs, tensors), functions=functions, **more)
    found = tl.onnx.load(raw).run({n: tl.tensor(v, dtype=tl.f32) for n, v in feeds.items()})
    return [value.tolist() for value in found.values()]


def constant(name, value):
    return node("Constant", (), [name], attributes=[attribute("value_floats", (7, floats(value)))])


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def branch(nodes, outputs, tensors=()):
    return (6, make.graph(nodes, (), outputs, tensors))


def choice(condition, yes, no, output="y", name=""):
    """An If."""
    given = [attribute("then_branch", yes), attribute("else_branch", no)]
    return node("If", [condition], [output], name=name, attributes=given)


YES = make.tensor("yes", 9, (), b"\1")


# --- order and names ------------------------------------------------------------------------------


def test_nodes_in_any_order():
    nodes = [node("Add", "cx", "y"), node("Add", "bx", "c"), node("Add", "xx", "b")]
    assert run(nodes, {"x": [2.0]}) == [[8.0]]
    assert [each.outputs for each in imported(nodes).nodes] == [["b"], ["c"], ["y"]]


def test_nodes_that_are_in_order_keep_it():
    nodes = [node("Relu", "x", [f"v{n}"]) for n in (3, 1, 2)] + [node("Relu", ["v1"], "y")]
    assert [each.outputs[0] for each in imported(nodes).nodes] == ["v3", "v1", "v2", "y"]


def test_a_node_waits_for_what_its_sub_graph_uses():
    yes = branch([node("Add", ["late", "x"], "r")], "r")
    no = branch([node("Relu", "x", "r")], "r")
    nodes = [choice("yes", yes, no), node("Add", "xx", ["late"])]
    assert run(nodes, {"x": [2.0]}, tensors=[YES]) == [[6.0]]


def test_constants_of_sub_graphs_are_the_models():
    yes = branch(
        [constant("k", 5), node("Add", "xk", "a"), node("Add", ["a", "one"], "r")], "r", [ONE]
    )
    no = branch([constant("k", 7), node("Add", "xk", "r")], "r")
    nodes = [choice("yes", yes, no, name="if")]
    graph = imported(nodes, tensors=[YES])
    assert {*graph.constants} == {"yes", "one", "k", "if/k"}
    assert graph.constants["if/k"].tolist() == [7.0]
    assert all(not each.constants for each in graph.nodes[0].graphs())
    assert run(nodes, {"x": [2.0]}, tensors=[YES]) == [[8.0]]
    model = tl.onnx.load(make.model(make.graph(nodes, "x", "y", [YES])))
    assert {"one", "k", "if/k"} <= {*dict(model.named_parameters())}


def test_every_value_has_a_name_of_its_own_in_the_whole_model():
    """Also one that hides another around it, and one that is used and then made again."""
    inner = branch([node("Add", "xx", "v"), node("Add", "vv", "r")], "r")
    outer = branch([node("Relu", "x", "v"), choice("yes", inner, inner, "r")], "r")
    other = branch([constant("v", 3), node("Add", "vx", "r")], "r")
    nodes = [
        node("Add", ["x", "one"], "v"),
        choice("yes", outer, other, "z"),
        node("Add", "zv", "y"),
    ]
    graph = imported(nodes, tensors=[YES, ONE])

    def names(graph):
        for each in graph.nodes:
            yield from each.outputs
            for sub in each.graphs():
                yield from names(sub)

    found = [*graph.constants, *names(graph)]
    assert len(found) == len({*found})
    assert [n for n in ("v", "z", "y") if n in found] == ["v", "z", "y"]
    assert run(nodes, {"x": [2.0]}, tensors=[YES, ONE]) == [[11.0]]


def test_sub_graphs_may_give_what_is_around_them():
    nodes = [choice("yes", branch([], "x"), branch([], ["one"]))]
    assert run(nodes, {"x": [2.0]}, tensors=[YES, ONE]) == [[2.0]]


def test_outputs_that_are_inputs_and_constants():
    assert run([], {"x": [2.0]}, ["x", "one"], tensors=[ONE]) == [[2.0], [1.0]]


def reversed_chain(count):
    names = ["x", *(f"v{n}" for n in range(1, count)), "y"]
    nodes = [node("Relu", [a], [b]) for a, b in pairwise(names)]
    return make.graph(nodes[::-1], "x", "y")


def nested_ifs(count):
    """Every node with sub-graphs, each of which uses what is around it and has a constant."""
    body = branch([constant("k", 1), node("Add", "xk", "r")], "r")
    nodes = [choice("yes", body, body, f"v{n}") for n in range(count)]
    return make.graph(nodes, "x", [f"v{count - 1}"], [YES])


def calls(count):
    return make.graph(
        [node("Twice", ["x" if not n else f"v{n - 1}"], [f"v{n}"], domain="local", name="same")
         for n in range(count)], "x", [f"v{count - 1}"],
    )  # fmt: skip


@pytest.mark.parametrize("made", [reversed_chain, nested_ifs, calls])
def test_time_is_linear_in_the_nodes(made):
    def lines(count):
        raw = make.model(made(count), functions=[TWICE])
        return lines_of(lambda: import_graph(open_onnx(raw)))

    lines(1)
    assert lines(800) < 5 * lines(200)


# --- inputs, versions -----------------------------------------------------------------------------


@pytest.mark.parametrize(("ir", "optional"), [(3, []), (4, ["one"]), (10, ["one"])])
def test_initialisers_among_the_inputs(ir, optional):
    """Before IR 4 all were among the inputs, and none could be given: so does onnxruntime."""
    nodes = [node("Add", ["x", "one"], "y")]
    graph = imported(nodes, ["x", "one"], tensors=[ONE], ir=ir)
    assert [each.name for each in graph.inputs] == ["x"]
    assert [each.name for each in graph.optional] == optional
    assert [*graph.constants] == ["one"]
    model = tl.onnx.load(make.model(make.graph(nodes, ["x", "one"], "y", [ONE]), ir=ir))
    given = {"x": tl.tensor([1.0]), "one": tl.tensor([5.0])}
    if optional:
        assert model.run(given)["y"].tolist() == [6.0]
    else:
        with pytest.raises(ArgumentError, match="one"):
            model.run(given)


def test_sub_graphs_as_deep_as_files_can_have_them():
    body = make.graph([node("Add", "xx", "r")], (), "r")
    for _ in range(30):
        body = make.graph([choice("yes", (6, body), (6, make.graph((), (), "x")), "r")], (), "r")
    nodes = [choice("yes", (6, body), (6, make.graph((), (), "x")))]
    model = tl.onnx.load(make.model(make.graph(nodes, "x", "y", [YES])))
    for _ in range(3):
        assert model.run({"x": tl.tensor([2.0])})["y"].tolist() == [4.0]


def test_domains_that_nothing_uses_are_tolerated():
    opsets = {"ai.onnx": 21, "com.example": 9, "ai.onnx.preview.training": 1}
    assert run([node("Relu", "x", "y", domain="ai.onnx")], {"x": [-1.0]}, opsets=opsets) == [[0.0]]


@pytest.mark.parametrize("opset", [7, 13, 28])
def test_opsets(opset):
    assert imported([node("Add", "xx", "y")], opsets={"": opset}).nodes[0].opset == opset


# --- functions ------------------------------------------------------------------------------------

TWICE = make.function("Twice", "a", "b", [node("Add", "aa", "b")])


def test_functions_are_inlined():
    inner = make.function(
        "Both", "ab", "cd", [node("Twice", "a", "t", domain="local"), node("Add", "tb", "c"),
                             node("Relu", "t", "d")],
    )  # fmt: skip
    nodes = [
        node("Both", "xx", "pq", domain="local", name="first"),
        node("Both", "pq", ["y", ""], domain="local", name="second"),
    ]
    assert run(nodes, {"x": [1.0]}, functions=[TWICE, inner]) == [[8.0]]
    graph = imported(nodes, functions=[TWICE, inner])
    assert [each.op_type for each in graph.nodes] == ["Add", "Add", "Relu"] * 2
    assert graph.nodes[0].outputs == ["first/t"]


def test_a_function_hides_an_operator():
    relu = make.function("Relu", "a", "b", [node("Add", "aa", "b")], domain="")
    assert run([node("Relu", "x", "y")], {"x": [-1.0]}, functions=[relu]) == [[-2.0]]


def test_functions_with_overloads():
    other = make.function("Twice", "a", "b", [node("Relu", "a", "b")], overload="other")
    nodes = [node("Twice", "x", "v", domain="local"),
             node("Twice", "v", "y", domain="local", overload="other")]  # fmt: skip
    assert run(nodes, {"x": [-1.0]}, functions=[TWICE, other]) == [[0.0]]


def test_functions_have_opsets_of_their_own():
    old = make.function("F", "a", "b", [node("Add", "aa", "b")], opsets={"": 13})
    graph = imported([node("F", "x", "v", domain="local"), node("Relu", "v", "y")], functions=[old])
    assert [each.opset for each in graph.nodes] == [13, 21]


def reference(name, of, kind=0):
    return attribute(name, (21, of), kind)


def test_attributes_of_functions_given_and_not():
    body = [
        node("Constant", (), "k", attributes=[reference("value_float", "by", 1)]),
        node("Constant", (), "m", attributes=[reference("value_float", "plus", 1)]),
        node("Add", "ak", "t"), node("Add", "tm", "b"),
    ]  # fmt: skip
    function = make.function(
        "F", "a", "b", body, attributes=["by"], defaults=[attribute("plus", 100.0)]
    )
    given = [attribute("by", 5.0)]
    nodes = [node("F", "x", "y", domain="local", attributes=given)]
    assert run(nodes, {"x": [1.0]}, functions=[function]) == [[106.0]]
    nodes = [node("F", "x", "y", domain="local", attributes=[*given, attribute("plus", 1.0)])]
    assert run(nodes, {"x": [1.0]}, functions=[function]) == [[7.0]]


def test_references_in_sub_graphs_of_functions_and_through_calls():
    inner = branch(
        [node("Constant", (), "k", attributes=[reference("value_float", "by", 1)]),
         node("Add", "ak", "r")], "r",
    )  # fmt: skip
    function = make.function("F", "ac", "b", [choice("c", inner, inner, "b")], attributes=["by"])
    outer = make.function(
        "G", "ac", "b", attributes=["of"],
        nodes=[node("F", "ac", "b", domain="local", attributes=[reference("by", "of", 1)])],
    )  # fmt: skip
    nodes = [node("G", ["x", "yes"], "y", domain="local", name=n, attributes=[attribute("of", 5.0)])
             for n in ("one",)]  # fmt: skip
    assert run(nodes, {"x": [1.0]}, tensors=[YES], functions=[function, outer]) == [[6.0]]


def test_an_attribute_that_is_not_given_is_left_out():
    """The operator's own default counts."""
    leaky = make.function("F", "a", "b", attributes=["by"], nodes=[
        node("LeakyRelu", "a", "b", attributes=[reference("alpha", "by", 1)])
    ])  # fmt: skip
    (found,) = run([node("F", "x", "y", domain="local")], {"x": [-100.0]}, functions=[leaky])
    assert found == pytest.approx([-1.0])


def test_graphs_as_attributes_of_functions():
    """The graph uses names of the caller, which the function uses for others."""
    function = make.function("F", "ac", "b", attributes=["then", "else"], nodes=[
        node("Relu", "a", "x"),
        node("If", "c", "b", attributes=[
            reference("then_branch", "then", 5), reference("else_branch", "else", 5),
        ]),
    ])  # fmt: skip
    body = branch([node("Add", "xx", "r")], "r")
    given = [attribute("then", body), attribute("else", body)]
    nodes = [node("F", ["one", "yes"], "y", domain="local", attributes=given)]
    assert run(nodes, {"x": [4.0]}, tensors=[YES, ONE], functions=[function]) == [[8.0]]


def test_inputs_and_outputs_that_calls_leave_out():
    clip = make.function("F", "abc", "d", [node("Clip", "abc", "d")])
    nodes = [node("F", ["x", "", "one"], "v", domain="local"), node("F", "v", "y", domain="local")]
    assert run(nodes, {"x": [4.0]}, tensors=[make.tensor("one", 1, (), float_data=[1])],
               functions=[clip]) == [[1.0]]  # fmt: skip


def test_outputs_of_functions_that_are_inputs_or_twice_the_same():
    same = make.function("F", "ab", ["a", "c", "c"], [node("Add", "ab", "c")])
    nodes = [node("F", ["x", "one"], "pqr", domain="local"), node("Add", "pq", "s"),
             node("Add", "sr", "y")]  # fmt: skip
    assert run(nodes, {"x": [4.0]}, tensors=[ONE], functions=[same]) == [[14.0]]


def test_constants_of_functions_are_shared_by_their_calls():
    function = make.function("F", "a", "b", [
        node("Constant", (), "k", attributes=[attribute("value", TEN)]), node("Add", "ak", "b"),
    ])  # fmt: skip
    nodes = [node("F", "x", "v", domain="local", name="p"),
             node("F", "v", "y", domain="local", name="q")]  # fmt: skip
    graph = imported(nodes, functions=[function])
    assert {*graph.constants} == {"p/k", "q/k"} and graph.constants["p/k"] is graph.constants["q/k"]
    assert run(nodes, {"x": [4.0]}, functions=[function]) == [[24.0]]


def test_constants_of_every_kind():
    sparse = (22, make.sparse(TEN, make.ints(1), (3,)))
    kinds = {
        "value": (TEN, [10.0]), "value_int": (3, 3), "value_float": (1.5, 1.5),
        "value_ints": ([3, -1], [3, -1]), "value_floats": ((7, floats(1, 2)), [1.0, 2.0]),
        "sparse_value": (sparse, [0.0, 10.0, 0.0]), "value_string": ("é", "é"),
        "value_strings": ((9, b"a"), ["a"]),
    }  # fmt: skip
    for name, (given, wanted) in kinds.items():
        raw = attribute(name, given)
        if name == "value_strings":
            raw = sized(1, name) + sized(9, "a") + number(20, 8)
        if name == "value_floats":
            raw = sized(1, name) + sized(7, floats(1, 2)) + number(20, 6)
        graph = imported([node("Constant", (), "k", attributes=[raw])], (), ())
        assert graph.constants["k"].tolist() == wanted
