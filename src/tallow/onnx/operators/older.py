"""Operators of two tensors at opset 6, which broadcast from an axis on, and only where told."""

from __future__ import annotations

from typing import Any

from tallow import ops
from tallow.errors import expect
from tallow.onnx.operators.activation import prelu
from tallow.onnx.operators.elementwise import div, power
from tallow.onnx.operators.logic import equal
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor


def _register(name: str, function: Any) -> None:
    @operator(name, since=6, until=6)
    def with_axis(a: Tensor, b: Tensor, *, axis: int | None = None, broadcast: int = 0) -> Tensor:
        if broadcast:
            at = a.ndim - b.ndim if axis is None else axis + a.ndim if axis < 0 else axis
            behind = a.ndim - at - b.ndim
            expect(behind >= 0, name, f"an input that fits {a.shape} from axis {at} on", b.shape)
            b = b.reshape([*b.shape, *[1] * behind])
        else:
            expect(a.shape == b.shape, name, f"inputs of one shape {a.shape}", b.shape)
        return function(a, b)  # type: ignore[no-any-return]


for _name, _function in (
    ("Add", ops.add), ("Sub", ops.sub), ("Mul", ops.mul), ("Div", div), ("Pow", power),
    ("And", ops.bitwise_and), ("Or", ops.bitwise_or), ("Xor", ops.bitwise_xor), ("Equal", equal),
    ("Greater", ops.gt), ("Less", ops.lt),
):  # fmt: skip
    _register(_name, _function)


@operator("PRelu", since=6, until=6)
def prelu_of_channels(x: Tensor, slope: Tensor) -> Tensor:
    """`x`, below 0 times one slope, or one for each channel (axis 1)."""
    if slope.numel() == 1:
        return prelu(x, slope.reshape(()))
    return prelu(x, slope.reshape([-1, *[1] * (x.ndim - 2)]))


@operator("Dropout", since=6, until=6)
def dropout(x: Tensor, *, is_test: int = 0, ratio: float = 0.5, outputs: int) -> Any:
    """The input; a mask of ones in its dtype, if it is wanted."""
    return (x, ops.new_ones(x, x.shape)) if outputs > 1 else x
