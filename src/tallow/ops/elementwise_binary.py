"""Arithmetic of two operands: a line in `csrc/ops/elementwise.def` is the kernel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..dtype import FLOATS, REALS
from ..errors import ArgumentError, ShapeError, expect
from ..factories import full, zeros_like
from ..registry import op
from ..tensor import Tensor
from .elementwise_ops import Gradient, Uses, conj, define_elementwise, internal_op, op_named
from .elementwise_ternary import addcmul, where
from .elementwise_unary import LN2


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
        return lambda: where(op_named("eq")(a, b), g / 2, where(loses(), 0, g))

    return share(lambda: op_named("lt")(a, b)), share(lambda: op_named("gt")(a, b))


def _smaller(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
    left, right = _larger(g, a, b)
    return right, left


def _chosen(compare: str) -> Callable[..., tuple[Any, Any]]:
    def rule(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
        def first() -> Tensor:
            return op_named(compare)(a, b).logical_or(op_named("ne")(b, b))

        return lambda: where(first(), g, 0), lambda: where(first(), 0, g)

    return rule


def _truncated(a: Any, b: Any) -> Tensor:
    quotient: Tensor = _trunc_divide(a, b)
    return quotient


def _flat(g: Tensor, _a: Any, _b: Any) -> tuple[Any, Any]:
    return lambda: zeros_like(g), lambda: zeros_like(g)


def _of_circle(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
    def norm() -> Tensor:  # the middle of the circle has no angle: a slope of 0, as in torch
        square = op_named("add")(a * a, b * b)
        return where(square == 0, math.inf, square)

    return lambda: g * (b / norm()), lambda: g * (-a / norm())


def _copied(g: Tensor, a: Any, _b: Any, out: Tensor) -> tuple[Any, Any]:
    return lambda: where(a == 0, 0, g * (out / a)), lambda: zeros_like(g)


BOTH: Uses = {"a": ("b",), "b": ("a",)}
EACH: Uses = {"a": ("a",), "b": ("b",)}
SECOND: Uses = {"a": ("b",), "b": ("b",)}  # what the second operand's gradient alone needs

_BINARY: tuple[tuple[str, str, Gradient, Uses], ...] = (
    ("mul", "`a * b`, broadcast and promoted as in PyTorch.",
     lambda g, a, b: (lambda: g * conj(b), lambda: g * conj(a)), BOTH),
    ("pow", "`a` to the power `b`; integers stay integers.", _power, {"out": ("b",)}),
    ("maximum", "The larger of `a` and `b`; NaN in either wins.", _larger, None),
    ("minimum", "The smaller of `a` and `b`; NaN in either wins.", _smaller, None),
    ("fmax", "The larger of `a` and `b`; a number wins over NaN.", _chosen("ge"), None),
    ("fmin", "The smaller of `a` and `b`; a number wins over NaN.", _chosen("le"), None),
    ("floor_divide", "`a / b` rounded down.", _flat, None),
    ("remainder", "What `a` exceeds a multiple of `b` by, with the sign of `b`.",
     lambda g, a, b: (lambda: g, lambda: -g * op_named("floor_divide")(a, b)), SECOND),
    ("fmod", "What `a` exceeds a multiple of `b` by, with the sign of `a`.",
     lambda g, a, b: (lambda: g, lambda: -g * _truncated(a, b)), SECOND),
    ("atan2", "The angle of the point (`b`, `a`).", _of_circle, None),
    ("hypot", "`sqrt(a² + b²)`, without overflow on the way.",
     lambda g, a, b, out: (lambda: g * (a / out), lambda: g * (b / out)), EACH),
    ("copysign", "The magnitude of `a` with the sign of `b`, as a float.", _copied, None),
    ("logaddexp2", "`log2(2**a + 2**b)`, without overflow on the way.",
     lambda g, a, b: (lambda: g * (op_named("sub")(a, b) * LN2).sigmoid(),
                      lambda: g * (op_named("sub")(b, a) * LN2).sigmoid()), None),
    ("nextafter", "The float next to `a` towards `b`.",
     lambda g, a, b: (lambda: where(op_named("ne")(a, b), g, 0), lambda: zeros_like(g)), None),
    ("gcd", "The greatest common divisor of integers.", None, None),
    ("lcm", "The least common multiple of integers.", None, None),
)  # fmt: skip
for _name, _doc, _gradient, _uses in _BINARY:
    define_elementwise(__name__, _name, 2, _doc, _gradient, _uses)

pow: Callable[..., Tensor] = op_named("pow")
floor_divide: Callable[..., Tensor] = op_named("floor_divide")


_add: Callable[..., Tensor] = internal_op("add", 2).caller()
_sub: Callable[..., Tensor] = internal_op("sub", 2).caller()


_FEW = 2048


def times(other: Any, alpha: Any) -> Any:
    """`other * alpha`, where `alpha` is no float for integers; only tensors are checked."""
    if isinstance(other, Tensor) and isinstance(alpha, float):
        kind = other.dtype.kind
        expect(kind in "fc", "alpha", "an integer for integer tensors", alpha, ArgumentError)
    return other * alpha


def _in_one_step(x: Any, other: Any, alpha: Any, sign: int) -> Tensor | None:
    """`x + sign * alpha * other` of floats of one dtype and a plain number; None: take two steps.

    Of few elements two steps are quicker, for `addcmul` has another operand to look at. They have
    the same bits, but for halves, whose product would be rounded.
    """
    if not isinstance(x, Tensor) or (x.numel() <= _FEW and x.dtype.itemsize > 2):
        return None
    plain = isinstance(other, Tensor) and type(alpha) in (int, float)
    if not (plain and x.dtype is other.dtype and x.dtype in FLOATS):
        return None
    try:
        return addcmul(x, other, 1.0, value=sign * alpha)  # type: ignore[arg-type]
    except (ArgumentError, ShapeError):
        return None  # the two steps refuse it by their own names


@op(cached=True)
def add(x: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """`x + alpha * other`, broadcast and promoted as in PyTorch."""
    if alpha == 1:
        return _add(x, other)
    found = _in_one_step(x, other, alpha, 1)
    return _add(x, times(other, alpha)) if found is None else found


@add.in_place
def _(x: Tensor, other: Tensor | float, *, alpha: float) -> Tensor:
    return x.add_(times(other, alpha))


@add.grad
def _(g: Tensor, _x: Any, _other: Any, alpha: float) -> tuple[Any, Any]:
    return g, g if alpha == 1 else lambda: g * conj(alpha)


@op(cached=True)
def sub(x: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """`x - alpha * other`, broadcast and promoted as in PyTorch."""
    if alpha == 1:
        return _sub(x, other)
    found = _in_one_step(x, other, alpha, -1)
    return _sub(x, times(other, alpha)) if found is None else found


@sub.in_place
def _(x: Tensor, other: Tensor | float, *, alpha: float) -> Tensor:
    return x.sub_(times(other, alpha))


@sub.grad
def _(g: Tensor, _x: Any, _other: Any, alpha: float) -> tuple[Any, Any]:
    return g, lambda: -g if alpha == 1 else g * -conj(alpha)


_difference: Callable[..., Tensor] = sub.caller()


@op
def rsub(x: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """`other - alpha * x`."""
    return _difference(other, x) if alpha == 1 else _difference(other, x, alpha=alpha)


def _quotient(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
    # By `a` and not the result, which programs change in place (scores that they mask, say).
    return lambda: g / conj(b), lambda: -g * conj(a / b / b)


# `2 / b`, which torch takes as `b.reciprocal() * 2`: neither `b` nor the result is needed as it is.
reversed_div = internal_op("rdiv", 2, _quotient, {"a": ("b",)}, copied=("b",), kernel="div")
_trunc_divide: Callable[..., Tensor] = internal_op("trunc_divide", 2, _flat).caller()


@op
def div(x: Tensor, other: Tensor | float, *, rounding_mode: str | None = None) -> Tensor:
    """`x / other` as a float; with `rounding_mode` "floor" or "trunc" a whole number."""
    if rounding_mode is None:
        return reversed_div(x, other)
    modes = rounding_mode in ("floor", "trunc")
    expect(modes, div, 'rounding_mode None, "floor" or "trunc"', rounding_mode, ArgumentError)
    return floor_divide(x, other) if rounding_mode == "floor" else _trunc_divide(x, other)


@div.grad(uses={"x": ("other",)})
def _(g: Tensor, x: Any, other: Any, rounding_mode: str | None) -> tuple[Any, Any]:
    return _quotient(g, x, other) if rounding_mode is None else _flat(g, x, other)


@op(inplace=True)
def true_divide(x: Tensor, other: Tensor | float) -> Tensor:
    """`x / other` as a float."""
    return div(x, other)


@op(inplace=False)
def logaddexp(x: Tensor, other: Tensor) -> Tensor:
    """`log(exp(x) + exp(other))`, without overflow on the way."""
    above = x.real >= other.real
    large, small = where(above, x, other), where(above, other, x)
    return large + (small - large).exp().log1p()


logaddexp.kernel("logaddexp", dtypes=REALS)


@logaddexp.grad
def _(g: Tensor, x: Tensor, other: Tensor) -> tuple[Any, Any]:
    return lambda: g * conj(sub(x, other).sigmoid()), lambda: g * conj(sub(other, x).sigmoid())
