"""Copies of a tensor with a part replaced: a diagonal, a slice, a position, any strides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..definition import Op
from ..errors import ArgumentError, expect
from ..factories import empty, zeros_like
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .shape import axis_of


def _replaced(x: Tensor, src: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
    out: Tensor = empty(x.shape, dtype=x.dtype, device=x.device).copy_(x)
    part(out).copy_(src)
    return out


def _attach(made: Op[..., Any], part: Callable[..., Tensor]) -> None:
    """`part(tensor, *place)` is the view that `src` replaces in a row-major copy."""

    @made.out
    def _(x: Tensor, src: Tensor, *place: Any) -> Any:
        if type(x) is not Tensor or type(src) is not Tensor:
            unwrap_tensor(x, made), unwrap_tensor(src, made)
        shape = part(x, *place).shape
        if src.shape != shape:
            expect(False, made, f"src of shape {shape}", src.shape)
        return x.shape, x.dtype

    @made.kernel("copy")
    def _(out: Tensor, x: Tensor, src: Tensor, *place: Any) -> tuple[Any, ...]:
        return part(out.copy_(x), *place), src


def _diagonal(x: Tensor, offset: int, dim1: int, dim2: int) -> Tensor:
    return x.diagonal(offset, dim1, dim2)


@op
def diagonal_scatter(
    x: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy of `x` with `src` for its diagonal."""
    return _replaced(x, src, lambda out: _diagonal(out, offset, dim1, dim2))


_attach(diagonal_scatter, _diagonal)


@diagonal_scatter.grad
def _(g: Tensor, _x: Any, _src: Any, offset: int, dim1: int, dim2: int) -> tuple[Any, Any]:
    return (
        lambda: diagonal_scatter(g, g.new_zeros(_src.shape), offset, dim1, dim2),
        lambda: _diagonal(g, offset, dim1, dim2),
    )


def _position(x: Tensor, dim: int, index: int) -> Tensor:
    return x.select(dim, index)


@op
def select_scatter(x: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of `x` with `src` at one position of axis `dim`."""
    return _replaced(x, src, lambda out: _position(out, dim, index))


_attach(select_scatter, _position)


@select_scatter.grad
def _(g: Tensor, _x: Any, _src: Any, dim: int, index: int) -> tuple[Any, Any]:
    return (
        lambda: select_scatter(g, g.new_zeros(_src.shape), dim, index),
        lambda: _position(g, dim, index),
    )


def _slice(x: Tensor, dim: int, start: int | None, end: int | None, step: int) -> Tensor:
    axis = axis_of(dim, x.ndim, slice_scatter)
    return x[(*(slice(None),) * axis, slice(start, end, step))]


@op
def slice_scatter(
    x: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """A copy of `x` with `src` at `start:end:step` of axis `dim`."""
    return _replaced(x, src, lambda out: _slice(out, dim, start, end, step))


@slice_scatter.check
def _(x: Tensor, src: Tensor, dim: int, start: Any, end: Any, step: int) -> None:
    if step <= 0:
        expect(False, slice_scatter, "a step above 0", step, ArgumentError)


_attach(slice_scatter, _slice)


@slice_scatter.grad
def _(g: Tensor, _x: Any, _src: Any, dim: int, start: Any, end: Any, step: int) -> tuple[Any, Any]:
    return (
        lambda: slice_scatter(g, g.new_zeros(_src.shape), dim, start, end, step),
        lambda: _slice(g, dim, start, end, step),
    )


@op
def as_strided_scatter(
    x: Tensor,
    src: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Tensor:
    """A copy of contiguous `x` with `src` where `as_strided` would show it."""
    shift = 0 if storage_offset is None else storage_offset - x.storage_offset()
    return _replaced(x, src, lambda out: out.as_strided(size, stride, shift))


@as_strided_scatter.check
def _(x: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None) -> None:
    if not x.is_contiguous():
        expect(False, as_strided_scatter, "a contiguous tensor", f"strides {x.stride()}")


@as_strided_scatter.out
def _(x: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None) -> Any:
    shape = x.as_strided(size, stride, storage_offset).shape
    if src.shape != shape:
        expect(False, as_strided_scatter, f"src of shape {shape}", src.shape)
    return x.shape, x.dtype


@as_strided_scatter.kernel("copy")
def _(
    out: Tensor, x: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None
) -> tuple[Any, ...]:
    shift = 0 if storage_offset is None else storage_offset - x.storage_offset()
    return out.copy_(x).as_strided(size, stride, shift), src


@as_strided_scatter.grad
def _(
    g: Tensor, _x: Any, _src: Any, size: Sequence[int], stride: Sequence[int], at: int | None
) -> tuple[Any, Tensor]:
    g = g.contiguous()
    shift = 0 if at is None else at
    part = g.as_strided(tuple(size), tuple(stride), shift + g.storage_offset())
    # As torch 2.13 has it: the input gets the gradient of what was replaced, and no other.
    return lambda: as_strided_scatter(zeros_like(g), part, size, stride, shift), part
