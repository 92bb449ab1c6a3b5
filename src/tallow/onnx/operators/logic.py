"""Logic, comparison, choice and bits, elementwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow import ops
from tallow.errors import ArgumentError, DTypeError, expect
from tallow.onnx.operators.host import arrays, as_value, on_host
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor

for _name, _since, _function in (
    ("Greater", 7, ops.gt), ("GreaterOrEqual", 12, ops.ge),
    ("Less", 7, ops.lt), ("LessOrEqual", 12, ops.le), ("BitwiseAnd", 18, ops.bitwise_and),
    ("BitwiseOr", 18, ops.bitwise_or), ("BitwiseXor", 18, ops.bitwise_xor),
    ("BitwiseNot", 18, ops.bitwise_not),
):  # fmt: skip
    operator(_name, since=_since)(_function)


def _of_bools(name: str, bits: Callable[..., Tensor]) -> None:
    """The row of an operator of two bools, by that of their bits, which kernels take many of."""

    @operator(name, since=7)
    def both(a: Tensor, b: Tensor) -> Tensor:
        expect(
            a.dtype.kind == b.dtype.kind == "b",
            name,
            "bools",
            [a.dtype.name, b.dtype.name],
            DTypeError,
        )
        return bits(a, b)


for _name, _bits in (("And", ops.bitwise_and), ("Or", ops.bitwise_or), ("Xor", ops.bitwise_xor)):
    _of_bools(_name, _bits)


@operator("Not")
def logical_not(x: Tensor) -> Tensor:
    """Whether elements are false."""
    expect(x.dtype.kind == "b", "Not", "bools", x.dtype.name, DTypeError)
    return ops.bitwise_xor(x, True)


@operator("Equal", since=7, host=True)
def equal(a: Any, b: Any) -> Any:
    """Whether elements are equal; strings, too."""
    if on_host(a, b):
        import numpy as np

        x, y = arrays(a, b)
        return as_value(np.asarray(x == y, dtype=bool))
    return ops.eq(a, b)


@operator("Where", since=9, host=True)
def where(condition: Tensor, x: Any, y: Any) -> Any:
    """Elements of `x` where the condition holds, else of `y`."""
    if on_host(x, y):
        import numpy as np

        return as_value(np.where(*arrays(condition, x, y)))
    return ops.where(condition, x, y)


@operator("IsInf", since=10, host=True)
def is_inf(x: Any, *, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    """Whether elements are infinite, with the signs that are asked for."""
    x = _wide(x)
    if detect_negative and detect_positive:
        return ops.isinf(x)
    if detect_positive:
        return ops.isposinf(x)
    return ops.isneginf(x) if detect_negative else ops.ne(x, x).logical_and(False)


@operator("IsNaN", since=9, host=True)
def is_nan(x: Any) -> Tensor:
    """Whether elements are NaN."""
    return ops.isnan(_wide(x))


def _wide(x: Any) -> Tensor:
    """8-bit floats in f32."""
    if on_host(x):
        x = as_value(x.astype("float32"))
    found: Tensor = x.to("f32") if x.dtype.itemsize == 1 else x
    return found


@operator("BitShift", since=11)
def bit_shift(x: Tensor, y: Tensor, *, direction: str) -> Tensor:
    """`x` shifted by `y` bits."""
    known = direction in ("LEFT", "RIGHT")
    expect(known, "BitShift", 'the direction "LEFT" or "RIGHT"', direction, ArgumentError)
    return (ops.bitwise_left_shift if direction == "LEFT" else ops.bitwise_right_shift)(x, y)
