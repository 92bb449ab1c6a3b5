"""Elementwise arithmetic: operators of one, two or any number of tensors."""

from __future__ import annotations

from functools import reduce
from typing import Any

from tallow import ops
from tallow.errors import ArgumentError, expect
from tallow.onnx.operators.known import number_of
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor

for _name, _since, _function in (
    ("Abs", 6, ops.abs), ("Acos", 7, ops.acos), ("Acosh", 9, ops.acosh), ("Asin", 7, ops.asin),
    ("Asinh", 9, ops.asinh), ("Atan", 7, ops.atan), ("Atanh", 9, ops.atanh), ("Ceil", 6, ops.ceil),
    ("Cos", 7, ops.cos), ("Cosh", 9, ops.cosh), ("Exp", 6, ops.exp), ("Floor", 6, ops.floor),
    ("Log", 6, ops.log), ("Neg", 6, ops.neg), ("Reciprocal", 6, ops.reciprocal),
    ("Round", 11, ops.round), ("Sin", 7, ops.sin), ("Sinh", 9, ops.sinh),
    ("Sqrt", 6, ops.sqrt), ("Tan", 7, ops.tan), ("Tanh", 6, ops.tanh),
    ("Add", 7, ops.add), ("Mul", 7, ops.mul), ("Sub", 7, ops.sub),
):  # fmt: skip
    operator(_name, since=_since)(_function)


@operator("Erf", since=9)
def erf(x: Tensor) -> Tensor:
    """The error function; of integers rounded towards 0."""
    return ops.erf(x).to(x.dtype)


@operator("Sign", since=9)
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1 as elements are below, at or above 0; NaN stays."""
    return ops.where(ops.eq(x, x), ops.sign(x), x) if x.dtype.kind == "f" else ops.sign(x)


@operator("Div", since=7)
def div(a: Tensor, b: Tensor) -> Tensor:
    """A quotient; of integers rounded towards 0."""
    return ops.div(a, b) if a.dtype.kind in "fc" else ops.div(a, b, rounding_mode="trunc")


@operator("Mod", since=10)
def mod(a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    """A remainder with the sign of the divisor, or by `fmod` of the dividend."""
    return ops.fmod(a, b) if fmod else ops.remainder(a, b)


@operator("Pow", since=7)
def power(x: Tensor, y: Tensor) -> Tensor:
    """A power in the dtype of its base; squares and cubes are products, of which plans make one."""
    exponent = number_of(y) if x.ndim >= y.ndim else None
    if exponent == 2:
        return ops.square(x)
    if exponent == 3 and x.dtype.itemsize >= 4:
        return x * x * x
    if x.dtype.kind in "iu" and y.dtype.kind == "f":
        return ops.pow(x.to("f64"), y.to("f64")).to(x.dtype)
    return ops.pow(x, y).to(x.dtype)


@operator("Clip", since=6, until=10)
def clip_by_attributes(
    x: Tensor, *, min_: float = -3.4028234663852886e38, max_: float = 3.4028234663852886e38
) -> Tensor:
    """`x` limited to numbers."""
    return ops.clamp(x, min_, max_)


@operator("Clip", since=11)
def clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """`x` limited to values that may be left out."""
    for bound in (low, high):
        expect(
            bound is None or bound.numel() == 1,
            "Clip",
            "bounds of one element",
            getattr(bound, "shape", None),
        )
    if low is None and high is None:
        return x
    return ops.clamp(x, _bound(x, low), _bound(x, high))


def _bound(x: Tensor, bound: Tensor | None) -> Any:
    if bound is None:
        return None
    found = number_of(bound) if x.dtype.kind == "f" else None
    return bound.reshape(()) if found is None else found


def _of_any(name: str, xs: tuple[Tensor, ...], function: Any) -> Tensor:
    expect(len(xs) > 0, name, "at least one input", 0, ArgumentError)
    found: Tensor = reduce(function, xs)
    return found


@operator("Max", since=6)
def maximum(*xs: Tensor) -> Tensor:
    """The largest of tensors; NaN wins."""
    return _of_any("Max", xs, ops.maximum)


@operator("Min", since=6)
def minimum(*xs: Tensor) -> Tensor:
    """The smallest of tensors; NaN wins."""
    return _of_any("Min", xs, ops.minimum)


@operator("Sum", since=6)
def total(*xs: Tensor) -> Tensor:
    """The sum of tensors."""
    return _of_any("Sum", xs, ops.add)


@operator("Mean", since=6)
def mean(*xs: Tensor) -> Tensor:
    """The mean of tensors."""
    return _of_any("Mean", xs, ops.add) / len(xs)


@operator("Identity", since=1, host=True)
def identity(x: object) -> object:
    """The input itself."""
    return x
