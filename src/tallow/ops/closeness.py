"""Whether two tensors are equal, or near enough."""

from __future__ import annotations

from ..dtype import f64
from ..errors import ArgumentError, DTypeError, expect
from ..registry import op
from ..tensor import Tensor


@op
def isclose(
    x: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Whether `|x - other| <= atol + rtol * |other|`, or both are the same infinity."""
    same = x.dtype == other.dtype
    expect(
        same,
        isclose,
        "two tensors of one dtype",
        f"{x.dtype.name} and {other.dtype.name}",
        DTypeError,
    )
    expect(rtol >= 0 and atol >= 0, isclose, "tolerances from 0 up", (rtol, atol), ArgumentError)
    out = x.eq(other)
    if equal_nan:
        out = out | (x.ne(x) & other.ne(other))
    if rtol == 0 and atol == 0:
        return out
    wide = x if x.dtype.kind in "fc" else x.to(f64)
    goal = other if other.dtype.kind in "fc" else other.to(f64)
    near = (wide - goal).abs()
    return out | (near.isfinite() & (near <= goal.abs() * rtol + atol))


@op
def allclose(
    x: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close (see `isclose`)."""
    close = isclose(x.detach(), other.detach(), rtol, atol, equal_nan)
    return bool(close.all().item())


@op
def equal(x: Tensor, other: Tensor) -> bool:
    """Whether shape and every element are equal; NaN differs from itself."""
    return x.shape == other.shape and bool(x.eq(other).all().item())
