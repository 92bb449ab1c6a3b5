"""Views that go through memory by other strides: diagonals, windows, `as_strided`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.views import overlaps, put_strided, take_strided
from ..errors import IndexRangeError, expect
from ..registry import op
from ..tensor import Tensor
from .complexes import imag, real
from .shape import axis_of, contiguous_strides


@op(view=True)
def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonal of axes `dim1` and `dim2`, as a last axis; `offset` above the main."""
    ...


@diagonal.view("strided")
def _(x: Tensor, offset: int, dim1: int, dim2: int) -> Any:
    return x, *diagonal_place(x.shape, x.stride(), offset, dim1, dim2)


@diagonal.grad
def _(g: Tensor, _x: Tensor, offset: int, dim1: int, dim2: int) -> Tensor:
    steps = contiguous_strides(_x.shape)
    _, strides, shift = diagonal_place(_x.shape, steps, offset, dim1, dim2)
    return put_strided(g, _x.shape, g.shape, strides, shift)


def diagonal_place(
    shape: Sequence[int], strides: Sequence[int], offset: int, dim1: int, dim2: int
) -> tuple[list[int], list[int], int]:
    """Shape, strides and first element of a diagonal."""
    n = len(shape)
    if n < 2:
        expect(False, diagonal, "at least two axes", tuple(shape), IndexRangeError)
    i, j = axis_of(dim1, n, diagonal), axis_of(dim2, n, diagonal)
    if i == j:
        expect(False, diagonal, "two different axes", (dim1, dim2))
    length = min(shape[i], shape[j] - offset) if offset >= 0 else min(shape[i] + offset, shape[j])
    shift = (strides[j] * offset if offset >= 0 else -strides[i] * offset) if length > 0 else 0
    kept, steps = [], []
    if n > 2:
        rest = [axis for axis in range(n) if axis not in (i, j)]
        kept, steps = [shape[axis] for axis in rest], [strides[axis] for axis in rest]
    kept.append(max(length, 0))
    steps.append(strides[i] + strides[j])
    return kept, steps, shift


@op(view=True)
def unfold(x: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of the windows of `size` positions along an axis, every `step`; a new last axis."""
    ...


@unfold.view("strided")
def _(x: Tensor, dimension: int, size: int, step: int) -> Any:
    return x, *unfold_place(x.shape, x.stride(), dimension, size, step), 0


@unfold.grad
def _(g: Tensor, _x: Tensor, dimension: int, size: int, step: int) -> Tensor:
    steps = contiguous_strides(_x.shape)
    _, strides = unfold_place(_x.shape, steps, dimension, size, step)
    return add_strided(g, _x.shape, g.shape, strides, 0)


def unfold_place(
    shape: Sequence[int], strides: Sequence[int], dimension: int, size: int, step: int
) -> tuple[list[int], list[int]]:
    """Shape and strides of the windows."""
    axis = axis_of(dimension, len(shape), unfold)
    n = shape[axis] if shape else 1
    if not 0 <= size <= n:
        expect(False, unfold, f"a size in [0, {n}]", size)
    expect(step > 0, unfold, "a step above 0", step)
    if not shape:
        return [size], [1]
    sizes, steps = list(shape), list(strides)
    sizes[axis] = (n - size) // step + 1
    steps[axis] *= step if sizes[axis] > 1 else 1
    return [*sizes, size], [*steps, strides[axis]]


@op
def as_strided(
    x: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """A view of any shape and strides over `x`'s storage, whose bounds it must not leave.

    Without `storage_offset` it begins where `x` does.
    """
    expect(min(stride, default=0) >= 0, as_strided, "strides of at least 0", tuple(stride))
    shift = 0 if storage_offset is None else storage_offset - x.storage_offset()
    return strided_view(x, tuple(size), tuple(stride), shift, x.stride())


@op(view=True)
def strided_view(
    input: Tensor, size: Sequence[int], stride: Sequence[int], shift: int, strides: Sequence[int]
) -> Tensor:
    """What `as_strided` makes of a tensor with these `strides`, `shift` elements from its first."""
    ...


@strided_view.view("strided")
def _(input: Tensor, size: Any, stride: Any, shift: int, strides: Any) -> Any:
    return input, size, stride, shift


@strided_view.grad
def _(
    g: Tensor, _x: Tensor, size: Sequence[int], stride: Sequence[int], shift: int, strides: Any
) -> Tensor:
    if not _x.numel() or not g.numel():
        return g.new_zeros(_x.shape)
    ends = [
        (sum(min((n - 1) * s, 0) for n, s in place), sum(max((n - 1) * s, 0) for n, s in place))
        for place in (
            list(zip(_x.shape, strides, strict=True)),
            list(zip(size, stride, strict=True)),
        )
    ]
    low, high = min(ends[0][0], ends[1][0] + shift), max(ends[0][1], ends[1][1] + shift)
    places = (_x.shape, tuple(strides), -low)
    out = take_strided(add_strided(g, (high - low + 1,), size, stride, shift - low), *places)
    if not overlaps(_x.shape, strides):
        return out
    # Elements of `x` that share memory share the gradient, as in PyTorch.
    return out / take_strided(
        put_strided(g.new_ones(_x.shape), (high - low + 1,), *places), *places
    )


def add_strided(
    g: Tensor, shape: Sequence[int], sizes: Sequence[int], strides: Sequence[int], shift: int
) -> Tensor:
    """`put_strided`, for complex tensors too when places overlap."""
    place = (tuple(shape), tuple(sizes), tuple(strides), shift)
    if g.dtype.kind != "c" or not overlaps(sizes, strides):
        return put_strided(g, *place)
    from .join import stack

    return stack([put_strided(part, *place) for part in (real(g), imag(g))], -1).view_as_complex()
