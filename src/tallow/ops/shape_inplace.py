"""Views taken in place: the tensor itself gets another shape or order of axes, over its memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.inplace import refuse
from ..autograd.mode import MODE
from ..registry import op
from ..tensor import Tensor, is_hidden


def _become(x: Tensor, view: Tensor, name: str) -> Tensor:
    """Let `x` be `view`, its history included; views taken of it before stay as they are."""
    if view is x:
        return x
    if MODE.enabled and (x._node is not None or is_hidden(x)):
        refuse(x, name)
    x._array = view._array
    if view._node is not None:
        x._node, x._index = view._node, view._index
    return x


@op
def squeeze_(x: Tensor, dim: Any = None) -> Tensor:
    """Drop those of the axes `dim` (one, several, or all) whose length is 1."""
    return _become(x, x.squeeze(dim), "squeeze_")


@op
def unsqueeze_(x: Tensor, dim: int) -> Tensor:
    """Get a new axis of length 1 at `dim`."""
    return _become(x, x.unsqueeze(dim), "unsqueeze_")


@op
def transpose_(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Swap two axes."""
    return _become(x, x.transpose(dim0, dim1), "transpose_")


@op
def swapaxes_(x: Tensor, axis0: int, axis1: int) -> Tensor:
    """Swap two axes: `transpose_` under NumPy's name."""
    return _become(x, x.transpose(axis0, axis1), "swapaxes_")


@op
def swapdims_(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Swap two axes: `transpose_`."""
    return _become(x, x.transpose(dim0, dim1), "swapdims_")


@op
def t_(x: Tensor) -> Tensor:
    """Transpose a matrix; tensors of fewer axes stay as they are."""
    return _become(x, x.t(), "t_")


@op
def as_strided_(
    x: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """Get any shape and strides over the storage, whose bounds they must not leave."""
    return _become(x, x.as_strided(size, stride, storage_offset), "as_strided_")
