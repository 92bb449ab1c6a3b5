"""Products with rows that have a 1 in one place: they are rows of the matrix."""

from __future__ import annotations

from typing import Final

from tallow.dtype import f32
from tallow.factories import arange
from tallow.onnx.graph import Node
from tallow.onnx.passes.matching import Matcher
from tallow.ops import cat
from tallow.tensor import Tensor

_FLOAT: Final = 1  # the code of float32


def one_hot_product(m: Matcher, node: Node) -> bool:
    """Cast(x == (0, 1, …)) @ w, and what is added to it: rows of w, or zeros."""
    weight = m.vector(node.inputs[1])
    cast = m.maker(node.inputs[0], "Cast")
    equal = m.maker(cast.inputs[0], "Equal") if cast is not None else None
    if cast is None or equal is None or weight is None or weight.ndim != 2:
        return False
    if weight.dtype is not f32 or cast.attributes.get("to") != _FLOAT:
        return False
    if len(m.users(cast.outputs[0])) != 1 or len(m.users(equal.outputs[0])) != 1:
        return False
    places = _places(m, equal, weight.shape[0])
    if not places or not weight.isfinite().all().item():  # 0 times infinity is no 0
        return False
    name = equal.inputs[1] if equal.inputs[0] == places else equal.inputs[0]
    zeros = weight[:1] * 0
    table, gone, last = cat([zeros, weight, zeros]), [equal, cast, node], node
    inputs = [places, node.inputs[1]]
    plus = m.user(node.outputs[0], "Add")
    if plus is not None:
        other = plus.inputs[1] if plus.inputs[0] == node.outputs[0] else plus.inputs[0]
        bias = m.vector(other)
        if bias is not None and _is_row(bias, m.constants[places].ndim, weight.shape[1]):
            table, gone, last = table + bias.reshape(-1), [*gone, plus], plus
            inputs.append(other)
    made = m.constant(f"{node.inputs[1]}.rows", table)
    m.replace(gone, "Rows", [name, made, *inputs], last.outputs[0])
    return True


def _places(m: Matcher, equal: Node, count: int) -> str:
    """The name of the operand that is 0, 1, … along its last axis; '' if none is."""
    for name in equal.inputs:
        value = m.constants.get(name)
        if not isinstance(value, Tensor) or value.dtype.name not in ("i32", "i64"):
            continue
        if _is_row(value, 4, count) and bool(value.reshape(-1).eq(arange(count)).all().item()):
            return name
    return ""


def _is_row(x: Tensor, most: int, length: int) -> bool:
    """Whether a tensor of one axis or more, but not too many, has only this last one."""
    return 1 <= x.ndim <= most and x.shape == (*[1] * (x.ndim - 1), length)
