"""Arithmetic, rounding, comparison and bits: a line in `csrc/ops/elementwise.def` is the kernel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import _native
from ..dtype import f32, f64
from ..errors import ArgumentError, DTypeError, NoKernelError, expect
from ..factories import full, zeros_like
from ..registry import OPS, op, primitive
from ..tensor import Tensor, unwrap_tensor, wrap
from .elementwise_rows import (
    Rule,
    Uses,
    conj,
    install_operators,
    kernel_row,
    quick_row,
    row,
    times,
)
from .elementwise_three import where

LN2, LN10 = math.log(2), math.log(10)


# --- one operand ----------------------------------------------------------------------------------


def _nothing(g: Tensor, _x: Tensor) -> Tensor:
    """The gradient of what is constant between its steps."""
    return zeros_like(g)


def _turned(g: Tensor, x: Tensor, out: Tensor) -> Tensor:
    # Only what turns the direction matters, the less the farther out.
    turned = (g - (g * out.conj()).real * out) / x.abs()
    return where(x == 0, 0, turned)


_UNARY: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("neg", "`-x`.", lambda g, _x: -g),
    ("abs", "The absolute value; of a complex number its magnitude, as f32.",
     lambda g, x: g * x.sign()),
    ("square", "`x * x`.", lambda g, x: g * conj(x * 2)),
    ("floor", "The largest whole number that is not above `x`.", _nothing),
    ("ceil", "The smallest whole number that is not below `x`.", _nothing),
    ("trunc", "`x` without its fraction.", _nothing),
    ("frac", "`x - trunc(x)`.", lambda g, _x: g),
    ("reciprocal", "`1 / x`, as a float.", lambda g, _x, out: -g * conj(out * out)),
    ("exp", "e to the power `x`.", lambda g, _x, out: g * conj(out)),
    ("exp2", "2 to the power `x`.", lambda g, _x, out: g * conj(out) * LN2),
    ("expm1", "`exp(x) - 1`, exact near 0.", lambda g, _x, out: g * conj(out + 1)),
    ("log", "The natural logarithm; NaN below 0.", lambda g, x: g / conj(x)),
    ("log2", "The logarithm to base 2; NaN below 0.", lambda g, x: g / (conj(x) * LN2)),
    ("log10", "The logarithm to base 10; NaN below 0.", lambda g, x: g / (conj(x) * LN10)),
    ("log1p", "`log(1 + x)`, exact near 0.", lambda g, x: g / conj(x + 1)),
    ("sqrt", "The square root; NaN below 0.", lambda g, _x, out: g / conj(out * 2)),
    ("rsqrt", "`1 / sqrt(x)`.", lambda g, _x, out: g * conj(out * out * out) * -0.5),
    ("sin", "The sine of radians.", lambda g, x: g * conj(x.cos())),
    ("cos", "The cosine of radians.", lambda g, x: -g * conj(x.sin())),
    ("tan", "The tangent of radians.", lambda g, _x, out: g * conj(out * out + 1)),
    ("asin", "The angle whose sine is `x`.", lambda g, x: g * conj((1 - x * x).rsqrt())),
    ("acos", "The angle whose cosine is `x`.", lambda g, x: -g * conj((1 - x * x).rsqrt())),
    ("atan", "The angle whose tangent is `x`.", lambda g, x: g / conj(x * x + 1)),
    ("sinh", "The hyperbolic sine.", lambda g, x: g * conj(x.cosh())),
    ("cosh", "The hyperbolic cosine.", lambda g, x: g * conj(x.sinh())),
    ("tanh", "The hyperbolic tangent.", lambda g, _x, out: row("tanh_grad")(g, out)),
    ("asinh", "The inverse of sinh.", lambda g, x: g * conj((x * x + 1).rsqrt())),
    ("acosh", "The inverse of cosh, for `x` from 1 up.",
     lambda g, x: g * conj(((x - 1).sqrt() * (x + 1).sqrt()).reciprocal())),
    ("atanh", "The inverse of tanh, for `x` in (-1, 1).", lambda g, x: g / conj(1 - x * x)),
)  # fmt: skip
for _name, _doc, _rule in _UNARY:
    kernel_row(__name__, _name, 1, _doc, _rule)

for _name, _doc in (
    ("logical_not", "Whether `x` is zero."),
    ("signbit", "Whether the sign bit is set: below 0, or -0.0."),
):
    kernel_row(__name__, _name, 1, _doc)


@op
def tanh_grad(g: Tensor, out: Tensor) -> Tensor:
    """`g * (1 - out²)`: the gradient of `out = tanh(x)`."""
    return g * conj(1 - out * out)


tanh_grad.elementwise = None  # the .def has it for real numbers only
_tanh_grad = quick_row("tanh_grad", 2)


@tanh_grad.kernel
def _(g: Tensor, out: Tensor) -> Tensor:
    if g.dtype.kind == "c":
        return tanh_grad.reference(g, out)
    return _tanh_grad(g, out)


_sign = quick_row("sign", 1, _nothing)
_direction = quick_row("direction", 1, _turned, copied=("x", "out"), kernel="sign")


@op(inplace=True)
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1; of a complex number the one on the unit circle in its direction."""
    return _direction(x) if x.dtype.kind == "c" else _sign(x)


_round = quick_row("round_even", 1, _nothing)


@op(inplace=True)
def round(x: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest whole number, ties to the even one; or rounded to `decimals` digits."""
    if decimals == 0:
        return _round(x)
    expect(x.dtype.kind == "f", round, "a float dtype", x.dtype.name, NoKernelError)
    wide = x if x.dtype.itemsize > 2 else x.to(f32)
    scale = 10.0 ** abs(decimals)
    out = _round(wide * scale) / scale if decimals > 0 else _round(wide / scale) * scale
    return out.to(x.dtype)


@op(inplace=True)
def positive(x: Tensor) -> Tensor:
    """`x` itself."""
    expect(x.dtype.kind != "b", positive, "numbers", "bool", DTypeError)
    return x


@op(inplace=True)
def sgn(x: Tensor) -> Tensor:
    """-1, 0 or 1; of a complex number the one on the unit circle in its direction."""
    return x.sign()


@op(inplace=True)
def deg2rad(x: Tensor) -> Tensor:
    """Degrees as radians."""
    return x * (math.pi / 180)


@op(inplace=True)
def rad2deg(x: Tensor) -> Tensor:
    """Radians as degrees."""
    return x * (180 / math.pi)


@op(inplace=True)
def bitwise_not(x: Tensor) -> Tensor:
    """Every bit of an integer, or a bool, inverted."""
    expect(x.dtype.kind in "biu", bitwise_not, "integers or bool", x.dtype.name, NoKernelError)
    return (
        x.logical_not()
        if x.dtype.kind == "b"
        else x.bitwise_xor(
            ~0 if x.dtype.kind == "i" else full((), (1 << 8 * x.itemsize) - 1, x.dtype)
        )
    )


def _test_row(name: str, doc: str, whole: bool) -> None:
    """A question about floats; integers all give the answer `whole`."""
    quick = quick_row(name, 1)

    def row(x: Tensor) -> Tensor:
        unwrap_tensor(x, name)
        if x.dtype.kind in "biu":
            return full(x.shape, whole, "bool")
        return quick(x)

    row.__name__ = row.__qualname__ = name
    row.__doc__ = doc
    primitive(row)


for _name, _doc, _whole in (
    ("isnan", "Whether `x` is not a number.", False),
    ("isinf", "Whether `x` is an infinity.", False),
    ("isposinf", "Whether `x` is +inf.", False),
    ("isneginf", "Whether `x` is -inf.", False),
    ("isfinite", "Whether `x` is neither infinite nor NaN.", True),
):
    _test_row(_name, _doc, _whole)

_replace = _native.with_numbers("replace_nonfinite")
_LARGEST = {"f32": 3.4028234663852886e38, "f64": 1.7976931348623157e308, "f16": 65504.0,
            "bf16": 3.3895313892515355e38}  # fmt: skip


@primitive(inplace=True)
def nan_to_num(
    x: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN as `nan` (0), infinities as `posinf`, `neginf` (the dtype's largest and smallest)."""
    array = unwrap_tensor(x, nan_to_num)
    if x.dtype.kind in "biu":
        return wrap(array.clone())
    if x.dtype.kind == "c":
        parts = nan_to_num(x.view_as_real(), nan, posinf, neginf)
        return parts.view_as_complex()
    largest = _LARGEST.get(x.dtype.name, 0.0)
    values = (
        nan or 0.0,
        largest if posinf is None else posinf,
        -largest if neginf is None else neginf,
    )
    return wrap(_replace(array, *map(float, values)))


@nan_to_num.grad
def _(g: Tensor, x: Tensor, _nan: Any, _posinf: Any, _neginf: Any) -> Tensor:
    return where(x.isfinite(), g, 0)


# --- two operands ---------------------------------------------------------------------------------


def _power(g: Tensor, a: Any, b: Any, out: Tensor) -> tuple[Any, Any]:
    def base() -> Tensor:
        if not isinstance(b, Tensor):
            return zeros_like(g) if b == 0 else g * conj(a.pow(b - 1) * b)
        return where(b == 0, 0, g * conj(b * pow(a, b - 1)))

    def exponent() -> Tensor:
        if not isinstance(a, Tensor):
            log = (
                math.log(a)
                if not isinstance(a, complex) and a > 0
                else full((), a, out.dtype).log()
            )
            still = b.real >= 0 if a == 0 else None
        else:
            log = a.to(out.dtype).log()
            still = (a == 0).logical_and((b.real if isinstance(b, Tensor) else b) >= 0)
        slope = g * conj(out * log)
        return slope if still is None else where(still, 0, slope)

    return base, exponent


def _larger(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
    def share(loses: Callable[[], Tensor]) -> Callable[[], Tensor]:
        return lambda: where(row("eq")(a, b), g / 2, where(loses(), 0, g))

    return share(lambda: row("lt")(a, b)), share(lambda: row("gt")(a, b))


def _smaller(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
    left, right = _larger(g, a, b)
    return right, left


def _chosen(compare: str) -> Callable[..., tuple[Any, Any]]:
    def rule(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
        def first() -> Tensor:
            return row(compare)(a, b).logical_or(row("ne")(b, b))

        return lambda: where(first(), g, 0), lambda: where(first(), 0, g)

    return rule


def _flat(g: Tensor, _a: Any, _b: Any) -> tuple[Any, Any]:
    return lambda: zeros_like(g), lambda: zeros_like(g)


def _of_circle(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
    def norm() -> Tensor:  # the middle of the circle has no angle: a slope of 0, as in torch
        square = row("add")(a * a, b * b)
        return where(square == 0, math.inf, square)

    return lambda: g * (b / norm()), lambda: g * (-a / norm())


def _copied(g: Tensor, a: Any, _b: Any, out: Tensor) -> tuple[Any, Any]:
    return lambda: where(a == 0, 0, g * (out / a)), lambda: zeros_like(g)


BOTH: Uses = {"a": ("b",), "b": ("a",)}
EACH: Uses = {"a": ("a",), "b": ("b",)}
SECOND: Uses = {"a": ("b",), "b": ("b",)}  # what the second operand's gradient alone needs

_BINARY: tuple[tuple[str, str, Rule, Uses], ...] = (
    ("mul", "`a * b`, broadcast and promoted as in PyTorch.",
     lambda g, a, b: (lambda: g * conj(b), lambda: g * conj(a)), BOTH),
    ("pow", "`a` to the power `b`; integers stay integers.", _power, {"out": ("b",)}),
    ("maximum", "The larger of `a` and `b`; NaN in either wins.", _larger, None),
    ("minimum", "The smaller of `a` and `b`; NaN in either wins.", _smaller, None),
    ("fmax", "The larger of `a` and `b`; a number wins over NaN.", _chosen("ge"), None),
    ("fmin", "The smaller of `a` and `b`; a number wins over NaN.", _chosen("le"), None),
    ("floor_divide", "`a / b` rounded down.", _flat, None),
    ("remainder", "What `a` exceeds a multiple of `b` by, with the sign of `b`.",
     lambda g, a, b: (lambda: g, lambda: -g * row("floor_divide")(a, b)), SECOND),
    ("fmod", "What `a` exceeds a multiple of `b` by, with the sign of `a`.",
     lambda g, a, b: (lambda: g, lambda: -g * row("div")(a, b, rounding_mode="trunc")), SECOND),
    ("atan2", "The angle of the point (`b`, `a`).", _of_circle, None),
    ("hypot", "`sqrt(a² + b²)`, without overflow on the way.",
     lambda g, a, b, out: (lambda: g * (a / out), lambda: g * (b / out)), EACH),
    ("copysign", "The magnitude of `a` with the sign of `b`, as a float.", _copied, None),
    ("logaddexp2", "`log2(2**a + 2**b)`, without overflow on the way.",
     lambda g, a, b: (lambda: g * (row("sub")(a, b) * LN2).sigmoid(),
                      lambda: g * (row("sub")(b, a) * LN2).sigmoid()), None),
    ("nextafter", "The float next to `a` towards `b`.",
     lambda g, a, b: (lambda: row("where")(row("ne")(a, b), g, 0), lambda: zeros_like(g)), None),
    ("eq", "Whether `a == b`.", None, None),
    ("ne", "Whether `a != b`.", None, None),
    ("lt", "Whether `a < b`.", None, None),
    ("le", "Whether `a <= b`.", None, None),
    ("gt", "Whether `a > b`.", None, None),
    ("ge", "Whether `a >= b`.", None, None),
    ("logical_and", "Whether both are nonzero.", None, None),
    ("logical_or", "Whether one is nonzero, or both are.", None, None),
    ("logical_xor", "Whether exactly one is nonzero.", None, None),
    ("bitwise_and", "`a & b` of integers or bools.", None, None),
    ("bitwise_or", "`a | b` of integers or bools.", None, None),
    ("bitwise_xor", "`a ^ b` of integers or bools.", None, None),
    ("bitwise_left_shift", "`a << b` of integers; 0 when no bit is left.", None, None),
    ("bitwise_right_shift", "`a >> b` of integers; the sign when no bit is left.", None, None),
    ("gcd", "The greatest common divisor of integers.", None, None),
    ("lcm", "The least common multiple of integers.", None, None),
)  # fmt: skip
for _name, _doc, _pair, _uses in _BINARY:
    kernel_row(__name__, _name, 2, _doc, _pair, _uses)

pow: Callable[..., Tensor] = row("pow")
floor_divide: Callable[..., Tensor] = row("floor_divide")

_add = quick_row("add", 2, lambda g, _a, _b: (g, g))
_sub = quick_row("sub", 2, lambda g, _a, _b: (g, lambda: -g))


def _quotient(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
    # By `a` and not the result, which programs change in place (scores that they mask, say).
    return lambda: g / conj(b), lambda: -g * conj(a / b / b)


_div = quick_row("div", 2, _quotient, {"a": ("b",)})
# `2 / b`, which torch takes as `b.reciprocal() * 2`: neither `b` nor the result is needed as it is.
quick_row("rdiv", 2, _quotient, {"a": ("b",)}, copied=("b",), kernel="div")
_trunc_div = quick_row("trunc_divide", 2, _flat)


_logaddexp = quick_row(
    "logaddexp",
    2,
    lambda g, a, b: (lambda: g * _sub(a, b).sigmoid(), lambda: g * _sub(b, a).sigmoid()),
)


@op(inplace=True)
def add(x: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """`x + alpha * other`, broadcast and promoted as in PyTorch."""
    return _add(x, other if alpha == 1 else times(other, alpha))


@op(inplace=True)
def sub(x: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """`x - alpha * other`, broadcast and promoted as in PyTorch."""
    return _sub(x, other if alpha == 1 else times(other, alpha))


@op
def rsub(x: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """`other - alpha * x`."""
    return _sub(other, x if alpha == 1 else times(x, alpha))


@op(inplace=True)
def div(x: Tensor, other: Tensor | float, *, rounding_mode: str | None = None) -> Tensor:
    """`x / other` as a float; with `rounding_mode` "floor" or "trunc" a whole number."""
    if rounding_mode is None:
        return _div(x, other)
    modes = rounding_mode in ("floor", "trunc")
    expect(modes, div, 'rounding_mode None, "floor" or "trunc"', rounding_mode, ArgumentError)
    return floor_divide(x, other) if rounding_mode == "floor" else _trunc_div(x, other)


@op(inplace=True)
def true_divide(x: Tensor, other: Tensor | float) -> Tensor:
    """`x / other` as a float."""
    return _div(x, other)


@op
def logaddexp(x: Tensor, other: Tensor) -> Tensor:
    """`log(exp(x) + exp(other))`, without overflow on the way."""
    if x.dtype.kind != "c" and other.dtype.kind != "c":
        return _logaddexp(x, other)
    above = x.real >= other.real
    large, small = where(above, x, other), where(above, other, x)
    return large + (small - large).exp().log1p()


for _row in (add, sub, div, logaddexp):
    _row.elementwise = None  # the kernel of that name has no options


@op(inplace=True)
def float_power(x: Tensor | float, exponent: Tensor | float) -> Tensor:
    """`x` to the power `exponent` in f64 (complex numbers in complex64)."""

    def wide(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value if value.dtype.kind == "c" else value.to(f64)
        return value if isinstance(value, complex) else float(value)

    return pow(wide(x), wide(exponent))


@op(inplace=True)
def heaviside(x: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above, and `values` at 0."""
    same = x.dtype == values.dtype
    expect(
        same,
        heaviside,
        "two tensors of one dtype",
        f"{x.dtype.name} and {values.dtype.name}",
        DTypeError,
    )
    return where(x == 0, values, (x > 0).to(x.dtype))


@op(inplace=True)
def ldexp(x: Tensor, other: Tensor) -> Tensor:
    """`x * 2**other`; with integers for `other` in the dtype of `x`."""
    out = x * pow(2.0, other)
    keeps = x.dtype.kind == "f" and other.dtype.kind in "biu"
    return out.to(x.dtype) if keeps else out


@op
def frexp(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mantissas in ±[0.5, 1) and exponents (i32): `x = mantissa * 2**exponent`."""
    expect(x.dtype.kind == "f", frexp, "a float dtype", x.dtype.name, NoKernelError)
    wide = x.detach().to("f64").abs()
    plain = row("logical_and")(row("isfinite")(wide), wide != 0)
    tiny = wide < 1e-300  # subnormal numbers of f64: log2 is coarse there, and 2**-exponent inf
    safe = where(plain, where(tiny, wide * 2.0**600, wide), 1.0)
    exponent = safe.log2().floor() + 1
    scaled = safe * (exponent * -0.5).floor().exp2() * (exponent * -0.5).ceil().exp2()
    exponent = exponent + (scaled >= 1).to("f64") - (scaled < 0.5).to("f64")
    exponent = where(plain, exponent - where(tiny, 600.0, 0.0), 0.0)
    # In two steps, neither of which leaves the range of f64.
    first = (exponent * -0.5).floor()
    mantissa = x.to("f64") * first.exp2() * (-exponent - first).exp2()
    return mantissa.to(x.dtype), exponent.to("i32")


# --- other names ----------------------------------------------------------------------------------

ALIASES = {
    "absolute": "abs", "negative": "neg", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "arctan2": "atan2", "fix": "trunc",
    "multiply": "mul", "subtract": "sub", "divide": "div", "clip": "clamp", "greater": "gt",
    "greater_equal": "ge", "less": "lt", "less_equal": "le", "not_equal": "ne",
}  # fmt: skip
OPS.update({alias: OPS[name] for alias, name in ALIASES.items()})

__all__ = ["install_operators"]
