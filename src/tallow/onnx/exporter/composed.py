"""Rows of functions that ONNX has only in other ones: exp2, log1p, trunc, atan2, scattering."""

from __future__ import annotations

import math
from typing import Any

from tallow.dtype import bool_, i64
from tallow.errors import ModelError
from tallow.onnx.exporter.elementwise import logic, logical_not, operand
from tallow.onnx.exporter.emitting import Emitter
from tallow.onnx.exporter.merging import Value
from tallow.onnx.exporter.table import row


@row("exp2")
def exp2(g: Emitter, out: Value, x: Any) -> Any:
    """2 to the power of `x`."""
    return g.node("Pow", g.constant(2.0, out.dtype), g.cast(x, out.dtype))


@row("expm1")
def expm1(g: Emitter, out: Value, x: Any) -> Any:
    """`exp(x) - 1`, near 0 by `tanh(x / 2) * (exp(x) + 1)`, which keeps its digits."""
    h = g.cast(x, out.dtype)
    half = g.node("Tanh", g.node("Mul", h, g.constant(0.5, out.dtype)))
    grown = g.node("Exp", h)
    one = g.constant(1.0, out.dtype)
    near = g.node("Mul", half, g.node("Add", grown, one))
    small = g.node("Less", g.node("Abs", h), one)
    return g.node("Where", small, near, g.node("Sub", grown, one))


@row("log1p")
def log1p(g: Emitter, out: Value, x: Any) -> Any:
    """`log(1 + x)`, near 0 by `2 atanh(x / (2 + x))`, which keeps its digits."""
    h = g.cast(x, out.dtype)
    ratio = g.node("Div", h, g.node("Add", h, g.constant(2.0, out.dtype)))
    near = g.node("Mul", g.node("Atanh", ratio), g.constant(2.0, out.dtype))
    small = g.node("Less", g.node("Abs", h), g.constant(0.5, out.dtype))
    far = g.node("Log", g.node("Add", h, g.constant(1.0, out.dtype)))
    return g.node("Where", small, near, far)


def _log(base: float) -> Any:
    def write(g: Emitter, out: Value, x: Any) -> Any:
        made = g.node("Log", g.cast(x, out.dtype))
        return g.node("Mul", made, g.constant(1 / math.log(base), out.dtype))

    return write


row("log2")(_log(2))
row("log10")(_log(10))


@row("erfc")
def erfc(g: Emitter, out: Value, x: Any) -> Any:
    """`1 - erf(x)`."""
    return g.node("Sub", g.constant(1.0, out.dtype), g.node("Erf", g.cast(x, out.dtype)))


def truncated(g: Emitter, x: Any) -> Any:
    """A float without its fraction."""
    return g.node("Mul", g.node("Sign", x), g.node("Floor", g.node("Abs", x)))


@row("trunc")
def trunc(g: Emitter, out: Value, x: Any) -> Any:
    """Without the fraction."""
    return truncated(g, x) if x.dtype.kind == "f" else g.name(x)


@row("frac")
def frac(g: Emitter, out: Value, x: Any) -> Any:
    """The fraction, with the sign of `x`."""
    return g.node("Sub", x, truncated(g, x))


@row("fmod")
def fmod(g: Emitter, out: Value, a: Any, b: Any) -> Any:
    """What division rounded towards 0 leaves, with the sign of `a`."""
    return g.node("Mod", operand(g, a, out.dtype), operand(g, b, out.dtype), fmod=1)


def _ignoring_nan(op_type: str) -> Any:
    def write(g: Emitter, out: Value, a: Any, b: Any) -> Any:
        p, q = operand(g, a, out.dtype), operand(g, b, out.dtype)
        made = g.node(op_type, p, q)
        if out.dtype.kind != "f":
            return made
        made = g.node("Where", g.node("IsNaN", p), q, made)
        return g.node("Where", g.node("IsNaN", q), p, made)

    return write


row("fmax")(_ignoring_nan("Max"))
row("fmin")(_ignoring_nan("Min"))


@row("hypot")
def hypot(g: Emitter, out: Value, a: Any, b: Any) -> Any:
    """The length of (a, b), scaled by the longer one."""
    p, q = (g.node("Abs", operand(g, x, out.dtype)) for x in (a, b))
    longer, other = g.node("Max", p, q), g.node("Min", p, q)
    zero = g.node("Equal", longer, g.constant(0.0, out.dtype))
    ratio = g.node("Div", other, g.node("Where", zero, g.constant(1.0, out.dtype), longer))
    inner = g.node("Add", g.node("Mul", ratio, ratio), g.constant(1.0, out.dtype))
    return g.node("Mul", longer, g.node("Sqrt", inner))


@row("logaddexp", when=lambda x, other: x.dtype.kind == "f")
def logaddexp(g: Emitter, out: Value, x: Any, other: Any) -> Any:
    """`log(exp(x) + exp(other))`: the larger one and what the smaller adds."""
    p, q = (operand(g, each, out.dtype) for each in (x, other))
    apart = g.node("Neg", g.node("Abs", g.node("Sub", p, q)))
    more = g.node("Softplus", apart)
    same = g.node("Equal", p, q)  # of infinities, too, whose difference is none
    more = g.node("Where", same, g.constant(math.log(2), out.dtype), more)
    return g.node("Add", g.node("Max", p, q), more)


@row("atan2")
def atan2(g: Emitter, out: Value, a: Any, b: Any) -> Any:
    """The angle of the point (b, a), between -pi and pi."""
    kind = out.dtype
    y, x = operand(g, a, kind), operand(g, b, kind)
    zero = g.constant(0.0, kind)
    base = g.node("Atan", g.node("Div", y, x))
    turn = g.node(
        "Where", g.node("Less", y, zero), g.constant(-math.pi, kind), g.constant(math.pi, kind)
    )
    made = g.node("Where", g.node("Less", x, zero), g.node("Add", base, turn), base)
    upright = g.node("Mul", g.node("Sign", y), g.constant(math.pi / 2, kind))
    return g.node("Where", g.node("Equal", x, zero), upright, made)


def _bitwise(op_type: str) -> Any:
    def write(g: Emitter, out: Value, **xs: Any) -> Any:
        if g.opset < 18:
            raise ModelError(
                f"onnx.export: expected opset 18 or later for bits of integers, got {g.opset}"
            )
        return g.node(op_type, *[operand(g, x, out.dtype) for x in xs.values()])

    return write


def _either(bits: Any, truth: Any) -> Any:
    def write(g: Emitter, out: Value, **xs: Any) -> Any:
        return (truth if out.dtype is bool_ else bits)(g, out, **xs)

    return write


row("bitwise_and")(_either(_bitwise("BitwiseAnd"), logic("And")))
row("bitwise_or")(_either(_bitwise("BitwiseOr"), logic("Or")))
row("bitwise_xor")(_either(_bitwise("BitwiseXor"), logic("Xor")))
row("bitwise_not")(_either(_bitwise("BitwiseNot"), logical_not))


# --- scattering -----------------------------------------------------------------------------------


@row("scatter_add", when=lambda x, **how: x.ndim > 0)
def scatter_add(g: Emitter, out: Value, x: Any, dim: int, index: Any, src: Any) -> Any:
    """Elements added where an index says."""
    given = g.cast(src, out.dtype)
    return g.node("ScatterElements", x, index, given, axis=dim % x.ndim, reduction="add")


@row("index_copy", "index_add", when=lambda x, alpha=1, **how: x.ndim > 0 and alpha == 1)
def index_copy(
    g: Emitter, out: Value, x: Any, dim: int, index: Any, source: Any, **how: Any
) -> Any:
    """Positions of an axis replaced, or added to."""
    axis = dim % x.ndim
    places = g.node("Reshape", g.cast(index, i64), [-1, *[1] * (x.ndim - 1 - axis)])
    spread = g.node("Expand", places, g.node("Shape", source))
    adds = "add" if "alpha" in how else None
    return g.node(
        "ScatterElements", x, spread, g.cast(source, out.dtype), axis=axis, reduction=adds
    )


@row("kthvalue")
def kthvalue(g: Emitter, out: Any, x: Any, k: int, dim: int, keepdim: bool) -> Any:
    """The k-th smallest element and its position."""
    axis = dim % x.ndim
    found = g.node("TopK", x, g.size(k), outputs=2, axis=axis, largest=0, sorted=1)
    last = g.constant([k - 1] if keepdim else k - 1)
    return [g.node("Gather", each, last, axis=axis) for each in found]


@row("linalg.det")
def det(g: Emitter, out: Value, **arguments: Any) -> Any:
    """The determinant."""
    (x,) = arguments.values()
    return g.node("Det", x)
