"""Softmax of products, times values: attention in one step."""

from __future__ import annotations

from tallow.onnx.graph import Node
from tallow.onnx.passes.matching import Matcher


def attention(m: Matcher, softmax: Node) -> bool:
    """softmax(q @ k * scale + mask) @ v; k stands transposed."""
    axis = softmax.attributes.get("axis", -1 if softmax.opset >= 13 else 1)
    if axis not in (-1, 3):
        return False
    weighted = m.user(softmax.outputs[0], "MatMul")
    if weighted is None or weighted.inputs[0] != softmax.outputs[0]:
        return False
    gone, at, mask, scale = [softmax, weighted], softmax.inputs[0], "", 1.0
    plus = m.maker(at, "Add")
    if plus is not None and len(m.users(at)) == 1:
        scores = next((n for n in plus.inputs if m.maker(n, "MatMul", "Mul", "Div")), "")
        if not scores:
            return False
        mask = plus.inputs[1] if plus.inputs[0] == scores else plus.inputs[0]
        gone, at = [plus, *gone], scores
    scaled = m.maker(at, "Mul", "Div")
    if scaled is not None:
        found = m.operands(scaled)
        if (
            found is None
            or len(m.users(at)) != 1
            or (scaled.inputs[0] != found[0] and (scaled.op_type == "Div"))
        ):
            return False
        scale = found[1] if scaled.op_type == "Mul" else 1 / found[1]
        gone, at = [scaled, *gone], found[0]
    product = m.maker(at, "MatMul")
    if product is None or len(m.users(at)) != 1:
        return False
    inputs = [*product.inputs, weighted.inputs[1], *([mask] if mask else [])]
    given = {"scale": scale, "axis": axis}
    m.replace([product, *gone], "Attention", inputs, weighted.outputs[0], given)
    return True
