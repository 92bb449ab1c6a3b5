"""Elementwise arithmetic."""

from __future__ import annotations

from tallow import ops
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor


@operator("Add", since=7)
def add(a: Tensor, b: Tensor) -> Tensor:
    return a + b


@operator("Relu", since=6)
def relu(x: Tensor) -> Tensor:
    return ops.relu(x)


@operator("Identity", since=1, host=True)
def identity(x: object) -> object:
    return x
