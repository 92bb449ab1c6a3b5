"""Elementwise ops made of others, loaded when one is first used."""

from __future__ import annotations

import math
from typing import Any

from ..dtype import f64
from ..errors import DTypeError, NoKernelError, expect
from ..registry import op
from ..tensor import Tensor
from .elementwise_binary import pow
from .elementwise_ternary import where


@op(inplace=True)
def deg2rad(x: Tensor) -> Tensor:
    """Degrees as radians."""
    return x * (math.pi / 180)


@op(inplace=True)
def rad2deg(x: Tensor) -> Tensor:
    """Radians as degrees."""
    return x * (180 / math.pi)


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
    plain = wide.isfinite().logical_and(wide != 0)
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
