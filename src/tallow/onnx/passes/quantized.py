"""Quantised models in 8 bits: integer products in the place of those between conversions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from tallow.dtype import f32, i8, i32, u8
from tallow.formats.onnx.types import CODES
from tallow.onnx.graph import Graph, Node
from tallow.onnx.passes.few_bits import FewBits
from tallow.onnx.passes.matching import Matcher
from tallow.ops.integer import int8_columns, int8_rows
from tallow.tensor import Tensor

_BYTES: Final = (u8, i8)
_MICROSOFT: Final = "com.microsoft"
# Without one of them there is nothing to do.
_BEGINNINGS: Final = frozenset(
    {"DequantizeLinear", "MatMulInteger", "MatMulIntegerToFloat", "MatMulNBits", "QLinearConv"}
)


def quantized(graph: Graph) -> Graph:
    """The graph with integer operators where floats stand between conversions from and to bytes."""
    if not any(node.op_type in _BEGINNINGS for node in graph.nodes):
        return graph
    m = Matcher(graph)
    for node in m.nodes():
        pattern = None if node.domain else _PATTERNS.get(node.op_type)
        if pattern is not None and m.stands(node):
            pattern(m, node)
    few_bits = FewBits(m)
    for node in m.nodes():
        if node.op_type == "MatMulNBits" and node.domain == _MICROSOFT:
            few_bits.replace(node)
        elif node.op_type == "MatMulIntegerToFloat" and node.domain == _MICROSOFT:
            _pack_matrix(m, node)
        elif node.op_type == "QLinearConv" and not node.domain:
            _pack_weight(m, node)
    return m.result()


# --- weights as kernels take them -----------------------------------------------------------------


def _given(m: Matcher, node: Node, at: int, zero: int) -> tuple[Tensor, Tensor | None] | None:
    """A constant of bytes and its zero point, which is constant, too, or none."""
    name = node.inputs[zero] if len(node.inputs) > zero else ""
    weight, point = m.constants.get(node.inputs[at]), m.constants.get(name)
    if not isinstance(weight, Tensor) or weight.dtype not in _BYTES or (name and point is None):
        return None
    return weight, point


def _each(weight: Tensor, zero: Tensor | None, axis: int) -> bool:
    """Whether a zero point is one, or one for each index of an axis, of the weight's dtype."""
    if zero is None:
        return True
    return zero.dtype is weight.dtype and zero.numel() in (1, weight.shape[axis])


def _pack_matrix(m: Matcher, node: Node) -> None:
    found = _given(m, node, 1, 5)
    if found is None or found[0].ndim != 2 or not _each(*found, 1):
        return
    packed = m.constant(f"{node.inputs[1]}.packed", int8_columns(*found))
    inputs = [*node.inputs, *[""] * (7 - len(node.inputs)), packed]
    m.replace([node], "MatMulIntegerToFloat", inputs, node.outputs[0])


def _pack_weight(m: Matcher, node: Node) -> None:
    found = _given(m, node, 3, 5)
    group = node.attributes.get("group", 1)
    if found is None or found[0].ndim not in (3, 4) or not _each(*found, 0):
        return
    if not isinstance(group, int) or group < 1 or found[0].shape[0] % group:
        return
    if found[0].shape[1] == 1:  # depthwise, whose kernel is of floats
        return
    packed = m.constant(f"{node.inputs[3]}.packed", int8_rows(*found, group))
    inputs = [*node.inputs, *[""] * (9 - len(node.inputs)), packed]
    m.replace([node], "QLinearConv", inputs, node.outputs[0], node.attributes)


# --- dynamically quantised ------------------------------------------------------------------------


def _dynamic_product(m: Matcher, node: Node) -> None:
    """MatMulInteger of what was rounded just now, scaled, plus a bias: MatMulIntegerToFloat."""
    if len(node.inputs) < 3:
        return
    rounded = m.maker(node.inputs[0], "DynamicQuantizeLinear")
    cast = m.user(node.outputs[0], "Cast")
    if rounded is None or cast is None or node.inputs[2] != rounded.outputs[2]:
        return
    times = m.user(cast.outputs[0], "Mul")
    if times is None or cast.attributes.get("to") != CODES["float"]:
        return
    scales = m.maker(_other(times, cast.outputs[0]), "Mul")
    scale = rounded.outputs[1]
    if scales is None or scale not in scales.inputs:
        return
    weight_scale = _other(scales, scale)
    weight, found = m.constants.get(node.inputs[1]), m.vector(weight_scale)
    if not isinstance(weight, Tensor) or weight.ndim != 2 or found is None or found.ndim > 1:
        return
    if found.numel() not in (1, weight.shape[1]):
        return
    gone, inputs = [node, cast, times], [*node.inputs[:2], scale, weight_scale, *node.inputs[2:]]
    plus = m.user(times.outputs[0], "Add")
    bias = m.vector(_other(plus, times.outputs[0])) if plus is not None else None
    if plus is not None and bias is not None and bias.shape == weight.shape[1:]:
        gone.append(plus)
        inputs += [""] * (6 - len(inputs)) + [_other(plus, times.outputs[0])]
    m.replace(gone, "MatMulIntegerToFloat", inputs, gone[-1].outputs[0], domain=_MICROSOFT)


def _other(node: Node, name: str) -> str:
    return node.inputs[1] if node.inputs[0] == name else node.inputs[0]


# --- between DequantizeLinear and QuantizeLinear --------------------------------------------------


def _positive(scale: Tensor) -> bool:
    """Whether bytes are in the order of the numbers that they stand for."""
    return bool((scale > 0).all())


class _Ends(NamedTuple):
    """Bytes with the names of their scale and zero point."""

    values: str
    scale: str
    zero: str


def _bytes_of(m: Matcher, name: str, axis: int | None = None) -> _Ends | None:
    """What a value was before DequantizeLinear, with one scale, or one an index of an axis."""
    node = m.maker(name, "DequantizeLinear")
    if node is None or len(node.inputs) < 2 or node.attributes.get("block_size", 0):
        return None
    scale = m.vector(node.inputs[1])
    value = m.constants.get(node.inputs[0])
    if scale is None or scale.dtype is not f32 or not _positive(scale):
        return None
    if node.attributes.get("output_dtype", 0) not in (0, CODES["float"]):
        return None
    single = scale.numel() == 1
    along = axis is not None and node.attributes.get("axis", 1) == axis and scale.ndim == 1
    if not single and not along:
        return None
    zero = node.inputs[2] if len(node.inputs) > 2 else ""
    if not zero:
        if not isinstance(value, Tensor) or value.dtype not in _BYTES:
            return None
        zero = m.constant(f"{node.inputs[0]}.zero", value.new_zeros(scale.shape))
    given = m.constants.get(zero)
    if not isinstance(given, Tensor) or given.dtype not in _BYTES:
        return None
    return _Ends(node.inputs[0], node.inputs[1], zero)


def _rounding(m: Matcher, node: Node) -> tuple[Node, list[Node]] | None:
    """The QuantizeLinear that alone uses a result, and what stands before it and changes nothing.

    That is a ReLU before bytes whose least value is their zero point.
    """
    between: list[Node] = []
    last = node
    user = m.user(node.outputs[0], "QuantizeLinear", "Relu")
    if user is not None and user.op_type == "Relu":
        between, last = [user], user
        user = m.user(user.outputs[0], "QuantizeLinear")
    if user is None or user.inputs[0] != last.outputs[0] or len(user.inputs) < 3:
        return None
    scale, zero = m.vector(user.inputs[1]), m.constants.get(user.inputs[2])
    if scale is None or scale.numel() != 1 or scale.dtype is not f32 or not _positive(scale):
        return None
    if not isinstance(zero, Tensor) or zero.dtype not in _BYTES:
        return None
    least = 0 if zero.dtype is u8 else -128
    if between and int(zero.item()) != least:
        return None
    return user, between


def _bias(m: Matcher, name: str, x: _Ends, w: _Ends) -> str | None:
    """The name of a bias in the integers of the sums; '' for none."""
    if not name:
        return ""
    node = m.maker(name, "DequantizeLinear")
    scales = (m.vector(x.scale), m.vector(w.scale))
    if scales[0] is None or scales[1] is None:
        return None
    step = scales[0].reshape(()) * scales[1]
    if node is not None:
        value = m.constants.get(node.inputs[0])
        good = isinstance(value, Tensor) and value.dtype is i32 and _has_step(m, node, step)
        return node.inputs[0] if good else None
    value = m.vector(name)
    if value is None:
        return None
    steps = value / step
    if not bool((steps.abs() < 2.0**30).all()):
        return None
    return m.constant(f"{name}.rounded", steps.round().to(i32))


def _has_step(m: Matcher, bias: Node, step: Tensor) -> bool:
    """Whether the integers of a bias count in the steps of the sums, from zero."""
    scale = m.vector(bias.inputs[1])
    if scale is None or scale.numel() not in (1, step.numel()):
        return False
    zero = m.constants.get(bias.inputs[2]) if len(bias.inputs) > 2 and bias.inputs[2] else None
    given = len(bias.inputs) > 2 and bool(bias.inputs[2])
    if given and (not isinstance(zero, Tensor) or bool((zero != 0).any())):
        return False
    return bool(((scale.reshape(-1) / step.reshape(-1) - 1).abs() < 1e-3).all())


def _conv(m: Matcher, node: Node) -> None:
    """A convolution of bytes: QLinearConv."""
    x, w = _bytes_of(m, node.inputs[0]), _bytes_of(m, node.inputs[1], 0)
    end = _rounding(m, node)
    if x is None or w is None or end is None or w.values not in m.constants:
        return
    bias = _bias(m, node.inputs[2] if len(node.inputs) > 2 else "", x, w)
    if bias is None:
        return
    user, between = end
    inputs = [*x, *w, *user.inputs[1:3]]
    m.replace(
        [node, *between, user], "QLinearConv", [*inputs, bias] if bias else inputs,
        user.outputs[0], node.attributes, domain="", opset=10,
    )  # fmt: skip


def _matmul(m: Matcher, node: Node) -> None:
    """A product of bytes: QLinearMatMul; MatMulIntegerToFloat where its result stays a float."""
    a = _bytes_of(m, node.inputs[0])
    b = _bytes_of(m, node.inputs[1], 1)
    if a is None or b is None:
        return
    scale, weight = m.vector(b.scale), m.constants.get(b.values)
    flat = isinstance(weight, Tensor) and weight.ndim == 2
    if scale is None or (scale.numel() > 1 and not flat):
        return
    end = _rounding(m, node)
    if end is not None:
        user, between = end
        m.replace(
            [node, *between, user], "QLinearMatMul", [*a, *b, *user.inputs[1:3]],
            user.outputs[0], domain="", opset=10,
        )  # fmt: skip
        return
    inputs = [a.values, b.values, a.scale, b.scale, a.zero, b.zero]
    gone = [node]
    plus = m.user(node.outputs[0], "Add")
    bias = m.vector(_other(plus, node.outputs[0])) if plus is not None else None
    fits = isinstance(weight, Tensor) and bias is not None and bias.shape == weight.shape[1:]
    if plus is not None and flat and fits:
        gone, inputs = [node, plus], [*inputs, _other(plus, node.outputs[0])]
    m.replace(gone, "MatMulIntegerToFloat", inputs, gone[-1].outputs[0], domain=_MICROSOFT)


def _gemm(m: Matcher, node: Node) -> None:
    """A product of matrices of bytes with a bias: QGemm."""
    given = node.attributes
    x = _bytes_of(m, node.inputs[0])
    w = _bytes_of(m, node.inputs[1], 0 if given.get("transB", 0) else 1)
    if x is None or w is None or given.get("alpha", 1.0) != 1 or given.get("beta", 1.0) != 1:
        return
    bias = _bias(m, node.inputs[2] if len(node.inputs) > 2 else "", x, w)
    if bias is None or given.get("transA", 0):
        return
    end = _rounding(m, node)
    user, between = end if end is not None else (None, [])
    inputs = [*x, *w, bias, *(user.inputs[1:3] if user else [])]
    gone = [node, *between, user] if user is not None else [node]
    attributes = {"transB": given.get("transB", 0)}
    m.replace(gone, "QGemm", inputs, gone[-1].outputs[0], attributes, domain=_MICROSOFT)


def _move(m: Matcher, node: Node) -> None:
    """What moves or chooses elements, between equal conversions: the same of bytes."""
    x, user = _bytes_of(m, node.inputs[0]), m.user(node.outputs[0], "QuantizeLinear")
    if x is None or user is None or len(user.inputs) < 3 or len(node.outputs) > 1:
        return
    if not _equal(m, x.scale, user.inputs[1]) or not _equal(m, x.zero, user.inputs[2]):
        return
    m.replace(
        [node, user], node.op_type, [x.values, *node.inputs[1:]], user.outputs[0],
        node.attributes, domain=node.domain, opset=node.opset,
    )  # fmt: skip


def _equal(m: Matcher, first: str, second: str) -> bool:
    if first == second:
        return True
    a, b = m.constants.get(first), m.constants.get(second)
    if not isinstance(a, Tensor) or not isinstance(b, Tensor) or a.dtype is not b.dtype:
        return False
    return a.numel() == b.numel() == 1 and bool(a.item() == b.item())


_PATTERNS: Final[Mapping[str, Callable[[Matcher, Node], None]]] = {
    "MatMulInteger": _dynamic_product,
    "Conv": _conv,
    "MatMul": _matmul,
    "Gemm": _gemm,
} | dict.fromkeys(("MaxPool", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze"), _move)
