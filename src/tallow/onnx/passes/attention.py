"""Softmax of products, times values: attention in one step."""

from __future__ import annotations

from tallow.onnx.graph import Node
from tallow.onnx.passes.matching import Matcher

_FAR = 1 << 30  # beyond every axis


def attention(m: Matcher, softmax: Node) -> bool:
    """softmax(q @ k * scale + mask) @ v; k stands transposed."""
    axis = softmax.attributes.get("axis", -1 if softmax.opset >= 13 else 1)
    if axis not in (-1, 3):
        return False
    guards, weights = _guarded(m, softmax)
    weighted = m.user(weights, "MatMul")
    if weighted is None or weighted.inputs[0] != weights:
        return False
    gone, at, mask, scale = [softmax, *guards, weighted], softmax.inputs[0], "", 1.0
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
            or (scaled.op_type == "Div" and (scaled.inputs[0] != found[0] or not found[1]))
        ):
            return False
        scale = found[1] if scaled.op_type == "Mul" else 1 / found[1]
        gone, at = [scaled, *gone], found[0]
    product = m.maker(at, "MatMul")
    if product is None or len(m.users(at)) != 1:
        return False
    inputs = [*product.inputs, weighted.inputs[1], *([mask] if mask else [])]
    flat, guarded = int(softmax.opset < 13), int(bool(guards))
    rank = m.rank([scaled]) if scaled is not None else 0
    given = {"scale": scale, "axis": axis, "flat": flat, "guarded": guarded, "rank": rank}
    m.replace([product, *gone], "Attention", inputs, weighted.outputs[0], given)
    return True


def _guarded(m: Matcher, softmax: Node) -> tuple[list[Node], str]:
    """Nodes that put 0 in the place of NaN (rows without any key), and the weights after them."""
    name = softmax.outputs[0]
    users = {node.op_type: node for node in m.users(name)}
    if users.keys() != {"IsNaN", "Where"} or len(m.users(name)) != 2:
        return [], name
    test, choice = users["IsNaN"], users["Where"]
    if (
        choice.inputs[0] != test.outputs[0]
        or choice.inputs[2] != name
        or (m.number(choice.inputs[1]) != 0 or m.user(test.outputs[0], "Where") is not choice)
    ):
        return [], name
    return [test, choice], choice.outputs[0]


def matrix_transpose(m: Matcher, last: Node) -> bool:
    """(…, a, b) as (-1, a, b), transposed, as (…, b, a): how torch writes the transpose of k."""
    turned = m.maker(last.inputs[0], "Transpose")
    first = m.maker(turned.inputs[0], "Reshape") if turned is not None else None
    if turned is None or first is None or turned.attributes.get("perm") != [0, 2, 1]:
        return False
    if m.user(turned.outputs[0], "Reshape") is not last or (
        m.user(first.outputs[0], "Transpose") is not turned
    ):
        return False
    x = first.inputs[0]
    before, after = (m.maker(node.inputs[1], "Concat") for node in (first, last))
    if before is None or after is None or len(before.inputs) != 3 or len(after.inputs) != 3:
        return False
    batch, a, b = before.inputs
    rest = after.inputs[0]
    if m.number(batch) != -1 or after.inputs[1:] != [b, a]:
        return False
    slices = [_slice_of_shape(m, name, x) for name in (rest, a, b)]
    if slices[0] != (0, -2) or slices[1] != (-2, -1) or slices[2] != (-1, None):
        return False
    m.replace([first, turned, last], "MatrixTranspose", [x], last.outputs[0])
    return True


def _slice_of_shape(m: Matcher, name: str, x: str) -> tuple[int, int | None] | None:
    """Begin and end of a slice of the shape of `x`; an end far beyond it is None."""
    node = m.maker(name, "Slice")
    if node is None or len(node.inputs) != 3:
        return None
    shape = m.maker(node.inputs[0], "Shape")
    if (
        shape is None
        or shape.inputs[0] != x
        or shape.attributes.get("start", 0) != 0
        or ("end" in shape.attributes)
    ):
        return None
    begin, end = (m.number(each) for each in node.inputs[1:])
    if begin is None or end is None:
        return None
    return int(begin) if begin > -_FAR else 0, int(end) if end < _FAR else None
