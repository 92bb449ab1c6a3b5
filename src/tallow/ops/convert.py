"""Casts, copies, basic slices: what Tensor's own methods record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import _native
from ..autograd.inplace import assign
from ..autograd.mode import MODE
from ..autograd.node import record_call
from ..device import BY_CODE
from ..dtype import DType, as_dtype
from ..factories import zeros
from ..layout import contiguous_format, order_of
from ..registry import primitive
from ..tensor import Tensor, unwrap_tensor, wrap


@primitive
def cast(x: Tensor, dtype: DType | str) -> Tensor:
    """`x` in another dtype: a copy, or `x` itself when it has that dtype already."""
    code = as_dtype(dtype).code
    array = unwrap_tensor(x, cast)
    return x if array.dtype == code else wrap(array.cast(code))


@cast.check
def _(x: Tensor, dtype: DType | str) -> None:
    if x._node is not None:
        to = as_dtype(dtype)
        if to.kind == "q":
            from .quant import refuse_gradient

            refuse_gradient(x, to)


@cast.grad
def _(g: Tensor, _x: Tensor, _dtype: Any) -> Tensor:
    return g  # the tape converts it to the dtype of x


def moved(x: Tensor, device: int) -> Tensor:
    """`x` on the device of this code."""
    out = wrap(x._array.moved(device))
    if x._node is not None and MODE.enabled:
        back = BY_CODE[x._array.device]
        record_call("to", [x], [out], lambda g: g.to(back), keeps=False)
    return out


@primitive
def clone(x: Tensor, memory_format: object = None) -> Tensor:
    """A copy with storage of its own, whose axes lie in memory as those of `x` unless asked."""
    array = unwrap_tensor(x, clone)
    if memory_format is None:
        return wrap(array.copy())
    order = order_of(memory_format, array.ndim, "clone")
    if order is not None:
        back = [order.index(axis) for axis in range(len(order))]
        return wrap(array.permute(order).clone().permute(back))
    return wrap(array.clone() if memory_format == contiguous_format else array.copy())


@clone.grad
def _(g: Tensor, _x: Tensor, _memory_format: object) -> Tensor:
    return g


# --- basic slices ---------------------------------------------------------------------------------


@primitive
def unslice(g: Tensor, shape: Sequence[int], key: Any) -> Tensor:
    """Zeros of `shape` with `g` at `[key]`, a basic index: the gradient of a slice."""
    out = zeros(tuple(shape), dtype=g.dtype)
    out._array.basic_index(key).copy_(g._array)
    return out


@unslice.grad
def _(g: Tensor, _g: Tensor, _shape: Any, key: Any) -> Tensor:
    return g[key]


def record_slice(out: Tensor, x: Tensor, key: Any) -> None:
    """Make `out`, which is `x[key]`, part of the graph."""
    shape = x._array.shape
    record_call("slice", [x], [out], lambda g: unslice(g, shape, key), keeps=False)


def assign_slice(x: Tensor, key: Any, target: _native.Array, value: Tensor) -> None:
    """`x[key] = value` with a basic key, recorded."""
    while value.ndim > target.ndim and value.shape[0] == 1:
        value = value[0]

    def part(g: Tensor, fill: Any) -> Any:
        if fill is None:
            return g[key]
        g[key] = fill
        return g

    assign(x, value, lambda: target.assign(value._array), part, "setitem", keeps=False)


# --- strided places -------------------------------------------------------------------------------


def _overlaps(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether two positions may be one element (exact for nested strides, else cautious)."""
    reach = 0
    for step, n in sorted((abs(s), n) for s, n in zip(strides, sizes, strict=True) if n > 1):
        if step <= reach:
            return True
        reach += step * (n - 1)
    return False


@primitive
def put_strided(
    g: Tensor, shape: Sequence[int], sizes: Sequence[int], strides: Sequence[int], offset: int
) -> Tensor:
    """Zeros of `shape` with `g` added at the places of a strided view of them.

    The view has `sizes` and `strides` and begins `offset` elements behind the start; `g` has its
    shape. Elements that the view has several times get the sum.
    """
    out = zeros(tuple(shape), dtype=g.dtype)
    if not _overlaps(sizes, strides):
        out._array.strided(sizes, strides, offset).copy_(g._array)
        return out
    from . import arange, index_add

    positions = wrap(arange(out.numel())._array.strided(sizes, strides, offset))
    flat = index_add(out.reshape(-1), 0, positions.reshape(-1), g.reshape(-1))
    made: Tensor = flat.reshape(out.shape)
    return made


@put_strided.grad
def _(g: Tensor, _g: Tensor, _shape: Any, sizes: Any, strides: Any, offset: Any) -> Tensor:
    return take_strided(g.contiguous(), sizes, strides, offset)


@primitive
def clear_strided(x: Tensor, sizes: Sequence[int], strides: Sequence[int], offset: int) -> Tensor:
    """A copy of contiguous `x` with zeros at the places of a strided view of it."""
    out = x._array.clone()
    out.strided(sizes, strides, offset).fill_(_native.Array.full((), 0, out.dtype))
    return wrap(out)


@clear_strided.grad
def _(g: Tensor, _x: Tensor, sizes: Any, strides: Any, offset: Any) -> Tensor:
    return clear_strided(g.contiguous(), sizes, strides, offset)


@primitive
def take_strided(x: Tensor, sizes: Sequence[int], strides: Sequence[int], offset: int) -> Tensor:
    """A view of contiguous `x` with any sizes and strides, `offset` elements behind its start."""
    return wrap(x._array.strided(sizes, strides, offset))


@take_strided.grad
def _(g: Tensor, _x: Tensor, sizes: Any, strides: Any, offset: Any) -> Tensor:
    return put_strided(g, _x.shape, sizes, strides, offset)
