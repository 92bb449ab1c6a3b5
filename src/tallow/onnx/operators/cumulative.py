"""Running sums and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow import ops
from tallow.onnx.operators.table import operator
from tallow.ops.shape import axis_of
from tallow.tensor import Tensor


def _running(
    op: Callable[..., Tensor], first: int, x: Tensor, axis: Any, exclusive: int, reverse: int
) -> Tensor:
    """A running `op` along an axis, from the end on if reversed; `first` is that of nothing."""
    dim = axis_of(axis[0] if isinstance(axis, list) else axis, x.ndim, "axis")
    x = ops.flip(x, dim) if reverse else x
    found = op(x, dim, dtype=x.dtype)
    if exclusive and x.shape[dim]:
        shape = [1 if i == dim else n for i, n in enumerate(x.shape)]
        edge = ops.new_full(x, shape, first)
        found = ops.cat([edge, found.narrow(dim, 0, x.shape[dim] - 1)], dim)
    return ops.flip(found, dim) if reverse else found


@operator("CumSum", since=11, reads=("axis",))
def cumsum(x: Tensor, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """The sums of the elements up to each along an axis, without itself if exclusive."""
    return _running(ops.cumsum, 0, x, axis, exclusive, reverse)


@operator("CumProd", since=26, reads=("axis",))
def cumprod(x: Tensor, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """The products of the elements up to each along an axis, without itself if exclusive."""
    return _running(ops.cumprod, 1, x, axis, exclusive, reverse)
