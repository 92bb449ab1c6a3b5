"""Patterns of several nodes are replaced where the shapes of their constants change nothing."""

import pytest

import tallow as tl
from tallow.formats.onnx import ValueInfo
from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators import find
from tallow.onnx.passes import optimized
from tallow.onnx.program import Program

OPSET = 18


def node(op_type, inputs, output, **attributes):
    row = find("", op_type, OPSET)
    return Node(op_type, "", "", inputs.split(), [output], attributes, row, OPSET)


def graph(nodes, constants):
    infos = [ValueInfo("x", None)], [ValueInfo("y", None)]
    return Graph("g", nodes, *infos, {name: tl.tensor(v) for name, v in constants.items()})


def both(given, x):
    """The number of nodes after all passes, and that the result is the same."""
    smaller = optimized(given)
    [want] = Program(given).interpret([x], [])
    [found] = Program(smaller).interpret([x], [])
    assert found.shape == want.shape
    assert tl.allclose(found, want, atol=1e-6)
    return len(smaller.nodes)


def gelu(number):
    nodes = [
        node("Div", "x root", "a"),
        node("Erf", "a", "b"),
        node("Add", "b one", "c"),
        node("Mul", "x c", "d"),
        node("Mul", "d half", "y"),
    ]
    return graph(nodes, {"root": number(2**0.5), "one": number(1.0), "half": number(0.5)})


def hard_swish(number):
    nodes = [
        node("Add", "x three", "a"),
        node("Clip", "a zero six", "b"),
        node("Div", "b sixes", "c"),
        node("Mul", "x c", "y"),
    ]
    constants = {"three": number(3.0), "sixes": number(6.0), "zero": 0.0, "six": 6.0}
    return graph(nodes, constants)


@pytest.mark.parametrize("pattern", [gelu, hard_swish])
def test_numbers_that_add_axes_are_no_numbers(pattern):
    x = tl.tensor([1.0, -2.0, 0.5])
    assert both(pattern(lambda v: v), x) == 1
    assert both(pattern(lambda v: [v]), x) == 1
    assert both(pattern(lambda v: [[v]]), x) > 1


@pytest.mark.parametrize("shape", [(2, 3), (2, 2, 3), (2, 1, 2, 3), (2, 1, 2, 3, 3)], ids=str)
@pytest.mark.parametrize("axis", [-1, 3])
def test_softmax_over_an_axis_that_is_not_the_last(shape, axis):
    if axis >= len(shape):
        return
    order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    nodes = [
        node("Transpose", "x", "k", perm=order),
        node("MatMul", "x k", "s"),
        node("Mul", "s half", "t"),
        node("Softmax", "t", "p", axis=axis),
        node("MatMul", "p x", "y"),
    ]
    x = tl.randn(*shape, generator=tl.Generator().manual_seed(0))
    assert both(graph(nodes, {"half": 0.5}), x) == 2
