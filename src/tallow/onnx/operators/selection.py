"""Unique: the different elements of a tensor, where they come first, and how often."""

from __future__ import annotations

from typing import Any

from tallow import ops
from tallow.dtype import i64
from tallow.onnx.operators.moving import axis_in, on_host
from tallow.onnx.operators.table import operator


@operator("Unique", since=11, host=True)
def unique(x: Any, *, axis: int | None = None, sorted_: int = 1) -> tuple[Any, ...]:
    """The different elements, or slices along an axis, in order or as they come first.

    With them their first places, the place in them of each element, and their counts.
    """
    if on_host(x):
        return _of_array(x, axis, sorted_)
    at = None if axis is None else axis_in(axis, x.ndim, "Unique")
    found, inverse, counts = ops.unique(x, True, True, True, at)
    inverse = inverse.reshape(-1)
    count, length = counts.shape[0], inverse.shape[0]
    places = ops.arange(length, dtype=i64, device=x.device)
    first = x.new_full((count,), length, dtype=i64)
    first = ops.scatter_reduce(first, 0, inverse, places, "amin")
    if sorted_:
        return found, first, inverse, counts
    order = ops.argsort(first)
    found = ops.take_positions(found, order, at or 0)
    return found, first[order], ops.argsort(order)[inverse], counts[order]


def _of_array(x: Any, axis: int | None, sorted_: int) -> tuple[Any, ...]:
    """By numbers in the elements' order, which are as different as they are."""
    import numpy as np

    from tallow.borrowing import of_numpy

    elements, codes = np.unique(x.reshape(-1), return_inverse=True)
    numbers = of_numpy(codes.astype(np.int64)).reshape(x.shape)
    found, *rest = unique(numbers, axis=axis, sorted_=sorted_)
    return (elements[found.numpy()], *rest)
