"""Copies of a tensor with a part replaced: a diagonal, a slice, a position, any strides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.views import take_strided
from ..errors import ArgumentError, IndexRangeError, expect
from ..factories import empty, zeros_like
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .shape import axis_of, contiguous_strides
from .strided import diagonal_place


@op
def replace_strided(
    input: Tensor, src: Tensor, stride: Sequence[int], shift: int, where: str
) -> Tensor:
    """A contiguous copy of `input` with `src` where such strides over the copy would show it."""
    out: Tensor = empty(input.shape, dtype=input.dtype, device=input.device).copy_(input)
    out.as_strided(src.shape, stride, shift).copy_(src)
    return out


@replace_strided.check
def _(input: Tensor, src: Tensor, stride: Sequence[int], shift: int, where: str) -> None:
    unwrap_tensor(input, where), unwrap_tensor(src, where)


@replace_strided.out
def _(input: Tensor, src: Tensor, stride: Sequence[int], shift: int, where: str) -> Any:
    return input.shape, input.dtype


@replace_strided.kernel("copy")
def _(
    out: Tensor, input: Tensor, src: Tensor, stride: Sequence[int], shift: int, where: str
) -> tuple[Any, ...]:
    return out.copy_(input).as_strided(src.shape, stride, shift), src


@replace_strided.grad
def _(
    g: Tensor, _input: Tensor, _src: Tensor, stride: Sequence[int], shift: int, where: str
) -> tuple[Any, Any]:
    return (
        lambda: replace_strided(g, g.new_zeros(_src.shape), stride, shift, where),
        lambda: take_strided(g.contiguous(), _src.shape, tuple(stride), shift),
    )


def _replace(
    x: Tensor, src: Tensor, shape: Sequence[int], strides: Sequence[int], shift: int, where: Any
) -> Tensor:  # fmt: skip
    """`src` for what shape, strides and shift show of a contiguous copy of `x`."""
    if tuple(src.shape) != tuple(shape):
        expect(False, where, f"src of shape {tuple(shape)}", src.shape)
    return replace_strided(x, src, strides, shift, where.__name__)


@op
def diagonal_scatter(
    x: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy of `x` with `src` for its diagonal."""
    shape, strides, shift = diagonal_place(x.shape, contiguous_strides(x.shape), offset, dim1, dim2)
    return _replace(x, src, shape, strides, shift, diagonal_scatter)


@op
def select_scatter(x: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of `x` with `src` at one position of axis `dim`."""
    axis, shape = axis_of(dim, x.ndim, select_scatter), list(x.shape)
    strides = contiguous_strides(shape)
    n, step = shape.pop(axis), strides.pop(axis)
    place = index.__index__()
    if not -n <= place < n:
        expect(False, select_scatter, f"an index in [{-n}, {n - 1}]", index, IndexRangeError)
    return _replace(x, src, shape, strides, place % n * step, select_scatter)


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
    expect(step > 0, slice_scatter, "a step above 0", step, ArgumentError)
    axis, shape = axis_of(dim, x.ndim, slice_scatter), list(x.shape)
    strides = contiguous_strides(shape)
    first, stop, step = slice(start, end, step).indices(shape[axis])
    shape[axis] = max(0, -((first - stop) // step))
    shift = first * strides[axis] if shape[axis] else 0
    strides[axis] *= step
    return _replace(x, src, shape, strides, shift, slice_scatter)


@op
def as_strided_scatter(
    x: Tensor,
    src: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Tensor:
    """A copy of contiguous `x` with `src` where `as_strided` would show it."""
    if not x.is_contiguous():
        expect(False, as_strided_scatter, "a contiguous tensor", f"strides {x.stride()}")
    shift = 0 if storage_offset is None else storage_offset - x.storage_offset()
    return _replace(x, src, size, stride, shift, as_strided_scatter)


@as_strided_scatter.grad
def _(
    g: Tensor, _x: Any, _src: Any, size: Sequence[int], stride: Sequence[int], at: int | None
) -> tuple[Any, Tensor]:
    g = g.contiguous()
    shift = 0 if at is None else at
    part = g.as_strided(tuple(size), tuple(stride), shift + g.storage_offset())
    # As torch 2.13 has it: the input gets the gradient of what was replaced, and no other.
    return lambda: as_strided_scatter(zeros_like(g), part, size, stride, shift), part
