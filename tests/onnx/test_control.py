"""If, Loop and Scan against onnxruntime; loops without an end."""

import numpy as np
import pytest

import tallow as tl
from onnx_graphs import agree, info, model, ours, same
from tallow.errors import ArgumentError, ModelError, OutOfMemoryError
from tallow.onnx.operators import control

pytestmark = pytest.mark.needs_formats

f = np.float32


def node(*args, **attributes):
    from onnx import helper

    op, inputs, outputs = args
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def names(*parts):
    """Names for a node's inputs; `-` is one that is left out."""
    return ["" if part == "-" else part for part in parts]


def body(nodes, inputs, outputs, constants=None):
    from onnx import helper, numpy_helper

    stored = [numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()]
    return helper.make_graph(nodes, "body", inputs, outputs, stored)


def count_body(extra=(), outputs=(), constants=None):
    """a + 1 for each iteration, `cond` as it was."""
    inputs = [info("i", "int64", []), info("go", "bool", []), info("a", f, [None])]
    nodes = [node("Add", "a one", "a2"), node("Identity", "go", "go2"), *extra]
    return body(
        nodes,
        inputs,
        [info("go2", "bool", []), info("a2", f, [None]), *outputs],
        {"one": np.ones(1, f), **(constants or {})},
    )


def loop_model(loop_inputs, graph, outputs, opset=17, constants=None, more=()):
    from onnx import helper

    loop = helper.make_node(
        "Loop", names(*loop_inputs.split()), [o.name for o in outputs], body=graph
    )
    inputs = [info("n", "int64", []), info("c", "bool", []), info("x", f, [None]), *more]
    inputs = [each for each in inputs if each.name in loop_inputs.split() or each in more]
    return model([loop], inputs, outputs, opset=opset, constants=constants)


def call(n=None, c=None, x=(1, 2)):
    given = {
        "n": np.int64(n) if n is not None else None,
        "c": np.bool_(c) if c is not None else None,
        "x": np.array(x, f),
    }
    return {name: np.asarray(value) for name, value in given.items() if value is not None}


# --- If -------------------------------------------------------------------------------------------


def branches(opset=17):
    """Branches of one and of two rows, over values of the graph around them."""
    from onnx import helper

    then = body([node("Add", "x k", "t")], [], [info("t", f, [None])])
    other = body(
        [node("Add", "x y", "e"), node("Identity", "e", "e2")], [], [info("e2", f, [None])]
    )
    choice = helper.make_node("If", ["c"], ["r"], then_branch=then, else_branch=other)
    nodes = [node("Add", "x x", "y"), choice, node("Add", "r y", "out")]
    return model(
        nodes,
        [info("c", "bool", []), info("x", f, [None])],
        [info("out", f, [None])],
        opset=opset,
        constants={"k": np.array([3], f)},
    )


@pytest.mark.parametrize("opset", [7, 11, 13, 17, 21])
def test_if_takes_the_branch_that_the_condition_names(opset):
    calls = [call(c=c, x=x) for c in (True, False, True) for x in ((1, 2), (1, 2, 3))]
    agree(branches(opset), *calls)


def test_if_takes_a_condition_of_one_element():
    given = branches()
    del given.graph.input[0].type.tensor_type.shape.dim[:]
    given.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 1
    agree(given, {"c": np.array([True]), "x": f([1, 2])}, {"c": np.array([False]), "x": f([1, 2])})


def test_if_refuses_a_condition_of_several():
    made = branches()
    made.graph.input[0].type.tensor_type.ClearField("shape")
    given = tl.onnx.load(made.SerializeToString())
    with pytest.raises(ArgumentError, match="condition of one element"):
        given.run({"c": tl.tensor([True, False]), "x": tl.tensor([1.0])})


def test_nested_ifs_with_conditions_that_are_computed():
    from onnx import helper

    inner = helper.make_node(
        "If",
        ["d"],
        ["r"],
        then_branch=body([node("Add", "x y", "a")], [], [info("a", f, [None])]),
        else_branch=body([node("Add", "y y", "b")], [], [info("b", f, [None])]),
    )
    outer = helper.make_node(
        "If",
        ["c"],
        ["out"],
        then_branch=body(
            [node("Add", "x x", "y"), node("Identity", "c", "d"), inner], [], [info("r", f, [None])]
        ),
        else_branch=body([node("Identity", "x", "z")], [], [info("z", f, [None])]),
    )
    given = model([outer], [info("c", "bool", []), info("x", f, [None])], [info("out", f, [None])])
    agree(given, call(c=True), call(c=False), call(c=True, x=(1, 2, 3)))


# --- Loop -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [7, 11, 13, 16, 21])
@pytest.mark.parametrize("form", ["n c x", "n - x"])
def test_loop_counts(form, opset):
    outs = [info("last", f, [None]), info("all", f, [None, None])]
    graph = count_body([node("Add", "a2 a2", "s")], [info("s", f, [None])])
    given = loop_model(form, graph, outs, opset)
    calls = [
        call(n, True if " c" in form else None, x) for n, x in [(3, (1, 2)), (1, (4,)), (7, (1, 2))]
    ]
    agree(given, *calls)


def test_loop_of_no_iterations_gives_empty_scan_outputs():
    graph = count_body([node("Add", "a2 two", "s")], [info("s", f, [2])], {"two": f([1, 2])})
    given = loop_model("n c x", graph, [info("last", f, [None]), info("all", f, [None, 2])])
    agree(given, call(0, True), call(2, False), call(2, True))


def test_loop_while_a_condition_holds():
    """Without a trip count; the values that are carried change their shapes."""
    inputs = [info("i", "int64", []), info("go", "bool", []), info("a", f, [None])]
    nodes = [
        node("Concat", "a x", "a2", axis=0),
        node("Gather", "flags i", "go2"),
        node("Gather", "a2 i", "s"),
    ]
    graph = body(nodes, inputs, [info("go2", "bool", []), info("a2", f, [None]), info("s", f, [])])
    outs = [info("last", f, [None]), info("some", f, [None])]
    given = loop_model("- c x", graph, outs, more=[info("flags", "bool", [None])])
    calls = [call(c=True), call(c=True, x=(3,)), call(c=False, x=(4, 5, 6))]
    agree(given, *({**each, "flags": np.array([1, 1, 0, 1], bool)} for each in calls))


def test_nested_loops_over_outer_values():
    from onnx import helper

    inner = helper.make_node(
        "Loop",
        ["n", "", "a"],
        ["b"],
        body=body(
            [node("Add", "v x", "w"), node("Add", "w one", "w2"), node("Identity", "p", "p2")],
            [info("j", "int64", []), info("p", "bool", []), info("v", f, [None])],
            [info("p2", "bool", []), info("w2", f, [None])],
        ),
    )
    graph = count_body([inner], [info("b", f, [None])])
    given = loop_model("n c x", graph, [info("last", f, [None]), info("all", f, [None, None])])
    agree(given, call(3, True), call(2, True, (1, 2, 3)), call(5, False))


def test_a_known_trip_count_becomes_part_of_the_plan():
    graph = count_body([node("Add", "a2 x", "s")], [info("s", f, [None])])
    outs = [info("last", f, [None]), info("all", f, [None, None])]
    given = loop_model("three c x", graph, outs, constants={"three": np.int64(3)}, more=[])
    given.graph.node[0].input[1] = ""
    del given.graph.input[0]
    agree(given, call(), call(x=(1, 2, 3)))
    plans = tl.onnx.load(given.SerializeToString())
    replayed = []
    for _ in range(4):
        plans.run({"x": tl.tensor([1.0, 2.0])})
        replayed.append(plans.stats.replayed)
    assert replayed[3] - replayed[2] == replayed[2] - replayed[1] == 1


def test_a_long_loop_has_a_plan_for_its_body():
    graph = count_body([node("Add", "a2 x", "s")], [info("s", f, [None])])
    outs = [info("last", f, [None]), info("all", f, [None, None])]
    given = loop_model("n - x", graph, outs, constants={"n": np.int64(3000)}, more=[])
    del given.graph.input[0]
    agree(given, call(), call(x=(1, 2, 3)))
    plans = tl.onnx.load(given.SerializeToString())
    for _ in range(3):
        plans.run({"x": tl.tensor([1.0, 2.0])})
    assert plans.stats.captured == 1 and plans.stats.replayed > 8000


def endless(extra=(), outputs=()):
    graph = count_body(extra, outputs)
    outs = [info("last", f, [None]), *[info("all", f, [None, None])] * len(outputs)]
    return tl.onnx.load(loop_model("- c x", graph, outs).SerializeToString())


def test_a_loop_without_an_end_is_one_error(monkeypatch):
    monkeypatch.setattr(control, "MOST_ITERATIONS", 1000)
    given = endless()
    for _ in range(3):
        with pytest.raises(ModelError, match="an end within 1000 iterations"):
            given.run({"c": tl.tensor(True), "x": tl.tensor([1.0])})


def test_a_loop_that_gathers_too_much_is_one_error(monkeypatch):
    monkeypatch.setattr(control, "MOST_SCAN_BYTES", 4000)
    given = endless([node("Add", "a2 a2", "s")], [info("s", f, [None])])
    with pytest.raises(OutOfMemoryError, match="at most 4000 bytes"):
        given.run({"c": tl.tensor(True), "x": tl.tensor([1.0])})


def test_a_body_that_does_not_fit_its_node_is_refused():
    given = loop_model("n c x", count_body(), [info("last", f, [None]), info("odd", f, [None])])
    with pytest.raises(ModelError, match="3 outputs"):
        tl.onnx.load(given.SerializeToString()).run(
            {"n": tl.tensor(2), "c": tl.tensor(True), "x": tl.tensor([1.0])}
        )


# --- Scan -----------------------------------------------------------------------------------------


def scan_model(attributes, shapes, opset=16, outs=2):
    """A sum that is carried over the slices of x and y, and their sums."""
    from onnx import helper

    graph = body(
        [node("Add", "h a", "h1"), node("Add", "h1 b", "h2"), node("Add", "a b", "s")],
        [info("h", f, [None]), info("a", f, [None]), info("b", f, [None])],
        [info("h2", f, [None]), info("s", f, [None])],
    )
    scan = helper.make_node(
        "Scan", ["h0", "x", "y"], ["last", "all"], body=graph, num_scan_inputs=2, **attributes
    )
    inputs = [info("h0", f, [2]), info("x", f, shapes[0]), info("y", f, shapes[1])]
    return model([scan], inputs, [info("last", f, [2]), info("all", f, [None, None])], opset=opset)


@pytest.mark.parametrize("opset", [9, 11, 16, 21])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"scan_input_directions": [1, 0]},
        {"scan_input_axes": [1, 0]},
        {"scan_output_axes": [1]},
        {"scan_output_directions": [1]},
        {
            "scan_input_axes": [1, 0],
            "scan_input_directions": [0, 1],
            "scan_output_axes": [1],
            "scan_output_directions": [1],
        },
    ],
    ids=str,
)
def test_scan(attributes, opset):
    rng = np.random.default_rng(0)
    across = "scan_input_axes" in attributes
    shapes = [[2, None] if across else [None, 2], [None, 2]]
    calls = []
    for n in (3, 1, 5):
        x = rng.standard_normal((2, n) if across else (n, 2)).astype(f)
        calls.append({"h0": f([1, 2]), "x": x, "y": rng.standard_normal((n, 2)).astype(f)})
    agree(scan_model(attributes, shapes, opset), *calls)


def test_scan_along_negative_axes():
    rng = np.random.default_rng(1)
    attributes = {"scan_input_axes": [-1, -2], "scan_output_axes": [-1]}
    given = {
        "h0": f([1, 2]),
        "x": rng.standard_normal((2, 4)).astype(f),
        "y": rng.standard_normal((4, 2)).astype(f),
    }
    agree(scan_model(attributes, [[2, None], [None, 2]], 16), given)


@pytest.mark.parametrize("lengths", [None, [3, 1]])
def test_scan_of_opset_8_goes_over_a_batch(lengths):
    from onnx import helper

    graph = body(
        [node("Add", "h a", "h2"), node("Identity", "h2", "s")],
        [info("h", f, [2]), info("a", f, [2])],
        [info("h2", f, [2]), info("s", f, [2])],
    )
    scan = helper.make_node(
        "Scan",
        ["lengths" if lengths else "", "h0", "x"],
        ["last", "all"],
        body=graph,
        num_scan_inputs=1,
        directions=[1],
    )
    inputs = [info("h0", f, [2, 2]), info("x", f, [2, 3, 2])]
    given = {"h0": f([[1, 2], [3, 4]]), "x": np.arange(12).reshape(2, 3, 2).astype(f)}
    if lengths:
        inputs.append(info("lengths", "int64", [2]))
        given["lengths"] = np.array(lengths)
    outs = [info("last", f, [2, 2]), info("all", f, [2, 3, 2])]
    [(last, rows)] = ours(model([scan], inputs, outs, opset=8), given)
    for b, n in enumerate(lengths or [3, 3]):
        want = given["h0"][b] + np.cumsum(given["x"][b, :n][::-1], 0)
        same([last[b], rows[b]], [want[-1], np.concatenate([want, np.zeros((3 - n, 2), f)])])
