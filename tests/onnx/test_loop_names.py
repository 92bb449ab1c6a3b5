"""Products that leave a Loop get names that nothing else has."""

import pytest

import tallow as tl
from onnx_runs import graph, node
from tallow.onnx.passes import optimized
from tallow.onnx.program import Program

W, X = tl.tensor([[1.0, -2.0], [0.5, 3.0]]), tl.tensor([[0.3, 1.0], [-1.0, 2.0]])


def body(constants=None, product="h"):
    nodes = [node("MatMul", "z w", product), node("Add", f"a {product}", "b")]
    return graph(nodes, "i cond a", "cond b", constants or {})


def loop(result="y", start="x", inside=None):
    return node("Loop", f"n c {start}", result, body=inside or body())


def before():
    nodes = [node("Relu", "x", "z"), node("Neg", "x", "y/h"), loop(), node("Add", "y y/h", "out")]
    return graph(nodes, "n c x", "out y/h y", {"w": W})


def after():
    nodes = [node("Relu", "x", "z"), loop(), node("Neg", "x", "y/h"), node("Add", "y y/h", "out")]
    return graph(nodes, "n c x", "out y/h y", {"w": W})


def constant():
    nodes = [node("Relu", "x", "z"), loop(inside=body({"w": W * 3})), node("MatMul", "x y/w", "q")]
    return graph(nodes, "n c x", "q y", {"y/w": W})


def given():
    nodes = [node("Relu", "y/h", "z"), loop(start="y/h")]
    return graph(nodes, "n c y/h", "y", {"w": W})


def local():
    inside = graph(
        [node("MatMul", "z w", "h"), node("Add", "a h", "y/h"), node("Sub", "y/h h", "b")],
        "i cond a",
        "cond b",
    )
    nodes = [node("Relu", "x", "z"), loop(inside=inside)]
    return graph(nodes, "n c x", "y", {"w": W})


def several():
    """The names of one Loop are the beginnings of another's."""
    first, second = body(product="y/h"), body({"w": W * 3})
    nodes = [node("Relu", "q", "z"), loop("x", "q", first), loop("x/y", "x", second)]
    return graph(nodes, "n c q", "x x/y", {"w": W})


@pytest.mark.parametrize("make", [before, after, constant, given, local, several])
def test_products_that_leave_a_loop_take_no_name(make):
    made, inputs = make(), [tl.tensor(2), tl.tensor(True), X]
    left = optimized(made)
    inside = [n.op_type for each in left.nodes for g in each.graphs() for n in g.nodes]
    assert "MatMul" not in inside and "Linear" not in inside
    names = [name for each in left.nodes for name in each.outputs]
    assert len(names) == len({*names})
    wanted = Program(made).interpret(inputs, [])
    for a, b in zip(Program(left).interpret(inputs, []), wanted, strict=True):
        assert a.tolist() == b.tolist()
