"""Views taken in place: the tensor itself gets another shape or order of axes, over its memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.inplace import rebind
from ..registry import op
from ..tensor import Tensor


@op
def squeeze_(x: Tensor, dim: Any = None) -> Tensor:
    """Drop those of the axes `dim` (one, several, or all) whose length is 1."""
    return rebind(x, x.squeeze(dim), "squeeze_")


@op
def unsqueeze_(x: Tensor, dim: int) -> Tensor:
    """Get a new axis of length 1 at `dim`."""
    return rebind(x, x.unsqueeze(dim), "unsqueeze_")


@op
def transpose_(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Swap two axes."""
    return rebind(x, x.transpose(dim0, dim1), "transpose_")


@op
def swapaxes_(x: Tensor, axis0: int, axis1: int) -> Tensor:
    """Swap two axes: `transpose_` under NumPy's name."""
    return rebind(x, x.transpose(axis0, axis1), "swapaxes_")


@op
def swapdims_(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Swap two axes: `transpose_`."""
    return rebind(x, x.transpose(dim0, dim1), "swapdims_")


@op
def t_(x: Tensor) -> Tensor:
    """Transpose a matrix; tensors of fewer axes stay as they are."""
    return rebind(x, x.t(), "t_")


@op
def as_strided_(
    x: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """Get any shape and strides over the storage, whose bounds they must not leave."""
    return rebind(x, x.as_strided(size, stride, storage_offset), "as_strided_")
