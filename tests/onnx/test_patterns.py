"""Patterns of several nodes are replaced where the shapes of their constants change nothing."""

import math

import pytest

import tallow as tl
from tallow.errors import TallowError
from tallow.formats.onnx import ValueInfo
from tallow.formats.onnx.types import CODES
from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators import find
from tallow.onnx.passes import optimized
from tallow.onnx.program import Program

OPSET = 23
FLOAT16 = CODES["float16"]


def node(op_type, inputs, output, **attributes):
    row = find("", op_type, OPSET)
    return Node(op_type, "", "", inputs.split(), [output], attributes, row, OPSET)


def graph(nodes, constants):
    infos = [ValueInfo("x", None)], [ValueInfo("y", None)]
    return Graph("g", nodes, *infos, {name: tl.as_tensor(v) for name, v in constants.items()})


def both(given, x):
    """The number of nodes after all passes, and that the result is the same."""
    smaller = optimized(given)
    [want] = Program(given).interpret([x], [])
    [found] = Program(smaller).interpret([x], [])
    assert found.shape == want.shape
    assert found.dtype is want.dtype
    assert tl.allclose(found, want, atol=1e-6, equal_nan=True)
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


def _cube_gelu(number):
    """As torch writes it, and JAX but for the order."""
    nodes = [
        node("Pow", "x three", "a"),
        node("Mul", "cube a", "b"),
        node("Add", "x b", "c"),
        node("Mul", "c slope", "d"),
        node("Tanh", "d", "e"),
        node("Add", "e one", "f"),
        node("Mul", "x half", "g"),
        node("Mul", "g f", "y"),
    ]
    return graph(nodes, {"three": tl.tensor(3.0), **_gelu_numbers(number)})


def _gelu_numbers(number):
    slope, cube = (2 / math.pi) ** 0.5, 0.044715
    return {"cube": number(cube), "slope": number(slope), "one": number(1.0), "half": number(0.5)}


def _factored_gelu(number):
    nodes = [
        node("Mul", "x slope", "a"),
        node("Mul", "x cube", "b"),
        node("Mul", "b x", "c"),
        node("Add", "one c", "d"),
        node("Mul", "a d", "e"),
        node("Tanh", "e", "f"),
        node("Add", "one f", "g"),
        node("Mul", "half g", "h"),
        node("Mul", "h x", "y"),
    ]
    return graph(nodes, _gelu_numbers(number))


@pytest.mark.parametrize("pattern", [_cube_gelu, _factored_gelu])
@pytest.mark.parametrize("axes", [0, 1, 3])
@pytest.mark.parametrize("shape", [(), (7,), (2, 3, 4, 5)], ids=str)
def test_gelu_by_tanh_is_one_node(pattern, axes, shape):
    given = pattern(lambda v: tl.tensor(v).reshape([1] * axes))
    x = tl.linspace(-6.0, 6.0, math.prod(shape)).reshape(shape)
    assert both(given, x) == 1
    assert both(given, x * math.inf) == 1


@pytest.mark.parametrize("name", ["cube", "slope", "one", "half"])
@pytest.mark.parametrize("pattern", [_cube_gelu, _factored_gelu])
def test_other_functions_of_tanh_stay(pattern, name):
    given = pattern(tl.tensor)
    given.constants[name] = given.constants[name] * 1.01
    assert both(given, tl.linspace(-6.0, 6.0, 50)) == len(given.nodes)


@pytest.mark.parametrize("pattern", [gelu, hard_swish])
def test_numbers_that_add_axes_are_no_numbers(pattern):
    x = tl.tensor([1.0, -2.0, 0.5])
    assert both(pattern(lambda v: v), x) == 1
    assert both(pattern(lambda v: [v]), x) == 1
    assert both(pattern(lambda v: [[v]]), x) > 1


def hard_sigmoid(number):
    nodes = [
        node("Add", "x three", "a"),
        node("Clip", "a zero six", "b"),
        node("Mul", "b sixth", "y"),
    ]
    constants = {"three": number(3.0), "sixth": number(1 / 6), "zero": 0.0, "six": 6.0}
    return graph(nodes, constants)


def one_score(number):
    """Attention of one query to one key, of one axis each."""
    nodes = [
        node("MatMul", "x k", "s"),
        node("Mul", "s scale", "t"),
        node("Softmax", "t", "p", axis=-1),
        node("MatMul", "p v", "y"),
    ]
    constants = {"k": [0.5, 0.25, 1.0], "scale": number(0.5), "v": [[1.0, 2.0]]}
    return graph(nodes, constants)


@pytest.mark.parametrize("pattern", [gelu, hard_swish, hard_sigmoid])
@pytest.mark.parametrize("number", [lambda v: v, lambda v: [v]], ids=["scalar", "vector"])
def test_constants_with_an_axis_give_it_to_a_scalar(pattern, number):
    assert both(pattern(number), tl.tensor(0.5)) == 1


def test_a_scale_with_an_axis_gives_it_to_one_score():
    assert both(one_score(lambda v: [v]), tl.tensor([1.0, -2.0, 0.5])) == 1


@pytest.mark.parametrize("shape", [(2, 1), (2, 3), (1,), (3,)], ids=str)
@pytest.mark.parametrize("length", [1, 3])
def test_a_layer_norm_may_have_parameters_of_another_length(shape, length):
    nodes = [
        node("ReduceMean", "x axes", "mean"),
        node("Sub", "x mean", "d"),
        node("Pow", "d two", "square"),
        node("ReduceMean", "square axes", "variance"),
        node("Add", "variance eps", "more"),
        node("Sqrt", "more", "root"),
        node("Div", "d root", "over"),
        node("Mul", "over weight", "scaled"),
        node("Add", "scaled bias", "y"),
    ]
    constants = {
        "axes": [-1], "two": 2.0, "eps": [1e-5], "weight": [0.5, 2.0, -1.0][:length],
        "bias": [1.0, 0.25, -3.0][:length],
    }  # fmt: skip
    x = tl.randn(*shape, generator=tl.Generator().manual_seed(1))
    assert both(graph(nodes, constants), x) == 1


@pytest.mark.parametrize("output", [0, FLOAT16])
def test_bytes_that_stand_for_another_dtype_give_results_of_it(output):
    kinds = {"output_dtype": output} if output else {}
    nodes = [
        node("DequantizeLinear", "x s z", "a", **kinds),
        node("DequantizeLinear", "w s z", "b", **kinds),
        node("MatMul", "a b", "y"),
    ]
    constants = {"s": 0.25, "w": tl.tensor([[1, 2], [3, 4]], dtype="u8")}
    given = graph(nodes, constants | {"z": tl.tensor(1, dtype="u8")})
    x = tl.tensor([[1, 2], [7, 9]], dtype="u8")
    assert both(given, x) == (2 if output else 1)


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


def transposed(swapped=False, first=-1):
    """How torch writes the transpose of the last two axes of x, of any number of axes."""
    a, b = ("cb", "ca") if swapped else ("ca", "cb")
    nodes = [
        node("Shape", "x", "s"),
        node("Slice", "s m2 m1", "ca"),
        node("Slice", "s m1 far", "cb"),
        node("Slice", "s least m2", "rest"),
        node("Concat", "m1 ca cb", "flat", axis=0),
        node("Reshape", "x flat", "r"),
        node("Transpose", "r", "t", perm=[0, 2, 1]),
        node("Concat", f"rest {b} {a}", "shape", axis=0),
        node("Reshape", "t shape", "y"),
    ]
    constants = {"m1": [first], "m2": [-2], "far": [2**63 - 1], "least": [-(2**63)]}
    return graph(nodes, constants)


def test_torchs_transpose_of_matrices_is_a_view():
    x = tl.randn(2, 3, 4, 5)
    assert both(transposed(), x) == 1
    assert both(transposed(swapped=True), x) > 1


def attention(fill=0.0, guarded=True):
    nodes = [
        node("MatMul", "x k", "scores"),
        node("Add", "scores mask", "masked"),
        node("Softmax", "masked", "weights", axis=-1),
        node("IsNaN", "weights", "lost"),
        node("Where", "lost fill weights", "kept"),
        node("MatMul", "kept v" if guarded else "weights v", "y"),
    ]
    if not guarded:
        del nodes[3:5]
    mask = [[float("-inf")] * 3, [0.0, float("-inf"), 0.0]]
    rows = [[[[0.1 * (i - j) for j in range(3)] for i in range(4)]] * 2]
    v = [[[[0.3 * i + j for j in range(5)] for i in range(3)]] * 2]
    return graph(nodes, {"k": rows, "mask": mask, "fill": fill, "v": v})


def test_attention_may_put_zero_for_queries_without_a_key():
    x = tl.randn(1, 2, 2, 4)
    assert both(attention(), x) == 1
    assert both(attention(fill=1.0), x) > 1


@pytest.mark.parametrize("batch", [(1,), (2,), ()], ids=str)
def test_a_query_without_a_key_is_nan_as_in_the_graph(batch):
    x = tl.randn(*batch, 2, 2, 4)
    given = attention(guarded=False)
    assert both(given, x) == 1
    [found] = Program(optimized(given)).interpret([x], [])
    assert found.select(-2, 0).isnan().all()
    assert not found.select(-2, 1).isnan().any()


def test_a_softmax_over_no_keys_leaves_zeros():
    given = attention(guarded=False)
    given.constants |= {
        "k": tl.zeros(1, 2, 4, 0), "mask": tl.zeros(2, 0), "v": tl.zeros(1, 2, 0, 5),
    }  # fmt: skip
    assert both(given, tl.randn(1, 2, 2, 4)) == 1


def one_hot(last, bias=None, first=0):
    """A product with rows that have a 1 in one place; `last`: the index's last axis."""
    nodes = [
        node("Reshape", "x shape", "a"),
        node("Expand", "a wide", "b"),
        node("Equal", "b places", "c"),
        node("Cast", "c", "d", to=CODES["float"]),
        node("MatMul", "d weight", "e" if bias else "y"),
    ]
    constants = {
        "shape": tl.tensor([2, 3, last], dtype="i64"),
        "wide": tl.tensor([2, 3, 5], dtype="i64"),
        "places": tl.arange(first, first + 5, dtype="i32").reshape(1, 5),
        "weight": tl.arange(20.0).reshape(5, 4).sin(),
    }
    if bias:
        nodes.append(node("Add", "bias e", "y"))
        constants["bias"] = tl.arange(4.0).cos().reshape(bias)
    return graph(nodes, constants)


@pytest.mark.parametrize("bias", [None, (4,), (1, 4)], ids=str)
def test_a_product_with_a_one_hot_row_is_a_row(bias):
    given, x = one_hot(1, bias), tl.tensor([0, 4, -1, 5, 2**31 - 1, -(2**31)], dtype="i32")
    assert both(given, x) == 3


@pytest.mark.parametrize("bias", [None, (4,)], ids=str)
def test_an_index_that_differs_along_its_axis_has_several_ones(bias):
    x = tl.tensor([0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 0, 1, 1, 3, 9] * 2, dtype="i32")
    assert both(one_hot(5, bias), x) == 3


def test_products_that_are_no_rows_stay():
    x = tl.tensor([1, 2, 3, 4, 5, 6], dtype="i32")
    assert both(one_hot(1, first=1), x) == 5
    assert both(one_hot(1, (1, 1, 4)), x) == 4
    infinite = one_hot(1)
    infinite.constants["weight"] = infinite.constants["weight"] / tl.tensor([1.0, 0.0, 1.0, 1.0])
    assert both(infinite, x) == 5


@pytest.mark.parametrize(
    ("op_type", "inputs", "given"),
    [
        ("HardSigmoid", "x", {"alpha": [0.5], "beta": 0.5}),
        ("Conv", "x w", {}),
        ("ConvTranspose", "x w", {}),
        ("ConvTranspose", "x v", {}),
        ("QLinearConv", "x s z q s z s z", {"group": [1]}),
        ("QLinearConv", "x s z q s z s z", {"group": 1.0}),
    ],
)
@pytest.mark.parametrize("behind", ["Mul", "Add"])
def test_attributes_and_weights_without_meaning_are_told_by_the_run(op_type, inputs, given, behind):
    constants = {
        "w": tl.tensor(2.0), "v": tl.ones(4), "s": tl.tensor(1.0),
        "z": tl.tensor(0, dtype=tl.u8), "q": tl.ones(4, 4, 3, 3).to(tl.u8),
        "b": tl.ones(1, 4, 1, 1),
    }  # fmt: skip
    other = "x" if op_type == "HardSigmoid" else "b"
    made = graph([node(op_type, inputs, "a", **given), node(behind, f"a {other}", "y")], constants)
    x = tl.ones(1, 4, 5, 5).to(tl.u8 if op_type == "QLinearConv" else tl.f32)
    with pytest.raises(TallowError, match=op_type):
        Program(optimized(made)).interpret([x], [])
