"""Graphs that nearly match a pattern, or that a pass must leave as they are."""

import numpy as np
import pytest

import tallow as tl
from tallow.formats.onnx import ValueInfo
from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators import find
from tallow.onnx.passes import optimized
from tallow.onnx.passes.duplicates import without_duplicates
from tallow.onnx.program import Program, outer_names

INF = float("inf")


def node(op_type, inputs, outputs, opset=18, **attributes):
    row = find("", op_type, opset)
    return Node(op_type, "", "", inputs.split(), outputs.split(), attributes, row, opset)


def graph(nodes, constants, inputs="x", outputs="y"):
    infos = [[ValueInfo(name, None) for name in names.split()] for names in (inputs, outputs)]
    values = {n: v if isinstance(v, tl.Tensor) else tl.tensor(v) for n, v in constants.items()}
    return Graph("g", nodes, *infos, values)


def draw(*shape):
    return tl.randn(*shape, generator=tl.Generator().manual_seed(1))


def forget(given):
    """What was found of a graph and its sub-graphs when it was asked for first."""
    given.outer = None
    for each in given.nodes:
        for inner in each.graphs():
            forget(inner)


def check(given, *inputs, atol=1e-6):
    """All passes leave the results as they are; gives the types of the nodes that are left."""
    smaller = optimized(given)
    for each in (given, smaller):
        known = outer_names(each)
        forget(each)
        assert outer_names(each) == known
    wanted = Program(given).interpret(inputs, [])
    found = Program(smaller).interpret(inputs, [])
    for got, want in zip(found, wanted, strict=True):
        assert got.shape == want.shape and got.dtype is want.dtype
        assert tl.allclose(got, want, rtol=1e-5, atol=atol, equal_nan=True)
    return [each.op_type for each in smaller.nodes]


# --- activations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("root", "fits"), [(2**0.5, True), (1.4142, True), (1.413, False)])
def test_gelu_needs_the_root_of_two(root, fits):
    nodes = [
        node("Div", "x root", "a"), node("Erf", "a", "b"), node("Add", "b one", "c"),
        node("Mul", "x c", "d"), node("Mul", "d half", "y"),
    ]  # fmt: skip
    given = graph(nodes, {"root": root, "one": 1.0, "half": 0.5})
    assert (check(given, draw(64) * 2, atol=2e-5) == ["Gelu"]) is fits


def hard_swish(slope, dtype):
    nodes = [node("Add", "x three", "a"), node("Clip", "a low six", "b"), slope,
             node("Mul", "x c", "y")]  # fmt: skip
    numbers = {"three": 3, "low": 0, "six": 6, "sixth": 1 / 6, "near": 0.1668}
    return graph(nodes, {n: tl.tensor(v, dtype=dtype) for n, v in numbers.items()})


def test_hard_swish_of_integers_rounds():
    x = tl.tensor([-4, -1, 0, 1, 2, 5], dtype=tl.i32)
    assert check(hard_swish(node("Div", "b six", "c"), tl.i32), x)[-1] == "Mul"


@pytest.mark.parametrize(
    ("slope", "left"),
    [("Div b six", 1), ("Mul b sixth", 1), ("Mul sixth b", 1), ("Div six b", 4), ("Mul b near", 4)],
)
def test_hard_swish_divides_by_six(slope, left):
    op_type, operands = slope.split(" ", 1)
    given = hard_swish(node(op_type, operands, "c"), tl.f32)
    assert len(check(given, draw(64) * 3)) == left


# --- attention ------------------------------------------------------------------------------------


def attention(mask=False, scale=0.5, op_type="Mul", axis=-1, opset=18):
    nodes = [
        node("MatMul", "q k", "s"), node(op_type, "s f", "t"),
        *([node("Add", "t m", "u")] if mask else []),
        node("Softmax", "u" if mask else "t", "p", opset, axis=axis), node("MatMul", "p v", "y"),
    ]  # fmt: skip
    return graph(nodes, {"f": scale}, "q k v m" if mask else "q k v")


QKV = [(1, 2, 3, 4), (1, 2, 4, 5), (1, 2, 5, 4)]
MASKS = [(5,), (3, 5), (1, 1), (2, 1, 1), (1, 1, 3, 1), (4, 1, 1, 5), (4, 1, 3, 5), (2, 1, 2, 3, 5)]


@pytest.mark.parametrize("shape", MASKS, ids=str)
def test_masks_broadcast_as_the_sum_does(shape):
    given = [draw(*each) for each in QKV]
    assert check(attention(mask=True), *given, draw(*shape)) == ["Attention"]


@pytest.mark.parametrize(
    "shapes",
    [
        [(2, 4, 3, 4), (1, 1, 4, 5), (2, 4, 5, 4)],
        [(2, 1, 3, 4), (2, 4, 4, 5), (2, 1, 5, 4)],
        [(1, 2, 3, 4), (3, 2, 4, 5), (3, 2, 5, 4)],
        [(3, 4), (2, 4, 5), (2, 2, 5, 6)],
        [(2, 2, 3, 4), (2, 2, 4, 5), (5,)],
        [(4,), (2, 2, 4, 5), (2, 2, 5, 3)],
    ],
    ids=str,
)
def test_attention_of_operands_of_other_ranks_and_batches(shapes):
    assert check(attention(), *[draw(*shape) for shape in shapes]) == ["Attention"]


@pytest.mark.parametrize("opset", [11, 13])
def test_a_softmax_over_all_axes_from_the_third_on(opset):
    given = [draw(2, 1, *shape[1:]) for shape in [(1, 2, 3, 4), (1, 2, 4, 5), (1, 2, 5, 4)]]
    assert check(attention(axis=3, opset=opset), *given) == ["Attention"]


def test_scores_over_zero_are_no_scale():
    assert check(attention(scale=0.0, op_type="Div"), *[draw(*each) for each in QKV])


@pytest.mark.parametrize("ndim", [2, 3, 4, 5])
def test_weights_that_are_no_numbers_are_zero_where_the_graph_says_so(ndim):
    nodes = [
        node("MatMul", "q k", "s"), node("Add", "s m", "t"), node("Softmax", "t", "p", axis=-1),
        node("IsNaN", "p", "n"), node("Where", "n zero p", "w"), node("MatMul", "w v", "y"),
    ]  # fmt: skip
    mask = tl.tensor([[0.0] * 5, [-INF] * 5, [0.0, -INF, 0.0, 0.0, 0.0]])
    given = [draw(*[2] * (ndim - 2), *shape[2:]) for shape in QKV]
    assert check(graph(nodes, {"zero": 0.0}, "q k v m"), *given, mask) == ["Attention"]


# --- products -------------------------------------------------------------------------------------


def test_a_transposed_matrix_takes_no_other_values_name():
    w, other = draw(3, 3), draw(3, 3) * 2
    nodes = [node("MatMul", "x w", "a"), node("MatMul", "x w.T", "b"), node("Add", "a b", "y")]
    check(graph(nodes, {"w": w, "w.T": other}), draw(2, 3))
    check(graph([node("Relu", "x", "w.T"), node("MatMul", "w.T w", "y")], {"w": w}), draw(2, 3))


def test_products_by_one_matrix_share_what_is_transposed():
    nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "b"), node("MatMul", "b w", "y")]
    given = graph(nodes, {"w": draw(3, 3)})
    assert check(given, draw(2, 3)) == ["Linear", "Relu", "Linear"]
    assert len(optimized(given).constants) == 1


@pytest.mark.parametrize("shape", [(), (3,), (3, 4, 1)], ids=str)
def test_a_gemm_by_no_matrix_is_told_when_it_is_run(shape):
    given = optimized(graph([node("Gemm", "x w", "y")], {"w": tl.ones(*shape)}))
    with pytest.raises(tl.TallowError, match="Gemm"):
        Program(given).interpret([draw(2, 3)], [])


@pytest.mark.parametrize("op_type", ["Mul", "Add"])
@pytest.mark.parametrize(
    ("shape", "left"),
    [((4, 1, 1), 1), ((1, 4, 1, 1), 1), ((4,), 2), ((1,), 2), ((2, 4, 1, 1), 2),
     ((1, 1, 4, 1, 1), 2)],
    ids=str,
)  # fmt: skip
def test_a_convolution_takes_what_has_one_number_for_each_channel(op_type, shape, left):
    nodes = [node("Conv", "x w", "a"), node(op_type, "a k", "y")]
    given = graph(nodes, {"w": draw(4, 3, 2, 2), "k": draw(*shape)})
    assert len(check(given, draw(1, 3, 4, 5))) == left


@pytest.mark.parametrize("op_type", ["Mul", "Add"])
def test_a_convolution_that_others_use_stays(op_type):
    nodes = [node("Conv", "x w", "a"), node(op_type, "a k", "y")]
    given = graph(nodes, {"w": draw(4, 3, 2, 2), "k": draw(4, 1, 1)}, outputs="y a")
    assert check(given, draw(1, 3, 4, 4)) == ["Conv", op_type]
    nodes = [node("Conv", "x w", "a"), node(op_type, "a k", "b"), node("Sub", "a b", "y")]
    given = graph(nodes, {"w": draw(4, 3, 2, 2), "k": draw(4, 1, 1)})
    assert check(given, draw(1, 3, 4, 4)) == ["Conv", op_type, "Sub"]


# --- layer norm -----------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize(("weight", "bias", "last"), [(3, 3, 3), (1, 3, 3), (1, 1, 3), (3, 3, 1)])
def test_layer_norm_with_weights_that_broadcast(weight, bias, last, axis):
    nodes = [
        node("ReduceMean", "x axes", "m"), node("Sub", "x m", "d"), node("Pow", "d two", "p"),
        node("ReduceMean", "p axes", "v"), node("Add", "v eps", "e"), node("Sqrt", "e", "r"),
        node("Div", "d r", "q"), node("Mul", "q w", "z"), node("Add", "z b", "y"),
    ]  # fmt: skip
    constants = {"axes": [axis], "two": 2, "eps": 1e-5, "w": draw(weight), "b": draw(bias)}
    left = check(graph(nodes, constants), draw(2, 4, last))
    assert ("LayerNormalization" in left) is (axis == -1)


# --- bytes ----------------------------------------------------------------------------------------


def bytes_of(values, dtype):
    return tl.tensor(values).to(dtype)


def between_bytes(op_type, bias_scale, bias_zero, shape):
    nodes = [
        node("DequantizeLinear", "x xs xz", "a"), node("DequantizeLinear", "w ws wz", "b"),
        node("DequantizeLinear", "c cs cz", "d"),
        node(op_type, "a b d", "g", **({"transB": 1} if op_type == "Gemm" else {})),
        node("QuantizeLinear", "g ys yz", "y"),
    ]  # fmt: skip
    constants = {
        "xs": 0.1, "xz": bytes_of(10, tl.u8), "ws": 0.05, "wz": bytes_of(0, tl.i8),
        "w": bytes_of([[3, -2], [5, 7]], tl.i8).reshape(2, 2, *shape),
        "c": bytes_of([100, -50], tl.i32), "cs": bias_scale, "cz": bytes_of(bias_zero, tl.i32),
        "ys": 0.2, "yz": bytes_of(5, tl.u8),
    }  # fmt: skip
    return graph(nodes, constants)


@pytest.mark.parametrize(("op_type", "shape"), [("Gemm", ()), ("Conv", (1, 1))])
@pytest.mark.parametrize(("scale", "zero"), [(0.1 * 0.05, 0), (0.02, 0), (0.02, 7)])
def test_a_bias_that_counts_in_other_steps(op_type, shape, scale, zero):
    x = bytes_of([[1, 2], [200, 30]], tl.u8).reshape(2, 2, *shape)
    given = between_bytes(op_type, scale, zero, shape)
    smaller = optimized(given)
    [want], [got] = (Program(each).interpret([x], []) for each in (given, smaller))
    assert int((got.to(tl.i32) - want.to(tl.i32)).abs().max().item()) <= 1
    assert (len(smaller.nodes) == 1) is (scale < 0.01)


@pytest.mark.parametrize("scale", [0.1, -0.1])
def test_the_largest_of_bytes_whose_scale_is_negative(scale):
    nodes = [
        node("DequantizeLinear", "x s z", "a"), node("MaxPool", "a", "b", kernel_shape=[2, 2]),
        node("QuantizeLinear", "b s z", "y"),
    ]  # fmt: skip
    x = bytes_of([[1, 2], [200, 30]], tl.u8).reshape(1, 1, 2, 2)
    given = graph(nodes, {"s": scale, "z": bytes_of(10, tl.u8)})
    assert (check(given, x) == ["MaxPool"]) is (scale > 0)


@pytest.mark.parametrize(("columns", "scales"), [(1, 5), (2, 2), (2, 1)])
def test_scales_of_a_dynamically_quantised_product_that_broadcast(columns, scales):
    nodes = [
        node("DynamicQuantizeLinear", "x", "q s z"), node("MatMulInteger", "q w z", "i"),
        node("Cast", "i", "f", to=1), node("Mul", "s ws", "both"), node("Mul", "f both", "g"),
        node("Identity", "b", "c"), node("Identity", "c", "bias"), node("Add", "bias g", "y"),
    ]  # fmt: skip
    w = bytes_of([[3] * columns, [5] * columns], tl.i8)
    constants = {"w": w, "ws": draw(scales), "b": draw(columns)}
    left = check(graph(nodes, constants), draw(3, 2), atol=1e-5)
    assert ("MatMulIntegerToFloat" in left) is (scales <= columns)
    assert ("Add" in left) is (scales > columns)


@pytest.mark.parametrize(
    ("zeros", "dtype", "group"), [(5, tl.i8, 1), (1, tl.i8, 0), (1, tl.i8, -1)]
)
def test_a_quantised_convolution_that_fits_not_is_told_when_it_is_run(zeros, dtype, group):
    constants = {
        "s": 0.1, "z": bytes_of(3, tl.u8), "w": tl.ones(4, 3, 2, 2).to(tl.i8),
        "wz": tl.zeros(zeros).to(dtype),
    }  # fmt: skip
    made = node("QLinearConv", "x s z w s wz s z", "y", group=group)
    given = optimized(graph([made], constants))
    assert [each.op_type for each in given.nodes] == ["QLinearConv"]
    with pytest.raises(tl.TallowError, match="QLinearConv"):
        Program(given).interpret([tl.ones(1, 3, 4, 4).to(tl.u8)], [])


# --- folding, loops, duplicates -------------------------------------------------------------------


def test_a_body_that_draws_numbers_is_not_folded():
    inner = graph([node("RandomNormal", "", "z", shape=[2])], {}, "", "z")
    branch = node("If", "c", "r", then_branch=inner, else_branch=inner)
    given = optimized(graph([branch, node("Add", "x r", "y")], {"c": True}))
    assert [each.op_type for each in given.nodes] == ["If", "Add"]
    first, second = (Program(given).interpret([tl.zeros(2)], [])[0] for _ in range(2))
    assert first.tolist() != second.tolist()


def test_a_fault_in_a_branch_is_told_where_the_branch_is_taken():
    bad = graph([node("Reshape", "k s", "z")], {"k": [1.0, 2.0], "s": [7]}, "", "z")
    good = graph([node("Identity", "x", "z")], {}, "", "z")
    branch = node("If", "c", "y", then_branch=good, else_branch=bad)
    given = optimized(graph([branch], {}, "x c"))
    assert Program(given).interpret([tl.ones(2), tl.tensor(True)], [])[0].tolist() == [1.0, 1.0]
    with pytest.raises(tl.errors.ShapeError, match="Reshape"):
        Program(given).interpret([tl.ones(2), tl.tensor(False)], [])


@pytest.mark.parametrize(("inputs", "outputs"), [("i c", "c a"), ("i c a", "c"), ("i c a", "")])
def test_a_loop_with_a_body_of_other_lengths_is_told_when_it_is_run(inputs, outputs):
    body = graph([], {} if "a" in inputs.split() else {"a": 1.0}, inputs, outputs)
    given = optimized(graph([node("Loop", "n c x", "y", body=body)], {"n": 2, "c": True}))
    with pytest.raises(tl.TallowError, match="Loop"):
        Program(given).interpret([draw(2)], [])


def test_nodes_with_other_arrays_as_attributes_are_no_duplicates():
    """Arrays on the host, whose text is shortened."""
    first = np.array([f"name{i}" for i in range(2000)], object)
    second = first.copy()
    second[1000] = "another"
    nodes = [node("Identity", "x", "a", op=0), node("Identity", "x", "b", op=0)]
    for each, value in zip(nodes, (first, second), strict=True):
        each.op_type, each.attributes = "Made", {"value": value}
    assert len(without_duplicates(graph(nodes, {}, outputs="a b x")).nodes) == 2
    used = [*nodes, node("Add", "a b", "y")]
    assert len(without_duplicates(graph(used, {})).nodes) == 3


@pytest.mark.parametrize("taken", [True, False])
def test_values_around_branches_that_passes_fold_and_rename(taken):
    inner = graph([node("Sub", "i four", "q"), node("Mul", "q own", "z")], {"own": 3.0}, "", "z")
    deep = node("If", "c", "y", then_branch=inner, else_branch=inner)
    there = graph([node("Mul", "i two", "r")], {}, "", "r")
    steps = [
        node("Identity", "x", "i"), node("Add", "one one", "two"), node("Mul", "two two", "four"),
        node("If", "c", "a", then_branch=there, else_branch=graph([deep], {}, "", "y")),
        node("Relu", "a", "b"),
    ]  # fmt: skip
    given = graph(steps, {"one": 1.0}, "x c", "b")
    assert check(given, draw(5), tl.tensor(taken)) == ["Identity", "If", "Relu"]
