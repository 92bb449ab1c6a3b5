"""Softmax and its logarithm; before opset 13 over all axes from `axis` on."""

from __future__ import annotations

import math
from collections.abc import Callable

from tallow import ops
from tallow.errors import ArgumentError, expect
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor


def _over_rows(x: Tensor, axis: int, row: Callable[..., Tensor]) -> Tensor:
    """`row` over the axes from `axis` on as one."""
    expect(-x.ndim <= axis <= x.ndim, "softmax", f"an axis of {x.ndim} axes", axis, ArgumentError)
    axis = axis if axis >= 0 else axis + x.ndim
    if axis == x.ndim - 1:
        return row(x, -1)
    flat = x.reshape(*x.shape[:axis], math.prod(x.shape[axis:]))
    return row(flat, -1).reshape(x.shape)


@operator("Softmax", until=12)
def softmax_1(x: Tensor, *, axis: int = 1) -> Tensor:
    """Over all axes from `axis` on."""
    return _over_rows(x, axis, ops.softmax)


@operator("Softmax", since=13)
def softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """Over one axis."""
    return ops.softmax(x, axis)


@operator("LogSoftmax", until=12)
def log_softmax_1(x: Tensor, *, axis: int = 1) -> Tensor:
    """Over all axes from `axis` on."""
    return _over_rows(x, axis, ops.log_softmax)


@operator("LogSoftmax", since=13)
def log_softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """Over one axis."""
    return ops.log_softmax(x, axis)
