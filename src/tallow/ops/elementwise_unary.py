"""Elementwise ops of one operand: arithmetic, rounding, questions about floats."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..dtype import DTYPES, FLOATS, REALS, f32
from ..errors import DTypeError, NoKernelError, expect
from ..factories import full, zeros_like
from ..registry import op
from ..tensor import Tensor
from .elementwise_ops import conj, define_elementwise, internal_op, op_named
from .elementwise_ternary import where

LN2, LN10 = math.log(2), math.log(10)


def _zero(g: Tensor, _x: Tensor) -> Tensor:
    """The gradient of what is constant between its steps."""
    return zeros_like(g)


_UNARY: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("neg", "`-x`.", lambda g, _x: -g),
    ("abs", "The absolute value; of a complex number its magnitude, as f32.",
     lambda g, x: g * x.sign()),
    ("square", "`x * x`.", lambda g, x: g * conj(x * 2)),
    ("floor", "The largest whole number that is not above `x`.", _zero),
    ("ceil", "The smallest whole number that is not below `x`.", _zero),
    ("trunc", "`x` without its fraction.", _zero),
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
    ("tanh", "The hyperbolic tangent.", lambda g, _x, out: op_named("tanh_grad")(g, out)),
    ("asinh", "The inverse of sinh.", lambda g, x: g * conj((x * x + 1).rsqrt())),
    ("acosh", "The inverse of cosh, for `x` from 1 up.",
     lambda g, x: g * conj(((x - 1).sqrt() * (x + 1).sqrt()).reciprocal())),
    ("atanh", "The inverse of tanh, for `x` in (-1, 1).", lambda g, x: g / conj(1 - x * x)),
)  # fmt: skip
for _name, _doc, _gradient in _UNARY:
    define_elementwise(__name__, _name, 1, _doc, _gradient)


@op
def tanh_grad(g: Tensor, out: Tensor) -> Tensor:
    """`g * (1 - out²)`: the gradient of `out = tanh(x)`."""
    return g * conj(1 - out * out)


tanh_grad.kernel("tanh_grad", dtypes=REALS)


def _direction_grad(g: Tensor, x: Tensor, out: Tensor) -> Tensor:
    # Only what turns the direction matters, the less the farther out.
    turned = (g - (g * out.conj()).real * out) / x.abs()
    return where(x == 0, 0, turned)


_sign: Callable[..., Tensor] = internal_op("sign", 1, _zero).caller()
_direction = internal_op("direction", 1, _direction_grad, copied=("x", "out"), kernel="sign")


@op
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1; of a complex number the one on the unit circle in its direction."""
    return _direction(x) if x.dtype.kind == "c" else _sign(x)


_round: Callable[..., Tensor] = internal_op("round", 1).caller()


@op
def round(x: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest whole number, ties to the even one; or rounded to `decimals` digits."""
    if decimals == 0:
        return _round(x)
    if x.dtype.kind != "f":
        expect(False, round, "a float dtype", x.dtype.name, NoKernelError)
    wide = x if x.dtype.itemsize > 2 else x.to(f32)
    scale = 10.0 ** abs(decimals)
    out = _round(wide * scale) / scale if decimals > 0 else _round(wide / scale) * scale
    return out.to(x.dtype)


@round.grad
def _(g: Tensor, _x: Tensor, decimals: int) -> Tensor:
    return zeros_like(g)


@op(inplace=True)
def positive(x: Tensor) -> Tensor:
    """`x` itself."""
    expect(x.dtype.kind != "b", positive, "numbers", "bool", DTypeError)
    return x


@op(inplace=True)
def sgn(x: Tensor) -> Tensor:
    """-1, 0 or 1; of a complex number the one on the unit circle in its direction."""
    return x.sign()


# --- questions about floats -----------------------------------------------------------------------

_NOT_INTEGERS = [dtype for dtype in DTYPES if dtype.kind not in "biu"]


@op(inplace=False)
def isnan(x: Tensor) -> Tensor:
    """Whether `x` is not a number."""
    return full(x.shape, False, "bool") if x.dtype.kind in "biu" else x != x


@op(inplace=False)
def isposinf(x: Tensor) -> Tensor:
    """Whether `x` is +inf."""
    return full(x.shape, False, "bool") if x.dtype.kind in "biu" else x == math.inf


@op(inplace=False)
def isneginf(x: Tensor) -> Tensor:
    """Whether `x` is -inf."""
    return full(x.shape, False, "bool") if x.dtype.kind in "biu" else x == -math.inf


@op(inplace=False)
def isinf(x: Tensor) -> Tensor:
    """Whether `x` is an infinity."""
    return full(x.shape, False, "bool") if x.dtype.kind in "biu" else x.abs() == math.inf


@op(inplace=False)
def isfinite(x: Tensor) -> Tensor:
    """Whether `x` is neither infinite nor NaN."""
    return full(x.shape, True, "bool") if x.dtype.kind in "biu" else x.abs() < math.inf


for _test in (isnan, isposinf, isneginf, isinf, isfinite):
    _test.kernel(_test.__name__, dtypes=_NOT_INTEGERS)

_LARGEST = {"f32": 3.4028234663852886e38, "f64": 1.7976931348623157e308, "f16": 65504.0,
            "bf16": 3.3895313892515355e38}  # fmt: skip


@op(inplace=True)
def nan_to_num(
    x: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN as `nan` (0), infinities as `posinf`, `neginf` (the dtype's largest and smallest)."""
    if x.dtype.kind in "biu":
        return x.clone()
    if x.dtype.kind == "c":
        return nan_to_num(x.view_as_real(), nan, posinf, neginf).view_as_complex()
    numbers = _replacements(x, nan, posinf, neginf)[1:]
    for found, number in zip((isnan, isposinf, isneginf), numbers, strict=True):
        x = where(found(x), number, x)
    return x


def _replacements(
    x: Tensor, nan: float | None, posinf: float | None, neginf: float | None
) -> tuple[Any, ...]:
    largest = _LARGEST.get(x.dtype.name, math.inf)
    return (
        x,
        nan or 0.0,
        largest if posinf is None else posinf,
        -largest if neginf is None else neginf,
    )


nan_to_num.kernel("nan_to_num", dtypes=FLOATS)(_replacements)


@nan_to_num.grad
def _(g: Tensor, x: Tensor, _nan: Any, _posinf: Any, _neginf: Any) -> Tensor:
    return where(x.isfinite(), g, 0)
