"""Rows of elementwise ops: arithmetic, comparison, functions of one number, activations."""

from __future__ import annotations

import math
from typing import Any

from tallow.dtype import bool_, f32, i64
from tallow.numeric import promote_types
from tallow.onnx.exporter.emitting import Emitter
from tallow.onnx.exporter.merging import Size, Value
from tallow.onnx.exporter.table import row


def operand(g: Emitter, x: Any, dtype: Any) -> str:
    """A tensor, a number or a size, as an operand in a dtype; a name is in that already."""
    if isinstance(x, str):
        return x
    if isinstance(x, Value):
        return g.cast(x, dtype)
    if isinstance(x, Size):
        return g.cast(g.scalar_size(x), dtype, i64)
    return g.constant(x, dtype)


def common(*xs: Any) -> Any:
    """The dtype in which operands are compared."""
    tensors = [x for x in xs if isinstance(x, Value)]
    shaped = [x for x in tensors if x.ndim] or tensors
    found = shaped[0].dtype
    for x in shaped[1:]:
        found = promote_types(found, x.dtype)
    for x in [x for x in tensors if not x.ndim]:
        if x.dtype.kind == "f" and found.kind != "f":
            found = promote_types(found, x.dtype)
    if any(isinstance(x, float) for x in xs) and found.kind != "f":
        return f32
    if found is bool_ and any(isinstance(x, int) and not isinstance(x, bool) for x in xs):
        return i64
    return found


_UNARY = {
    "neg": "Neg", "abs": "Abs", "floor": "Floor", "ceil": "Ceil", "reciprocal": "Reciprocal",
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos", "tan": "Tan",
    "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh",
    "tanh": "Tanh", "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh", "sign": "Sign",
    "relu": "Relu", "sigmoid": "Sigmoid", "erf": "Erf", "softsign": "Softsign", "isnan": "IsNaN",
    "isinf": "IsInf", "mish": "Mish",
}  # fmt: skip


def _unary(op_type: str) -> Any:
    def write(g: Emitter, out: Value, **arguments: Any) -> Any:
        (x,) = arguments.values()
        return g.node(op_type, x if out.dtype is bool_ else g.cast(x, out.dtype))

    return write


for _name, _op_type in _UNARY.items():
    if _name != "mish":  # of opset 18
        row(_name)(_unary(_op_type))


@row("rsqrt")
def rsqrt(g: Emitter, out: Value, x: Any) -> Any:
    """`1 / sqrt(x)`."""
    return g.node("Reciprocal", g.node("Sqrt", g.cast(x, out.dtype)))


@row("round", when=lambda x, decimals: decimals == 0)
def round_(g: Emitter, out: Value, x: Any, decimals: int) -> Any:
    """To the nearest whole number, halves to even."""
    return g.node("Round", x)


@row("square")
def square(g: Emitter, out: Value, x: Any) -> Any:
    """`x * x`."""
    return g.node("Mul", x, x)


@row("logical_not", when=lambda x: x.dtype.kind == "b")
def logical_not(g: Emitter, out: Value, x: Any) -> Any:
    """Not, of bools."""
    return g.node("Not", x)


# --- two operands ---------------------------------------------------------------------------------


def _scaled(g: Emitter, other: Any, alpha: Any, dtype: Any) -> Any:
    b = operand(g, other, dtype)
    return b if alpha == 1 else g.node("Mul", b, operand(g, alpha, dtype))


def _arithmetic(g: Emitter, op_type: str, out: Value, a: Any, b: Any) -> Any:
    if out.dtype is bool_:
        op_type = {"Add": "Or", "Mul": "And"}[op_type]
    return g.node(op_type, operand(g, a, out.dtype), operand(g, b, out.dtype))


@row("add")
def add(g: Emitter, out: Value, x: Any, other: Any, alpha: Any = 1) -> Any:
    """`x + alpha * other`."""
    return _arithmetic(
        g, "Add", out, x, _scaled(g, other, alpha, out.dtype) if alpha != 1 else other
    )


@row("sub")
def sub(g: Emitter, out: Value, x: Any, other: Any, alpha: Any = 1) -> Any:
    """`x - alpha * other`."""
    b = _scaled(g, other, alpha, out.dtype)
    return g.node("Sub", operand(g, x, out.dtype), b)


@row("rsub")
def rsub(g: Emitter, out: Value, x: Any, other: Any, alpha: Any = 1) -> Any:
    """`other - alpha * x`."""
    return sub(g, out, other, x, alpha)


@row("mul")
def mul(g: Emitter, out: Value, a: Any, b: Any) -> Any:
    """`a * b`."""
    return _arithmetic(g, "Mul", out, a, b)


@row("rdiv")
def rdiv(g: Emitter, out: Value, a: Any, b: Any) -> Any:
    """`a / b`, as floats."""
    return g.node("Div", operand(g, a, out.dtype), operand(g, b, out.dtype))


@row("div")
def div(g: Emitter, out: Value, x: Any, other: Any, rounding_mode: str | None) -> Any:
    """`x / other` as floats, or a whole number."""
    if rounding_mode is None:
        return rdiv(g, out, x, other)
    if rounding_mode == "floor":
        return floor_divide(g, out, x, other)
    made = g.node("Div", operand(g, x, out.dtype), operand(g, other, out.dtype))
    if out.dtype.kind != "f":
        return made
    return g.node("Mul", g.node("Sign", made), g.node("Floor", g.node("Abs", made)))


@row("floor_divide")
def floor_divide(g: Emitter, out: Value, a: Any, b: Any) -> Any:
    """The quotient rounded down; ONNX rounds quotients of integers towards 0."""
    p, q = operand(g, a, out.dtype), operand(g, b, out.dtype)
    if out.dtype.kind == "f":
        return g.node("Floor", g.node("Div", p, q))
    return g.node("Div", g.node("Sub", p, g.node("Mod", p, q)), q)


@row("remainder")
def remainder(g: Emitter, out: Value, a: Any, b: Any) -> Any:
    """What floor division leaves, with the sign of `b`."""
    p, q = operand(g, a, out.dtype), operand(g, b, out.dtype)
    if out.dtype.kind != "f":
        return g.node("Mod", p, q)
    return g.node("Sub", p, g.node("Mul", g.node("Floor", g.node("Div", p, q)), q))


@row("pow")
def pow_(g: Emitter, out: Value, a: Any, b: Any) -> Any:
    """`a` to the power of `b`."""
    if b == 2 and isinstance(a, Value):
        return g.node("Mul", g.cast(a, out.dtype), g.cast(a, out.dtype))
    return g.node("Pow", operand(g, a, out.dtype), operand(g, b, out.dtype))


@row("maximum")
def maximum(g: Emitter, out: Value, a: Any, b: Any) -> Any:
    """The larger one."""
    return g.node("Max", operand(g, a, out.dtype), operand(g, b, out.dtype))


@row("minimum")
def minimum(g: Emitter, out: Value, a: Any, b: Any) -> Any:
    """The smaller one."""
    return g.node("Min", operand(g, a, out.dtype), operand(g, b, out.dtype))


_COMPARE = {
    "eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual",
}  # fmt: skip


def _comparison(op_type: str) -> Any:
    def write(g: Emitter, out: Value, a: Any, b: Any) -> Any:
        kind = common(a, b)
        if kind is bool_ and op_type != "Equal":
            kind = i64
        return g.node(op_type, operand(g, a, kind), operand(g, b, kind))

    return write


for _name, _op_type in _COMPARE.items():
    row(_name)(_comparison(_op_type))


@row("ne")
def ne(g: Emitter, out: Value, a: Any, b: Any) -> Any:
    """Whether they differ."""
    if isinstance(a, Value) and a.dtype is bool_ and b == 0 and not isinstance(b, Value):
        return g.name(a)
    return g.node("Not", _comparison("Equal")(g, out, a, b))


_LOGIC = {"and": "And", "or": "Or", "xor": "Xor"}


def logic(op_type: str) -> Any:
    """The row of an operator of two bools."""

    def write(g: Emitter, out: Value, a: Any, b: Any) -> Any:
        return g.node(op_type, operand(g, a, bool_), operand(g, b, bool_))

    return write


for _name, _op_type in _LOGIC.items():
    row(f"logical_{_name}")(logic(_op_type))


# --- three operands -------------------------------------------------------------------------------


@row("where", when=lambda condition, input, other: input is not None)
def where(g: Emitter, out: Value, condition: Any, input: Any, other: Any) -> Any:
    """Elements of `input` where the condition holds, else of `other`."""
    truth = g.cast(condition, bool_)
    return g.node("Where", truth, operand(g, input, out.dtype), operand(g, other, out.dtype))


@row("masked_fill")
def masked_fill(g: Emitter, out: Value, x: Any, mask: Any, value: Any) -> Any:
    """`value` where the mask holds."""
    return g.node("Where", mask, operand(g, value, out.dtype), operand(g, x, out.dtype))


@row("clamp")
def clamp(g: Emitter, out: Value, x: Any, min: Any, max: Any) -> Any:
    """Elements within bounds."""
    if any(isinstance(b, Value) and b.ndim for b in (min, max)):
        made = g.cast(x, out.dtype)
        made = made if min is None else g.node("Max", made, operand(g, min, out.dtype))
        return made if max is None else g.node("Min", made, operand(g, max, out.dtype))
    bounds = [None if b is None else operand(g, b, out.dtype) for b in (min, max)]
    return g.node("Clip", g.cast(x, out.dtype), *bounds)


# --- activations ----------------------------------------------------------------------------------


@row("silu")
def silu(g: Emitter, out: Value, x: Any) -> Any:
    """`x * sigmoid(x)`."""
    return g.node("Mul", x, g.node("Sigmoid", x))


@row("silu_mul")
def silu_mul(g: Emitter, out: Value, gate: Any, up: Any) -> Any:
    """`silu(gate) * up`."""
    return g.node("Mul", silu(g, out, gate), up)


@row("quick_gelu")
def quick_gelu(g: Emitter, out: Value, x: Any) -> Any:
    """`x * sigmoid(1.702 x)`."""
    scaled = g.node("Mul", x, g.constant(1.702, out.dtype))
    return g.node("Mul", x, g.node("Sigmoid", scaled))


@row("gelu")
def gelu(g: Emitter, out: Value, x: Any, approximate: str = "none") -> Any:
    """By the error function, or by tanh."""
    if g.opset >= 20:
        return g.node("Gelu", x, approximate=None if approximate == "none" else approximate)
    kind = out.dtype
    half = g.node("Mul", x, g.constant(0.5, kind))
    if approximate == "tanh":
        cube = g.node("Mul", g.node("Mul", x, x), x)
        inner = g.node("Add", x, g.node("Mul", cube, g.constant(0.044715, kind)))
        bent = g.node("Tanh", g.node("Mul", inner, g.constant(math.sqrt(2 / math.pi), kind)))
    else:
        bent = g.node("Erf", g.node("Mul", x, g.constant(math.sqrt(0.5), kind)))
    return g.node("Mul", half, g.node("Add", bent, g.constant(1.0, kind)))


@row("gelu_tanh")
def gelu_tanh(g: Emitter, out: Value, x: Any) -> Any:
    """The approximation by tanh."""
    return gelu(g, out, x, "tanh")


@row("relu6")
def relu6(g: Emitter, out: Value, x: Any) -> Any:
    """Between 0 and 6."""
    return clamp(g, out, x, 0.0, 6.0)


@row("hardtanh")
def hardtanh(g: Emitter, out: Value, x: Any, min_val: float, max_val: float) -> Any:
    """Between two numbers."""
    return clamp(g, out, x, float(min_val), float(max_val))


@row("hardsigmoid")
def hardsigmoid(g: Emitter, out: Value, x: Any) -> Any:
    """`clamp(x / 6 + 1/2, 0, 1)`."""
    return g.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)


@row("hardswish")
def hardswish(g: Emitter, out: Value, x: Any) -> Any:
    """`x * hardsigmoid(x)`."""
    return g.node("HardSwish", x)


@row("logsigmoid")
def logsigmoid(g: Emitter, out: Value, x: Any) -> Any:
    """`-softplus(-x)`."""
    return g.node("Neg", g.node("Softplus", g.node("Neg", x)))


@row("leaky_relu")
def leaky_relu(g: Emitter, out: Value, x: Any, negative_slope: float) -> Any:
    """A slope below 0."""
    return g.node("LeakyRelu", x, alpha=float(negative_slope))


@row("elu", when=lambda x, alpha, scale, input_scale: scale == 1 and input_scale == 1)
def elu(g: Emitter, out: Value, x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    """`alpha * (exp(x) - 1)` below 0."""
    return g.node("Elu", x, alpha=float(alpha))


@row("softplus", when=lambda x, beta, threshold: beta == 1)
def softplus(g: Emitter, out: Value, x: Any, beta: float, threshold: float) -> Any:
    """`log(1 + exp(x))`."""
    return g.node("Softplus", x)


@row("prelu")
def prelu(g: Emitter, out: Value, x: Any, weight: Any) -> Any:
    """A slope below 0 for each channel."""
    if weight.ndim == 1 and x.ndim > 2:
        weight = g.node("Reshape", weight, [-1, *[1] * (x.ndim - 2)])
    return g.node("PRelu", x, weight)


@row("cast")
def cast(g: Emitter, out: Value, x: Any, dtype: Any) -> Any:
    """Another dtype."""
    return g.cast(x, dtype)


@row("fill")
def fill(g: Emitter, out: Value, shape: Any, value: Any, dtype: Any) -> Any:
    """A tensor of one number, or of one that is spread."""
    made = operand(g, value, dtype)
    return g.node("Expand", made, g.sizes(shape))
