"""Several nodes that exporters write for one operation become that operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tallow.onnx.graph import Graph, Node
from tallow.onnx.passes.attention import attention, matrix_transpose
from tallow.onnx.passes.gelu import gelu_tanh
from tallow.onnx.passes.linear import conv_bias, conv_scale, gemm, matmul
from tallow.onnx.passes.matching import Matcher
from tallow.onnx.passes.one_hot import one_hot_product

_ROOT: Final = 2**0.5


def fused(graph: Graph) -> Graph:
    """The graph with every pattern replaced, sub-graphs as they are."""
    matcher = Matcher(graph)
    for node in graph.nodes:
        for pattern in PATTERNS.get(node.op_type, ()):
            if not node.domain and matcher.stands(node):
                pattern(matcher, node)
    return matcher.result()


def gelu(m: Matcher, erf: Node) -> bool:
    """X * 0.5 * (1 + erf(x / sqrt(2))), with factors in any order."""
    scaled = m.maker(erf.inputs[0], "Div", "Mul")
    found = scaled and m.operands(scaled)
    if scaled is None or not found or len(m.users(scaled.outputs[0])) != 1:
        return False
    if scaled.op_type == "Div" and scaled.inputs[0] != found[0]:
        return False
    if not m.factor(scaled, _ROOT if scaled.op_type == "Div" else 1 / _ROOT):
        return False
    x = found[0]
    plus = m.user(erf.outputs[0], "Add")
    if plus is None or (sum_ := m.operands(plus)) is None or sum_[1] != 1:
        return False
    first = m.user(plus.outputs[0], "Mul")
    if first is None:
        return False
    gone = [scaled, erf, plus]
    other = _other(first, plus.outputs[0])
    half = m.maker(other, "Mul")
    if half is not None and m.operands(half) == (x, 0.5) and len(m.users(other)) == 1:
        _activation(m, [*gone, half, first], "Gelu", 20, x)
        return True
    second = m.user(first.outputs[0], "Mul")
    if second is None:
        return False
    factors = (other, _other(second, first.outputs[0]))
    if x not in factors or m.number(factors[1 - factors.index(x)]) != 0.5:
        return False
    _activation(m, [*gone, first, second], "Gelu", 20, x)
    return True


def layer_norm(m: Matcher, mean: Node) -> bool:
    """Less the mean of the last axis, over the root of the variance, scaled, shifted."""
    x = mean.inputs[0]
    centred = [n for n in m.users(mean.outputs[0]) if n.op_type == "Sub" and n.inputs[0] == x]
    if not _of_last_axis(m, mean) or len(centred) != 1 or len(m.users(mean.outputs[0])) != 1:
        return False
    d = centred[0].outputs[0]
    by = {node.op_type: node for node in m.users(d)}
    square, over = by.get("Pow") or by.get("Mul"), by.get("Div")
    if square is None or over is None or over.inputs[0] != d:
        return False
    squared = (
        m.number(square.inputs[1]) == 2 if square.op_type == "Pow" else square.inputs == [d, d]
    )
    if not squared or len(m.users(d)) != (2 if square.op_type == "Pow" else 3):
        return False
    variance = m.user(square.outputs[0], "ReduceMean")
    if variance is None or not _of_last_axis(m, variance):
        return False
    plus = m.user(variance.outputs[0], "Add")
    added = plus and m.operands(plus)
    root = m.user(plus.outputs[0], "Sqrt") if plus is not None and added else None
    if root is None or plus is None or not added or m.user(root.outputs[0], "Div") is not over:
        return False
    scale = m.user(over.outputs[0], "Mul")
    weight = _vector_operand(m, scale, over.outputs[0])
    if scale is None or not weight:
        return False
    gone = [mean, centred[0], square, variance, plus, root, over, scale]
    inputs, last = [x, weight], scale
    shift = m.user(scale.outputs[0], "Add")
    bias = _vector_operand(m, shift, scale.outputs[0])
    if shift is not None and bias and _lengths(m, bias) == _lengths(m, weight):
        gone, inputs, last = [*gone, shift], [*inputs, bias], shift
    given = {"epsilon": added[1], "axis": -1}
    m.replace(gone, "LayerNormalization", inputs, last.outputs[0], given, domain="", opset=17)
    return True


def gated(m: Matcher, gate: Node) -> bool:
    """X * sigmoid(x), and x * hard_sigmoid(x) with the slope of HardSwish."""
    x = gate.inputs[0]
    product = m.user(gate.outputs[0], "Mul")
    if product is None or sorted(product.inputs) != sorted([x, gate.outputs[0]]):
        return False
    if gate.op_type == "Sigmoid":
        m.replace([gate, product], "Silu", [x], product.outputs[0])
        return True
    alpha, beta = gate.attributes.get("alpha", 0.2), gate.attributes.get("beta", 0.5)
    if not isinstance(alpha, float) or abs(alpha - 1 / 6) > 1e-6 or beta != 0.5:
        return False
    m.replace([gate, product], "HardSwish", [x], product.outputs[0], domain="", opset=14)
    return True


def hard_swish(m: Matcher, clip: Node) -> bool:
    """X * clip(x + 3, 0, 6) / 6, the division before or after the product."""
    plus = m.maker(clip.inputs[0], "Add")
    found = plus and m.operands(plus)
    if plus is None or not found or found[1] != 3 or len(m.users(plus.outputs[0])) != 1:
        return False
    if _bounds(m, clip) != (0, 6):
        return False
    x, gone, at = found[0], [plus, clip], clip.outputs[0]
    product = divided = 0
    while (node := m.user(at, "Mul", "Div")) is not None and not (product and divided):
        if (number := m.operands(node)) is not None:
            by_six = number == (at, 6) if node.op_type == "Div" else m.factor(node, 1 / 6)
            if divided or not by_six or (node.op_type == "Div" and node.inputs[0] != at):
                break
            divided += 1
        elif product or node.op_type == "Div" or sorted(node.inputs) != sorted([x, at]):
            break
        else:
            product += 1
        gone, at = [*gone, node], node.outputs[0]
    if not divided:
        return False
    if product:
        _activation(m, gone, "HardSwish", 14, x)
    else:
        _activation(m, gone, "HardSigmoid", 6, x, {"alpha": 1 / 6, "beta": 0.5})
    return True


def _activation(
    m: Matcher, gone: list[Node], op_type: str, opset: int, x: str,
    given: dict[str, float] | None = None,
) -> None:  # fmt: skip
    """Replace nodes by a function of one value; by ours where constants add an axis to a scalar."""
    output, rank = gone[-1].outputs[0], m.rank(gone)
    if rank:
        m.replace(gone, op_type, [x], output, {"rank": rank})
    else:
        m.replace(gone, op_type, [x], output, given, domain="", opset=opset)


def _bounds(m: Matcher, clip: Node) -> tuple[float | None, float | None]:
    if len(clip.inputs) == 1:
        return clip.attributes.get("min"), clip.attributes.get("max")
    low, high = (*clip.inputs[1:], "")[:2]
    return m.number(low), m.number(high)


def _of_last_axis(m: Matcher, node: Node) -> bool:
    """Whether a reduction keeps its one axis, and that is said to be the last."""
    if not node.attributes.get("keepdims", 1):
        return False
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1:
        value = m.constants.get(node.inputs[1])
        axes = value.tolist() if value is not None else None
    return bool(axes == [-1])


def _vector_operand(m: Matcher, node: Node | None, value: str) -> str:
    """The name of the other operand, if that is a constant with one axis; else nothing."""
    name = _other(node, value) if node is not None else ""
    found = m.vector(name)
    return name if found is not None and found.ndim == 1 else ""


def _lengths(m: Matcher, name: str) -> Any:
    found = m.vector(name)
    return found.shape if found is not None else None


def _other(node: Node, value: str) -> str:
    return node.inputs[1] if node.inputs[0] == value else node.inputs[0]


# What is tried at a node of a type, in this order.
PATTERNS: Final[Mapping[str, tuple[Callable[[Matcher, Node], bool], ...]]] = {
    "Erf": (gelu,),
    "Tanh": (gelu_tanh,),
    "ReduceMean": (layer_norm,),
    "Sigmoid": (gated,),
    "HardSigmoid": (gated,),
    "Clip": (hard_swish,),
    "Reshape": (matrix_transpose,),
    "Softmax": (attention,),
    "Conv": (conv_scale, conv_bias),
    "ConvTranspose": (conv_bias,),
    "MatMul": (one_hot_product, matmul),
    "Gemm": (gemm,),
}
