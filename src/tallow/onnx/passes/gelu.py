"""GELU by its approximation with tanh, as exporters write it."""

from __future__ import annotations

import math
from typing import Final

from tallow.dtype import f32
from tallow.onnx.graph import Node
from tallow.onnx.passes.matching import Matcher
from tallow.tensor import Tensor

_SLOPE: Final = math.sqrt(2 / math.pi)
_CUBE: Final = 0.044715
_MOST: Final = 8  # nodes one below the other in the polynomial

# Coefficients by the power of x, and the nodes that compute them.
_Polynomial = tuple[dict[int, float], list[Node]]


def gelu_tanh(m: Matcher, tanh: Node) -> bool:
    """X * 0.5 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))), in any order."""
    plus = m.user(tanh.outputs[0], "Add")
    if plus is None or _number(m, _other(plus, tanh.outputs[0])) != 1:
        return False
    first = m.user(plus.outputs[0], "Mul")
    found = first and _factors(m, first, plus.outputs[0])
    if first is None or not found:
        return False
    x, products = found
    inner = _polynomial(m, tanh.inputs[0], x, _MOST)
    if inner is None or not _is_gelus(inner[0]):
        return False
    gone = [*inner[1], tanh, plus, *products]
    given = {"rank": _rank(m, gone), "approximate": "tanh"}
    m.replace(gone, "Gelu", [x], gone[-1].outputs[0], given)
    return True


def _factors(m: Matcher, first: Node, sum_: str) -> tuple[str, list[Node]] | None:
    """The x of x * 0.5 * sum, and the nodes that multiply, the last one last."""
    beside = _other(first, sum_)
    half = m.maker(beside, "Mul")
    if half is not None and len(m.users(beside)) == 1:
        for name in half.inputs:
            if _number(m, name) == 0.5:
                return _other(half, name), [half, first]
    second = m.user(first.outputs[0], "Mul")
    if second is None:
        return None
    names = [beside, _other(second, first.outputs[0])]
    numbers = [_number(m, name) for name in names]
    if numbers.count(0.5) != 1 or numbers.count(None) != 1:
        return None
    return names[numbers.index(None)], [first, second]


def _is_gelus(found: dict[int, float]) -> bool:
    wanted = {1: _SLOPE, 3: _SLOPE * _CUBE}
    return found.keys() == wanted.keys() and all(
        abs(found[power] - value) <= 2e-5 * value for power, value in wanted.items()
    )


def _polynomial(m: Matcher, name: str, x: str, most: int) -> _Polynomial | None:
    """A value as a polynomial in x, if nothing else uses what it is made of."""
    if name == x:
        return {1: 1.0}, []
    number = _number(m, name)
    if number is not None:
        return {0: number}, []
    node = m.maker(name, "Add", "Mul", "Pow")
    if node is None or not most or len(m.users(name)) != 1:
        return None
    left = _polynomial(m, node.inputs[0], x, most - 1)
    if left is None:
        return None
    if node.op_type == "Pow":
        exponent = m.number(node.inputs[1])
        if exponent not in (2, 3):
            return None
        result = left[0]
        for _ in range(int(exponent) - 1):
            result = _times(result, left[0])
        return result, [*left[1], node]
    right = _polynomial(m, node.inputs[1], x, most - 1)
    if right is None:
        return None
    combined = _times(left[0], right[0]) if node.op_type == "Mul" else _plus(left[0], right[0])
    return combined, [*left[1], *right[1], node]


def _plus(a: dict[int, float], b: dict[int, float]) -> dict[int, float]:
    return {power: a.get(power, 0) + b.get(power, 0) for power in a.keys() | b.keys()}


def _times(a: dict[int, float], b: dict[int, float]) -> dict[int, float]:
    result: dict[int, float] = {}
    for p, left in a.items():
        for q, right in b.items():
            result[p + q] = result.get(p + q, 0) + left * right
    return result


def _number(m: Matcher, name: str) -> float | None:
    """A constant of one element, of any number of axes: they are given to the result."""
    value = m.vector(name)
    if value is None or value.numel() != 1 or value.dtype is not f32:
        return None
    return float(value.item())


def _rank(m: Matcher, nodes: list[Node]) -> int:
    """The most axes that a constant has."""
    values = [m.constants.get(name) for node in nodes for name in node.inputs]
    return max(value.ndim for value in values if isinstance(value, Tensor))


def _other(node: Node, value: str) -> str:
    return node.inputs[1] if node.inputs[0] == value else node.inputs[0]
