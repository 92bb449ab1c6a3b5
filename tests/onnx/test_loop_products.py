"""Products of what a Loop does not change stand before it."""

import pytest

import onnx_runs
import tallow as tl
from onnx_runs import node
from tallow.onnx.passes import optimized
from tallow.onnx.program import Program


def graph(nodes, constants, inputs, outputs):
    values = {n: v if isinstance(v, tl.Tensor) else tl.tensor(v) for n, v in constants.items()}
    return onnx_runs.graph(nodes, inputs, outputs, values)


def draw(*shape):
    return tl.randn(*shape, generator=tl.Generator().manual_seed(1))


def check(given, *inputs):
    """All passes leave the results as they are; gives the types of the nodes that are left."""
    smaller = optimized(given)
    wanted = Program(given).interpret(inputs, [])
    found = Program(smaller).interpret(inputs, [])
    for got, want in zip(found, wanted, strict=True):
        assert got.shape == want.shape and got.dtype is want.dtype
        assert tl.allclose(got, want, rtol=1e-5, atol=1e-6)
    return [each.op_type for each in smaller.nodes]


def loop_of(*, trips):
    """h = tanh(h·w + reshape(xᵀ)·k), whose second product and a value that it gives are steady."""
    branch = graph([node("MatMul", "p k", "z")], {}, "", "z")
    body = graph(
        [
            node("MatMul", "h w", "a"),
            node("Transpose", "x", "t", perm=[1, 0]),
            node("Reshape", "t s", "r"),
            node("MatMul", "r k", "p"),
            node("If", "more", "q", then_branch=branch, else_branch=branch),
            node("Add", "a p", "b"),
            node("Add", "b q", "d"),
            node("Tanh", "d", "e"),
            node("Identity", "more", "on"),
            node("Unsqueeze", "same axis", "u"),
            node("Add", "u zero", "v"),
            node("Squeeze", "v axis", "kept"),
        ],
        {"s": [4, 3], "k": draw(3, 3), "axis": [0], "zero": [0.0]},
        "i more h same",
        "on e kept p e",
    )
    made = node("Loop", "n c h0 x", "final x2 steady states", body=body)
    return graph([made], {"n": trips, "c": True, "w": draw(3, 3)}, "h0 x", "final steady states")


@pytest.mark.parametrize("trips", [1, 5])
def test_products_of_what_a_loop_does_not_change_stand_before_it(trips):
    given = loop_of(trips=trips)
    left = check(given, draw(4, 3), draw(2, 6))
    assert left.count("Linear") == 1 and "Reshape" in left and left[-1] == "Loop"
    body = optimized(given).nodes[-1].attributes["body"]
    assert [n.op_type for n in body.nodes].count("Linear") == 1


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("zero", [0.0, 1.0])
@pytest.mark.parametrize("axis", [0, 1])
def test_only_what_adds_nothing_passes_a_loop_unchanged(zero, axis, outside):
    changes = [node("Unsqueeze", "x a", "u"), node("Add", "u z", "v"), node("Squeeze", "v b", "y")]
    constants = {"a": [0], "b": [axis], "z": [zero], "w": draw(5, 5)}
    nodes = [*changes, node("MatMul", "x w", "p"), node("Identity", "more", "on")]
    body = graph(nodes, {} if outside else constants, "i more x", "on y p")
    loop = node("Loop", "n c x0", "x1 products", body=body)
    numbers = {"n": 3, "c": True} | (constants if outside else {})
    given = graph([loop], numbers, "x0", "x1 products")
    left = check(given, draw(1, 5))
    assert ("Linear" in left) is (zero == 0 and axis == 0)


def test_two_loops_with_bodies_of_the_same_names_keep_their_products_apart():
    first, second = loop_of(trips=3), loop_of(trips=2)
    other = second.nodes[0].attributes["body"]
    other.constants["k"] = -draw(3, 3)
    second.nodes[0].inputs[2] = "final"
    second.nodes[0].outputs = ["final2", "x3", "steady2", "states2"]
    outputs = "final2 steady steady2 states2"
    both = graph([*first.nodes, *second.nodes], dict(first.constants), "h0 x", outputs)
    assert check(both, draw(4, 3), draw(2, 6)).count("Linear") == 2
