"""Elementwise ops of three operands: choice, bounds, mixtures and products to be added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd.inplace import write
from ..dtype import FLOATS
from ..errors import ArgumentError, DTypeError, NoKernelError, expect
from ..factories import full
from ..registry import op
from ..tensor import Tensor
from .elementwise_ops import conj, internal_op, op_named

_where: Callable[..., Tensor] = internal_op("where", 3).caller()


@op
def where(
    condition: Tensor, input: Tensor | float | None = None, other: Tensor | float | None = None
) -> Tensor:
    """`input` where `condition` is true, else `other`, broadcast and promoted.

    With the condition alone: the indices of its nonzero elements, one tensor per axis.
    """
    if input is None and other is None:
        indices: Tensor = condition.nonzero(as_tuple=True)
        return indices
    return _where(condition, input, other)


where.kernel("where")


@where.grad
def _(g: Tensor, condition: Tensor, _input: Any, _other: Any) -> tuple[Any, Any, Any]:
    return None, lambda: where(condition, g, 0), lambda: where(condition, 0, g)


@op(inplace=True, cached=True)
def lerp(x: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    """`x + weight * (end - x)`, exact at weights 0 and 1."""
    expect(x.dtype.kind in "fc", lerp, "floats", x.dtype.name, NoKernelError)
    way = end - x
    near = x + way * weight
    size = weight.abs() if isinstance(weight, Tensor) else full((), abs(weight))
    return where(size < 0.5, near, end - way * (1 - weight))


@lerp.check
def _(x: Tensor, end: Tensor, weight: Tensor | float) -> None:
    same = x.dtype == end.dtype and (not isinstance(weight, Tensor) or weight.dtype == x.dtype)
    expect(same, lerp, "operands of one dtype", "several", DTypeError)


lerp.kernel("lerp", dtypes=FLOATS)


@lerp.grad(uses={"x": ("weight",), "end": ("weight",)})
def _(g: Tensor, x: Tensor, end: Tensor, weight: Any) -> tuple[Any, Any, Any]:
    return (
        lambda: g * conj(1 - weight),
        lambda: g * conj(weight),
        lambda: g * conj(end - x),
    )


@op(inplace=True)
def addcmul(x: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """`x + value * tensor1 * tensor2`."""
    return x + tensor1 * tensor2 * value


addcmul.kernel("addcmul", dtypes=FLOATS)


@addcmul.grad(uses={"tensor1": ("tensor2",), "tensor2": ("tensor1",)})
def _(g: Tensor, _x: Tensor, tensor1: Tensor, tensor2: Tensor, value: float) -> Any:
    return g, lambda: g * conj(tensor2 * value), lambda: g * conj(tensor1 * value)


@op(inplace=True)
def addcdiv(x: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """`x + value * tensor1 / tensor2`, of floats."""
    return x + tensor1 / tensor2 * value


@addcdiv.check
def _(x: Tensor, tensor1: Tensor, tensor2: Tensor, value: float) -> None:
    whole = tensor1.dtype.kind in "biu" and tensor2.dtype.kind in "biu"
    expect(not whole, addcdiv, "floats to divide", "integers", DTypeError)


addcdiv.kernel("addcdiv", dtypes=FLOATS)


@addcdiv.grad(uses={"tensor1": ("tensor2",), "tensor2": ("tensor1", "tensor2")})
def _(g: Tensor, _x: Tensor, tensor1: Tensor, tensor2: Tensor, value: float) -> Any:
    return (
        g,
        lambda: g * conj(value / tensor2),
        lambda: -g * conj(tensor1 * value / (tensor2 * tensor2)),
    )


@op(inplace=True, cached=True)
def clamp(
    x: Tensor, min: Tensor | float | None = None, max: Tensor | float | None = None
) -> Tensor:
    """`x` limited to [min, max], numbers or tensors; either bound may be left out."""
    bounded = min is not None or max is not None
    expect(bounded, clamp, "a lower or an upper bound", "neither", ArgumentError)
    out = x if min is None else op_named("maximum")(x, min)
    return out if max is None else op_named("minimum")(out, max)


clamp.kernel("clamp", dtypes=FLOATS)


@clamp.in_place
def _(x: Tensor, min: Tensor | float | None, max: Tensor | float | None) -> Tensor:
    if max is None and min is not None:
        return x.maximum_(min)
    if min is None and max is not None:
        return x.minimum_(max)
    write(x, clamp(x, min, max), "clamp_")
    return x


@clamp.grad
def _(g: Tensor, x: Tensor, min: Any, max: Any) -> tuple[Any, Any, Any]:
    def inside() -> Tensor:
        above = None if min is None else x >= min
        below = None if max is None else x <= max
        kept = below if above is None else above if below is None else above.logical_and(below)
        assert kept is not None
        return where(kept, g, 0)

    def low() -> Tensor:
        kept = x < min if max is None else (x < min).logical_and(op_named("lt")(min, max))
        return where(kept, g, 0)

    def high() -> Tensor:
        kept = x > max if min is None else (x > max).logical_or(op_named("gt")(min, max))
        return where(kept, g, 0)

    return inside, low, high


@op(inplace=True)
def clamp_min(x: Tensor, min: Tensor | float) -> Tensor:
    """`x`, but nothing below `min`."""
    return op_named("maximum")(x, min)


@clamp_min.grad
def _(g: Tensor, x: Tensor, min: Any) -> tuple[Any, Any]:
    # As in PyTorch an element at its bound has the whole gradient, unlike in maximum.
    return lambda: where(x >= min, g, 0), lambda: where(x < min, g, 0)


@op(inplace=True)
def clamp_max(x: Tensor, max: Tensor | float) -> Tensor:
    """`x`, but nothing above `max`."""
    return op_named("minimum")(x, max)


@clamp_max.grad
def _(g: Tensor, x: Tensor, max: Any) -> tuple[Any, Any]:
    return lambda: where(x <= max, g, 0), lambda: where(x > max, g, 0)
