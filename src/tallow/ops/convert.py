"""Casts and copies: what Tensor's own methods record."""

from __future__ import annotations

from typing import Any

from ..dtype import DType, as_dtype
from ..layout import contiguous_format, order_of
from ..registry import op
from ..tensor import Tensor


@op
def cast(x: Tensor, dtype: DType | str) -> Tensor:
    """`x` in another dtype: a copy, or `x` itself when it has that dtype already."""
    to = as_dtype(dtype)
    return x if x.dtype is to else x.new_empty(x.shape, dtype=to).copy_(x)


@cast.check
def _(x: Tensor, dtype: DType | str) -> None:
    if x._node is not None:
        to = as_dtype(dtype)
        if to.kind == "q":
            from .quant import refuse_gradient

            refuse_gradient(x, to)


@cast.out
def _(x: Tensor, dtype: DType | str) -> Any:
    return x, as_dtype(dtype)


def _is_plain(x: Tensor, dtype: DType | str) -> bool:
    to = as_dtype(dtype)
    return x.dtype is not to and "q" not in (x.dtype.kind, to.kind)


@cast.kernel("copy", when=_is_plain)
def _(x: Tensor, dtype: DType | str) -> tuple[Any, ...]:
    return (x,)


@cast.grad
def _(g: Tensor, _x: Tensor, _dtype: Any) -> Tensor:
    return g  # the tape converts it to the dtype of x


@op(cached=True)
def clone(x: Tensor, memory_format: object = None) -> Tensor:
    """A copy with storage of its own, whose axes lie in memory as those of `x` unless asked."""
    ...


@clone.out
def _(x: Tensor, memory_format: object) -> Any:
    if memory_format is None:
        return x
    order = order_of(memory_format, x.ndim, "clone")
    if order is not None:
        return x.shape, x.dtype, order
    return (x.shape, x.dtype) if memory_format == contiguous_format else x


@clone.kernel("copy")
def _(x: Tensor, memory_format: object) -> tuple[Any, ...]:
    return (x,)


@clone.grad
def _(g: Tensor, _x: Tensor, _memory_format: object) -> Tensor:
    return g
