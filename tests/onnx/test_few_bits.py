"""Products by weights of few bits: their constant weights are kept as blocks or floats, exactly."""

import numpy as np
import pytest

import tallow as tl
from tallow.errors import TallowError
from tallow.formats.onnx import ValueInfo
from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators import find
from tallow.onnx.passes import optimized
from tallow.onnx.program import Program

MS = "com.microsoft"


def product(bits, points, *, k=96, n=7, block=32, halves=True, bias=False, order=False, **how):
    """A graph of one product; `points`: none, the middle of the range, or any."""
    rng = np.random.default_rng(bits)
    blocks = -(-k // block)
    scales = rng.uniform(0.01, 0.05, n * blocks)
    constants = {
        "b": rng.integers(0, 256, (n, blocks, block * bits // 8), np.uint8),
        "s": scales.astype("f2" if halves else "f4").astype("f4"),
    }
    columns = -(-blocks * bits // 8)
    if points == "middle":
        middle = sum((1 << bits - 1) << at for at in range(0, 8, bits))
        constants["z"] = np.full((n * columns,), middle, np.uint8)
    elif points == "any":
        constants["z"] = rng.integers(0, 256, (n * columns,), np.uint8)
    elif points == "floats":
        constants["z"] = rng.uniform(0, 3, n * blocks).astype("f4")
    if order:
        constants["g"] = rng.integers(0, blocks, k).astype("i4")
    if bias:
        constants["c"] = rng.standard_normal(n).astype("f4")
    names = ["x", *(name if name in constants else "" for name in "bszgc")]
    while not names[-1]:
        names.pop()
    given = {"K": k, "N": n, "block_size": block, "bits": bits} | how
    row = find(MS, "MatMulNBits", 1)
    node = Node("MatMulNBits", MS, "", names, ["y"], given, row, 1)
    tensors = {name: tl.from_numpy(x) for name, x in constants.items()}
    return Graph("g", [node], [ValueInfo("x", None)], [ValueInfo("y", None)], tensors)


def kept(graph):
    """What the pass makes of a weight, if it puts a layer in the place of the product."""
    [node] = optimized(graph).nodes
    return optimized(graph).constants[node.inputs[1]] if node.op_type == "Linear" else None


def close(graph, atol=2e-5):
    k = graph.nodes[0].attributes["K"]
    x = tl.tensor(np.random.default_rng(9).standard_normal((2, 3, k)).astype("f4"))
    [want] = Program(graph).interpret([x], [])
    [got] = Program(optimized(graph)).interpret([x], [])
    assert got.dtype is want.dtype
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-5, atol=atol)


CASES = {
    (2, "none"): "q4_0", (2, "any"): "q4_0", (4, "none"): "q4_0", (4, "middle"): "q4_0",
    (4, "any"): "q8_0", (8, "none"): "q8_0", (8, "middle"): "q8_0", (8, "any"): "f32",
    (4, "floats"): "f32",
}  # fmt: skip


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_scales_that_f16_holds_stay_in_blocks(case, bias):
    graph = product(*case, bias=bias)
    weight = kept(graph)
    assert weight.dtype.name == CASES[case]
    eye = tl.tensor(np.eye(96, dtype="f4"))
    [columns] = Program(product(*case)).interpret([eye], [])
    assert tl.equal(weight.to("f32"), columns.transpose(0, 1))  # to the last bit
    close(graph)


@pytest.mark.parametrize("block", [16, 32, 64, 128])
@pytest.mark.parametrize("k", [64, 80, 160])
def test_blocks_of_any_length(block, k):
    graph = product(4, "any", block=block, k=k)
    fits = block >= 32 and k % 32 == 0
    assert kept(graph).dtype.name == ("q8_0" if fits else "f32")
    close(graph)


def test_other_scales_make_floats_or_are_rounded_where_the_file_allows_it():
    assert kept(product(4, "none", halves=False)).dtype is tl.f32
    close(product(4, "none", halves=False))
    for level in (2, 3):
        graph = product(4, "none", halves=False, accuracy_level=level)
        assert kept(graph).dtype.name == "q4_0"
        close(graph, atol=5e-3)
    graph = product(4, "none", accuracy_level=4)
    assert kept(graph).dtype.name == "q4_0"
    assert optimized(graph).nodes[0].attributes["exact"] == 0
    close(graph, atol=5e-2)


def test_columns_in_another_order_make_floats():
    graph = product(4, "any", order=True)
    assert kept(graph).dtype is tl.f32
    close(graph)


def test_what_is_no_weight_stays():
    graph = product(4, "none")
    del graph.constants["s"]
    assert kept(Graph("g", graph.nodes, graph.inputs, graph.outputs, graph.constants)) is None
    broken = product(4, "none")
    broken.constants["b"] = broken.constants["b"][:-1]
    assert kept(broken) is None
    with pytest.raises(tl.errors.ShapeError, match="bytes of weights"):
        Program(optimized(broken)).interpret([tl.zeros(2, 96)], [])


@pytest.mark.parametrize(
    "how",
    [{"N": 0}, {"K": 0}, {"block_size": 0}, {"block_size": 32.0}, {"bits": "4"}, {"N": None}],
    ids=str,
)
@pytest.mark.parametrize("points", ["none", "any"])
def test_attributes_without_meaning_are_left_to_the_run(how, points):
    graph = product(4, points)
    graph.nodes[0].attributes.update(how)
    assert kept(graph) is None
    with pytest.raises(TallowError, match="MatMulNBits"):
        Program(optimized(graph)).interpret([tl.ones(2, 96)], [])


@pytest.mark.parametrize("length", [0, 5])
def test_zero_points_of_another_length_are_left_to_the_run(length):
    graph = product(4, "any")
    graph.constants["z"] = graph.constants["z"][:length]
    assert kept(graph) is None
    with pytest.raises(TallowError, match="MatMulNBits"):
        Program(optimized(graph)).interpret([tl.ones(2, 96)], [])


def test_a_product_without_columns_has_no_elements():
    graph = product(4, "none", n=0)
    [y] = Program(optimized(graph)).interpret([tl.ones(2, 96)], [])
    assert y.shape == (2, 0)
