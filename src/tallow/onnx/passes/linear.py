"""Products and convolutions with constant weights, and what is added to or multiplies them."""

from __future__ import annotations

from tallow.onnx.graph import Node
from tallow.onnx.passes.matching import Matcher
from tallow.tensor import Tensor


def matmul(m: Matcher, node: Node) -> bool:
    """X @ w with a constant matrix, and the vector added to it: linear."""
    weight = m.vector(node.inputs[1])
    if weight is None or weight.ndim != 2:
        return False
    gone, inputs, last = [node], [node.inputs[0]], node
    plus = m.user(node.outputs[0], "Add")
    bias = plus and next((n for n in plus.inputs if n != node.outputs[0]), "")
    vector = m.vector(bias) if bias else None
    inputs.append(_transposed(m, node.inputs[1], weight))
    if plus is not None and bias and vector is not None and vector.shape == weight.shape[1:]:
        gone, inputs, last = [node, plus], [*inputs, bias], plus
    m.replace(gone, "Linear", inputs, last.outputs[0])
    return True


def gemm(m: Matcher, node: Node) -> bool:
    """Gemm with a constant matrix and a vector: linear."""
    weight, given = m.vector(node.inputs[1]), node.attributes
    plain = given.get("alpha", 1.0) == 1 and given.get("beta", 1.0) == 1
    if weight is None or weight.ndim != 2 or not plain or given.get("transA", 0):
        return False
    inputs = [node.inputs[0]]
    rows = 0 if given.get("transB", 0) else 1
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = m.vector(node.inputs[2])
        if bias is None or bias.shape != (weight.shape[rows],):
            return False
    name = node.inputs[1] if not rows else _transposed(m, node.inputs[1], weight)
    inputs += [name, *filter(None, node.inputs[2:])]
    m.replace([node], "Linear", inputs, node.outputs[0])
    return True


def conv_bias(m: Matcher, node: Node) -> bool:
    """A convolution without bias, and a constant for each channel added to it."""
    if len(node.inputs) > 2 and node.inputs[2]:
        return False
    plus = m.user(node.outputs[0], "Add")
    found = _channels(m, plus, node)
    if plus is None or found is None:
        return False
    bias = m.constant(f"{node.inputs[1]}.bias", found)
    inputs = [*node.inputs[:2], bias]
    _conv(m, [node, plus], inputs, node)
    return True


def conv_scale(m: Matcher, node: Node) -> bool:
    """A convolution, and a constant for each channel times it."""
    times = m.user(node.outputs[0], "Mul")
    found = _channels(m, times, node)
    weight = m.vector(node.inputs[1])
    if times is None or found is None or weight is None:
        return False
    scaled = weight * found.reshape(-1, *[1] * (weight.ndim - 1))
    inputs = [node.inputs[0], m.constant(f"{node.inputs[1]}.scaled", scaled)]
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = m.vector(node.inputs[2])
        if bias is None:
            return False
        inputs.append(m.constant(f"{node.inputs[2]}.scaled", bias * found))
    _conv(m, [node, times], inputs, node)
    return True


def _conv(m: Matcher, gone: list[Node], inputs: list[str], node: Node) -> None:
    m.replace(
        gone, node.op_type, inputs, gone[-1].outputs[0], node.attributes, domain=node.domain,
        opset=node.opset,
    )  # fmt: skip


def _channels(m: Matcher, node: Node | None, conv: Node) -> Tensor | None:
    """The constant operand of a node, if it has one element for each channel of a convolution."""
    if node is None:
        return None
    name = node.inputs[1] if node.inputs[0] == conv.outputs[0] else node.inputs[0]
    value, weight = m.vector(name), m.vector(conv.inputs[1])
    if value is None or weight is None or value.dtype is not weight.dtype:
        return None
    groups = conv.attributes.get("group", 1)
    if weight.ndim < 3 or not isinstance(groups, int):  # told when it is run
        return None
    count = weight.shape[0] if conv.op_type == "Conv" else weight.shape[1] * groups
    behind = weight.ndim - 2  # axes after the channels
    shape = (*[1] * (weight.ndim - value.ndim), *value.shape)
    if value.ndim > weight.ndim or shape != (1, count, *[1] * behind):
        return None
    return value.reshape(count)


def _transposed(m: Matcher, name: str, weight: Tensor) -> str:
    """The name of the transposed matrix, a view; one for all products by it."""
    made = m.transposed.get(name)
    if made is None:
        made = m.transposed[name] = m.constant(f"{name}.T", weight.transpose(0, 1))
    return made
