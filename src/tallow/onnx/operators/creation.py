"""Tensors out of shapes and numbers."""

from __future__ import annotations

import math
from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.factories import arange, full, tensor
from tallow.onnx.operators.host import on_host
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor


@operator("Shape", host=True)
def shape(x: Any, *, start: int = 0, end: int | None = None) -> Tensor:
    """The lengths of the axes from `start` to `end`."""
    return tensor(list(x.shape[start:end]), dtype="i64")


@operator("Size", host=True)
def size(x: Any) -> Tensor:
    """The number of elements."""
    return full((), math.prod(x.shape), "i64")


@operator("ConstantOfShape", since=9, reads=("sizes",))
def constant_of_shape(sizes: Any, *, value: Any = None) -> Any:
    """One value (0 in f32 unless given) in a shape."""
    sizes = [sizes] if isinstance(sizes, int) else sizes
    expect(all(n >= 0 for n in sizes), "ConstantOfShape", "sizes of at least 0", sizes)
    if value is None:
        return full(sizes, 0.0, "f32")
    single = math.prod(value.shape) == 1
    expect(single, "ConstantOfShape", "a value of one element", tuple(value.shape))
    if on_host(value):
        import numpy as np

        return np.full(sizes, value.reshape(()), value.dtype)
    return full(sizes, value.item(), value.dtype)


@operator("Range", since=11, reads=("start", "limit"))
def numbers(start: Any, limit: Any, delta: Tensor, *, stash_type: int = 1) -> Tensor:
    """Numbers from `start` to short of `limit`; each is computed by itself, in f64 for floats."""
    first, last, step = (
        each[0] if isinstance(each, list) else each for each in (start, limit, delta.item())
    )
    expect(step != 0, "Range", "a delta other than 0", step, ArgumentError)
    count = max(math.ceil((last - first) / step), 0)
    if delta.dtype.kind == "i":
        return arange(first, first + count * step, step, delta.dtype)
    found: Tensor = (arange(count).to("f64") * step + first).to(delta.dtype)
    return found
